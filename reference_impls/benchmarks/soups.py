"""Any weighting of two goals from two trainings: soups against a training for each weighting."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, half_width, shown

PERCENT = (25, 50, 75)
SOUP, TWIN = "soup of two policies", "soup, hidden units renamed"
TRAINED = {
    25: "trained for weight 0.25",
    50: "trained for weight 0.5",
    75: "trained for weight 0.75",
}
BENCHMARK = {
    "key": "soups",
    "categories": ["multi-objective-alignment"],
    "question": "Do two policies, one for help and one for safety, serve every weighting of both by averaged weights?",
    "measures": [
        "safe_rate",
        "soup_at_25",
        "soup_at_50",
        "soup_at_75",
        "swapped_at_25",
        "swapped_at_50",
        "swapped_at_75",
        "mixture_at_25",
        "mixture_at_50",
        "mixture_at_75",
        "best_at_25",
        "best_at_50",
        "best_at_75",
        "help_alone_at_25",
        "help_alone_at_50",
        "help_alone_at_75",
        "safety_alone_at_25",
        "safety_alone_at_50",
        "safety_alone_at_75",
        "soup_help_at_25",
        "soup_help_at_50",
        "soup_help_at_75",
        "soup_safe_at_25",
        "soup_safe_at_50",
        "soup_safe_at_75",
    ],
    "arms": [
        {"arm": "soup of two policies", "method": "rewarded-soups", "oracle": True},
        {
            "arm": "soup, hidden units renamed",
            "method": "rewarded-soups",
            "set": {"names": "exchanged"},
            "oracle": True,
        },
        {
            "arm": "trained for weight 0.25",
            "method": "rloo",
            "set": {"steps": 100},
            "bed_set": {"horizon": 4, "conflict": 0.7, "help_weight": 0.25},
            "oracle": True,
        },
        {
            "arm": "trained for weight 0.5",
            "method": "rloo",
            "set": {"steps": 100},
            "bed_set": {"horizon": 4, "conflict": 0.7, "help_weight": 0.5},
            "oracle": True,
        },
        {
            "arm": "trained for weight 0.75",
            "method": "rloo",
            "set": {"steps": 100},
            "bed_set": {"horizon": 4, "conflict": 0.7, "help_weight": 0.75},
            "oracle": True,
        },
    ],
}

GRIDS = [
    {
        "arms": ["soup of two policies"],
        "setting": "lr",
        "values": [1e-3, 2e-3],
        "measure": "metrics.soup_at_50",
    }
]

CLAIMS = {
    "rame2023rewarded/c1": {
        "test": (
            "Help and safety at a conflict of 0.7, weights of help 0.25, 0.5 and 0.75, J = weighted reward - 0.5 KL. "
            "Over the three: what soups gain on the better of the two policies, as a share of what the geometric "
            "mixture of the same policies gains, which is what averaging would give if it averaged log-probabilities."
        ),
        "arms": ["soup of two policies", "soup, hidden units renamed"],
        "measure": "kept_by_averaging",
        "unit": "share of the mixture's gain",
        "holds": ">= 0.5",
        "fails": "<= 0.25",
        "why": (
            "0 is no better than picking one of the two policies, 1 is exact. On the tuning seeds it was 0.71 and "
            "0.55; a half is most of what was to be had."
        ),
        "controls": [
            {"what": "soups served at the opposite weighting", "measure": "kept_if_swapped"},
            {"what": "the second policy with renamed hidden units and heads", "measure": "kept_if_renamed"},
        ],
        "revisions": [],
    },
}


def metric(runs: pd.DataFrame, arm: str, name: str) -> float:
    """One metric of one arm."""
    run: Any = runs.loc[arm]
    return float(run[f"metrics.{name}"])


def kept(runs: pd.DataFrame, arm: str, name: str) -> float:
    """Gain on the better single policy over the mixture's gain, both added up over the three weightings."""
    gained = possible = 0.0
    for n in PERCENT:
        single = max(metric(runs, arm, f"help_alone_at_{n}"), metric(runs, arm, f"safety_alone_at_{n}"))
        gained += metric(runs, arm, f"{name}_at_{n}") - single
        possible += metric(runs, arm, f"mixture_at_{n}") - single
    return gained / possible


def kept_by_averaging(runs: pd.DataFrame) -> float:
    """For soups of policies with a common start."""
    return kept(runs, SOUP, "soup")


