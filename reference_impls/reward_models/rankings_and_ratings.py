r"""Reward models from rankings and from ratings of the same answers.

Papers: zhu2023principled for the likelihood of a ranking (its estimator for $K$-wise comparisons; the model is named
after Plackett and Luce), chaudhari2024rlhf for the regression on ratings (section 5).
Provenance: the regression per the paper's text, the ranking a reconstruction.

A ranking $y_{(1)} \succ \dots \succ y_{(N)}$ is read as choosing the best of what is left, $N - 1$ times:

$$L_{PL}(\phi) = -\sum_{k=1}^{N-1} \left( r_\phi(x, y_{(k)}) - \log \sum_{j \ge k} e^{r_\phi(x, y_{(j)})} \right),
\qquad L_{rating}(\phi) = \left(r_\phi(x, y) - s\right)^2.$$

Either likelihood is joined with the same Gaussian prior on the weights of a linear reward (the survey reads reward
learning as a maximum a posteriori estimate); the ratings' noise is unknown to the fit and estimated along with it.

The first sees only differences within a prompt and takes its unit from the annotators' noise; the second takes level
and unit from the ratings. Sorting the ratings of a sheet gives a ranking of it, so at equal noise ratings cannot tell
less: what speaks for rankings is that people place answers with less noise than they mark them, or that markers differ
in leniency.

What we leave out: rankings split into pairs, ties, ratings on a few levels, and scales that differ from marker to
marker by more than a shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.feedback import rankings, ratings
from reference_impls.core.linear import LinearReward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "plackett-luce": {
        "name": "Plackett-Luce reward model of rankings",
        "paper": "zhu2023principled",
        "category": "ranking-and-rating-reward-models",
        "provenance": "reconstruction",
        "feedback": ["ranking"],
        "needs": [],
        "target": "the likelihood of Plackett-Luce rankings, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"feedback": "rankings"},
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
            "replace": ["scores.flip(-1).logcumsumexp(-1)", "scores.logcumsumexp(-1)"],
            "why": "each choice is made from the answers placed before it and not from those that are left",
        },
    },
    "rating-regression": {
        "name": "Regression on ratings",
        "paper": "chaudhari2024rlhf",
        "category": "ranking-and-rating-reward-models",
        "provenance": "per the paper's text",
        "feedback": ["scalar"],
        "needs": [],
        "target": "the mean rating, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"feedback": "ratings"},
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
            "replace": ["(scores - grades) ** 2", "(scores + grades) ** 2"],
            "why": "the ratings enter with the other sign: the worst answers score best",
        },
    },
}


@dataclass(frozen=True)
class RankingsAndRatingsConfig:
    """Defaults for the exact bed; the same sheets of answers are ranked or rated."""

    feedback: Literal["rankings", "ratings"] = "rankings"
    items: int = 8000
    """Answers that annotators look at; a ranking of N costs N of them."""
    size: int = 4
    """Answers per sheet, N."""
    noise: float = 1.28
    """Standard deviation of a rating (a ranking's own noise is 1.28; both in sd of the gold reward)."""
    leniency: float = 0.0
    """Standard deviation of the shift that a sheet's ratings share."""
    prior: float = 0.5
    """Standard deviation of the Gaussian prior on each weight of the reward."""
    steps: int = 120
    """Updates, each on all sheets."""
    lr: float = 0.05


def plackett_luce_loss(scores: Tensor) -> Tensor:
    """Negative log-likelihood of each ranking, in nats: scores (..., size), best first -> (...)."""
    return scores.flip(-1).logcumsumexp(-1).sum(-1) - scores.sum(-1)


def rating_loss(scores: Tensor, grades: Tensor) -> Tensor:
    """Mean squared error of each sheet: scores and ratings (..., size) -> (...)."""
    return ((scores - grades) ** 2).mean(-1)


def profile_likelihood(errors: Tensor) -> Tensor:
    """Gaussian negative log-likelihood per rating, up to a constant, at the noise that explains the errors best.

    ``errors`` are mean squared errors of any shape; the result is a number, half the logarithm of their mean.
    """
    return errors.mean().log() / 2


def train(bed: ExactBed, config: RankingsAndRatingsConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a linear reward to rankings or to ratings of the same sheets of answers."""
    draw = bed.generator(seed)
    sheets = config.items // config.size
    if config.feedback == "rankings":
        data = rankings(bed, sheets, config.size, draw)
    else:
        data = ratings(bed, sheets, config.size, config.noise, config.leniency, draw)
    answers = bed.space.index(data.answers.flatten(0, 1)).view(sheets, config.size)
    model = LinearReward(bed.space, bed.prompts)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)

    for step in range(1, config.steps + 1):
        scores = model.table()[0]
        found = scores[data.prompts[:, None], answers]
        if config.feedback == "rankings":
            loss = plackett_luce_loss(found).mean() / config.size
        else:
            loss = profile_likelihood(rating_loss(found, data.grades))
        penalty = model.weight.square().sum() / (2 * config.prior**2)
        descend(loss + penalty / config.items, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(model.table()[0].detach()))

    final = model.table()[0].detach()
    return Outcome(logps=bed.optimum(final), optimum=bed.optimum(bed.utility), scores=final)
