r"""Contract of the ordered logit and of regression on marks.

The worked marks lie on three levels with cut points $-\log3$ and $\log3$ in units of the noise: $\sigma(-\log 3) =
\frac14$, $\sigma(\log 3) = \frac34$, and the logistic law's density there is $\frac3{16}$, at 0 $\frac14$.
"""

from __future__ import annotations

from math import exp, inf, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.ordinal_marks",
    functions=("ordered_loss", "felt", "regression_loss", "standardised"),
)

contract.equivalent(
    "regression_loss: scores - level - points -> points - (scores - level) #1",
    "the difference is squared, so its sign is lost",
)

CUTS = (-log(3), log(3))
MARKS = (0, 1, 2)


def of_all_marks(model: Any, score: float, cuts: tuple[float, ...] = CUTS) -> Tensor:
    """Loss of an answer of this score for each mark: (levels,)."""
    points = torch.arange(len(cuts) + 1)
    found: Tensor = model.ordered_loss(torch.full((len(points),), score), points, torch.tensor(cuts))
    return found


@contract.worked("The three marks of an average answer and of a good one")
def values(model: Any) -> None:
    r"""Score 0: $\frac14, \frac34 - \frac14 = \frac12, \frac14$. Score $\log3$: $\sigma(-\log9) = \frac1{10}$,
    $\sigma(0) - \frac1{10} = \frac25$, $\frac12$.
    """
    close(of_all_marks(model, 0.0), [log(4), log(2), log(4)])
    close(of_all_marks(model, log(3)), [log(10), log(5 / 2), log(2)])


@contract.worked("Gradients by the score and by the cut points")
def slopes(model: Any) -> None:
    r"""Score 0, each mark: by the score $\frac{3/16}{1/4} = \frac34$, $0$, $-\frac34$; by the cut points, mark
    0: $-\frac34, 0$; mark 1: $\frac{3/16}{1/2} = \frac38$ and $-\frac38$; mark 2: $0, \frac34$. Score $\log3$
    and mark 1: by the score $\frac{1/4 - 9/100}{2/5} = \frac25$.
    """
    expected = ((3 / 4, [-3 / 4, 0]), (0, [3 / 8, -3 / 8]), (-3 / 4, [0, 3 / 4]))
    for mark, (by_score, by_cuts) in zip(MARKS, expected, strict=True):
        score, cuts = leaf([0.0]), leaf(CUTS)
        found = gradients(model.ordered_loss(score, torch.tensor([mark]), cuts), score, cuts)
        close(found[0], [by_score])
        close(found[1], by_cuts)
    score = leaf([log(3)])
    close(gradients(model.ordered_loss(score, torch.tensor([1]), torch.tensor(CUTS)), score)[0], [2 / 5])


@contract.worked("A rater's scale, and the squared error")
def scale(model: Any) -> None:
    r"""Offset $3$ and scale $\frac12$: $3 + \frac12\cdot4 = 5$ and $3 - 1 = 2$. Score 1, level 2, mark 5: $(1 -
    2 - 5)^2 = 36$, slope $-12$ by score; by level $12$, whose own sign is turned.
    """
    offset, stretch = torch.full((2,), 3.0), torch.full((2,), 0.5)
    close(model.felt(torch.tensor([4.0, -2.0]), offset, stretch), [5, 2])
    score, level = leaf([1.0]), leaf(2.0)
    loss = model.regression_loss(score, level, torch.tensor([5.0]))
    close(loss, [36])
    by_score, by_level = gradients(loss, score, level)
    close(by_score, [-12])
    close(by_level, 12)


@contract.worked("Each rater's marks on one scale")
def per_rater(model: Any) -> None:
    r"""Rater 0 gives 1 and 2: mean $\frac32$, deviation $\frac12$, so $-1$ and $1$. Rater 2 gives 2, 2, 5: mean
    3, deviation $\sqrt{(1 + 1 + 4)/3} = \sqrt2$, so $-\frac1{\sqrt2}$ twice and $\sqrt2$. Rater 3 gives one
    mark, 4: 0. Nobody is rater 1.
    """
    points = torch.tensor([1.0, 2.0, 2.0, 2.0, 4.0, 5.0])
    raters = torch.tensor([0, 2, 0, 2, 3, 2])
    half = 1 / 2**0.5
    close(model.standardised(points, raters, 4), [-1, -half, 1, -half, 0, 2 * half])


@contract.limit("Two levels: logistic regression on yes and no")
def two_levels(model: Any) -> None:
    r"""One cut point at 0, score $\log3$: no has $\frac14$, yes $\frac34$."""
    close(of_all_marks(model, log(3), (0.0,)), [log(4), log(4 / 3)])


