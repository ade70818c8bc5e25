r"""Contract of the two regressions on pairs.

The worked checks have two pairs with log-probabilities

| | policy | old or reference | reward |
|-|-|-|-|
| pair 1 | $-1, -3$ | $-2, -2$ | $3, 1$ |
| pair 2 | $-2, -1$ | $-1, -3$ | $0, 4$ |

The policy has moved by $1, -1$ and by $-1, 2$. The optimum checks have four answers with $\pi_{ref} = (\frac12,
\frac14, \frac18, \frac18)$, rewards $(0, 1, -1, 2)$ and $\beta = \frac12$, and enumerate all 16 pairs of a
writer's answers.
"""

from __future__ import annotations

from itertools import product
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.policy_gradient.pair_regression", functions=("rebel_loss", "copg_loss")
)
for _mutant in (
    "rebel_loss: (moved - wanted)[:, 0] - (moved - wanted)[:, 1] -> (moved - wanted)[:, 1] - (moved - wanted)[:, 0] #1",
    "copg_loss: rewards - beta * (logps - reference_logps) -> beta * (logps - reference_logps) - rewards #1",
    "copg_loss: regularised[:, 0] - regularised[:, 1] -> regularised[:, 1] - regularised[:, 0] #1",
):
    contract.equivalent(_mutant, "the sign of what is squared does not matter")

LOGPS = ((-1.0, -3.0), (-2.0, -1.0))
ANCHOR = ((-2.0, -2.0), (-1.0, -3.0))
REWARDS = ((3.0, 1.0), (0.0, 4.0))


@contract.worked("REBEL's losses and gradients")
def rebel(module: Any) -> None:
    r"""The policy moved apart by $1 - (-1) = 2$ and $-1 - 2 = -3$; with $\eta = \frac12$ it should by
    $\frac12 (3 - 1) = 1$ and $\frac12 (0 - 4) = -2$. Squares of $1$ and $-1$; gradients twice that, with opposite
    signs for the two answers. Old log-probabilities and rewards get none.
    """
    logps, old, rewards = leaf(LOGPS), leaf(ANCHOR), leaf(REWARDS)
    loss = module.rebel_loss(logps, old, rewards, 0.5)
    close(loss, [1, 1])
    by_logp, by_old, by_reward = gradients(loss, logps, old, rewards)
    close(by_logp, [[2, -2], [-2, 2]])
    close(by_old, torch.zeros(2, 2))
    close(by_reward, torch.zeros(2, 2))
    close(module.rebel_loss(logps, old, rewards, 1.0), [0, 1])


@contract.worked("CoPG's losses and gradients")
def copg(module: Any) -> None:
    r"""$\beta = \frac12$: regularised rewards $3 - \frac12, 1 + \frac12$ and $0 + \frac12, 4 - 1$, that is
    $\frac52, \frac32$ and $\frac12, 3$. Half the squares of $1$ and $-\frac52$: $\frac12$ and $\frac{25}8$. Gradients
    $-\beta$ times the difference: $-\frac12, \frac12$ and $\frac54, -\frac54$.
    """
    logps = leaf(LOGPS)
    loss = module.copg_loss(logps, torch.tensor(ANCHOR), torch.tensor(REWARDS), 0.5, True)
    close(loss, [1 / 2, 25 / 8])
    close(gradients(loss, logps)[0], [[-1 / 2, 1 / 2], [5 / 4, -5 / 4]])


@contract.worked("The same without pairs")
def singles(module: Any) -> None:
    r"""Half the sums of squares: $\frac12(\frac{25}4 + \frac94) = \frac{17}4$ and
    $\frac12(\frac14 + 9) = \frac{37}8$. Gradients $-\beta R$.
    """
    logps = leaf(LOGPS)
    loss = module.copg_loss(logps, torch.tensor(ANCHOR), torch.tensor(REWARDS), 0.5, False)
    close(loss, [17 / 4, 37 / 8])
    close(gradients(loss, logps)[0], [[-5 / 4, -3 / 4], [-1 / 4, -3 / 2]])


@contract.limit("Nothing to do")
def rest(module: Any) -> None:
    r"""With equal rewards and a policy that has not moved both losses and their gradients are 0."""
    logps, same = leaf(ANCHOR), torch.full((2, 2), 7.0)
    for loss in (
        module.rebel_loss(logps, torch.tensor(ANCHOR), same, 1.0),
        module.copg_loss(logps, torch.tensor(ANCHOR), same, 0.5, True),
    ):
        close(loss, [0, 0])
        close(gradients(loss, logps)[0], torch.zeros(2, 2))


