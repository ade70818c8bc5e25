r"""Contract of the losses that read clicks.

Worked scores are $\log3$ and $-\log3$, so that relevance has probability $\frac34$ and $\frac14$; users look at the
second position in half the cases.
"""

from __future__ import annotations

from itertools import product
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.reward_models.click_models",
    functions=("ips_loss", "ips_rank_loss", "click_model_loss"),
)

LOOKS = torch.tensor([1.0, 0.5])


@contract.worked("Pointwise: a click at a place where half the users look counts twice")
def pointwise(models: Any) -> None:
    r"""$\mathrm{softplus}(\log3) = \log4$. Not clicked: $\log4$, slope $\sigma = \frac34$, wherever it stands.
    Clicked at the first place: $\log4 - \log3$, slope $-\frac14$. Clicked at the second: $\log4 - 2\log3$,
    which is negative, slope $\frac34 - 2 = -\frac54$.
    """
    for clicks, losses, slopes in (
        ([0.0, 0.0], [log(4), log(4)], [3 / 4, 3 / 4]),
        ([1.0, 1.0], [log(4 / 3), log(4 / 9)], [-1 / 4, -5 / 4]),
    ):
        scores = leaf([[log(3), log(3)]])
        loss = models.ips_loss(scores, torch.tensor([clicks]), LOOKS)
        close(loss, [losses])
        close(gradients(loss, scores)[0], [slopes])


@contract.worked("Ranking: weighted hinges of what was clicked against the rest of the list")
def ranking(models: Any) -> None:
    r"""Scores $2, \frac12, 1$; looks $1, \frac12, \frac14$. The second clicked: hinges $1 - (\frac12 - 2) =
    \frac52$ and $1 - (\frac12 - 1) = \frac32$, twice their sum 4. The first and third clicked: $(0 + 0)$, since
    it leads by $\frac32$ and by exactly 1, and $4\cdot(2 + \frac12) = 10$. No click: 0. Slopes for the second
    clicked: $-4$ by its score, $2$ by both others.
    """
    looks = torch.tensor([1.0, 0.5, 0.25])
    scores = leaf([[2.0, 0.5, 1.0]] * 3)
    clicks = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 0, 0]])
    loss = models.ips_rank_loss(scores, clicks, looks)
    close(loss, [8, 10, 0])
    close(gradients(loss, scores)[0][0], [2, -4, 2])


@contract.worked("The click model: passed over, or never seen")
def click_model(models: Any) -> None:
    r"""Relevance $\frac34$. First place: click $\frac34$, none $\frac14$. Second place: click $\frac38$, none
    $\frac58$. Slopes by score: clicked $-\frac14$ at both; not clicked $\frac{3/16}{1/4} = \frac34$ and
    $\frac12\cdot\frac{3/16}{5/8} = \frac3{20}$; by the second place's look: clicked $-2$, not clicked
    $\frac{3/4}{5/8} = \frac65$.
    """
    for clicks, losses, by_scores, by_look in (
        ([1.0, 1.0], [log(4 / 3), log(8 / 3)], [-1 / 4, -1 / 4], -2),
        ([0.0, 0.0], [log(4), log(8 / 5)], [3 / 4, 3 / 20], 6 / 5),
    ):
        scores, looks = leaf([[log(3), log(3)]]), leaf(LOOKS)
        loss = models.click_model_loss(scores, torch.tensor([clicks]), looks)
        close(loss, [losses])
        slopes = gradients(loss, scores, looks)
        close(slopes[0], [by_scores])
        close(slopes[1][1], by_look)


@contract.limit("Everybody looks everywhere")
def all_seen(models: Any) -> None:
    r"""The pointwise loss and the click model are the same logistic regression: at score $-\log3$, $\log4$ and
    $\log\frac43$.
    """
    scores, seen = torch.full((1, 2), -log(3)), torch.ones(2)
    clicks = torch.tensor([[1.0, 0.0]])
    for loss in (models.ips_loss, models.click_model_loss):
        close(loss(scores, clicks, seen), [[log(4), log(4 / 3)]])


@contract.limit("Scores far away")
def far(models: Any) -> None:
    r"""At $\pm 1000$ the pointwise loss is finite and linear; a click on what is surely irrelevant costs 1000."""
    scores = torch.tensor([[1000.0, -1000.0]])
    close(models.ips_loss(scores, torch.zeros(1, 2), LOOKS), [[1000, 0]])
    close(models.ips_loss(scores, torch.ones(1, 2), LOOKS), [[0, 2000]])
    lost = models.click_model_loss(-scores, torch.tensor([[1.0, 0.0]]), LOOKS)
    close(lost, [[1000, log(2)]])


