r"""RSO: preference pairs drawn from the estimated optimum by statistical rejection sampling.

Paper: liu2024statistical. Provenance: per the paper's text (section 3 and algorithm 1), except that labels are drawn
from the preference model's probabilities where the paper takes its verdicts.

Fit a reward model $\hat r$. For each prompt draw candidates from the reference, distinct ones, and accept each with
probability

$$\exp\left(\frac{\hat r(x, y) - \max_{y'} \hat r(x, y')}{\beta}\right),$$

the maximum being over candidates not yet accepted, sweep after sweep until there are enough. With many candidates
what is accepted follows $\pi_{\hat r} \propto \pi_{ref}\,e^{\hat r/\beta}$, the optimum if $\hat r$ were the reward.
Accepted answers are paired in order, the pairs are labelled by $\hat r$, and the policy is fitted to them,

$$-\log\sigma\left(\gamma\,\Delta\right) \quad\text{or}\quad \max(0,\ 1 - \gamma\,\Delta), \qquad
\Delta = \log \frac{\pi_\theta(y_w|x)}{\pi_{ref}(y_w|x)} - \log\frac{\pi_\theta(y_l|x)}{\pi_{ref}(y_l|x)}.$$

- ``rso``: pairs from the estimated optimum (the paper's rso-sample-rank);
- ``source="reference"``: from the reference (sft-sample-rank), which is what the sampling is compared with.

With labels drawn as $P(y \succ y') = \sigma(\hat r(y) - \hat r(y'))$ and the first loss the policy's optimum is
$\pi_{ref}\,e^{\hat r/\gamma}$ whatever law the pairs come from: sampling from the optimum changes which errors are
small, not what is aimed at. With verdicts there is no finite optimum, and $\gamma$ only sets the pace.

What we leave out: the pairwise ranking model and its baseline answer, and tournaments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import trainable_copy
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "rso": {
        "name": "Statistical rejection sampling optimisation (RSO)",
        "paper": "liu2024statistical",
        "category": "rejection-sampling-fine-tuning",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": ["reference", "reward-model"],
        "target": "J_gamma of the reward it is given, through Bradley-Terry labels on pairs from the estimated optimum",
        "yields": "policy",
        "preset": {},
        "knob": None,
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
            "replace": ["best) / beta", "best) * beta"],
            "why": "bad candidates are accepted more often, and the pairs come from a law near the reference",
        },
    },
}


@dataclass(frozen=True)
class RSOConfig:
    """Defaults for the exact bed; the paper's own values are named where they differ."""

    source: Literal["optimum", "reference"] = "optimum"
    """Where pairs come from: rejection sampling, or the first candidates as they were drawn."""
    beta: float = 0.5
    """Temperature of the rejection sampling."""
    gamma: float = 0.5
    """What log-ratios are multiplied by in the loss (paper: 0.05, with verdicts for labels)."""
    loss: Literal["sigmoid", "hinge"] = "sigmoid"
    verdicts: bool = False
    """Whether the better answer always wins; else the preference model's probabilities are sampled."""
    pairs: int = 8000
    candidates: int = 64
    """Answers drawn from the reference per prompt."""
    kept: int = 8
    """Of which so many are accepted and paired."""
    steps: int = 150
    batch: int = 128
    lr: float = 1e-3


def acceptance(rewards: Tensor, left: Tensor, beta: float) -> Tensor:
    """Chance of each candidate in one sweep, 0 if gone: rewards and who is left (..., candidates) -> the same."""
    best = rewards.masked_fill(~left, -torch.inf).amax(-1, keepdim=True)
    return torch.exp((rewards - best) / beta).masked_fill(~left, 0.0)


def rejection_sample(rewards: Tensor, left: Tensor, keep: int, beta: float, draw: torch.Generator) -> Tensor:
    """Places of ``keep`` accepted candidates per row, in the order of acceptance: (rows, candidates) -> (rows, keep).

    ``left`` marks the candidates that may be accepted. Raises ValueError if a row has too few.
    """
    if int(left.sum(-1).min()) < keep:
        raise ValueError(f"fewer than {keep} distinct candidates")
    size = rewards.shape[-1]
    places, turn = torch.arange(size, device=rewards.device), torch.full_like(rewards, torch.inf)
    for sweep in range(size):
        taken = torch.rand(rewards.shape, generator=draw, device=rewards.device) < acceptance(
            rewards, left, beta
        )
        turn = torch.where(taken, (sweep * size + places).to(turn), turn)
        left = left & ~taken
    return turn.argsort(-1)[:, :keep]


def first_of_its_kind(answers: Tensor) -> Tensor:
    """True where an answer did not occur before in its row: (rows, candidates) -> the same."""
    same = answers[:, :, None] == answers[:, None, :]
    return ~same.tril(-1).any(-1)


def rso_loss(difference: Tensor, gamma: float, loss: str) -> Tensor:
    """Sigmoid or hinge loss of the log-ratios' difference, chosen minus rejected: (pairs,) -> (pairs,)."""
    if loss == "hinge":
        return (1 - gamma * difference).clamp(min=0)
    return -logsigmoid(gamma * difference)


def draw_pairs(bed: ExactBed, config: RSOConfig, draw: torch.Generator) -> Pairs:
    """Candidates of the reference, accepted, paired and labelled by the bed's scores."""
    rows = bed.sample_prompts(2 * config.pairs // config.kept, draw)
    law = bed.reference_logps[rows].exp()
    answers = torch.multinomial(law, config.candidates, replacement=True, generator=draw)
    bed.cost["samples"] += answers.numel()
    rewards, new = bed.reward[rows[:, None], answers], first_of_its_kind(answers)
    if config.source == "optimum":
        places = rejection_sample(rewards, new, config.kept, config.beta, draw)
    else:
        places = rejection_sample(torch.zeros_like(rewards), new, config.kept, config.beta, draw)
    accepted, scores = answers.gather(1, places).view(-1, 2), rewards.gather(1, places).view(-1, 2)
    chance = torch.sigmoid(scores[:, 0] - scores[:, 1])
    if config.verdicts:
        chance = (chance > 0.5).float()
    wins = torch.rand(len(chance), generator=draw, device=bed.device) < chance
    order = torch.stack([~wins, wins], 1).long()
    chosen, rejected = accepted.gather(1, order).unbind(1)
    return Pairs(rows.repeat_interleave(config.kept // 2), bed.tokens[chosen], bed.tokens[rejected])


def train(bed: ExactBed, config: RSOConfig, seed: int, observe: Observe) -> Outcome:
    """Draw the pairs once, then fit a copy of the reference to them."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    data = draw_pairs(bed, config, draw)

    for step in range(1, config.steps + 1):
        pairs = data.batch(config.batch, draw)
        both = policy.token_logps(
            bed.prompts[pairs.prompts].repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
        )
        chosen, rejected = both.chunk(2)
        chosen_ratio = masked_sum(
            chosen - bed.reference_token_logps(pairs.prompts, pairs.chosen), pairs.chosen_mask
        )
        rejected_ratio = masked_sum(
            rejected - bed.reference_token_logps(pairs.prompts, pairs.rejected), pairs.rejected_mask
        )
        descend(rso_loss(chosen_ratio - rejected_ratio, config.gamma, config.loss).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    fixed = config.loss == "sigmoid" and not config.verdicts
    optimum = bed.optimum(bed.reward, config.gamma) if fixed else None
    drawn = bed.gold[data.prompts.repeat(2), bed.space.index(torch.cat([data.chosen, data.rejected]))]
    return Outcome(logps=bed.logps(policy), optimum=optimum, measures={"pairs_gold": float(drawn.mean())})
