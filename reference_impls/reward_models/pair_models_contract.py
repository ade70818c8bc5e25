r"""Contract of the likelihoods and losses of comparisons.

The differences of the worked checks are logarithms of small numbers, so that $\sigma$ gives fractions:
$\sigma(\log 3) = \frac34$, $\sigma(\log 2) = \frac23$, $\sigma(\log 9) = \frac9{10}$, and $\sigma'$ there is
$\frac3{16}$, $\frac29$ and $\frac9{100}$.
"""

from __future__ import annotations

from itertools import product
from math import erf, exp, inf, log, pi, sqrt
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.pair_models",
    functions=(
        "thurstone_loss",
        "lapse_loss",
        "interval_loss",
        "rao_kupper_loss",
        "davidson_loss",
        "graded_loss",
        "margin_loss",
        "smoothed_loss",
        "level_penalty",
        "prepared",
    ),
)

contract.equivalent(
    "lapse_loss: torch.logaddexp(attentive, torch.full_like(difference, log(lapses / 2))) -> "
    "torch.logaddexp(torch.full_like(difference, log(lapses / 2)), attentive) #1",
    "the logarithm of a sum does not depend on the order of its two terms",
)
contract.equivalent(
    "prepared: zip(parts, turned, strict=True) -> zip(parts, turned, strict=False) #1",
    "both tuples are written out with five entries",
)

WON, TIED = torch.tensor([False]), torch.tensor([True])


def slope(loss: Any, value: float) -> Tensor:
    """Derivative of ``loss`` of one difference by that difference: ()."""
    difference = leaf([value])
    return gradients(loss(difference), difference)[0][0]


@contract.worked("Thurstone: one unit of noise, either way")
def probit(models: Any) -> None:
    r"""The unit is such that $\Phi(\sqrt{2\pi}\,\Delta/4)$ has slope $\frac{\sqrt{2\pi}}4\varphi(0) = \frac14$ at 0. At
    $\Delta = \pm4/\sqrt{2\pi}$ the chances are $\Phi(\pm1) = \frac12(1 \pm \mathrm{erf}\frac1{\sqrt2})$. At 0 the loss
    is $\log 2$ and its slope $-\frac14/\frac12 = -\frac12$, as for Bradley and Terry.
    """
    unit = 4 / sqrt(2 * pi)
    win = (1 + erf(1 / sqrt(2))) / 2
    close(models.thurstone_loss(torch.tensor([unit, -unit, 0.0])), [-log(win), -log(1 - win), log(2)])
    close(slope(models.thurstone_loss, 0.0), -1 / 2)


@contract.limit("Thurstone: a lost certainty costs a square, not a line")
def tails(models: Any) -> None:
    r"""$-\log\Phi(-z) = \frac{z^2}2 + \log(z\sqrt{2\pi}) + O(z^{-2})$: at $z = 100$, $5000 + 5.524$. One wrong
    label on a clear pair pulls a hundred times harder than with logistic noise. The right way round it costs nothing.
    """
    z = 100.0
    difference = torch.tensor([-z, z]) * 4 / sqrt(2 * pi)
    close(models.thurstone_loss(difference), [z**2 / 2 + log(z * sqrt(2 * pi)), 0], tol=1e-7)


@contract.worked("Lapses in a third of cases")
def lapses(models: Any) -> None:
    r"""$\frac23\sigma(\Delta) + \frac16$ with $\sigma = \frac34, \frac14, \frac12$: $\frac23, \frac13, \frac12$. Slopes
    $-\frac23\sigma'/P$: $\frac23\cdot\frac3{16} = \frac18$ over $P$ gives $-\frac3{16}$ and $-\frac38$; at 0
    $-\frac16/\frac12 = -\frac13$.
    """
    difference = leaf([log(3), -log(3), 0.0])
    loss = models.lapse_loss(difference, 1 / 3)
    close(loss, [log(3 / 2), log(3), log(2)])
    close(gradients(loss, difference)[0], [-3 / 16, -3 / 8, -1 / 3])


