"""The commands that run things: run, bench, verify, contract. Importing them does not import torch."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from reference_impls import bench as matrix
from reference_impls import grids, ledger
from reference_impls.jobs import Job, execute, sentence
from reference_impls.records import RECORDS, Record, device_kind, digest, write_text
from reference_impls.registry import Problem, bed_values, config_values, find_method, methods

app = typer.Typer(
    help="Run the reference implementations, and check that they do what they say.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

YARDSTICKS = {
    "target_gap": "1 is the exact optimum of the method's own target, 0 the reference",
    "kl_efficiency": "gold reward gained, as a share of the most that the same KL can buy",
    "gap_closed": "share of the way in J from the reference (0) to the optimum (1) at the bed's beta",
    "gold_reward": "mean gold reward; the reference has 0 with standard deviation 1",
    "kl_ref": "KL divergence from the reference, in nats",
    "win_rate": "how often its answer has more gold reward than the reference's",
}


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


DeviceOption = Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default one per core, at most four per GPU.")
]


def one_sentence(command: Callable[..., None]) -> Callable[..., None]:
    """End a command that fails with one sentence and exit code 1, never a traceback."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, _interrupt) for number in heard}
        try:
            command(*args, **kwargs)
        except (KeyboardInterrupt, BrokenPipeError):
            fail("Stopped; what had finished is kept.", 130)
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            fail(sentence(error))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return guarded


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def fail(message: str, code: int = 1) -> NoReturn:
    """Print a sentence on stderr and leave."""
    with contextlib.suppress(BrokenPipeError):
        print(message, file=sys.stderr)
    raise typer.Exit(code)


