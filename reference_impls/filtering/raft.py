r"""RAFT: fine-tuning on the best of one's own fresh samples.

Paper: dong2023raft. Provenance: reconstruction. The authors' code (OptimalScale/LMFlow at 0128b9c,
``raft_aligner.py``) draws one answer per prompt, keeps the best fifth of the batch across prompts and ranks
by the reward alone; here the best of each prompt's own answers are kept, as in their later code
(RLHFlow/RAFT at dc0fc64, ``get_bon_data.py``), and the KL is part of the ranking reward unless beta is 0.

In every round draw $n$ answers to each prompt from the current policy, keep the $k$ with the highest reward, and take a
step of supervised fine-tuning on those:

$$L(\theta) = -\frac1k \sum_{i \in \mathrm{top}_k} \log \pi_\theta(y_i|x), \qquad
\text{ranked by } R_i = r(x, y_i) - \beta \log\frac{\pi(y_i|x)}{\pi_{ref}(y_i|x)}.$$

With $\beta = 0$ nothing pulls back: a full round makes the policy the best-of-$n$ of itself, and the limit is the
best answer alone. With $\beta > 0$ the optimum $\pi^* \propto \pi_{ref}\,e^{r/\beta}$ is a fixed point: there $R$ is
the same for all answers, so that what is kept is a fair sample. Rejected answers never enter the loss: it is the policy
gradient with weights $\frac1k$ and 0 where REINFORCE has a signed advantage.

What we leave out: selection across prompts, a restart from the reference in every round, samples at another
temperature, and kept answers from earlier rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import masked_sum, regularised_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "raft": {
        "name": "Reward-ranked fine-tuning (RAFT)",
        "paper": "dong2023raft",
        "category": "rejection-sampling-fine-tuning",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given, by imitation of the best samples",
        "yields": "policy",
        "preset": {},
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
            "replace": ["largest=True", "largest=False"],
            "why": "the worst answers are kept",
        },
    },
}


@dataclass(frozen=True)
class RAFTConfig:
    """Defaults for the exact bed."""

    beta: float = 0.5
    """Weight of the KL term in the reward that ranks; 0 ranks by the reward alone."""
    prompts: int = 8
    samples: int = 16
    """Answers per prompt, n."""
    keep: int = 1
    """Answers kept per prompt, k."""
    epochs: int = 1
    """Updates on the kept answers before new ones are drawn."""
    steps: int = 300
    """Rounds of fresh answers."""
    lr: float = 1e-3


def kept(rewards: Tensor, keep: int) -> Tensor:
    """1 / keep on each prompt's best answers and 0 on the others: (..., samples) -> the same shape.

    Raises ValueError unless 1 <= keep <= samples.
    """
    if not 1 <= keep <= rewards.shape[-1]:
        raise ValueError(f"cannot keep {keep} of {rewards.shape[-1]} answers")
    best = rewards.topk(keep, -1, largest=True).indices
    return torch.zeros_like(rewards).scatter(-1, best, 1 / keep)


def imitation_loss(logps: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood of each answer: (answers, tokens) twice and (answers,) -> (answers,)."""
    return -weights * masked_sum(logps, mask)


def train(bed: ExactBed, config: RAFTConfig, seed: int, observe: Observe) -> Outcome:
    """Sample answers, score them, imitate the best."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        with torch.no_grad():
            logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        mask = (tokens != 0).float()
        ranked = regularised_reward(bed.score(rows, tokens), logps, reference, mask, config.beta)
        weights = kept(ranked.view(config.prompts, config.samples), config.keep).flatten()
        chosen = weights > 0
        for _ in range(config.epochs):
            logps = policy.token_logps(bed.prompts[rows[chosen]], tokens[chosen])
            loss = imitation_loss(logps, mask[chosen], weights[chosen]).sum() / config.prompts
            descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    optimum = bed.optimum(bed.reward, config.beta) if config.beta else None
    return Outcome(logps=bed.logps(policy), optimum=optimum)
