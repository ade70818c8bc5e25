"""An entry as a citation: CSL-JSON and RIS for reference managers, and one line of plain text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from .model import Entry, Paper
from .text import comma_parts, split_names, to_unicode

CSL_TYPES = {
    "article": "article-journal",
    "inproceedings": "paper-conference",
    "incollection": "chapter",
    "book": "book",
    "phdthesis": "thesis",
    "mastersthesis": "thesis",
    "techreport": "report",
}
RIS_TYPES = {
    "article": "JOUR",
    "inproceedings": "CONF",
    "incollection": "CHAP",
    "book": "BOOK",
    "phdthesis": "THES",
    "mastersthesis": "THES",
    "techreport": "RPRT",
}
PARTICLES = 3


def names(entry: Entry) -> Iterator[tuple[str, str]]:
    """Family and given name of each author, in Unicode; a corporate author has no given name."""
    raw = entry.bib.raw("author") if entry.bib else ""
    for name in split_names(raw):
        if name != "others":
            parts = [to_unicode(part) for part in comma_parts(name)]
            suffix = f", {parts[1]}" if len(parts) == PARTICLES else ""
            yield parts[0], parts[-1] + suffix if len(parts) > 1 else ""


def csl_item(paper: Paper, entry: Entry) -> dict[str, Any]:
    """One item of a CSL-JSON list."""
    kind = entry.bib.type if entry.bib else "misc"
    raw = entry.bib.raw if entry.bib else lambda name: ""
    item: dict[str, Any] = {
        "id": paper.key,
        "type": CSL_TYPES.get(kind, "article" if paper.arxiv else "document"),
        "title": paper.title,
        "author": [
            {"family": family, "given": given} if given else {"literal": family}
            for family, given in names(entry)
        ],
        "issued": {"date-parts": [[int(paper.year)]]},
        "container-title": paper.venue,
        "volume": to_unicode(raw("volume")),
        "issue": to_unicode(raw("number")),
        "page": to_unicode(raw("pages")).replace("–", "-"),
        "DOI": paper.doi,
        "URL": paper.url,
        "note": paper.void.capitalize(),
    }
    if paper.arxiv:
        item["number"] = f"arXiv:{paper.arxiv}"
        if item["type"] == "article":
            item["publisher"] = "arXiv"
    return {name: value for name, value in item.items() if value not in ("", [], None)}


def ris_record(paper: Paper, entry: Entry) -> dict[str, Any]:
    """One reference in the terms of ``rispy``."""
    kind = entry.bib.type if entry.bib else "misc"
    raw = entry.bib.raw if entry.bib else lambda name: ""
    first, _, last = to_unicode(raw("pages")).replace("–", "-").partition("-")
    record: dict[str, Any] = {
        "type_of_reference": RIS_TYPES.get(kind, "UNPB"),
        "id": paper.key,
        "title": paper.title,
        "authors": [f"{family}, {given}" if given else family for family, given in names(entry)],
        "year": paper.year,
        "journal_name" if kind == "article" else "secondary_title": paper.venue,
        "volume": to_unicode(raw("volume")),
        "number": to_unicode(raw("number")),
        "start_page": first,
        "end_page": last,
        "doi": paper.doi,
        "urls": [paper.url] if paper.url else [],
        "notes": [n for n in (paper.arxiv and f"arXiv:{paper.arxiv}", paper.void.capitalize()) if n],
    }
    return {name: value for name, value in record.items() if value not in ("", [])}


def to_csl(pairs: Iterable[tuple[Paper, Entry]]) -> str:
    """A CSL-JSON list."""
    return json.dumps([csl_item(*pair) for pair in pairs], indent=1, ensure_ascii=False) + "\n"


def to_ris(pairs: Iterable[tuple[Paper, Entry]]) -> str:
    """A RIS file."""
    import rispy

    class Unnumbered(rispy.RisWriter):  # type: ignore[misc]
        def set_header(self, count: int) -> str:
            return ""

    return rispy.dumps([ris_record(*pair) for pair in pairs], implementation=Unnumbered).lstrip() + "\n"


def plain(paper: Paper) -> str:
    """``Authors (year). Title. Venue. Address`` in one line; a paper that no longer stands says so."""
    authors = list(paper.authors)
    shown = " and ".join([", ".join(authors[:-1]), authors[-1]]) if len(authors) > 1 else "".join(authors)
    where = paper.venue or (f"arXiv:{paper.arxiv}" if paper.arxiv else "")
    address = f"https://doi.org/{paper.doi}" if paper.doi else paper.url
    title = f"{paper.title} [{paper.void}]" if paper.void else paper.title
    return " ".join(f"{part}." for part in (f"{shown} ({paper.year})", title, where) if part) + (
        f" {address}" if address else ""
    )
