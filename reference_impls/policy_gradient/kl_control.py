r"""KL control: the divergence from the reference in the reward or in the loss, by three estimators, or to a target.

Papers: ziegler2019fine for the penalty in the reward and for the controller of its coefficient; zhang2026on for
the question which estimator belongs where; shao2024deepseekmath for k3 in the loss. Provenance: the reward's
penalty and the controller per the official code (openai/lm-human-preferences at cbfd210, ``train_policy.py``,
``compute_rewards`` and ``AdaptiveKLController``); the rest is a reconstruction, one term at a time, on the same
REINFORCE with leave-one-out baseline.

With $\rho = \log\frac{\pi_\theta(y|x)}{\pi_{ref}(y|x)}$ an estimate $K$ is one of $k_1 = \rho$,
$k_2 = \frac12\rho^2$ and $k_3 = e^{-\rho} - 1 + \rho$. In the **reward** it is a number, in the **loss** it is
differentiated at fixed samples:

$$L = -A(r - \beta K)\,\log\pi_\theta(y|x) \qquad\text{or}\qquad
L = -A(r)\,\log\pi_\theta(y|x) + \beta K.$$

What each of them ends at, for whole answers and endless samples:

| | in the reward | in the loss |
|-|-|-|
| $k_1$ | $\pi_{ref}\,e^{r/\beta}$, the optimum of $J_\beta$ | no pull at all: the best answer alone |
| $k_2$ | no optimum: see below | $\pi_{ref}\,e^{r/\beta}$ |
| $k_3$ | no optimum: see below | $\pi_{ref}\,\beta / (c - r)$, the optimum with $\mathrm{KL}(\pi_{ref} \| \pi)$ |

$k_2$ and $k_3$ are least at $\rho = 0$ and grow on both sides. As a loss that is right, since their slope pulls a rare
answer up. As a price in the reward it is not: an answer that has become rarer than in the reference pays *more*, so it
becomes rarer still, and only the samples' never meeting it again stops the slide.

The controller (``kl_target``) multiplies the coefficient after every batch of $n$ answers by
$1 + \mathrm{clip}(\frac{\mathrm{KL}}{\text{target}} - 1, \pm 0.2)\,n / \text{horizon}$. It has a fixed point where the
sampled KL is the target; the policy is then the optimum of the mean reward at that KL.

What we leave out: PPO's ratios and clips (every batch is used once), the critic and whitening of ziegler2019fine, and
discounting of the penalty along the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import kl_k1, kl_k2, kl_k3, leave_one_out_advantage, masked_sum
from reference_impls.core.metrics import kl, same_kl_optimum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "kl-in-reward-k1": {
        "name": "KL in the reward, k1",
        "paper": "ziegler2019fine",
        "category": "kl-control",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"place": "reward", "estimator": "k1"},
        "knob": None,
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
                "difference": "multiplies by a clipped ratio of whole answers, 1 in the first epoch",
            }
        ],
        "verify_mutant": {
            "replace": ["scores - beta * penalty", "scores - 0 * penalty"],
            "why": "without the penalty the policy runs past the optimum to the best single answer",
        },
    },
    "kl-in-reward-k3": {
        "name": "KL in the reward, k3",
        "paper": "zhang2026on",
        "category": "kl-control",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the fixed point of its own update, which is no optimum: rare answers are driven out",
        "yields": "policy",
        "preset": {"place": "reward", "estimator": "k3"},
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
            "replace": ["scores - beta * penalty", "scores - 0 * penalty"],
            "why": "without the penalty the policy runs to the best single answer",
        },
    },
    "kl-in-loss-k1": {
        "name": "KL in the loss, k1",
        "paper": "zhang2026on",
        "category": "kl-control",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the plain reward: the term's mean gradient is zero",
        "yields": "policy",
        "preset": {"place": "loss", "estimator": "k1"},
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
            "replace": ["leave_one_out_advantage(rewards)", "-leave_one_out_advantage(rewards)"],
            "why": "the worst answers are pushed up",
        },
    },
    "kl-in-loss-k2": {
        "name": "KL in the loss, k2",
        "paper": "zhang2026on",
        "category": "kl-control",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"place": "loss", "estimator": "k2", "lr": 1e-3},
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
            "replace": ["loss + beta * penalty", "loss + 0 * penalty"],
            "why": "without the penalty the policy runs past the optimum to the best single answer",
        },
    },
    "kl-in-loss-k3": {
        "name": "KL in the loss, k3",
        "paper": "shao2024deepseekmath",
        "category": "kl-control",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the mean reward minus beta KL(reference || policy)",
        "yields": "policy",
        "preset": {"place": "loss", "estimator": "k3", "lr": 5e-4},
        "knob": None,
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
                "name": "GRPOTrainer",
                "difference": "sums the estimate over tokens and divides advantages by the group's deviation",
            }
        ],
        "verify_mutant": {
            "replace": ["loss + beta * penalty", "loss + 0 * penalty"],
            "why": "without the penalty the policy runs past its optimum to the best single answer",
        },
    },
    "kl-adaptive": {
        "name": "KL in the reward with an adaptive coefficient",
        "paper": "ziegler2019fine",
        "category": "kl-control",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the mean reward at a given KL to the reference",
        "yields": "policy",
        "preset": {"place": "reward", "estimator": "k1", "kl_target": 1.0},
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
            "replace": ["error * answers / horizon", "0 * error * answers / horizon"],
            "why": "the coefficient stays where it starts",
        },
    },
}


@dataclass(frozen=True)
class KLControlConfig:
    """Defaults for the exact bed; the papers' own values are named where they differ."""

    place: Literal["reward", "loss"] = "reward"
    estimator: Literal["k1", "k2", "k3"] = "k1"
    unit: Literal["answer", "token"] = "answer"
    """Whether the estimator sees the log-ratio of the whole answer, or is summed over its tokens."""
    beta: float = 0.5
    """Weight of the penalty, or where it starts (ziegler2019fine: 0.2, in later papers often 0.05)."""
    kl_target: float | None = None
    """KL in nats per answer that the controller steers to (ziegler2019fine: 6 or 10); None fixes the weight."""
    horizon: float = 1000.0
    """Answers in which the weight changes by at most a factor e^0.2 (ziegler2019fine: 10,000 of two million)."""
    prompts: int = 8
    samples: int = 16
    """Answers per prompt."""
    steps: int = 100
    lr: float = 2e-3


