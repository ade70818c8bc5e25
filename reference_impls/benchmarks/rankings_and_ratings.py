"""Rankings against ratings of the same answers, at equal numbers of answers looked at."""

from __future__ import annotations

import math
from itertools import pairwise

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "rankings-and-ratings",
    "categories": ["ranking-and-rating-reward-models"],
    "question": "Annotators look at 8,000 answers: should they rank them in fours or rate each?",
    "arms": [
        {"arm": "rankings of 4", "method": "plackett-luce"},
        {"arm": "rankings of 2", "method": "plackett-luce", "set": {"size": 2}},
        {"arm": "ratings, noise 0.32", "method": "rating-regression", "set": {"noise": 0.32}},
        {"arm": "ratings, noise 1.28", "method": "rating-regression"},
        {"arm": "ratings, noise 2.56", "method": "rating-regression", "set": {"noise": 2.56}},
        {"arm": "ratings, noise 5.12", "method": "rating-regression", "set": {"noise": 5.12}},
        {
            "arm": "ratings, noise 1.28, leniency 2.56",
            "method": "rating-regression",
            "set": {"leniency": 2.56},
        },
    ],
}

RATINGS = {
    "ratings, noise 0.32": 0.32,
    "ratings, noise 1.28": 1.28,
    "ratings, noise 2.56": 2.56,
    "ratings, noise 5.12": 5.12,
}

CLAIMS = {
    "chaudhari2024rlhf/s4": {
        "test": (
            "The same 8,000 reference answers, in sheets of four, are ranked (Plackett-Luce, fitted by likelihood) or "
            "rated (fitted by regression, with the same prior on both) with as much noise as the rankings have, a "
            "standard deviation of 1.28: share of the gap closed by the policy ref * exp(r / beta), rankings "
            "minus ratings."
        ),
        "arms": ["rankings of 4", "ratings, noise 1.28", "ratings, noise 0.32", "ratings, noise 5.12"],
        "measure": "ranking_gain",
        "unit": "share of the gap",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "Equal noise is where neither form of question is favoured by how carefully it is answered. A gain below "
            "0.02 would matter to nobody; the two tuning seeds differ by 0.03. Since sorting a sheet's ratings gives "
            "a ranking, ratings of equal noise cannot hold less; the fits may still use them worse."
        ),
        "controls": [
            {"what": "ratings with four times the noise of the rankings", "measure": "gain_over_careless"},
            {"what": "ratings with a quarter of the noise of the rankings", "measure": "gain_over_careful"},
        ],
        "revisions": [
            {
                "date": "2026-11-22",
                "was": "the same arms and bands on fits by maximum likelihood without a prior",
                "reason": (
                    "Without a prior the scale of the fits ran away on some seeds (rankings 3.8 nats from the "
                    "reference where the optimum is 3.2, careless ratings below the reference), so that overfitting "
                    "and not the form of the question was measured; that first run read -0.10 +- 0.14, fails "
                    "here. The prior was chosen on the tuning seeds."
                ),
            }
        ],
    },
}


def _gain(runs: pd.DataFrame, ratings: str) -> float:
    gap = runs["metrics.gap_closed"]
    return float(gap["rankings of 4"] - gap[ratings])


def ranking_gain(runs: pd.DataFrame) -> float:
    """Rankings minus ratings at equal noise."""
    return _gain(runs, "ratings, noise 1.28")


def gain_over_careless(runs: pd.DataFrame) -> float:
    """Rankings minus ratings of four times their noise."""
    return _gain(runs, "ratings, noise 5.12")


def gain_over_careful(runs: pd.DataFrame) -> float:
    """Rankings minus ratings of a quarter of their noise."""
    return _gain(runs, "ratings, noise 0.32")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each form of feedback at 8,000 answers."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
    }
    return mean_table(runs, columns, {"arm": "feedback"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed against the noise of ratings, with the rankings as level lines."""
    means = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")["metrics.gap_closed"]
    noises = list(RATINGS.values())
    rows = [{"feedback": "ratings", "noise": n, "gap": means[arm]} for arm, n in RATINGS.items()]
    for arm in ("rankings of 4", "rankings of 2"):
        rows += [{"feedback": arm, "noise": n, "gap": means[arm]} for n in (noises[0], noises[-1])]
    lenient = "ratings, noise 1.28, leniency 2.56"
    rows += [{"feedback": "ratings, leniency 2.56", "noise": 1.28, "gap": means[lenient]}]
    return chart(
        rows,
        {"type": "line", "point": True},
        x=quantitative(
            "noise",
            "noise of a rating (sd of the gold reward; a ranking's own is 1.28)",
            scale={"type": "log"},
        ),
        y=quantitative("gap", "share of the gap closed", scale={"zero": False}),
        color=nominal("feedback", None),
        strokeDash=nominal("feedback", None),
    )


def crossover(means: pd.Series) -> float | None:
    """Noise at which ratings close as much of the gap as rankings of 4, between the arms that enclose it."""
    level = means["rankings of 4"]
    points = [(math.log(noise), means[arm]) for arm, noise in RATINGS.items()]
    for (x, y), (next_x, next_y) in pairwise(points):
        if y >= level > next_y:
            return math.exp(x + (next_x - x) * (y - level) / (y - next_y))
    return None


def conclusion(runs: pd.DataFrame) -> str:
    """Which is better at equal noise, and where the two cross."""
    means = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")["metrics.gap_closed"]
    ranked, rated = means["rankings of 4"], means["ratings, noise 1.28"]
    order = "more than" if ranked > rated else "less than"
    noise = crossover(means)
    where = (
        f"ratings fall behind once their noise exceeds {noise:.1f}, {noise / 1.28:.1f} times that of the rankings"
        if noise is not None
        else "the two do not cross within the noises tried"
    )
    lenient = means["ratings, noise 1.28, leniency 2.56"]
    return (
        f"Of 8,000 answers, rankings of four close {ranked:.2f} of the gap, {order} ratings with equal noise "
        f"({rated:.2f}); {where}. Raters who differ in leniency by a standard deviation of 2.56 bring ratings down to "
        f"{lenient:.2f}, and rankings do not notice leniency."
    )
