r"""Contract of token-level DPO.

The loss's worked checks take two pairs with $\beta = \frac12$: log-ratios $\log 12$ and $\log\frac43$ with divergences
$\log 2$ and $\log 8$; and $0$ and $\log 9$ with $\log 9$ and $0$.
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.direct_alignment.token_level",
    functions=("sequential_kl", "tdpo_loss", "correlation"),
)


def arguments() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-ratios and divergences of the two pairs: chosen, rejected, chosen, rejected."""
    return (
        leaf([log(12), 0.0]),
        leaf([log(4 / 3), log(9)]),
        leaf([log(2), log(9)]),
        leaf([log(8), 0.0]),
    )


def logs(*rows: list[float]) -> Tensor:
    """Logarithms of rows of probabilities."""
    return torch.tensor([[log(p) for p in row] for row in rows])


@contract.worked("Divergence along an answer, and its gradient")
def divergence(tdpo: Any) -> None:
    r"""Next-token laws $(\frac12, \frac12)$ against $(\frac14, \frac34)$: $\frac12\log 2 + \frac12\log\frac23 =
    \frac12\log\frac43$. $(\frac14, \frac34)$ against $(\frac12, \frac12)$:
    $\frac14\log\frac12 + \frac34\log\frac32 = \log\frac32 - \frac14\log 3$.
    An answer passes both, the other the first only. It is the reference's law that weighs:
    the gradient by the policy's log-probabilities is $-\pi_{ref}$.
    """
    reference = torch.stack([logs([1 / 2, 1 / 2], [1 / 4, 3 / 4])] * 2)
    policy = leaf(torch.stack([logs([1 / 4, 3 / 4], [1 / 2, 1 / 2])] * 2))
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    first, second = 0.5 * log(4 / 3), log(3 / 2) - 0.25 * log(3)
    found = tdpo.sequential_kl(reference, policy, mask)
    close(found, [first + second, first])
    close(
        gradients(found, policy)[0],
        [[[-1 / 2, -1 / 2], [-1 / 4, -3 / 4]], [[-1 / 2, -1 / 2], [0, 0]]],
    )


@contract.invariant("Padding")
def padding(tdpo: Any) -> None:
    r"""Whatever stands on padding, the divergence stays."""
    mask = torch.tensor([[1.0, 0.0]])
    for filler in (-3.0, 5.0, inf, nan):
        reference = torch.cat([logs([1 / 2, 1 / 2]), torch.full((1, 2), filler)])[None]
        policy = torch.cat([logs([1 / 4, 3 / 4]), torch.full((1, 2), filler)])[None]
        close(tdpo.sequential_kl(reference, policy, mask), [0.5 * log(4 / 3)])


@contract.worked("Losses of the first form")
def first_form(tdpo: Any) -> None:
    r"""Pair 1: $\log 9 - (\log 8 - \log 2) = \log\frac94$, half of it $\log\frac32$, $\sigma = \frac35$: $\log\frac53$.
    Pair 2: $-\log 9 + \log 9 = 0$: $\log 2$.
    """
    close(tdpo.tdpo_loss(*arguments(), 0.5, 7.0, "first"), [log(5 / 3), log(2)])


@contract.worked("Losses of the second form")
def second_form(tdpo: Any) -> None:
    r"""$\alpha = \frac12$. Pair 1: $\log 9 - \frac12\log 4 = \log\frac92$, half of it $\log\frac3{\sqrt2}$:
    $\log(1 + \frac{\sqrt2}3)$. Pair 2: $-\log 9 + \frac12\log 9 = -\log 3$, half of it $-\log\sqrt3$:
    $\log(1 + \sqrt3)$.
    """
    close(tdpo.tdpo_loss(*arguments(), 0.5, 0.5, "second"), [log(1 + 2**0.5 / 3), log(1 + 3**0.5)])


@contract.worked("Gradients: the second form lets none through the chosen answer's divergence")
def stopped(tdpo: Any) -> None:
    r"""At pair 2 of the first form $\sigma = \frac12$, so that the derivative by the margin is
    $-\frac{\beta}2 = -\frac14$: $-\frac14$ by the chosen ratio and the chosen divergence, $\frac14$ by the rejected
    ones. Second form with $\alpha = 2$ and a margin of 0 likewise ($-\log 9 - 2(0 - \log 3)$): by the divergences 0 and
    $\frac\alpha4 = \frac12$.
    """
    values = arguments()
    found = gradients(tdpo.tdpo_loss(*values, 0.5, 7.0, "first")[1:], *values)
    close([g[1] for g in found], [-1 / 4, 1 / 4, -1 / 4, 1 / 4])
    values = (leaf([0.0]), leaf([log(9)]), leaf([log(3)]), leaf([0.0]))
    found = gradients(tdpo.tdpo_loss(*values, 0.5, 2.0, "second"), *values)
    close([g[0] for g in found], [-1 / 4, 1 / 4, 0, 1 / 2])


@contract.limit("alpha = 0 is DPO")
def dpo(tdpo: Any) -> None:
    r"""Only log-ratios are left: $\frac12\log 9$ and $-\frac12\log 9$, $\sigma = \frac34$ and $\frac14$: losses
    $\log\frac43$ and $\log 4$. And no gradient reaches the divergences.
    """
    values = arguments()
    loss = tdpo.tdpo_loss(*values, 0.5, 0.0, "second")
    close(loss, [log(4 / 3), log(4)])
    for gradient in gradients(loss, *values)[2:]:
        close(gradient, [0, 0])


