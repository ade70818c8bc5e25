"""What the museum's bugs do to learning: the same run on the exact bed without and with each of them.

``rlhf museum --commit`` makes the runs (instance and seed 0, default settings unless the bug needs others to act) and
records the share of the gap in J that is closed, or for a study the measure that moved most.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from reference_impls import museum, registry
from reference_impls.jobs import run_jobs
from reference_impls.records import RECORDS, rounded, write_text

RECORD = RECORDS / "museum-effects.json"
SEED = 0
ACTS_IN: dict[str, tuple[str, dict[str, object]]] = {
    "grpo-advantage-over-the-batch": ("grpo", {}),
    "whiten-bracket": ("ppo", {"whiten": True}),
    "whiten-mean-over-padding": ("reinforce-plus-plus", {}),
    "reward-for-return": ("ppo", {}),
    "kl-k3-reversed": ("grpo", {}),
    "kl-k1-reversed": ("reinforce-mean", {}),
    "kl-clamped-at-zero": ("reinforce-mean", {}),
    "irl-thresholded-accuracy": ("irl-max-margin", {}),
    "grpo-and-cispo-exchanged": ("cispo", {}),
    "confidence-warm-up-jumps": ("weak-to-strong-confidence", {}),
    "volume-removal-reversed": ("active-volume-removal", {}),
    "kl-on-recorded-answers": ("a-lol", {}),
}
"""Method and settings in which a bug of shared code, or of a setting that is off by default, makes itself felt."""

Effect = dict[str, Any]
Task = tuple[str, tuple[tuple[str, object], ...], str | None]
"""Method, settings, and the key of a bug or None."""


def task_of(bug: museum.Bug) -> Task:
    """The run that shows a bug: the method of its module that it is named after, or else the first.

    :data:`ACTS_IN` may name another. Raises Problem for a bug of shared code without an entry there.
    """
    methods = [key for key, facts in registry.methods().items() if facts.module == bug.module]
    methods.sort(key=lambda key: not bug.key.startswith(f"{key}-"))
    method, settings = ACTS_IN.get(bug.key, (methods[0] if methods else "", {}))
    if not method:
        raise registry.Problem(f"{bug.key} is in no method's module: name one in effects.ACTS_IN.")
    return method, tuple(sorted(settings.items())), bug.key


def bugged_module(method: str, bug: museum.Bug) -> ModuleType:
    """The method's module with the bug in it, or in the shared functions that it calls."""
    from reference_impls.mutants import build_module, compiled, module_source

    name = registry.find_method(method).module
    mutated = museum.with_bug(bug)
    if name == bug.module:
        return mutated
    module = build_module(name, compiled(museum.without_facts(module_source(name)), name))
    real = importlib.import_module(bug.module)
    for shared, value in vars(mutated).items():
        if callable(value) and getattr(module, shared, None) is getattr(real, shared, object()):
            setattr(module, shared, value)
    return module


def run(task: Task) -> dict[str, float | None]:
    """Metrics of one run on one thread."""
    import torch

    from reference_impls.harness import run_method

    torch.set_num_threads(1)
    method, settings, key = task
    bug = next((bug for bug in museum.bugs() if bug.key == key), None)
    module = bugged_module(method, bug) if bug else None
    record = run_method(method, seed=SEED, config_set=dict(settings), module=module)
    found: dict[str, float | None] = dict(record["metrics"])  # type: ignore[call-overload]
    return found


def choose(keys: Sequence[str] = ()) -> list[museum.Bug]:
    """The bugs with these keys, or all of them. Raises Problem for an unknown one."""
    known = {bug.key: bug for bug in museum.bugs()}
    for key in keys:
        if key not in known:
            raise registry.Problem(f"There is no bug {key!r}{registry.did_you_mean(key, known)}")
    return [bug for key, bug in known.items() if not keys or key in keys]


def compute(
    bugs: Sequence[museum.Bug], workers: int, progress: Callable[[str, int, int], None] | None = None
) -> list[Effect]:
    """The effect of each bug. A run that fails is an effect too: its error is recorded."""
    tasks = [task_of(bug) for bug in bugs]
    tasks = list(dict.fromkeys([(method, settings, None) for method, settings, _ in tasks] + tasks))
    found: dict[Task, dict[str, float | None] | str] = {}
    for number, metrics, error in run_jobs(tasks, workers, run):
        found[tasks[number]] = metrics if metrics is not None else str(error)
        if progress is not None:
            progress("runs", len(found), len(tasks))
    return [
        effect(bug, task, found[task[0], task[1], None], found[task])
        for bug in bugs
        if (task := task_of(bug))
    ]


def effect(
    bug: museum.Bug,
    task: Task,
    plain: Mapping[str, float | None] | str,
    bugged: Mapping[str, float | None] | str,
) -> Effect:
    """What a bug changed: ``without`` and ``with`` of one ``metric``, or the ``error`` that it ends in."""
    told: Effect = {"key": bug.key, "method": task[0], "settings": dict(task[1]), "seed": SEED}
    if isinstance(plain, str):
        raise registry.Problem(f"{task[0]} does not run without the bug either: {plain}")
    if isinstance(bugged, str):
        return {**told, "error": bugged}
    both = {m: (a, b) for m, a in plain.items() if a is not None and (b := bugged.get(m)) is not None}
    metric = "gap_closed" if "gap_closed" in both else max(both, key=lambda m: _moved(*both[m]))
    without, with_bug = both[metric]
    return {**told, **rounded({"metric": metric, "without": without, "with": with_bug})}


def _moved(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-9)


def read(path: Path = RECORD) -> list[Effect]:
    """The effects on record; empty if none was recorded."""
    if not path.is_file():
        return []
    record: list[Effect] = json.loads(path.read_text(encoding="utf-8"))
    return record


def write(effects: Sequence[Effect], path: Path = RECORD) -> None:
    """Put effects on record, a line each, beside those of other bugs; of bugs that are gone nothing is kept."""
    known = {one["key"]: one for one in [*read(path), *effects]}
    kept = [known[bug.key] for bug in museum.bugs() if bug.key in known]
    lines = ",\n ".join(json.dumps(one, ensure_ascii=False) for one in kept)
    write_text(path, f"[\n {lines}\n]\n")