def kept_if_swapped(runs: pd.DataFrame) -> float:
    """For the soup of weight 1 - w where w is wanted."""
    return kept(runs, SOUP, "swapped")


def kept_if_renamed(runs: pd.DataFrame) -> float:
    """For soups with a twin of the second policy whose hidden units have other places."""
    return kept(runs, TWIN, "soup")


def trained_value(run: pd.Series, weight: float) -> float:
    """J of a policy at a weighting, from what a record holds: safety counts twice the flag, less one."""
    safety = 2 * run["metrics.safe_rate"] - 1
    return float(weight * run["metrics.gold_reward"] + (1 - weight) * safety - 0.5 * run["metrics.kl_ref"])


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """J at the three weightings: of soups, of the policies in them, of trained ones and of the optimum."""
    served = {
        "soup": (SOUP, "soup"),
        "soup, hidden units renamed": (TWIN, "soup"),
        "geometric mixture of the two": (SOUP, "mixture"),
        "policy for help alone": (SOUP, "help_alone"),
        "policy for safety alone": (SOUP, "safety_alone"),
        "exact optimum": (SOUP, "best"),
    }
    rows = []
    for label, (arm, name) in served.items():
        part = runs[runs["arm"] == arm]
        cells = {}
        for n in PERCENT:
            values = part[f"metrics.{name}_at_{n}"]
            cells[f"weight of help 0.{n}"] = shown(float(values.mean()), half_width(values))
        rows.append({"policy": label, **cells, "seeds": len(part)})
    cells = {}
    for n in PERCENT:
        part = runs[runs["arm"] == TRAINED[n]]
        values = part.apply(trained_value, axis=1, weight=n / 100)
        cells[f"weight of help 0.{n}"] = shown(float(values.mean()), half_width(values))
    rows.insert(2, {"policy": "trained for this weight", **cells, "seeds": len(part)})
    return pd.DataFrame(rows)


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: J against the weight of help, a line per way to serve it."""
    names = ("soup", "mixture", "best", "help_alone", "safety_alone")
    columns = [f"metrics.{name}_at_{n}" for name in names for n in PERCENT]
    means = by_arm(runs, columns).set_index("arm")
    lines = {
        "exact optimum": (SOUP, "best"),
        "geometric mixture": (SOUP, "mixture"),
        "soup": (SOUP, "soup"),
        "soup, units renamed": (TWIN, "soup"),
        "help alone": (SOUP, "help_alone"),
        "safety alone": (SOUP, "safety_alone"),
    }
    rows = [
        {"policy": label, "weight": n / 100, "value": float(means[f"metrics.{name}_at_{n}"][arm])}
        for label, (arm, name) in lines.items()
        for n in PERCENT
    ]
    for n in PERCENT:
        values = runs[runs["arm"] == TRAINED[n]].apply(trained_value, axis=1, weight=n / 100)
        rows.append({"policy": "trained for each", "weight": n / 100, "value": float(values.mean())})
    return chart(
        rows,
        {"type": "line", "point": True},
        width=480,
        x=quantitative("weight", "weight of help"),
        y=quantitative("value", "weighted reward - 0.5 KL"),
        color=nominal("policy", "policy", sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """At equal weights: soup, mixture, a training of its own and the optimum; and what renaming does."""
    soup, mixture = arm_means(runs, "metrics.soup_at_50"), arm_means(runs, "metrics.mixture_at_50")
    best = arm_means(runs, "metrics.best_at_50")[SOUP]
    half = runs[runs["arm"] == TRAINED[50]]
    trained = float(half.apply(trained_value, axis=1, weight=0.5).mean())
    singles = [arm_means(runs, f"metrics.{name}_alone_at_50")[SOUP] for name in ("help", "safety")]
    verdict = "better" if soup[SOUP] > max(singles) else "no better"
    lost = soup[SOUP] - soup[TWIN]
    renamed = f"costs {lost:.2f} more" if lost > 0.03 else "costs no more"
    return (
        f"At equal weights the soup ({soup[SOUP]:.2f}) is {verdict} than either policy in it ({singles[0]:.2f} and "
        f"{singles[1]:.2f}); mixing their probabilities instead of their weights gives {mixture[SOUP]:.2f}, a training "
        f"for this weighting {trained:.2f}, the exact optimum {best:.2f}. Renaming the second policy's hidden units "
        f"and heads, which leaves it the same function without the common places, {renamed} ({soup[TWIN]:.2f})."
    )
