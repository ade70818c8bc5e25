"""The `rlhf` command: the catalogue, the site, and the commands that run things, under one name."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.catalog.model import CatalogueError, Finding

app = typer.Typer(
    name="rlhf",
    help="RLHF Atlas: a map of the literature on reinforcement learning from human feedback that can be run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RootOption = Annotated[
    Path | None, typer.Option(help="Folder with papers/ and taxonomy/; default: the one here.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Files or folders; default: all.")]


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    github = "github"


class Export(StrEnum):
    """What the catalogue can be turned into."""

    bib = "bib"
    ris = "ris"
    csl = "csl"
    csv = "csv"
    json = "json"
    graphml = "graphml"
    schema = "schema"
    atom = "atom"


@app.command()
def check(
    paths: PathsArgument = None,
    form: Annotated[
        Format, typer.Option("--format", help="text, json, or github annotations.")
    ] = Format.text,
    as_json: JsonOption = False,
    codes: Annotated[bool, typer.Option("--codes", help="Only list what the codes stand for.")] = False,
    root: RootOption = None,
) -> None:
    """Check the catalogue: all problems at once, with file, line and column."""
    from scripts.catalog.check import check_scope, scopes
    from scripts.catalog.findings import CODES, WRITERS

    if codes:
        typer.echo("\n".join(f"{code}  {title}" for code, title in sorted(CODES.items())))
        return
    start = time.perf_counter()
    findings: list[Finding] = []
    entries = 0
    for scope in scopes(paths or [], root):
        result = check_scope(scope)
        findings += from_here(result.findings, scope.root)
        entries += result.entries
    seconds = time.perf_counter() - start
    if text := WRITERS["json" if as_json else form.value](findings, entries, seconds):
        typer.echo(text)
    if findings:
        raise typer.Exit(1)


@app.command()
def fix(
    paths: PathsArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be repaired.")] = False,
    root: RootOption = None,
) -> None:
    """Repair what needs no judgement, and leave every other line as it is."""
    from scripts.catalog.check import scopes
    from scripts.catalog.fix import fix as repair

    left = 0
    for scope in scopes(paths or [], root):
        done = repair(scope, dry_run)
        for f in from_here(done.fixed, scope.root):
            typer.echo(f"{'would repair' if dry_run else 'repaired'} {f.file}:{f.line}: {f.code} {f.message}")
        left += len(done.left)
    typer.echo(f"{left} problem{'s' * (left != 1)} left" + ("; see `rlhf check`" if left else ""))
    if left:
        raise typer.Exit(1)


@app.command()
def add(
    identifier: Annotated[
        str | None, typer.Argument(metavar="[ARXIV-ID|DOI]", help="Look up an arXiv id or DOI (network).")
    ] = None,
    bibtex: Annotated[
        str | None, typer.Option(help="BibTeX file, or - for standard input (offline).")
    ] = None,
    issue: Annotated[
        str | None, typer.Option(help="Answers of the issue form, or - for standard input.")
    ] = None,
    category: Annotated[list[str] | None, typer.Option(help="Category id; repeat for more.")] = None,
    root: RootOption = None,
) -> None:
    """Add a paper: writes its BibTeX and a YAML file that says what is left to write."""
    from functools import partial

    from scripts.catalog import add as adding
    from scripts.catalog import issue as form
    from scripts.catalog.check import default_root
    from scripts.catalog.findings import did_you_mean, write_text
    from scripts.catalog.load import load

    if (identifier is None) == (bibtex is None and issue is None):
        raise CatalogueError("Give either an arXiv id or a DOI, or --bibtex FILE, or --issue FILE.")
    started = time.perf_counter()
    home = root.absolute() if root else default_root()
    catalogue = load(home)
    answers = form.parse_issue(read(issue).decode("utf-8", "replace")) if issue is not None else None
    finish = partial(form.entry_text, answers=answers) if answers else str
    named = [name for name in answers.categories if name in catalogue.categories] if answers else []
    category = category or named
    for name in category:
        if name not in catalogue.categories:
            hint = did_you_mean(name, catalogue.categories) or "see `rlhf list categories`."
            raise CatalogueError(f"There is no category '{name}'; {hint}")
    if bibtex is not None:
        drafts, problems = adding.drafts_from_bibtex(
            bibtex if bibtex != "-" else "standard input", read(bibtex)
        )
        if problems:
            typer.echo(write_text(problems, len(drafts), time.perf_counter() - started))
            raise typer.Exit(1)
        if not drafts:
            raise CatalogueError(f"{bibtex} holds no BibTeX entry.")
    else:
        adding.refuse_known_id(catalogue, answers.identifier if answers else str(identifier))
        drafts = [form.draft_of(answers) if answers else adding.draft_from_id(str(identifier))]
    if answers and len(drafts) != 1:
        raise CatalogueError(f"An issue is about one paper, but {bibtex} holds {len(drafts)}.")
    for added in adding.add_all(home, drafts, category, finish):
        for path in added.files:
            typer.echo(f"wrote {shown(path)}")
        for name, reason in added.guesses:
            typer.echo(f"perhaps in {name}: {reason}")
        for key in added.alike:
            typer.echo(f"nearly the same title as {key}: is it the same paper?")
        typer.echo(
            f"Fill in what says TODO, then: rlhf check {shown(added.files[1])}; rlhf preview {added.key}"
        )


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="Key of an entry.")],
    new: Annotated[
        str, typer.Argument(help="Its new key; default: the one its citation facts ask for.")
    ] = "",
    root: RootOption = None,
) -> None:
    """Give an entry another key, everywhere; its old address goes on working."""
    from scripts.catalog.check import default_root
    from scripts.catalog.load import load
    from scripts.catalog.rename import rename as give_key

    done = give_key(load(root or default_root()), old, new)
    for path in done.written:
        typer.echo(f"wrote {shown(path)}")
    for path in done.mentions:
        typer.echo(f"{shown(path)} still says {done.old}: change it there, then rlhf contract --commit")


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(metavar="methods|categories|papers|claims|beds")],
    seed_papers: Annotated[
        bool, typer.Option("--seed-papers", help="Only the papers the atlas began with.")
    ] = False,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """List methods, categories, papers, claims or beds."""
    rows = query(root).rows(kind, seed_papers, brief=not as_json)
    if as_json:
        print_json(rows)
        return
    columns = {
        "methods": ("key", "name", "category", "contract", "mutants", "stale"),
        "categories": ("id", "title", "question", "papers", "methods"),
        "papers": ("key", "year", "status", "title", "categories"),
        "claims": ("id", "paper", "statement", "verdict"),
        "beds": ("key", "built", "description"),
    }
    print_table(rows, columns[kind])


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="Key of a paper, category or method.")],
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show everything known about a paper, a category or a method."""
    row = query(root).show(key)
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        if value not in (None, False, "", [], {}):
            text = cell(value)
            typer.echo(
                f"{name}:\n  " + text.strip().replace("\n", "\n  ") if "\n" in text else f"{name}: {text}"
            )


