"""Scaffolding an entry from BibTeX or arXiv's answer: citation facts filled in, the rest marked TODO."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from .bib import arxiv_of, parse_bib
from .load import load
from .model import BibEntry, Catalogue, CatalogueError, Finding
from .rules import NEAR_TITLE
from .rules_bib import FIELDS, REQUIRED
from .schema import BASES, FEEDBACK, RELATIONS, STATUSES
from .source import MAX_TAXONOMY_BYTES, Write, all_or_nothing, decode
from .text import (
    ARXIV_ID,
    KEY,
    clean_arxiv,
    clean_doi,
    comma_parts,
    make_key,
    normal_title,
    split_names,
    surname,
    to_unicode,
    unprotected_capitals,
    url_problem,
)

_FILLERS = frozenset(("from", "with", "that", "this", "into", "your", "what", "when"))
_FILLERS |= {"learning", "language", "models", "model", "large"}
DOI_API = "https://doi.org/"
ARXIV_API = "https://export.arxiv.org/api/query?id_list="
_ATOM = {"a": "http://www.w3.org/2005/Atom", "x": "http://arxiv.org/schemas/atom"}
_TYPES = {
    "conference": "inproceedings",
    "online": "misc",
    "electronic": "misc",
    "unpublished": "misc",
    "www": "misc",
}
_RENAMED = {"journaltitle": "journal", "eprinttype": "archiveprefix", "eprintclass": "primaryclass"}
_ORDER = re.findall(
    r"\w+",
    """title author booktitle journal year month volume number pages series edition editor publisher
    organization institution school address type howpublished note eprint archiveprefix primaryclass doi url""",
)


@dataclass(frozen=True)
class Draft:
    """Citation facts on their way to becoming an entry."""

    type: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Added:
    """An entry that was written."""

    key: str
    files: tuple[Path, ...]
    guesses: tuple[tuple[str, str], ...] = ()
    """Categories that might fit, each with the reason."""
    alike: tuple[str, ...] = ()
    """Entries with nearly the same title."""


def drafts_from_bibtex(name: str, raw: bytes) -> tuple[list[Draft], list[Finding]]:
    """Every entry of a BibTeX text; findings are what keeps an entry from being read."""
    if len(raw) > MAX_TAXONOMY_BYTES:
        raise CatalogueError(f"{name} is larger than {MAX_TAXONOMY_BYTES:,} bytes.")
    source, problems = decode(name, raw)
    if source is None:
        return [], problems
    bib, problems = parse_bib(source)
    return [_draft(entry) for entry in bib.entries], [p for p in problems if p.edit is None]


def _draft(entry: BibEntry) -> Draft:
    fields: dict[str, str] = {}
    for field in entry.fields:
        name = _RENAMED.get(field.name.lower(), field.name.lower())
        fields.setdefault(name, " ".join(field.raw.split()))
    fields.setdefault("year", fields.get("date", "")[:4])
    arxiv = arxiv_of(entry) or clean_arxiv(_reference(fields.get("journal", "")))
    return _tidy(_TYPES.get(entry.type, entry.type), fields, arxiv)


def _reference(journal: str) -> str:
    found = re.search(r"arxiv[:\s]*\S*\d{4}\.\d{4,5}|abs/\d{4}\.\d{4,5}", journal, re.I)
    return re.sub(r"^.*?(\d{4}\.\d{4,5}).*$", r"\1", found.group()) if found else ""


def _tidy(kind: str, fields: dict[str, str], arxiv: str) -> Draft:
    """The fields in the form that the check asks for."""
    facts = {name: value for name, value in fields.items() if name in FIELDS and value}
    for name in ("journal", "booktitle"):
        if re.search(r"\b(arxiv|corr)\b", facts.get(name, ""), re.I):
            del facts[name]
            kind = "misc"
            facts = {n: v for n, v in facts.items() if n not in ("volume", "number", "pages", "publisher")}
    if arxiv:
        facts |= {"eprint": arxiv, "archiveprefix": "arXiv", "url": f"https://arxiv.org/abs/{arxiv}"}
    doi = clean_doi(facts.pop("doi", ""))
    if doi and not doi.lower().startswith("10.48550/"):
        facts["doi"] = doi
        facts.setdefault("url", f"https://doi.org/{doi}")
    if url_problem(facts.get("url", "https://a.b")):
        del facts["url"]
    if "author" in facts:
        facts["author"] = " and ".join(_family_first(n) for n in split_names(facts["author"]) if n)
    if "title" in facts:
        facts["title"] = protect(facts["title"])
    return Draft(kind if kind in REQUIRED else "misc", facts)


def _family_first(name: str) -> str:
    if len(comma_parts(name)) > 1 or " " not in name or name.startswith("{"):
        return name
    from bibtexparser.middlewares.names import InvalidNameError, parse_single_name_into_parts

    try:
        parts = parse_single_name_into_parts(name)
    except InvalidNameError:
        return name
    return f"{' '.join([*parts.von, *parts.last])}, {' '.join(parts.first)}"


def protect(title: str) -> str:
    """A title with braces around words that have inner capitals, and none around the whole."""
    while title.startswith("{") and title.endswith("}") and _closes_at(title) == len(title) - 1:
        title = title[1:-1]
    for start, end in reversed(list(unprotected_capitals(title))):
        title = f"{title[:start]}{{{title[start:end]}}}{title[end:]}"
    return title


def _closes_at(text: str) -> int:
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if depth == 0:
            return i
    return -1


def guess_categories(catalogue: Catalogue, title: str, most: int = 3) -> list[tuple[str, str]]:
    """Categories whose titles and papers share the rarest words with a title, each with that reason."""
    words = _words(title)
    bags = {
        key: [
            _words(category.title),
            *(_words(p.title) for p in catalogue.papers.values() if key in p.categories),
        ]
        for key, category in catalogue.categories.items()
    }
    total = Counter(word for paper in catalogue.papers.values() for word in _words(paper.title))
    scores: dict[str, float] = {}
    for key, bag in bags.items():
        shared = {word: sum(word in one for one in bag) / len(bag) for word in words}
        # A word counts by how often the category uses it, against how often everybody does.
        scores[key] = sum(share / (1 + total[word]) ** 0.5 for word, share in shared.items())
    best = sorted((k for k, score in scores.items() if score > 0), key=lambda k: (-scores[k], k))[:most]
    return [
        (key, "shares " + ", ".join(sorted(w for w in words if any(w in one for one in bags[key]))))
        for key in best
    ]


def _words(title: str) -> frozenset[str]:
    """The words of a title that say something, without a plural s."""
    words = re.findall(r"[a-z]{4,}", to_unicode(title).lower())
    return frozenset(word.rstrip("s") for word in words if word not in _FILLERS)


def alike(catalogue: Catalogue, title: str) -> list[str]:
    """Entries with nearly the same title: perhaps the same paper."""
    from rapidfuzz import fuzz

    new = normal_title(title)
    return [p.key for p in catalogue.papers.values() if fuzz.ratio(new, normal_title(p.title)) >= NEAR_TITLE]


def add(
    catalogue: Catalogue,
    draft: Draft,
    categories: Sequence[str] = (),
    today: date | None = None,
    finish: Callable[[str], str] = str,
    write: Write | None = None,
) -> Added:
    """Write the two files of a new entry, unless the paper is there already; ``finish`` completes the YAML text."""
    facts = draft.fields
    for name in ("title", "author", "year"):
        if not facts.get(name):
            raise CatalogueError(f"The entry has no {name}, so it can have no key.")
    if not re.fullmatch(r"(19|20)\d\d", facts["year"]):
        raise CatalogueError(f"'{facts['year'][:40]}' is not a year.")
    _refuse_known(catalogue, facts)
    stem = make_key(surname(split_names(facts["author"])[0]), facts["year"], to_unicode(facts["title"]))
    if not KEY.fullmatch(stem):
        raise CatalogueError(f"No key can be made of first author, year and title ('{stem}').")
    taken = {entry.key for entry in catalogue.entries}
    key = next(k for k in (stem, *(f"{stem}-{n}" for n in range(2, 100))) if k not in taken)
    folder = catalogue.root / "papers" / facts["year"]
    bib, entry = folder / f"{key}.bib", folder / f"{key}.yaml"
    title = to_unicode(facts["title"])
    guesses = [] if categories else guess_categories(catalogue, title)
    text = finish(scaffold(draft, categories, today or date.today(), guesses))
    with nullcontext(write) if write else all_or_nothing(catalogue.root) as put:
        put(bib, format_bib(draft, key))
        put(entry, text)
    return Added(key, (bib, entry), tuple(guesses), tuple(alike(catalogue, title)))


def add_all(
    root: Path, drafts: Sequence[Draft], categories: Sequence[str] = (), finish: Callable[[str], str] = str
) -> list[Added]:
    """Add several papers, or after any failure none."""
    with all_or_nothing(root) as write:
        return [add(load(root), draft, categories, finish=finish, write=write) for draft in drafts]


def refuse_known_id(catalogue: Catalogue, reference: str) -> None:
    """Say that a paper is there already by its arXiv id or DOI alone, before anybody asks the network."""
    arxiv, doi = clean_arxiv(reference), clean_doi(reference)
    if found := re.fullmatch(r"10\.48550/arxiv\.(.+)", doi, re.I):
        arxiv, doi = clean_arxiv(found[1]), ""
    facts = {"eprint": arxiv} if ARXIV_ID.fullmatch(arxiv) else {"doi": doi}
    _refuse_known(catalogue, facts)


def _refuse_known(catalogue: Catalogue, facts: dict[str, str]) -> None:
    for entry in catalogue.entries:
        if entry.bib is None:
            continue
        same = (
            ("arXiv id", facts.get("eprint", ""), arxiv_of(entry.bib)),
            ("DOI", facts.get("doi", "").lower(), entry.bib.raw("doi").lower()),
            (
                "title",
                normal_title(to_unicode(facts.get("title", ""))),
                normal_title(to_unicode(entry.bib.raw("title"))),
            ),
        )
        for what, new, old in same:
            if new and new == old:
                raise CatalogueError(f"The paper is there already: {entry.bib_file} has the same {what}.")


def format_bib(draft: Draft, key: str) -> str:
    """One field a line, in a fixed order."""
    lines = [f"  {name} = {{{draft.fields[name]}}}," for name in _ORDER if draft.fields.get(name)]
    return "\n".join([f"@{draft.type}{{{key},", *lines, "}", ""])


def scaffold(
    draft: Draft, categories: Sequence[str], today: date, guesses: Sequence[tuple[str, str]] = ()
) -> str:
    """A YAML file in which everything still to be written says TODO."""
    published = any(draft.fields.get(n) for n in ("booktitle", "journal"))
    chosen = ", ".join(categories) or "TODO"
    guessed = "".join(f"# perhaps {name}: {reason}\n" for name, reason in guesses)
    return f"""\
{guessed}categories: [{chosen}]  # ids of `rlhf list categories`; the first is the primary one
summary: >-
  TODO: two to four sentences in your own words: the problem, the idea, what it changed. Formulas go between
  dollar signs. With basis title-only: one sentence, no claims.
