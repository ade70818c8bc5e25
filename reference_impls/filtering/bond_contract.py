r"""Contract of best-of-n distillation.

The optimum checks use three answers with probabilities $\frac12, \frac13, \frac16$ under the anchor and rewards
$0, 1, 2$, so that $F = \frac12, \frac56, 1$, and $n = 2$.
"""

from __future__ import annotations

from itertools import product
from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.filtering.bond",
    functions=("estimated_quantiles", "winners", "distillation_reward", "jeffreys_loss"),
)


@contract.worked("Quantiles, the answer itself counted")
def quantiles(bond: Any) -> None:
    r"""Rewards of four anchor answers $0, 1, 1, 3$: at most $-1$ have none, at most 1 three, at most 2 three, at most 3
    all: $\frac15, \frac45, \frac45, 1$. The second prompt has its own: $5, 6, 7, 8$ and an answer of 6 or of 9.
    """
    anchors = torch.tensor([[0.0, 1.0, 1.0, 3.0], [5.0, 6.0, 7.0, 8.0]])
    rewards = torch.tensor([[-1.0, 1.0, 2.0, 3.0], [6.0, 6.5, 9.0, 4.0]])
    wanted = [[1 / 5, 4 / 5, 4 / 5, 1], [3 / 5, 3 / 5, 1, 1 / 5]]
    close(bond.estimated_quantiles(rewards, anchors), wanted)


@contract.worked("The best of each n")
def best_of_each(bond: Any) -> None:
    r"""Rewards $0, 3, 1, 2$: in pairs the second and the fourth; of all four the second; of one, everybody. The other
    prompt has $9, 1, 7, 4$.
    """
    rewards = torch.tensor([[0.0, 3.0, 1.0, 2.0], [9.0, 1.0, 7.0, 4.0]])
    close(bond.winners(rewards, 2), [[1, 3], [0, 2]])
    close(bond.winners(rewards, 4), [[1], [0]])
    close(bond.winners(rewards, 1), [[0, 1, 2, 3], [0, 1, 2, 3]])
    raises(ValueError, bond.winners, rewards, 3)


@contract.worked("The reward of the policy gradient")
def reward(bond: Any) -> None:
    r"""$F = \frac12$, $n = 3$, policy $\frac12$, anchor $\frac18$: $2\log\frac12 - \log 4 = -4\log 2$. With $F = 1$,
    policy $\frac14$, anchor $\frac12$: $\log 2$. It carries no gradient.
    """
    logps, anchor = leaf([log(1 / 2), log(1 / 4)]), torch.tensor([log(1 / 8), log(1 / 2)])
    found = bond.distillation_reward(logps, anchor, torch.tensor([0.5, 1.0]), 3)
    close(found, [-4 * log(2), log(2)])
    assert not found.requires_grad


@contract.worked("The mixture of both directions")
def mixture(bond: Any) -> None:
    r"""Winners of probability $\frac12$ and $\frac18$, mean $-2\log 2$; samples of $\frac12$ and $\frac14$ with
    advantages $2$ and $-2$, mean product $\log 2$. With $w = \frac14$: $\frac34\cdot2\log 2 - \frac14\log 2 =
    \frac54\log 2$. Gradients $-\frac34\cdot\frac12$, and $\mp\frac14\cdot\frac22$.
    """
    winning, logps = leaf([log(1 / 2), log(1 / 8)]), leaf([log(1 / 2), log(1 / 4)])
    loss = bond.jeffreys_loss(winning, logps, torch.tensor([2.0, -2.0]), 0.25)
    close(loss, 5 / 4 * log(2))
    by_winners, by_samples = gradients(loss, winning, logps)
    close(by_winners, [-3 / 8, -3 / 8])
    close(by_samples, [-1 / 4, 1 / 4])


@contract.limit("One direction alone")
def one_direction(bond: Any) -> None:
    r"""$w = 0$ imitates the winners and $w = 1$ is a policy gradient; the other input then counts for nothing."""
    winning, logps = leaf([log(1 / 2), log(1 / 8)]), leaf([log(1 / 2), log(1 / 4)])
    for backward, wanted in (
        (0.0, [2 * log(2), [-1 / 2, -1 / 2], [0, 0]]),
        (1.0, [-log(2), [0, 0], [-1, 1]]),
    ):
        loss = bond.jeffreys_loss(winning, logps, torch.tensor([2.0, -2.0]), backward)
        close(loss, wanted[0])
        for found, expected in zip(gradients(loss, winning, logps), wanted[1:], strict=True):
            close(found, expected)


