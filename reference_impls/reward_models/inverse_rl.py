r"""Inverse reinforcement learning of a tuned policy's reward, from its answers and its base's.

Papers: joselowitz2025insights for the margin and the logistic loss, rafailov2023direct for the closed form.
Provenance: the two losses per the official code (ai4ai-lab/irl_for_llms at 1597c93, ``get_irl_loss``), the
closed form per the paper's text (equation 5 of rafailov2023direct); its use as a control, the bounds and
all measures are ours.

A base policy was tuned on a reward $R$ that nobody knows any more. On the same prompt the tuned policy answers
$o^+$ and the base $o^-$; with $\delta = \hat R(o^+) - \hat R(o^-)$ the two losses are

$$f(\delta) = \begin{cases} -\delta & \delta \ge 0 \\ -2\delta & \delta < 0 \end{cases}
\qquad\text{and}\qquad -\log\sigma(\delta)$$

The first has no minimum unless $\hat R$ is bounded; ng2000algorithms asks for $|\hat R| \le B$, and so do we, with
$\hat R = B \tanh(s / B)$. Its optimum then has two levels: $B$ where $\pi_{tuned}/\pi_{base}$ exceeds a threshold and
$-B$ elsewhere, with no order among the answers of one side. The optimum of the second is
$\log(\pi_{tuned}/\pi_{base})$ up to a constant per prompt. And if tuning ended at the optimum of
$\mathbb{E}[R] - \beta\,\mathrm{KL}$ and probabilities can be read, nothing needs fitting:

$$\beta \log\frac{\pi_{tuned}(y|x)}{\pi_{base}(y|x)} = R(x, y) - \beta \log Z(x)$$

The policy yielded is what training the base again with $\hat R$ gives, $\pi_{base}\,e^{\hat R/\beta'}$, with the
$\beta'$ at which it moves as far from the base as the tuned policy did: the margin loss leaves the scale open.

What we leave out or do otherwise: answers are sampled, not greedy; $\hat R$ is a sum over tokens, not read at the
last one; gradients are reset at each update; everything is measured on prompts that the fit has not seen; and the
tuned policy is the exact optimum at ``tuned_beta``, not the end of a PPO run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.core.metrics import kl, kl_efficiency, same_kl_optimum, win_rate
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer
from reference_impls.core.reward_measures import (
    order_agreement,
    rank_correlation,
    reward_distance,
    threshold_accuracy,
)
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "irl-max-margin": {
        "name": "Max-margin inverse RL of a tuned policy",
        "paper": "joselowitz2025insights",
        "category": "inverse-rl-of-trained-models",
        "provenance": "per the official code",
        "feedback": ["demonstrations"],
        "needs": ["reference"],
        "target": "the tuned policy, from a bounded reward that ranks its answers above the base's",
        "yields": "reward",
        "preset": {},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "descriptive",
            "explicitness": "implicit",
        },
        "counterparts": [
            {
                "library": "ai4ai-lab/irl_for_llms",
                "name": "get_irl_loss, max_margin",
                "difference": "the same function of the difference; there the reward has no bound",
            },
        ],
        "verify_mutant": {
            "replace": ["torch.where(margin >= 0, -margin, -2 * margin)", "margin.abs()"],
            "why": "a margin that is penalised on both sides teaches no direction",
        },
    },
    "irl-logistic": {
        "name": "Logistic inverse RL of a tuned policy",
        "paper": "joselowitz2025insights",
        "category": "inverse-rl-of-trained-models",
        "provenance": "per the official code",
        "feedback": ["demonstrations"],
        "needs": ["reference"],
        "target": "the tuned policy, from the likelihood of telling its answers from the base's",
        "yields": "reward",
        "preset": {"loss": "logistic", "bound": None},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "descriptive",
            "explicitness": "implicit",
        },
        "counterparts": [
            {
                "library": "ai4ai-lab/irl_for_llms",
                "name": "get_irl_loss, logistic",
                "difference": "none in the loss, except that log and sigmoid are one stable function here",
            },
        ],
        "verify_mutant": {
            "replace": ["-logsigmoid(margin)", "-logsigmoid(-margin)"],
            "why": "the base's answers are taken for the tuned policy's",
        },
    },
    "irl-closed-form": {
        "name": "Log-ratio reward of a tuned policy",
        "paper": "rafailov2023direct",
        "category": "inverse-rl-of-trained-models",
        "provenance": "per the paper's text",
        "feedback": ["demonstrations"],
        "needs": ["reference"],
        "target": "the tuned policy, whose probabilities it reads",
        "yields": "reward",
        "preset": {"loss": "closed-form", "steps": 0, "pairs": 0},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "descriptive",
            "explicitness": "implicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["beta * (tuned - base)", "beta * tuned"],
            "why": "what the base preferred before tuning is read as reward",
        },
    },
}


@dataclass(frozen=True)
class InverseRLConfig:
    """Defaults for the exact bed."""

    loss: Literal["max-margin", "logistic", "closed-form"] = "max-margin"
    bound: float | None = 10.0
    """Rewards stay between plus and minus this; None for no bound. Only its size beside the learning rate matters."""
    tuned_beta: float = 0.5
    """The tuned policy is the optimum at this beta: the larger, the less it was moved."""
    pairs: int = 2000
    """Answers of the tuned policy, each with one of the base to the same prompt."""
    swapped: float = 0.0
    """Share of pairs with exchanged roles; at 0.5 nothing is left to learn (a control)."""
    width: int | None = None
    """Width of a trunk fitted from scratch; by default the trunk starts as a copy of the base's."""
    learners: int = 1
    """Fits to the same pairs that differ in their first head and the order of pairs."""
    steps: int = 200
    batch: int = 64
    lr: float = 1e-3


