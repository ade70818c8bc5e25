"""Marks have the probabilities of the ordered logit, and comparisons do not notice offsets."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.marks import NOISE, Crew, comparisons, crew, cut_points, marks


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=4, attributes=2, reference_steps=30))


def alike(offset: float, scale: float) -> Crew:
    return Crew(torch.full((3,), offset), torch.full((3,), scale))


def test_cut_points_are_even_and_one_is_in_the_middle() -> None:
    assert cut_points(2).tolist() == [0.0]
    assert cut_points(5).tolist() == [-1.5, -0.5, 0.5, 1.5]


@pytest.mark.parametrize(
    ("offset", "scale", "generosity"), [(0.0, 1.0, 0.0), (0.7, 2.0, 0.0), (0.0, 0.5, 1.5)]
)
def test_each_mark_is_as_frequent_as_it_should_be(
    bed: ExactBed, offset: float, scale: float, generosity: float
) -> None:
    before = bed.cost["labels"]
    data = marks(bed, 20000, 5, alike(offset, scale), generosity, bed.generator(1))
    assert len(data) == 20000 and bed.cost["labels"] - before == 20000
    felt = offset + generosity + scale * bed.utility[data.prompts, data.answers]
    for level, cut in enumerate(cut_points(5), start=1):
        chance = torch.sigmoid((felt - cut) / NOISE)
        assert abs(float((data.points >= level).float().mean() - chance.mean())) < 0.015


def test_raters_differ_as_asked(bed: ExactBed) -> None:
    people = crew(bed, 5000, 1.5, 0.4, bed.generator(2))
    assert abs(float(people.offset.std()) - 1.5) < 0.06 and abs(float(people.scale.log().std()) - 0.4) < 0.02
    same = crew(bed, 4, 0.0, 0.0, bed.generator(2))
    assert same.offset.tolist() == [0.0] * 4 and same.scale.tolist() == [1.0] * 4


def test_comparisons_know_the_scale_and_not_the_offset(bed: ExactBed) -> None:
    one = comparisons(bed, 20000, alike(0.0, 2.0), bed.generator(3))
    other = comparisons(bed, 20000, alike(9.0, 2.0), bed.generator(3))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    rows, chosen, rejected = one
    chance = torch.sigmoid(2 * (bed.utility[rows, chosen] - bed.utility[rows, rejected]))
    error = chance - (chance**2 + (1 - chance) ** 2)
    assert (error.mean() / error.std() * 20000**0.5).abs() < 4
