r"""Constitutional AI: revise one's answers by written principles, imitate the revisions, then learn from a judge.

Paper: bai2022constitutional. Provenance: per the paper's text (sections 3.1 and 4.1; no code by the authors
is known) for the steps, the random principle of each revision and of each label, the labels' soft targets
and the mix with people's; the critic and the judge, programs that read a principle such as "no symbol 1",
are ours (``beds/principles.py``).

*SL-CAI.* Answer, then revise $k$ times. Each revision draws a principle $P$ at random; the critique names one token
that breaks it, any of them alike, and the revision writes another in its place, as the reference would have gone on
there,

$$y'_t \sim \pi_{ref}(\cdot \mid x, y_{1:t-1}) \quad \text{given that it keeps } P \text{ and does not end},$$

and the rest is kept. An answer that keeps the principle stays as it is. The policy is then fine-tuned on what results,
$L = -\log\pi_\theta(y^{(k)} \mid x)$. Its optimum is the law of the revised answers, which can be enumerated.

*RL-CAI.* A judge is shown two answers and a principle, and with $v$ the share of the tokens that break it prefers the
first with probability $q$. A reward model is fitted to these soft labels and, for help, to people's, half of each batch
from either; the policy then maximises it with the KL to the policy it starts from, which is SL-CAI's or the reference:

$$q = \sigma\left(\kappa\,(v(y_2) - v(y_1))\right), \qquad
  -q \log\sigma(r_1 - r_2) - (1 - q)\log\sigma(r_2 - r_1).$$

What we leave out: prompts that provoke harm beside harmless ones, fine-tuning on every revision and on helpful answers
(only the last revision is imitated), written reasoning, clamped probabilities, and PPO (leave-one-out REINFORCE is
used).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.principles import QUALITIES, word
from reference_impls.core.estimators import leave_one_out_advantage, regularised_reward
from reference_impls.core.metrics import expectation
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, TransformerPolicy, frozen, trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.reinforce import reinforce_loss
from reference_impls.policy_gradient.rlaif import hardened, soft_label_loss
from reference_impls.supervised.sft import sft_loss

METHODS = {
    "sl-cai": {
        "name": "Constitutional AI, supervised stage (SL-CAI)",
        "paper": "bai2022constitutional",
        "category": "constitutional-ai",
        "provenance": "per the paper's text",
        "feedback": ["principles", "language"],
        "needs": ["reference"],
        "target": "the likelihood of answers revised by the principles",
        "yields": "policy",
        "preset": {"stages": "sl"},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "co-generative",
            "granularity": "segment",
            "abstraction": "feature",
            "intent": "instructive",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["masked_fill(forbidden, 0.0)", "masked_fill(~forbidden, 0.0)"],
            "why": "revisions write what the principle forbids",
        },
    },
    "rl-cai": {
        "name": "Constitutional AI, both stages (RL-CAI)",
        "paper": "bai2022constitutional",
        "category": "constitutional-ai",
        "provenance": "per the paper's text",
        "feedback": ["principles", "pairs"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta, from the policy it starts from, of a reward model for help and principles",
        "yields": "policy",
        "preset": {"stages": "both"},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "feature",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["sharpness * (second - first)", "sharpness * (first - second)"],
            "why": "the judge prefers what breaks the principle",
        },
    },
}


@dataclass(frozen=True)
class ConstitutionalConfig:
    """Defaults for the exact bed."""

    stages: Literal["sl", "rl", "both"] = "both"
    revisions: int = 4
    """Revisions of each answer, k (paper: 4)."""
    principles: int = 2
    """How many of the principles "no symbol 1", "no symbol 3" and "no symbol 2" are in force, in this order."""
    judged: float = 0.5
    """Share of each batch of the reward model that the judge labels; the rest is people's, for help."""
    labels: Literal["soft", "hard"] = "soft"
    """The judge's probability (as in the paper without written reasoning), or 1 for what it prefers."""
    sharpness: float = 8.0
    """kappa: how sure the judge is of a difference in the share of tokens."""
    answers: int = 2400
    """Answers that are revised and imitated."""
    steps: int = 120
    """Updates of the supervised stage."""
    batch: int = 64
    lr: float = 1e-3
    pairs: int = 4000
    """Pairs that people label for help, and as many that the judge labels."""
    reward_steps: int = 400
    reward_lr: float = 3e-3
    beta: float = 0.25
    """Half of what it is elsewhere: labels that say nothing of help halve the reward model's differences in help."""
    rl_steps: int = 80
    prompts: int = 8
    samples: int = 16
    rl_lr: float = 3e-3


