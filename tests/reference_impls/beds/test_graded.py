"""Graded comparisons have the chances that the bed states, ties and grades included."""

from dataclasses import replace
from math import log

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.graded import CUTS, graded_pairs

SMALL = ExactConfig(vocab=3, horizon=4, attributes=2, reference_steps=30)
KINDS = (None, "thurstone", "ties", "flips", "cyclic", "mixed")


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_have_the_chances_of_the_bed(kind: str | None) -> None:
    bed = ExactBed(0, replace(SMALL, raters=kind))  # type: ignore[arg-type]
    before = bed.cost["labels"]
    data = graded_pairs(bed, 20000, bed.generator(1))
    assert len(data) == 20000 and bed.cost["labels"] - before == 20000
    assert torch.isin(data.prompts, bed.train_rows).all()
    chance = bed.win_chance(data.prompts, torch.stack([data.chosen, data.rejected], 1))
    # What was chosen had chance p with probability p and 1 - p otherwise, so that p - (p^2 + (1-p)^2) has mean 0.
    error = chance - (chance**2 + (1 - chance) ** 2)
    assert (error.mean() / error.std() * 20000**0.5).abs() < 4


def test_ties_are_called_as_often_as_rao_and_kupper_say() -> None:
    bed = ExactBed(0, replace(SMALL, raters="ties"))
    data = graded_pairs(bed, 20000, bed.generator(2))
    utility = bed.utility[data.prompts]
    difference = utility.gather(1, data.chosen[:, None]) - utility.gather(1, data.rejected[:, None])
    expected = torch.sigmoid(difference + log(3)) - torch.sigmoid(difference - log(3))
    assert abs(float(data.tied.float().mean() - expected.mean())) < 0.015
    assert not graded_pairs(ExactBed(0, SMALL), 100, bed.generator(2)).tied.any()


def test_grades_rise_with_the_difference() -> None:
    bed = ExactBed(0, SMALL)
    data = graded_pairs(bed, 20000, bed.generator(3))
    utility = bed.utility[data.prompts]
    difference = (utility.gather(1, data.chosen[:, None]) - utility.gather(1, data.rejected[:, None]))[:, 0]
    means = [float(difference[data.grade == g].mean()) for g in range(len(CUTS) + 1)]
    assert means == sorted(means) and means[-1] > means[0] + 0.5
    beyond = torch.sigmoid(difference - CUTS[-1]) + torch.sigmoid(-difference - CUTS[-1])
    assert abs(float((data.grade == len(CUTS)).float().mean() - beyond.mean())) < 0.03
