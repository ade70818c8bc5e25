r"""Contract of the criteria by which questions are chosen, and of the belief that they are computed from.

The worked members are two with equal belief, $\frac12$ each, or a first one with $\frac14$ and a second with $\frac34$.
$H(\frac14) = \log 4 - \frac34 \log 3$.
"""

from __future__ import annotations

from itertools import permutations
from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, raises

contract = Contract(
    module="reference_impls.reward_models.active_querying",
    functions=(
        "removed_volume",
        "disagreement",
        "information_gain",
        "_entropy",
        "design_batch",
        "laplace",
        "precision",
        "normal_rule",
        "choose",
    ),
)

contract.equivalent(
    "disagreement: chances - weights @ chances -> weights @ chances - chances #1",
    "the difference is squared, so its sign is lost",
)
contract.equivalent(
    "design_batch: spread - scale * shared[:, None] * spread[best] -> "
    "scale * shared[:, None] * spread[best] - spread #1",
    "the spread enters in products with itself, so that a sign common to all of it is lost",
)
for mutant in (
    "precision: torch.sigmoid(wins @ mean) -> torch.sigmoid(-(wins @ mean)) #1",
    "choose: torch.sigmoid(margin) -> torch.sigmoid(-margin) #1",
    "choose: torch.sigmoid(margin + points[:, None] * spread) -> "
    "torch.sigmoid(-(margin + points[:, None] * spread)) #1",
):
    contract.equivalent(mutant, "chance and counter-chance enter alike")
for mutant in (
    "choose: margin + points[:, None] * spread -> margin - points[:, None] * spread #1",
    "choose: points[:, None] * spread -> -(points[:, None] * spread) #1",
    "normal_rule: return (torch.tensor(points), torch.tensor(weights / weights.sum())) -> "
    "return (-torch.tensor(points), torch.tensor(weights / weights.sum())) #1",
):
    contract.equivalent(mutant, "the rule is symmetric: with every node its opposite has the same weight")

EVEN = torch.tensor([0.5, 0.5], dtype=torch.float64)
QUESTIONS = torch.tensor([[0.5, 1.0, 0.25, 1.0], [0.5, 0.0, 0.75, 0.5]], dtype=torch.float64)
"""A tie for both members; opposite certainties; opposite leanings; certain against undecided."""
H = 2 * log(2) - 0.75 * log(3)


@contract.worked("Removed volume, disagreement and information gain of four questions")
def criteria(module: Any) -> None:
    r"""Mean chances $\frac12, \frac12, \frac12, \frac34$: volumes $\frac12, \frac12, \frac12, \frac14$. Variances
    $0, \frac14, \frac1{16}, \frac1{16}$. Gains $\log2 - \log2 = 0$; $\log2 - 0$; $\log2 - H(\frac14)$; and
    $H(\frac34) - \frac12\log2$.
    """
    close(module.removed_volume(QUESTIONS, EVEN), [0.5, 0.5, 0.5, 0.25])
    close(module.disagreement(QUESTIONS, EVEN), [0, 1 / 4, 1 / 16, 1 / 16])
    close(module.information_gain(QUESTIONS, EVEN), [0, log(2), log(2) - H, H - log(2) / 2])


@contract.worked("Members that are not believed in equally")
def uneven(module: Any) -> None:
    r"""Beliefs $\frac14, \frac34$ and certainties $1, 0$: mean $\frac14$, variance $\frac14\cdot\frac34$, and a gain of
    the whole entropy of who is right, $H(\frac14)$.
    """
    weights, chances = torch.tensor([0.25, 0.75]), torch.tensor([[1.0], [0.0]])
    close(module.removed_volume(chances, weights), [1 / 4])
    close(module.disagreement(chances, weights), [3 / 16])
    close(module.information_gain(chances, weights), [H])


@contract.relation("The gain is the expected fall of the entropy of the belief, by enumeration")
def enumerated(module: Any) -> None:
    r"""Three members believed in by $\frac12, \frac13, \frac16$ and any chances: Bayes' rule for either reply, the
    entropies of both posteriors, weighted by how likely the replies are.
    """
    prior = [1 / 2, 1 / 3, 1 / 6]
    for chances in ((1 / 4, 1 / 2, 3 / 4), (0.9, 0.2, 0.6), (0.3, 0.3, 0.3)):
        expected = -sum(p * log(p) for p in prior)
        for reply in ([c for c in chances], [1 - c for c in chances]):
            joint = [p * c for p, c in zip(prior, reply, strict=True)]
            expected += sum(j * log(j / sum(joint)) for j in joint)
        found = module.information_gain(torch.tensor(chances)[:, None], torch.tensor(prior))
        close(found, [expected])


@contract.relation("Removed volume orders questions as the entropy of the mean chance does")
def uncertainty(module: Any) -> None:
    """For two possible replies it is uncertainty sampling: where all members agree the entropy is all that is left."""
    means = torch.tensor([[0.5, 0.4, 0.65, 0.1, 0.99, 0.0]])
    volumes = module.removed_volume(means, torch.ones(1))
    close(volumes, [0.5, 0.4, 0.35, 0.1, 0.01, 0.0])
    close(module._entropy(means)[0].argsort(), volumes.argsort())
    close(module.information_gain(means, torch.ones(1)), torch.zeros(6))


