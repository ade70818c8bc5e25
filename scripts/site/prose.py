"""Markdown and formulas that come from data, reduced to what data may say.

Paragraphs, emphasis, code, lists, tables, quotations, http(s) links, links to other pages
(`[DPO](method:dpo)`) and formulas between dollar signs. Raw HTML, images, attributes and other link schemes
stay visible as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

from .escape import Html, clean, element, harden, join, text, web_address
from .maths import MathsError, to_mathml

INTERNAL = re.compile(r"(category|paper|method|page):([a-z0-9/-]+)(?:#([a-z0-9-]+))?")
CODE = re.compile(r"(?P<ticks>`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)(?P=ticks)(?!`)", re.DOTALL)
FENCED = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
DISPLAY = re.compile(r"\$\$(?P<latex>.+?)\$\$", re.DOTALL)
NUMBERED = re.compile(r"^\d+\. .*(?:\n(?:\d+\. .*| {3}.*|)(?=\n|\Z))*", re.MULTILINE)
HANGING = re.compile(r"^ {3}(?=\S)", re.MULTILINE)
INLINE = re.compile(r"(?<![\\$])\$(?P<latex>[^\s$](?:[^$\n]|\n(?!\s*\n))*?)(?<!\s)\$(?![\d$])")
Resolve = Callable[[str, str, str], str | None]
Report = Callable[[str], None]


def inline(value: str, report: Report) -> Html:
    """One line of data with formulas; everything else is plain text."""
    parts: list[Html] = []
    end = 0
    for match in INLINE.finditer(value):
        parts += [text(value[end : match.start()]), formula(match["latex"], False, report)]
        end = match.end()
    return join(*parts, text(value[end:]))


def plain(value: str) -> str:
    """The same line without its dollar signs, for places that cannot hold a formula."""
    return INLINE.sub(lambda match: match["latex"].replace("\\", "").replace("{", "").replace("}", ""), value)


def prose(value: str, resolve: Resolve, report: Report) -> Html:
    """Paragraphs of data as HTML."""
    formulas = _Held("\ue000", "\ue001")
    code = _Held("\ue002", "\ue003")
    source = clean(value, keep_lines=True).strip("\n").expandtabs(4)
    source = CODE.sub(lambda m: code.hold(m[0]), FENCED.sub(lambda m: code.hold(m[0]), source))
    source = NUMBERED.sub(_numbered, source)
    source = DISPLAY.sub(lambda m: formulas.hold(_display(m["latex"], report)), source)
    source = INLINE.sub(lambda m: formulas.hold(formula(m["latex"], False, report)), source)
    source = source.replace("\\$", formulas.hold("&#36;"))
    return harden(formulas.release(_converter(resolve, report).convert(code.release(source))))


def _numbered(match: re.Match[str]) -> str:
    """A numbered list as the converter wants it: four spaces below an item, and space between spaced items."""
    items = HANGING.sub("    ", match[0])
    return re.sub(r"(?<!\n)\n(?=\d+\. )", "\n\n", items) if "\n\n" in items.strip() else items


def formula(latex: str, display: bool, report: Report) -> Html:
    """MathML, or the LaTeX source as code after reporting why not."""
    try:
        return to_mathml(latex, display)
    except MathsError as error:
        report(f"formula {error}")
        return element("code", latex)


class _Held:
    """Pieces of text that wait behind private-use tokens while the rest is processed."""

    def __init__(self, opening: str, closing: str) -> None:
        self.pieces: list[str] = []
        self.token = re.compile(f"{opening}(\\d+){closing}")
        self.written = f"{opening}%d{closing}"

    def hold(self, piece: str) -> str:
        """A token for the piece."""
        self.pieces.append(piece)
        return self.written % (len(self.pieces) - 1)

    def release(self, value: str) -> str:
        """The text with every piece back in place, pieces within pieces too."""
        while self.token.search(value):
            value = self.token.sub(lambda match: self.pieces[int(match[1])], value)
        return value


def _display(latex: str, report: Report) -> Html:
    return element("span", formula(latex, True, report), class_="math-display")


class _Restricted(Extension):
    """No raw HTML, no images, no reference definitions; links and headings through `_Checked`."""

    def __init__(self, resolve: Resolve, report: Report) -> None:
        super().__init__()
        self.resolve = resolve
        self.report = report

    def extendMarkdown(self, md: Markdown) -> None:
        """Take away what data may not say."""
        md.preprocessors.deregister("html_block")
        md.parser.blockprocessors.deregister("reference")
        for name in ("html", "image_link", "image_reference", "short_image_ref", "automail"):
            md.inlinePatterns.deregister(name)
        md.treeprocessors.register(_Checked(md, self.resolve, self.report), "checked", 0)


class _Checked(Treeprocessor):
    """Rewrites links to checked addresses and flattens headings."""

    def __init__(self, md: Markdown, resolve: Resolve, report: Report) -> None:
        super().__init__(md)
        self.resolve = resolve
        self.report = report

    def run(self, root: Element) -> None:
        """Walk the finished tree."""
        for node in root.iter():
            if node.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
                node.tag = "p"
                node.set("class", "prose-heading")
            if node.tag == "a":
                self._check(node)

    def _check(self, node: Element) -> None:
        address = node.get("href", "")
        node.attrib.clear()
        internal = INTERNAL.fullmatch(address)
        target = self.resolve(*internal.groups("")) if internal else web_address(address)
        if target is None:
            self.report(f"link to {address[:100]!r} leads nowhere we link to")
            node.tag = "span"
            return
        node.set("href", self.md.htmlStash.store(target) if not internal else target)
        if not internal:
            node.set("rel", "noopener")


def _converter(resolve: Resolve, report: Report) -> Markdown:
    extensions: list[Extension | str] = ["tables", "fenced_code", "sane_lists", _Restricted(resolve, report)]
    return Markdown(extensions=extensions, output_format="html")
