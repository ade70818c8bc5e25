r"""Contract of APA's loss and of the policy at which it rests.

The worked losses are of two answers, of two and of three tokens, with $\lambda = \frac12$; a dot is padding:

| | log-ratio to the anchor | advantage |
|-|-|-|
| answer 1 | $1, -1, \cdot$ | $1, 0, \cdot$ |
| answer 2 | $0, 2, -1$ | $-\frac12, 1, 1$ |

so that errors are $-1, -1$ and $1, 0, -3$. The optimum checks have answers of one or two tokens over one
symbol: stop at once ($s$), or write $a$ and then stop ($as$) or write $a$ again ($aa$).
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises
from reference_impls.core.space import SequenceSpace

contract = Contract(
    module="reference_impls.policy_gradient.apa", functions=("apa_loss", "token_by_token_optimum")
)
contract.equivalent(
    "apa_loss: logps - anchor_logps.detach() - advantages.detach() / lam -> "
    "advantages.detach() / lam - (logps - anchor_logps.detach()) #1",
    "the sign of what is squared does not matter",
)

MASK = ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0))


def inputs(filler: float = -5.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Policy, anchor, advantages and mask, with something on padding."""
    policy = leaf([[-1.0, -3.0, filler], [-1.0, -1.0, -2.0]])
    anchor = leaf([[-2.0, -2.0, filler], [-1.0, -3.0, -1.0]])
    return policy, anchor, leaf([[1.0, 0.0, filler], [-0.5, 1.0, 1.0]]), torch.tensor(MASK)


@contract.worked("Losses and gradients of two answers of different length")
def losses(apa: Any) -> None:
    r"""Squares: $1 + 1$ and $1 + 0 + 9$. Gradients twice the errors; anchor and advantages get none."""
    policy, anchor, advantages, mask = inputs()
    loss = apa.apa_loss(policy, anchor, advantages, mask, 0.5)
    close(loss, [2, 10])
    by_policy, by_anchor, by_advantage = gradients(loss, policy, anchor, advantages)
    close(by_policy, [[-2, -2, 0], [2, 0, -6]])
    close(by_anchor, torch.zeros(2, 3))
    close(by_advantage, torch.zeros(2, 3))


@contract.limit("A high temperature imitates the anchor")
def hot(apa: Any) -> None:
    r"""As $\lambda$ grows the advantages fade: squares of the log-ratios, $2$ and $5$."""
    close(apa.apa_loss(*inputs(), 1e12), [2, 5])


@contract.invariant("Padding")
def padding(apa: Any) -> None:
    r"""Neither what stands on padding nor further padded columns change the loss or its gradient."""
    for filler in (3.0, inf, -inf, nan):
        policy, anchor, advantages, mask = inputs(filler)
        wide = [torch.cat([x, torch.full((2, 1), filler)], 1) for x in (policy, anchor, advantages)]
        loss = apa.apa_loss(*wide, torch.cat([mask, torch.zeros(2, 1)], 1), 0.5)
        close(loss, [2, 10])
        close(gradients(loss, policy)[0], [[-2, -2, 0], [2, 0, -6]])


@contract.relation("The anchor and the advantage are one target")
def target(apa: Any) -> None:
    r"""Moving the anchor by $d$ is the same as an advantage larger by $\lambda d$."""
    policy, anchor, advantages, mask = inputs()
    moved = apa.apa_loss(policy, anchor + 0.25, advantages, mask, 0.5)
    close(moved, apa.apa_loss(policy, anchor, advantages + 0.125, mask, 0.5))


SPACE = SequenceSpace(1, 2)
FIRST, SECOND = (1 / 3, 2 / 3), (3 / 4, 1 / 4)
"""Reference: write or stop, at the start and after one symbol."""
REWARD = (1.0, 0.0, 2.0)
"""Of s, as and aa, the order of the space."""


def levels(first: tuple[float, float] = FIRST, second: tuple[float, float] = SECOND) -> list[Tensor]:
    """Next-token log-probabilities at both prefixes."""
    return [torch.tensor([[first]]).log(), torch.tensor([[second]]).log()]


@contract.worked("From the last token to the first")
def backwards(apa: Any) -> None:
    r"""$\lambda = 2 / \log 3$, so that $e^{2/\lambda} = 3$. After $a$: write ($aa$, 2) or stop ($as$, 0) with weights
    $\frac34 \cdot 3$ and $\frac14 \cdot 1$, that is $\frac9{10}$ and $\frac1{10}$; the mean return is
    $\frac95$. At the start: write with $\frac13 \cdot 3^{9/10}$, stop with $\frac23 \cdot 3^{1/2}$.
    """
    found = apa.token_by_token_optimum(SPACE, levels(), torch.tensor([REWARD]), 2 / log(3))
    write, stop = 3**0.9 / 3, 2 * 3**0.5 / 3
    goes_on = write / (write + stop)
    close(found.exp(), [[1 - goes_on, goes_on / 10, goes_on * 9 / 10]])