@contract.limit("Far from the scale, and on a narrow step")
def far(model: Any) -> None:
    r"""Score 1000: the top mark costs 0, the lowest $1000 + \log 3$, and the middle one $1000 - \log3 - \log(1
    - \frac19)$ from $e^{\log 3 - 1000}(1 - e^{-2\log3})$; nothing overflows. A step between 0 and $10^{-9}$ has
    probability $\frac14\cdot10^{-9}$ and not 0.
    """
    close(of_all_marks(model, 1000.0), [1000 + log(3), 1000 - log(3) - log(8 / 9), 0])
    narrow = model.ordered_loss(torch.zeros(1), torch.tensor([1]), torch.tensor([0.0, 1e-9]))
    close(narrow, [log(4e9)])


@contract.invariant("The same shift of score and cut points; other marks")
def shift(model: Any) -> None:
    r"""The level of the reward is only known against the cut points. Each mark stands alone."""
    for level in (-2.0, 0.7):
        moved = of_all_marks(model, log(3) + level, (CUTS[0] + level, CUTS[1] + level))
        close(moved, of_all_marks(model, log(3)))
    points = torch.tensor([2, 0])
    both = model.ordered_loss(torch.tensor([0.5, -1.0]), points, torch.tensor(CUTS))
    alone = model.ordered_loss(torch.tensor([-1.0]), points[1:], torch.tensor(CUTS))
    close(both[1:], alone)


@contract.invariant("A rater's shift and stretch, for standardised marks")
def rater_scale(model: Any) -> None:
    r"""One rater's points tripled and lifted by 4: the same standard marks. The other rater's do not notice."""
    points, raters = torch.tensor([1.0, 2.0, 4.0, 0.0, 3.0]), torch.tensor([0, 1, 0, 1, 0])
    moved = torch.where(raters == 0, 3 * points + 4, points)
    close(model.standardised(moved, raters, 2), model.standardised(points, raters, 2))


@contract.relation("The marks' probabilities add up to one; turning the scale round")
def whole(model: Any) -> None:
    r"""For any score and cut points. The mark $s$ at score $r$ is the mark $K - s$ at $-r$ with the cut points
    mirrored.
    """
    for cuts in ((-2.0, -1.9, 0.5, 4.0), CUTS, (1.0,)):
        for score in (-3.0, 0.0, 1.3):
            losses = of_all_marks(model, score, cuts)
            close((-losses).exp().sum(), 1)
            mirrored = tuple(-c for c in reversed(cuts))
            close(of_all_marks(model, -score, mirrored), losses.flip(0))


@contract.broken("The steps of a scale are not equal for the ordered logit")
def steps(model: Any) -> None:
    r"""With the second cut point at $\log9$ instead of $\log3$ the middle mark of score 0 has $\frac9{10} -
    \frac14 = \frac{13}{20}$ and the top one $\frac1{10}$: a wide step is often taken. To the squared error a
    mark is a mark.
    """
    close(of_all_marks(model, 0.0, (-log(3), log(9))), [log(4), log(20 / 13), log(10)])


REWARD = (0.0, 1.2, -0.7)


def expected(
    model: Any, table: tuple[float, ...], cuts: tuple[float, ...], kind: str
) -> tuple[Tensor, Tensor]:
    """Gradients by rewards and by cut points of the expected loss of endless marks of three answers."""
    reward, learned = leaf(table), leaf(cuts)
    total = torch.zeros(())
    for i, true in enumerate(REWARD):
        chances = (-of_all_marks(model, true)).exp()
        for mark, chance in enumerate(chances):
            if kind == "ordered":
                loss = model.ordered_loss(reward[i : i + 1], torch.tensor([mark]), learned)
            else:
                loss = model.regression_loss(reward[i : i + 1], torch.zeros(()), torch.tensor([float(mark)]))
            total = total + chance * loss[0]
    by_reward, by_cuts = gradients(total, reward, learned)
    return by_reward, by_cuts


@contract.optimum("Endless marks give the reward to the ordered logit, and a bent one to regression")
def optimum(model: Any) -> None:
    r"""Three answers of rewards $0, 1.2, -0.7$ and the true cut points: both gradients vanish, and also with 5
    added to all; not with doubled rewards or another step. Regression rests at the mean marks $p_1 + 2p_2$
    instead: for reward $r$ that is $\sigma(r + \log3) + \sigma(r - \log3)$, which is no straight line.
    """
    for level in (0.0, 5.0):
        found = expected(model, tuple(r + level for r in REWARD), tuple(c + level for c in CUTS), "ordered")
        close(found[0], [0, 0, 0], tol=1e-9)
        close(found[1], [0, 0], tol=1e-9)
    double = tuple(2 * r for r in REWARD)
    differ(expected(model, double, CUTS, "ordered")[0], torch.zeros(3), by=0.05)
    differ(expected(model, REWARD, (-log(3), log(9)), "ordered")[1], torch.zeros(2), by=0.05)
    means = tuple(1 / (1 + exp(-r) / 3) + 1 / (1 + 3 * exp(-r)) for r in REWARD)
    close(expected(model, means, CUTS, "regression")[0], [0, 0, 0], tol=1e-9)
    bend = (means[1] - means[0]) / 1.2 - (means[0] - means[2]) / 0.7
    assert abs(bend) > 0.005 and means[0] < means[1] < inf
