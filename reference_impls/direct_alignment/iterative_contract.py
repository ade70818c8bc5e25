r"""Contract of iterative DPO: which pair a sheet of answers gives, what it costs, and where the rounds end.

The optimum checks enumerate three answers with $\pi_{ref} = (0.5, 0.3, 0.2)$, rewards $0, \log 2, \log 3$ (so that
$e^r = 1, 2, 3$) and all orders of a sheet. Plackett and Luce's model gives an order of three answers the chance
$\frac{e_1}{e_1 + e_2 + e_3}\cdot\frac{e_2}{e_2 + e_3}$.
"""

from __future__ import annotations

from itertools import permutations, product
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, leaf, raises

contract = Contract(
    module="reference_impls.direct_alignment.iterative",
    functions=("extremes", "gumbel", "sheets", "strength", "ends_at"),
)

SCORES = ((1.0, -2.0, 6.0, 0.0), (-5.0, -1.0, -3.0, -2.0))


@contract.worked("The best and the worst of four answers")
def four_answers(iterative: Any) -> None:
    r"""$6$ and $-2$ at places 2 and 1; $-1$ and $-5$ at places 1 and 0."""
    best, worst = iterative.extremes(torch.tensor(SCORES))
    close(best, [2, 1])
    close(worst, [1, 0])


@contract.worked("Gumbel noise from uniform numbers")
def noise(iterative: Any) -> None:
    r"""$-\log(-\log e^{-1}) = 0$, $-\log(-\log e^{-2}) = -\log 2$ and $-\log(-\log e^{-1/3}) = \log 3$."""
    close(iterative.gumbel(torch.tensor([exp(-1), exp(-2), exp(-1 / 3)])), [0, -log(2), log(3)])


@contract.limit("Uniform numbers of 0 and nearly 1")
def ends(iterative: Any) -> None:
    r"""At 0 the noise is that of $10^{-12}$, $-\log(12 \log 10)$ and not $-\infty$; at $1 - 10^{-12}$ it is
    $12\log 10$.
    """
    close(iterative.gumbel(torch.tensor([0.0, 1 - 1e-12])), [-log(12 * log(10)), 12 * log(10)], tol=1e-4)


@contract.worked("What a budget of reading pays for")
def budget(iterative: Any) -> None:
    r"""2,400 pairs are 4,800 answers to read: in three rounds 800 pairs each, or 200 sheets of eight; what is left over
    after a division is not asked.
    """
    close([iterative.sheets(2400, r, n) for r, n in ((3, 2), (3, 8), (1, 2), (7, 2))], [800, 200, 2400, 342])


@contract.limit("Too few labels")
def too_few(iterative: Any) -> None:
    r"""Four labels are one sheet of eight, and no two rounds of them."""
    close(iterative.sheets(4, 1, 8), 1)
    raises(ValueError, iterative.sheets, 4, 2, 8)
    raises(ValueError, iterative.sheets, 3, 1, 8)


@contract.invariant("Any increasing function of a prompt's scores")
def monotone(iterative: Any) -> None:
    r"""Neither level nor scale counts, and prompts do not see each other."""
    scores = torch.tensor(SCORES)
    for other in (scores + torch.tensor([[100.0], [-7.0]]), 10 * scores, scores.exp()):
        for got, want in zip(iterative.extremes(other), iterative.extremes(scores), strict=True):
            close(got, want)
    close(iterative.extremes(scores[1:])[0], [1])


@contract.relation("Scores turned round exchange chosen and rejected")
def turned(iterative: Any) -> None:
    r"""The best of $-r$ is the worst of $r$."""
    best, worst = iterative.extremes(torch.tensor(SCORES))
    close(iterative.extremes(-torch.tensor(SCORES))[0], worst)
    close(iterative.extremes(-torch.tensor(SCORES))[1], best)


