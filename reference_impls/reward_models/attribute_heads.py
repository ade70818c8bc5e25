r"""Attribute heads, a gate that weighs them, and one scalar head: reward models of more than one goal.

Papers: wang2024helpsteer2 (regression on ratings of attributes), wang2024interpretable (ArmoRM: heads by
linear regression on frozen features, then a gate fitted to pairs). Provenance: per the official code for
the gate (RLHFlow/RLHF-Reward-Modeling at fc39179, ``armo-rm/stage-2_train.py``: softmax weights of a
network that sees the prompt alone, times a learnt scale, in a logistic loss) and for the heads' loss
(NVIDIA/NeMo-Aligner at af2b3bd, ``reg_loss_func`` in ``megatron_gpt_regression_reward_model.py``).

Each head predicts the marks $s_k$ that an answer got on one attribute; the gate turns the prompt into weights, and is
fitted to comparisons with the heads frozen:

$$\begin{aligned}
L_{heads} &= \frac1m \sum_{k=1}^{m} \left(R_k(x, y) - s_k\right)^2, \\
L_{gate} &= -\log\sigma\Big(c \sum_k g_k(x)\, \big(R_k(x, y_w) - R_k(x, y_l)\big)\Big), \quad
g(x) = \mathrm{softmax}(f(x)).
\end{aligned}$$

The scalar head is Bradley and Terry's, fitted to comparisons alone. With as many labels, a mark on an attribute
counting as one and a comparison as one, what is asked at the end is the weighting that people had when they compared,
which differs from prompt to prompt, or another one: equal weights, or one attribute alone. Heads can be told a
weighting; the scalar head has mixed its labels for good.

All models are linear in how often tokens and neighbouring tokens occur, with weights that depend on the prompt's two
attributes; the gate is linear in these.

What we leave out: a shared network under the heads, the correction of each head for verbosity (which the code computes
and its training loop does not use), dropout, a temperature of the gate, and attributes without marks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from reference_impls.beds.attributes import (
    attribute_ratings,
    attribute_rewards,
    mixed,
    prompt_weights,
    weighed_pairs,
)
from reference_impls.beds.exact import ExactBed
from reference_impls.beds.fresh_pairs import ordered_rightly
from reference_impls.core.linear import LinearReward
from reference_impls.core.metrics import gap_closed
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.training import cosine_adam, descend

METHODS = {
    "attribute-heads": {
        "name": "Attribute heads by regression",
        "paper": "wang2024helpsteer2",
        "category": "multi-objective-reward-models",
        "provenance": "per the official code",
        "feedback": ["scalar"],
        "needs": [],
        "target": "the mean marks, added up with fixed weights and read as the policy ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"model": "heads"},
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
            "why": "the marks enter with the other sign: the worst answers score best",
        },
    },
    "gated-attributes": {
        "name": "Attribute heads with a gate (ArmoRM)",
        "paper": "wang2024interpretable",
        "category": "multi-objective-reward-models",
        "provenance": "per the official code",
        "feedback": ["scalar", "pairs"],
        "needs": [],
        "target": "the likelihood of comparisons, with heads that predict marks, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"model": "gated"},
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
            "replace": ["(scores - grades) ** 2", "(scores + grades) ** 2"],
            "why": "the marks enter with the other sign, and a gate's weights are positive: it cannot mend it",
        },
    },
}


@dataclass(frozen=True)
class AttributeHeadsConfig:
    """Defaults for the exact bed: 8,000 labels, whichever kind they are."""

    model: Literal["heads", "gated", "scalar"] = "heads"
    """Heads added up with equal weights, heads with a gate, or one head fitted to comparisons."""
    labels: int = 8000
    gate_labels: int = 2000
    """Of these, comparisons for the gate; the rest are marks."""
    agreement: float = 0.0
    """Correlation of the two attributes under the reference."""
    lean: float = 0.9
    """Weight of the attribute that people care for most in a prompt."""
    noise: float = 1.28
    """Standard deviation of a mark's noise, in that of the attribute (a comparison's is 1.81, on the difference)."""
    unit: float = 1.0
    """Unit of the second attribute's marks: 0.3 for raters who use the middle of the scale."""
    prior: float = 0.5
    """Standard deviation of the Gaussian prior on each weight of a head."""
    steps: int = 120
    """Updates of each stage, each on all labels."""
    lr: float = 0.05
    gate_lr: float = 0.05


def heads_loss(scores: Tensor, grades: Tensor) -> Tensor:
    """Mean squared error of an answer's marks: (answers, attributes) twice -> (answers,)."""
    return ((scores - grades) ** 2).mean(-1)


def gated(rewards: Tensor, logits: Tensor) -> Tensor:
    """Attributes added up with softmax weights: (..., attributes) twice -> (...)."""
    return (logits.softmax(-1) * rewards).sum(-1)


def gate_loss(chosen: Tensor, rejected: Tensor, logits: Tensor, scale: Tensor) -> Tensor:
    """Negative log-likelihood of each comparison, in nats.

    Attributes of both answers and the prompt's logits are (pairs, attributes), the scale is a number; returns (pairs,).
    """
    return -logsigmoid(scale * (gated(chosen, logits) - gated(rejected, logits)))