@app.command()
@one_sentence
def run(
    method: Annotated[str, typer.Argument(help="A method's key, for instance dpo.")],
    bed: Annotated[str, typer.Option(help="exact (text and hub are not built yet)")] = "exact",
    seed: Annotated[int, typer.Option(min=0, help="Draws instance, labels, initialisation and samples.")] = 0,
    device: DeviceOption = Device.auto,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method.")
    ] = None,
    bed_settings: Annotated[
        list[str] | None, typer.Option("--bed-set", metavar="NAME=VALUE", help="A setting of the bed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Run one method and print the yardsticks that apply to it."""
    bed_set = assignments(bed_settings, "--bed-set")
    bed_values(bed, bed_set, method=method)
    find_method(method)
    config_set = assignments(settings, "--set")
    config_values(method, config_set)
    where = resolve(device)
    job = Job(method, seed, where, bed, config_set, bed_set)
    with progress() as bar, contextlib.redirect_stdout(sys.stderr):
        task = bar.add_task(f"{method}, seed {seed}", total=None)
        record = execute(job, lambda step, total: bar.update(task, completed=step, total=total))
    identity = {name: record[name] for name in ("bed", "bed_config", "config")}
    path = out / f"{method}-{digest({**identity, 'device': where})}-seed{seed}.json"
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    if as_json:
        print_json({**record, "record": str(path)})
    else:
        show_run(record, path)


@app.command()
@one_sentence
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[BENCHMARK|CATEGORY|PAPER]...", help="All without a name.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to N-1.")] = 5,
    jobs: JobsOption = None,
    device: DeviceOption = Device.auto,
    missing: Annotated[bool, typer.Option("--missing", help="Leave records that are out of date.")] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Repeat current records too, or canaries made elsewhere.")
    ] = False,
    budget: Annotated[str | None, typer.Option(help="Start no run after this time, say 8m.")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Write to reference_impls/records.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for records without --commit.")] = Path("runs/records"),
    canaries: Annotated[
        bool, typer.Option("--canaries", help="Repeat the first 20 updates of the committed records.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Run the grids that settings are chosen by, on seeds 100 and 101.")
    ] = False,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Only the runs of each method with its own settings.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run what the benchmarks lack: missing runs first, then those that are out of date."""
    deadline = matrix.deadline_of(budget)
    compared = matrix.choose(names or [])
    chosen = [grids.grid_of(b) for b in compared] if grid else compared
    where = resolve(device)
    workers = jobs or default_jobs(where)
    if canaries:
        check_canaries(chosen, seeds, where, workers, deadline, commit, redo, as_json)
        return
    base = RECORDS if commit else out
    folder = base / grids.FOLDER if grid else base
    lines = matrix.survey(chosen, grids.TUNING_SEEDS if grid else range(seeds), where, folder)
    lines = [line for line in lines if not defaults or matrix.is_default(line.arm)]
    todo = matrix.due(lines, missing, redo)
    known = {} if redo or grid else matrix.known_runs(where, folder)
    failed: list[dict[str, object]] = []
    written = 0
    with progress() as bar:
        task = bar.add_task(f"{len(todo)} records on {where}, {workers} at a time", total=len(todo))
        for result in matrix.run_lines(todo, where, folder, workers, deadline=deadline, known=known):
            bar.advance(task, len(result.lines))
            written += len(result.lines) if result.record else 0
            for line in result.lines:
                bar.console.print(f"{line.name}: {result.error or 'done'}", highlight=False, markup=False)
                if result.error:
                    failed.append({"benchmark": line.benchmark.key, "arm": line.arm.arm, "seed": line.seed})
                    failed[-1]["error"] = result.error
    left = len(todo) - written - len(failed)
    judged = device_kind(where) == "cpu" and not grid
    verdicts = ledger.update([b.key for b in chosen], folder) if judged else {}
    found = [choice for b in compared for choice in grids.choices(b, base)] if grid else []
    summary = {
        "device": device_kind(where),
        "folder": str(folder),
        "benchmarks": [b.key for b in chosen],
        "current": len(lines) - len(todo),
        "written": written,
        "failed": failed,
        "left": left,
        "verdicts": {key: entry["verdict"] for key, entry in verdicts.items()},
        "choices": [asdict(choice) for choice in found],
    }
    if as_json:
        print_json(summary)
    else:
        show_bench(summary, verdicts, found)
    if failed:
        raise typer.Exit(1)


def check_canaries(
    chosen: Sequence[matrix.Benchmark],
    seeds: int,
    device: str,
    workers: int,
    deadline: float,
    commit: bool,
    renew: bool,
    as_json: bool,
) -> None:
    """Repeat the canaries of the committed records; with ``commit`` mark the records that moved.

    With ``renew`` too, canaries of other or unknown arithmetic are made anew where they agree but for drift.
    """
    lines = [line for line in matrix.survey(chosen, range(seeds), device, RECORDS) if line.record is not None]
    reports: list[dict[str, object]] = []
    checked = foreign = drifted = 0
    with progress() as bar:
        task = bar.add_task(f"{len(lines)} canaries on {device}", total=len(lines))
        for result in matrix.run_canaries(lines, device, workers, deadline=deadline):
            bar.advance(task, len(result.lines))
            checked += len(result.lines)
            foreign += len(result.lines) if result.elsewhere else 0
            drifted += len(result.lines) if result.elsewhere and result.moved else 0
            if commit:
                matrix.mark(result, device, RECORDS, renew)
            if result.moved or result.error:
                for line in result.lines:
                    changes = {name: [old, new] for name, old, new in result.moved}
                    place = {"benchmark": line.benchmark.key, "arm": line.arm.arm, "seed": line.seed}
                    reports.append({**place, "moved": changes, "error": result.error})
                    why = result.error or ", ".join(f"{n} {o} -> {now}" for n, (o, now) in changes.items())
                    bar.console.print(f"{line.name}: {why}", highlight=False, markup=False)
    if as_json:
        print_json({"device": device_kind(device), "checked": checked, "moved": reports})
    else:
        print(f"{checked} of {len(lines)} canaries checked, {len(reports)} no longer as recorded.")
        if foreign:
            print(
                f"{foreign} records are of other or unknown arithmetic: {drifted} moved by more than drift usually "
                f"explains; up to {matrix.MAY_DRIFT:.0%} are let pass."
            )
    if len(reports) > drifted or drifted > matrix.MAY_DRIFT * foreign + 1:
        raise typer.Exit(1)


@app.command()
@one_sentence
def verify(
    only: Annotated[str | None, typer.Option("--methods", help="Keys with commas; default all.")] = None,
    device: DeviceOption = Device.auto,
    benchmark: Annotated[str | None, typer.Option(help="Compare with this benchmark's records only.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="At most so many of the recorded seeds.")] = None,
    jobs: JobsOption = None,
    folder: Annotated[Path, typer.Option("--records", help="Folder of the records.")] = RECORDS,
    as_json: JsonOption = False,
) -> None:
    """Run recorded runs again and compare; then show that a bug in each method would be noticed."""
    from dataclasses import asdict

    from reference_impls import verify as judging

    chosen = [find_method(key) for key in only.split(",")] if only else list(methods().values())
    if benchmark:
        matrix.choose([benchmark])
    where = resolve(device)
    verdicts = []
    with progress() as bar:
        task = bar.add_task(f"{len(chosen)} methods on {where}", total=len(chosen))
        workers = jobs or default_jobs(where)
        for verdict in judging.verify(chosen, where, folder, workers, benchmark, seeds):
            verdicts.append(verdict)
            bar.advance(task)
            line = f"{verdict.method}: {verdict.status}, {verdict.reason}"
            bar.console.print(line, highlight=False, markup=False)
    passed = all(verdict.status == "pass" for verdict in verdicts)
    if as_json:
        found = [
            {**asdict(v), "metrics": [asdict(m) | {"agrees": m.agrees} for m in v.metrics]} for v in verdicts
        ]
        print_json({"device": device_kind(where), "passed": passed, "methods": found})
    else:
        show_verdicts(verdicts)
    if not passed:
        raise typer.Exit(1)


@app.command()
@one_sentence
def card(
    seed: Annotated[int, typer.Option(min=0, help="Draws instance, labels, initialisation and samples.")] = 0,
    scores: Annotated[
        Path | None, typer.Option(help="Scores of your model: safetensors with 'scores' (prompts, answers).")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="YAML with answers to the card's questions, by name.")
    ] = None,
    device: DeviceOption = Device.auto,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the reward model.")
    ] = None,
    bed_settings: Annotated[
        list[str] | None, typer.Option("--bed-set", metavar="NAME=VALUE", help="A setting of the bed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The card.")] = Path("runs/reward-model-card.md"),
    as_json: JsonOption = False,
) -> None:
    """Train a reward model on a bed, or read the scores of yours, measure it and write its card."""
    from reference_impls import card as writing

    given = writing.read_answers(answers) if answers else {}
    config_set, bed_set = assignments(settings, "--set"), assignments(bed_settings, "--bed-set")
    if scores is not None:
        config_set["scores"] = str(scores)
    config_values("reward-model-card", config_set)
    job = Job("reward-model-card", seed, resolve(device), "exact", config_set, bed_set)
    with progress() as bar, contextlib.redirect_stdout(sys.stderr):
        task = bar.add_task(f"reward-model card, seed {seed}", total=None)
        record = execute(job, lambda step, total: bar.update(task, completed=step, total=total))
    write_text(out, writing.markdown(record, given, scores is not None))
    if as_json:
        print_json({**record, "card": str(out), "unanswered": writing.unanswered(out)})
    else:
        print(f"The card is in {out}; {len(writing.unanswered(out))} questions on it are unanswered.")


@app.command()
@one_sentence
def contract(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[METHOD]...", help="All without a name.")
    ] = None,
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/contracts.json.")
    ] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check formulas against their contracts, and the contracts against mutants."""
    from reference_impls import contract_record

    modules = contract_record.modules_of(keys or None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with progress() as bar, contextlib.redirect_stdout(sys.stderr):
        tasks = {module: bar.add_task(module, total=None) for module in modules}

        def advance(module: str, done: int, total: int) -> None:
            bar.update(tasks[module], completed=done, total=total)

        results = contract_record.run_all(modules, jobs or default_jobs("cpu"), advance)
    if commit:
        contract_record.write(results)
    if as_json:
        print_json(results)
    else:
        show_contracts(results)
    if any(result["status"] != "pass" for result in results.values()):
        raise typer.Exit(1)


@app.command("reductions")
@one_sentence
def prove_reductions(
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/reductions.json.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove which method is another one under which condition, in value and gradient."""
    from reference_impls import reductions

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    entries = reductions.compute()
    if commit:
        reductions.write(entries)
    if as_json:
        print_json({"reductions": entries})
    else:
        for entry in entries:
            verdict = "holds" if entry["holds"] else "FAILS"
            print(f"{verdict}  {entry['one']} -> {entry['other']} ({entry['condition']})")
    if not all(entry["holds"] for entry in entries):
        raise typer.Exit(1)


@app.command("museum")
@one_sentence
def museum_effects(
    bugs: Annotated[list[str] | None, typer.Argument(metavar="[BUG]...", help="All without a name.")] = None,
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/museum-effects.json.")
    ] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each of the museum's bugs does to learning: a run with it and one without. Takes minutes."""
    from reference_impls import effects

    with progress() as bar, contextlib.redirect_stdout(sys.stderr):
        task = bar.add_task("runs", total=None)
        found = effects.compute(
            effects.choose(bugs or ()),
            jobs or default_jobs("cpu"),
            lambda _, done, total: bar.update(task, completed=done, total=total),
        )
    if commit:
        effects.write(found)
    if as_json:
        print_json({"effects": found})
    else:
        show_effects(found)


@app.command("kl-table")
@one_sentence
def kl_table(
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/kl-estimators.json.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute what every use of a KL estimator really estimates and descends, by enumeration."""
    from reference_impls import truth_tables

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tell_table(truth_tables.kl_estimators(), truth_tables.KL_ESTIMATORS, show_kl_table, commit, as_json)


@app.command("gradient-table")
@one_sentence
def gradient_table(
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/gradient-noise.json.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute how noisy policy gradients are, by enumerating answers and groups of answers."""
    from reference_impls import truth_tables

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tell_table(truth_tables.gradients(), truth_tables.GRADIENTS, show_gradient_table, commit, as_json)


@app.command("same-name")
@one_sentence
def same_name(
    commit: Annotated[
        bool, typer.Option("--commit", help="Write reference_impls/records/same-name.json.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare what papers and libraries call by one name: values and gradients on one batch."""
    from reference_impls import truth_tables

    tell_table(truth_tables.same_name(), truth_tables.SAME_NAME, show_same_name, commit, as_json)


def tell_table(
    table: dict[str, Any],
    record: Path,
    show: Callable[[Mapping[str, Any]], None],
    commit: bool,
    as_json: bool,
) -> None:
    """Print a truth table; with ``commit`` put it on record too."""
    from reference_impls import truth_tables

    if commit:
        truth_tables.write(table, record)
    if as_json:
        print_json(table)
    else:
        show(table)


def assignments(given: Sequence[str] | None, option: str) -> dict[str, object]:
    """``name=value`` texts as a dictionary."""
    found: dict[str, object] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"write {option} name=value, not {text!r}")
        found[name.strip()] = value.strip()
    return found


def resolve(device: Device) -> str:
    """``cpu`` or ``cuda``; a GPU that was asked for and is not there is a problem."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if device is Device.cpu:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device is Device.cuda:
        raise Problem("torch sees no CUDA device here; use --device cpu.")
    return "cpu"


def default_jobs(device: str) -> int:
    """As many workers as cores this process may use; at most four share a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if device == "cpu" else min(cores, 4)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on stderr, if that is a terminal; the lines printed beside it are shown everywhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=1, allow_nan=False, default=str))


def show_run(record: Record, path: Path) -> None:
    """The yardsticks that apply, on training and held-out prompts, and what the run cost."""
    metrics, cost = record["metrics"], record["cost"]
    table = Table(title=f"{record['method']} on the {record['bed']} bed, seed {record['seed']}")
    table.add_column("")
    table.add_column("train", justify="right")
    table.add_column("held out", justify="right")
    table.add_column("what it is", overflow="fold")
    plain = [name for name in metrics if not name.startswith("heldout_")]
    for name in [*(n for n in YARDSTICKS if n in plain), *(n for n in plain if n not in YARDSTICKS)]:
        values = metrics[name], metrics.get(f"heldout_{name}")
        if any(value is not None for value in values):
            shown = ["" if value is None else f"{value:.4g}" for value in values]
            table.add_row(name, *shown, YARDSTICKS.get(name, ""))
    Console().print(table)
    facts = [f"{cost['seconds']:.1f} s on {record['environment']['device']}"]
    facts += [f"{cost[name]:,} {name}" for name in ("labels", "samples", "tokens") if cost.get(name)]
    print(f"{', '.join(facts)}. Written to {path}.")


def show_bench(
    summary: Mapping[str, Any], verdicts: Mapping[str, Any], choices: Sequence[grids.Choice]
) -> None:
    """What was run and what was left, the verdicts on claims, and what grids chose."""
    print(
        f"{summary['written']} records written to {summary['folder']}, {len(summary['failed'])} failed, "
        f"{summary['left']} left for lack of time; {summary['current']} were there already."
    )
    for key, entry in verdicts.items():
        print(f"{key}: {entry['verdict']} ({entry['mean']:.3g} ± {entry['half_width']:.2g})")
    for choice in choices:
        means = ", ".join(f"{value:g}: {mean:.3g}" for value, mean in choice.means)
        print(
            f"{choice.arm}, {choice.measure} by {choice.setting}: {means}; "
            f"best {choice.best:g}, used {choice.used:g}"
        )


def show_verdicts(verdicts: Sequence[Any]) -> None:
    """One row per method."""
    table = Table("method", "verdict", "seeds", "compared", "why")
    for v in verdicts:
        table.add_row(v.method, v.status, ", ".join(map(str, v.seeds)), v.comparison, v.reason)
    Console().print(table)


def show_contracts(results: Mapping[str, Any]) -> None:
    """One row per module: checks passed; mutants killed, equivalent, surviving; museum. Then the problems."""
    table = Table("methods", "verdict", "checks", "killed", "equivalent", "surviving", "museum")
    table.columns[0].overflow = "fold"
    for module, result in results.items():
        passed = sum(check["status"] == "pass" for check in result["checks"])
        caught = sum(item["status"] == "killed" for item in result["museum"])
        table.add_row(
            ", ".join(result["methods"]) or module.removeprefix("reference_impls."),
            result["status"],
            f"{passed}/{len(result['checks'])}",
            f"{result['killed']}/{result['mutants']}",
            str(len(result["equivalent"])),
            str(len(result["surviving"])),
            f"{caught}/{len(result['museum'])}",
        )
    Console().print(table)
    for module, result in results.items():
        for problem in result["problems"]:
            print(f"{module}: {problem}")


def show_effects(effects: Sequence[Mapping[str, Any]]) -> None:
    """One row per bug: where it was put, and the number without and with it."""
    table = Table("bug", "method", "measure", "without", "with it")
    for one in effects:
        if "error" in one:
            table.add_row(one["key"], one["method"], "", "", escape(one["error"]))
        else:
            table.add_row(
                one["key"], one["method"], one["metric"], f"{one['without']:.3g}", f"{one['with']:.3g}"
            )
    Console().print(table)


def show_same_name(record: Mapping[str, Any]) -> None:
    """One row per meaning of a name; lengths and cosines are relative to the first of that name."""
    table = Table("name", "as meant by", "value", "gradient's length", "cosine")
    for row in record["definitions"]:
        table.add_row(
            row["name"], row["whose"], f"{row['value']:.3f}", f"{row['length']:.2f}", f"{row['cosine']:+.3f}"
        )
    Console().print(table)


def show_gradient_table(record: Mapping[str, Any]) -> None:
    """Both parts: answers that a signal as large as its noise takes, and for groups also where the mean points."""
    single = Table("policy", "estimator", "answers", "fewest", "most")
    for row in record["bed"]:
        single.add_row(
            row["policy"], row["estimator"], *(f"{row[k]:.1f}" for k in ("answers", "fewest", "most"))
        )
    grouped = Table("reward", "staleness", "clip", "advantage", "cosine", "scale", "answers")
    for row in record["eight"]:
        grouped.add_row(
            row["reward"],
            f"{row['staleness']:g}",
            "none" if row["clip"] is None else f"{row['clip']:g}",
            row["estimator"],
            f"{row['cosine']:+.3f}",
            f"{row['scale']:.2f}",
            f"{row['answers']:.1f}",
        )
    Console().print(single, grouped)


def show_kl_table(record: Mapping[str, Any]) -> None:
    """One row per case: how it is used, its exact mean, deviation and gradient, and what it descends."""
    table = Table("used", "estimator", "mean", "bias", "sd", "cosine", "is the gradient of")
    for column in table.columns[1:6]:
        column.no_wrap = True
    for cell in record["cells"]:
        used = ", ".join(cell[name] for name in ("samples", "direction", "place", "unit"))
        cosine = "" if cell["cosine"] is None else f"{cell['cosine']:+.2f}"
        numbers = (f"{cell['mean']:+.3f}", f"{cell['bias']:+.3f}", f"{cell['variance'] ** 0.5:.3f}", cosine)
        sign = "minus " if (cell["scale"] or 1) < 0 else ""
        table.add_row(
            used, cell["estimator"], *numbers, escape(sign + (cell["functional"] or "no functional"))
        )
    Console().print(table)
