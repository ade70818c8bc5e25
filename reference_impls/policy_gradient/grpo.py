r"""Group Relative Policy Optimization (GRPO): as published, and with the KL in the reward.

Paper: shao2024deepseekmath, section 4.1, equations 3 and 4, outcome supervision (section 4.1.2).
Provenance: ``grpo`` per the paper's text, and it agrees with TRL's loss; ``grpo-kl-in-reward`` is ours, a
reconstruction.

The group's other answers take the place of PPO's critic. With answers $o_1 \dots o_n$ to a prompt,
$w_{i,t} = \pi_\theta(o_{i,t}|\cdot) / \pi_{old}(o_{i,t}|\cdot)$ and
$\rho_{i,t} = \pi_{ref}(o_{i,t}|\cdot) / \pi_\theta(o_{i,t}|\cdot)$, descend

$$L(\theta) = -\frac1n \sum_i \frac{1}{|o_i|} \sum_t \Bigl[\min\bigl(w_{i,t} A_i,\;
\mathrm{clip}(w_{i,t}, 1-\epsilon, 1+\epsilon)\, A_i\bigr)
- \beta\, (\rho_{i,t} - 1 - \log \rho_{i,t})\Bigr], \qquad
A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{std}(r)}$$

**It does not end at the optimum of** $E_\pi[r] - \beta\,\mathrm{KL}(\pi \| \pi_{ref})$, for two reasons that
the contract separates by following the exact expected gradient on a space of three answers:

* *The standard deviation* (``scale``). It puts $\beta$ times the spread of a prompt's rewards in place of
  $\beta$, and the spread shrinks as the policy sharpens. Doubling all rewards changes the optimum and not the
  policy that GRPO ends with.
* *The KL estimate per token in the loss* (``kl``). Differentiated at fixed samples it descends
  $\mathrm{KL}(\pi_{ref} \| \pi)$, the other direction, prefix by prefix, and each prefix counts as often as the
  policy visits it. Over single tokens the reference is then tilted by $1 / (1 - A/\beta)$ instead of
  $e^{r/\beta}$.

There the published loss closes .78 of the gap; .85 without the standard deviation, .82 with the estimate per
answer, .89 with both. For answers that are a single action, Vojnovic and Yun (arXiv 2502.18548) derive the
same.

``grpo-kl-in-reward`` turns both switches: rewards are $r_i - \beta \log\frac{\pi_{old}(o_i)}{\pi_{ref}(o_i)}$
before the mean is subtracted, and nothing is divided. At the optimum these are equal for all answers, so every
advantage is zero and the policy stays, whatever the clip and $1/|o_i|$ do. (With the division the optimum would
still be a fixed point, but next to it advantages are of size 1, however small the differences are; with a
learning rate that falls this does not show on the bed.)

What we leave out: process supervision (section 4.1.3), the iterative scheme that renews reward model and
reference (section 4.1.4), and an adaptive $\beta$.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import (
    group_mean_advantage,
    group_normalised_advantage,
    kl_k3,
    masked_mean,
    regularised_reward,
)
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "grpo": {
        "name": "Group Relative Policy Optimization",
        "paper": "shao2024deepseekmath",
        "category": "group-relative-policy-gradients",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the fixed point of its own update, which has no closed form",
        "yields": "policy",
        "preset": {"kl": "loss", "scale": "std"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=grpo, beta=0.04",
                "difference": "none in the loss with these settings; by default loss_type is dapo (one mean over "
                "all tokens of the batch) and beta is 0, which is not the paper's GRPO",
            },
        ],
        "verify_mutant": {
            "replace": ["surrogate - beta *", "surrogate - 0 *"],
            "why": "without the KL term the policy runs past its fixed point to the best single answer",
        },
    },
    "grpo-kl-in-reward": {
        "name": "GRPO with the KL in the reward",
        "paper": "shao2024deepseekmath",
        "category": "group-relative-policy-gradients",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"kl": "reward", "scale": "none"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "RLOOTrainer",
                "difference": "subtracts the mean of the other answers, sums over tokens, and clips the ratio of "
                "whole answers; GRPOTrainer cannot put the KL into the reward",
            },
        ],
        "verify_mutant": {
            "replace": ["mask, in_reward)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
}


@dataclass(frozen=True)
class GRPOConfig:
    """Defaults for the exact bed; the paper's own values are named where they differ."""

    kl: Literal["loss", "reward"] = "loss"
    """Where the KL to the reference enters: as an estimate per token in the loss, or per answer in the reward."""
    scale: Literal["std", "none"] = "std"
    """Whether advantages are divided by their group's standard deviation."""
    beta: float = 0.5
    """Weight of the KL (paper: 0.04)."""
    prompts: int = 8
    """Prompts per batch (paper: a batch of 1,024)."""
    samples: int = 16
    """Answers per prompt, the group (paper: 64)."""
    steps: int = 300
    """Batches of fresh answers."""
    epochs: int = 1
    """Updates per batch (paper: 1). Ratios are 1 in the first, so that the clip acts only from 2 on."""
    clip: float = 0.2
    """Beyond 1 - clip .. 1 + clip a ratio earns nothing more (the paper does not say)."""
    lr: float = 2e-3
    """Peak learning rate of Adam (paper: 1e-6 on seven billion parameters)."""


