r"""Regression on pairs: REBEL and contrastive policy gradient.

Papers: gao2024rebel and fletberliac2024contrastive. Provenance: REBEL per the official code (ZhaolinGao/REBEL at
4ad7c11, ``src/tldr/rebel.py``); the second is a reconstruction from the identity that its abstract names.

Take two answers to one prompt. At the optimum of $J_\beta$ the regularised reward
$R_\theta(y) = r(x, y) - \beta\log\frac{\pi_\theta(y|x)}{\pi_{ref}(y|x)}$ is the same for both, whoever wrote them:
$\log Z(x)$ cancels in the difference. Contrastive policy gradient descends the difference,

$$L(\theta) = \tfrac12\bigl(R_\theta(y_1) - R_\theta(y_2)\bigr)^2.$$

On the policy's own answers its mean gradient is $2\beta$ times that of RLOO with two samples; on others' answers it
needs no importance weights. REBEL takes one step of size $\eta$ from the policy that answered, with $R$ a number:

$$L(\theta) = \Bigl(\log\frac{\pi_\theta(y_1|x)}{\pi_{old}(y_1|x)} - \log\frac{\pi_\theta(y_2|x)}{\pi_{old}(y_2|x)}
- \eta\,\bigl(R_{old}(y_1) - R_{old}(y_2)\bigr)\Bigr)^2.$$

Solved exactly it leaves $(1 - \eta\beta)$ of the distance to the optimum in log-probabilities: at once there with
$\eta = 1/\beta$. The two are one formula then: put $\pi_{ref}$ for $\pi_{old}$.

``paired=False`` regresses $R_\theta(y)$ itself on 0, as if $Z(x)$ were one. On the policy's own answers that changes
nothing on average; on others' it moves the optimum.

What we leave out: REBEL's offline answers and general preferences, the adaptive coefficient of its code, and CoPG with
more than two answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum, regularised_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import Policy, trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "rebel": {
        "name": "REBEL",
        "paper": "gao2024rebel",
        "category": "other-rl-algorithms",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"loss": "rebel", "source": "policy"},
        "knob": None,
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["config.eta,", "-config.eta,"],
            "why": "the worse answer of a pair is made more likely",
        },
    },
    "copg": {
        "name": "Contrastive policy gradient (CoPG)",
        "paper": "fletberliac2024contrastive",
        "category": "other-rl-algorithms",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model"],
        "target": "J_beta of the reward it is given",
        "yields": "policy",
        "preset": {"loss": "copg", "source": "reference"},
        "knob": None,
        "dimensions": {
            "arity": "n-ary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": [
                "rewards - beta * (logps - reference_logps)",
                "rewards + beta * (logps - reference_logps)",
            ],
            "why": "the worse answer of a pair is made more likely",
        },
    },
}


@dataclass(frozen=True)
class PairRegressionConfig:
    """Defaults for the exact bed; the papers' own values are named where they differ."""

    loss: Literal["rebel", "copg"] = "rebel"
    source: Literal["policy", "reference"] = "policy"
    """Who writes the answers: the policy of the moment, or the reference once and for all."""
    paired: bool = True
    """Of CoPG: whether differences are regressed, or each answer by itself."""
    beta: float = 0.5
    """Weight of the KL to the reference (gao2024rebel: 0.05)."""
    eta: float = 1.0
    """Size of REBEL's step (gao2024rebel: 1)."""
    prompts: int = 8
    samples: int = 16
    """Answers per prompt, paired with their neighbours."""
    answers: int = 0
    """Answers of the reference that are recorded and used again and again; 0 draws afresh for every batch."""
    steps: int = 100
    epochs: int = 2
    """Updates per batch of answers (gao2024rebel: 4)."""
    lr: float = 2e-3


def rebel_loss(logps: Tensor, old_logps: Tensor, rewards: Tensor, eta: float) -> Tensor:
    """REBEL's squared error of each pair: three tensors (pairs, 2) -> (pairs,); only ``logps`` gets a gradient."""
    moved = logps - old_logps.detach()
    wanted = eta * rewards.detach()
    return ((moved - wanted)[:, 0] - (moved - wanted)[:, 1]) ** 2


def copg_loss(logps: Tensor, reference_logps: Tensor, rewards: Tensor, beta: float, paired: bool) -> Tensor:
    """CoPG's half squared difference of regularised rewards: three tensors (pairs, 2) -> (pairs,).

    Without ``paired`` the mean of the two answers' squared regularised rewards.
    """
    regularised = rewards - beta * (logps - reference_logps)
    if paired:
        return 0.5 * (regularised[:, 0] - regularised[:, 1]) ** 2
    return 0.5 * (regularised**2).sum(-1)


def _answers(
    bed: ExactBed, writer: Policy, prompts: int, samples: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fresh answers of ``writer``, those to one prompt beside each other: rows and tokens."""
    rows = bed.sample_prompts(prompts, draw).repeat_interleave(samples)
    return rows, bed.sample(writer, rows, draw)


def _some(
    record: tuple[Tensor, Tensor], prompts: int, samples: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The recorded answers of some groups: rows and tokens."""
    rows, tokens = record
    groups = torch.randperm(len(rows) // samples, generator=draw, device=rows.device)[:prompts]
    places = (groups[:, None] * samples + torch.arange(samples, device=rows.device)).flatten()
    return rows[places], tokens[places]


def train(bed: ExactBed, config: PairRegressionConfig, seed: int, observe: Observe) -> Outcome:
    """Draw answers, pair neighbours to the same prompt, and regress."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps * config.epochs)
    record = None
    if config.answers:
        record = _answers(bed, bed.reference, config.answers // config.samples, config.samples, draw)

    for step in range(1, config.steps + 1):
        if record is None:
            writer = policy if config.source == "policy" else bed.reference
            rows, tokens = _answers(bed, writer, config.prompts, config.samples, draw)
        else:
            rows, tokens = _some(record, config.prompts, config.samples, draw)
        prompts, mask = bed.prompts[rows], (tokens != 0).float()
        scores, reference = bed.score(rows, tokens), bed.reference_token_logps(rows, tokens)
        with torch.no_grad():
            old = policy.token_logps(prompts, tokens)
        regularised = regularised_reward(scores, old, reference, mask, config.beta)

        for _ in range(config.epochs):
            logps = masked_sum(policy.token_logps(prompts, tokens), mask).view(-1, 2)
            if config.loss == "rebel":
                loss = rebel_loss(
                    logps,
                    masked_sum(old, mask).view(-1, 2),
                    regularised.view(-1, 2),
                    config.eta,
                )
            else:
                anchor = masked_sum(reference, mask).view(-1, 2)
                loss = copg_loss(logps, anchor, scores.view(-1, 2), config.beta, config.paired)
            descend(loss.mean(), policy, optimiser)
            schedule.step()
        observe(step, lambda: bed.logps(policy))

    right = config.paired or (config.loss == "copg" and config.source == "policy" and config.epochs == 1)
    return Outcome(logps=bed.logps(policy), optimum=bed.optimum(bed.reward, config.beta) if right else None)
