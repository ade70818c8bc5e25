"""Marks have their noise and unit, people weigh by the prompt, and pairs for measuring are fair."""

import pytest
import torch

from reference_impls.beds.attributes import (
    attribute_ratings,
    attribute_rewards,
    mixed,
    prompt_weights,
    weighed_pairs,
)
from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.fresh_pairs import ordered_rightly


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=4, attributes=2))


def test_marks_are_attributes_plus_noise_in_the_unit_of_the_second(bed: ExactBed) -> None:
    rewards, before = attribute_rewards(bed, 0.0), bed.cost["labels"]
    marks = attribute_ratings(bed, rewards, 20000, 0.5, 0.3, bed.generator(1))
    assert bed.cost["labels"] - before == 40000 and marks.grades.shape == (20000, 2)
    truth = rewards[:, marks.prompts, marks.answers].T
    errors = marks.grades / torch.tensor([1.0, 0.3]) - truth
    assert (errors.std(0) - 0.5).abs().max() < 0.02 and errors.mean(0).abs().max() < 0.02
    assert set(marks.prompts.tolist()) <= set(bed.train_rows.tolist())


@pytest.mark.parametrize("agreement", [0.0, 0.6])
def test_attributes_are_as_correlated_as_asked(bed: ExactBed, agreement: float) -> None:
    rewards, law = attribute_rewards(bed, agreement), bed.reference_logps.exp()
    assert (law * rewards).sum(-1).abs().max() < 1e-3
    assert ((law * rewards[0] * rewards[1]).sum(-1) - agreement).abs().max() < 1e-3


def test_people_lean_to_one_attribute_in_half_of_the_prompts(bed: ExactBed) -> None:
    weights = prompt_weights(bed, 0.9)
    assert torch.allclose(weights.sum(1), torch.ones(4))
    assert weights[:, 0].tolist() == pytest.approx([0.9, 0.9, 0.1, 0.1])
    rewards = attribute_rewards(bed, 0.0)
    together = mixed(rewards, weights)
    assert torch.allclose(together[3], 0.1 * rewards[0, 3] + 0.9 * rewards[1, 3])


def test_comparisons_are_bradley_and_terrys_by_the_utility(bed: ExactBed) -> None:
    utility, before = mixed(attribute_rewards(bed, 0.0), prompt_weights(bed, 0.9)), bed.cost["labels"]
    rows, winners, losers = weighed_pairs(bed, utility, 20000, bed.generator(2))
    assert bed.cost["labels"] - before == 20000
    margin = utility[rows, winners] - utility[rows, losers]
    differ = winners != losers
    # Given the pair, the winner is the better one with the chance of its margin.
    surplus = ((margin > 0).float() - torch.sigmoid(margin.abs()))[differ]
    assert surplus.mean().abs() < 4 * surplus.std() / len(surplus) ** 0.5


def test_the_truth_orders_all_pairs_rightly_and_its_opposite_none(bed: ExactBed) -> None:
    for seed in (0, 1):
        assert ordered_rightly(bed, 2 * bed.gold + 3, bed.gold, bed.train_rows, seed) == 1
        assert ordered_rightly(bed, -bed.gold, bed.gold, bed.train_rows, seed) == 0
        assert ordered_rightly(bed, 0 * bed.gold, bed.gold, bed.train_rows, seed) == 0.5
        noise = torch.randn(bed.gold.shape, generator=torch.Generator().manual_seed(seed))
        assert abs(ordered_rightly(bed, noise, bed.gold, bed.train_rows, seed) - 0.5) < 0.1
