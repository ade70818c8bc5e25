"""How often one direction is compared: the greedy and the pessimistic policy from the same comparisons."""

from __future__ import annotations

from math import log
from typing import Any

import pandas as pd

from reference_impls.benchmarks.figures import nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

SIZES = (30, 100, 300, 1000, 3000)
ONCE, EVEN, GOOD = "bad, compared once", "bad, half of the comparisons", "good, compared once"
BENCHMARK = {
    "key": "coverage",
    "categories": ["theory"],
    "question": "A feature is hardly ever compared: what do more comparisons of everything else help?",
    "measures": [
        "greedy_30",
        "greedy_100",
        "greedy_300",
        "greedy_1000",
        "greedy_3000",
        "pessimistic_30",
        "pessimistic_100",
        "pessimistic_300",
        "pessimistic_1000",
        "pessimistic_3000",
        "seen_error_30",
        "seen_error_100",
        "seen_error_300",
        "seen_error_1000",
        "seen_error_3000",
        "full_error_30",
        "full_error_100",
        "full_error_300",
        "full_error_1000",
        "full_error_3000",
    ],
    "arms": [
        {"arm": "bad, compared once", "method": "pessimistic-mle"},
        {
            "arm": "bad, a tenth of the comparisons",
            "method": "pessimistic-mle",
            "set": {"coverage": "tenth"},
        },
        {"arm": "bad, half of the comparisons", "method": "pessimistic-mle", "set": {"coverage": "even"}},
        {"arm": "good, compared once", "method": "pessimistic-mle", "set": {"hidden": "good"}},
        {
            "arm": "good, half of the comparisons",
            "method": "pessimistic-mle",
            "set": {"coverage": "even", "hidden": "good"},
        },
    ],
}

GRIDS = [
    {
        "arms": ["bad, compared once", "bad, half of the comparisons"],
        "setting": "width",
        "values": [0.5, 1.0, 2.0, 4.0],
        "measure": "metrics.pessimistic_300",
        "best": "lowest",
    }
]

CLAIMS = {
    "zhu2023principled/c1": {
        "test": (
            "Twelve arms of a linear bandit, 3,000 comparisons of which one is along a feature worth -1: gold reward "
            "that the greedy policy's arm lacks of the best, less the same for the pessimistic policy; means over 200 "
            "data sets."
        ),
        "arms": ["bad, compared once", "bad, half of the comparisons", "good, compared once"],
        "measure": "pessimism_gains",
        "unit": "gold reward",
        "holds": ">= 0.1",
        "fails": "<= 0.02",
        "why": (
            "The paper's lower bound for the greedy policy is a constant of about 0.1 at any number of comparisons. "
            "Rewards of arms span about 4."
        ),
        "controls": [
            {"what": "half of the comparisons along that feature", "measure": "gains_if_covered"},
            {"what": "the feature is worth +1, and caution costs", "measure": "gains_if_good"},
        ],
        "revisions": [],
    },
    "zhu2023principled/c3": {
        "test": (
            "The same comparisons: error of the estimate in the norm of what was compared, from 30 to 3,000 "
            "comparisons; its exponent as a power of their number."
        ),
        "arms": ["bad, compared once"],
        "measure": "rate_where_seen",
        "unit": "exponent",
        "holds": "<= -0.4",
        "fails": ">= -0.25",
        "why": "The theorem says -1/2. Half of that would be another law.",
        "controls": [{"what": "the error in all directions alike", "measure": "rate_everywhere"}],
        "revisions": [],
    },
}


def metric(runs: pd.DataFrame, arm: str, name: str) -> float:
    """One metric of one arm."""
    run: Any = runs.loc[arm]
    return float(run[f"metrics.{name}"])


def gains(runs: pd.DataFrame, arm: str) -> float:
    """What the greedy policy lacks and the pessimistic one does not, with 3,000 comparisons."""
    return metric(runs, arm, "greedy_3000") - metric(runs, arm, "pessimistic_3000")


def pessimism_gains(runs: pd.DataFrame) -> float:
    """With a bad feature that is compared once."""
    return gains(runs, ONCE)


def gains_if_covered(runs: pd.DataFrame) -> float:
    """With a bad feature that is compared as often as everything else together."""
    return gains(runs, EVEN)


def gains_if_good(runs: pd.DataFrame) -> float:
    """With a good feature that is compared once."""
    return gains(runs, GOOD)


def rate(runs: pd.DataFrame, name: str) -> float:
    """Exponent of an error as a power of the number of comparisons, from the fewest to the most."""
    first, last = metric(runs, ONCE, f"{name}_30"), metric(runs, ONCE, f"{name}_3000")
    return log(last / first) / log(100)


def rate_where_seen(runs: pd.DataFrame) -> float:
    """Of the error in the norm of what was compared."""
    return rate(runs, "seen_error")


def rate_everywhere(runs: pd.DataFrame) -> float:
    """Of the error in all directions alike."""
    return rate(runs, "full_error")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What both policies lack with few and with many comparisons, and both errors."""
    columns = {
        "metrics.greedy_30": "greedy lacks, 30",
        "metrics.pessimistic_30": "pessimistic lacks, 30",
        "metrics.greedy_3000": "greedy lacks, 3,000",
        "metrics.pessimistic_3000": "pessimistic lacks, 3,000",
        "metrics.seen_error_3000": "error where compared",
        "metrics.full_error_3000": "error everywhere",
    }
    return mean_table(runs, columns, {"arm": "a feature that is"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: what both policies lack against the number of comparisons, one panel per coverage."""
    names = [f"metrics.{policy}_{size}" for policy in ("greedy", "pessimistic") for size in SIZES]
    rows = [
        {
            "coverage": row["arm"],
            "policy": policy,
            "comparisons": size,
            "lacks": row[f"metrics.{policy}_{size}"],
        }
        for row in records_of(by_arm(runs, names))
        for policy in ("greedy", "pessimistic")
        for size in SIZES
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": rows},
        "facet": nominal("coverage", "a feature that is", sort=None),
        "columns": 3,
        "spec": {
            "width": 180,
            "height": 180,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": quantitative("comparisons", "comparisons", scale={"type": "log"}),
                "y": quantitative("lacks", "gold reward below the best arm"),
                "color": nominal("policy", "policy"),
            },
        },
    }


def conclusion(runs: pd.DataFrame) -> str:
    """Whether more comparisons help the greedy policy, the pessimistic one, and what caution costs."""
    few, many = arm_means(runs, "metrics.greedy_300"), arm_means(runs, "metrics.greedy_3000")
    cautious = arm_means(runs, "metrics.pessimistic_3000")
    error = arm_means(runs, "metrics.seen_error_3000")[ONCE]
    helped = "hardly helps" if many[ONCE] > 0.7 * few[ONCE] else "helps"
    caution = "costs more than it saves" if cautious[GOOD] > many[GOOD] else "costs nothing"
    return (
        f"Where a bad feature is compared once, ten times the comparisons {helped} the greedy policy: it lacks "
        f"{few[ONCE]:.2f} with 300 and {many[ONCE]:.2f} with 3,000, though the estimate errs by only {error:.2f} where "
        f"there are data. The pessimistic policy lacks {cautious[ONCE]:.2f}. With half of the comparisons along that "
        f"feature they lack {many[EVEN]:.2f} and {cautious[EVEN]:.2f}; and if the feature is good and compared once, "
        f"caution {caution} ({cautious[GOOD]:.2f} against {many[GOOD]:.2f})."
    )
