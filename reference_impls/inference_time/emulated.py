r"""Emulated fine-tuning: a small model's change by tuning, added to a large model that was not tuned.

Papers: mitchell2024emulator (EFT, with up-scaling as the case run here) and liu2024tuning (proxy-tuning, the same sum
of logits at each token). Provenance: per the official code of proxy-tuning (alisawuffles/proxy-tuning at e60de54,
``dexperts.py``, whose alpha is our scale); EFT's equation per reports on the paper.

A tuned model is the optimum of a KL-regularised objective whose reward is its log-ratio to its base. If a small pair
supplies the reward and a large model the base, the optimum is

$$\tilde\pi(y|x) \propto \pi_{base}^L(y|x)
\left(\frac{\pi_{tuned}^S(y|x)}{\pi_{base}^S(y|x)}\right)^{\alpha},$$

with $\alpha = 1$ for the same strength of the pull to the base, more for a weaker and less for a stronger one.

- ``emulated-fine-tuning``: normalised at every token, as it is sampled in practice;
- ``composition="answer"``: normalised over whole answers, as the equation says. Only enumeration can do it.

The two are not the same. Let both sizes be tuned perfectly, to $\pi_{base}\,e^{r/\beta}/Z$. Over whole answers the
small model drops out, $\tilde\pi \propto \pi^L_{base}\,e^{r/\beta}$: *exactly* the tuned large model. Token by token
the small model's log-ratio is the rise of its soft value $V^S$, the log-mean of $e^{r/\beta}$ over its own
continuations, so that the large model is steered by what the *small* base would go on to write; it is exact if
$V^S - V^L$ does not depend on the next token, for instance for the last one.

What we leave out: vocabularies that differ, filters on the combined distribution, and speculative decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.beds.sizes import small_base
from reference_impls.core.metrics import kl, tilted
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.direct_alignment.dpo import dpo_loss

METHODS = {
    "emulated-fine-tuning": {
        "name": "Emulated fine-tuning (EFT, proxy-tuning)",
        "paper": "mitchell2024emulator",
        "category": "emulated-fine-tuning",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": ["reference"],
        "target": "J_beta of the reward that the small pair implies, over the large base",
        "yields": "distribution",
        "preset": {},
        "knob": {"name": "scale", "values": [0.25, 0.5, 1.0, 1.5, 2.0]},
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
            "replace": ["scale * (tuned - untuned)", "scale * (untuned - tuned)"],
            "why": "the tuning is undone instead of added",
        },
    },
}


@dataclass(frozen=True)
class EmulatedConfig:
    """Defaults for the exact bed: a small model, badly pre-trained."""

    tuning: Literal["dpo", "perfect"] = "dpo"
    """How models are tuned: by DPO on the same pairs, or to the exact optimum of J."""
    composition: Literal["token", "answer", "small"] = "token"
    """Normalised at every token or over whole answers; ``small`` is the small tuned model alone."""
    scale: float = 1.0
    """alpha."""
    beta: float = 0.5
    width: int = 8
    layers: int = 1
    base_steps: int = 20
    """Updates of the small model's pre-training (the reference has had 150)."""
    labels: int = 8000
    tuning_steps: int = 150
    batch: int = 64
    lr: float = 1e-3
    """Peak learning rate of DPO for the large model; the small one takes more by as much as it is narrower."""


def emulated_tokens(
    base: Sequence[Tensor], tuned: Sequence[Tensor], untuned: Sequence[Tensor], scale: float
) -> list[Tensor]:
    """Next-token log-probabilities, normalised at every prefix: three times levels (prompts, prefixes, actions)."""
    levels = zip(base, tuned, untuned, strict=True)
    return [(large + _shift(small, other, scale)).log_softmax(-1) for large, small, other in levels]


def emulated_answers(base: Tensor, tuned: Tensor, untuned: Tensor, scale: float) -> Tensor:
    """The same, normalised over whole answers: log-probabilities (prompts, sequences) three times -> the same."""
    return (base + _shift(tuned, untuned, scale)).log_softmax(-1)


def _shift(tuned: Tensor, untuned: Tensor, scale: float) -> Tensor:
    return scale * (tuned - untuned)


def levels_of(space: SequenceSpace, logps: Tensor) -> list[Tensor]:
    """Next-token log-probabilities at every prefix of a law of whole answers (prompts, sequences)."""
    return [mass.log().log_softmax(-1) for mass in space.sums_below(logps.double().exp())]


def tuned_by_dpo(
    bed: ExactBed,
    base: TransformerPolicy,
    data: Pairs,
    config: EmulatedConfig,
    lr: float,
    draw: torch.Generator,
) -> TransformerPolicy:
    """A copy of ``base`` after DPO on the pairs, with ``base`` for its reference."""
    policy = trainable_copy(base)
    optimiser, schedule = cosine_adam(policy.parameters(), lr, config.tuning_steps)
    for _ in range(config.tuning_steps):
        pairs = data.batch(config.batch, draw)
        prompts, answers = bed.prompts[pairs.prompts].repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
        with torch.no_grad():
            reference_chosen, reference_rejected = base.token_logps(prompts, answers).chunk(2)
        chosen, rejected = policy.token_logps(prompts, answers).chunk(2)
        masks = pairs.chosen_mask, pairs.rejected_mask
        loss = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, *masks, beta=config.beta)
        descend(loss.mean(), policy, optimiser)
        schedule.step()
    return policy


def train(bed: ExactBed, config: EmulatedConfig, seed: int, observe: Observe) -> Outcome:
    """Pre-train a small model, tune it, and tune the large one for comparison; compose by enumeration."""
    draw = bed.generator(seed)
    space, large = bed.space, bed.reference_logps.double()
    small = small_base(bed, config.width, config.layers, config.base_steps, draw)
    untuned = bed.logps(small).double()
    if config.tuning == "perfect":
        tuned, direct = (tilted(law, bed.utility.double(), config.beta) for law in (untuned, large))
    else:
        data = bed.preference_pairs(config.labels, draw)
        quicker = 64 / config.width * config.lr
        tuned = bed.logps(tuned_by_dpo(bed, small, data, config, quicker, draw)).double()
        direct = bed.logps(tuned_by_dpo(bed, bed.reference, data, config, config.lr, draw)).double()

    parts = [levels_of(space, law) for law in (large, tuned, untuned)]
    found = {
        "token": space.sequence_logps(emulated_tokens(parts[0], parts[1], parts[2], config.scale)),
        "answer": emulated_answers(large, tuned, untuned, config.scale),
        "small": tuned,
    }
    rows = bed.train_rows
    measures = {f"kl_to_direct_{name}": float(kl(law, direct)[rows].mean()) for name, law in found.items()}
    measures["kl_reference_to_direct"] = float(kl(large, direct)[rows].mean())
    measures["kl_known_to_small"] = float(kl(bed.known_logps().double(), untuned)[rows].mean())
    measures["direct_gold"] = float((direct.exp() * bed.gold).sum(-1)[rows].mean())
    return Outcome(logps=found[config.composition].float(), optimum=direct.float(), measures=measures)
