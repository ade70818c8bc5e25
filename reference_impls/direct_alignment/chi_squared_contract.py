r"""Contract of chi-PO's link, its loss and the exact optimum under chi-squared and KL.

The toy has four answers with $\pi_{ref} = (\frac12, \frac14, \frac18, \frac18)$ and the policy
$\pi = (\frac14, \frac14, \frac18, \frac38)$, so that ratios are $\frac12, 1, 1, 3$.
"""

from __future__ import annotations

from itertools import product
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf

contract = Contract(
    module="reference_impls.direct_alignment.chi_squared",
    functions=(
        "link",
        "log_inverse_link",
        "chi_po_loss",
        "chi_squared_optimum",
        "chi_squared",
        "same_kl_chi_optimum",
    ),
)

LAW = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
RATIOS = (1 / 2, 1.0, 1.0, 3.0)
BETA = 0.5


def reference() -> Tensor:
    """The toy's law, as log-probabilities of one prompt."""
    return torch.tensor([LAW]).log()


def reward() -> Tensor:
    r"""The reward whose optimum has the toy's ratios: $\beta\,\phi(u)$ plus a level of 7."""
    return torch.tensor([[BETA * (u + log(u)) + 7 for u in RATIOS]])


@contract.worked("The link and its inverse")
def links(chi: Any) -> None:
    r"""$\phi(\frac12) = \frac12 - \log 2$, $\phi(1) = 1$, $\phi(3) = 3 + \log 3$, and back."""
    values = [1 / 2 - log(2), 1, 3 + log(3)]
    close(chi.link(torch.tensor([1 / 2, 1.0, 3.0]).log()), values)
    close(chi.log_inverse_link(torch.tensor(values)), [-log(2), 0, log(3)], tol=1e-12)


@contract.limit("A logarithm where ratios are small, linear where they are large")
def ends(chi: Any) -> None:
    r"""$\phi^{-1}(-50) = e^{-50}(1 - e^{-50} \dots)$; $\phi^{-1}(z)$ is $z - \log z$ up to $\frac{\log z}z$ for large
    $z$. Forth and back is exact from $-700$ to $10^{8}$.
    """
    close(chi.log_inverse_link(torch.tensor([-50.0, -700.0])), [-50, -700], tol=1e-12)
    large = torch.tensor([1e4, 1e8])
    close(chi.log_inverse_link(large).exp() / (large - large.log()), [1, 1], tol=1e-3)
    everywhere = torch.cat([torch.linspace(-700, 5, 400), torch.logspace(0, 8, 100)])
    close(chi.link(chi.log_inverse_link(everywhere)) / everywhere, torch.ones(500), tol=1e-9)


@contract.worked("Losses and gradients of two pairs")
def values(chi: Any) -> None:
    r"""Ratios 3 and 1 with $\beta = \frac12$: $\frac12(3 + \log 3 - 1) = 1 + \frac12\log 3$, so that
    $L = \log(1 + \frac{1}{e\sqrt3})$; the other way round $\log(1 + e\sqrt3)$. By a log-ratio
    $\phi' = u + 1$: $-\beta(1 - \sigma)\cdot 4$ for the ratio 3 and $\beta(1 - \sigma)\cdot 2$ for the ratio 1.
    """
    chosen, rejected = leaf([log(3), 0.0]), leaf([0.0, log(3)])
    loss = chi.chi_po_loss(chosen, rejected, BETA, 100.0)
    rise = exp(1) * 3**0.5
    close(loss, [log(1 + 1 / rise), log(1 + rise)])
    by_chosen, by_rejected = gradients(loss, chosen, rejected)
    miss = 1 / (1 + rise)
    close(by_chosen, [-2 * miss, -(1 - miss)])
    close(by_rejected, [miss, 2 * (1 - miss)])


@contract.worked("Beyond the clip nothing is learnt, right or wrong")
def clipped(chi: Any) -> None:
    r"""A bound of $\log 3$: differences of $\pm(2 + \log 3)$ count as $\pm\log 3$, losses $\log\frac43$ and $\log 4$,
    gradients 0. Within the bound the clip does nothing.
    """
    chosen, rejected = leaf([log(3), 0.0, 0.0]), leaf([0.0, log(3), 0.0])
    loss = chi.chi_po_loss(chosen, rejected, 1.0, log(3))
    close(loss, [log(4 / 3), log(4), log(2)])
    by_chosen, by_rejected = gradients(loss, chosen, rejected)
    close(by_chosen, [0, 0, -1])
    close(by_rejected, [0, 0, 1])


