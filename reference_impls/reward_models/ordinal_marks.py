r"""Reward models from marks on a scale: ordered logit, ordered logit with a scale per rater, and regression.

Papers: mccullagh1980regression for the ordered logit (its proportional-odds model, with location and
dispersion in the second method), wang2025helpsteer2 for regression on the points, as its abstract names
that paradigm. Provenance: regression per the official code (NVIDIA/NeMo-Aligner at af2b3bd,
``reg_loss_func``: the squared error of the points; the level that belongs to no answer is ours), the other
two are reconstructions.

A mark $s \in \{0, \dots, K\}$ is what falls between two cut points $\theta_1 < \dots < \theta_K$ of a feeling
$r(x, y) + \epsilon$ with logistic noise of scale $\tau$:

$$\Pr(s \le k - 1 \mid x, y) = \sigma\left((\theta_k - r(x, y)) / \tau\right), \qquad
\text{per rater: } \sigma\left((\theta_k - a_u - b_u r(x, y)) / \tau\right).$$

Regression takes the points for the reward, $\min_\phi (r_\phi(x, y) - s)^2$: steps are equal, and what the
scale cuts off at its ends is lost. Points can be standardised per rater first (mean 0, standard deviation 1).
Offsets $a_u$ and $\log b_u$ have Gaussian priors. The cut points are learned; $\tau = 1/\sqrt2$ is a convention
that puts the reward of marks and of comparisons on one scale.

What we leave out: raters' own cut points (beyond shift and stretch), drift, several attributes, and networks:
rewards are linear in the bed's features, with the same Gaussian prior for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.marks import NOISE, comparisons, crew, cut_points, marks
from reference_impls.core.linear import LinearReward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.reward_measures import reward_distance
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "ordered-logit": {
        "name": "Ordered logit on marks",
        "paper": "mccullagh1980regression",
        "category": "rating-feedback",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": [],
        "target": "the likelihood of marks through cut points, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"model": "ordered"},
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
            "replace": ["logsigmoid(scores - low)", "logsigmoid(scores)"],
            "why": "the lower end of every mark's interval is taken for 0",
        },
    },
    "ordered-logit-raters": {
        "name": "Ordered logit with a scale for each rater",
        "paper": "mccullagh1980regression",
        "category": "rating-feedback",
        "provenance": "reconstruction",
        "feedback": ["scalar"],
        "needs": [],
        "target": "the likelihood of marks by raters with offsets and scales of their own",
        "yields": "reward",
        "preset": {"model": "ordered", "personal": True, "offsets": 1.0, "scales": 0.5},
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
            "replace": ["offset + scale * scores", "offset - scale * scores"],
            "why": "rewards enter with the other sign: the worst answers score best",
        },
    },
    "mark-regression": {
        "name": "Regression on marks",
        "paper": "wang2025helpsteer2",
        "category": "rating-feedback",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": [],
        "target": None,
        "yields": "reward",
        "preset": {"model": "regression"},
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
            "replace": ["(scores - level - points) ** 2", "(scores + level + points) ** 2"],
            "why": "the marks enter with the other sign: the worst answers score best",
        },
    },
}


@dataclass(frozen=True)
class OrdinalMarksConfig:
    """Defaults for the exact bed: 4,000 marks on five levels by 40 raters."""

    model: Literal["ordered", "regression"] = "ordered"
    feedback: Literal["marks", "comparisons"] = "marks"
    """Comparisons by the same raters are read by Bradley and Terry's model: a control."""
    personal: bool = False
    """Learn an offset and a scale for each rater; regression standardises each rater's marks."""
    labels: int = 4000
    levels: int = 5
    raters: int = 40
    offsets: float = 0.0
    """Standard deviation of raters' offsets, in sd of the gold reward."""
    scales: float = 0.0
    """Standard deviation of the logarithm of raters' scales."""
    generosity: float = 0.0
    """Added to what all raters feel, so that the top of the scale fills up."""
    prior: float = 0.25
    """Standard deviation of the Gaussian prior on each weight of the reward."""
    steps: int = 120
    """Updates, each on all labels."""
    lr: float = 0.05


