"""An Atom feed of what is new: entries of papers, and verdicts on claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from .query import Query

ATOM = "http://www.w3.org/2005/Atom"
TAG = "tag:rlhf-atlas,2026:"
MOST = 60


@dataclass(frozen=True)
class News:
    """One thing that happened on a day."""

    id: str
    date: str
    title: str
    text: str
    address: str


def news(query: Query) -> list[News]:
    """Everything that the catalogue dates, the newest first; on one day verdicts before papers."""
    found = sorted([*_verdicts(query), *_papers(query)], key=lambda n: (n.address, n.id))
    found.sort(key=lambda n: "claim/" in n.id, reverse=True)
    return sorted(found, key=lambda n: n.date, reverse=True)


def _papers(query: Query) -> Iterator[News]:
    for paper in query.catalogue.papers.values():
        if dates := [check.date for check in paper.checked]:
            title = f"New: {paper.title} ({paper.year})"
            if paper.void:
                title = f"{paper.void.capitalize()}: {paper.title} ({paper.year})"
            yield News(f"{TAG}paper/{paper.key}", min(dates), title, paper.summary, f"papers/{paper.key}/")


def _verdicts(query: Query) -> Iterator[News]:
    for row in query.claims():
        standing = query.standings.get(f"{row['paper']}/{row['id']}")
        if standing and standing.date:
            # A changed verdict is another entry: its id says what was found.
            name = f"{TAG}claim/{row['paper']}/{row['id']}/{standing.verdict.replace(' ', '-')}"
            text = f"{row['statement']} Measured: {standing.measured}; {standing.band}."
            title = f"Claim {standing.verdict}: {row['paper']}, {row['id']}"
            yield News(name, standing.date, title, text, f"papers/{row['paper']}/")


def to_atom(query: Query) -> str:
    """The newest `MOST` pieces of news. Addresses are relative to the feed's own."""
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    found = news(query)[:MOST]

    def add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
        child.text = text or None
        return child

    add(feed, "title", "RLHF Atlas: new papers and verdicts")
    add(feed, "id", f"{TAG}feed")
    add(feed, "updated", _moment(max((n.date for n in found), default="2026-01-01")))
    add(feed, "link", rel="self", href="feed.xml")
    add(feed, "link", href="../")
    add(add(feed, "author"), "name", "The RLHF Atlas contributors")
    for item in found:
        entry = add(feed, "entry")
        add(entry, "id", item.id)
        add(entry, "title", item.title)
        add(entry, "updated", _moment(item.date))
        add(entry, "link", href=f"../{item.address}")
        add(entry, "summary", item.text)
    ElementTree.indent(feed)
    return ElementTree.tostring(feed, encoding="unicode", xml_declaration=True) + "\n"


def _moment(date: str) -> str:
    return f"{date}T00:00:00Z"
