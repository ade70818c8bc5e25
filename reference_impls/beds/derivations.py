"""Answers as derivations: every token is a step that is right or wrong, and what can be checked is the result.

Whether a step is right depends on the prompt, the token before it and the step itself; to stop is a step too. Of the
steps that are possible after a token, a share is right. Of the wrong ones a share is *harmless*: the result is right
all the same, as when two slips in a calculation cancel. A derivation is sound if all its steps are right, its result
is right if no step is fatal. A check of results therefore passes every sound derivation and some others.

People who read a derivation can say where it first goes wrong. A program that only knows the result can complete
a beginning many times and count how often the result is right; what it estimates is a value, not correctness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reference_impls.core.space import PAD, SequenceSpace

if TYPE_CHECKING:
    from reference_impls.beds.exact import ExactBed, Pairs

SIMULATORS = {
    "judged_steps": {
        "feedback": "steps",
        "gives": "whether each step of a derivation is right, up to the first that is not",
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
    "result_pairs": {
        "feedback": "pairs",
        "gives": "two derivations, one with a right result and one with a wrong",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
    "mistake_pairs": {
        "feedback": "steps",
        "gives": "where a derivation first goes wrong, and a right step in its place",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
    "checked_results": {
        "feedback": "binary",
        "gives": "whether the result of a derivation is right",
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
}

FATAL, HARMLESS, RIGHT = 0, 1, 2


def step_grades(
    space: SequenceSpace, grid: Tensor, right: float, harmless: float, draw: torch.Generator
) -> Tensor:
    """Grade of every step of every sequence: (prompts, sequences, horizon), RIGHT on padding.

    ``grid`` (prompts, 2) are the prompts' attributes; a step's score adds a share of each. After each token the best
    ``right`` of the steps are RIGHT, and the best ``harmless`` of the others HARMLESS. Raises ValueError if that
    leaves no right or no fatal step.
    """
    actions = space.actions
    good = round(right * actions)
    spared = round(harmless * (actions - good))
    if not 1 <= good <= good + spared < actions:
        raise ValueError(
            f"{good} right and {spared} harmless steps of {actions} leave no right or no fatal step"
        )
    values = int(grid.max()) + 1
    shape = (space.vocab + 1, actions)
    scores = torch.randn(shape, generator=draw)
    by_a, by_b = (0.5 * torch.randn((values, *shape), generator=draw) for _ in range(2))
    scores = scores + by_a[grid[:, 0]] + by_b[grid[:, 1]]
    places = scores.argsort(-1, descending=True).argsort(-1)
    table = torch.where(places < good, RIGHT, torch.where(places < good + spared, HARMLESS, FATAL))

    before = torch.cat([torch.zeros_like(space.tokens[:, :1]), space.tokens[:, :-1]], 1)
    before = torch.where(before > space.vocab, 0, before)
    grades = table[:, before, (space.tokens - 1).clamp(min=0)]
    return torch.where(space.tokens == PAD, RIGHT, grades)


def sound(grades: Tensor) -> Tensor:
    """1.0 where every step is right: (prompts, sequences, horizon) -> (prompts, sequences)."""
    return (grades == RIGHT).all(-1).float()


def right_results(grades: Tensor) -> Tensor:
    """1.0 where no step is fatal: (prompts, sequences, horizon) -> (prompts, sequences)."""
    return (grades != FATAL).all(-1).float()


@dataclass(frozen=True)
class Judged:
    """Derivations with labels: prompts (n,) are row numbers; the others are (n, horizon)."""

    prompts: Tensor
    tokens: Tensor
    labels: Tensor
    """Between 0 and 1."""
    judged: Tensor
    """1.0 on the steps that have a label."""


def judged_steps(bed: ExactBed, n: int, generator: torch.Generator) -> Judged:
    """Derivations of the reference whose steps people judge until the first wrong one, n judgements in all."""
    rows, tokens = _drawn(bed, n, generator)
    right = (graded(bed, rows, tokens) == RIGHT).float()
    real = (tokens != PAD).float()
    still = torch.cat([torch.ones_like(right[:, :1]), right.cumprod(1)[:, :-1]], 1)
    judged = real * still
    kept = judged.sum(1).cumsum(0) <= n
    bed.cost["samples"] += int(kept.sum())
    bed.cost["labels"] += int(judged[kept].sum())
    return Judged(rows[kept], tokens[kept], right[kept], judged[kept])


def checked_results(bed: ExactBed, n: int, generator: torch.Generator) -> Judged:
    """n derivations of the reference; every step has the result as its label, 1.0 if it is right."""
    rows, tokens = _drawn(bed, n, generator)
    results = bed.score(rows, tokens)
    bed.cost["samples"] += n
    bed.cost["labels"] += n
    return Judged(rows, tokens, results[:, None].expand(tokens.shape), (tokens != PAD).float())


def completed(bed: ExactBed, n: int, times: int, generator: torch.Generator) -> tuple[Judged, Tensor]:
    """Derivations of the reference with n steps in all, and how many of ``times`` completions of each beginning pass.

    Completions are the reference's. Only how many of them pass is used, so that is drawn: a binomial number with
    the value of the beginning. The whole derivation needs no completion. The labels are shares that pass; every
    result that is checked counts as a label.
    """
    rows, tokens = _drawn(bed, n, generator)
    real = (tokens != PAD).float()
    kept = real.sum(1).cumsum(0) <= n
    rows, tokens, real = rows[kept], tokens[kept], real[kept]
    chance = prefix_values(bed)[rows, bed.space.index(tokens)]
    passed = torch.binomial(torch.full_like(chance, float(times)), chance.clamp(0, 1), generator=generator)
    checks = times * int(real.sum() - len(rows)) + len(rows)
    bed.cost["samples"] += checks
    bed.cost["labels"] += checks
    return Judged(rows, tokens, passed / times, real), passed


def prefix_values(bed: ExactBed) -> Tensor:
    """Chance that the reference's completion passes, after each token: (prompts, sequences, horizon), 0 on padding."""
    law = bed.reference_logps.double().exp()
    passing, reaching = bed.space.sums_below(law * bed.reward), bed.space.sums_below(law)
    return bed.space.token_logps([p / r for p, r in zip(passing, reaching, strict=True)]).float()


