r"""Contract of outcome and process reward models.

Two derivations of two and of three steps have the probabilities $\frac34, \frac14, \cdot$ and
$\frac12, \frac34, \frac14$ of being right, so the logits $\log 3, -\log 3$ and $0, \log 3, -\log 3$; dots are padding.
"""

from __future__ import annotations

from math import comb, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.reward_models.process_rewards",
    functions=("step_loss", "last_step", "estimated", "derivation_scores", "first_below", "location_f1"),
)

MASK = ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0))
LABELS = ((1.0, 0.0, 0.0), (1.0, 0.5, 0.0))
L3 = log(3)


def logits(filler: float = 0.7) -> Tensor:
    """Of the two derivations, with something on padding."""
    return leaf([[L3, -L3, filler], [0.0, L3, -L3]])


def mask() -> Tensor:
    """1 on real steps."""
    return torch.tensor(MASK)


@contract.worked("Losses and gradients, soft labels among them")
def losses(prm: Any) -> None:
    r"""Labels $1, 0$: $\log\frac43 + \log\frac43$. Labels $1, \frac12, 0$:
    $\log 2 + \frac12\log\frac43 + \frac12\log 4 + \log\frac43$. The gradient by a logit is $p - c$:
    $-\frac14, \frac14$ and $-\frac12, \frac14, \frac14$; padding gets none.
    """
    values = logits()
    loss = prm.step_loss(values, torch.tensor(LABELS), mask())
    close(loss, [2 * log(4 / 3), log(2) + 1.5 * log(4 / 3) + 0.5 * log(4)])
    close(gradients(loss, values)[0], [[-1 / 4, 1 / 4, 0], [-1 / 2, 1 / 4, 1 / 4]])


@contract.worked("Steps after the first wrong one have no label")
def unjudged(prm: Any) -> None:
    r"""With only the first step judged: $\log\frac43$ and $\log 2$. What is written as label or predicted on the
    other steps does not matter, not even if it is no number.
    """
    judged = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    for filler in (0.3, nan, inf):
        values = leaf([[L3, filler, filler], [0.0, filler, filler]])
        labels = torch.tensor([[1.0, filler, filler], [0.0, filler, filler]])
        loss = prm.step_loss(values, labels, judged)
        close(loss, [log(4 / 3), log(2)])
        close(gradients(loss, values)[0], [[-1 / 4, 0, 0], [1 / 2, 0, 0]])


@contract.limit("No step is judged")
def nothing(prm: Any) -> None:
    r"""The loss is 0 and so is its gradient."""
    values = logits()
    loss = prm.step_loss(values, torch.ones(2, 3), torch.zeros(2, 3))
    close(loss, [0, 0])
    close(gradients(loss, values)[0], torch.zeros(2, 3))


@contract.worked("Which step is the last")
def last(prm: Any) -> None:
    r"""The second of two, the third of three, the only one; of nothing, none."""
    many = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    wanted = [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]
    close(prm.last_step(many), wanted)
    close(prm.last_step(many.view(2, 2, 3)), torch.tensor(wanted).view(2, 2, 3))


@contract.worked("Labels from completions")
def estimates(prm: Any) -> None:
    r"""Of 4 completions 0, 1, 2 and 4 pass: soft $0, \frac14, \frac12, 1$; hard $0, 1, 1, 1$."""
    passed = torch.tensor([0.0, 1.0, 2.0, 4.0])
    close(prm.estimated(passed, 4, "soft"), [0, 1 / 4, 1 / 2, 1])
    close(prm.estimated(passed, 4, "hard"), [0, 1, 1, 1])
    assert prm.estimated(passed, 4, "hard").dtype == passed.dtype
    raises(ValueError, prm.estimated, passed, 4, "firm")


def mean_label(prm: Any, value: float, n: int, how: str) -> float:
    """Expected label of a beginning with this value, over all numbers of completions that pass."""
    chances = torch.tensor([comb(n, k) * value**k * (1 - value) ** (n - k) for k in range(n + 1)])
    return float((chances * prm.estimated(torch.arange(n + 1.0), n, how)).sum())


@contract.relation("What the estimates estimate")
def means(prm: Any) -> None:
    r"""Over all outcomes of $N$ completions, with their binomial probabilities: soft labels have mean $V$ whatever
    $N$; hard ones $1 - (1 - V)^N$, at $V = \frac14$: $\frac14, \frac7{16}, \frac{175}{256}$ for $N = 1, 2, 4$.
    """
    for n, hard in ((1, 1 / 4), (2, 7 / 16), (4, 175 / 256)):
        close(mean_label(prm, 0.25, n, "soft"), 0.25)
        close(mean_label(prm, 0.25, n, "hard"), hard)


@contract.limit("Endless completions")
def endless(prm: Any) -> None:
    r"""Hard labels tell what can still pass from what cannot, soft ones do not: at $V = \frac1{10}$ with 200
    completions the mean hard label is 1 up to $10^{-9}$, at $V = 0$ it is 0.
    """
    close(mean_label(prm, 0.1, 200, "hard"), 1.0)
    close(mean_label(prm, 0.1, 200, "soft"), 0.1)
    close(mean_label(prm, 0.0, 200, "hard"), 0.0)