@contract.limit("Near the reference: DPO with twice the beta")
def near(chi: Any) -> None:
    r"""$\phi'(1) = 2$ as against 1 for the logarithm: for log-ratios of $\pm10^{-4}$ the loss is
    $-\log\sigma(2\beta\Delta)$ up to $10^{-8}$.
    """
    small = torch.tensor([1e-4, -1e-4])
    loss = chi.chi_po_loss(small, -small, BETA, 100.0)
    close(loss, torch.log1p((-2 * BETA * 2 * small).exp()), tol=1e-8)


@contract.broken("Not a function of the difference of log-ratios")
def level(chi: Any) -> None:
    r"""DPO does not see a factor on both ratios. Here both times 2: $\frac12(6 - 2 + \log 3)$, another loss."""
    chosen, rejected = torch.tensor([log(3)]), torch.tensor([0.0])
    doubled = chi.chi_po_loss(chosen + log(2), rejected + log(2), BETA, 100.0)
    close(doubled, [log(1 + exp(-2) / 3**0.5)])
    differ(doubled, chi.chi_po_loss(chosen, rejected, BETA, 100.0), by=0.05)


@contract.worked("The divergence")
def divergence(chi: Any) -> None:
    r"""$\frac12(\frac12\cdot\frac14 + 0 + 0 + \frac18\cdot4) = \frac5{16}$; the other prompt is at its reference."""
    law = torch.tensor([LAW, LAW]).log()
    policy = law.clone()
    policy[0] += torch.tensor(RATIOS).log()
    close(chi.chi_squared(policy, law), [5 / 16, 0])


@contract.worked("The optimum")
def known(chi: Any) -> None:
    r"""For $r = \beta\,\phi(u) + 7$ with the toy's ratios, whose mean under the reference is
    $\frac14 + \frac14 + \frac18 + \frac38 = 1$, it has just these ratios; a second prompt with rewards that are all
    alike stays at the reference.
    """
    both = torch.cat([reference(), reference()])
    rewards = torch.cat([reward(), torch.full((1, 4), -3.0)])
    found = chi.chi_squared_optimum(both, rewards, BETA).exp()
    close(found, [[1 / 4, 1 / 4, 1 / 8, 3 / 8], list(LAW)], tol=1e-9)


@contract.invariant("A level of a prompt's rewards; reward and beta scaled alike")
def scales(chi: Any) -> None:
    """As for the KL alone."""
    found = chi.chi_squared_optimum(reference(), reward(), BETA)
    close(chi.chi_squared_optimum(reference(), reward() - 40, BETA), found)
    close(chi.chi_squared_optimum(reference(), 10 * reward(), 10 * BETA), found)


@contract.limit("A weak and a strong pull")
def pulls(chi: Any) -> None:
    r"""As $\beta \to 0$ the best answer alone, though much later than under the KL; as $\beta \to \infty$ the
    reference, and near it the KL's optimum for $2\beta$.
    """
    rewards = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    close(chi.chi_squared_optimum(reference(), rewards, 1e-4).exp(), [[0, 0, 0, 1]], tol=1e-3)
    close(chi.chi_squared_optimum(reference(), rewards, 1e5).exp(), [list(LAW)], tol=1e-4)
    far, kl_only = 50.0, (reference() + rewards / 100.0).log_softmax(-1)
    close(chi.chi_squared_optimum(reference(), rewards, far).exp(), kl_only.exp(), tol=1e-3)
    weak = chi.chi_squared_optimum(reference(), 40 * rewards, 1.0).exp()
    assert weak[0, 3] < (reference() + 40 * rewards).log_softmax(-1).exp()[0, 3]


@contract.optimum("No law on the simplex does better")
def best(chi: Any) -> None:
    r"""$\mathbb{E}[r] - \beta D_{\chi^2} - \beta\,\mathrm{KL}$ of the optimum against 5,000 random laws and mixtures of
    it with them; it is higher by more than $10^{-3}$ than at the KL's optimum. Its gradient along the simplex is 0:
    $r - \beta\,\phi(u)$ is the same for all answers.
    """
    rewards = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    found = chi.chi_squared_optimum(reference(), rewards, BETA)

    def worth(logps: Tensor) -> Tensor:
        law, base = logps.exp(), reference()
        return (
            (law * rewards).sum(-1)
            - BETA * chi.chi_squared(logps, base)
            - BETA * (law * (logps - base)).sum(-1)
        )

    others = (-torch.rand(5000, 4).log()).log().log_softmax(-1)
    near_by = (0.95 * found.exp() + 0.05 * others.exp()).log()
    assert torch.cat([worth(others), worth(near_by)]).max() < worth(found)[0]
    assert worth((reference() + rewards / BETA).log_softmax(-1))[0] < worth(found)[0] - 1e-3
    slope = rewards - BETA * chi.link(found - reference())
    close(slope, slope[:, :1].expand(1, 4), tol=1e-9)


