r"""Contract of the weights and the loss of imitating recorded answers.

The worked losses are of two answers, with log-probabilities $-\log 8$ (two tokens) and $-\log 4$ (three). The
optimum checks have four answers, a writer with $\frac12, \frac14, \frac18, \frac18$, rewards $0, 1, -1, 2$ and
$\beta = \frac12$.
"""

from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.offline.weighted_imitation",
    functions=("advantage_weights", "clipped_ratio", "weighted_loss"),
)

MASK = ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0))


def logps(filler: float = -5.0) -> Tensor:
    """Token log-probabilities of the two answers, with something on padding."""
    return leaf([[log(1 / 2), log(1 / 4), filler], [log(1 / 2), log(2 / 3), log(3 / 4)]])


@contract.worked("Three weightings, and a ceiling")
def weights(module: Any) -> None:
    r"""Advantages $-\log 2, 0, \log 2, \log 3$ at $\beta = \frac12$: $e^{2A} = \frac14, 1, 4, 9$, with a ceiling of 5
    $\frac14, 1, 4, 5$; the positive part; ones.
    """
    advantages = torch.tensor([-log(2), 0, log(2), log(3)])
    close(module.advantage_weights(advantages, "exponential", 0.5, None), [1 / 4, 1, 4, 9])
    close(module.advantage_weights(advantages, "exponential", 0.5, 5.0), [1 / 4, 1, 4, 5])
    close(module.advantage_weights(advantages, "exponential", 1.0, None), [1 / 2, 1, 2, 3])
    close(module.advantage_weights(advantages, "positive", 0.5, None), [0, 0, log(2), log(3)])
    close(module.advantage_weights(advantages, "none", 0.5, None), [1, 1, 1, 1])
    raises(ValueError, module.advantage_weights, advantages, "negative", 0.5, None)


@contract.worked("A-LoL's ratio")
def ratio(module: Any) -> None:
    r"""Reference probabilities $\frac14$ and $\frac18$ against the policy's $\frac18$ and $\frac14$: ratios
    $\frac12$ and $2$, cut to $1 \pm 0.9$: $\frac12$ and $1.9$; to $1 \pm \frac14$: $\frac34$ and $\frac54$. A
    ratio below $0.1$ is cut too. It is a number: no gradient.
    """
    policy = logps()
    reference = torch.tensor([[log(1 / 2), log(1 / 2), -1.0], [log(1 / 2), log(1 / 2), log(1 / 2)]])
    mask = torch.tensor(MASK)
    close(module.clipped_ratio(policy, reference, mask, 0.9), [1 / 2, 1.9])
    close(module.clipped_ratio(policy, reference, mask, 0.25), [3 / 4, 5 / 4])
    close(module.clipped_ratio(policy - 3, reference, mask, 0.9), [0.1, 0.1])
    close(gradients(module.clipped_ratio(policy, reference, mask, 2.0), policy)[0], torch.zeros(2, 3))


@contract.worked("Losses and gradients")
def losses(module: Any) -> None:
    r"""Weights 1 and $\frac12$: $\log 8$ and $\log 2$. Every real token is pushed up by its answer's weight, and the
    weight gets no gradient.
    """
    tokens, weight = logps(), leaf([1.0, 0.5])
    loss = module.weighted_loss(tokens, torch.tensor(MASK), weight)
    close(loss, [log(8), log(2)])
    by_token, by_weight = gradients(loss, tokens, weight)
    close(by_token, [[-1, -1, 0], [-0.5, -0.5, -0.5]])
    close(by_weight, [0, 0])


@contract.limit("Temperature to infinity")
def hot(module: Any) -> None:
    r"""All exponential weights become one: behaviour cloning."""
    advantages = torch.tensor([-3.0, 0.0, 4.0])
    close(module.advantage_weights(advantages, "exponential", 1e9, None), [1, 1, 1])


@contract.invariant("Padding")
def padding(module: Any) -> None:
    r"""Neither what stands on padding nor further padded columns change loss, gradient or ratio."""
    mask = torch.cat([torch.tensor(MASK), torch.zeros(2, 1)], 1)
    for filler in (3.0, inf, -inf, nan):
        tokens = logps(filler)
        wide = torch.cat([tokens, torch.full((2, 1), filler)], 1)
        loss = module.weighted_loss(wide, mask, torch.tensor([1.0, 0.5]))
        close(loss, [log(8), log(2)])
        close(gradients(loss, tokens)[0], [[-1, -1, 0], [-0.5, -0.5, -0.5]])
        close(module.clipped_ratio(wide, wide, mask, 0.9), [1, 1])


