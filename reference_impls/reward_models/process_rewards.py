r"""Outcome and process reward models: a label for the whole derivation, or one for each of its steps.

Papers: uesato2022solving for both kinds; lightman2024lets, section 2, for steps judged by people; wang2024math,
equations 2 to 4, for steps judged by completing them. Provenance: per the papers' text for the loss, for which steps
have labels, for the two estimates and for how a derivation's score is read off; what predicts is ours.

A model gives every step $s$ of a derivation a probability $p_s$. With labels $c_s$ it descends

$$L(\phi) = -\sum_{s \in S} \left[ c_s \log p_s + (1 - c_s) \log (1 - p_s) \right].$$

* *Outcome:* $c_s$ is 1 if the result is right, for all $s$ or (``last_only``) for the last. The best $p_s$ is the value
  $V_s$, the chance that the reference gets the result right from there.
* *People:* $c_s$ is 1 if the step is right, and $S$ ends with the first that is not.
* *Completions:* from the beginning up to $s$ the reference completes $N$ derivations, of which $k_s$ have the right
  result. *Soft* estimation takes $c_s = k_s / N$, *hard* takes $c_s = 1$ if $k_s \ge 1$. The last step needs no
  completion: $k_s$ is $N$ or 0.

Soft labels are unbiased for $V_s$, which is not whether a step is right. Hard ones have mean $1 - (1 - V_s)^N$; as $N$
grows they say whether the result can still be right, which is what people say unless a wrong step can be harmless.

To rank whole derivations, $p_s$ is read at the last step, multiplied over steps (lightman2024lets) or taken at its
least (wang2024math). The policy that results is the best of $n$ by that score, through its exact distribution.

What we leave out: neutral labels, choosing which derivations to label, votes over equal results, reinforcement
learning on the rewards, and rewards for *progress* (setlur2025rewarding): under the reference itself the differences
$V_s - V_{s-1}$ of a derivation add up to the value of its last step, so that as a ranking they are an outcome model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from reference_impls.beds.derivations import (
    RIGHT,
    Judged,
    checked_results,
    completed,
    judged_steps,
    prefix_values,
    sound,
)
from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum
from reference_impls.core.metrics import best_of_n_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer
from reference_impls.core.training import cosine_adam, descend
from reference_impls.filtering.best_of_n import best_of_n

METHODS = {
    "outcome-reward-model": {
        "name": "Outcome reward model",
        "paper": "uesato2022solving",
        "category": "process-reward-models",
        "provenance": "per the paper's text",
        "feedback": ["binary"],
        "needs": ["reference", "verifier"],
        "target": None,
        "yields": "distribution",
        "preset": {"source": "outcome", "read": "last"},
        "bed": {"derivation": 0.75, "vocab": 3, "horizon": 6},
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
                "name": "PRMTrainer with train_on_last_step_only (experimental, to 1.13)",
                "difference": "there a softmax over two classes at the separator after the last step",
            },
        ],
        "verify_mutant": {
            "replace": ["bed.reference_logps, scores, config.n)", "bed.reference_logps, -scores, config.n)"],
            "why": "the worst of n is kept",
        },
    },
    "process-reward-model": {
        "name": "Process reward model",
        "paper": "lightman2024lets",
        "category": "process-reward-models",
        "provenance": "per the paper's text",
        "feedback": ["steps"],
        "needs": ["reference"],
        "target": None,
        "yields": "distribution",
        "preset": {"source": "people", "read": "product"},
        "bed": {"derivation": 0.75, "vocab": 3, "horizon": 6},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "PRMTrainer (experimental, to 1.13)",
                "difference": "there a softmax over two classes at separators, averaged over the batch's steps",
            },
        ],
        "verify_mutant": {
            "replace": ["bed.reference_logps, scores, config.n)", "bed.reference_logps, -scores, config.n)"],
            "why": "the worst of n is kept",
        },
    },
    "math-shepherd": {
        "name": "Math-Shepherd",
        "paper": "wang2024math",
        "category": "process-reward-models",
        "provenance": "per the paper's text",
        "feedback": ["binary"],
        "needs": ["reference", "verifier"],
        "target": None,
        "yields": "distribution",
        "preset": {"source": "soft", "read": "min"},
        "bed": {"derivation": 0.75, "vocab": 3, "horizon": 6},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["bed.reference_logps, scores, config.n)", "bed.reference_logps, -scores, config.n)"],
            "why": "the worst of n is kept",
        },
    },
}

READINGS = ("last", "product", "min")
THRESHOLDS = tuple(k / 20 for k in range(1, 20))


@dataclass(frozen=True)
class ProcessRewardConfig:
    """Defaults for the exact bed."""

    source: Literal["outcome", "people", "soft", "hard"] = "people"
    """Who labels steps: a check of the result, people, or completions counted softly or hard."""
    read: Literal["last", "product", "min"] = "product"
    """How a derivation's score is read off its steps."""
    labels: int = 1200
    """Results checked if source is outcome, else steps that get a label."""
    completions: int = 8
    """Completions per step, N (wang2024math: 8), with source soft or hard."""
    last_only: bool = False
    """Whether the outcome labels the last step only."""
    n: int = 16
    """Derivations drawn per prompt, of which the best by score is kept."""
    steps: int = 120
    batch: int = 64
    """Derivations per update."""
    lr: float = 3e-3


