r"""Two ways without groups or a critic: ReMax, whose baseline is the greedy answer, and REINFORCE++, whitened batches.

Papers: li2024remax, algorithm 1; hu2025reinforce. Provenance: per the official code. ReMax: volcengine/verl
at 769b8d0, ``compute_remax_outcome_advantage``, by which the paper's first author brought it there.
REINFORCE++: OpenRLHF at 3c3be62, of which the paper's first author is an author, ``experience_maker.py``,
estimator ``reinforce``. The code published with ReMax (liziniu/ReMax at 536ba49, ``remax_trainer.py``) has
the same baseline and another KL term: a token pays for its own log-ratio and not for those after it, so
that the mean gradient is not that of $J_\beta$.

One answer $y$ is sampled per prompt. Its token rewards are PPO's, the score on the last token and
$-\beta\log\frac{\pi_{old}(y_t|\cdot)}{\pi_{ref}(y_t|\cdot)}$ on each; $G_t$ is the sum of those from $t$ on.

* ``remax``: with the greedy answer $\bar y$ (at every token the likeliest) the advantage is
  $A_t = G_t - r(x, \bar y)$, and one step descends $-\sum_t A_t \log\pi_\theta(y_t|\cdot)$ (PPO's surrogate has the
  same gradient at ratio 1). The baseline does not depend on $y$, so the mean gradient is that of $J_\beta$.
* ``reinforce-plus-plus``: $A_t = (G_t - \mu)/\sigma$ with mean and deviation over all tokens of the batch, and a few
  passes descend PPO's clipped surrogate. As $\sigma$ is the batch's, the mean gradient is that of $J_\beta$ over
  $\sigma$ but for terms that vanish with the batch's size; one $\mu$ for all prompts is a poor baseline for each.

How much noise a baseline $b$ leaves is known exactly. One answer's gradient by the logits of every prefix has
$\sum_t (G_t - b)^2 (1 - 2\pi(y_t) + \sum_a \pi(a)^2)$ as its squared norm, so that its mean is a parabola in $b$, and
the mean gradient is the same for all $b$. Both report the share of the variance at $b = 0$ that is saved by the greedy
answer's score, by the score of one more sampled answer, and by the mean score, at the start and at the end; and what
the greedy answer's score would save had 3 been added to all scores, which no group-relative method would notice.

The papers average over all tokens of a batch. Here, as for PPO, an answer's tokens are summed and answers averaged.

What we leave out: the clips of rewards in both codes, ReMax's discount, and REINFORCE++'s variant that first subtracts
a group's mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import gae, whiten
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.ppo import ppo_policy_loss, token_rewards

SHIFT = 3.0
"""What is added to all scores to see what a baseline removes, in standard deviations under the reference."""

METHODS = {
    "remax": {
        "name": "ReMax",
        "paper": "li2024remax",
        "category": "policy-gradients",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"baseline": "greedy", "epochs": 1},
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
                "library": "verl",
                "name": "compute_remax_outcome_advantage",
                "difference": "averages over the batch's tokens and clips ratios",
            },
        ],
        "verify_mutant": {
            "replace": ["reference_logps, mask, config.beta)", "reference_logps, mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
    "reinforce-plus-plus": {
        "name": "REINFORCE++",
        "paper": "hu2025reinforce",
        "category": "policy-gradients",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"baseline": "batch", "epochs": 2},
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
                "library": "verl",
                "name": "compute_reinforce_plus_plus_outcome_advantage",
                "difference": "whitens with n - 1 in place of n; averages over the batch's tokens",
            },
        ],
        "verify_mutant": {
            "replace": ["reference_logps, mask, config.beta)", "reference_logps, mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
}


@dataclass(frozen=True)
class BaselinesConfig:
    """Defaults for the exact bed.

    Tried for ReMax on seed 100, by the share of the gap closed: learning rates 1e-3 (0.76, with 160 batches), 2e-3
    (0.71) and 4e-3 (0.65, with 80).
    """

    baseline: Literal["greedy", "batch", "none"] = "greedy"
    """What is subtracted: the greedy answer's score, the batch's mean (then over its deviation), or nothing."""
    beta: float = 0.5
    """Weight of the KL in the reward."""
    answers: int = 64
    """Answers per batch, each to a prompt of its own; a greedy answer counts as one."""
    steps: int = 80
    epochs: int = 1
    """Updates per batch."""
    clip: float = 0.2
    """Beyond 1 - clip .. 1 + clip a ratio earns nothing more, from the second update on."""
    lr: float = 1e-3


def greedy(policy: TransformerPolicy, prompts: Tensor) -> Tensor:
    """The answer that takes the likeliest token each time: (rows, 2) -> (rows, horizon), padded after the end."""
    space = policy.space
    tokens = prompts.new_zeros((len(prompts), space.horizon))
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=prompts.device)
    for t in range(space.horizon):
        likeliest = policy.next_logps(prompts, tokens)[:, t].argmax(-1) + 1
        tokens[:, t] = torch.where(ended, 0, likeliest)
        ended |= likeliest == space.end
    return tokens


def rewards_to_go(score: Tensor, logps: Tensor, reference_logps: Tensor, mask: Tensor, beta: float) -> Tensor:
    """What is still to be earned from each token on, KL included: (answers, tokens), 0 on padding, no gradient.

    ``score`` is (answers,), the others are (answers, tokens); ``logps`` are those of the policy that sampled.
    """
    rewards = token_rewards(score, logps, reference_logps, mask, beta)
    to_go, _ = gae(rewards, torch.zeros_like(rewards), mask, 1.0, 1.0)
    return to_go


def noise_parabola(levels: Sequence[Tensor], to_go: Tensor, space: SequenceSpace) -> tuple[Tensor, ...]:
    r"""Variance of one answer's gradient by all logits, $m_0 - 2 b\,m_1 + b^2 m_2$, as a function of the baseline.

    ``levels[t]`` are next-token log-probabilities (prompts, prefixes, actions) without gradient, ``to_go`` is
    (prompts, sequences, tokens). Returns m_0 (the variance at b = 0), m_1 and m_2, each (prompts,), exactly.
    """
    logits = [level.clone().requires_grad_() for level in levels]
    law = space.sequence_logps(levels).exp()[:, :, None]
    size = [1 - 2 * p + (p**2).sum(-1, keepdim=True) for p in (level.exp() for level in levels)]
    chance = law * space.token_logps(size)
    logps = space.token_logps([level.log_softmax(-1) for level in logits])
    mean = torch.autograd.grad((law * to_go * logps).sum(), logits)
    squared_mean = torch.stack([(part**2).flatten(1).sum(1) for part in mean]).sum(0)
    second = (chance * to_go**2).sum((1, 2))
    return second - squared_mean, (chance * to_go).sum((1, 2)), chance.sum((1, 2))


def parabola_of_shifted(parabola: tuple[Tensor, ...], shift: float) -> tuple[Tensor, ...]:
    """The same parabola after a constant has been added to all scores, which moves the baseline by as much."""
    plain, linear, square = parabola
    return plain + 2 * shift * linear + shift**2 * square, linear + shift * square, square


def saved(parabola: tuple[Tensor, ...], first: Tensor, second: Tensor) -> Tensor:
    """Share of the variance without baseline that a baseline saves, over all prompts: a scalar.

    ``first`` and ``second`` are the mean of the baseline and of its square, (prompts,): a baseline may be random as
    long as it does not depend on the answer.
    """
    plain, linear, square = parabola
    return (2 * first * linear - second * square).sum() / plain.sum()


def savings(bed: ExactBed, policy: TransformerPolicy, beta: float) -> dict[str, float]:
    """What the greedy answer's score, another sampled answer's and the mean score save on the training prompts."""
    rows, space = bed.train_rows, bed.space
    with torch.no_grad():
        levels = [level.double() for level in policy.level_logps(bed.prompts[rows])]
    logps = space.token_logps(levels)
    reference = space.token_logps(bed.reference.level_logps(bed.prompts[rows])).double()
    scores, shape = bed.reward[rows].double(), logps.shape
    mask = (bed.tokens != 0).double().expand(shape)
    flat, flat_reference, flat_mask = (x.reshape(-1, shape[-1]) for x in (logps, reference, mask))
    to_go = rewards_to_go(scores.reshape(-1), flat, flat_reference, flat_mask, beta).view(shape)
    parabola = noise_parabola(levels, to_go, space)
    law = space.sequence_logps(levels).exp()
    likeliest = scores.gather(1, space.index(greedy(policy, bed.prompts[rows]))[:, None])[:, 0]
    mean, square = (law * scores).sum(1), (law * scores**2).sum(1)
    shifted = parabola_of_shifted(parabola, SHIFT)
    found = {
        "greedy": saved(parabola, likeliest, likeliest**2),
        "sampled": saved(parabola, mean, square),
        "mean": saved(parabola, mean, mean**2),
        "greedy_shifted": saved(shifted, likeliest + SHIFT, (likeliest + SHIFT) ** 2),
    }
    return {name: float(value) for name, value in found.items()}


def train(bed: ExactBed, config: BaselinesConfig, seed: int, observe: Observe) -> Outcome:
    """Sample an answer per prompt, subtract a baseline from what follows each token, push up what is better."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps * config.epochs)
    at_start = savings(bed, policy, config.beta)
    sampled = config.answers // 2 if config.baseline == "greedy" else config.answers

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(sampled, draw)
        prompts, tokens = bed.prompts[rows], bed.sample(policy, rows, draw)
        score, mask = bed.score(rows, tokens), (tokens != 0).float()
        if config.baseline == "greedy":
            with torch.no_grad():
                best = greedy(policy, prompts)
            bed.cost["samples"] += len(best)
            bed.cost["tokens"] += int((best != 0).sum())
            score = score - bed.score(rows, best)
        reference_logps = bed.reference_token_logps(rows, tokens)
        with torch.no_grad():
            old_logps = policy.token_logps(prompts, tokens)
        advantages = rewards_to_go(score, old_logps, reference_logps, mask, config.beta)
        if config.baseline == "batch":
            advantages = whiten(advantages, mask)

        for _ in range(config.epochs):
            logps = policy.token_logps(prompts, tokens)
            loss = ppo_policy_loss(logps, old_logps, advantages, mask, config.clip)
            descend(loss.mean(), policy, optimiser)
            schedule.step()
        observe(step, lambda: bed.logps(policy))

    at_end = savings(bed, policy, config.beta)
    return Outcome(
        logps=bed.logps(policy),
        optimum=bed.optimum(bed.reward, config.beta),
        measures={
            f"noise_saved_by_{name}_{when}": value
            for when, found in (("at_start", at_start), ("at_end", at_end))
            for name, value in found.items()
        },
    )
