r"""Implicit language Q-learning (ILQL): values of tokens from recorded answers, which shift the logits of their
writer.

Paper: snell2023offline. Provenance: per the official code (Sea-Snell/Implicit-Language-Q-Learning at 0dc5561,
``iql_model.py``: ``get_v_loss``, ``get_q_loss``, ``get_cql_loss`` and ``score`` with exponential weights).

An answer is an episode, a token $a$ after the prefix $s$ an action, and the score is the reward of the last token. On
recorded answers alone, with two Q heads and slowly following copies $\hat Q$ of them,

$$L_Q = \bigl(r_t + V(s_{t+1}) - Q(s_t, a_t)\bigr)^2, \qquad
L_V = |\tau - 1[u < 0]|\,u^2,\; u = \min \hat Q(s_t, a_t) - V(s_t), \qquad
L_C = \log\textstyle\sum_a e^{Q(s_t, a)} - Q(s_t, a_t).$$

$V$ is an expectile of the values of the tokens that were written: their mean at $\tau = \frac12$, towards their
best as $\tau$ rises, and never that of a token nobody wrote. $L_C$ holds down the values of tokens not seen.
Nothing is trained to write: when generating, $\log\pi(a|s) = \log\pi_\mu(a|s) + \beta\,(\hat Q(s, a) - V(s))$,
normalised, with $\pi_\mu$ the model of the writer (here the reference).

Without $L_C$ the policy it ends at can be computed from the last token to the first (:func:`support_optimum`).
It is not the optimum of $J$: that has $V(s) = \frac1\beta\log E_\mu e^{\beta Q(s, a)}$, which no single $\tau$
matches at every prefix.

What we leave out: the discount (one), the AWAC term and the clipping of values, another network for the copies, and
learning $\pi_\mu$, which is known here.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.recorded import recorded
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "ilql": {
        "name": "Implicit language Q-learning (ILQL)",
        "paper": "snell2023offline",
        "category": "offline-rl",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": ["reference", "critic"],
        "target": "at every token the writer's law tilted by beta times the action value, values being expectiles",
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
            "replace": ["writer_logps + beta * values", "writer_logps - beta * values"],
            "why": "the worse tokens are preferred",
        },
    },
}


@dataclass(frozen=True)
class ILQLConfig:
    """Defaults for the exact bed; the paper's own values are named where they differ."""

    tau: float = 0.7
    """Expectile of the state value (snell2023offline's code: 0.5 to 0.9, by task)."""
    beta: float = 2.0
    """How much values shift the logits (snell2023offline: chosen when evaluating); 2 is one over the bed's beta."""
    conservative: float = 0.1
    """Weight of the term that holds down unseen tokens (snell2023offline's code: 1e-4 to 1, by task)."""
    follow: float = 0.05
    """Share of the way that the copies go after each update (snell2023offline's code: 0.005)."""
    answers: int = 8000
    """Recorded answers, by the reference."""
    steps: int = 200
    batch: int = 128
    lr: float = 1e-3


def expectile_loss(values: Tensor, targets: Tensor, mask: Tensor, tau: float) -> Tensor:
    """Asymmetric squared error of the state values, summed over each answer: (answers, tokens) -> (answers,).

    Only ``values`` gets a gradient.
    """
    error = (targets.detach() - values).masked_fill(mask == 0, 0.0)
    weight = torch.where(error >= 0, tau, 1 - tau)
    return (weight * error**2).sum(-1)


