"""What the rest of the project sees of the catalogue: plain frozen dataclasses, no parser objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reference_impls.registry import Benchmark, ClaimTest, MethodFacts

Where = tuple[str | int, ...]


class CatalogueError(Exception):
    """A failure of the tool itself (not of an entry), worded as one sentence for the user."""


@dataclass(frozen=True)
class Edit:
    """Replace `text[start:end]` by `replacement`; offsets into the normalised text of the file."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, order=True)
class Finding:
    """One problem at one place; `edit` is present when it can be repaired without judgement."""

    file: str
    line: int
    column: int
    code: str
    message: str
    suggestion: str = ""
    edit: Edit | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Source:
    """A text file read once: newlines are \\n, no byte-order mark, control characters blanked."""

    file: str
    text: str
    line_starts: tuple[int, ...]

    def position(self, offset: int) -> tuple[int, int]:
        """One-based line and column of a character offset."""
        from bisect import bisect_right

        line = bisect_right(self.line_starts, max(0, offset))
        return line, offset - self.line_starts[line - 1] + 1


@dataclass(frozen=True)
class Span:
    """Where a YAML value lies: offsets of the key (start only) and of the value."""

    key: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class YamlDoc:
    """A strictly loaded YAML file: strings, `None`, lists and dicts, and a span for every path."""

    source: Source
    data: Any
    spans: dict[Where, Span]


@dataclass(frozen=True)
class BibField:
    """One `name = value`; `raw` is the text between the delimiters and `offset` is where it starts."""

    name: str
    raw: str
    name_offset: int
    offset: int
    bare: bool


@dataclass(frozen=True, eq=False)
class BibEntry:
    """One BibTeX entry with the offsets that findings need."""

    source: Source
    type: str
    key: str
    offset: int
    key_offset: int
    fields: tuple[BibField, ...]

    def get(self, name: str) -> BibField | None:
        """The first field of that (lower-case) name."""
        return next((f for f in self.fields if f.name.lower() == name), None)

    def raw(self, name: str) -> str:
        """The field's text as written, or the empty string."""
        found = self.get(name)
        return found.raw.strip() if found else ""


@dataclass(frozen=True)
class Relation:
    """A typed link to another entry, with what is carried over."""

    type: str
    paper: str
    reason: str


@dataclass(frozen=True)
class Claim:
    """Something a paper says that a run could refute."""

    id: str
    statement: str
    where: str
    test: str | None
    reason: str | None


@dataclass(frozen=True)
class Code:
    """A link to code, by the authors (`official`) or by others."""

    url: str
    official: bool


@dataclass(frozen=True)
class Checked:
    """Who checked what, and when (ISO date)."""

    by: str
    date: str
    what: str


VOID = ("withdrawn", "retracted")


@dataclass(frozen=True)
class Paper:
    """One entry: citation facts from BibTeX (decoded to Unicode) and what the YAML says about it."""

    key: str
    title: str
    authors: tuple[str, ...]
    year: str
    venue: str
    arxiv: str
    doi: str
    url: str
    bibtex: str
    categories: tuple[str, ...]
    seed: bool
    summary: str
    basis: str
    feedback: tuple[str, ...]
    status: str
    relations: tuple[Relation, ...]
    claims: tuple[Claim, ...]
    code: tuple[Code, ...]
    checked: tuple[Checked, ...]
    file: str
    formerly: tuple[str, ...] = ()

    @property
    def void(self) -> str:
        """`withdrawn` or `retracted` for a paper that no longer stands: every mention of it says so."""
        return self.status if self.status in VOID else ""


@dataclass(frozen=True)
class Branch:
    """One taxonomy file."""

    id: str
    title: str
    description: str
    file: str


@dataclass(frozen=True)
class Category:
    """One node of the map; `parent` is another category or the branch."""

    id: str
    title: str
    branch: str
    parent: str
    question: str
    description: str
    limits: str
    founding: str
    reason: str
    file: str


@dataclass(frozen=True)
class Facts:
    """What the implementations declare, as plain data (read without importing them)."""

    methods: dict[str, MethodFacts] = field(default_factory=dict)
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    claims: dict[str, ClaimTest] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Entry:
    """The two files of one paper as loaded; either may be missing or broken (`None`)."""

    key: str
    folder: str
    yaml_file: str
    bib_file: str
    doc: YamlDoc | None
    bib: BibEntry | None
    missing: str = ""


@dataclass(frozen=True)
class Catalogue:
    """Everything under one root. `branches`, `categories` and `papers` keep reading order.

    `entries`, `taxonomy` and `findings` are what the loaders saw and are meant for the rules.
    """

    root: Path
    branches: tuple[Branch, ...]
    categories: dict[str, Category]
    papers: dict[str, Paper]
    facts: Facts
    entries: tuple[Entry, ...]
    taxonomy: tuple[YamlDoc, ...]
    findings: tuple[Finding, ...]
