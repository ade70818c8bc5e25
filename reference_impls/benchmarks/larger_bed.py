"""The same methods on the default bed and on one with some eighty times as many answers: for a GPU."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "larger-bed",
    "categories": ["kl-regularised-objective"],
    "question": "Does what methods do among 3,906 answers also hold among 299,593?",
    "devices": ["cuda"],
    "arms": [
        {"arm": "RLOO, default bed", "method": "rloo", "oracle": True},
        {"arm": "PPO, default bed", "method": "ppo", "oracle": True},
        {"arm": "GRPO, default bed", "method": "grpo", "oracle": True},
        {"arm": "DPO, default bed", "method": "dpo"},
        {"arm": "RLOO, larger bed", "method": "rloo", "bed_set": {"vocab": 8, "horizon": 6}, "oracle": True},
        {"arm": "PPO, larger bed", "method": "ppo", "bed_set": {"vocab": 8, "horizon": 6}, "oracle": True},
        {"arm": "GRPO, larger bed", "method": "grpo", "bed_set": {"vocab": 8, "horizon": 6}, "oracle": True},
        {"arm": "DPO, larger bed", "method": "dpo", "bed_set": {"vocab": 8, "horizon": 6}},
    ],
}


def _split(runs: pd.DataFrame) -> pd.DataFrame:
    parts = runs["arm"].str.split(", ", n=1)
    return runs.assign(method=parts.str[0], bed=parts.str[1])


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training, by method and bed."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.kl_ref": "KL to reference",
        "cost.seconds": "seconds",
    }
    return mean_table(_split(runs), columns, {"method": "method", "bed": "bed"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed on the two beds, side by side for each method."""
    points = by_arm(_split(runs), ["metrics.gap_closed"], ["method", "bed"])
    points = points.rename(columns={"metrics.gap_closed": "gap", "metrics.gap_closed_ci": "ci"})
    return chart(
        points,
        {"type": "bar"},
        width=460,
        height=260,
        x=nominal("method", None, sort=None),
        xOffset={"field": "bed"},
        y=quantitative("gap", "share of the gap closed"),
        color=nominal("bed", None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Whether the methods come in the same order, and what the larger bed costs each of them."""
    gaps = arm_means(runs, "metrics.gap_closed")
    methods = [arm.removesuffix(", default bed") for arm in gaps if arm.endswith("default bed")]
    small = sorted(methods, key=lambda m: -gaps[f"{m}, default bed"])
    large = sorted(methods, key=lambda m: -gaps[f"{m}, larger bed"])
    order = "The order of the methods is the same" if small == large else "The order of the methods changes"
    pairs = ", ".join(
        f"{m} {gaps[f'{m}, default bed']:.2f} and {gaps[f'{m}, larger bed']:.2f}" for m in small
    )
    return f"{order}: on the default bed and on the larger one the share of the gap closed is for {pairs}."
