r"""Bradley-Terry reward model.

Papers: christiano2017deep, section 2.2.3, for the model; stiennon2020learning for the form used with
language models. Provenance: per the paper's text (equation 1 and the loss below it, a segment being a whole
answer); agrees with the code of one of the authors (nottombrown/rl-teacher at b2c2201, ``teach.py``) and
with TRL's ``RewardTrainer``.

An annotator prefers $y_w$ to $y_l$ with probability $\sigma(r(x,y_w) - r(x,y_l))$. The reward model is the
maximum-likelihood fit:

$$L(\phi) = -\log \sigma\left(r_\phi(x, y_w) - r_\phi(x, y_l)\right)$$

Only differences within a prompt are identified: $r_\phi(x, y) + c(x)$ fits equally well for any $c$. The model
is therefore scored through $\pi_{ref} \exp(r_\phi / \beta)$, which does not see $c$.

What we leave out: margins, centring, label smoothing, ties and rankings (methods of their own), ensembles, and
a language-model loss on the chosen answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "bradley-terry": {
        "name": "Bradley-Terry reward model",
        "paper": "christiano2017deep",
        "category": "scalar-reward-models",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of Bradley-Terry labels, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {},
        "knob": {"name": "steps", "values": [25, 75, 150, 300, 600]},
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "RewardTrainer",
                "difference": "none without margin and center_rewards_coefficient",
            },
        ],
        "verify_mutant": {
            "replace": ["logsigmoid(chosen - rejected)", "torch.sigmoid(chosen - rejected)"],
            "why": "the probability in place of its logarithm: strong preferences are under-fitted",
        },
    },
}


@dataclass(frozen=True)
class BradleyTerryConfig:
    """Defaults for the exact bed."""

    labels: int = 8000
    """Number of labelled pairs; 0 draws and labels fresh pairs for every update."""
    steps: int = 600
    """As many as DPO, with which it is compared. A default run takes about half a minute of one core, more than DPO's,
    since the learning curve enumerates the scores of all answers."""
    batch: int = 128
    """Pairs per update."""
    lr: float = 1e-3


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Negative log-likelihood of each preference, in nats: scores (pairs,) and (pairs,) -> (pairs,)."""
    return -logsigmoid(chosen - rejected)


def train(bed: ExactBed, config: BradleyTerryConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a scalar head on a copy of the reference's trunk to preference pairs."""
    draw = bed.generator(seed)
    model = ScalarTransformer.from_policy(bed.reference).requires_grad_(True)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)

    def scores() -> Tensor:
        with torch.no_grad():
            return model.all_scores(bed.prompts)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw) if config.labels else bed.preference_pairs(config.batch, draw)
        prompts = bed.prompts[pairs.prompts].repeat(2, 1)
        chosen, rejected = model.scores(prompts, torch.cat([pairs.chosen, pairs.rejected])).chunk(2)
        descend(bradley_terry_loss(chosen, rejected).mean(), model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(scores()))

    final = scores()
    return Outcome(logps=bed.optimum(final), optimum=bed.optimum(bed.utility), scores=final)
