r"""Contract of the KL penalties, their place, the controller and the optimum with the reference first.

The worked penalties are of two answers, policy over reference, with padding as a dot:

$$\frac{1/2}{1/4}, \frac{1/4}{1/4}, \cdot \qquad\text{and}\qquad
\frac{1/2}{1/2}, \frac{2/3}{1/3}, \frac{3/4}{3/8}.$$

Their tokens' log-ratios are $\log 2, 0$ and $0, \log 2, \log 2$, the answers' $\log 2$ and $\log 4$. The
optimum checks use a tree of three answers of two lengths: stop at once ($s$), or write $a$ and then $b$ or $c$.
The reference has $\frac12, \frac13, \frac16$, the rewards are $0, 1, -1$ and $\beta = \frac12$. Two answers are
drawn, so that each has the other as its baseline, and all nine pairs are enumerated.
"""

from __future__ import annotations

from itertools import product
from math import exp, inf, log, nan
from typing import Any

import torch
from torch import Tensor

from reference_impls.contracts import Contract, close, differ, gradients, leaf, raises

contract = Contract(
    module="reference_impls.policy_gradient.kl_control",
    functions=("penalties", "kl_control_loss", "next_beta", "reference_first_optimum"),
)

contract.equivalent(
    "penalties: x.masked_fill(mask == 0, 0.0) -> x.masked_fill(mask == 0, 1.0) #1",
    "policy and reference get the same number on padding, and every estimator is 0 where they agree",
)
contract.equivalent(
    "reference_first_optimum: range(80) -> range(81) #1",
    "one more halving of an interval that is already 2^-80 of the start",
)
contract.equivalent(
    "reference_first_optimum: total > 1 -> total >= 1 #1",
    "if the middle is the root exactly, either end of the interval converges to it",
)
contract.equivalent(
    "reference_first_optimum: high + best -> low + best #1",
    "the ends of the interval agree to 2^-80 of its start",
)

MASK = ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0))
SCORES = ((1.0, 2.0, 6.0), (0.0, 0.0, 3.0))
LOGPS = ((-1.0, -2.0, -3.0), (-1.0, -1.0, -2.0))
PENALTY = ((1.0, 0.0, 2.0), (2.0, 0.0, 0.0))
LOG2 = log(2)


def policy(filler: float = -5.0) -> Tensor:
    """The policy's log-probabilities of the two answers' tokens, with something on padding."""
    return leaf([[log(1 / 2), log(1 / 4), filler], [log(1 / 2), log(2 / 3), log(3 / 4)]])


def reference(filler: float = -1.0) -> Tensor:
    """The reference's."""
    return torch.tensor([[log(1 / 4), log(1 / 4), filler], [log(1 / 2), log(1 / 3), log(3 / 8)]])


def penalty(module: Any, estimator: str, unit: str) -> tuple[Tensor, Tensor]:
    """Values of both answers and their gradient by every token's log-probability."""
    logps = policy()
    values = module.penalties(logps, reference(), torch.tensor(MASK), estimator, unit)
    return values, gradients(values, logps)[0]


@contract.worked("Three estimators of whole answers, and their slopes")
def whole_answers(module: Any) -> None:
    r"""$k_1$: $\log 2, \log 4$, slope 1. $k_2$: $\frac12\log^2 2$ and $\frac12\log^2 4 = 2\log^2 2$, slope $\rho$.
    $k_3 = e^{-\rho} - 1 + \rho$: $\log 2 - \frac12$ and $\log 4 - \frac34$, slope $1 - e^{-\rho} = \frac12$ and
    $\frac34$. Every real token has its answer's slope.
    """
    expected = {
        "k1": ([LOG2, 2 * LOG2], (1, 1)),
        "k2": ([LOG2**2 / 2, 2 * LOG2**2], (LOG2, 2 * LOG2)),
        "k3": ([LOG2 - 1 / 2, 2 * LOG2 - 3 / 4], (1 / 2, 3 / 4)),
    }
    for estimator, (values, (first, second)) in expected.items():
        found, slopes = penalty(module, estimator, "answer")
        close(found, values)
        close(slopes, [[first, first, 0], [second, second, second]])


