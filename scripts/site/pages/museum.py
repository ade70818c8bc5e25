"""The museum: real bugs, kept as mutants that the contracts must catch."""

from __future__ import annotations

from scripts.site.escape import Html, element, join, text, web_address
from scripts.site.model import MuseumPiece
from scripts.site.source import code_block
from scripts.site.view import Heading, Page, View, details, listed, method_path

from .parts import badge

INTRODUCTION = (
    "Bugs that published code or published formulas once had. Each is kept as a mutant: it is put into our "
    "code, and a check of the method's contract, or a named check on the exact bed, has to notice it."
)
READING = (
    "{number} bugs are here, with where and when they were seen; many have been mended since, and finding them was "
    "the work of those who reported them. *Killed* means that the check named below the bug fails with it, and passes "
    "without it. *On the exact bed* compares two runs of a method on one instance that differ by the bug alone. The "
    "share of the gap in J runs from 0 (the reference policy) to 1 (the exact optimum); a method that is a study is "
    "compared by a measure of its own. One seed moves by a few "
    "hundredths, so that a small difference, or a gain, is no effect of the bug. Where the number is the same, the bug "
    "does not act in that run: the setting that it breaks is off or at its neutral value, what it changes is clamped "
    "or measured afterwards, or Adam, which divides by the size of gradients, does not see it. Such a bug is the "
    "reason for checks that do not wait for a run to go wrong."
)
KINDS = {
    "formula": "A bug in a formula",
    "pipeline": "A bug around the formulas, which shows only in a run",
}


def museum(view: View) -> Page:
    """All pieces, by method."""
    atlas = view.atlas
    body: list[Html | Heading] = [Heading("Museum of bugs", 1), element("p", INTRODUCTION, class_="lead")]
    pieces = [piece for contract in atlas.contracts.values() for piece in contract.museum]
    if pieces:
        body.append(view.prose(READING.format(number=len(pieces))))
    for module in dict.fromkeys(piece.module for piece in pieces):
        methods = [m for m in atlas.methods.values() if m.module == module]
        links = [element("a", m.name, href=view.to(method_path(m.key))) for m in methods]
        body.append(
            Heading(
                methods[0].name if methods else f"Shared code: {module.rsplit('.', 1)[-1].replace('_', ' ')}"
            )
        )
        body.append(element("p", "Tried on ", listed(links), class_="trail") if links else Html(""))
        body += [_piece(view, piece) for piece in pieces if piece.module == module]
    if not pieces:
        body.append(element("p", "The museum has no recorded pieces yet.", class_="callout callout--quiet"))
    return Page("museum.md", text("Museum of bugs"), INTRODUCTION, tuple(body))


def _piece(view: View, piece: MuseumPiece) -> Html:
    caught = join("Caught by ", element("code", piece.killed_by), ".") if piece.killed_by else None
    changes = [code_block(_difference(old, new), "diff") for old, new in piece.replace]
    return element(
        "div",
        element(
            "p", element("strong", view.inline(piece.title)), " ", badge(piece.status), class_="exhibit-title"
        ),
        view.story(piece.story) if piece.story else None,
        element("p", "On the exact bed: ", piece.effect, ".", class_="trail") if piece.effect else None,
        details("What is changed in our code", changes, class_="check") if changes else None,
        _sources(piece),
        element("p", KINDS.get(piece.kind, piece.kind), ". ", caught, class_="provenance"),
        class_="exhibit",
    )


def _difference(old: str, new: str) -> str:
    removed = "\n".join(f"- {line}" for line in old.splitlines())
    return removed + "\n" + "\n".join(f"+ {line}" for line in new.splitlines())


def _sources(piece: MuseumPiece) -> Html | None:
    if not piece.sources:
        return None
    items = [
        element("li", element("a", words, href=url, rel="noopener") if (url := web_address(link)) else words)
        for words, link in piece.sources
    ]
    return element("div", element("p", "Seen in:"), element("ul", items), class_="provenance")
