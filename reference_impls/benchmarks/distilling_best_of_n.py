"""Distilling best-of-n: how near does a policy come to the best of 16 answers when it writes only one?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "distilling-best-of-n",
    "categories": ["best-of-n"],
    "question": "How near does a policy that writes one answer come to the best of 16 of the reference?",
    "arms": [
        {"arm": "best of 16", "method": "best-of-n", "oracle": True},
        {"arm": "best of 4", "method": "best-of-n", "set": {"n": 4}, "oracle": True},
        {"arm": "BOND", "method": "bond", "oracle": True},
        {"arm": "BOND, winners only", "method": "bond", "set": {"backward": 0.0, "lr": 1e-3}, "oracle": True},
        {"arm": "BOND, policy gradient only", "method": "bond", "set": {"backward": 1.0}, "oracle": True},
        {"arm": "BOND, moving anchor", "method": "iterative-bond", "oracle": True},
    ],
    "measures": ["kl_from_best_of_n", "kl_to_best_of_n"],
}

GRIDS = [
    {
        "arms": ["BOND", "BOND, winners only", "BOND, policy gradient only"],
        "setting": "lr",
        "values": [5e-4, 1e-3, 2e-3],
        "measure": "metrics.target_gap",
    },
]

CLAIMS = {
    "sessa2025bond/c1": {
        "test": (
            "BOND towards the best of 16 with 23,040 scored answers: gold reward of one sample of the policy as a "
            "share of that of the best of 16 reference answers."
        ),
        "arms": ["BOND", "best of 16", "best of 4"],
        "measure": "share_of_best",
        "unit": "share of the gain",
        "holds": ">= 0.9",
        "fails": "<= 0.75",
        "why": "Nine tenths is nearly all; with three quarters, the best of 6 or 7 would do as well.",
        "controls": [{"what": "the best of 4 in BOND's place", "measure": "share_of_four"}],
        "revisions": [],
    },
    "sessa2025bond/c2": {
        "test": (
            "Mean of the two divergences between the policy and the best of 16, the better of training on one "
            "direction alone minus training on both."
        ),
        "arms": ["BOND", "BOND, winners only", "BOND, policy gradient only"],
        "measure": "jeffreys_gain",
        "unit": "nats",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "What is claimed is a balance, so both directions count alike. On a tuning seed with more steps the "
            "mixture was ahead by 0.17 nats of about 0.75."
        ),
        "controls": [{"what": "the winners alone in the mixture's place", "measure": "winners_gain"}],
        "revisions": [],
    },
}

ONE_SIDED = ("BOND, winners only", "BOND, policy gradient only")


def _gold(runs: pd.DataFrame, arm: str) -> float:
    return float(runs.loc[arm, "metrics.gold_reward"])


def _apart(runs: pd.DataFrame, arm: str) -> float:
    return float((runs.loc[arm, "metrics.kl_from_best_of_n"] + runs.loc[arm, "metrics.kl_to_best_of_n"]) / 2)


def share_of_best(runs: pd.DataFrame) -> float:
    """Gold reward of BOND's policy over that of the best of 16; the reference has 0."""
    return _gold(runs, "BOND") / _gold(runs, "best of 16")


def share_of_four(runs: pd.DataFrame) -> float:
    """The same for the best of 4."""
    return _gold(runs, "best of 4") / _gold(runs, "best of 16")


def jeffreys_gain(runs: pd.DataFrame) -> float:
    """How much nearer the mixture is than the better single direction."""
    return min(_apart(runs, arm) for arm in ONE_SIDED) - _apart(runs, "BOND")


def winners_gain(runs: pd.DataFrame) -> float:
    """How much nearer the winners alone are than the better of the others."""
    others = ("BOND", "BOND, policy gradient only")
    return min(_apart(runs, arm) for arm in others) - _apart(runs, "BOND, winners only")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Reward, and both divergences to the best of 16."""
    columns = {
        "metrics.gold_reward": "gold reward",
        "metrics.win_rate": "win rate",
        "metrics.kl_ref": "KL to reference",
        "metrics.kl_from_best_of_n": "KL of best of 16 to it",
        "metrics.kl_to_best_of_n": "KL of it to best of 16",
        "metrics.target_gap": "way to best of 16",
        "cost.samples": "samples to train",
    }
    return mean_table(runs, columns, {"arm": "policy"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward against KL to the reference."""
    means = by_arm(runs, ["metrics.gold_reward", "metrics.kl_ref"])
    points = [
        {"policy": str(row["arm"]), "kl": row["metrics.kl_ref"], "gold": row["metrics.gold_reward"]}
        for row in records_of(means)
    ]
    return chart(
        points,
        {"type": "point", "filled": True, "size": 110},
        height=320,
        x=quantitative("kl", "KL to the reference (nats)"),
        y=quantitative("gold", "gold reward (sd above the reference)"),
        color={"field": "policy", "type": "nominal", "sort": None},
        tooltip=[{"field": "policy"}, {"field": "kl"}, {"field": "gold"}],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What one sample of the distilled policy is worth, and what each direction of the divergence does."""
    gold, way = arm_means(runs, "metrics.gold_reward"), arm_means(runs, "metrics.target_gap")
    there, back = arm_means(runs, "metrics.kl_from_best_of_n"), arm_means(runs, "metrics.kl_to_best_of_n")
    apart = {arm: (there[arm] + back[arm]) / 2 for arm in there if arm.startswith("BOND")}
    nearest = min(("BOND", *ONE_SIDED), key=lambda arm: apart[arm])
    return (
        f"One sample after BOND earns {gold['BOND'] / gold['best of 16']:.2f} of what the best of 16 earns, which "
        f"draws 16 answers for it (the best of 4: {gold['best of 4'] / gold['best of 16']:.2f}). Nearest to the best "
        f"of 16 in the mean of both divergences is {nearest} ({apart[nearest]:.2f} nats; both at once "
        f"{apart['BOND']:.2f}, winners alone {apart['BOND, winners only']:.2f}, policy gradient alone "
        f"{apart['BOND, policy gradient only']:.2f}). Four rounds at the best of 2, with a moving anchor, go "
        f"{way['BOND, moving anchor']:.2f} of the way, one at the best of 16 {way['BOND']:.2f}."
    )