def margin_loss(margin: Tensor) -> Tensor:
    """Minus the margin R(o+) - R(o-), twice that where it is negative: (pairs,) -> (pairs,)."""
    return torch.where(margin >= 0, -margin, -2 * margin)


def logistic_loss(margin: Tensor) -> Tensor:
    """Minus the log-likelihood, in nats, of saying which answer is the tuned policy's: (pairs,) -> (pairs,)."""
    return -logsigmoid(margin)


def log_ratio_reward(tuned: Tensor, base: Tensor, beta: float) -> Tensor:
    """The reward whose optimum at ``beta`` is ``tuned``, up to a constant per prompt; log-probabilities in."""
    return beta * (tuned - base)


def bounded(scores: Tensor, bound: float | None) -> Tensor:
    """Scores squeezed into (-bound, bound) with slope 1 at 0, or as they are without a bound; any shape."""
    return scores if bound is None else bound * torch.tanh(scores / bound)


def demonstrations(bed: ExactBed, tuned: Tensor, n: int, swapped: float, draw: torch.Generator) -> Pairs:
    """n answers of the tuned policy (as chosen), each beside one of the base, on training prompts."""
    rows = bed.sample_prompts(n, draw)
    by_tuned, by_base = (
        bed.tokens[torch.multinomial(logps[rows].exp(), 1, generator=draw).squeeze(1)]
        for logps in (tuned, bed.reference_logps)
    )
    bed.cost["samples"] += 2 * n
    turned = torch.rand(n, 1, generator=draw, device=bed.device) < swapped
    return Pairs(rows, torch.where(turned, by_base, by_tuned), torch.where(turned, by_tuned, by_base))


def fit(
    bed: ExactBed,
    data: Pairs,
    config: InverseRLConfig,
    draw: torch.Generator,
    watch: Callable[[int, Callable[[], Tensor]], None],
) -> Tensor:
    """Fit one reward to the pairs and return it for every answer: (prompts, sequences)."""
    model = ScalarTransformer(bed.space, bed.config.attributes, config.width or 64).to(bed.device)
    if config.width is None:
        model.model.load_state_dict(bed.reference.model.state_dict())
    model.head.reset_parameters()
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    loss = margin_loss if config.loss == "max-margin" else logistic_loss

    def reward() -> Tensor:
        with torch.no_grad():
            return bounded(model.all_scores(bed.prompts), config.bound)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        prompts, answers = bed.prompts[pairs.prompts].repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
        by_tuned, by_base = bounded(model.scores(prompts, answers), config.bound).chunk(2)
        descend(loss(by_tuned - by_base).mean(), model, optimiser)
        schedule.step()
        watch(step, reward)
    return reward()


def train(bed: ExactBed, config: InverseRLConfig, seed: int, observe: Observe) -> Outcome:
    """Recover a reward from pairs, train the base again with it, and compare on prompts not seen."""
    tuned, base = bed.optimum(bed.reward, config.tuned_beta), bed.reference_logps
    moved = float(kl(tuned, base).mean())

    def again(reward: Tensor) -> Tensor:
        return same_kl_optimum(base, reward, moved)

    draw = bed.generator(seed)
    found = [log_ratio_reward(tuned, base, config.tuned_beta)]
    if config.loss != "closed-form":
        data = demonstrations(bed, tuned, config.pairs, config.swapped, draw)
        watches = [lambda step, reward: observe(step, lambda: again(reward()))]
        watches += [lambda step, reward: None] * (config.learners - 1)
        found = [fit(bed, data, config, draw, watch) for watch in watches]

    rows = bed.heldout_rows
    law, truth, behaviour = base[rows].exp(), bed.reward[rows], tuned[rows]
    right = [order_agreement(reward[rows], truth, law) for reward in found]
    worst_first = sorted(range(len(found)), key=right.__getitem__)
    median, unseen = found[worst_first[len(found) // 2]], [reward[rows] for reward in found]
    mixed = median[:, torch.randperm(median.shape[1], generator=draw, device=bed.device)]

    def regained(reward: Tensor) -> float:
        return kl_efficiency(again(reward)[rows], base[rows], truth) or 0.0

    of_each = {
        "pair_accuracy": right,
        "rank_correlation": [rank_correlation(reward, truth, law) for reward in unseen],
        "reward_distance": [reward_distance(reward, truth, law) for reward in unseen],
        "threshold_accuracy": [
            threshold_accuracy(reward, truth, (law + behaviour.exp()) / 2) for reward in unseen
        ],
        "explained": [win_rate(behaviour, base[rows], reward) for reward in unseen],
        "regained": [regained(reward) for reward in found],
    }
    measures = {name: fmean(values) for name, values in of_each.items()}
    measures |= {"regained_best": of_each["regained"][worst_first[-1]], "regained_mixed": regained(mixed)}
    if len(found) > 1:
        shift = torch.randn(len(rows), 1, generator=draw, device=bed.device)
        measures |= {f"{name}_sd": stdev(values) for name, values in of_each.items()}
        measures |= {
            "mutual": fmean(rank_correlation(one, other, law) for one, other in combinations(unseen, 2)),
            "mutual_shifted": rank_correlation(median[rows], median[rows] + shift, law),
            "mutual_mixed": rank_correlation(median[rows], mixed[rows], law),
        }
    return Outcome(again(median), optimum=tuned, scores=median, measures=measures)
