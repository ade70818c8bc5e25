"""Revised answers: drawn one by one they follow the law that is enumerated, and after enough of them none offends."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.filtering.constitutional import broken, constitution, enumerated, revised


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=3, attributes=2))


def test_principles_forbid_the_symbols_that_their_texts_name(bed: ExactBed) -> None:
    assert constitution(bed, 3).tolist() == [[True, False, False], [False, False, True], [False, True, False]]
    assert constitution(bed, 1).tolist() == [[True, False, False]]


def test_drawn_revisions_follow_the_enumerated_law(bed: ExactBed) -> None:
    draw, forbidden = bed.generator(1), constitution(bed, 2)
    rows = torch.full((20_000,), 1)
    answers = bed.sample(bed.reference, rows, draw)
    for revisions in (0, 1, 2):
        law = enumerated(bed, forbidden, revisions).exp()
        assert torch.allclose(law.sum(-1), torch.ones(4), atol=1e-5)
        found = revised(bed, rows, answers, forbidden, revisions, draw)
        counts = torch.bincount(bed.space.index(found), minlength=len(bed.space)) / len(rows)
        assert float((counts - law[1]).abs().sum()) < 0.06


def test_enough_revisions_by_one_principle_leave_no_offence(bed: ExactBed) -> None:
    draw, forbidden = bed.generator(2), constitution(bed, 1)
    rows = bed.sample_prompts(500, draw)
    answers = bed.sample(bed.reference, rows, draw)
    mended = revised(bed, rows, answers, forbidden, 3, draw)
    assert (
        broken(answers, forbidden.expand(500, -1)).any()
        and not broken(mended, forbidden.expand(500, -1)).any()
    )
    assert torch.equal((answers != 0).sum(1), (mended != 0).sum(1))
    kept = ~broken(answers, forbidden.expand(500, -1)).any(1)
    assert torch.equal(answers[kept], mended[kept])
