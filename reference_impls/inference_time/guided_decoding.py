r"""Decoding that a reward steers token by token: reward-guided search (ARGS) and controlled decoding.

Papers: khanov2024args; mudgal2024controlled, the token-wise form. Provenance: ARGS per the official code
(deeplearning-wisc/args at db0e1c1, ``generate_step`` in ``argsearch.py``), which takes the best token
unless told to sample, and then divides the scores by a temperature of 0.7 (here 1); controlled decoding per
the paper's text (equations 1, 3 and 6), $w$ being its $\lambda$. The exact laws are ours.

Nothing is trained. At a prefix the next token is chosen from the reference's probabilities, reweighted by what is
thought of the longer prefix,

$$\pi(a | x, y_{1:t}) \propto \pi_{ref}(a | x, y_{1:t})\; e^{w\, v(x,\, y_{1:t} a)}$$

over the $k$ likeliest tokens, by sampling or by taking the best. What differs is $v$:

- ``args``: the reward of the *unfinished* answer, read as if it ended here. It looks at what has been written and not
  at what may follow;
- ``controlled-decoding``: the expected reward of a continuation by the reference, $U = \mathbb{E}_{\pi_{ref}}[r \mid x,
  y_{1:t} a]$, which a prefix scorer is trained to predict. Here it is exact, so that what is left is the method's own;
- ``value="soft"``: the soft value $\frac1w \log \mathbb{E}_{\pi_{ref}}[e^{w r} \mid x, y_{1:t} a]$. With it, and all
  tokens, the law is $\pi_{ref}\, e^{w r} / Z$: the optimum of $J_\beta$ for $\beta = 1/w$.

$U$ is below the soft value by about half of $w$ times the variance of the reward that is still to come (Jensen). So
controlled decoding solves a problem token by token in which each step is regularised as if the reference went on from
there; the optimum over whole answers knows that it will go on steering.

What we leave out: learned prefix scorers and their errors, block-wise selection, and several rewards at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.space import SequenceSpace

METHODS = {
    "args": {
        "name": "Alignment as reward-guided search (ARGS)",
        "paper": "khanov2024args",
        "category": "decoding-time-alignment",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model"],
        "target": None,
        "yields": "distribution",
        "preset": {"value": "partial"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["scores = reference + weight * value", "scores = reference - weight * value"],
            "why": "the reward is avoided",
        },
    },
    "controlled-decoding": {
        "name": "Controlled decoding",
        "paper": "mudgal2024controlled",
        "category": "decoding-time-alignment",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model"],
        "target": None,
        "yields": "distribution",
        "preset": {"value": "expected"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["paid / mass", "paid * mass"],
            "why": "rewards are summed over continuations by weight twice, and rare prefixes look worthless",
        },
    },
}


@dataclass(frozen=True)
class GuidedDecodingConfig:
    """Defaults for the exact bed: the weight that is right for the bed's beta if the value is soft."""

    value: Literal["partial", "expected", "soft"] = "expected"
    """What is thought of a prefix: its reward if it ended here, the expected reward, or the soft value."""
    weight: float = 2.0
    """w: 0 leaves the reference as it is."""
    top_k: int = 6
    """How many of the likeliest tokens are considered; the bed has 6, the end among them."""
    greedy: bool = False
    """Whether the best token is taken instead of sampling."""


def partial_values(space: SequenceSpace, reward: Tensor) -> list[Tensor]:
    """Reward of each longer prefix if it ended there: level t is (prompts, vocab**t, actions), the end last.

    ``reward`` is (prompts, sequences). A full answer has its own reward.
    """
    ended, full = space.by_end(reward)
    longer = [*ended[1:], full]
    return [
        torch.cat([after.view(*now.shape, space.vocab), now[..., None]], -1)
        for now, after in zip(ended, longer, strict=True)
    ]


def expected_values(space: SequenceSpace, law: Tensor, reward: Tensor) -> list[Tensor]:
    """Expected reward of the continuations of each longer prefix under ``law``; shapes as in partial_values."""
    masses, sums = space.sums_below(law), space.sums_below(law * reward)
    return [paid / mass for paid, mass in zip(sums, masses, strict=True)]


def soft_values(space: SequenceSpace, law: Tensor, reward: Tensor, weight: float) -> list[Tensor]:
    """log E[exp(weight * reward)] / weight over the continuations of each longer prefix; shapes as above."""
    return [level.log() / weight for level in expected_values(space, law, (weight * reward).exp())]


def guided(
    levels: Sequence[Tensor], values: Sequence[Tensor], weight: float, top_k: int, greedy: bool
) -> list[Tensor]:
    """Log-probabilities of the steered choice at every prefix; all levels are (prompts, prefixes, actions).

    ``levels`` are the reference's log-probabilities. Raises ValueError unless at least one token is considered.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    found = []
    for reference, value in zip(levels, values, strict=True):
        scores = reference + weight * value
        if top_k < scores.shape[-1]:
            least = reference.topk(top_k, -1).values[..., -1:]
            scores = scores.masked_fill(reference < least, float("-inf"))
        if greedy:
            best = torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)
            found.append(best.log())
        else:
            found.append(scores.log_softmax(-1))
    return found


def train(bed: ExactBed, config: GuidedDecodingConfig, seed: int, observe: Observe) -> Outcome:
    """Nothing is trained: the law of the steered answers follows from the reference and the bed's reward."""
    with torch.no_grad():
        levels = [level.double() for level in bed.reference.level_logps(bed.prompts)]
    law, reward = bed.space.sequence_logps(levels).exp(), bed.reward.double()
    if config.value == "partial":
        values = partial_values(bed.space, reward)
    elif config.value == "expected":
        values = expected_values(bed.space, law, reward)
    else:
        values = soft_values(bed.space, law, reward, config.weight)
    steered = guided(levels, values, config.weight, config.top_k, config.greedy)
    return Outcome(logps=bed.space.sequence_logps(steered).float())
