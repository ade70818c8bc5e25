"""Votes are as reliable as their voters, and a pair's voters are different people."""

import pytest
import torch

from reference_impls.beds.crowd import crowd_votes
from reference_impls.beds.exact import ExactBed, ExactConfig


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=4, attributes=2, reference_steps=30))


def test_each_kind_of_annotator_votes_as_reliably_as_asked(bed: ExactBed) -> None:
    before = bed.cost["labels"]
    votes = crowd_votes(bed, 10000, 3, 20, 0.3, (0.9, 0.55), bed.generator(1))
    assert len(votes) == 10000 and bed.cost["labels"] - before == 30000
    assert votes.reliability.tolist() == pytest.approx([0.55] * 6 + [0.9] * 14)
    utility = bed.utility[votes.prompts[:, None], votes.pairs]
    honest = torch.sigmoid(utility[:, :1] - utility[:, 1:]).expand(-1, 3)
    for eta in (0.55, 0.9):
        own = (votes.reliability[votes.annotators] - eta).abs() < 1e-6
        better = honest > 0.5
        share = torch.where(better, votes.first, 1 - votes.first)[own].mean()
        judged = torch.where(better, honest, 1 - honest)[own]
        assert abs(float(share - (eta * judged + (1 - eta) * (1 - judged)).mean())) < 0.02


def test_a_pair_is_not_shown_twice_to_the_same_person(bed: ExactBed) -> None:
    votes = crowd_votes(bed, 300, 5, 6, 0.5, (1.0, 0.5), bed.generator(2))
    ordered = votes.annotators.sort(1).values
    assert (ordered.diff(dim=1) > 0).all()