@contract.worked("A derivation's score, read in three ways")
def readings(prm: Any) -> None:
    r"""Last: $\frac14$ and $\frac14$. Product: $\frac3{16}$ and $\frac12\cdot\frac34\cdot\frac14 = \frac3{32}$. Least:
    $\frac14$ and $\frac14$; with the steps turned round the last is $\frac34$ and $\frac12$.
    """
    close(prm.derivation_scores(logits(), mask(), "last"), [log(1 / 4), log(1 / 4)])
    close(prm.derivation_scores(logits(), mask(), "product"), [log(3 / 16), log(3 / 32)])
    close(prm.derivation_scores(logits(), mask(), "min"), [log(1 / 4), log(1 / 4)])
    turned = torch.tensor([[-L3, L3, 0.0], [-L3, L3, 0.0]])
    close(prm.derivation_scores(turned, mask(), "last"), [log(3 / 4), log(1 / 2)])
    close(prm.derivation_scores(turned, mask(), "min"), [log(1 / 4), log(1 / 4)])
    raises(ValueError, prm.derivation_scores, turned, mask(), "mean")


@contract.invariant("Padding")
def padding(prm: Any) -> None:
    r"""What is predicted on padding changes neither loss nor score, in none of the readings."""
    for filler in (-9.0, 9.0, inf, nan):
        values = logits(filler)
        close(prm.step_loss(values, torch.tensor(LABELS), mask())[0], 2 * log(4 / 3))
        for read in ("last", "product", "min"):
            close(prm.derivation_scores(values, mask(), read), prm.derivation_scores(logits(), mask(), read))


@contract.broken("A longer derivation of equally good steps")
def longer(prm: Any) -> None:
    r"""Two and three steps with $\frac34$ each: the last and the least do not see the difference, the product falls
    from $\frac9{16}$ to $\frac{27}{64}$. Read as a product the model prefers short derivations.
    """
    values = torch.full((2, 3), L3)
    close(prm.derivation_scores(values, mask(), "product"), [log(9 / 16), log(27 / 64)])
    for read in ("last", "min"):
        close(prm.derivation_scores(values, mask(), read), [log(3 / 4), log(3 / 4)])


@contract.worked("Where the first wrong step is")
def located(prm: Any) -> None:
    r"""Below $\frac12$ for the first time at place 1, 0 and never (3, also where padding is lower); a value equal to
    the threshold is not below it.
    """
    values = torch.tensor([[0.9, 0.2, 0.1], [0.4, 0.9, 0.9], [0.9, 0.5, 0.8], [0.9, 0.9, 0.0]])
    real = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    close(prm.first_below(values, real, 0.5), [1, 0, 3, 3])
    close(prm.first_below(values, real, 0.55), [1, 0, 1, 3])


LAW = ((0.4, 0.2, 0.2, 0.2),)
WHOLE = ((1.0, 1.0, 0.0, 0.0),)
TRUE = ((3, 3, 0, 1),)


@contract.worked("Harmonic mean of the two accuracies")
def harmonic(prm: Any) -> None:
    r"""Two sound derivations with mass 0.4 and 0.2, of which the first is found sound: $\frac23$. Two wrong ones with
    0.2 each, of which one is located: $\frac12$. $2 \cdot \frac23 \cdot \frac12 / \frac76 = \frac47$. With the
    second instead of the first found sound, $2 \cdot \frac13 \cdot \frac12 / \frac56 = \frac25$.
    """
    law, whole, true = torch.tensor(LAW), torch.tensor(WHOLE), torch.tensor(TRUE)
    close(prm.location_f1(torch.tensor([[3, 2, 0, 2]]), true, whole, law), 4 / 7)
    close(prm.location_f1(torch.tensor([[2, 3, 0, 2]]), true, whole, law), 2 / 5)
    close(prm.location_f1(true, true, whole, law), 1.0)


@contract.limit("Calling everything wrong, or everything sound")
def one_answer(prm: Any) -> None:
    r"""One of the two accuracies is 0 and so is the harmonic mean, however good the other is; also if both are 0."""
    law, whole, true = torch.tensor(LAW), torch.tensor(WHOLE), torch.tensor(TRUE)
    for found in ([[0, 0, 0, 1]], [[3, 3, 3, 3]], [[2, 2, 2, 2]]):
        close(prm.location_f1(torch.tensor(found), true, whole, law), 0.0)


@contract.optimum("The loss is least at the mean label")
def optimum(prm: Any) -> None:
    r"""A beginning with $V = \frac14$ and $N = 2$. With soft labels, over $k = 0, 1, 2$ with probabilities
    $\frac9{16}, \frac6{16}, \frac1{16}$, the gradient by the logit vanishes at $p = \frac14$ and nowhere else; with
    hard labels at $p = \frac7{16}$: a model of hard labels is no model of values.
    """
    chances = torch.tensor([9 / 16, 6 / 16, 1 / 16])
    for how, best, other in (("soft", 1 / 4, 7 / 16), ("hard", 7 / 16, 1 / 4)):
        labels = prm.estimated(torch.arange(3.0), 2, how)[:, None]

        def gradient(p: float, labels: Tensor = labels) -> Tensor:
            value = leaf(log(p / (1 - p)))
            loss = prm.step_loss(value.expand(3, 1), labels, torch.ones(3, 1))
            return gradients((chances * loss).sum(), value)[0]

        close(gradient(best), 0.0, tol=1e-9)
        differ(gradient(other), 0.0, by=0.1)


contract.equivalent(
    "step_loss: logits.masked_fill(judged == 0, 0.0) -> logits.masked_fill(judged == 0, 1.0) #1",
    "any finite number will do: the sum leaves these steps out",
)
contract.equivalent(
    "derivation_scores: masked_sum(logs, last_step(mask)) -> masked_mean(logs, last_step(mask)) #1",
    "there is one last step, so that sum and mean are the same",
)
contract.equivalent(
    "derivation_scores: logs.masked_fill(mask == 0, 0.0) -> logs.masked_fill(mask == 0, 1.0) #1",
    "logarithms of probabilities are at most 0, so that neither filler is ever the least",
)