@contract.limit("Lapses bound what one label can say; without them they are Bradley and Terry")
def bounded(models: Any) -> None:
    r"""However clear the pair, a wrong label costs at most $\log\frac2\lambda = \log 6$ and in the end pulls no more; a
    right one costs at least $-\log(1 - \frac\lambda2) = \log\frac65$. As $\lambda \to 0$: $\log\frac43$ and $\log 4$.
    """
    difference = leaf([-1000.0, 1000.0])
    loss = models.lapse_loss(difference, 1 / 3)
    close(loss, [log(6), log(6 / 5)])
    close(gradients(loss, difference)[0], [0, 0])
    close(models.lapse_loss(torch.tensor([log(3), -log(3)]), 1e-12), [log(4 / 3), log(4)])


@contract.worked("The chance of an interval")
def interval(models: Any) -> None:
    r"""$\Delta = \log3$ between $0$ and $\log9$: $\sigma(\log3) - \sigma(-\log3) = \frac12$, slope 0 by symmetry.
    $\Delta = 0$ between $-\log3$ and $\log2$: $\frac23 - \frac14 = \frac5{12}$; slopes of the loss by $\Delta$
    $(\frac29 - \frac3{16})/\frac5{12} = \frac1{12}$, by the bounds $\frac3{16}/\frac5{12} = \frac9{20}$ and
    $-\frac29/\frac5{12} = -\frac8{15}$.
    """
    difference, low, high = leaf([log(3), 0.0]), leaf([0.0, -log(3)]), leaf([log(9), log(2)])
    loss = models.interval_loss(difference, low, high)
    close(loss, [log(2), log(12 / 5)])
    by_difference, by_low, by_high = gradients(loss, difference, low, high)
    close(by_difference, [0, 1 / 12])
    close(by_low[1], 9 / 20)
    close(by_high[1], -8 / 15)


@contract.limit("Half lines, and an interval far away")
def half_lines(models: Any) -> None:
    r"""Above $0$, and below $0$: $\sigma(\pm\Delta)$, Bradley and Terry. $\Delta = 100$ between 0 and 1 has the chance
    $e^{-99}(1 - e^{-1})$ up to $e^{-99}$ relative: neither 0 nor the difference of two ones.
    """
    infinite = torch.tensor([inf])
    difference = leaf([log(3)])
    above = models.interval_loss(difference, torch.zeros(1), infinite)
    close(above, [log(4 / 3)])
    close(gradients(above, difference)[0], [-1 / 4])
    close(models.interval_loss(difference, -infinite, torch.zeros(1)), [log(4)])
    far = models.interval_loss(torch.tensor([100.0]), torch.zeros(1), torch.ones(1))
    close(far, [99 - log(1 - exp(-1))], tol=1e-12)


@contract.worked("Rao and Kupper's wins and ties with theta = 3")
def rao_kupper(models: Any) -> None:
    r"""Strengths 3 and 1: the stronger wins with $\frac{3}{3 + 3\cdot1} = \frac12$, a tie has
    $\frac{(3^2-1)\cdot3\cdot1}{(3+3)(1+9)} = \frac25$. Equal strengths: $\frac14$ and $\frac12$. Slopes by $\Delta$:
    $-\frac12$, $\frac{1/4 - 9/100}{2/5} = \frac25$, $-\frac34$, $0$; by the threshold $\log\theta$: $\frac12$,
    $-\frac{1/4 + 9/100}{2/5} = -\frac{17}{20}$, $\frac34$, $-\frac{3/8}{1/2} = -\frac34$.
    """
    expected = (
        (log(3), WON, log(2), -1 / 2, 1 / 2),
        (log(3), TIED, log(5 / 2), 2 / 5, -17 / 20),
        (0.0, WON, log(4), -3 / 4, 3 / 4),
        (0.0, TIED, log(2), 0, -3 / 4),
    )
    for value, tied, loss, by_difference, by_threshold in expected:
        difference, threshold = leaf([value]), leaf(log(3))
        found = models.rao_kupper_loss(difference, tied, threshold)
        close(found, [loss])
        slopes = gradients(found, difference, threshold)
        close(slopes[0], [by_difference])
        close(slopes[1], by_threshold)