@contract.invariant("A constant, for the ranking; the other answers, for the others")
def invariances(models: Any) -> None:
    r"""A bar above which users click moves no ranking. The pointwise losses see each answer by itself."""
    scores, clicks = torch.tensor([[2.0, 0.5], [1.0, -1.0]]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    close(models.ips_rank_loss(scores + 7, clicks, LOOKS), models.ips_rank_loss(scores, clicks, LOOKS))
    close(
        models.ips_rank_loss(scores.flip(0), clicks.flip(0), LOOKS)[0],
        models.ips_rank_loss(scores, clicks, LOOKS)[1],
    )
    for loss in (models.ips_loss, models.click_model_loss):
        close(loss(scores, clicks, LOOKS)[1:], loss(scores[1:], clicks[1:], LOOKS))


@contract.relation("In expectation over who looks, a weighted click is relevance")
def unbiased(models: Any) -> None:
    r"""Relevance $\frac14$ and $\frac34$, looks $1$ and $\frac12$: all four outcomes with their probabilities.
    The mean of the pointwise loss is the cross-entropy with relevance itself, and the mean of the ranking loss
    that of relevant against other answers, $\frac14\cdot h_1 + \frac34\cdot h_2$. Unweighted, the second place
    counts half.
    """
    relevance, scores = (1 / 4, 3 / 4), torch.tensor([[0.3, -0.4]])
    hinges = [1 - 0.7, 1 + 0.7]
    for looks, seen in ((LOOKS, 1.0), (torch.ones(2), 0.5)):
        mean_point, mean_rank = torch.zeros(1, 2), torch.zeros(1)
        for c in product((0.0, 1.0), repeat=2):
            chance = 1.0
            for click, r, look in zip(c, relevance, (1.0, 0.5), strict=True):
                chance *= r * look if click else 1 - r * look
            clicks = torch.tensor([c])
            mean_point = mean_point + chance * models.ips_loss(scores, clicks, looks)
            mean_rank = mean_rank + chance * models.ips_rank_loss(scores, clicks, looks)
        wanted = [log(1 + exp(0.3)) - 0.3 / 4, log(1 + exp(-0.4)) + 0.4 * 3 / 4 * seen]
        close(mean_point, [wanted])
        close(mean_rank, [hinges[0] / 4 + 3 / 4 * seen * hinges[1]])


@contract.relation("Click and no click add up to one")
def normalised(models: Any) -> None:
    r"""For the click model; the weighted loss is no likelihood: $e^{-(\log4 - 2\log3)} + \frac14 = \frac{10}4$."""
    scores = torch.tensor([[log(3), log(3)]])
    for loss, total in ((models.click_model_loss, [1, 1]), (models.ips_loss, [1, 10 / 4])):
        both = [(-loss(scores, torch.full((1, 2), c), LOOKS)).exp() for c in (0.0, 1.0)]
        close(both[0] + both[1], [total])


@contract.broken("Unclicked does not mean irrelevant")
def not_irrelevant(models: Any) -> None:
    r"""An answer of relevance $\frac34$ shown where half the users look is clicked in $\frac38$ of cases. The
    weighted loss and the click model rest at $\log3$; taking it for seen, both rest at $\sigma(s) = \frac38$,
    $s = \log\frac35$.
    """
    for loss in (models.ips_loss, models.click_model_loss):
        for looks, rest in ((0.5, log(3)), (1.0, log(3 / 5))):
            for value, still in ((rest, True), (log(3) + log(3 / 5) - rest, False)):
                scores = leaf([[value]])
                both = [loss(scores, torch.full((1, 1), c), torch.tensor([looks])) for c in (1.0, 0.0)]
                slope = gradients(3 / 8 * both[0] + 5 / 8 * both[1], scores)[0]
                if still:
                    close(slope, [[0]], tol=1e-9)
                else:
                    differ(slope, torch.zeros(1, 1), by=0.05)


REWARD = (0.0, 1.0, -1.0)
BAR = 0.5


def gradient_of(models: Any, loss: Any, table: tuple[float, ...], assumed: Tensor) -> Tensor:
    """Gradient by scores of the expected loss: each answer is shown at both places, with endless users."""
    scores = leaf(table)
    total = torch.zeros(())
    for i, reward in enumerate(REWARD):
        for place in range(2):
            click = float(LOOKS[place]) / (1 + exp(BAR - reward))
            for c, chance in ((1.0, click), (0.0, 1 - click)):
                found = loss(scores[i].view(1, 1), torch.full((1, 1), c), assumed[place : place + 1])
                total = total + chance * found.sum()
    return gradients(total, scores)[0]


@contract.optimum("Endless sessions: the reward less the bar, if the looks are known")
def optimum(models: Any) -> None:
    r"""Three answers of rewards $0, 1, -1$, bar $\frac12$, each shown at both places. With the true looks the
    gradients of the pointwise loss and of the click model vanish at $r - \frac12$; with looks of 1 they do not.
    """
    at = tuple(r - BAR for r in REWARD)
    for loss in (models.ips_loss, models.click_model_loss):
        close(gradient_of(models, loss, at, LOOKS), [0, 0, 0], tol=1e-9)
        differ(gradient_of(models, loss, at, torch.ones(2)), torch.zeros(3), by=0.05)
        differ(gradient_of(models, loss, REWARD, LOOKS), torch.zeros(3), by=0.05)