def broken(tokens: Tensor, forbidden: Tensor) -> Tensor:
    """True on tokens that break a principle: (n, horizon) and (n, symbols) -> (n, horizon). Symbols count from 1."""
    return pad(forbidden, (1, 1)).gather(1, tokens)


def rewriting(law: Tensor, forbidden: Tensor) -> Tensor:
    """What a revision writes: next-token probabilities (n, symbols), the end left out, given that it is allowed.

    ``forbidden`` is (n, symbols). Raises ValueError if a principle allows no symbol.
    """
    if forbidden.all(-1).any():
        raise ValueError("a principle that forbids every symbol cannot be followed")
    allowed = law.masked_fill(forbidden, 0.0)
    return allowed / allowed.sum(-1, keepdim=True)


def revised_law(law: Tensor, breaks: Tensor, writes: Tensor, becomes: Tensor) -> Tensor:
    """Law of the answers after one revision: (prompts, sequences) -> the same shape.

    ``breaks`` (principles, sequences, horizon) is True on offending tokens, ``writes`` (principles, prompts, sequences,
    horizon, symbols) is what a revision puts there, and ``becomes`` (sequences, horizon, symbols) the place of the
    sequence that results. Each principle is drawn alike, and each offending token is named alike.
    """
    moved = torch.zeros_like(law)
    for offends, puts in zip(breaks, writes, strict=True):
        named = offends / offends.sum(-1, keepdim=True).clamp(min=1)
        moved += law * (named.sum(-1) == 0)
        mass = (law[:, :, None] * named)[..., None] * puts
        moved.index_add_(1, becomes.flatten(), mass.flatten(1))
    return moved / len(breaks)


def preference(first: Tensor, second: Tensor, sharpness: float) -> Tensor:
    """The judge's probability that the first answer is better, from the shares of offending tokens: (n,) twice."""
    return torch.sigmoid(sharpness * (second - first))


def constitution(bed: ExactBed, principles: int) -> Tensor:
    """Which symbols each principle forbids, read from its text: (principles, symbols)."""
    texts = torch.stack([-word(bed, symbol) for symbol in (1, 3, 2)[:principles]])
    return texts[:, QUALITIES : QUALITIES + bed.space.vocab] < 0


def revised(
    bed: ExactBed, rows: Tensor, tokens: Tensor, forbidden: Tensor, revisions: int, draw: torch.Generator
) -> Tensor:
    """The answers after so many critiques and revisions: (n, horizon)."""
    for _ in range(revisions):
        drawn = torch.randint(len(forbidden), (len(rows),), generator=draw, device=bed.device)
        offends = broken(tokens, forbidden[drawn])
        at = torch.multinomial(offends.float() + 1e-9, 1, generator=draw)
        with torch.no_grad():
            laws = bed.reference.next_logps(bed.prompts[rows], tokens).exp()[..., : bed.space.vocab]
        law = rewriting(laws.gather(1, at[..., None].expand(-1, -1, bed.space.vocab))[:, 0], forbidden[drawn])
        new = torch.multinomial(law, 1, generator=draw) + 1
        tokens = torch.where(offends.any(1, keepdim=True), tokens.scatter(1, at, new), tokens)
    return tokens


@torch.no_grad()
def enumerated(bed: ExactBed, forbidden: Tensor, revisions: int) -> Tensor:
    """Log of the exact law of revised reference answers: (prompts, sequences)."""
    tokens, symbols = bed.tokens, bed.space.vocab
    count = len(tokens)
    becomes = torch.zeros(count, bed.space.horizon, symbols, dtype=torch.long, device=bed.device)
    is_symbol = (tokens > 0) & (tokens <= symbols)
    for t in range(bed.space.horizon):
        for symbol in range(1, symbols + 1):
            other = tokens.clone()
            other[:, t] = torch.where(is_symbol[:, t], symbol, tokens[:, t])
            becomes[:, t, symbol - 1] = bed.space.index(other)
    laws = torch.stack(
        [
            bed.reference.next_logps(prompt.expand(count, 2), tokens).exp()[..., :symbols]
            for prompt in bed.prompts
        ]
    )
    breaks = torch.stack([broken(tokens, row.expand(count, -1)) for row in forbidden])
    writes = torch.stack([rewriting(laws.flatten(0, 2), row).view_as(laws) for row in forbidden])
    law = bed.reference_logps.exp()
    for _ in range(revisions):
        law = revised_law(law, breaks, writes, becomes)
    return law.log()


