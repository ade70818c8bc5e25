r"""Reward models from the votes of a crowd: Crowd-BT, and Dawid and Skene's votes before Bradley and Terry.

Papers: chen2013pairwise for Crowd-BT, dawid1979maximum for the estimate of reliabilities from votes alone.
Provenance: reconstruction; the probability of a vote was compared with one implementation of Crowd-BT, and the prior
of reliabilities, Beta(10, 1), is that of ports of Gavel.

Annotator $k$ votes for the better answer of a pair with the probability that a Bradley-Terry judge would, if
reliable:

$$\Pr(y_1 \succ_k y_2) = \eta_k\,\sigma(\Delta) + (1 - \eta_k)\,\sigma(-\Delta).$$

Crowd-BT fits scores and reliabilities by expectation maximisation: with $h = \eta\,\sigma(\Delta) / \Pr$ the
probability that a vote was reported as judged, $\eta_k$ becomes the mean of $h$ over $k$'s votes with the
prior's counts, and the scores descend $-\log\Pr$. It needs no second vote on a pair, since the fitted scores
stand in for other people's opinions. Dawid and Skene's estimate, here with one reliability per person, needs
several: a pair has a hidden right answer $z$ with posterior odds $\prod_k (\eta_k / (1 - \eta_k))^{\pm1}$, and
$\eta_k$ is the mean agreement with it. Bradley and Terry's model is then fitted to the posterior as a soft
label. Pooling takes every vote for a label, and a majority vote makes one label out of all votes on a pair.

What we leave out: the choice of whom to ask about what (active), reliabilities that differ between the two
answers' sides, the online Bayesian updates of Crowd-BT, and networks: the reward is linear in the bed's
features, with a Gaussian prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.crowd import Votes, crowd_votes
from reference_impls.beds.exact import ExactBed
from reference_impls.core.linear import LinearReward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.reward_measures import reward_distance
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "crowd-bt": {
        "name": "Crowd-BT",
        "paper": "chen2013pairwise",
        "category": "feedback-collection",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of votes by annotators of unknown reliability; the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"aggregate": "crowd-bt"},
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
            "replace": [
                "logsigmoid(difference), (1 - reliability).log()",
                "logsigmoid(difference), reliability.log()",
            ],
            "why": "careful annotators' votes count as much against them as for them",
        },
    },
    "dawid-skene-bt": {
        "name": "Dawid and Skene's votes, then Bradley-Terry",
        "paper": "dawid1979maximum",
        "category": "feedback-collection",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": None,
        "yields": "reward",
        "preset": {"aggregate": "dawid-skene", "votes": 5},
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
            "replace": [
                "(2 * first - 1) * torch.logit(reliability)",
                "(1 - 2 * first) * torch.logit(reliability)",
            ],
            "why": "reliable votes count for the other answer",
        },
    },
}


ROUNDS = 20


@dataclass(frozen=True)
class CrowdLabelsConfig:
    """Defaults for the exact bed: 4,000 votes by 60 annotators, half of them careless."""

    aggregate: Literal["crowd-bt", "dawid-skene", "known", "pooled", "majority"] = "crowd-bt"
    """What is made of the votes; with "known" reliabilities are given away (an oracle)."""
    labels: int = 4000
    """All votes; divided by ``votes`` they give the number of pairs."""
    votes: int = 1
    """Votes on each pair."""
    annotators: int = 60
    careless: float = 0.5
    """Share of careless annotators."""
    reliabilities: tuple[float, float] = (0.95, 0.55)
    """Of careful and of careless annotators."""
    trust: tuple[float, float] = (10.0, 1.0)
    """Votes that the prior of reliabilities counts as right and as wrong."""
    prior: float = 0.25
    """Standard deviation of the Gaussian prior on each weight of the reward."""
    steps: int = 120
    """Updates, each on all votes."""
    lr: float = 0.05


def crowd_loss(difference: Tensor, reliability: Tensor) -> Tensor:
    """Negative log-likelihood of votes for an answer by this much better: all of one shape."""
    return -torch.logaddexp(
        reliability.log() + logsigmoid(difference), (1 - reliability).log() + logsigmoid(-difference)
    )


def as_judged(difference: Tensor, reliability: Tensor) -> Tensor:
    """Probability that such votes say what their annotators judged: all of one shape."""
    return (reliability.log() + logsigmoid(difference) + crowd_loss(difference, reliability)).exp()


def reliabilities(agreement: Tensor, annotators: Tensor, number: int, trust: tuple[float, float]) -> Tensor:
    """Share of each annotator's votes that were right, with the prior's votes: (n, votes) x 2 -> (number,).

    ``agreement`` is the probability that a vote was right.
    """
    right = torch.zeros(number).to(agreement).index_add(0, annotators.flatten(), agreement.flatten())
    asked = torch.bincount(annotators.flatten(), minlength=number)
    return (right + trust[0]) / (asked + trust[0] + trust[1])


def first_is_right(first: Tensor, reliability: Tensor) -> Tensor:
    """Posterior that the first answer of each pair is the right one: votes and reliabilities (n, votes) -> (n,)."""
    return torch.sigmoid(((2 * first - 1) * torch.logit(reliability)).sum(-1))


def dawid_skene(votes: Votes, trust: tuple[float, float], rounds: int) -> tuple[Tensor, Tensor]:
    """Soft labels for the first answers (n,) and reliabilities (annotators,) by expectation maximisation.

    Starts from the shares of votes.
    """
    label = votes.first.mean(-1)
    found = votes.reliability
    for _ in range(rounds):
        agreement = votes.first * label[:, None] + (1 - votes.first) * (1 - label[:, None])
        found = reliabilities(agreement, votes.annotators, len(votes.reliability), trust)
        label = first_is_right(votes.first, found[votes.annotators])
    return label, found


def majority(first: Tensor) -> Tensor:
    """The side with more votes as a label, one half for a draw: (n, votes) -> (n,)."""
    return (torch.sign(first.mean(-1) - 0.5) + 1) / 2


def soft_loss(difference: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of Bradley and Terry's model with a label between 0 and 1: (n,) x 2 -> (n,)."""
    return -label * logsigmoid(difference) - (1 - label) * logsigmoid(-difference)


