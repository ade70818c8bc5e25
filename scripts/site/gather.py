"""Reads the repository once and returns the `Atlas`: the only part of the site that knows its layout."""

from __future__ import annotations

import importlib.util
import math
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pandas as pd

from reference_impls import contract_record, effects, grids, museum, reductions, registry, truth_tables
from reference_impls import records as run_records
from reference_impls.benchmarks.summary import half_width, shown
from scripts.catalog.evidence import claim_standings, run_but_for_seed
from scripts.catalog.export import FORMATS, export
from scripts.catalog.load import load
from scripts.catalog.model import CatalogueError
from scripts.catalog.query import Query

from .model import (
    YARDSTICKS,
    Atlas,
    Benchmark,
    Check,
    Contract,
    GpuNote,
    Method,
    MuseumPiece,
    Provenance,
    Results,
    Table,
)
from .source import DeclaredCheck, DeclaredContract, read_contract, read_source

Found = TypeVar("Found")
Record = dict[str, Any]
Runs = dict[tuple[str, str], list[Record]]
HEADLINES = ("gap_closed", "target_gap", "kl_efficiency", "gold_reward")
NO_SHARE = 1000.0
"""A yardstick this far from 0 is a quotient by almost nothing, as for a method whose optimum is the reference."""
SIGNED_ZERO = re.compile(r"(?<![\w.)])[-+−](?=0(?:\.0+)?(?![\d.]*\d))")
HYPHEN = re.compile(r"(?<![\w.)])-(?=\d)")


def gather(root: Path, repository: str = "") -> Atlas:
    """Everything under `root` that pages show. What cannot be read is listed in `problems`."""
    problems: list[str] = []
    implementations = root / "reference_impls"
    catalogue = load(root)
    runs = _runs(implementations / "records", problems)
    contracts = _contracts(implementations, root, problems)
    facts = _attempt(lambda: registry.methods(implementations), problems) or {}
    declared = _attempt(lambda: registry.benchmarks(implementations), problems) or {}

    def table(record: Path) -> truth_tables.TruthTable | None:
        return _attempt(lambda: truth_tables.read(implementations / "records" / record.name), problems)

    return Atlas(
        branches=catalogue.branches,
        categories=catalogue.categories,
        papers=catalogue.papers,
        methods={key: _method(fact, root, contracts, runs) for key, fact in facts.items()},
        benchmarks={key: _benchmark(b, root, runs, problems) for key, b in declared.items()},
        contracts=contracts,
        kl_table=table(truth_tables.KL_ESTIMATORS),
        gradient_table=table(truth_tables.GRADIENTS),
        same_name=table(truth_tables.SAME_NAME),
        reductions=tuple(
            _attempt(lambda: reductions.read(implementations / "records" / reductions.RECORD.name), problems)
            or ()
        ),
        claims=_attempt(lambda: claim_standings(catalogue), problems) or {},
        simulators=_attempt(lambda: registry.simulators(implementations), problems) or {},
        exports=_attempt(lambda: _exports(Query(catalogue)), problems) or {},
        home=_text(root / "docs" / "index.md"),
        repository=repository,
        problems=tuple(problems),
    )


def _exports(query: Query) -> dict[str, str]:
    """The files of the data page."""
    suffixes = {"schema": "schema.json", "csl": "csl.json"}
    whole = {
        f"rlhf-atlas.{suffixes.get(form, form)}": export(query, form) for form in FORMATS if form != "atom"
    }
    parts = {f"{key}.bib": export(query, "bib", key) for key in query.catalogue.categories}
    return {
        **whole,
        "feed.xml": export(query, "atom"),
        **{name: text for name, text in parts.items() if text},
    }


def _runs(folder: Path, problems: list[str]) -> Runs:
    """Records by benchmark and kind of device, as their files are named."""
    found: Runs = {}
    for path in sorted(folder.glob("*.jsonl")):
        benchmark, _, kind = path.stem.rpartition("-")
        found[benchmark, kind] = _attempt(partial(run_records.read_file, path), problems) or []
    return found


