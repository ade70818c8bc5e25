"""Recorded answers: who wrote them, what they cost, and the mean of their scores."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.recorded import prompt_means, recorded, writer_logps

SMALL = ExactConfig(vocab=3, horizon=3, attributes=2, reference_steps=10)


def test_the_reference_writes_by_its_own_law_and_a_flatter_writer_by_its_root() -> None:
    bed = ExactBed(0, SMALL)
    torch.testing.assert_close(writer_logps(bed, "reference"), bed.reference_logps)
    flat = writer_logps(bed, "flatter")
    difference = (flat[:, 0] - flat[:, 1]) * 2
    torch.testing.assert_close(difference, bed.reference_logps[:, 0] - bed.reference_logps[:, 1])
    with pytest.raises(ValueError, match="unknown writer"):
        writer_logps(bed, "nobody")


def test_recorded_answers_are_scored_counted_and_frequent_where_they_are_likely() -> None:
    bed = ExactBed(0, SMALL)
    data = recorded(bed, 4000, "reference", bed.generator(1))
    assert len(data) == 4000 and bed.cost["samples"] == 4000
    assert set(data.prompts.tolist()) <= set(bed.train_rows.tolist())
    torch.testing.assert_close(data.scores, bed.score(data.prompts, data.tokens))
    row = int(bed.train_rows[0])
    mine = data.pick((data.prompts == row).nonzero().squeeze(1))
    counts = torch.bincount(bed.space.index(mine.tokens), minlength=len(bed.space)) / len(mine)
    assert (counts - bed.reference_logps[row].exp()).abs().max() < 0.05
    assert torch.equal(mine.mask.sum(1), (mine.tokens != 0).sum(1).float())


def test_the_mean_score_of_a_prompt_is_that_of_its_answers() -> None:
    bed = ExactBed(0, SMALL)
    data = recorded(bed, 50, "flatter", bed.generator(2))
    means = prompt_means(data, len(bed.prompts))
    for row in range(len(bed.prompts)):
        mine = data.scores[data.prompts == row]
        torch.testing.assert_close(means[row], mine.mean() if len(mine) else torch.tensor(0.0))
