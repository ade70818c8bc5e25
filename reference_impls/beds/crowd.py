r"""Votes of a crowd whose members differ in care: several people may be asked about the same pair.

Annotator $k$ reports what a Bradley-Terry judge would say with probability $\eta_k$, and the opposite
otherwise, so that the first answer gets the vote with probability $\eta_k\,\sigma(\Delta) + (1 -
\eta_k)\,\sigma(-\Delta)$. A share of the crowd is careless, with a reliability near the coin's $\frac12$.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed

SIMULATORS = {
    "crowd_votes": {
        "feedback": "pairs",
        "gives": "one or more votes on each pair, by annotators of differing reliability",
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
class Votes:
    """Votes on pairs: prompts (n,) are rows, pairs (n, 2) places in the space, who voted and how (n, votes)."""

    prompts: Tensor
    pairs: Tensor
    annotators: Tensor
    first: Tensor
    """1.0 where the vote is for the first answer of the pair."""
    reliability: Tensor
    """Each annotator's own, (annotators,); hidden from what has to infer it."""

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.prompts)


def crowd_votes(
    bed: ExactBed,
    pairs: int,
    votes: int,
    annotators: int,
    careless: float,
    reliabilities: tuple[float, float],
    generator: torch.Generator,
) -> Votes:
    """Votes on pairs of reference answers on training prompts; each vote costs a label.

    ``reliabilities`` are those of careful and of careless annotators, the latter a share ``careless`` of the crowd,
    met up to rounding. A pair's voters are different people.
    """
    rows = bed.sample_prompts(pairs, generator)
    drawn = bed.draw_pairs(rows, generator)
    order = torch.rand(pairs, annotators, generator=generator, device=bed.device).argsort(-1)
    who = order[:, :votes]
    is_careless = torch.arange(annotators, device=bed.device) < round(careless * annotators)
    reliability = torch.where(is_careless, reliabilities[1], reliabilities[0])
    utility = bed.utility[rows[:, None], drawn]
    honest = torch.sigmoid(utility[:, :1] - utility[:, 1:])
    eta = reliability[who]
    chance = eta * honest + (1 - eta) * (1 - honest)
    first = (torch.rand(pairs, votes, generator=generator, device=bed.device) < chance).float()
    bed.cost["labels"] += pairs * votes
    return Votes(rows, drawn, who, first, reliability)
