r"""Which method is another one under which condition, each proved on random inputs in value and gradient.

A reduction computes two losses of two methods on the same ragged, padded batches. It holds if losses and gradients
agree to 1e-9 (in double precision); its negative control drops the condition and must disagree by more than a
thousandth.
``rlhf reductions`` proves them all, and the page of methods draws those that hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_impls.records import RECORDS, rounded, write_text
from reference_impls.registry import load

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

RECORD = RECORDS / "reductions.json"
AGREE, DIFFER = 1e-9, 1e-3
TRIALS = 5
Entry = dict[str, Any]


class Batch:
    """Random pairs of answers of up to five tokens: log-probabilities under policy and reference, masks, rewards."""

    def __init__(self, seed: int, pairs: int = 6, tokens: int = 5) -> None:
        """Draw the batch; no two answers of a pair need have one length."""
        import torch

        draw = torch.Generator().manual_seed(seed)

        def logps() -> Tensor:
            return -torch.rand(pairs, tokens, generator=draw, dtype=torch.float64) * 3 - 0.05

        def mask() -> Tensor:
            lengths = torch.randint(1, tokens + 1, (pairs, 1), generator=draw)
            return (torch.arange(tokens) < lengths).double()

        self.chosen, self.rejected = logps().requires_grad_(), logps().requires_grad_()
        self.reference_chosen, self.reference_rejected = logps(), logps()
        self.chosen_mask, self.rejected_mask = mask(), mask()
        self.scores = torch.randn(pairs, 2, generator=draw, dtype=torch.float64).requires_grad_()
        self.rewards = torch.randn(pairs // 2, 4, generator=draw, dtype=torch.float64).requires_grad_()
        self.advantage = torch.randn(pairs, generator=draw, dtype=torch.float64)
        self.leaves = (self.chosen, self.rejected, self.scores, self.rewards)

    @property
    def ratios(self) -> tuple[Tensor, Tensor]:
        """Log-ratio of policy to reference of the chosen and of the rejected answers: (pairs,) and (pairs,)."""
        return (
            ((self.chosen - self.reference_chosen) * self.chosen_mask).sum(-1),
            ((self.rejected - self.reference_rejected) * self.rejected_mask).sum(-1),
        )

    @property
    def tokens(self) -> tuple[Tensor, ...]:
        """The first six arguments of DPO's loss."""
        return (
            self.chosen,
            self.rejected,
            self.reference_chosen,
            self.reference_rejected,
            self.chosen_mask,
            self.rejected_mask,
        )


Losses = Callable[["ModuleType", "ModuleType", Batch, bool], "tuple[Tensor, Tensor]"]


@dataclass(frozen=True)
class Reduction:
    """A claim that two losses are one; ``losses(one, other, batch, met)`` drops the condition if ``met`` is False."""

    one: str
    other: str
    statement: str
    condition: str
    control: str
    losses: Losses


REDUCTIONS: list[Reduction] = []


def reduction(
    one: str, other: str, statement: str, condition: str, control: str
) -> Callable[[Losses], Losses]:
    """Register a reduction of the method ``one`` to the method ``other``."""

    def register(losses: Losses) -> Losses:
        REDUCTIONS.append(Reduction(one, other, statement, condition, control, losses))
        return losses

    return register


@reduction(
    "rloo",
    "reinforce-mean",
    r"$A^{loo} = \frac{n}{n-1} A^{mean}$",
    "the same $n \\ge 2$ answers to a prompt",
    "the factor of another group size, $\\frac{n+1}{n}$",
)
def _rloo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    n = batch.rewards.shape[-1] + (0 if met else 1)
    return one.advantages(batch.rewards, "leave-one-out"), n / (n - 1) * other.advantages(
        batch.rewards, "mean"
    )


