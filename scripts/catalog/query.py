"""The rows behind `rlhf list`, `show` and `coverage`: plain dictionaries, ready for JSON or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from reference_impls.ledger import NOT_TESTED

from .evidence import ClaimStanding, MethodEvidence, claim_standings, evidence, merge, verdict_of
from .findings import did_you_mean
from .model import Catalogue, CatalogueError, Category, Paper

Row = dict[str, Any]
KINDS = ("methods", "categories", "papers", "claims", "beds")
BEDS = {
    "exact": "every sequence of a tiny language enumerated, so that optima, KL and gradients are exact",
    "text": "real short texts with human ratings (planned)",
    "hub": "any causal language model with a preference data set (planned)",
}
COVERAGE = ("summarised", "implemented", "contract", "exact_record", "gpu_record", "claim_tested")


class Query:
    """A catalogue with what is known about its methods, read once when first asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    @cached_property
    def evidence(self) -> dict[str, MethodEvidence]:
        """Contract and record status of every method."""
        return evidence(self.catalogue)

    @cached_property
    def standings(self) -> dict[str, ClaimStanding]:
        """What came of every claim that has a test."""
        return claim_standings(self.catalogue)

    def rows(self, kind: str, seed_papers: bool = False, brief: bool = False) -> list[Row]:
        """The rows of one kind; `seed_papers` keeps the eleven papers the atlas started from.

        `brief` is quick: papers come without what was run for them.
        """
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"known: {', '.join(KINDS)}"
            raise CatalogueError(f"There is nothing called '{kind}' to list; {hint}")
        if seed_papers and kind not in ("papers", "claims"):
            raise CatalogueError("--seed-papers goes with 'list papers' and 'list claims'.")
        rows: list[Row] = self.entries() if brief and kind == "papers" else getattr(self, kind)()
        seeds = {p.key for p in self.catalogue.papers.values() if p.seed}
        return [r for r in rows if r.get("paper", r.get("key")) in seeds] if seed_papers else rows

    def methods(self) -> list[Row]:
        """One row per method."""
        return [self._method(key) for key in self.catalogue.facts.methods]

    def categories(self) -> list[Row]:
        """One row per category, in reading order."""
        return [self._category(c) for c in self.catalogue.categories.values()]

    def papers(self) -> list[Row]:
        """One row per paper."""
        return [self._paper(p) for p in self.catalogue.papers.values()]

    def entries(self) -> list[Row]:
        """One row per paper with what its entry says, but for claims."""
        return [self._entry(p) for p in self.catalogue.papers.values()]

    def claims(self) -> list[Row]:
        """One row per claim of a paper; verdicts and what was measured come from runs."""
        return [row for paper in self.catalogue.papers.values() for row in self._claims(paper)]

    def beds(self) -> list[Row]:
        """Where methods run."""
        folder = self.catalogue.root / "reference_impls" / "beds"
        return [
            {"key": key, "built": (folder / f"{key}.py").is_file(), "description": text}
            for key, text in BEDS.items()
        ]

    def show(self, key: str) -> Row:
        """Everything known about a paper, category or method, by key."""
        catalogue = self.catalogue
        if key in catalogue.papers:
            paper = catalogue.papers[key]
            extra = {
                "checked": [asdict(c) for c in paper.checked],
                "bibtex": paper.bibtex,
                "file": paper.file,
            }
            return {"kind": "paper", **self._paper(paper), **extra}
        if key in catalogue.categories:
            category = catalogue.categories[key]
            extra = {n: getattr(category, n) for n in ("branch", "description", "limits", "file")}
            return {"kind": "category", **self._category(category), **extra}
        if key in catalogue.facts.methods:
            return {"kind": "method", **self._method(key)}
        known = [*catalogue.papers, *catalogue.categories, *catalogue.facts.methods]
        renamed = next((p.key for p in catalogue.papers.values() if key in p.formerly), None)
        if renamed:
            return self.show(renamed)
        broken = next((e for e in catalogue.entries if e.key == key), None)
        if broken:
            raise CatalogueError(f"The entry '{key}' cannot be read; see `rlhf check`.")
        hint = did_you_mean(key, known) or "see `rlhf list papers`, `categories` and `methods`."
        raise CatalogueError(f"There is no paper, category or method '{key}'; {hint}")

    def coverage(self) -> dict[str, list[Row]]:
        """For every category and paper: what of it exists."""
        papers = self.catalogue.papers.values()
        return {
            "categories": [self._covered_category(c) for c in self.catalogue.categories.values()],
            "papers": [self._covered_paper(p) for p in papers],
        }

    def _method(self, key: str) -> Row:
        facts, known = self.catalogue.facts.methods[key], self.evidence[key]
        return {
            "key": key,
            "name": facts.name,
            "paper": facts.paper,
            "category": facts.category,
            "provenance": facts.provenance,
            "target": facts.target,
            "yields": facts.yields,
            "feedback": list(facts.feedback),
            "needs": list(facts.needs),
            "contract": known.contract,
            "mutants": known.mutants,
            "surviving": len(known.surviving),
            "records": known.records or {},
            "stale": known.stale,
            "module": facts.module,
        }

    def _papers_in(self, category: Category) -> list[Paper]:
        return [p for p in self.catalogue.papers.values() if category.id in p.categories]

    def _methods_in(self, category: Category) -> list[str]:
        return [k for k, m in self.catalogue.facts.methods.items() if m.category == category.id]

    def _methods_of(self, paper: Paper) -> list[str]:
        return [k for k, m in self.catalogue.facts.methods.items() if m.paper == paper.key]

    def _category(self, category: Category) -> Row:
        papers = self._papers_in(category)
        benchmarks = [b.key for b in self.catalogue.facts.benchmarks.values() if category.id in b.categories]
        return {
            "id": category.id,
            "title": category.title,
            "branch": category.branch,
            "parent": category.parent,
            "question": category.question,
            "benchmark": benchmarks[0] if benchmarks else None,
            "benchmarks": benchmarks,
            "reason": category.reason or None,
            "founding": category.founding,
            "newest": self._newest(papers),
            "papers": [p.key for p in papers],
            "methods": self._methods_in(category),
        }

    def _paper(self, paper: Paper) -> Row:
        methods = self._methods_of(paper)
        known = [self.evidence[m] for m in methods]
        return {
            **self._entry(paper),
            "claims": self._claims(paper),
            "code": [asdict(c) for c in paper.code],
            "methods": methods,
            "executable": bool(methods),
            "contract": verdict_of(e.contract for e in known),
            "records": merge(e.records for e in known),
        }

    def _entry(self, paper: Paper) -> Row:
        return {
            "key": paper.key,
            "title": paper.title,
            "authors": list(paper.authors),
            "year": int(paper.year) if paper.year.isdigit() else None,
            "venue": paper.venue or None,
            "arxiv": paper.arxiv or None,
            "doi": paper.doi or None,
            "url": paper.url or None,
            "formerly": list(paper.formerly),
            "seed": paper.seed,
            "summary": paper.summary,
            "basis": paper.basis,
            "status": paper.status,
            "categories": list(paper.categories),
            "feedback": list(paper.feedback),
            "relations": [asdict(r) for r in paper.relations],
        }

    def _standing(self, methods: list[str], papers: list[Paper]) -> Row:
        known = [self.evidence[m] for m in methods]
        runs = merge(e.records for e in known)
        return {
            "implemented": bool(methods),
            "contract": verdict_of(e.contract for e in known) == "pass",
            "exact_record": bool(runs.get("exact")),
            "gpu_record": any("cuda" in devices for devices in runs.values()),
            "claim_tested": any(
                row["verdict"] != NOT_TESTED for paper in papers for row in self._claims(paper)
            ),
            "old": [m for m in methods if self.evidence[m].stale],
        }

    def _claims(self, paper: Paper) -> list[Row]:
        rows = []
        for claim in paper.claims:
            standing = self.standings.get(f"{paper.key}/{claim.id}", ClaimStanding())
            controls = "; ".join(f"{what}: {found} ({verdict})" for what, found, verdict in standing.controls)
            rows.append(
                {
                    "id": claim.id,
                    "paper": paper.key,
                    "statement": claim.statement,
                    "where": claim.where,
                    "test": standing.test or None,
                    "benchmark": standing.benchmark or None,
                    "band": standing.band or None,
                    "control": controls or None,
                    "measured": standing.measured or None,
                    "values": list(standing.values),
                    "verdict": standing.verdict,
                    "reason": claim.reason or standing.note or None,
                    "revisions": [dict(r) for r in standing.revisions],
                }
            )
        return rows

    @staticmethod
    def _newest(papers: Sequence[Paper]) -> str | None:
        """Key of the paper of the latest year; within a year arXiv ids tell the order."""
        newest = max(papers, key=lambda p: (p.year, p.arxiv, p.key), default=None)
        return newest.key if newest else None

    def _covered_category(self, category: Category) -> Row:
        papers = self._papers_in(category)
        return {
            "id": category.id,
            "title": category.title,
            "papers": len(papers),
            "founding": category.founding,
            "newest": self._newest(papers),
            "summarised": bool(category.description and papers),
            **self._standing(self._methods_in(category), papers),
        }

    def _covered_paper(self, paper: Paper) -> Row:
        return {
            "key": paper.key,
            "title": paper.title,
            "summarised": bool(paper.summary) and paper.basis != "title-only",
            **self._standing(self._methods_of(paper), [paper]),
        }
