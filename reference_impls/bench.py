"""The matrix of benchmarks: which runs are due, running them, keeping what they measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reference_impls.jobs import Job, execute, run_jobs
from reference_impls.records import (
    Record,
    RunKey,
    device_kind,
    expected_key,
    read_file,
    record_path,
    run_key,
    staleness,
    upsert,
)
from reference_impls.registry import (
    ROOT,
    Arm,
    Benchmark,
    Problem,
    benchmarks,
    claim_digests,
    claim_tests,
    did_you_mean,
    methods,
)

RELATIVE, FLOOR = 1e-3, 1e-4
ELSEWHERE_RELATIVE, ELSEWHERE_FLOOR = 0.25, 0.1
"""On a processor that rounds otherwise than the one a record was made on, fits and draws drift apart."""
MAY_DRIFT = 0.1
"""Share of the canaries from elsewhere that may still move by more than that: some trainings are chaotic."""
LONG = 2.0
"""Seconds."""


@dataclass(frozen=True)
class Line:
    """One line that a record file should have, and the record that stands there now."""

    benchmark: Benchmark
    arm: Arm
    seed: int
    key: RunKey
    record: Record | None
    stale: str | None
    claims: Mapping[str, str] = field(default_factory=dict)
    """The claims that the run is evidence for, with the digests of their tests before it starts."""

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.benchmark.key}: {self.arm.arm}, seed {self.seed}"


@dataclass(frozen=True)
class Result:
    """What became of a run: the lines it fills, or the sentence that says why it failed."""

    lines: tuple[Line, ...]
    record: Record | None
    error: str | None


def choose(names: Sequence[str], root: Path = ROOT) -> list[Benchmark]:
    """The benchmarks called by their key, by a category or by a paper; all of them without a name.

    A paper calls those that test its claims and those that run its methods with their own settings.
    """
    known = benchmarks(root)
    called = {key: {key, *benchmark.categories} for key, benchmark in known.items()}
    if set(names) - set().union(*called.values()):
        for claim, test in claim_tests(root).items():
            called[test.benchmark].add(claim.partition("/")[0])
        papers = {key: facts.paper for key, facts in methods(root).items()}
        for key, benchmark in known.items():
            called[key] |= {papers[arm.method] for arm in benchmark.arms if is_default(arm, root)}
    for name in names:
        if not any(name in own for own in called.values()):
            every = set().union(*called.values())
            raise Problem(f"There is no benchmark, category or paper {name!r}{did_you_mean(name, every)}")
    return [b for key, b in known.items() if not names or called[key] & set(names)]


def survey(
    chosen: Iterable[Benchmark], seeds: Iterable[int], device: str, folder: Path, root: Path = ROOT
) -> list[Line]:
    """Every line that the chosen benchmarks should have for these seeds on this kind of device."""
    seeds = tuple(seeds)
    lines = []
    for benchmark in (b for b in chosen if device_kind(device) in b.devices):
        path = record_path(folder, benchmark.key, device)
        present = {(r["arm"], r["seed"]): r for r in read_file(path)}
        claims = claim_digests(benchmark.key, root)
        for arm in benchmark.arms:
            for seed in seeds:
                record = present.get((arm.arm, seed))
                stale = None if record is None else staleness(record, arm, root)
                key, tests = expected_key(arm, seed, root), claims.get(arm.arm, {})
                lines.append(Line(benchmark, arm, seed, key, record, stale, tests))
    return lines


def is_default(arm: Arm, root: Path = ROOT) -> bool:
    """Whether an arm runs its method with the method's own settings, on the bed that the method asks for."""
    return expected_key(arm, 0, root) == expected_key(Arm(arm.arm, arm.method), 0, root)


def due(lines: Iterable[Line], missing_only: bool = False, redo: bool = False) -> list[Line]:
    """The lines to run: those that are not there, then (oldest first) those that are out of date."""
    wanted = [
        line for line in lines if line.record is None or redo or (line.stale is not None and not missing_only)
    ]
    return sorted(wanted, key=lambda line: line.record["date"] if line.record else "")


def run_lines(
    lines: Iterable[Line],
    device: str,
    folder: Path,
    workers: int,
    runner: Callable[[Job], Record] = execute,
    deadline: float = float("inf"),
    known: Mapping[RunKey, Record] | None = None,
) -> Iterator[Result]:
    """Run what the lines need, each distinct run once, and write every line as soon as its run ends.

    ``known`` holds runs that need no repeating, except for a line that tests a claim: its run comes after the
    test was written.
    """
    known = known or {}
    groups = []
    for group in _by_run(lines):
        if group[0].key in known and not any(line.claims for line in group):
            yield _keep(group, known[group[0].key], device, folder)
        else:
            groups.append(group)
    todo = [_job(group[0], device) for group in groups]
    for number, record, error in run_jobs(todo, workers, runner, deadline):
        group = groups[number]
        if record is None:
            yield Result(tuple(group), None, error)
        elif run_key(record) != group[0].key:
            yield Result(tuple(group), None, "the run used other settings than its benchmark asks for")
        else:
            yield _keep(group, record, device, folder)


def _by_run(lines: Iterable[Line]) -> list[list[Line]]:
    """Lines that the same run fills, in the order of their first."""
    groups: dict[RunKey, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.key, []).append(line)
    return list(groups.values())


