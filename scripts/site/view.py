"""What a page function works with: the atlas, relative links, and prose whose problems are collected."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import prose
from .escape import Html, clean, element, harden, join, slug, text, web_address
from .model import Atlas, Table

ROLE = re.compile(r":[a-z]+:(?=`)")
WORD = re.compile(r"(?<![\w`/:])[a-z]+\d{4}[a-z0-9]+(?:-\d+)?(?![\w`/])")


@dataclass(frozen=True)
class Heading:
    """A Markdown heading, which the generator gives an anchor and a place in the table of contents."""

    words: str | Html
    level: int = 2


@dataclass
class View:
    """One page in the making."""

    atlas: Atlas
    path: str
    problems: list[str] = field(default_factory=list)

    def report(self, message: str) -> None:
        """Remember something that fails a strict build."""
        self.problems.append(f"{self.path}: {message}")

    def to(self, path: str, anchor: str = "") -> Html:
        """The address of another page or file, relative to this page."""
        here, there = address(self.path), address(path)
        relative = posixpath.relpath(there or ".", here or ".")
        trailing = "/" if relative not in (".", "..") and (not there or there.endswith("/")) else ""
        relative = relative + ("/" if relative in (".", "..") else trailing)
        return text(relative + (f"#{slug(anchor)}" if anchor else ""))

    def category(self, key: str, anchor: str = "") -> Html:
        """A link to a category, by its title."""
        found = self.atlas.categories.get(key)
        if found is None:
            return text(key)
        return element("a", self.inline(found.title), href=self.to(category_path(key), anchor))

    def paper(self, key: str, words: str = "") -> Html:
        """A link to a paper, by its short citation unless other words are given; one that fell says so."""
        found = self.atlas.papers.get(key)
        if found is None:
            return text(words or key)
        shown = self.inline(words) if words else text(citation(found.authors, found.year))
        link = element("a", shown, href=self.to(paper_path(key)))
        return join(link, " ", chip(found.void, "bad")) if found.void else link

    def method(self, key: str) -> Html:
        """A link to a method, by its key."""
        if key not in self.atlas.methods:
            return element("code", key)
        return element("a", element("code", key), href=self.to(method_path(key)))

    def inline(self, value: str) -> Html:
        """One line of data with formulas."""
        return prose.inline(value, self.report)

    def prose(self, value: str, class_: str = "prose") -> Html:
        """Paragraphs of data in a box."""
        return element("div", prose.prose(value, self._resolve, self.report), class_=class_)

    def story(self, docstring: str) -> Html:
        """A docstring: prose, with cross-reference roles dropped and paper keys turned into citations."""
        return self.prose(WORD.sub(self._cite, ROLE.sub("", docstring)))

    def source_link(self, path: str, line: int = 0) -> Html:
        """A link to a file of the repository: on its host if one is configured, else the copy on the site."""
        if self.atlas.repository:
            base = f"{self.atlas.repository.rstrip('/')}/blob/main/{path}"
            return element("a", element("code", path), href=web_address(f"{base}#L{line}" if line else base))
        return element("a", element("code", path), href=self.to(source_copy(path)))

    def edit_link(self, path: str) -> Html:
        """An offer to improve the file behind a page, where a host for the repository is configured."""
        if not self.atlas.repository or not path:
            return Html("")
        address = web_address(f"{self.atlas.repository.rstrip('/')}/edit/main/{path}")
        return element("p", element("a", "Improve this entry", href=address), class_="provenance")

    def _cite(self, match: re.Match[str]) -> str:
        found = self.atlas.papers.get(match[0])
        return f"[{citation(found.authors, found.year)}](paper:{match[0]})" if found else match[0]

    def _resolve(self, kind: str, key: str, anchor: str) -> str | None:
        known = {
            "category": (self.atlas.categories, category_path),
            "paper": (self.atlas.papers, paper_path),
            "method": (self.atlas.methods, method_path),
        }
        if kind == "page":
            return self.to(f"{key}.md", anchor)
        keys, path = known[kind]
        return self.to(path(key), anchor) if key in keys else None


@dataclass(frozen=True)
class Page:
    """A finished page."""

    path: str
    title: Html
    description: str
    body: tuple[Html | Heading, ...]
    hide: tuple[str, ...] = ()
    search_boost: float = 1.0


def markdown(page: Page) -> str:
    """The page as Markdown with a front matter."""
    matter = {"title": page.title, "description": text(shorten(page.description))}
    lines = ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in matter.items())]
    if page.hide:
        lines += ["hide:", *(f"  - {part}" for part in page.hide)]
    if page.search_boost != 1.0:
        lines += ["search:", f"  boost: {page.search_boost:g}"]
    blocks = ["\n".join([*lines, "---"])]
    for block in page.body:
        if isinstance(block, Heading):
            blocks.append(f"{'#' * block.level} {harden(join(block.words))}")
        elif block:
            blocks.append(harden(block).strip("\n"))
    return "\n\n".join(blocks) + "\n"


def plain_title(value: str) -> Html:
    """A title for places that show no formulas."""
    return text(prose.plain(value))


def shorten(value: str, longest: int = 180) -> str:
    """One line of at most `longest` characters, cut between words."""
    line = " ".join(clean(prose.plain(value)).split())
    return line if len(line) <= longest else line[:longest].rsplit(" ", 1)[0] + "…"


def address(path: str) -> str:
    """Where a source file is served: `papers/x.md` at `papers/x/`."""
    if not path.endswith(".md"):
        return path
    stem = path.removesuffix(".md")
    folder, name = posixpath.split(stem)
    if name == "index":
        return f"{folder}/" if folder else ""
    return f"{stem}/"


def category_path(key: str) -> str:
    """The page of a category."""
    return f"categories/{slug(key)}.md"


def method_path(key: str) -> str:
    """The page of a method."""
    return f"methods/{slug(key)}.md"


def paper_path(key: str) -> str:
    """The page of a paper."""
    return f"papers/{slug(key)}.md"


def source_copy(path: str) -> str:
    """The copy of a source file on the site; as text, so that browsers show it."""
    return f"source/{path}.txt"


def surname(author: str) -> str:
    """The last name of `First Last` or `Last, First`."""
    return author.split(",")[0].strip() if "," in author else author.split(" ")[-1]


def citation(authors: tuple[str, ...], year: str) -> str:
    """`Rafailov et al., 2023`."""
    names = [surname(author) for author in authors]
    who = {0: "Anonymous", 1: names[0] if names else "", 2: " and ".join(names)}.get(
        len(names), f"{names[0] if names else ''} et al."
    )
    return f"{who}, {year}" if year else who


def chip(words: object, kind: str = "") -> Html:
    """A small rounded label."""
    return element("span", words, class_=f"chip chip--{slug(kind)}" if kind else "chip")


def data_table(table: Table, caption: str, class_: str = "") -> Html:
    """A table that scrolls inside its own box."""
    head = element("tr", [element("th", column, scope="col") for column in table.columns])
    rows = [
        element("tr", element("th", row[0], scope="row"), [_cell(value) for value in row[1:]])
        for row in table.rows
    ]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", rows),
        class_=class_ or None,
    )
    return scroll_box(whole, caption)


def scroll_box(content: Html, label: str) -> Html:
    """A box that scrolls sideways and can be reached with the keyboard."""
    return element(
        "div", content, class_="scroll", tabindex="0", role="region", aria_label=text(prose.plain(label))
    )


def details(summary: object, *content: object, open_: bool = False, class_: str = "") -> Html:
    """A part that opens on demand."""
    return element("details", element("summary", summary), content, open=open_, class_=class_ or None)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """A list of names and values; empty values are left out."""
    kept = [(name, value) for name, value in pairs if value]
    return element("dl", [join(element("dt", n), element("dd", v)) for n, v in kept], class_="facts")


def listed(items: Iterable[object], separator: str = ", ") -> Html:
    """Values in a row."""
    parts: list[object] = []
    for item in items:
        parts += [separator, item] if parts else [item]
    return join(*parts)


def _cell(value: str) -> Html:
    is_number = bool(re.fullmatch(r"[−–-]?[\d.,]+%?(?: ± [\d.]+)?", value)) or value == "–"
    return element("td", value, class_="number" if is_number else None)
