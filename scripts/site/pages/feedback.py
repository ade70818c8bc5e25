"""Kinds of feedback: what the catalogue's papers use, what runs here, and which cells are empty."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from reference_impls.registry import DIMENSIONS
from scripts.site.escape import Html, element, text
from scripts.site.view import Heading, Page, View, details, listed, scroll_box

PATH = "feedback.md"
SEED = "kaufmann2025survey"
INTRODUCTION = (
    "People can tell a machine what they want in many ways, and most methods hear only one of them. This page "
    "counts which kinds of feedback the papers of the catalogue use, which ones run here, and which cells are empty."
)
SURVEY = "The survey of Kaufmann and others"
EXPLANATION = (
    f"{SURVEY} describes feedback by six properties. We have them from descriptions by "
    "others, not from its text, and the values are as far as these name them. **Arity**: about one answer, two, or "
    "more. **Involvement**: the annotator watches, asks, or acts along. **Granularity**: about a whole answer, a part, "
    "or a step. **Abstraction**: about the answer itself or about features of it. **Intent**: to judge, to show, to "
    "describe, or none. **Explicitness**: meant as feedback, or read off behaviour. Every method and every simulator "
    "here is tagged with all six, and a tag that is none of these values is an error."
)
LONG_CELL = 8
PAIRS = (("intent", "granularity"), ("arity", "involvement"), ("abstraction", "explicitness"))


def page(view: View) -> Page:
    """Counts by kind, then three matrices of properties, empty cells marked."""
    atlas = view.atlas
    linked = f"[{SURVEY}](paper:{SEED})" if SEED in atlas.papers else SURVEY
    tags = [method.dimensions for method in atlas.methods.values() if method.dimensions]
    body: list[Html | Heading] = [
        Heading("Kinds of feedback", 1),
        element("p", INTRODUCTION, class_="lead"),
        view.prose(EXPLANATION.replace(SURVEY, linked)),
        Heading("Who uses what"),
        _kinds(view),
        Heading("Where nothing is"),
        element("p", _sentence(tags)),
    ]
    for rows, columns in PAIRS:
        body += [Heading(f"{rows.capitalize()} by {columns}", 3), _matrix(view, rows, columns)]
    return Page(PATH, text("Kinds of feedback"), INTRODUCTION, tuple(body), hide=("navigation",))


def _kinds(view: View) -> Html:
    atlas = view.atlas
    kinds = dict.fromkeys(kind for paper in atlas.papers.values() for kind in paper.feedback)
    rows = []
    for kind in sorted(kinds, key=lambda k: -sum(k in p.feedback for p in atlas.papers.values())):
        papers = sum(kind in paper.feedback for paper in atlas.papers.values())
        methods = [view.method(m.key) for m in atlas.methods.values() if kind in m.feedback]
        simulators = [element("code", s.key) for s in atlas.simulators.values() if s.feedback == kind]
        link = element("a", kind, href=Html(f"{view.to('browse.md')}?feedback={kind}"))
        rows.append(
            element(
                "tr",
                [element("td", c) for c in (link, str(papers), _cell(methods, []), _cell([], simulators))],
            )
        )
    head = ("Kind", "Papers", "Methods here", "Simulators here")
    return _table(head, rows, "Kinds of feedback")


def _matrix(view: View, rows: str, columns: str) -> Html:
    lines = []
    for value in DIMENSIONS[rows]:
        cells = [element("th", value, scope="row")]
        for other in DIMENSIONS[columns]:
            wanted = {rows: value, columns: other}
            methods = [view.method(m.key) for m in view.atlas.methods.values() if _has(m.dimensions, wanted)]
            simulators = [
                element("code", s.key) for s in view.atlas.simulators.values() if _has(s.dimensions, wanted)
            ]
            cells.append(element("td", _cell(methods, simulators), class_=None if methods else "empty-cell"))
        lines.append(element("tr", cells))
    return _table((f"{rows} \\ {columns}", *DIMENSIONS[columns]), lines, f"{rows} by {columns}")


def _has(given: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(given.get(name) == value for name, value in wanted.items())


def _cell(methods: list[Html], simulators: list[Html]) -> Html:
    """Names, behind their number where there are many."""
    items = [*methods, *simulators]
    if not items:
        return element("span", "nothing", class_="provenance")
    if len(items) <= LONG_CELL:
        return listed(items)
    counts = ((len(methods), "method"), (len(simulators), "simulator"))
    words = ", ".join(f"{number} {name}{'s' * (number > 1)}" for number, name in counts if number)
    return details(words, listed(items), class_="check")


def _table(head: tuple[str, ...], rows: list[Html], label: str) -> Html:
    top = element("tr", [element("th", column, scope="col") for column in head])
    return scroll_box(element("table", element("thead", top), element("tbody", rows)), label)


def _sentence(tags: list[Mapping[str, str]]) -> str:
    every = list(product(*DIMENSIONS.values()))
    taken = {tuple(tag.get(name, "") for name in DIMENSIONS) for tag in tags}
    common = max(
        taken, key=lambda cell: sum(tuple(t.get(n, "") for n in DIMENSIONS) == cell for t in tags), default=()
    )
    unused = [
        f"{name} {value}"
        for name in DIMENSIONS
        for value in DIMENSIONS[name]
        if not any(t.get(name) == value for t in tags)
    ]
    most = f" The commonest combination is {', '.join(common)}." if common else ""
    none = f" No method here has {', '.join(unused)}." if unused else ""
    return (
        f"Of {len(every)} combinations of the six properties the methods here use {len(taken)}.{most}{none}"
    )
