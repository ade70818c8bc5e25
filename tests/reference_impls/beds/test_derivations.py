"""Derivations: grades, what follows from them, and the labels that people and completions give."""

from dataclasses import replace

import pytest
import torch

from reference_impls.beds.derivations import (
    FATAL,
    HARMLESS,
    RIGHT,
    checked_results,
    completed,
    derivation_yardsticks,
    judged_steps,
    mistake_pairs,
    prefix_values,
    result_pairs,
    right_results,
    sound,
    step_grades,
)
from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.core.space import PAD, SequenceSpace

CONFIG = ExactConfig(vocab=3, horizon=3, attributes=2, reference_steps=30, derivation=0.5, harmless=0.5)
GRID = torch.cartesian_prod(torch.arange(2), torch.arange(2))


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, CONFIG)


def test_of_four_steps_two_are_right_and_one_is_harmless() -> None:
    space = SequenceSpace(3, 1)
    grades = step_grades(space, GRID, 0.5, 0.5, torch.Generator().manual_seed(1))
    assert grades.shape == (4, 4, 1)
    for prompt in grades.squeeze(-1).tolist():
        assert sorted(prompt) == [FATAL, HARMLESS, RIGHT, RIGHT]


@pytest.mark.parametrize(("right", "harmless"), [(0.05, 0.0), (0.9, 0.0), (0.5, 1.0)])
def test_something_must_be_right_and_something_fatal(right: float, harmless: float) -> None:
    with pytest.raises(ValueError, match="leave no right or no fatal step"):
        step_grades(SequenceSpace(3, 2), GRID, right, harmless, torch.Generator())


def test_a_step_is_judged_by_the_token_before_it(bed: ExactBed) -> None:
    assert bed.grades is not None
    tokens, grades = bed.tokens, bed.grades[1]
    seen: dict[tuple[int, int], int] = {}
    for answer, marks in zip(tokens.tolist(), grades.tolist(), strict=True):
        for before, token, mark in zip([0, *answer], answer, marks, strict=False):
            if token == PAD:
                assert mark == RIGHT
            else:
                assert seen.setdefault((before, token), mark) == mark
    assert set(seen.values()) == {FATAL, HARMLESS, RIGHT}


def test_results_and_soundness_by_hand() -> None:
    grades = torch.tensor([[[2, 2], [2, 1], [0, 2], [1, 1]]])
    assert sound(grades).tolist() == [[1, 0, 0, 0]]
    assert right_results(grades).tolist() == [[1, 1, 0, 1]]
    law = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    found = derivation_yardsticks(law, sound(grades), right_results(grades))
    assert found["sound_rate"] == pytest.approx(0.4)
    assert found["pass_rate"] == pytest.approx(0.8)


def test_gold_is_soundness_and_the_score_is_the_result(bed: ExactBed) -> None:
    assert bed.grades is not None
    assert torch.equal(bed.reward, right_results(bed.grades))
    assert ((bed.gold > 0) == (sound(bed.grades) > 0)).all()
    plain = ExactBed(100, replace(CONFIG, derivation=None, harmless=None))
    assert plain.grades is None
    assert torch.equal(plain.reference_logps, bed.reference_logps)


def test_people_stop_at_the_first_mistake_and_within_their_budget(bed: ExactBed) -> None:
    before = bed.cost["labels"]
    data = judged_steps(bed, 60, bed.generator(1))
    assert bed.cost["labels"] - before == int(data.judged.sum()) <= 60
    for tokens, labels, judged in zip(data.tokens, data.labels, data.judged, strict=True):
        real = int((tokens != PAD).sum())
        wrong = [t for t in range(real) if labels[t] == 0]
        last = min(wrong, default=real - 1)
        assert judged.tolist() == [float(t <= last) for t in range(3)]


def test_results_label_every_step(bed: ExactBed) -> None:
    data = checked_results(bed, 20, bed.generator(2))
    assert len(data.prompts) == 20
    assert torch.equal(data.labels[:, 0], bed.score(data.prompts, data.tokens))
    assert torch.equal(data.judged, (data.tokens != PAD).float())


def test_values_are_means_over_completions(bed: ExactBed) -> None:
    values = prefix_values(bed)
    law, tokens = bed.reference_logps.exp(), bed.tokens
    for prompt, answer in ((0, 5), (3, 20), (2, 39)):
        for length in range(1, int((tokens[answer] != PAD).sum()) + 1):
            below = (tokens[:, :length] == tokens[answer, :length]).all(1).float()
            wanted = (law[prompt] * below * bed.reward[prompt]).sum() / (law[prompt] * below).sum()
            assert float(values[prompt, answer, length - 1]) == pytest.approx(float(wanted), abs=1e-5)


def test_completions_are_counted_and_the_whole_derivation_is_checked_once(bed: ExactBed) -> None:
    before = bed.cost["labels"]
    data, passed = completed(bed, 400, 5, bed.generator(3))
    real, n = int(data.judged.sum()), len(data.prompts)
    assert real <= 400
    assert bed.cost["labels"] - before == 5 * (real - n) + n
    assert torch.equal(data.labels, passed / 5)
    ends = data.judged.sum(1).long() - 1
    results = bed.score(data.prompts, data.tokens)
    assert torch.equal(passed.gather(1, ends[:, None]).squeeze(1), 5 * results)
    first = prefix_values(bed)[data.prompts, bed.space.index(data.tokens)][:, 0]
    assert float(data.labels[:, 0].mean()) == pytest.approx(float(first.mean()), abs=0.1)


def test_pairs_of_a_mistake_part_at_the_first_wrong_step(bed: ExactBed) -> None:
    assert bed.grades is not None
    pairs = mistake_pairs(bed, 50, bed.generator(4))
    places = bed.space.index(pairs.rejected)
    for row, good, bad, place in zip(pairs.prompts, pairs.chosen, pairs.rejected, places, strict=True):
        wrong = [t for t in range(3) if bed.grades[row, place, t] != RIGHT]
        first = wrong[0]
        assert torch.equal(good[:first], bad[:first])
        assert good[first] != bad[first]
        assert bed.grades[row, bed.space.index(good[None])[0], first] == RIGHT


def test_pairs_of_results(bed: ExactBed) -> None:
    pairs = result_pairs(bed, 50, bed.generator(5))
    assert (bed.score(pairs.prompts, pairs.chosen) == 1).all()
    assert (bed.score(pairs.prompts, pairs.rejected) == 0).all()


def test_other_beds_have_no_steps_to_judge() -> None:
    plain = ExactBed(100, replace(CONFIG, derivation=None, harmless=None))
    with pytest.raises(ValueError, match="no derivations"):
        judged_steps(plain, 10, plain.generator(0))
