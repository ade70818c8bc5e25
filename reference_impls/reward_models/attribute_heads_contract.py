r"""Contract of the regression on marks, of the gate, and of its likelihood.

The worked pair has attributes $(\log 3, 0)$ and $(0, \log 2)$; the gate's logits are $(\log 3, 0)$, its weights
$\frac34$ and $\frac14$.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.attribute_heads", functions=("heads_loss", "gated", "gate_loss")
)

contract.equivalent(
    "heads_loss: scores - grades -> grades - scores #1", "the difference is squared, so its sign is lost"
)


@contract.worked("Squared errors of two answers' marks on two attributes, and their gradients")
def marks(module: Any) -> None:
    r"""Scores $(1, -2)$ against marks $(3, -1)$: $\frac{4 + 1}{2}$; $(0, 5)$ against $(0, 2)$: $\frac92$. Gradients
    $s - g$, either head's own: $-2, -1$ and $0, 3$.
    """
    scores, grades = leaf([[1.0, -2.0], [0.0, 5.0]]), torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    loss = module.heads_loss(scores, grades)
    close(loss, [5 / 2, 9 / 2])
    close(gradients(loss, scores)[0], [[-2, -1], [0, 3]])


@contract.worked("Attributes added up with the gate's weights")
def added(module: Any) -> None:
    r"""$\frac34\cdot4 + \frac14\cdot8 = 5$ and $\frac12\cdot4 + \frac12\cdot8 = 6$; by the first logit the sum grows by
    $g_1 (R_1 - \bar R) = \frac34(4 - 5) = -\frac34$.
    """
    logits = leaf([[log(3), 0.0], [0.0, 0.0]])
    sums = module.gated(torch.tensor([[4.0, 8.0], [4.0, 8.0]]), logits)
    close(sums, [5, 6])
    close(gradients(sums, logits)[0], [[-3 / 4, 3 / 4], [-1, 1]])


@contract.worked("A comparison's likelihood, and what it teaches gate and scale")
def comparison(module: Any) -> None:
    r"""Margin $\frac34\log3 - \frac14\log2 = a$; with scale $c$ the loss is $\log(1 + e^{-ca})$. By the first logit:
    $-\sigma(-ca)\,c\,g_1 g_2 (\log 3 + \log 2)$, since $\Delta_1 - \Delta_2 = \log 3 + \log 2$; by the scale:
    $-\sigma(-ca)\,a$. The attribute in which the winner wins gains weight.
    """
    chosen, rejected = torch.tensor([[log(3), 0.0]]), torch.tensor([[0.0, log(2)]])
    a = 0.75 * log(3) - 0.25 * log(2)
    for c in (1.0, 2.0):
        logits, scale = leaf([[log(3), 0.0]]), leaf(c)
        loss = module.gate_loss(chosen, rejected, logits, scale)
        wrong = 1 / (1 + torch.tensor(c * a).exp())
        close(loss, [torch.tensor(-c * a).exp().log1p()])
        by_logits, by_scale = gradients(loss, logits, scale)
        pull = wrong * c * 3 / 16 * log(6)
        close(by_logits, [[-pull, pull]])
        close(by_scale, -wrong * a)


@contract.limit(
    "One attribute: Bradley and Terry. A gate that is sure: one attribute. A scale of nothing: a coin"
)
def ends(module: Any) -> None:
    r"""$-\log\sigma(\log3) = \log\frac43$ with one attribute, and with two if the gate is sure of the first; $\log 2$
    at scale 0; nothing overflows.
    """
    one = module.gate_loss(torch.tensor([[log(3)]]), torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(1.0))
    close(one, [log(4 / 3)])
    chosen, rejected = torch.tensor([[log(3), -7.0]]), torch.tensor([[0.0, 5.0]])
    sure = torch.tensor([[1000.0, 0.0]])
    close(module.gate_loss(chosen, rejected, sure, torch.tensor(1.0)), [log(4 / 3)])
    close(module.gate_loss(chosen, rejected, sure, torch.tensor(0.0)), [log(2)])
    close(module.gate_loss(1e4 * chosen, rejected, sure, torch.tensor(1.0)), [0])
    close(module.gate_loss(rejected, 1e4 * chosen, sure, torch.tensor(1.0)), [1e4 * log(3)], tol=1e-5)


@contract.invariant(
    "A constant on both answers, a constant on the logits, the order of pairs and of attributes"
)
def shifts(module: Any) -> None:
    """Attributes enter as differences within the pair; softmax weights add up to one."""
    chosen, rejected, logits = torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3)
    scale = torch.tensor(1.3)
    loss = module.gate_loss(chosen, rejected, logits, scale)
    level = torch.randn(5, 3)
    close(module.gate_loss(chosen + level, rejected + level, logits, scale), loss)
    close(module.gate_loss(chosen, rejected, logits + torch.randn(5, 1), scale), loss)
    close(module.gate_loss(chosen.flip(0, 1), rejected.flip(0, 1), logits.flip(0, 1), scale), loss.flip(0))
    close(module.gated(torch.full((5, 3), 4.0), logits), torch.full((5,), 4.0))


@contract.relation("A mixture lies between the attributes")
def between(module: Any) -> None:
    """Weights are positive and add up to one, so the gate cannot turn an attribute round."""
    rewards, logits = torch.randn(20, 4), 3 * torch.randn(20, 4)
    sums = module.gated(rewards, logits)
    assert (sums > rewards.amin(-1)).all() and (sums < rewards.amax(-1)).all()


@contract.broken("The unit of an attribute is not free")
def units(module: Any) -> None:
    r"""Halving the second attribute's marks halves what it counts for: $\frac12\cdot4 + \frac12\cdot4 = 4$ in place of
    6. Weights $\frac13, \frac23$ and a scale of $\frac32$ undo it: the gate can learn units, equal weights cannot.
    """
    close(module.gated(torch.tensor([4.0, 8.0]), torch.zeros(2)), 6)
    close(module.gated(torch.tensor([4.0, 4.0]), torch.zeros(2)), 4)
    differences = torch.tensor([[1.0, -0.6]])
    whole = module.gate_loss(differences, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor(1.0))
    halved = differences * torch.tensor([1.0, 0.5])
    mended = module.gate_loss(halved, torch.zeros(1, 2), torch.tensor([[0.0, log(2)]]), torch.tensor(1.5))
    close(mended, whole)
    differ(module.gate_loss(halved, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor(1.0)), whole)


@contract.optimum("With endless comparisons the gate finds the weights that people have, by prompt")
def optimum(module: Any) -> None:
    r"""People weigh by $\frac34, \frac14$ and compare four answers with attributes in all corners of a square, every
    pair of them equally often. The gradient by logits and scale vanishes at $(\log 3, 0)$ with scale 1 and neither at
    equal weights nor at scale 2. The mean of marks is the minimum of the regression.
    """
    corners = torch.tensor([[0.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 2.0]])
    first, second = corners.repeat_interleave(4, 0), corners.repeat(4, 1)
    truth = torch.tensor([0.75, 0.25])
    chance = torch.sigmoid((first - second) @ truth)

    def slopes(start: list[float], size: float) -> torch.Tensor:
        logits, scale = leaf(start), leaf(size)
        both = [
            module.gate_loss(x, y, logits.expand(16, 2), scale) for x, y in ((first, second), (second, first))
        ]
        expected = (chance * both[0] + (1 - chance) * both[1]).sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(expected, (logits, scale))])

    close(slopes([log(3), 0.0], 1.0), [0, 0, 0], tol=1e-9)
    for start, size in (([0.0, 0.0], 1.0), ([log(3), 0.0], 2.0), ([0.0, log(3)], 1.0)):
        differ(slopes(start, size), torch.zeros(3), by=0.05)
    scores, grades = leaf([[2.0, -1.0]]), torch.tensor([[3.0, -2.0], [1.0, 0.0]])
    close(gradients(module.heads_loss(scores.expand(2, 2), grades).sum(), scores)[0], [[0, 0]])
