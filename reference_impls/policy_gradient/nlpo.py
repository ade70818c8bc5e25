r"""Natural language policy optimisation (NLPO): PPO among the tokens that a lagged copy of the policy finds likely.

Paper: ramamurthy2023is. Provenance: per the official code (allenai/RL4LMs at 97df0bd,
``logits_processor.py`` for the mask, ``nlpo.py`` for the updates and for when the mask's policy is renewed),
but for one thing: the released code goes on sampling from the mask of the very first policy (see the museum).
``refresh=0`` does that.

At every prefix the mask keeps the smallest set of tokens that has probability $p$ under a copy $\pi_\psi$ of
the policy, and the end token in any case. Answers come from the policy restricted to the mask,

$$\pi_\theta^\psi(a|s) = \frac{\pi_\theta(a|s)\,1[a \in \mathrm{top}_p(\pi_\psi(\cdot|s))]}
{\sum_{a'} \pi_\theta(a'|s)\,1[a' \in \mathrm{top}_p(\pi_\psi(\cdot|s))]},$$

and PPO's clipped surrogate has the ratios of restricted policies. The KL in the reward is that of the
unrestricted policy. Every ``refresh`` batches $\pi_\psi$ becomes the policy of the moment; each time some
tokens are lost at prefixes where the policy has become sure, and others come back where the copy gives them
enough mass: restricted answers never show what a masked token would have earned. What is yielded is the
restricted policy, as in the official evaluation.

What we leave out: at least 100 tokens kept (there are six here), normalised advantages, an adaptive KL
coefficient, and what PPO leaves out here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.core.estimators import gae
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, TransformerPolicy, sequence_logps, trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.ppo import ppo_policy_loss, ppo_value_loss, token_rewards

METHODS = {
    "nlpo": {
        "name": "Natural language policy optimisation (NLPO)",
        "paper": "ramamurthy2023is",
        "category": "other-rl-algorithms",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "critic", "reward-model", "online-samples"],
        "target": "J_beta of the reward it is given, among policies inside a moving mask",
        "yields": "policy",
        "preset": {},
        "knob": None,
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
            "replace": ["before <= top_p", "before > top_p"],
            "why": "the likely tokens are masked and the unlikely ones kept",
        },
    },
}


@dataclass(frozen=True)
class NLPOConfig:
    """Defaults for the exact bed, PPO's but for the first two; those of the released code are named."""

    top_p: float = 0.9
    """Probability of the tokens that are kept (ramamurthy2023is's code: 0.9, once 0.5)."""
    refresh: int = 10
    """Batches between two renewals of the mask (ramamurthy2023is's code: 5 to 100, mostly 20); 0 keeps the first."""
    beta: float = 0.5
    prompts: int = 8
    samples: int = 16
    steps: int = 100
    epochs: int = 2
    minibatches: int = 1
    clip: float = 0.2
    value_clip: float = 0.2
    gae_lambda: float = 0.95
    lr: float = 1e-3
    critic_lr: float = 1e-3


def top_p_mask(logps: Tensor, top_p: float, end: int | None) -> Tensor:
    """True on the smallest set of likeliest tokens with probability top_p, and on the end token: (..., tokens)
    -> same.

    A token is kept if those that are likelier have at most top_p together, so that the likeliest always is.
    ``end`` is the place of the end token, None if there is none.
    """
    order = logps.argsort(-1, descending=True)
    law = logps.exp().gather(-1, order)
    before = law.cumsum(-1) - law
    keep = torch.zeros_like(logps, dtype=torch.bool).scatter(-1, order, before <= top_p)
    if end is not None:
        keep[..., end] = True
    return keep


def restricted(logps: Tensor, keep: Tensor) -> Tensor:
    """log-probabilities of the policy restricted to the kept tokens: (..., tokens) twice -> the same shape."""
    return logps.masked_fill(~keep, -torch.inf).log_softmax(-1)


def along(space: SequenceSpace, levels: list[Tensor], rows: Tensor, tokens: Tensor) -> Tensor:
    """What stands at the prefixes of each answer: levels (prompts, vocab**t, tokens) -> (answers, horizon, tokens)."""
    rank, found = torch.zeros_like(rows), []
    for t, level in enumerate(levels):
        found.append(level[rows, rank])
        symbol = (tokens[:, t] > 0) & (tokens[:, t] <= space.vocab)
        rank = torch.where(symbol, rank * space.vocab + tokens[:, t] - 1, 0)
    return torch.stack(found, 1)


