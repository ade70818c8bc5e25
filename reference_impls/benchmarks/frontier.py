"""Reward against KL for every method on the shelf, beside the exact Pareto curve."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "frontier",
    "categories": ["kl-regularised-objective", "best-of-n", "direct-preference-optimisation"],
    "question": "How much reward does each method buy per nat of KL from the reference?",
    "arms": [
        {"arm": "exact optimum", "method": "kl-optimum", "sweep": True, "oracle": True},
        {"arm": "PPO", "method": "ppo", "sweep": True, "oracle": True},
        {"arm": "RLOO", "method": "rloo", "sweep": True, "oracle": True},
        {"arm": "REINFORCE, mean baseline", "method": "reinforce-mean", "sweep": True, "oracle": True},
        {"arm": "REINFORCE", "method": "reinforce", "sweep": True, "oracle": True},
        {"arm": "GRPO", "method": "grpo", "sweep": True, "oracle": True},
        {"arm": "GRPO, KL in reward", "method": "grpo-kl-in-reward", "sweep": True, "oracle": True},
        {"arm": "best-of-n", "method": "best-of-n", "sweep": True, "oracle": True},
        {"arm": "DPO", "method": "dpo", "sweep": True},
        {"arm": "reward model, tilted", "method": "bradley-terry", "sweep": True},
        {"arm": "SFT", "method": "sft", "sweep": True},
    ],
}


def _named(runs: pd.DataFrame) -> pd.DataFrame:
    label = runs["arm"].str.rsplit(", ", n=1)
    uses = runs["oracle"].map({True: "gold reward", False: "8,000 or fewer labels"})
    return runs.assign(family=label.str[0], setting=label.str[1], uses=uses)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each method at the knob setting of highest KL efficiency times reward gained."""
    columns = {
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.heldout_kl_efficiency": "KL efficiency, held out",
    }
    keys = {"family": "method", "setting": "knob", "uses": "learns from"}
    return mean_table(_named(runs), columns, keys)


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: one line per method along its knob, the exact optimum drawn as the frontier."""
    keys = ["family", "setting", "uses"]
    points = by_arm(_named(runs), ["metrics.gold_reward", "metrics.kl_ref", "metrics.kl_efficiency"], keys)
    points = points.rename(
        columns={
            "metrics.gold_reward": "reward",
            "metrics.kl_ref": "kl",
            "metrics.kl_efficiency": "efficiency",
        }
    )
    points = points[["family", "setting", "uses", "reward", "kl", "efficiency"]].sort_values("kl")
    optimum = points["family"] == "exact optimum"
    return layered(
        None,
        layer(
            {"type": "line", "interpolate": "monotone", "strokeWidth": 5, "opacity": 0.25}, points[optimum]
        ),
        layer(
            {"type": "line", "point": {"size": 45}},
            points[~optimum],
            color=nominal("family", None),
            strokeDash=nominal("uses", "learns from"),
            order={"field": "kl"},
        ),
        width=620,
        height=400,
        x=quantitative("kl", "KL to the reference (nats)"),
        y=quantitative("reward", "gold reward (sd above the reference)"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Which method with each kind of feedback is nearest the frontier, at its best setting."""
    keys = ["family", "setting", "uses"]
    points = by_arm(_named(runs), ["metrics.kl_efficiency", "metrics.kl_ref"], keys)
    points = points[(points["family"] != "exact optimum") & (points["metrics.kl_ref"] >= 1)]
    parts = []
    for uses, group in points.groupby("uses", sort=False):
        best = group.sort_values("metrics.kl_efficiency").iloc[-1]
        worst_family = group.groupby("family")["metrics.kl_efficiency"].max().idxmin()
        worst = group.groupby("family")["metrics.kl_efficiency"].max().min()
        sentence = (
            f"With {uses}, at one nat of KL or more, {best['family']} ({best['setting']}) keeps most of the "
            f"reward that the exact optimum has at the same KL: {best['metrics.kl_efficiency']:.1%}"
        )
        if worst_family != best["family"]:
            sentence += f"; {worst_family} keeps least, {worst:.1%} at its best setting"
        parts.append(sentence + ".")
    return " ".join(parts)