@contract.worked("Davidson's wins and ties with nu = 2")
def davidson(models: Any) -> None:
    r"""Strengths 4 and 1, whose geometric mean is 2: $\frac{4}{4 + 1 + 2\cdot2} = \frac49$ for a win, as much for a
    tie, $\frac19$ for the other. Slopes by $\Delta$: $-(\frac12 - \frac12(\frac49 - \frac19)) = -\frac13$ and
    $\frac16$; by $\log\nu$: $\frac49$ and $\frac49 - 1 = -\frac59$. Equal strengths: $\frac14$ and $\frac12$.
    """
    for tied, by_difference, by_nu in ((WON, -1 / 3, 4 / 9), (TIED, 1 / 6, -5 / 9)):
        difference, log_nu = leaf([log(4)]), leaf(log(2))
        loss = models.davidson_loss(difference, tied, log_nu)
        close(loss, [log(9 / 4)])
        slopes = gradients(loss, difference, log_nu)
        close(slopes[0], [by_difference])
        close(slopes[1], by_nu)
    nu = torch.tensor(log(2))
    close(models.davidson_loss(torch.tensor([-log(4)]), WON, nu), [log(9)])
    close(models.davidson_loss(torch.zeros(2), torch.tensor([False, True]), nu), [log(4), log(2)])


@contract.worked("Three grades, with cut points log 3 and log 9")
def grades(models: Any) -> None:
    r"""Equal rewards: $\frac34 - \frac12 = \frac14$, $\frac9{10} - \frac34 = \frac3{20}$ and $\frac1{10}$, which add
    up to the chance $\frac12$ of this verdict. $\Delta = \log3$: $\frac12 - \frac14$, $\frac34 - \frac12$,
    $\frac14$, three times $\frac14$. Slopes by the cut points, equal rewards: $-\frac34, 0$;
    $\frac54, -\frac35$; $0, \frac9{10}$.
    """
    cuts = torch.tensor([log(3), log(9)])
    grade = torch.tensor([0, 1, 2])
    close(models.graded_loss(torch.zeros(3), grade, cuts), [log(4), log(20 / 3), log(10)])
    close(models.graded_loss(torch.full((3,), log(3)), grade, cuts), [log(4)] * 3)
    for g, expected in enumerate(([-3 / 4, 0], [5 / 4, -3 / 5], [0, 9 / 10])):
        learned = leaf(cuts)
        loss = models.graded_loss(torch.zeros(1), torch.tensor([g]), learned)
        close(gradients(loss, learned)[0], expected)


@contract.worked("A margin, smoothing, and the pull on the level")
def heuristics(models: Any) -> None:
    r"""Scores $\log9$ apart with margin $\log3$: $-\log\sigma(\log3) = \log\frac43$; $\log3$ apart with margin $\log9$:
    $\log4$. Smoothing by a quarter at $\pm\log3$: $\frac34\log\frac43 + \frac14\log4$ and $\frac34\log4 +
    \frac14\log\frac43$, slopes $\sigma(\Delta) - \frac34 = 0, -\frac12$. Level: $(2+3)^2$ and $(-3+1)^2$, slopes twice
    the sum for both scores.
    """
    chosen, rejected, margin = leaf([2 + log(9), log(3)]), leaf([2.0, 0.0]), leaf([log(3), log(9)])
    loss = models.margin_loss(chosen, rejected, margin)
    close(loss, [log(4 / 3), log(4)])
    slopes = gradients(loss, chosen, rejected, margin)
    close(slopes[0], [-1 / 4, -3 / 4])
    close(slopes[1], [1 / 4, 3 / 4])
    close(slopes[2], [1 / 4, 3 / 4])
    difference = leaf([log(3), -log(3)])
    smoothed = models.smoothed_loss(difference, 1 / 4)
    close(smoothed, [3 / 4 * log(4 / 3) + log(4) / 4, 3 / 4 * log(4) + log(4 / 3) / 4])
    close(gradients(smoothed, difference)[0], [0, -1 / 2])
    scores, others = leaf([2.0, -3.0]), leaf([3.0, 1.0])
    level = models.level_penalty(scores, others)
    close(level, [25, 4])
    close(gradients(level, scores, others), [[10, -4], [10, -4]])


