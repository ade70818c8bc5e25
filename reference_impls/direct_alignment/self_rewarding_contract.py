r"""Contract of the implicit reward, of the pairs that it makes, and of the loss on them.

Probabilities of tokens, policy over reference, with padding as dots: the first answer has
$\frac{1/2}{1/4}, \frac{3/4}{1/8}, \cdot$, a ratio of 12, the second $\frac{1/2}{1/4}, \frac{1/3}{1/2},
\frac{1/2}{1/2}$, a ratio of $\frac43$. With $\beta = \frac12$ the implicit rewards differ by $\frac12\log 9 = \log 3$.
"""

from __future__ import annotations

from math import inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.direct_alignment.self_rewarding",
    functions=("implicit_reward", "best_and_worst", "length_weight", "judged_loss"),
)

contract.equivalent(
    "length_weight: scores - alpha * lengths -> alpha * lengths - scores #1",
    "best and worst change places, and the size of their difference in length is what counts",
)
contract.equivalent(
    "length_weight: lengths.gather(-1, best) - lengths.gather(-1, worst) -> "
    "lengths.gather(-1, worst) - lengths.gather(-1, best) #1",
    "only the size of the difference counts",
)
contract.equivalent(
    "length_weight: (lengths.gather(-1, best) - lengths.gather(-1, worst)).mean() -> "
    "(lengths.gather(-1, best) - lengths.gather(-1, worst)).sum() #1",
    "the number of prompts is the same for every weight",
)

MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])


def answers(filler: float = -3.0) -> tuple[Tensor, Tensor]:
    """Token log-probabilities of the two answers under policy and reference, with something on padding."""
    policy = leaf([[log(1 / 2), log(3 / 4), filler], [log(1 / 2), log(1 / 3), log(1 / 2)]])
    reference = torch.tensor([[log(1 / 4), log(1 / 8), -1.0], [log(1 / 4), log(1 / 2), log(1 / 2)]])
    return policy, reference


@contract.worked("Implicit rewards of two answers, and their gradients")
def rewards(own: Any) -> None:
    r"""$\frac12\log 12$ and $\frac12\log\frac43$; every real token counts $\beta = \frac12$."""
    policy, reference = answers()
    found = own.implicit_reward(policy, reference, MASK, 0.5)
    close(found, [log(12) / 2, log(4 / 3) / 2])
    close(gradients(found, policy)[0], 0.5 * MASK)


@contract.invariant("Padding")
def padding(own: Any) -> None:
    r"""What stands on padding does not matter."""
    for filler in (3.0, inf, -inf, nan):
        policy, reference = answers(filler)
        close(own.implicit_reward(policy, reference, MASK, 0.5), [log(12) / 2, log(4 / 3) / 2])


@contract.limit("At the reference nothing is better than anything else")
def at_reference(own: Any) -> None:
    r"""All rewards are 0: before it is trained, the judge has no opinion."""
    _, reference = answers()
    close(own.implicit_reward(reference, reference, MASK, 0.5), [0, 0])


SCORES = ((3.0, 1.0, 2.0), (0.0, 5.0, 4.5))
LENGTHS = ((5.0, 1.0, 2.0), (2.0, 4.0, 1.0))


@contract.worked("The best and the worst of three answers")
def extremes(own: Any) -> None:
    r"""Places 0 and 1 of the first prompt, 1 and 0 of the second, as a column each."""
    best, worst = own.best_and_worst(torch.tensor(SCORES))
    close(best, [[0], [1]])
    close(worst, [[1], [0]])


@contract.worked("The weight of length that levels chosen and rejected")
def levelled(own: Any) -> None:
    r"""Without it the best are 4 and 2 tokens longer than the worst. At $\alpha = \frac12$ the scores are
    $\frac12, \frac12, 1$ and $-1, 3, 4$: best the third twice; worst the first (of equals) and the first: $2 - 5$ and
    $1 - 2$, in the mean $-2$. At $\frac14$: $\frac74, \frac34, \frac32$ and $-\frac12, 4, \frac{17}4$: $5 - 1$ and $1
    - 2$, $\frac32$. Of $0, \frac12, \frac14$ the last is nearest to 0, and of $0, \frac12$ alone the latter.
    """
    scores, lengths = torch.tensor(SCORES), torch.tensor(LENGTHS)
    close(own.length_weight(scores, lengths, torch.tensor([0.0, 0.5, 0.25])), 0.25)
    close(own.length_weight(scores, lengths, torch.tensor([0.0, 0.5])), 0.5)
    close(own.length_weight(scores, lengths, torch.tensor([0.0])), 0.0)


