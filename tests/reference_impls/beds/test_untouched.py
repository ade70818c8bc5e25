"""Untouched prompts: training never visits them, nothing else of the bed changes, and the tax is a cross-entropy."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.untouched import untouched_yardsticks, visited

SMALL = {"vocab": 3, "horizon": 2, "attributes": 4}


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(**SMALL, untouched=1))


def test_prompts_are_parted_by_their_first_attribute(bed: ExactBed) -> None:
    assert visited(torch.tensor([0, 1, 2, 3]), 4, 1).tolist() == [True, True, True, False]
    assert bed.train_rows.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 11]
    assert bed.untouched_rows is not None and bed.untouched_rows.tolist() == [12, 13, 14]
    assert bed.heldout_rows.tolist() == [0, 5, 10]
    drawn = bed.sample_prompts(500, bed.generator(0))
    assert not torch.isin(drawn, bed.untouched_rows).any()
    for wrong in (0, 4):
        with pytest.raises(ValueError, match="untouched"):
            visited(torch.tensor([0]), 4, wrong)


def test_reference_and_reward_are_those_of_the_bed_without_the_switch(bed: ExactBed) -> None:
    plain = ExactBed(100, ExactConfig(**SMALL))
    assert torch.equal(plain.reference_logps, bed.reference_logps)
    assert torch.equal(plain.gold, bed.gold) and plain.untouched_rows is None


def test_the_tax_is_what_is_added_to_the_cross_entropy() -> None:
    right = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]]).log()
    policy = torch.tensor([[0.5, 0.5], [0.8, 0.2], [0.1, 0.9]]).log()
    found = untouched_yardsticks(policy, right, right, torch.tensor([0, 1]))
    assert found["tax"] == pytest.approx((0.5 * torch.tensor(1 / 0.64).log() / 2).item(), abs=1e-5)
    divergence = 0.8 * torch.tensor(1.6).log() + 0.2 * torch.tensor(0.4).log()
    assert found["untouched_kl"] == pytest.approx(float(divergence) / 2, abs=1e-5)


def test_the_reference_pays_no_tax(bed: ExactBed) -> None:
    found = bed.further_yardsticks(bed.reference_logps, bed.train_rows)
    assert found["tax"] == pytest.approx(0) and found["untouched_kl"] == pytest.approx(0)
    assert "tax" not in bed.further_yardsticks(bed.reference_logps, bed.heldout_rows)