def advantages(rewards: Tensor, scale: str) -> Tensor:
    """Reward minus the group's mean, over its standard deviation or not: (groups, answers) -> the same shape.

    Raises ValueError for groups of one answer, which would never learn, and for an unknown ``scale``.
    """
    if rewards.shape[-1] < 2:
        raise ValueError("a group needs at least two answers")
    if scale == "std":
        return group_normalised_advantage(rewards)
    if scale == "none":
        return group_mean_advantage(rewards)
    raise ValueError(f"unknown scale {scale!r}; choose std or none")


def grpo_loss(
    logps: Tensor,
    old_logps: Tensor,
    reference_logps: Tensor,
    mask: Tensor,
    advantage: Tensor,
    clip: float,
    beta: float,
) -> Tensor:
    """GRPO's loss of each answer, equations 3 and 4 of shao2024deepseekmath: a mean over the answer's tokens.

    ``advantage`` is (answers,), the other tensors are (answers, tokens); ``old_logps`` and ``advantage`` get no
    gradient. Returns (answers,).
    """
    ratio = (logps - old_logps.detach()).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    advantage = advantage.detach()[:, None]
    surrogate = torch.minimum(ratio * advantage, clipped * advantage)
    return -masked_mean(surrogate - beta * kl_k3(logps, reference_logps), mask)


def train(bed: ExactBed, config: GRPOConfig, seed: int, observe: Observe) -> Outcome:
    """Sample a group of answers per prompt, compare each with its group, push up what is better."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps * config.epochs)
    in_loss, in_reward = (config.beta, 0.0) if config.kl == "loss" else (0.0, config.beta)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        prompts, tokens = bed.prompts[rows], bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        reference_logps = bed.reference_token_logps(rows, tokens)
        with torch.no_grad():
            old_logps = policy.token_logps(prompts, tokens)
        score = bed.score(rows, tokens)
        rewards = regularised_reward(score, old_logps, reference_logps, mask, in_reward)
        advantage = advantages(rewards.view(config.prompts, config.samples), config.scale).flatten()

        for _ in range(config.epochs):
            logps = policy.token_logps(prompts, tokens)
            loss = grpo_loss(logps, old_logps, reference_logps, mask, advantage, config.clip, in_loss)
            descend(loss.mean(), policy, optimiser)
            schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = bed.optimum(bed.reward, config.beta) if config.kl == "reward" else None
    return Outcome(logps=bed.logps(policy), optimum=optimum)
