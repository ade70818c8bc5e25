r"""Chi-squared regularisation: chi-PO, a change of DPO's link function, and the exact optimum that it aims at.

Paper: huang2025correcting. Provenance: reconstruction from the abstract and digests of the paper, which give
algorithm, link and clip; the optimum is derived in the contract.

KL is a weak brake. The mean of a fitted reward's error under $\pi$ is bounded by the chi-squared divergence,
$D_{\chi^2}(\pi\|\pi_{ref}) = \frac12\mathbb{E}_{\pi_{ref}}\left[(\frac{\pi}{\pi_{ref}} - 1)^2\right]$, and not by the
KL, which grows with the logarithm of what chi-squared grows with. With both penalties,

$$J(\pi) = \mathbb{E}_\pi[r] - \beta\,D_{\chi^2}(\pi\|\pi_{ref}) - \beta\,\mathrm{KL}(\pi\|\pi_{ref}),$$

the optimum has $r(y) = \beta\,\phi\left(\frac{\pi(y)}{\pi_{ref}(y)}\right) + Z$ with the link $\phi(u) = u + \log u$:
log where ratios are small, so that no answer's probability becomes negative, linear where they are large, so that a
ratio grows like $r/\beta$ where the KL's grows like $e^{r/\beta}$. Put into Bradley and Terry's model $Z$ cancels, and

$$L = -\log\sigma\left(\mathrm{clip}_{2R}\left[\beta\,\phi\left(\frac{\pi(y_w)}{\pi_{ref}(y_w)}\right)
  - \beta\,\phi\left(\frac{\pi(y_l)}{\pi_{ref}(y_l)}\right)\right]\right).$$

Rewards lie in $[0, R]$, so no difference needs to be outside the clip; a pair beyond it has no gradient, also not one
that is wrong.

``chi-squared-optimum`` maximises $J$ exactly for the reward that it is given. What the other penalty is worth shows at
equal KL: it also reports the true reward of its optimum at betas that spend 1 to 4 nats, and that of $\pi_{ref}\,
e^{r/\beta'}$ at betas that spend as much.

What we leave out: the version for preferences without a reward, and a policy gradient for $J$.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.core.metrics import expectation, kl, same_kl_optimum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.direct_alignment.pairwise import log_ratio

METHODS = {
    "chi-po": {
        "name": "Chi-squared Preference Optimization (chi-PO)",
        "paper": "huang2025correcting",
        "category": "reward-over-optimisation",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "E_pi[r] - beta (chi-squared + KL to the reference), through Bradley-Terry maximum likelihood",
        "yields": "policy",
        "preset": {"exact": False, "labels": 500, "steps": 300, "batch": 64},
        "bed": {"horizon": 4},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["return ratio.exp() + ratio", "return ratio"],
            "why": "with the logarithm alone as its link it is DPO, and runs further at the same beta",
        },
    },
    "chi-squared-optimum": {
        "name": "Exact chi-squared-regularised optimum",
        "paper": "huang2025correcting",
        "category": "reward-over-optimisation",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model"],
        "target": "E_pi[r] - beta (chi-squared + KL to the reference) of the reward it is given",
        "yields": "distribution",
        "preset": {"exact": True},
        "bed": {"horizon": 4},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["log_inverse_link((reward - level) / beta)", "(reward - level) / beta"],
            "why": "the inverse of the logarithm in place of the link's: the optimum under the KL alone",
        },
    },
}

NEWTON = 8
BISECTIONS = 45
SEARCHES = 25
NATS = (1, 2, 3, 4)
"""KL budgets at which the exact optima under both penalties and under the KL alone are compared.

Both reach them with some beta; what differs is where they spend them."""


@dataclass(frozen=True)
class ChiSquaredConfig:
    """Defaults for the exact bed; labels, steps and batch are those of IPO and its like, but for fewer updates."""

    exact: bool = False
    """Whether the optimum is computed for the reward that is given, or a policy is trained on pairs."""
    beta: float = 0.1
    """Weight of both penalties (paper: 0.05 and 0.005); large ratios cost more than under the KL at the same weight."""
    bound: float = 8.0
    """Where a pair's difference is clipped, 2R, R being the range of rewards; the bed's is about 4 to 6."""
    labels: int = 8000
    steps: int = 350
    batch: int = 128
    lr: float = 4e-3


def link(ratio: Tensor) -> Tensor:
    r"""$\phi(u) = u + \log u$ at the logarithms of ratios, any shape, elementwise."""
    return ratio.exp() + ratio


def log_inverse_link(value: Tensor) -> Tensor:
    r"""The logarithm of the ratio with $\phi(u)$ = ``value``, elementwise, by Newton's method from above.

    That is the logarithm of Lambert's $W_0(e^z)$.
    """
    found = torch.minimum(value, value.clamp(min=1).log())
    for _ in range(NEWTON):
        grown = found.exp()
        found = found - (grown + found - value) / (grown + 1)
    return found


def chi_po_loss(chosen_ratio: Tensor, rejected_ratio: Tensor, beta: float, bound: float) -> Tensor:
    """chi-PO's loss of each pair: two (pairs,) log-ratios -> (pairs,), in nats."""
    difference = beta * (link(chosen_ratio) - link(rejected_ratio))
    return -logsigmoid(difference.clamp(-bound, bound))


