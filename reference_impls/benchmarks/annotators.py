"""Two populations of annotators: one pooled reward, a mixture, and what the mixture needs."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "annotator-populations",
    "categories": ["annotator-disagreement"],
    "question": "Two populations want different things: whose reward does a model of their 8,000 labels learn?",
    "measures": [
        "match_0",
        "match_1",
        "heldout_match_0",
        "heldout_match_1",
        "placed",
        "smallest_weight",
    ],
    "arms": [
        {"arm": "mixture", "method": "annotator-mixture"},
        {"arm": "pooled", "method": "annotator-mixture", "set": {"groups": 1}},
        {"arm": "groups known", "method": "annotator-mixture", "set": {"assignment": "known"}},
        {"arm": "mixture, names shuffled", "method": "annotator-mixture", "set": {"names": "shuffled"}},
        {
            "arm": "mixture, one label each",
            "method": "annotator-mixture",
            "set": {"annotators": 8000, "labels_each": 1},
        },
        {"arm": "mixture, minority of a quarter", "method": "annotator-mixture", "set": {"share": 0.25}},
        {
            "arm": "pooled, minority of a quarter",
            "method": "annotator-mixture",
            "set": {"groups": 1, "share": 0.25},
        },
    ],
}

CLAIMS = {
    "chaudhari2024rlhf/s7": {
        "test": (
            "8,000 Bradley-Terry labels by 250 annotators, 32 each, half of them of a population whose reward is "
            "uncorrelated with the other's. Correlation, within training prompts, of each population's reward with the "
            "fitted reward that matches it: the mixture's worse match minus the pooled model's better match."
        ),
        "arms": ["mixture", "pooled", "groups known", "mixture, names shuffled"],
        "measure": "mixture_gain",
        "unit": "correlation",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": (
            "Uncorrelated rewards in equal parts leave a pooled fit a correlation of about 0.7 with each; a good fit "
            "of each has above 0.9. Below 0.1 the difference would not change which answers are preferred."
        ),
        "controls": [
            {"what": "the same labels with the annotators' names shuffled", "measure": "shuffled_gain"},
            {"what": "the groups given away to the mixture", "measure": "known_gain"},
        ],
        "revisions": [],
    },
}


def _gain(runs: pd.DataFrame, arm: str) -> float:
    first, second = runs["metrics.match_0"], runs["metrics.match_1"]
    return float(min(first[arm], second[arm]) - max(first["pooled"], second["pooled"]))


def mixture_gain(runs: pd.DataFrame) -> float:
    """The mixture's worse match minus the pooled model's better one."""
    return _gain(runs, "mixture")


def shuffled_gain(runs: pd.DataFrame) -> float:
    """The same when nobody knows which labels come from the same person."""
    return _gain(runs, "mixture, names shuffled")


def known_gain(runs: pd.DataFrame) -> float:
    """The same when everybody's population is known."""
    return _gain(runs, "groups known")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """How well each population finds itself, by arm."""
    columns = {
        "metrics.match_0": "match, population 1",
        "metrics.match_1": "match, population 2",
        "metrics.heldout_match_0": "held out, population 1",
        "metrics.heldout_match_1": "held out, population 2",
        "metrics.placed": "annotators placed rightly",
        "metrics.smallest_weight": "smallest group",
    }
    return mean_table(runs, columns, {"arm": "reward model"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: correlation with one population's reward against that with the other's, a point per run."""
    rows = [
        {"arm": run["arm"], "first": run["metrics.match_0"], "second": run["metrics.match_1"]}
        for _, run in runs.iterrows()
    ]
    return chart(
        rows,
        {"type": "point", "filled": True, "size": 70},
        width=440,
        height=400,
        x=quantitative(
            "first", "correlation with the first population's reward", scale={"domain": [-0.1, 1]}
        ),
        y=quantitative(
            "second", "correlation with the second population's reward", scale={"domain": [-0.1, 1]}
        ),
        color=nominal("arm", "reward model"),
        shape=nominal("arm", "reward model"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What the pooled model matches, what the mixture does, and whether the names were needed."""
    columns = ["metrics.match_0", "metrics.match_1", "metrics.placed"]
    means = by_arm(runs, columns).set_index("arm")
    first, second = means["metrics.match_0"], means["metrics.match_1"]
    best, worst = first.combine(second, max), first.combine(second, min)
    verdict = (
        "serves both better than" if worst["mixture"] > best["pooled"] else "does not serve both better than"
    )
    names = "needs" if worst["mixture, names shuffled"] < worst["mixture"] - 0.05 else "does not need"
    minority = "pooled, minority of a quarter"
    return (
        f"A pooled reward correlates with the two populations' own rewards by {first['pooled']:.2f} and "
        f"{second['pooled']:.2f}. The mixture, with {first['mixture']:.2f} and {second['mixture']:.2f}, {verdict} "
        f"it, and {names} to know which labels are the same person's ({worst['mixture, names shuffled']:.2f} for the "
        f"worse served without). Where one population is a quarter of the annotators, the pooled reward matches the "
        f"majority by {first[minority]:.2f} and the minority by {second[minority]:.2f}."
    )