basis: TODO  # {", ".join(BASES)}
feedback: []  # any of {", ".join(FEEDBACK)}
status: {"published" if published else "preprint"}  # {", ".join(STATUSES)}
# relations:  # types: {", ".join(RELATIONS)}; at least one
#   - {{type: builds_on, paper: KEY, reason: "what is carried over"}}  # keys: `rlhf list papers`
# claims:
#   - {{id: c1, statement: "what a run could refute", where: "Section 5", reason: "why not tested"}}
# code:
#   - {{url: "https://…", official: true}}
checked:
  - {{by: "TODO your name", date: "{today.isoformat()}", what: "TODO what you compared with what"}}
"""


def fetch_arxiv(arxiv: str, timeout: float = 10.0) -> bytes:
    """arXiv's Atom answer for one id."""
    return _fetch(ARXIV_API + arxiv, "an arXiv id", "arXiv", timeout)


def fetch_doi(doi: str, timeout: float = 10.0) -> bytes:
    """The BibTeX that the registry of a DOI gives."""
    return _fetch(DOI_API + quote(doi), "a DOI", "doi.org", timeout, Accept="application/x-bibtex")


def _fetch(address: str, what: str, who: str, timeout: float, **headers: str) -> bytes:
    """One answer from the network, capped. The only function of the catalogue that goes there."""
    import urllib.request

    request = urllib.request.Request(address, headers={"User-Agent": "rlhf-atlas", **headers})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return bytes(answer.read(MAX_TAXONOMY_BYTES))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise CatalogueError(
            f"Looking up {what} needs the network, and {who} does not answer ({reason}); "
            "paste the paper's BibTeX instead: rlhf add --bibtex FILE (or - for standard input)."
        ) from None


