r"""Contract of how demonstrations are counted, chosen and renamed.

Words that can be keys are marked by booleans; there are three labels and, here, four words.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch

from reference_impls.contracts import Contract, close

contract = Contract(
    module="reference_impls.in_context.demonstrations",
    functions=("possibilities", "least_ambiguous", "renamed"),
)

WIDE = [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
NARROW = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]


@contract.worked("How many assignments of keys agree with the prompt")
def count(demonstrations: Any) -> None:
    r"""Three words for the first label, two for the second, one for the third: $\log 6$. One, one and two: $\log 2$.
    A single task, and two at once.
    """
    both = torch.tensor([WIDE, NARROW]).bool()
    close(demonstrations.possibilities(both), [log(6), log(2)])
    close(demonstrations.possibilities(both[0]), log(6))


@contract.limit("A prompt that says everything, and one that contradicts itself")
def ends(demonstrations: Any) -> None:
    r"""One word for each label: $N = 1$. A label that no word fits: $N = 0$, as with random labels."""
    certain = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]).bool()
    close(demonstrations.possibilities(certain), 0)
    certain[0, 0] = False
    close(demonstrations.possibilities(certain), -float("inf"))


@contract.worked("The set that leaves the fewest possibilities, for each task")
def fewest(demonstrations: Any) -> None:
    r"""Two sets for three tasks: the second, the first, and the first of two that are alike."""
    found = torch.tensor([[log(6), log(2), log(3)], [log(2), log(4), log(3)]])
    close(demonstrations.least_ambiguous(found), [1, 0, 0])


@contract.worked("Labels renamed alike")
def cycle(demonstrations: Any) -> None:
    r"""$0 \to 1 \to 2 \to 0$: nobody keeps a label, and texts of one label still share one. Three times is nothing."""
    labels = torch.tensor([[0, 1, 2, 2], [1, 0, 0, 2]])
    close(demonstrations.renamed(labels), [[1, 2, 0, 0], [2, 1, 1, 0]])
    thrice = labels
    for _ in range(3):
        thrice = demonstrations.renamed(thrice)
    close(thrice, labels)


@contract.invariant("The order of labels and of words")
def order(demonstrations: Any) -> None:
    r"""The count is a product of sizes."""
    words = torch.tensor(WIDE).bool()
    for other in (words.flip(0), words.flip(1), words[[1, 2, 0]]):
        close(demonstrations.possibilities(other), log(6))
