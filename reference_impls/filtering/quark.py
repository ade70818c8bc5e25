r"""Quark and score-conditioned fine-tuning: learn from all samples what good and bad ones are, then ask for good ones.

Papers: lu2022quark, and dong2023steerlm for the single round (chen2021decision did the same for control). Provenance:
per the official code (GXimingLu/Quark at 30c9a0f: ``data_pool.py``, ``main.py``) for the quantiles, the pool,
the exploration and the loss; per the paper's text for the single round (SteerLM's step 3), its attributes
being one here, the quantile of the score.

All samples so far, over all prompts, are sorted by their scores into $K$ quantiles. A word for its quantile
$c \in \{1 \dots K\}$ (1 is the best) is put before each sample's prompt, and the policy is fitted to all of them:

$$L(\theta) = \sum_t \Bigl[-\log \pi_\theta(y_t|x, y_{<t}, c)
   + \beta\, \mathrm{KL}\bigl(\pi_\theta(\cdot|x, y_{<t}, c) \,\|\, \pi_{ref}(\cdot|x, y_{<t})\bigr)
   - \gamma\, H\bigl(\pi_\theta(\cdot|x, y_{<t}, c)\bigr)\Bigr]$$

KL and entropy are sums over all next tokens, not estimates. Quark then samples with the word for the best quantile,
adds the samples to the pool, sorts the pool anew and goes on; the first samples come from the reference.

One round with $\beta = \gamma = 0$ has a known optimum: asked for the best quantile it is the reference, given that
its answer is among the best $\frac1K$ of all answers to all prompts, at a divergence of about $\log K$. That is what
filtering at the same threshold gives too. Repetition goes beyond it; where it comes to rest depends on $\beta$, and no
closed form is known.

What we leave out: adaptive weights of KL and entropy, sampling with a cut-off (top-p), the reward model behind the
scores (the bed's own score stands for it), and in the single round SteerLM's further attributes and its second
fine-tuning on own samples. The code averages over a batch's tokens where we add up each answer's: the same up to a
factor per batch. Its command line sets $\gamma = 0.06$; here it is 0 unless it is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.conditioned import Asked, ConditionedPolicy
from reference_impls.core.estimators import masked_sum
from reference_impls.core.metrics import expectation
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import Policy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "quark": {
        "name": "Quark (quantised reward conditioning)",
        "paper": "lu2022quark",
        "category": "reward-conditioning",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "the best quantile of its own samples, again and again, against a pull to the reference",
        "yields": "policy",
        "preset": {},
        "knob": {"name": "kl", "values": [0.0, 0.05, 0.1, 0.2, 0.4, 0.8]},
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
                "library": "GXimingLu/Quark",
                "name": "main.py",
                "difference": "averages over a batch's tokens; entropy bonus of 0.06",
            },
        ],
        "verify_mutant": {
            "replace": ["descending=True, stable=True", "descending=False, stable=True"],
            "why": "the word for the best quantile stands before the worst answers",
        },
    },
    "score-conditioned-sft": {
        "name": "Score-conditioned fine-tuning, one round",
        "paper": "dong2023steerlm",
        "category": "reward-conditioning",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reward-model"],
        "target": "the reference, given that its answer is in the best quantile of scores",
        "yields": "policy",
        "preset": {"rounds": 1, "kl": 0.0},
        "knob": {"name": "quantiles", "values": [2, 3, 5, 10, 20]},
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
            "replace": ["descending=True, stable=True", "descending=False, stable=True"],
            "why": "the word for the best quantile stands before the worst answers",
        },
    },
}


@dataclass(frozen=True)
class QuarkConfig:
    """Defaults for the exact bed; the official code's own values are named where they differ."""

    quantiles: int = 5
    """Number of quantiles, K (code: 5)."""
    kl: float = 0.2
    """Weight of the KL to the reference, beta (code: 0.05)."""
    entropy: float = 0.0
    """Weight of the entropy, gamma (code: 0.06)."""
    samples: int = 4800
    """Answers sampled and scored, all rounds together."""
    rounds: int = 6
    """Batches of fresh answers, the first from the reference; 1 never asks the policy for any."""
    learn_from: Literal["all", "best"] = "all"
    """All quantiles, or the best alone, which makes the word say nothing."""
    steps: int = 120
    batch: int = 96
    """Samples of the pool per update (code: 128)."""
    lr: float = 2e-3