def _job(line: Line, device: str, canary_only: bool = False) -> Job:
    return Job(line.arm.method, line.seed, device, "exact", line.arm.set, line.arm.bed_set, canary_only)


def _keep(group: Sequence[Line], record: Record, device: str, folder: Path) -> Result:
    for line in group:
        labels = {"benchmark": line.benchmark.key, "arm": line.arm.arm, "oracle": line.arm.oracle}
        whole = {**record, **labels, "claims": dict(line.claims)}
        whole.pop("stale", None)
        path = record_path(folder, line.benchmark.key, device)
        upsert(path, [whole], [arm.arm for arm in line.benchmark.arms])
    return Result(tuple(group), record, None)


def known_runs(device: str, folder: Path, root: Path = ROOT) -> dict[RunKey, Record]:
    """The current records of every benchmark on this kind of device, by what was run."""
    found = {}
    for benchmark in benchmarks(root).values():
        arms = {arm.arm: arm for arm in benchmark.arms}
        for record in read_file(record_path(folder, benchmark.key, device)):
            if record["arm"] in arms and staleness(record, arms[record["arm"]], root) is None:
                found[run_key(record)] = record
    return found


@dataclass(frozen=True)
class CanaryResult:
    """One canary: the numbers that moved (name, recorded, now), what it gives now, or why it did not run."""

    lines: tuple[Line, ...]
    moved: tuple[tuple[str, object, object], ...]
    error: str | None
    elsewhere: bool = False
    """Whether the record's was made by arithmetic that rounds otherwise, or by unknown arithmetic."""
    now: Mapping[str, object] = field(default_factory=dict)


def run_canaries(
    lines: Iterable[Line],
    device: str,
    workers: int,
    runner: Callable[[Job], Record] = execute,
    deadline: float = float("inf"),
) -> Iterator[CanaryResult]:
    """Repeat the first updates of every record and say which numbers came out otherwise."""
    recorded = [line for line in lines if line.record is not None and not _whole_run_again(line)]
    for line in recorded:
        if line.record and run_key(line.record) != line.key:
            yield CanaryResult((line,), (), f"{line.stale}; run bench again")
    groups = _by_run(line for line in recorded if line.record and run_key(line.record) == line.key)
    todo = [_job(group[0], device, canary_only=True) for group in groups]
    for number, record, error in run_jobs(todo, workers, runner, deadline):
        group = groups[number]
        before = group[0].record
        if before is None or record is None:
            yield CanaryResult(tuple(group), (), error)
            continue
        same = alike(before, record)
        changed = tuple(moved(before["canary"], record["canary"], same))
        yield CanaryResult(tuple(group), changed, error, not same, record["canary"])


def _whole_run_again(line: Line) -> bool:
    """A method without steps has no early end: its canary is the whole run, and one seed of a long one will do."""
    record = line.record or {}
    long = record["cost"].get("seconds", 0) > LONG and not record["config"].get("steps")
    return long and line.seed > 0


def mark(result: CanaryResult, device: str, folder: Path, renew: bool = False) -> None:
    """Write into the records whether their canary moved, for pages to show and ``bench`` to run again.

    Canaries from elsewhere prove nothing exact. With ``renew`` this machine's take the place of those that agree as
    far as drift allows, so that later ones can be compared strictly.
    """
    if result.error is not None or (result.elsewhere and (result.moved or not renew)):
        return
    names = ", ".join(name for name, _, _ in result.moved)
    for line in result.lines:
        if line.record is not None:
            record = {name: value for name, value in line.record.items() if name != "stale"}
            if names:
                record["stale"] = f"after 20 updates today's code gives another {names}"
            elif result.elsewhere:
                record["canary"] = dict(result.now)
            path = record_path(folder, line.benchmark.key, device)
            upsert(path, [record], [arm.arm for arm in line.benchmark.arms])


def alike(one: Record, other: Record) -> bool:
    """Whether the canaries of two records were made by arithmetic that is known and rounds alike."""
    here, there = (record["canary"].get("arithmetic") for record in (one, other))
    return here is not None and here == there


def moved(
    recorded: Mapping[str, object], now: Mapping[str, object], same_arithmetic: bool = True
) -> Iterator[tuple[str, object, object]]:
    """The names whose values differ by more than one part in a thousand; elsewhere by more than drift explains."""
    for name in (name for name in {**recorded, **now} if name != "arithmetic"):
        old, new = recorded.get(name), now.get(name)
        if not close(old, new, same_arithmetic):
            yield name, old, new


def close(old: object, new: object, same_arithmetic: bool = True) -> bool:
    """Whether two values agree to a part in a thousand, or to 1e-4; ``None`` agrees with itself.

    On other arithmetic a quarter, or a tenth in absolute terms, is allowed.
    """
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return old == new
    relative, floor = (RELATIVE, FLOOR) if same_arithmetic else (ELSEWHERE_RELATIVE, ELSEWHERE_FLOOR)
    return abs(new - old) <= max(floor, relative * abs(old))


def seconds(text: str) -> float:
    """A duration such as ``90``, ``90s``, ``8m`` or ``1.5h`` in seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = -1
    if not 0 < value < float("inf"):
        raise Problem(f"{text!r} is no duration; write for instance 90s, 8m or 1h.")
    return value


def deadline_of(budget: str | None) -> float:
    """The moment, on the clock of ``time.monotonic``, after which no run is started."""
    return float("inf") if budget is None else time.monotonic() + seconds(budget)