def step_loss(logits: Tensor, labels: Tensor, judged: Tensor) -> Tensor:
    """Cross-entropy of each derivation's judged steps, added up: (derivations, steps) thrice -> (derivations,).

    Labels lie between 0 and 1; steps that nobody judged count for nothing, whatever their label.
    """
    logits = logits.masked_fill(judged == 0, 0.0)
    return masked_sum(binary_cross_entropy_with_logits(logits, labels, reduction="none"), judged)


def last_step(mask: Tensor) -> Tensor:
    """1.0 on each derivation's last real step: (..., steps) -> the same; padding is on the right."""
    following = torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], -1)
    return mask * (following == 0)


def estimated(passed: Tensor, completions: int, how: str) -> Tensor:
    """Labels from how many completions pass: any shape -> the same.

    Raises ValueError for another way than soft or hard.
    """
    if how == "soft":
        return passed / completions
    if how == "hard":
        return (passed > 0).to(passed.dtype)
    raise ValueError(f"unknown estimation {how!r}; choose soft or hard")


def derivation_scores(logits: Tensor, mask: Tensor, read: str) -> Tensor:
    """Log-probability by which whole derivations are ranked: (..., steps) twice -> (...).

    Raises ValueError for another reading than last, product or min.
    """
    logs = logsigmoid(logits)
    if read == "last":
        return masked_sum(logs, last_step(mask))
    if read == "product":
        return masked_sum(logs, mask)
    if read == "min":
        return logs.masked_fill(mask == 0, 0.0).amin(-1)
    raise ValueError(f"unknown reading {read!r}; choose last, product or min")