@contract.broken("The most uncertain question need not teach anything")
def ties(module: Any) -> None:
    r"""Two answers that are the same have chance $\frac12$ under every reward. Among four questions with features
    $0, 2, 1, -3$ and mean 0 volume asks all in any order, since all have mean chance $\frac12$; with mean $\frac12$ it
    asks the one with feature 0 first, and the gain asks it last.
    """
    features, covariance = torch.tensor([[0.0], [2.0], [1.0], [-3.0]]), torch.tensor([[4.0]])

    def order(criterion: str) -> list[int]:
        found: list[int] = module.choose(
            features, torch.tensor([0.5]), covariance, criterion, 4, torch.Generator()
        ).tolist()
        return found

    assert order("volume") == [0, 2, 1, 3]
    for criterion in ("gain", "disagreement", "design"):
        assert order(criterion) == [3, 1, 2, 0], criterion
    close(module.choose(features, torch.zeros(1), covariance, "gain", 2, torch.Generator()), [3, 1])


@contract.broken("Disagreement is not information gain")
def different(module: Any) -> None:
    r"""Members at $0$ and $\frac12$ vary by $\frac1{16}$ and so do members at $\frac14$ and $\frac34$; the first
    question has an answer that would end the doubt: $H(\frac14) - \frac12\log2 \approx 0.216$ against $\log 2 -
    H(\frac14) \approx 0.131$.
    """
    chances = torch.tensor([[0.0, 0.25], [0.5, 0.75]])
    close(module.disagreement(chances, EVEN), [1 / 16, 1 / 16])
    close(module.information_gain(chances, EVEN), [H - log(2) / 2, log(2) - H])


@contract.worked("A design does not ask the same thing twice")
def batch(module: Any) -> None:
    r"""Unit covariance, chances $\frac12$, features $(2, 0), (1.2, 0), (0, 1)$: gains $\log 2, \log 1.36, \log 1.25$.
    After the first, the second's variance is $1.44 - \frac{0.25}{2}(2.4)^2 = 0.72$ and its gain $\log 1.18$: the third
    comes next. A chance of $0.98$ or $0.02$ leaves $0.0196$ in place of $\frac14$, and $\log 1.0784$ for the first.
    """
    features = torch.tensor([[2.0, 0.0], [1.2, 0.0], [0.0, 1.0]])
    half = torch.full((3,), 0.5)
    close(module.design_batch(features, half, torch.eye(2), 3), [0, 2, 1])
    close(module.design_batch(features, half, torch.eye(2), 1), [0])
    close(module.design_batch(features[:2], torch.tensor([0.98, 0.5]), torch.eye(2), 1), [1])
    close(module.design_batch(features[:2], torch.tensor([0.02, 0.5]), torch.eye(2), 1), [1])


@contract.relation("Each choice adds most to the log-determinant of the precision")
def determinants(module: Any) -> None:
    """Against the determinants of all choices, for correlated beliefs, chances of either side, and four choices."""
    for _ in range(3):
        features, chances, root = torch.randn(9, 3), torch.rand(9), torch.randn(3, 3)
        covariance = root @ root.T + 0.1 * torch.eye(3)
        expected: list[int] = []
        precision = torch.linalg.inv(covariance)
        for _ in range(4):
            grown = [
                precision + c * (1 - c) * torch.outer(x, x) for x, c in zip(features, chances, strict=True)
            ]
            sizes = torch.stack([torch.logdet(g) for g in grown])
            sizes[expected] = -1e9
            expected.append(int(sizes.argmax()))
            precision = grown[expected[-1]]
        close(module.design_batch(features, chances, covariance, 4), expected)


@contract.worked("The belief after one label, and after none")
def one_label(module: Any) -> None:
    r"""One win with feature 1 and prior variance $4 \log 3$: the mode $m$ has $1 - \sigma(m) = \frac{m}{4\log3}$, so
    $m = \log 3$, where the chance is $\frac34$ and the precision $\frac3{16} + \frac1{4\log3}$. Without labels: the
    prior.
    """
    prior = (4 * log(3)) ** 0.5
    mean, covariance = module.laplace(torch.ones(1, 1), prior, torch.zeros(1))
    close(mean, [log(3)])
    close(covariance, [[1 / (3 / 16 + 1 / (4 * log(3)))]])
    mean, covariance = module.laplace(torch.zeros(0, 2), 3.0, torch.tensor([5.0, -1.0]))
    close(mean, [0, 0])
    close(covariance, 9 * torch.eye(2))


