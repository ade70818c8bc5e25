"""What attribute heads buy: at the weighting that people had, and at others that are asked for later."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "reward-attributes",
    "categories": ["multi-objective-reward-models"],
    "question": "What do attribute heads buy, at the weighting that people had and at another one?",
    "measures": [
        "gap_trained",
        "heldout_gap_trained",
        "gap_even",
        "gap_first",
        "gap_second",
        "gap_swapped",
        "accuracy_trained",
        "accuracy_first",
        "accuracy_second",
        "gate_error",
    ],
    "arms": [
        {"arm": "one scalar head", "method": "attribute-heads", "set": {"model": "scalar"}},
        {"arm": "attribute heads", "method": "attribute-heads"},
        {"arm": "heads with a gate", "method": "gated-attributes"},
        {
            "arm": "attribute heads, one weighting",
            "method": "attribute-heads",
            "set": {"lean": 0.5},
        },
        {
            "arm": "heads with a gate, one weighting",
            "method": "gated-attributes",
            "set": {"lean": 0.5},
        },
        {"arm": "attribute heads, two units", "method": "attribute-heads", "set": {"unit": 0.3}},
        {"arm": "heads with a gate, two units", "method": "gated-attributes", "set": {"unit": 0.3}},
    ],
}

GRIDS = [
    {
        "arms": ["heads with a gate"],
        "setting": "gate_labels",
        "values": [500, 2000, 4000],
        "measure": "metrics.heldout_gap_trained",
    },
]

CLAIMS = {
    "wang2024interpretable/c1": {
        "test": (
            "Two uncorrelated attributes; people weigh them 9 to 1 in half of the prompts and 1 to 9 in the others. "
            "8,000 labels: marks for heads added up with equal weights, or marks and 2,000 comparisons for a gate. "
            "Share of the gap in J of the people's utility on held-out prompts, gate minus equal weights."
        ),
        "arms": [
            "heads with a gate",
            "attribute heads",
            "heads with a gate, one weighting",
            "attribute heads, one weighting",
            "one scalar head",
        ],
        "measure": "gate_gain",
        "unit": "share of the gap in J",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "Equal weights are wrong by 0.4 in every prompt, so that a gate that works gains tenths. A twentieth is "
            "more than the gate's own cost in labels."
        ),
        "controls": [
            {"what": "people who weigh all prompts alike", "measure": "gate_gain_for_one_weighting"},
        ],
        "revisions": [],
    },
    "glaese2022improving/c1": {
        "test": (
            "8,000 marks on attributes against 8,000 general comparisons: share of fresh pairs ordered rightly by each "
            "attribute, averaged over both, heads minus the scalar head."
        ),
        "arms": ["attribute heads", "one scalar head"],
        "measure": "targeted_gain",
        "unit": "share of pairs",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "Twice the labels are worth about 0.03 on this bed; more than that is a real economy.",
        "controls": [
            {"what": "the general question itself", "measure": "general_gain"},
        ],
        "revisions": [],
    },
}


def _gain(runs: pd.DataFrame, arm: str, other: str, measure: str) -> float:
    values = runs[f"metrics.{measure}"]
    return float(values[arm] - values[other])


def gate_gain(runs: pd.DataFrame) -> float:
    """Gate minus equal weights at the people's own weighting, on held-out prompts."""
    return _gain(runs, "heads with a gate", "attribute heads", "heldout_gap_trained")


def gate_gain_for_one_weighting(runs: pd.DataFrame) -> float:
    """The same where people weigh both attributes alike in every prompt."""
    arms = "heads with a gate, one weighting", "attribute heads, one weighting"
    return _gain(runs, *arms, "heldout_gap_trained")


def targeted_gain(runs: pd.DataFrame) -> float:
    """Heads minus scalar head on pairs ordered by one attribute, the mean of both attributes."""
    both = [
        _gain(runs, "attribute heads", "one scalar head", f"accuracy_{name}") for name in ("first", "second")
    ]
    return sum(both) / 2


def general_gain(runs: pd.DataFrame) -> float:
    """The same on pairs ordered by the people's utility."""
    return _gain(runs, "attribute heads", "one scalar head", "accuracy_trained")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Share of the gap in J that each model closes, by the weighting that is asked for."""
    columns = {
        "metrics.gap_trained": "people's weighting",
        "metrics.heldout_gap_trained": "held out",
        "metrics.gap_even": "equal weights",
        "metrics.gap_first": "first alone",
        "metrics.gap_second": "second alone",
        "metrics.gap_swapped": "turned round",
        "metrics.gate_error": "gate's error",
    }
    return mean_table(runs, columns, {"arm": "reward model"})


WEIGHTINGS = {
    "metrics.gap_trained": "people's",
    "metrics.gap_even": "equal",
    "metrics.gap_first": "first alone",
    "metrics.gap_second": "second alone",
    "metrics.gap_swapped": "turned round",
}


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: share of the gap by the weighting asked for, a line per reward model."""
    rows = [
        {"model": row["arm"], "weighting": label, "gap": row[name]}
        for row in records_of(by_arm(runs, list(WEIGHTINGS)))
        for name, label in WEIGHTINGS.items()
    ]
    return chart(
        rows,
        {"type": "line", "point": {"size": 70}},
        width=460,
        height=320,
        x=nominal("weighting", "weighting asked for", sort=None),
        y=quantitative("gap", "share of the gap in J"),
        color=nominal("model", "reward model", sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Who serves the people's weighting, what another weighting costs, and what units do to equal weights."""
    trained, heldout = (arm_means(runs, f"metrics.{name}gap_trained") for name in ("", "heldout_"))
    swapped, even = arm_means(runs, "metrics.gap_swapped"), arm_means(runs, "metrics.gap_even")
    scalar, heads, gate = "one scalar head", "attribute heads", "heads with a gate"
    better = "more" if heldout[gate] > heldout[scalar] else "less"
    steered = min(swapped[heads], even[heads])
    worst = min(swapped[scalar], even[scalar])
    units = even["attribute heads, two units"] - even[heads]
    return (
        f"At the weighting that people had, which differs by prompt, one scalar head closes {trained[scalar]:.2f} of "
        f"the gap, heads with equal weights {trained[heads]:.2f} and heads with a gate {trained[gate]:.2f}; on "
        f"held-out prompts the gate closes {abs(heldout[gate] - heldout[scalar]):.2f} {better} than the scalar head. "
        f"Asked for equal or opposite weights, heads still close at least {steered:.2f} and the scalar head as little "
        f"as {worst:.2f}. Marks on two scales change what equal weights close by {units:+.2f}."
    )