@contract.worked("It is the difference that counts")
def difference(own: Any) -> None:
    r"""Scores $2, 1, 0$ and lengths $4, 1, 4$: without a weight best and worst are both 4 long. At $\alpha = 1$ they
    are 1 and 4: shorter, and further apart.
    """
    scores, lengths = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, 4.0]])
    close(own.length_weight(scores, lengths, torch.tensor([1.0, 0.0])), 0.0)


@contract.limit("Answers of one length")
def one_length(own: Any) -> None:
    r"""Every weight leaves a difference of 0; the first one is taken."""
    close(
        own.length_weight(torch.tensor(SCORES), torch.full((2, 3), 4.0), torch.tensor([0.1, 0.0, 0.7])), 0.1
    )


@contract.relation("Shorter answers better")
def mirrored(own: Any) -> None:
    r"""Scores that fall with length need a negative weight: with $s = -|y|$ and $\alpha = -1$ all scores are alike and
    best and worst are one answer.
    """
    lengths = torch.tensor([[1.0, 3.0, 5.0]])
    close(own.length_weight(-lengths, lengths, torch.tensor([0.0, 1.0, -1.0])), -1.0)


@contract.worked("Losses of a sure label, a doubtful one and the opposite")
def losses(own: Any) -> None:
    r"""A margin of $\log 3$ is a probability of $\frac34$: $\log\frac43$ for a belief of 1, $\log 4$ for 0, and
    $\frac34\log\frac43 + \frac14\log 4$ for $\frac34$.
    """
    loss = own.judged_loss(torch.full((3,), log(3)), torch.tensor([1.0, 0.0, 0.75]))
    close(loss, [log(4 / 3), log(4), 0.75 * log(4 / 3) + log(4) / 4])


@contract.limit("Margins far apart")
def far(own: Any) -> None:
    r"""A margin of 1000: 0 if believed, 1000 if not, 500 for a belief of $\frac12$."""
    close(own.judged_loss(torch.full((3,), 1000.0), torch.tensor([1.0, 0.0, 0.5])), [0, 1000, 500])


@contract.relation("The other answer called the chosen one")
def exchanged(own: Any) -> None:
    r"""$L(-m, 1 - p) = L(m, p)$."""
    margin, belief = torch.tensor([0.3, -2.0]), torch.tensor([0.2, 0.9])
    close(own.judged_loss(-margin, 1 - belief), own.judged_loss(margin, belief))


@contract.optimum("A belief of one's own has nothing to teach")
def nothing_new(own: Any) -> None:
    r"""Where the belief is the policy's own probability $\sigma(m)$ of each pair, every gradient $\sigma(m) - p$ is 0:
    the judge is a fixed point of its own labels, right or wrong. Four answers with arbitrary implicit rewards, all 16
    pairs. With beliefs of a judge that is right, it moves.
    """
    theta = leaf([0.7, -1.0, 0.2, 2.0])
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    margin = theta[first] - theta[second]
    own_belief = torch.sigmoid(margin).detach()
    close(torch.autograd.grad(own.judged_loss(margin, own_belief).mean(), theta)[0], [0, 0, 0, 0], tol=1e-9)
    truth = torch.tensor([0.0, 1.0, -1.0, 2.0], dtype=torch.float64)
    margin = theta[first] - theta[second]
    moved = torch.autograd.grad(
        own.judged_loss(margin, torch.sigmoid(truth[first] - truth[second])).mean(), theta
    )[0]
    differ(moved, torch.zeros(4), by=0.01)


@contract.broken("Sure of one's own order, one only grows surer")
def surer(own: Any) -> None:
    r"""With a belief of 1 in whatever it prefers, descent raises the highest and lowers the lowest of four rewards that
    may all be wrong: $-\sigma(-|m|)$ for every pair, the same sign as the margin. The order never changes to first
    order, and no reward is at rest.
    """
    values = [0.7, -1.0, 0.2, 2.0]
    theta = leaf(values)
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    better = torch.tensor(values)[first] > torch.tensor(values)[second]
    margin = (theta[first] - theta[second])[better]
    gradient = torch.autograd.grad(own.judged_loss(margin, torch.ones(6)).sum(), theta)[0]
    assert gradient[3] < gradient[0] < gradient[2] < gradient[1]
    differ(gradient, torch.zeros(4), by=0.1)
