"""Drawing preference pairs from the estimated optimum instead of the reference, at equal numbers of pairs."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "pairs-from-the-optimum",
    "categories": ["rejection-sampling-fine-tuning"],
    "question": "Of 8,000 pairs, is it better to draw them from the estimated optimum than from the reference?",
    "arms": [
        {"arm": "DPO on annotators' pairs", "method": "dpo", "set": {"steps": 150}},
        {
            "arm": "RSO, verdicts of flawed scores",
            "method": "rso",
            "set": {"verdicts": True, "gamma": 2.0},
            "bed_set": {"proxy_error": 0.2},
        },
        {
            "arm": "reference pairs, verdicts of flawed scores",
            "method": "rso",
            "set": {"verdicts": True, "gamma": 2.0, "source": "reference"},
            "bed_set": {"proxy_error": 0.2},
        },
        {"arm": "RSO, true preferences", "method": "rso", "oracle": True},
        {
            "arm": "reference pairs, true preferences",
            "method": "rso",
            "set": {"source": "reference"},
            "oracle": True,
        },
    ],
    "measures": ["pairs_gold"],
}

GRIDS = [
    {
        "arms": ["RSO, verdicts of flawed scores", "reference pairs, verdicts of flawed scores"],
        "setting": "gamma",
        "values": [1.0, 2.0, 4.0],
        "measure": "metrics.gap_closed",
    },
]

CLAIMS = {
    "liu2024statistical/c1": {
        "test": (
            "Scores with an error of a third of the gold reward's sd draw and judge 8,000 pairs: win rate against the "
            "reference after RSO minus the better of training on pairs of reference answers that the same scores "
            "judge, and of DPO on 8,000 pairs that annotators judge."
        ),
        "arms": [
            "RSO, verdicts of flawed scores",
            "reference pairs, verdicts of flawed scores",
            "DPO on annotators' pairs",
        ],
        "measure": "rso_lead",
        "unit": "win rate",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "These are the paper's sft-sample-rank and direct, and win rate is its measure; there RSO was ahead by one "
            "to six points."
        ),
        "controls": [{"what": "pairs of reference answers in RSO's place", "measure": "reference_lead"}],
        "revisions": [],
    },
    "liu2024statistical/c2": {
        "test": (
            "Labels drawn from the true preference probabilities, on 8,000 pairs from the exact optimum's rejection "
            "sampling or from the reference: share of the gap in J closed, the first minus the second."
        ),
        "arms": ["RSO, true preferences", "reference pairs, true preferences"],
        "measure": "gain_from_the_optimum",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "If estimating the optimum needs pairs from it, those must do clearly better; a twentieth of the gap is "
            "what would be worth the sampling. With endless labels both are consistent, so that only the errors differ."
        ),
        "controls": [{"what": "against the untrained reference", "measure": "gain_from_nothing"}],
        "revisions": [],
    },
}

RSO, REFERENCE = "RSO, verdicts of flawed scores", "reference pairs, verdicts of flawed scores"
DIRECT = "DPO on annotators' pairs"


def _of(runs: pd.DataFrame, arm: str, metric: str) -> float:
    return float(runs.loc[arm, f"metrics.{metric}"])


def rso_lead(runs: pd.DataFrame) -> float:
    """Win rate of RSO minus that of the better of the two others."""
    return _of(runs, RSO, "win_rate") - max(_of(runs, arm, "win_rate") for arm in (REFERENCE, DIRECT))


def reference_lead(runs: pd.DataFrame) -> float:
    """The same for pairs of reference answers that the scores judge."""
    return _of(runs, REFERENCE, "win_rate") - max(_of(runs, arm, "win_rate") for arm in (RSO, DIRECT))


def gain_from_the_optimum(runs: pd.DataFrame) -> float:
    """Gap closed on pairs from the optimum minus that on pairs from the reference, with true preferences."""
    return gain_from_nothing(runs) - _of(runs, "reference pairs, true preferences", "gap_closed")


def gain_from_nothing(runs: pd.DataFrame) -> float:
    """Gap closed on pairs from the optimum; the reference closes none."""
    return _of(runs, "RSO, true preferences", "gap_closed")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training, by where pairs come from and who judges them."""
    columns = {
        "metrics.win_rate": "win rate",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.pairs_gold": "gold reward of the pairs",
    }
    return mean_table(runs, columns, {"arm": "pairs"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward against KL at the end of training."""
    means = by_arm(runs, ["metrics.gold_reward", "metrics.kl_ref"])
    points = [
        {"pairs": str(row["arm"]), "kl": row["metrics.kl_ref"], "gold": row["metrics.gold_reward"]}
        for row in records_of(means)
    ]
    return chart(
        points,
        {"type": "point", "filled": True, "size": 110},
        width=520,
        height=320,
        x=quantitative("kl", "KL to the reference (nats)"),
        y=quantitative("gold", "gold reward (sd above the reference)"),
        color={"field": "pairs", "type": "nominal", "sort": None},
        tooltip=[{"field": "pairs"}, {"field": "kl"}, {"field": "gold"}],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What drawing from the optimum buys with verdicts of flawed scores, and with true preferences."""
    win, closed = arm_means(runs, "metrics.win_rate"), arm_means(runs, "metrics.gap_closed")
    best, plain = closed["RSO, true preferences"], closed["reference pairs, true preferences"]
    more = "more" if best > plain else "no more"
    order = "ahead of" if win[RSO] > win[REFERENCE] else "not ahead of"
    return (
        f"Judged by the verdicts of flawed scores, pairs from the estimated optimum reach a win rate of "
        f"{win[RSO]:.2f}, {order} pairs from the reference ({win[REFERENCE]:.2f}); DPO on annotators' pairs reaches "
        f"{win[DIRECT]:.2f}. With labels drawn from the true preferences, which aim at one optimum wherever pairs "
        f"come from, pairs from the optimum close {more} of the gap than pairs from the reference ({best:.2f} against "
        f"{plain:.2f})."
    )
