r"""Contract of learning from comparisons of segments.

The worked checks have segments out of answers of four tokens: sums of log-ratios $\log 9$ and $\log 3$, and $0$ and
$\log 9$. The optimum checks have three answers, $aa$, $ab$ and $b$: two states and four tokens, each a segment.
Rewards per token are $0$ and $1$ for $a$ and $b$ at the start, $3$ and $0$ for $a$ and $b$ after $a$.
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.foundations.segment_preferences",
    functions=("segment_sum", "return_loss", "cpl_loss"),
)


def sums() -> tuple[Tensor, Tensor]:
    """Of the preferred and of the other segments of two pairs."""
    return leaf([log(9), 0.0]), leaf([log(3), log(9)])


@contract.worked("The sum over a segment, and nothing else of the answer")
def segment(method: Any) -> None:
    r"""The second and third of four tokens: $2 + 4 = 6$; the last: $8$; none: 0. Tokens outside have no gradient,
    whatever stands there.
    """
    part = torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    for other in (1.0, inf, -inf, nan):
        values = leaf([[other, 2.0, 4.0, other], [other, other, other, 8.0], [other] * 4])
        found = method.segment_sum(values, part)
        close(found, [6, 8, 0])
        close(gradients(found, values)[0], part)


@contract.worked("Preferences by return")
def returns(method: Any) -> None:
    r"""$-\log\sigma(\log 3) = \log\frac43$ and $-\log\sigma(-\log 9) = \log 10$; gradients $-(1 - \sigma)$:
    $-\frac14$ and $-\frac9{10}$, and the negative of that.
    """
    chosen, rejected = sums()
    loss = method.return_loss(chosen, rejected)
    close(loss, [log(4 / 3), log(10)])
    up, down = gradients(loss, chosen, rejected)
    close(up, [-1 / 4, -9 / 10])
    close(down, -up)


@contract.worked("Preferences by regret")
def regrets(method: Any) -> None:
    r"""$\alpha = \frac12$, $\lambda = 1$: $\frac12\log 3$ and $-\frac12\log 9 = -\log 3$: $\log(1 + \frac1{\sqrt3})$
    and $\log 4$. With $\alpha = 2$, $\lambda = \frac12$: $2(\log 9 - \frac12\log 3) = \log 27$ and
    $2(0 - \frac12\log 9) = -\log 9$: $\log\frac{28}{27}$ and $\log 10$.
    """
    chosen, rejected = sums()
    close(method.cpl_loss(chosen, rejected, 0.5, 1.0), [log(1 + 3**-0.5), log(4)])
    close(method.cpl_loss(chosen, rejected, 2.0, 0.5), [log(28 / 27), log(10)])


@contract.worked("The bias takes from the gradient of the other segment")
def biased(method: Any) -> None:
    r"""$\alpha = 2$, $\lambda = \frac12$: $1 - \sigma = \frac1{28}$ and $\frac9{10}$, so $-\frac2{28}$ and $-\frac95$
    by the preferred sum, $\lambda$ times the negative by the other.
    """
    chosen, rejected = sums()
    up, down = gradients(method.cpl_loss(chosen, rejected, 2.0, 0.5), chosen, rejected)
    close(up, [-1 / 14, -9 / 5])
    close(down, [1 / 28, 9 / 10])


@contract.limit("Bias 1 and temperature 1: the same form as for returns")
def same_form(method: Any) -> None:
    r"""The two models of a judge differ in what is added up, not in how it is compared."""
    chosen, rejected = sums()
    close(method.cpl_loss(chosen, rejected, 1.0, 1.0), method.return_loss(chosen, rejected))


@contract.invariant("A constant added to every token's reward, if segments are equally long")
def constant(method: Any) -> None:
    r"""Two tokens against two: 5 more per token changes nothing, so that such segments do not tell whether long
    answers are better. The same holds within CPL only for $\lambda = 1$.
    """
    part = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]])
    first, second = torch.tensor([[1.0, 2.0, 9.0, 9.0]] * 2), torch.tensor([[0.5, 0.0, 1.0, 9.0]] * 2)

    def pair(shift: float) -> tuple[Tensor, Tensor]:
        return method.segment_sum(first + shift, part), method.segment_sum(second + shift, part)

    close(method.return_loss(*pair(5.0)), method.return_loss(*pair(0.0)))
    close(method.cpl_loss(*pair(5.0), 0.5, 1.0), method.cpl_loss(*pair(0.0), 0.5, 1.0))
    differ(method.cpl_loss(*pair(5.0), 0.5, 0.5), method.cpl_loss(*pair(0.0), 0.5, 0.5), by=0.01)


@contract.broken("The same constant, if one segment ends early")
def early_end(method: Any) -> None:
    r"""Two tokens of reward 0 against one: $\log 2$; with $\log 3$ more per token the longer is ahead by $\log 3$:
    $\log\frac43$.
    """
    long, short = torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0]])
    for shift, wanted in ((0.0, log(2)), (log(3), log(4 / 3))):
        values = torch.full((1, 2), shift)
        loss = method.return_loss(method.segment_sum(values, long), method.segment_sum(values, short))
        close(loss, [wanted])


REFERENCE = ((2 / 3, 1 / 3), (1 / 4, 3 / 4))
RETURNS = (0.0, 1.0, 3.0, 0.0)
BETA = 0.5


def solved() -> tuple[list[float], list[float]]:
    """The optimal policy at both states, and the optimal advantages of the four tokens, by backward induction."""
    after = BETA * log(REFERENCE[1][0] * exp(RETURNS[2] / BETA) + REFERENCE[1][1])
    start_values = (RETURNS[0] + after, RETURNS[1])
    start = BETA * log(sum(p * exp(q / BETA) for p, q in zip(REFERENCE[0], start_values, strict=True)))
    advantages = [q - start for q in start_values] + [r - after for r in RETURNS[2:]]
    chances = [p * exp(a / BETA) for p, a in zip(sum(REFERENCE, ()), advantages, strict=True)]
    return chances, advantages


def population_loss(loss: Any, values: Tensor, judged: list[float]) -> Tensor:
    """Expected loss over all pairs of one-token segments, judges comparing ``judged``: values (4,) -> ()."""
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    worth = torch.tensor(judged)
    weight = torch.sigmoid(worth[first] - worth[second]) / 16
    result: Tensor = (weight * loss(values[first], values[second])).sum()
    return result


def policy_gradient(method: Any, chances: list[float], judged: list[float]) -> Tensor:
    """Gradient by the logits of both states of CPL's expected loss at a policy."""
    logits = leaf([[log(p) for p in chances[:2]], [log(p) for p in chances[2:]]])
    ratios = logits.log_softmax(-1) - torch.tensor(REFERENCE).log()
    loss = population_loss(lambda a, b: method.cpl_loss(a, b, BETA, 1.0), ratios.flatten(), judged)
    return torch.autograd.grad(loss, logits)[0]


