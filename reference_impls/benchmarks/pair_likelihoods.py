"""Which likelihood of a reward model suits which annotators, at 4,000 labels."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "pair-likelihoods",
    "categories": ["preference-feedback"],
    "question": "Does a reward model need the right model of the one who compares, at 4,000 comparisons?",
    "measures": ["strength", "match", "level"],
    "arms": [
        {"arm": "verdicts: Bradley-Terry", "method": "bt-margin", "set": {"margin": 0.0}},
        {"arm": "verdicts: Thurstone", "method": "thurstone", "bed_set": {"raters": None}},
        {"arm": "verdicts: smoothed by 0.1", "method": "bt-smoothed"},
        {"arm": "verdicts: centred", "method": "bt-centred"},
        {"arm": "verdicts: Rao-Kupper", "method": "rao-kupper", "bed_set": {"raters": None}},
        {
            "arm": "normal noise: Bradley-Terry",
            "method": "bt-margin",
            "set": {"margin": 0.0},
            "bed_set": {"raters": "thurstone"},
        },
        {"arm": "normal noise: Thurstone", "method": "thurstone"},
        {
            "arm": "a fifth flipped: Bradley-Terry",
            "method": "bt-margin",
            "set": {"margin": 0.0},
            "bed_set": {"raters": "flips"},
        },
        {"arm": "a fifth flipped: lapses", "method": "bt-lapses"},
        {
            "arm": "a fifth flipped: smoothed by 0.1",
            "method": "bt-smoothed",
            "bed_set": {"raters": "flips"},
        },
        {
            "arm": "ties: by a coin",
            "method": "bt-margin",
            "set": {"margin": 0.0},
            "bed_set": {"raters": "ties"},
        },
        {
            "arm": "ties: thrown away",
            "method": "bt-margin",
            "set": {"margin": 0.0, "ties": "dropped"},
            "bed_set": {"raters": "ties"},
        },
        {
            "arm": "ties: split",
            "method": "bt-margin",
            "set": {"margin": 0.0, "ties": "split"},
            "bed_set": {"raters": "ties"},
        },
        {"arm": "ties: Rao-Kupper", "method": "rao-kupper"},
        {"arm": "ties: Davidson", "method": "davidson-ties"},
        {"arm": "grades: ordinal", "method": "bt-graded"},
        {"arm": "grades: margin of 1", "method": "bt-margin"},
        {"arm": "grades: margin of 1/3", "method": "bt-margin", "set": {"margin": 0.333}},
    ],
}

GRIDS = [
    {
        "arms": [
            "verdicts: Bradley-Terry",
            "normal noise: Thurstone",
            "ties: Rao-Kupper",
            "grades: ordinal",
        ],
        "setting": "prior",
        "values": [0.25, 0.5, 1.0],
        "measure": "metrics.gap_closed",
    },
    {
        "arms": ["verdicts: smoothed by 0.1"],
        "setting": "smoothing",
        "values": [0.02, 0.05, 0.1],
        "measure": "metrics.gap_closed",
    },
]

PLAIN = {
    "verdicts": "verdicts: Bradley-Terry",
    "normal noise": "normal noise: Bradley-Terry",
    "a fifth flipped": "a fifth flipped: Bradley-Terry",
    "ties": "ties: by a coin",
    "grades": "verdicts: Bradley-Terry",
}
SPECIFIED = {
    "normal noise": "normal noise: Thurstone",
    "a fifth flipped": "a fifth flipped: lapses",
    "ties": "ties: Rao-Kupper",
    "grades": "grades: ordinal",
}
"""Annotators of each kind, with the likelihood that is theirs."""

CLAIMS = {
    "liu2024reward/c1": {
        "test": (
            "4,000 comparisons by annotators who call a tie below a felt difference of log 3. Strength is the slope of "
            "the fitted differences of reward on the true ones, 1 if they are right: how far it is from 1 where ties "
            "are thrown away, minus how far it is where Rao and Kupper's likelihood models them."
        ),
        "arms": [
            "ties: thrown away",
            "ties: Rao-Kupper",
            "ties: Davidson",
            "verdicts: Bradley-Terry",
            "verdicts: Rao-Kupper",
        ],
        "measure": "bias_without_ties",
        "unit": "slope",
        "holds": ">= 0.1",
        "fails": "<= 0.02",
        "why": (
            "Without its ties this model's log-odds have a slope of 1.5 at 0, falling to 1 for large differences, so "
            "that 0.1 is a third of what is to be expected; the prior alone moves the slope by 0.03."
        ),
        "controls": [
            {"what": "annotators who never call a tie", "measure": "bias_without_any_ties"},
            {"what": "Davidson's model of the same ties, a wrong one", "measure": "bias_against_davidson"},
        ],
        "revisions": [],
    },
    "afsharrad2026beyond/c1": {
        "test": (
            "4,000 comparisons in four grades of strength: share of the gap in J closed with cut points that are "
            "learned, minus that of the better of two margins per grade, 1 (Llama 2's large one) and 1/3 (its small "
            "one)."
        ),
        "arms": [
            "grades: ordinal",
            "grades: margin of 1",
            "grades: margin of 1/3",
            "verdicts: Bradley-Terry",
        ],
        "measure": "ordinal_gain",
        "unit": "share of the gap in J",
        "holds": ">= 0.02",
        "fails": "<= -0.02",
        "why": (
            "As good as or better: a loss of two hundredths, the difference between seeds, would contradict it, and a "
            "gain of as much is one. The annotators' grades follow the ordinal model, which favours it."
        ),
        "controls": [
            {
                "what": "correlation with the true reward in place of J, blind to the unit",
                "measure": "ordinal_gain_in_direction",
            },
            {"what": "the large margin in place of the learned cut points", "measure": "large_margin_gain"},
        ],
        "revisions": [],
    },
}


def _off(runs: pd.DataFrame, arm: str) -> float:
    return abs(float(runs.loc[arm, "metrics.strength"]) - 1)


def bias_without_ties(runs: pd.DataFrame) -> float:
    """Error of the strength with ties thrown away, minus that with ties modelled."""
    return _off(runs, "ties: thrown away") - _off(runs, "ties: Rao-Kupper")


def bias_without_any_ties(runs: pd.DataFrame) -> float:
    """The same where there are no ties to throw away."""
    return _off(runs, "verdicts: Bradley-Terry") - _off(runs, "verdicts: Rao-Kupper")


def bias_against_davidson(runs: pd.DataFrame) -> float:
    """Error of the strength with ties thrown away, minus that with the wrong model of ties."""
    return _off(runs, "ties: thrown away") - _off(runs, "ties: Davidson")


def _lead(runs: pd.DataFrame, arm: str, column: str) -> float:
    margins = [float(runs.loc[f"grades: margin of {size}", column]) for size in ("1", "1/3")]
    return float(runs.loc[arm, column]) - max(margins)


def ordinal_gain(runs: pd.DataFrame) -> float:
    """Gap closed with learned cut points minus the better margin's."""
    return _lead(runs, "grades: ordinal", "metrics.gap_closed")


