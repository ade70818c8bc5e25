"""The catalogue as data for other programs and for reference managers."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from .citations import to_csl, to_ris
from .feed import to_atom
from .findings import did_you_mean
from .json_schema import to_schema
from .model import CatalogueError
from .query import Query

CITATIONS = ("bib", "ris", "csl")
FORMATS = (*CITATIONS, "csv", "json", "graphml", "schema", "atom")


def export(query: Query, form: str, category: str = "") -> str:
    """The catalogue in one of `FORMATS`; `CITATIONS` can be narrowed to the papers of a category.

    Raises CatalogueError for an unknown category, and for a category with any other form.
    """
    writers = {
        "csv": to_csv,
        "json": to_json,
        "graphml": to_graphml,
        "schema": lambda _: to_schema(),
        "atom": to_atom,
    }
    if form not in CITATIONS:
        if category:
            raise CatalogueError(f"--category goes with {', '.join(CITATIONS)}, not with {form}.")
        return writers[form](query)
    catalogue = query.catalogue
    if category and category not in catalogue.categories:
        hint = did_you_mean(category, catalogue.categories) or "see `rlhf list categories`."
        raise CatalogueError(f"There is no category '{category}'; {hint}")
    papers = [p for p in catalogue.papers.values() if not category or category in p.categories]
    if form == "bib":
        return "\n".join(paper.bibtex for paper in papers)
    entries = {entry.key: entry for entry in catalogue.entries}
    pairs = [(paper, entries[paper.key]) for paper in papers]
    return to_ris(pairs) if form == "ris" else to_csl(pairs)


def to_json(query: Query) -> str:
    """Categories, papers, methods and claims with the links between them in both directions."""
    document = {kind: query.rows(kind) for kind in ("categories", "papers", "methods", "claims")}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def to_csv(query: Query) -> str:
    """One line per paper; lists are joined by '; '."""
    columns = [
        "key",
        "title",
        "authors",
        "year",
        "venue",
        "arxiv",
        "doi",
        "url",
        "seed",
        "status",
        "basis",
        "categories",
        "feedback",
        "methods",
        "summary",
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in query.papers():
        writer.writerow([_cell(row[c]) for c in columns])
    return out.getvalue()


def _cell(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = "; ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    text = " ".join(text.split())
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text


def to_graphml(query: Query) -> str:
    """Papers, categories and methods as nodes; typed relations, membership and implementation as edges."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    for category in query.catalogue.categories.values():
        graph.add_node(category.id, kind="category", label=category.title)
    for paper in query.catalogue.papers.values():
        graph.add_node(
            paper.key, kind="paper", label=paper.title, year=paper.year, seed=paper.seed, status=paper.status
        )
    for key, method in query.catalogue.facts.methods.items():
        graph.add_node(f"method:{key}", kind="method", label=method.name)
    for category in query.catalogue.categories.values():
        if category.parent in query.catalogue.categories:
            graph.add_edge(category.id, category.parent, type="part_of")
    for paper in query.catalogue.papers.values():
        for name in paper.categories:
            if name in query.catalogue.categories:
                graph.add_edge(paper.key, name, type="in_category")
        for relation in paper.relations:
            if relation.paper in query.catalogue.papers:
                graph.add_edge(paper.key, relation.paper, type=relation.type, reason=relation.reason)
    for key, method in query.catalogue.facts.methods.items():
        if method.paper in query.catalogue.papers:
            graph.add_edge(f"method:{key}", method.paper, type="implements")
        if method.category in query.catalogue.categories:
            graph.add_edge(f"method:{key}", method.category, type="in_category")
    return "\n".join(nx.generate_graphml(graph)) + "\n"
