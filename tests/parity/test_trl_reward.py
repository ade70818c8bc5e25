"""The Bradley-Terry loss, its margin and its centring, and TRL's ``RewardTrainer``."""

from types import ModuleType, SimpleNamespace

import pytest
import torch
from stand_ins import SEEDS, Loss, accelerator, agree, disagree, metrics
from torch import Tensor

from reference_impls.reward_models.bradley_terry import bradley_terry_loss
from reference_impls.reward_models.pair_models import level_penalty, margin_loss

PAIRS = 12


def scores(seed: int) -> Tensor:
    """Of the chosen answers, then of the rejected ones."""
    draw = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(2 * PAIRS, generator=draw, dtype=torch.float64)


def ours(values: Tensor) -> Tensor:
    return bradley_terry_loss(*values.chunk(2)).mean()


def theirs(trl: ModuleType, margin: float | None = None, centring: float | None = None) -> Loss:
    trainer = SimpleNamespace(
        accelerator=accelerator(),
        args=SimpleNamespace(center_rewards_coefficient=centring),
        model=SimpleNamespace(training=True),
        _metrics=metrics(),
        _total_train_tokens=0,
        _tp_size=1,
    )

    def loss(values: Tensor) -> Tensor:
        inputs = {"attention_mask": torch.ones(2 * PAIRS, 3)}
        if margin is not None:
            inputs["margin"] = torch.full((PAIRS,), margin, dtype=torch.float64)
        return trl.RewardTrainer.compute_loss(
            trainer, lambda **_: SimpleNamespace(logits=values[:, None]), inputs
        )

    return loss


@pytest.mark.parametrize("seed", SEEDS)
def test_bradley_terry_agrees(trl: ModuleType, seed: int) -> None:
    agree(ours, theirs(trl), scores(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_bradley_terry_controls_disagree(trl: ModuleType, seed: int) -> None:
    at = scores(seed)
    disagree(lambda values: ours(-values), theirs(trl), at)
    disagree(ours, theirs(trl, margin=0.5), at)
    disagree(ours, theirs(trl, centring=0.1), at)


def with_margin(values: Tensor) -> Tensor:
    return margin_loss(*values.chunk(2), torch.full((PAIRS,), 0.7, dtype=torch.float64)).mean()


def centred(values: Tensor) -> Tensor:
    return (margin_loss(*values.chunk(2), torch.zeros(PAIRS)) + 0.3 * level_penalty(*values.chunk(2))).mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_margin_and_centring_agree(trl: ModuleType, seed: int) -> None:
    agree(with_margin, theirs(trl, margin=0.7), scores(seed))
    agree(centred, theirs(trl, centring=0.3), scores(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_margin_and_centring_controls_disagree(trl: ModuleType, seed: int) -> None:
    at = scores(seed)
    disagree(with_margin, theirs(trl, margin=-0.7), at)
    disagree(with_margin, theirs(trl), at)
    disagree(centred, theirs(trl, centring=0.15), at)
