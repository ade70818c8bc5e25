r"""Contract of ILQL's losses, of the shifted law and of the policy at which it ends.

The worked losses are of two answers, of two and of three tokens. The exact checks have answers of one or two
tokens over one symbol, as in APA's contract: stop at once ($s$), or write $a$ and then stop ($as$) or write $a$
again ($aa$).
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises
from reference_impls.core.space import SequenceSpace

contract = Contract(
    module="reference_impls.offline.ilql",
    functions=(
        "expectile_loss",
        "action_value_loss",
        "conservative_loss",
        "shifted",
        "expectile",
        "support_optimum",
    ),
)
EQUIVALENTS = {
    "expectile_loss: error >= 0 -> error > 0 #1": "at an error of 0 the weight does not matter",
    "action_value_loss: rewards + next_values.detach() - q -> q - (rewards + next_values.detach()) #1": (
        "the sign of what is squared does not matter"
    ),
    "conservative_loss: every_q.transpose(1, 2) -> every_q.transpose(2, 1) #1": "the same exchange",
    "expectile: range(50) -> range(51) #1": "one more halving of an interval that is already 2^-50 of the start",
    "expectile: (law * torch.where(..., tau, ...) * error).sum(-1, keepdim=True) -> "
    "(law * torch.where(..., tau, ...) * error).mean(-1, keepdim=True) #1": "only the sign of the sum is used",
    "expectile: error >= 0 -> error > 0 #1": "at an error of 0 the weight does not matter",
    "expectile: pull > 0 -> pull >= 0 #1": "if the middle is the root, either end of the interval converges to it",
    "expectile: high.squeeze(-1) -> low.squeeze(-1) #1": "the ends agree to 2^-50 of the interval's start",
    "support_optimum: shifted(level, values, beta) -> shifted(level, beta, values) #1": "a product commutes",
}
for _mutant, _reason in EQUIVALENTS.items():
    contract.equivalent(_mutant, _reason)

MASK = ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0))


@contract.worked("The expectile loss and its gradient")
def asymmetric(ilql: Any) -> None:
    r"""Targets minus values: $2, -1, \cdot$ and $0, -2, 1$. With $\tau = \frac34$: $\frac34 \cdot 4 + \frac14
    \cdot 1$ and $0 + \frac14 \cdot 4 + \frac34$. Gradient by the value: $-2$ times weight times error; none by
    the target.
    """
    values, targets = leaf([[1.0, 1.0, 7.0], [0.0, 3.0, 1.0]]), leaf([[3.0, 0.0, 9.0], [0.0, 1.0, 2.0]])
    loss = ilql.expectile_loss(values, targets, torch.tensor(MASK), 0.75)
    close(loss, [13 / 4, 7 / 4])
    by_value, by_target = gradients(loss, values, targets)
    close(by_value, [[-3, 1 / 2, 0], [0, 1, -3 / 2]])
    close(by_target, torch.zeros(2, 3))


@contract.worked("The action values' loss and its gradient")
def temporal(ilql: Any) -> None:
    r"""Reward plus next value minus Q: $0 + 2 - 1 = 1$, $3 + 0 - 1 = 2$; and $0 + 1 - 1 = 0$, $0 + 2 - 5 = -3$,
    $1 + 0 - 0 = 1$. Squares: $1 + 4$ and $0 + 9 + 1$. Gradient by Q $-2$ times the error; none by the next value.
    """
    q, following = leaf([[1.0, 1.0, 7.0], [1.0, 5.0, 0.0]]), leaf([[2.0, 0.0, 7.0], [1.0, 2.0, 0.0]])
    rewards = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    loss = ilql.action_value_loss(q, following, rewards, torch.tensor(MASK))
    close(loss, [5, 10])
    by_q, by_next = gradients(loss, q, following)
    close(by_q, [[-2, -4, 0], [0, 6, -2]])
    close(by_next, torch.zeros(2, 3))


@contract.worked("The conservative term and its gradient")
def holding_down(ilql: Any) -> None:
    r"""Values $\log 3, 0$ with the first written: $\log\frac43$; with the second: $\log 4$. All equal: $\log 2$. The
    written token is pulled up and the others down.
    """
    every = leaf([[[log(3), 0.0], [log(3), 0.0], [5.0, 1.0]], [[2.0, 2.0], [0.0, 0.0], [0.0, log(3)]]])
    chosen = torch.tensor([[0, 1, 0], [0, 1, 1]])
    loss = ilql.conservative_loss(every, chosen, torch.tensor(MASK))
    close(loss, [log(4 / 3) + log(4), 2 * log(2) + log(4 / 3)])
    first = gradients(loss, every)[0][0]
    close(first, [[-1 / 4, 1 / 4], [3 / 4, -3 / 4], [0, 0]])


@contract.worked("The shifted law")
def shift(ilql: Any) -> None:
    r"""$\frac14, \frac34$ and values $\log 3, 0$ at $\beta = 2$: $\frac94$ against $\frac34$. A constant added to the
    values, V for one, changes nothing; at $\beta = 0$ the writer is left.
    """
    law, values = torch.tensor([1 / 4, 3 / 4]).log(), torch.tensor([log(3), 0.0])
    close(ilql.shifted(law, values, 2.0).exp(), [3 / 4, 1 / 4])
    close(ilql.shifted(law, values - 5, 2.0).exp(), [3 / 4, 1 / 4])
    close(ilql.shifted(law, values, 0.0).exp(), [1 / 4, 3 / 4])


@contract.worked("Expectiles of two and of three values")
def expectiles(ilql: Any) -> None:
    r"""Values 0 and 1 with probability $\frac12$: $m$ with $\tau (1 - m) = (1 - \tau) m$, that is $\tau$. With
    $\frac14$ and $\frac34$ at $\tau = \frac14$: $\frac34 \cdot \frac14 (1 - m) = \frac14 \cdot \frac34 m$, $m =
    \frac12$. At $\tau = \frac12$ the mean: of $1, 2, 6$ with thirds, 3.
    """
    pair = torch.tensor([0.0, 1.0])
    for tau in (0.2, 0.5, 0.9):
        close(ilql.expectile(pair, torch.tensor([1 / 2, 1 / 2]), tau), tau)
    close(ilql.expectile(pair, torch.tensor([1 / 4, 3 / 4]), 0.25), 1 / 2)
    close(ilql.expectile(torch.tensor([[1.0, 2.0, 6.0]]), torch.full((1, 3), 1 / 3), 0.5), [3])
    close(ilql.expectile(torch.tensor([4.0, 4.0]), torch.tensor([0.3, 0.7]), 0.9), 4)
    two = torch.tensor([[0.0, 1.0], [2.0, 6.0]])
    close(ilql.expectile(two, torch.full((2, 2), 1 / 2), 0.25), [1 / 4, 3])


@contract.limit("tau to 1 is the best value, to 0 the worst")
def extremes(ilql: Any) -> None:
    r"""Of $1, 2, 6$ with thirds; a value of probability 0 counts for neither: nobody wrote it."""
    values = torch.tensor([1.0, 2.0, 6.0])
    for law, low, high in (((1 / 3, 1 / 3, 1 / 3), 1, 6), ((1 / 2, 1 / 2, 0.0), 1, 2)):
        close(ilql.expectile(values, torch.tensor(law), 1 - 1e-9), high, tol=1e-5)
        close(ilql.expectile(values, torch.tensor(law), 1e-9), low, tol=1e-5)


@contract.invariant("Padding")
def padding(ilql: Any) -> None:
    r"""What stands on padding changes no loss and no gradient."""
    mask = torch.tensor(MASK)
    every, chosen = torch.zeros(2, 3, 2), torch.tensor([[0, 1, 0], [0, 1, 1]])
    for filler in (3.0, inf, -inf, nan):
        values = leaf([[1.0, 1.0, filler], [0.0, 3.0, 1.0]])
        targets = torch.tensor([[3.0, 0.0, filler], [0.0, 1.0, 2.0]])
        loss = ilql.expectile_loss(values, targets, mask, 0.75)
        close(loss, [13 / 4, 7 / 4])
        close(gradients(loss, values)[0][0, 2], 0)
        loss = ilql.action_value_loss(values, targets, torch.zeros(2, 3), mask)
        close(loss, [5, 5])
        close(gradients(loss, values)[0][0, 2], 0)
        odd = every.clone()
        odd[0, 2] = filler
        close(ilql.conservative_loss(odd, chosen, mask), [2 * log(2), 3 * log(2)])


SPACE = SequenceSpace(1, 2)
REWARD = (1.0, 0.0, 2.0)
"""Of s, as and aa, the order of the space."""


def levels() -> list[Tensor]:
    """The writer: write or stop with a third and two thirds at the start, three quarters and one after a symbol."""
    return [torch.tensor([[[1 / 3, 2 / 3]]]).log(), torch.tensor([[[3 / 4, 1 / 4]]]).log()]


@contract.worked("From the last token to the first")
def backwards(ilql: Any) -> None:
    r"""$\tau = \frac14$: after $a$ the values 2 and 0 have probabilities $\frac34$ and $\frac14$, so their
    expectile is twice that of the worked one: 1. The start chooses between 1 and 1: as the writer does. After
    $a$ at $\beta = \frac12\log 3$: weights $\frac34 \cdot 3$ and $\frac14$. At $\tau = \frac12$ the prefix is
    worth $\frac32$ and writing is preferred.
    """
    beta, reward = log(3) / 2, torch.tensor([REWARD])
    found = ilql.support_optimum(SPACE, levels(), reward, 0.25, beta)
    close(found.exp(), [[2 / 3, 1 / 3 / 10, 1 / 3 * 9 / 10]])
    found = ilql.support_optimum(SPACE, levels(), reward, 0.5, beta)
    write, stop = exp(1.5 * beta) / 3, 2 * exp(beta) / 3
    goes_on = write / (write + stop)
    close(found.exp(), [[1 - goes_on, goes_on / 10, goes_on * 9 / 10]])
    two = ilql.support_optimum(
        SPACE, [x.repeat(2, 1, 1) for x in levels()], torch.tensor([(5.0, 5.0, 5.0), REWARD]), 0.5, beta
    )
    close(two.exp(), [[2 / 3, 1 / 12, 1 / 4], found[0].exp().tolist()])
    raises(ValueError, ilql.support_optimum, SPACE, levels()[:1], reward, 0.5, beta)


@contract.optimum("The expectile is where the loss is least")
def least(ilql: Any) -> None:
    r"""The mean gradient of the expectile loss over the writer's tokens vanishes at the expectile, and not at
    the mean.
    """
    law, values = torch.tensor([1 / 2, 1 / 3, 1 / 6]), torch.tensor([0.0, 1.0, 5.0])
    for tau in (0.3, 0.7, 0.9):
        best = ilql.expectile(values, law, tau)
        for point, zero in ((best, True), ((law * values).sum(), False)):
            v = leaf(point).expand(3, 1)
            loss = ilql.expectile_loss(v, values[:, None], torch.ones(3, 1), tau)
            slope = gradients(law * loss, v)[0].sum()
            close(slope, 0, tol=1e-6) if zero else differ(slope, 0.0, by=0.05)


@contract.broken("It is not the optimum of J")
def not_j(ilql: Any) -> None:
    r"""$J$ hands the prefix $\frac1\beta\log\mathbb{E}_\mu\,e^{\beta Q}$. With $\tau = \frac12$ ILQL hands it
    the mean, which is less, so it writes on too rarely; with $\tau$ near 1 the best value, and it writes on too
    often.
    """
    beta, reward = 2.0, torch.tensor([REWARD])
    weights = torch.tensor([2 / 3, 1 / 12, 1 / 4]) * (beta * torch.tensor(REWARD)).exp()
    best = (weights / weights.sum())[0]
    assert ilql.support_optimum(SPACE, levels(), reward, 0.5, beta)[0, 0].exp() > best + 0.05
    assert ilql.support_optimum(SPACE, levels(), reward, 0.999, beta)[0, 0].exp() < best - 0.01