@contract.worked("Ties where the likelihood has none")
def ties(models: Any) -> None:
    r"""Three pairs, the middle one tied: as they are; without it; or with it both ways round, each with half
    a weight.
    """
    prompts, chosen, rejected = torch.tensor([5, 6, 7]), torch.tensor([1, 2, 3]), torch.tensor([10, 20, 30])
    grade, tied = torch.tensor([3, 0, 1]), torch.tensor([False, True, False])
    pairs = models.GradedPairs(prompts, chosen, rejected, grade, tied)
    kept, weight = models.prepared(pairs, "coin")
    close(kept.chosen, chosen)
    close(weight, [1, 1, 1])
    for how, rows, winners, losers, grades, weights in (
        ("dropped", [5, 7], [1, 3], [10, 30], [3, 1], [1, 1]),
        ("split", [5, 6, 7, 6], [1, 2, 3, 20], [10, 20, 30, 2], [3, 0, 1, 0], [1, 0.5, 1, 0.5]),
    ):
        found, weight = models.prepared(pairs, how)
        close([found.prompts, found.chosen, found.rejected, found.grade], [rows, winners, losers, grades])
        close(weight, weights)
        close(found.tied.double(), [1.0 if row == 6 else 0.0 for row in rows])


@contract.limit("Ties and grades without their cut points: Bradley and Terry")
def no_ties(models: Any) -> None:
    r"""$\theta \to 1$ and $\nu \to 0$: $\log\frac43$ and $\log4$ for wins, and ties are impossible. One grade and no
    cut point: the same. A margin of 0, no smoothing: the same.
    """
    difference = torch.tensor([log(3), -log(3)])
    won, expected = torch.zeros(2, dtype=torch.bool), [log(4 / 3), log(4)]
    close(models.rao_kupper_loss(difference, won, torch.tensor(1e-12)), expected)
    close(models.davidson_loss(difference, won, torch.tensor(-40.0)), expected)
    close(models.graded_loss(difference, torch.zeros(2, dtype=torch.long), torch.zeros(0)), expected)
    close(models.margin_loss(difference, torch.zeros(2), torch.zeros(2)), expected)
    close(models.smoothed_loss(difference, 0.0), expected)


@contract.invariant("A constant of the prompt, except for the pull on the level")
def constant(models: Any) -> None:
    r"""All but the level's penalty see differences; a tie costs the same either way round."""
    chosen, rejected = torch.tensor([log(9)]), torch.tensor([0.0])
    margin = torch.tensor([log(3)])
    close(models.margin_loss(chosen + 5, rejected + 5, margin), [log(4 / 3)])
    for loss in (models.rao_kupper_loss, models.davidson_loss):
        close(loss(chosen, TIED, torch.tensor(0.7)), loss(-chosen, TIED, torch.tensor(0.7)))


@contract.relation("What can be said adds up to one")
def normalised(models: Any) -> None:
    r"""One side, the other side, and a tie; or all grades of both sides."""
    for value in (0.0, 0.4, -2.0):
        one, other = torch.tensor([value]), torch.tensor([-value])
        for loss in (models.thurstone_loss, lambda d: models.lapse_loss(d, 0.3)):
            close((-loss(one)).exp() + (-loss(other)).exp(), [1])
        for loss in (models.rao_kupper_loss, models.davidson_loss):
            outcomes = [loss(d, t, torch.tensor(0.8)) for d, t in ((one, WON), (other, WON), (one, TIED))]
            close(sum((-x).exp() for x in outcomes), [1])
        cuts, grade = torch.tensor([0.5, 1.5, 3.0]), torch.arange(4)
        sides = [(-models.graded_loss(d.expand(4), grade, cuts)).exp().sum() for d in (one, other)]
        close(sides[0] + sides[1], 1)


@contract.relation("What throwing Rao and Kupper's ties away leaves")
def without_ties(models: Any) -> None:
    r"""Among the pairs that are no ties the log-odds of a win are $\log\frac{\sigma(\Delta - c)}{\sigma(-\Delta - c)}$.
    Their slope at 0 is $2\sigma(c) = 2\cdot\frac34$: small differences look half as large again, and large ones
    larger by $c = \log3$ at most. Davidson's ties leave Bradley and Terry's odds, $\Delta$.
    """
    c = torch.tensor(log(3))

    def odds(loss: Any) -> Any:
        return lambda d: (
            loss(-d, torch.zeros_like(d, dtype=torch.bool), c)
            - loss(d, torch.zeros_like(d, dtype=torch.bool), c)
        )

    close(slope(odds(models.rao_kupper_loss), 0.0), 3 / 2)
    close(odds(models.rao_kupper_loss)(torch.tensor([20.0])), [20 + log(3)])
    close(odds(models.davidson_loss)(torch.tensor([-1.0, 0.4, 20.0])), [-1, 0.4, 20])


