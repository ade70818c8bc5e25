"""Marks on a scale against comparisons at 4,000 labels, with raters who share a scale and raters who do not."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "marks-and-scales",
    "categories": ["rating-feedback"],
    "question": "4,000 labels, marks on a scale or comparisons: what does the model of the scale change?",
    "measures": ["match"],
    "arms": [
        {"arm": "one scale: ordered logit", "method": "ordered-logit"},
        {"arm": "one scale: regression", "method": "mark-regression"},
        {"arm": "one scale: comparisons", "method": "ordered-logit", "set": {"feedback": "comparisons"}},
        {
            "arm": "one scale: half as many comparisons",
            "method": "ordered-logit",
            "set": {"feedback": "comparisons", "labels": 2000},
        },
        {"arm": "two levels: ordered logit", "method": "ordered-logit", "set": {"levels": 2}},
        {"arm": "nine levels: ordered logit", "method": "ordered-logit", "set": {"levels": 9}},
        {"arm": "generous: ordered logit", "method": "ordered-logit", "set": {"generosity": 1.5}},
        {"arm": "generous: regression", "method": "mark-regression", "set": {"generosity": 1.5}},
        {
            "arm": "own scales: ordered logit",
            "method": "ordered-logit",
            "set": {"offsets": 1.0, "scales": 0.5},
        },
        {"arm": "own scales: ordered logit by rater", "method": "ordered-logit-raters"},
        {
            "arm": "own scales: regression",
            "method": "mark-regression",
            "set": {"offsets": 1.0, "scales": 0.5},
        },
        {
            "arm": "own scales: regression on standard marks",
            "method": "mark-regression",
            "set": {"offsets": 1.0, "scales": 0.5, "personal": True},
        },
        {
            "arm": "own scales: comparisons",
            "method": "ordered-logit",
            "set": {"feedback": "comparisons", "offsets": 1.0, "scales": 0.5},
        },
    ],
}

GRIDS = [
    {
        "arms": [
            "one scale: ordered logit",
            "one scale: regression",
            "one scale: comparisons",
            "own scales: ordered logit by rater",
        ],
        "setting": "prior",
        "values": [0.25, 0.5, 1.0],
        "measure": "metrics.match",
    }
]

CLAIMS = {
    "ali2025operationalizing/c2": {
        "test": (
            "4,000 marks on five levels or on two (above or below the middle), both read by the ordered logit: "
            "correlation of the fitted with the true reward, five levels minus two."
        ),
        "arms": [
            "one scale: ordered logit",
            "two levels: ordered logit",
            "nine levels: ordered logit",
            "one scale: half as many comparisons",
        ],
        "measure": "finer_gain",
        "unit": "correlation",
        "holds": ">= 0.01",
        "fails": "<= 0",
        "why": (
            "Two levels are five with three cut points thrown away, so a loss can only come of the fit. A hundredth is "
            "what a tenth more labels are worth here."
        ),
        "controls": [
            {"what": "nine levels minus five", "measure": "finest_gain"},
            {"what": "two levels minus five", "measure": "coarser_gain"},
        ],
        "revisions": [],
    },
}


def _ahead(runs: pd.DataFrame, arm: str, other: str) -> float:
    match = runs["metrics.match"]
    return float(match[arm] - match[other])


def finer_gain(runs: pd.DataFrame) -> float:
    """Five levels minus two."""
    return _ahead(runs, "one scale: ordered logit", "two levels: ordered logit")


def finest_gain(runs: pd.DataFrame) -> float:
    """Nine levels minus five."""
    return _ahead(runs, "nine levels: ordered logit", "one scale: ordered logit")


def coarser_gain(runs: pd.DataFrame) -> float:
    """Two levels minus five."""
    return -finer_gain(runs)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each kind of raters with each way of reading them."""
    columns = {
        "metrics.match": "correlation with gold",
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.kl_ref": "KL to reference",
        "cost.labels": "labels",
    }
    return mean_table(runs, columns, {"arm": "raters: read by"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: correlation with the true reward and gap closed, by raters and by how they are read."""
    names = {"metrics.match": "correlation with gold", "metrics.gap_closed": "gap closed in J"}
    means = by_arm(runs, list(names))
    rows = [
        {
            "raters": str(row["arm"]).split(": ")[0],
            "read by": str(row["arm"]).split(": ")[1],
            "yardstick": label,
            "value": row[name],
        }
        for row in records_of(means)
        for name, label in names.items()
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": rows},
        "facet": {"column": nominal("yardstick", None, sort=None)},
        "resolve": {"scale": {"x": "independent"}},
        "spec": {
            "width": 250,
            "height": 260,
            "mark": {"type": "point", "filled": True, "size": 80},
            "encoding": {
                "x": quantitative("value", None, scale={"zero": False}),
                "y": nominal("read by", None, sort=None),
                "color": nominal("raters", "raters", sort=None),
                "shape": nominal("raters", "raters", sort=None),
            },
        },
    }


def conclusion(runs: pd.DataFrame) -> str:
    """Marks against comparisons, with one scale and with many, and what the ordered logit is worth."""
    match, closed = arm_means(runs, "metrics.match"), arm_means(runs, "metrics.gap_closed")
    one = match["one scale: ordered logit"] - match["one scale: comparisons"]
    pooled = match["own scales: ordered logit"] - match["own scales: comparisons"]
    modelled = match["own scales: ordered logit by rater"] - match["own scales: comparisons"]
    ordered = closed["generous: ordered logit"] - closed["generous: regression"]
    better = "worth more than" if one > 0 else "worth no more than"
    still = "still are" if pooled > 0 else "are not any more"
    return (
        f"With one scale for all, marks are {better} as many comparisons ({one:+.3f} in correlation with the reward); "
        f"where raters have scales of their own they {still} if pooled ({pooled:+.3f}), and by {modelled:+.3f} if each "
        f"rater's scale is learned. On a scale whose top fills up the ordered logit closes {ordered:+.2f} more of the "
        f"gap than regression."
    )
