r"""Pessimistic maximum likelihood on linear bandits: an estimate that converges, and a greedy policy that fails.

Paper: zhu2023principled. Provenance: reconstruction (estimator and confidence set as digests of the paper give them);
the bandits are ours, made after its hard instance, in which one direction is compared once.

Rewards are linear, $r(a) = \theta^* \cdot \phi_a$, labels Bradley-Terry on differences
$x_i = \phi_{a_i} - \phi_{b_i}$. The estimate $\hat\theta$ has the greatest likelihood in the ball
$\|\theta\| \le B$. With $\Sigma = \sum_i x_i x_i^\top$,

$$\|\hat\theta - \theta^*\|_{\Sigma + \rho I} \le \gamma \ \text{with high probability}, \qquad
  \min_{\theta:\,\|\theta - \hat\theta\|_{\Sigma + \rho I} \le \gamma} \theta \cdot (\phi_a - v)
  = \hat\theta \cdot (\phi_a - v) - \gamma\,\|\phi_a - v\|_{(\Sigma + \rho I)^{-1}}.$$

The greedy policy takes the arm of the greatest $\hat\theta \cdot \phi_a$, the pessimistic one that of the greatest
lower bound. Comparisons leave a reward's level open, so the bound is on the advantage over $v$, here the mean feature
of the arms that were compared. The radius is $\gamma^2 = w^2 (d + \log n) + \rho B^2$ with ``width`` for the
theorem's constant; its second term is what the ball alone leaves open.

Half of the arms have a feature that the other half lacks and are otherwise like them; ``coverage`` says how often arms
that differ in it alone are compared: in half of the comparisons, in a tenth, or once. It is worth $-1$, or $+1$ with
``hidden="good"``. If the one label goes the wrong way (with probability $\sigma(-1) \approx .27$, however many others
there are) the estimate of that feature runs to the edge of the ball.

What we leave out: contexts, rankings of more than two, and the paper's constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.reward_models.smoothing_bandit import ridge

METHODS = {
    "pessimistic-mle": {
        "name": "Pessimistic maximum likelihood",
        "paper": "zhu2023principled",
        "category": "theory",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": None,
        "yields": "study",
        "preset": {},
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
            "replace": ["[..., 0] - radius * uncertainty", "[..., 0] + radius * uncertainty"],
            "why": "an upper bound in place of the lower one: the arm that is known least is taken",
        },
    },
}

SIZES = (30, 100, 300, 1000, 3000)
ARMS, PLAIN = 6, 3
"""Arms without the hidden feature, each with a twin that has it; and their other features."""
TURNS = 30
BISECTIONS = 25


@dataclass(frozen=True)
class PessimismConfig:
    """Defaults: ``width`` was chosen on seeds 100 and 101."""

    coverage: Literal["even", "tenth", "once"] = "once"
    hidden: Literal["bad", "good"] = "bad"
    """Whether arms with the hidden feature are worth one less than their twins, or one more."""
    width: float = 4.0
    """w, what the radius of the confidence set has for each square root of d + log n."""
    ridge: float = 1.0
    """What is added to the matrix of differences."""
    bound: float = 4.0
    """Radius of the ball that the estimate lies in, B."""
    repetitions: int = 200


def bounded_mle(labels: Tensor, counts: Tensor, features: Tensor, bound: float) -> Tensor:
    """The most likely weights of at most ``bound`` in norm: (..., pairs) twice, (pairs, d) -> (..., d).

    On the edge of the ball it is the minimum of the loss with an L2 pull, whose strength (from 10^-4 to 10^3) is found
    by bisection. A pull of strength s on the loss is one of strength 1 on the loss over s.
    """
    low = torch.full((*labels.shape[:-1], 1), -4.0, dtype=labels.dtype)
    high = low + 7.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        found = ridge(labels, counts / 10.0**middle, features, 1.0, TURNS)
        outside = found.norm(dim=-1, keepdim=True) > bound
        low, high = torch.where(outside, middle, low), torch.where(outside, high, middle)
    return ridge(labels, counts / 10.0**high, features, 1.0, TURNS)


def norms(vectors: Tensor, counts: Tensor, features: Tensor, pull: float) -> Tensor:
    """Uncertainty of each vector: (..., arms, d), (..., pairs), (pairs, d) -> (..., arms).

    That is its norm in the inverse of the sum of all squared differences plus ``pull`` times the identity.
    """
    squares = features.T @ (counts[..., None] * features)
    precision = squares + pull * torch.eye(features.shape[1], dtype=features.dtype)
    return (vectors * torch.linalg.solve(precision, vectors.mT).mT).sum(-1).sqrt()


def lower_bounds(theta: Tensor, away: Tensor, uncertainty: Tensor, radius: float) -> Tensor:
    """Least advantage of each arm in the confidence set: (..., d), (..., arms, d), (..., arms) -> (..., arms)."""
    return (away @ theta[..., None])[..., 0] - radius * uncertainty


def shortfall(values: Tensor, gold: Tensor) -> Tensor:
    """Gold reward that the arm of the greatest value lacks of the best arm's: (..., arms), (arms,) -> (...)."""
    return gold.max() - gold[values.argmax(-1)]


