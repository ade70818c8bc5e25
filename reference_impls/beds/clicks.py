r"""Clicks on lists of answers: what stands first is seen, and clicked, more often than it deserves.

A session shows some reference answers to one prompt in the order of an old ranker, whose score correlates with
the utility by :data:`RANKER` and for the rest follows the bed's second utility. The user looks at position $k$
with probability $k^{-\eta}$ and clicks on what is looked at with probability $\sigma(r(x, y) - b)$, $b = $
:data:`BAR`: the position-based model. Nobody marks what was not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed

RANKER = 0.3
BAR = 1.0

SIMULATORS = {
    "click_sessions": {
        "feedback": "implicit",
        "gives": "clicks on answers shown in an old ranker's order, to users who look at the top first",
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "none",
            "explicitness": "implicit",
        },
    },
}


@dataclass(frozen=True)
class Sessions:
    """Lists as they were shown: prompts (n,) are rows; answers, by their places, and clicks are (n, size)."""

    prompts: Tensor
    answers: Tensor
    clicks: Tensor
    """1.0 where an answer was clicked."""

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.prompts)


def examination(size: int, bias: float) -> Tensor:
    """Probability that a user looks at each position, 1 at the first: (size,)."""
    return torch.arange(1, size + 1).float() ** -bias


def click_sessions(bed: ExactBed, n: int, size: int, bias: float, generator: torch.Generator) -> Sessions:
    """n sessions of ``size`` reference answers on training prompts; an answer shown is counted as a label."""
    rows = bed.sample_prompts(n, generator)
    drawn = torch.multinomial(bed.reference_logps[rows].exp(), size, replacement=True, generator=generator)
    utility = bed.utility[rows[:, None], drawn]
    score = RANKER * utility + (1 - RANKER**2) ** 0.5 * bed.second_utility[rows[:, None], drawn]
    order = score.argsort(-1, descending=True)
    chance = torch.sigmoid(utility.gather(-1, order) - BAR) * examination(size, bias).to(bed.device)
    clicks = (torch.rand(n, size, generator=generator, device=bed.device) < chance).float()
    bed.cost["labels"] += n * size
    return Sessions(rows, drawn.gather(-1, order), clicks)
