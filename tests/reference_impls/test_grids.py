"""Settings are chosen by a small grid on seeds of its own, and the record says what it said."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
sys.path.insert(0, str(DATA))

from fake_impls.runner import ROOT, run  # noqa: E402

from reference_impls import bench, grids  # noqa: E402
from reference_impls.records import read_file  # noqa: E402
from reference_impls.registry import Problem, benchmarks, config_values  # noqa: E402
from reference_impls.registry import grids as declared  # noqa: E402


def recorded(folder: Path) -> None:
    chosen = [grids.grid_of(b) for b in bench.choose(["third"], ROOT)]
    lines = bench.survey(chosen, grids.TUNING_SEEDS, "cpu", folder / grids.FOLDER, ROOT)
    list(bench.run_lines(lines, "cpu", folder / grids.FOLDER, 1, run))


def test_every_value_is_run_for_every_arm_on_the_tuning_seeds(tmp_path: Path) -> None:
    recorded(tmp_path)
    rows = read_file(tmp_path / "grids" / "third-cpu.jsonl")
    assert {(r["arm"], r["config"]["beta"]) for r in rows} == {
        (f"{arm}, beta {value:g}", value) for arm in ("high", "low") for value in (0.5, 1, 2)
    }
    assert {r["seed"] for r in rows} == {100, 101} and all(r["claims"] == {} for r in rows)


def test_the_best_value_and_the_one_used_are_named(tmp_path: Path) -> None:
    recorded(tmp_path)
    high, low = grids.choices(benchmarks(ROOT)["third"], tmp_path, ROOT)
    assert (high.best, high.used) == (2, 2) and (low.best, low.used) == (2, 0.5)
    assert [value for value, _ in high.means] == [0.5, 1, 2]
    assert high.means[0][1] == pytest.approx(2 * 0.5 + 0.1005)


def test_an_arm_without_all_its_runs_says_nothing(tmp_path: Path) -> None:
    recorded(tmp_path)
    path = tmp_path / "grids" / "third-cpu.jsonl"
    rows = read_file(path)
    path.write_text(
        "".join(json.dumps(r) + "\n" for r in rows if (r["arm"], r["seed"]) != ("high, beta 1", 101))
    )
    assert [c.arm for c in grids.choices(benchmarks(ROOT)["third"], tmp_path, ROOT)] == ["low"]


def test_the_command_writes_them_beside_the_records_and_nothing_else(tmp_path: Path) -> None:
    program = "import sys; from fake_impls.runner import main; main(*sys.argv[1:])"
    words = ["bench", "third", "--grid", "--device", "cpu", "--jobs", "1", "--out", str(tmp_path), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env={"PYTHONPATH": str(DATA)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["written"] == 12 and summary["verdicts"] == {}
    assert [(c["arm"], c["best"], c["used"]) for c in summary["choices"]] == [("high", 2, 2), ("low", 2, 0.5)]
    assert [p.name for p in tmp_path.rglob("*.jsonl")] == ["third-cpu.jsonl"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[0.5, 1, 2]", "[0.5, 1, 2, 3, 4]", "two to four"),
        ("[0.5, 1, 2]", "[0.5, 0.5]", "two to four"),
        ('"arms": ["high", "low"], "setting"', '"arms": ["hihg"], "setting"', "did you mean 'high'"),
        (
            '"arms": ["high", "low"], "setting"',
            '"arms": ["high", "low"], "best": "least", "setting"',
            "'highest'",
        ),
        ('"setting": "beta"', '"seting": "beta"', "did you mean 'setting'"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_line(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    root = tmp_path / "fake_impls"
    shutil.copytree(ROOT, root)
    path = root / "benchmarks" / "third.py"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(Problem, match=said) as caught:
        declared(benchmarks(root)["third"])
    assert "third.py:12" in str(caught.value)


def test_every_grid_on_the_shelf_holds_the_value_used() -> None:
    for benchmark in benchmarks().values():
        arms = {arm.arm: arm for arm in benchmark.arms}
        for grid in declared(benchmark):
            for name in grid.arms:
                used = config_values(arms[name].method, arms[name].set)[grid.setting]
                assert used in grid.values, (benchmark.key, name, used)
        assert {c.arm for c in grids.choices(benchmark)} <= {a for g in declared(benchmark) for a in g.arms}
