"""A judge against people: ten calls for the price of a label, and an opinion that more calls do not correct."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "judges-and-people",
    "categories": ["ai-feedback"],
    "question": "At ten calls of a biased judge for one label of a person, when is it better to ask people?",
    "arms": [
        {
            "arm": "people, 200 labels",
            "method": "rlaif",
            "set": {"labels_from": "people", "calls": 200, "reward_steps": 50},
        },
        {
            "arm": "people, 800 labels",
            "method": "rlaif",
            "set": {"labels_from": "people", "calls": 800, "reward_steps": 150},
        },
        {"arm": "people, 4,000 labels", "method": "rlaif", "set": {"labels_from": "people", "calls": 4000}},
        {"arm": "judge, 2,000 calls", "method": "rlaif", "set": {"calls": 2000}},
        {"arm": "judge, 8,000 calls", "method": "rlaif"},
        {"arm": "judge, 40,000 calls", "method": "rlaif", "set": {"calls": 40000}},
        {"arm": "judge, 8,000 calls in one order", "method": "rlaif", "set": {"orders": "one"}},
        {"arm": "8,000 grades as the reward", "method": "direct-rlaif"},
    ],
    "measures": ["opinion_accuracy", "model_accuracy", "hack_rate"],
}

GRIDS = [
    {
        "arms": ["people, 200 labels", "people, 800 labels"],
        "setting": "reward_steps",
        "values": [50, 150],
        "measure": "metrics.gap_closed",
    },
]

PEOPLE = {"people, 200 labels": 200, "people, 800 labels": 800, "people, 4,000 labels": 4000}
JUDGE = {"judge, 2,000 calls": 200, "judge, 8,000 calls": 800, "judge, 40,000 calls": 4000}
"""What each arm costs, in labels of people."""

CLAIMS = {
    "lee2024rlaif/c1": {
        "test": (
            "The same pipeline, reward model and leave-one-out REINFORCE, on as many pairs labelled softly by a judge "
            "(own taste 0.4, blind spot 0.5 sd, position bias 1, both orders) as by people: 4,000 each. Gap closed, "
            "judge minus people."
        ),
        "arms": ["judge, 8,000 calls", "people, 4,000 labels", "judge, 2,000 calls", "people, 200 labels"],
        "measure": "judge_for_people",
        "unit": "share of the gap",
        "holds": ">= -0.05",
        "fails": "<= -0.15",
        "why": (
            "Comparable means that hardly anybody would pay ten times as much for the difference: a twentieth of the "
            "gap. Three times that would be worth having."
        ),
        "controls": [
            {"what": "a quarter of the judge's pairs", "measure": "fewer_for_people"},
            {"what": "a twentieth of people's own labels", "measure": "few_people"},
        ],
        "revisions": [],
    },
    "lee2024rlaif/c3": {
        "test": (
            "8,000 calls of one judge: gap closed where it grades what the policy writes minus gap closed where it "
            "labels 4,000 pairs of the reference's answers for a reward model. 60 updates of the policy each."
        ),
        "arms": ["8,000 grades as the reward", "judge, 8,000 calls", "judge, 8,000 calls in one order"],
        "measure": "direct_gain",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "A twentieth of the gap is the least that is worth having the judge at hand throughout training. On one "
            "tuning seed the two were equal within 0.02."
        ),
        "controls": [
            {
                "what": "labels from one order of twice the pairs in place of grades",
                "measure": "one_order_gain",
            },
        ],
        "revisions": [],
    },
}


def _ahead(runs: pd.DataFrame, arm: str, other: str) -> float:
    gap = runs["metrics.gap_closed"]
    return float(gap[arm] - gap[other])


def judge_for_people(runs: pd.DataFrame) -> float:
    """Gap closed with 4,000 of the judge's labels minus that with 4,000 of people's."""
    return _ahead(runs, "judge, 8,000 calls", "people, 4,000 labels")


def fewer_for_people(runs: pd.DataFrame) -> float:
    """The same with 1,000 of the judge's labels."""
    return _ahead(runs, "judge, 2,000 calls", "people, 4,000 labels")


