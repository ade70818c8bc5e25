r"""Token-level direct preference optimisation: TDPO1 and TDPO2.

Paper: zeng2024token. Provenance: per the official code (Vance0124/Token-level-Direct-Preference-Optimization at
2a736ec, ``tdpo_loss`` and ``_tdpo_get_batch_logps``); the optimum of TDPO1 is a derivation of ours.

With DPO's log-ratio $\rho(y) = \sum_t \log\frac{\pi_\theta(y_t|s_t)}{\pi_{ref}(y_t|s_t)}$, $s_t = (x, y_{<t})$, and the
divergence that an answer passes on its way, $S(y) = \sum_t \mathrm{KL}(\pi_{ref}(\cdot|s_t) \| \pi_\theta(\cdot|s_t))$,

$$L_1 = -\log\sigma\bigl(\beta(\rho_w - \rho_l) - \beta (S_l - S_w)\bigr), \qquad
L_2 = -\log\sigma\bigl(\beta(\rho_w - \rho_l) - \alpha\beta (S_l - sg[S_w])\bigr),$$

where $sg$ stops the gradient. $L_2$ with $\alpha = 0$ is DPO.

**Where** $L_1$ **ends.** $\log\frac{\pi}{\pi_{ref}}(a|s) + \mathrm{KL}_s$ is the log-ratio minus its mean under
$\pi_{ref}$, so $\rho + S$ is a sum of terms whose means under $\pi_{ref}$ are 0. If labels never run out it must equal
$\frac1\beta (r(y) - E_{ref}[r])$, and there is one way to write that as such a sum:

$$\log\frac{\pi(a|s)}{\pi_{ref}(a|s)} = \frac1\beta Q^{ref}(s, a) - \log Z(s),$$

with $Q^{ref}(s, a)$ the expected reward if the *reference* goes on. DPO ends at the same with $Q^*$, the value of going
on as well as possible at that price. TDPO1 improves every token as if it were the only one to be improved, which
is what the paper's objective asks (equation 7, an advantage under the reference). What $L_2$ ends at is the minimum of
no function, because of the stopped gradient.

What we leave out: nothing in the loss. In the code S is called the position KL, and the default is TDPO1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "tdpo1": {
        "name": "Token-level DPO, first form (TDPO1)",
        "paper": "zeng2024token",
        "category": "token-and-step-level-alignment",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "each token's best tilt of the reference while the reference goes on",
        "yields": "policy",
        "preset": {"form": "first"},
        "bed": {"vocab": 4},
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
            "replace": ["rejected_kl - chosen_kl", "chosen_kl - rejected_kl"],
            "why": "the divergences enter with the other sign, and the policy spreads where it should not",
        },
    },
    "tdpo2": {
        "name": "Token-level DPO, second form (TDPO2)",
        "paper": "zeng2024token",
        "category": "token-and-step-level-alignment",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "no function's optimum: a gradient is stopped",
        "yields": "policy",
        "preset": {"form": "second", "lr": 3e-3},
        "bed": {"vocab": 4},
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
            "replace": ["beta * margin", "margin"],
            "why": "without beta inside the sigmoid the policy stops at the optimum for beta = 1",
        },
    },
}


@dataclass(frozen=True)
class TokenLevelConfig:
    """Defaults for the exact bed; the code's own values are named where they differ."""

    form: Literal["first", "second"] = "first"
    beta: float = 0.5
    """Strength of the pull to the reference (code: 0.1)."""
    alpha: float = 0.5
    """Weight of the divergences in the second form."""
    labels: int = 4000
    steps: int = 120
    batch: int = 64
    """Pairs per update."""
    lr: float = 1e-3


def sequential_kl(reference_logps: Tensor, logps: Tensor, mask: Tensor) -> Tensor:
    """KL(reference || policy) of the next token, added over an answer's prefixes.

    Log-probabilities of every next token are (answers, tokens, actions), the mask (answers, tokens) is 1 on real
    tokens. Returns (answers,), in nats.
    """
    at_prefix = (reference_logps.exp() * (reference_logps - logps)).sum(-1)
    return masked_sum(at_prefix, mask)


def tdpo_loss(
    chosen_ratio: Tensor,
    rejected_ratio: Tensor,
    chosen_kl: Tensor,
    rejected_kl: Tensor,
    beta: float,
    alpha: float,
    form: str,
) -> Tensor:
    """Loss of each pair from the answers' log-ratios and sequential divergences: (pairs,) four times -> (pairs,).

    Raises ValueError for a form other than first or second.
    """
    margin = chosen_ratio - rejected_ratio
    if form == "first":
        margin = margin - (rejected_kl - chosen_kl)
    elif form == "second":
        margin = margin - alpha * (rejected_kl - chosen_kl.detach())
    else:
        raise ValueError(f"unknown form {form!r}; choose first or second")
    return -logsigmoid(beta * margin)


