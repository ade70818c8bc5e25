r"""Best-of-n sampling, through its exact distribution.

Papers: nakano2021webgpt and stiennon2020learning (as a baseline). Provenance: per the paper's text for what
is kept (section 3.2 of the former); the exact distribution is derived here, and is theorem 1 of
sessa2025bond, which breaks ties by any strict order, where they are shared here.

Draw $n$ answers from the reference and keep the one with the highest reward. With $F(r)$ the reference's
probability of a reward at most $r$, and $F(r^-)$ strictly below, the kept answer's law is

$$\pi_n(y) = \pi_{ref}(y)\,\frac{F(r(y))^n - F(r(y)^-)^n}{F(r(y)) - F(r(y)^-)}$$

(answers of equal reward share their mass in proportion to the reference). Without ties, as the answers'
probabilities vanish, $\mathrm{KL}(\pi_n \| \pi_{ref}) \to \log n - \frac{n-1}{n}$; on a discrete space that value is an
upper bound.

What we leave out: sampling itself (the distribution is computed, not estimated), and training a policy on the
winners (methods of their own). It is an inference-time method: nothing is trained here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome

METHODS = {
    "best-of-n": {
        "name": "Best-of-n",
        "paper": "nakano2021webgpt",
        "category": "best-of-n",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": None,
        "yields": "distribution",
        "preset": {},
        "knob": {"name": "n", "values": [2, 4, 8, 16, 64]},
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["at_most**n - below**n", "at_most ** (n - 1) - below ** (n - 1)"],
            "why": "an off-by-one in the exponent: best of n - 1",
        },
    },
}


@dataclass(frozen=True)
class BestOfNConfig:
    """Defaults for the exact bed."""

    n: int = 16
    """Answers drawn per prompt."""


def best_of_n(reference: Tensor, reward: Tensor, n: int) -> Tensor:
    """Exact law of the best of n answers: log-probabilities and rewards (..., sequences) -> the same.

    Raises ValueError unless n is at least 1.
    """
    if n < 1:
        raise ValueError(f"best-of-n needs n >= 1, not {n}")
    values, order = reward.double().sort(-1)
    law = reference.double().softmax(-1).gather(-1, order)
    cumulative = torch.cat([torch.zeros_like(law[..., :1]), law.cumsum(-1)], -1)
    below = cumulative.gather(-1, torch.searchsorted(values, values, right=False))
    at_most = cumulative.gather(-1, torch.searchsorted(values, values, right=True))
    gap = at_most - below
    share = torch.where(gap > 0, (at_most**n - below**n) / gap, n * at_most ** (n - 1))
    return torch.empty_like(law).scatter(-1, order, torch.log(law * share)).to(reference.dtype)


def train(bed: ExactBed, config: BestOfNConfig, seed: int, observe: Observe) -> Outcome:
    """Nothing is trained: the distribution follows from the reference and the bed's reward."""
    return Outcome(logps=best_of_n(bed.reference_logps, bed.reward, config.n))
