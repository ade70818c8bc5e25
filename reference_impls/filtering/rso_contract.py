r"""Contract of statistical rejection sampling and of the losses on the pairs that it draws."""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, gradients, leaf, raises

contract = Contract(
    module="reference_impls.filtering.rso",
    functions=("acceptance", "rejection_sample", "first_of_its_kind", "rso_loss"),
)

contract.equivalent(
    "rejection_sample: ... < ... -> ... <= ... #1",
    "The two differ only where a uniform draw equals the chance of acceptance to the last bit.",
)

BETA = 0.5
REWARDS = (0.0, BETA * log(2), BETA * log(8))


def seeded() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


def everybody(rewards: Tensor) -> Tensor:
    """All candidates are left."""
    return torch.ones_like(rewards).bool()


@contract.worked("The chance of acceptance in one sweep")
def chances(rso: Any) -> None:
    r"""$e^{r/\beta} = 1, 2, 8$: $\frac18, \frac14, 1$. Once the best is gone the second sets the scale: $\frac12, 1$,
    and 0 for who is gone. In the second row the first is gone.
    """
    rewards = torch.tensor([REWARDS, REWARDS])
    close(rso.acceptance(rewards, everybody(rewards), BETA), [[1 / 8, 1 / 4, 1]] * 2)
    left = torch.tensor([[True, True, False], [False, True, True]])
    close(rso.acceptance(rewards, left, BETA), [[1 / 2, 1, 0], [0, 1 / 4, 1]])


@contract.limit("Temperature 0: the best, in order")
def greedy(rso: Any) -> None:
    r"""Each sweep takes the best that is left: top-k over N."""
    rewards = torch.tensor([[0.0, 3.0, 1.0, 2.0], [9.0, 1.0, 7.0, 4.0]])
    close(rso.rejection_sample(rewards, everybody(rewards), 3, 1e-6, seeded()), [[1, 3, 2], [0, 2, 3]])


@contract.limit("Endless temperature: as they were drawn")
def indifferent(rso: Any) -> None:
    r"""The first sweep takes everybody, and the first of these are kept."""
    rewards = torch.tensor([[0.0, 3.0, 1.0, 2.0], [9.0, 1.0, 7.0, 4.0]])
    close(rso.rejection_sample(rewards, everybody(rewards), 3, 1e9, seeded()), [[0, 1, 2], [0, 1, 2]])


@contract.limit("Not enough candidates")
def too_few(rso: Any) -> None:
    r"""Who is gone cannot be accepted; exactly enough is enough."""
    rewards = torch.tensor([[0.0, 3.0, 1.0], [0.0, 3.0, 1.0]])
    left = torch.tensor([[True, False, True], [True, True, True]])
    raises(ValueError, rso.rejection_sample, rewards, left, 3, BETA, seeded())
    close(rso.rejection_sample(rewards, left, 2, 1e9, seeded()), [[0, 2], [0, 1]])
    for keep in (1, 3):
        found = rso.rejection_sample(rewards, everybody(rewards), keep, BETA, seeded())
        assert found.shape == (2, keep) and all(len(set(row)) == keep for row in found.tolist())


@contract.worked("How often, and in which order")
def frequencies(rso: Any) -> None:
    r"""Candidates with $e^{r/\beta} = 1$ and $2$, in this order. The first is accepted in the first sweep with
    $\frac12$, and then comes first; else the second does. With $1, 2, 8$: the third is taken in the first sweep; the
    first two before it with $\frac18$ and, if the first was not, $\frac78\cdot\frac14 = \frac7{32}$. 20,000 rows, three
    standard errors.
    """
    two = torch.tensor([REWARDS[:2]]).expand(20000, -1)
    first = rso.rejection_sample(two, everybody(two), 1, BETA, seeded())[:, 0]
    close((first == 0).double().mean(), 1 / 2, tol=0.0106)
    three = torch.tensor([REWARDS]).expand(20000, -1)
    places = rso.rejection_sample(three, everybody(three), 3, BETA, seeded())
    for place, wanted in enumerate((1 / 8, 7 / 32, 21 / 32)):
        close((places[:, 0] == place).double().mean(), wanted, tol=0.0101)
    close((places[:, 2] == 2).double().mean(), 1 / 8 * 1 / 4, tol=0.0037)


@contract.worked("Which answers are new")
def new(rso: Any) -> None:
    r"""The second 5 and the second 3 are not; each row for itself."""
    found = rso.first_of_its_kind(torch.tensor([[5, 3, 5, 3, 1], [7, 7, 7, 5, 5]]))
    close(found, [[1, 1, 0, 0, 1], [1, 0, 0, 1, 0]])


@contract.worked("Losses and gradients")
def losses(rso: Any) -> None:
    r"""$\Delta = \pm\log 9$, $\gamma = \frac12$: sigmoid $\frac34$ and $\frac14$, so $\log\frac43$ and $\log 4$; hinge
    0, since $\log 3 > 1$, and $1 + \log 3$. Gradients $-\frac12(1 - \sigma)$, and $0$ and $-\frac12$.
    """
    for loss, values, slopes in (
        ("sigmoid", [log(4 / 3), log(4)], [-1 / 8, -3 / 8]),
        ("hinge", [0, 1 + log(3)], [0, -1 / 2]),
    ):
        difference = leaf([log(9), -log(9)])
        found = rso.rso_loss(difference, 0.5, loss)
        close(found, values)
        close(gradients(found, difference)[0], slopes)
    close(rso.rso_loss(torch.tensor([1.0]), 0.5, "hinge"), [1 / 2])


@contract.invariant("A constant added to all rewards of a prompt")
def shift(rso: Any) -> None:
    r"""Only the distance to the best counts."""
    rewards = torch.tensor([REWARDS])
    close(
        rso.acceptance(rewards + 7, everybody(rewards), BETA),
        rso.acceptance(rewards, everybody(rewards), BETA),
    )


@contract.optimum("The sigmoid keeps the majority, the hinge only who has it")
def majority(rso: Any) -> None:
    r"""Three of four labels for the first answer. Sigmoid: least where $\sigma(\gamma\Delta) = \frac34$, so
    $\Delta = \log 3 / \gamma$. Hinge: the slope is $-\frac34\gamma + \frac14\gamma$ up to $\gamma\Delta = 1$ and
    $+\frac14\gamma$ beyond, so least there, and for two of three labels too.
    """
    gamma = 0.5
    difference = leaf([log(3) / gamma])
    mean = 3 / 4 * rso.rso_loss(difference, gamma, "sigmoid") + 1 / 4 * rso.rso_loss(
        -difference, gamma, "sigmoid"
    )
    close(gradients(mean, difference)[0], [0])
    for share in (3 / 4, 2 / 3):
        at = leaf([0.9 / gamma, 1.1 / gamma])
        mean = share * rso.rso_loss(at, gamma, "hinge") + (1 - share) * rso.rso_loss(-at, gamma, "hinge")
        close(gradients(mean, at)[0], [-gamma * (2 * share - 1), gamma * (1 - share)])
