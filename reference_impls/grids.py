"""How the settings of a comparison were chosen: one small grid for all of it, on seeds used for nothing else.

A benchmark's ``GRIDS`` literal names arms, a setting and at most four values. ``rlhf bench --grid --commit`` runs
them on seeds 100 and 101 and keeps the records in ``records/grids``. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from reference_impls.records import RECORDS, Record, read_file, record_path, staleness
from reference_impls.registry import ROOT, Arm, Benchmark, Grid, config_values, grids

FOLDER = "grids"
TUNING_SEEDS = (100, 101)


@dataclass(frozen=True)
class Choice:
    """What the grid said about one arm: the mean of its measure for each value, best and used value."""

    arm: str
    setting: str
    measure: str
    means: tuple[tuple[float, float], ...]
    best: float
    used: float


def grid_of(benchmark: Benchmark) -> Benchmark:
    """The same benchmark with an arm for every value of every grid, and no other."""
    known = {arm.arm: arm for arm in benchmark.arms}
    arms = [
        _tried(known[name], grid, value)
        for grid in grids(benchmark)
        for name in grid.arms
        for value in grid.values
    ]
    return replace(benchmark, arms=tuple(arms))


def _tried(arm: Arm, grid: Grid, value: float) -> Arm:
    return replace(arm, arm=f"{arm.arm}, {grid.setting} {value:g}", set={**arm.set, grid.setting: value})


def choices(benchmark: Benchmark, folder: Path = RECORDS, root: Path = ROOT) -> list[Choice]:
    """What the grids of a benchmark said, arm by arm; an arm without all its records is left out."""
    records = read_file(record_path(folder / FOLDER, benchmark.key, "cpu"))
    known = {arm.arm: arm for arm in benchmark.arms}
    found = []
    for grid in grids(benchmark):
        for name in grid.arms:
            tried = {value: _tried(known[name], grid, value) for value in grid.values}
            means = tuple((value, _mean(records, arm, grid, root)) for value, arm in tried.items())
            if all(math.isfinite(mean) for _, mean in means):
                sign = 1 if grid.best == "highest" else -1
                best = max(means, key=lambda pair: sign * pair[1])[0]
                used = float(config_values(known[name].method, known[name].set, root)[grid.setting])
                found.append(Choice(name, grid.setting, grid.measure, means, best, used))
    return found


def _mean(records: Iterable[Record], arm: Arm, grid: Grid, root: Path) -> float:
    """Mean of the measure over the tuning seeds; not a number unless all of them are there and current."""
    part, _, name = grid.measure.partition(".")
    own = [r for r in records if r["arm"] == arm.arm and staleness(r, arm, root) is None]
    if {r["seed"] for r in own} != set(TUNING_SEEDS):
        return math.nan
    values = [r[part].get(name) for r in own]
    return math.nan if None in values else math.fsum(values) / len(values)
