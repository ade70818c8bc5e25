"""Verdicts come from runs and from bands that were stated before them."""

import json
import sys
from pathlib import Path

import pytest

from reference_impls import ledger, registry
from reference_impls.records import read_file
from reference_impls.registry import Problem

DATA = Path(__file__).resolve().parent.parent / "data"
sys.path.insert(0, str(DATA))
from fake_impls.runner import ROOT, run  # noqa: E402

from reference_impls import bench  # noqa: E402

FIRST, SECOND = "nobody2020fast/c1", "nobody2020fast/c2"


def measure(folder: Path, seeds: int = 5, root: Path = ROOT) -> None:
    lines = bench.survey(bench.choose(["third"], root), range(seeds), "cpu", folder, root)
    list(
        bench.run_lines(bench.due(lines), "cpu", folder, 2, run, known=bench.known_runs("cpu", folder, root))
    )


@pytest.mark.parametrize(
    ("mean", "half_width", "expected"),
    [
        (0.2, 0.1, "holds"),
        (0.2, 0.2, "in part"),
        (0.05, 0.01, "in part"),
        (0.0, 0.0, "fails here"),
        (-1.0, 5.0, "fails here"),
    ],
)
def test_the_verdict_follows_from_mean_interval_and_bands(
    mean: float, half_width: float, expected: str
) -> None:
    assert ledger.verdict(mean, half_width, ">= 0.1", "<= 0") == expected
    assert ledger.verdict(-mean, half_width, "<= -0.1", ">= 0") == expected


@pytest.mark.parametrize("band", ["about 1", ">= x", "0.5", "== 1", ">= 0.1, or so", ""])
def test_a_band_is_one_comparison_with_a_number(band: str) -> None:
    with pytest.raises(Problem, match="is no band"):
        ledger.meets(1.0, band)


def test_runs_write_verdicts_and_a_control_that_agrees_decides_nothing(tmp_path: Path) -> None:
    measure(tmp_path)
    entries = ledger.update(["third"], tmp_path, ROOT)
    first, second = entries[FIRST], entries[SECOND]
    assert first["verdict"] == "holds" and first["mean"] == 3.0 and first["values"] == [3.0] * 5
    assert first["controls"][0]["verdict"] == "fails here"
    assert second["verdict"] == "not tested" and "no control" in second["note"]
    assert ledger.read(tmp_path / "claims.json") == entries
    line = read_file(tmp_path / "third-cpu.jsonl")[0]
    tests = registry.claim_tests(ROOT)
    assert line["claims"] == {key: registry.claim_digest(tests[key], ROOT) for key in (FIRST, SECOND)}


def test_four_seeds_are_not_enough(tmp_path: Path) -> None:
    measure(tmp_path, seeds=4)
    assert ledger.update(["third"], tmp_path, ROOT) == {}
    assert not (tmp_path / "claims.json").exists()


def test_a_run_that_another_benchmark_made_earlier_does_not_count(tmp_path: Path) -> None:
    lines = bench.survey(bench.choose(["demo"], ROOT), range(5), "cpu", tmp_path, ROOT)
    list(bench.run_lines(lines, "cpu", tmp_path, 2, run))
    assert bench.known_runs("cpu", tmp_path, ROOT)
    lines = bench.survey(bench.choose(["third"], ROOT), range(1), "cpu", tmp_path, ROOT)
    made: list[object] = []
    results = bench.run_lines(
        lines, "cpu", tmp_path, 1, run, deadline=0, known=bench.known_runs("cpu", tmp_path, ROOT)
    )
    made += list(results)
    assert made == [], "a line that tests a claim was filled without a run"


def changed(tree: Path, old: str, new: str) -> dict[str, str]:
    """Digests of the fake claims after an edit of their benchmark."""
    path = tree / "benchmarks" / "third.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    tests = registry.claim_tests(tree)
    return {key: registry.claim_digest(test, tree) for key, test in tests.items()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the fake package."""
    import shutil

    return Path(shutil.copytree(ROOT, tmp_path / "fake_impls"))


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ('">= 2.5"', '">= 2"', {FIRST}),
        ('{"beta": 2}', '{"beta": 3}', {FIRST, SECOND}),
        ("LEAST = 3.0", "LEAST = 2.0", {SECOND}),
        ("return -difference(runs)", "return 2 - difference(runs)", {FIRST}),
        ('runs.loc[arm, "metrics.gap_closed"]', 'runs.loc[arm, "metrics.kl_ref"]', {FIRST, SECOND}),
        ("Another docstring.", "A better docstring.", set()),
        ("Anything would do.", "A better reason.", set()),
    ],
)
def test_the_digest_covers_what_decides_and_nothing_else(
    tree: Path, old: str, new: str, touched: set[str]
) -> None:
    before = changed(tree, "LEAST", "LEAST")
    after = changed(tree, old, new)
    assert {key for key in before if before[key] != after[key]} == touched


def test_a_band_changed_afterwards_makes_its_records_stale(tree: Path, tmp_path: Path) -> None:
    measure(tmp_path / "r", root=tree)
    assert bench.due(bench.survey(bench.choose(["third"], tree), range(5), "cpu", tmp_path / "r", tree)) == []
    changed(tree, '">= 2.5"', '">= 2"')
    lines = bench.survey(bench.choose(["third"], tree), range(5), "cpu", tmp_path / "r", tree)
    assert len(bench.due(lines)) == 10
    assert "nobody2020fast/c1 was written or changed after the run" in str(lines[0].stale)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"arms": ["high", "low"]', '"arms": ["hihg", "low"]', "did you mean 'high'"),
        ('"measure": "swapped"', '"measure": "swopped"', "did you mean 'swapped'"),
        ('[{"what": "the arms swapped", "measure": "swapped"}]', "[]", "has no control"),
        ('{"what": "the arms swapped", "measure"', '{"measure"', "'what' and 'measure'"),
    ],
)
def test_a_faulty_test_is_one_sentence_with_its_place(tree: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(Problem, match=message) as caught:
        changed(tree, old, new)
    assert "third.py:" in str(caught.value)


def test_a_measure_that_is_not_finite_is_named(tmp_path: Path) -> None:
    measure(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "third-cpu.jsonl").read_text().splitlines()]
    rows[0]["metrics"]["gap_closed"] = None
    (tmp_path / "third-cpu.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(Problem, match="is nan on seed 0"):
        ledger.update(["third"], tmp_path, ROOT)


def test_the_committed_ledger_is_what_the_committed_records_say() -> None:
    tests = registry.claim_tests()
    computed = ledger.compute([test.benchmark for test in tests.values()])
    assert computed == ledger.read()
