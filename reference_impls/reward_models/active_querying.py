r"""Active querying: which comparison to ask for next.

Papers: houlsby2011bayesian (information gain as a difference of entropies), sadigh2017active (removed
volume), christiano2017deep, section 2.2.4 (disagreement of an ensemble), shen2025active (D-optimal design).
Provenance: disagreement per the paper's text, the posterior in place of the ensemble; the rest are
reconstructions, which were compared with code: information gain and removed volume with
Stanford-ILIAD/APReL at 13a1e7f (``acquisition_functions.py``; its removed volume is the sum of the squared
chances, which is to be minimised), the design with the authors' YunyiShen/ARM-FI at 4c2c36d
(``dopt_rule``).

The reward is linear, $r(x, y) = \theta^\top \phi(x, y)$, with a Gaussian prior; $d = \phi(x, y_1) - \phi(x, y_2)$, and
the first answer wins with probability $p_\theta = \sigma(\theta^\top d)$. After each round of labels the posterior is
the Gaussian of Laplace's method, $\mathcal N(\mu, \Sigma)$, under which $\theta^\top d$ is a number with a normal law:
every expectation below is a sum over the nodes of a Gauss-Hermite rule, and no sampling error is left. With
$H(p)$ the entropy of one answer,

$$\begin{aligned}
\mathrm{volume} &= \min(E\,p_\theta,\; 1 - E\,p_\theta) &
\mathrm{disagreement} &= \mathrm{Var}\,p_\theta \\
\mathrm{gain} &= H(E\,p_\theta) - E\,H(p_\theta) &
\mathrm{design} &= \log(1 + p_\mu (1 - p_\mu)\, d^\top \Sigma\, d)
\end{aligned}$$

The gain is the mutual information of the answer and $\theta$. For two possible replies the removed volume orders
questions as the entropy $H(E\,p_\theta)$ does, so it is uncertainty sampling, and two answers that are the same are its
favourite question. The design is what a label adds to $\log\det \Sigma^{-1}$; a batch is chosen one by one, each choice
updating $\Sigma$, so that it does not ask the same thing twice. The others take the best of the pool at once.

What we leave out: questions that are synthesised and not chosen from a pool, comparisons across prompts, ensembles of
networks (their disagreement is the posterior's here), the design's gradient at equal weights of all the pool (as in
ARM-FI), and costs of questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy
import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.fresh_pairs import ordered_rightly
from reference_impls.core.linear import answer_features, prompt_features
from reference_impls.core.outcome import Observe, Outcome

METHODS = {
    "active-information-gain": {
        "name": "Active querying by information gain (BALD)",
        "paper": "houlsby2011bayesian",
        "category": "active-querying",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of Bradley-Terry labels with a Gaussian prior, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"criterion": "gain"},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "active",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "picked = value.topk(size).indices",
                "picked = value.topk(size, largest=False).indices",
            ],
            "why": "the questions that would teach least are asked",
        },
    },
    "active-volume-removal": {
        "name": "Active querying by removed volume",
        "paper": "sadigh2017active",
        "category": "active-querying",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of Bradley-Terry labels with a Gaussian prior, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"criterion": "volume"},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "active",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["pairs.chosen) - answers(pairs.rejected)", "pairs.rejected) - answers(pairs.chosen)"],
            "why": "every label is read the wrong way round",
        },
    },
    "active-disagreement": {
        "name": "Active querying by disagreement",
        "paper": "christiano2017deep",
        "category": "active-querying",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of Bradley-Terry labels with a Gaussian prior, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"criterion": "disagreement"},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "active",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["pairs.chosen) - answers(pairs.rejected)", "pairs.rejected) - answers(pairs.chosen)"],
            "why": "every label is read the wrong way round",
        },
    },
    "active-d-optimal": {
        "name": "Active querying by D-optimal design",
        "paper": "shen2025active",
        "category": "active-querying",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of Bradley-Terry labels with a Gaussian prior, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"criterion": "design"},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "active",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["pairs.chosen) - answers(pairs.rejected)", "pairs.rejected) - answers(pairs.chosen)"],
            "why": "every label is read the wrong way round",
        },
    },
}

NODES = 24
NEWTON_STEPS = 10


@dataclass(frozen=True)
class ActiveQueryingConfig:
    """Defaults for the exact bed: few labels, so that it matters which."""

    criterion: Literal["gain", "volume", "disagreement", "design", "random"] = "gain"
    steps: int = 30
    """Rounds of questions."""
    size: int = 20
    """Questions per round."""
    pool: int = 1000
    """Pairs of reference answers, fresh in every round, of which questions are chosen."""
    twins: bool = True
    """Whether the pool may hold pairs of twice the same answer, as drawing both at random does."""
    prior: float = 0.5
    """Standard deviation of the Gaussian prior on each weight of the reward."""


def removed_volume(chances: Tensor, weights: Tensor) -> Tensor:
    """The belief that either reply would remove at least: (members, questions) and (members,) -> (questions,).

    ``chances`` is each member's probability that the first answer wins, ``weights`` the belief in the members, which
    adds up to 1. So it is for the next two.
    """
    mean = weights @ chances
    return torch.minimum(mean, 1 - mean)


def disagreement(chances: Tensor, weights: Tensor) -> Tensor:
    """Variance of the members' chances: (members, questions) and (members,) -> (questions,)."""
    return weights @ (chances - weights @ chances) ** 2


def information_gain(chances: Tensor, weights: Tensor) -> Tensor:
    """Mutual information of the reply and the member, in nats: (members, questions), (members,) -> (questions,)."""
    return _entropy(weights @ chances) - weights @ _entropy(chances)