def ordinal_gain_in_direction(runs: pd.DataFrame) -> float:
    """The same in correlation with the true reward."""
    return _lead(runs, "grades: ordinal", "metrics.match")


def large_margin_gain(runs: pd.DataFrame) -> float:
    """The large margin minus the better margin."""
    return _lead(runs, "grades: margin of 1", "metrics.gap_closed")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each kind of annotators with each likelihood."""
    columns = {
        "metrics.gap_closed": "gap closed in J",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.match": "correlation with gold",
        "metrics.strength": "strength (1 is right)",
        "metrics.level": "level left free",
    }
    return mean_table(runs, columns, {"arm": "annotators: likelihood"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed and strength of the fitted preferences, a row per likelihood."""
    panels = {
        "metrics.gap_closed": "share of the gap in J closed",
        "metrics.strength": "strength of the fitted preferences (1 is right)",
    }
    rows = [
        {
            "arm": row["arm"],
            "annotators": str(row["arm"]).split(": ")[0],
            "panel": panel,
            "value": row[column],
        }
        for row in records_of(by_arm(runs, list(panels)))
        for column, panel in panels.items()
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": rows},
        "facet": {"column": nominal("panel", None, sort=None)},
        "resolve": {"scale": {"x": "independent"}},
        "spec": {
            "width": 260,
            "height": {"step": 20},
            "mark": {"type": "point", "filled": True, "size": 80},
            "encoding": {
                "x": quantitative("value", None, scale={"zero": False}, axis={"tickCount": 6}),
                "y": nominal("arm", None, sort=None),
                "color": nominal("annotators", "annotators", sort=None),
                "shape": nominal("annotators", "annotators", sort=None),
            },
        },
    }


def conclusion(runs: pd.DataFrame) -> str:
    """What the right likelihood is worth for each kind of annotators, and what the heuristics do to the strength."""
    closed, strength = arm_means(runs, "metrics.gap_closed"), arm_means(runs, "metrics.strength")
    gains = {kind: closed[arm] - closed[PLAIN[kind]] for kind, arm in SPECIFIED.items()}
    told = ", ".join(f"{gain:+.2f} with {kind}" for kind, gain in gains.items())
    most = max(gains, key=lambda kind: gains[kind])
    dropped, kept = strength["ties: thrown away"], strength["ties: Rao-Kupper"]
    margin = closed["grades: margin of 1"] - closed["verdicts: Bradley-Terry"]
    verdict = "helps" if margin > 0 else "harms"
    return (
        f"The annotators' own likelihood in place of Bradley and Terry's changes the share of the gap in J by {told}; "
        f"it is worth most where there are {most}. Throwing ties away makes preferences {dropped:.2f} times as "
        f"strong as they are, modelling them {kept:.2f} times. A margin of 1 per grade {verdict} ({margin:+.2f}), at a "
        f"strength of {strength['grades: margin of 1']:.2f}."
    )
