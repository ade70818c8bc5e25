r"""Contract of the losses on rankings.

The sheet of the worked checks of whole losses has three answers, best first. Probabilities of tokens, with padding as a
dot, and what follows from them:

| | tokens | sum | mean per token | reference |
|-|-|-|-|-|
| first | $\frac12, \cdot$ | $\frac12$ | $\frac12$ | $\frac18$ |
| second | $\frac14, \frac14$ | $\frac1{16}$ | $\frac14$ | $\frac1{16}$ |
| third | $\frac12, \frac18$ | $\frac1{16}$ | $\frac14$ | $\frac1{64}$ |

so that with $\beta = \frac12$ the ratios to the reference, to the power $\beta$, are $2, 1, 2$.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.filtering.ranking",
    functions=(
        "rrhf_loss",
        "best_likelihood_loss",
        "listwise_loss",
        "tempered_listwise_loss",
        "all_pairs_loss",
        "sheet_loss",
    ),
)

TOKENS = ((1 / 2, None), (1 / 4, 1 / 4), (1 / 2, 1 / 8))
REFERENCE = (1 / 8, 1 / 16, 1 / 64)


def sheet(filler: float = -3.0) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of the table's tokens, the mask, and the reference's of whole answers; one sheet."""
    logps = leaf([[[filler if p is None else log(p) for p in row] for row in TOKENS]])
    mask = torch.tensor([[[float(p is not None) for p in row] for row in TOKENS]])
    return logps, mask, leaf([[log(p) for p in REFERENCE]])


def loss_of(
    method: Any, grades: tuple[float, ...] = (2.0, 1.0, 0.0), filler: float = -3.0, **config: Any
) -> Tensor:
    """The whole loss of the sheet."""
    logps, mask, reference = sheet(filler)
    result: Tensor = method.sheet_loss(
        method.RankingConfig(**config), logps, mask, reference, torch.tensor([grades])
    )
    return result


contract.equivalent(
    "sheet_loss: grades.shape[-1] - 1 -> 1 - grades.shape[-1] #1", "It is squared: the sign does not count."
)


@contract.worked("The hinge over all pairs in the wrong order")
def hinge(method: Any) -> None:
    r"""Scores $-1, -2, -4$ with rewards $0, 2, 1$: the first is likelier than both better ones, by 1 and 3; the third
    and second are in order. Sum 4, gradient $2, -1, -1$. Scores $-3, -1, -2$ with rewards $1, 1, 0$: the tie asks for
    nothing, the last is likelier than the first by 1. Gradient $-1, 0, 1$.
    """
    scores = leaf([[-1, -2, -4], [-3, -1, -2]])
    loss = method.rrhf_loss(scores, torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0]]))
    close(loss, [4, 1])
    close(gradients(loss, scores)[0], [[2, -1, -1], [-1, 0, 1]])


@contract.worked("The likelihood of the best answer of each sheet")
def best(method: Any) -> None:
    r"""The best of the first sheet is its third answer, of the second its first."""
    logps = leaf([[-1, -2, -4], [-3, -1, -2]])
    loss = method.best_likelihood_loss(logps, torch.tensor([[0.0, 1.0, 2.0], [5.0, 1.0, 0.0]]))
    close(loss, [4, 3])
    close(gradients(loss, logps)[0], [[0, 0, -1], [-1, 0, 0]])


@contract.worked("The likelihood of a ranking")
def listwise(method: Any) -> None:
    r"""$e^p = \frac12, \frac13, \frac16$: first place $\frac12$, then $\frac13 : \frac12 = \frac23$, then 1:
    $\log 2 + \log\frac32 = \log 3$. Gradient: $\frac12 - 1$; $\frac13 + \frac23 - 1 = 0$; $\frac16 + \frac13$. Equal
    scores: one of six orders.
    """
    scores = leaf([[log(1 / 2), log(1 / 3), log(1 / 6)], [7.0, 7.0, 7.0]])
    loss = method.listwise_loss(scores)
    close(loss, [log(3), log(6)])
    close(method.listwise_loss(scores[0]), log(3))
    close(gradients(loss, scores)[0][0], [-1 / 2, 0, 1 / 2])


