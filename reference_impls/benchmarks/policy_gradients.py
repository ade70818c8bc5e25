"""What a baseline, a critic and a group's standard deviation change, with the gold reward."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, by_arm, mean_table

BENCHMARK = {
    "key": "policy-gradients",
    "categories": ["policy-gradients", "actor-critic", "group-relative-policy-gradients"],
    "question": "Given the gold reward, which policy gradient reaches the optimum, and with how many answers?",
    "arms": [
        {"arm": "REINFORCE", "method": "reinforce", "oracle": True},
        {"arm": "REINFORCE, mean baseline", "method": "reinforce-mean", "oracle": True},
        {"arm": "RLOO", "method": "rloo", "oracle": True},
        {"arm": "PPO", "method": "ppo", "oracle": True},
        {"arm": "A2C", "method": "a2c", "oracle": True},
        {"arm": "GRPO", "method": "grpo", "oracle": True},
        {"arm": "GRPO, KL in reward", "method": "grpo-kl-in-reward", "oracle": True},
    ],
}

GRIDS = [
    {
        "arms": ["REINFORCE", "REINFORCE, mean baseline", "RLOO", "PPO", "A2C", "GRPO", "GRPO, KL in reward"],
        "setting": "lr",
        "values": [1e-3, 2e-3, 4e-3],
        "measure": "metrics.gap_closed",
    },
]


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training, by method."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "cost.samples": "samples",
        "cost.seconds": "seconds",
    }
    return mean_table(runs, columns, {"arm": "method"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed against samples drawn."""
    return chart(
        along_training(runs, ["gap_closed"], cost="samples").rename(columns={"arm": "method"}),
        {"type": "line", "point": True},
        width=620,
        height=360,
        x=quantitative("samples", "answers sampled"),
        y=quantitative("gap_closed", "share of the gap closed"),
        color=nominal("method", None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Best and worst, and whether their intervals over seeds overlap."""
    summary = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")
    gap = summary["metrics.gap_closed"].sort_values(ascending=False)
    best, worst = gap.index[0], gap.index[-1]
    ci = summary["metrics.gap_closed_ci"]
    apart = gap[best] - ci[best] > gap[worst] + ci[worst]
    seeds = "their intervals over seeds do not overlap" if apart else "their intervals over seeds overlap"
    return f"{best} closes most of the gap ({gap[best]:.3f}) and {worst} least ({gap[worst]:.3f}); {seeds}."