def imitate(
    bed: ExactBed, config: ConstitutionalConfig, forbidden: Tensor, draw: torch.Generator, observe: Observe
) -> TransformerPolicy:
    """SL-CAI: a policy fine-tuned on revised answers of the reference."""
    policy = trainable_copy(bed.reference)
    rows = bed.sample_prompts(config.answers, draw)
    answers = revised(bed, rows, bed.sample(policy, rows, draw), forbidden, config.revisions, draw)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    for step in range(1, config.steps + 1):
        picks = torch.randint(len(rows), (config.batch,), generator=draw, device=bed.device)
        logps = policy.token_logps(bed.prompts[rows[picks]], answers[picks])
        descend(sft_loss(logps, (answers[picks] != 0).float()).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))
    return policy


def fit(
    bed: ExactBed,
    config: ConstitutionalConfig,
    start: TransformerPolicy,
    forbidden: Tensor,
    draw: torch.Generator,
) -> Tensor:
    """Centred scores of a reward model fitted to people's labels for help and the judge's for the principles."""
    people = bed.preference_pairs(config.pairs, draw)
    rows = bed.sample_prompts(config.pairs, draw)
    first, second = bed.sample(start, rows, draw), bed.sample(start, rows, draw)
    drawn = forbidden[torch.randint(len(forbidden), (len(rows),), generator=draw, device=bed.device)]
    shares = [broken(y, drawn).sum(1) / (y != 0).sum(1) for y in (first, second)]
    judged = preference(shares[0], shares[1], config.sharpness)
    judged = hardened(judged) if config.labels == "hard" else judged
    model = ScalarTransformer.from_policy(bed.reference).requires_grad_(True)
    optimiser, schedule = cosine_adam(model.parameters(), config.reward_lr, config.reward_steps)
    asked = round(config.judged * config.batch)
    for _ in range(config.reward_steps):
        help_, rule = (
            torch.randint(config.pairs, (n,), generator=draw, device=bed.device)
            for n in (config.batch - asked, asked)
        )
        prompts = bed.prompts[torch.cat([people.prompts[help_], rows[rule]])].repeat(2, 1)
        better = torch.cat([people.chosen[help_], first[rule]])
        worse = torch.cat([people.rejected[help_], second[rule]])
        label = torch.cat([torch.ones(config.batch - asked, device=bed.device), judged[rule]])
        one, other = model.scores(prompts, torch.cat([better, worse])).chunk(2)
        descend(soft_label_loss(one, other, label).mean(), model, optimiser)
        schedule.step()
    with torch.no_grad():
        return bed.centred(model.all_scores(bed.prompts))


def train(bed: ExactBed, config: ConstitutionalConfig, seed: int, observe: Observe) -> Outcome:
    """Imitate revised answers, or maximise a reward model that knows the principles, or one after the other."""
    draw = bed.generator(seed)
    forbidden = constitution(bed, config.principles)
    first = 0 if config.stages == "rl" else config.steps
    policy = imitate(bed, config, forbidden, draw, observe) if first else trainable_copy(bed.reference)
    if config.stages == "sl":
        # Answers that are not revised leave no gap between the reference and their law.
        optimum = enumerated(bed, forbidden, config.revisions) if config.revisions else None
        logps = bed.logps(policy)
        return Outcome(logps, optimum, "forward", measures=violations(bed, logps, forbidden))

    start = frozen(trainable_copy(policy))
    scores = fit(bed, config, start, forbidden, draw)
    optimiser, schedule = cosine_adam(policy.parameters(), config.rl_lr, config.rl_steps)
    for step in range(1, config.rl_steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        with torch.no_grad():
            before = start.token_logps(bed.prompts[rows], tokens)
        rewards = regularised_reward(scores[rows, bed.space.index(tokens)], logps, before, mask, config.beta)
        advantage = leave_one_out_advantage(rewards.view(config.prompts, config.samples)).flatten()
        descend(reinforce_loss(logps, mask, advantage).mean(), policy, optimiser)
        schedule.step()
        observe(first + step, lambda: bed.logps(policy))

    logps = bed.logps(policy)
    return Outcome(logps, measures=violations(bed, logps, forbidden))


def violations(bed: ExactBed, logps: Tensor, forbidden: Tensor) -> dict[str, float]:
    """Expected share of tokens that break a principle, after training and under the reference, on training prompts."""
    any_ = forbidden.any(0).expand(len(bed.tokens), -1)
    share = broken(bed.tokens, any_).sum(1) / (bed.tokens != 0).sum(1)
    found = {"violations": logps, "violations_before": bed.reference_logps}
    return {name: float(expectation(x[bed.train_rows], share).mean()) for name, x in found.items()}
