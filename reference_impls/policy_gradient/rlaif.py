r"""RLAIF: a judge's preferences distilled into a reward model, or the judge's grades as the reward.

Paper: lee2024rlaif. Provenance: reconstruction from the abstract and accounts of the paper (no code by the authors is
known): soft labels from both orders of presentation, cross-entropy for the reward model and grades weighted by their
probabilities are as described there; the judge is simulated (``beds/judge.py``).

*Canonical.* Asked about two answers in both orders, the judge gives the log-odds $\ell_{12}$ and $\ell_{21}$ of the
answer shown first. The label is the mean of both probabilities and the reward model minimises the cross-entropy:

$$p = \tfrac12\left[\sigma(\ell_{12}) + \sigma(-\ell_{21})\right], \qquad
  L(\phi) = -p \log\sigma(r_1 - r_2) - (1 - p)\log\sigma(r_2 - r_1).$$

*Direct.* The judge grades each answer that the policy writes; the mark's mean under the judge's own probabilities is
scaled to $[-1, 1]$ and is the reward:

$$s = \sum_{i=1}^{10} i\, P(i \mid x, y), \qquad r = u\left(2\,\frac{s - 1}{9} - 1\right).$$

A mean mark has no unit. $u$ gives it that of the opinion, so that one $\beta$ serves both forms.

Either reward is maximised by leave-one-out REINFORCE with the KL in the reward. ``labels_from = "people"`` is the same
pipeline on Bradley-Terry labels. A label of the judge costs a call for each order, a grade one call.

What we leave out: prompts with reasoning and examples, the critic of the paper's actor-critic, a length control, and
labels on prompts that the policy is not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.judge import MARKS, MARKS_PER_SD, grades, opinion, verdicts
from reference_impls.core.estimators import leave_one_out_advantage, regularised_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.reinforce import reinforce_loss

METHODS = {
    "rlaif": {
        "name": "RLAIF",
        "paper": "lee2024rlaif",
        "category": "ai-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of the opinion behind the labels, through a reward model fitted to soft labels",
        "yields": "policy",
        "preset": {},
        "bed": {"hack": 0.5},
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
            "replace": ["-label * logsigmoid(margin)", "-(1 - label) * logsigmoid(margin)"],
            "why": "every label counts for the other answer",
        },
    },
    "direct-rlaif": {
        "name": "Direct RLAIF (d-RLAIF)",
        "paper": "lee2024rlaif",
        "category": "ai-feedback",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": ["reference", "online-samples"],
        "target": "J_beta of the judge's mean mark, in the opinion's unit",
        "yields": "policy",
        "preset": {"reward": "grades"},
        "bed": {"hack": 0.5},
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
            "replace": ["2 * (mean - 1) / (count - 1) - 1", "1 - 2 * (mean - 1) / (count - 1)"],
            "why": "the best mark becomes the worst reward",
        },
    },
}


@dataclass(frozen=True)
class RLAIFConfig:
    """Defaults for the exact bed."""

    reward: Literal["distilled", "grades"] = "distilled"
    labels_from: Literal["judge", "people"] = "judge"
    calls: int = 8000
    """Calls of the judge, two for a label and one for a grade; with people as many labels."""
    orders: Literal["both", "one"] = "both"
    """Ask in both orders and average, or ask in one about twice as many pairs."""
    labels: Literal["soft", "hard"] = "soft"
    """The judge's probability, or 1 for what it prefers."""
    error: float = 0.4
    """Weight of the judge's own taste in its opinion."""
    position_bias: float = 1.0
    """By how much, in log-odds, the judge prefers what it is shown first."""
    noise: float = 0.5
    """Standard deviation of the judge's noise in each call."""
    beta: float = 0.5
    reward_steps: int = 400
    reward_batch: int = 64
    reward_lr: float = 3e-3
    prompts: int = 8
    samples: int = 16
    steps: int = 60
    """Updates of the policy at most; with grades there are as many as the calls pay for."""
    lr: float = 3e-3


def both_orders(shown_first: Tensor, shown_second: Tensor) -> Tensor:
    """Probability that the first answer is better, the mean of both orders: log-odds (pairs,) twice -> (pairs,).

    Each argument is the log-odds of the answer that the judge was shown first: in the second that is the other one.
    """
    return (torch.sigmoid(shown_first) + torch.sigmoid(-shown_second)) / 2


def hardened(label: Tensor) -> Tensor:
    """1 where the first answer is preferred, 0 where the second is, and a half for a tie: any shape."""
    return ((label > 0.5).to(label) + (label >= 0.5).to(label)) / 2


