r"""Contract of Crowd-BT's likelihood, of reliabilities, and of Dawid and Skene's soft labels.

Worked differences are $\log3$ and $-\log3$, $\sigma = \frac34, \frac14$, and reliabilities $\frac9{10}$ and $\frac12$.
"""

from __future__ import annotations

from itertools import product
from math import exp, log
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.crowd_labels",
    functions=(
        "crowd_loss",
        "as_judged",
        "reliabilities",
        "first_is_right",
        "dawid_skene",
        "majority",
        "soft_loss",
    ),
)

contract.equivalent(
    "crowd_loss: torch.logaddexp(reliability.log() + logsigmoid(difference), (1 - reliability).log() + "
    "logsigmoid(-difference)) -> torch.logaddexp((1 - reliability).log() + logsigmoid(-difference), "
    "reliability.log() + logsigmoid(difference)) #1",
    "the logarithm of a sum does not depend on the order of its two terms",
)

FLAT = (0.0, 0.0)


@contract.worked("Votes by someone careful, for the better answer and for the worse")
def values(crowd: Any) -> None:
    r"""$\frac9{10}\cdot\frac34 + \frac1{10}\cdot\frac14 = \frac7{10}$ and $\frac3{10}$. Slopes
    $-(2\eta - 1)\sigma'/P = -\frac45\cdot\frac3{16} / P$: $-\frac3{14}$ and $-\frac12$. By the reliability
    $-(\sigma(\Delta) - \sigma(-\Delta))/P$: $-\frac12/\frac7{10} = -\frac57$ and $\frac53$.
    """
    difference, reliability = leaf([log(3), -log(3)]), leaf([0.9, 0.9])
    loss = crowd.crowd_loss(difference, reliability)
    close(loss, [log(10 / 7), log(10 / 3)])
    by_difference, by_reliability = gradients(loss, difference, reliability)
    close(by_difference, [-3 / 14, -1 / 2])
    close(by_reliability, [-5 / 7, 5 / 3])


@contract.worked("Was it said as it was judged?")
def honest(crowd: Any) -> None:
    r"""$\frac{9/10\cdot3/4}{7/10} = \frac{27}{28}$ for the vote that agrees with the scores,
    $\frac{9/10\cdot1/4}{3/10} = \frac34$ for the other.
    """
    found = crowd.as_judged(torch.tensor([log(3), -log(3)]), torch.tensor([0.9, 0.9]))
    close(found, [27 / 28, 3 / 4])


@contract.worked("Reliabilities are shares of right votes, the prior's votes included")
def shares(crowd: Any) -> None:
    r"""Annotator 0 was right with $1, \frac12$; annotator 2 with $\frac14, \frac14, 1$; annotator 1 never
    asked. Without a prior $\frac34$ and $\frac12$; with 3 right and 1 wrong votes of the prior $\frac{3/2 +
    3}{2 + 4} = \frac34$, its own $\frac34$, and $\frac{3/2 + 3}{3 + 4} = \frac9{14}$.
    """
    right = torch.tensor([[1.0, 0.25], [0.5, 0.25], [1.0, 1.0]])
    who = torch.tensor([[0, 2], [0, 2], [2, 3]])
    close(crowd.reliabilities(right, who, 4, FLAT)[[0, 2, 3]], [3 / 4, 1 / 2, 1])
    close(crowd.reliabilities(right, who, 5, (3.0, 1.0)), [3 / 4, 3 / 4, 9 / 14, 4 / 5, 3 / 4])


@contract.worked("The odds of votes multiply")
def odds(crowd: Any) -> None:
    r"""Votes for, for and against the first answer, reliabilities $\frac9{10}, \frac23, \frac34$: odds
    $9\cdot2/3 = 6$, probability $\frac67$. One careful vote against two coins: $\frac1{10}$.
    """
    first = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    reliability = torch.tensor([[9 / 10, 2 / 3, 3 / 4], [9 / 10, 1 / 2, 1 / 2]])
    close(crowd.first_is_right(first, reliability), [6 / 7, 1 / 10])


