"""Which method is which other one: a graph drawn from proofs that passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx

from scripts.site.escape import Html, element, text
from scripts.site.view import Heading, Page, View, method_path, scroll_box

PATH = "reductions.md"
INTRODUCTION = (
    "Many methods are one another under a condition. Each line here is a proof that a machine repeats: on random "
    "batches of ragged answers the two losses and their gradients agree to nine digits, and where the condition is "
    "dropped they do not."
)
SYMBOLS = (
    r"$\rho$ is the log-ratio $\log\frac{\pi(y)}{\pi_{ref}(y)}$ of an answer's probability under the policy and under "
    r"the reference, $\rho_w$ and $\rho_l$ those of the chosen and of the rejected answer, $\Delta = \rho_w - \rho_l$, "
    r"$\ell$ a loss and $A$ an advantage. *Ratio* means that of the policy in training to the one that wrote the "
    r"answers. Other letters are the settings of the method in question, whose page explains them. *Deviation* is what "
    r"is left between the two sides under the condition, *control* what there is without it."
)
COLUMN, ROW, MARGIN = 250, 44, 24
WIDTH, HEIGHT = 210, 30


def page(view: View) -> Page:
    """The graph, and a table that says the same."""
    proofs = [entry for entry in view.atlas.reductions if entry["holds"]]
    body: list[Html | Heading] = [
        Heading("How methods hang together", 1),
        element("p", INTRODUCTION, class_="lead"),
    ]
    if proofs:
        caption = (
            "An arrow leads from a method to the one that it becomes under a condition. The table lists them."
        )
        body += [
            element(
                "figure", scroll_box(_graph(view, proofs), "Graph of methods"), element("figcaption", caption)
            ),
            Heading("Statements, conditions and controls"),
            view.prose(SYMBOLS),
            _table(view, proofs),
            element(
                "p",
                "Repeat the proofs with ",
                element("code", "rlhf reductions"),
                ". Deviations are the largest of values and gradients, relative to the larger side, over five batches.",
                class_="provenance",
            ),
        ]
    else:
        body.append(element("p", "No reduction has been recorded yet.", class_="callout callout--quiet"))
    return Page(PATH, text("How methods hang together"), INTRODUCTION, tuple(body), hide=("navigation",))


def _graph(view: View, proofs: list[Mapping[str, Any]]) -> Html:
    """Columns by distance from a method that is none of the others; drawn in the text's own colour."""
    graph = nx.DiGraph((entry["one"], entry["other"]) for entry in proofs)
    depth: dict[str, int] = {}
    for node in reversed(list(nx.lexicographical_topological_sort(graph))):
        depth[node] = max((depth[after] + 1 for after in graph.successors(node)), default=0)
    columns = [sorted(node for node in graph if depth[node] == d) for d in range(max(depth.values()) + 1)]
    rows = max(map(len, columns))
    place = {
        node: (MARGIN + d * COLUMN, MARGIN + (i + (rows - len(column)) / 2) * ROW)
        for d, column in enumerate(columns)
        for i, node in enumerate(column)
    }
    lines = []
    for one, other in sorted(graph.edges):
        (x1, y1), (x2, y2) = place[one], place[other]
        start, end = (x1, y1 + HEIGHT / 2), (x2 + WIDTH + 8, y2 + HEIGHT / 2)
        bend = (start[0] + end[0]) / 2
        points = (start, (bend, start[1]), (bend, end[1]), end)
        from_, *rest = (f"{x:.0f} {y:.0f}" for x, y in points)
        curve = f"M{from_}C{' '.join(rest)}"
        tip = f"M{end[0]:.0f} {end[1]:.0f}l7 -4v8z"
        lines.append(element("path", d=curve, fill="none", stroke="currentColor", opacity="0.55"))
        lines.append(element("path", d=tip, fill="currentColor", opacity="0.55"))
    boxes = [
        element(
            "a",
            element(
                "rect",
                x=f"{x:.0f}",
                y=f"{y:.0f}",
                width=WIDTH,
                height=HEIGHT,
                rx="6",
                fill="none",
                stroke="currentColor",
            ),
            element(
                "text",
                node,
                x=f"{x + WIDTH / 2:.0f}",
                y=f"{y + 20:.0f}",
                text_anchor="middle",
                fill="currentColor",
                font_size="14",
            ),
            href=view.to(method_path(node)) if node in view.atlas.methods else None,
        )
        for node, (x, y) in sorted(place.items())
    ]
    wide, high = MARGIN * 2 + (len(columns) - 1) * COLUMN + WIDTH, MARGIN * 2 + rows * ROW
    return element(
        "svg",
        lines,
        boxes,
        viewBox=f"0 0 {wide} {high}",
        width=wide,
        class_="method-graph",
        role="img",
        aria_label="Graph of methods; the table below says the same",
    )


def _table(view: View, proofs: list[Mapping[str, Any]]) -> Html:
    head = ("Method", "is", "Statement", "Condition", "Without it", "Deviation", "Control")
    rows = [
        element(
            "tr",
            [
                element("td", cell)
                for cell in (
                    view.method(entry["one"]),
                    view.method(entry["other"]),
                    view.inline(entry["statement"]),
                    view.inline(entry["condition"]),
                    view.inline(entry["control"]),
                    f"{entry['deviation']:.0e}" if entry["deviation"] else "0",
                    f"{entry['control_deviation']:.2g}",
                )
            ],
        )
        for entry in proofs
    ]
    top = element("tr", [element("th", name, scope="col") for name in head])
    whole = element("table", element("thead", top), element("tbody", rows), class_="reductions")
    return scroll_box(whole, "Reductions")
