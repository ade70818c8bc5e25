r"""GRPO's successors, one term at a time: Dr. GRPO, DAPO, GSPO, CISPO and GMPO, with answers used more than once.

All take groups of $n$ answers $o_1 \dots o_n$ to a prompt and an advantage $A_i$ for each, use a batch for several
updates, and maximise an average of terms. With token ratios
$w_{i,t} = \pi_\theta(o_{i,t}|\cdot) / \pi_{old}(o_{i,t}|\cdot)$, the answer's ratio
$s_i = \bigl(\prod_t w_{i,t}\bigr)^{1/|o_i|}$, and $[u]$ for $u$ clipped to $1-\epsilon_- \dots 1+\epsilon_+$:

| | paper | term of a token (or answer) | averaged over | advantage |
|-|-|-|-|-|
| GRPO | shao2024deepseekmath | $\min(w_{i,t} A_i, [w_{i,t}] A_i)$ | tokens, then answers | $\frac{r - mean}{std}$ |
| Dr. GRPO | liu2025understanding | the same | answers, sums over $L$ | $r - mean$ |
| DAPO | yu2025dapo | the same, $\epsilon_+ > \epsilon_-$ | the batch's tokens | as GRPO |
| GSPO | zheng2025group | $\min(s_i A_i, [s_i] A_i)$ | answers | as GRPO |
| CISPO | minimax2025minimax | $sg([w_{i,t}])\, A_i \log\pi_\theta(o_{i,t}\vert\cdot)$ | the batch's tokens | as GRPO |
| GMPO | zhao2025geometric | $e^{\sum_t \ell_{i,t} / \vert o_i\vert} A_i$ | answers | as GRPO |

$sg$ stops the gradient: CISPO bounds the weight of a token's gradient and drops none. GMPO clips
$\log w_{i,t}$ to $-\epsilon_- \dots \epsilon_+$, and $\ell_{i,t}$ is the smaller of clipped and not, times $A_i$'s
sign. $L$ is the longest answer that is allowed, a constant, and *not* the width to which a batch is padded. DAPO
also passes over groups whose answers all score the same and samples others in their place (``resample``).

Provenance: ``dr-grpo``, ``gmpo`` and ``dapo`` per the official code (sail-sg/understand-r1-zero at dfca49d,
``train_zero_math.py``; callsys/GMPO at 205b2bf, ``train_zero_math_gmpo.py``; volcengine/verl at 3a27a98,
where one of DAPO's authors put it: ``recipe/dapo``, ``compute_policy_loss`` and ``agg_loss``); the others
per the papers' text (GRPO, without the KL in the loss: equation 3; GSPO: 5 to 7; CISPO: 4 and 5, without a
lower bound, as there), and all agree with verl at b178a3c and with TRL. verl's mean over tokens is over the
batch, as here; the formulas of DAPO and CISPO have it within a group.

**What they descend.** The papers set $\beta = 0$. Here the KL to the reference goes into the reward, as
$r_i - \beta\log\frac{\pi_{old}(o_i)}{\pi_{ref}(o_i)}$, so that $J_\beta$ has an optimum to be measured by; then all
rewards of a group are equal there, all advantages are 0, and every one of these losses stays. On fresh answers the
mean gradient is:

* *Dr. GRPO:* that of $-\frac{n-1}{nL} J_\beta$, for every $n$. The others' is no function's gradient.
* *With $\frac1{|o_i|}$ and without the standard deviation:* that of no function. It is
  $\frac{n-1}n \bigl(E[r]\,\nabla E[\frac1{|o|}] - \nabla E[\frac r{|o|}]\bigr)$ for the reward, whose first half is
  not a gradient unless mean reward fixes mean inverse length. Its only interior zero in a table of probabilities is
  still the optimum.
* *GSPO and GMPO* have, at ratio 1, GRPO's gradient without KL term, $-A_i/|o_i|$ on each token; CISPO has DAPO's. All
  differences between them come from answers used again, hence ``epochs``.

**What** $\frac1{|o|}$ **does to lengths** is known exactly too: :func:`length_slopes` gives the slopes of pass rate and
of the mean length of wrong and of right answers along GRPO's mean gradient, with and without it. Runs with a verifier
report them at the reference, in tokens per unit of pass rate.

What we leave out: DAPO's penalty for overlong answers (all answers here end in time), GSPO's variant with an
advantage per token, MiniMax-M1's early stop on repetition, the overlong filter, the second clip of ratios with negative
advantages that verl adds, and everything about clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_mean, masked_sum, regularised_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.grpo import advantages

METHODS = {
    "grpo-reused": {
        "name": "GRPO, each batch used several times",
        "paper": "shao2024deepseekmath",
        "category": "group-relative-policy-gradients",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the optimum of J_beta is a fixed point; what it descends is no function",
        "yields": "policy",
        "preset": {"ratio": "token", "average": "answer", "scale": "std"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=grpo, num_iterations=4, beta=0",
                "difference": "none in the loss; the trainer cannot put the KL into the reward",
            },
        ],
        "verify_mutant": {
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
    "dr-grpo": {
        "name": "Dr. GRPO",
        "paper": "liu2025understanding",
        "category": "group-relative-policy-gradients",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"ratio": "token", "average": "constant", "scale": "none"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=dr_grpo, scale_rewards=none",
                "difference": "none in the loss; max_completion_length is the constant",
            },
            {
                "library": "verl",
                "name": "agg_loss, seq-mean-token-sum-norm",
                "difference": "sums over answers; without loss_scale_factor the constant is the padded width",
            },
        ],
        "verify_mutant": {
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
    "dapo": {
        "name": "DAPO",
        "paper": "yu2025dapo",
        "category": "verifiable-rewards",
        "provenance": "per the official code",
        "feedback": ["binary"],
        "needs": ["reference", "verifier", "online-samples"],
        "target": "the highest pass rate, without a KL term; what it descends is no function",
        "yields": "policy",
        "preset": {
            "ratio": "token",
            "average": "batch",
            "scale": "std",
            "clip_high": 0.28,
            "resample": True,
            "beta": 0.0,
            "steps": 24,
        },
        "bed": {"verifier": 0.05},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=dapo, epsilon_high=0.28, beta=0",
                "difference": "none in the loss; it keeps groups without spread and samples no others",
            },
        ],
        "verify_mutant": {
            "replace": ["tuple(x[spread] for x in fresh)", "tuple(x for x in fresh)"],
            "why": "groups without spread stay in the batch, which is DAPO without dynamic sampling",
        },
    },
    "gspo": {
        "name": "Group Sequence Policy Optimization",
        "paper": "zheng2025group",
        "category": "group-relative-policy-gradients",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the optimum of J_beta is a fixed point; what it descends is no function",
        "yields": "policy",
        "preset": {
            "ratio": "answer",
            "average": "answer",
            "scale": "std",
            "clip_low": 0.05,
            "clip_high": 0.05,
        },
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=grpo, importance_sampling_level=sequence",
                "difference": "none in the loss; with the default loss_type answers weigh by their length",
            },
        ],
        "verify_mutant": {
            "replace": ["masked_mean(logps - old_logps.detach(), mask).exp()", "0 * logps.sum(-1) + 1"],
            "why": "a ratio that is the constant 1 has no gradient, and nothing is learned",
        },
    },
    "cispo": {
        "name": "CISPO",
        "paper": "minimax2025minimax",
        "category": "group-relative-policy-gradients",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the optimum of J_beta is a fixed point; what it descends is no function",
        "yields": "policy",
        "preset": {
            "ratio": "weight",
            "average": "batch",
            "scale": "std",
            "clip_low": 1.0,
            "clip_high": 1.0,
            "lr": 2.5e-4,
        },
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "GRPOTrainer, loss_type=cispo",
                "difference": "its epsilon_high is the bound itself, 1 + clip_high here",
            },
        ],
        "verify_mutant": {
            "replace": [".clamp(1 - low, 1 + high).detach()", ".clamp(1 - low, 1 + high)"],
            "why": "a gradient through the weight, times a negative log-probability, pushes good answers down",
        },
    },
    "gmpo": {
        "name": "Geometric-Mean Policy Optimization",
        "paper": "zhao2025geometric",
        "category": "group-relative-policy-gradients",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the optimum of J_beta is a fixed point; what it descends is no function",
        "yields": "policy",
        "preset": {
            "ratio": "geometric",
            "average": "answer",
            "scale": "std",
            "clip_low": 0.4,
            "clip_high": 0.4,
        },
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "verl",
                "name": "compute_policy_loss_geo_mean",
                "difference": "none in the loss",
            },
        ],
        "verify_mutant": {
            "replace": ["mask, config.beta)", "mask, 0.0)"],
            "why": "without the KL in the reward the policy runs past the optimum to the best single answer",
        },
    },
}

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class GroupLossesConfig:
    """Defaults for the exact bed; the papers' own values are named where they differ.

    Tried on seed 100 with the gold reward, by the share of the gap closed: learning rates 1e-3 and 2e-3, each with two
    bands (GRPO and Dr. GRPO 0.1 and 0.2, GSPO 0.05 and 0.2, CISPO 1 and 4, GMPO 0.2 and 0.4). The lower rate was the
    better for all, GSPO's and CISPO's narrower band too; the others differ by 0.005 and keep the papers' value.
    """

    ratio: Literal["token", "answer", "weight", "geometric"] = "token"
    """What is clipped: each token's ratio, the answer's, the weight of a token's gradient, or log-ratios."""
    average: Literal["answer", "batch", "constant"] = "constant"
    """Over the tokens of each answer, over all tokens of the batch, or their sum over the longest length."""
    scale: Literal["std", "none"] = "none"
    """Whether advantages are divided by their group's standard deviation."""
    clip_low: float = 0.2
    """Lower edge of the band: 1 - clip_low, or -clip_low for a log-ratio (GSPO: 3e-4, on long answers)."""
    clip_high: float = 0.2
    """Upper edge: 1 + clip_high, or clip_high for a log-ratio (GSPO: 4e-4)."""
    resample: bool = False
    """Pass over groups without spread in their scores, and update once enough others have been sampled."""
    beta: float = 0.5
    """Weight of the KL in the reward (the papers: 0)."""
    prompts: int = 8
    """Groups per batch."""
    samples: int = 8
    """Answers per group."""
    steps: int = 48
    """Times that prompts times samples answers are sampled."""
    epochs: int = 4
    """Updates per batch. Ratios are 1 in the first, so that no clip acts before the second."""
    lr: float = 1e-3


