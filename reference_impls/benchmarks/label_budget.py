"""A budget of 4,000 votes: many pairs or many votes per pair, and what to make of unequal annotators."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "label-budget",
    "categories": ["feedback-collection"],
    "question": "4,000 votes of a crowd, half of it careless: many pairs or many votes each, and who is believed?",
    "measures": ["match", "reliability_error"],
    "arms": [
        {"arm": "1 vote, pooled", "method": "crowd-bt", "set": {"aggregate": "pooled"}},
        {"arm": "1 vote, Crowd-BT", "method": "crowd-bt"},
        {
            "arm": "1 vote, reliabilities known",
            "method": "crowd-bt",
            "set": {"aggregate": "known"},
            "oracle": True,
        },
        {"arm": "5 votes, pooled", "method": "crowd-bt", "set": {"aggregate": "pooled", "votes": 5}},
        {"arm": "5 votes, majority", "method": "crowd-bt", "set": {"aggregate": "majority", "votes": 5}},
        {"arm": "5 votes, Dawid-Skene", "method": "dawid-skene-bt"},
        {"arm": "5 votes, Crowd-BT", "method": "crowd-bt", "set": {"votes": 5}},
        {
            "arm": "5 votes, Crowd-BT, as many pairs",
            "method": "crowd-bt",
            "set": {"votes": 5, "labels": 20000},
        },
        {
            "arm": "1 vote, pooled, all careful",
            "method": "crowd-bt",
            "set": {"aggregate": "pooled", "careless": 0.0},
        },
        {"arm": "1 vote, Crowd-BT, all careful", "method": "crowd-bt", "set": {"careless": 0.0}},
        {
            "arm": "1 vote, Crowd-BT, all careless",
            "method": "crowd-bt",
            "set": {"careless": 1.0},
        },
        {
            "arm": "5 votes, Crowd-BT, all careless",
            "method": "crowd-bt",
            "set": {"careless": 1.0, "votes": 5},
        },
    ],
}

GRIDS = [
    {
        "arms": ["1 vote, pooled", "1 vote, Crowd-BT", "5 votes, Dawid-Skene", "5 votes, majority"],
        "setting": "prior",
        "values": [0.25, 0.5, 1.0],
        "measure": "metrics.match",
    }
]

CLAIMS = {
    "chen2013pairwise/c1": {
        "test": (
            "4,000 pairs with one vote each, by 60 annotators of whom half report the opposite of what they judge in "
            "45 % of cases and the others in 5 %: correlation of the fitted with the true reward, Crowd-BT minus all "
            "votes pooled."
        ),
        "arms": [
            "1 vote, Crowd-BT",
            "1 vote, pooled",
            "1 vote, Crowd-BT, all careful",
            "1 vote, pooled, all careful",
        ],
        "measure": "quality_gain",
        "unit": "correlation",
        "holds": ">= 0.03",
        "fails": "<= 0.01",
        "why": (
            "Half the votes are nearly worthless; ignoring them without knowing which is worth, at best, what known "
            "reliabilities give, 0.08 to 0.11 on the tuning seeds. A third of that would be worth having."
        ),
        "controls": [
            {"what": "a crowd that is careful throughout", "measure": "quality_gain_among_the_careful"},
        ],
        "revisions": [],
    },
    "khetan2018learning/c1": {
        "test": (
            "4,000 votes of the same crowd, spent on 4,000 pairs or on 800 pairs with five votes each: correlation "
            "with the true reward, one vote and Crowd-BT minus the best of Crowd-BT, Dawid and Skene's labels and the "
            "majority with five votes."
        ),
        "arms": [
            "1 vote, Crowd-BT",
            "5 votes, Crowd-BT",
            "5 votes, Dawid-Skene",
            "5 votes, majority",
            "5 votes, Crowd-BT, as many pairs",
            "1 vote, Crowd-BT, all careless",
            "5 votes, Crowd-BT, all careless",
        ],
        "measure": "spread_gain",
        "unit": "correlation",
        "holds": ">= 0.01",
        "fails": "<= -0.01",
        "why": (
            "Better at the same cost: a hundredth is what a tenth more labels are worth here. The claim is for workers "
            "above a threshold; half of this crowd is far above and half just above the coin."
        ),
        "controls": [
            {"what": "five votes on as many pairs, at five times the cost", "measure": "spread_gain_unpaid"},
            {"what": "a crowd that is careless throughout", "measure": "spread_gain_among_the_careless"},
        ],
        "revisions": [],
    },
}


def _ahead(runs: pd.DataFrame, arm: str, other: str) -> float:
    match = runs["metrics.match"]
    return float(match[arm] - match[other])


def quality_gain(runs: pd.DataFrame) -> float:
    """Crowd-BT minus pooled votes."""
    return _ahead(runs, "1 vote, Crowd-BT", "1 vote, pooled")


def quality_gain_among_the_careful(runs: pd.DataFrame) -> float:
    """The same where nobody is careless."""
    return _ahead(runs, "1 vote, Crowd-BT, all careful", "1 vote, pooled, all careful")


def spread_gain(runs: pd.DataFrame) -> float:
    """One vote per pair minus the best use of five."""
    rivals = ("5 votes, Crowd-BT", "5 votes, Dawid-Skene", "5 votes, majority")
    return min(_ahead(runs, "1 vote, Crowd-BT", rival) for rival in rivals)


def spread_gain_unpaid(runs: pd.DataFrame) -> float:
    """One vote per pair minus five on as many pairs."""
    return _ahead(runs, "1 vote, Crowd-BT", "5 votes, Crowd-BT, as many pairs")


def spread_gain_among_the_careless(runs: pd.DataFrame) -> float:
    """One vote per pair minus five where everybody is careless."""
    return _ahead(runs, "1 vote, Crowd-BT, all careless", "5 votes, Crowd-BT, all careless")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each way of spending and of reading the votes."""
    columns = {
        "metrics.match": "correlation with gold",
        "metrics.gap_closed": "gap closed",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.reliability_error": "error of the reliabilities",
        "cost.labels": "votes",
    }
    return mean_table(runs, columns, {"arm": "votes on a pair, and how they are read"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: correlation with the true reward, a bar per arm."""
    means = by_arm(runs, ["metrics.match"])
    rows = [
        {"votes": row["arm"], "match": row["metrics.match"], "each": str(row["arm"]).split(",")[0]}
        for row in records_of(means)
    ]
    return chart(
        rows,
        {"type": "point", "filled": True, "size": 90},
        width=460,
        height=320,
        x=quantitative("match", "correlation with the true reward", scale={"zero": False}),
        y=nominal("votes", None, sort=None),
        color=nominal("each", "per pair"),
        shape=nominal("each", "per pair"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Whether reliabilities are worth estimating, and whether pairs or votes should be many."""
    match, error = arm_means(runs, "metrics.match"), arm_means(runs, "metrics.reliability_error")
    gain = match["1 vote, Crowd-BT"] - match["1 vote, pooled"]
    known = match["1 vote, reliabilities known"] - match["1 vote, pooled"]
    five = max(("5 votes, Crowd-BT", "5 votes, Dawid-Skene", "5 votes, majority"), key=lambda arm: match[arm])
    lead = match["1 vote, Crowd-BT"] - match[five]
    spend = "More pairs beat more votes" if lead > 0 else "More votes beat more pairs"
    return (
        f"Estimating each annotator's reliability from single votes changes the correlation with the reward by "
        f"{gain:+.2f}, where knowing it would by {known:+.2f} (mean error of the estimates "
        f"{error['1 vote, Crowd-BT']:.2f}). {spend}: {match['1 vote, Crowd-BT']:.3f} with one vote on each of 4,000 "
        f"pairs, {match[five]:.3f} with five on 800 ({five})."
    )