@contract.optimum("The mode is where the posterior's gradient vanishes, from wherever Newton's method starts")
def mode(module: Any) -> None:
    r"""Six labels on three weights: $\sum_i (1 - \sigma(\mu^\top d_i)) d_i = \mu / s^2$, and the inverse of the
    covariance is minus the Hessian, here by differentiating twice.
    """
    wins = torch.randn(6, 3)

    def log_posterior(theta: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(wins @ theta).sum() - theta @ theta / (2 * 0.8**2)

    for start in (torch.zeros(3), torch.tensor([1.0, -1.0, 0.5])):
        mean, covariance = module.laplace(wins, 0.8, start)
        slope = torch.func.grad(log_posterior)(mean)
        close(slope, torch.zeros(3), tol=1e-8)
        close(torch.linalg.inv(covariance), -torch.func.hessian(log_posterior)(mean))
        differ(torch.func.grad(log_posterior)(-mean), torch.zeros(3), by=0.1)


@contract.invariant("The order of labels, and a label with its reverse under the opposite reward")
def order_of_labels(module: Any) -> None:
    """Turning all labels round turns the mode round and leaves the covariance."""
    wins = torch.randn(5, 2)
    mean, covariance = module.laplace(wins, 1.0, torch.zeros(2))
    close(module.laplace(wins.flip(0), 1.0, torch.zeros(2))[0], mean)
    other, same = module.laplace(-wins, 1.0, torch.zeros(2))
    close(other, -mean)
    close(same, covariance)


@contract.worked("The rule of a standard normal variable")
def rule(module: Any) -> None:
    r"""Moments $1, 0, 1, 0, 3, 0, 15$ are exact for four nodes or more, and $E\,\sigma(x) = \frac12$."""
    for nodes in (4, 24):
        points, weights = module.normal_rule(nodes)
        assert len(points) == nodes
        for power, moment in enumerate((1, 0, 1, 0, 3, 0, 15)):
            close(weights @ points**power, moment)
        close(weights @ torch.sigmoid(points), 0.5)


@contract.limit("Questions at random are all different; a criterion that does not exist is refused")
def others(module: Any) -> None:
    """Every order of three comes up; no question twice."""
    features, covariance = torch.randn(3, 2), torch.eye(2)
    draw = torch.Generator().manual_seed(0)
    seen = {
        tuple(module.choose(features, torch.zeros(2), covariance, "random", 3, draw).tolist())
        for _ in range(100)
    }
    assert seen == set(permutations(range(3)))
    assert len(module.choose(features, torch.zeros(2), covariance, "random", 2, draw)) == 2
    raises(ValueError, module.choose, features, torch.zeros(2), covariance, "best", 2, draw)


@contract.relation("The belief enters through the mean and the spread of each margin")
def exact_expectations(module: Any) -> None:
    r"""A margin with mean $m$ and variance $v$: the gain of a question is $H(E\,\sigma) - E\,H(\sigma)$, here by a fine
    sum over the normal density. Of three questions with the same mean margin it asks those with the widest spread, and
    of three with the same spread those nearest to a tie.
    """
    grid = torch.linspace(-9, 9, 20001)
    density = torch.exp(-(grid**2) / 2)
    density = density / density.sum()
    points, weights = module.normal_rule(24)
    for m, s in ((0.3, 0.5), (-1.0, 2.0)):
        fine = module.information_gain(torch.sigmoid(m + s * grid)[:, None], density)
        close(module.information_gain(torch.sigmoid(m + s * points)[:, None], weights), fine, tol=1e-4)
    wide = torch.tensor([[1.0, 0.5], [1.0, 2.0], [1.0, 1.0]])
    belief = torch.diag(torch.tensor([0.01, 4.0]))
    close(module.choose(wide, torch.tensor([0.7, 0.0]), belief, "gain", 3, torch.Generator()), [1, 2, 0])
    near = torch.tensor([[2.0, 1.0], [0.5, 1.0], [-1.0, 1.0]])
    belief = torch.diag(torch.tensor([1e-9, 1.0]))
    close(module.choose(near, torch.tensor([1.0, 0.0]), belief, "gain", 3, torch.Generator()), [1, 2, 0])
    close(module.choose(near, torch.tensor([1.0, 0.0]), belief, "design", 3, torch.Generator())[0], 1)


@contract.limit("A spread of nearly nothing")
def rounding(module: Any) -> None:
    r"""A variance that rounding has made negative counts as 0: with mean margins $1$ and $0$ the tie is the more
    uncertain. Small spreads are told apart: of three ties with spreads $0.1, 0.5, 0.3$ the second gains most.
    """
    features, draw = torch.tensor([[1.0], [0.0]]), torch.Generator()
    close(module.choose(features, torch.ones(1), torch.tensor([[-1e-12]]), "volume", 2, draw), [1, 0])
    ties = torch.tensor([[0.1], [0.5], [0.3]])
    close(module.choose(ties, torch.zeros(1), torch.ones(1, 1), "gain", 3, draw), [1, 2, 0])


@contract.relation("How wide a spread is counts, and not only which is wider")
def width(module: Any) -> None:
    r"""A tie with variance 2 against a margin of 4 with variance 8: the gain is larger for the second by $0.011$. With
    half of both variances it would be smaller by $0.014$.
    """
    features = torch.tensor([[0.0, 2**0.5], [2.0, 2.0]])
    for scale, first in ((1.0, 1), (0.5, 0)):
        belief = scale * torch.eye(2)
        close(
            module.choose(features, torch.tensor([2.0, 0.0]), belief, "gain", 1, torch.Generator()), [first]
        )