def chi_squared_optimum(reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    """log-probabilities of the optimum under both penalties: tables (prompts, sequences) -> the same.

    The level of each prompt is found by bisection: between the least reward less beta, where no ratio is below 1, and
    the greatest less beta, where none is above.
    """
    reference, reward = reference.double(), reward.double()
    low, high = reward.amin(-1, keepdim=True) - beta, reward.amax(-1, keepdim=True) - beta
    for _ in range(BISECTIONS):
        level = (low + high) / 2
        mass = (reference + log_inverse_link((reward - level) / beta)).exp().sum(-1, keepdim=True)
        low, high = torch.where(mass > 1, level, low), torch.where(mass > 1, high, level)
    level = (low + high) / 2
    return (reference + log_inverse_link((reward - level) / beta)).log_softmax(-1)


def chi_squared(logps: Tensor, reference: Tensor) -> Tensor:
    """Half the reference's mean of (ratio - 1)^2 per prompt: (prompts, sequences) twice -> (prompts,)."""
    return (reference.exp() * torch.expm1(logps - reference) ** 2).sum(-1) / 2


def same_kl_chi_optimum(reference: Tensor, reward: Tensor, nats: float) -> Tensor:
    """The optimum under both penalties at the beta that spends ``nats`` of KL on average over prompts."""
    low, high = -6.0, 3.0
    for _ in range(SEARCHES):
        middle = (low + high) / 2
        spent = float(kl(chi_squared_optimum(reference, reward, 10.0**middle), reference.double()).mean())
        low, high = (middle, high) if spent > nats else (low, middle)
    return chi_squared_optimum(reference, reward, 10.0**high)


def train(bed: ExactBed, config: ChiSquaredConfig, seed: int, observe: Observe) -> Outcome:
    """Compute the optimum of the given reward; or fit a copy of the reference to pairs by :func:`chi_po_loss`."""
    if config.exact:
        law = chi_squared_optimum(bed.reference_logps, bed.reward, config.beta).float()
        return Outcome(logps=law, optimum=law, measures=_measures(bed, law) | _at_equal_kl(bed))
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        both = policy.token_logps(
            bed.prompts[pairs.prompts].repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
        )
        chosen, rejected = both.chunk(2)
        reference_chosen = bed.reference_token_logps(pairs.prompts, pairs.chosen)
        reference_rejected = bed.reference_token_logps(pairs.prompts, pairs.rejected)
        loss = chi_po_loss(
            log_ratio(chosen, reference_chosen, pairs.chosen_mask),
            log_ratio(rejected, reference_rejected, pairs.rejected_mask),
            config.beta,
            config.bound,
        ).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    logps = bed.logps(policy)
    optimum = chi_squared_optimum(bed.reference_logps, bed.utility, config.beta).float()
    return Outcome(logps=logps, optimum=optimum, measures=_measures(bed, logps))


def _measures(bed: ExactBed, logps: Tensor) -> dict[str, float]:
    rows = bed.train_rows
    return {"chi_squared": float(chi_squared(logps[rows], bed.reference_logps[rows]).mean())}


def _at_equal_kl(bed: ExactBed) -> dict[str, float]:
    rows = bed.train_rows
    reference, reward, gold = bed.reference_logps[rows], bed.reward[rows], bed.gold[rows]
    found = {}
    for nats in NATS:
        chi = same_kl_chi_optimum(reference, reward, nats)
        found[f"gold_at_{nats}"] = float(expectation(chi, gold).mean())
        plain = same_kl_optimum(reference, reward, nats)
        found[f"gold_under_kl_at_{nats}"] = float(expectation(plain, gold).mean())
    return found
