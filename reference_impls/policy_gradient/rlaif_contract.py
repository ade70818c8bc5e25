r"""Contract of RLAIF's labels, its cross-entropy and the mean mark.

Log-odds of $\log 3$ are a probability of $\frac34$, of $\log 9$ one of $\frac9{10}$. A judge with a bias $b$ for what
it is shown first says $d + b$ in one order and $-d + b$ in the other.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.policy_gradient.rlaif",
    functions=("both_orders", "hardened", "soft_label_loss", "mean_mark"),
)


@contract.worked("A biased judge asked in both orders")
def biased(rlaif: Any) -> None:
    r"""$d = \log 3$, $b = \log 3$: $\sigma(\log 9) = \frac9{10}$ and $\sigma(-0) = \frac12$, in the mean $\frac7{10}$.
    Without bias both orders say $\frac34$. Two answers that are alike get $\frac12$ whatever the bias:
    $\frac12(\frac34 + \frac14)$.
    """
    first = torch.tensor([2 * log(3), log(3), log(3)])
    second = torch.tensor([0.0, -log(3), log(3)])
    close(rlaif.both_orders(first, second), [7 / 10, 3 / 4, 1 / 2])


@contract.invariant("Who is called the first")
def symmetric(rlaif: Any) -> None:
    r"""Exchanging the answers exchanges the orders, and the label becomes $1 - p$."""
    first, second = torch.tensor([2 * log(3), -0.3, 5.0]), torch.tensor([0.0, 1.7, -2.0])
    close(rlaif.both_orders(second, first), 1 - rlaif.both_orders(first, second))


@contract.broken("The mean of both probabilities is not free of the bias")
def shrunk(rlaif: Any) -> None:
    r"""The mean of the two *log-odds* is: $\frac12(d + b) - \frac12(-d + b) = d$. The mean probability keeps its side
    of $\frac12$ but moves towards it: with $d = \log 3$ it is $\frac34$ at $b = 0$, $\frac7{10}$ at $b = \log 3$, and
    tends to $\frac12$.
    """
    d = torch.tensor(log(3))
    labels = [float(rlaif.both_orders(d + b, -d + b)) for b in (0.0, log(3), 4.0, 20.0)]
    close(labels[:2], [3 / 4, 7 / 10])
    assert labels[0] > labels[1] > labels[2] > labels[3] > 0.5
    close(labels[3], 0.5, tol=1e-6)


@contract.relation("In the mean over random orders a single call says the same")
def one_order(rlaif: Any) -> None:
    r"""If a coin decides who is shown first, the label from one call is $\sigma(d + b)$ or $\sigma(d - b)$, each half
    of the time. That is the mean of both orders, and the cross-entropy is linear in the label: with endless pairs one
    call a pair fits the same reward model as two.
    """
    d, b = torch.tensor([log(3), -1.0]), 0.8
    single = (torch.sigmoid(d + b) + torch.sigmoid(d - b)) / 2
    close(rlaif.both_orders(d + b, -d + b), single)
    scores = torch.tensor([0.4, 0.1]), torch.tensor([-0.2, 0.3])
    once = [rlaif.soft_label_loss(*scores, torch.sigmoid(d + s * b)) for s in (1, -1)]
    close((once[0] + once[1]) / 2, rlaif.soft_label_loss(*scores, single))


@contract.worked("Hard labels")
def hard(rlaif: Any) -> None:
    r"""The side of $\frac12$; a tie stays one."""
    close(rlaif.hardened(torch.tensor([0.7, 0.49, 0.5, 1.0, 0.0])), [1, 0, 0.5, 1, 0])


@contract.worked("Losses of a soft label, a hard one and a tie")
def losses(rlaif: Any) -> None:
    r"""Scores that differ by $\log 3$ say $\frac34$. Label $\frac34$: $-\frac34\log\frac34 - \frac14\log\frac14$;
    label 1: $\log\frac43$; label 0: $\log 4$; label $\frac12$: $\frac12\log\frac{16}3$.
    """
    first, second = torch.full((4,), 2 + log(3)), torch.full((4,), 2.0)
    loss = rlaif.soft_label_loss(first, second, torch.tensor([0.75, 1.0, 0.0, 0.5]))
    close(loss, [-0.75 * log(0.75) + 0.25 * log(4), log(4 / 3), log(4), log(16 / 3) / 2])


@contract.worked("Gradients: the model's probability minus the label")
def slopes(rlaif: Any) -> None:
    r"""$\partial L/\partial r_1 = \sigma(r_1 - r_2) - p$: $\frac34 - \frac34 = 0$, $\frac34 - 1 = -\frac14$,
    $\frac34$ and $\frac14$; by $r_2$ the negative. A soft label can be met exactly, a hard one never.
    """
    first, second = leaf([log(3)] * 4), leaf([0.0] * 4)
    loss = rlaif.soft_label_loss(first, second, torch.tensor([0.75, 1.0, 0.0, 0.5]))
    by_first, by_second = gradients(loss, first, second)
    close(by_first, [0, -1 / 4, 3 / 4, 1 / 4])
    close(by_second, -by_first)


@contract.limit("Scores far apart")
def far(rlaif: Any) -> None:
    r"""A margin of 1000: 0 for the label that agrees, 1000 for the other, 500 for a tie; nothing overflows."""
    loss = rlaif.soft_label_loss(torch.full((3,), 1000.0), torch.zeros(3), torch.tensor([1.0, 0.0, 0.5]))
    close(loss, [0, 1000, 500])


@contract.invariant("A constant of the prompt added to both scores")
def level(rlaif: Any) -> None:
    r"""Only the difference counts, as with people's labels."""
    first, second, label = torch.tensor([0.3, -1.0]), torch.tensor([0.1, 2.0]), torch.tensor([0.2, 0.9])
    close(rlaif.soft_label_loss(first + 7, second + 7, label), rlaif.soft_label_loss(first, second, label))