@contract.worked("With temperatures by differences of rewards")
def tempered(method: Any) -> None:
    r"""Rewards $3, 1, 0$ and $e^p = 2, 3, 5$. First place: differences 2 and 3, the winner's own the larger, so
    $2^3 = 8$ against $3^2 = 9$ and $5^3 = 125$: $\frac{8}{142}$. Second: $3^1$ against $5^1$, $\frac38$. Loss
    $\log\frac{142}{8} + \log\frac83 = \log\frac{142}3$.

    Gradient: $3(\frac8{142} - 1)$; $2\cdot\frac9{142} + \frac38 - 1$; $3\cdot\frac{125}{142} + \frac58$.
    """
    scores = leaf([[log(2), log(3), log(5)]])
    loss = method.tempered_listwise_loss(scores, torch.tensor([[3.0, 1.0, 0.0]]))
    close(loss, [log(142 / 3)])
    wanted = [3 * (8 / 142 - 1), 2 * 9 / 142 + 3 / 8 - 1, 3 * 125 / 142 + 5 / 8]
    close(gradients(loss, scores)[0], [wanted])


@contract.worked("All pairs of a ranking")
def pairs(method: Any) -> None:
    r"""$e^s = 3, 1, 2$: the pairs are in order with $\frac34, \frac35, \frac13$, together $\frac3{20}$:
    $\log\frac{20}3$. Gradient: $-(\frac14 + \frac25)$; $\frac14 - \frac23$; $\frac25 + \frac23$.
    """
    scores = leaf([[log(3), 0, log(2)]])
    loss = method.all_pairs_loss(scores)
    close(loss, [log(20 / 3)])
    close(gradients(loss, scores)[0], [[-13 / 20, -5 / 12, 16 / 15]])


@contract.worked("Whole losses of one sheet")
def whole(method: Any) -> None:
    r"""RRHF: the order is right, so $\log 2$ for the best answer; with the order turned round the first is likelier
    per token by $\log 2$ than both others, and the best has $\frac1{16}$: $2\log 2 + \log 16 = 6\log 2$.

    PRO: $\log 2 + \log 2$, and $\frac12 (3-1)^2 \log 2$: $4 \log 2$. With temperatures (differences 1 and 2):
    $(\frac12)^2$ of $\frac14 + \frac14 + \frac1{16} = \frac9{16}$, then $\frac12$: $\log\frac94 + \log 2 + 2\log 2 =
    \log 18$. On its first two answers alone: $\frac12$ of $\frac34$ and $\frac12 (2-1)^2 \log 2$.

    Plackett-Luce: $\frac25 \cdot \frac13$, so $\log\frac{15}2$. All pairs: $\frac23\cdot\frac12\cdot\frac13$, so
    $\log 9$. With half the best answer's likelihood added, $\frac12\log 2$ more.
    """
    close(loss_of(method, loss="rrhf"), [log(2)])
    close(loss_of(method, (0.0, 1.0, 2.0), loss="rrhf"), [6 * log(2)])
    close(loss_of(method, loss="pro", supervised=0.5), [4 * log(2)])
    close(loss_of(method, loss="pro", supervised=0.5, temperatures=True), [log(18)])
    logps, mask, reference = (x[:, :2] for x in sheet())
    config = method.RankingConfig(loss="pro", supervised=0.5)
    close(
        method.sheet_loss(config, logps, mask, reference, torch.tensor([[1.0, 0.0]])),
        [log(3 / 2) + log(2) / 2],
    )
    close(loss_of(method, loss="plackett-luce", supervised=0.0), [log(15 / 2)])
    close(loss_of(method, loss="pairs", supervised=0.0), [log(9)])
    close(loss_of(method, loss="plackett-luce", supervised=0.5), [log(15 / 2) + log(2) / 2])
    close(loss_of(method, loss="pairs", supervised=0.5), [log(9) + log(2) / 2])


@contract.worked("Weights of the two terms")
def weights(method: Any) -> None:
    r"""RRHF turned round: ranking term $2\log 2$, supervised $4\log 2$. Doubled and tripled: $(4 + 12)\log 2$; without
    the ranking only the best answer is left.
    """
    turned = (0.0, 1.0, 2.0)
    close(loss_of(method, turned, loss="rrhf", ranking=2.0, supervised=3.0), [16 * log(2)])
    close(loss_of(method, turned, loss="rrhf", ranking=0.0), [4 * log(2)])
    close(loss_of(method, turned, loss="rrhf", supervised=0.0), [2 * log(2)])


@contract.limit("Two answers: the pair of Bradley and Terry")
def two(method: Any) -> None:
    r"""$e^s = 3, 1$: $-\log\frac34$ as a ranking, as a pair, and with temperatures if the rewards differ by 1."""
    scores = leaf([[log(3), 0.0], [0.0, log(3)]])
    wanted = [log(4 / 3), log(4)]
    close(method.listwise_loss(scores), wanted)
    close(method.all_pairs_loss(scores), wanted)
    close(method.tempered_listwise_loss(scores, torch.tensor([[5.0, 4.0], [1.0, 0.0]])), wanted)


