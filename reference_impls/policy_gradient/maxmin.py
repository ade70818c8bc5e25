r"""MaxMin-RLHF: one policy for the group that it serves worst; and the average that it is set against.

Paper: chakraborty2024maxmin. Provenance: reconstruction. Mixture of rewards, max-min objective and the step for the
worst-off group are the paper's; the policy gradient is RLOO in place of PPO, and no official code is known to us.

Groups $g$ have rewards $r_g$, learnt as a mixture of Bradley-Terry models over annotators
(``reward_models/annotator_mixture.py``) and centred, so that 0 is what the reference gives each of them. Wanted is

$$\max_\pi \min_g \; \mathbb{E}_\pi[r_g] - \beta\,\mathrm{KL}(\pi\|\pi_{ref})
  = \min_{w \in \Delta} \max_\pi \; \sum_g w_g \mathbb{E}_\pi[r_g] - \beta\,\mathrm{KL}(\pi\|\pi_{ref}).$$

- ``maxmin-rlhf`` takes every step for the group whose mean reward is the least in the batch: the subgradient.
- ``average-rlhf`` takes it for $\sum_g w_g r_g$ with the groups' shares as weights, the utilitarian sum.

Objective and minimum can be exchanged since both sides are convex where they should be. Hence the optimum is
$\pi_w \propto \pi_{ref}\,e^{\sum_g w_g r_g/\beta}$ at the weights where the value $\beta \log Z(w)$ is least. With two
groups its derivative $\mathbb{E}_{\pi_w}[r_1] - \mathbb{E}_{\pi_w}[r_0]$ only grows with $w_1$, and bisection finds
where both fare alike, or the end at which one fares worse whatever is done. The reward is a mean over prompts: a group
may be served badly on one prompt and well on another.

What we leave out: more than two groups, their number as a question, and hard assignments of annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.annotators import annotated_pairs, population_rewards
from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import leave_one_out_advantage, regularised_reward
from reference_impls.core.metrics import expectation, tilted
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.reinforce import reinforce_loss
from reference_impls.reward_models.annotator_mixture import Mixture, mixture_loss

METHODS = {
    "maxmin-rlhf": {
        "name": "MaxMin-RLHF",
        "paper": "chakraborty2024maxmin",
        "category": "pluralistic-alignment",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the least of the groups' J_beta",
        "yields": "policy",
        "preset": {"objective": "worst"},
        "bed": {"horizon": 4},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["means.argmin()", "means.argmax()"],
            "why": "every step is for the group that fares best",
        },
    },
    "average-rlhf": {
        "name": "RLHF on the groups' average reward",
        "paper": "chakraborty2024maxmin",
        "category": "pluralistic-alignment",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the groups' rewards, weighted by their shares",
        "yields": "policy",
        "preset": {"objective": "average", "rewards": "pooled"},
        "bed": {"horizon": 4},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["regularised_reward(scores,", "regularised_reward(-scores,"],
            "why": "what the groups like is pushed down",
        },
    },
}

FIT_STEPS, FIT_LR = 120, 0.05
BISECTIONS = 50


@dataclass(frozen=True)
class MaxMinConfig:
    """Defaults for the exact bed; 8,000 labels by 250 people, a fifth of whom are of the second group."""

    objective: Literal["worst", "average"] = "worst"
    rewards: Literal["mixture", "pooled", "known"] = "mixture"
    """Inferred from the annotators' labels, one for each group; one for all labels; or the true ones (an oracle)."""
    share: float = 0.2
    """The second group's share of the annotators."""
    agreement: float = 0.0
    """Correlation between the two groups' rewards under the reference."""
    annotators: int = 250
    labels_each: int = 32
    beta: float = 0.5
    prompts: int = 8
    samples: int = 16
    """Answers per prompt."""
    steps: int = 150
    lr: float = 2e-3