def action_value_loss(q: Tensor, next_values: Tensor, rewards: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the chosen tokens' values, summed over each answer: (answers, tokens) -> (answers,).

    ``next_values`` are of the prefix after the token, 0 after the last; only ``q`` gets a gradient.
    """
    error = (rewards + next_values.detach() - q).masked_fill(mask == 0, 0.0)
    return (error**2).sum(-1)


def conservative_loss(every_q: Tensor, chosen: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the values as logits with the written token, summed over each answer.

    ``every_q`` is (answers, tokens, actions), ``chosen`` (answers, tokens) counts actions from 0.
    """
    return masked_sum(cross_entropy(every_q.transpose(1, 2), chosen, reduction="none"), mask)


def shifted(writer_logps: Tensor, values: Tensor, beta: float) -> Tensor:
    """The writer's next-token law tilted by beta times the values: (..., actions) twice -> the same shape."""
    return (writer_logps + beta * values).log_softmax(-1)


def expectile(values: Tensor, law: Tensor, tau: float) -> Tensor:
    """The expectile of values under a law: (..., actions) twice -> (...). By bisection between least and largest."""
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    for _ in range(50):
        middle = (low + high) / 2
        error = values - middle
        pull = (law * torch.where(error >= 0, tau, 1 - tau) * error).sum(-1, keepdim=True)
        low, high = torch.where(pull > 0, middle, low), torch.where(pull > 0, high, middle)
    return high.squeeze(-1)


def support_optimum(
    space: SequenceSpace, writer_levels: list[Tensor], reward: Tensor, tau: float, beta: float
) -> Tensor:
    """log-probabilities of the policy at which ILQL ends without the conservative term: (prompts, sequences).

    ``writer_levels`` are next-token log-probabilities at every prefix, ``reward`` is (prompts, sequences).
    """
    ended, below = space.by_end(reward)
    levels = []
    for level, finished in zip(reversed(writer_levels), reversed(ended), strict=True):
        values = torch.cat([below.view(*finished.shape, space.vocab), finished[..., None]], -1)
        below = expectile(values, level.exp(), tau)
        levels.append(shifted(level, values, beta))
    return space.sequence_logps(levels[::-1])


class Values(nn.Module):
    """Two Q heads, their copies and a V head on a copy of the writer's trunk."""

    def __init__(self, writer: TransformerPolicy) -> None:
        super().__init__()
        self.trunk = trainable_copy(writer)
        width, actions = writer.head.in_features, writer.space.actions
        self.q = nn.ModuleList(nn.Linear(width, actions) for _ in range(2))
        self.v = nn.Linear(width, 1)
        for weight in self.q.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)
        self.copies = copy.deepcopy(self.q).requires_grad_(False)

    def lower(self, states: Tensor) -> Tensor:
        """The smaller of the two copies' values of every token: (..., width) -> (..., actions)."""
        first, second = self.copies
        return torch.minimum(first(states), second(states))

    @torch.no_grad()
    def follow(self, share: float) -> None:
        """Move the copies a share of the way to the heads."""
        for kept, new in zip(self.copies.parameters(), self.q.parameters(), strict=True):
            kept.lerp_(new, share)


def policy_logps(bed: ExactBed, model: Values, beta: float) -> Tensor:
    """The law that the values make of the reference: (prompts, sequences)."""
    with torch.no_grad():
        levels = []
        for t, (states, _) in enumerate(model.trunk.walk(bed.prompts)):
            levels.append(model.lower(states))
            if t == bed.space.horizon - 1:
                break
        writer = bed.reference.level_logps(bed.prompts)
        return bed.space.sequence_logps([shifted(w, q, beta) for w, q in zip(writer, levels, strict=True)])


def train(bed: ExactBed, config: ILQLConfig, seed: int, observe: Observe) -> Outcome:
    """Fit values to the recorded answers; the policy is the reference with its logits shifted by them."""
    draw = bed.generator(seed)
    model = Values(bed.reference).to(bed.device)
    optimiser, schedule = cosine_adam(
        [p for p in model.parameters() if p.requires_grad], config.lr, config.steps
    )
    data = recorded(bed, config.answers, "reference", draw)

    for step in range(1, config.steps + 1):
        places = torch.randperm(len(data), generator=draw, device=bed.device)[: config.batch]
        batch = data.pick(places)
        mask, chosen = batch.mask, (batch.tokens - 1).clamp(min=0)
        states = model.trunk.hidden(bed.prompts[batch.prompts], batch.tokens[:, :-1])
        values = model.v(states).squeeze(-1)
        after = torch.cat([(values * mask)[:, 1:], torch.zeros_like(values[:, :1])], 1)
        last = (mask != 0).sum(-1, keepdim=True) - 1
        rewards = torch.zeros_like(values).scatter(1, last, batch.scores[:, None])
        target = model.lower(states.detach()).gather(-1, chosen[..., None]).squeeze(-1)
        loss = expectile_loss(values, target, mask, config.tau)
        for head in model.q:
            every = head(states)
            q = every.gather(-1, chosen[..., None]).squeeze(-1)
            loss = loss + action_value_loss(q, after, rewards, mask)
            loss = loss + config.conservative * conservative_loss(every, chosen, mask)
        descend(loss.mean(), model, optimiser)
        schedule.step()
        model.follow(config.follow)
        observe(step, lambda: policy_logps(bed, model, config.beta))

    optimum = None
    if not config.conservative and bed.config.end_token:
        with torch.no_grad():
            levels = bed.reference.level_logps(bed.prompts)
        optimum = support_optimum(bed.space, levels, bed.reward, config.tau, config.beta)
    return Outcome(logps=policy_logps(bed, model, config.beta), optimum=optimum)
