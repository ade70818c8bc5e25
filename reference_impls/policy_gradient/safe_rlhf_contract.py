r"""Contract of Safe RLHF's Lagrangian and multiplier, of the exact constrained optimum, and of the cost model's loss.

The optimum's toy has four answers with $\pi_{ref} = (\frac12, \frac14, \frac18, \frac18)$; the second and the fourth
are harmful.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.policy_gradient.safe_rlhf",
    functions=("lagrangian", "next_multiplier", "penalised_optimum", "exact_multiplier", "cost_loss"),
)

LAW = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
HELP = (0.0, 1.0, -1.0, 2.0)
COST = (0.0, 1.0, 0.0, 1.0)
BETA = 0.5


def tables() -> tuple[Tensor, Tensor, Tensor]:
    """Reference, help and cost of the toy's one prompt."""
    return torch.tensor([LAW]).log(), torch.tensor([HELP]), torch.tensor([COST])


@contract.worked("What the policy climbs")
def climbs(model: Any) -> None:
    r"""$\lambda = 3$, $\beta = \frac12$; rewards 2 and $-1$, costs 1 and 0, log-ratios $\frac12$ and $-2$. Apart:
    $\frac14(2 - 3 - \frac14) = -\frac5{16}$ and $\frac14(-1 + 1) = 0$. With the KL in both,
    $\frac14(2 - 3) - \frac14 = -\frac12$ and $-\frac14 + 1 = \frac34$.
    """
    reward, cost, ratio = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]), leaf([0.5, -2.0])
    found = model.lagrangian(reward, cost, ratio, 3.0, 0.5, "apart")
    close(found, [-5 / 16, 0])
    assert not found.requires_grad
    close(model.lagrangian(reward, cost, ratio, 3.0, 0.5, "both"), [-1 / 2, 3 / 4])
    raises(ValueError, model.lagrangian, reward, cost, ratio, 3.0, 0.5, "neither")


@contract.limit("No constraint")
def unconstrained(model: Any) -> None:
    r"""$\lambda = 0$: the regularised reward $r - \beta\log\frac{\pi}{\pi_{ref}}$, wherever the KL stands."""
    reward, ratio = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -2.0])
    for kl in ("apart", "both"):
        close(model.lagrangian(reward, torch.ones(2), ratio, 0.0, 0.5, kl), [7 / 4, 0])


@contract.limit("A multiplier without end")
def all_cost(model: Any) -> None:
    r"""With the KL apart only the cost remains, with the KL in both it keeps its weight:
    $-c$ and $-c - \beta\log\frac{\pi}{\pi_{ref}}$.
    """
    reward, cost, ratio = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, -2.0])
    close(model.lagrangian(reward, cost, ratio, 1e9, 0.5, "apart"), [-1, 0])
    close(model.lagrangian(reward, cost, ratio, 1e9, 0.5, "both"), [-5 / 4, 1])


@contract.worked("One step of the multiplier")
def step(model: Any) -> None:
    r"""$\lambda = 2$, budget $\frac15$, mean cost $\frac7{10}$, $\eta = \log 2$:
    $\log\lambda$ rises by $\log 2 \cdot 2 \cdot \frac12 = \log 2$, to $\lambda = 4$; a cost of $\frac1{10}$ lowers
    it by $\frac15\log 2$. It is cut at the largest value and not below.
    """
    close(model.next_multiplier(2.0, 0.7, 0.2, log(2), 30.0), 4)
    close(model.next_multiplier(2.0, 0.1, 0.2, log(2), 30.0), 2 * 2 ** (-1 / 5))
    close(model.next_multiplier(2.0, 0.7, 0.2, log(2), 3.0), 3)
    close(model.next_multiplier(0.01, 0.0, 0.2, 100.0, 3.0), 0.01 * exp(-1 / 5))


@contract.invariant("On budget nothing moves")
def on_budget(model: Any) -> None:
    """Whatever the multiplier and the step."""
    for multiplier in (1e-3, 1.0, 17.0):
        close(model.next_multiplier(multiplier, 0.2, 0.2, 5.0, 30.0), multiplier)


@contract.relation("The step of the logarithm grows with the multiplier")
def proportional(model: Any) -> None:
    r"""$\Delta\log\lambda = \eta\lambda\,(\hat c - d)$: ten times the multiplier, ten times the step. A small
    multiplier takes long to grow.
    """
    small = log(model.next_multiplier(0.1, 0.5, 0.2, 0.1, 30.0) / 0.1)
    large = log(model.next_multiplier(1.0, 0.5, 0.2, 0.1, 30.0) / 1.0)
    close(large, 10 * small)
    close(large, 0.03)