def sorted_into(scores: Tensor, quantiles: int) -> Tensor:
    """The quantile of each score, 0 being the best: (samples,) -> (samples,), whole numbers.

    All have n // quantiles members but the worst, which gets the remainder as well. Of equal scores the earlier
    counts as the better. Raises ValueError for fewer scores than quantiles.
    """
    if len(scores) < quantiles:
        raise ValueError(f"{len(scores)} scores cannot be sorted into {quantiles} quantiles")
    order = scores.argsort(descending=True, stable=True)
    place = torch.empty_like(order).scatter(0, order, torch.arange(len(scores), device=scores.device))
    return (place // (len(scores) // quantiles)).clamp(max=quantiles - 1)


def quark_loss(
    logps: Tensor, reference: Tensor, tokens: Tensor, mask: Tensor, kl: float, entropy: float
) -> Tensor:
    """Quark's loss of each answer, in nats.

    ``logps`` and ``reference`` are log-probabilities of every next token at the answer's own prefixes, (answers,
    tokens, actions); ``tokens`` (answers, tokens) are numbered from 1; the mask is 1 on real ones. Returns (answers,).
    """
    written = logps.gather(-1, (tokens - 1).clamp(min=0)[..., None]).squeeze(-1)
    law = logps.exp()
    divergence = (law * (logps - reference)).sum(-1)
    spread = -(law * logps).sum(-1)
    return masked_sum(-written + kl * divergence - entropy * spread, mask)


def best_part(logps: Tensor, scores: Tensor, quantiles: int, rows: Tensor) -> Tensor:
    """Log-probabilities given that the answer is in the best quantile of all answers: (prompts, sequences) thrice.

    The threshold is the one that holds for prompts ``rows``, all equally likely. Answers that score exactly as much
    count for the share of them that the quantile has room for.
    """
    mass = logps[rows].double().exp().flatten() / len(rows)
    flat = scores[rows].flatten()
    order = flat.argsort(descending=True)
    room = 1 / quantiles
    full = int((mass[order].cumsum(0) < room).sum())
    edge = flat[order[min(full, len(order) - 1)]]
    share = (room - mass[flat > edge].sum()) / mass[flat == edge].sum()
    kept = torch.where(scores > edge, 1.0, torch.where(scores == edge, share, 0.0))
    return (logps + kept.log()).log_softmax(-1).to(logps)


def train(bed: ExactBed, config: QuarkConfig, seed: int, observe: Observe) -> Outcome:
    """Sample, score, sort, fit under words for the quantiles; ask for the best."""
    draw = bed.generator(seed)
    policy = ConditionedPolicy(bed.reference, config.quantiles)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    best = Asked(policy, 0)
    every = -(-config.steps // config.rounds)
    none = torch.zeros(0, dtype=torch.long, device=bed.device)
    rows, answers, scores = none, bed.tokens[:0], bed.gold[0, :0]

    for step in range(1, config.steps + 1):
        if (step - 1) % every == 0:
            writer: Policy = bed.reference if step == 1 else best
            fresh = bed.sample_prompts(config.samples // config.rounds, draw)
            written = bed.sample(writer, fresh, draw)
            rows, answers = torch.cat([rows, fresh]), torch.cat([answers, written])
            scores = torch.cat([scores, bed.score(fresh, written)])
            quantile = sorted_into(scores, config.quantiles)
            pool = torch.arange(len(rows), device=bed.device)
            if config.learn_from == "best":
                pool = pool[quantile == 0]
        picks = pool[torch.randint(len(pool), (config.batch,), generator=draw, device=bed.device)]
        prompts, tokens = bed.prompts[rows[picks]], answers[picks]
        with torch.no_grad():
            reference = bed.reference.next_logps(prompts, tokens)
        context = torch.cat([policy.word(quantile[picks], prompts), prompts], 1)
        logps = policy.next_logps(context, tokens)
        loss = quark_loss(logps, reference, tokens, (tokens != 0).float(), config.kl, config.entropy)
        descend(loss.mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(best))

    levels = [bed.logps(Asked(policy, level))[bed.train_rows] for level in range(config.quantiles)]
    dial = [float(expectation(level, bed.gold[bed.train_rows]).mean()) for level in levels]
    optimum = None
    if config.rounds == 1 and not config.kl and not config.entropy:
        optimum = best_part(bed.reference_logps, bed.reward, config.quantiles, bed.train_rows)
    return Outcome(
        logps=bed.logps(best),
        optimum=optimum,
        divergence="forward",
        measures={"asked_worst": dial[-1], "asked_middle": dial[len(dial) // 2], "asked_best": dial[0]},
    )
