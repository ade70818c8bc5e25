"""Clicks follow the position-based model, and lists the old ranker."""

import pytest
import torch

from reference_impls.beds.clicks import BAR, RANKER, click_sessions, examination
from reference_impls.beds.exact import ExactBed, ExactConfig


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=4, attributes=2, reference_steps=30))


def test_attention_falls_with_the_position() -> None:
    assert examination(4, 1.0).tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert examination(3, 0.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
def test_each_position_is_clicked_as_often_as_it_is_seen_and_liked(bed: ExactBed, bias: float) -> None:
    before = bed.cost["labels"]
    data = click_sessions(bed, 10000, 4, bias, bed.generator(1))
    assert len(data) == 10000 and bed.cost["labels"] - before == 40000
    liked = torch.sigmoid(bed.utility[data.prompts[:, None], data.answers] - BAR)
    expected = liked.mean(0) * examination(4, bias)
    assert (data.clicks.mean(0) - expected).abs().max() < 0.02


def test_lists_are_in_the_old_rankers_order(bed: ExactBed) -> None:
    data = click_sessions(bed, 500, 4, 1.0, bed.generator(2))
    rows = data.prompts[:, None]
    score = RANKER * bed.utility[rows, data.answers]
    score = score + (1 - RANKER**2) ** 0.5 * bed.second_utility[rows, data.answers]
    assert (score.diff(dim=1) <= 1e-6).all()