@contract.worked("The same, summed over tokens")
def single_tokens(module: Any) -> None:
    r"""$k_1$ is the same. $k_2$: $\frac12\log^2 2$ and twice that. $k_3$: $\log 2 - \frac12$ and twice that. A token
    has its own slope: $0$ where the two policies agree.
    """
    expected = {
        "k1": ([LOG2, 2 * LOG2], [[1, 1, 0], [1, 1, 1]]),
        "k2": ([LOG2**2 / 2, LOG2**2], [[LOG2, 0, 0], [0, LOG2, LOG2]]),
        "k3": ([LOG2 - 1 / 2, 2 * LOG2 - 1], [[1 / 2, 0, 0], [0, 1 / 2, 1 / 2]]),
    }
    for estimator, (values, slopes) in expected.items():
        found, slope = penalty(module, estimator, "token")
        close(found, values)
        close(slope, slopes)


@contract.worked("The penalty as a price in the reward")
def in_reward(module: Any) -> None:
    r"""$r - \frac12 K$: $\frac12, 2, 5$ and $-1, 0, 3$. Minus the mean of the others: $-3, -\frac34, \frac{15}4$ and
    $-\frac52, -1, \frac72$. Times minus the log-probability. The gradient by the log-probability is minus the
    advantage; none reaches score or penalty.
    """
    scores, logps, price = leaf(SCORES), leaf(LOGPS), leaf(PENALTY)
    loss = module.kl_control_loss(scores, logps, price, 0.5, "reward")
    close(loss, [[-3, -1.5, 11.25], [-2.5, -1, 7]])
    by_score, by_logp, by_penalty = gradients(loss, scores, logps, price)
    close(by_logp, [[3, 0.75, -3.75], [2.5, 1, -3.5]])
    close(by_score, torch.zeros(2, 3))
    close(by_penalty, torch.zeros(2, 3))


@contract.worked("The penalty as a term of the loss")
def in_loss(module: Any) -> None:
    r"""Advantages of the plain scores: $-3, -\frac32, \frac92$ and $-\frac32, -\frac32, 3$. Losses
    $-3, -3, \frac{27}2$ and $-\frac32, -\frac32, 6$, plus $\frac12 K$. The gradient by the penalty is $\frac12$.
    """
    scores, logps, term = leaf(SCORES), leaf(LOGPS), leaf(PENALTY)
    loss = module.kl_control_loss(scores, logps, term, 0.5, "loss")
    close(loss, [[-2.5, -3, 14.5], [-0.5, -1.5, 6]])
    by_score, by_logp, by_penalty = gradients(loss, scores, logps, term)
    close(by_logp, [[3, 1.5, -4.5], [1.5, 1.5, -3]])
    close(by_score, torch.zeros(2, 3))
    close(by_penalty, torch.full((2, 3), 0.5))


@contract.worked("One step of the controller")
def controller(module: Any) -> None:
    r"""Target 2, 100 answers, horizon 1,000, so that a full error of $\pm 0.2$ changes the weight by 2 %. KL
    2.2 is 10 % above: $\frac12 \cdot 1.01$. KL 4 and 0 are cut to $\pm 0.2$: $\frac12 \cdot 1.02$ and $\frac12
    \cdot 0.98$.
    """
    for divergence, expected in (
        (2.2, 0.505),
        (1.8, 0.495),
        (4.0, 0.51),
        (0.0, 0.49),
        (-3.0, 0.49),
        (2.0, 0.5),
    ):
        close(module.next_beta(0.5, divergence, 2.0, 100, 1000.0), expected)
    close(module.next_beta(0.5, 2.2, 2.0, 500, 1000.0), 0.525)


@contract.worked("The optimum with the reference first")
def backwards(module: Any) -> None:
    r"""$\pi_{ref} = (\frac12, \frac14, \frac14)$, $\beta = 1$, rewards $(-\frac32, 0, -\frac12)$: with $c = \frac12$
    the distances $c - r$ are $2, \frac12, 1$ and $\pi_{ref}/(c - r) = \frac14, \frac12, \frac14$ sums to one.
    Rewards and $\beta$ halved, or rewards shifted: the same policy. Equal rewards: the reference.
    """
    law = torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log()
    rewards = torch.tensor([[-1.5, 0.0, -0.5]])
    expected = [[1 / 4, 1 / 2, 1 / 4]]
    for reward, beta in ((rewards, 1.0), (rewards / 2, 0.5), (rewards + 7, 1.0), (3 * rewards, 3.0)):
        close(module.reference_first_optimum(law, reward, beta).exp(), expected)
    close(module.reference_first_optimum(law, torch.full((1, 3), 4.0), 0.3), law)
    both = module.reference_first_optimum(law.repeat(2, 1), torch.cat([rewards, rewards.flip(1)]), 1.0)
    close(both[:1].exp(), expected)
    differ(both[1:], both[:1], by=0.1)