@contract.broken("A margin is no likelihood, and smoothing has another optimum")
def not_likelihoods(models: Any) -> None:
    r"""With margin $\log3$ the two verdicts on equal scores have $\frac14$ each: half a probability is missing. With
    smoothing by a quarter and honest chances $\frac9{10}, \frac1{10}$ the best $\sigma(\Delta)$ is
    $\frac34\cdot\frac9{10} + \frac14\cdot\frac1{10} = \frac7{10}$ and not $\frac9{10}$: preferences come out weaker.
    """
    equal = torch.zeros(1)
    close((-models.margin_loss(equal, equal, torch.tensor([log(3)]))).exp(), [1 / 4])
    for chance, there in ((7 / 10, 0.0), (9 / 10, 0.2)):
        difference = leaf([log(chance / (1 - chance))])
        loss = 0.9 * models.smoothed_loss(difference, 1 / 4) + 0.1 * models.smoothed_loss(-difference, 1 / 4)
        close(gradients(loss, difference)[0], [there])


REWARD = (0.0, 1.0, -0.5)


def expected_slopes(losses: Any, chances: Any, reward: tuple[float, ...]) -> Tensor:
    """Gradient by a table of rewards of the expected loss over all ordered pairs: (3,).

    ``losses(d)`` gives the loss of each thing that can be said of a pair, ``chances(d)`` its true probability.
    """
    table = leaf(reward)
    total = torch.zeros(())
    for i, j in product(range(3), repeat=2):
        true = torch.tensor([REWARD[i] - REWARD[j]])
        for loss, chance in zip(losses((table[i] - table[j])[None]), chances(true), strict=True):
            total = total + chance[0] * loss[0]
    return torch.autograd.grad(total, table)[0]


@contract.optimum("Endless labels of annotators of its own kind: the reward; of another kind: not")
def optimum(models: Any) -> None:
    r"""Three answers of rewards $0, 1, -\frac12$, all pairs with all that can be said of them. For each likelihood the
    gradient vanishes at $r$ and at $r + 3$, and not at $2r$, at $\frac12r$ or at 0. Davidson's likelihood of
    Rao and Kupper's annotators, and the plain one of annotators with lapses, are not at rest at $r$.
    """
    c = torch.tensor(0.9)
    cuts = torch.tensor([0.5, 1.5, 3.0])
    tied, won = TIED, WON
    sides = {
        "thurstone": lambda d: [models.thurstone_loss(d), models.thurstone_loss(-d)],
        "lapses": lambda d: [models.lapse_loss(d, 0.4), models.lapse_loss(-d, 0.4)],
        "plain": lambda d: [models.smoothed_loss(d, 0.0), models.smoothed_loss(-d, 0.0)],
        "rao-kupper": lambda d: [
            models.rao_kupper_loss(x, t, c) for x, t in ((d, won), (-d, won), (d, tied))
        ],
        "davidson": lambda d: [models.davidson_loss(x, t, c) for x, t in ((d, won), (-d, won), (d, tied))],
        "graded": lambda d: [
            models.graded_loss(x, torch.tensor([g]), cuts) for x in (d, -d) for g in range(4)
        ],
    }

    def chances(kind: str) -> Any:
        return lambda d: [(-loss).exp() for loss in sides[kind](d)]

    for kind, losses in sides.items():
        for constant in (0.0, 3.0):
            at = tuple(r + constant for r in REWARD)
            close(expected_slopes(losses, chances(kind), at), [0, 0, 0], tol=1e-9)
        for factor in (2.0, 0.5, 0.0):
            at = tuple(factor * r for r in REWARD)
            differ(expected_slopes(losses, chances(kind), at), torch.zeros(3), by=0.03)
    differ(expected_slopes(sides["davidson"], chances("rao-kupper"), REWARD), torch.zeros(3), by=0.03)
    differ(expected_slopes(sides["plain"], chances("lapses"), REWARD), torch.zeros(3), by=0.03)
