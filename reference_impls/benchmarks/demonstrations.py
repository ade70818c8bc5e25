"""Demonstrations in the prompt or as training data: what do the same examples achieve in either place?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, shown
from reference_impls.benchmarks.summary import half_width as interval

SHOTS = (1, 2, 4, 8)
USES = {
    "best_reader": "best reader",
    "in_context": "in the prompt",
    "fine_tuned": "fine-tuning on them",
    "random_labels": "in the prompt, random labels",
    "renamed": "in the prompt, labels renamed",
}

BENCHMARK = {
    "key": "demonstrations",
    "categories": ["in-context-alignment"],
    "question": "What do the same few demonstrations achieve in the prompt, and as data for fine-tuning?",
    "arms": [{"arm": "demonstrations", "method": "in-context-alignment"}],
    "measures": [
        "empty_prompt",
        "in_context_1",
        "in_context_2",
        "in_context_4",
        "in_context_8",
        "fine_tuned_1",
        "fine_tuned_2",
        "fine_tuned_4",
        "fine_tuned_8",
        "random_labels_1",
        "random_labels_2",
        "random_labels_4",
        "random_labels_8",
        "renamed_1",
        "renamed_2",
        "renamed_4",
        "renamed_8",
        "follows_renamed_1",
        "follows_renamed_2",
        "follows_renamed_4",
        "follows_renamed_8",
        "best_reader_1",
        "best_reader_2",
        "best_reader_4",
        "best_reader_8",
        "chosen_1",
        "best_reader_chosen_1",
    ],
}

GRIDS = [
    {
        "arms": ["demonstrations"],
        "setting": "tuning_lr",
        "values": [1e-3, 3e-3, 1e-2, 3e-2],
        "measure": "metrics.fine_tuned_4",
    },
]

CLAIMS = {
    "lin2024unlocking/c2": {
        "test": (
            "A learner that was taught to read its prompt: accuracy with three demonstrations in the prompt minus that "
            "of copies fine-tuned on 24 demonstrations of the same task."
        ),
        "arms": ["demonstrations"],
        "measure": "three_against_tuned",
        "unit": "accuracy",
        "holds": ">= 0",
        "fails": "<= -0.1",
        "why": (
            "Three examples are what the paper shows, and its tuned models have seen far more than 24. A tenth is what "
            "nobody would call a match; chance is a third."
        ),
        "controls": [{"what": "all 24 in the prompt", "measure": "all_against_tuned"}],
        "revisions": [],
    },
    "zhao2025is/c1": {
        "test": (
            "The same three demonstrations, one per label, in the prompt or for fine-tuning: distance between the two "
            "accuracies."
        ),
        "arms": ["demonstrations"],
        "measure": "distance_at_three",
        "unit": "accuracy",
        "holds": "<= 0.05",
        "fails": ">= 0.1",
        "why": "A twentieth is about the spread of the seeds; a tenth is clear, and the best reader has two thirds.",
        "controls": [
            {
                "what": "three demonstrations with random labels against an empty prompt",
                "measure": "distance_of_nothing",
            }
        ],
        "revisions": [],
    },
    "zhao2025is/c2": {
        "test": (
            "One demonstration per label: accuracy in context with the least ambiguous of 32 sets minus that with any "
            "set."
        ),
        "arms": ["demonstrations"],
        "measure": "gain_of_choice",
        "unit": "accuracy",
        "holds": ">= 0.03",
        "fails": "<= 0",
        "why": (
            "The best reader gains about 0.15 by the choice; a fifth of that is the least that would count as closing "
            "part of a gap."
        ),
        "controls": [{"what": "more demonstrations with random labels", "measure": "gain_of_noise"}],
        "revisions": [],
    },
}


def _of(runs: pd.DataFrame, name: str) -> float:
    return float(runs.loc["demonstrations", f"metrics.{name}"])


def three_against_tuned(runs: pd.DataFrame) -> float:
    """Accuracy with three demonstrations in the prompt minus that after tuning on 24."""
    return _of(runs, "in_context_1") - _of(runs, "fine_tuned_8")


def all_against_tuned(runs: pd.DataFrame) -> float:
    """The same with all 24 in the prompt."""
    return _of(runs, "in_context_8") - _of(runs, "fine_tuned_8")


def distance_at_three(runs: pd.DataFrame) -> float:
    """How far the two uses of three demonstrations are apart."""
    return abs(_of(runs, "in_context_1") - _of(runs, "fine_tuned_1"))


def distance_of_nothing(runs: pd.DataFrame) -> float:
    """The same for random labels and an empty prompt."""
    return abs(_of(runs, "random_labels_1") - _of(runs, "empty_prompt"))


def gain_of_choice(runs: pd.DataFrame) -> float:
    """Accuracy with the least ambiguous set minus that with any."""
    return _of(runs, "chosen_1") - _of(runs, "in_context_1")


def gain_of_noise(runs: pd.DataFrame) -> float:
    """Eight random labels minus one."""
    return _of(runs, "random_labels_8") - _of(runs, "random_labels_1")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by use and number of demonstrations per label; chance is a third."""
    rows = []
    for use, name in USES.items():
        cells = {"demonstrations": name}
        for shots in SHOTS:
            values = runs[f"metrics.{use}_{shots}"]
            cells[f"{shots} per label"] = shown(values.mean(), interval(values))
        rows.append(cells)
    for use, name in (("best_reader_chosen", "best reader, chosen"), ("chosen", "in the prompt, chosen")):
        values = runs[f"metrics.{use}_1"]
        rows.append({"demonstrations": name, "1 per label": shown(values.mean(), interval(values))})
    empty = runs["metrics.empty_prompt"]
    rows.append({"demonstrations": "none", "1 per label": shown(empty.mean(), interval(empty))})
    return pd.DataFrame(rows).fillna("")


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: accuracy against the number of demonstrations."""
    rows = [
        {"demonstrations": name, "shots": shots, "accuracy": float(runs[f"metrics.{use}_{shots}"].mean())}
        for use, name in USES.items()
        for shots in SHOTS
    ]
    scale, axis = {"type": "log", "base": 2}, {"values": SHOTS}
    return chart(
        rows,
        {"type": "line", "point": True},
        width=520,
        height=320,
        x=quantitative("shots", "demonstrations per label", scale=scale, axis=axis),
        y=quantitative("accuracy", "accuracy (chance: a third)"),
        color=nominal("demonstrations", None, sort=None),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Prompt against tuning at both ends, and what the labels and the choice do."""

    def mean(name: str) -> float:
        return arm_means(runs, f"metrics.{name}")["demonstrations"]

    ahead = "ahead of" if mean("in_context_1") > mean("fine_tuned_1") else "not ahead of"
    at_end = "ahead of" if mean("in_context_8") > mean("fine_tuned_8") else "not ahead of"
    noise, follows = mean("random_labels_8"), mean("follows_renamed_8")
    worth = "hardly more" if noise < mean("empty_prompt") + 0.03 else "more"
    obeyed = "followed" if follows > 0.5 else "not followed"
    moves = "raises" if mean("chosen_1") > mean("in_context_1") else "lowers"
    return (
        f"Three demonstrations in the prompt reach {mean('in_context_1'):.2f} (best reader "
        f"{mean('best_reader_1'):.2f}), {ahead} fine-tuning on the same three ({mean('fine_tuned_1'):.2f}); 24 reach "
        f"{mean('in_context_8'):.2f}, {at_end} fine-tuning ({mean('fine_tuned_8'):.2f}). With random labels the prompt "
        f"is worth {worth} than an empty one ({noise:.2f} and {mean('empty_prompt'):.2f}), with all labels renamed it "
        f"is {obeyed} ({follows:.2f}). Choosing the least ambiguous three {moves} {mean('in_context_1'):.2f} to "
        f"{mean('chosen_1'):.2f}, where the best reader would go to {mean('best_reader_chosen_1'):.2f}."
    )