@contract.relation("A constant in the scores")
def shift(module: Any) -> None:
    r"""Exponential weights are all multiplied by $e^{c/\beta}$, which moves no optimum; the positive part is not."""
    advantages = torch.tensor([-1.0, 0.0, 2.0])
    before = module.advantage_weights(advantages, "exponential", 0.5, None)
    close(module.advantage_weights(advantages + 1, "exponential", 0.5, None), before * exp(2))
    close(module.advantage_weights(advantages + 1, "positive", 0.5, None), [0, 1, 3])


WRITER = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
REWARD = (0.0, 1.0, -1.0, 2.0)
BETA = 0.5


def tilt(weights: list[float], writer: tuple[float, ...] = WRITER) -> list[float]:
    """A writer's law times weights, normalised."""
    raw = [p * w for p, w in zip(writer, weights, strict=True)]
    return [x / sum(raw) for x in raw]


def expected_gradient(
    module: Any, policy: list[float], weights: Tensor, writer: tuple[float, ...] = WRITER
) -> Tensor:
    """Gradient by the logits of the expected loss on a writer's answers."""
    theta = leaf([log(p) for p in policy])
    loss = module.weighted_loss(theta.log_softmax(0)[:, None], torch.ones(4, 1), weights)
    return torch.autograd.grad((torch.tensor(writer) * loss).sum(), theta)[0]


@contract.optimum("Exponential weights on the reference's answers end at the optimum of J")
def tilted_reference(module: Any) -> None:
    r"""The gradient vanishes at $\pi_{ref}\,e^{r/\beta}$ and not at $\pi_{ref}$. With another writer it
    vanishes at that writer's tilt, which is not the optimum.
    """
    weights = module.advantage_weights(torch.tensor(REWARD), "exponential", BETA, None)
    best = tilt([exp(r / BETA) for r in REWARD])
    close(expected_gradient(module, best, weights), torch.zeros(4), tol=1e-9)
    differ(expected_gradient(module, list(WRITER), weights), torch.zeros(4), by=0.1)
    other = (1 / 4, 1 / 4, 1 / 4, 1 / 4)
    differ(expected_gradient(module, best, weights, other), torch.zeros(4), by=0.1)
    close(
        expected_gradient(module, tilt([exp(r / BETA) for r in REWARD], other), weights, other),
        torch.zeros(4),
        tol=1e-9,
    )


@contract.optimum("A ceiling and the positive part move the end")
def other_ends(module: Any) -> None:
    r"""With a ceiling of $e^2$ the answers of reward 1 and 2 count the same: weights $1, e^2, e^{-2}, e^2$.
    Positive parts: only the second and fourth are left, with $\frac14 \cdot 1$ and $\frac18 \cdot 2$: a half
    each.
    """
    advantages = torch.tensor(REWARD)
    cut = module.advantage_weights(advantages, "exponential", BETA, exp(2))
    close(expected_gradient(module, tilt([1, exp(2), exp(-2), exp(2)]), cut), torch.zeros(4), tol=1e-9)
    differ(expected_gradient(module, tilt([exp(r / BETA) for r in REWARD]), cut), torch.zeros(4), by=0.1)
    positive = module.advantage_weights(advantages, "positive", BETA, None)
    close(
        expected_gradient(module, [1e-12, 0.5 - 1e-12, 1e-12, 0.5 - 1e-12], positive),
        torch.zeros(4),
        tol=1e-9,
    )


@contract.broken("The ratio makes it a climb without end")
def climb(module: Any) -> None:
    r"""Where the ratio is not clipped the mean gradient on the reference's answers is that of $-E_\pi[\max(A,
    0)]$. At the end of the version without the ratio, a half on each of two answers of advantage 1 and 2, it
    does not vanish: it is $\pm\frac14 (2 - 1)$, towards the best answer alone.
    """
    advantages = torch.tensor(REWARD)
    positive = module.advantage_weights(advantages, "positive", BETA, None)
    policy = torch.tensor([1e-12, 0.5 - 1e-12, 1e-12, 0.5 - 1e-12])
    ones = torch.ones(4, 1)
    ratio = module.clipped_ratio(policy.log()[:, None], torch.tensor(WRITER).log()[:, None], ones, 1e9)
    found = expected_gradient(module, policy.tolist(), positive * ratio)
    close(found, [0, 1 / 4, 0, -1 / 4], tol=1e-6)
