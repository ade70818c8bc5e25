"""What a student recovers of the gap between a weak supervisor and true labels, and what decides it."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

BENCHMARK = {
    "key": "weak-to-strong",
    "categories": ["weak-to-strong"],
    "question": "What does a strong reward model learn from a supervisor that makes more mistakes than it would?",
    "measures": [
        "recovered",
        "heldout_recovered",
        "student_accuracy",
        "weak_accuracy",
        "ceiling_accuracy",
        "agreement",
    ],
    "arms": [
        {"arm": "plain", "method": "weak-to-strong"},
        {"arm": "confidence loss", "method": "weak-to-strong-confidence"},
        {
            "arm": "student of the supervisor's kind",
            "method": "weak-to-strong",
            "set": {"student": "same"},
        },
        {
            "arm": "errors that can be copied",
            "method": "weak-to-strong",
            "set": {"supervisor": "narrow"},
        },
        {
            "arm": "errors that can be copied, confidence loss",
            "method": "weak-to-strong-confidence",
            "set": {"supervisor": "narrow"},
        },
    ],
}

GRIDS = [
    {
        "arms": ["confidence loss"],
        "setting": "alpha",
        "values": [0.25, 0.5, 0.75],
        "measure": "metrics.recovered",
    },
]

CLAIMS = {
    "burns2024weak/c1": {
        "test": (
            "Reward models: a small network that reads tokens by place, fitted to 2,000 true labels, labels 4,000 "
            "pairs for a model that is linear in the right features. Share of the gap in accuracy on fresh pairs that "
            "the student recovers, or lacks, whichever is smaller: it should be better than its supervisor and short "
            "of what true labels give."
        ),
        "arms": ["plain", "student of the supervisor's kind", "errors that can be copied"],
        "measure": "recovered_or_lacking",
        "unit": "share of the gap",
        "holds": ">= 0.1",
        "fails": "<= 0.02",
        "why": (
            "Supervisor and ceiling are about 0.2 apart in accuracy, so a tenth is 0.02, several times the error of "
            "24,000 test pairs; a fiftieth is within it."
        ),
        "controls": [
            {"what": "a student of the supervisor's own kind", "measure": "recovered_by_the_same"},
            {"what": "a supervisor whose errors the student can copy", "measure": "recovered_from_narrow"},
        ],
        "revisions": [],
    },
    "burns2024weak/c3": {
        "test": (
            "The same students with the auxiliary confidence loss (final weight chosen on the tuning seeds) and "
            "without: difference of the shares of the gap in accuracy that they recover."
        ),
        "arms": ["confidence loss", "plain", "student of the supervisor's kind"],
        "measure": "confidence_gain",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "The paper's figures show gains of tenths of the gap; a twentieth would still be seen above the spread of "
            "about 0.03 between the two tuning seeds."
        ),
        "controls": [
            {"what": "a student that sees more, both with plain labels", "measure": "strength_gain"},
        ],
        "revisions": [],
    },
}


def _recovered(runs: pd.DataFrame, arm: str) -> float:
    return float(runs.loc[arm, "metrics.recovered"])


def _either(share: float) -> float:
    return min(share, 1 - share)


def recovered_or_lacking(runs: pd.DataFrame) -> float:
    """What plain fine-tuning recovers, or what it lacks, whichever is smaller."""
    return _either(_recovered(runs, "plain"))


def recovered_by_the_same(runs: pd.DataFrame) -> float:
    """The same for a student of the supervisor's own kind."""
    return _either(_recovered(runs, "student of the supervisor's kind"))


def recovered_from_narrow(runs: pd.DataFrame) -> float:
    """The same for the supervisor whose errors can be copied."""
    return _either(_recovered(runs, "errors that can be copied"))


def confidence_gain(runs: pd.DataFrame) -> float:
    """What the confidence loss adds to the recovered share."""
    return _recovered(runs, "confidence loss") - _recovered(runs, "plain")


def strength_gain(runs: pd.DataFrame) -> float:
    """What a student that sees more adds to it."""
    return _recovered(runs, "plain") - _recovered(runs, "student of the supervisor's kind")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracies on fresh pairs, the recovered share, and how often the student agrees with its supervisor."""
    columns = {
        "metrics.weak_accuracy": "supervisor",
        "metrics.student_accuracy": "student",
        "metrics.ceiling_accuracy": "ceiling",
        "metrics.recovered": "gap recovered",
        "metrics.heldout_recovered": "held out",
        "metrics.agreement": "agreement with supervisor",
        "metrics.gap_closed": "gap closed in J",
    }
    return mean_table(runs, columns, {"arm": "training"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: accuracy of supervisor, student and ceiling, by arm."""
    names = {
        "metrics.weak_accuracy": "supervisor",
        "metrics.student_accuracy": "student",
        "metrics.ceiling_accuracy": "ceiling",
    }
    rows = [
        {"arm": row["arm"], "who": who, "accuracy": row[name]}
        for row in records_of(by_arm(runs, list(names)))
        for name, who in names.items()
    ]
    return chart(
        rows,
        {"type": "point", "filled": True, "size": 110},
        width=460,
        height=220,
        x=quantitative("accuracy", "fresh pairs ordered rightly", scale={"zero": False}),
        y=nominal("arm", None, sort=None),
        color=nominal("who", None, sort=None),
        shape=nominal("who", None, sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """What is recovered, what the confidence loss changes, and what happens to errors that can be copied."""
    share = arm_means(runs, "metrics.recovered")
    gain = share["confidence loss"] - share["plain"]
    policy = arm_means(runs, "metrics.gap_closed")
    same = share["student of the supervisor's kind"]
    worse = "worse" if policy["confidence loss"] < policy["plain"] else "better"
    adds = "adds" if gain > 0.02 else "takes away" if gain < -0.02 else "changes little:"
    return (
        f"Plain fine-tuning on weak labels recovers {share['plain']:.2f} of the gap between supervisor and true "
        f"labels. The confidence loss {adds} {abs(gain):.2f}, and the policy that its rewards lead to is {worse} "
        f"({policy['confidence loss']:.2f} of the gap in J against {policy['plain']:.2f}). A student of the "
        f"supervisor's own kind recovers {same:.2f}, and one that can copy the supervisor's "
        f"errors {share['errors that can be copied']:.2f}."
    )