@contract.limit("The best of one")
def of_one(bond: Any) -> None:
    r"""With $n = 1$ quantiles do not count: only the pull to the anchor is left."""
    logps, anchor = torch.tensor([-1.0, -2.0]), torch.tensor([-1.5, -1.0])
    close(bond.distillation_reward(logps, anchor, torch.tensor([0.2, 0.9]), 1), [-0.5, 1])


@contract.invariant("Any increasing function of a prompt's rewards")
def monotone(bond: Any) -> None:
    r"""Winners and quantiles see the order alone."""
    anchors, rewards = torch.tensor([[0.0, 1.0, 1.0, 3.0]]), torch.tensor([[-1.0, 1.0, 2.0, 3.0]])
    for change in (lambda r: 10 * r - 3, torch.exp):
        close(
            bond.estimated_quantiles(change(rewards), change(anchors)),
            bond.estimated_quantiles(rewards, anchors),
        )
        close(bond.winners(change(rewards), 2), bond.winners(rewards, 2))


LAW, REWARD, BELOW = (1 / 2, 1 / 3, 1 / 6), (0.0, 1.0, 2.0), (1 / 2, 5 / 6, 1.0)


def forward_slope(bond: Any, policy: list[float]) -> Tensor:
    """Gradient by the logits of the first direction: both draws of the anchor are enumerated."""
    theta = leaf([log(p) for p in policy])
    logps, total = theta.log_softmax(0), torch.zeros(())
    for i, j in product(range(3), repeat=2):
        place = bond.winners(torch.tensor([[REWARD[i], REWARD[j]]]), 2)[0]
        loss = bond.jeffreys_loss(logps[torch.tensor([i, j])[place]], logps[:1], torch.zeros(1), 0.0)
        total = total + LAW[i] * LAW[j] * loss
    return torch.autograd.grad(total, theta)[0]


def backward_slope(bond: Any, policy: list[float]) -> Tensor:
    """Gradient by the logits of the second direction, with exact quantiles and expectations."""
    theta = leaf([log(p) for p in policy])
    logps = theta.log_softmax(0)
    rewards = bond.distillation_reward(logps, torch.tensor(LAW).log(), torch.tensor(BELOW), 2)
    weights = 3 * logps.detach().exp() * rewards
    return torch.autograd.grad(bond.jeffreys_loss(logps[:1], logps, weights, 1.0), theta)[0]


@contract.optimum("Imitating the winners ends at the best of n")
def forward_optimum(bond: Any) -> None:
    r"""$\frac14, \frac{25}{36} - \frac14 = \frac49, \frac{11}{36}$; not at the anchor."""
    close(forward_slope(bond, [1 / 4, 4 / 9, 11 / 36]), [0, 0, 0], tol=1e-9)
    differ(forward_slope(bond, list(LAW)), torch.zeros(3), by=0.1)


@contract.optimum("The policy gradient ends at the anchor times F to the power n - 1")
def backward_optimum(bond: Any) -> None:
    r"""$\frac12\cdot\frac12, \frac13\cdot\frac56, \frac16 = \frac{9, 10, 6}{36}$, so $\frac9{25}, \frac{10}{25},
    \frac6{25}$; neither at the anchor nor at $n = 3$, $\propto \frac18, \frac{25}{108}, \frac16$.
    """
    close(backward_slope(bond, [9 / 25, 10 / 25, 6 / 25]), [0, 0, 0], tol=1e-9)
    for other in (list(LAW), [1 / 8, 25 / 108, 1 / 6]):
        differ(backward_slope(bond, other), torch.zeros(3), by=0.02)


@contract.broken("The two directions agree only where no answer carries much mass")
def atoms(bond: Any) -> None:
    r"""At the exact best of two, $(\frac14, \frac49, \frac{11}{36})$, the policy gradient is not at rest: $n F^{n-1}$
    is the best of $n$'s ratio to the anchor for answers of vanishing probability, and here the best answer is
    $\frac16$ of all.
    """
    differ(backward_slope(bond, [1 / 4, 4 / 9, 11 / 36]), torch.zeros(3), by=0.02)