def train(bed: ExactBed, config: CrowdLabelsConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a linear reward to the votes of a crowd."""
    draw = bed.generator(seed)
    votes = crowd_votes(
        bed,
        config.labels // config.votes,
        config.votes,
        config.annotators,
        config.careless,
        config.reliabilities,
        draw,
    )
    label, found = votes.first.mean(-1), votes.reliability
    if config.aggregate == "majority":
        label = majority(votes.first)
    elif config.aggregate == "dawid-skene":
        label, found = dawid_skene(votes, config.trust, ROUNDS)
    elif config.aggregate == "crowd-bt":
        found = torch.full_like(found, config.trust[0] / sum(config.trust))
    model = LinearReward(bed.space, bed.prompts)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    weight = config.votes if config.aggregate == "pooled" else 1
    sides = 2 * votes.first - 1

    for step in range(1, config.steps + 1):
        scores = model.table()[0][votes.prompts[:, None], votes.pairs]
        difference = scores[:, 0] - scores[:, 1]
        if config.aggregate in ("crowd-bt", "known"):
            signed = sides * difference[:, None]
            if config.aggregate == "crowd-bt":
                right = as_judged(signed.detach(), found[votes.annotators])
                found = reliabilities(right, votes.annotators, config.annotators, config.trust)
            losses = crowd_loss(signed, found[votes.annotators])
        else:
            losses = weight * soft_loss(difference, label)
        penalty = model.weight.square().sum() / (2 * config.prior**2)
        descend((losses.sum() + penalty) / config.labels, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(model.table()[0].detach()))

    final = model.table()[0].detach()
    rows = bed.train_rows
    law = bed.reference_logps[rows].exp()
    return Outcome(
        logps=bed.optimum(final),
        optimum=bed.optimum(bed.utility) if config.aggregate in ("crowd-bt", "known") else None,
        scores=final,
        measures={
            "match": 1 - 2 * reward_distance(final[rows], bed.gold[rows], law) ** 2,
            "reliability_error": float((found - votes.reliability).abs().mean()),
        },
    )
