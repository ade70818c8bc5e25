r"""REINFORCE and its baselines: none, the group's mean, and leave-one-out (RLOO).

Papers: williams1992simple for the estimator, ahmadian2024back for leave-one-out in RLHF. Provenance:
reconstruction; leave-one-out agrees with the paper's estimator as others quote it, and with TRL's
``RLOOTrainer``.

Each answer is one action. With $n$ answers $y_1 \dots y_n$ to a prompt and the regularised reward
$R_i = r(x, y_i) - \beta \log\frac{\pi_\theta(y_i|x)}{\pi_{ref}(y_i|x)}$ (no gradient through $R$), descend

$$L(\theta) = -\frac1n \sum_i A_i \log \pi_\theta(y_i|x), \qquad
A_i = R_i - b_i, \qquad
b_i \in \left\{0,\; \frac1n\sum_j R_j,\; \frac{1}{n-1}\sum_{j \ne i} R_j\right\}$$

Leave-one-out is unbiased; the mean baseline is the same up to the factor $\frac{n-1}{n}$.

What we leave out: reward whitening, importance ratios for reused samples (each batch is used once), and
per-token credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import (
    group_mean_advantage,
    leave_one_out_advantage,
    masked_sum,
    regularised_reward,
)
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "reinforce": {
        "name": "REINFORCE",
        "paper": "williams1992simple",
        "category": "policy-gradients",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"baseline": "none"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
    "reinforce-mean": {
        "name": "REINFORCE with a mean baseline",
        "paper": "williams1992simple",
        "category": "policy-gradients",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"baseline": "mean"},
        "knob": {"name": "beta", "values": [0.2, 0.35, 0.5, 1.0, 2.0]},
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
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
    "rloo": {
        "name": "REINFORCE leave-one-out (RLOO)",
        "paper": "ahmadian2024back",
        "category": "policy-gradients",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"baseline": "leave-one-out"},
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
                "difference": "TRL multiplies by a clipped sequence ratio, 1 in the first epoch; its beta is 0.05",
            },
        ],
        "verify_mutant": {
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
}


@dataclass(frozen=True)
class ReinforceConfig:
    """Defaults for the exact bed."""

    baseline: Literal["none", "mean", "leave-one-out"] = "leave-one-out"
    beta: float = 0.5
    """Weight of the KL term in the reward (ahmadian2024back: 0.03 to 0.1 on larger models)."""
    prompts: int = 8
    samples: int = 16
    """Answers per prompt, n (ahmadian2024back: 2 and 4)."""
    steps: int = 300
    lr: float = 2e-3


def advantages(rewards: Tensor, baseline: str) -> Tensor:
    """Reward minus baseline: (prompts, samples) -> the same shape.

    Raises ValueError for a baseline made of a single sample (n = 1), and for an unknown name.
    """
    if baseline != "none" and rewards.shape[-1] < 2:
        raise ValueError(f"baseline {baseline!r} needs at least two samples per prompt")
    if baseline == "none":
        return rewards
    if baseline == "mean":
        return group_mean_advantage(rewards)
    if baseline == "leave-one-out":
        return leave_one_out_advantage(rewards)
    raise ValueError(f"unknown baseline {baseline!r}; choose none, mean or leave-one-out")


def reinforce_loss(logps: Tensor, mask: Tensor, advantage: Tensor) -> Tensor:
    """Score-function loss of each answer: minus advantage times the answer's log-probability.

    ``logps`` and ``mask`` are (answers, tokens), ``advantage`` (answers,) carries no gradient. Returns
    (answers,).
    """
    return -advantage.detach() * masked_sum(logps, mask)


def train(bed: ExactBed, config: ReinforceConfig, seed: int, observe: Observe) -> Outcome:
    """Sample answers, score them, push up the log-probability of those better than the baseline."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        regularised = regularised_reward(bed.score(rows, tokens), logps, reference, mask, config.beta)
        advantage = advantages(regularised.view(config.prompts, config.samples), config.baseline).flatten()
        loss = reinforce_loss(logps, mask, advantage).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    return Outcome(logps=bed.logps(policy), optimum=bed.optimum(bed.reward, config.beta))