def train(bed: ExactBed, config: TokenLevelConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a copy of the reference to preference pairs by gradient descent on :func:`tdpo_loss`."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        prompts = bed.prompts[pairs.prompts].repeat(2, 1)
        tokens = torch.cat([pairs.chosen, pairs.rejected])
        mask = torch.cat([pairs.chosen_mask, pairs.rejected_mask])
        logps = policy.next_logps(prompts, tokens)
        with torch.no_grad():
            reference = bed.reference.next_logps(prompts, tokens)
        written = (tokens - 1).clamp(min=0)[..., None]
        ratios = (logps - reference).gather(-1, written).squeeze(-1)
        chosen_ratio, rejected_ratio = masked_sum(ratios, mask).chunk(2)
        chosen_kl, rejected_kl = sequential_kl(reference, logps, mask).chunk(2)
        losses = tdpo_loss(
            chosen_ratio,
            rejected_ratio,
            chosen_kl,
            rejected_kl,
            config.beta,
            config.alpha,
            config.form,
        )
        descend(losses.mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = tokenwise_optimum(bed, config.beta) if config.form == "first" else None
    return Outcome(logps=bed.logps(policy), optimum=optimum, measures=credit(bed, policy, config.beta))


def reference_values(bed: ExactBed, reward: Tensor) -> list[Tensor]:
    """Expected reward of each next token if the reference goes on: level t is (prompts, vocab**t, actions)."""
    law = bed.reference_logps.double().exp()
    earned, reached = bed.space.sums_below(law * reward), bed.space.sums_below(law)
    return [e / r for e, r in zip(earned, reached, strict=True)]


def tokenwise_optimum(bed: ExactBed, beta: float) -> Tensor:
    """Where TDPO1 ends, as log-probabilities of every sequence: (prompts, sequences)."""
    with torch.no_grad():
        levels = bed.reference.level_logps(bed.prompts)
    values = reference_values(bed, bed.utility)
    tilted = [(level.double() + q / beta).log_softmax(-1) for level, q in zip(levels, values, strict=True)]
    return bed.space.sequence_logps(tilted).float()


def credit(bed: ExactBed, policy: TransformerPolicy, beta: float) -> dict[str, float]:
    """Correlation of the policy's log-ratio of each token with what the token is worth, on training prompts.

    Weighted by how often the reference writes the token. ``credit_optimal`` takes the log-ratio of the optimum of
    J_beta as the worth, the advantage if one goes on optimally; ``credit_reference`` the advantage if the reference
    goes on; ``credit_uniform`` a like share of the whole answer's advantage. ``entropy`` is the policy's, in nats.
    """
    rows, space = bed.train_rows, bed.space
    with torch.no_grad():
        reference = bed.reference.level_logps(bed.prompts)
        learned = [p - q for p, q in zip(policy.level_logps(bed.prompts), reference, strict=True)]
    below = space.sums_below(bed.optimum(bed.utility, beta).double().exp())
    best = [(b / b.sum(-1, keepdim=True)).log() - q for b, q in zip(below, reference, strict=True)]
    values = reference_values(bed, bed.utility)
    going_on = [v - (q.exp() * v).sum(-1, keepdim=True) for v, q in zip(values, reference, strict=True)]
    mask = space.mask.to(bed.device)
    share = (bed.utility / mask.sum(-1))[..., None] * mask
    weight = (bed.reference_logps.exp()[..., None] * mask)[rows]
    mine = space.token_logps(learned)[rows]
    worth = {
        "credit_optimal": space.token_logps(best)[rows].float(),
        "credit_reference": space.token_logps(going_on)[rows].float(),
        "credit_uniform": share[rows],
    }
    found = {name: correlation(mine, other, weight) for name, other in worth.items()}
    logps = bed.logps(policy)[rows]
    return {**found, "entropy": float(-(logps.exp() * logps).sum(-1).mean())}


def correlation(first: Tensor, second: Tensor, weight: Tensor) -> float:
    """Pearson's correlation of two tables under a weight, all of one shape."""
    weight = weight / weight.sum()
    first, second = (x - (weight * x).sum() for x in (first, second))
    scale = ((weight * first**2).sum() * (weight * second**2).sum()).sqrt()
    return float((weight * first * second).sum() / scale.clamp(min=1e-12))
