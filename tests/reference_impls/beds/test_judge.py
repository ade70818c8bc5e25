"""The judge: an opinion with the errors it was given, verdicts with its position bias, grades around the true mark."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.judge import MARKS, MARKS_PER_SD, grades, opinion, verdicts

SMALL = {"vocab": 3, "horizon": 4, "attributes": 2}


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(**SMALL, hack=0.5))  # type: ignore[arg-type]


def covariance(bed: ExactBed, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (bed.reference_logps.double().softmax(-1) * one.double() * other.double()).sum(-1)


def test_without_error_only_the_blind_spot_is_wrong(bed: ExactBed) -> None:
    assert torch.allclose(opinion(bed, 0.0), bed.gold + 0.5 * bed.planted)
    plain = ExactBed(100, ExactConfig(**SMALL))  # type: ignore[arg-type]
    assert torch.equal(opinion(plain, 0.0), plain.gold)


def test_the_taste_is_a_standardised_reward_of_its_own(bed: ExactBed) -> None:
    taste = opinion(bed, 1.0) - 0.5 * bed.planted
    assert torch.allclose(covariance(bed, taste, taste), torch.ones(4, dtype=torch.float64), atol=1e-4)
    assert float(covariance(bed, taste, bed.gold).abs().max()) < 0.9
    mixed = 0.8 * bed.gold + 0.6 * taste + 0.5 * bed.planted
    assert torch.allclose(opinion(bed, 0.6), mixed, atol=1e-5)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="error"):
            opinion(bed, wrong)


def test_verdicts_are_about_the_answer_shown_first(bed: ExactBed) -> None:
    draw = bed.generator(3)
    rows = bed.sample_prompts(4000, draw)
    pairs = bed.draw_pairs(rows, draw)
    table = opinion(bed, 0.5)
    exact = verdicts(bed, table, rows, pairs, 0.0, 0.0, draw)
    assert torch.allclose(exact[:, 0], -exact[:, 1])
    assert torch.allclose(exact[:, 0], table[rows, pairs[:, 0]] - table[rows, pairs[:, 1]])
    assert torch.allclose(
        verdicts(bed, table, rows, pairs, 0.7, 0.0, draw) - exact, torch.tensor(0.7), atol=1e-5
    )
    noisy = verdicts(bed, table, rows, pairs, 0.0, 0.5, draw) - exact
    assert float(noisy.std()) == pytest.approx(0.5, abs=0.02)
    assert abs(float((noisy[:, 0] * noisy[:, 1]).mean())) < 0.02


def test_the_most_likely_mark_follows_the_opinion(bed: ExactBed) -> None:
    table = torch.zeros_like(bed.gold)
    table[0, 1], table[0, 2] = 1 / MARKS_PER_SD, -20.0
    found = grades(
        bed, table, torch.zeros(3, dtype=torch.long), torch.tensor([0, 1, 2]), 0.0, bed.generator(1)
    )
    assert found.shape == (3, MARKS)
    law = found.softmax(-1)
    marks = torch.arange(1.0, MARKS + 1)
    assert float((law[0] * marks).sum()) == pytest.approx(5.5)
    assert float((law[1] * marks).sum()) == pytest.approx(6.5, abs=1e-2)
    assert int(law[2].argmax()) == 0
