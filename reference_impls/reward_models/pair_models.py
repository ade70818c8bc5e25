r"""Models of one who compares: Thurstone, lapses, ties, grades, margins, smoothing and centring.

Papers: thurstone1927law (normal noise), christiano2017deep (section 2.2.3: annotators who answer at random
now and then), liu2024reward (ties by Rao and Kupper's model), chen2025on (ties by Rao and Kupper's or
Davidson's model, there in DPO), afsharrad2026beyond (graded preferences by ordinal regression),
touvron2023llama (a margin by grade), wang2024secrets (label smoothing), eisenstein2024helping (centring).
Provenance: per the papers' text for lapses, margin (equation 2 and table 27) and smoothing (equation 5). The
rest are reconstructions: both models of ties from the prose of chen2025on, section 2.2, whose $e^{\alpha}$ and
$2\nu$ are our $e^c$ and $\nu$; the others from abstracts and expositions. Margin and centring agree with
TRL's ``RewardTrainer``.

Whoever compares two answers feels $\Delta + \epsilon$, the difference of rewards and some noise, and says
something about it. What differs is the noise and what is said. With $\Delta = r(x, y_w) - r(x, y_l)$:

| method | what is said | likelihood or loss |
|-|-|-|
| Bradley-Terry | which is better | $\sigma(\Delta)$ |
| Thurstone | the same, noise normal | $\Phi(\sqrt{2\pi}\,\Delta/4)$ |
| lapses | the same, at random in a share $\lambda$ of cases | $(1-\lambda)\,\sigma(\Delta) + \lambda/2$ |
| Rao-Kupper | a tie if less than $c$ is felt | $\sigma(\Delta - c)$; a tie: the rest |
| Davidson | a tie | $\propto e^{\Delta/2}$; tie: $\propto \nu$; the other: $\propto e^{-\Delta/2}$ |
| graded | how much better, by cut points $c_g$ | $\sigma(c_{g+1} - \Delta) - \sigma(c_g - \Delta)$ |
| margin | how much better, $m(g)$ | $-\log\sigma(\Delta - m(g))$, no likelihood |
| smoothing | which is better | $-(1-\epsilon)\log\sigma(\Delta) - \epsilon\log\sigma(-\Delta)$ |
| centring | which is better | $-\log\sigma(\Delta) + \eta\,(r_w + r_l)^2$ |

Bradley-Terry is the margin with $m = 0$. Cut points, $c$ and $\nu$ are learned with the reward. The unit of
Thurstone's noise is chosen so that its slope at 0 is the logistic one, so that all rewards are on one scale.

What we leave out: Thurstone's unequal variances, order effects, and the networks: all rewards are linear in the
bed's features with the same Gaussian prior, so that likelihoods alone are compared. Llama 2's margins are 1,
2/3, 1/3, 0 or three times that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.graded import CUTS, GradedPairs, graded_pairs
from reference_impls.core.linear import LinearReward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.reward_measures import reward_distance
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "thurstone": {
        "name": "Thurstone reward model",
        "paper": "thurstone1927law",
        "category": "preference-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of comparisons with normal noise, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"likelihood": "thurstone"},
        "bed": {"raters": "thurstone"},
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
            "replace": ["log_ndtr(SLOPE * difference)", "ndtr(SLOPE * difference)"],
            "why": "the probability in place of its logarithm: strong preferences are under-fitted",
        },
    },
    "bt-lapses": {
        "name": "Bradley-Terry with lapses",
        "paper": "christiano2017deep",
        "category": "preference-feedback",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of comparisons by annotators who answer at random at a known rate",
        "yields": "reward",
        "preset": {"likelihood": "lapses", "lapses": 0.4},
        "bed": {"raters": "flips"},
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
            "replace": ["log(lapses / 2)", "log(lapses) * 2"],
            "why": "too few lapses: a wrong label is taken for a strong preference",
        },
    },
    "rao-kupper": {
        "name": "Bradley-Terry with ties (Rao and Kupper)",
        "paper": "liu2024reward",
        "category": "preference-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of comparisons with ties below a threshold",
        "yields": "reward",
        "preset": {"likelihood": "rao-kupper"},
        "bed": {"raters": "ties"},
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
            "replace": [
                "logsigmoid(difference - threshold)\n",
                "logsigmoid(difference)\n",
            ],
            "why": "a win needs no more than a difference above 0, as if no tie had been possible",
        },
    },
    "davidson-ties": {
        "name": "Bradley-Terry with ties (Davidson)",
        "paper": "chen2025on",
        "category": "preference-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of comparisons with ties in proportion to the geometric mean of the strengths",
        "yields": "reward",
        "preset": {"likelihood": "davidson"},
        "bed": {"raters": "ties"},
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
            "replace": ["difference / 2, -difference / 2", "difference, -difference"],
            "why": "twice the difference: rewards come out at half their size",
        },
    },
    "bt-graded": {
        "name": "Ordinal model of graded preferences",
        "paper": "afsharrad2026beyond",
        "category": "preference-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of graded comparisons, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"likelihood": "graded"},
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
            "replace": [
                "logsigmoid(difference - low)",
                "logsigmoid(difference)",
            ],
            "why": "the lower cut point of each grade is taken for 0",
        },
    },
    "bt-margin": {
        "name": "Bradley-Terry with a margin by grade",
        "paper": "touvron2023llama",
        "category": "preference-feedback",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": None,
        "yields": "reward",
        "preset": {"margin": 1.0},
        "knob": None,
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
                "name": "RewardTrainer, column margin",
                "difference": "none in the loss",
            },
        ],
        "verify_mutant": {
            "replace": ["chosen - rejected - margin", "chosen - rejected + margin"],
            "why": "the stronger the preference, the less is asked of the scores",
        },
    },
    "bt-smoothed": {
        "name": "Bradley-Terry with label smoothing",
        "paper": "wang2024secrets",
        "category": "preference-feedback",
        "provenance": "per the paper's text",
        "feedback": ["pairs"],
        "needs": [],
        "target": None,
        "yields": "reward",
        "preset": {"smoothing": 0.1},
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
            "replace": ["smoothing * logsigmoid(-difference)", "smoothing * logsigmoid(difference)"],
            "why": "both terms praise the chosen answer: nothing is smoothed",
        },
    },
    "bt-centred": {
        "name": "Bradley-Terry with centred rewards",
        "paper": "eisenstein2024helping",
        "category": "preference-feedback",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": None,
        "yields": "reward",
        "preset": {"centring": 0.01},
        "knob": None,
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
                "name": "RewardTrainer, center_rewards_coefficient",
                "difference": "none in the loss",
            },
        ],
        "verify_mutant": {
            "replace": ["(chosen + rejected) ** 2", "(chosen - rejected) ** 2"],
            "why": "the difference is punished and not the level: preferences shrink",
        },
    },
}

SLOPE = sqrt(2 * pi) / 4
"""With this factor the normal distribution function has the logistic one's slope at 0, which is 1/4."""


