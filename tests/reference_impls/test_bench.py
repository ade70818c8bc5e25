"""The matrix is run once, survives what can happen to it, and notices what no longer holds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
sys.path.insert(0, str(DATA))

from fake_impls.runner import ROOT, run  # noqa: E402

from reference_impls import bench  # noqa: E402
from reference_impls.jobs import Job, run_jobs  # noqa: E402
from reference_impls.records import read_file, read_records  # noqa: E402
from reference_impls.registry import Problem  # noqa: E402


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the fake runner notes what it ran."""
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def matrix(folder: Path, names: Sequence[str] = ("demo",), seeds: int = 2, **how: bool) -> list[bench.Result]:
    lines = bench.survey(bench.choose(names, ROOT), range(seeds), "cpu", folder, ROOT)
    known = bench.known_runs("cpu", folder, ROOT)
    return list(bench.run_lines(bench.due(lines, **how), "cpu", folder, 2, run, known=known))


def command(*arguments: str) -> list[str]:
    program = "import sys; from fake_impls.runner import main; main(*sys.argv[1:])"
    return [sys.executable, "-c", program, *arguments]


def start(folder: Path, *arguments: str, delay: float = 0.0) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(DATA), "FAKE_DELAY": str(delay)}
    words = command("bench", "--device", "cpu", "--jobs", "2", "--out", str(folder), *arguments)
    pipe = subprocess.PIPE
    # A test run in the background of a shell ignores SIGINT, and so would the child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_each_distinct_run_is_made_once_and_fills_every_line(tmp_path: Path, log: Path) -> None:
    matrix(tmp_path / "r", ["fast-things"])
    runs = [line.split()[1:] for line in log.read_text().splitlines()]
    assert len(runs) == 6 and len({tuple(r) for r in runs}) == 6
    demo = read_file(tmp_path / "r" / "demo-cpu.jsonl")
    arms = ["slow", "default", "default again"]
    assert [(r["arm"], r["seed"]) for r in demo] == [(arm, seed) for arm in arms for seed in (0, 1)]
    assert [r["oracle"] for r in demo[2:4]] == [True, True] and demo[2]["metrics"] == demo[4]["metrics"]
    assert len(read_file(tmp_path / "r" / "second-cpu.jsonl")) == 4


def test_a_run_that_another_benchmark_has_made_is_copied(tmp_path: Path, log: Path) -> None:
    matrix(tmp_path / "r", ["demo"], seeds=1)
    log.unlink()
    matrix(tmp_path / "r", ["second"], seeds=1)
    assert [line.split()[3] for line in log.read_text().splitlines()] == ["6"]
    assert [r["oracle"] for r in read_file(tmp_path / "r" / "second-cpu.jsonl")] == [False, False]


def test_nothing_current_is_run_again(tmp_path: Path, log: Path) -> None:
    matrix(tmp_path / "r")
    log.unlink()
    assert matrix(tmp_path / "r") == [] and not log.exists()


def test_missing_runs_come_first_then_the_oldest_that_are_out_of_date(tmp_path: Path) -> None:
    matrix(tmp_path / "r", seeds=3)
    path = tmp_path / "r" / "demo-cpu.jsonl"
    rows = read_file(path)
    rows[0]["config_digest"], rows[0]["date"] = "other", "2026-02-02"
    rows[4]["stale"], rows[4]["date"] = "its canary moved", "2026-01-01"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows if (r["arm"], r["seed"]) != ("slow", 2)))
    lines = bench.survey(bench.choose(["demo"], ROOT), range(3), "cpu", tmp_path / "r", ROOT)
    assert [line.name for line in bench.due(lines)] == [
        "demo: slow, seed 2",
        "demo: default, seed 1",
        "demo: slow, seed 0",
    ]
    assert [line.name for line in bench.due(lines, missing_only=True)] == ["demo: slow, seed 2"]
    assert len(bench.due(lines, redo=True)) == 9
    matrix(tmp_path / "r", seeds=3)
    assert all("stale" not in r and r["config_digest"] != "other" for r in read_file(path))


