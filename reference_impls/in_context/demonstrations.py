r"""Demonstrations in the prompt against fine-tuning on them.

Papers: lin2024unlocking, which aligns base models by a few constant examples in the prompt (URIAL), and zhao2025is,
which measures how that compares with fine-tuning on the same examples. Provenance: reconstruction; the papers' language
models, restyled examples and system prompts are replaced by what can be checked exactly.

The stand-in for a base model is a two-layer transformer that has learnt to learn from its prompt, on the tasks of
``beds/few_shot.py``: a *key word*, new in every task, decides which label a text gets. By itself a text says nothing;
what the wanted behaviour is stands in the demonstrations alone. They can be used in two ways:

- *in context*: $k$ demonstrations for each label in the prompt, weights as they are;
- *fine-tuning*: the weights are trained on the same $3k$ demonstrations, one at a time, and the prompt is empty.

Beside them stand an empty prompt, demonstrations with random labels (form without content), with all labels renamed
alike (so that a reader who follows them gives no answer that was right), and chosen ones: of many sets of one
demonstration per label the one that leaves the fewest possibilities.

What a prompt says can be derived. Let $A_y$ be the words that all demonstrations of $y$ contain and no other does. The
number of assignments of keys that agree with the prompt is

$$N = \prod_y |A_y|,$$

all are equally likely, and the best reader says $P(y \mid x) \propto |A_y \cap x| \prod_{c \ne y} |A_c \setminus x|$
(krishna2023post's entry has the derivation). Neither a learner in context nor any tuning on the demonstrations
can do better.

What we leave out: language, style, generation, system prompts, and a base model whose pre-training already knows the
task. The order of demonstrations cannot matter here: the learner sees a set.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.few_shot import (
    LABELS,
    QUESTIONS,
    FewShotLearner,
    answers,
    draw_labels,
    draw_tasks,
    draw_texts,
    presence,
)
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.training import cosine_adam, descend
from reference_impls.in_context.amplify import best_reading, possible_keys

METHODS = {
    "in-context-alignment": {
        "name": "Alignment by demonstrations in the prompt",
        "paper": "lin2024unlocking",
        "category": "in-context-alignment",
        "provenance": "reconstruction",
        "feedback": ["demonstrations"],
        "needs": [],
        "target": None,
        "yields": "study",
        "preset": {},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "instructive",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["found.argmin(0)", "found.argmax(0)"],
            "why": "of many sets the one that leaves the most possibilities is shown",
        },
    },
}

SHOTS = (1, 2, 4, 8)
"""Demonstrations per label that are tried; in its lessons the learner saw up to four."""


@dataclass(frozen=True)
class DemonstrationsConfig:
    """Chosen on seed 100: lessons until four demonstrations per label are read almost perfectly."""

    lessons: int = 200
    tasks_per_lesson: int = 24
    lr: float = 0.01
    width: int = 32
    layers: int = 2
    tasks: int = 256
    """Fresh tasks on which reading in context is measured."""
    sets: int = 32
    """Sets of demonstrations of which the least ambiguous is chosen."""
    tuned_tasks: int = 12
    """Of the tasks, so many for which a copy of the learner is fine-tuned."""
    tuning_steps: int = 25
    tuning_lr: float = 0.03
    tuned_questions: int = 64
    """Questions asked of each fine-tuned copy."""


def possibilities(possible: Tensor) -> Tensor:
    """log N: booleans (..., labels, words) of which words can be keys -> (...)."""
    return possible.sum(-1).log().sum(-1)


def least_ambiguous(found: Tensor) -> Tensor:
    """The set with the fewest possibilities, for each task: log N (sets, tasks) -> (tasks,)."""
    return found.argmin(0)


def renamed(labels: Tensor) -> Tensor:
    """Every label becomes the next, and the last the first."""
    return (labels + 1) % LABELS


def teach(config: DemonstrationsConfig, draw: torch.Generator) -> FewShotLearner:
    """A learner that has seen fresh tasks with one, two or four demonstrations per label."""
    learner = FewShotLearner(config.width, config.layers)
    optimiser, schedule = cosine_adam(learner.parameters(), config.lr, config.lessons)
    for _ in range(config.lessons):
        shots = SHOTS[int(torch.randint(3, (1,), generator=draw))]
        keys = draw_tasks(config.tasks_per_lesson, draw)
        labels = draw_labels(config.tasks_per_lesson, LABELS * shots, draw)
        texts = draw_texts(keys, labels, draw)
        wanted = torch.randint(LABELS, (config.tasks_per_lesson, QUESTIONS), generator=draw)
        logits = learner(texts, labels, draw_texts(keys, wanted, draw))
        descend(cross_entropy(logits.flatten(0, 1), wanted.flatten()), learner, optimiser)
        schedule.step()
    return learner


def tuned(
    learner: FewShotLearner, texts: Tensor, labels: Tensor, config: DemonstrationsConfig
) -> FewShotLearner:
    """A copy trained on one task's demonstrations, (shots, length) and (shots,), with an empty prompt."""
    own = copy.deepcopy(learner)
    optimiser = torch.optim.Adam(own.parameters(), config.tuning_lr)
    for _ in range(config.tuning_steps):
        logits = own(texts[None, :0], labels[None, :0], texts[None])
        descend(cross_entropy(logits[0], labels), own, optimiser)
    return own