@contract.relation("The other answer first")
def exchanged(rlaif: Any) -> None:
    r"""$L(r_2, r_1, 1 - p) = L(r_1, r_2, p)$."""
    first, second, label = torch.tensor([0.3, -1.0]), torch.tensor([0.1, 2.0]), torch.tensor([0.2, 0.9])
    close(rlaif.soft_label_loss(second, first, 1 - label), rlaif.soft_label_loss(first, second, label))


@contract.worked("The mean mark on a scale from -1 to 1")
def marks(rlaif: Any) -> None:
    r"""Ten marks. Sure of 10: $1$; sure of 1: $-1$; all alike: mean $5.5$, $0$. Three quarters for 4 and a quarter for
    8: mean $5$, $2\cdot\frac49 - 1 = -\frac19$. Five marks, sure of 4: $2\cdot\frac34 - 1 = \frac12$.
    """
    sure = torch.full((4, 10), -1000.0)
    sure[0, 9] = sure[1, 0] = 0.0
    sure[2] = 0.0
    sure[3, 3], sure[3, 7] = log(3), 0.0
    close(rlaif.mean_mark(sure), [1, -1, 0, -1 / 9])
    close(rlaif.mean_mark(torch.tensor([[-1000.0, -1000.0, -1000.0, 0.0, -1000.0]])), [1 / 2])


@contract.invariant("A constant added to all log-odds of an answer")
def normalised(rlaif: Any) -> None:
    r"""The marks' probabilities are normalised first, and answers do not see each other."""
    odds = torch.tensor([[0.1, 0.7, -0.4], [2.0, 0.0, 1.0]])
    close(rlaif.mean_mark(odds + torch.tensor([[5.0], [-3.0]])), rlaif.mean_mark(odds))
    close(rlaif.mean_mark(odds[1:]), rlaif.mean_mark(odds)[1:])


@contract.broken("A grade saturates where a preference does not")
def saturated(rlaif: Any) -> None:
    r"""A bell of width 1 around the true mark. From a true mark of 5.5 to 7 the mean moves by 1.5, as it should; from
    12 to 13.5, beyond the end of the scale, by less than a tenth of that: what is better than very good is graded
    alike.
    """
    marks = torch.arange(1, 11)

    def mean(true: float) -> float:
        return float(rlaif.mean_mark(-((marks - true) ** 2)[None].double() / 2))

    close((mean(7.0) - mean(5.5)) * 4.5, 1.5, tol=1e-2)
    assert 0 < (mean(13.5) - mean(12.0)) * 4.5 < 0.15


REWARD = (0.0, 1.0, -1.0, 2.0)


@contract.optimum("Soft labels of a Bradley-Terry judge are met by its opinion, and by nothing else")
def optimum(rlaif: Any) -> None:
    r"""Four answers with opinions $0, 1, -1, 2$, all 16 pairs, a judge without bias: the gradient of the mean loss
    vanishes at the opinions (plus any constant). At twice the opinions it does not; with hard labels it does not at the
    opinions either: it asks for more.
    """
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    truth = torch.tensor(REWARD, dtype=torch.float64)
    said = truth[first] - truth[second]
    soft = rlaif.both_orders(said, -said)

    def gradient(values: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        scores = leaf(values)
        return gradients(rlaif.soft_label_loss(scores[first], scores[second], label) / 16, scores)[0]

    close(gradient(truth + 3, soft), [0, 0, 0, 0], tol=1e-9)
    differ(gradient(2 * truth, soft), torch.zeros(4), by=0.01)
    more = gradient(truth, rlaif.hardened(soft))
    assert more[3] < -0.01 and more[2] > 0.01