def _entropy(chance: Tensor) -> Tensor:
    """Entropy of a yes with this probability, in nats; any shape."""
    return torch.special.entr(chance) + torch.special.entr(1 - chance)


def design_batch(features: Tensor, chances: Tensor, covariance: Tensor, size: int) -> Tensor:
    """Questions that add most to log det of the precision, chosen one after the other: (size,) numbers.

    ``features`` (questions, weights) are differences of the two answers' features, ``chances`` (questions,) the
    probabilities of a win, ``covariance`` (weights, weights). The gain is log(1 + noise * variance), of which the
    order is that of the product. No question is chosen twice.
    """
    noise = chances * (1 - chances)
    spread = features @ covariance
    variance = (spread * features).sum(1)
    picked: list[int] = []
    for _ in range(size):
        gain = noise * variance
        gain[picked] = -inf
        best = int(gain.argmax())
        shared = spread @ features[best]
        scale = noise[best] / (1 + noise[best] * variance[best])
        spread = spread - scale * shared[:, None] * spread[best]
        variance = variance - scale * shared**2
        picked.append(best)
    return torch.tensor(picked)


def laplace(wins: Tensor, prior: float, start: Tensor) -> tuple[Tensor, Tensor]:
    """Mode and covariance of the posterior after ``wins`` (labels, weights), winners' features minus losers'.

    The prior is normal with mean 0 and standard deviation ``prior`` of each weight; Newton's method from ``start``
    (weights,). Returns (weights,) and (weights, weights).
    """
    mean = start
    for _ in range(NEWTON_STEPS):
        slope = wins.T @ torch.sigmoid(-wins @ mean) - mean / prior**2
        mean = mean + torch.linalg.solve(precision(wins, mean, prior), slope)
    return mean, torch.linalg.inv(precision(wins, mean, prior))


def precision(wins: Tensor, mean: Tensor, prior: float) -> Tensor:
    """Minus the Hessian of the log posterior at ``mean``: shapes as in :func:`laplace` -> (weights, weights)."""
    chance = torch.sigmoid(wins @ mean)
    ridge = torch.eye(len(mean), dtype=mean.dtype) / prior**2
    return wins.T @ (wins * (chance * (1 - chance))[:, None]) + ridge


def normal_rule(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the Gauss-Hermite rule for a standard normal variable: (nodes,) twice."""
    points, weights = numpy.polynomial.hermite_e.hermegauss(nodes)
    return torch.tensor(points), torch.tensor(weights / weights.sum())


def choose(
    features: Tensor, mean: Tensor, covariance: Tensor, criterion: str, size: int, generator: torch.Generator
) -> Tensor:
    """The questions to ask, by number: features (questions, weights) -> (size,).

    Raises ValueError for a criterion that does not exist.
    """
    margin = features @ mean
    if criterion == "random":
        return torch.randperm(len(features), generator=generator)[:size]
    if criterion == "design":
        return design_batch(features, torch.sigmoid(margin), covariance, size)
    rules = {"gain": information_gain, "volume": removed_volume, "disagreement": disagreement}
    if criterion not in rules:
        raise ValueError(f"unknown criterion {criterion!r}")
    points, weights = normal_rule(NODES)
    spread = ((features @ covariance) * features).sum(1).clamp(min=0).sqrt()
    value = rules[criterion](torch.sigmoid(margin + points[:, None] * spread), weights)
    picked = value.topk(size).indices
    return picked


def train(bed: ExactBed, config: ActiveQueryingConfig, seed: int, observe: Observe) -> Outcome:
    """Ask, fit, ask again; then order pairs that were drawn at random."""
    draw, coin = bed.generator(seed), torch.Generator().manual_seed(seed)
    by_prompt = prompt_features(bed.prompts).double().cpu()
    by_answer = answer_features(bed.space).double()

    def answers(tokens: Tensor) -> Tensor:
        return by_answer[bed.space.index(tokens).cpu()]

    def joined(rows: Tensor, difference: Tensor) -> Tensor:
        return (by_prompt[rows.cpu()][:, :, None] * difference[:, None]).flatten(1)

    size = by_prompt.shape[1] * by_answer.shape[1]
    mean = torch.zeros(size, dtype=torch.float64)
    covariance = config.prior**2 * torch.eye(size, dtype=torch.float64)
    wins, clear = torch.zeros(0, size, dtype=torch.float64), []

    def scores() -> Tensor:
        return (by_prompt @ mean.view(by_prompt.shape[1], -1) @ by_answer.T).float().to(bed.device)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.pool, draw)
        drawn = bed.draw_pairs(rows, draw)
        if not config.twins:
            differ = drawn[:, 0] != drawn[:, 1]
            rows, drawn = rows[differ], drawn[differ]
        features = joined(rows, by_answer[drawn[:, 0].cpu()] - by_answer[drawn[:, 1].cpu()])
        asked = choose(features, mean, covariance, config.criterion, config.size, coin).to(bed.device)
        chance = bed.win_chance(rows[asked], drawn[asked])
        clear.append(torch.maximum(chance, 1 - chance).mean())
        pairs = bed.compare(rows[asked], drawn[asked], draw)
        wins = torch.cat([wins, joined(pairs.prompts, answers(pairs.chosen) - answers(pairs.rejected))])
        mean, covariance = laplace(wins, config.prior, mean)
        observe(step, lambda: bed.optimum(scores()))

    final = scores()
    measures = {"ease": float(torch.stack(clear).mean())}
    for name, those in (("pair_accuracy", bed.train_rows), ("heldout_pair_accuracy", bed.heldout_rows)):
        measures[name] = ordered_rightly(bed, final, bed.gold, those, seed + 1)
    return Outcome(
        logps=bed.optimum(final), optimum=bed.optimum(bed.utility), scores=final, measures=measures
    )
