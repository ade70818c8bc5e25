"""The page of a category: question, idea, code, how to run it, what was measured, papers, limits."""

from __future__ import annotations

from scripts.site.escape import Html, element, join
from scripts.site.model import Category, Method
from scripts.site.view import Heading, Page, View, category_path, chip, listed, method_path, plain_title

from .paper import claims_table
from .parts import contract_line, left_out, measured, no_gpu, paper_list, run_block, source_part

PROOFS = {
    "kl-control": ("kl-estimators.md", "What each KL estimator estimates and descends, computed exactly"),
    "policy-gradients": ("gradient-noise.md", "How noisy each estimator is, computed exactly"),
    "group-relative-policy-gradients": (
        "gradient-noise.md",
        "What a group's deviation and a clip do, computed exactly",
    ),
}


def path(category: Category) -> str:
    """Where the page is written."""
    return category_path(category.id)


def page(view: View, category: Category) -> Page:
    """Everything about one category."""
    atlas = view.atlas
    methods = atlas.methods_of(category.id)
    body: list[Html | Heading] = [Heading(view.inline(category.title), 1), _head(view, category)]
    body += [Heading("The idea"), view.prose(category.description)]
    body += [_proof(view, *PROOFS[category.id])] if category.id in PROOFS else []
    if methods:
        body += [Heading("Code"), *_code(view, methods), Heading("Run it"), _how_to_run(methods)]
    body += [Heading("Measured"), *_measured(view, category, methods)]
    if tested := atlas.claims_tested_by({b.key for b in atlas.benchmarks_of(category.id)}):
        body += [Heading("Claims tested"), claims_table(view, list(tested), with_paper=True)]
    body += [Heading("Papers"), _papers(view, category)]
    if category.limits:
        body += [Heading("Limits"), view.prose(category.limits)]
    body.append(view.edit_link(category.file))
    return Page(path(category), plain_title(category.title), category.question, tuple(body), search_boost=2.0)


def _head(view: View, category: Category) -> Html:
    atlas = view.atlas
    branch = next((b for b in atlas.branches if b.id == category.branch), None)
    hue = [b.id for b in atlas.branches].index(category.branch) % 10 if branch else 0
    trail: list[object] = [element("a", branch.title, href=view.to("map.md", branch.id))] if branch else []
    if category.parent in atlas.categories:
        trail += [" › ", view.category(category.parent)]
    children = [c for c in atlas.categories.values() if c.parent == category.id]
    below = join("Within it: ", listed([view.category(c.id) for c in children], " · ")) if children else None
    return element(
        "div",
        element("p", trail, class_="trail"),
        element("p", view.inline(category.question), class_="question"),
        element("p", below, class_="trail") if below else None,
        class_=f"category-head hue-{hue}",
    )


def _proof(view: View, where: str, words: str) -> Html:
    link = element("a", words, href=view.to(where))
    return element("p", element("strong", "Proved: "), link, ".", class_="callout")


def _code(view: View, methods: tuple[Method, ...]) -> list[Html]:
    parts: list[Html] = []
    for module in dict.fromkeys(m.module for m in methods):
        family = [m for m in methods if m.module == module]
        names = listed([element("a", m.name, href=view.to(method_path(m.key))) for m in family], " · ")
        origins = [join(chip(kind), " ") for kind in dict.fromkeys(m.provenance for m in family)]
        parts.append(element("p", names, " ", origins, class_="code-names"))
        parts += [contract_line(view, family[0]), left_out(view, family[0]) or Html("")]
        parts += source_part(view, family[0])
    return parts


def _how_to_run(methods: tuple[Method, ...]) -> Html:
    blocks = [run_block(m.key) for m in methods]
    after = element(
        "p",
        "Each of these takes" if len(methods) > 1 else "This takes",
        " well under a minute on one CPU core and downloads nothing. ",
        "Add ",
        element("code", "--seed 1000"),
        " for an instance nobody here has tuned on, and ",
        element("code", "--json"),
        " for numbers that a program can read.",
    )
    return element("div", blocks, after)


def _measured(view: View, category: Category, methods: tuple[Method, ...]) -> list[Html]:
    benchmarks = view.atlas.benchmarks_of(category.id)
    parts = [part for benchmark in benchmarks for part in measured(view, benchmark)]
    if category.reason and not methods:
        label = "Why nothing runs here" if not benchmarks else "Why no method of its own runs here"
        box = join(
            element("p", element("strong", label), class_="callout-title"), view.prose(category.reason)
        )
        parts.append(element("div", box, class_="callout"))
    elif not benchmarks:
        words = "No benchmark compares these methods yet. The numbers of single runs are on their pages."
        parts += [element("div", element("p", words), class_="callout callout--quiet"), no_gpu()]
    return parts


def _papers(view: View, category: Category) -> Html:
    papers = view.atlas.papers_of(category.id)
    if not papers:
        return element("p", "No paper in the catalogue names this category yet.", class_="provenance")
    before = view.atlas.read_before_category(category.id)
    head = join(
        "In reading order: each paper comes after those it builds on. ",
        join("First, from elsewhere: ", listed([view.paper(p.key) for p in before]), ".") if before else "",
    )
    every = element("a", "Filter them on the browse page", href=browse_link(view, category.id))
    note = element("p", every, ".", class_="provenance") if len(papers) > 3 else None
    return element("div", element("p", head), paper_list(view, papers), note)


def browse_link(view: View, category: str) -> Html:
    """The browse page narrowed to a category."""
    return Html(f"{view.to('browse.md')}?category={category}")
