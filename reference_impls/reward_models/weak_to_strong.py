r"""Weak-to-strong generalisation: a strong reward model fitted to the labels of a weak one.

Paper: burns2024weak. Provenance: per the official code (openai/weak-to-strong at 6b450f2, ``logconf_loss_fn``) but for
the weight's warm-up, which the code's own formula lets jump (pull request 33 there mends it; see the museum): here it
grows linearly, as that request says the paper has it.

A supervisor is fitted to few true labels, and labels fresh pairs with its own chances $w_i = \sigma(\hat r_w(y_1) -
\hat r_w(y_2))$. A student with margins $m_i$ is fitted to these alone:

$$L = \mathrm{CE}\big((1 - \alpha)\, w_i + \alpha\, \hat z_i,\; \sigma(m_i)\big), \qquad
\hat z_i = 1[m_i > t],$$

with $t$ such that the student calls as large a share of pairs won by the first answer as the supervisor, and no
gradient through $\hat z$. $\alpha = 0$ is plain fine-tuning on weak labels; with $\alpha > 0$ the student stands by
what it believes itself. What is recovered of the gap, with $a$ for accuracy on fresh pairs:

$$\mathrm{PGR} = \frac{a_{student} - a_{weak}}{a_{ceiling} - a_{weak}},$$

the ceiling being the student's model fitted to as many true labels.

Strength is a matter of what a model can see. The strong model is linear in how often tokens and neighbouring tokens
occur, which is what the reward is made of: a representation that somebody else's pre-training has paid for. The
supervisor is a small network that reads tokens by their place. Its errors have a shape that the strong model cannot
take on, which is why it can leave them behind; ``narrow`` is another supervisor, linear in single tokens, whose errors
the strong model can copy to the letter, and ``same`` a student of the supervisor's own kind.

What we leave out: pre-training itself, bootstrapping through models of intermediate size, generative fine-tuning, and
the paper's choice of the half of a batch as the threshold (with pairs in random order the share is a half).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.fresh_pairs import ordered_rightly
from reference_impls.core.linear import LinearReward, prompt_features
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "weak-to-strong": {
        "name": "Fine-tuning on weak labels",
        "paper": "burns2024weak",
        "category": "weak-to-strong",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of a weak supervisor's labels, read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"alpha": 0.0},
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
            "replace": ["(1 - alpha) * weak + alpha * own", "(1 - alpha) * (1 - weak) + alpha * own"],
            "why": "the supervisor's labels are read the wrong way round",
        },
    },
    "weak-to-strong-confidence": {
        "name": "Weak labels with the auxiliary confidence loss",
        "paper": "burns2024weak",
        "category": "weak-to-strong",
        "provenance": "per the official code",
        "feedback": ["pairs"],
        "needs": [],
        "target": "a weak supervisor's labels mixed with the student's own hardened predictions",
        "yields": "reward",
        "preset": {"alpha": 0.5},
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
            "replace": ["(1 - alpha) * weak + alpha * own", "(1 - alpha) * (1 - weak) + alpha * own"],
            "why": "the supervisor's labels are read the wrong way round",
        },
    },
}


WHO = ("student", "weak", "ceiling")


@dataclass(frozen=True)
class WeakToStrongConfig:
    """Defaults for the exact bed."""

    alpha: float = 0.0
    """Final weight of the student's own predictions (the code's default: 0.5)."""
    warmup: float = 0.1
    """Share of the updates over which that weight grows."""
    supervisor: Literal["net", "narrow"] = "net"
    """A small network that reads tokens by place, or a linear reward of single tokens, the same for all prompts."""
    student: Literal["strong", "same"] = "strong"
    """Linear in tokens and pairs of tokens, or a fresh model of the supervisor's kind."""
    width: int = 8
    """Hidden units of the network."""
    true_labels: int = 2000
    """Pairs with true labels that the supervisor is fitted to."""
    labels: int = 4000
    """Fresh pairs that it labels for the student; the ceiling gets as many true labels."""
    prior: float = 0.5
    """Standard deviation of the Gaussian prior on each weight of a linear reward."""
    steps: int = 150
    """Updates of each model, each on all pairs."""
    lr: float = 0.05


def confidence_loss(margins: Tensor, weak: Tensor, alpha: float) -> Tensor:
    """Cross-entropy with the mixture of weak labels and own hardened predictions, in nats: (pairs,).

    ``margins`` (pairs,) are the student's score differences, ``weak`` (pairs,) the supervisor's probabilities that
    the first answer wins. The threshold is a quantile of this batch; no gradient passes a comparison.
    """
    threshold = torch.quantile(margins, 1 - weak.mean())
    own = (margins > threshold).to(margins.dtype)
    target = (1 - alpha) * weak + alpha * own
    return binary_cross_entropy_with_logits(margins, target, reduction="none")


def warmed(alpha: float, step: int, steps: int, warmup: float) -> float:
    """The weight at an update: grows linearly over the first ``warmup`` of all ``steps``, then stays ``alpha``."""
    progress = step / steps
    return alpha * (progress / warmup if progress < warmup else 1.0)


def recovered(student: float, weak: float, ceiling: float) -> float:
    """Share of the gap between supervisor and ceiling that the student recovers."""
    return (student - weak) / (ceiling - weak)


