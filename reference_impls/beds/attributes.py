"""Ratings on two attributes, and people who weigh them by the prompt.

The first attribute is the bed's utility, the second another reward of the same make with a chosen correlation to it
(that of the second population in ``beds/annotators.py``). Raters mark each attribute by itself. People who compare two
answers as a whole weigh the attributes, in half of the prompts mostly the first and in the others mostly the second,
and nobody writes the weights down.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.annotators import population_rewards
from reference_impls.beds.exact import ExactBed

SIMULATORS = {
    "attribute_ratings": {
        "feedback": "scalar",
        "gives": "a noisy mark of an answer on each of two attributes",
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


@dataclass(frozen=True)
class Marks:
    """Answers with a mark on each attribute: prompts (n,), answers (n,) by place in the space, grades (n, 2)."""

    prompts: Tensor
    answers: Tensor
    grades: Tensor


def attribute_rewards(bed: ExactBed, agreement: float) -> Tensor:
    """Both attributes of every answer: (2, prompts, sequences), each with mean 0 and sd 1 under the reference."""
    return population_rewards(bed, agreement)


def prompt_weights(bed: ExactBed, lean: float) -> Tensor:
    """What people weigh the two attributes by: (prompts, 2), ``lean`` and 1 - lean, turned round in half of them."""
    value = bed.prompts[:, 0] - bed.prompts[:, 0].min()
    first = torch.where(value < bed.config.attributes / 2, lean, 1 - lean)
    return torch.stack([first, 1 - first], 1)


def mixed(rewards: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of attributes: (2, prompts, sequences) and (prompts, 2) -> (prompts, sequences)."""
    return (weights.T[:, :, None] * rewards).sum(0)


def attribute_ratings(
    bed: ExactBed, rewards: Tensor, n: int, noise: float, unit: float, generator: torch.Generator
) -> Marks:
    """Marks of n reference answers, two labels each: attributes plus noise, the second's marks times ``unit``."""
    rows = bed.sample_prompts(n, generator)
    answers = torch.multinomial(bed.reference_logps[rows].exp(), 1, generator=generator).squeeze(1)
    grades = rewards[:, rows, answers].T + noise * torch.randn(n, 2, generator=generator, device=bed.device)
    bed.cost["labels"] += 2 * n
    return Marks(rows, answers, grades * torch.tensor([1.0, unit], device=bed.device))


def weighed_pairs(
    bed: ExactBed, utility: Tensor, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """n Bradley-Terry comparisons by a utility (prompts, sequences): prompts, winners, losers, by place, (n,) each."""
    rows = bed.sample_prompts(n, generator)
    drawn = bed.draw_pairs(rows, generator)
    margin = utility[rows, drawn[:, 0]] - utility[rows, drawn[:, 1]]
    first = torch.rand(n, generator=generator, device=bed.device) < torch.sigmoid(margin)
    bed.cost["labels"] += n
    winners = torch.where(first, drawn[:, 0], drawn[:, 1])
    return rows, winners, torch.where(first, drawn[:, 1], drawn[:, 0])