@contract.limit("One answer")
def one(method: Any) -> None:
    r"""There is nothing to order."""
    scores = leaf([[-2.0]])
    for loss in (method.listwise_loss(scores), method.all_pairs_loss(scores)):
        close(loss, [0])
    close(method.rrhf_loss(scores, torch.ones(1, 1)), [0])
    close(method.tempered_listwise_loss(scores, torch.ones(1, 1)), [0])


@contract.limit("Rewards that hardly differ")
def equal_rewards(method: Any) -> None:
    r"""With temperatures every softmax becomes even, $\log 6$ for three answers, and nothing is pushed apart."""
    scores = leaf([[-9.0, -1.0, 4.0]])
    loss = method.tempered_listwise_loss(scores, torch.tensor([[1e-9, 1e-10, 0.0]]))
    close(loss, [log(6)])
    close(gradients(loss, scores)[0], [[0, 0, 0]])


@contract.invariant("A constant of the prompt added to all scores")
def shift(method: Any) -> None:
    r"""$\log Z(x)$ cancels in all but the tempered loss."""
    scores = torch.tensor([[0.3, -1.0, 2.0]])
    grades = torch.tensor([[2.0, 1.0, 0.0]])
    for moved in (scores + 5, scores - 40):
        close(method.listwise_loss(moved), method.listwise_loss(scores))
        close(method.all_pairs_loss(moved), method.all_pairs_loss(scores))
        close(method.rrhf_loss(moved, grades), method.rrhf_loss(scores, grades))


@contract.invariant("Padding")
def padding(method: Any) -> None:
    r"""What stands on it changes neither losses nor their gradients."""
    for loss in ("rrhf", "pro", "plackett-luce", "pairs"):
        wanted = loss_of(method, loss=loss)
        for filler in (3.0, inf, -inf, nan):
            close(loss_of(method, filler=filler, loss=loss), wanted)
            logps, mask, reference = sheet(filler)
            config = method.RankingConfig(loss=loss)
            found = method.sheet_loss(config, logps, mask, reference, torch.tensor([[2.0, 1.0, 0.0]]))
            close(gradients(found, logps)[0][0, 0, 1], 0)


@contract.invariant("The other sheets")
def alone(method: Any) -> None:
    r"""Each sheet's loss depends on that sheet alone."""
    scores = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.0, -4.0]])
    grades = torch.tensor([[2.0, 1.0, 0.0], [3.0, 1.0, 0.5]])
    for function, rest in (
        (method.listwise_loss, ()),
        (method.all_pairs_loss, ()),
        (method.rrhf_loss, (grades,)),
        (method.best_likelihood_loss, (grades,)),
        (method.tempered_listwise_loss, (grades,)),
    ):
        whole = function(scores, *rest)
        close(function(scores[1:], *(x[1:] for x in rest)), whole[1:])


@contract.invariant("RRHF: where answers stand on the sheet, and any increasing function of the rewards")
def order(method: Any) -> None:
    r"""Rewards say which is better; places and distances do not count."""
    scores, grades = torch.tensor([[-1.0, -2.0, -4.0]]), torch.tensor([[0.0, 2.0, 1.0]])
    for places in permutations(range(3)):
        close(method.rrhf_loss(scores[:, places], grades[:, places]), [4])
        close(method.best_likelihood_loss(scores[:, places], grades[:, places]), [2])
    close(method.rrhf_loss(scores, 100 * grades - 7), [4])


@contract.relation("The reference enters DPO's losses and not the others")
def reference(method: Any) -> None:
    r"""By the reference's log-probabilities DPO's gradient is minus that by the answers' own; RRHF and PRO have
    none.
    """
    for loss in ("rrhf", "pro", "plackett-luce", "pairs"):
        logps, mask, base = sheet()
        config = method.RankingConfig(loss=loss, supervised=0.0)
        found = method.sheet_loss(config, logps, mask, base, torch.tensor([[2.0, 1.0, 0.0]]))
        by_tokens, by_reference = gradients(found, logps, base)
        expected = -by_tokens[..., 0] if loss in ("plackett-luce", "pairs") else torch.zeros(1, 3)
        close(by_reference, expected)