@contract.optimum("Judges of regret: CPL ends at the optimal policy, judges of return lead it elsewhere")
def cpl_optimum(method: Any) -> None:
    r"""$A^* = \beta\log\frac{\pi^*}{\pi_{ref}}$ at all four tokens, so that at $\pi^*$ every comparison is explained
    and the gradient vanishes. It does not if returns are compared, $0, 1, 3, 0$: $a$ at the start earns nothing but
    leads to where 3 can be earned. Nor does it at the reference.
    """
    best, advantages = solved()
    close([best[0] + best[1], best[2] + best[3]], [1, 1])
    close(policy_gradient(method, best, advantages), torch.zeros(2, 2), tol=1e-9)
    differ(policy_gradient(method, best, list(RETURNS)), torch.zeros(2, 2), by=0.01)
    reference = [p for row in REFERENCE for p in row]
    differ(policy_gradient(method, reference, advantages), torch.zeros(2, 2), by=0.02)


@contract.optimum("Advantages mistaken for rewards have the same optimal policy")
def mistaken(method: Any) -> None:
    r"""Judges compare regrets, a reward is fitted as if to returns: the loss is least at $A^*$ plus any constant.
    Planned with, $A^*$ gives back $\pi^*$: over answers $aa, ab, b$ it adds up to reward minus $V^*$. With 2 more per
    token, which these segments of one token do not exclude, $b$ is too rare.
    """
    best, advantages = solved()
    for shift in (0.0, 2.0):
        rewards = leaf([a + shift for a in advantages])
        loss = population_loss(method.return_loss, rewards, advantages)
        close(gradients(loss, rewards)[0], torch.zeros(4), tol=1e-9)
        totals = torch.tensor(
            [sum(advantages[i] + shift for i in tokens) for tokens in ((0, 2), (0, 3), (1,))]
        )
        (p, q), (s, t) = REFERENCE
        planned = (torch.tensor([p * s, p * t, q]).log() + totals / BETA).softmax(0)
        wanted = torch.tensor([best[0] * best[2], best[0] * best[3], best[1]])
        if shift:
            assert float(planned[2]) < 0.5 * float(wanted[2])
        else:
            close(planned, wanted)