def _method(facts: registry.MethodFacts, root: Path, contracts: Mapping[str, Contract], runs: Runs) -> Method:
    path = facts.path.relative_to(root).as_posix()
    own = [(kind, r) for (_, kind), records in runs.items() for r in records if r["method"] == facts.key]
    return Method(
        key=facts.key,
        name=facts.name,
        paper=facts.paper,
        category=facts.category,
        provenance=facts.provenance,
        feedback=tuple(facts.feedback),
        needs=tuple(facts.needs),
        target=facts.target or "",
        yields=facts.yields,
        preset=facts.preset,
        knob=facts.knob or {},
        dimensions=facts.dimensions,
        counterparts=tuple(facts.counterparts),
        module=facts.module,
        source=read_source(path, _text(facts.path)),
        contract=contracts.get(facts.module),
        results=_method_results(own),
    )


def _method_results(runs: list[tuple[str, Record]]) -> Table | None:
    """One line per benchmark, arm and kind of device: the mean of each yardstick over seeds."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for kind, record in runs:
        groups.setdefault((record["benchmark"], record["arm"], kind), []).append(record)
    shown = [name for name in YARDSTICKS if any(r["metrics"].get(name) is not None for _, r in runs)]
    rows = tuple(
        (
            benchmark,
            arm + (" (oracle)" if group[0]["oracle"] else ""),
            kind,
            str(len(group)),
            *(_interval([r["metrics"].get(name) for r in group]) for name in shown),
        )
        for (benchmark, arm, kind), group in groups.items()
    )
    return Table(("benchmark", "arm", "device", "seeds", *shown), rows) if rows else None


def _interval(values: list[float | None]) -> str:
    """Mean and half the width of its 95 % interval; a dash where a share was taken of nothing."""
    known = pd.Series([value for value in values if value is not None], dtype=float)
    mean = float(known.mean())
    return "–" if abs(mean) >= NO_SHARE else in_print(shown(mean, half_width(known), digits=3))


def _benchmark(facts: registry.Benchmark, root: Path, runs: Runs, problems: list[str]) -> Benchmark:
    cpu, cuda = runs.get((facts.key, "cpu"), []), runs.get((facts.key, "cuda"), [])
    shown = runs.get((facts.key, facts.devices[0]), [])
    complete = {arm.arm for arm in facts.arms} <= {record["arm"] for record in shown}
    return Benchmark(
        key=facts.key,
        question=facts.question,
        categories=tuple(facts.categories),
        path=facts.path.relative_to(root).as_posix(),
        text=_text(facts.path),
        arms=tuple(arm.arm for arm in facts.arms),
        methods=tuple(dict.fromkeys(arm.method for arm in facts.arms)),
        devices=tuple(facts.devices),
        results=_attempt(lambda: _results(facts, root, shown), problems) if complete else None,
        gpu=_gpu_note(facts, root, cpu, cuda) if cuda else None,
        choices=_attempt(lambda: _choices(facts, root), problems),
        ungridded=_attempt(lambda: _ungridded(facts, root), problems) or (),
    )


def _chosen(facts: registry.Benchmark, root: Path) -> list[grids.Choice]:
    implementations = root / "reference_impls"
    return grids.choices(facts, implementations / "records", implementations)


def _ungridded(facts: registry.Benchmark, root: Path) -> tuple[str, ...]:
    """Arms that a grid names and that have no records of it."""
    known = {choice.arm for choice in _chosen(facts, root)}
    return tuple(arm for grid in registry.grids(facts) for arm in grid.arms if arm not in known)


def _choices(facts: registry.Benchmark, root: Path) -> Table | None:
    """One line per arm whose setting a grid was run for."""
    rows = tuple(
        (
            one.arm,
            one.setting,
            one.measure.partition(".")[2].replace("_", " "),
            "; ".join(f"{value:g}: {mean:.3f}" for value, mean in one.means),
            f"{one.best:g}",
            f"{one.used:g}",
        )
        for one in _chosen(facts, root)
    )
    return (
        Table(("arm", "setting", "chosen by", "mean for each value", "best", "used"), rows) if rows else None
    )


def _results(facts: registry.Benchmark, root: Path, records: list[Record]) -> Results:
    module = _load_module(facts.path)
    try:
        runs = run_records.frame(records)
        table = _table(module.table(runs))
        figure: Mapping[str, Any] = module.figure(runs)
        conclusion = in_print(str(module.conclusion(runs)))
    except Exception as error:
        raise registry.Problem(
            f"{facts.path.name} fails on its records: {type(error).__name__}: {error}"
        ) from error
    return Results(table, figure, conclusion, _provenance(facts, root, records, facts.devices[0]))


def _provenance(facts: registry.Benchmark, root: Path, records: list[Record], kind: str) -> Provenance:
    environments = [r["environment"] for r in records]
    path = run_records.record_path(root / "reference_impls" / "records", facts.key, kind)
    named = ("torch", "transformers", "python")
    versions = (f"{name} {e[name]}" for name in named for e in environments if e.get(name))
    return Provenance(
        runs=len(records),
        seeds=tuple(sorted({r["seed"] for r in records})),
        devices=_unique(_device_name(e) for e in environments),
        versions=_unique(versions),
        dates=tuple(sorted({r["date"] for r in records})),
        minutes=sum(float(r["cost"].get("seconds") or 0) for r in records) / 60,
        path=path.relative_to(root).as_posix(),
        commit=_last_commit(root, path),
        stale=_staleness(facts, root, records),
    )


def _device_name(environment: Mapping[str, Any]) -> str:
    name, threads = str(environment.get("device", "unknown device")), environment.get("threads")
    return f"{name}, {threads} thread{'s' if threads != 1 else ''}" if threads and name == "cpu" else name


def _staleness(facts: registry.Benchmark, root: Path, records: list[Record]) -> tuple[str, ...]:
    arms = {arm.arm: arm for arm in facts.arms}
    reasons: list[str] = []
    for record in {run_but_for_seed(r): r for r in records}.values():
        if (arm := arms.get(record["arm"])) is None:
            reasons.append(f"{record['arm']}: no longer an arm of this benchmark")
            continue
        try:
            reason = run_records.staleness(record, arm, root / "reference_impls")
        except registry.Problem as problem:
            reason = str(problem)
        reasons += [f"{record['arm']}: {reason}"] if reason else []
    return _unique(reasons)


def _gpu_note(facts: registry.Benchmark, root: Path, cpu: list[Record], cuda: list[Record]) -> GpuNote:
    """The largest difference between an arm's means on the two devices, over the seeds both have."""
    provenance = _provenance(facts, root, cuda, "cuda")
    for metric in HEADLINES:
        gaps = sorted(_gaps(cpu, cuda, metric), key=lambda gap: (-gap[0], gap[1]))
        if gaps:
            return GpuNote(provenance, metric, *gaps[0])
    return GpuNote(provenance, "", None, "")