@contract.limit("At the reference nothing is charged")
def at_reference(module: Any) -> None:
    r"""All three are 0 there; $k_2$ and $k_3$ have no slope either, $k_1$ has slope 1."""
    for estimator, unit in product(("k1", "k2", "k3"), ("answer", "token")):
        logps = leaf(reference())
        values = module.penalties(logps, reference(), torch.tensor(MASK), estimator, unit)
        close(values, [0, 0])
        close(gradients(values, logps)[0], torch.tensor(MASK) * (estimator == "k1"))


@contract.limit("Without weight the place does not matter; unknown names and a lone sample are refused")
def refusals(module: Any) -> None:
    r"""At $\beta = 0$ both losses are REINFORCE's. A misspelt option raises instead of falling back on another one."""
    tensors = [torch.tensor(x) for x in (SCORES, LOGPS, PENALTY)]
    close(module.kl_control_loss(*tensors, 0.0, "loss"), module.kl_control_loss(*tensors, 0.0, "reward"))
    raises(ValueError, module.kl_control_loss, *tensors, 0.5, "both")
    raises(ValueError, module.kl_control_loss, *(x[:, :1] for x in tensors), 0.5, "loss")
    raises(ValueError, module.penalties, policy(), reference(), torch.tensor(MASK), "k4", "answer")
    raises(ValueError, module.penalties, policy(), reference(), torch.tensor(MASK), "k1", "word")


@contract.invariant("Padding")
def padding(module: Any) -> None:
    r"""Neither what stands on padding nor further padded columns change a penalty or its slope."""
    for estimator, unit in product(("k1", "k2", "k3"), ("answer", "token")):
        values, slopes = penalty(module, estimator, unit)
        for filler in (3.0, inf, -inf, nan):
            logps = policy(filler)
            wide = [torch.cat([x, torch.full((2, 1), filler)], 1) for x in (logps, reference(filler))]
            mask = torch.cat([torch.tensor(MASK), torch.zeros(2, 1)], 1)
            found = module.penalties(*wide, mask, estimator, unit)
            close(found, values)
            close(gradients(found, logps)[0], slopes)


@contract.invariant("A constant of the prompt added to all its scores")
def constants(module: Any) -> None:
    r"""The baseline takes it away, wherever the penalty stands."""
    logps, extra = torch.tensor(LOGPS), torch.tensor(PENALTY)
    for place in ("reward", "loss"):
        plain = module.kl_control_loss(torch.tensor(SCORES), logps, extra, 0.5, place)
        shifted = module.kl_control_loss(
            torch.tensor(SCORES) + torch.tensor([[5.0], [-9.0]]), logps, extra, 0.5, place
        )
        close(shifted, plain)


TREE_MASK = ((1.0, 0.0), (1.0, 1.0), (1.0, 1.0))
TREE_REFERENCE = (1 / 2, 1 / 3, 1 / 6)
TREE_REWARDS = (0.0, 1.0, -1.0)
BETA = 0.5


