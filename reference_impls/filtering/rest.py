r"""ReST: grow a batch of own answers, then imitate ever stricter selections of it.

Paper: gulcehre2023reinforced. Provenance: per the paper's text (section 3, algorithm 1), but for the
thresholds: the paper's are values of a reward model whose scores lie in [0, 1], ours are quantiles of the
batch, which mean the same on every bed.

*Grow*: draw a batch from the current policy and score it. *Improve*, several times on the same batch: raise the
threshold $\tau$ and fine-tune on what lies above,

$$L(\theta) = -\mathrm{E}_{(x, y) \sim D_g}\left[ 1[r(x, y) \ge \tau]\, \log \pi_\theta(y|x) \right],
\qquad \tau_1 < \tau_2 < \dots$$

Then grow again, from the improved policy. Samples are used many times, and only scores are needed, not gradients of
an online policy. Expert iteration is this with one threshold and fresh answers in every round (RAFT beside it takes
the best of each prompt in place of a threshold).

If every round is fitted perfectly only its last threshold counts, and the law after $G$ rounds is the reference
restricted, round by round, to the best share of what the round before writes, all prompts together. That target is
computed exactly. It has no mass on worse answers, however good for their prompt, so that the distance is measured from
it, $\mathrm{KL}(\text{target} \| \pi_\theta)$.

What we leave out: the supervised start, other losses than the likelihood (the paper found it best), and answers of
people in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "rest": {
        "name": "Reinforced self-training (ReST)",
        "paper": "gulcehre2023reinforced",
        "category": "rejection-sampling-fine-tuning",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reward-model", "online-samples"],
        "target": "the reference restricted, round by round, to the best share of all answers",
        "yields": "policy",
        "preset": {},
        "knob": {"name": "grow", "values": [1, 2, 3, 4]},
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
            "replace": ["rewards >= threshold", "rewards < threshold"],
            "why": "what lies below the threshold is imitated",
        },
    },
}


@dataclass(frozen=True)
class ReSTConfig:
    """Defaults for the exact bed."""

    grow: int = 2
    """Batches of fresh answers, G (paper: 1 or 2)."""
    improve: int = 3
    """Selections per batch, each stricter than the last, I (paper: 1 to 4)."""
    first: float = 0.5
    """Share of the batch that the first selection keeps."""
    last: float = 0.2
    """Share that the last one keeps; those between are spaced evenly."""
    samples: int = 19200
    """Answers per batch."""
    batch: int = 128
    """Kept answers per update."""
    steps: int = 300
    """Updates in all, spread evenly over the selections."""
    lr: float = 1e-3


def shares(first: float, last: float, improve: int) -> list[float]:
    """Share of the batch that each selection keeps. Raises ValueError unless they fall from at most 1 to above 0."""
    if not 0 < last <= first <= 1:
        raise ValueError(f"selections must become stricter, not {first} to {last}")
    if improve == 1:
        return [last]
    return [first + (last - first) * i / (improve - 1) for i in range(improve)]


def selected(rewards: Tensor, share: float) -> Tensor:
    """Which answers lie at or above the threshold that keeps this share: (answers,) -> booleans (answers,)."""
    threshold = rewards.topk(max(1, round(share * len(rewards)))).values[-1]
    return rewards >= threshold


def restricted(law: Tensor, rewards: Tensor, share: float) -> Tensor:
    """Law of the answers above the threshold that ``share`` of all mass exceeds, prompts being equally frequent.

    Probabilities and rewards (prompts, sequences) -> the same. A prompt of which nothing is above keeps its best.
    """
    values, order = rewards.flatten().sort(descending=True)
    mass = law.flatten()[order].cumsum(0) / len(law)
    threshold = values[(mass < share - 1e-9).sum()]
    above = (rewards >= threshold) | (rewards == rewards.amax(-1, keepdim=True))
    kept = law * above
    return kept / kept.sum(-1, keepdim=True)


def train(bed: ExactBed, config: ReSTConfig, seed: int, observe: Observe) -> Outcome:
    """Grow and improve in turns; the policy goes on from one selection to the next."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    kept = shares(config.first, config.last, config.improve)
    turns = config.grow * config.improve
    turn = -1

    for step in range(1, config.steps + 1):
        due = (step - 1) * turns // config.steps
        while turn < due:
            turn += 1
            if turn % config.improve == 0:
                rows = bed.sample_prompts(config.samples, draw)
                tokens = bed.sample(policy, rows, draw)
                rewards = bed.score(rows, tokens)
            chosen = selected(rewards, kept[turn % config.improve]).nonzero().squeeze(1)
        picks = chosen[torch.randint(len(chosen), (config.batch,), generator=draw, device=bed.device)]
        logps = policy.token_logps(bed.prompts[rows[picks]], tokens[picks])
        descend(-masked_sum(logps, tokens[picks] != PAD).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    final = bed.logps(policy)
    return Outcome(logps=final, optimum=_target(bed, config), divergence="forward")


def _target(bed: ExactBed, config: ReSTConfig) -> Tensor:
    """log-probabilities after so many perfect rounds; held-out prompts are restricted among themselves."""
    law = bed.reference_logps.double().exp()
    for _ in range(config.grow):
        for rows in (bed.train_rows, bed.heldout_rows):
            law[rows] = restricted(law[rows], bed.reward[rows].double(), config.last)
    return law.log().float()