@contract.optimum("With endless labels the loss is least at the optimum")
def minimiser(chi: Any) -> None:
    r"""All 16 pairs of reference answers with Bradley-Terry labels by $r$: the gradient by the logits vanishes at the
    optimum for $r$, and neither at the reference nor at the optimum under the KL.
    """
    rewards = torch.tensor([[0.0, 1.0, -1.0, 2.0]])

    def slope(logps: Tensor) -> Tensor:
        theta = leaf(logps[0])
        ratio = theta.log_softmax(0) - reference()[0]
        total = torch.zeros(())
        for i, j in product(range(4), repeat=2):
            share = LAW[i] * LAW[j] * torch.sigmoid(rewards[0, i] - rewards[0, j])
            total = total + share * chi.chi_po_loss(ratio[i], ratio[j], BETA, 50.0)
        return gradients(total, theta)[0]

    close(slope(chi.chi_squared_optimum(reference(), rewards, BETA)), [0] * 4, tol=1e-9)
    for other in (reference(), (reference() + rewards / BETA).log_softmax(-1)):
        differ(slope(other), torch.zeros(4), by=1e-2)


@contract.worked("The optimum that spends a given KL")
def budget(chi: Any) -> None:
    r"""Two prompts; a budget of $\frac14$ nat on average is spent to $10^{-5}$, unevenly, and the policy is the optimum
    at one beta for both: $r - \beta\,\phi(u)$ is level in each for the same $\beta$.
    """
    both = torch.cat([reference(), reference().flip(-1)])
    rewards = torch.tensor([[0.0, 1.0, -1.0, 2.0], [0.0, 0.5, 0.0, 0.1]])
    found = chi.same_kl_chi_optimum(both, rewards, 0.25)
    close((found.exp() * (found - both)).sum(-1).mean(), 0.25, tol=1e-5)
    links = chi.link(found - both)
    betas = (rewards[:, 1] - rewards[:, 0]) / (links[:, 1] - links[:, 0])
    close(betas[0], betas[1], tol=1e-4)


@contract.limit("Budgets of nothing and of more than there is")
def budgets(chi: Any) -> None:
    r"""The search goes from $\beta = 10^{-6}$ to $10^3$: all mass on the best answer, $\log 8$ nats, or none moved."""
    rewards = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    most, least = (chi.same_kl_chi_optimum(reference(), rewards, nats) for nats in (50.0, 0.0))
    by_most, by_least = (chi.link(found - reference())[0] for found in (most, least))
    close(1e-6 * (by_most[1] - by_most[0]), 1, tol=1e-4)
    close(1e3 * (by_least[3] - by_least[1]), 1, tol=1e-4)


START = "Newton's method ends at the same root from any start to the right of it"
WIDER = "bisection on a wider interval has the same root"
LEVEL = "after 45 halvings both ends of the interval are the same level, and the law sums to 1 with it"
contract.equivalent("log_inverse_link: value.clamp(min=1).log() -> value.clamp(min=1).log1p() #1", START)
contract.equivalent("log_inverse_link: value.clamp(min=1) -> value.clamp(min=2) #1", START)
contract.equivalent(
    "chi_squared_optimum: reward.amax(-1, keepdim=True) - beta -> reward.amax(-1, keepdim=True) + beta #1",
    WIDER,
)
contract.equivalent(
    "chi_squared_optimum: reward.amax(-1, keepdim=True) - beta -> reward.amax(-1, keepdim=True) #1", WIDER
)
contract.equivalent("chi_squared_optimum: mass > 1 -> mass >= 1 #1", LEVEL)
contract.equivalent("chi_squared_optimum: mass > 1 -> mass >= 1 #2", LEVEL)
contract.equivalent("chi_squared_optimum: low + high -> high + high #2", LEVEL)
contract.equivalent("chi_squared_optimum: low + high -> low + low #2", LEVEL)
contract.equivalent(
    "chi_squared_optimum: (reference + log_inverse_link((reward - level) / beta)).log_softmax(-1) -> "
    "reference + log_inverse_link((reward - level) / beta) #1",
    LEVEL,
)
contract.equivalent(
    "same_kl_chi_optimum: spent > nats -> spent >= nats #1", "the budget is never met exactly"
)
contract.equivalent(
    "same_kl_chi_optimum: 10.0 ** high -> 10.0 ** low #1",
    "after 25 halvings both ends are the same but for 9 / 2**25 in the logarithm of beta",
)