def train(bed: ExactBed, config: PessimismConfig, seed: int, observe: Observe) -> Outcome:
    """Draw one set of arms, label comparisons of it many times over, and let both policies choose; no bed is used."""
    draw = torch.Generator().manual_seed(seed)
    plain = normalize(torch.randn(ARMS, PLAIN, generator=draw, dtype=torch.double), dim=-1)
    twins = torch.ones(ARMS, 1, dtype=torch.double)
    arms = torch.cat([torch.cat([plain, 0 * twins], -1), torch.cat([plain, twins], -1)])
    weights = torch.randn(PLAIN, generator=draw, dtype=torch.double)
    weights = torch.cat(
        [2 * weights / weights.norm(), torch.tensor([1.0 if config.hidden == "good" else -1.0])]
    )
    gold = arms @ weights

    usual, odd = torch.triu_indices(ARMS, ARMS, 1), torch.arange(ARMS)
    first, second = torch.cat([usual[0], odd + ARMS]), torch.cat([usual[1], odd])
    features = arms[first] - arms[second]
    chance = torch.sigmoid(features @ weights)
    shown = one_hot(first, 2 * ARMS).double() + one_hot(second, 2 * ARMS).double()
    measures = {}
    for size in SIZES:
        rare = {"even": size // 2, "tenth": size // 10, "once": 1}[config.coverage]
        picks = torch.cat(
            [
                torch.randint(len(usual[0]), (config.repetitions, size - rare), generator=draw),
                torch.randint(ARMS, (config.repetitions, rare), generator=draw) + len(usual[0]),
            ],
            -1,
        )
        won = (torch.rand(picks.shape, generator=draw) < chance[picks]).double()
        empty = torch.zeros(config.repetitions, len(first), dtype=torch.double)
        counts = empty.scatter_add(-1, picks, torch.ones_like(won))
        labels = empty.scatter_add(-1, picks, won) / counts.clamp(min=1)

        theta = bounded_mle(labels, counts, features, config.bound)
        away = arms - ((counts @ shown) @ arms / (2 * size))[:, None]
        uncertainty = norms(away, counts, features, config.ridge)
        spread = config.width**2 * (len(weights) + log(size))
        bounds = lower_bounds(theta, away, uncertainty, sqrt(spread + config.ridge * config.bound**2))
        error = theta - weights
        measures[f"greedy_{size}"] = float(shortfall(theta @ arms.T, gold).mean())
        measures[f"pessimistic_{size}"] = float(shortfall(bounds, gold).mean())
        seen = (counts * (error @ features.T) ** 2).sum(-1) / size
        measures[f"seen_error_{size}"] = float(seen.sqrt().mean())
        measures[f"full_error_{size}"] = float(error.norm(dim=-1).mean())
    return Outcome(logps=None, measures=measures)
