"""The closed schemas of a paper and of a taxonomy file, in one place, and the walk that applies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from .findings import at, declare, did_you_mean
from .model import VOID, Edit, Finding, Where, YamlDoc
from .text import SLUG, double_spaces, html_at, markdown_links, url_problem

BASES = ("full-text", "abstract", "code", "secondary", "title-only")
STATUSES = ("preprint", "published", *VOID)
FEEDBACK = (
    "pairs",
    "ranking",
    "scalar",
    "binary",
    "steps",
    "language",
    "demonstrations",
    "principles",
    "implicit",
)
RELATIONS = (
    "builds_on",
    "generalises",
    "compares_with",
    "contradicts",
    "surveys",
    "applies",
    "releases_data",
)

MAX_LINE = 300
MAX_TEXT = 8_000

declare(
    S001="unknown field",
    S002="missing field",
    S003="wrong type",
    S004="not one of the allowed values",
    S005="empty",
    S006="not a date",
    S007="link that may not be published",
    S008="HTML in text",
    S009="double space",
    S010="listed twice",
    S011="malformed id",
    S012="placeholder left in",
    S013="too long",
)


@dataclass(frozen=True)
class Field:
    """What one YAML value may be. `kind`: text, line, slug, url, date, flag, list or map."""

    kind: str
    doc: str
    required: bool = True
    nullable: bool = False
    choices: tuple[str, ...] = ()
    item: Field | None = None
    least: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


_RELATION = {
    "type": Field("line", "how the two are related", choices=RELATIONS),
    "paper": Field("line", "key of the other entry"),
    "reason": Field("text", "what is carried over"),
}
_CLAIM = {
    "id": Field("slug", "unique within the entry, e.g. c1"),
    "statement": Field("text", "what the paper says, such that a run could refute it"),
    "where": Field("text", "where in the paper"),
    "test": Field("slug", "key of the benchmark that tests it", required=False, nullable=True),
    "reason": Field("text", "why there is no test", required=False, nullable=True),
}
_CODE = {"url": Field("url", "link"), "official": Field("flag", "by the authors?")}
_CHECKED = {
    "by": Field("line", "who"),
    "date": Field("date", "when, YYYY-MM-DD"),
    "what": Field("text", "what was compared with what"),
}

PAPER = Field(
    "map",
    "papers/<year>/<key>.yaml",
    fields={
        "categories": Field(
            "list",
            "category ids, the first is primary",
            item=Field("slug", "an id of `rlhf list categories`"),
            least=1,
        ),
        "formerly": Field(
            "list", "keys it had before; their addresses lead here", False, item=Field("slug", "an old key")
        ),
        "seed": Field("flag", "one of the eleven papers the atlas started from", required=False),
        "summary": Field("text", "own words: the problem, the idea, what it changed"),
        "basis": Field("line", f"what the summary rests on: {', '.join(BASES)}", choices=BASES),
        "feedback": Field("list", "kinds of feedback used", item=Field("line", "kind", choices=FEEDBACK)),
        "status": Field("line", "state of the publication", choices=STATUSES),
        "relations": Field("list", "links to entries", False, item=Field("map", "link", fields=_RELATION)),
        "claims": Field("list", "refutable statements", False, item=Field("map", "claim", fields=_CLAIM)),
        "code": Field("list", "code links", False, item=Field("map", "link", fields=_CODE)),
        "checked": Field("list", "checks", item=Field("map", "check", fields=_CHECKED), least=1),
    },
)

TAXONOMY = Field(
    "map",
    "taxonomy/NN-<branch>.yaml",
    fields={
        "branch": Field(
            "map",
            "the branch of the map",
            fields={
                "id": Field("slug", "equal to the file name"),
                "title": Field("line", "title"),
                "description": Field("text", "what the branch holds"),
            },
        ),
        "categories": Field(
            "list",
            "in reading order",
            least=1,
            item=Field(
                "map",
                "category",
                fields={
                    "id": Field("slug", "unique"),
                    "title": Field("line", "title"),
                    "parent": Field("slug", "another category; default: the branch", required=False),
                    "question": Field("line", "the question it answers, ending in '?'"),
                    "description": Field("text", "own words, Markdown with $formulas$"),
                    "limits": Field("text", "what is not known or not covered"),
                    "founding": Field("line", "key of the founding paper"),
                    "reason": Field("text", "why nothing is run for it", required=False),
                },
            ),
        ),
    },
)


def validate(doc: YamlDoc, schema: Field) -> list[Finding]:
    """Every departure of a document from its schema."""
    return list(_walk(doc, doc.data, schema, ()))


def _name(where: Where) -> str:
    return "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in where).lstrip(".") or "the file"


def _walk(doc: YamlDoc, value: Any, schema: Field, where: Where) -> Iterator[Finding]:
    if value is None:
        if not schema.nullable:
            yield at(doc.source, doc.spans[where].key, "S005", f"{_name(where)} is empty", schema.doc)
    elif schema.kind == "map":
        yield from _map(doc, value, schema, where)
    elif schema.kind == "list":
        yield from _list(doc, value, schema, where)
    elif not isinstance(value, str):
        found = "a list" if isinstance(value, list) else "a mapping"
        yield _wrong(
            doc, where, f"is {found}; expected {'true or false' if schema.kind == 'flag' else 'text'}"
        )
    else:
        yield from _scalar(doc, value, schema, where)


def _wrong(doc: YamlDoc, where: Where, problem: str, suggestion: str = "") -> Finding:
    return at(doc.source, doc.spans[where].start, "S003", f"{_name(where)} {problem}", suggestion)


def _map(doc: YamlDoc, value: Any, schema: Field, where: Where) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield _wrong(doc, where, f"must hold {', '.join(schema.fields)}")
        return
    for name, child in value.items():
        here = (*where, name)
        if name in schema.fields:
            yield from _walk(doc, child, schema.fields[name], here)
        elif not name.startswith("?"):  # already reported by the loader
            hint = did_you_mean(name, schema.fields) or f"known: {', '.join(schema.fields)}"
            yield at(doc.source, doc.spans[here].key, "S001", f"unknown field {_name(here)}", hint)
    for name, child in schema.fields.items():
        if child.required and name not in value:
            message = f"{_name((*where, name))} is missing"
            yield at(doc.source, doc.spans[where].start, "S002", message, f"{name}: {child.doc}")


def _list(doc: YamlDoc, value: Any, schema: Field, where: Where) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield _wrong(doc, where, "must be a list", "write [one, two], or one '- item' a line")
        return
    if len(value) < schema.least:
        yield at(doc.source, doc.spans[where].key, "S005", f"{_name(where)} is empty", schema.doc)
    assert schema.item is not None
    seen: set[str] = set()
    for i, item in enumerate(value):
        here = (*where, i)
        if isinstance(item, str) and item in seen:
            message = f"'{item[:60]}' is listed twice in {_name(where)}"
            yield at(doc.source, doc.spans[here].start, "S010", message)
        seen |= {item} if isinstance(item, str) else set()
        yield from _walk(doc, item, schema.item, here)


def _scalar(doc: YamlDoc, value: str, schema: Field, where: Where) -> Iterator[Finding]:
    source, span = doc.source, doc.spans[where]
    limit = MAX_TEXT if schema.kind == "text" else MAX_LINE
    if len(value) > limit:
        message = f"{_name(where)} has {len(value):,} characters; at most {limit:,}"
        yield at(source, span.start, "S013", message, schema.doc)
    elif schema.kind == "flag":
        if value not in ("true", "false"):
            yield _wrong(doc, where, f"is '{value[:40]}'; expected true or false")
    elif not value.strip():
        yield at(source, span.key, "S005", f"{_name(where)} is empty", schema.doc)
    elif re.search(r"\b(TODO|FIXME|XXX)\b", value):
        yield at(source, span.start, "S012", f"{_name(where)} is still a placeholder", schema.doc)
    elif schema.choices:
        if value not in schema.choices:
            hint = did_you_mean(value, schema.choices) or f"one of {', '.join(schema.choices)}"
            yield at(source, span.start, "S004", f"{_name(where)}: '{value[:40]}' is not allowed", hint)
    elif schema.kind == "slug":
        if not SLUG.fullmatch(value):
            message = f"{_name(where)}: '{value[:40]}' is not an id"
            yield at(source, span.start, "S011", message, "lower-case letters, digits and single hyphens")
    elif schema.kind == "date":
        if not _is_date(value):
            yield at(
                source, span.start, "S006", f"{_name(where)}: '{value[:40]}' is not a date", "YYYY-MM-DD"
            )
    elif schema.kind == "url":
        if problem := url_problem(value):
            yield at(source, span.start, "S007", f"{_name(where)} {problem}", "https://…")
    else:
        yield from _prose(doc, value, schema, where)


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value and value.startswith("20")
    except ValueError:
        return False


def _prose(doc: YamlDoc, value: str, schema: Field, where: Where) -> Iterator[Finding]:
    source, span = doc.source, doc.spans[where]
    if schema.kind == "line" and "\n" in value.strip():
        yield _wrong(doc, where, "must be one line")
    written = source.text[span.start : span.end]
    if written[:1] in ("|", ">"):  # the header of a block and its comment are no prose
        header = written.find("\n") + 1
        written = " " * header + written[header:]
    if m := html_at(written):
        hint = "write plain text; formulas belong between $…$"
        yield at(source, span.start + m.start(), "S008", f"HTML in {_name(where)}: {m.group()[:30]!r}", hint)
    for m in double_spaces(written):
        start, end = span.start + m.start(), span.start + m.end()
        yield at(source, start, "S009", f"double space in {_name(where)}", "", Edit(start, end, " "))
    for offset, target in markdown_links(written):
        if problem := url_problem(target):
            yield at(source, span.start + offset, "S007", f"link in {_name(where)} {problem}", "https://…")
