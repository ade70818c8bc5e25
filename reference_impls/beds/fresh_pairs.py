"""Pairs for measuring a reward model: fresh, drawn from the reference, and judged by the true reward without noise."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed

PAIRS = 2000
"""Pairs per prompt."""


def ordered_rightly(bed: ExactBed, scores: Tensor, reward: Tensor, rows: Tensor, seed: int) -> float:
    """Share of random pairs that scores and reward, (prompts, sequences), order alike.

    ``rows`` are the prompts to ask about. A tie of the scores counts half; pairs that the reward ties, the same answer
    twice among them, are left out. The same seed gives the same pairs.
    """
    draw, alike, asked = bed.generator(seed), 0.0, 0
    for row in rows.tolist():
        law = bed.reference_logps[row].exp()
        first, second = torch.multinomial(law, 2 * PAIRS, replacement=True, generator=draw).view(2, PAIRS)
        given = torch.sign(scores[row, first] - scores[row, second])
        truth = torch.sign(reward[row, first] - reward[row, second])
        alike += float((1 + given * truth)[truth != 0].sum()) / 2
        asked += int((truth != 0).sum())
    return alike / asked