def few_people(runs: pd.DataFrame) -> float:
    """200 labels of people minus 4,000."""
    return _ahead(runs, "people, 200 labels", "people, 4,000 labels")


def direct_gain(runs: pd.DataFrame) -> float:
    """Grades as the reward minus a reward model fitted to as many calls."""
    return _ahead(runs, "8,000 grades as the reward", "judge, 8,000 calls")


def one_order_gain(runs: pd.DataFrame) -> float:
    """One order of twice the pairs minus both orders."""
    return _ahead(runs, "judge, 8,000 calls in one order", "judge, 8,000 calls")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """The yardsticks, what the labels' reward model has understood, and the share of the planted hack."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.kl_ref": "KL to reference",
        "metrics.hack_rate": "share of symbol 1",
        "metrics.model_accuracy": "reward model right, %",
        "metrics.opinion_accuracy": "opinion right, %",
    }
    return mean_table(runs, columns, {"arm": "who is asked"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed by cost, in labels of people at ten calls each."""
    means = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")
    groups = {
        "people": PEOPLE,
        "judge, labels in both orders": JUDGE,
        "judge, one order": {"judge, 8,000 calls in one order": 800},
        "judge, grades": {"8,000 grades as the reward": 800},
    }
    rows = []
    for who, arms in groups.items():
        for arm, cost in arms.items():
            if arm in means.index:
                gap, ci = means.loc[arm, "metrics.gap_closed"], means.loc[arm, "metrics.gap_closed_ci"]
                rows.append({"who": who, "cost": cost, "gap": gap, "low": gap - ci, "high": gap + ci})
    title = "share of the gap closed"
    return layered(
        rows,
        layer({"type": "rule", "opacity": 0.5}, y=quantitative("low", title), y2={"field": "high"}),
        layer({"type": "line", "point": True}, y=quantitative("gap", title)),
        x=quantitative(
            "cost", "cost in labels of people (ten calls of the judge each)", scale={"type": "log"}
        ),
        color=nominal("who", "who is asked", sort=list(groups)),
    )


def crossover(gap: dict[str, float]) -> str:
    """Where people overtake the judge at equal cost, in words."""
    costs = dict(zip(PEOPLE.values(), zip(PEOPLE, JUDGE, strict=True), strict=True))
    ahead = [cost for cost, (people, judge) in costs.items() if gap[people] > gap[judge]]
    if not ahead:
        return f"the judge is ahead at every cost up to {max(costs):,} labels"
    below = [cost for cost in costs if cost < min(ahead)]
    if not below:
        return f"people are ahead from {min(ahead):,} labels on"
    return f"people overtake it between {max(below):,} and {min(ahead):,} labels"


def conclusion(runs: pd.DataFrame) -> str:
    """Where the crossover lies, and what grades and one order do."""
    gap = arm_means(runs, "metrics.gap_closed")
    direct = gap["8,000 grades as the reward"] - gap["judge, 8,000 calls"]
    one = gap["judge, 8,000 calls in one order"] - gap["judge, 8,000 calls"]
    return (
        f"At ten calls for a label {crossover(gap)}: at 4,000 labels people close {gap['people, 4,000 labels']:.2f} of "
        f"the gap and the judge {gap['judge, 40,000 calls']:.2f}, at 200 {gap['people, 200 labels']:.2f} and "
        f"{gap['judge, 2,000 calls']:.2f}. Grades as the reward close {abs(direct):.2f} "
        f"{'more' if direct > 0 else 'less'} than labels for a reward model from as many calls, and asking in one "
        f"order about twice the pairs {abs(one):.2f} {'more' if one > 0 else 'less'} than asking in both."
    )