@contract.worked("Two prompts, each with its own reward")
def prompts(apa: Any) -> None:
    r"""Each row stands alone; equal rewards give the reference back, and a constant added to a row changes nothing. A
    reference that lacks a level is refused."""
    two = [level.repeat(2, 1, 1) for level in levels()]
    rewards = torch.tensor([REWARD, (5.0, 5.0, 5.0)])
    found = apa.token_by_token_optimum(SPACE, two, rewards, 0.7)
    close(found[:1], apa.token_by_token_optimum(SPACE, levels(), torch.tensor([REWARD]), 0.7))
    close(found[1].exp(), [2 / 3, 1 / 3 / 4, 1 / 3 * 3 / 4])
    close(apa.token_by_token_optimum(SPACE, two, rewards + 3, 0.7), found)
    raises(ValueError, apa.token_by_token_optimum, SPACE, two[:1], rewards, 0.7)


def expected_gradient(apa: Any, law: Tensor, lam: float, writer: Tensor | None = None) -> Tensor:
    """Gradient by the logits of the expected loss, with exact advantages of the policy ``law`` (three answers)."""
    writer = law if writer is None else writer
    goes_on = 1 - law[0]
    first = torch.stack([goes_on, law[0]])
    second = law[1:].flip(0) / goes_on
    theta = leaf(torch.cat([first, second]).log())
    tokens = torch.cat([theta[:2].log_softmax(0), theta[2:].log_softmax(0)])
    later = second[0] * REWARD[2] + second[1] * REWARD[1]
    mean = goes_on * later + law[0] * REWARD[0]
    advantage = torch.stack([later - mean, REWARD[0] - mean, REWARD[2] - later, REWARD[1] - later])
    places = torch.tensor([[1, 0], [0, 3], [0, 2]])
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    anchor = torch.tensor([*FIRST, *SECOND]).log()
    loss = apa.apa_loss(tokens[places], anchor[places], advantage[places], mask, lam)
    return torch.autograd.grad((writer * loss).sum(), theta)[0]


@contract.optimum("On the policy's own answers it rests at the policy computed backwards")
def rests(apa: Any) -> None:
    r"""The errors are then one constant per prefix, which has no mean gradient: the normaliser costs nothing. On
    answers by somebody else it does, and at the reference the gradient does not vanish either.
    """
    lam = 0.8
    found = apa.token_by_token_optimum(SPACE, levels(), torch.tensor([REWARD]), lam)[0].exp()
    close(expected_gradient(apa, found, lam), torch.zeros(4), tol=1e-9)
    other = torch.tensor([1 / 5, 2 / 5, 2 / 5])
    differ(expected_gradient(apa, found, lam, other), torch.zeros(4), by=1e-2)
    reference = torch.tensor([2 / 3, 1 / 12, 1 / 4])
    differ(expected_gradient(apa, reference, lam), torch.zeros(4), by=1e-2)


@contract.broken("It is not the optimum of J")
def not_j(apa: Any) -> None:
    r"""$\pi_{ref}\,e^{r/\lambda}$ over whole answers hands the prefix
    $\lambda\log\mathbb{E}_{ref}\,e^{r/\lambda}$, which is the mean return less the KL to be spent; APA hands it
    the mean return alone and so writes on more often. Answers of a single token have no later KL, and there the
    two agree.
    """
    lam = 0.8
    reference = torch.tensor([2 / 3, 1 / 12, 1 / 4])
    weights = reference * (torch.tensor(REWARD) / lam).exp()
    found = apa.token_by_token_optimum(SPACE, levels(), torch.tensor([REWARD]), lam)[0].exp()
    assert found[0] < (weights / weights.sum())[0] - 0.02
    short = SequenceSpace(2, 1)
    single = apa.token_by_token_optimum(
        short, [torch.tensor([[[1 / 2, 1 / 4, 1 / 4]]]).log()], torch.tensor([[0.0, 1.0, -1.0]]), 1.0
    )
    raw = [exp(0.0) / 4, exp(1.0) / 2, exp(-1.0) / 4]
    close(single.exp(), [[w / sum(raw) for w in raw]])
