r"""Weighted imitation of recorded answers: behaviour cloning, advantage-weighted regression, A-LoL.

Papers: peng2019advantage and baheti2024leftover. Provenance: A-LoL per the official code (abaheti95/LoL-RL at
9f8d816, ``train_generation_task_with_off_policy_PG.py``, "a_lol" and "a_lol_ref_free", whose variables called
log_probs hold their negatives); advantage-weighted regression is a reconstruction for whole answers. Its
authors' code (xbpeng/awr at 831442f, ``awr_agent.py``) has the same weights, but of advantages that are
first brought to mean 0 and deviation 1 over all records, and cuts them at 20.

Somebody wrote answers $y \sim \mu(\cdot|x)$ once, and each has a score. The value $V(x)$ is the mean of a
prompt's scores and $A = r - V$. All four descend

$$L(\theta) = -\mathbb{E}_{y \sim \mu}\bigl[w(y)\,\log\pi_\theta(y|x)\bigr],$$

which is least at $\pi \propto \mu\,w$ as long as the weight does not depend on $\theta$:

| | weight $w$ | ends at |
|-|-|-|
| behaviour cloning | $1$ | $\mu$ |
| advantage-weighted regression | $e^{A/\beta}$ | $\mu\,e^{r/\beta}$: the optimum of $J_\beta$ if $\mu = \pi_{ref}$ |
| the same, weights cut at $c$ | $\min(e^{A/\beta}, c)$ | the same tilt, level above $A = \beta\log c$ |
| A-LoL without the ratio | $\max(A, 0)$ | $\mu\,\max(A, 0)$: nothing below the mean is left |
| A-LoL | $\max(A, 0)\,\mathrm{clip}(\pi_\theta / \pi_{ref}, 1 \pm \epsilon)$ | no closed form |

A-LoL's ratio, a number that follows the policy, makes this the gradient of $E_\pi[\max(A, 0)]$ for as long as
it is not clipped: it has no pull to the reference, and only the clip ends the climb.

What we leave out: a value network (a prompt's mean is a better estimate here), sampling in proportion to the
advantage (the same weights in another form), A-LoL with a ratio for each token and with a KL term, and a replay
buffer that is written again by the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.recorded import prompt_means, recorded, writer_logps
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "awr": {
        "name": "Advantage-weighted regression",
        "paper": "peng2019advantage",
        "category": "offline-rl",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference"],
        "target": "J_beta of the recorded scores, if the reference wrote the answers",
        "yields": "policy",
        "preset": {"weighting": "exponential"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["(advantages / beta).exp()", "(advantages * 0).exp()"],
            "why": "every answer counts the same, and nothing is learned from the scores",
        },
    },
    "a-lol": {
        "name": "Advantage-leftover lunch RL (A-LoL)",
        "paper": "baheti2024leftover",
        "category": "offline-rl",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference"],
        "target": "the mean positive advantage of the policy, up to where the ratio is clipped",
        "yields": "policy",
        "preset": {"weighting": "positive", "ratio_clip": 0.9},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["advantages.clamp(min=0)", "-advantages.clamp(max=0)"],
            "why": "the answers below the mean are imitated",
        },
    },
    "a-lol-ref-free": {
        "name": "A-LoL without the ratio",
        "paper": "baheti2024leftover",
        "category": "offline-rl",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference"],
        "target": "the law of the answers' writer times the positive advantage",
        "yields": "policy",
        "preset": {"weighting": "positive"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["advantages.clamp(min=0)", "-advantages.clamp(max=0)"],
            "why": "the answers below the mean are imitated",
        },
    },
}


@dataclass(frozen=True)
class WeightedImitationConfig:
    """Defaults for the exact bed; the papers' own values are named where they differ."""

    weighting: Literal["none", "exponential", "positive"] = "exponential"
    ceiling: float | None = None
    """Largest weight, as implementations have it against a few answers taking over; None is no limit."""
    ratio_clip: float | None = None
    """Where A-LoL clips its ratio, 1 plus or minus this (baheti2024leftover: 0.9); None leaves the ratio out."""
    beta: float = 0.5
    """Temperature of exponential weights."""
    writer: Literal["reference", "flatter"] = "reference"
    """Who wrote the answers; the flatter writer is the reference at temperature 2."""
    answers: int = 8000
    """Recorded answers."""
    steps: int = 200
    batch: int = 128
    lr: float = 1e-3


def advantage_weights(advantages: Tensor, weighting: str, beta: float, ceiling: float | None) -> Tensor:
    """Weight of each answer by its advantage, any shape. Raises ValueError for an unknown weighting."""
    if weighting == "none":
        return torch.ones_like(advantages)
    if weighting == "exponential":
        weights = (advantages / beta).exp()
        return weights if ceiling is None else weights.clamp(max=ceiling)
    if weighting == "positive":
        return advantages.clamp(min=0)
    raise ValueError(f"unknown weighting {weighting!r}; choose none, exponential or positive")


def clipped_ratio(logps: Tensor, reference_logps: Tensor, mask: Tensor, clip: float) -> Tensor:
    """A-LoL's importance weight of whole answers, a number: three tensors (answers, tokens) -> (answers,)."""
    ratio = (masked_sum(logps, mask) - masked_sum(reference_logps, mask)).exp()
    return ratio.clamp(1 - clip, 1 + clip).detach()


def weighted_loss(logps: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood: (answers, tokens) twice and (answers,) -> (answers,)."""
    return -weights.detach() * masked_sum(logps, mask)


def train(bed: ExactBed, config: WeightedImitationConfig, seed: int, observe: Observe) -> Outcome:
    """Weigh the recorded answers by their scores and imitate them."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = recorded(bed, config.answers, config.writer, draw)
    values = prompt_means(data, len(bed.prompts))
    weights = advantage_weights(
        data.scores - values[data.prompts], config.weighting, config.beta, config.ceiling
    )

    for step in range(1, config.steps + 1):
        places = torch.randperm(len(data), generator=draw, device=bed.device)[: config.batch]
        batch, weight = data.pick(places), weights[places]
        logps = policy.token_logps(bed.prompts[batch.prompts], batch.tokens)
        if config.ratio_clip is not None:
            reference = bed.reference_token_logps(batch.prompts, batch.tokens)
            weight = weight * clipped_ratio(logps, reference, batch.mask, config.ratio_clip)
        descend(weighted_loss(logps, batch.mask, weight).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    share = float(weights.sum() ** 2 / (weights**2).sum()) / len(data)
    return Outcome(
        logps=bed.logps(policy),
        optimum=_optimum(bed, config),
        divergence="forward",
        measures={"effective_share": share},
    )


def _optimum(bed: ExactBed, config: WeightedImitationConfig) -> Tensor | None:
    """The writer's law times the weight, with the exact value; None where the weight follows the policy."""
    if config.ratio_clip is not None:
        return None
    writer = writer_logps(bed, config.writer)
    values = (writer.exp() * bed.reward).sum(-1, keepdim=True)
    weights = advantage_weights(bed.reward - values, config.weighting, config.beta, config.ceiling)
    return (writer + weights.log()).log_softmax(-1)
