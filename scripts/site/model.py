"""What pages are made from: plain values, read once, so that every page is a pure function of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scripts.catalog import lineage
from scripts.catalog.evidence import ClaimStanding
from scripts.catalog.model import Branch, Category, Claim, Code, Paper, Relation

from .source import SourceFile

if TYPE_CHECKING:
    from networkx import DiGraph

    from reference_impls.registry import Simulator

YARDSTICKS = (
    "target_gap",
    "kl_efficiency",
    "gap_closed",
    "heldout_gap_closed",
    "gold_reward",
    "kl_ref",
    "win_rate",
)


@dataclass(frozen=True)
class Check:
    """A property of a contract and how it ended (`pass`, `fail` or `not run`)."""

    kind: str
    name: str
    title: str
    doc: str
    status: str


@dataclass(frozen=True)
class MuseumPiece:
    """A real bug kept as a mutant, and what catches it."""

    key: str
    title: str
    kind: str
    status: str
    killed_by: str
    module: str
    story: str = ""
    replace: tuple[tuple[str, str], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    effect: str = ""
    """What it did to a run on the exact bed."""


@dataclass(frozen=True)
class Contract:
    """A contract file joined with what the last run of it recorded."""

    module: str
    path: str
    text: str
    functions: tuple[str, ...]
    status: str
    stale: bool
    checks: tuple[Check, ...]
    mutants: int
    killed: int
    equivalent: tuple[tuple[str, str], ...]
    surviving: tuple[str, ...]
    museum: tuple[MuseumPiece, ...]


@dataclass(frozen=True)
class Table:
    """Cells as they are shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Method:
    """The facts of a method, its source and its contract."""

    key: str
    name: str
    paper: str
    category: str
    provenance: str
    feedback: tuple[str, ...]
    needs: tuple[str, ...]
    target: str
    yields: str
    preset: Mapping[str, Any]
    knob: Mapping[str, Any]
    dimensions: Mapping[str, str]
    counterparts: tuple[Mapping[str, str], ...]
    module: str
    source: SourceFile
    contract: Contract | None
    results: Table | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from, gathered from its records."""

    runs: int
    seeds: tuple[int, ...]
    devices: tuple[str, ...]
    versions: tuple[str, ...]
    dates: tuple[str, ...]
    minutes: float
    path: str
    commit: str
    stale: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """What a benchmark made of the records of one kind of device."""

    table: Table
    figure: Mapping[str, Any]
    conclusion: str
    provenance: Provenance


@dataclass(frozen=True)
class GpuNote:
    """The records of a graphics processor beside those of the CPU."""

    provenance: Provenance
    metric: str
    deviation: float | None
    arm: str


@dataclass(frozen=True)
class Benchmark:
    """A question, the arms that answer it, and the answer if it has been measured."""

    key: str
    question: str
    categories: tuple[str, ...]
    path: str
    text: str
    arms: tuple[str, ...]
    methods: tuple[str, ...]
    results: Results | None
    gpu: GpuNote | None
    choices: Table | None = None
    """What the grid said about its settings."""
    ungridded: tuple[str, ...] = ()
    """Arms whose grid has not been run."""
    devices: tuple[str, ...] = ("cpu", "cuda")


@dataclass(frozen=True)
class Atlas:
    """Everything the site shows. Orders are reading orders."""

    branches: tuple[Branch, ...]
    categories: Mapping[str, Category]
    papers: Mapping[str, Paper]
    methods: Mapping[str, Method] = field(default_factory=dict)
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    kl_table: Mapping[str, Any] | None = None
    gradient_table: Mapping[str, Any] | None = None
    same_name: Mapping[str, Any] | None = None
    simulators: Mapping[str, Simulator] = field(default_factory=dict)
    exports: Mapping[str, str] = field(default_factory=dict)
    """The catalogue in other formats, by file name."""
    reductions: tuple[Mapping[str, Any], ...] = ()
    claims: Mapping[str, ClaimStanding] = field(default_factory=dict)
    """What came of the claims that have a test, by ``<paper>/<claim>``."""
    home: str = ""
    repository: str = ""
    problems: tuple[str, ...] = ()

    def categories_of(self, branch: str) -> tuple[Category, ...]:
        """The categories of a branch in reading order."""
        return tuple(c for c in self.categories.values() if c.branch == branch)

    def methods_of(self, category: str) -> tuple[Method, ...]:
        """The methods whose home is a category."""
        return tuple(m for m in self.methods.values() if m.category == category)

    def benchmarks_of(self, category: str) -> tuple[Benchmark, ...]:
        """The benchmarks that answer a category's question."""
        return tuple(b for b in self.benchmarks.values() if category in b.categories)

    def papers_of(self, category: str) -> tuple[Paper, ...]:
        """The papers of a category in reading order: the founding one, then each after those it builds on."""
        founding = self.categories[category].founding
        found = [p.key for p in self.papers.values() if category in p.categories]
        order = lineage.reading_order(self.papers, self.descent, found)
        return tuple(self.papers[key] for key in sorted(order, key=lambda key: key != founding))

    @cached_property
    def descent(self) -> DiGraph:
        """Which paper descends from which."""
        return lineage.descent(self.papers)

    @cached_property
    def centrality(self) -> Mapping[str, float]:
        """How much of the map leans on each paper."""
        return lineage.centrality(self.papers)

    def read_before(self, paper: str) -> tuple[Paper, ...]:
        """The few papers that a reader of this one should know, in reading order."""
        keys = lineage.read_before(self.papers, self.descent, paper, weight=self.centrality)
        return tuple(self.papers[key] for key in keys)

    def came_of(self, paper: str) -> tuple[Paper, ...]:
        """What descends from a paper, the most central first."""
        keys = [key for key, _ in lineage.descendants(self.descent, paper)]
        return tuple(self.papers[key] for key in sorted(keys, key=lambda k: (-self.centrality[k], k)))

    def read_before_category(self, category: str, most: int = 5) -> tuple[Paper, ...]:
        """Papers of other categories from which at least two of this one's descend, in reading order."""
        inside = {p.key for p in self.papers.values() if category in p.categories}
        needed = Counter(key for paper in inside for key, _ in lineage.ancestors(self.descent, paper))
        outside = [key for key, n in needed.items() if n > 1 and key not in inside]
        best = sorted(outside, key=lambda k: (-needed[k], -self.centrality[k], k))[:most]
        return tuple(self.papers[k] for k in lineage.reading_order(self.papers, self.descent, best))

    def standing(self, paper: Paper, claim: Claim) -> ClaimStanding:
        """What came of a claim."""
        return self.claims.get(f"{paper.key}/{claim.id}", ClaimStanding())

    def claims_tested_by(self, benchmarks: Collection[str]) -> tuple[tuple[Paper, Claim], ...]:
        """The claims that some benchmarks test, in the order of their papers."""
        pairs = ((p, c) for p in self.papers.values() for c in p.claims)
        return tuple((p, c) for p, c in pairs if c.test in benchmarks)

    def back_links(self, paper: str) -> tuple[tuple[Paper, Relation], ...]:
        """Which papers declare a relation to this one."""
        pairs = ((p, r) for p in self.papers.values() for r in p.relations if r.paper == paper)
        return tuple(sorted(pairs, key=lambda pair: (pair[1].type, pair[0].year, pair[0].key)))


__all__ = [
    "YARDSTICKS",
    "Atlas",
    "Benchmark",
    "Branch",
    "Category",
    "Check",
    "Claim",
    "ClaimStanding",
    "Code",
    "Contract",
    "GpuNote",
    "Method",
    "MuseumPiece",
    "Paper",
    "Provenance",
    "Relation",
    "Results",
    "Table",
]