class Heads(LinearReward):
    """Linear rewards with a level for each prompt, since marks have one."""

    def __init__(self, bed: ExactBed, rewards: int) -> None:
        super().__init__(bed.space, bed.prompts, rewards)
        self.level = nn.Parameter(torch.zeros(rewards, self.weight.shape[1], device=bed.device))

    def scores(self, rows: Tensor, answers: Tensor) -> Tensor:
        """Every reward of some answers, by place in the space: (n,) and (n,) -> (n, rewards)."""
        prompts = self.get_buffer("by_prompt")[rows]
        weights = torch.einsum("np,kpf->nkf", prompts, self.weight)
        return (
            torch.einsum("nkf,nf->nk", weights, self.get_buffer("by_answer")[answers])
            + prompts @ self.level.T
        )

    def penalty(self, prior: float) -> Tensor:
        """Minus the logarithm of the Gaussian prior, up to a constant."""
        return self.weight.square().sum() / (2 * prior**2)


class Gate(nn.Module):
    """Weights of the attributes by the prompt, and one scale for all."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.register_buffer("prompts", heads.get_buffer("by_prompt"))
        device = self.get_buffer("prompts").device
        self.weight = nn.Parameter(
            torch.zeros(self.get_buffer("prompts").shape[1], len(heads.weight), device=device)
        )
        self.log_scale = nn.Parameter(torch.zeros((), device=device))

    def logits(self) -> Tensor:
        """Of every prompt: (prompts, attributes)."""
        return self.get_buffer("prompts") @ self.weight


def train(bed: ExactBed, config: AttributeHeadsConfig, seed: int, observe: Observe) -> Outcome:
    """Fit heads to marks, a gate or one head to comparisons, and read the result by several weightings."""
    draw = bed.generator(seed)
    rewards = attribute_rewards(bed, config.agreement)
    people = prompt_weights(bed, config.lean)
    even = torch.full_like(people, 0.5)
    compared = {"heads": 0, "gated": config.gate_labels, "scalar": config.labels}[config.model]
    marks = attribute_ratings(bed, rewards, (config.labels - compared) // 2, config.noise, config.unit, draw)
    rows, winners, losers = weighed_pairs(bed, mixed(rewards, people), compared, draw)
    heads = Heads(bed, 1 if config.model == "scalar" else 2)
    gate = Gate(heads)

    def weights() -> Tensor:
        return gate.logits().softmax(-1).detach() * gate.log_scale.exp().detach()

    def scores() -> Tensor:
        return mixed(heads.table().detach(), even if config.model == "heads" else weights())

    def fit(model: nn.Module, lr: float, last: bool, loss: Callable[[], Tensor]) -> None:
        optimiser, schedule = cosine_adam(model.parameters(), lr, config.steps)
        for step in range(1, config.steps + 1):
            descend(loss(), model, optimiser)
            schedule.step()
            if last:
                observe(step, lambda: bed.optimum(scores()))

    def of_marks() -> Tensor:
        errors = heads_loss(heads.scores(marks.prompts, marks.answers), marks.grades)
        return errors.mean() + heads.penalty(config.prior) / len(errors)

    def of_pairs() -> Tensor:
        chosen, rejected = heads.scores(rows, winners), heads.scores(rows, losers)
        losses = gate_loss(chosen, rejected, gate.logits()[rows], gate.log_scale.exp())
        return losses.mean() + heads.penalty(config.prior) / len(losses)

    if config.model == "scalar":
        fit(heads, config.lr, True, of_pairs)
    else:
        fit(heads, config.lr, config.model == "heads", of_marks)
    if config.model == "gated":
        heads.requires_grad_(False)
        fit(gate, config.gate_lr, True, of_pairs)

    found = scores()
    asked = {"trained": people, "even": even, "swapped": people.flip(1)}
    asked |= {"first": even.new_tensor([1.0, 0.0]).expand_as(even)}
    asked |= {"second": even.new_tensor([0.0, 1.0]).expand_as(even)}
    measures = {}
    for name, wanted in asked.items():
        told = config.model != "scalar" and name != "trained"
        read = mixed(heads.table().detach(), wanted) if told else found
        truth = mixed(rewards, wanted)
        for prefix, those in (("", bed.train_rows), ("heldout_", bed.heldout_rows)):
            policy, best = bed.optimum(read)[those], bed.optimum(truth)[those]
            measures[f"{prefix}gap_{name}"] = gap_closed(policy, best, bed.reference_logps[those])
        measures[f"accuracy_{name}"] = ordered_rightly(bed, read, truth, bed.train_rows, seed + 1)
    if config.model == "gated":
        gates = gate.logits().softmax(-1).detach()[bed.train_rows]
        measures["gate_error"] = float((gates - people[bed.train_rows]).abs().mean())
    return Outcome(
        logps=bed.optimum(found), optimum=bed.optimum(mixed(rewards, people)), scores=found, measures=measures
    )