def test_a_paper_calls_what_tests_its_claims_and_runs_its_methods() -> None:
    assert [b.key for b in bench.choose(["nobody2020fast"], ROOT)] == ["demo", "second", "third"]


def test_only_the_runs_with_a_method_s_own_settings(tmp_path: Path) -> None:
    words = ["demo", "second", "--defaults", "--seeds", "1", "--json"]
    summary = json.loads(start(tmp_path / "r", *words).communicate(timeout=60)[0])
    assert summary["written"] == 3 and summary["left"] == 0
    rows = read_records(tmp_path / "r")
    assert {(r["benchmark"], r["arm"]) for r in rows} == {
        ("demo", "default"),
        ("demo", "default again"),
        ("second", "the default"),
    }


def test_another_arithmetic_is_allowed_to_drift_but_not_to_be_wrong() -> None:
    one, other = ({"canary": {"arithmetic": name}} for name in ("a", "b"))
    assert bench.alike(one, one) and not bench.alike(one, other)
    assert not bench.alike({"canary": {}}, {"canary": {}}) and not bench.alike({"canary": {}}, one)
    recorded, now = {"gap_closed": 0.8, "kl_ref": 2.0}, {"gap_closed": 0.81, "kl_ref": 1.0}
    assert [name for name, _, _ in bench.moved(recorded, now)] == ["gap_closed", "kl_ref"]
    assert [name for name, _, _ in bench.moved(recorded, now, same_arithmetic=False)] == ["kl_ref"]


def test_a_benchmark_for_a_gpu_asks_nothing_of_a_cpu(tmp_path: Path) -> None:
    only = [replace(b, devices=("cuda",)) for b in bench.choose(["demo"], ROOT)]
    assert bench.survey(only, range(2), "cpu", tmp_path, ROOT) == []
    assert len(bench.survey(only, range(2), "cuda", tmp_path, ROOT)) == 6


def test_no_run_is_started_when_the_time_is_up(tmp_path: Path, log: Path) -> None:
    lines = bench.survey(bench.choose(["demo"], ROOT), range(1), "cpu", tmp_path, ROOT)
    assert list(bench.run_lines(lines, "cpu", tmp_path, 1, run, deadline=time.monotonic())) == []
    assert not log.exists()
    done = start(tmp_path / "r", "--budget", "0.5s", "--json", delay=0.6).communicate(timeout=60)[0]
    summary = json.loads(done)
    assert summary["left"] > 0 and summary["written"] + summary["left"] == 35


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("8m", 480), ("1.5h", 5400), ("x", 0), ("", 0), ("-1m", 0)]
)
def test_budgets(text: str, seconds: float) -> None:
    if seconds:
        assert bench.seconds(text) == seconds
    else:
        with pytest.raises(Problem, match="is no duration"):
            bench.seconds(text)


def test_a_wrong_name_is_one_sentence() -> None:
    with pytest.raises(Problem, match="There is no benchmark, category or paper 'dem'; did you mean 'demo'"):
        bench.choose(["dem"], ROOT)


def test_a_failing_or_dying_run_is_named_and_the_others_go_on() -> None:
    moods = ["well", "raise", "die", "well", "diverge", "die", "well"]
    jobs = [Job("fast", seed, config_set={"mood": mood}) for seed, mood in enumerate(moods)]
    done = {number: (record, error) for number, record, error in run_jobs(jobs, 2, run)}
    assert [number for number, (record, _) in sorted(done.items()) if record] == [0, 3, 6]
    assert done[1][1] == "no such thing" and done[4][1] == "the loss became nan"
    assert done[2][1] == done[5][1] == "the worker process died (exit code 3)"


def test_a_run_killed_from_outside_is_named(log: Path) -> None:
    running = run_jobs([Job("fast", 0, config_set={"delay": 60}), Job("fast", 1)], 2, run)
    assert next(running)[0] == 1
    wait_for(lambda: len(log.read_text().splitlines()) == 2)
    os.kill(next(int(line.split()[0]) for line in log.read_text().splitlines() if line.endswith(" 0")), 9)
    assert next(running) == (0, None, "the worker process died (SIGKILL)")