@contract.relation("alpha = 1 has the first form's value, not its gradient")
def same_value(tdpo: Any) -> None:
    r"""The forms differ by $\alpha$ and the stopped gradient only."""
    values = arguments()
    first = tdpo.tdpo_loss(*values, 0.5, 1.0, "first")
    second = tdpo.tdpo_loss(*values, 0.5, 1.0, "second")
    close(first, second)
    differ(gradients(first, *values)[2], gradients(second, *values)[2], by=0.1)
    raises(ValueError, tdpo.tdpo_loss, *values, 0.5, 1.0, "third")


@contract.worked("A weighted correlation")
def correlations(tdpo: Any) -> None:
    r"""Values $0, 1, 5$ with weights $\frac12, \frac12, 0$ against $1, 3, 7$: 1. Against $3, 1, 7$: $-1$. Values
    $0, 0, 4$ and $0, 4, 0$ with weights $2, 1, 1$: means 1, variances $3$, covariance $-1$: $-\frac13$. A constant
    correlates with nothing.
    """
    even = torch.tensor([1.0, 1.0, 0.0])
    x = torch.tensor([0.0, 1.0, 5.0])
    close(tdpo.correlation(x, torch.tensor([1.0, 3.0, 7.0]), even), 1.0)
    close(tdpo.correlation(x, torch.tensor([3.0, 1.0, 7.0]), even), -1.0)
    y, z = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[0.0, 4.0, 0.0]])
    close(tdpo.correlation(y, z, torch.tensor([[2.0, 1.0, 1.0]])), -1 / 3)
    close(tdpo.correlation(x, torch.ones(3), even), 0.0)


REWARD = (3.0, 0.0, 1.0)
"""Of the answers aa, ab and b: the first token decides between a second choice and the end."""
REFERENCE = ((2 / 3, 1 / 3), (1 / 4, 3 / 4))
"""Chances of a and b at the start, and after a."""
BETA = 0.5


def walked(root: Tensor, after: Tensor) -> Tensor:
    """Log-probability of the three answers from next-token log-probabilities."""
    return torch.stack([root[0] + after[0], root[0] + after[1], root[1]])


def population_gradient(tdpo: Any, laws: tuple[list[float], list[float]]) -> tuple[Tensor, float]:
    """Gradient by both prefixes' logits of the expected loss of the first form, and its value; all pairs enumerated."""
    start, later = (leaf([log(p) for p in law]) for law in laws)
    root, after = start.log_softmax(0), later.log_softmax(0)
    ref_root, ref_after = (torch.tensor([log(p) for p in law]) for law in REFERENCE)
    reference = walked(ref_root, ref_after)
    ratio = walked(root, after) - reference
    policy = torch.stack([torch.stack([root, after])] * 2 + [torch.stack([root, root])])
    fixed = torch.stack([torch.stack([ref_root, ref_after])] * 2 + [torch.stack([ref_root, ref_root])])
    mask = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    passed = tdpo.sequential_kl(fixed, policy, mask)
    first, second = torch.cartesian_prod(torch.arange(3), torch.arange(3)).T
    weight = reference.exp()[first] * reference.exp()[second]
    weight = weight / (1 + torch.exp(torch.tensor(REWARD)[second] - torch.tensor(REWARD)[first]))
    losses = tdpo.tdpo_loss(ratio[first], ratio[second], passed[first], passed[second], BETA, 0.0, "first")
    loss = (weight * losses).sum()
    return torch.cat(torch.autograd.grad(loss, (start, later))), loss.item()


def tilted(chances: tuple[float, float], values: tuple[float, float]) -> list[float]:
    """Chances times exp(values / beta), normalised."""
    raw = [p * exp(q / BETA) for p, q in zip(chances, values, strict=True)]
    return [w / sum(raw) for w in raw]


@contract.optimum("The first form ends at the reference tilted token by token by the reference's own values")
def optimum(tdpo: Any) -> None:
    r"""Answers $aa, ab, b$ with rewards $3, 0, 1$; $\pi_{ref}$ takes $a$ with $\frac23$, then $a$ with $\frac14$. If
    the reference goes on, $a$ is worth $\frac14 \cdot 3 = \frac34$ and $b$ is worth $1$: at the start the optimum tilts
    towards $b$. The best that can follow $a$, $V^* = \beta\log(\frac14 e^{3/\beta} + \frac34) \approx 2.3$, makes the
    optimum of $J_\beta$ tilt towards $a$: there the gradient does not vanish, and neither does it at the reference.
    """
    after = tilted(REFERENCE[1], (3.0, 0.0))
    gradient, least = population_gradient(tdpo, (tilted(REFERENCE[0], (3 / 4, 1.0)), after))
    close(gradient, [0, 0, 0, 0], tol=1e-9)
    best = BETA * log(exp(3 / BETA) / 4 + 3 / 4)
    for elsewhere in (
        (tilted(REFERENCE[0], (best, 1.0)), after),
        (list(REFERENCE[0]), list(REFERENCE[1])),
    ):
        gradient, loss = population_gradient(tdpo, elsewhere)
        differ(gradient, torch.zeros(4), by=1e-2)
        assert loss > least + 1e-3


contract.equivalent(
    "correlation: x - (weight * x).sum() -> (weight * x).sum() - x #1",
    "both tables change their sign, which the product of the two does not see",
)
