r"""Contract of emulated fine-tuning.

The tree has one token $a$ and an end $\dashv$, horizon 2: answers $\dashv$, $a\dashv$, $aa$ in this order.

| | at the start: $a$, $\dashv$ | after $a$: $a$, $\dashv$ | answers |
|-|-|-|-|
| large base | $\frac12, \frac12$ | $\frac12, \frac12$ | $\frac12, \frac14, \frac14$ |
| small base | $\frac12, \frac12$ | $\frac14, \frac34$ | $\frac12, \frac38, \frac18$ |
| small tuned | $\frac34, \frac14$ | $\frac12, \frac12$ | $\frac14, \frac38, \frac38$ |

so that the small pair's ratios are $\frac32, \frac12$ at the start and $2, \frac23$ after $a$.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, raises
from reference_impls.core.space import SequenceSpace

contract = Contract(
    module="reference_impls.inference_time.emulated",
    functions=("emulated_tokens", "emulated_answers", "_shift", "levels_of"),
)

SPACE = SequenceSpace(vocab=1, horizon=2)


def levels(*rows: tuple[float, float]) -> list[Tensor]:
    """Log-probabilities at the start and after $a$, for one prompt."""
    return [torch.tensor([[row]]).log() for row in rows]


def large() -> list[Tensor]:
    """The large base."""
    return levels((1 / 2, 1 / 2), (1 / 2, 1 / 2))


def small() -> list[Tensor]:
    """The small base."""
    return levels((1 / 2, 1 / 2), (1 / 4, 3 / 4))


def tuned() -> list[Tensor]:
    """The small tuned model."""
    return levels((3 / 4, 1 / 4), (1 / 2, 1 / 2))


def answers(law: list[Tensor]) -> Tensor:
    """Log-probabilities of the three answers."""
    return SPACE.sequence_logps(law)


@contract.worked("Token by token")
def tokens(eft: Any) -> None:
    r"""At the start $\frac12\cdot\frac32 : \frac12\cdot\frac12 = 3 : 1$; after $a$ $\frac12\cdot2 : \frac12\cdot\frac23
    = 3 : 1$. With scale 2: $\frac94 : \frac14 = 9 : 1$ and $4 : \frac49 = 9 : 1$.
    """
    found = eft.emulated_tokens(large(), tuned(), small(), 1.0)
    close([level.exp() for level in found], [[[[3 / 4, 1 / 4]]], [[[3 / 4, 1 / 4]]]])
    found = eft.emulated_tokens(large(), tuned(), small(), 2.0)
    close([level.exp() for level in found], [[[[9 / 10, 1 / 10]]], [[[9 / 10, 1 / 10]]]])


@contract.worked("Whole answers")
def whole(eft: Any) -> None:
    r"""Ratios of the small pair $\frac12, 1, 3$ on $\frac12, \frac14, \frac14$: $\frac14, \frac14, \frac34$, so
    $\frac15, \frac15, \frac35$. With scale 2: $\frac18, \frac14, \frac94$, so $\frac1{21}, \frac2{21}, \frac{18}{21}$.
    """
    found = eft.emulated_answers(answers(large()), answers(tuned()), answers(small()), 1.0)
    close(found.exp(), [[1 / 5, 1 / 5, 3 / 5]])
    found = eft.emulated_answers(answers(large()), answers(tuned()), answers(small()), 2.0)
    close(found.exp(), [[1 / 21, 2 / 21, 18 / 21]])


@contract.worked("Next-token probabilities of a law of whole answers")
def conditionals(eft: Any) -> None:
    r"""$\frac15, \frac15, \frac35$: $a$ begins with $\frac45$, and another follows with $\frac34$. A factor common to
    all is no matter.
    """
    law = torch.tensor([[1 / 5, 1 / 5, 3 / 5]]).log()
    for one in (law, law + 2):
        found = eft.levels_of(SPACE, one)
        close([level.exp() for level in found], [[[[4 / 5, 1 / 5]]], [[[3 / 4, 1 / 4]]]])
    close(
        [level.exp() for level in eft.levels_of(SPACE, answers(small()))], [level.exp() for level in small()]
    )


@contract.limit("Scale 0, or a small pair that was not tuned")
def nothing(eft: Any) -> None:
    r"""The large base is left as it is."""
    for pair, scale in (((tuned(), small()), 0.0), ((small(), small()), 3.0)):
        close(eft.emulated_tokens(large(), *pair, scale), large())
        close(
            eft.emulated_answers(answers(large()), answers(pair[0]), answers(pair[1]), scale),
            answers(large()),
        )


@contract.limit("Small and large base alike")
def same_base(eft: Any) -> None:
    r"""The base cancels: either way the small tuned model comes back."""
    close(eft.emulated_tokens(small(), tuned(), small(), 1.0), tuned())
    close(eft.emulated_answers(answers(small()), answers(tuned()), answers(small()), 1.0), answers(tuned()))


@contract.invariant("Constants added to a model's logits")
def logits(eft: Any) -> None:
    r"""Proxy-tuning adds logits, EFT log-probabilities: they differ by a number per prefix, which the normalisation
    removes.
    """
    moved = [level + shift for level, shift in zip(tuned(), (5.0, -3.0), strict=True)]
    close(
        eft.emulated_tokens(large(), moved, small(), 1.0), eft.emulated_tokens(large(), tuned(), small(), 1.0)
    )


@contract.invariant("Every model must have the same prefixes")
def prefixes(eft: Any) -> None:
    r"""A missing level is an error and not a shorter answer."""
    raises(ValueError, eft.emulated_tokens, large(), tuned()[:1], small(), 1.0)


@contract.broken("Token by token is not whole answers")
def different(eft: Any) -> None:
    r"""Above: $\frac14, \frac34\cdot\frac14 = \frac3{16}, \frac9{16}$ token by token, and $\frac15, \frac15, \frac35$
    over whole answers.
    """
    found = SPACE.sequence_logps(eft.emulated_tokens(large(), tuned(), small(), 1.0)).exp()
    close(found, [[1 / 4, 3 / 16, 9 / 16]])
    whole = eft.emulated_answers(answers(large()), answers(tuned()), answers(small()), 1.0).exp()
    differ(found, whole, by=0.04)


REWARD = (0.0, log(2), log(8))


def best(law: Tensor, beta: float) -> Tensor:
    """The optimum of J for a law of answers."""
    return (law + torch.tensor([REWARD]) / beta).log_softmax(-1)


@contract.optimum("Over whole answers perfect tuning carries over exactly, with the scale for 1 / beta")
def carries_over(eft: Any) -> None:
    r"""Rewards $0, \log 2, \log 8$, $\beta = 1$: the large optimum is $\frac12, \frac12, 2$, so $\frac16, \frac16,
    \frac46$, whatever the small base. With scale 2 it is that of $\beta = \frac12$.
    """
    base, untuned = answers(large()), answers(small())
    found = eft.emulated_answers(base, best(untuned, 1.0), untuned, 1.0)
    close(found.exp(), [[1 / 6, 1 / 6, 4 / 6]])
    close(eft.emulated_answers(base, best(untuned, 1.0), untuned, 2.0), best(base, 0.5))


@contract.optimum("Token by token the small base's continuations remain")
def small_value(eft: Any) -> None:
    r"""After $a$ the small base writes $\dashv$ and $a$ with $\frac34, \frac14$: its mean of $e^r$ is
    $\frac34\cdot2 + \frac14\cdot8 = \frac72$, where the large one's is $5$. So $a$ begins with $\frac72 : 1$ instead
    of $5 : 1$. The last token is right, $8 : 2$.
    """
    pair = eft.levels_of(SPACE, best(answers(small()), 1.0))
    found = [level.exp() for level in eft.emulated_tokens(large(), pair, small(), 1.0)]
    close(found, [[[[7 / 9, 2 / 9]]], [[[4 / 5, 1 / 5]]]])
    exact = [level.exp() for level in eft.levels_of(SPACE, best(answers(large()), 1.0))]
    close(exact, [[[[5 / 6, 1 / 6]]], [[[4 / 5, 1 / 5]]]])
    close(exp(REWARD[2]), 8)
