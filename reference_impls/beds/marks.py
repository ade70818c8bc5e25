r"""Marks on a scale of a few levels, by raters with scales of their own; and comparisons by the same raters.

Rater $u$ feels $a_u + b_u\,r(x, y) + \epsilon$ about one answer and gives as many points as there are cut
points below. Offsets $a_u$ are normal, scales $b_u$ log-normal around 1, and $\epsilon$ is logistic with scale
$1/\sqrt2$, so that two marks differ by as much noise (standard deviation 1.81 of the gold reward's) as one
comparison holds. Of two answers the same rater prefers the first with probability $\sigma(b_u \Delta)$: the
offset cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed

NOISE = 1 / sqrt(2)
SPAN = 1.5

SIMULATORS = {
    "marks": {
        "feedback": "scalar",
        "gives": "points on a scale of a few levels, by raters with offsets and scales of their own",
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
    """One mark a row, each (n,): prompt rows, answers by their places in the space, raters, and points from 0."""

    prompts: Tensor
    answers: Tensor
    raters: Tensor
    points: Tensor

    def __len__(self) -> int:
        """Number of marks."""
        return len(self.prompts)


@dataclass(frozen=True)
class Crew:
    """Raters' offsets and scales, each (raters,)."""

    offset: Tensor
    scale: Tensor


def crew(bed: ExactBed, raters: int, offsets: float, scales: float, generator: torch.Generator) -> Crew:
    """Raters with normal offsets and log-normal scales of the given spreads; the median rater has 0 and 1."""
    draw = torch.randn(2, raters, generator=generator, device=bed.device)
    return Crew(offsets * draw[0], (scales * draw[1]).exp())


def cut_points(levels: int) -> Tensor:
    """Evenly spaced cut points between levels, from -1.5 to 1.5; a single one is 0: (levels - 1,)."""
    return torch.linspace(-SPAN, SPAN, levels - 1) if levels > 2 else torch.zeros(1)


def marks(
    bed: ExactBed, n: int, levels: int, people: Crew, generosity: float, generator: torch.Generator
) -> Marks:
    """n marks of reference answers on training prompts, each by a random rater; each costs a label.

    ``generosity`` is added to what everybody feels: with a large one most marks are at the top of the scale.
    """
    rows = bed.sample_prompts(n, generator)
    drawn = torch.multinomial(bed.reference_logps[rows].exp(), 1, generator=generator)[:, 0]
    who = torch.randint(len(people.scale), (n,), generator=generator, device=bed.device)
    uniform = torch.rand(n, generator=generator, device=bed.device).clamp(1e-6, 1 - 1e-6)
    felt = people.offset[who] + people.scale[who] * bed.utility[rows, drawn] + NOISE * torch.logit(uniform)
    points = (felt[:, None] + generosity > cut_points(levels).to(bed.device)).sum(1)
    bed.cost["labels"] += n
    return Marks(rows, drawn, who, points)


def comparisons(
    bed: ExactBed, n: int, people: Crew, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """n comparisons by the same raters: prompt rows, winners and losers by their places, each (n,)."""
    rows = bed.sample_prompts(n, generator)
    drawn = bed.draw_pairs(rows, generator)
    who = torch.randint(len(people.scale), (n,), generator=generator, device=bed.device)
    utility = bed.utility[rows[:, None], drawn]
    chance = torch.sigmoid(people.scale[who] * (utility[:, 0] - utility[:, 1]))
    wins = torch.rand(n, generator=generator, device=bed.device) < chance
    bed.cost["labels"] += n
    first, second = drawn.T
    return rows, torch.where(wins, first, second), torch.where(wins, second, first)
