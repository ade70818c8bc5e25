r"""Advantage-induced policy alignment (APA): as written, and as released.

Paper: zhu2023fine. Provenance: ``apa`` is a reconstruction from what others say of the paper, with the starting
policy as the anchor; ``apa-released`` is per the official code (microsoft/RLHF-APA at cfe7da2,
``modeling_sppo.py``), whose anchor is the policy that answered and whose reward carries a KL penalty. Its
advantages are whitened; ours are not.

A critic and generalised advantage estimation give each token an advantage $A_t$, as in PPO. Where PPO clips a ratio,
APA regresses the token's log-probability on it:

$$L(\theta) = \sum_t \Bigl(\log\frac{\pi_\theta(y_t|x, y_{<t})}{\pi_0(y_t|x, y_{<t})} - \frac{A_t}{\lambda}\Bigr)^2.$$

The normaliser of $\pi_0\,e^{A/\lambda}$ is taken as one. On the policy's own tokens that costs nothing: a constant per
prefix has no mean gradient, and the regression rests where $\log\pi/\pi_0 - A/\lambda$ is the same for all tokens.

*With the reference as* $\pi_0$ *that is not the optimum of* $J_\lambda$. The advantage is of the reward alone, so a
token is not charged for the KL that will be spent after it. The policy it rests at can be computed from the last token
to the first (:func:`token_by_token_optimum`); for single tokens the two agree.

*With the last policy as* $\pi_0$ the regression rests where $A = 0$: at the optimum of the reward with its KL penalty,
that is of $J_\beta$. $\lambda$ is then only the size of a step.

What we leave out: whitening, the moving scale of rewards, the adaptive coefficient of the KL penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import gae
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.ppo import ppo_value_loss, token_rewards

METHODS = {
    "apa": {
        "name": "Advantage-induced policy alignment (APA)",
        "paper": "zhu2023fine",
        "category": "other-rl-algorithms",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "critic", "reward-model", "online-samples"],
        "target": "at every token the best mean return at the cost of that token's own KL",
        "yields": "policy",
        "preset": {"anchor": "reference", "beta": 0.0},
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
            "replace": ["advantages.detach() / lam", "-advantages.detach() / lam"],
            "why": "the worse tokens are made more likely",
        },
    },
    "apa-released": {
        "name": "APA as released",
        "paper": "zhu2023fine",
        "category": "other-rl-algorithms",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "critic", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"anchor": "old", "beta": 0.5},
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
            "replace": ["advantages.detach() / lam", "-advantages.detach() / lam"],
            "why": "the worse tokens are made more likely",
        },
    },
}


@dataclass(frozen=True)
class APAConfig:
    """Defaults for the exact bed; the paper's own values are named where they differ."""

    anchor: Literal["reference", "old"] = "reference"
    """What a token's log-probability is compared with: the reference's, or that of the policy that answered."""
    lam: float = 0.5
    """Temperature of the advantage (zhu2023fine's code: 0.1, with whitened advantages)."""
    beta: float = 0.0
    """Weight of the KL in the reward (zhu2023fine's code: 0.05)."""
    prompts: int = 8
    samples: int = 16
    steps: int = 100
    epochs: int = 2
    """Updates per batch of answers (zhu2023fine's code: 2)."""
    value_clip: float = 100.0
    """How far a value may move per batch; so far that the clip never acts, as in zhu2023fine's code."""
    gae_lambda: float = 0.95
    lr: float = 1e-3
    critic_lr: float = 1e-3


def apa_loss(logps: Tensor, anchor_logps: Tensor, advantages: Tensor, mask: Tensor, lam: float) -> Tensor:
    """Squared error of each token's log-ratio to its advantage over lam, summed over each answer.

    Four tensors (answers, tokens) -> (answers,); only ``logps`` gets a gradient.
    """
    error = logps - anchor_logps.detach() - advantages.detach() / lam
    return (error.masked_fill(mask == 0, 0.0) ** 2).sum(-1)


def token_by_token_optimum(
    space: SequenceSpace, reference_levels: list[Tensor], reward: Tensor, lam: float
) -> Tensor:
    """log-probabilities of the policy at which APA rests: (prompts, sequences).

    ``reference_levels`` are next-token log-probabilities at every prefix, ``reward`` is (prompts, sequences). From the
    last token to the first: the reference times exp(mean return / lam), whose own mean is handed to the prefix.
    """
    ended, below = space.by_end(reward)
    levels = []
    for level, finished in zip(reversed(reference_levels), reversed(ended), strict=True):
        returns = torch.cat([below.view(*finished.shape, space.vocab), finished[..., None]], -1)
        best = (level + returns / lam).log_softmax(-1)
        below = (best.exp() * returns).sum(-1)
        levels.append(best)
    return space.sequence_logps(levels[::-1])


def train(bed: ExactBed, config: APAConfig, seed: int, observe: Observe) -> Outcome:
    """Sample answers, estimate every token's advantage, and regress log-ratios on them."""
    draw = bed.generator(seed)
    policy, critic = trainable_copy(bed.reference), ScalarTransformer.from_policy(bed.reference)
    updates = config.steps * config.epochs
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, updates)
    critic_optimiser, critic_schedule = cosine_adam(critic.parameters(), config.critic_lr, updates)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        prompts, tokens = bed.prompts[rows], bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        with torch.no_grad():
            old = policy.token_logps(prompts, tokens)
            old_values = critic.values(prompts, tokens[:, :-1])
        reference = bed.reference_token_logps(rows, tokens)
        rewards = token_rewards(bed.score(rows, tokens), old, reference, mask, config.beta)
        advantages, targets = gae(rewards, old_values, mask, 1.0, config.gae_lambda)
        anchor = reference if config.anchor == "reference" else old

        for _ in range(config.epochs):
            loss = apa_loss(policy.token_logps(prompts, tokens), anchor, advantages, mask, config.lam)
            values = critic.values(prompts, tokens[:, :-1])
            value_loss = ppo_value_loss(values, old_values, targets, mask, config.value_clip)
            descend(loss.mean(), policy, optimiser)
            descend(value_loss.mean(), critic, critic_optimiser)
            schedule.step()
            critic_schedule.step()
        observe(step, lambda: bed.logps(policy))

    return Outcome(logps=bed.logps(policy), optimum=_optimum(bed, config))


def _optimum(bed: ExactBed, config: APAConfig) -> Tensor | None:
    """Where a setting rests with endless samples and one update per batch, where that is known."""
    if config.anchor == "old":
        return bed.optimum(bed.reward, config.beta) if config.beta else None
    if config.beta or not bed.config.end_token:
        return None
    with torch.no_grad():
        levels = bed.reference.level_logps(bed.prompts)
    return token_by_token_optimum(bed.space, levels, bed.reward, config.lam)