def test_kill_minus_nine_loses_only_the_runs_in_flight(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "r"
    parent = start(folder, delay=0.4)
    wait_for(lambda: len(read_records(folder)) >= 3)
    parent.kill()
    parent.communicate()
    kept = read_records(folder)
    started = log.read_text().splitlines()
    distinct = len({(r["config_digest"], r["bed_digest"], r["seed"]) for r in kept})
    assert len(started) - distinct <= 2
    wait_for(lambda: not any(alive(int(line.split()[0])) for line in started), 10)
    log.unlink()
    output = start(folder, "--json").communicate(timeout=60)[0]
    summary = json.loads(output)
    assert summary["failed"] == [] and summary["left"] == 0 and len(read_records(folder)) == 35
    # A line with claims is not filled from a run that was made for another line before, so it may run once more.
    assert len(log.read_text().splitlines()) - (15 - distinct) in (0, 1)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_polite_interrupt_keeps_what_is_done_and_leaves_no_worker(
    tmp_path: Path, log: Path, name: str
) -> None:
    folder = tmp_path / "r"
    parent = start(folder, delay=0.4)
    wait_for(lambda: len(read_records(folder)) >= 1)
    parent.send_signal(getattr(signal, name))
    errors = parent.communicate(timeout=20)[1]
    assert parent.returncode == 130 and "Traceback" not in errors and "Stopped" in errors
    pids = [int(line.split()[0]) for line in log.read_text().splitlines()]
    wait_for(lambda: not any(map(alive, pids)), 10)
    assert read_records(folder)


def test_canaries_that_moved_are_reported_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "r"
    matrix(folder)

    def canaries() -> list[bench.CanaryResult]:
        lines = bench.survey(bench.choose(["demo"], ROOT), range(2), "cpu", folder, ROOT)
        return list(bench.run_canaries(lines, "cpu", 2, run))

    assert all(not result.moved and not result.error for result in canaries())
    monkeypatch.setenv("FAKE_SHIFT", "0.0015")
    moved = {result.lines[0].arm.arm: result for result in canaries() if result.moved}
    assert set(moved) == {"default"}, "4.0 may move by 0.004, 1.0 only by 0.001"
    assert moved["default"].moved[0][0] == "gap_closed" and len(moved["default"].lines) == 2
    for result in canaries():
        bench.mark(result, "cpu", folder)
    stale = [r["arm"] for r in read_file(folder / "demo-cpu.jsonl") if "stale" in r]
    assert stale == ["default", "default", "default again", "default again"]
    monkeypatch.delenv("FAKE_SHIFT")
    for result in canaries():
        bench.mark(result, "cpu", folder)
    assert all("stale" not in r for r in read_file(folder / "demo-cpu.jsonl"))


def test_canaries_from_elsewhere_are_made_anew_only_where_they_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "r"
    matrix(folder, seeds=3)
    path = folder / "demo-cpu.jsonl"
    before = path.read_bytes()
    monkeypatch.setenv("FAKE_ARITHMETIC", "there")

    def mark(renew: bool) -> None:
        lines = bench.survey(bench.choose(["demo"], ROOT), range(2), "cpu", folder, ROOT)
        for result in bench.run_canaries(lines, "cpu", 2, run):
            assert result.elsewhere
            bench.mark(result, "cpu", folder, renew)

    mark(renew=False)
    monkeypatch.setenv("FAKE_SHIFT", "3")
    mark(renew=True)
    assert path.read_bytes() == before, "too far off to be drift"
    monkeypatch.setenv("FAKE_SHIFT", "0.01")
    mark(renew=True)
    renewed = {r["seed"]: r["canary"] for r in read_file(path) if r["arm"] == "default"}
    assert [renewed[seed]["arithmetic"] for seed in range(3)] == ["there", "there", "here"]
    assert renewed[0]["gap_closed"] == pytest.approx(renewed[2]["gap_closed"] - 0.002 + 0.01)


@pytest.mark.parametrize(
    ("old", "new", "agree"),
    [(1.0, 1.0009, True), (1.0, 1.002, False), (0.0, 0.00009, True), (None, None, True), (None, 0.0, False)],
)
def test_what_counts_as_moved(old: float | None, new: float | None, agree: bool) -> None:
    assert bench.close(old, new) is agree