def token_terms(logps: Tensor, old_logps: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """The smaller of wA and clipped wA, for each token; GRPO, Dr. GRPO and DAPO.

    ``advantage`` is (answers,), the log-probabilities are (answers, tokens), as is the result. The old policy and
    the advantage get no gradient, here and below.
    """
    ratio, advantage = (logps - old_logps.detach()).exp(), advantage.detach()[:, None]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def answer_terms(
    logps: Tensor, old_logps: Tensor, mask: Tensor, advantage: Tensor, low: float, high: float
) -> Tensor:
    """The smaller of sA and clipped sA for each answer, s being the geometric mean of its ratios; zheng2025group.

    Shapes as in :func:`token_terms`; returns (answers,).
    """
    ratio, advantage = masked_mean(logps - old_logps.detach(), mask).exp(), advantage.detach()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def weight_terms(logps: Tensor, old_logps: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """A token's log-probability times advantage and clipped ratio, the ratio without gradient; CISPO.

    Shapes as in :func:`token_terms`. Source: minimax2025minimax. No token's gradient is dropped.
    """
    weight = (logps - old_logps).exp().clamp(1 - low, 1 + high).detach()
    return weight * advantage.detach()[:, None] * logps


def geometric_terms(
    logps: Tensor, old_logps: Tensor, mask: Tensor, advantage: Tensor, low: float, high: float
) -> Tensor:
    """The geometric mean of an answer's ratios, each log-ratio clipped on the side that would gain, times A.

    Shapes as in :func:`token_terms`; returns (answers,). Source: zhao2025geometric.
    """
    log_ratio, sign = logps - old_logps.detach(), advantage.sign()[:, None]
    smaller = torch.minimum(sign * log_ratio, sign * log_ratio.clamp(-low, high))
    return masked_mean(sign * smaller, mask).exp() * advantage.detach()


def averaged(terms: Tensor, mask: Tensor, how: str, longest: int) -> Tensor:
    """One number from the terms of all tokens, (answers, tokens): a scalar.

    ``answer`` is the mean over answers of their means, ``batch`` the mean over all tokens, ``constant`` the mean over
    answers of their sums over ``longest``, the number of tokens that an answer may have. Raises ValueError for another
    word.
    """
    if how == "answer":
        return masked_mean(terms, mask).mean()
    if how == "batch":
        return masked_sum(terms, mask).sum() / mask.sum()
    if how == "constant":
        return masked_sum(terms, mask).mean() / longest
    raise ValueError(f"unknown average {how!r}; choose answer, batch or constant")


def group_loss(
    logps: Tensor, old_logps: Tensor, mask: Tensor, advantage: Tensor, config: GroupLossesConfig, longest: int
) -> Tensor:
    """Minus the average of the terms that ``config`` names; shapes as in :func:`token_terms`, returns a scalar.

    An answer's term stands for each of its tokens. Raises ValueError for an unknown ratio or average.
    """
    band = config.clip_low, config.clip_high
    if config.ratio == "token":
        terms = token_terms(logps, old_logps, advantage, *band)
    elif config.ratio == "weight":
        terms = weight_terms(logps, old_logps, advantage, *band)
    elif config.ratio == "answer":
        terms = answer_terms(logps, old_logps, mask, advantage, *band)[:, None].expand_as(mask)
    elif config.ratio == "geometric":
        terms = geometric_terms(logps, old_logps, mask, advantage, *band)[:, None].expand_as(mask)
    else:
        raise ValueError(f"unknown ratio {config.ratio!r}; choose token, answer, weight or geometric")
    return -averaged(terms, mask, config.average, longest)


def has_spread(scores: Tensor) -> Tensor:
    """Whether a group's scores differ at all: (groups, answers) -> (groups,)."""
    return (scores != scores[:, :1]).any(-1)


def length_slopes(
    levels: Sequence[Tensor], passed: Tensor, space: SequenceSpace, average: str
) -> tuple[float, float, float]:
    """How pass rate, length of wrong and length of right answers change along GRPO's mean gradient: three slopes.

    The gradient is by the logits of every prefix, on fresh answers and endless groups, exactly. ``levels[t]`` are
    next-token log-probabilities (prompts, prefixes, actions), ``passed`` is 1 on right answers (prompts,
    sequences); ``average`` is answer, for one over the answer's length, or constant. An estimator without bias for
    length would still change lengths, as far as right answers are of another length.
    """
    logits = [level.detach().double().requires_grad_() for level in levels]
    logps = space.sequence_logps([level.log_softmax(-1) for level in logits])
    law, lengths = logps.exp(), space.mask.sum(1).to(logps)

    def slope_of(value: Tensor) -> Tensor:
        parts = torch.autograd.grad(value, logits, retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    rate = (law * passed).sum(-1, keepdim=True)
    advantage = (passed - rate) / (rate * (1 - rate)).sqrt()
    weight = advantage / lengths if average == "answer" else advantage
    direction = slope_of((law.detach() * weight.detach() * logps).sum())
    values = [rate.mean()]
    for part in (law * (1 - passed), law * passed):
        values.append((part * lengths).sum() / part.sum())
    gained, wrong, right = (float(direction @ slope_of(value)) for value in values)
    return gained, wrong, right


def train(bed: ExactBed, config: GroupLossesConfig, seed: int, observe: Observe) -> Outcome:
    """Sample groups of answers, compare each answer with its group, and take a few steps on the batch."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    waiting: list[Batch] = []
    groups_without_spread, outside = 0, []

    for step in range(1, config.steps + 1):
        drawn = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        answers = bed.sample(policy, drawn, draw)
        flat = drawn, answers, bed.score(drawn, answers)
        fresh: Batch = tuple(x.unflatten(0, (config.prompts, config.samples)) for x in flat)
        spread = has_spread(fresh[2])
        groups_without_spread += int((~spread).sum())
        waiting.append(tuple(x[spread] for x in fresh) if config.resample else fresh)
        groups = tuple(torch.cat(parts)[: config.prompts] for parts in zip(*waiting, strict=True))

        if len(groups[0]) == config.prompts:
            waiting = []
            rows, tokens, score = (x.flatten(0, 1) for x in groups)
            prompts, mask = bed.prompts[rows], (tokens != 0).float()
            reference_logps = bed.reference_token_logps(rows, tokens)
            with torch.no_grad():
                old_logps = policy.token_logps(prompts, tokens)
            rewards = regularised_reward(score, old_logps, reference_logps, mask, config.beta)
            advantage = advantages(rewards.view(config.prompts, config.samples), config.scale).flatten()
            for _ in range(config.epochs):
                logps = policy.token_logps(prompts, tokens)
                loss = group_loss(logps, old_logps, mask, advantage, config, bed.space.horizon)
                descend(loss, policy, optimiser)
            far = ((logps.detach() - old_logps).exp() - 1).abs() > 0.2
            outside.append(float(far.sum() / mask.sum()))
            while schedule.last_epoch < step:
                schedule.step()
        observe(step, lambda: bed.logps(policy))

    logps = bed.logps(policy)
    law = logps[bed.train_rows].exp()
    lengths = bed.space.mask.sum(1).to(law)
    measures = {
        "entropy": float(-(law * logps[bed.train_rows]).sum(-1).mean()),
        "answer_length": float((law * lengths).sum(-1).mean()),
        "groups_without_spread": groups_without_spread / (config.steps * config.prompts),
        "tokens_moved": sum(outside) / max(1, len(outside)),
    }
    if bed.config.verifier is not None:
        with torch.no_grad():
            levels = bed.reference.level_logps(bed.prompts[bed.train_rows])
        for average in ("answer", "constant"):
            gained, wrong, right = length_slopes(
                levels, bed.reward[bed.train_rows].double(), bed.space, average
            )
            measures |= {f"wrong_slope_{average}": wrong / gained, f"right_slope_{average}": right / gained}
    optimum = bed.optimum(bed.reward, config.beta) if config.beta else None
    return Outcome(logps=logps, optimum=optimum, measures=measures)
