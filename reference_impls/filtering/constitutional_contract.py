r"""Contract of Constitutional AI: what breaks a principle, what a revision writes, and the law of revised answers.

The toy has two symbols and an end, answers of at most two tokens: $E$, $1E$, $2E$, $11$, $12$, $21$, $22$ in this
order, where $E$ ends an answer. "No symbol 1" is broken by $1E$, $11$ (twice), $12$ and $21$; the only thing that a
revision can write is 2.
"""

from __future__ import annotations

from math import inf, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, raises

contract = Contract(
    module="reference_impls.filtering.constitutional",
    functions=("broken", "rewriting", "revised_law", "preference"),
)

contract.equivalent(
    "broken: pad(forbidden, (1, 1)) -> pad(forbidden, (1, 2)) #1",
    "no token is larger than the end, which is one more than the symbols",
)
contract.equivalent(
    "revised_law: named.sum(-1) -> named.mean(-1) #1", "both are 0 exactly where no token offends"
)
contract.equivalent(
    "revised_law: moved.index_add_(1, becomes.flatten(), mass.flatten(1)) -> "
    "moved.index_add_(-1, becomes.flatten(), mass.flatten(1)) #1",
    "the second axis is the last",
)

TOKENS = torch.tensor([[3, 0], [1, 3], [2, 3], [1, 1], [1, 2], [2, 1], [2, 2]])
NO_1 = torch.tensor([True, False])
NO_2 = torch.tensor([False, True])
BECOMES = torch.tensor(
    [
        [[0, 0], [0, 0]],
        [[1, 2], [1, 1]],
        [[1, 2], [2, 2]],
        [[3, 5], [3, 4]],
        [[4, 6], [3, 4]],
        [[3, 5], [5, 6]],
        [[4, 6], [5, 6]],
    ]
)
"""The place of each answer after each of its tokens has been made a 1 or a 2; ends and padding stay."""
LAW = torch.tensor([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1]], dtype=torch.float64)