class MaskedPolicy:
    """A policy restricted to the tokens that a table keeps at every prefix of every prompt."""

    def __init__(self, policy: TransformerPolicy, prompts: Tensor, keep: list[Tensor]) -> None:
        """``keep[t]`` is (prompts, vocab**t, tokens), in the order of ``prompts``."""
        self.policy, self.space, self.prompts, self.keep = policy, policy.space, prompts, keep

    def renew(self, keep: list[Tensor]) -> None:
        """Restrict to these tokens from now on."""
        self.keep = keep

    def level_logps(self, prompts: Tensor) -> list[Tensor]:
        """Next-token log-probabilities at every prefix; level t: (batch, vocab**t, tokens)."""
        rows = (prompts[:, None] == self.prompts[None]).all(-1).float().argmax(1)
        levels = self.policy.level_logps(prompts)
        return [restricted(level, keep[rows]) for level, keep in zip(levels, self.keep, strict=True)]

    def token_logps(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Log-probability of each token, 0 on padding: (batch, horizon)."""
        rows = (prompts[:, None] == self.prompts[None]).all(-1).float().argmax(1)
        kept = along(self.space, self.keep, rows, tokens)
        logps = restricted(self.policy.next_logps(prompts, tokens), kept)
        chosen = logps.gather(-1, (tokens - 1).clamp(min=0)[..., None]).squeeze(-1)
        return chosen.masked_fill(tokens == 0, 0.0)

    @torch.no_grad()
    def sample(self, prompts: Tensor, generator: torch.Generator) -> Tensor:
        """One answer per prompt row, from the enumerated law of each different prompt."""
        different, places = prompts.unique(dim=0, return_inverse=True)
        law = sequence_logps(self, different, self.space).exp()[places]
        drawn = torch.multinomial(law, 1, generator=generator).squeeze(1)
        return self.space.tokens.to(prompts.device)[drawn]


def masks(bed: ExactBed, policy: TransformerPolicy, top_p: float) -> list[Tensor]:
    """The mask of a policy at every prefix of every prompt: level t is (prompts, vocab**t, tokens)."""
    end = bed.space.vocab if bed.space.end_token else None
    with torch.no_grad():
        return [top_p_mask(level, top_p, end) for level in policy.level_logps(bed.prompts)]


def train(bed: ExactBed, config: NLPOConfig, seed: int, observe: Observe) -> Outcome:
    """PPO on answers of the restricted policy; now and then the mask follows the policy."""
    draw = bed.generator(seed)
    policy, critic = trainable_copy(bed.reference), ScalarTransformer.from_policy(bed.reference)
    updates = config.steps * config.epochs * config.minibatches
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, updates)
    critic_optimiser, critic_schedule = cosine_adam(critic.parameters(), config.critic_lr, updates)
    masked = MaskedPolicy(policy, bed.prompts, masks(bed, policy, config.top_p))

    for step in range(1, config.steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        prompts, tokens = bed.prompts[rows], bed.sample(masked, rows, draw)
        mask = (tokens != 0).float()
        with torch.no_grad():
            plain = policy.token_logps(prompts, tokens)
            old_logps = masked.token_logps(prompts, tokens)
            old_values = critic.values(prompts, tokens[:, :-1])
        reference = bed.reference_token_logps(rows, tokens)
        rewards = token_rewards(bed.score(rows, tokens), plain, reference, mask, config.beta)
        advantages, targets = gae(rewards, old_values, mask, 1.0, config.gae_lambda)

        for _ in range(config.epochs):
            shuffled = torch.randperm(len(rows), generator=draw, device=bed.device)
            for part in shuffled.chunk(config.minibatches):
                logps = masked.token_logps(prompts[part], tokens[part])
                values = critic.values(prompts[part], tokens[part, :-1])
                loss = ppo_policy_loss(logps, old_logps[part], advantages[part], mask[part], config.clip)
                value_loss = ppo_value_loss(
                    values, old_values[part], targets[part], mask[part], config.value_clip
                )
                descend(loss.mean(), policy, optimiser)
                descend(value_loss.mean(), critic, critic_optimiser)
                schedule.step()
                critic_schedule.step()
        if config.refresh and step % config.refresh == 0 and step < config.steps:
            masked.renew(masks(bed, policy, config.top_p))
        observe(step, lambda: bed.logps(masked))

    logps, rows = bed.logps(masked), bed.train_rows
    outside = logps[rows].isinf()
    measures = {
        "reference_masked": float((bed.reference_logps[rows].exp() * outside).sum(-1).mean()),
        "optimum_masked": float((bed.optimum(bed.reward, config.beta)[rows].exp() * outside).sum(-1).mean()),
    }
    return Outcome(logps=logps, measures=measures)