def draft_from_doi(reference: str) -> Draft:
    """Look a paper up by DOI or link to it."""
    doi = clean_doi(reference)
    if not doi:
        raise CatalogueError(f"'{reference[:60]}' is not a DOI such as 10.1145/3743127.")
    if found := re.fullmatch(r"10\.48550/arxiv\.(.+)", doi, re.I):
        return draft_from_arxiv(found[1])
    drafts, problems = drafts_from_bibtex(f"the BibTeX of {doi}", fetch_doi(doi))
    if len(drafts) != 1 or problems:
        raise CatalogueError(f"doi.org's answer for {doi} cannot be read as one BibTeX entry.")
    draft = drafts[0]
    return Draft(draft.type, {**draft.fields, "doi": doi, "url": f"https://doi.org/{doi}"})


def draft_from_id(reference: str) -> Draft:
    """Look a paper up by arXiv id or DOI, whichever it is."""
    if clean_doi(reference) and not ARXIV_ID.fullmatch(clean_arxiv(reference)):
        return draft_from_doi(reference)
    return draft_from_arxiv(reference)


def draft_from_atom(raw: bytes, arxiv: str) -> Draft:
    """The facts in arXiv's answer."""
    from xml.etree import ElementTree

    failure = CatalogueError(f"arXiv knows no paper {arxiv}, or its answer cannot be read.")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise failure
    try:
        entry = ElementTree.fromstring(raw).find("a:entry", _ATOM)
    except ElementTree.ParseError:
        raise failure from None
    if entry is None or arxiv not in (entry.findtext("a:id", "", _ATOM)):
        raise failure

    def text(path: str) -> str:
        return " ".join((entry.findtext(path, "", _ATOM)).split())

    category = entry.find("x:primary_category", _ATOM)
    fields = {
        "title": text("a:title"),
        "author": " and ".join(
            " ".join((n.text or "").split()) for n in entry.findall("a:author/a:name", _ATOM)
        ),
        "year": text("a:published")[:4],
        "primaryclass": category.get("term", "") if category is not None else "",
        "doi": text("x:doi"),
    }
    return _tidy("misc", fields, arxiv)


def draft_from_arxiv(reference: str) -> Draft:
    """Look a paper up by arXiv id or link."""
    arxiv = clean_arxiv(reference)
    if not ARXIV_ID.fullmatch(arxiv):
        raise CatalogueError(
            f"'{reference[:60]}' is neither an arXiv id such as 2305.18290 nor a DOI such as 10.1145/3743127."
        )
    return draft_from_atom(fetch_arxiv(arxiv), arxiv)