def first_below(values: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Place of the first real step whose value is below the threshold; their number if there is none.

    (..., steps) twice -> (...), counted from 0.
    """
    below = (values < threshold) & (mask != 0)
    none_yet = (~below).to(torch.long).cumprod(-1)
    return none_yet.sum(-1)


def location_f1(found: Tensor, true: Tensor, whole: Tensor, law: Tensor) -> float:
    """Harmonic mean of two accuracies under ``law``: of the first wrong step, and of finding none where none is.

    All are (prompts, sequences); ``whole`` is 1 on derivations without a wrong step. Source: the measure of
    zheng2025processbench.
    """
    hit = (found == true).to(law.dtype) * law
    on_wrong = (hit * (1 - whole)).sum() / (law * (1 - whole)).sum()
    on_right = (hit * whole).sum() / (law * whole).sum()
    return float(2 * on_wrong * on_right / (on_wrong + on_right).clamp(min=1e-9))


def train(bed: ExactBed, config: ProcessRewardConfig, seed: int, observe: Observe) -> Outcome:
    """Label derivations of the reference, fit a model of their steps, and keep the best of n by its score."""
    draw = bed.generator(seed)
    data = labelled(bed, config, draw)
    model = ScalarTransformer.from_policy(bed.reference).requires_grad_(True)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    mask = bed.space.mask.to(bed.device)

    def logits() -> Tensor:
        with torch.no_grad():
            return all_logits(model, bed)

    for step in range(1, config.steps + 1):
        picks = torch.randint(len(data.prompts), (config.batch,), generator=draw, device=bed.device)
        values = model.values(bed.prompts[data.prompts[picks]], data.tokens[picks])[:, 1:]
        descend(step_loss(values, data.labels[picks], data.judged[picks]).mean(), model, optimiser)
        schedule.step()
        observe(
            step,
            lambda: best_of_n(bed.reference_logps, derivation_scores(logits(), mask, config.read), config.n),
        )

    final = logits()
    scores = derivation_scores(final, mask, config.read)
    logps = best_of_n(bed.reference_logps, scores, config.n)
    return Outcome(logps=logps, scores=scores, measures=measured(bed, final, mask, config.n))


def labelled(bed: ExactBed, config: ProcessRewardConfig, draw: torch.Generator) -> Judged:
    """Derivations with the labels that the configuration asks for."""
    if config.source == "people":
        return judged_steps(bed, config.labels, draw)
    if config.source == "outcome":
        data = checked_results(bed, config.labels, draw)
        judged = last_step(data.judged) if config.last_only else data.judged
        return Judged(data.prompts, data.tokens, data.labels, judged)
    data, passed = completed(bed, config.labels, config.completions, draw)
    return Judged(
        data.prompts, data.tokens, estimated(passed, config.completions, config.source), data.judged
    )


def all_logits(model: ScalarTransformer, bed: ExactBed) -> Tensor:
    """The model's logit after each step of every sequence: (prompts, sequences, horizon), 0 on padding."""
    levels: list[Tensor] = []
    for t, (states, ended) in enumerate(model.walk(bed.prompts)):
        if t == 0:
            continue
        steps = model.head(states).view(len(states), -1, bed.space.vocab)
        levels.append(steps if ended is None else torch.cat([steps, model.head(ended)], -1))
    return bed.space.token_logps(levels)


def measured(bed: ExactBed, logits: Tensor, mask: Tensor, n: int) -> dict[str, float]:
    """How well steps are judged and the best of n is chosen, on training prompts, by enumeration.

    ``location_f1`` is at the threshold that is best for the model: values and chances of being right lie apart.
    """
    assert bed.grades is not None
    rows = bed.train_rows
    reference, logits, grades = bed.reference_logps[rows], logits[rows], bed.grades[rows]
    law, whole = reference.exp(), sound(grades)
    found: dict[str, float] = {}
    for read in READINGS:
        scores = derivation_scores(logits, mask, read)
        found[f"pass_{read}"] = best_of_n_reward(reference, scores, bed.reward[rows], n)
        found[f"sound_{read}"] = best_of_n_reward(reference, scores, whole, n)
    right = logits.sigmoid()
    true = first_below((grades == RIGHT).to(law), mask.expand_as(right), 0.5)
    found["location_f1"] = max(_f1_at(right, mask, threshold, true, whole, law) for threshold in THRESHOLDS)
    visits = law[..., None] * mask
    value, correct = prefix_values(bed)[rows], (grades == RIGHT).to(law).cumprod(-1)
    found["value_error"] = float(((right - value).abs() * visits).sum() / visits.sum())
    found["rightness_error"] = float(((right - correct).abs() * visits).sum() / visits.sum())
    return found


def _f1_at(right: Tensor, mask: Tensor, threshold: float, true: Tensor, whole: Tensor, law: Tensor) -> float:
    return location_f1(first_below(right, mask.expand_as(right), threshold), true, whole, law)
