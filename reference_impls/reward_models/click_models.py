r"""Rewards from clicks: inverse propensities, pointwise and as in the ranking SVM, and a click model.

Paper: joachims2017unbiased, which weighs the clicks of a ranking SVM by inverse propensities; the pointwise
form is the same estimator of another loss, and the click model is what its abstract names as the usual way.
Provenance: reconstruction from the abstract and expositions.

A user looks at position $k$ with probability $p_k$, and clicks ($c = 1$) on what is looked at if it is found
relevant, which has probability $\sigma(r(x, y) - b)$. So a click is worth $c / p_k$ relevant answers on
average, seen or not: $\mathbb{E}[c / p_k] = \sigma(r - b)$. Replacing relevance by $c / p_k$ in any loss that
is linear in it leaves its expectation as it was:

$$L_{IPS} = \mathrm{softplus}(s) - \frac{c}{p_k}\, s, \qquad
L_{rank} = \sum_{i} \frac{c_i}{p_i} \sum_{j \ne i} \max(0, 1 - (s_i - s_j)), \qquad
L_{model} = -c \log(p_k \sigma(s)) - (1 - c) \log(1 - p_k \sigma(s)).$$

The first has its optimum at $s = r - b$, the click model too if positions and answers vary apart, and that one
can learn $p_2, p_3, \dots$ along with $s$ ($p_1 = 1$). The second bounds the rank of what is relevant; its
scores order answers by relevance and have no unit. With $p_k = 1$ all of them take what was not looked at for
irrelevant.

What we leave out: propensities from interventions (here they are known, assumed wrongly, or learned), trust
bias and cascades, clipped weights, and networks: the reward is linear in the bed's features, with a Gaussian
prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from reference_impls.beds.clicks import click_sessions, examination
from reference_impls.beds.exact import ExactBed
from reference_impls.core.linear import LinearReward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.reward_measures import reward_distance
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "clicks-ips": {
        "name": "Clicks weighted by inverse propensities",
        "paper": "joachims2017unbiased",
        "category": "implicit-feedback",
        "provenance": "reconstruction",
        "feedback": ["implicit"],
        "needs": [],
        "target": "the likelihood of relevance, estimated without bias from clicks; the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"loss": "pointwise", "prior": 0.1},
        "knob": None,
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "none",
            "explicitness": "implicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["scores * clicks / propensity", "scores * clicks * propensity"],
            "why": "clicks count for less where fewer look, which doubles the bias",
        },
    },
    "clicks-ips-rank": {
        "name": "Ranking SVM weighted by inverse propensities",
        "paper": "joachims2017unbiased",
        "category": "implicit-feedback",
        "provenance": "reconstruction",
        "feedback": ["implicit"],
        "needs": [],
        "target": "the rank of relevant answers, estimated without bias from clicks",
        "yields": "reward",
        "preset": {"loss": "ranking", "prior": 0.03},
        "knob": None,
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "none",
            "explicitness": "implicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["clicks / propensity", "clicks * propensity"],
            "why": "clicks count for less where fewer look, which doubles the bias",
        },
    },
    "click-model": {
        "name": "Position-based click model",
        "paper": "joachims2017unbiased",
        "category": "implicit-feedback",
        "provenance": "reconstruction",
        "feedback": ["implicit"],
        "needs": [],
        "target": "the likelihood of clicks with learned propensities; the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"loss": "model"},
        "knob": None,
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "none",
            "explicitness": "implicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["(1 - propensity) + propensity * torch.sigmoid(-scores)", "torch.sigmoid(-scores)"],
            "why": "what was not clicked counts as seen and rejected wherever it stood",
        },
    },
}


@dataclass(frozen=True)
class ClickModelsConfig:
    """Defaults for the exact bed: 4,000 sessions that show eight answers each."""

    loss: Literal["pointwise", "ranking", "model"] = "pointwise"
    sessions: int = 4000
    size: int = 8
    """Answers per session."""
    bias: float = 1.0
    """How steeply users' attention falls: they look at position k with probability k to the minus this."""
    assumed: float = 1.0
    """The same as the learner takes it to be; 0 takes every answer for seen. The click model learns it."""
    prior: float = 0.25
    """Standard deviation of the Gaussian prior on each weight of the reward."""
    steps: int = 120
    """Updates, each on all sessions."""
    lr: float = 0.05


