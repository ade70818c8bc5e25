r"""Comparisons with a strength: the annotator feels a difference, and may also say how large it is or call a tie.

An annotator who compares two answers feels $\Delta + \epsilon$: the difference of utility plus noise. Its sign is the
verdict. Its size, on a scale of grades with cut points :data:`CUTS`, is what Llama 2's annotators were asked for beside
it (0 is "negligibly better", 3 "significantly better"). The noise is logistic, so that the verdicts are Bradley and
Terry's, unless the bed's switch ``raters`` says otherwise:

* ``thurstone``: the noise is normal, with the slope of the logistic at 0;
* ``ties``: what is felt between $-\log\theta$ and $\log\theta$ is called a tie, which is Rao and Kupper's model;
* ``flips``: the verdict is written down the wrong way round at rate :data:`reference_impls.beds.raters.FLIPS`;
* ``cyclic`` and ``mixed``: the difference is not one of utilities alone.

The verdicts, ties broken by a coin, have exactly the chances that :meth:`ExactBed.win_chance` states.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.raters import CYCLE, FLIPS, TIES

CUTS = (0.5, 1.5, 3.0)

SIMULATORS = {
    "graded_pairs": {
        "feedback": "pairs",
        "gives": "which of two answers is preferred, how strongly, and whether it is a tie",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
}


@dataclass(frozen=True)
class GradedPairs:
    """Pairs by their places in the space of answers, each (n,): prompt rows, winners, losers, grades and ties."""

    prompts: Tensor
    chosen: Tensor
    rejected: Tensor
    grade: Tensor
    """How much better, 0 to ``len(CUTS)``."""
    tied: Tensor
    """True where a tie was called; which answer is then the "chosen" one was left to a coin."""

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.prompts)


def graded_pairs(bed: ExactBed, n: int, generator: torch.Generator) -> GradedPairs:
    """n graded comparisons of reference answers on training prompts; each costs a label."""
    rows = bed.sample_prompts(n, generator)
    drawn = bed.draw_pairs(rows, generator)
    felt = _felt(bed, rows, drawn, generator)
    grade = (felt.abs()[:, None] > torch.tensor(CUTS, device=bed.device)).sum(1)
    tied = torch.zeros(n, dtype=torch.bool, device=bed.device)
    coin = torch.rand(n, generator=generator, device=bed.device)
    if bed.config.raters == "ties":
        tied = felt.abs() < log(TIES)
        felt = torch.where(tied, coin - 0.5, felt)
    if bed.config.raters == "flips":
        felt = torch.where(coin < FLIPS, -felt, felt)
    bed.cost["labels"] += n
    first, second = drawn.T
    wins = felt > 0
    return GradedPairs(rows, torch.where(wins, first, second), torch.where(wins, second, first), grade, tied)


def _felt(bed: ExactBed, rows: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
    """The difference as it is felt, noise included: (n,)."""
    first, second = drawn.T
    mean = bed.utility[rows, first] - bed.utility[rows, second]
    kind = bed.config.raters
    if kind in ("cyclic", "mixed"):
        turn = bed.second_utility[rows, first] - bed.second_utility[rows, second]
        coin = torch.rand(len(rows), generator=generator, device=bed.device)
        mean = mean + (CYCLE * torch.sin(turn) if kind == "cyclic" else torch.where(coin < 0.5, turn, -turn))
    if kind == "thurstone":
        return mean + 4 / sqrt(2 * pi) * torch.randn(len(rows), generator=generator, device=bed.device)
    uniform = torch.rand(len(rows), generator=generator, device=bed.device).clamp(1e-6, 1 - 1e-6)
    return mean + torch.logit(uniform)