@reduction(
    "grpo",
    "reinforce",
    "GRPO's loss has the gradient of REINFORCE's over the length",
    "ratio 1 (the first pass over a batch), no KL term, answers of one length",
    "answers of different lengths: GRPO averages over the tokens of each",
)
def _grpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    mask = torch.ones_like(batch.chosen_mask) if met else batch.chosen_mask
    logps = batch.chosen
    grpo = one.grpo_loss(logps, logps, logps.detach(), mask, batch.advantage, 0.2, 0.0)
    plain = other.reinforce_loss(logps, mask, batch.advantage) / mask.shape[-1]
    return grpo - grpo.detach(), plain - plain.detach()


@reduction(
    "ppo",
    "reinforce",
    "PPO's clipped surrogate has the gradient of REINFORCE's loss",
    "ratio 1 (the first pass over a batch), one advantage for all tokens of an answer",
    "a second pass: ratios differ from 1, and some are clipped",
)
def _ppo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    logps, mask = batch.chosen, batch.chosen_mask
    old = logps if met else batch.reference_chosen
    ppo = one.ppo_policy_loss(logps, old, batch.advantage[:, None].expand_as(logps), mask, 0.2)
    plain = other.reinforce_loss(logps, mask, batch.advantage)
    return ppo - ppo.detach(), plain - plain.detach()


