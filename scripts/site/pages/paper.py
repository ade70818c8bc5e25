"""The page of a paper."""

from __future__ import annotations

from scripts.catalog.citations import plain
from scripts.site.escape import Html, element, join, web_address
from scripts.site.model import Claim, ClaimStanding, Paper
from scripts.site.source import code_block
from scripts.site.view import (
    Heading,
    Page,
    View,
    chip,
    details,
    facts,
    listed,
    paper_path,
    plain_title,
    scroll_box,
)

from . import feedback
from .parts import BASES, VERDICTS, badge, tags

LONG_LIST = 6
CLAIM_COLUMNS = ("claim-statement", "claim-where", "claim-test", "claim-measured", "claim-verdict")
RELATIONS = {
    "builds_on": ("Builds on", "Built on by"),
    "generalises": ("Generalises", "Generalised by"),
    "compares_with": ("Compares with", "Compared in"),
    "contradicts": ("Contradicts", "Contradicted by"),
    "surveys": ("Surveys", "Surveyed by"),
    "applies": ("Applies", "Applied by"),
    "releases_data": ("Releases data for", "Data released by"),
}


def path(paper: Paper) -> str:
    """Where the page is written."""
    return paper_path(paper.key)


def page(view: View, paper: Paper) -> Page:
    """Everything about one paper."""
    body: list[Html | Heading] = [Heading(view.inline(paper.title), 1), _head(view, paper)]
    body += [
        Heading("Summary"),
        view.prose(paper.summary),
        element("p", BASES.get(paper.basis, paper.basis), class_="provenance"),
    ]
    body += [Heading("Place in the atlas"), _place(view, paper)]
    if relations := _relations(view, paper):
        body += [Heading("Relations"), *relations]
    if paper.claims:
        body += [
            Heading("Claims"),
            claims_table(view, [(paper, claim) for claim in paper.claims], with_paper=False),
        ]
    if lineage := _lineage(view, paper):
        body += [Heading("Lineage"), lineage]
    body += [Heading("Cite"), _citation(paper)]
    if paper.checked:
        body += [Heading("Checked"), _checked(paper)]
    body.append(view.edit_link(paper.file))
    return Page(path(paper), plain_title(paper.title), paper.summary, tuple(body))


def claims_table(view: View, claims: list[tuple[Paper, Claim]], with_paper: bool) -> Html:
    """What papers claim, how it could be refuted, and what came of it."""
    columns = ("Paper",) * with_paper + ("Claim", "Where", "Test", "Measured", "Verdict")
    head = element("tr", [element("th", column, scope="col") for column in columns])
    rows = [_claim(view, paper, claim, with_paper) for paper, claim in claims]
    return scroll_box(
        element("table", element("thead", head), element("tbody", rows), class_="claims"), "Claims"
    )


def _claim(view: View, paper: Paper, claim: Claim, with_paper: bool) -> Html:
    standing = view.atlas.standing(paper, claim)
    cells = [
        join(element("span", claim.id, class_="claim-id"), " ", view.inline(claim.statement)),
        claim.where,
        _test(view, claim, standing),
        element(
            "span", standing.measured, title=f"seeds 0 to {len(standing.values) - 1}: {_values(standing)}"
        )
        if standing.measured
        else "–",
        join(
            badge(standing.verdict, VERDICTS),
            element("p", standing.note, class_="claim-note") if claim.test and standing.note else "",
        ),
    ]
    first = [element("td", view.paper(paper.key), class_="claim-paper")] if with_paper else []
    return element(
        "tr",
        first,
        [element("td", cell, class_=name) for name, cell in zip(CLAIM_COLUMNS, cells, strict=True)],
    )


def _values(standing: ClaimStanding) -> str:
    return ", ".join(f"{value:.3g}" for value in standing.values)


def _test(view: View, claim: Claim, standing: ClaimStanding) -> Html:
    """The test with its bands, why these, its controls and its revisions; or why there is none."""
    if not standing.test:
        return view.inline(claim.reason or "none, and no reason is given")
    benchmark = view.atlas.benchmarks.get(standing.benchmark)
    items = [
        element("li", view.inline(f"{what}: "), f"{found} ", badge(verdict, VERDICTS))
        for what, found, verdict in standing.controls
    ]
    changes = [
        element("li", view.inline(f"{r.get('date', '')}: was {r.get('was', '')}; {r.get('reason', '')}"))
        for r in standing.revisions
    ]
    return join(
        view.inline(standing.test),
        element("p", view.inline(standing.band), class_="claim-band"),
        details(
            "Why these bands, and the controls",
            join(
                element("p", view.inline(standing.why)),
                element("ul", items) if items else "",
                element("p", "Revisions") if changes else "",
                element("ul", changes) if changes else "",
                element("p", "Measured in ", view.category(benchmark.categories[0]), ".")
                if benchmark
                else "",
            ),
            class_="check",
        ),
    )