def tree_tokens(answers: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """The logits of a tree policy with these probabilities of answers, and its tokens' log-probabilities."""
    stop, left, right = answers
    theta = leaf([log(stop), log(left + right), log(left), log(right)])
    first, second = theta[:2].log_softmax(0), theta[2:].log_softmax(0)
    return theta, torch.stack([first[0], torch.tensor(nan), first[1], second[0], first[1], second[1]]).view(
        3, 2
    )


def expected_gradient(
    module: Any,
    answers: tuple[float, ...],
    place: str,
    estimator: str,
    unit: str = "answer",
    beta: float = BETA,
) -> Tensor:
    """Gradient by the tree's logits of the expected loss of two answers of the policy."""
    theta, tokens = tree_tokens(answers)
    mask = torch.tensor(TREE_MASK)
    estimate = module.penalties(tokens, tree_tokens(TREE_REFERENCE)[1].detach(), mask, estimator, unit)
    logps, rewards = tokens.masked_fill(mask == 0, 0.0).sum(1), torch.tensor(TREE_REWARDS)
    total = torch.zeros(())
    for i, j in product(range(3), repeat=2):
        pair = [i, j]
        loss = module.kl_control_loss(
            rewards[pair][None], logps[pair][None], estimate[pair][None], beta, place
        )
        total = total + answers[i] * answers[j] * loss.mean()
    return torch.autograd.grad(total, theta)[0]


def tilted(beta: float = BETA) -> tuple[float, ...]:
    """The optimum of the mean reward minus beta KL(policy || reference)."""
    raw = [p * exp(r / beta) for p, r in zip(TREE_REFERENCE, TREE_REWARDS, strict=True)]
    return tuple(w / sum(raw) for w in raw)


@contract.optimum("k1 in the reward and k2 in the loss rest at the optimum of J, and only there")
def right_places(module: Any) -> None:
    r"""The expected gradient vanishes at $\pi_{ref}\,e^{r/\beta}$, not at the reference and not at the optimum for
    another $\beta$.
    """
    for place, estimator in (("reward", "k1"), ("loss", "k2")):
        close(expected_gradient(module, tilted(), place, estimator), torch.zeros(4), tol=1e-9)
        for elsewhere in (TREE_REFERENCE, tilted(1.0), tilted(0.3)):
            differ(expected_gradient(module, elsewhere, place, estimator), torch.zeros(4), by=1e-2)


@contract.optimum("k3 in the loss rests at the other divergence's optimum")
def other_divergence(module: Any) -> None:
    r"""At $\pi_{ref}\,\beta / (c - r)$ the expected gradient vanishes; at the optimum of $J_\beta$ it does not."""
    found = module.reference_first_optimum(
        torch.tensor([TREE_REFERENCE]).log(), torch.tensor([TREE_REWARDS]), BETA
    )
    rest = tuple(found[0].exp().tolist())
    close(expected_gradient(module, rest, "loss", "k3"), torch.zeros(4), tol=1e-9)
    differ(expected_gradient(module, tilted(), "loss", "k3"), torch.zeros(4), by=1e-2)


@contract.broken("k1 in the loss does not pull at all")
def no_pull(module: Any) -> None:
    r"""$\mathbb{E}_\pi[\nabla\log\pi] = 0$: with any weight the mean gradient is that of the plain reward."""
    for answers in (TREE_REFERENCE, tilted()):
        plain = expected_gradient(module, answers, "loss", "k1", beta=0.0)
        close(expected_gradient(module, answers, "loss", "k1", beta=5.0), plain, tol=1e-9)
        differ(plain, torch.zeros(4), by=1e-2)


@contract.broken("k2 and k3 in the reward do not rest at the optimum, and push rare answers further down")
def wrong_price(module: Any) -> None:
    r"""At $\pi^*$ the gradient does not vanish. With no reward to speak of ($\beta = 1000$) a policy that gives $ac$
    less than the reference does loses more of it: descending raises the logit of $b$ against that of $c$.
    """
    starved = (1 / 2, 2 / 5, 1 / 10)
    for estimator in ("k2", "k3"):
        differ(expected_gradient(module, tilted(), "reward", estimator), torch.zeros(4), by=1e-2)
        assert expected_gradient(module, starved, "reward", estimator, beta=1000.0)[3] > 0
        assert expected_gradient(module, starved, "loss", estimator, beta=1000.0)[3] < 0
    assert expected_gradient(module, starved, "reward", "k1", beta=1000.0)[3] < 0


@contract.broken("Summed over tokens k2 and k3 in the loss rest elsewhere")
def per_token(module: Any) -> None:
    r"""The penalty of a later token depends on the earlier ones, and a slope at fixed samples leaves that out: at the
    optimum for whole answers the expected gradient does not vanish.
    """
    differ(expected_gradient(module, tilted(), "loss", "k2", "token"), torch.zeros(4), by=1e-2)
    found = module.reference_first_optimum(
        torch.tensor([TREE_REFERENCE]).log(), torch.tensor([TREE_REWARDS]), BETA
    )
    differ(
        expected_gradient(module, tuple(found[0].exp().tolist()), "loss", "k3", "token"),
        torch.zeros(4),
        by=1e-2,
    )
    close(expected_gradient(module, tilted(), "reward", "k1", "token"), torch.zeros(4), tol=1e-9)