@contract.broken("With temperatures the level counts")
def level(method: Any) -> None:
    r"""Rewards $3, 1, 0$, all scores 0: $\log 3 + \log 2$. All scores $-\log 2$: $\frac18$ against $\frac14$ and
    $\frac18$, so $\log 4 + \log 2$: an answer that is less good by little is weighed by a smaller power, and less
    likely answers make that an advantage for it.
    """
    rewards = torch.tensor([[3.0, 1.0, 0.0]])
    close(method.tempered_listwise_loss(torch.zeros(1, 3), rewards), [log(6)])
    close(method.tempered_listwise_loss(torch.full((1, 3), -log(2)), rewards), [log(8)])


@contract.broken("The hinge has no margin, so contradictory labels make all answers equally likely")
def no_margin(method: Any) -> None:
    r"""Three of four annotators prefer the first of two answers. The mean hinge of a difference $q = p_1 - p_2$ is
    $\frac34\max(0, -q) + \frac14\max(0, q)$: 0 at $q = 0$, and nowhere less. With endless labels the hinge forgets
    the preference that the likelihood of the rankings keeps, whose minimum is at $q = \log 3$.
    """
    forth, back = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])

    def mean_hinge(q: float) -> float:
        scores = torch.tensor([[q, 0.0]])
        return float(3 / 4 * method.rrhf_loss(scores, forth) + 1 / 4 * method.rrhf_loss(scores, back))

    close([mean_hinge(q) for q in (-1.0, 0.0, 1.0, log(3))], [3 / 4, 0, 1 / 4, log(3) / 4])
    scores = leaf([[log(3), 0.0]])
    mean = 3 / 4 * method.listwise_loss(scores) + 1 / 4 * method.listwise_loss(scores.flip(-1))
    close(gradients(mean, scores)[0], [[0, 0]])


LAW = (Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8))
REWARD = (0.0, 1.0, -1.0, 2.0)


def sheets() -> tuple[Tensor, Tensor]:
    """Every sheet of three draws in every order, (sheets, 3), and its chance by the law and Plackett-Luce."""
    rows, chances = [], []
    for drawn in product(range(4), repeat=3):
        for places in permutations(drawn):
            weights = [exp(REWARD[y]) for y in places]
            order = weights[0] / sum(weights) * weights[1] / (weights[1] + weights[2])
            rows.append(places)
            chances.append(float(LAW[drawn[0]] * LAW[drawn[1]] * LAW[drawn[2]]) * order)
    return torch.tensor(rows), torch.tensor(chances)


@contract.optimum("Both DPOs on rankings are least at the optimum of J")
def optimum(method: Any) -> None:
    r"""Four answers with law $(\frac12, \frac14, \frac18, \frac18)$ and rewards $0, 1, -1, 2$; all $4^3$ draws in all
    orders. The gradient by the logits vanishes at $\pi_{ref}\,e^{r/\beta}$, for two betas, and neither at the
    reference nor at another beta's optimum.
    """
    places, chances = sheets()
    close(chances.sum(), 1)
    base = torch.tensor([log(p) for p in LAW])
    for loss, beta in product(("plackett-luce", "pairs"), (0.5, 2.0)):

        def slope(tilt: float, loss: str = loss, beta: float = beta) -> Tensor:
            theta = leaf(base + tilt * torch.tensor(REWARD))
            logps = theta.log_softmax(0)[places][..., None]
            config = method.RankingConfig(loss=loss, beta=beta, supervised=0.0)
            grades = torch.tensor([2.0, 1.0, 0.0]).expand(places.shape)
            losses = method.sheet_loss(config, logps, torch.ones_like(logps), base[places], grades)
            return gradients(chances * losses, theta)[0]

        close(slope(1 / beta), [0] * 4, tol=1e-9)
        for other in (0.0, 2 / beta):
            differ(slope(other), torch.zeros(4), by=1e-2)


@contract.optimum("The best answers alone: the law of who comes first")
def best_alone(method: Any) -> None:
    r"""Without a ranking term the loss is least at the law of the first places, which follows from the enumeration."""
    places, chances = sheets()
    first = torch.zeros(4).index_add(0, places[:, 0], chances)

    def slope(law: Tensor) -> Tensor:
        theta = leaf(law.log())
        logps = theta.log_softmax(0)[places]
        grades = torch.tensor([2.0, 1.0, 0.0]).expand(places.shape)
        return gradients(chances * method.best_likelihood_loss(logps, grades), theta)[0]

    close(slope(first), [0] * 4, tol=1e-9)
    differ(slope(torch.tensor([float(p) for p in LAW])), torch.zeros(4), by=0.05)