@contract.worked("Tokens that break a principle")
def offences(cai: Any) -> None:
    r"""Each 1 of an answer, neither ends nor padding; each 2 by the other principle."""
    ones = [[0, 0], [1, 0], [0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
    close(cai.broken(TOKENS, NO_1.expand(7, 2)), ones)
    twos = [[0, 0], [0, 0], [1, 0], [0, 0], [0, 1], [1, 0], [1, 1]]
    close(cai.broken(TOKENS, NO_2.expand(7, 2)), twos)
    mixed = torch.stack([NO_1, NO_2] * 3 + [NO_1])
    close(cai.broken(TOKENS, mixed), [[0, 0], [0, 0], [0, 0], [0, 0], [1, 0], [1, 0], [0, 0]])


@contract.worked("What a revision writes")
def writes(cai: Any) -> None:
    r"""Next tokens 1, 2 and 3 with $\frac12, \frac18, \frac14$ and an end with the rest, left out: without 1 they are
    $\frac18 : \frac14$, so $\frac13$ and $\frac23$; without 2, $\frac23$ and $\frac13$; with nothing forbidden
    $\frac47, \frac17, \frac27$.
    """
    law = torch.tensor([[1 / 2, 1 / 8, 1 / 4]] * 3)
    forbidden = torch.tensor([[True, False, False], [False, True, False], [False, False, False]])
    close(cai.rewriting(law, forbidden), [[0, 1 / 3, 2 / 3], [2 / 3, 0, 1 / 3], [4 / 7, 1 / 7, 2 / 7]])


@contract.limit("A principle that forbids everything")
def nothing_left(cai: Any) -> None:
    r"""It cannot be followed, and one of several raises; all but one symbol forbidden leaves that one for sure."""
    law = torch.tensor([[1 / 2, 1 / 4], [1 / 2, 1 / 4]])
    raises(ValueError, cai.rewriting, law, torch.tensor([[True, False], [True, True]]))
    close(cai.rewriting(law[:1], torch.tensor([[True, False]])), [[0, 1]])


def once(cai: Any, law: Tensor, *principles: Tensor) -> Tensor:
    """One revision of the toy by principles that each leave one symbol."""
    breaks = torch.stack([cai.broken(TOKENS, row.expand(7, 2)) for row in principles])
    writes = torch.stack([(~row).double().expand(len(law), 7, 2, 2) for row in principles])
    result: Tensor = cai.revised_law(law, breaks, writes, BECOMES)
    return result


@contract.worked("One revision by one principle")
def one_principle(cai: Any) -> None:
    r"""$1E$ (0.2) becomes $2E$; $11$ (0.2) becomes $21$ or $12$, half each; $12$ and $21$ become $22$. So
    $0.1, 0, 0.3, 0, 0.1, 0.1, 0.4$.
    """
    close(once(cai, LAW, NO_1), [[0.1, 0, 0.3, 0, 0.1, 0.1, 0.4]])


@contract.worked("Two prompts, and writing that depends on the prompt")
def two_prompts(cai: Any) -> None:
    r"""Three symbols' worth of choice is not needed: let a revision of the second prompt put 1 back in a third of
    cases. Of $1E$ a third stays; of $11$ half of $\frac23$ goes either way and a third stays.
    """
    law = LAW.repeat(2, 1)
    breaks = cai.broken(TOKENS, NO_1.expand(7, 2))[None]
    puts = torch.tensor([[0.0, 1.0], [1 / 3, 2 / 3]], dtype=torch.float64)
    writes = puts[None, :, None, None, :].expand(1, 2, 7, 2, 2)
    found = cai.revised_law(law, breaks, writes, BECOMES)
    close(found[0], [0.1, 0, 0.3, 0, 0.1, 0.1, 0.4])
    third = 0.2 / 3
    close(
        found[1],
        [0.1, third, 0.1 + 2 * third, third, third + 0.1 / 3, third + third, 0.1 + (0.1 + 0.2) * 2 / 3],
    )


@contract.worked("A principle drawn at random")
def two_principles(cai: Any) -> None:
    r"""Half of the revisions follow "no symbol 1", half "no symbol 2": the mean of both laws. By the second alone
    $2E \to 1E$, $22 \to 12$ or $21$, and $12, 21 \to 11$: $0.1, 0.3, 0, 0.5, 0.05, 0.05, 0$.
    """
    first, second = once(cai, LAW, NO_1), once(cai, LAW, NO_2)
    close(second, [[0.1, 0.3, 0, 0.5, 0.05, 0.05, 0]])
    close(once(cai, LAW, NO_1, NO_2), (first + second) / 2)
    breaks = torch.stack([cai.broken(TOKENS, row.expand(7, 2)) for row in (NO_1, NO_2)])
    raises(ValueError, cai.revised_law, LAW, breaks, (~NO_1).double().expand(1, 1, 7, 2, 2), BECOMES)


@contract.invariant("Nothing is lost, and what keeps the principle stays")
def conserved(cai: Any) -> None:
    r"""The law sums to 1 after any number of revisions, and its mass on answers without a 1 never falls. Two revisions
    remove every 1, after which nothing changes.
    """
    law, kept = LAW, -inf
    for _ in range(3):
        law = once(cai, law, NO_1)
        close(law.sum(), 1)
        assert float(law[0, [0, 2, 6]].sum()) >= kept
        kept = float(law[0, [0, 2, 6]].sum())
    close(law, [[0.1, 0, 0.3, 0, 0, 0, 0.6]])
    close(once(cai, law, NO_1), law)


@contract.broken("Revision is not the reference given that the principle is kept")
def not_conditioned(cai: Any) -> None:
    r"""Conditioned on no 1 the law is $\frac13$ each on $E$, $2E$, $22$. Revised it is $0.1, 0.3, 0.6$: a token is
    mended where it stands, the length stays, and what follows is not written anew.
    """
    revised = once(cai, once(cai, LAW, NO_1), NO_1)
    given = LAW * torch.tensor([1, 0, 1, 0, 0, 0, 1])
    differ(revised, given / given.sum(), by=0.2)


@contract.worked("The judge's probability")
def judged(cai: Any) -> None:
    r"""Shares $\frac12$ and $0$ at $\kappa = 2\log 3$: $\sigma(-\log 3) = \frac14$ for the first, which breaks the
    principle; $\frac34$ the other way round; alike $\frac12$.
    """
    first, second = torch.tensor([0.5, 0.0, 0.3]), torch.tensor([0.0, 0.5, 0.3])
    close(cai.preference(first, second, 2 * log(3)), [1 / 4, 3 / 4, 1 / 2])


@contract.relation("The answers exchanged")
def exchanged(cai: Any) -> None:
    r"""$q$ becomes $1 - q$; without sharpness it is $\frac12$ for everything."""
    first, second = torch.tensor([0.5, 0.2]), torch.tensor([0.1, 0.9])
    close(cai.preference(second, first, 3.0), 1 - cai.preference(first, second, 3.0))
    close(cai.preference(first, second, 0.0), [0.5, 0.5])
