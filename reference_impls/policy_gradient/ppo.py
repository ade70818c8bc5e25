r"""Proximal Policy Optimization (PPO) with a KL penalty on every token, as RLHF uses it.

Papers, part by part: schulman2017proximal for the clipped surrogate (section 3, equation 7) and for reusing a
batch over several passes (algorithm 1); schulman2016high, equation 16, for the advantages; ziegler2019fine,
section 2, and ouyang2022training, section 3.5, for the KL in the reward. Provenance: per the official code
(openai/lm-human-preferences at cbfd210, ``train_policy.py``: KL in the reward, advantages, clipped surrogate and
clipped value loss). The papers have a plain squared error for the critic (schulman2017proximal, equation 9).

An answer is an episode and a token an action. The last token $T$ earns the score, and every token pays for
leaving the reference:

$$r_t = 1[t = T]\; r(x, y) - \beta \log\frac{\pi_{old}(y_t|x, y_{<t})}{\pi_{ref}(y_t|x, y_{<t})}$$

A critic $V$, which starts from the reference's trunk, turns these into advantages $A_t$ and its own targets
$A_t + V_{old,t}$ by generalised advantage estimation. With $w_t = \pi_\theta(y_t|\cdot) / \pi_{old}(y_t|\cdot)$,
a few passes over the same answers descend

$$L(\theta) = -\sum_t \min\bigl(w_t A_t,\; \mathrm{clip}(w_t, 1-\epsilon, 1+\epsilon)\, A_t\bigr)$$

$$L(V) = \tfrac12 \sum_t \max\bigl((V_t - A_t - V_{old,t})^2,\; (V^{clip}_t - A_t - V_{old,t})^2\bigr), \qquad
V^{clip}_t = V_{old,t} + \mathrm{clip}(V_t - V_{old,t}, -\epsilon_V, \epsilon_V)$$

The papers average over all tokens of a batch. Here an answer's tokens are summed and answers averaged, so that
the first step on a batch has the policy gradient of the answers, whatever their lengths are.

At the optimum of $J_\beta$ the reward left to earn, KL included, is the same along every continuation: with a
perfect critic all advantages are zero, and the policy stays.

What we leave out: the entropy bonus and the shared trunk of schulman2017proximal, the adaptive $\beta$ and
reward whitening of ziegler2019fine, the pre-training mix of ouyang2022training (PPO-ptx), early stopping on the
KL, and what zheng2023secrets adds to keep large runs stable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import gae, kl_k1, masked_sum, whiten
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "ppo": {
        "name": "Proximal Policy Optimization",
        "paper": "schulman2017proximal",
        "category": "actor-critic",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "critic", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {},
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
                "name": "PPOTrainer, up to 1.12.0 (later releases have none)",
                "difference": "pays the score on the first padding, one place after the last token, and has a value "
                "there; always whitens advantages; averages over the batch's tokens; adds 0.1 times the value loss "
                "to the same optimiser's loss; kl_coef is 0.05, samples are drawn at temperature 0.7",
            },
            {
                "library": "OpenRLHF",
                "name": "PolicyLoss and ValueLoss",
                "difference": "average over tokens; per-token KL estimates are clamped to between -10 and 10",
            },
        ],
        "verify_mutant": {
            "replace": ["-beta * kl_k1(logps, reference_logps)", "-0 * kl_k1(logps, reference_logps)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
}


@dataclass(frozen=True)
class PPOConfig:
    """Defaults for the exact bed; the papers' own values are named where they differ."""

    beta: float = 0.5
    """Weight of the KL in the reward (ouyang2022training: 0.02)."""
    prompts: int = 8
    """Prompts per batch (ouyang2022training: 512, with one answer each)."""
    samples: int = 16
    """Answers per prompt."""
    steps: int = 200
    """Batches of fresh answers."""
    epochs: int = 2
    """Passes over a batch (ziegler2019fine: 4; ouyang2022training: 1, in 8 minibatches)."""
    minibatches: int = 2
    """Updates per pass (ziegler2019fine: 1). With one update per batch every ratio is 1 and no clip acts."""
    clip: float = 0.2
    """Beyond 1 - clip .. 1 + clip a ratio earns nothing more; a tenth of the tokens at first, none at last."""
    value_clip: float = 0.2
    """How far a value may move per batch."""
    gamma: float = 1.0
    lam: float = 0.95
    """Of advantage estimation: 1 is the whole return, 0 one step."""
    whiten: bool = False
    """Give a batch's advantages mean 0 and variance 1 (openai/lm-human-preferences: yes). Without it they vanish
    at the optimum, and the noise with them; with the learning rate falling both end alike here."""
    lr: float = 1e-3
    critic_lr: float = 1e-3


