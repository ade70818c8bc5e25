"""Rewards that are read off a word: a verifier of one answer, a judge of two, and a scalar head on the same labels."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "generative-rewards",
    "categories": ["generative-reward-models"],
    "question": "Is a reward that a language model says in a word better than a scalar head, without any reasoning?",
    "measures": ["gold_best_of_16", "accuracy", "heldout_accuracy", "place_bias", "place_decides"],
    "arms": [
        {"arm": "scalar head", "method": "generative-verifier", "set": {"reads": "score"}},
        {
            "arm": "scalar head, twice the labels",
            "method": "generative-verifier",
            "set": {"reads": "score", "labels": 4000},
        },
        {"arm": "verifier", "method": "generative-verifier"},
        {"arm": "judge, four votes", "method": "generative-judge"},
        {"arm": "judge, one vote", "method": "generative-judge", "set": {"votes": 1}},
        {
            "arm": "judge taught a place, one order",
            "method": "generative-judge",
            "set": {"winner_first": 0.7, "orders": 1},
        },
        {
            "arm": "judge taught a place, both orders",
            "method": "generative-judge",
            "set": {"winner_first": 0.7},
        },
    ],
}

GRIDS = [
    {
        "arms": ["scalar head", "verifier"],
        "setting": "lr",
        "values": [1e-3, 3e-3],
        "measure": "metrics.accuracy",
    },
]

CLAIMS = {
    "zhang2025generative/c1": {
        "test": (
            "2,000 pairs and as many updates from the same pre-trained trunk: expected gold reward of the best of 16 "
            "reference answers, chosen by a verifier that says yes or no and was tuned on writing chosen answers along "
            "with that, minus chosen by a scalar head with Bradley and Terry's loss. No reasoning is written."
        ),
        "arms": ["verifier", "scalar head", "scalar head, twice the labels", "judge, four votes"],
        "measure": "verifier_gain",
        "unit": "sd of the gold reward",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "Best of 16 gains about 1 on this bed; a twentieth of that would be worth the change. The claim is the "
            "paper's for verifiers that may reason: this tests what the change of the output does alone."
        ),
        "controls": [
            {"what": "the scalar head with twice the labels", "measure": "labels_gain"},
        ],
        "revisions": [],
    },
    "zhang2025generative/c3": {
        "test": (
            "A judge that writes answers of its own to compare with, asked in both orders: expected gold reward of the "
            "best of 16 with four such votes for every answer, minus with one."
        ),
        "arms": ["judge, four votes", "judge, one vote", "verifier", "scalar head"],
        "measure": "votes_gain",
        "unit": "sd of the gold reward",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "The same margin as for the verifier.",
        "controls": [
            {"what": "verifier against scalar head, neither of which votes", "measure": "verifier_gain"},
        ],
        "revisions": [],
    },
}


def _gain(runs: pd.DataFrame, arm: str, other: str) -> float:
    values = runs["metrics.gold_best_of_16"]
    return float(values[arm] - values[other])


def verifier_gain(runs: pd.DataFrame) -> float:
    """Verifier minus scalar head."""
    return _gain(runs, "verifier", "scalar head")


def labels_gain(runs: pd.DataFrame) -> float:
    """What twice the labels are worth to the scalar head."""
    return _gain(runs, "scalar head, twice the labels", "scalar head")


def votes_gain(runs: pd.DataFrame) -> float:
    """Four votes minus one."""
    return _gain(runs, "judge, four votes", "judge, one vote")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What each model chooses, how it orders pairs, and what its verdicts owe to places."""
    columns = {
        "metrics.gold_best_of_16": "gold, best of 16",
        "metrics.accuracy": "pairs ordered rightly",
        "metrics.heldout_accuracy": "held out",
        "metrics.gap_closed": "gap closed",
        "metrics.place_bias": "log-odds of the first place",
        "metrics.place_decides": "verdicts that the place decides",
    }
    return mean_table(runs, columns, {"arm": "reward model"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward of the best of 16 by model, with 95 % intervals."""
    rows = [
        {
            "model": row["arm"],
            "gold": row["metrics.gold_best_of_16"],
            "low": row["metrics.gold_best_of_16"] - row.get("metrics.gold_best_of_16_ci", 0.0),
            "high": row["metrics.gold_best_of_16"] + row.get("metrics.gold_best_of_16_ci", 0.0),
        }
        for row in records_of(by_arm(runs, ["metrics.gold_best_of_16"]))
    ]
    title = "gold reward of the best of 16"
    return layered(
        rows,
        layer("rule", x=quantitative("low", title, scale={"zero": False}), x2={"field": "high"}),
        layer({"type": "point", "filled": True, "size": 90}, x={"field": "gold", "type": "quantitative"}),
        width=460,
        height=240,
        y=nominal("model", None, sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Word against score, votes against one, and what both orders do for a judge that was taught a place."""
    gold = arm_means(runs, "metrics.gold_best_of_16")
    bias, decides = arm_means(runs, "metrics.place_bias"), arm_means(runs, "metrics.place_decides")
    double = gold["scalar head, twice the labels"]
    one, both = "judge taught a place, one order", "judge taught a place, both orders"
    better = "ahead of" if gold["verifier"] > gold["scalar head"] else "behind"
    votes = gold["judge, four votes"] - gold["judge, one vote"]
    return (
        f"Choosing the best of 16, the verifier reaches {gold['verifier']:.2f}, {better} the scalar head "
        f"({gold['scalar head']:.2f}; {double:.2f} with twice the labels), and the judge of pairs "
        f"{gold['judge, four votes']:.2f}; four votes in place of one change that by {votes:+.2f}. Taught by pairs "
        f"that show the winner first 7 times in 10, a judge gives the first place {bias[one]:.2f} in log-odds, which "
        f"decides {decides[one]:.2f} of its verdicts; asked in both orders it reaches {gold[both]:.2f} in place of "
        f"{gold[one]:.2f}."
    )