def ips_loss(scores: Tensor, clicks: Tensor, propensity: Tensor) -> Tensor:
    """Cross-entropy of relevance with each click counted ``1 / propensity`` times: (n, size) x 3 -> (n, size).

    May be negative: only its mean over users is a cross-entropy.
    """
    return softplus(scores) - scores * clicks / propensity


def ips_rank_loss(scores: Tensor, clicks: Tensor, propensity: Tensor) -> Tensor:
    """Weighted hinges between each clicked answer and all others of its list: (n, size) x 3 -> (n,)."""
    lead = scores[:, :, None] - scores[:, None, :]
    others = 1 - torch.eye(scores.shape[1], dtype=scores.dtype, device=scores.device)
    bound = ((1 - lead).clamp(min=0) * others).sum(-1)
    return (clicks / propensity * bound).sum(-1)


def click_model_loss(scores: Tensor, clicks: Tensor, propensity: Tensor) -> Tensor:
    """Negative log-likelihood of each click or its absence: (n, size) x 3 -> (n, size)."""
    clicked = propensity.log() + logsigmoid(scores)
    passed = ((1 - propensity) + propensity * torch.sigmoid(-scores)).log()
    return -torch.where(clicks > 0, clicked, passed)


class ClickModel(nn.Module):
    """A linear reward, the bar above which users click, and how likely they look at each position."""

    def __init__(self, bed: ExactBed, size: int) -> None:
        """Rewards and bar start at 0, and every position but the first at one half."""
        super().__init__()
        self.reward = LinearReward(bed.space, bed.prompts)
        self.bar = nn.Parameter(torch.zeros((), device=bed.device))
        self.attention = nn.Parameter(torch.zeros(size - 1, device=bed.device))

    def propensity(self) -> Tensor:
        """Probability of looking at each position, the first one surely: (size,)."""
        return torch.cat([torch.ones_like(self.attention[:1]), torch.sigmoid(self.attention)])


def train(bed: ExactBed, config: ClickModelsConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a linear reward to logged sessions."""
    draw = bed.generator(seed)
    data = click_sessions(bed, config.sessions, config.size, config.bias, draw)
    model = ClickModel(bed, config.size)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    assumed = examination(config.size, config.assumed).to(bed.device)

    for step in range(1, config.steps + 1):
        scores = model.reward.table()[0][data.prompts[:, None], data.answers] - model.bar
        if config.loss == "ranking":
            losses = ips_rank_loss(scores, data.clicks, assumed)
        elif config.loss == "model":
            losses = click_model_loss(scores, data.clicks, model.propensity())
        else:
            losses = ips_loss(scores, data.clicks, assumed)
        penalty = model.reward.weight.square().sum() / (2 * config.prior**2)
        descend((losses.sum() + penalty) / config.sessions, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(model.reward.table()[0].detach()))

    final = model.reward.table()[0].detach()
    rows = bed.train_rows
    law = bed.reference_logps[rows].exp()
    used = model.propensity().detach() if config.loss == "model" else assumed
    truth = examination(config.size, config.bias).to(used)
    return Outcome(
        logps=bed.optimum(final),
        optimum=None if config.loss == "ranking" else bed.optimum(bed.utility),
        scores=final,
        measures={
            "match": 1 - 2 * reward_distance(final[rows], bed.gold[rows], law) ** 2,
            "old_ranker": 1 - 2 * reward_distance(final[rows], bed.second_utility[rows], law) ** 2,
            "propensity_error": float((used - truth).abs().mean()),
        },
    )