def worst_off(means: Tensor) -> Tensor:
    """All weight on the group of the least mean, the first of equals: (groups,) -> (groups,)."""
    weights = torch.zeros_like(means)
    weights[means.argmin()] = 1.0
    return weights


def group_means(reference: Tensor, rewards: Tensor, weights: Tensor, beta: float) -> Tensor:
    """What each group gets from the optimum for one weighting, as a mean over prompts.

    ``reference`` (prompts, sequences), ``rewards`` (groups, prompts, sequences), ``weights`` (groups,) -> (groups,).
    """
    policy = tilted(reference, torch.einsum("g,gps->ps", weights, rewards), beta)
    return expectation(policy, rewards).mean(-1)


def maxmin_weights(reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Weights of the max-min optimum of two groups: (prompts, sequences), (2, prompts, sequences) -> (2,)."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        second = (low + high) / 2
        first_mean, second_mean = group_means(
            reference, rewards, torch.tensor([1 - second, second]).to(rewards), beta
        )
        low, high = (second, high) if second_mean < first_mean else (low, second)
    return torch.tensor([1 - high, high]).to(rewards)


def fitted_rewards(bed: ExactBed, truth: Tensor, config: MaxMinConfig, draw: torch.Generator) -> Tensor:
    """Centred rewards learnt from annotated pairs: (groups, prompts, sequences)."""
    groups = 1 if config.rewards == "pooled" else 2
    data = annotated_pairs(bed, truth, config.annotators, config.labels_each, config.share, draw)
    chosen, rejected = (
        bed.space.index(data.chosen.flatten(0, 1)),
        bed.space.index(data.rejected.flatten(0, 1)),
    )
    rows, shape = data.prompts.flatten(), (config.annotators, config.labels_each, groups)
    model = Mixture(bed, groups)
    optimiser, schedule = cosine_adam(model.parameters(), FIT_LR, FIT_STEPS)
    for _ in range(FIT_STEPS):
        table = model.rewards.table()
        margins = (table[:, rows, chosen] - table[:, rows, rejected]).T.view(shape)
        loss = mixture_loss(margins, model.logits.log_softmax(0)).mean() / config.labels_each
        descend(loss, model, optimiser)
        schedule.step()
    return torch.stack([bed.centred(table) for table in model.rewards.table().detach()])


def train(bed: ExactBed, config: MaxMinConfig, seed: int, observe: Observe) -> Outcome:
    """Learn the groups' rewards, then climb the one that fares worst, or their average."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    truth = population_rewards(bed, config.agreement)
    rewards = truth if config.rewards == "known" else fitted_rewards(bed, truth, config, draw)
    shares = torch.tensor([1 - config.share, config.share], device=bed.device)
    weights = shares if len(rewards) == 2 else torch.ones(1, device=bed.device)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        found = rewards[:, rows, bed.space.index(tokens)]
        if config.objective == "worst":
            weights = worst_off(found.mean(1))
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        scores = weights @ found
        worth = regularised_reward(scores, logps, reference, mask, config.beta)
        advantage = leave_one_out_advantage(worth.view(config.prompts, config.samples)).flatten()
        descend(reinforce_loss(logps, mask, advantage).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    rows = bed.train_rows
    fair = maxmin_weights(bed.reference_logps[rows], truth[:, rows], config.beta)
    goal = fair if config.objective == "worst" else shares
    logps = bed.logps(policy)
    gets = expectation(logps[rows], truth[:, rows]).mean(-1)
    could = group_means(bed.reference_logps[rows], truth[:, rows], fair, config.beta)
    return Outcome(
        logps=logps,
        optimum=bed.optimum(torch.einsum("g,gps->ps", goal, truth), config.beta),
        measures={
            "reward_0": float(gets[0]),
            "reward_1": float(gets[1]),
            "worst_group": float(gets.min()),
            "worst_group_of_optimum": float(could.min()),
            "weight_of_second": float(fair[1]),
        },
    )
