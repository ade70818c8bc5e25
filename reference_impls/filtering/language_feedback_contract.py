r"""Contract of ILF's refinements and of their selection. Symbols are 1, 2 and 3, 4 ends an answer, 0 is padding."""

from __future__ import annotations

from math import inf, log
from typing import Any

import torch

from reference_impls.contracts import Contract, close

contract = Contract(
    module="reference_impls.filtering.language_feedback", functions=("rewritten", "selected", "supplied")
)

ANSWERS = torch.tensor([[1, 2, 3], [1, 2, 4], [3, 4, 0]])


@contract.worked("A critique taken up, one that is not, and praise")
def taken_up(ilf: Any) -> None:
    r"""3 is written at place 1 of the first answer; the second refinement ignores the critique; nothing was wrong with
    the third.
    """
    places, symbols = torch.tensor([1, 0, -1]), torch.tensor([3, 2, 0])
    better = ilf.rewritten(ANSWERS, places, symbols, torch.tensor([True, False, True]))
    close(better, [[1, 3, 3], [1, 2, 4], [3, 4, 0]])


@contract.worked("Several refinements at once")
def several(ilf: Any) -> None:
    r"""The same with a dimension more: answers (2, 2, 3), the rest (2, 2)."""
    answers = ANSWERS[:2, None].expand(2, 2, 3)
    places, symbols = torch.tensor([[0, 0], [1, 1]]), torch.tensor([[2, 2], [1, 1]])
    better = ilf.rewritten(answers, places, symbols, torch.tensor([[True, False], [False, True]]))
    close(better, [[[2, 2, 3], [1, 2, 3]], [[1, 2, 4], [1, 1, 4]]])


@contract.worked("The first candidate that differs where it should")
def first_better(ilf: Any) -> None:
    r"""Of the first answer's three the second takes up the critique of place 1, of the second answer's the third
    that of place 0; a change anywhere else does not count.
    """
    candidates = torch.tensor([[[3, 2, 3], [1, 3, 3], [1, 1, 3]], [[1, 2, 4], [1, 3, 4], [2, 2, 4]]])
    close(ilf.selected(candidates, ANSWERS[:2], torch.tensor([1, 0])), [[1, 3, 3], [2, 2, 4]])


@contract.limit("Nothing to choose by")
def no_choice(ilf: Any) -> None:
    r"""No candidate takes up the critique, or nothing was criticised: the first candidate."""
    candidates = torch.tensor([[[1, 2, 3], [1, 2, 1]], [[1, 2, 4], [3, 2, 4]]])
    close(ilf.selected(candidates, ANSWERS[:2], torch.tensor([1, -1])), [[1, 2, 3], [1, 2, 4]])
    close(ilf.selected(candidates[:, :1], ANSWERS[:2], torch.tensor([0, 0])), [[1, 2, 3], [1, 2, 4]])


@contract.relation("Selection among n refinements of skill s")
def chance(ilf: Any) -> None:
    r"""All $2^3$ patterns of three refinements, each taking up the critique with probability $\frac14$: the selected
    one does in $1 - (\frac34)^3 = \frac{37}{64}$ of the cases.
    """
    total = 0.0
    for pattern in range(8):
        taken = torch.tensor([[bool(pattern >> i & 1) for i in range(3)]])
        shape = (1, 3)
        candidates = ilf.rewritten(
            ANSWERS[:1, None].expand(1, 3, 3),
            torch.full(shape, 2),
            torch.full(shape, 1),
            taken,
        )
        kept = ilf.selected(candidates, ANSWERS[:1], torch.tensor([2]))
        total += 0.25 ** int(taken.sum()) * 0.75 ** int(3 - taken.sum()) * float(kept[0, 2] == 1)
    close(torch.tensor(total), 37 / 64)


@contract.worked("A symbol supplied by the reference")
def only_one(ilf: Any) -> None:
    r"""Neither the old symbol nor the end may come: of $(\frac12, \frac14, 0, \frac14)$ with 1 there before, only 2 is
    left; of $(0, \frac12, \frac14, \frac14)$ with 2, only 3.
    """
    law = torch.tensor(
        [[log(1 / 2), log(1 / 4), -inf, log(1 / 4)], [-inf, log(1 / 2), log(1 / 4), log(1 / 4)]]
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        close(ilf.supplied(law, torch.tensor([1, 2]), generator), [2, 3])
    given = ilf.supplied(law[:1], torch.tensor([0]), generator)
    close(given, [2])


@contract.relation("In the reference's proportions")
def proportions(ilf: Any) -> None:
    r"""Of $(\frac15, \frac25, \frac15, \frac15)$ with 1 there before: 2 in $\frac23$ of the cases and 3 in $\frac13$;
    4,000 draws differ from that by less than 0.03.
    """
    law = torch.tensor([0.2, 0.4, 0.2, 0.2]).log().expand(4000, 4)
    drawn = ilf.supplied(law, torch.ones(4000, dtype=torch.long), torch.Generator().manual_seed(1))
    close((drawn == 2).double().mean(), 2 / 3, tol=0.03)
    close((drawn == 3).double().mean(), 1 / 3, tol=0.03)