@contract.worked("One round of Dawid and Skene")
def one_round(crowd: Any) -> None:
    r"""Two pairs, three annotators, all asked about both. Pair 1: for, for, against (share $\frac23$); pair 2:
    all for (share 1). Agreement: annotators 0 and 1: $\frac23, 1$, so $\frac56$; annotator 2: $\frac13, 1$, so
    $\frac23$. Odds of pair 1: $5\cdot5/2 = \frac{25}2$, of pair 2 $5\cdot5\cdot2 = 50$.
    """
    votes = SimpleNamespace(
        first=torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]),
        annotators=torch.tensor([[0, 1, 2], [0, 1, 2]]),
        reliability=torch.full((3,), 0.123),
    )
    label, found = crowd.dawid_skene(votes, FLAT, rounds=1)
    close(found, [5 / 6, 5 / 6, 2 / 3])
    close(label, [25 / 27, 50 / 51])


@contract.worked("Majorities and soft labels")
def labels(crowd: Any) -> None:
    r"""Two of three, one of three, one of two, none. At $\log3$ a label of $\frac14$ costs $\frac14\log\frac43 +
    \frac34\log4$, slope $\sigma - \frac14 = \frac12$.
    """
    close(crowd.majority(torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 0]])), [1, 0, 0])
    close(crowd.majority(torch.tensor([[1.0, 0.0]])), [1 / 2])
    difference = leaf([log(3)])
    loss = crowd.soft_loss(difference, torch.tensor([1 / 4]))
    close(loss, [log(4 / 3) / 4 + 3 * log(4) / 4])
    close(gradients(loss, difference)[0], [1 / 2])


@contract.limit("Someone perfectly reliable, a coin, and someone who always lies")
def extremes(crowd: Any) -> None:
    r"""$\eta = 1$: Bradley and Terry, $\log\frac43$ and $\log4$. $\eta = \frac12$: $\log2$ and no slope,
    whatever the scores. $\eta = 0$: the other label. One vote of someone of reliability $\frac9{10}$ costs at
    most $\log10$.
    """
    difference = leaf([log(3), -log(3)])
    close(crowd.crowd_loss(difference, torch.ones(2)), [log(4 / 3), log(4)])
    coin = crowd.crowd_loss(difference, torch.full((2,), 0.5))
    close(coin, [log(2), log(2)])
    close(gradients(coin, difference)[0], [0, 0])
    close(crowd.crowd_loss(difference, torch.zeros(2)), [log(4), log(4 / 3)])
    close(crowd.crowd_loss(torch.tensor([-1000.0]), torch.tensor([0.9])), [log(10)])


@contract.limit("With one vote each Dawid and Skene learn nothing about anybody")
def single(crowd: Any) -> None:
    r"""Every vote agrees with the label that it makes: all are found reliable (here $\frac{10 + 10}{10 + 11}$),
    and the soft labels are the votes again.
    """
    votes = SimpleNamespace(
        first=torch.tensor([[1.0], [0.0]] * 10),
        annotators=torch.tensor([[0], [1]] * 10),
        reliability=torch.zeros(2),
    )
    label, found = crowd.dawid_skene(votes, (10.0, 1.0), rounds=1)
    close(found, [20 / 21, 20 / 21])
    close(label, [20 / 21, 1 / 21] * 10)


@contract.invariant("The order of votes and of pairs")
def order(crowd: Any) -> None:
    r"""Who is asked first does not matter."""
    first = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    who = torch.tensor([[0, 1, 2], [2, 1, 3]])
    votes, turned = (
        SimpleNamespace(first=first[:, o], annotators=who[:, o], reliability=torch.zeros(4))
        for o in ([0, 1, 2], [2, 0, 1])
    )
    one, other = (crowd.dawid_skene(v, (2.0, 1.0), 20) for v in (votes, turned))
    close(one[0], other[0])
    close(one[1], other[1])


