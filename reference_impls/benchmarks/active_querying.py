"""Which comparisons to ask for: criteria against random pairs, at equal numbers of labels."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "active-querying",
    "categories": ["active-querying"],
    "question": "Do 600 chosen comparisons teach a reward model more than 600 random ones?",
    "measures": ["pair_accuracy", "heldout_pair_accuracy", "ease"],
    "arms": [
        {"arm": "random", "method": "active-information-gain", "set": {"criterion": "random"}},
        {"arm": "information gain", "method": "active-information-gain"},
        {"arm": "removed volume", "method": "active-volume-removal"},
        {
            "arm": "removed volume, no twins",
            "method": "active-volume-removal",
            "set": {"twins": False},
        },
        {"arm": "disagreement", "method": "active-disagreement"},
        {"arm": "D-optimal design", "method": "active-d-optimal"},
        {
            "arm": "random, twice the labels",
            "method": "active-information-gain",
            "set": {"criterion": "random", "size": 40},
        },
    ],
}

GRIDS = [
    {
        "arms": ["random", "information gain"],
        "setting": "prior",
        "values": [0.25, 0.5, 1.0],
        "measure": "metrics.heldout_pair_accuracy",
    },
]

CLAIMS = {
    "biyik2019asking/c1": {
        "test": (
            "600 labels of Bradley-Terry annotators, whose noise grows as answers get closer, in 30 rounds; pools of "
            "1,000 pairs of different answers for removed volume. Share of random pairs on held-out prompts that the "
            "fitted reward orders rightly: information gain minus removed volume, which asks where the learner is most "
            "uncertain."
        ),
        "arms": [
            "information gain",
            "removed volume, no twins",
            "disagreement",
            "random",
            "random, twice the labels",
        ],
        "measure": "gain_over_uncertainty",
        "unit": "share of pairs",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "Test pairs are 20,000, so that their own error is 0.003; on the tuning seeds twice the labels are worth "
            "about 0.03 to random pairs, and two thirds of that would be worth having."
        ),
        "controls": [
            {
                "what": "disagreement, which also leaves out what is uncertain for everybody",
                "measure": "gain_over_disagreement",
            },
            {"what": "random questions in place of removed volume", "measure": "gain_over_random"},
        ],
        "revisions": [
            {
                "date": "2026-12-01",
                "was": "the same without the last control",
                "reason": "the first control read as the claim did, in part; the bands are as they were",
            },
        ],
    },
    "biyik2019asking/c2": {
        "test": (
            "In the same runs: how often annotators agree with themselves on the questions asked (the larger of both "
            "chances, averaged), information gain minus removed volume."
        ),
        "arms": ["information gain", "removed volume, no twins", "disagreement", "random"],
        "measure": "ease_over_uncertainty",
        "unit": "probability",
        "holds": ">= 0.05",
        "fails": "<= 0.01",
        "why": "Random questions have 0.72, coin tosses 0.5; a twentieth is a quarter of that range.",
        "controls": [{"what": "against random questions", "measure": "ease_over_random"}],
        "revisions": [],
    },
    "sadigh2017active/c1": {
        "test": (
            "Removed volume against random questions, 600 labels each, choosing from pools (questions are not "
            "synthesised): share of held-out pairs ordered rightly."
        ),
        "arms": ["removed volume", "removed volume, no twins", "random", "information gain"],
        "measure": "volume_over_random",
        "unit": "share of pairs",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "The same margin as for the other criteria. With twice the same answer in the pool the criterion is known "
            "to ask about nothing; the claim is judged without such pairs."
        ),
        "controls": [
            {"what": "information gain over random", "measure": "gain_over_random"},
            {"what": "with twins in the pool", "measure": "volume_with_twins_over_random"},
        ],
        "revisions": [],
    },
    "gleave2022uncertainty/c1": {
        "test": (
            "Disagreement against random questions, 600 labels each: share of held-out pairs ordered rightly. The "
            "members are draws from an exact posterior of a linear reward, not networks that share a pre-training."
        ),
        "arms": ["disagreement", "random", "random, twice the labels", "removed volume"],
        "measure": "disagreement_over_random",
        "unit": "share of pairs",
        "holds": "<= 0.005",
        "fails": ">= 0.02",
        "why": "No better than random means less than a sixth of what twice the labels are worth.",
        "controls": [
            {"what": "removed volume with twins in the pool", "measure": "volume_with_twins_over_random"},
            {"what": "random questions, twice as many", "measure": "labels_doubled"},
        ],
        "revisions": [],
    },
}


def _lead(runs: pd.DataFrame, arm: str, other: str, measure: str = "heldout_pair_accuracy") -> float:
    values = runs[f"metrics.{measure}"]
    return float(values[arm] - values[other])


def gain_over_uncertainty(runs: pd.DataFrame) -> float:
    """Information gain minus removed volume, no twins."""
    return _lead(runs, "information gain", "removed volume, no twins")


def gain_over_disagreement(runs: pd.DataFrame) -> float:
    """Information gain minus disagreement."""
    return _lead(runs, "information gain", "disagreement")


def gain_over_random(runs: pd.DataFrame) -> float:
    """Information gain minus random questions."""
    return _lead(runs, "information gain", "random")


def ease_over_uncertainty(runs: pd.DataFrame) -> float:
    """How much clearer the questions of information gain are to annotators than those of removed volume."""
    return _lead(runs, "information gain", "removed volume, no twins", "ease")


def ease_over_random(runs: pd.DataFrame) -> float:
    """The same against random questions."""
    return _lead(runs, "information gain", "random", "ease")


def volume_over_random(runs: pd.DataFrame) -> float:
    """Removed volume, no twins, minus random questions."""
    return _lead(runs, "removed volume, no twins", "random")


def volume_with_twins_over_random(runs: pd.DataFrame) -> float:
    """Removed volume with twins in the pool minus random questions."""
    return _lead(runs, "removed volume", "random")


def disagreement_over_random(runs: pd.DataFrame) -> float:
    """Disagreement minus random questions."""
    return _lead(runs, "disagreement", "random")


def labels_doubled(runs: pd.DataFrame) -> float:
    """What twice the labels are worth to random questions."""
    return _lead(runs, "random, twice the labels", "random")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of the rounds, by criterion."""
    columns = {
        "metrics.pair_accuracy": "pairs ordered rightly",
        "metrics.heldout_pair_accuracy": "held out",
        "metrics.ease": "clearness of the questions",
        "metrics.gap_closed": "gap closed",
        "metrics.kl_efficiency": "KL efficiency",
        "cost.labels": "labels",
    }
    return mean_table(runs, columns, {"arm": "questions"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: KL efficiency of the policy against labels bought, by criterion."""
    return chart(
        along_training(runs, ["kl_efficiency"], cost="labels"),
        {"type": "line", "point": True},
        x=quantitative("labels", "labels"),
        y=quantitative("kl_efficiency", "KL efficiency of the policy"),
        color=nominal("arm", "questions", sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Who is best, what that is worth in labels, and which criterion asks what nobody can answer."""
    right = arm_means(runs, "metrics.heldout_pair_accuracy")
    ease = arm_means(runs, "metrics.ease")
    criteria = [
        "information gain",
        "removed volume",
        "removed volume, no twins",
        "disagreement",
        "D-optimal design",
    ]
    best, worst = max(criteria, key=lambda arm: right[arm]), min(criteria, key=lambda arm: right[arm])
    doubled = right["random, twice the labels"]
    intervals = by_arm(runs, ["metrics.heldout_pair_accuracy"]).set_index("arm")[
        "metrics.heldout_pair_accuracy_ci"
    ]
    spread = max(float(intervals[arm]) for arm in (best, "random, twice the labels"))
    lead = right[best] - doubled
    worth = "about" if abs(lead) <= spread else "more than" if lead > 0 else "less than"
    against = "below" if right[worst] < right["random"] else "above"
    return (
        f"After 600 random labels the reward orders {right['random']:.3f} of the held-out pairs rightly, after 1,200 "
        f"{doubled:.3f}. The best choice of 600 is by {best} ({right[best]:.3f}), worth {worth} twice the labels; the "
        f"worst is by {worst} ({right[worst]:.3f}), {against} random, whose questions annotators answer the same way "
        f"with probability {ease[worst]:.2f} (random ones: {ease['random']:.2f})."
    )
