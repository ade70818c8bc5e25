r"""Safe RLHF: as much help as a budget of harm allows; and the fixed penalty that it replaces.

Paper: dai2024safe; the fixed penalty is what it calls reward shaping. Provenance: per the official code
(PKU-Alignment/safe-rlhf, read in public copies: ``ppo_lag`` and ``ppo_reward_shaping`` in
tcexeexe/SHTEC_RM_model at 5bb76e4, the cost model's sequence-wise loss in dbtmddn41/safe-completion at
2b5559c) for the update of the multiplier, the division by $1 + \lambda$ and the loss of costs; but for the
place of the KL, which there is ``kl="both"`` (below), and for the fixed penalty's division by its constant
$1 + \lambda$, which the code does not have. The policy gradient is RLOO in place of PPO with two critics.

Wanted is $\max_\pi \mathbb{E}_\pi[r] - \beta\,\mathrm{KL}(\pi\|\pi_{ref})$ subject to $\mathbb{E}_\pi[c] \le d$, the
expectations being over prompts as well. Its Lagrangian is solved by both sides at once: the policy climbs

$$A = \frac{r - \lambda\,c - \beta\,w(\lambda) \log\frac{\pi}{\pi_{ref}}}{1 + \lambda}, \qquad
\log\lambda \leftarrow \log\lambda + \eta\,\lambda\,(\hat{\mathbb{E}}[c] - d),$$

the mean cost being that of the batch. Stepping the logarithm keeps the multiplier positive.

Where the KL goes matters. ``kl="apart"``, $w = 1$, is the problem above: for every $\lambda$ the optimum is
$\pi_\lambda \propto \pi_{ref}\,e^{(r - \lambda c)/\beta}$, whose cost falls as $\lambda$ grows, and bisection finds
the $\lambda$ that spends the budget. The official code takes the KL off the reward *and* adds it to the cost:
``kl="both"``, $w = 1 + \lambda$. The division then leaves the KL a weight of its own, and the same budget is met by
another policy, $\pi_\lambda \propto \pi_{ref}\,e^{(r - \lambda c)/(\beta(1+\lambda))}$, with a larger $\lambda$.

Costs are the bed's flags (1 for an unsafe answer), or the chance of harm $\sigma(c)$ under a model fitted to pairs of
answers with a flag $s = \pm1$ each (+1 is harmful) and, where these differ, the order of their harm:

$$L(c) = -\log\sigma(c_+ - c_-) - \log\sigma(s_1 c_1) - \log\sigma(s_2 c_2).$$

What we leave out: a fitted model of help, critics, ratio clipping, the mixed-in pre-training loss, and answers that are
alike in their flag but differ in degree of harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.safety import flagged_pairs
from reference_impls.core.estimators import leave_one_out_advantage, masked_sum
from reference_impls.core.linear import LinearReward
from reference_impls.core.metrics import expectation, tilted
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.reinforce import reinforce_loss

METHODS = {
    "safe-rlhf": {
        "name": "Safe RLHF",
        "paper": "dai2024safe",
        "category": "constrained-rlhf",
        "provenance": "per the official code",
        "feedback": ["scalar", "binary"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of help subject to a limit on the mean cost",
        "yields": "policy",
        "preset": {"multiplier": "learnt"},
        "bed": {"horizon": 4, "conflict": 0.7},
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
            "replace": ["rate * multiplier * (mean_cost - limit)", "rate * multiplier * (limit - mean_cost)"],
            "why": "the multiplier falls while the cost is over budget",
        },
    },
    "fixed-penalty": {
        "name": "Fixed penalty on harm (reward shaping)",
        "paper": "dai2024safe",
        "category": "constrained-rlhf",
        "provenance": "per the official code",
        "feedback": ["scalar", "binary"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of help minus a fixed multiple of the cost",
        "yields": "policy",
        "preset": {"multiplier": "fixed"},
        "bed": {"horizon": 4, "conflict": 0.7},
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
            "replace": ["reward - multiplier * cost", "reward + multiplier * cost"],
            "why": "harm is rewarded",
        },
    },
}

COST_STEPS, COST_LR = 150, 0.05
LARGEST = 100.0
"""Largest multiplier that the search for the exact optimum considers."""
STAGES = 8
"""In how many parts of the run the mean cost is reported."""


@dataclass(frozen=True)
class SafeRLHFConfig:
    """Defaults for the exact bed; ``rate`` and ``lr`` were chosen on seeds 100 and 101."""

    multiplier: Literal["learnt", "fixed"] = "learnt"
    start: float = 1.0
    """The multiplier at the start, and throughout if it is fixed (official recipe: 1)."""
    limit: float = 0.2
    """Budget of the mean cost, d: here the share of unsafe answers; under the reference it is a half."""
    rate: float = 0.1
    """Step of the logarithm of the multiplier (official recipe: 0.1)."""
    largest: float = 30.0
    """Largest multiplier (official recipe: 5)."""
    kl: Literal["apart", "both"] = "apart"
    """Whether the KL is the reward's alone, or the official code's, taken from the reward and added to the cost."""
    cost_pairs: int = 0
    """Flagged pairs that a model of harm is fitted to; 0 gives the flags themselves."""
    beta: float = 0.5
    prompts: int = 8
    samples: int = 16
    """Answers per prompt; the mean cost is that of all answers of a batch (official recipe: of the last 128)."""
    steps: int = 200
    lr: float = 1e-3


def lagrangian(
    reward: Tensor, cost: Tensor, log_ratio: Tensor, multiplier: float, beta: float, kl: str
) -> Tensor:
    """What the policy climbs, answer by answer: (answers,) three times -> (answers,), without gradient.

    Raises ValueError for a place of the KL other than apart and both.
    """
    if kl not in ("apart", "both"):
        raise ValueError(f"unknown place of the KL {kl!r}; choose apart or both")
    weight = beta if kl == "apart" else beta * (1 + multiplier)
    return ((reward - multiplier * cost - weight * log_ratio) / (1 + multiplier)).detach()


def next_multiplier(multiplier: float, mean_cost: float, limit: float, rate: float, largest: float) -> float:
    """The multiplier after one step of gradient ascent of its logarithm, and no larger than ``largest``.

    The derivative of lambda (mean cost - limit) by log lambda is lambda (mean cost - limit).
    """
    step = rate * multiplier * (mean_cost - limit)
    return float((torch.tensor(multiplier, dtype=torch.double).log() + step).clamp(max=log(largest)).exp())


def penalised_optimum(
    reference: Tensor, reward: Tensor, cost: Tensor, multiplier: float, beta: float, kl: str
) -> Tensor:
    """log-probabilities of the optimum for one multiplier: tables (prompts, sequences) -> the same."""
    weight = beta if kl == "apart" else beta * (1 + multiplier)
    return tilted(reference, reward - multiplier * cost, weight)


def exact_multiplier(
    reference: Tensor, reward: Tensor, cost: Tensor, limit: float, beta: float, kl: str
) -> float:
    """The multiplier whose optimum spends the budget, by bisection; 0 if nothing has to be held back.

    Tables are (prompts, sequences); the budget is of the mean over prompts. Raises ValueError where the largest
    multiplier does not keep it.
    """

    def spent(multiplier: float) -> float:
        policy = penalised_optimum(reference, reward, cost, multiplier, beta, kl)
        return float(expectation(policy, cost).mean())

    if spent(0.0) <= limit:
        return 0.0
    if spent(LARGEST) > limit:
        raise ValueError(f"no multiplier up to {LARGEST:g} keeps the mean cost below {limit}")
    low, high = 0.0, LARGEST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > limit else (low, middle)
    return high


def cost_loss(first: Tensor, second: Tensor, first_sign: Tensor, second_sign: Tensor) -> Tensor:
    """Loss of a model of harm on each pair: scores and signs (+1 harmful, -1 safe), (pairs,) -> (pairs,).

    Answers alike in sign are not compared with each other.
    """
    order = (first_sign - second_sign) / 2
    compared = -order.abs() * logsigmoid(order * (first - second))
    return compared - logsigmoid(first_sign * first) - logsigmoid(second_sign * second)


def fitted_costs(bed: ExactBed, pairs: int, draw: torch.Generator) -> Tensor:
    """Chance of harm of every sequence under a linear model fitted to flagged pairs: (prompts, sequences)."""
    data = flagged_pairs(bed, pairs, draw)
    rows = data.pairs.prompts
    chosen, rejected = bed.space.index(data.pairs.chosen), bed.space.index(data.pairs.rejected)
    model = LinearReward(bed.space, bed.prompts).to(bed.device)
    optimiser, schedule = cosine_adam(model.parameters(), COST_LR, COST_STEPS)
    for _ in range(COST_STEPS):
        table = model.table()[0]
        signs = 1 - 2 * data.chosen_safe, 1 - 2 * data.rejected_safe
        descend(cost_loss(table[rows, chosen], table[rows, rejected], *signs).mean(), model, optimiser)
        schedule.step()
    return model.table()[0].detach().sigmoid()


def train(bed: ExactBed, config: SafeRLHFConfig, seed: int, observe: Observe) -> Outcome:
    """Sample, charge what the multiplier says, step the policy; then step the multiplier by the mean cost."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    costs = fitted_costs(bed, config.cost_pairs, draw) if config.cost_pairs else 1 - bed.safe
    multiplier, spent, rows = config.start, list[float](), bed.train_rows

    for step in range(1, config.steps + 1):
        prompts = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, prompts, draw)
        cost = costs[prompts, bed.space.index(tokens)]
        if config.multiplier == "learnt":
            mean_cost = float(cost.mean())
            multiplier = next_multiplier(multiplier, mean_cost, config.limit, config.rate, config.largest)
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[prompts], tokens)
        log_ratio = masked_sum(logps - bed.reference_token_logps(prompts, tokens), mask)
        worth = lagrangian(bed.score(prompts, tokens), cost, log_ratio, multiplier, config.beta, config.kl)
        advantage = leave_one_out_advantage(worth.view(config.prompts, config.samples)).flatten()
        descend(reinforce_loss(logps, mask, advantage).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))
        if step * STAGES % config.steps < STAGES:
            spent.append(float(expectation(bed.logps(policy)[rows], 1 - bed.safe[rows]).mean()))

    tables = bed.reference_logps, bed.reward, 1 - bed.safe
    reference, help_, harm = (table[rows] for table in tables)
    exact = (
        exact_multiplier(reference, help_, harm, config.limit, config.beta, config.kl)
        if config.multiplier == "learnt"
        else config.start
    )
    optimum = penalised_optimum(*tables, exact, config.beta, config.kl)
    logps = bed.logps(policy)
    best = optimum[rows]
    return Outcome(
        logps=logps,
        optimum=optimum,
        measures={
            "cost": float(expectation(logps[rows], harm).mean()),
            "modelled_cost": float(expectation(logps[rows], costs[rows]).mean()),
            "multiplier": multiplier,
            "exact_multiplier": exact,
            "cost_of_optimum": float(expectation(best, harm).mean()),
            "help_of_optimum": float(expectation(best, help_).mean()),
            "kl_of_optimum": float(expectation(best, best - reference).mean()),
        }
        | {f"cost_after_{i}": value for i, value in enumerate(spent, start=1)},
    )
