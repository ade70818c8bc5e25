r"""Contract of Step-DPO.

Two pairs with $\beta = \frac12$. In the first the answers $1\,2\,3$ and $1\,3\,2$ part at the second token, where the
policy's chance over the reference's is $\frac{3/4}{1/8}$ for the chosen and $\frac{1/3}{1/2}$ for the rejected one:
log-ratios $\log 6$ and $-\log\frac32$, whose difference is $\log 9$. In the second, $2\,1$ and $3\,1$ part at once,
with $\frac{1/4}{1/2}$ and $\frac{9/10}{1/5}$: $-\log 2 - \log\frac92 = -\log 9$.
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.direct_alignment.step_dpo",
    functions=("first_difference", "step_dpo_loss"),
)

CHOSEN = ((1, 2, 3), (2, 1, 0))
REJECTED = ((1, 3, 2), (3, 1, 0))


def tokens() -> tuple[Tensor, Tensor]:
    """Of both answers of both pairs."""
    return torch.tensor(CHOSEN), torch.tensor(REJECTED)


def logps(other: float = -0.7) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of policy and reference, with something wherever the answers do not part."""
    return (
        leaf([[other, log(3 / 4), other], [log(1 / 4), other, other]]),
        leaf([[other, log(1 / 3), other], [log(9 / 10), other, other]]),
        leaf([[0.1, log(1 / 8), 0.2], [log(1 / 2), 0.3, 0.4]]),
        leaf([[0.5, log(1 / 2), 0.6], [log(1 / 5), 0.7, 0.8]]),
    )


@contract.worked("Where two answers part")
def parting(step: Any) -> None:
    r"""At the second token, at the first (though they agree again later), at the end of the shorter one, nowhere."""
    chosen = torch.tensor([[1, 2, 3], [2, 1, 1], [1, 4, 0], [1, 2, 3]])
    rejected = torch.tensor([[1, 3, 2], [3, 1, 2], [1, 2, 4], [1, 2, 3]])
    close(step.first_difference(chosen, rejected), [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])


@contract.worked("Losses and gradients of two steps")
def losses(step: Any) -> None:
    r"""$\sigma(\frac12\log 9) = \frac34$ and $\frac14$: $\log\frac43$ and $\log 4$. The step's log-probability has the
    gradient $-\beta(1 - \sigma)$, $-\frac18$ and $-\frac38$, in the rejected answer its negative; others have none.
    """
    values = logps()
    loss = step.step_dpo_loss(*values, *tokens(), 0.5)
    close(loss, [log(4 / 3), log(4)])
    chosen, rejected, ref_chosen, ref_rejected = gradients(loss, *values)
    close(chosen, [[0, -1 / 8, 0], [-3 / 8, 0, 0]])
    close(rejected, -chosen)
    close(ref_chosen, -chosen)
    close(ref_rejected, chosen)


@contract.invariant("Everything before and after the step")
def elsewhere(step: Any) -> None:
    r"""What is shared cancels, and what comes after the mistake is not judged: any value may stand there."""
    for other in (5.0, inf, -inf, nan):
        values = logps(other)
        loss = step.step_dpo_loss(*values, *tokens(), 0.5)
        close(loss, [log(4 / 3), log(4)])
        close(gradients(loss, values[0])[0], [[0, -1 / 8, 0], [-3 / 8, 0, 0]])


@contract.limit("At the reference, and the same answer twice")
def start(step: Any) -> None:
    r"""$\log 2$, in the second case without a gradient."""
    values = logps()
    close(step.step_dpo_loss(values[2], values[3], values[2], values[3], *tokens(), 0.5), [log(2)] * 2)
    loss = step.step_dpo_loss(*values, tokens()[0], tokens()[0], 0.5)
    close(loss, [log(2)] * 2)
    close(gradients(loss, values[0])[0], torch.zeros(2, 3))


@contract.relation("The other label")
def swapped(step: Any) -> None:
    r"""Chosen and rejected exchanged: $-\log\sigma(-z) = -\log\sigma(z) + z$ with $z = \pm\log 3$."""
    a, b, c, d = logps()
    first, second = tokens()
    close(step.step_dpo_loss(b, a, d, c, second, first, 0.5), [log(4), log(4 / 3)])


REFERENCE = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
VALUES = (0.0, 1.0, -1.0, 2.0)
BETA = 0.5


def population_gradient(step: Any, probabilities: list[float]) -> Tensor:
    """Gradient by the logits of four steps after one shared token; all pairs with Bradley-Terry labels enumerated."""
    theta = leaf([log(p) for p in probabilities])
    policy, reference = torch.log_softmax(theta, 0), torch.tensor(REFERENCE).log()
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    values = torch.tensor(VALUES)
    weight = (reference[first] + reference[second]).exp() * torch.sigmoid(values[first] - values[second])

    def written(table: Tensor, places: Tensor) -> Tensor:
        return torch.stack([torch.full((16,), -0.3), table[places]], 1)

    losses = step.step_dpo_loss(
        written(policy, first),
        written(policy, second),
        written(reference, first),
        written(reference, second),
        torch.stack([torch.ones(16).long(), first + 1], 1),
        torch.stack([torch.ones(16).long(), second + 1], 1),
        BETA,
    )
    return torch.autograd.grad((weight * losses).sum(), theta)[0]


@contract.optimum("With endless labels of steps by their value, the reference tilted by it")
def optimum(step: Any) -> None:
    r"""Four steps with values $0, 1, -1, 2$, compared by Bradley-Terry judges: the gradient vanishes at
    $\pi_{ref}\,e^{q/\beta} / Z$, and not at the reference. So what a step-wise loss ends at is decided by what judges
    mean by a step's value.
    """
    raw = [p * exp(q / BETA) for p, q in zip(REFERENCE, VALUES, strict=True)]
    close(population_gradient(step, [w / sum(raw) for w in raw]), torch.zeros(4), tol=1e-9)
    differ(population_gradient(step, list(REFERENCE)), torch.zeros(4), by=1e-3)


contract.equivalent(
    "step_dpo_loss: first_difference(chosen_tokens, rejected_tokens) -> "
    "first_difference(rejected_tokens, chosen_tokens) #1",
    "where two answers part does not depend on which comes first",
)
contract.equivalent(
    "step_dpo_loss: dpo_loss(chosen, rejected, reference_chosen, reference_rejected, step, step, beta) -> "
    "dpo_loss(chosen, reference_chosen, rejected, reference_rejected, step, step, beta) #1",
    "with one mask for both, chosen minus reference minus the same of the rejected may be added up in any order",
)
