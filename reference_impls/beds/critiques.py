r"""Critiques: a critic who says of a single answer which token to change, and into what.

A possible critique names a place and another symbol for it, or says that nothing should be changed. With $\Delta$ the
utility that the change would add (0 for none) the critic says

$$p(\mathrm{critique} \mid x, y) = (1 - \epsilon)\, \frac{e^{\Delta}}{\sum e^{\Delta'}} + \epsilon\, \frac1m$$

with $m$ the number of possible critiques: the same carelessness as that of the annotators of pairs, who are this with
two possible answers, and a share $\epsilon$ of critiques made blindly. The end token is not criticised, so that length
stays. A critic may also name the place alone. What a critique is worth at most is counted in bits: $\log_2$ of the
number of things that could have been said, less the entropy of what is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.space import PAD

SIMULATORS = {
    "critiques": {
        "feedback": "language",
        "gives": "which token of an answer to change and into what, or that nothing should be changed",
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "instructive",
            "explicitness": "explicit",
        },
    },
}


@dataclass(frozen=True)
class Critiques:
    """What was said of n answers: places (n,) from 0, -1 for praise, and symbols (n,), 0 where none is named."""

    places: Tensor
    symbols: Tensor


def changed(bed: ExactBed, tokens: Tensor) -> Tensor:
    """Every answer with each place's token changed into each symbol: (n, horizon) -> (n, horizon, vocab, horizon)."""
    horizon, vocab = bed.space.horizon, bed.space.vocab
    copies = tokens[:, None, None].repeat(1, horizon, vocab, 1)
    place = torch.arange(horizon, device=tokens.device)
    copies[:, place, :, place] = torch.arange(1, vocab + 1, device=tokens.device)
    return copies


def possible(bed: ExactBed, tokens: Tensor) -> Tensor:
    """Which changes a critic can ask for: of a symbol into another, (n, horizon) -> (n, horizon * vocab + 1).

    The last one is to change nothing.
    """
    symbols = torch.arange(1, bed.space.vocab + 1, device=tokens.device)
    real = (tokens != PAD) & (tokens <= bed.space.vocab)
    asked = real[..., None] & (tokens[..., None] != symbols)
    return torch.cat([asked.flatten(1), torch.ones_like(real[:, :1])], 1)


def critique_law(bed: ExactBed, rows: Tensor, tokens: Tensor, errors: float) -> Tensor:
    """Probability of each critique of answers (n, horizon) to prompts (n,): (n, horizon * vocab + 1).

    Place by place, symbol by symbol, and praise last. Raises ValueError for a share of errors outside [0, 1].
    """
    if not 0 <= errors <= 1:
        raise ValueError(f"a share of blind critiques lies between 0 and 1, not at {errors}")
    allowed = possible(bed, tokens)
    others = bed.space.index(changed(bed, tokens).flatten(0, 2)).view(len(tokens), -1)
    gains = bed.utility[rows[:, None], others] - bed.utility[rows, bed.space.index(tokens)][:, None]
    gains = torch.cat([gains, torch.zeros_like(gains[:, :1])], 1)
    seen = torch.where(allowed, gains, -math.inf).softmax(-1)
    return (1 - errors) * seen + errors * allowed / allowed.sum(-1, keepdim=True)


def critiques(
    bed: ExactBed,
    rows: Tensor,
    tokens: Tensor,
    errors: float,
    generator: torch.Generator,
    place_only: bool = False,
) -> Critiques:
    """One critique of each answer; costs a label each."""
    law = critique_law(bed, rows, tokens, errors)
    said = torch.multinomial(law, 1, generator=generator).squeeze(1)
    bed.cost["labels"] += len(rows)
    praise = said == law.shape[1] - 1
    places = torch.where(praise, -1, said // bed.space.vocab)
    symbols = torch.where(praise | place_only, 0, said % bed.space.vocab + 1)
    return Critiques(places, symbols)


def bits(bed: ExactBed, errors: float, place_only: bool = False) -> float:
    """What a critique of a reference answer tells at most, in bits, over training prompts."""
    total = 0.0
    every = bed.tokens
    for row in bed.train_rows:
        rows = row.expand(len(every))
        law, allowed = critique_law(bed, rows, every, errors), possible(bed, every)
        if place_only:
            law, allowed = _by_place(bed, law), _by_place(bed, allowed.float()) > 0
        entropy = -(law * law.clamp(min=1e-30).log2()).sum(-1)
        told = allowed.sum(-1).double().log2() - entropy
        total += float((bed.reference_logps[row].exp() * told).sum())
    return total / len(bed.train_rows)


def bits_of_a_pair(bed: ExactBed, n: int, generator: torch.Generator) -> float:
    """What the label of a pair tells at most, in bits, over n pairs: 1 less the entropy of the label. Costs nothing."""
    rows = bed.sample_prompts(n, generator)
    chance = bed.win_chance(rows, bed.draw_pairs(rows, generator)).double().clamp(1e-12, 1 - 1e-12)
    entropy = -(chance * chance.log2() + (1 - chance) * (1 - chance).log2())
    return float((1 - entropy).mean())


def refined(bed: ExactBed, logps: Tensor, errors: float, taken: float) -> Tensor:
    """Log-probabilities after one critique of each answer is taken up with probability ``taken``: (prompts, sequences).

    ``logps`` is the law of the answers that are criticised; critics name place and symbol.
    """
    every, result = bed.tokens, []
    others = bed.space.index(changed(bed, every).flatten(0, 2)).view(len(every), -1)
    for row, law in enumerate(logps.double().exp()):
        said = critique_law(bed, torch.full_like(every[:, 0], row), every, errors)[:, :-1]
        moved = taken * law[:, None] * said
        after = (law - moved.sum(1)).scatter_add(0, others.flatten(), moved.flatten())
        result.append(after.log())
    return torch.stack(result).to(logps)


def _by_place(bed: ExactBed, values: Tensor) -> Tensor:
    """Sums over the symbols of each place, praise kept apart: (n, horizon * vocab + 1) -> (n, horizon + 1)."""
    return torch.cat([values[:, :-1].unflatten(1, (-1, bed.space.vocab)).sum(-1), values[:, -1:]], 1)
