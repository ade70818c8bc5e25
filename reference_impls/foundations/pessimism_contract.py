r"""Contract of the bounded estimate, of the norms of uncertainty, of the lower bounds and of what a choice lacks.

Two features; comparisons along $(1, 0)$ and $(0, 1)$.
"""

from __future__ import annotations

from math import exp, log, pi, sqrt
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ

contract = Contract(
    module="reference_impls.foundations.pessimism",
    functions=("bounded_mle", "norms", "lower_bounds", "shortfall"),
)

AXES = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


@contract.worked("Inside the ball the estimate is the most likely one")
def inside(model: Any) -> None:
    r"""1,000 and 3,000 comparisons, won with $\frac34$ and $\frac15$: $\log 3$ and $-\log 4$, up to the weakest pull of
    $10^{-4}$, which moves them by less than $10^{-6}$. In a second data set $\frac12$ and $\frac34$ are won.
    """
    labels = torch.tensor([[3 / 4, 1 / 5], [1 / 2, 3 / 4]])
    counts = torch.tensor([[1000.0, 3000.0], [2000.0, 2000.0]])
    close(model.bounded_mle(labels, counts, AXES, 4.0), [[log(3), -log(4)], [0, log(3)]], tol=2e-6)


@contract.worked("A single label runs to the edge of the ball")
def edge(model: Any) -> None:
    r"""One comparison of the second feature, lost: its likelihood has no maximum, so it is at $-2$ with $B = 2$ if the
    first is undecided. Won and lost once each along both: at 0, wherever the edge is.
    """
    found = model.bounded_mle(torch.tensor([0.5, 0.0]), torch.tensor([10.0, 1.0]), AXES, 2.0)
    close(found, [0, -2], tol=1e-5)
    close(model.bounded_mle(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0]), AXES, 2.0), [0, 0])


@contract.invariant("Problems side by side")
def side_by_side(model: Any) -> None:
    """Four data sets over three pairs, on the edge and inside, are solved each as if alone."""
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    labels = torch.tensor([[0.75, 1.0, 0.0], [0.5, 0.25, 0.5], [0.5, 0.5, 1.0], [0.5] * 3])
    counts = torch.tensor([[40.0, 1.0, 0.0], [8.0, 8.0, 4.0], [0.0, 2.0, 1.0], [1.0] * 3])
    together = model.bounded_mle(labels, counts, features, 2.0)
    for row in range(4):
        close(together[row], model.bounded_mle(labels[row], counts[row], features, 2.0), tol=1e-9)
    close(together[[0, 2]].norm(dim=-1), [2, 2], tol=1e-5)
    assert together[1].norm() < 1.5


@contract.optimum("On the edge nothing in the ball is more likely")
def most_likely(model: Any) -> None:
    r"""1,000 comparisons with $\frac34$ won and one won: against 720 points on the circle $\|\theta\| = 2$; and the
    gradient of the likelihood there points straight out.
    """
    labels, counts = torch.tensor([0.75, 1.0]), torch.tensor([40.0, 1.0])
    found = model.bounded_mle(labels, counts, AXES, 2.0)
    close(found.norm(), 2, tol=1e-5)

    def likelihood(theta: Tensor) -> Tensor:
        margins = theta @ AXES.T
        return (counts * (labels * margins - torch.nn.functional.softplus(margins))).sum(-1)

    angle = torch.linspace(0, 2 * pi, 721)
    circle = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    assert likelihood(found) >= likelihood(circle).max() - 1e-6
    slope = counts * (labels - torch.sigmoid(found))
    close(slope / slope.norm(), found / 2, tol=1e-4)


@contract.limit("A ball of next to nothing, and pulls at the ends of the search")
def small(model: Any) -> None:
    r"""The pull goes up to $10^3$, where one won comparison has $\theta \approx \frac{1}{2000}$: a smaller ball is not
    reached. It goes down to $10^{-4}$, where $\frac{1}{1 + e^\theta} = 10^{-4}\theta$ at $\theta = 7.23$.
    """
    one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    strong = model.bounded_mle(one[0], one[0], AXES, 1e-9)
    close(1000 * strong, [0.5, 0], tol=1e-3)
    weak = model.bounded_mle(one[0], one[0], AXES, 100.0)
    close(1 / (1 + weak[0].exp()) / (1e-4 * weak[0]), 1, tol=1e-4)
    close(weak[1], 0)


@contract.worked("Norms of uncertainty")
def uncertainty(model: Any) -> None:
    r"""Eight and three comparisons with a pull of 1: the matrix is $\mathrm{diag}(9, 4)$, so $(3, 4)$ has
    $\sqrt{\frac99 + \frac{16}4} = \sqrt5$ and $(1, 0)$ has $\frac13$; with a pull of 6, $\mathrm{diag}(14, 9)$.
    In the second data set the differences are $(1, 1)$, twice: $\binom{3\ 2}{2\ 3}$ has the inverse
    $\frac15\binom{\ \ 3\ -2}{-2\ \ 3}$, so that $(3, 4)$ has $\frac15(27 - 48 + 48) = \frac{27}5$, $(1, 0)$ $\frac35$.
    """
    arms = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    both = torch.stack([arms, arms])
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    counts = torch.tensor([[8.0, 3.0, 0.0], [0.0, 0.0, 2.0]])
    expected = [[sqrt(5), 1 / 3], [sqrt(27 / 5), sqrt(3 / 5)]]
    close(model.norms(both, counts, features, 1.0), expected)
    close(model.norms(arms, counts[0], features, 6.0), [sqrt(9 / 14 + 16 / 9), sqrt(1 / 14)])


