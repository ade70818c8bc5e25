r"""Imitation learning from language feedback (ILF): rewrite what was criticised, imitate the rewrite.

Paper: scheurer2023training (scheurer2022training has one round of it). Provenance: reconstruction; the authors' code
(JeremyAlain/imitation_learning_from_language_feedback at 4dc2094) drives language models behind an interface, which
have no counterpart here, so that only its three steps are followed.

In each round the policy answers, somebody criticises each answer $y$ with feedback $f$, a *refiner* writes $n$
refinements with prompt, answer and feedback in view, the one that takes up the feedback best is selected, and the
policy is fine-tuned to write it at once:

$$y_1 \dots y_n \sim \pi_{refine}(\cdot|x, y, f), \qquad y^* = \mathrm{arg\,max}_i\; s(y_i, f), \qquad
L(\theta) = -\log \pi_\theta(y^*|x)$$

Here a critique names a place and a better symbol, or the place alone (``beds/critiques.py``). The refiner leaves the
rest of the answer as it is. It takes the critique up with probability ``skill``, and writes the named symbol or, where
none is named, what the reference would write at that place, the old symbol excepted; $s$ is 1 if it did and 0 if not.
So a selected refinement takes the feedback up with probability $1 - (1 - \mathrm{skill})^n$.

If the critic names symbols, each round's optimum is known: the law of what one change makes of the last round's
answers. Nothing pulls back to the reference: as in reward-ranked fine-tuning, the number of rounds plays the part of
$1/\beta$.

What we leave out: feedback in words and a model that has to understand it (its skill is a number here), refinements
that change more than was asked, and further fine-tuning on comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.critiques import bits, bits_of_a_pair, critiques, refined
from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.supervised.sft import sft_loss

METHODS = {
    "ilf": {
        "name": "Imitation learning from language feedback (ILF)",
        "paper": "scheurer2023training",
        "category": "language-feedback",
        "provenance": "reconstruction",
        "feedback": ["language"],
        "needs": ["online-samples"],
        "target": "answers as they are after every round's critique has been taken up",
        "yields": "policy",
        "preset": {},
        "knob": {"name": "rounds", "values": [1, 2, 4, 6, 10]},
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "step",
            "abstraction": "instance",
            "intent": "instructive",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["bed.prompts[rows[part]], better[part]", "bed.prompts[rows[part]], answers[part]"],
            "why": "imitating the criticised answers instead of the rewritten ones teaches nothing",
        },
    },
}


PAIRS = 4000
"""Pairs of answers over which the worth of a comparison is averaged."""


@dataclass(frozen=True)
class ILFConfig:
    """Defaults for the exact bed."""

    labels: int = 2000
    """Critiques, all rounds together."""
    rounds: int = 4
    """Rounds of answer, critique, refinement and fine-tuning."""
    says: Literal["symbol", "place"] = "symbol"
    """What a critique names: a place and a better symbol, or the place alone."""
    errors: float = 0.0
    """Share of critiques made blindly."""
    skill: float = 0.7
    """Chance that one refinement takes up the critique."""
    refinements: int = 5
    """Refinements of each answer, n, of which the best is kept."""
    steps: int = 80
    batch: int = 128
    lr: float = 1e-3


def rewritten(answers: Tensor, places: Tensor, symbols: Tensor, taken: Tensor) -> Tensor:
    """Answers with the symbol written at the place, where the critique is taken up and is no praise (place -1).

    ``answers`` (..., tokens); ``places``, ``symbols`` and ``taken`` (true or false) have the shape without tokens.
    """
    here = torch.arange(answers.shape[-1], device=answers.device) == places[..., None]
    return torch.where(here & taken[..., None], symbols[..., None], answers)


def selected(candidates: Tensor, answers: Tensor, places: Tensor) -> Tensor:
    """The first of each answer's candidates that differs at the criticised place: (answers, n, tokens) -> less n.

    The first of all if none does. ``answers`` (answers, tokens); a place of -1, praise, is the last one, at which no
    refinement of a praised answer differs.
    """
    row = torch.arange(len(answers), device=answers.device)
    differs = candidates[row, :, places] != answers[row, places][:, None]
    return candidates[row, differs.float().argmax(-1)]


def supplied(logps: Tensor, old: Tensor, generator: torch.Generator) -> Tensor:
    """A symbol by the next-token law ``logps`` (n, actions) that is neither the old one (n,) nor the end: (n,).

    Symbols are numbered from 1, and the last action is the end.
    """
    other = logps.exp()
    other[torch.arange(len(old), device=old.device), (old - 1).clamp(min=0)] = 0.0
    other[:, -1] = 0.0
    return torch.multinomial(other, 1, generator=generator).squeeze(1) + 1


def train(bed: ExactBed, config: ILFConfig, seed: int, observe: Observe) -> Outcome:
    """Answer, have it criticised, rewrite, select, imitate; round by round."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    every, n = -(-config.steps // config.rounds), config.labels // config.rounds

    for step in range(1, config.steps + 1):
        if (step - 1) % every == 0:
            rows = bed.sample_prompts(n, draw)
            answers = bed.sample(policy, rows, draw)
            said = critiques(bed, rows, answers, config.errors, draw, config.says == "place")
            symbols = said.symbols
            if config.says == "place":
                spot = said.places.clamp(min=0)
                with torch.no_grad():
                    law = bed.reference.next_logps(bed.prompts[rows], answers)
                here = torch.arange(n, device=bed.device)
                symbols = supplied(law[here, spot], answers[here, spot], draw)
            taken = torch.rand(n, config.refinements, generator=draw, device=bed.device) < config.skill
            shape = (n, config.refinements)
            candidates = rewritten(
                answers[:, None].expand(*shape, -1),
                said.places[:, None].expand(shape),
                symbols[:, None].expand(shape),
                taken,
            )
            better = selected(candidates, answers, said.places)
        part = torch.randint(n, (config.batch,), generator=draw, device=bed.device)
        logps = policy.token_logps(bed.prompts[rows[part]], better[part])
        descend(sft_loss(logps, (better[part] != PAD).float()).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = None
    if config.says == "symbol":
        optimum = bed.reference_logps
        for _ in range(config.rounds):
            optimum = refined(bed, optimum, config.errors, 1 - (1 - config.skill) ** config.refinements)
    return Outcome(
        logps=bed.logps(policy),
        optimum=optimum,
        divergence="forward",
        measures={
            "bits": bits(bed, config.errors, config.says == "place"),
            "bits_of_a_pair": bits_of_a_pair(bed, PAIRS, draw),
        },
    )