@dataclass(frozen=True)
class PairModelsConfig:
    """Defaults for the exact bed."""

    likelihood: Literal["bradley-terry", "thurstone", "lapses", "rao-kupper", "davidson", "graded"] = (
        "bradley-terry"
    )
    ties: Literal["coin", "dropped", "split"] = "coin"
    """What becomes of ties where the likelihood has none: a coin decides, thrown away, half a label each way."""
    margin: float = 0.0
    """Margin per grade, of which there are four (Llama 2's large one: 1 per grade, the small one: 1/3)."""
    smoothing: float = 0.0
    """Share of each label given to the other answer."""
    centring: float = 0.0
    """Weight of the squared sum of scores (eisenstein2024helping and TRL's documentation: 0.01)."""
    lapses: float = 0.1
    """Share of labels given at random (christiano2017deep: 0.1); flips at rate f are lapses at rate 2f."""
    labels: int = 4000
    prior: float = 0.25
    """Standard deviation of the Gaussian prior on each weight of the reward."""
    steps: int = 120
    """Updates, each on all pairs."""
    lr: float = 0.05


def thurstone_loss(difference: Tensor) -> Tensor:
    """Negative log-likelihood of a preference with normal noise: differences chosen minus rejected (n,) -> (n,)."""
    return -torch.special.log_ndtr(SLOPE * difference)


def lapse_loss(difference: Tensor, lapses: float) -> Tensor:
    """Negative log-likelihood if a share ``lapses`` of labels, in (0, 1), comes from a coin: (n,) -> (n,)."""
    attentive = log(1 - lapses) + logsigmoid(difference)
    return -torch.logaddexp(attentive, torch.full_like(difference, log(lapses / 2)))


