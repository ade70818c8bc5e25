"""The critic: which changes it can ask for, how carefully it chooses, and what a critique is worth in bits."""

import math

import pytest
import torch

from reference_impls.beds.critiques import (
    bits,
    bits_of_a_pair,
    changed,
    critique_law,
    critiques,
    possible,
    refined,
)
from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.filtering.language_feedback import rewritten

END = 4
ANSWERS = torch.tensor([[2, 1, 3], [1, END, 0], [END, 0, 0]])
ROWS = torch.tensor([0, 1, 2])


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=3, attributes=2))


def test_only_symbols_are_criticised_and_only_for_other_symbols(bed: ExactBed) -> None:
    allowed = possible(bed, ANSWERS)
    assert allowed.sum(1).tolist() == [7, 3, 1]
    assert allowed[0].tolist() == [True, False, True, False, True, True, True, True, False, True]
    assert changed(bed, ANSWERS)[0, 1].tolist() == [[2, 1, 3], [2, 2, 3], [2, 3, 3]]


def test_a_critic_prefers_changes_as_annotators_prefer_answers(bed: ExactBed) -> None:
    law = critique_law(bed, ROWS, ANSWERS, 0.0)

    def utility(*answer: int) -> float:
        return float(bed.utility[0, bed.space.index(torch.tensor([answer]))])

    odds = float(law[0, 3 * 1 + 2] / law[0, -1])
    assert odds == pytest.approx(math.exp(utility(2, 3, 3) - utility(2, 1, 3)), rel=1e-4)
    assert torch.allclose(law.sum(1), torch.ones(3)) and float(law[2, -1]) == 1.0
    blind = critique_law(bed, ROWS, ANSWERS, 1.0)
    assert torch.allclose(blind[0][possible(bed, ANSWERS)[0]], torch.full((7,), 1 / 7))
    with pytest.raises(ValueError, match="blind"):
        critique_law(bed, ROWS, ANSWERS, 1.5)


def test_critiques_follow_their_law_and_cost_a_label_each(bed: ExactBed) -> None:
    before = bed.cost["labels"]
    n = 6000
    rows, answers = torch.zeros(n, dtype=torch.long), ANSWERS[:1].expand(n, 3)
    said = critiques(bed, rows, answers, 0.0, bed.generator(1))
    law = critique_law(bed, rows[:1], ANSWERS[:1], 0.0)[0]
    assert bed.cost["labels"] - before == n
    assert float((said.places < 0).double().mean()) == pytest.approx(float(law[-1]), abs=0.03)
    third = (said.places == 1) & (said.symbols == 3)
    assert float(third.double().mean()) == pytest.approx(float(law[5]), abs=0.03)
    short = critiques(bed, rows, answers, 0.0, bed.generator(1), place_only=True)
    assert torch.equal(short.places, said.places) and not short.symbols.any()


def test_the_law_after_a_critique_is_that_of_rewritten_answers(bed: ExactBed) -> None:
    exact = refined(bed, bed.reference_logps, 0.2, 0.5)
    assert torch.allclose(exact.exp().sum(1), torch.ones(len(exact)), atol=1e-5)
    n, draw = 20000, bed.generator(3)
    rows = torch.zeros(n, dtype=torch.long)
    answers = bed.sample(bed.reference, rows, draw)
    said = critiques(bed, rows, answers, 0.2, draw)
    taken = torch.rand(n, generator=draw) < 0.5
    after = rewritten(answers, said.places, said.symbols, taken)
    counts = torch.bincount(bed.space.index(after), minlength=len(bed.space)) / n
    assert float((counts - exact[0].exp()).abs().sum()) < 0.05
    gained = ((exact.exp() - bed.reference_logps.exp()) * bed.gold).sum(1)
    assert bool((gained > 0).all())


def test_what_is_said_is_worth_less_the_less_it_says(bed: ExactBed) -> None:
    full, place, half = bits(bed, 0.0), bits(bed, 0.0, place_only=True), bits(bed, 0.5)
    assert full > place > 0 and full > half > 0
    assert bits(bed, 1.0) == pytest.approx(0, abs=1e-5)
    assert 0 < bits_of_a_pair(bed, 2000, bed.generator(0)) < 1
