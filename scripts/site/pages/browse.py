"""All papers in one list, which a small script of ours can narrow down."""

from __future__ import annotations

from scripts.catalog.schema import FEEDBACK
from scripts.site.escape import Html, element, join, text
from scripts.site.model import Atlas, Paper
from scripts.site.view import Heading, Page, View, chip, citation, paper_path

from .parts import first_sentence

INTRODUCTION = "Every paper in the atlas, newest first."


def browse(view: View) -> Page:
    """A form, a count and the list. Without scripts the form stays hidden and the list is whole."""
    atlas = view.atlas
    papers = sorted(atlas.papers.values(), key=lambda p: p.key)
    papers.sort(key=lambda p: p.year, reverse=True)
    body = (
        Heading("Papers", 1),
        element("p", INTRODUCTION, class_="lead"),
        _form(atlas, papers),
        element(
            "p",
            f"{len(papers)} papers",
            id="browse-count",
            role="status",
            aria_live="polite",
            class_="browse-count",
        ),
        element("ul", [_entry(view, paper) for paper in papers], class_="paper-list", id="browse-list"),
    )
    return Page("browse.md", text("Papers"), INTRODUCTION, body, hide=("navigation", "toc"))


def _form(atlas: Atlas, papers: list[Paper]) -> Html:
    used = {key for paper in papers for key in paper.categories}
    groups = [
        element(
            "optgroup",
            [element("option", c.title, value=c.id) for c in atlas.categories_of(b.id) if c.id in used],
            label=b.title,
        )
        for b in atlas.branches
    ]
    years = [element("option", year, value=year) for year in sorted({p.year for p in papers}, reverse=True)]
    kinds = {kind for paper in papers for kind in paper.feedback}
    feedback = [element("option", kind, value=kind) for kind in FEEDBACK if kind in kinds]
    everything = element("option", "any", value="")
    fields = (
        _field("Words", element("input", type="search", name="text", id="browse-text", autocomplete="off")),
        _field("Category", element("select", everything, groups, name="category")),
        _field("Year", element("select", everything, years, name="year")),
        _field("Feedback", element("select", everything, feedback, name="feedback")),
        element(
            "label",
            element("input", type="checkbox", name="code", value="yes"),
            " has code",
            class_="check-field",
        ),
        element(
            "label",
            element("input", type="checkbox", name="runs", value="yes"),
            " runs here",
            class_="check-field",
        ),
        element("button", "Clear", type="reset"),
    )
    return element(
        "form",
        fields,
        id="browse-form",
        class_="browse-form",
        hidden=True,
        role="search",
        aria_label="Filter papers",
    )


def _field(words: str, control: Html) -> Html:
    return element("label", element("span", words), control, class_="field")


def _entry(view: View, paper: Paper) -> Html:
    runs = any(m.paper == paper.key for m in view.atlas.methods.values())
    by = join(citation(paper.authors, paper.year), f" · {paper.venue}" if paper.venue else None)
    marks = [
        chip("runs here", "runs") if runs else None,
        chip("code") if paper.code else None,
        chip("seed", "seed") if paper.seed else None,
        chip(paper.void, "bad") if paper.void else None,
    ]
    where = [join(view.category(key), " ") for key in paper.categories]
    return element(
        "li",
        element("a", view.inline(paper.title), href=view.to(paper_path(paper.key)), class_="paper-title"),
        element("div", by, marks, class_="paper-by"),
        element("p", view.inline(first_sentence(paper.summary)), class_="paper-summary"),
        element("div", where, class_="paper-where"),
        class_="paper-card",
        data_year=paper.year,
        data_category=" ".join(paper.categories),
        data_feedback=" ".join(paper.feedback),
        data_code="yes" if paper.code else None,
        data_runs="yes" if runs else None,
        data_words=" ".join(paper.authors),
    )