def token_rewards(score: Tensor, logps: Tensor, reference_logps: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Reward of each token: minus beta times its log-ratio, plus the score on an answer's last token.

    ``score`` is (answers,), the others are (answers, tokens); ``logps`` are those of the policy that sampled.
    Returns (answers, tokens), 0 on padding, without gradient.
    """
    penalties = (-beta * kl_k1(logps, reference_logps)).masked_fill(mask == 0, 0.0)
    last = (mask != 0).sum(-1, keepdim=True) - 1
    return penalties.scatter_add(-1, last, score[:, None]).detach()


def ppo_policy_loss(
    logps: Tensor, old_logps: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> Tensor:
    """Minus the clipped surrogate, summed over each answer: equation 7 of schulman2017proximal.

    All tensors are (answers, tokens); ``old_logps`` and ``advantages`` get no gradient. Returns (answers,).
    """
    ratio = (logps - old_logps.detach()).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    advantages = advantages.detach()
    return -masked_sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


def ppo_value_loss(values: Tensor, old_values: Tensor, targets: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Half the squared error, of the value or of the clipped value, whichever is larger; summed over answers.

    All tensors are (answers, tokens); ``old_values`` and ``targets`` get no gradient. Returns (answers,).
    """
    old_values, targets = old_values.detach(), targets.detach()
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * masked_sum(torch.maximum((values - targets) ** 2, (clipped - targets) ** 2), mask)


def train(bed: ExactBed, config: PPOConfig, seed: int, observe: Observe) -> Outcome:
    """Sample answers, judge every token by what follows it, and take a few clipped steps on these answers."""
    draw = bed.generator(seed)
    policy, critic = trainable_copy(bed.reference), ScalarTransformer.from_policy(bed.reference)
    updates = config.steps * config.epochs * config.minibatches
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, updates)
    critic_optimiser, critic_schedule = cosine_adam(critic.parameters(), config.critic_lr, updates)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        prompts, tokens = bed.prompts[rows], bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        with torch.no_grad():
            old_logps = policy.token_logps(prompts, tokens)
            old_values = critic.values(prompts, tokens[:, :-1])
        reference_logps = bed.reference_token_logps(rows, tokens)
        rewards = token_rewards(bed.score(rows, tokens), old_logps, reference_logps, mask, config.beta)
        advantages, targets = gae(rewards, old_values, mask, config.gamma, config.lam)
        if config.whiten:
            advantages = whiten(advantages, mask)

        for _ in range(config.epochs):
            shuffled = torch.randperm(len(rows), generator=draw, device=bed.device)
            for part in shuffled.chunk(config.minibatches):
                logps = policy.token_logps(prompts[part], tokens[part])
                values = critic.values(prompts[part], tokens[part, :-1])
                loss = ppo_policy_loss(logps, old_logps[part], advantages[part], mask[part], config.clip)
                value_loss = ppo_value_loss(
                    values, old_values[part], targets[part], mask[part], config.value_clip
                )
                descend(loss.mean(), policy, optimiser)
                descend(value_loss.mean(), critic, critic_optimiser)
                schedule.step()
                critic_schedule.step()
        observe(step, lambda: bed.logps(policy))

    return Outcome(logps=bed.logps(policy), optimum=bed.optimum(bed.reward, config.beta))
