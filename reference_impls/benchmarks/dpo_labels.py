"""What limits DPO: the number of labels or the number of updates? Batches of 64 pairs, as in the paper."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, by_arm, mean_table, with_ends

BENCHMARK = {
    "key": "dpo-labels",
    "categories": ["direct-preference-optimisation"],
    "question": "What limits DPO here: the number of labels, or the number of updates?",
    "arms": [
        {"arm": "500 labels, 600 steps", "method": "dpo", "set": {"batch": 64, "labels": 500}},
        {
            "arm": "500 labels, 2400 steps",
            "method": "dpo",
            "set": {"batch": 64, "labels": 500, "steps": 2400},
        },
        {"arm": "2000 labels, 600 steps", "method": "dpo", "set": {"batch": 64, "labels": 2000}},
        {
            "arm": "2000 labels, 2400 steps",
            "method": "dpo",
            "set": {"batch": 64, "labels": 2000, "steps": 2400},
        },
        {"arm": "8000 labels, 600 steps", "method": "dpo", "set": {"batch": 64, "labels": 8000}},
        {
            "arm": "8000 labels, 2400 steps",
            "method": "dpo",
            "set": {"batch": 64, "labels": 8000, "steps": 2400},
        },
        {"arm": "32000 labels, 600 steps", "method": "dpo", "set": {"batch": 64, "labels": 32000}},
        {
            "arm": "32000 labels, 2400 steps",
            "method": "dpo",
            "set": {"batch": 64, "labels": 32000, "steps": 2400},
        },
        {"arm": "fresh labels, 600 steps", "method": "dpo", "set": {"batch": 64, "labels": 0}},
        {
            "arm": "fresh labels, 2400 steps",
            "method": "dpo",
            "set": {"batch": 64, "labels": 0, "steps": 2400},
        },
    ],
}


def _best(curve: list[dict[str, float]]) -> float:
    return max(point["gap_closed"] for point in curve)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Gap closed at the end and at the best point of the curve, by labels and updates."""
    split = runs["arm"].str.split(", ")
    named = runs.assign(
        labels=split.str[0].str.removesuffix(" labels"),
        updates=split.str[1].str.removesuffix(" steps"),
        peak=runs["curve"].map(_best),
    )
    columns = {
        "metrics.gap_closed": "gap closed at the end",
        "peak": "best point of the curve",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_ref": "KL to reference",
        "metrics.gold_reward": "gold reward",
        "cost.labels": "labels used",
    }
    return mean_table(named, columns, {"labels": "labels", "updates": "updates"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed along training, one line per number of labels, for the longer runs."""
    longer = runs[runs["arm"].str.endswith("2400 steps")]
    named = longer.assign(labels=longer["arm"].str.split(" ").str[0])
    points = with_ends(along_training(named, ["gap_closed"], ["labels"]), "gap_closed")
    title = "share of the gap closed"
    return layered(
        points,
        layer({"type": "area", "opacity": 0.15}, y=quantitative("low", title), y2={"field": "high"}),
        layer({"type": "line", "point": True}, y=quantitative("gap_closed", title)),
        width=620,
        height=360,
        x=quantitative("step", "updates", scale={"type": "log"}),
        color=nominal("labels", "labels", sort=["500", "2000", "8000", "32000", "fresh"]),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What four times the labels, four times the updates, and both change at 8,000 labels."""
    gap = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")["metrics.gap_closed"]
    base = gap["8000 labels, 600 steps"]
    labels, updates = gap["32000 labels, 600 steps"] - base, gap["8000 labels, 2400 steps"] - base
    both = gap["32000 labels, 2400 steps"] - base
    limit = "labels" if labels > updates else "updates"
    few = runs[runs["arm"] == "500 labels, 2400 steps"]
    peak, end = few["curve"].map(_best).mean(), few["metrics.gap_closed"].mean()
    return (
        f"From 8,000 labels and 600 updates ({base:.2f} of the gap closed), four times the labels change the "
        f"result by {labels:+.2f}, four times the updates by {updates:+.2f}, and both by {both:+.2f}: the first "
        f"limit here is {limit}. With 500 labels the curve reaches {peak:.2f} at its best point and ends at {end:.2f}."
    )