def ordered_loss(scores: Tensor, points: Tensor, cuts: Tensor) -> Tensor:
    """Negative log-likelihood of each mark: scores (n,), points (n,) from 0, rising cuts (levels - 1,) -> (n,).

    All are in units of the noise. Computed without subtracting probabilities.
    """
    ends = torch.full((1,), torch.inf, dtype=cuts.dtype, device=cuts.device)
    bounds = torch.cat([-ends, cuts, ends])
    low, high = bounds[points], bounds[points + 1]
    return -(logsigmoid(high - scores) + logsigmoid(scores - low) + torch.log(-torch.expm1(low - high)))


def felt(scores: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """What a rater feels about answers of these scores: all (n,) -> (n,)."""
    return offset + scale * scores


def regression_loss(scores: Tensor, level: Tensor, points: Tensor) -> Tensor:
    """Squared error of each mark, with a level that belongs to no answer: (n,), (), (n,) -> (n,)."""
    return (scores - level - points) ** 2


def standardised(points: Tensor, raters: Tensor, number: int) -> Tensor:
    """Points with each rater's mean taken off and divided by that rater's standard deviation: (n,).

    A rater whose marks are all equal gets zeros.
    """
    member = (raters[:, None] == torch.arange(number, device=raters.device)).to(points)
    count = member.sum(0)
    centred = points - ((points @ member) / count)[raters]
    spread = ((centred**2) @ member / count).sqrt()
    return centred / spread.clamp(min=1e-6)[raters]


class MarkModel(nn.Module):
    """A linear reward, the cut points of the scale, and each rater's offset and logarithm of scale."""

    def __init__(self, bed: ExactBed, config: OrdinalMarksConfig) -> None:
        """Cut points start where the scale's own are; raters start alike."""
        super().__init__()
        self.reward = LinearReward(bed.space, bed.prompts)
        start = cut_points(config.levels).to(bed.device)
        self.first = nn.Parameter(start[:1].clone())
        self.log_gaps = nn.Parameter(start.diff().log())
        self.people = nn.Parameter(torch.zeros(2, config.raters, device=bed.device))
        self.level = nn.Parameter(torch.zeros((), device=bed.device))

    def cuts(self) -> Tensor:
        """Rising cut points: (levels - 1,)."""
        return torch.cat([self.first, self.first + self.log_gaps.exp().cumsum(0)])


def train(bed: ExactBed, config: OrdinalMarksConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a linear reward to marks, or to comparisons by the same raters."""
    draw = bed.generator(seed)
    people = crew(bed, config.raters, config.offsets, config.scales, draw)
    model = MarkModel(bed, config)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    if config.feedback == "comparisons":
        rows, chosen, rejected = comparisons(bed, config.labels, people, draw)
    else:
        data = marks(bed, config.labels, config.levels, people, config.generosity, draw)
        points = data.points.float()
        if config.personal:
            points = standardised(points, data.raters, config.raters)

    def losses(table: Tensor) -> Tensor:
        if config.feedback == "comparisons":
            return -logsigmoid(table[rows, chosen] - table[rows, rejected])
        scores = table[data.prompts, data.answers]
        if config.model == "regression":
            return regression_loss(scores, model.level, points)
        if config.personal:
            offset, log_scale = model.people[:, data.raters]
            scores = felt(scores, offset, log_scale.exp())
        return ordered_loss(scores / NOISE, data.points, model.cuts() / NOISE)

    for step in range(1, config.steps + 1):
        penalty = model.reward.weight.square().sum() / (2 * config.prior**2)
        penalty = penalty + model.people.square().sum() / 2
        descend((losses(model.reward.table()[0]).sum() + penalty) / config.labels, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(model.reward.table()[0].detach()))

    final = model.reward.table()[0].detach()
    rows = bed.train_rows
    law = bed.reference_logps[rows].exp()
    measures = {"match": 1 - 2 * reward_distance(final[rows], bed.gold[rows], law) ** 2}
    if config.feedback == "marks":
        measures["top"] = float((data.points == config.levels - 1).float().mean())
    known = config.model == "ordered" or config.feedback == "comparisons"
    return Outcome(
        logps=bed.optimum(final),
        optimum=bed.optimum(bed.utility) if known else None,
        scores=final,
        measures=measures,
    )