def soft_label_loss(first: Tensor, second: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of each pair, in nats: scores of both answers and the label of the first, (pairs,) each."""
    margin = first - second
    return -label * logsigmoid(margin) - (1 - label) * logsigmoid(-margin)


def mean_mark(marks: Tensor) -> Tensor:
    """The expected mark on a scale from -1 (the lowest) to 1: log-odds of each mark (n, marks) -> (n,)."""
    count = marks.shape[-1]
    mean = (marks.softmax(-1) * torch.arange(1, count + 1, device=marks.device)).sum(-1)
    return 2 * (mean - 1) / (count - 1) - 1


def fit(bed: ExactBed, config: RLAIFConfig, opinions: Tensor, draw: torch.Generator) -> Tensor:
    """Centred scores of a reward model fitted to what the calls, or the people's labels, say."""
    twice = config.labels_from == "judge" and config.orders == "both"
    n = config.calls // 2 if twice else config.calls
    if config.labels_from == "people":
        data = bed.preference_pairs(n, draw)
        rows, first, second, label = (
            data.prompts,
            data.chosen,
            data.rejected,
            torch.ones(n, device=bed.device),
        )
    else:
        rows = bed.sample_prompts(n, draw)
        pairs = bed.draw_pairs(rows, draw)
        said = verdicts(bed, opinions, rows, pairs, config.position_bias, config.noise, draw)
        label = both_orders(said[:, 0], said[:, 1]) if twice else torch.sigmoid(said[:, 0])
        label = hardened(label) if config.labels == "hard" else label
        first, second = bed.tokens[pairs[:, 0]], bed.tokens[pairs[:, 1]]
        bed.cost["labels"] += config.calls
    model = ScalarTransformer.from_policy(bed.reference).requires_grad_(True)
    optimiser, schedule = cosine_adam(model.parameters(), config.reward_lr, config.reward_steps)
    for _ in range(config.reward_steps):
        picks = torch.randint(n, (config.reward_batch,), generator=draw, device=bed.device)
        prompts = bed.prompts[rows[picks]].repeat(2, 1)
        one, other = model.scores(prompts, torch.cat([first[picks], second[picks]])).chunk(2)
        descend(soft_label_loss(one, other, label[picks]).mean(), model, optimiser)
        schedule.step()
    with torch.no_grad():
        return bed.centred(model.all_scores(bed.prompts))


def train(bed: ExactBed, config: RLAIFConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a reward model to the labels unless the judge grades, then train the policy against the reward."""
    draw = bed.generator(seed)
    opinions = bed.gold if config.labels_from == "people" else opinion(bed, config.error)
    graded = config.reward == "grades"
    scores = None if graded else fit(bed, config, opinions, draw)
    policy = trainable_copy(bed.reference)
    size = config.prompts * config.samples
    steps = min(config.steps, config.calls // size) if graded else config.steps
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, steps)

    for step in range(1, steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        places, mask = bed.space.index(tokens), (tokens != 0).float()
        if scores is None:
            bed.cost["labels"] += size
            marks = grades(bed, opinions, rows, places, config.noise, draw)
            rewards = (MARKS - 1) / 2 / MARKS_PER_SD * mean_mark(marks)
        else:
            rewards = scores[rows, places]
        logps = policy.token_logps(bed.prompts[rows], tokens)
        reference = bed.reference_token_logps(rows, tokens)
        regularised = regularised_reward(rewards, logps, reference, mask, config.beta)
        advantage = leave_one_out_advantage(regularised.view(config.prompts, config.samples)).flatten()
        descend(reinforce_loss(logps, mask, advantage).mean(), policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(policy))

    return Outcome(
        logps=bed.logps(policy),
        optimum=bed.optimum(opinions, config.beta),
        measures=examined(bed, opinions, scores, seed),
    )


def examined(bed: ExactBed, opinions: Tensor, scores: Tensor | None, seed: int) -> dict[str, float]:
    """Per cent of fresh pairs of reference answers that the opinion, and the reward model, order as gold does."""
    draw = bed.generator(seed + 500)
    rows = bed.sample_prompts(20_000, draw)
    pairs = bed.draw_pairs(rows, draw)
    truth = bed.gold[rows[:, None], pairs].diff()[:, 0]

    def agreement(table: Tensor) -> float:
        said = table[rows[:, None], pairs].diff()[:, 0]
        return 100 * float((said * truth > 0)[truth != 0].float().mean())

    found = {"opinion_accuracy": agreement(opinions)}
    return found if scores is None else found | {"model_accuracy": agreement(scores)}