@contract.relation("Four times the comparisons, half the uncertainty")
def halves(model: Any) -> None:
    """Where the pull counts for nothing; in a direction that is never compared it stays as it was."""
    arms, counts = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1e6, 0.0])
    before, after = model.norms(arms, counts, AXES, 1.0), model.norms(arms, 4 * counts, AXES, 1.0)
    close(after[0] / before[0], 0.5)
    close(after[1], 1)
    close(before[1], 1)


@contract.worked("Lower bounds")
def bounds(model: Any) -> None:
    r"""$\hat\theta = (2, -1)$, arms $(3, 4)$ and $(1, 0)$ with norms $\frac12$ and $3$, radius 4: $2 - 2 = 0$ and
    $2 - 12 = -10$. Radius 0 leaves the estimates. For a second data set $\hat\theta = (0, 1)$: $4 - 2$ and $0 - 12$.
    """
    theta = torch.tensor([[2.0, -1.0], [0.0, 1.0]])
    away = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]]).repeat(2, 1, 1)
    norms = torch.tensor([[0.5, 3.0]]).repeat(2, 1)
    close(model.lower_bounds(theta, away, norms, 4.0), [[0, -10], [2, -12]])
    close(model.lower_bounds(theta, away, norms, 0.0), [[2, 2], [4, 0]])


@contract.optimum("The lower bound is the least value in the confidence set")
def least(model: Any) -> None:
    r"""3,600 points of the ellipse $\|\theta - \hat\theta\|_{\Sigma + I} = \frac32$ around $(2, -1)$: the least
    $\theta \cdot (3, 4)$ among them is the bound, to $10^{-4}$.
    """
    features, counts = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([2.0, 3.0])
    theta, arm = torch.tensor([2.0, -1.0]), torch.tensor([[3.0, 4.0]])
    matrix = features.T @ (counts[:, None] * features) + torch.eye(2)
    angle = torch.linspace(0, 2 * pi, 3601)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    ellipse = theta + 1.5 * circle @ torch.linalg.inv(torch.linalg.cholesky(matrix))
    bound = model.lower_bounds(theta, arm, model.norms(arm, counts, features, 1.0), 1.5)
    close(bound[0], (ellipse @ arm[0]).min(), tol=1e-4)


@contract.worked("What a choice lacks")
def lacks(model: Any) -> None:
    """Arms worth 1, 3 and -2: the greatest value decides which is taken, not how great it is."""
    gold = torch.tensor([1.0, 3.0, -2.0])
    values = torch.tensor([[0.0, 7.0, 1.0], [5.0, 4.0, 3.0], [-3.0, -2.0, -1.0]])
    close(model.shortfall(values, gold), [0, 2, 5])


@contract.broken("A good estimate where there are data is no good choice")
def not_enough(model: Any) -> None:
    r"""Arms worth 1, 0 and 0; the first two are compared 10,000 times, $\frac{e}{1+e}$ won, and the third once with the
    second, which it won. Where it is compared the estimate errs by less than 0.01, and the greedy policy takes the
    third arm; the pessimistic one the first.
    """
    arms = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    labels, counts = torch.tensor([exp(1) / (1 + exp(1)), 1.0]), torch.tensor([10000.0, 1.0])
    theta = model.bounded_mle(labels, counts, AXES, 4.0)
    differ(theta[1], 0.0, by=3)
    close(theta[0], 1, tol=1e-2)
    gold = torch.tensor([1.0, 0.0, 0.0])
    close(model.shortfall(arms @ theta, gold), 1)
    away = arms - torch.tensor([0.5, 0.0])
    radius = sqrt(2 + log(10000) + 16)
    cautious = model.lower_bounds(theta, away, model.norms(away, counts, AXES, 1.0), radius)
    close(model.shortfall(cautious, gold), 0)


contract.equivalent(
    "bounded_mle: found.norm(dim=-1, keepdim=True) > bound -> found.norm(dim=-1, keepdim=True) >= bound #1",
    "the edge of the ball is allowed either way, and bisection never meets it exactly",
)
contract.equivalent(
    "bounded_mle: 10.0 ** high -> 10.0 ** low #1",
    "after 25 halvings both ends are the same but for 7 / 2**25 in the logarithm of the pull",
)
contract.equivalent(
    "lower_bounds: (away @ theta[..., None])[..., 0] -> (away @ theta[..., None])[..., -1] #1",
    "there is one column, so the first is the last",
)
