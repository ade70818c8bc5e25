"""Rounds against labels: what it is worth to ask for the policy's own answers, and how often."""

from __future__ import annotations

import math

import pandas as pd

from reference_impls.benchmarks.figures import layer, layered, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "rounds-and-labels",
    "categories": ["online-preference-optimisation"],
    "question": "How many labels is another round worth, and which pair of answers should be labelled?",
    "arms": [
        {"arm": "one round", "method": "iterative-dpo", "set": {"rounds": 1}},
        {"arm": "three rounds", "method": "iterative-dpo"},
        {"arm": "ten rounds", "method": "iterative-dpo", "set": {"rounds": 10}},
        {"arm": "eighty rounds", "method": "iterative-dpo", "set": {"rounds": 80}},
        {
            "arm": "one round, twice the labels",
            "method": "iterative-dpo",
            "set": {"rounds": 1, "labels": 4800},
        },
        {
            "arm": "one round, four times the labels",
            "method": "iterative-dpo",
            "set": {"rounds": 1, "labels": 9600},
        },
        {"arm": "best against worst of eight", "method": "iterative-dpo", "set": {"answers": 8}},
        {"arm": "moving reference", "method": "iterative-dpo", "set": {"reference": "latest"}},
        {
            "arm": "released recipe",
            "method": "iterative-dpo",
            "set": {"answers": 8, "labeller": "score", "reference": "latest", "data": "latest"},
            "bed_set": {"reward": "model", "reward_labels": 2400},
        },
    ],
    "measures": ["same_answer_twice"],
}

GRIDS = [
    {
        "arms": ["three rounds"],
        "setting": "lr",
        "values": [5e-4, 1e-3, 2e-3],
        "measure": "metrics.gap_closed",
    },
]

CLAIMS = {
    "xiong2024iterative/c1": {
        "test": (
            "DPO on 2,400 labelled pairs: gap closed with the pairs asked for in three rounds of the policy's own "
            "answers minus gap closed with all of them asked for at the start. 240 updates of 32 pairs each."
        ),
        "arms": [
            "one round",
            "three rounds",
            "moving reference",
            "best against worst of eight",
            "one round, four times the labels",
        ],
        "measure": "three_rounds_gain",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "The bands of the neighbouring test of online DPO (guo2024direct/c1): five hundredths is the least that is "
            "worth asking annotators while training, and no gain at all is none."
        ),
        "controls": [
            {"what": "the same rounds with a reference that moves along", "measure": "moving_gain"},
            {
                "what": "the same reading spent on the best against the worst of eight",
                "measure": "eight_gain",
            },
            {"what": "one round with four times the labels", "measure": "fourfold_gain"},
        ],
        "revisions": [],
    },
    "dong2024rlhf/c1": {
        "test": (
            "2,400 labels for a reward model, then three rounds of DPO on the best against the worst of eight answers "
            "by that model, data and reference the latest round's (as released), against DPO on the same number of "
            "labelled pairs: win rate against the reference, recipe minus offline."
        ),
        "arms": ["released recipe", "one round", "one round, twice the labels"],
        "measure": "recipe_wins",
        "unit": "win rate",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "The paper counts wins, which no distance from the reference diminishes; two in a hundred is the least "
            "that five seeds can show where policies win nearly nine times in ten."
        ),
        "controls": [
            {
                "what": "the same by gap closed, which charges for the distance",
                "measure": "recipe_gap",
            },
            {"what": "twice the labels in one round, by wins", "measure": "twice_wins"},
        ],
        "revisions": [],
    },
}


def _over_one_round(runs: pd.DataFrame, arm: str, metric: str = "gap_closed") -> float:
    values = runs[f"metrics.{metric}"]
    return float(values[arm] - values["one round"])


def three_rounds_gain(runs: pd.DataFrame) -> float:
    """Gap closed in three rounds minus that in one."""
    return _over_one_round(runs, "three rounds")