@app.command()
def coverage(as_json: JsonOption = False, root: RootOption = None) -> None:
    """Show what exists for every category and paper: summary, code, contract, records."""
    from scripts.catalog.query import COVERAGE

    covered = query(root).coverage()
    if as_json:
        print_json(covered)
        return
    for name, rows in covered.items():
        print_table(rows, ("id" if name == "categories" else "key", *COVERAGE))
        done = ", ".join(f"{sum(bool(r[c]) for r in rows)} {c.replace('_', ' ')}" for c in COVERAGE)
        typer.echo(f"{len(rows)} {name}: {done}")
    old = sorted({key for row in covered["categories"] for key in row["old"]})
    typer.echo(f"records that today's code no longer gives: {', '.join(old) or 'none'}")


@app.command()
def export(
    form: Annotated[Export, typer.Argument(metavar="bib|ris|csl|csv|json|graphml|schema|atom")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    category: Annotated[str, typer.Option(help="Only its papers (bib, ris, csl).")] = "",
    root: RootOption = None,
) -> None:
    """Export the catalogue: BibTeX, RIS or CSL-JSON for reference managers, CSV, JSON and its schema, GraphML, Atom."""
    from scripts.catalog.export import export as convert
    from scripts.catalog.source import write_atomic

    text = convert(query(root), form.value, category)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomic(out.absolute(), text)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder for the site.")] = Path("site"),
    strict: Annotated[bool, typer.Option("--strict", help="Treat every warning as a failure.")] = False,
    pages: Annotated[
        Path | None, typer.Option(help="Write the Markdown pages here, for another generator, and stop.")
    ] = None,
    root: RootOption = None,
) -> None:
    """Build the site."""
    from scripts.catalog.check import default_root
    from scripts.site.build import build_site, write_pages

    if pages is not None:
        for problem in write_pages(root or default_root(), pages):
            typer.echo(problem, err=True)
        typer.echo(f"wrote {shown(pages.absolute() / 'index.md')}")
        return
    build_site(root or default_root(), out, strict)
    typer.echo(f"wrote {shown(out.absolute() / 'index.html')}")