def _head(view: View, paper: Paper) -> Html:
    where = [paper.venue or None, paper.year if paper.year not in (paper.venue or "") else None]
    marks = [
        chip("seed paper", "seed") if paper.seed else None,
        chip(paper.status, "bad" if paper.void else ""),
    ]
    return element(
        "div",
        element("p", element("a", "All papers", href=view.to("browse.md")), class_="trail"),
        element("p", listed(paper.authors), class_="authors"),
        element(
            "p",
            listed([w for w in where if w], " · "),
            " ",
            [join(mark, " ") for mark in marks if mark],
            class_="trail",
        ),
        _links(paper),
        class_="paper-head",
    )


def _links(paper: Paper) -> Html | None:
    wanted = [
        ("arXiv", f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else ""),
        ("DOI", f"https://doi.org/{paper.doi}" if paper.doi else ""),
        ("Publication", paper.url if not (paper.arxiv and "arxiv.org" in paper.url) else ""),
        *((f"Code ({'by the authors' if code.official else 'by others'})", code.url) for code in paper.code),
    ]
    safe = [(words, web_address(url)) for words, url in wanted if url]
    links = [element("a", words, href=url, rel="noopener", class_="button") for words, url in safe if url]
    return element("p", [join(link, " ") for link in links], class_="buttons") if links else None


def _place(view: View, paper: Paper) -> Html:
    methods = [m for m in view.atlas.methods.values() if m.paper == paper.key]
    runs = [join(view.method(m.key), " (", m.name, ")") for m in methods]
    categories = [view.category(key) for key in paper.categories]
    tests = [view.atlas.benchmarks.get(view.atlas.standing(paper, c).benchmark) for c in paper.claims]
    figures = [view.category(key, "measured") for key in dict.fromkeys(b.categories[0] for b in tests if b)]
    matrix = element("a", "Kinds of feedback", href=view.to(feedback.PATH))
    return facts(
        [
            ("Categories", listed(categories)),
            ("Feedback", tags(paper.feedback)),
            ("Runs here as", listed(runs)),
            ("Figures", listed(figures)),
            ("Made into a page", matrix if paper.key == feedback.SEED else None),
        ]
    )


def _relations(view: View, paper: Paper) -> list[Html]:
    forward = [(RELATIONS.get(r.type, (r.type, r.type))[0], r.paper, r.reason) for r in paper.relations]
    backward = [
        (RELATIONS.get(r.type, (r.type, r.type))[1], p.key, r.reason)
        for p, r in view.atlas.back_links(paper.key)
    ]
    entries = [*forward, *backward]
    return [
        _relation(view, label, [(key, reason) for name, key, reason in entries if name == label])
        for label in dict.fromkeys(name for name, _, _ in entries)
    ]


def _relation(view: View, label: str, entries: list[tuple[str, str]]) -> Html:
    """One kind of relation; a long list is folded."""
    items = [
        element("li", _titled(view, key), element("span", view.inline(reason), class_="reason"))
        for key, reason in entries
    ]
    listing = element("ul", items)
    if len(entries) > LONG_LIST:
        return details(f"{label} {len(entries)} papers", listing, class_="fold relations")
    return element("div", element("p", element("strong", label)), listing, class_="relations")


def _lineage(view: View, paper: Paper) -> Html | None:
    """What to read before this paper, and what came of it."""
    before, after = view.atlas.read_before(paper.key), view.atlas.came_of(paper.key)
    parts = []
    if before:
        items = element("ol", [element("li", _titled(view, p.key)) for p in before])
        parts += [element("p", element("strong", "To read before it"), ", in this order"), items]
    if after:
        items = element("ul", [element("li", _titled(view, p.key)) for p in after])
        words = f"{len(after)} paper{'s' * (len(after) > 1)} here descend{'s' * (len(after) == 1)} from it"
        parts.append(
            details(words, items, class_="fold relations")
            if len(after) > LONG_LIST
            else join(element("p", element("strong", words)), items)
        )
    return element("div", parts, class_="relations") if parts else None


def _citation(paper: Paper) -> Html:
    return element(
        "div",
        code_block(plain(paper), "text"),
        code_block(paper.bibtex, "bibtex"),
        data_search_exclude=True,
        class_="cite",
    )


def _titled(view: View, key: str) -> Html:
    found = view.atlas.papers.get(key)
    return join(view.paper(key, found.title if found else key), f" ({found.year})" if found else None)


def _checked(paper: Paper) -> Html:
    return element(
        "ul", [element("li", f"{c.date}, {c.by}: {c.what}") for c in paper.checked], class_="provenance"
    )
