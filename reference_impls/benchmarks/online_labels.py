"""The same number of labels on a fixed set of pairs, or on fresh answers round by round."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, half_width, mean_table, with_ends

BENCHMARK = {
    "key": "online-labels",
    "categories": ["online-preference-optimisation"],
    "question": "What are 2,400 labels worth if they are asked for the policy's own answers while it learns?",
    "arms": [
        {
            "arm": "offline DPO",
            "method": "dpo",
            "set": {"labels": 2400, "steps": 400, "batch": 32, "lr": 5e-4},
        },
        {"arm": "online DPO", "method": "online-dpo", "set": {"lr": 5e-4}},
        {"arm": "policy against reference", "method": "xpo", "set": {"alpha": 0.0, "lr": 2e-3}},
        {
            "arm": "online DPO, one step per batch",
            "method": "online-dpo",
            "set": {"rounds": 400, "data": "latest", "batch": 6, "lr": 5e-4},
        },
    ],
    "measures": [],
}

GRIDS = [
    {
        "arms": ["offline DPO", "online DPO", "policy against reference"],
        "setting": "lr",
        "values": [5e-4, 1e-3, 2e-3],
        "measure": "metrics.gap_closed",
    },
]

CLAIMS = {
    "guo2024direct/c1": {
        "test": "Gap closed by DPO on the current policy's answers in 8 rounds minus gap closed by DPO on as many "
        "pairs of the reference, 2,400 labels and 400 updates of 32 pairs each.",
        "arms": ["online DPO", "offline DPO", "policy against reference", "online DPO, one step per batch"],
        "measure": "online_gain",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "Means over five seeds differ by about 0.02 by chance; five hundredths is the least that is worth "
        "asking annotators while training.",
        "controls": [
            {
                "what": "online in name: each batch used for one step and forgotten",
                "measure": "one_step_gain",
            },
            {"what": "half online: one of the two answers is the reference's", "measure": "half_gain"},
        ],
        "revisions": [],
    },
}


def _gain(runs: pd.DataFrame, arm: str) -> float:
    """Gap closed in an arm minus that of offline DPO."""
    gap = runs["metrics.gap_closed"]
    return float(gap.loc[arm] - gap.loc["offline DPO"])


def online_gain(runs: pd.DataFrame) -> float:
    """Gap closed by online DPO minus that of offline DPO."""
    return _gain(runs, "online DPO")


def half_gain(runs: pd.DataFrame) -> float:
    """Gap closed with one answer from the reference minus that of offline DPO."""
    return _gain(runs, "policy against reference")


def one_step_gain(runs: pd.DataFrame) -> float:
    """Gap closed with one step per fresh batch minus that of offline DPO."""
    return _gain(runs, "online DPO, one step per batch")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """The common yardstick on seen and unseen prompts, and what was spent."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "cost.labels": "labels",
    }
    return mean_table(runs, columns, {"arm": "answers"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed along training; online, labels arrive along the same axis."""
    points = with_ends(along_training(runs, ["gap_closed"]), "gap_closed")
    title = "share of the gap closed"
    return layered(
        points,
        layer({"type": "area", "opacity": 0.15}, y=quantitative("low", title), y2={"field": "high"}),
        layer({"type": "line", "point": True}, y=quantitative("gap_closed", title)),
        width=620,
        height=360,
        x=quantitative("step", "updates"),
        color=nominal("arm", "answers", sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What own answers, and keeping them, change against the fixed set of pairs, seed by seed."""
    gaps = runs.pivot(index="seed", columns="arm", values="metrics.gap_closed")
    changes = {
        arm: gaps[arm] - gaps["offline DPO"]
        for arm in ("online DPO", "policy against reference", "online DPO, one step per batch")
    }
    said = {arm: f"{change.mean():+.2f} ± {half_width(change):.2f}" for arm, change in changes.items()}
    online = changes["online DPO"]
    if abs(online.mean()) <= half_width(online):
        verdict = "make no difference that the seeds show"
    else:
        verdict = "pay" if online.mean() > 0 else "cost"
    return (
        f"At 2,400 labels fresh answers of the policy {verdict}: offline DPO closes "
        f"{gaps['offline DPO'].mean():.2f} of the gap, and online DPO changes that by {said['online DPO']}. With one "
        f"of the two answers from the reference the change is {said['policy against reference']}, and with each batch "
        f"used for one step only {said['online DPO, one step per batch']}."
    )
