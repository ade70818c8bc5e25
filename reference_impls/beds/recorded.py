"""Recorded answers with scores: what somebody wrote once, for methods that may not sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reference_impls.core.space import PAD

if TYPE_CHECKING:
    from reference_impls.beds.exact import ExactBed

FLATNESS = {"reference": 1.0, "flatter": 2.0}
"""Temperature at which each writer uses the reference's probabilities of whole answers."""


@dataclass(frozen=True)
class Recorded:
    """Scored answers: prompts (n,) are row numbers, tokens (n, horizon), scores (n,)."""

    prompts: Tensor
    tokens: Tensor
    scores: Tensor

    @property
    def mask(self) -> Tensor:
        """1.0 on real tokens: (n, horizon)."""
        return (self.tokens != PAD).float()

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.prompts)

    def pick(self, places: Tensor) -> Recorded:
        """The answers at these places."""
        return Recorded(self.prompts[places], self.tokens[places], self.scores[places])


def writer_logps(bed: ExactBed, writer: str) -> Tensor:
    """log-probabilities of every answer under who wrote the record: (prompts, sequences).

    Raises ValueError for an unknown writer.
    """
    if writer not in FLATNESS:
        raise ValueError(f"unknown writer {writer!r}; choose {' or '.join(FLATNESS)}")
    return (bed.reference_logps / FLATNESS[writer]).log_softmax(-1)


def recorded(bed: ExactBed, n: int, writer: str, generator: torch.Generator) -> Recorded:
    """n answers by ``writer`` to training prompts, scored as the bed scores, and counted as its cost."""
    rows = bed.sample_prompts(n, generator)
    law = writer_logps(bed, writer).exp()
    drawn = torch.multinomial(law[rows], 1, generator=generator).squeeze(1)
    tokens = bed.tokens[drawn]
    bed.cost["samples"] += n
    bed.cost["tokens"] += int((tokens != PAD).sum())
    return Recorded(rows, tokens, bed.score(rows, tokens))


def prompt_means(record: Recorded, prompts: int) -> Tensor:
    """Mean score of each prompt's recorded answers, 0 for a prompt without any: (prompts,)."""
    total = torch.zeros(prompts, device=record.scores.device).index_add(0, record.prompts, record.scores)
    return total / record.prompts.bincount(minlength=prompts).clamp(min=1)
