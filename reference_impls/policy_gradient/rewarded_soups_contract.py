r"""Contract of averaged weights, of the geometric mixture that they stand for, and of the renaming of hidden units.

Laws of the worked checks: $\pi_{ref} = (\frac12, \frac14, \frac14)$.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, raises
from reference_impls.core.policies import TransformerPolicy
from reference_impls.core.space import SequenceSpace

contract = Contract(
    module="reference_impls.policy_gradient.rewarded_soups",
    functions=("soup", "geometric_mixture", "renamed", "value"),
)


@contract.worked("Averaged parameters")
def averages(model: Any) -> None:
    r"""$\frac14(4, -8) + \frac34(0, 4) = (1, 1)$ and $\frac14 \cdot 2 + \frac34 \cdot 6 = 5$; the parts are left
    as they were.
    """
    first = {"a": torch.tensor([4.0, -8.0]), "b": torch.tensor([[2.0]])}
    second = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[6.0]])}
    found = model.soup([first, second], [0.25, 0.75])
    close(found["a"], [1, 1])
    close(found["b"], [[5]])
    assert list(found) == ["a", "b"]
    close(first["a"], [4, -8])


@contract.limit("All weight on one, and one alone")
def alone(model: Any) -> None:
    """The policy itself; weights for more or fewer policies than there are, are refused."""
    first, second = {"a": torch.tensor([4.0, -8.0])}, {"a": torch.tensor([0.0, 4.0])}
    close(model.soup([first, second], [0.0, 1.0])["a"], second["a"])
    close(model.soup([first], [1.0])["a"], first["a"])
    raises(ValueError, model.soup, [first, second], [1.0])
    law = torch.zeros(1, 2)
    raises(ValueError, model.geometric_mixture, [law, law], [1.0])


@contract.worked("Geometric mixture")
def mixture(model: Any) -> None:
    r"""Laws $(\frac12, \frac14, \frac14)$ and $(\frac18, \frac14, \frac58)$ with half the weight each:
    $\frac14, \frac14, \frac14\sqrt{\frac52}$ over their sum; a second prompt, where both are even,
    stays.
    """
    first = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 3] * 3]).log()
    second = torch.tensor([[1 / 8, 1 / 4, 5 / 8], [1 / 3] * 3]).log()
    root = 2.5**0.5
    close(
        model.geometric_mixture([first, second], [0.5, 0.5]).exp(),
        [[1 / (2 + root), 1 / (2 + root), root / (2 + root)], [1 / 3] * 3],
    )


@contract.optimum("The geometric mixture of optima is the optimum of the weighted reward")
def of_optima(model: Any) -> None:
    r"""$\pi_k \propto \pi_{ref}\,e^{r_k/\beta}$ mixed with $w = \frac14, \frac34$ is
    $\pi_{ref}\,e^{(r_1 + 3 r_2)/4\beta}$, and no law among 5,000 has a higher value for that reward.
    """
    reference = torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log()
    rewards, beta = (torch.tensor([[0.0, 2.0, -1.0]]), torch.tensor([[1.0, -2.0, 1.0]])), 0.5
    optima = [(reference + reward / beta).log_softmax(-1) for reward in rewards]
    weighted = 0.25 * rewards[0] + 0.75 * rewards[1]
    found = model.geometric_mixture(optima, [0.25, 0.75])
    close(found, (reference + weighted / beta).log_softmax(-1))
    best = model.value(found, reference, weighted, beta)
    close(best, beta * (reference.exp() * (weighted / beta).exp()).sum().log())
    for other in (-torch.rand(5000, 1, 3).log()).log().log_softmax(-1).unbind(0)[:500]:
        assert model.value(other, reference, weighted, beta) <= best


@contract.worked("The value of a policy")
def worth(model: Any) -> None:
    r"""Policy $(\frac14, \frac14, \frac12)$, reward $(4, 0, 2)$, $\beta = 2$: $1 + 1 - 2(\frac14\log\frac12 +
    \frac12\log2) = 2 - \frac12\log 2$. A second prompt at its reference with reward 1 throughout: 1. Mean
    $\frac32 - \frac14\log2$.
    """
    reference = torch.tensor([[1 / 2, 1 / 4, 1 / 4]] * 2).log()
    policy = torch.tensor([[1 / 4, 1 / 4, 1 / 2], [1 / 2, 1 / 4, 1 / 4]]).log()
    reward = torch.tensor([[4.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    close(model.value(policy, reference, reward, 2.0), 3 / 2 - log(2) / 4)


def network() -> tuple[TransformerPolicy, list[Tensor]]:
    """A policy over two symbols and answers of up to two tokens, and an order for each layer's hidden units."""
    policy = TransformerPolicy(SequenceSpace(2, 2, True), 2)
    for weights in policy.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    widths = [len(w) for name, w in policy.state_dict().items() if name.endswith("mlp.up_proj.weight")]
    return policy, [torch.randperm(width) for width in widths]


def logps_of(policy: TransformerPolicy, state: dict[str, Tensor]) -> Tensor:
    """log-probabilities of every answer to one prompt with other weights."""
    policy.load_state_dict(state)
    with torch.no_grad():
        return policy.space.sequence_logps(policy.level_logps(torch.tensor([[4, 6]])))


@contract.invariant("Hidden units and heads have no names")
def no_names(model: Any) -> None:
    """The renamed network has other weights and the same probabilities; done back, the same weights."""
    policy, orders = network()
    state = {name: weights.clone() for name, weights in policy.state_dict().items()}
    other = model.renamed(state, orders, 2)
    assert set(other) == set(state)
    moved = [name for name in state if not torch.equal(state[name], other[name])]
    assert len(moved) == 7 * len(orders)
    before, after = logps_of(policy, state), logps_of(policy, other)
    close(after, before, tol=1e-5)
    back = model.renamed(other, [order.argsort() for order in orders], 2)
    for name, weights in state.items():
        close(back[name], weights)


@contract.broken("Averaged weights are not averaged functions")
def not_functions(model: Any) -> None:
    r"""The soup of a network and its renamed twin, which compute the same, computes something else; the geometric
    mixture of both is either of them.
    """
    policy, orders = network()
    state = {name: weights.clone() for name, weights in policy.state_dict().items()}
    other = model.renamed(state, orders, 2)
    before = logps_of(policy, state)
    differ(logps_of(policy, model.soup([state, other], [0.5, 0.5])), before, by=0.05)
    close(model.geometric_mixture([before, logps_of(policy, other)], [0.5, 0.5]), before, tol=1e-5)


contract.equivalent("soup: states[0] -> states[-1] #1", "models of one architecture have the same names")
contract.equivalent(
    "geometric_mixture: zip(weights, logps, strict=True) -> zip(logps, weights, strict=True) #1",
    "only the product of a weight and a law is used",
)
contract.equivalent(
    "renamed: state[name].unflatten(1, (heads, -1)) -> state[name].unflatten(-1, (heads, -1)) #1",
    "a weight matrix has two axes, so the second is the last",
)
