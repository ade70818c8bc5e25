r"""Contract of the texts and losses of Chain of Hindsight and hindsight instruction relabelling.

In the worked texts tokens are small numbers, the words 7 and 8, and 0 is padding.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.filtering.hindsight",
    functions=("chain", "coh_loss", "hir_loss", "fulfilled_law"),
)

FIRST = torch.tensor([[1, 2, 0], [3, 1, 2]])
WORD = torch.tensor([[7], [8]])
SECOND = torch.tensor([[2, 3, 0], [1, 0, 0]])
MASK = torch.tensor([[1.0, 1.0], [1.0, 0.0]])


@contract.worked("A chain, and an answer alone")
def texts(hindsight: Any) -> None:
    r"""The word between the answers is read and not learned; an answer alone ends its text."""
    tokens, counted = hindsight.chain(FIRST, WORD, SECOND, torch.tensor([False, True]))
    close(tokens, [[1, 2, 0, 7, 2, 3, 0], [3, 1, 2, 0, 0, 0, 0]])
    close(counted, [[1, 1, 0, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0, 0]])


@contract.worked("The loss counts both answers and neither word nor padding")
def counted_tokens(hindsight: Any) -> None:
    r"""Probabilities $\frac12, \frac14$, a word, $\frac12$ and padding: $\log 2 + \log 4 + \log 2 = \log 16$; each
    counted token is pushed up by 1.
    """
    logps = leaf([[log(1 / 2), log(1 / 4), -5.0, log(1 / 2), -9.0]])
    counted = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0]])
    loss = hindsight.coh_loss(logps, counted)
    close(loss, [log(16)])
    close(gradients(loss, logps)[0], [[-1, -1, 0, -1, 0]])


def under_both() -> tuple[Tensor, Tensor]:
    """Token log-probabilities under the instruction fulfilled and under the other one."""
    fulfilled = leaf([[log(1 / 2), log(1 / 2)], [log(1 / 4), -3.0]])
    return fulfilled, leaf([[log(1 / 4), log(1 / 4)], [log(1 / 4), 2.0]])


@contract.worked("Two relabelled answers")
def relabelled(hindsight: Any) -> None:
    r"""The means differ by $\log 2$ and by 0, so $\sigma = \frac23$ and $\frac12$. With $\lambda = 3$ and
    $\epsilon = \frac14$: $\log 4 + 3(\frac34\log\frac32 + \frac14\log 3)$ and $\log 4 + 3\log 2$.
    """
    fulfilled, other = under_both()
    loss = hindsight.hir_loss(fulfilled, other, MASK, 3.0, 0.25)
    close(loss, [log(4) + 3 * (0.75 * log(3 / 2) + 0.25 * log(3)), log(4) + 3 * log(2)])


@contract.worked("Gradients under both instructions")
def both_gradients(hindsight: Any) -> None:
    r"""The contrast pushes by $\lambda\,\frac{(1 - \epsilon)\,\sigma(-\Delta) - \epsilon\,\sigma(\Delta)}{|y|}$:
    $3 \cdot (\frac34\cdot\frac13 - \frac14\cdot\frac23) / 2 = \frac18$ per token, and $3 \cdot \frac14 = \frac34$.
    The likelihood adds 1.
    """
    fulfilled, other = under_both()
    mine, theirs = gradients(hindsight.hir_loss(fulfilled, other, MASK, 3.0, 0.25), fulfilled, other)
    close(mine, [[-9 / 8, -9 / 8], [-7 / 4, 0]])
    close(theirs, [[1 / 8, 1 / 8], [3 / 4, 0]])


@contract.limit("Without contrast")
def likelihood(hindsight: Any) -> None:
    r"""$\lambda = 0$: what is left is supervised fine-tuning under the instruction that was fulfilled."""
    fulfilled, other = under_both()
    loss = hindsight.hir_loss(fulfilled, other, MASK, 0.0, 0.25)
    close(loss, [log(4), log(4)])
    close(gradients(loss, other)[0], torch.zeros(2, 2))


@contract.broken("Smoothing the contrast moves the optimum away from the data's law")
def pulled_together(hindsight: Any) -> None:
    r"""Two answers of one token: under "good" they occur as $(\frac34, \frac14)$, under "bad" as $(\frac14, \frac34)$.
    There $\sigma(m_c - m_{\bar c})$ is Bayes' probability of the instruction, so that the plain contrast leaves the
    policy alone as the likelihood does; with $\epsilon = \frac14$ it would have the instructions closer together.
    """
    law = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    theta = leaf(law.log())

    def slope(contrast: float, smoothing: float) -> Tensor:
        logps = theta.log_softmax(1)
        total = torch.zeros(())
        for c in range(2):
            loss = hindsight.hir_loss(
                logps[c][:, None], logps[1 - c][:, None], torch.ones(2, 1), contrast, smoothing
            )
            total = total + (law[c] * loss).sum()
        return torch.autograd.grad(total, theta)[0]

    close(slope(0.0, 0.0), torch.zeros(2, 2), tol=1e-12)
    close(slope(1.0, 0.0), torch.zeros(2, 2), tol=1e-12)
    differ(slope(1.0, 0.25), torch.zeros(2, 2), by=0.05)


@contract.optimum("One round: the reference, given that the thumb is up")
def given_up(hindsight: Any) -> None:
    r"""$(\frac12, \frac14, \frac14)$ times $(\frac14, \frac12, 1)$ is $(\frac18, \frac18, \frac14)$: normalised
    $(\frac14, \frac14, \frac12)$. Answers with their thumbs up occur in that proportion, so that the loss is
    stationary there.
    """
    reference = torch.tensor([[1 / 2, 1 / 4, 1 / 4]])
    chance = torch.tensor([[1 / 4, 1 / 2, 1.0]])
    law = hindsight.fulfilled_law(reference.log(), chance)
    close(law.exp(), [[1 / 4, 1 / 4, 1 / 2]])
    theta = leaf(law[0])
    logps = theta.log_softmax(0)[:, None]
    loss = hindsight.hir_loss(logps, logps.detach(), torch.ones(3, 1), 0.0, 0.0)
    close(torch.autograd.grad((reference * chance)[0] @ loss, theta)[0], torch.zeros(3), tol=1e-12)
