r"""Contract of NLPO's mask, of the restricted policy, and of how a table is read along an answer.

The worked mask has two prefixes with probabilities $\frac1{10}, \frac12, \frac3{10}, \frac1{10}$ and
$\frac7{10}, \frac1{10}, \frac1{20}, \frac3{20}$, the last of the four tokens being the end.
"""

from __future__ import annotations

from math import inf, log
from types import SimpleNamespace
from typing import Any

import torch

from reference_impls.contracts import Contract, close, gradients, leaf
from reference_impls.core.space import SequenceSpace

contract = Contract(
    module="reference_impls.policy_gradient.nlpo", functions=("top_p_mask", "restricted", "along")
)
contract.equivalent(
    "top_p_mask: torch.zeros_like(logps, dtype=torch.bool) -> torch.ones_like(logps, dtype=torch.bool) #1",
    "every place is written over",
)

LAW = ((0.1, 0.5, 0.3, 0.1), (0.7, 0.1, 0.05, 0.15))


@contract.worked("Masks for several p")
def kept(nlpo: Any) -> None:
    r"""First prefix, likeliest first: $\frac12$, then $\frac3{10}$ with $\frac12$ before it. At $p = 0.6$ both
    are kept ($0 \le p$, $0.5 \le p$), the next has 0.8 before it; at $p = 0.4$ the first alone. Second prefix:
    $0.7$ before the end, $0.85$ before the second token. Without an end token its place is a token like any
    other.
    """
    logps = torch.tensor(LAW).log()
    close(nlpo.top_p_mask(logps, 0.6, 3).double(), [[0, 1, 1, 1], [1, 0, 0, 1]])
    close(nlpo.top_p_mask(logps, 0.4, None).double(), [[0, 1, 0, 0], [1, 0, 0, 0]])
    close(nlpo.top_p_mask(logps, 0.75, None).double(), [[0, 1, 1, 0], [1, 0, 0, 1]])
    close(nlpo.top_p_mask(logps, 0.9, None).double()[1], [1, 1, 0, 1])
    close(nlpo.top_p_mask(logps, 0.4, 0).double(), [[1, 1, 0, 0], [1, 0, 0, 0]])


@contract.limit("p of 0 and of 1")
def ends(nlpo: Any) -> None:
    r"""At 0 the likeliest token is kept, which has nothing before it; at 1 all are. A token with exactly $p$
    before it is kept: $\frac12, \frac12$ at $p = \frac12$.
    """
    logps = torch.tensor(LAW).log()
    close(nlpo.top_p_mask(logps, 0.0, None).double(), [[0, 1, 0, 0], [1, 0, 0, 0]])
    close(nlpo.top_p_mask(logps, 1.0, None).double(), torch.ones(2, 4))
    close(nlpo.top_p_mask(torch.tensor([0.5, 0.5]).log(), 0.5, None).double(), [1, 1])


@contract.worked("The restricted policy")
def restriction(nlpo: Any) -> None:
    r"""$\frac12$ and $\frac3{10}$ and the end's $\frac1{10}$ share $\frac9{10}$: $\frac59, \frac39, \frac19$.
    The gradient of the first's log-probability is $1 - \frac59$ for itself, $-\frac39$ and $-\frac19$ for the
    others, and none for the masked token.
    """
    logits = leaf([log(p) for p in LAW[0]])
    found = nlpo.restricted(logits, torch.tensor([False, True, True, True]))
    close(found.exp(), [0, 5 / 9, 3 / 9, 1 / 9])
    close(gradients(found[1], logits)[0], [0, 4 / 9, -3 / 9, -1 / 9])
    close(nlpo.restricted(logits, torch.ones(4, dtype=torch.bool)).exp(), LAW[0])
    keep = torch.tensor([[True, True, False, False], [False, False, False, True]])
    close(nlpo.restricted(torch.tensor(LAW).log(), keep).exp(), [[1 / 6, 5 / 6, 0, 0], [0, 0, 0, 1]])


@contract.invariant("The order of tokens, and what masked tokens say")
def order(nlpo: Any) -> None:
    r"""Masks move with their tokens, and a masked token's logit changes nothing, be it infinite."""
    logps = torch.tensor(LAW).log()
    close(
        nlpo.top_p_mask(logps.flip(-1), 0.6, None).double(),
        nlpo.top_p_mask(logps, 0.6, None).flip(-1).double(),
    )
    keep = torch.tensor([True, True, False, True])
    for filler in (5.0, -inf, inf):
        changed = logps[0].clone()
        changed[2] = filler
        close(nlpo.restricted(changed, keep), nlpo.restricted(logps[0], keep))


@contract.worked("Reading a table along answers")
def reading(nlpo: Any) -> None:
    r"""Two symbols, an end token (3) and four tokens at most; two prompts. The table of level $t$ numbers the
    prefixes of each prompt, 10 apart for the second prompt and 100 apart by level. The answer $2, 1, 2$ passes
    the empty prefix, $(2)$, which is second, and $(2, 1)$, third of four. After an end or padding the first
    prefix stands in.
    """
    space = SequenceSpace(2, 4)
    levels = [
        torch.stack([100.0 * t + 10.0 * p + torch.arange(2.0**t) for p in range(2)])[..., None]
        for t in range(4)
    ]
    tokens = torch.tensor(
        [[2, 1, 2, 1], [2, 1, 2, 3], [1, 2, 1, 3], [1, 2, 3, 0], [2, 2, 1, 2], [3, 0, 0, 0], [2, 3, 0, 0]]
    )
    rows = torch.tensor([0, 1, 0, 0, 0, 1, 1])
    expected = [
        [0, 101, 202, 305],
        [10, 111, 212, 315],
        [0, 100, 201, 302],
        [0, 100, 201, 300],
        [0, 101, 203, 306],
        [10, 110, 210, 310],
        [10, 111, 210, 310],
    ]
    close(nlpo.along(space, levels, rows, tokens).squeeze(-1), expected)


@contract.broken("A masked token is gone for good as long as the mask stays")
def gone(nlpo: Any) -> None:
    r"""However good a masked token is, no gradient reaches it: an optimum outside the mask cannot be
    approached. With the reference as the mask at $p = 0.4$ three of four tokens have probability 0 whatever the
    logits.
    """
    keep = nlpo.top_p_mask(torch.tensor(LAW[0]).log(), 0.4, None)
    logits = leaf([9.0, 0.0, 9.0, 9.0])
    law = nlpo.restricted(logits, keep).exp()
    close(law, [0, 1, 0, 0])
    close(gradients(law[1], logits)[0], torch.zeros(4))


@contract.relation("A new mask is the one that the next answers are restricted to")
def renewal(nlpo: Any) -> None:
    r"""One prompt, one token of three (two symbols and the end), each with a third. The first mask keeps the
    end alone, the second the first symbol and the end: after the renewal these have a half each.
    """
    policy = SimpleNamespace(
        space=SequenceSpace(2, 1), level_logps=lambda prompts: [torch.full((1, 1, 3), -log(3))]
    )
    prompts = torch.tensor([[4, 5]])
    masked = nlpo.MaskedPolicy(policy, prompts, [torch.tensor([[[False, False, True]]])])
    close(masked.level_logps(prompts)[0].exp(), [[[0, 0, 1]]])
    masked.renew([torch.tensor([[[True, False, True]]])])
    close(masked.level_logps(prompts)[0].exp(), [[[1 / 2, 0, 1 / 2]]])