def _gaps(cpu: list[Record], cuda: list[Record], metric: str) -> list[tuple[float, str]]:
    def values(records: list[Record]) -> dict[tuple[str, int], float]:
        known = ((r, r["metrics"].get(metric)) for r in records)
        return {(r["arm"], r["seed"]): float(v) for r, v in known if v is not None}

    left, right = values(cpu), values(cuda)
    shared: dict[str, list[float]] = {}
    for arm, seed in left.keys() & right.keys():
        shared.setdefault(arm, []).append(right[arm, seed] - left[arm, seed])
    return [(abs(math.fsum(found) / len(found)), arm) for arm, found in shared.items()]


def _table(frame: pd.DataFrame) -> Table:
    shown = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    rows = tuple(tuple(_cell(value) for value in row) for row in shown.itertuples(index=False, name=None))
    return Table(tuple(str(column) for column in shown.columns), rows)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return in_print(f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}")
    return in_print(str(value))


def in_print(words: str) -> str:
    """Numbers in words with a minus for a hyphen, and without a sign where they have been rounded to zero."""
    return HYPHEN.sub("−", SIGNED_ZERO.sub("", words))


def _contracts(implementations: Path, root: Path, problems: list[str]) -> dict[str, Contract]:
    record = implementations / "records" / "contracts.json"
    recorded = _attempt(lambda: contract_record.read(record), problems) or {}
    bugs = _attempt(lambda: museum.bugs(folder=implementations / "museum"), problems) or []
    record = implementations / "records" / effects.RECORD.name
    shown = {one["key"]: one for one in _attempt(lambda: effects.read(record), problems) or ()}
    exhibits = [_museum_piece(bug, recorded, shown.get(bug.key, {})) for bug in bugs]
    found: dict[str, Contract] = {}
    for path in sorted(implementations.rglob("*_contract.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix("_contract")
        text = _text(path)
        declared = _attempt(partial(read_contract, text), problems)
        if declared is not None:
            fresh = registry.contract_digest(module, implementations)
            where = path.relative_to(root).as_posix()
            own = tuple(piece for piece in exhibits if piece.module == module)
            found[module] = _contract(module, where, text, declared, recorded.get(module), fresh, own)
    return found


def _contract(
    module: str,
    path: str,
    text: str,
    declared: DeclaredContract,
    record: Mapping[str, Any] | None,
    digest: str,
    exhibits: tuple[MuseumPiece, ...],
) -> Contract:
    said = record or {}
    status = {check["name"]: check["status"] for check in said.get("checks", ())}
    return Contract(
        module=module,
        path=path,
        text=text,
        functions=declared.functions,
        status=said.get("status", "not run"),
        stale=bool(record) and said.get("digest") != digest,
        checks=tuple(_check(check, status) for check in declared.checks),
        mutants=int(said.get("mutants", 0)),
        killed=int(said.get("killed", 0)),
        equivalent=tuple((e["id"], e["reason"]) for e in said.get("equivalent", ())) or declared.equivalent,
        surviving=tuple(said.get("surviving", ())),
        museum=exhibits,
    )


def _check(declared: DeclaredCheck, status: Mapping[str, str]) -> Check:
    ended = status.get(declared.name, "not run")
    return Check(declared.kind, declared.name, declared.title, declared.doc, ended)


def _museum_piece(bug: museum.Bug, recorded: Mapping[str, Any], effect: Mapping[str, Any]) -> MuseumPiece:
    exhibits = recorded.get(bug.module, {}).get("museum", ())
    status = next((e.get("status", "") for e in exhibits if e.get("key") == bug.key), "not run")
    return MuseumPiece(
        key=bug.key,
        title=bug.title,
        kind=bug.kind,
        status=status,
        killed_by=bug.killed_by,
        module=bug.module,
        story=bug.does,
        replace=bug.replace,
        sources=tuple((_whereabouts(source), source.link) for source in bug.sources),
        effect=_effect(effect),
    )


def _effect(effect: Mapping[str, Any]) -> str:
    """What a bug did to a run, in words; empty if that was not recorded."""
    if not effect:
        return ""
    settings = "".join(f", {name} = {value}" for name, value in effect["settings"].items())
    run = f"{effect['method']}{settings}, seed {effect['seed']}"
    if "error" in effect:
        return f"{run}: the run ends in an error ({effect['error']})"
    metric = str(effect["metric"]).replace("gap_closed", "share of the gap in J closed").replace("_", " ")
    before, after = (f"{effect[side]:.3g}" for side in ("without", "with"))
    return f"{run}: {metric} {before} without the bug, {after if after != before else 'the same'} with it"


def _whereabouts(source: museum.Source) -> str:
    state = ", ".join(part for part in (source.commit[:10], source.date) if part)
    return f"{source.repository}: {source.where}" + (f" ({state})" if state else "")


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_site_benchmark_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise registry.Problem(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _last_commit(root: Path, path: Path) -> str:
    command = ["git", "-C", str(root), "log", "-1", "--format=%h", "--", str(path)]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _attempt(read: Callable[[], Found], problems: list[str]) -> Found | None:
    try:
        return read()
    except (registry.Problem, CatalogueError, OSError, ValueError, SyntaxError, KeyError) as error:
        problems.append(str(error))
        return None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
