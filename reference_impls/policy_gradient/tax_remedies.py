r"""Two remedies against the alignment tax: mixing in pre-training data, and averaging weights.

Papers: ouyang2022training (PPO-ptx) for the mix, lin2023mitigating for the average. Provenance: per the
official code for the average (avalonstrel/Mitigating-the-Alignment-Tax-of-RLHF at 40165e6,
``weight_interpolation.py``: one ratio for all weights, or one per group of layers); per the paper's text
for the mix (equation 2), whose code was never released.

Both start from the same training, RLOO (``reinforce.py``) in the place of PPO, with the reward
$r - \beta \log \frac{\pi_\theta}{\pi_{ref}}$. The *mix* adds, in every update and with weight $\gamma$, the likelihood
of what the starting point was made from:

$$L(\theta) = L_{RLOO}(\theta) - \gamma\, \mathbb{E}_{(x, y) \sim D_{pre}} \log \pi_\theta(y|x).$$

The *average* leaves training alone and goes part of the way back afterwards,

$$\theta_\alpha = (1 - \alpha)\,\theta_{before} + \alpha\,\theta_{after},$$

with one $\alpha$, or with another one for the lower half of the network (embedding and first layer).

If log-probabilities were linear in the weights, averaging would be nothing new: the normalised
$\pi_{before}^{1-\alpha}\,\pi_{after}^{\alpha}$ of $\pi_{after} \propto \pi_{ref}\,e^{r/\beta}$ is
$\propto \pi_{ref}\,e^{\alpha r/\beta}$, the optimum for a KL penalty of $\beta/\alpha$. That is the target named here;
what averaging does beyond it, on prompts that training never saw, it owes to the network.

What we leave out: PPO's clipping and critic; ratios found by optimisation (adaptive or heterogeneous averaging);
pre-training data that are only partly at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import leave_one_out_advantage, regularised_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.ppo_max import pretraining_loss
from reference_impls.policy_gradient.reinforce import reinforce_loss

METHODS = {
    "pretraining-mix": {
        "name": "Pre-training mix (the ptx of PPO-ptx)",
        "paper": "ouyang2022training",
        "category": "alignment-tax",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward plus gamma times the likelihood of pre-training data",
        "yields": "policy",
        "preset": {"mix": 0.3},
        "bed": {"untouched": 2},
        "knob": {"name": "mix", "values": [0.0, 0.1, 0.3, 1.0]},
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
            "replace": ["loss + config.mix *", "loss - config.mix *"],
            "why": "pre-training data are unlearned",
        },
    },
    "weight-averaging": {
        "name": "Averaging the weights before and after",
        "paper": "lin2023mitigating",
        "category": "alignment-tax",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J at beta / alpha, which averaging gives where log-probabilities are linear in the weights",
        "yields": "policy",
        "preset": {"alpha": 0.5},
        "bed": {"untouched": 2},
        "knob": {"name": "alpha", "values": [0.2, 0.4, 0.6, 0.8, 1.0]},
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
            "replace": ["_reward(bed.score(", "_reward(-bed.score("],
            "why": "training climbs down the reward, and averaging goes half of that way",
        },
    },
}

LOWER = ("model.embed_tokens.", "model.layers.0.")
"""What the names of weights in the lower half of the network begin with."""


@dataclass(frozen=True)
class RemedyConfig:
    """Defaults for the exact bed."""

    beta: float = 0.25
    """Weight of the KL term in the reward."""
    mix: float = 0.0
    """Weight of the pre-training likelihood, gamma."""
    alpha: float = 1.0
    """Share of the way from the weights before to those after; 1 is no averaging."""
    lower_alpha: float | None = None
    """The same for the lower half of the network; None takes ``alpha``."""
    prompts: int = 8
    samples: int = 16
    """Answers per prompt."""
    steps: int = 40
    lr: float = 2e-3


def averaged(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], alpha: float, lower_alpha: float
) -> dict[str, Tensor]:
    """(1 - alpha) before + alpha after, weight by weight; the lower half of the network by ``lower_alpha``."""
    share = {name: lower_alpha if name.startswith(LOWER) else alpha for name in before}
    return {name: (1 - share[name]) * old + share[name] * after[name] for name, old in before.items()}


def train(bed: ExactBed, config: RemedyConfig, seed: int, observe: Observe) -> Outcome:
    """RLOO, with pre-training data in every update if asked for; then part of the way back if asked for."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    texts = bed.train_rows
    if bed.untouched_rows is not None:
        texts = torch.cat([texts, bed.untouched_rows])
    known = bed.known_logps().exp()

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        mask = (tokens != PAD).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        regularised = regularised_reward(bed.score(rows, tokens), logps, reference, mask, config.beta)
        advantage = leave_one_out_advantage(regularised.view(config.prompts, config.samples)).flatten()
        loss = reinforce_loss(logps, mask, advantage).mean()
        if config.mix:
            about = texts[torch.randint(len(texts), (len(rows),), generator=draw, device=bed.device)]
            text = bed.tokens[torch.multinomial(known[about], 1, generator=draw).squeeze(1)]
            text_logps = policy.token_logps(bed.prompts[about], text)
            loss = loss + config.mix * pretraining_loss(text_logps, (text != PAD).float()).mean()
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    lower = config.alpha if config.lower_alpha is None else config.lower_alpha
    policy.load_state_dict(averaged(bed.reference.state_dict(), policy.state_dict(), config.alpha, lower))
    optimum = None
    if not config.mix and config.lower_alpha is None and config.alpha > 0:
        optimum = bed.optimum(bed.reward, config.beta / config.alpha)
    return Outcome(logps=bed.logps(policy), optimum=optimum)
