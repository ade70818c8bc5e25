r"""Contract of ReST's thresholds and of the law that perfect rounds end at.

The worked law has two prompts, with probabilities $\frac12, \frac14, \frac14$ of rewards $0, 1, 2$, and $\frac14,
\frac14, \frac12$ of rewards $\frac12, \frac32, 3$. From above, with each prompt half of all: 3 ($\frac14$), 2
($\frac18$, together $\frac38$), $\frac32$ ($\frac18$, together $\frac12$).
"""

from __future__ import annotations

from typing import Any

import torch

from reference_impls.contracts import Contract, close, raises

contract = Contract(module="reference_impls.filtering.rest", functions=("shares", "selected", "restricted"))

contract.equivalent(
    "restricted: mass < share - 1e-09 -> mass <= share - 1e-09 #1",
    "The two differ only where a sum of probabilities hits the guarded share to the last bit.",
)
contract.equivalent(
    "restricted: law * above -> -(law * above) #1",
    "The sign cancels when the law is normalised.",
)

LAW = ((1 / 2, 1 / 4, 1 / 4), (1 / 4, 1 / 4, 1 / 2))
REWARD = ((0.0, 1.0, 2.0), (0.5, 1.5, 3.0))


@contract.worked("Thresholds that rise")
def rising(rest: Any) -> None:
    r"""From a half to a fifth in three steps: $0.5, 0.35, 0.2$; in two; in one, the last alone."""
    close(rest.shares(0.5, 0.2, 3), [0.5, 0.35, 0.2])
    close(rest.shares(0.5, 0.2, 2), [0.5, 0.2])
    close(rest.shares(0.5, 0.2, 1), [0.2])
    close(rest.shares(1.0, 0.4, 4), [1.0, 0.8, 0.6, 0.4])
    close(rest.shares(0.3, 0.3, 2), [0.3, 0.3])


@contract.limit("Selections that do not become stricter")
def refused(rest: Any) -> None:
    r"""A share that rises, nothing at all, or more than all."""
    for first, last in ((0.2, 0.5), (0.5, 0.0), (1.1, 0.5), (0.5, -0.1)):
        raises(ValueError, rest.shares, first, last, 3)


@contract.worked("The best share of a batch")
def best(rest: Any) -> None:
    r"""Of five answers two fifths are the best two, and three tenths round to the best two as well; a tenth is still
    one; all are all.
    """
    rewards = torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0])
    for share, wanted in (
        (0.4, [0, 0, 0, 1, 1]),
        (0.35, [0, 0, 0, 1, 1]),
        (0.05, [0, 0, 0, 1, 0]),
        (0.2, [0, 0, 0, 1, 0]),
        (1.0, [1, 1, 1, 1, 1]),
    ):
        close(rest.selected(rewards, share), wanted)


@contract.worked("The law above a threshold common to all prompts")
def law(rest: Any) -> None:
    r"""A half: the threshold is $\frac32$, so $0, 0, 1$ and $0, \frac13, \frac23$. Three eighths: 2, so the third
    answers alone. Everything: the law itself.
    """
    probabilities, rewards = torch.tensor(LAW), torch.tensor(REWARD)
    close(rest.restricted(probabilities, rewards, 0.5), [[0, 0, 1], [0, 1 / 3, 2 / 3]])
    close(rest.restricted(probabilities, rewards, 3 / 8), [[0, 0, 1], [0, 0, 1]])
    close(rest.restricted(probabilities, rewards, 1.0), LAW)
    close(rest.restricted(probabilities, rewards, 0.7), [[0, 1 / 2, 1 / 2], [1 / 4, 1 / 4, 1 / 2]])


@contract.worked("Shares that rounding just misses")
def rounding(rest: Any) -> None:
    r"""Ten equally likely answers: eight tenths add up to a little less than 0.8, and are still eight answers."""
    even, rewards = torch.full((1, 10), 0.1), torch.arange(10.0)[None]
    close(rest.restricted(even, rewards, 0.8), [[0, 0] + [1 / 8] * 8])


@contract.limit("A prompt of which nothing is good enough")
def hopeless(rest: Any) -> None:
    r"""A quarter: only the answer of reward 3 is above. The other prompt keeps its best answer, where training would
    see none of it.
    """
    close(rest.restricted(torch.tensor(LAW), torch.tensor(REWARD), 1 / 4), [[0, 0, 1], [0, 0, 1]])


@contract.invariant("Any increasing function of all rewards")
def monotone(rest: Any) -> None:
    r"""Only the order counts, over all prompts together."""
    probabilities, rewards = torch.tensor(LAW), torch.tensor(REWARD)
    for change in (rewards.exp(), 10 * rewards - 3):
        close(rest.restricted(probabilities, change, 0.5), rest.restricted(probabilities, rewards, 0.5))
        close(rest.selected(change.flatten(), 0.5), rest.selected(rewards.flatten(), 0.5))


@contract.broken("A constant added to one prompt's rewards")
def level(rest: Any) -> None:
    r"""The threshold is common to all: an easy prompt fills the selection. Five more for the first prompt's rewards,
    and a half of all mass is that prompt untouched, with the best of the other.
    """
    rewards = torch.tensor(REWARD) + torch.tensor([[5.0], [0.0]])
    close(rest.restricted(torch.tensor(LAW), rewards, 0.5), [LAW[0], [0, 0, 1]])


@contract.relation("Two rounds at a half are one at a quarter")
def rounds(rest: Any) -> None:
    r"""Four equally likely answers: the best two, then the best one."""
    even, rewards = torch.full((1, 4), 1 / 4), torch.tensor([[0.0, 3.0, 1.0, 2.0]])
    once = rest.restricted(even, rewards, 0.5)
    close(once, [[0, 1 / 2, 0, 1 / 2]])
    close(rest.restricted(once, rewards, 0.5), rest.restricted(even, rewards, 0.25))


@contract.relation("Ties are kept together")
def ties(rest: Any) -> None:
    r"""More than the share is kept where the threshold falls among equals."""
    close(rest.selected(torch.tensor([1.0, 1.0, 0.0, 1.0]), 0.25), [1, 1, 0, 1])
    close(
        rest.restricted(torch.full((1, 4), 1 / 4), torch.tensor([[1.0, 1.0, 0.0, 1.0]]), 0.25),
        [[1 / 3, 1 / 3, 0, 1 / 3]],
    )