def penalties(logps: Tensor, reference_logps: Tensor, mask: Tensor, estimator: str, unit: str) -> Tensor:
    """Estimated KL of each answer: three tensors of shape (answers, tokens) -> (answers,), with gradient.

    Raises ValueError for an unknown estimator or unit.
    """
    known = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}
    if estimator not in known:
        raise ValueError(f"unknown estimator {estimator!r}; choose k1, k2 or k3")
    logps, reference_logps = (x.masked_fill(mask == 0, 0.0) for x in (logps, reference_logps))
    if unit == "token":
        return known[estimator](logps, reference_logps).sum(-1)
    if unit == "answer":
        return known[estimator](logps.sum(-1), reference_logps.sum(-1))
    raise ValueError(f"unknown unit {unit!r}; choose answer or token")


def kl_control_loss(scores: Tensor, logps: Tensor, penalty: Tensor, beta: float, place: str) -> Tensor:
    """REINFORCE's loss of each answer with the penalty in the reward or in the loss.

    ``scores``, ``logps`` (of whole answers) and ``penalty`` are (prompts, samples); so is the result. Raises
    ValueError for an unknown place and for a single sample per prompt, which has no baseline.
    """
    if place not in ("reward", "loss"):
        raise ValueError(f"unknown place {place!r}; choose reward or loss")
    rewards = scores - beta * penalty if place == "reward" else scores
    loss = -leave_one_out_advantage(rewards).detach() * logps
    return loss + beta * penalty if place == "loss" else loss


def next_beta(beta: float, divergence: float, target: float, answers: int, horizon: float) -> float:
    """The controller's coefficient after a batch of ``answers`` whose mean log-ratio was ``divergence``.

    Source: ``AdaptiveKLController.update`` of openai/lm-human-preferences.
    """
    error = min(max(divergence / target - 1, -0.2), 0.2)
    return beta * (1 + error * answers / horizon)


def reference_first_optimum(reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    r"""log of the policy that maximises $E_\pi[r] - \beta\,\mathrm{KL}(\pi_{ref} \| \pi)$; all (prompts, sequences).

    It is $\pi_{ref}\,\beta / (c - r)$, with $c$ above the highest reward such that it sums to one: found by bisection
    between $\max r$ and $\max r + \beta$, where the sum is at least and at most one.
    """
    best = reward.amax(-1, keepdim=True)
    low, high = torch.zeros_like(best), torch.full_like(best, beta)
    for _ in range(80):
        middle = (low + high) / 2
        total = (reference.exp() * beta / (middle + best - reward)).sum(-1, keepdim=True)
        low, high = torch.where(total > 1, middle, low), torch.where(total > 1, high, middle)
    return (reference - (high + best - reward).log()).log_softmax(-1)


def _optimum(bed: ExactBed, config: KLControlConfig) -> Tensor | None:
    """The exact optimum of what a setting descends, where there is one."""
    if config.kl_target is not None:
        return same_kl_optimum(bed.reference_logps, bed.reward, config.kl_target)
    if config.estimator == "k1" and config.place == "reward":
        return bed.optimum(bed.reward, config.beta)
    if config.place == "loss" and config.unit == "answer" and config.estimator != "k1":
        if config.estimator == "k2":
            return bed.optimum(bed.reward, config.beta)
        return reference_first_optimum(bed.reference_logps.double(), bed.reward.double(), config.beta).float()
    return None


def train(bed: ExactBed, config: KLControlConfig, seed: int, observe: Observe) -> Outcome:
    """Sample answers, score them, push up the better ones, and hold the policy near the reference."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    beta, shape = config.beta, (config.prompts, config.samples)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        penalty = penalties(logps, reference, mask, config.estimator, config.unit)
        scores, answers = bed.score(rows, tokens), masked_sum(logps, mask)
        loss = kl_control_loss(
            scores.view(shape), answers.view(shape), penalty.view(shape), beta, config.place
        )
        descend(loss.mean(), policy, optimiser)
        schedule.step()
        if config.kl_target is not None:
            spent = float(masked_sum(kl_k1(logps, reference), mask).detach().mean())
            beta = next_beta(beta, spent, config.kl_target, len(rows), config.horizon)
        observe(step, lambda: bed.logps(policy))

    logps, rows = bed.logps(policy), bed.train_rows
    starved = (logps - bed.reference_logps)[rows] < log(0.01)
    lost = float((bed.reference_logps[rows].exp() * starved).sum(-1).mean())
    measures = {"beta": beta, "mass_lost": lost}
    if config.kl_target is not None:
        measures["kl_over_target"] = (
            float(kl(logps[rows], bed.reference_logps[rows]).mean()) / config.kl_target
        )
    return Outcome(logps=logps, optimum=_optimum(bed, config), measures=measures)
