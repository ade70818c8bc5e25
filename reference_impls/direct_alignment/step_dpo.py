r"""Step-DPO: direct preference optimisation of the first wrong step.

Paper: lai2024step. Provenance: per the official code (dvlab-research/Step-DPO at c4902fd, ``train.py``, which appends
the right beginning to the prompt and trains with DPO's loss on what follows); that what follows is one token is ours.

A derivation is right up to a beginning $s_{1:k-1}$ and wrong at its $k$-th step $s_l$; the policy, asked again from
there, found a right one, $s_w$:

$$L(\theta) = -\log\sigma\left(\beta \log\frac{\pi_\theta(s_w|x, s_{1:k-1})}{\pi_{ref}(s_w|x, s_{1:k-1})}
            - \beta \log\frac{\pi_\theta(s_l|x, s_{1:k-1})}{\pi_{ref}(s_l|x, s_{1:k-1})}\right)$$

It is DPO's loss on the two beginnings that end with these steps: the shared part has the same log-ratio in both and
cancels. What is left out against DPO on the whole derivations is everything after the first mistake. A label says
where the mistake is, DPO's whether the result is right.

Labels here never err, so that no finite policy is optimal: where training ends depends on its length.

What we leave out: the pipeline that finds mistakes with a language model and looks for a right step among samples
with a right result; steps of more than one token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.derivations import mistake_pairs, result_pairs
from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.direct_alignment.dpo import dpo_loss

METHODS = {
    "step-dpo": {
        "name": "Step-DPO",
        "paper": "lai2024step",
        "category": "token-and-step-level-alignment",
        "provenance": "per the official code",
        "feedback": ["steps", "pairs"],
        "needs": ["reference"],
        "target": None,
        "yields": "policy",
        "preset": {},
        "bed": {"derivation": 0.75, "vocab": 3, "horizon": 6},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "DPOTrainer with the right beginning as part of the prompt",
                "difference": "none in the loss",
            },
        ],
        "verify_mutant": {
            "replace": ["mistake_pairs(bed, config.labels, draw)", "mistake_pairs(bed, 8, draw)"],
            "why": "eight pairs in place of all that were labelled",
        },
    },
}


@dataclass(frozen=True)
class StepDPOConfig:
    """Defaults for the exact bed."""

    pairs: Literal["mistakes", "results"] = "mistakes"
    """What is labelled: where a derivation goes wrong, or whether results are right."""
    unit: Literal["step", "rest"] = "step"
    """Whether the loss sees the step at which two derivations part, or all of them."""
    beta: float = 0.5
    """Strength of the pull to the reference (code: 0.5 for 7B, 0.4 for 72B)."""
    labels: int = 200
    steps: int = 120
    batch: int = 64
    """Pairs per update (code: 128)."""
    lr: float = 3e-3


def first_difference(chosen: Tensor, rejected: Tensor) -> Tensor:
    """1.0 at the first place where two answers differ, else 0.0: tokens (pairs, places) twice -> the same shape."""
    different = (chosen != rejected).long()
    return ((different == 1) & (different.cumsum(-1) == 1)).float()


def step_dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    beta: float,
) -> Tensor:
    """DPO's loss of the steps at which the answers of each pair part.

    The first four are log-probabilities of tokens, (pairs, places), the next two the tokens themselves. Returns
    (pairs,), in nats.
    """
    step = first_difference(chosen_tokens, rejected_tokens)
    return dpo_loss(chosen, rejected, reference_chosen, reference_rejected, step, step, beta)


def train(bed: ExactBed, config: StepDPOConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a copy of the reference to pairs that part at a mistake, or to pairs of results."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    if config.pairs == "mistakes":
        data = mistake_pairs(bed, config.labels, draw)
    else:
        data = result_pairs(bed, config.labels, draw)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        prompts = bed.prompts[pairs.prompts].repeat(2, 1)
        chosen, rejected = policy.token_logps(prompts, torch.cat([pairs.chosen, pairs.rejected])).chunk(2)
        logps = (
            chosen,
            rejected,
            bed.reference_token_logps(pairs.prompts, pairs.chosen),
            bed.reference_token_logps(pairs.prompts, pairs.rejected),
        )
        if config.unit == "step":
            losses = step_dpo_loss(*logps, pairs.chosen, pairs.rejected, config.beta)
        else:
            losses = dpo_loss(*logps, pairs.chosen_mask, pairs.rejected_mask, config.beta)
        descend(losses.mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    return Outcome(logps=bed.logps(policy))
