"""The over-optimisation lab: how far a fitted reward can be pushed, and which remedy lets it be pushed further."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table, records_of

NATS = (1, 2, 4, 6, 8)
BEST_OF = (4, 16, 64, 256, 1024)
BENCHMARK = {
    "key": "over-optimisation",
    "categories": ["reward-over-optimisation", "reward-model-ensembles"],
    "question": "How far can a fitted reward be pushed before the true one falls, and what lets it be pushed further?",
    "arms": [
        {"arm": "one model", "method": "ensemble-mean", "set": {"members": 1}},
        {"arm": "another one", "method": "ensemble-mean", "set": {"members": 1, "spread": 0.0501}},
        {"arm": "mean of four", "method": "ensemble-mean"},
        {"arm": "worst of four", "method": "ensemble-worst-case"},
        {"arm": "worst of four, not centred", "method": "ensemble-worst-case", "set": {"centred": False}},
        {"arm": "mean minus variance", "method": "ensemble-variance"},
        {"arm": "mean of the weights", "method": "warm"},
        {
            "arm": "early stopping",
            "method": "ids",
            "set": {"objective": "mle", "held_out": 0.2},
            "bed_set": {"tail": None},
        },
        {"arm": "L2 pull", "method": "ids", "set": {"objective": "l2"}, "bed_set": {"tail": None}},
        {"arm": "moved labels (IDS)", "method": "ids", "bed_set": {"tail": None}},
        {"arm": "pessimism", "method": "ids", "set": {"objective": "pessimism"}, "bed_set": {"tail": None}},
        {
            "arm": "one model, labels flipped",
            "method": "ensemble-mean",
            "set": {"members": 1},
            "bed_set": {"raters": "flips"},
        },
        {"arm": "mean of four, labels flipped", "method": "ensemble-mean", "bed_set": {"raters": "flips"}},
        {
            "arm": "worst of four, labels flipped",
            "method": "ensemble-worst-case",
            "bed_set": {"raters": "flips"},
        },
        {"arm": "mean of the weights, labels flipped", "method": "warm", "bed_set": {"raters": "flips"}},
    ],
    "measures": [
        "gold_at_1",
        "gold_at_2",
        "gold_at_4",
        "gold_at_6",
        "gold_at_8",
        "gold_fall",
        "gold_best_of_4",
        "gold_best_of_16",
        "gold_best_of_64",
        "gold_best_of_256",
        "gold_best_of_1024",
    ],
}

CLAIMS = {
    "coste2024reward/c1": {
        "test": (
            "Gold reward of the best of 1,024 by the worst of four reward models, over that by one of them, minus one; "
            "500 pairs and 30 epochs each, exact law of the best of n."
        ),
        "arms": ["worst of four", "one model", "another one"],
        "measure": "best_of_gain",
        "unit": "share of the single model's gold reward",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "On seed 100 it is .19; a tenth would be worth four fits.",
        "controls": [{"what": "another single model in place of the ensemble", "measure": "best_of_chance"}],
        "revisions": [],
    },
    "coste2024reward/c2": {
        "test": ("The same with a fifth of the labels flipped (the paper flips a quarter)."),
        "arms": ["worst of four, labels flipped", "one model, labels flipped", "one model", "another one"],
        "measure": "best_of_gain_flipped",
        "unit": "share of the single model's gold reward",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "As without flips.",
        "controls": [{"what": "another single model, labels as they are", "measure": "best_of_chance"}],
        "revisions": [],
    },
    "coste2024reward/c3": {
        "test": (
            "In place of PPO the exact optimum for each reward at a KL of 8 nats: gold reward by the worst of four "
            "minus that by one model."
        ),
        "arms": ["worst of four", "one model", "another one"],
        "measure": "pushed_gain",
        "unit": "gold sd",
        "holds": ">= 0.2",
        "fails": "<= 0",
        "why": "On seed 100 it is .66. A fifth of a sd is a tenth of all that can be gained at 8 nats.",
        "controls": [{"what": "another single model in place of the ensemble", "measure": "pushed_chance"}],
        "revisions": [],
    },
    "rame2024warm/c1": {
        "test": (
            "Gold reward of the exact optimum at a KL of 8 nats for the mean of four models' weights, minus that for "
            "one model."
        ),
        "arms": ["mean of the weights", "one model", "another one"],
        "measure": "averaged_gain",
        "unit": "gold sd",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "On seed 100 it is .19; half of that would still show over seeds.",
        "controls": [{"what": "another single model in place of the average", "measure": "pushed_chance"}],
        "revisions": [],
    },
    "rame2024warm/c2": {
        "test": (
            "The same with a fifth of the labels flipped, against the mean of the four models' scores: does averaging "
            "weights hold up better under contradictory labels than averaging predictions?"
        ),
        "arms": [
            "mean of the weights, labels flipped",
            "mean of four, labels flipped",
            "one model, labels flipped",
            "one model",
            "another one",
            "mean of the weights",
        ],
        "measure": "weights_over_scores",
        "unit": "gold sd",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "A twentieth of a sd is a fifth of what averaging weights gains without flips on seed 100.",
        "controls": [
            {"what": "against one model instead of the mean of four", "measure": "weights_over_one"},
            {"what": "two single models", "measure": "pushed_chance"},
            {"what": "averaged weights over one model, labels as they are", "measure": "averaged_gain"},
        ],
        "revisions": [
            {
                "date": "2026-12-01",
                "was": "the same without the last control",
                "reason": "the others read as the claim did, fails here; the bands are as they were",
            },
        ],
    },
}


def _gold(runs: pd.DataFrame, arm: str, where: str) -> float:
    return float(runs.loc[arm, f"metrics.gold_{where}"])


def best_of_gain(runs: pd.DataFrame) -> float:
    """Worst of four over one model, for the best of 1,024."""
    return _gold(runs, "worst of four", "best_of_1024") / _gold(runs, "one model", "best_of_1024") - 1


def best_of_chance(runs: pd.DataFrame) -> float:
    """Another model over one model."""
    return _gold(runs, "another one", "best_of_1024") / _gold(runs, "one model", "best_of_1024") - 1


def best_of_gain_flipped(runs: pd.DataFrame) -> float:
    """Worst of four over one model where labels are flipped."""
    one = _gold(runs, "one model, labels flipped", "best_of_1024")
    return _gold(runs, "worst of four, labels flipped", "best_of_1024") / one - 1


def pushed_gain(runs: pd.DataFrame) -> float:
    """Worst of four minus one model at 8 nats."""
    return _gold(runs, "worst of four", "at_8") - _gold(runs, "one model", "at_8")


def pushed_chance(runs: pd.DataFrame) -> float:
    """Another model minus one model at 8 nats."""
    return _gold(runs, "another one", "at_8") - _gold(runs, "one model", "at_8")


def averaged_gain(runs: pd.DataFrame) -> float:
    """Averaged weights minus one model at 8 nats."""
    return _gold(runs, "mean of the weights", "at_8") - _gold(runs, "one model", "at_8")


def weights_over_scores(runs: pd.DataFrame) -> float:
    """Averaged weights minus averaged scores at 8 nats where labels are flipped."""
    weights = _gold(runs, "mean of the weights, labels flipped", "at_8")
    return weights - _gold(runs, "mean of four, labels flipped", "at_8")


def weights_over_one(runs: pd.DataFrame) -> float:
    """Averaged weights minus one model there."""
    weights = _gold(runs, "mean of the weights, labels flipped", "at_8")
    return weights - _gold(runs, "one model, labels flipped", "at_8")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Gold reward at equal KL, and how much is lost on the way from the peak to 8 nats."""
    columns = {f"metrics.gold_at_{n}": f"at {n} nats" for n in NATS}
    columns |= {"metrics.gold_fall": "lost since the peak", "metrics.gold_best_of_1024": "best of 1,024"}
    return mean_table(runs, columns, {"arm": "reward"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gold reward along the exact optima, with the labels as they are and flipped, and of the best of n."""
    pushed = {n: f"metrics.gold_at_{n}" for n in NATS}
    chosen = {n: f"metrics.gold_best_of_{n}" for n in BEST_OF}
    means = by_arm(runs, [*pushed.values(), *chosen.values()])
    arms = [
        row for row in records_of(means) if row["arm"] not in ("another one", "worst of four, not centred")
    ]
    plain = [row for row in arms if not str(row["arm"]).endswith("flipped")]
    flipped = [row for row in arms if str(row["arm"]).endswith("flipped")]
    kl, best, powers = (
        "KL to the reference (nats)",
        "n, for the best of n answers",
        {"type": "log", "base": 4},
    )
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "hconcat": [
            _panel("exact optima", plain, pushed, quantitative("at", kl, axis={"values": NATS})),
            _panel(
                "a fifth of the labels flipped",
                flipped,
                pushed,
                quantitative("at", kl, axis={"values": NATS}),
            ),
            _panel(
                "best of n", plain, chosen, quantitative("at", best, scale=powers, axis={"values": BEST_OF})
            ),
        ],
        "resolve": {"scale": {"y": "shared"}},
    }


def _panel(
    title: str, rows: list[dict[str, object]], columns: dict[int, str], x: dict[str, object]
) -> dict[str, object]:
    """Gold reward by arm at the numbers that ``columns`` names the measures of; arms without them are left out."""
    values = [
        {"reward": str(row["arm"]).removesuffix(", labels flipped"), "at": at, "gold": row[column]}
        for row in rows
        for at, column in columns.items()
        if column in row
    ]
    return {
        "title": {"text": title, "fontSize": 12, "anchor": "middle"},
        "width": 215,
        "height": 320,
        "data": {"values": values},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": x,
            "y": quantitative("gold", "gold reward (sd)"),
            "color": nominal("reward", "the policy is pushed by", sort=None),
        },
    }


def conclusion(runs: pd.DataFrame) -> str:
    """What one model loses when pushed, which remedy is best at 8 nats, and whether flips change that."""
    far = arm_means(runs, "metrics.gold_at_8")
    falls = arm_means(runs, "metrics.gold_fall")
    plain = [arm for arm in far if "flipped" not in arm and arm not in ("one model", "another one")]
    flipped = [arm for arm in far if arm.endswith("flipped") and not arm.startswith("one")]
    best, best_flipped = max(plain, key=lambda arm: far[arm]), max(flipped, key=lambda arm: far[arm])
    one, one_flipped, lost = far["one model"], far["one model, labels flipped"], falls["one model"]
    peak = "the peak of each instance"
    turned = f"loses {lost:.2f} sd of gold reward from {peak}" if lost >= 0.05 else "has not turned over yet"
    spread = by_arm(runs, ["metrics.gold_at_8"]).set_index("arm")["metrics.gold_at_8_ci"][best]
    close = any(far[best] - far[arm] < spread for arm in plain if arm != best)
    seen = f", though the seeds vary by more (± {spread:.2f}) than it is ahead" if close else ""
    helped = f"furthest of the remedies{seen}" if far[best] > one else "no further than one model does"
    name = best_flipped.removesuffix(", labels flipped")
    more = "still helps" if far[best_flipped] > one_flipped else "no longer helps"
    return (
        f"Pushed to 8 nats, one model fitted to 500 pairs {turned} ({one:.2f} sd left). The {best} carries {helped}: "
        f"{far[best]:.2f} sd. With a fifth of the labels flipped the {name} {more} "
        f"({far[best_flipped]:.2f} against {one_flipped:.2f})."
    )