@reduction(
    "dense-reward-policy-gradient",
    "reinforce",
    "reward-to-go of a reward paid at the end is REINFORCE",
    "the reward is paid on the last token",
    "each token is paid its own difference",
)
def _dense(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    mask = batch.chosen_mask
    stops = torch.cat([torch.zeros_like(batch.advantage)[:, None], batch.reference_chosen], -1)
    paid = one.step_rewards(stops, mask, "end" if met else "token")
    whole = one.step_rewards(stops, mask, "end").sum(-1)
    return (
        one.token_loss(batch.chosen, mask, one.returns_to_go(paid, mask)),
        other.reinforce_loss(batch.chosen, mask, whole),
    )


@reduction(
    "dpo",
    "bradley-terry",
    r"DPO is Bradley-Terry with the reward $\beta\log\frac{\pi}{\pi_{ref}}$",
    r"scores are $\beta$ times the summed log-ratios",
    r"without $\beta$",
)
def _dpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    beta = 0.3
    scale = beta if met else 1.0
    chosen, rejected = batch.ratios
    return one.dpo_loss(*batch.tokens, beta), other.bradley_terry_loss(scale * chosen, scale * rejected)


@reduction("cdpo", "dpo", "cDPO with no smoothing is DPO", r"$\varepsilon = 0$", r"$\varepsilon = 0.1$")
def _cdpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = batch.ratios
    return one.cdpo_loss(chosen - rejected, 0.3, 0.0 if met else 0.1), other.dpo_loss(*batch.tokens, 0.3)


@reduction(
    "robust-dpo",
    "dpo",
    r"$(1-\varepsilon)\,\ell_{rob}(\Delta) + \varepsilon\,\ell_{rob}(-\Delta) = \ell_{DPO}(\Delta)$: flips cancel",
    r"labels are flipped at the rate $\varepsilon$ that the loss is told",
    "twice that rate",
)
def _robust(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = batch.ratios
    told, rate = 0.15, 0.15 if met else 0.3
    difference = chosen - rejected
    straight, flipped = (one.robust_dpo_loss(sign * difference, 0.3, told) for sign in (1, -1))
    return (1 - rate) * straight + rate * flipped, other.dpo_loss(*batch.tokens, 0.3)


@reduction(
    "ipo",
    "dpo",
    r"$\frac{\beta^2}{8}$ IPO with $\tau = \frac{\beta}{4}$ has DPO's gradient at $\Delta = 0$ to third order",
    r"near $\Delta = 0$: the difference shrinks eightfold when $\Delta$ is halved; the optima differ",
    r"$\tau = \frac{\beta}{2}$: not even the gradient at $0$ agrees",
)
def _ipo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    beta = 0.3
    tau = beta / 4 if met else beta / 2
    zero = torch.zeros(1, 1, dtype=torch.float64)
    whole = torch.ones(1, 1)

    def apart(size: float) -> Tensor:
        delta = torch.full((1, 1), size, dtype=torch.float64, requires_grad=True)
        losses = (
            beta**2 / 8 * one.ipo_loss(delta[:, 0], tau),
            other.dpo_loss(delta, zero, zero, zero, whole, whole, beta),
        )
        slopes = [torch.autograd.grad(loss.sum(), delta)[0] for loss in losses]
        return (slopes[0] - slopes[1]).squeeze()

    # (a Delta^3 + b Delta^5) / (a Delta^3 / 8 + b Delta^5 / 32) -> 8; one extrapolation takes b out
    sizes = [apart(0.4 / 2**k) for k in range(4)]
    ratios = [sizes[k] / sizes[k + 1] for k in range(3)]
    eight = (64 * ratios[2] - 20 * ratios[1] + ratios[0]) / 45
    return (eight / 8).round(decimals=4), torch.ones((), dtype=torch.float64)


@reduction(
    "bfpo",
    "ipo",
    r"BFPO with two safe answers is IPO",
    r"both answers safe, $B_1 = 3$, $\alpha = \frac12$",
    "the rejected answer unsafe",
)
def _bfpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    chosen, rejected = batch.ratios
    safe = torch.ones_like(chosen)
    target = one.bfpo_target(safe, safe if met else 0 * safe, 0.4, 3.0, 0.5)
    return one.bfpo_loss(chosen, rejected, target), other.ipo_loss(chosen - rejected, 0.4)


@reduction(
    "modpo",
    "dpo",
    "MODPO with all weight on help is DPO",
    "$w = 1$",
    "$w = 0.5$, and margins of another reward",
)
def _modpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = batch.ratios
    margins = batch.scores.detach()
    loss = one.modpo_loss(chosen, rejected, margins[:, 0], margins[:, 1], 0.3, 1.0 if met else 0.5)
    return loss, other.dpo_loss(*batch.tokens, 0.3)


@reduction("xpo", "dpo", "XPO without its bonus is DPO on its own pairs", r"$\alpha = 0$", r"$\alpha = 0.01$")
def _xpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    first = batch.advantage > 0
    loss = one.xpo_loss(*batch.tokens, first, 0.3, 0.0 if met else 0.01)
    return loss, other.dpo_loss(*batch.tokens, 0.3)


@reduction(
    "ids",
    "bradley-terry",
    "iterative data smoothing on hard labels is Bradley-Terry",
    "labels that have not moved",
    "labels after one step of smoothing",
)
def _ids(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    first, second = batch.scores.unbind(-1)
    labels = torch.ones_like(batch.advantage)
    labels = labels if met else one.updated_labels(labels, first, second, 0.1)
    return one.soft_label_loss(first, second, labels), other.bradley_terry_loss(first, second)


@reduction(
    "ids",
    "bradley-terry",
    r"IDS ends where Bradley-Terry plus $\frac\lambda2 \|\theta - \theta_1\|^2$ has its minimum: an L2 pull to the "
    r"initial weights, up to the first step",
    r"a reward that is linear in its weights, full steps $\alpha$ on the summed loss, $\lambda = "
    r"\frac{\eta}{\alpha (1 - \eta)}$ with $\eta$ the rate at which labels move",
    "a reward that bends: a sine is added to each difference",
)
def _ids_pull(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    """The pull's slope and minus the slope of Bradley-Terry, both where smoothing ends."""
    import torch

    features, step, rate = batch.scores.detach(), 0.3, 0.3
    zeros, labels = torch.zeros_like(features[:, 0]), torch.ones_like(features[:, 0])
    theta = early = torch.zeros_like(features[0])

    def margins(weights: Tensor) -> Tensor:
        linear = features @ weights
        return linear if met else linear + linear.sin()

    def slope(loss: Callable[..., Tensor], *labels: Tensor) -> Tensor:
        weights = theta.clone().requires_grad_()
        return torch.autograd.grad(loss(margins(weights), zeros, *labels).sum(), weights)[0]

    for epoch in range(200):
        theta = theta - step * slope(one.soft_label_loss, labels)
        labels = one.updated_labels(labels, margins(theta), zeros, rate)
        early = theta if epoch == 0 else early
    pull = rate / step / (1 - rate) * (theta - early)
    return pull, -slope(other.bradley_terry_loss)


@reduction(
    "plackett-luce",
    "bradley-terry",
    "a ranking of two answers is a comparison",
    "two answers",
    "a third answer at the end",
)
def _plackett_luce(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    first, second = batch.scores.unbind(-1)
    third = [] if met else [torch.zeros_like(first)]
    return one.plackett_luce_loss(torch.stack([first, second, *third], -1)), other.bradley_terry_loss(
        first, second
    )


@reduction(
    "annotator-mixture",
    "bradley-terry",
    "a mixture of one population is Bradley-Terry, label by label",
    "one group, one label per annotator",
    "two groups of equal weight with different rewards",
)
def _mixture(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    first, second = batch.scores.unbind(-1)
    margins = (first - second)[:, None, None]
    groups = margins if met else torch.cat([margins, -margins / 2], -1)
    weights = torch.full((groups.shape[-1],), -math.log(groups.shape[-1]), dtype=torch.float64)
    return one.mixture_loss(groups, weights), other.bradley_terry_loss(first, second)


@reduction(
    "irl-logistic",
    "bradley-terry",
    "logistic inverse RL is a Bradley-Terry model that prefers the tuned policy's answers",
    "chosen is the tuned policy's answer",
    "the sides exchanged",
)
def _irl(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    first, second = batch.scores.unbind(-1)
    return one.logistic_loss(first - second if met else second - first), other.bradley_terry_loss(
        first, second
    )


@reduction(
    "raft",
    "sft",
    "RAFT's imitation is supervised fine-tuning on what it keeps",
    "the weight of a kept answer is 1",
    "two of four answers kept: weights of a half",
)
def _raft(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    weights = one.kept(batch.rewards.detach(), 1 if met else 2).amax(-1).repeat_interleave(2)
    return (
        one.imitation_loss(batch.chosen, batch.chosen_mask, weights),
        other.sft_loss(batch.chosen, batch.chosen_mask),
    )


@reduction(
    "ppo",
    "a2c",
    "PPO's surrogate has the gradient of A2C's loss",
    "one update per batch (ratio 1), the same advantages, token by token",
    "a second update: ratios differ from 1, and some are clipped",
)
def _a2c(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    logps, mask, advantages = batch.chosen, batch.chosen_mask, batch.reference_rejected + 1.5
    ppo = one.ppo_policy_loss(logps, logps if met else batch.reference_chosen, advantages, mask, 0.2)
    plain = other.a2c_policy_loss(logps, advantages, mask)
    return ppo - ppo.detach(), plain - plain.detach()


@reduction(
    "dpop",
    "dpo",
    "DPO-Positive without its penalty is DPO",
    r"$\lambda = 0$",
    r"$\lambda = 1$: chosen answers below the reference are charged for",
)
def _dpop(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    return one.dpop_loss(*batch.ratios, 0.3, 0.0 if met else 1.0), other.dpo_loss(*batch.tokens, 0.3)


@reduction(
    "r-dpo",
    "dpo",
    r"R-DPO is DPO with $\rho(y) + \frac\alpha\beta |y|$ for the log-ratio",
    "lengths are added to both answers' log-ratios",
    "to the chosen answer's alone",
)
def _r_dpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    beta, alpha = 0.3, 0.2
    chosen, rejected = batch.ratios
    lengths = batch.chosen_mask.sum(-1), batch.rejected_mask.sum(-1)
    reference_chosen = batch.reference_chosen - alpha / beta
    reference_rejected = batch.reference_rejected - (alpha / beta if met else 0)
    plain = other.dpo_loss(
        batch.chosen,
        batch.rejected,
        reference_chosen,
        reference_rejected,
        batch.chosen_mask,
        batch.rejected_mask,
        beta,
    )
    return one.length_regularised_loss(chosen - rejected, *lengths, beta, alpha), plain


@reduction(
    "cpo",
    "dpo",
    "CPO without its supervised term is DPO with a flat reference",
    "every answer has the same probability under the reference",
    "a reference that is not flat",
)
def _cpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = (
        (batch.chosen * batch.chosen_mask).sum(-1),
        (batch.rejected * batch.rejected_mask).sum(-1),
    )
    flat = 0.0 if met else 1.0
    plain = other.dpo_loss(
        batch.chosen,
        batch.rejected,
        flat * batch.reference_chosen,
        flat * batch.reference_rejected,
        batch.chosen_mask,
        batch.rejected_mask,
        0.3,
    )
    return one.cpo_loss(chosen, rejected, 0 * chosen, 0.3, 0.0), plain


@reduction(
    "simpo",
    "cpo",
    "SimPO on sums and without a margin is CPO without its supervised term",
    r"log-probabilities are summed, $\gamma = 0$",
    "means per token, as SimPO has them",
)
def _simpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = (
        (batch.chosen * batch.chosen_mask).sum(-1),
        (batch.rejected * batch.rejected_mask).sum(-1),
    )
    lengths = (batch.chosen_mask.sum(-1), batch.rejected_mask.sum(-1)) if not met else (1.0, 1.0)
    return (
        one.simpo_loss(chosen / lengths[0], rejected / lengths[1], 0.3, 0.0),
        other.cpo_loss(chosen, rejected, 0 * chosen, 0.3, 0.0),
    )


@reduction(
    "slic-hf",
    "dpo-hinge",
    "SLiC-HF without its supervised term is the hinge on log-ratios to a flat reference",
    r"$\delta = 1$, $\beta = 1$, $\lambda = 0$, a flat reference",
    "a reference that is not flat",
)
def _slic(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    chosen, rejected = (
        (batch.chosen * batch.chosen_mask).sum(-1),
        (batch.rejected * batch.rejected_mask).sum(-1),
    )
    ratios = (chosen, rejected) if met else batch.ratios
    return (
        one.slic_loss(chosen, rejected, 0 * chosen, 1.0, 0.0),
        other.hinge_loss(ratios[0] - ratios[1], 1.0),
    )


@reduction(
    "sppo",
    "ipo",
    r"SPPO of a pair is $\frac12$ IPO with $\frac{1}{2\tau} = \eta$, plus $\frac12 (\rho_w + \rho_l)^2$",
    "hard labels: win rates 1 and 0",
    r"win rates $\frac34$ and $\frac14$",
)
def _sppo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    eta = 1.6
    chosen, rejected = batch.ratios
    won = torch.full_like(chosen, 1.0 if met else 0.75)
    errors = one.sppo_loss(batch.chosen, batch.reference_chosen, batch.chosen_mask, won, eta) + one.sppo_loss(
        batch.rejected, batch.reference_rejected, batch.rejected_mask, 1 - won, eta
    )
    return errors, other.ipo_loss(chosen - rejected, 1 / (2 * eta)) / 2 + (chosen + rejected) ** 2 / 2


@reduction(
    "gspo",
    "grpo",
    "GSPO has the gradient of GRPO",
    "ratio 1, no KL term, GRPO's mean over each answer's tokens first",
    "one mean over all tokens of the batch: answers of different lengths",
)
def _gspo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    logps, mask = batch.chosen, batch.chosen_mask
    gspo = -one.answer_terms(logps, logps, mask, batch.advantage, 0.2, 0.2)
    if met:
        plain = other.grpo_loss(logps, logps, logps.detach(), mask, batch.advantage, 0.2, 0.0)
    else:
        plain = -batch.advantage * (logps * mask).sum(-1) / mask.sum() * len(mask)
    return gspo - gspo.detach(), plain - plain.detach()


@reduction(
    "kto",
    "apo-zero",
    "KTO with its reference point at 0 is APO-zero",
    "$z = 0$, equal weights",
    "$z = 1$",
)
def _kto(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    import torch

    ratio = torch.cat(batch.ratios)
    good = torch.arange(len(ratio)) < len(ratio) // 2
    return one.kto_loss(ratio, good, 0.0 if met else 1.0, 0.3), other.apo_zero_loss(ratio, good, 0.3)


@reduction(
    "gmpo",
    "gspo",
    "GMPO has the gradient of GSPO",
    "ratio 1 (the first update on a batch)",
    "a later update: one clips each token's ratio, the other the answer's",
)
def _gmpo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    logps, mask = batch.chosen, batch.chosen_mask
    old = logps.detach() if met else batch.reference_chosen
    gmpo = one.geometric_terms(logps, old, mask, batch.advantage, 0.2, 0.2)
    gspo = other.answer_terms(logps, old, mask, batch.advantage, 0.2, 0.2)
    return gmpo - gmpo.detach(), gspo - gspo.detach()


@reduction(
    "cispo",
    "dapo",
    "CISPO's tokens have the gradient of DAPO's",
    "ratio 1 (the first update on a batch)",
    "a later update: DAPO drops the gradient of clipped tokens, CISPO bounds it",
)
def _cispo(one: ModuleType, other: ModuleType, batch: Batch, met: bool) -> tuple[Tensor, Tensor]:
    logps, mask = batch.chosen, batch.chosen_mask
    old = logps.detach() if met else batch.reference_chosen
    cispo = one.weight_terms(logps, old, batch.advantage, 0.2, 0.2) * mask
    dapo = other.token_terms(logps, old, batch.advantage, 0.2, 0.2) * mask
    return cispo - cispo.detach(), dapo - dapo.detach()


def prove(one: Reduction) -> Entry:
    """Largest disagreement of losses and gradients over random batches, with and without the condition."""
    modules = load(one.one).module, load(one.other).module
    met, dropped = (
        max(_disagreement(*one.losses(*modules, batch, holds), batch) for batch in map(Batch, range(TRIALS)))
        for holds in (True, False)
    )
    return {
        "one": one.one,
        "other": one.other,
        "statement": one.statement,
        "condition": one.condition,
        "control": one.control,
        "deviation": met,
        "control_deviation": dropped,
        "holds": met <= AGREE and dropped >= DIFFER,
    }


def _disagreement(left: Tensor, right: Tensor, batch: Batch) -> float:
    """Of values, and of the gradients of a weighted sum, relative to the larger side."""
    import torch

    pairs = [(left.detach(), right.detach())]
    if left.requires_grad and right.requires_grad:
        weights = torch.linspace(0.5, 1.5, left.numel(), dtype=left.dtype).view(left.shape)
        sides = (
            torch.autograd.grad((side * weights).sum(), batch.leaves, allow_unused=True, retain_graph=True)
            for side in (left, right)
        )
        pairs += [(a, b) for a, b in zip(*sides, strict=True) if a is not None and b is not None]
    apart = [
        float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) if b.any() else float(a.abs().max())
        for a, b in pairs
    ]
    return max(apart)


def compute() -> list[Entry]:
    """Every reduction, proved by today's code. Imports torch; takes a second."""
    return [rounded(prove(one)) for one in REDUCTIONS]


def read(path: Path = RECORD) -> list[Entry]:
    """The reductions on record; empty if none was recorded."""
    if not path.is_file():
        return []
    record: list[Entry] = json.loads(path.read_text(encoding="utf-8"))
    return record


def write(entries: Sequence[Mapping[str, Any]], path: Path = RECORD) -> None:
    """Put the reductions on record."""
    write_text(path, json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
