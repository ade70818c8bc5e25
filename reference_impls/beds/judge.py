r"""A judge in place of people: cheap, tireless, and systematically wrong in ways that can be chosen.

What the judge thinks of an answer is its opinion

$$q = \sqrt{1 - e^2}\; r + e\, u + h\, \phi,$$

with $r$ the gold reward, $u$ a taste of its own (a second reward of the same make, independent of gold), and $\phi$ the
share of symbol 1, which pleases it although gold is blind to it: $h$ is the bed's ``hack``, the planted blind spot. The
opinion is the same whenever it is asked: more calls do not correct it.

Asked which of two answers is better it gives a log-odds, the difference of opinions plus a bias for what is shown first
plus noise of its own in every call; asked for a grade it gives the log-odds of the marks 1 to 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed, _raw_reward, standardise

SIMULATORS = {
    "verdicts": {
        "feedback": "pairs",
        "gives": "the log-odds with which a biased judge prefers one of two answers, in either order of presentation",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
    "grades": {
        "feedback": "scalar",
        "gives": "the log-odds of each mark from 1 to 10 that the judge may give to an answer",
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

MARKS = 10
MARKS_PER_SD = 1.5
"""How many marks better an answer is whose opinion is one standard deviation higher; 5.5 is the mean."""


def opinion(bed: ExactBed, error: float) -> Tensor:
    """What the judge thinks of every answer: (prompts, sequences). Raises ValueError unless 0 <= error <= 1."""
    if not 0 <= error <= 1:
        raise ValueError(f"a judge's error lies between 0 and 1, not at {error}")
    grid = bed.prompts.cpu() - bed.prompts.cpu().min(0).values
    draw = torch.Generator().manual_seed(bed.instance * 7919 + 61)
    taste = _raw_reward(bed.space, grid, bed.config.attributes, draw).to(bed.device)
    own = standardise(taste, bed.reference_logps)
    return math.sqrt(1 - error**2) * bed.gold + error * own + (bed.config.hack or 0.0) * bed.planted


def verdicts(
    bed: ExactBed,
    opinions: Tensor,
    rows: Tensor,
    pairs: Tensor,
    position_bias: float,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """Log-odds that the answer *shown first* is better, (n, 2): the pair as given, then the other way round.

    ``rows`` (n,) are prompts and ``pairs`` (n, 2) the answers' places in the space. Costs are the caller's to count.
    """
    first, second = (opinions[rows, pairs[:, i]] for i in (0, 1))
    shown = torch.stack([first - second, second - first], 1)
    return shown + position_bias + noise * torch.randn(shown.shape, generator=generator, device=bed.device)


def grades(
    bed: ExactBed, opinions: Tensor, rows: Tensor, places: Tensor, noise: float, generator: torch.Generator
) -> Tensor:
    """Log-odds of the marks 1 to 10 for each answer, a bell around its true mark: (n, 10)."""
    seen = opinions[rows, places]
    seen = seen + noise * torch.randn(seen.shape, generator=generator, device=bed.device)
    marks = torch.arange(1, MARKS + 1, device=bed.device)
    return -((marks - (1 + MARKS) / 2 - MARKS_PER_SD * seen[:, None]) ** 2) / 2