@app.command()
def preview(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys of papers.")] = None,
    base: Annotated[
        str, typer.Option(help="Instead of keys: all that differs from this commit, with a summary.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("preview"),
    root: RootOption = None,
) -> None:
    """Render entries and their categories, and say where to look."""
    from scripts.catalog.changes import changes, summary
    from scripts.catalog.check import check, default_root
    from scripts.catalog.findings import did_you_mean, write_text
    from scripts.catalog.load import load
    from scripts.catalog.source import write_atomic
    from scripts.site.build import build_site

    if bool(keys) == bool(base):
        raise CatalogueError("Give either keys of papers or --base COMMIT.")
    home = root.absolute() if root else default_root()
    catalogue = load(home)
    findings = check(catalogue)
    if base:
        found = changes(home, base)
        keys = [key for key in (*found.added, *found.changed) if key in catalogue.papers]
        write_atomic(out.absolute() / "summary.md", summary(catalogue, found, findings))
        typer.echo(f"wrote {shown(out.absolute() / 'summary.md')}")
    for key in keys or ():
        if key not in catalogue.papers:
            hint = did_you_mean(key, catalogue.papers) or "see `rlhf list papers`."
            raise CatalogueError(f"There is no readable entry '{key}'; {hint}")
    if not keys:
        return
    papers = [catalogue.papers[key] for key in keys]
    files = {name for p in papers for name in (p.file, p.file.removesuffix("yaml") + "bib")}
    if own := [f for f in findings if f.file in files]:
        typer.echo(write_text(from_here(own, home), len(papers), 0.0))
    build_site(home, out / "pages", False, keys)
    for page in [
        *(f"papers/{p.key}" for p in papers),
        *dict.fromkeys(f"categories/{c}" for p in papers for c in p.categories),
    ]:
        typer.echo(f"wrote {shown(out.absolute() / 'pages' / page / 'index.html')}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    root: RootOption = None,
) -> None:
    """Build the site, serve it and say where."""
    from scripts.catalog.check import default_root
    from scripts.site.build import serve_site

    serve_site(root or default_root(), host, port)


def query(root: Path | None) -> Any:
    """The catalogue, ready for questions."""
    from scripts.catalog.check import default_root
    from scripts.catalog.load import load
    from scripts.catalog.query import Query

    return Query(load(root or default_root()))


def read(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; no more of them than any reader of them accepts."""
    from scripts.catalog.source import MAX_TAXONOMY_BYTES

    try:
        if name == "-":
            if sys.stdin.isatty():
                typer.echo("Paste it here and end with Ctrl-D on a line of its own.", err=True)
            return sys.stdin.buffer.read(MAX_TAXONOMY_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_TAXONOMY_BYTES + 1)
    except OSError as error:
        raise CatalogueError(f"{name} cannot be read: {error.strerror}.") from None


def from_here(findings: Sequence[Finding], root: Path) -> list[Finding]:
    """Findings with file names as seen from the working directory."""
    from dataclasses import replace

    return [replace(f, file=shown(root / f.file)) for f in findings]


def shown(path: Path) -> str:
    """A path relative to the working directory, unless the two have little in common."""
    relative = Path(os.path.relpath(path)).as_posix()
    return path.as_posix() if relative.startswith("../../..") else relative


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "–"
    if isinstance(value, list):
        return (
            "\n".join(map(cell, value))
            if any(isinstance(v, dict) for v in value)
            else ", ".join(map(str, value))
        )
    if isinstance(value, dict):
        return "; ".join(f"{k}: {cell(v)}" for k, v in value.items() if v not in (None, "", [], {}))
    return "–" if value is None else str(value)


def print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows as a table as wide as the terminal, or 200 columns in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        values = (len(v) if isinstance(v := row[c], list) and len(v) > 3 else v for c in columns)
        table.add_row(*(Text(cell(v)) for v in values))
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


def mount() -> None:
    """Put run, bench, verify and contract beside the commands above."""
    from reference_impls.cli import app as implementations

    names = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    app.registered_commands += [
        c for c in implementations.registered_commands if getattr(c.callback, "__name__", "") not in names
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0 clean, 1 findings, 2 failure of the tool; errors are one sentence."""
    from reference_impls.registry import Problem

    usage: type[BaseException] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # So that what is half done is undone; a signal that is ignored, as under nohup, stays ignored.
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in heard}
    try:
        mount()
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as leave:
        code = leave.exit_code
    except usage as error:
        message = getattr(error, "format_message", None)
        code = fail(message() if message else str(error))
    except (CatalogueError, Problem) as error:
        code = fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except OSError as error:
        place = f"{shown(Path(os.fsdecode(error.filename)))}: " if error.filename else ""
        code = fail(f"{place}{error.strerror or error}; nothing is half-written.")
    except Exception as error:  # the last resort: a sentence, not a traceback
        code = fail(f"unexpected {type(error).__name__}: {error}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    raise SystemExit(code or 0)


def fail(sentence: str) -> int:
    """One line on standard error; the code of a tool failure."""
    if sentence:
        typer.echo(f"rlhf: {' '.join(sentence.split())}", err=True)
    return 2


if __name__ == "__main__":
    main()