@contract.relation("A moving reference adds the rounds up")
def rounds(iterative: Any) -> None:
    r"""Three exact rounds at $\beta = \frac12$ that each start anew from their own end: $\pi_0 e^{r/\beta}$, times
    $e^{r/\beta}$, times $e^{r/\beta}$, the optimum for $\beta = \frac16$. With $\beta = \frac32$ in each round they end
    at the optimum for $\frac12$; with the reference of the start the number of rounds does not matter.
    """
    close(iterative.ends_at(0.5, 3, True), 1 / 6)
    close(iterative.ends_at(0.5, 3, False), 0.5)
    close(iterative.strength(0.5, 3, True), 1.5)
    close(iterative.strength(0.5, 3, False), 0.5)
    reward = torch.tensor(REWARD)
    policy = torch.tensor(PI)
    for _ in range(3):
        policy = (policy.log() + reward / iterative.strength(0.5, 3, False)).softmax(0)
    close(policy, (torch.tensor(PI).log() + reward / iterative.ends_at(0.5, 3, True)).softmax(0))


@contract.relation("Two answers with Gumbel noise are ordered by Bradley and Terry's model")
def bradley_terry(iterative: Any) -> None:
    r"""Rewards $\log 3$ and $0$: the first is best with probability $\frac34$. Over a grid of 400 by 400 uniform
    numbers the share is that to three digits, and for $e^r = 1, 2, 3$ on three answers (60 cubed) the best are
    $\frac16, \frac13, \frac12$.
    """
    ticks = (torch.arange(400) + 0.5) / 400
    noise = iterative.gumbel(torch.cartesian_prod(ticks, ticks))
    best, worst = iterative.extremes(torch.tensor([log(3), 0.0]) + noise)
    close((best == 0).double().mean(), 3 / 4, tol=2e-3)
    close((worst == 1).double().mean(), 3 / 4, tol=2e-3)
    ticks = (torch.arange(60) + 0.5) / 60
    best, _ = iterative.extremes(
        torch.tensor(REWARD) + iterative.gumbel(torch.cartesian_prod(ticks, ticks, ticks))
    )
    close(torch.bincount(best, minlength=3) / len(best), [1 / 6, 1 / 3, 1 / 2], tol=1e-2)


PI = (1 / 2, 1 / 3, 1 / 6)
REWARD = (0.0, log(2), log(3))
REFERENCE = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def fixed_point_gradient(iterative: Any, size: int, beta: float) -> Tensor:
    """Gradient of DPO's expected loss by the logits at the optimum, on its own samples in sheets of ``size``."""
    strengths = [exp(r) for r in REWARD]
    policy = (REFERENCE.log() + torch.tensor(REWARD) / beta).softmax(0)
    theta = leaf(policy.log())
    ratio = theta.log_softmax(0) - REFERENCE.log()
    total = torch.zeros(())
    for sheet in product(range(3), repeat=size):
        for order in permutations(range(size)):
            chance, left = 1.0, sum(strengths[a] for a in sheet)
            for place in order:
                chance *= strengths[sheet[place]] / left
                left -= strengths[sheet[place]]
            scores = torch.tensor([-float(order.index(place)) for place in range(size)])
            best, worst = (sheet[int(i)] for i in iterative.extremes(scores[None]))
            law = float(torch.stack([policy[a] for a in sheet]).prod())
            margin = beta * (ratio[best] - ratio[worst])
            total = total + law * chance * torch.log1p(torch.exp(-margin))
    return torch.autograd.grad(total, theta)[0]


@contract.optimum("With two answers the optimum of J is a fixed point of a round")
def two_answers(iterative: Any) -> None:
    r"""Samples come from $\pi^* \propto \pi_{ref}e^{r/\beta}$ itself, and the expected gradient there is 0: who samples
    does not matter to where DPO ends, as long as labels are Bradley and Terry's.
    """
    for beta in (0.5, 2.0):
        close(fixed_point_gradient(iterative, 2, beta), [0, 0, 0], tol=1e-9)


@contract.broken("The best against the worst of three is another label")
def three_answers(iterative: Any) -> None:
    r"""The odds that $i$ is best and $j$ worst rather than the reverse, with $k$ between them, are
    $\frac{e_i(e_i + e_k)}{e_j(e_j + e_k)}$ and not $\frac{e_i}{e_j}$: up to its square. The optimum of $J$ is then no
    fixed point, and a round goes on towards the better answers: descent lowers the first answer and raises the last.
    """
    gradient = fixed_point_gradient(iterative, 3, 2.0)
    differ(gradient, torch.zeros(3), by=0.01)
    assert gradient[0] > 0 > gradient[2]