def interval_loss(difference: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Minus the log-probability that ``difference`` plus logistic noise falls between ``low`` and ``high``: (n,).

    The bounds are (n,) and may be infinite. Computed without subtracting probabilities.
    """
    return -(
        logsigmoid(high - difference) + logsigmoid(difference - low) + torch.log(-torch.expm1(low - high))
    )


def rao_kupper_loss(difference: Tensor, tied: Tensor, threshold: Tensor) -> Tensor:
    """Negative log-likelihood of a preference, or of a tie where ``tied``: (n,), (n,), () -> (n,).

    ``threshold`` is the logarithm of the paper's theta, above 0.
    """
    wins = -logsigmoid(difference - threshold)
    bound = threshold.expand_as(difference)
    return torch.where(tied, interval_loss(difference, -bound, bound), wins)


def davidson_loss(difference: Tensor, tied: Tensor, log_nu: Tensor) -> Tensor:
    """Negative log-likelihood of a preference, or of a tie where ``tied``: (n,), (n,), () -> (n,)."""
    outcomes = torch.stack([difference / 2, -difference / 2, log_nu.expand_as(difference)])
    logps = outcomes.log_softmax(0)
    return -torch.where(tied, logps[2], logps[0])


def graded_loss(difference: Tensor, grade: Tensor, cuts: Tensor) -> Tensor:
    """Negative log-likelihood of preferences with a grade 0 to ``len(cuts)``: (n,), (n,), (grades - 1,) -> (n,).

    Grade g is felt between the g-th and the next of 0, the rising ``cuts``, and infinity.
    """
    zero = torch.zeros(1, dtype=cuts.dtype, device=cuts.device)
    bounds = torch.cat([zero, cuts, zero + torch.inf])
    return interval_loss(difference, bounds[grade], bounds[grade + 1])


def margin_loss(chosen: Tensor, rejected: Tensor, margin: Tensor) -> Tensor:
    """Bradley-Terry loss of scores whose difference should exceed a margin: all (n,) -> (n,)."""
    return -logsigmoid(chosen - rejected - margin)


def smoothed_loss(difference: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with a label of ``1 - smoothing`` for the chosen answer: (n,) -> (n,)."""
    return -(1 - smoothing) * logsigmoid(difference) - smoothing * logsigmoid(-difference)


def level_penalty(chosen: Tensor, rejected: Tensor) -> Tensor:
    """The squared sum of each pair's scores, which pulls their level to 0: (n,), (n,) -> (n,)."""
    return (chosen + rejected) ** 2


class PairModel(nn.Module):
    """A linear reward, and the cut points of what is said about a difference."""

    def __init__(self, bed: ExactBed, cuts: int) -> None:
        """Rewards start at 0 and the cut points at 1, 2 and so on."""
        super().__init__()
        self.reward = LinearReward(bed.space, bed.prompts)
        self.log_gaps = nn.Parameter(torch.zeros(cuts, device=bed.device))

    def cuts(self) -> Tensor:
        """Rising cut points above 0."""
        return self.log_gaps.exp().cumsum(0)


def prepared(pairs: GradedPairs, ties: str) -> tuple[GradedPairs, Tensor]:
    """The pairs as a likelihood without ties can use them, with a weight for each: (n,)."""
    weight = torch.ones_like(pairs.grade, dtype=torch.float)
    if ties == "coin":
        return pairs, weight
    keep = ~pairs.tied
    parts = (pairs.prompts, pairs.chosen, pairs.rejected, pairs.grade, pairs.tied)
    if ties == "dropped":
        return GradedPairs(*(part[keep] for part in parts)), weight[keep]
    turned = (pairs.prompts, pairs.rejected, pairs.chosen, pairs.grade, pairs.tied)
    both = [torch.cat([part, other[pairs.tied]]) for part, other in zip(parts, turned, strict=True)]
    weight = torch.where(pairs.tied, 0.5, weight)
    return GradedPairs(*both), torch.cat([weight, weight[pairs.tied]])


def train(bed: ExactBed, config: PairModelsConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a linear reward to graded comparisons by the likelihood or loss that the config names."""
    draw = bed.generator(seed)
    pairs, weight = prepared(graded_pairs(bed, config.labels, draw), config.ties)
    model = PairModel(bed, len(CUTS) if config.likelihood == "graded" else 1)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)

    for step in range(1, config.steps + 1):
        scores = model.reward.table()[0]
        chosen, rejected = scores[pairs.prompts, pairs.chosen], scores[pairs.prompts, pairs.rejected]
        difference = chosen - rejected
        if config.likelihood == "thurstone":
            losses = thurstone_loss(difference)
        elif config.likelihood == "lapses":
            losses = lapse_loss(difference, config.lapses)
        elif config.likelihood == "rao-kupper":
            losses = rao_kupper_loss(difference, pairs.tied, model.cuts()[0])
        elif config.likelihood == "davidson":
            losses = davidson_loss(difference, pairs.tied, model.log_gaps[0])
        elif config.likelihood == "graded":
            losses = graded_loss(difference, pairs.grade, model.cuts())
        elif config.smoothing:
            losses = smoothed_loss(difference, config.smoothing)
        else:
            losses = margin_loss(chosen, rejected, config.margin * pairs.grade)
        losses = losses + config.centring * level_penalty(chosen, rejected)
        penalty = model.reward.weight.square().sum() / (2 * config.prior**2)
        descend(((weight * losses).sum() + penalty) / config.labels, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(model.reward.table()[0].detach()))

    final = model.reward.table()[0].detach()
    return Outcome(
        logps=bed.optimum(final),
        optimum=None if config.margin or config.smoothing else bed.optimum(bed.utility),
        scores=final,
        measures=_measures(bed, final),
    )


def _measures(bed: ExactBed, scores: Tensor) -> dict[str, float]:
    """How the scores stand to the gold reward on training prompts, answers weighted by the reference."""
    rows = bed.train_rows
    law, gold = bed.reference_logps[rows].exp(), bed.gold[rows]
    level = (law * scores[rows]).sum(-1, keepdim=True)
    strength = (law * (scores[rows] - level) * gold).sum() / (law * gold**2).sum()
    return {
        "strength": float(strength),
        "match": 1 - 2 * reward_distance(scores[rows], gold, law) ** 2,
        "level": float(level.square().mean().sqrt()),
    }