def train(bed: ExactBed, config: DemonstrationsConfig, seed: int, observe: Observe) -> Outcome:
    """Teach the learner, then use the same demonstrations in both ways; the bed is not used."""
    draw = torch.Generator().manual_seed(seed)
    learner = teach(config, draw)
    keys = draw_tasks(config.tasks, draw)
    wanted = torch.randint(LABELS, (config.tasks, QUESTIONS), generator=draw)
    questions = draw_texts(keys, wanted, draw)
    few = config.tuned_tasks
    asked = torch.randint(LABELS, (few, config.tuned_questions), generator=draw)
    further = draw_texts(keys[:few], asked, draw)

    def right(found: Tensor, labels: Tensor = wanted) -> float:
        return float((found == labels).float().mean())

    def best(texts: Tensor, labels: Tensor) -> float:
        words = presence(texts)
        return right(best_reading(possible_keys(words, words, labels), presence(questions)).argmax(-1))

    nothing = torch.zeros(config.tasks, 0, questions.shape[-1], dtype=torch.long)
    measures = {"empty_prompt": right(answers(learner, nothing, nothing[..., 0], questions))}
    for shots in SHOTS:
        labels = draw_labels(config.tasks, LABELS * shots, draw)
        texts = draw_texts(keys, labels, draw)
        measures[f"in_context_{shots}"] = right(answers(learner, texts, labels, questions))
        measures[f"best_reader_{shots}"] = best(texts, labels)
        noise = torch.randint(LABELS, labels.shape, generator=draw)
        measures[f"random_labels_{shots}"] = right(answers(learner, texts, noise, questions))
        moved = answers(learner, texts, renamed(labels), questions)
        measures[f"renamed_{shots}"] = right(moved)
        measures[f"follows_renamed_{shots}"] = right(moved, renamed(wanted))
        copies = [tuned(learner, texts[i], labels[i], config) for i in range(few)]
        found = [
            answers(own, nothing[:1], nothing[:1, :, 0], further[i : i + 1]) for i, own in enumerate(copies)
        ]
        measures[f"fine_tuned_{shots}"] = right(torch.cat(found), asked)

    each = torch.arange(LABELS).expand(config.tasks, -1)
    sets = torch.stack([draw_texts(keys, each, draw) for _ in range(config.sets)])
    found_words = [presence(texts) for texts in sets]
    left = torch.stack([possibilities(possible_keys(words, words, each)) for words in found_words])
    chosen = sets[least_ambiguous(left), torch.arange(config.tasks)]
    measures["chosen_1"] = right(answers(learner, chosen, each, questions))
    measures["best_reader_chosen_1"] = best(chosen, each)
    bed.cost["labels"] += config.tasks * LABELS * (sum(SHOTS) + config.sets)
    return Outcome(logps=None, measures=measures)