class ByPlace(nn.Module):
    """A network with one hidden layer that reads which token stands at which place, and the prompt's attributes."""

    def __init__(self, bed: ExactBed, width: int) -> None:
        super().__init__()
        self.answers = one_hot(bed.tokens, bed.space.actions + 1).float().flatten(1)
        self.prompts = prompt_features(bed.prompts)
        self.of_answer = nn.Linear(self.answers.shape[1], width, bias=False)
        self.of_prompt = nn.Linear(self.prompts.shape[1], width, bias=False)
        self.out = nn.Linear(width, 1, bias=False)
        self.to(bed.device)

    def scores(self, rows: Tensor, answers: Tensor) -> Tensor:
        """Score of each answer, by its place in the space: (n,) and (n,) -> (n,)."""
        hidden = self.of_answer(self.answers[answers]) + self.of_prompt(self.prompts[rows])
        return self.out(hidden.tanh()).squeeze(-1)

    def penalty(self, prior: float) -> Tensor:
        """None: it is stopped early by the number of updates."""
        return torch.zeros((), device=self.answers.device)


class ByCounts(LinearReward):
    """The linear reward of tokens and neighbouring tokens; ``narrow`` leaves it single tokens, prompts aside."""

    def __init__(self, bed: ExactBed, narrow: bool = False) -> None:
        super().__init__(bed.space, bed.prompts)
        if narrow:
            self.get_buffer("by_answer")[:, bed.space.vocab :] = 0
            self.get_buffer("by_prompt")[:, 1:] = 0

    def scores(self, rows: Tensor, answers: Tensor) -> Tensor:
        """As for :class:`ByPlace`."""
        weights = self.get_buffer("by_prompt")[rows] @ self.weight[0]
        return (weights * self.get_buffer("by_answer")[answers]).sum(-1)

    def penalty(self, prior: float) -> Tensor:
        """Minus the logarithm of the Gaussian prior, up to a constant."""
        return self.weight.square().sum() / (2 * prior**2)


Model = ByPlace | ByCounts


@torch.no_grad()
def table(model: Model, bed: ExactBed) -> Tensor:
    """The score of every answer: (prompts, sequences)."""
    every = torch.arange(len(bed.space), device=bed.device)
    rows = [model.scores(torch.full_like(every, row), every) for row in range(len(bed.prompts))]
    return torch.stack(rows)


def fit(
    model: Model,
    rows: Tensor,
    drawn: Tensor,
    labels: Tensor,
    config: WeakToStrongConfig,
    alpha: float = 0.0,
    after: Callable[[int], None] = lambda step: None,
) -> Model:
    """Fit a model to pairs: prompts (n,), answers (n, 2) by place, and probabilities that the first wins (n,)."""
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.steps)
    for step in range(1, config.steps + 1):
        margins = model.scores(rows, drawn[:, 0]) - model.scores(rows, drawn[:, 1])
        weight = warmed(alpha, step, config.steps, config.warmup)
        loss = confidence_loss(margins, labels, weight).mean() + model.penalty(config.prior) / len(rows)
        descend(loss, model, optimiser)
        schedule.step()
        after(step)
    return model


def train(bed: ExactBed, config: WeakToStrongConfig, seed: int, observe: Observe) -> Outcome:
    """Fit the supervisor to true labels, the student to the supervisor's, and the ceiling to true labels."""
    draw = bed.generator(seed)

    def questions(n: int) -> tuple[Tensor, Tensor]:
        rows = bed.sample_prompts(n, draw)
        return rows, bed.draw_pairs(rows, draw)

    def answered(rows: Tensor, drawn: Tensor) -> Tensor:
        return (
            torch.rand(len(rows), generator=draw, device=bed.device) < bed.win_chance(rows, drawn)
        ).float()

    def weak_model() -> Model:
        return ByPlace(bed, config.width) if config.supervisor == "net" else ByCounts(bed, narrow=True)

    few = questions(config.true_labels)
    weak = fit(weak_model(), *few, answered(*few), config)
    bed.cost["labels"] += config.true_labels
    weak_scores = table(weak, bed)

    rows, drawn = questions(config.labels)
    chances = torch.sigmoid(weak_scores[rows, drawn[:, 0]] - weak_scores[rows, drawn[:, 1]])
    student = ByCounts(bed) if config.student == "strong" else weak_model()

    def after(step: int) -> None:
        observe(step, lambda: bed.optimum(table(student, bed)))

    scores = table(fit(student, rows, drawn, chances, config, config.alpha, after), bed)
    ceiling = table(fit(ByCounts(bed), rows, drawn, answered(rows, drawn), config), bed)

    measures: dict[str, float] = {}
    for name, those in (("", bed.train_rows), ("heldout_", bed.heldout_rows)):
        three = [ordered_rightly(bed, t, bed.gold, those, seed + 1) for t in (scores, weak_scores, ceiling)]
        measures |= dict(zip([f"{name}{who}_accuracy" for who in WHO], three, strict=True))
        measures[f"{name}recovered"] = recovered(*three)
    measures["agreement"] = ordered_rightly(bed, scores, weak_scores, bed.train_rows, seed + 1)
    return Outcome(
        logps=bed.optimum(scores),
        optimum=None if config.alpha else bed.optimum(weak_scores),
        scores=scores,
        measures=measures,
    )
