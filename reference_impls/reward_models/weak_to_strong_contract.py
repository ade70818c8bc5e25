r"""Contract of the auxiliary confidence loss, its warm-up, and the share of the gap that is recovered.

The worked batch has margins $\log 3, 0, -\log 3, \log 7$, so chances $\frac34, \frac12, \frac14, \frac78$, and weak
labels $\frac12, \frac12, \frac12, \frac12$: half of the batch is called won by the first answer, the two with the
largest margins.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.weak_to_strong",
    functions=("confidence_loss", "warmed", "recovered"),
)

MARGINS = (log(3), 0.0, -log(3), log(7))
HALF = torch.full((4,), 0.5, dtype=torch.float64)


@contract.worked("Plain fine-tuning on soft labels, and its gradient")
def plain(module: Any) -> None:
    r"""$-w\log\sigma(m) - (1 - w)\log(1 - \sigma(m))$ with $w = \frac12$: $\frac12\log\frac{16}{3}$, $\log2$,
    $\frac12\log\frac{16}3$, $\frac12\log\frac{64}7$. The gradient is $\sigma(m) - w$: $\frac14, 0, -\frac14, \frac38$.
    """
    margins = leaf(MARGINS)
    loss = module.confidence_loss(margins, HALF, 0.0)
    close(loss, [log(16 / 3) / 2, log(2), log(16 / 3) / 2, log(64 / 7) / 2])
    close(gradients(loss, margins)[0], [1 / 4, 0, -1 / 4, 3 / 8])


@contract.worked("Half of the weight on what the student believes")
def confident(module: Any) -> None:
    r"""Hardened predictions $1, 0, 0, 1$; targets $\frac34, \frac14, \frac14, \frac34$. Losses $-\frac34\log\frac34 -
    \frac14\log\frac14$, $\log 2$, the same as the first, and $-\frac34\log\frac78 - \frac14\log\frac18$; gradients
    $0, \frac14, 0, \frac18$.
    """
    margins = leaf(MARGINS)
    loss = module.confidence_loss(margins, HALF, 0.5)
    first = -0.75 * log(3 / 4) - 0.25 * log(1 / 4)
    close(loss, [first, log(2), first, -0.75 * log(7 / 8) - 0.25 * log(1 / 8)])
    close(gradients(loss, margins)[0], [0, 1 / 4, 0, 1 / 8])


@contract.worked("The share of the batch that is called won is the supervisor's")
def share(module: Any) -> None:
    r"""With $\alpha = 1$ the gradient is $\sigma(m) - \hat z$. Weak labels of mean $\frac14$ leave one of four, of
    mean $\frac34$ three, in the order of the margins and not of the weak labels; the supervisor's labels count for
    nothing else.
    """
    chances = torch.tensor([3 / 4, 1 / 2, 1 / 4, 7 / 8])
    for weak, own in (
        ([1.0, 0.0, 0.0, 0.0], [0, 0, 0, 1]),
        ([0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1]),
        ([0.0, 1.0, 1.0, 0.0], [1, 0, 0, 1]),
        ([0.0, 1.0, 1.0, 1.0], [1, 1, 0, 1]),
    ):
        margins = leaf(MARGINS)
        loss = module.confidence_loss(margins, torch.tensor(weak), 1.0)
        close(gradients(loss, margins)[0], chances - torch.tensor(own))


@contract.limit("Weights at both ends")
def ends(module: Any) -> None:
    """Without own weight the loss is that of the weak labels, at any threshold; margins far out do not overflow."""
    weak = torch.tensor([1.0, 0.0])
    close(module.confidence_loss(torch.tensor([1000.0, -1000.0]), weak, 0.0), [0, 0])
    close(module.confidence_loss(torch.tensor([-1000.0, 1000.0]), weak, 0.0), [1000, 1000])
    close(module.confidence_loss(torch.tensor([-1000.0, 1000.0]), weak, 1.0), [0, 0])


@contract.limit("A margin on the threshold is not called won")
def on_the_threshold(module: Any) -> None:
    r"""Three margins $-1, 0, 1$ and weak labels $\frac12$: the median is itself a margin. Gradients
    $\sigma(m) - \hat z$ with $\hat z = 0, 0, 1$.
    """
    margins = leaf([-1.0, 0.0, 1.0])
    loss = module.confidence_loss(margins, torch.full((3,), 0.5), 1.0)
    chance = torch.sigmoid(torch.tensor(-1.0))
    close(gradients(loss, margins)[0], [chance, 0.5, -chance])


@contract.invariant("The order of the pairs; and of all pairs' answers, turned round together")
def order(module: Any) -> None:
    r"""Swapping both answers of every pair turns margins and labels round: the loss stays where no margin lies on the
    threshold.
    """
    margins, weak = (
        torch.tensor([1.0, -2.0, 0.3, 0.7, -0.1, 2.0]),
        torch.tensor([0.9, 0.2, 0.4, 0.5, 0.3, 0.7]),
    )
    for alpha in (0.0, 0.4, 1.0):
        loss = module.confidence_loss(margins, weak, alpha)
        close(module.confidence_loss(margins.flip(0), weak.flip(0), alpha), loss.flip(0))
        close(module.confidence_loss(-margins, 1 - weak, alpha), loss)


@contract.relation("The loss is linear in the weight")
def linear(module: Any) -> None:
    """Between the weak labels' loss and the own predictions'."""
    margins, weak = torch.randn(7), torch.rand(7)
    weak_loss, own = (module.confidence_loss(margins, weak, a) for a in (0.0, 1.0))
    close(module.confidence_loss(margins, weak, 0.3), 0.7 * weak_loss + 0.3 * own)


@contract.broken("A student's loss is not its own: the threshold is the batch's")
def batch(module: Any) -> None:
    """The same pair is called won among worse ones and lost among better ones."""
    weak = torch.tensor([0.5, 0.5])
    among_worse = module.confidence_loss(torch.tensor([0.2, -1.0]), weak, 1.0)[0]
    among_better = module.confidence_loss(torch.tensor([0.2, 1.0]), weak, 1.0)[0]
    close(among_worse, log(1 + 2.718281828459045**-0.2))
    close(among_better, log(1 + 2.718281828459045**0.2))
    differ(among_worse, among_better, by=0.15)


@contract.optimum("Weak labels are matched; own weight pushes past them, to the mixture")
def optimum(module: Any) -> None:
    r"""Without own weight the gradient vanishes at $\sigma(m) = w$; with weight $\frac12$ and labels
    $\frac14, \frac34$ at $\frac18, \frac78$, where the student is surer than its supervisor, on either side. With
    weight 1 nowhere: every margin keeps growing.
    """
    weak = torch.tensor([1 / 4, 3 / 4])
    for alpha, chance in ((0.0, 3 / 4), (0.5, 7 / 8)):
        edge = log(chance / (1 - chance))
        margins = leaf([-edge, edge])
        close(gradients(module.confidence_loss(margins, weak, alpha), margins)[0], [0, 0], tol=1e-9)
    margins = leaf([-3.0, 3.0])
    found = gradients(module.confidence_loss(margins, weak, 1.0), margins)[0]
    assert found[0] > 0 > found[1]


@contract.worked("The warm-up grows without a jump")
def warm_up(module: Any) -> None:
    r"""A weight of $0.6$ over the first fifth of 50 updates: $0.06$ at the first, $0.3$ at the fifth, $0.54$ at the
    ninth, $0.6$ from the tenth on. Without a warm-up it is there at once.
    """
    for step, weight in ((0, 0.0), (1, 0.06), (5, 0.3), (9, 0.54), (10, 0.6), (11, 0.6), (50, 0.6)):
        close(module.warmed(0.6, step, 50, 0.2), weight)
    close(module.warmed(0.6, 0, 50, 0.0), 0.6)


@contract.worked("The share that is recovered")
def share_recovered(module: Any) -> None:
    r"""From $0.6$ to $0.9$ with the student at $0.7$: a third. A copy recovers 0, the ceiling 1, a student worse than
    its supervisor less than 0.
    """
    close(module.recovered(0.7, 0.6, 0.9), 1 / 3)
    close(module.recovered(0.6, 0.6, 0.9), 0)
    close(module.recovered(0.9, 0.6, 0.9), 1)
    close(module.recovered(0.5, 0.6, 0.9), -1 / 3)