def moving_gain(runs: pd.DataFrame) -> float:
    """The same where the reference moves."""
    return _over_one_round(runs, "moving reference")


def eight_gain(runs: pd.DataFrame) -> float:
    """The same where annotators name the best and the worst of eight."""
    return _over_one_round(runs, "best against worst of eight")


def fourfold_gain(runs: pd.DataFrame) -> float:
    """What four times the labels gain in one round."""
    return _over_one_round(runs, "one round, four times the labels")


def recipe_wins(runs: pd.DataFrame) -> float:
    """Win rate of the released recipe minus that of one round."""
    return _over_one_round(runs, "released recipe", "win_rate")


def recipe_gap(runs: pd.DataFrame) -> float:
    """The same by gap closed."""
    return _over_one_round(runs, "released recipe")


def twice_wins(runs: pd.DataFrame) -> float:
    """Win rate with twice the labels minus that of one round."""
    return _over_one_round(runs, "one round, twice the labels", "win_rate")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """The common yardsticks, and what was asked for."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.win_rate": "win rate",
        "metrics.kl_ref": "KL to reference",
        "metrics.same_answer_twice": "pairs of one answer",
        "cost.labels": "labels",
    }
    return mean_table(runs, columns, {"arm": "rounds and pairs"})


ROUNDS = {"one round": 1, "three rounds": 3, "ten rounds": 10, "eighty rounds": 80}
LABELS = {
    "one round": 2400,
    "one round, twice the labels": 4800,
    "one round, four times the labels": 9600,
}


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed by rounds at 2,400 labels, and by labels in one round, on a doubling axis."""
    means = by_arm(runs, ["metrics.gap_closed"]).set_index("arm")
    rows = []
    for what, arms in (("rounds, 2,400 labels", ROUNDS), ("labels, one round", LABELS)):
        for arm, size in arms.items():
            if arm in means.index:
                gap, ci = means.loc[arm, "metrics.gap_closed"], means.loc[arm, "metrics.gap_closed_ci"]
                more = size / next(iter(arms.values()))
                rows.append({"what": what, "times": more, "gap": gap, "low": gap - ci, "high": gap + ci})
    title = "share of the gap closed"
    return layered(
        rows,
        layer({"type": "rule", "opacity": 0.5}, y=quantitative("low", title), y2={"field": "high"}),
        layer({"type": "line", "point": True}, y=quantitative("gap", title)),
        x=quantitative("times", "times as many as in one round of 2,400", scale={"type": "log"}),
        color=nominal("what", "more of"),
    )


def worth(gap: dict[str, float], arm: str) -> str:
    """Between which numbers of labels in one round an arm's gap lies, in words."""
    reached = [labels for name, labels in LABELS.items() if gap.get(name, math.inf) <= gap[arm]]
    if not reached:
        return "less than the same labels at the start"
    if max(reached) == max(LABELS.values()):
        return f"more than {max(reached):,} labels at the start"
    upper = min(labels for labels in LABELS.values() if labels > max(reached))
    return f"between {max(reached):,} and {upper:,} labels at the start"


def conclusion(runs: pd.DataFrame) -> str:
    """What rounds are worth in labels, what the choice of pairs does, and what a moving reference does."""
    gap, nats = arm_means(runs, "metrics.gap_closed"), arm_means(runs, "metrics.kl_ref")
    best = max(ROUNDS, key=lambda arm: gap[arm])
    eight = gap["best against worst of eight"] - gap["three rounds"]
    more = "more" if eight > 0 else "less"
    return (
        f"In three rounds 2,400 labels close {gap['three rounds']:.2f} of the gap, in one {gap['one round']:.2f}: "
        f"worth {worth(gap, 'three rounds')}. The best number of rounds is {best.split()[0]} ({gap[best]:.2f}). "
        f"The best against the worst of eight closes {abs(eight):.2f} {more} than two plain answers. A reference that "
        f"moves along ends at a KL of {nats['moving reference']:.1f} nats, a fixed one at {nats['three rounds']:.1f}."
    )