@contract.relation("The other vote, the other side, the liar")
def sides(crowd: Any) -> None:
    r"""The probabilities of the two votes add up to 1. A liar's vote for one answer is an honest one's for the
    other: $\ell(\Delta; \eta) = \ell(-\Delta; 1 - \eta)$.
    """
    difference, eta = torch.tensor([0.4, -2.0]), torch.tensor([0.8, 0.3])
    both = [(-crowd.crowd_loss(sign * difference, eta)).exp() for sign in (1, -1)]
    close(both[0] + both[1], [1, 1])
    close(crowd.crowd_loss(difference, eta), crowd.crowd_loss(-difference, 1 - eta))
    close(
        crowd.first_is_right(torch.zeros(1, 2), eta[None]),
        1 - crowd.first_is_right(torch.ones(1, 2), eta[None]),
    )


@contract.relation("The gradient is that of expectation maximisation")
def em(crowd: Any) -> None:
    r"""With $h$ the probability that the vote was said as judged, $-\nabla\log P = -h\nabla\log\sigma(\Delta) -
    (1-h)\nabla\log\sigma(-\Delta)$; and the reliability at which the slope of the likelihood by $\eta$ vanishes
    is the mean of $h$.
    """
    difference, eta = leaf([0.4, -1.0, 2.0]), leaf([0.7, 0.7, 0.7])
    loss = crowd.crowd_loss(difference, eta)
    h = crowd.as_judged(difference, eta).detach()
    step = -h * torch.sigmoid(-difference) + (1 - h) * torch.sigmoid(difference)
    by_difference, by_eta = gradients(loss, difference, eta)
    close(by_difference, step)
    close(by_eta, -h / eta + (1 - h) / (1 - eta))


@contract.broken("A majority throws away how clear it was; pooling, who said it")
def thrown_away(crowd: Any) -> None:
    r"""Three of five and five of five votes: the same majority. One careful vote against two coins is outvoted
    by a majority; the odds say $\frac1{10}$ for what the coins said.
    """
    first = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    close(crowd.majority(first), [1, 1])
    against = torch.tensor([[0.0, 1.0, 1.0]])
    close(crowd.majority(against), [1])
    close(crowd.first_is_right(against, torch.tensor([[0.9, 0.5, 0.5]])), [1 / 10])


REWARD = (0.0, 1.0, -0.5)
ETA = (0.95, 0.6)


def expected(crowd: Any, table: tuple[float, ...], eta: tuple[float, float], pooled: bool) -> Tensor:
    """Gradient by rewards of the expected loss over all ordered pairs and both annotators, one vote each."""
    reward = leaf(table)
    total = torch.zeros(())
    for i, j in product(range(3), repeat=2):
        judged = 1 / (1 + exp(REWARD[j] - REWARD[i]))
        for true, used in zip(ETA, eta, strict=True):
            chance = true * judged + (1 - true) * (1 - judged)
            difference = (reward[i] - reward[j])[None]
            if pooled:
                loss = crowd.soft_loss(difference, torch.tensor([chance]))
            else:
                likelihoods = [crowd.crowd_loss(d, torch.tensor([used])) for d in (difference, -difference)]
                loss = chance * likelihoods[0] + (1 - chance) * likelihoods[1]
            total = total + loss[0]
    return gradients(total, reward)[0]


@contract.optimum("Endless votes with the right reliabilities: the reward; pooled: a weaker one")
def optimum(crowd: Any) -> None:
    r"""Three answers of rewards $0, 1, -\frac12$, a careful and a careless annotator asked about everything.
    The gradient vanishes at $r$ and $r + 2$ with the true reliabilities, and not with exchanged ones, nor at
    $2r$, nor if all votes are pooled as labels, which asks for smaller differences: at $r$ it pulls the best
    answer down.
    """
    for level in (0.0, 2.0):
        close(expected(crowd, tuple(r + level for r in REWARD), ETA, False), [0, 0, 0], tol=1e-9)
    differ(expected(crowd, tuple(2 * r for r in REWARD), ETA, False), torch.zeros(3), by=0.05)
    differ(expected(crowd, REWARD, (0.99, 0.99), False), torch.zeros(3), by=0.05)
    pooled = expected(crowd, REWARD, ETA, True)
    assert pooled[1] > 0.05