@contract.worked("The optimum for one multiplier")
def penalised(model: Any) -> None:
    r"""$\lambda = 2$, $\beta = \frac12$: exponents $(r - 2c)/\beta = 0, -2, -2, 0$. With the KL in both they are
    divided by 3.
    """
    weights = torch.tensor([1 / 2, exp(-2) / 4, exp(-2) / 8, 1 / 8])
    close(model.penalised_optimum(*tables(), 2.0, BETA, "apart").exp(), [(weights / weights.sum()).tolist()])
    weights = torch.tensor([1 / 2, exp(-2 / 3) / 4, exp(-2 / 3) / 8, 1 / 8])
    close(model.penalised_optimum(*tables(), 2.0, BETA, "both").exp(), [(weights / weights.sum()).tolist()])


@contract.worked("The multiplier that spends the budget")
def multiplier(model: Any) -> None:
    r"""With $x = e^{-\lambda/\beta}$ harm has the weight $x\,(\frac14 e^2 + \frac18 e^4)$ against
    $\frac12 + \frac18 e^{-2}$. For a share of $d$ they stand as $d$ to $1 - d$.
    """
    harm, safe = exp(2) / 4 + exp(4) / 8, 1 / 2 + exp(-2) / 8
    for limit in (0.1, 0.5, 0.9):
        wanted = -BETA * log(limit / (1 - limit) * safe / harm)
        close(model.exact_multiplier(*tables(), limit, BETA, "apart"), wanted)
    found = model.exact_multiplier(*tables(), 0.2, BETA, "both")
    policy = model.penalised_optimum(*tables(), found, BETA, "both").exp()[0]
    close(policy[1] + policy[3], 0.2)


@contract.worked("The budget is one for all prompts")
def shared(model: Any) -> None:
    r"""A second prompt without harmful answers halves the mean cost, so that a budget of $\frac14$ lets the first spend
    $\frac12$.
    """
    one = tables()
    two = [torch.cat([table, table]) for table in one]
    two[2][1] = 0.0
    close(model.exact_multiplier(*two, 0.25, BETA, "apart"), model.exact_multiplier(*one, 0.5, BETA, "apart"))


@contract.limit("Budgets that nothing or everything keeps")
def slack(model: Any) -> None:
    r"""The unconstrained optimum has a cost of
    $\frac{e^2/4 + e^4/8}{e^2/4 + e^4/8 + 1/2 + e^{-2}/8} = .945$: a budget of just that needs no multiplier, one of 0
    none that is finite; and a budget that only a multiplier beyond 100 keeps is refused.
    """
    reference, help, cost = tables()
    policy = model.penalised_optimum(reference, help, cost, 0.0, BETA, "apart").exp()[0]
    spent = float(policy[1] + policy[3])
    close(model.exact_multiplier(reference, help, cost, spent, BETA, "apart"), 0)
    assert model.exact_multiplier(reference, help, cost, spent - 1e-3, BETA, "apart") > 1e-4
    raises(ValueError, model.exact_multiplier, reference, help, torch.ones(1, 4), 0.5, BETA, "apart")
    limit = 100.0 + 1.0
    weight = exp(-limit)
    tiny = weight / (1 + weight)
    even = torch.tensor([[1 / 2, 1 / 2]]).log(), torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    raises(ValueError, model.exact_multiplier, *even, tiny, 1.0, "apart")
    close(model.exact_multiplier(*even, exp(-20.0) / (1 + exp(-20.0)), 1.0, "apart"), 20.0)


@contract.limit("The largest multiplier is still allowed")
def largest(model: Any) -> None:
    r"""Even odds of harm and $\beta = 100$: $\lambda = 100$ leaves harm the odds $e^{-1}$, so that a budget of just
    $\frac1{1+e}$ is kept, with $\lambda$ next to 100, and one of just below is not.
    """
    even = torch.tensor([[1 / 2, 1 / 2]]).log(), torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    kept = float(model.penalised_optimum(*even, 100.0, 100.0, "apart").exp()[0, 0])
    close(kept, 1 / (1 + exp(1)))
    close(model.exact_multiplier(*even, kept, 100.0, "apart"), 100.0)
    raises(ValueError, model.exact_multiplier, *even, kept - 1e-3, 100.0, "apart")