@contract.invariant("A constant of the prompt, in the rewards or in the log-probabilities")
def constants(module: Any) -> None:
    r"""Only differences count: $\log Z(x)$ and the level of a reward model cancel."""
    logps, anchor, rewards = (torch.tensor(x) for x in (LOGPS, ANCHOR, REWARDS))
    shift = torch.tensor([[5.0], [-3.0]])
    for loss in (
        lambda p, r: module.rebel_loss(p, anchor, r, 0.5),
        lambda p, r: module.copg_loss(p, anchor, r, 0.5, True),
    ):
        close(loss(logps + shift, rewards), loss(logps, rewards))
        close(loss(logps, rewards + shift), loss(logps, rewards))


@contract.invariant("The order of a pair's answers, and the other pairs")
def order(module: Any) -> None:
    r"""Both squares are symmetric, and each pair stands alone."""
    logps, anchor, rewards = (torch.tensor(x) for x in (LOGPS, ANCHOR, REWARDS))
    for loss in (
        lambda *x: module.rebel_loss(*x, 0.5),
        lambda *x: module.copg_loss(*x, 0.5, True),
        lambda *x: module.copg_loss(*x, 0.5, False),
    ):
        close(loss(logps.flip(1), anchor.flip(1), rewards.flip(1)), loss(logps, anchor, rewards))
        close(loss(logps[1:], anchor[1:], rewards[1:]), loss(logps, anchor, rewards)[1:])


@contract.relation("REBEL at eta = 1 / beta from the reference is CoPG")
def one_formula(module: Any) -> None:
    r"""$\beta^2$ times REBEL's square is twice CoPG's, with $\pi_{old} = \pi_{ref}$."""
    logps, anchor, rewards = (torch.tensor(x) for x in (LOGPS, ANCHOR, REWARDS))
    for beta in (0.5, 2.0):
        found = module.rebel_loss(logps, anchor, rewards, 1 / beta)
        close(beta**2 * found, 2 * module.copg_loss(logps, anchor, rewards, beta, True))


@contract.broken("Single answers feel the level of their rewards")
def level(module: Any) -> None:
    r"""Without pairs a constant in the rewards changes loss and gradient."""
    logps = leaf(LOGPS)
    loss = module.copg_loss(logps, torch.tensor(ANCHOR), torch.tensor(REWARDS) + 1, 0.5, False)
    close(gradients(loss, logps)[0], [[-7 / 4, -5 / 4], [-3 / 4, -2]])


REFERENCE = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
REWARD = (0.0, 1.0, -1.0, 2.0)
BETA = 0.5
WRITERS = (REFERENCE, (1 / 4, 1 / 4, 1 / 4, 1 / 4), (1 / 10, 2 / 10, 3 / 10, 4 / 10))


def tilted(beta: float) -> list[float]:
    """The reference times exp(reward / beta), normalised."""
    raw = [p * exp(r / beta) for p, r in zip(REFERENCE, REWARD, strict=True)]
    return [w / sum(raw) for w in raw]


def expected_gradient(module: Any, policy: list[float], writer: tuple[float, ...], loss: str) -> Tensor:
    """Gradient by the logits of the expected loss on pairs of a writer's answers."""
    theta = leaf([log(p) for p in policy])
    logps, anchor = theta.log_softmax(0), torch.tensor([log(p) for p in REFERENCE])
    old = logps.detach()
    reward = torch.tensor(REWARD)
    pairs = torch.tensor(list(product(range(4), repeat=2)))
    chance = torch.tensor([writer[i] * writer[j] for i, j in pairs.tolist()])
    if loss == "rebel":
        regularised = (reward - BETA * (old - anchor))[pairs]
        found = module.rebel_loss(logps[pairs], old[pairs], regularised, 1.0)
    else:
        found = module.copg_loss(logps[pairs], anchor[pairs], reward[pairs], BETA, loss == "pairs")
    return torch.autograd.grad((chance * found).sum(), theta)[0]


@contract.optimum("Pairs rest at the optimum of J whoever wrote the answers")
def anybody(module: Any) -> None:
    r"""For three writers the gradients of REBEL (with the KL in its reward) and of CoPG vanish at
    $\pi_{ref}\,e^{r/\beta}$, and not at the reference or at the optimum for another $\beta$.
    """
    for writer, loss in product(WRITERS, ("rebel", "pairs")):
        close(expected_gradient(module, tilted(BETA), writer, loss), torch.zeros(4), tol=1e-9)
        for elsewhere in (list(REFERENCE), tilted(1.0)):
            differ(expected_gradient(module, elsewhere, writer, loss), torch.zeros(4), by=1e-2)


@contract.optimum("Single answers rest there only if the policy wrote them")
def only_own(module: Any) -> None:
    r"""With $\pi^*$ as the writer the gradient vanishes, because $R_\theta$ is one constant and a constant has no mean
    gradient; with another writer it does not: $\log Z$ is not 0.
    """
    best = tilted(BETA)
    close(expected_gradient(module, best, tuple(best), "singles"), torch.zeros(4), tol=1e-9)
    for writer in WRITERS:
        differ(expected_gradient(module, best, writer, "singles"), torch.zeros(4), by=1e-2)
