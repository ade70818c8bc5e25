r"""Contract of the choice of the worst-off group and of the exact max-min optimum of two groups.

The toy has $\pi_{ref} = (\frac12, \frac14, \frac14)$ and $\beta = 1$. Group 0 likes the second answer by $\log 2$,
group 1 the third by $\log 4$.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ

contract = Contract(
    module="reference_impls.policy_gradient.maxmin",
    functions=("worst_off", "group_means", "maxmin_weights"),
)


def tables() -> tuple[Tensor, Tensor]:
    """Reference and rewards of the toy's one prompt: (1, 3), (2, 1, 3)."""
    rewards = torch.tensor([[[0.0, log(2), 0.0]], [[0.0, 0.0, log(4)]]])
    return torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log(), rewards


@contract.worked("All weight on the worst off")
def worst(model: Any) -> None:
    """Of equals the first; negative means count as they are."""
    close(model.worst_off(torch.tensor([0.3, -0.1, 0.2])), [0, 1, 0])
    close(model.worst_off(torch.tensor([0.3, 0.3])), [1, 0])
    close(model.worst_off(torch.tensor([2.0, 0.5])), [0, 1])


@contract.worked("What groups get from the optimum of one weighting")
def means(model: Any) -> None:
    r"""All weight on group 0: weights $\frac12, \frac12, \frac14$ over $\frac54$, so group 0 gets $\frac25\log 2$ and
    group 1 $\frac15\log 4$, the same. On group 1: $\frac12, \frac14, 1$ over $\frac74$: $\frac17\log 2$ and
    $\frac47\log 4$. Half each: $\frac12, \frac14\sqrt2, \frac12$. Twice the $\beta$ halves the exponents.
    """
    reference, rewards = tables()
    close(model.group_means(reference, rewards, torch.tensor([1.0, 0.0]), 1.0), [log(2) * 2 / 5, log(4) / 5])
    close(model.group_means(reference, rewards, torch.tensor([0.0, 1.0]), 1.0), [log(2) / 7, log(4) * 4 / 7])
    part = 1 + 2**0.5 / 4
    close(
        model.group_means(reference, rewards, torch.tensor([0.5, 0.5]), 1.0),
        [log(2) * 2**0.5 / 4 / part, log(4) / 2 / part],
    )
    close(
        model.group_means(reference, 2 * rewards, torch.tensor([0.0, 1.0]), 2.0),
        [2 * log(2) / 7, 2 * log(4) * 4 / 7],
    )


@contract.worked("Means over prompts, with one weighting for all")
def prompts(model: Any) -> None:
    r"""A second prompt where nobody cares halves both means."""
    reference, rewards = tables()
    both = torch.cat([reference, reference])
    twice = torch.cat([rewards, torch.zeros_like(rewards)], 1)
    found = model.group_means(both, twice, torch.tensor([0.0, 1.0]), 1.0)
    close(found, [log(2) / 14, log(4) * 2 / 7])


@contract.worked("Weights at which both fare alike")
def alike(model: Any) -> None:
    r"""Weight $w$ on group 1 gives the liked answers $\frac14 2^{1-w}$ and $\frac14 4^w$. Group 0 gets its share times
    $\log 2$, group 1 its share times $2\log 2$: alike where $2^{1-w} = 2 \cdot 4^w$, that is $w = 0$. If group 0's
    reward is $a \log 2$ with the same answer, alike where $a\,2^{a(1-w)} = 2 \cdot 4^w$: for $a = 2$ at
    $2(1 - w) = 2w$, $w = \frac12$; for $a = 4$, where $1 + 4(1 - w) = 2w$, at $w = \frac56$.
    """
    reference, rewards = tables()
    close(model.maxmin_weights(reference, rewards, 1.0), [1, 0])
    for scale, weight in ((2.0, 1 / 2), (4.0, 5 / 6)):
        louder = torch.stack([scale * rewards[0], rewards[1]])
        found = model.maxmin_weights(reference, louder, 1.0)
        close(found, [1 - weight, weight])
        got = model.group_means(reference, louder, found, 1.0)
        close(got[0], got[1])


@contract.limit("A group that fares worse whatever is done has all the weight")
def ends(model: Any) -> None:
    r"""Group 1's rewards a hundredth, or group 0's: the other one is never the worse off."""
    reference, rewards = tables()
    close(model.maxmin_weights(reference, torch.stack([rewards[0], rewards[1] / 100]), 1.0), [0, 1])
    close(model.maxmin_weights(reference, torch.stack([rewards[0] / 100, rewards[1]]), 1.0), [1, 0])


@contract.relation("Groups have no names")
def names(model: Any) -> None:
    """Exchanged groups exchange their weights."""
    reference, rewards = tables()
    louder = torch.stack([3 * rewards[0], rewards[1]])
    close(
        model.maxmin_weights(reference, louder.flip(0), 1.0),
        model.maxmin_weights(reference, louder, 1.0).flip(0),
    )


@contract.broken("A level of a group's rewards is not free")
def level(model: Any) -> None:
    r"""For any one reward it is. Here group 1 counts as better off by 0.2 and loses weight: what a reward of 0 means
    must be the same for all, which is why rewards are centred under the reference.
    """
    reference, rewards = tables()
    louder = torch.stack([2 * rewards[0], rewards[1]])
    raised = torch.stack([louder[0], louder[1] + 0.2])
    differ(model.maxmin_weights(reference, raised, 1.0), [0.5, 0.5], by=0.05)


@contract.optimum("No law does better by the group that it serves worst")
def best(model: Any) -> None:
    r"""Three answers, $r_0 = (0, 2, -1)$, $r_1 = (1, -2, 1)$, $\beta = \frac12$: the optimum at the found weights
    against 20,000 random laws and mixtures of it with them, by $\min_g \mathbb{E}[r_g] - \beta\,\mathrm{KL}$; it is
    ahead of the optimum of the mean by more than 0.01, which serves one group better.
    """
    reference = torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log()
    rewards = torch.tensor([[[0.0, 2.0, -1.0]], [[1.0, -2.0, 1.0]]])

    def worth(logps: Tensor) -> Tensor:
        law = logps.exp()
        served = torch.stack([(law * reward).sum(-1) for reward in rewards]).amin(0)
        return served - 0.5 * (law * (logps - reference)).sum(-1)

    def optimum(weights: Tensor) -> Tensor:
        mixed = (weights[:, None, None] * rewards).sum(0)
        return (reference + mixed / 0.5).log_softmax(-1)

    found = optimum(model.maxmin_weights(reference, rewards, 0.5))
    others = (-torch.rand(20000, 3).log()).log().log_softmax(-1)
    near_by = (0.95 * found.exp() + 0.05 * others.exp()).log()
    assert torch.cat([worth(others), worth(near_by)]).max() <= worth(found)[0] + 1e-9
    assert worth(optimum(torch.tensor([0.5, 0.5])))[0] < worth(found)[0] - 0.01


WITHIN = "after 50 halvings both ends of the interval are the same number, 2**-50 apart"
contract.equivalent("maxmin_weights: second_mean < first_mean -> second_mean <= first_mean #1", WITHIN)
contract.equivalent("maxmin_weights: 1 - high -> 1 - low #1", WITHIN)
contract.equivalent(
    "maxmin_weights: torch.tensor([1 - high, high]) -> torch.tensor([1 - high, low]) #1", WITHIN
)
