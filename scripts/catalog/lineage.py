"""What grew out of what: ancestors, descendants, centrality and reading orders, from the typed relations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import networkx as nx

if TYPE_CHECKING:
    from .model import Paper

CARRIES_OVER = ("builds_on", "generalises", "applies", "compares_with", "contradicts")
DESCENT = ("builds_on", "generalises", "applies")


def descent(papers: Mapping[str, Paper]) -> nx.DiGraph:
    """Edges from each paper to those it builds on, generalises or applies; a circle is possible."""
    return _related(papers, DESCENT)


def centrality(papers: Mapping[str, Paper]) -> dict[str, float]:
    """Katz centrality along all relations that carry something over: how much of the map leans on a paper.

    A direct relation counts full, each further step a twentieth of the one before. Sums to 1.
    """
    graph = _related(papers, CARRIES_OVER)
    scores = nx.katz_centrality(graph, alpha=0.05, normalized=False) if graph else {}
    total = sum(scores.values())
    return {key: score / total for key, score in scores.items()}


def _related(papers: Mapping[str, Paper], types: tuple[str, ...]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(papers)
    graph.add_edges_from(
        (paper.key, relation.paper)
        for paper in papers.values()
        for relation in paper.relations
        if relation.type in types and relation.paper in papers
    )
    return graph


def ancestors(graph: nx.DiGraph, key: str) -> list[tuple[str, int]]:
    """What a paper comes from, with the number of steps back; nearest first."""
    return _reached(graph, key)


def descendants(graph: nx.DiGraph, key: str) -> list[tuple[str, int]]:
    """What came of a paper, with the number of steps; nearest first."""
    return _reached(graph.reverse(copy=False), key)


def _reached(graph: nx.DiGraph, key: str) -> list[tuple[str, int]]:
    steps = nx.single_source_shortest_path_length(graph, key)
    return sorted(((k, n) for k, n in steps.items() if k != key), key=lambda pair: (pair[1], pair[0]))


def reading_order(papers: Mapping[str, Paper], graph: nx.DiGraph, chosen: Iterable[str]) -> list[str]:
    """The chosen papers, each after all of the chosen that it descends from; otherwise by year and key.

    Papers in a circle of descent keep the order of year and key among themselves.
    """
    wanted = set(chosen)
    needs = nx.DiGraph()
    needs.add_nodes_from(wanted)
    needs.add_edges_from((older, key) for key in wanted for older in nx.descendants(graph, key) & wanted)
    circles = nx.condensation(needs)
    members = {
        n: sorted(data["members"], key=lambda k: (papers[k].year, k)) for n, data in circles.nodes(data=True)
    }
    order = nx.lexicographical_topological_sort(
        circles, key=lambda n: (papers[members[n][0]].year, members[n][0])
    )
    return [key for node in order for key in members[node]]


def read_before(
    papers: Mapping[str, Paper],
    graph: nx.DiGraph,
    key: str,
    most: int = 5,
    weight: Mapping[str, float] | None = None,
) -> list[str]:
    """At most so many ancestors of a paper in reading order: the nearest, and among these the most central."""
    weight = weight if weight is not None else centrality(papers)
    nearest = sorted(ancestors(graph, key), key=lambda pair: (pair[1], -weight.get(pair[0], 0.0), pair[0]))
    return reading_order(papers, graph, [k for k, _ in nearest[:most]])
