r"""Contract of Quark's quantiles and loss, and of the closed form of a single round.

The worked answers choose among three tokens. At the first place the policy has $(\frac12, \frac14, \frac14)$ and the
reference $(\frac14, \frac12, \frac14)$; at the second both have $(\frac14, \frac14, \frac12)$. So the divergence is
$\frac12\log 2 + \frac14\log\frac12 = \frac14\log 2$ and then 0, the entropy $\frac12\log 2 + \frac12\log 4 =
\frac32\log 2$ twice. The first answer writes tokens 1 and 3, the second token 2 and nothing more.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.filtering.quark", functions=("sorted_into", "quark_loss", "best_part")
)

TOKENS = torch.tensor([[1, 3], [2, 0]])
MASK = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
FIRST, SECOND = [1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 4, 1 / 2]


def laws() -> tuple[Tensor, Tensor]:
    """Log-probabilities of policy and reference: (answers, tokens, actions) both."""
    policy = torch.tensor([[FIRST, SECOND], [FIRST, SECOND]]).log()
    return leaf(policy), torch.tensor([[[1 / 4, 1 / 2, 1 / 4], SECOND]] * 2).log()


@contract.worked("Seven scores in three quantiles")
def seven(quark: Any) -> None:
    r"""$\lfloor 7/3 \rfloor = 2$ each. From the top: $0.9$ (twice), then $0.7, 0.5$, then $0.3, 0.2$ and the remainder
    $0.1$.
    """
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3, 0.9, 0.2])
    close(quark.sorted_into(scores, 3), [2, 0, 1, 1, 2, 0, 2])
    close(quark.sorted_into(scores, 1), [0] * 7)
    close(quark.sorted_into(scores, 7), [6, 0, 3, 2, 4, 1, 5])


@contract.worked("Equal scores are parted by their order")
def ties(quark: Any) -> None:
    r"""Forty equal scores in two quantiles: the first twenty count as the better ones."""
    close(quark.sorted_into(torch.full((40,), 5.0), 2), [0] * 20 + [1] * 20)


@contract.limit("Fewer scores than quantiles")
def too_few(quark: Any) -> None:
    r"""Two scores cannot fill three quantiles; three can."""
    raises(ValueError, quark.sorted_into, torch.tensor([1.0, 2.0]), 3)
    close(quark.sorted_into(torch.tensor([1.0, 2.0, 3.0]), 3), [2, 1, 0])


@contract.invariant("Any increasing function of the scores")
def monotone(quark: Any) -> None:
    r"""Quantiles know the order of scores and nothing else."""
    scores = torch.tensor([0.3, -1.0, 2.0, 0.7, 5.0])
    close(quark.sorted_into(scores.exp() - 4, 2), quark.sorted_into(scores, 2))


@contract.worked("Losses of two answers of different length")
def losses(quark: Any) -> None:
    r"""With $\beta = 2$ and $\gamma = \frac13$, in units of $\log 2$: $(1 + 1) + 2 \cdot \frac14 - \frac13 \cdot 3 =
    \frac32$, and $2 + \frac12 - \frac13\cdot\frac32 = 2$. With both weights at 0 it is the likelihood alone.
    """
    policy, reference = laws()
    loss = quark.quark_loss(policy, reference, TOKENS, MASK, 2.0, 1 / 3)
    close(loss, [1.5 * log(2), 2 * log(2)])
    close(quark.quark_loss(policy, reference, TOKENS, MASK, 0.0, 0.0), [2 * log(2), 2 * log(2)])


@contract.worked("Gradient of the divergence and of the entropy")
def pulls(quark: Any) -> None:
    r"""By the log-probabilities at the first place of the first answer. For $\beta = 2$:
    $-1[a = 1] + 2 p_a (1 + \log\frac{p_a}{q_a})$, that is $-1 + 1 + \log 2$, $\frac12(1 - \log 2)$ and $\frac12$. For
    $\gamma = 1$: $-1[a = 1] + p_a(1 + \log p_a)$. Nothing reaches padding.
    """
    policy, reference = laws()
    kl = gradients(quark.quark_loss(policy, reference, TOKENS, MASK, 2.0, 0.0), policy)[0]
    close(kl[0, 0], [log(2), (1 - log(2)) / 2, 1 / 2])
    close(kl[1, 1], [0, 0, 0])
    entropy = gradients(quark.quark_loss(policy, reference, TOKENS, MASK, 0.0, 1.0), policy)[0]
    close(entropy[0, 0], [-1 + (1 - log(2)) / 2, (1 - 2 * log(2)) / 4, (1 - 2 * log(2)) / 4])


@contract.invariant("Padding")
def padding(quark: Any) -> None:
    r"""What the laws say where nothing is written does not count."""
    policy, reference = laws()
    other = policy.detach().clone()
    other[1, 1] = torch.tensor([0.1, 0.1, 0.8]).log()
    close(
        quark.quark_loss(other, reference, TOKENS, MASK, 2.0, 1 / 3),
        quark.quark_loss(policy, reference, TOKENS, MASK, 2.0, 1 / 3),
    )


def slope(quark: Any, probabilities: list[float], kl: float) -> Tensor:
    """Expected gradient by two logits where data are 3/4 and 1/4 and the reference is fair."""
    theta = leaf([log(p) for p in probabilities])
    logps = theta.log_softmax(0).expand(2, 1, 2)
    reference = torch.full((2, 1, 2), 0.5).log()
    loss = quark.quark_loss(logps, reference, torch.tensor([[1], [2]]), torch.ones(2, 1), kl, 0.0)
    return torch.autograd.grad((torch.tensor([0.75, 0.25]) * loss).sum(), theta)[0]


@contract.optimum("With data (3/4, 1/4) and a fair reference")
def between(quark: Any) -> None:
    r"""Without a pull the optimum is the data. With $\beta$ it is where $-\frac{d_a}{p_a} + \beta\log p_a$ is one
    number for all $a$. At $p = (\frac23, \frac13)$: $-\frac98 + \beta\log\frac23 = -\frac34 + \beta\log\frac13$ gives
    $\beta = \frac{3}{8 \log 2}$.
    """
    close(slope(quark, [0.75, 0.25], 0.0), [0, 0], tol=1e-12)
    close(slope(quark, [2 / 3, 1 / 3], 3 / (8 * log(2))), [0, 0], tol=1e-12)
    differ(slope(quark, [2 / 3, 1 / 3], 0.0), torch.zeros(2), by=0.05)


REFERENCE = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 4, 1 / 2]])
SCORES = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 3.0]])


@contract.worked("The better half of the answers to two prompts")
def better_half(quark: Any) -> None:
    r"""Of all mass, score 3 has $\frac14$ and score 2 has $\frac18$; score 1 has $\frac18$ twice, and there is room for
    one half of it. The first prompt keeps $(0, \frac18, \frac14)$, the second $(0, \frac18, \frac12)$: normalised
    $(0, \frac13, \frac23)$ and $(0, \frac15, \frac45)$.
    """
    both = torch.tensor([0, 1])
    part = quark.best_part(REFERENCE.log(), SCORES, 2, both).exp()
    close(part, [[0, 1 / 3, 2 / 3], [0, 1 / 5, 4 / 5]])


@contract.worked("The threshold of some prompts, used on all")
def one_prompt(quark: Any) -> None:
    r"""By the first prompt alone the better half is scores 1 and 2, mass $\frac14$ each. The same threshold leaves the
    second prompt $(0, \frac14, \frac12)$.
    """
    part = quark.best_part(REFERENCE.log(), SCORES, 2, torch.tensor([0])).exp()
    close(part, [[0, 1 / 2, 1 / 2], [0, 1 / 3, 2 / 3]])


@contract.limit("One quantile")
def everything(quark: Any) -> None:
    r"""The best of one quantile is all there is: the reference."""
    scores = SCORES + torch.tensor([[0.0], [0.5]])
    close(quark.best_part(REFERENCE.log(), scores, 1, torch.tensor([0, 1])).exp(), REFERENCE)


@contract.relation("The divergence spent is log K")
def spent(quark: Any) -> None:
    r"""On one prompt with an answer for every quantile, $\mathrm{KL} = \log 4$ for $K = 4$."""
    law = torch.full((1, 8), 1 / 8)
    part = quark.best_part(law.log(), torch.arange(8.0)[None], 4, torch.tensor([0])).exp()
    close(part, [[0, 0, 0, 0, 0, 0, 1 / 2, 1 / 2]])
    close((part[part > 0] * (part[part > 0] * 8).log()).sum(), log(4))


contract.equivalent(
    "best_part: mass[order].cumsum(0) < room -> mass[order].cumsum(0) <= room #1",
    "where answers fill the room exactly, the last of them counts in full, or the next one with a share of 0",
)
