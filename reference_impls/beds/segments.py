r"""Preferences between segments: a few tokens out of the middle of an answer, compared with a few of another.

The gold reward adds up over tokens (what an answer would score if it stopped, token by token), so a segment has a
*return*. It also has a *regret*, how much it falls short of writing optimally from where it starts: minus the sum of
its tokens' advantages $A^*(s, a) = Q^*(s, a) - V^*(s) = \beta \log\frac{\pi^*(a|s)}{\pi_{ref}(a|s)}$ in the token-level
problem with a price for leaving the reference. Judges are Bradley and Terry's in either. For whole answers to one
prompt both are the same comparison, since advantages add up to $r(x, y) - V^*(x)$.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reference_impls.beds.steps import stopped_scores
from reference_impls.core.space import PAD

if TYPE_CHECKING:
    from reference_impls.beds.exact import ExactBed

SIMULATORS = {
    "segment_pairs": {
        "feedback": "pairs",
        "gives": "which of two segments is preferred, by return or by regret",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "segment",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
}


@dataclass(frozen=True)
class SegmentPairs:
    """Pairs of segments: prompts (n,) are row numbers, the others are (n, horizon)."""

    prompts: Tensor
    chosen: Tensor
    """The answer that the preferred segment is part of."""
    rejected: Tensor
    chosen_part: Tensor
    """1.0 on the segment's tokens."""
    rejected_part: Tensor

    def batch(self, size: int, generator: torch.Generator) -> SegmentPairs:
        """A random batch, drawn with replacement."""
        picks = torch.randint(len(self.prompts), (size,), generator=generator, device=generator.device)
        return SegmentPairs(*(x[picks] for x in vars(self).values()))


def segment_pairs(bed: ExactBed, n: int, length: int, judge: str, generator: torch.Generator) -> SegmentPairs:
    """n labelled pairs of segments of at most ``length`` tokens from the reference's answers to one prompt.

    Each starts at a token of its answer drawn uniformly, so that the two may start in different states; a segment
    that reaches the end of its answer is shorter. ``length`` 0 takes whole answers. Raises ValueError for a judge
    other than return or regret.
    """
    if judge not in ("return", "regret"):
        raise ValueError(f"unknown judge {judge!r}; choose return or regret")
    worth = token_rewards(bed) if judge == "return" else token_advantages(bed)
    rows = bed.sample_prompts(n, generator)
    places = torch.multinomial(bed.reference_logps[rows].exp(), 2, replacement=True, generator=generator)
    tokens = bed.tokens[places]
    parts = _parts(tokens, length, generator)
    sums = (worth[rows[:, None], places] * parts).sum(-1)
    first = torch.rand(n, generator=generator, device=bed.device) < torch.sigmoid(sums[:, 0] - sums[:, 1])
    order = torch.where(first[:, None], torch.tensor([[0, 1]]), torch.tensor([[1, 0]]))[..., None]
    tokens, parts = (x.gather(1, order.expand_as(x)) for x in (tokens, parts))
    bed.cost["labels"] += n
    return SegmentPairs(rows, tokens[:, 0], tokens[:, 1], parts[:, 0], parts[:, 1])


def _parts(tokens: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """1.0 on a segment of each answer: tokens (..., horizon) -> the same shape."""
    real = tokens != PAD
    if length == 0:
        return real.float()
    draws = torch.rand(tokens.shape[:-1], generator=generator, device=tokens.device)
    start = (draws * real.sum(-1)).floor().long()[..., None]
    place = torch.arange(tokens.shape[-1], device=tokens.device)
    return (real & (place >= start) & (place < start + length)).float()


def token_rewards(bed: ExactBed) -> Tensor:
    """What each token of each answer adds to its reward: (prompts, sequences, horizon), 0 on padding."""
    found = []
    for row in range(len(bed.prompts)):
        rows = torch.full((len(bed.tokens),), row, device=bed.device)
        found.append(stopped_scores(bed, rows, bed.tokens).diff(dim=1))
    return torch.stack(found)


def token_advantages(bed: ExactBed) -> Tensor:
    """The optimal advantage of each token of each answer, price of leaving the reference included: same shape."""
    levels = conditional_logps(bed, bed.optimum())
    reference = bed.space.token_logps(conditional_logps(bed, bed.reference_logps))
    return bed.beta * (bed.space.token_logps(levels) - reference)


def conditional_logps(bed: ExactBed, logps: Tensor) -> list[Tensor]:
    """Next-token log-probabilities at every prefix from those of all answers: level t (prompts, vocab**t, actions)."""
    below = bed.space.sums_below(logps.double().exp())
    return [(b / b.sum(-1, keepdim=True)).log().float() for b in below]