def result_pairs(bed: ExactBed, n: int, generator: torch.Generator) -> Pairs:
    """n pairs of the reference's derivations, one with a right result and one with a wrong."""
    from reference_impls.beds.exact import Pairs

    rows = bed.sample_prompts(n, generator)
    law, passed = bed.reference_logps[rows].exp(), bed.reward[rows]
    right, wrong = (torch.multinomial(law * w, 1, generator=generator)[:, 0] for w in (passed, 1 - passed))
    bed.cost["labels"] += n
    return Pairs(rows, bed.tokens[right], bed.tokens[wrong])


def mistake_pairs(bed: ExactBed, n: int, generator: torch.Generator) -> Pairs:
    """n pairs that part where a derivation first goes wrong: it, and one of the reference's with a right step there.

    Raises ValueError on a bed whose answers are no derivations.
    """
    from reference_impls.beds.exact import Pairs

    rows = bed.sample_prompts(n, generator)
    everything = bed.tokens.expand(n, -1, -1)
    right = graded_all(bed, rows) == RIGHT
    law = bed.reference_logps[rows].exp()
    wrong = torch.multinomial(law * ~right.all(-1), 1, generator=generator)[:, 0]
    rejected = bed.tokens[wrong]
    place = right[torch.arange(n), wrong].long().cumprod(1).sum(1)
    shared = (everything == rejected[:, None]).long().cumprod(-1).sum(-1) >= place[:, None]
    step = place[:, None, None].expand(-1, len(bed.tokens), 1)
    fine = right.gather(-1, step).squeeze(-1)
    chosen = torch.multinomial(law * (shared & fine), 1, generator=generator)[:, 0]
    bed.cost["labels"] += n
    return Pairs(rows, bed.tokens[chosen], rejected)


def _drawn(bed: ExactBed, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n of the reference's derivations on training prompts, by row and tokens: (n,) and (n, horizon)."""
    rows = bed.sample_prompts(n, generator)
    places = torch.multinomial(bed.reference_logps[rows].exp(), 1, generator=generator).squeeze(1)
    return rows, bed.tokens[places]


def graded(bed: ExactBed, rows: Tensor, tokens: Tensor) -> Tensor:
    """Grades of the steps of derivations: (n,) and (n, horizon) -> (n, horizon).

    Raises ValueError on a bed whose answers are no derivations.
    """
    return graded_all(bed, rows)[torch.arange(len(rows)), bed.space.index(tokens)]


def graded_all(bed: ExactBed, rows: Tensor) -> Tensor:
    """Grades of the steps of all derivations under prompts (n,): (n, sequences, horizon).

    Raises ValueError on a bed whose answers are no derivations.
    """
    if bed.grades is None:
        raise ValueError("this bed's answers are no derivations: set derivation to the share of right steps")
    return bed.grades[rows]


def derivation_yardsticks(logps: Tensor, whole: Tensor, passed: Tensor) -> dict[str, float | None]:
    """How often a policy's derivation is sound, and its result right: all (prompts, sequences)."""
    law = logps.exp()
    return {
        "sound_rate": float((law * whole).sum(-1).mean()),
        "pass_rate": float((law * passed).sum(-1).mean()),
    }
