"""verify passes on what has not changed, fails on what has, and rarely cries wolf."""

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
sys.path.insert(0, str(DATA))

from fake_impls.runner import ROOT, run  # noqa: E402

from reference_impls import bench, jobs, registry, verify  # noqa: E402
from reference_impls.registry import Problem  # noqa: E402

FACTS = registry.methods(ROOT)


def metrics(values: list[float], name: str = "gap_closed") -> list[dict[str, Any]]:
    return [{"seed": seed, "metrics": {name: value}} for seed, value in enumerate(values)]


@pytest.mark.parametrize(
    ("probability", "df", "expected"),
    [(0.975, 1, 12.7062), (0.975, 4, 2.77645), (0.995, 2, 9.92484), (0.95, 7, 1.89458), (0.9995, 4, 8.61030)],
)
def test_student_t_agrees_with_the_printed_tables(probability: float, df: int, expected: float) -> None:
    assert verify.student_t(probability, df) == pytest.approx(expected, abs=1e-4)


def test_the_false_alarm_rate_of_a_family_is_kept() -> None:
    """3,000 families of 20 metrics at 5 %, 5 seeds against 5: at most 5 % plus 4 sd (1.6 %) of that count."""
    draw = random.Random(0)
    alarms, families, size = 0, 3000, 20
    quantile = verify.student_t(1 - 0.05 / size / 2, 4)
    for _ in range(families):
        for _ in range(size):
            old = [draw.gauss(0, 1) for _ in range(5)]
            new = [draw.gauss(0, 1) for _ in range(5)]
            width = quantile * verify.stdev(old) * (1 / 5 + 1 / 5) ** 0.5
            if abs(verify.fmean(new) - verify.fmean(old)) > width:
                alarms += 1
                break
    assert 0.02 < alarms / families <= 0.066


def test_the_interval_is_that_of_a_prediction() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    expected = verify.student_t(0.995, 4) * verify.stdev(values) * (1 / 5 + 1 / 2) ** 0.5
    assert verify.prediction_width(values, 2, 0.01) == pytest.approx(expected)
    assert verify.prediction_width([2.0, 2.0, 2.0], 3, 0.01) == pytest.approx(2e-3)
    assert verify.prediction_width([2.0], 3, 0.01) == pytest.approx(2e-3)


def test_pairs_agree_to_a_part_in_a_thousand_seed_by_seed() -> None:
    def agree(*new: dict[str, Any]) -> list[bool]:
        return [c.agrees for c in verify.compare_pairwise(metrics([1.0, 2.0]), new)]

    assert agree(*metrics([1.0009, 2.003])) == [True, False]
    assert agree({"seed": 1, "metrics": {"gap_closed": None}}) == [False]
    assert agree({"seed": 1, "metrics": {"other": 1.0}}) == [False, False]


def test_a_metric_that_stops_applying_is_noticed_on_another_device() -> None:
    old, none = metrics([1.0, 1.1]), [{"seed": 0, "metrics": {"gap_closed": None}}]
    assert [c.agrees for c in verify.compare_interval(old, none, 0.01)] == [False]
    assert [c.agrees for c in verify.compare_interval(none, none, 0.01)] == [True]
    assert [c.agrees for c in verify.compare_interval(none, old, 0.01)] == [False]


Verdicts = Callable[..., dict[str, verify.Verdict]]


@pytest.fixture
def verdicts(tmp_path: Path) -> Verdicts:
    """Record three seeds of the fake method, then verify on a device."""
    lines = bench.survey(bench.choose(["demo"], ROOT), range(3), "cpu", tmp_path, ROOT)
    list(bench.run_lines(lines, "cpu", tmp_path, 1, run))

    def judge(*facts: registry.MethodFacts, device: str = "cpu", **how: Any) -> dict[str, verify.Verdict]:
        chosen = facts or [FACTS["fast"]]
        found = verify.verify(chosen, device, tmp_path, 1, runner=run, root=ROOT, **how)
        return {verdict.method: verdict for verdict in found}

    return judge


@pytest.mark.parametrize(("device", "how"), [("cpu", "pairwise"), ("cuda", "interval")])
def test_a_second_run_passes_and_the_mutant_is_noticed(verdicts: Verdicts, device: str, how: str) -> None:
    verdict = verdicts(device=device)["fast"]
    assert verdict.status == "pass" and verdict.comparison == how and verdict.seeds == (0, 1, 2)
    assert verdict.detected_by == ("gap_closed",) and verdict.mutant == "the slope is wrong"
    assert verdicts(device=device, seeds=1)["fast"].seeds == (0,)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_change_fails(verdicts: Verdicts, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SHIFT", "0.1")
    verdict = verdicts(device=device)["fast"]
    assert verdict.status == "fail" and "gap_closed" in verdict.reason


def test_a_method_without_a_record_is_not_passed(verdicts: Verdicts) -> None:
    assert verdicts(*FACTS.values())["fast-fixed"].status == "not recorded"
    assert verdicts(benchmark="second")["fast"].status == "not recorded"


def test_a_method_whose_mutant_does_not_fit_fails_alone(verdicts: Verdicts) -> None:
    broken = replace(FACTS["fast"], verify_mutant={"replace": ["nowhere", "x"], "why": "?"})
    assert "does not hold" in verdicts(broken)["fast"].reason


def test_a_mutant_that_goes_unnoticed_fails() -> None:
    old = metrics([1.0])
    done: list[Any] = [(jobs.Job("fast", 0), old[0], None), (jobs.Job("fast", 0, mutant=True), old[0], None)]
    verdict = verify.judge(FACTS["fast"], old, done, True, 0.01)
    assert verdict.status == "fail" and verdict.reason == "its mutant goes unnoticed"
    done[1] = jobs.Job("fast", 0, mutant=True), None, "the loss became nan"
    assert verify.judge(FACTS["fast"], old, done, True, 0.01).detected_by == ("the loss became nan",)


def test_a_run_that_fails_is_a_failure() -> None:
    done = [(jobs.Job("fast", 0), None, "the loss became nan")]
    verdict = verify.judge(FACTS["fast"], metrics([1.0]), done, True, 0.01)
    assert verdict.status == "fail" and verdict.reason == "the loss became nan"


def test_the_mutant_changes_the_code_and_not_the_facts() -> None:
    source = jobs.mutated_source(FACTS["fast"])
    assert source.count("3 * config.beta") == 1 and "2 * config.beta" not in source
    with pytest.raises(Problem, match="names no verify_mutant"):
        jobs.mutated_source(FACTS["fast-fixed"])
    with pytest.raises(Problem, match="'nothing' is not in the museum"):
        jobs.mutated_source(replace(FACTS["fast"], verify_mutant="nothing"))
    with pytest.raises(Problem, match=r"fast\.py does not hold the 'nowhere'"):
        jobs.mutated_source(replace(FACTS["fast"], verify_mutant={"replace": ["nowhere", "x"], "why": "?"}))


@pytest.mark.parametrize("key", registry.methods())
def test_every_method_names_a_mutant_that_fits_its_source(key: str) -> None:
    facts = registry.methods()[key]
    assert jobs.mutated_source(facts) and jobs.mutant_of(facts)[1]
