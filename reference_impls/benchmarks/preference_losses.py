"""Six losses on the same pairs: DPO, and five that are one term away from it."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, by_arm, mean_table

BENCHMARK = {
    "key": "preference-losses",
    "categories": ["generalised-preference-losses"],
    "question": "Which loss makes the most of the same 8,000 pairs?",
    "arms": [
        {"arm": "DPO", "method": "dpo"},
        {"arm": "IPO", "method": "ipo"},
        {"arm": "cDPO", "method": "cdpo"},
        {"arm": "robust DPO", "method": "robust-dpo"},
        {"arm": "hinge", "method": "dpo-hinge"},
        {"arm": "f-DPO (JS)", "method": "f-dpo-js"},
    ],
}

GRIDS = [
    {
        "arms": ["DPO", "IPO", "cDPO", "robust DPO", "hinge", "f-DPO (JS)"],
        "setting": "lr",
        "values": [5e-4, 1e-3, 2e-3],
        "measure": "metrics.gap_closed",
    },
]


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each loss: its own target, the common yardstick, and what it costs in KL."""
    columns = {
        "metrics.target_gap": "own target",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.heldout_kl_efficiency": "KL efficiency, held out",
        "metrics.gap_closed": "gap closed in J",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
    }
    return mean_table(runs, columns, {"arm": "loss"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: the way of each loss through KL and gold reward while it trains."""
    return chart(
        along_training(runs, ["kl_ref", "gold_reward"]).rename(columns={"arm": "loss"}),
        {"type": "line", "point": True},
        width=620,
        height=400,
        x=quantitative("kl_ref", "KL to the reference (nats), along training"),
        y=quantitative("gold_reward", "gold reward (sd above the reference)"),
        color=nominal("loss", None, sort=None),
        order={"field": "step"},
    )


def conclusion(runs: pd.DataFrame) -> str:
    """The best and the worst loss by KL efficiency, and whether their intervals over seeds overlap."""
    means = by_arm(runs, ["metrics.kl_efficiency", "metrics.kl_ref"]).set_index("arm")
    kept, ci = means["metrics.kl_efficiency"].sort_values(), means["metrics.kl_efficiency_ci"]
    best, worst = str(kept.index[-1]), str(kept.index[0])
    apart = kept[best] - ci[best] > kept[worst] + ci[worst]
    seeds = "their intervals over seeds do not overlap" if apart else "their intervals over seeds overlap"
    spent = means["metrics.kl_ref"]
    return (
        f"With 8,000 labels {best} keeps most of the reward that its KL can buy ({kept[best]:.1%}, at "
        f"{spent[best]:.1f} nats) and {worst} least ({kept[worst]:.1%}, at {spent[worst]:.1f} nats); {seeds}."
    )