@contract.broken("With the KL in both, the budget is met by another and less helpful policy")
def not_the_same(model: Any) -> None:
    r"""At a budget of $\frac15$ both keep it; the objective $\mathbb{E}[r] - \beta\,\mathrm{KL}$ is lower by more than
    0.05, since the weight of the KL has grown with the multiplier.
    """
    reference, help, cost = tables()
    values = []
    for kl in ("apart", "both"):
        found = model.exact_multiplier(reference, help, cost, 0.2, BETA, kl)
        logps = model.penalised_optimum(reference, help, cost, found, BETA, kl)
        law = logps.exp()
        close((law * cost).sum(), 0.2)
        values.append(float((law * (help - BETA * (logps - reference))).sum()))
    assert values[0] > values[1] + 0.05


@contract.optimum("No policy that keeps the budget does better")
def best(model: Any) -> None:
    r"""Four answers and a budget of $\frac15$: the exact optimum against 20,000 random laws on the simplex and against
    mixtures of it with them; among those that keep the budget none has a higher
    $\mathbb{E}[r] - \beta\,\mathrm{KL}$, while some that break it have.
    """
    reference, help, cost = tables()
    found = model.exact_multiplier(reference, help, cost, 0.2, BETA, "apart")
    optimum = model.penalised_optimum(reference, help, cost, found, BETA, "apart").exp()
    others = -torch.rand(20000, 4).log()
    others = others / others.sum(-1, keepdim=True)
    laws = torch.cat([others, 0.9 * optimum + 0.1 * others])

    def worth(law: Tensor) -> Tensor:
        return (law * (help - BETA * (law.log() - reference))).sum(-1)

    kept = (laws * cost).sum(-1) <= 0.2
    assert kept.sum() > 1000
    assert worth(laws[kept]).max() <= worth(optimum)[0] + 1e-9
    assert worth(laws[~kept]).max() > worth(optimum)[0] + 0.1


@contract.worked("The cost model's loss")
def cost_values(model: Any) -> None:
    r"""Scores $\log 3$ and $-\log 3$, harmful and safe: difference $2\log 3$, $\sigma = \frac9{10}$, and
    $\sigma = \frac34$ for both signs: $\log\frac{10}9 + 2\log\frac43$. With the signs exchanged
    $\log 10 + 2\log 4$. Alike and harmful: $\log\frac43 + \log 4$, no comparison.
    """
    first, second = torch.full((4,), log(3)), torch.full((4,), -log(3))
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([-1.0, 1.0, 1.0, -1.0])
    loss = model.cost_loss(first, second, *signs)
    alike = log(4 / 3) + log(4)
    close(loss, [log(10 / 9) + 2 * log(4 / 3), log(10) + 2 * log(4), alike, alike])


@contract.worked("Its gradient")
def cost_slopes(model: Any) -> None:
    r"""Harmful and safe: by the first score $-\frac1{10} - \frac14$, by the second $\frac1{10} + \frac14$. Alike and
    harmful: $-\frac14$ and $-\frac34$.
    """
    first, second = leaf([log(3), log(3)]), leaf([-log(3), -log(3)])
    loss = model.cost_loss(first, second, torch.ones(2), torch.tensor([-1.0, 1.0]))
    by_first, by_second = gradients(loss, first, second)
    close(by_first, [-7 / 20, -1 / 4])
    close(by_second, [7 / 20, -3 / 4])


@contract.invariant("The order of a pair's answers")
def exchanged(model: Any) -> None:
    """Which answer comes first says nothing."""
    first, second = torch.randn(6), torch.randn(6)
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0, -1.0])
    close(model.cost_loss(first, second, *signs), model.cost_loss(second, first, *signs[::-1]))


@contract.broken("Costs have a zero")
def level(model: Any) -> None:
    r"""Comparisons alone leave a level free; the signs fix it. One added to both scores changes the loss."""
    first, second = torch.tensor([log(3)]), torch.tensor([-log(3)])
    signs = torch.ones(1), -torch.ones(1)
    differ(model.cost_loss(first + 1, second + 1, *signs), model.cost_loss(first, second, *signs), by=0.1)


WITHIN = "after 50 halvings both ends of the interval are the same number, 100 / 2**50 apart"
contract.equivalent(
    "exact_multiplier: spent(0.0) <= limit -> spent(0.0) < limit #1",
    "where the optimum without a constraint spends exactly the budget, bisection ends at 0 too, up to 100 / 2**50",
)
contract.equivalent("exact_multiplier: range(50) -> range(51) #1", WITHIN)
contract.equivalent("exact_multiplier: spent(middle) > limit -> spent(middle) >= limit #1", WITHIN)
contract.equivalent("exact_multiplier: return high -> return low #1", WITHIN)
