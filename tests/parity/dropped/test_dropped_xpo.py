"""XPO's loss and that of the ``XPOTrainer`` that TRL has dropped, with what it makes of logits and padding."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, agree, disagree
from torch import Tensor
from two_symbols import logits, random_probabilities, symbols

from reference_impls.direct_alignment.online import xpo_loss

PROMPT, PAIRS = 3, 12
POLICYS, REFERENCES = 9, 8
"""Whose answer a model is asked about, told by the first id."""


def labels() -> Tensor:
    """Whether the policy's answer of each pair is chosen."""
    return torch.arange(PAIRS) % 3 != 1


def ours(own: Answers, other: Answers, beta: float, alpha: float, bonus_on_policys: bool = False) -> Loss:
    """Our loss of the log-probabilities of the policy's answers and, below them, of the reference's."""
    wins = labels()[:, None]

    def ordered(policys: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(wins, policys, references), torch.where(wins, references, policys)

    def mean(logps: Tensor) -> Tensor:
        return xpo_loss(
            *ordered(*logps.chunk(2)),
            *ordered(own.reference, other.reference),
            *ordered(own.mask, other.mask),
            labels() if bonus_on_policys else ~labels(),
            beta,
            alpha,
        ).mean()

    return mean


def theirs(trl: Any, own: Answers, other: Answers, beta: float, alpha: float, **settings: str) -> Loss:
    def model(policys: Tensor, references: Tensor) -> Any:
        def forward(input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            asked = policys if int(input_ids[0, 0]) == POLICYS else references
            return SimpleNamespace(logits=logits(asked, PROMPT))

        return forward

    trainer = SimpleNamespace(
        ref_model=model(own.reference, other.reference),
        args=SimpleNamespace(**({"loss_type": "sigmoid"} | settings)),
        beta=beta,
        alpha=alpha,
    )
    asked = symbols(own.mask, POLICYS, PROMPT), symbols(other.mask, REFERENCES, PROMPT)

    def loss(logps: Tensor) -> Tensor:
        known = trl.XPOTrainer._compute_logprobs(trainer, model(*logps.chunk(2)), *asked, PROMPT)
        total: Tensor = trl.XPOTrainer._compute_losses(trainer, *known, labels())[0]
        return total

    return loss


def two_answers(seed: int) -> tuple[Answers, Answers, Tensor]:
    """The policy's answers, the reference's, and the log-probabilities of both."""
    own, other = (random_probabilities(one, PAIRS) for one in (seed, seed + 100))
    return own, other, torch.cat([own.logps, other.logps])


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
def test_xpo_agrees(trl: Any, seed: int, beta: float, alpha: float) -> None:
    own, other, at = two_answers(seed)
    agree(ours(own, other, beta, alpha), theirs(trl, own, other, beta, alpha), at)


@pytest.mark.parametrize("seed", SEEDS)
def test_xpo_controls_disagree(trl: Any, seed: int) -> None:
    own, other, at = two_answers(seed)
    peer = theirs(trl, own, other, 0.7, 0.5)
    disagree(ours(own, other, 0.6, 0.5), peer, at)
    disagree(ours(own, other, -0.7, 0.5), peer, at)
    disagree(ours(own, other, 0.7, 0.4), peer, at)
    disagree(ours(own, other, 0.7, -0.5), peer, at)
    disagree(ours(own, other, 0.7, 0.5, bonus_on_policys=True), peer, at)
    disagree(ours(own, other, 0.7, 0.5), theirs(trl, own, other, 0.7, 0.5, loss_type="ipo"), at)
