"""Segments: their returns and regrets by hand, where they lie, and how judges label them."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.segments import (
    conditional_logps,
    segment_pairs,
    token_advantages,
    token_rewards,
)
from reference_impls.core.space import PAD


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=3, attributes=2, reference_steps=30))


def test_rewards_add_up_to_the_answers_reward_but_for_a_constant_of_the_prompt(bed: ExactBed) -> None:
    rest = bed.gold - token_rewards(bed).sum(-1)
    assert torch.allclose(rest, rest[:, :1].expand_as(rest), atol=1e-5)


def test_advantages_add_up_to_the_answers_reward_but_for_its_prompts_value(bed: ExactBed) -> None:
    value = bed.beta * (bed.reference_logps + bed.gold / bed.beta).logsumexp(-1, keepdim=True)
    assert torch.allclose(token_advantages(bed).sum(-1), bed.gold - value, atol=1e-4)


def test_after_every_beginning_the_optimum_is_a_distribution(bed: ExactBed) -> None:
    for level in conditional_logps(bed, bed.optimum()):
        assert torch.allclose(level.exp().sum(-1), torch.ones(level.shape[:2]), atol=1e-5)
    levels = bed.reference.level_logps(bed.prompts)
    for mine, theirs in zip(conditional_logps(bed, bed.reference_logps), levels, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("judge", ["return", "regret"])
def test_segments_are_short_and_within_their_answers(bed: ExactBed, judge: str) -> None:
    pairs = segment_pairs(bed, 200, 2, judge, bed.generator(1))
    for tokens, part in ((pairs.chosen, pairs.chosen_part), (pairs.rejected, pairs.rejected_part)):
        assert ((part == 0) | (tokens != PAD)).all()
        sizes, real = part.sum(1), (tokens != PAD).sum(1)
        assert ((sizes == 1) | (sizes == 2)).all()
        starts = part.argmax(1)
        assert torch.equal(sizes, torch.minimum(torch.tensor(2.0), real - starts))
        assert set(starts.tolist()) == {0, 1, 2}


def test_whole_answers_are_judged_alike_by_both(bed: ExactBed) -> None:
    by_return = segment_pairs(bed, 300, 0, "return", bed.generator(2))
    by_regret = segment_pairs(bed, 300, 0, "regret", bed.generator(2))
    assert torch.equal(by_return.chosen, by_regret.chosen)
    assert torch.equal(by_return.chosen_part, (by_return.chosen != PAD).float())


@pytest.mark.parametrize("judge", ["return", "regret"])
def test_the_better_segment_wins_as_often_as_bradley_and_terry_say(bed: ExactBed, judge: str) -> None:
    worth = token_rewards(bed) if judge == "return" else token_advantages(bed)
    pairs = segment_pairs(bed, 4000, 2, judge, bed.generator(3))

    def total(tokens: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        return (worth[pairs.prompts, bed.space.index(tokens)] * part).sum(-1)

    gap = total(pairs.chosen, pairs.chosen_part) - total(pairs.rejected, pairs.rejected_part)
    better = gap.abs() > 1e-6
    wins = (gap > 0).float()[better].mean()
    assert float(wins) == pytest.approx(float(gap.abs()[better].sigmoid().mean()), abs=0.02)


def test_other_judges_are_refused(bed: ExactBed) -> None:
    with pytest.raises(ValueError, match="unknown judge"):
        segment_pairs(bed, 1, 2, "taste", bed.generator(0))
