"""What an entry, the taxonomy and the catalogue as a whole must satisfy.

One rule is one function that yields findings; `@entry_rule` and `@catalogue_rule` register it under a code.
The rules of BibTeX fields are in `rules_bib`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .bib import arxiv_of
from .findings import at, did_you_mean, in_file
from .model import VOID, Catalogue, Entry, Finding, Where, YamlDoc
from .registry import catalogue_rule, entry_rule
from .text import (
    KEY,
    MAX_KEY,
    SLUG,
    make_key,
    name_problem,
    normal_title,
    sentences,
    split_names,
    surname,
    to_unicode,
)

if TYPE_CHECKING:
    from reference_impls.registry import Benchmark, ClaimTest, MethodFacts

SUMMARY_CHARACTERS = (120, 1500)
REASON_CHARACTERS = 15
NEAR_TITLE = 92
# What would fit any paper, or is said in the voice of its authors, as abstracts are.
FILLER = re.compile(
    r"""\b(?: we [ ] (?:propose|present|introduce|show|demonstrate|find|study|develop|argue|investigate|conduct)
    | our [ ] (?:method|approach|framework|results?|experiments?|model|work|findings)
    | in [ ] this [ ] (?:paper|work)
    | this [ ] (?:paper|work) [ ] (?:proposes|presents|introduces|explores|investigates|addresses|studies)
    | novel [ ] (?:\w+ [ ])?(?:approach|method|framework|algorithm|technique|paradigm|objective)
    | state[-\s]of[-\s]the[-\s]art | (?:extensive|comprehensive) [ ] (?:experiments|evaluations?|stud(?:y|ies))
    | significant(?:ly)? [ ] (?:outperform|improve)\w* | plays? [ ] an? [ ] (?:crucial|key|vital|pivotal) [ ] role
    | pav(?:es?|ing) [ ] the [ ] way | in [ ] recent [ ] years | sheds? [ ] (?:new [ ])?light
    | (?:attracted|gained|garnered) [ ] (?:\w+ [ ])?(?:attention|interest|traction)
    | promising [ ] (?:results|performance|directions?) | cutting[-\s]edge | valuable [ ] insights?
    | demonstrat\w+ [ ] the [ ] (?:effectiveness|efficacy|superiority) | groundbreaking | game[- ]chang\w+
    )\b""".replace("[ ]", r"\s+"),
    re.I | re.X,
)


def _text(doc: YamlDoc | None, *where: str | int) -> str:
    value: Any = doc.data if doc else None
    for step in where:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return value if isinstance(value, str) else ""


def _rows(doc: YamlDoc | None, name: str) -> list[tuple[int, Any]]:
    rows = doc.data.get(name) if doc else None
    return list(enumerate(rows)) if isinstance(rows, list) else []


def _at(doc: YamlDoc, where: Where, code: str, message: str, suggestion: str = "") -> Finding:
    return at(doc.source, doc.spans[where].start, code, message, suggestion)


# --- the entry and its key -------------------------------------------------------------------------


@entry_rule("P001", "key is malformed")
def key_format(entry: Entry) -> Iterator[Finding]:
    """Lower-case ASCII, surname + year + word, at most 80 characters."""
    if not KEY.fullmatch(entry.key) or len(entry.key) > MAX_KEY:
        message = f"'{entry.key[:MAX_KEY]}' is not a key"
        yield in_file(
            _files(entry)[0], "P001", message, "surname + year + first title word, e.g. rafailov2023direct"
        )


@entry_rule("P002", "key is not the one its facts give")
def key_generated(entry: Entry) -> Iterator[Finding]:
    """The key follows from first author, year and title; `-2`, `-3` keep it unique."""
    names = split_names(entry.bib.raw("author")) if entry.bib else []
    if entry.bib is None or not names or name_problem(names[0]):
        return
    expected = make_key(surname(names[0]), entry.bib.raw("year"), to_unicode(entry.bib.raw("title")))
    stem = entry.key.split("-")[0]
    if KEY.fullmatch(expected) and stem != expected:
        message = f"'{entry.key}' should be '{expected}' by its first author, year and title"
        yield in_file(
            _files(entry)[0], "P002", message, f"rename both files to {expected}.yaml and {expected}.bib"
        )


@entry_rule("P003", "twin file is missing")
def twin(entry: Entry) -> Iterator[Finding]:
    """Every .yaml has its .bib and the other way round."""
    if entry.missing:
        present = _files(entry)[0]
        yield in_file(present, "P003", f"{entry.missing} is missing", f"add it beside {present}")


def _files(entry: Entry) -> list[str]:
    files = [entry.yaml_file, entry.bib_file]
    return [f for f in files if f != entry.missing]


# --- what we say about the paper -------------------------------------------------------------------


@entry_rule("P004", "summary is too short")
def summary_short(entry: Entry) -> Iterator[Finding]:
    """Two to four sentences unless only the title is known."""
    text = _text(entry.doc, "summary")
    least = SUMMARY_CHARACTERS[0]
    if entry.doc and text.strip() and _text(entry.doc, "basis") != "title-only" and len(text.strip()) < least:
        message = f"summary has {len(text.strip())} characters; at least {least}"
        yield _at(entry.doc, ("summary",), "P004", message, "say the problem, the idea and what it changed")


@entry_rule("P005", "summary is too long")
def summary_long(entry: Entry) -> Iterator[Finding]:
    """A summary is no abstract."""
    text = _text(entry.doc, "summary")
    if entry.doc and len(text) > SUMMARY_CHARACTERS[1]:
        message = f"summary has {len(text)} characters; at most {SUMMARY_CHARACTERS[1]}"
        yield _at(entry.doc, ("summary",), "P005", message, "keep two to four sentences")


@entry_rule("P006", "summary repeats the title")
def summary_is_title(entry: Entry) -> Iterator[Finding]:
    """The title is on the page already."""
    if entry.doc is None or entry.bib is None:
        return
    summary = normal_title(_text(entry.doc, "summary"))
    title = normal_title(to_unicode(entry.bib.raw("title")))
    if (
        summary
        and title
        and (summary == title or ((summary in title or title in summary) and _close(summary, title)))
    ):
        yield _at(
            entry.doc, ("summary",), "P006", "the summary only repeats the title", "say what the paper does"
        )


def _close(one: str, other: str) -> bool:
    return abs(len(one) - len(other)) <= 0.2 * max(len(one), len(other))


@entry_rule("P007", "title-only entry says too much")
def title_only(entry: Entry) -> Iterator[Finding]:
    """Who has read only the title writes one sentence and no claims."""
    if entry.doc is None or _text(entry.doc, "basis") != "title-only":
        return
    if sentences(_text(entry.doc, "summary")) > 1:
        yield _at(
            entry.doc, ("summary",), "P007", "basis is title-only: one sentence", "read the abstract first"
        )
    if _rows(entry.doc, "claims"):
        yield _at(entry.doc, ("claims",), "P007", "basis is title-only: no claims", "read the paper first")


@entry_rule("P008", "claim id is used twice")
def claim_ids(entry: Entry) -> Iterator[Finding]:
    """Ids are unique within an entry."""
    seen: set[str] = set()
    for i, _ in _rows(entry.doc, "claims"):
        name = _text(entry.doc, "claims", i, "id")
        if entry.doc and name and name in seen:
            yield _at(
                entry.doc, ("claims", i, "id"), "P008", f"claim '{name}' exists already", "give it another id"
            )
        seen.add(name)


@entry_rule("P009", "claim has neither test nor reason")
def claim_test(entry: Entry) -> Iterator[Finding]:
    """A claim names its test, or says why there is none."""
    for i, row in _rows(entry.doc, "claims"):
        if entry.doc and isinstance(row, dict) and not (row.get("test") or row.get("reason")):
            hint = "test: the smallest test that could refute it, or reason: why there is none"
            yield _at(entry.doc, ("claims", i), "P009", "claim has neither a test nor a reason", hint)


@entry_rule("P010", "reason of a relation is too short")
def relation_reason(entry: Entry) -> Iterator[Finding]:
    """A relation names what is carried over."""
    for i, _ in _rows(entry.doc, "relations"):
        reason = _text(entry.doc, "relations", i, "reason").strip()
        if entry.doc and reason and len(reason) < REASON_CHARACTERS:
            where = ("relations", i, "reason")
            yield _at(entry.doc, where, "P010", f"'{reason}' is no reason", "name what is carried over")


@entry_rule("P011", "relation to itself")
def relation_self(entry: Entry) -> Iterator[Finding]:
    """No paper relates to itself."""
    for i, _ in _rows(entry.doc, "relations"):
        if entry.doc and _text(entry.doc, "relations", i, "paper") == entry.key:
            yield _at(
                entry.doc, ("relations", i, "paper"), "P011", "the entry relates to itself", "remove it"
            )


@entry_rule("P012", "relation given twice")
def relation_twice(entry: Entry) -> Iterator[Finding]:
    """One relation of one type to one paper."""
    seen: set[tuple[str, str]] = set()
    for i, _ in _rows(entry.doc, "relations"):
        pair = _text(entry.doc, "relations", i, "type"), _text(entry.doc, "relations", i, "paper")
        if entry.doc and all(pair) and pair in seen:
            message = f"{pair[0]} {pair[1]} is given already"
            yield _at(entry.doc, ("relations", i), "P012", message, "merge the reasons")
        seen.add(pair)


@entry_rule("P013", "status does not fit the BibTeX")
def status_fits(entry: Entry) -> Iterator[Finding]:
    """Published needs a venue; a preprint has none; what no longer stands says so in its BibTeX too."""
    if entry.doc is None or entry.bib is None:
        return
    venue, status = venue_of(entry), _text(entry.doc, "status")
    if status == "published" and not venue:
        hint = "add booktitle or journal to the .bib, or write preprint"
        yield _at(entry.doc, ("status",), "P013", "published, but the BibTeX names no venue", hint)
    if status == "preprint" and (entry.bib.get("booktitle") or entry.bib.get("journal")):
        message = f"preprint, but the BibTeX names a venue: {venue[:60]}"
        yield _at(entry.doc, ("status",), "P013", message, "write published, or drop the venue")
    if status in VOID and status not in entry.bib.raw("note").lower():
        hint = f"add note = {{{status.capitalize()}}} to the .bib"
        yield _at(entry.doc, ("status",), "P013", f"{status}, but the BibTeX has no note that says so", hint)


def venue_of(entry: Entry) -> str:
    """Where the paper appeared, in Unicode."""
    names = ("booktitle", "journal", "school", "institution", "organization", "publisher", "howpublished")
    raw = next((entry.bib.raw(n) for n in names if entry.bib.raw(n)), "") if entry.bib else ""
    return to_unicode(raw)


@entry_rule("P018", "entry without a relation")
def has_relation(entry: Entry) -> Iterator[Finding]:
    """Nothing on the map stands alone."""
    if entry.doc and entry.doc.data and entry.doc.data.get("relations", []) == []:
        hint = "relations: the entry that it builds on or is compared with, and what is carried over"
        yield _at(entry.doc, (), "P018", "the entry relates to no other", hint)


@entry_rule("P019", "generic filler")
def filler(entry: Entry) -> Iterator[Finding]:
    """A summary or reason says what is true of this paper and of no other, in our own words."""
    if entry.doc is None:
        return
    reasons: list[Where] = [("relations", i, "reason") for i, _ in _rows(entry.doc, "relations")]
    for where in [("summary",), *reasons]:
        if _text(entry.doc, *where):
            span = entry.doc.spans[where]
            for m in FILLER.finditer(entry.doc.source.text, span.start, span.end):
                message = f"'{' '.join(m.group().split())}' could be said of any paper"
                hint = "say what is particular to this one, in your own words"
                yield at(entry.doc.source, m.start(), "P019", message, hint)


# --- references between files ----------------------------------------------------------------------


@catalogue_rule("P014", "unknown category")
def known_categories(catalogue: Catalogue) -> Iterator[Finding]:
    """Category ids resolve."""
    ids = [
        _text(doc, "categories", i, "id") for doc in catalogue.taxonomy for i, _ in _rows(doc, "categories")
    ]
    for entry in catalogue.entries:
        for i, name in _rows(entry.doc, "categories"):
            if entry.doc and isinstance(name, str) and SLUG.fullmatch(name) and name not in ids:
                hint = did_you_mean(name, ids) or "see `rlhf list categories`"
                yield _at(entry.doc, ("categories", i), "P014", f"no category '{name[:60]}'", hint)


@catalogue_rule("P015", "relation to an unknown entry")
def known_relations(catalogue: Catalogue) -> Iterator[Finding]:
    """Relation targets are entries."""
    keys = {entry.key for entry in catalogue.entries}
    for entry in catalogue.entries:
        for i, _ in _rows(entry.doc, "relations"):
            target = _text(entry.doc, "relations", i, "paper")
            if entry.doc and target and target not in keys:
                hint = did_you_mean(target, keys) or "add that paper first, or remove the relation"
                yield _at(entry.doc, ("relations", i, "paper"), "P015", f"no entry '{target[:60]}'", hint)


@catalogue_rule("P017", "old key that is in use")
def old_keys(catalogue: Catalogue) -> Iterator[Finding]:
    """A key that an entry had before is nobody's now, and leads to one entry only."""
    seen = {entry.key: f"the entry {entry.yaml_file}" for entry in catalogue.entries}
    for entry in catalogue.entries:
        for i, name in _rows(entry.doc, "formerly"):
            if entry.doc and isinstance(name, str):
                if name in seen:
                    message = f"'{name[:60]}' already leads to {seen[name]}"
                    yield _at(entry.doc, ("formerly", i), "P017", message, "remove it from one of them")
                seen.setdefault(name, f"the entry {entry.yaml_file}")


# --- duplicates ------------------------------------------------------------------------------------


def _repeated(
    catalogue: Catalogue, code: str, what: str, field: str, values: dict[Entry, str]
) -> Iterator[Finding]:
    first: dict[str, Entry] = {}
    for entry in catalogue.entries:
        value = values.get(entry, "")
        if value and entry.bib and first.setdefault(value, entry) is not entry:
            other = first[value].bib_file
            yield _bib_at(
                entry, field, code, f"same {what} as {other}", "one paper, one entry: merge the two"
            )


def _bib_at(entry: Entry, field: str, code: str, message: str, suggestion: str) -> Finding:
    assert entry.bib is not None
    found = entry.bib.get(field)
    return at(entry.bib.source, found.offset if found else entry.bib.offset, code, message, suggestion)


@catalogue_rule("D001", "two entries with one arXiv id")
def same_arxiv(catalogue: Catalogue) -> Iterator[Finding]:
    """An arXiv id belongs to one entry, whatever its version."""
    ids = {e: arxiv_of(e.bib).lower() for e in catalogue.entries if e.bib}
    yield from _repeated(catalogue, "D001", "arXiv id", "eprint", ids)


@catalogue_rule("D002", "two entries with one DOI")
def same_doi(catalogue: Catalogue) -> Iterator[Finding]:
    """A DOI belongs to one entry; case does not count."""
    dois = {e: e.bib.raw("doi").lower() for e in catalogue.entries if e.bib}
    yield from _repeated(catalogue, "D002", "DOI", "doi", dois)


@catalogue_rule("D003", "two entries with one title")
def same_title(catalogue: Catalogue) -> Iterator[Finding]:
    """Titles that differ in case, braces or punctuation only are the same."""
    titles = {e: normal_title(to_unicode(e.bib.raw("title"))) for e in catalogue.entries if e.bib}
    yield from _repeated(catalogue, "D003", "title", "title", titles)


@catalogue_rule("D004", "nearly the same title")
def near_title(catalogue: Catalogue) -> Iterator[Finding]:
    """Nearly equal titles by the same first author: usually a preprint and its publication."""
    from rapidfuzz import fuzz

    groups: dict[str, list[tuple[str, str, Entry]]] = defaultdict(list)
    for entry in catalogue.entries:
        if entry.bib and entry.bib.raw("author"):
            name = surname(split_names(entry.bib.raw("author"))[0])
            title = normal_title(to_unicode(entry.bib.raw("title")))
            groups[name].append((title, arxiv_of(entry.bib), entry))
    for group in groups.values():
        for n, (title, arxiv, entry) in enumerate(group):
            for other_title, other_arxiv, other in group[:n]:
                two_ids = arxiv and other_arxiv and arxiv != other_arxiv  # then they are two papers
                if two_ids or title == other_title:
                    continue
                if fuzz.ratio(title, other_title, score_cutoff=NEAR_TITLE):
                    message = f"title is nearly that of {other.bib_file} by the same author"
                    yield _bib_at(entry, "title", "D004", message, "if it is one paper, merge the two")


@catalogue_rule("D005", "two entries with one key")
def same_key(catalogue: Catalogue) -> Iterator[Finding]:
    """A key is unique over all years, whatever the case of its letters."""
    first: dict[str, Entry] = {}
    for entry in catalogue.entries:
        if first.setdefault(entry.key.lower(), entry) is not entry:
            other = first[entry.key.lower()]
            message = f"key '{entry.key}' is also that of {_files(other)[0]}"
            yield in_file(_files(entry)[0], "D005", message, f"append -2: {entry.key}-2")


# --- the taxonomy ----------------------------------------------------------------------------------


def _categories(catalogue: Catalogue) -> Iterator[tuple[YamlDoc, int, str]]:
    for doc in catalogue.taxonomy:
        for i, row in _rows(doc, "categories"):
            if isinstance(row, dict):
                yield doc, i, _text(doc, "categories", i, "id")


@catalogue_rule("T001", "id is used twice")
def unique_ids(catalogue: Catalogue) -> Iterator[Finding]:
    """Branches and categories share one set of ids."""
    first: dict[str, str] = {}
    places: list[tuple[YamlDoc, Where, str]] = [
        (doc, ("branch", "id"), _text(doc, "branch", "id")) for doc in catalogue.taxonomy
    ]
    places += [(doc, ("categories", i, "id"), name) for doc, i, name in _categories(catalogue)]
    for doc, where, name in places:
        if name and name in first:
            yield _at(doc, where, "T001", f"'{name}' is used already in {first[name]}", "give it another id")
        first.setdefault(name, doc.source.file)


@catalogue_rule("T002", "parent is unknown")
def known_parents(catalogue: Catalogue) -> Iterator[Finding]:
    """A parent is a category of the same branch."""
    for doc in catalogue.taxonomy:
        ids = [_text(doc, "categories", i, "id") for i, _ in _rows(doc, "categories")]
        for i, _ in _rows(doc, "categories"):
            parent = _text(doc, "categories", i, "parent")
            if parent and parent not in [*ids, _text(doc, "branch", "id")]:
                hint = did_you_mean(parent, ids) or "leave it out to hang it under the branch"
                yield _at(
                    doc, ("categories", i, "parent"), "T002", f"no category '{parent}' in this file", hint
                )


@catalogue_rule("T003", "parents form a circle")
def no_circles(catalogue: Catalogue) -> Iterator[Finding]:
    """Following parents ends at the branch."""
    parents = {name: _text(doc, "categories", i, "parent") for doc, i, name in _categories(catalogue)}
    for doc, i, name in _categories(catalogue):
        seen, step = set(), name
        while step and step not in seen:
            seen.add(step)
            step = parents.get(step, "")
        if step == name and name:
            where = ("categories", i, "parent")
            yield _at(doc, where, "T003", f"'{name}' is its own ancestor", "give one of them another parent")


@catalogue_rule("T004", "question is none")
def question_mark(catalogue: Catalogue) -> Iterator[Finding]:
    """A question ends with a question mark."""
    for doc, i, name in _categories(catalogue):
        question = _text(doc, "categories", i, "question").strip()
        if question and not question.endswith("?"):
            where = ("categories", i, "question")
            yield _at(
                doc, where, "T004", f"the question of '{name}' does not end with '?'", "ask one question"
            )


@catalogue_rule("T005", "founding paper is unknown")
def founding_exists(catalogue: Catalogue) -> Iterator[Finding]:
    """The founding paper has an entry."""
    keys = {entry.key for entry in catalogue.entries}
    for doc, i, _ in _categories(catalogue):
        key = _text(doc, "categories", i, "founding")
        if key and key not in keys:
            hint = did_you_mean(key, keys) or "add that paper first"
            yield _at(doc, ("categories", i, "founding"), "T005", f"no entry '{key[:60]}'", hint)


@catalogue_rule("T006", "neither a method nor a reason")
def method_or_reason(catalogue: Catalogue) -> Iterator[Finding]:
    """A category is run, or says why not."""
    run = {m.category for m in catalogue.facts.methods.values()}
    for doc, i, name in _categories(catalogue):
        if name and name not in run and not _text(doc, "categories", i, "reason").strip():
            message = f"'{name}' has no method and gives no reason"
            yield _at(doc, ("categories", i), "T006", message, "reason: why nothing is run for it (yet)")


@catalogue_rule("T007", "both a method and a reason")
def not_both(catalogue: Catalogue) -> Iterator[Finding]:
    """A reason why nothing is run goes when a method comes."""
    methods = {m.category: key for key, m in catalogue.facts.methods.items()}
    for doc, i, name in _categories(catalogue):
        if name in methods and _text(doc, "categories", i, "reason").strip():
            message = f"'{name}' gives a reason but has a method ({methods[name]})"
            yield at(
                doc.source, doc.spans[("categories", i, "reason")].key, "T007", message, "remove the reason"
            )


@catalogue_rule("T008", "file name and branch differ")
def branch_file(catalogue: Catalogue) -> Iterator[Finding]:
    """taxonomy/NN-<branch id>.yaml."""
    for doc in catalogue.taxonomy:
        stem = doc.source.file.rsplit("/", 1)[-1].removesuffix(".yaml")
        branch = _text(doc, "branch", "id")
        if branch and stem.partition("-")[2] != branch:
            message = f"branch '{branch}' in {stem}.yaml"
            yield _at(doc, ("branch", "id"), "T008", message, f"name the file NN-{branch}.yaml")


# --- implementations -------------------------------------------------------------------------------


@catalogue_rule("M001", "method of an unknown paper")
def method_paper(catalogue: Catalogue) -> Iterator[Finding]:
    """The paper that a method implements has an entry."""
    keys = {entry.key for entry in catalogue.entries}
    for method in catalogue.facts.methods.values():
        if method.paper not in keys:
            hint = did_you_mean(method.paper, keys) or "add that paper"
            message = f"method '{method.key}': no entry '{method.paper}'"
            yield _declared(catalogue, method, "M001", message, hint)


@catalogue_rule("M002", "method or benchmark of an unknown category")
def method_category(catalogue: Catalogue) -> Iterator[Finding]:
    """The categories of methods and benchmarks exist."""
    ids = [name for _, _, name in _categories(catalogue)]
    named: list[tuple[MethodFacts | Benchmark, str]] = [
        (m, m.category) for m in catalogue.facts.methods.values()
    ]
    named += [(b, c) for b in catalogue.facts.benchmarks.values() for c in b.categories]
    for declared, category in named:
        if category not in ids:
            hint = did_you_mean(category, ids) or "see `rlhf list categories`"
            yield _declared(catalogue, declared, "M002", f"'{declared.key}': no category '{category}'", hint)


@catalogue_rule("M003", "benchmark of an unknown method")
def benchmark_method(catalogue: Catalogue) -> Iterator[Finding]:
    """The arms of a benchmark name methods."""
    methods = catalogue.facts.methods
    for benchmark in catalogue.facts.benchmarks.values():
        for arm in benchmark.arms:
            if arm.method not in methods:
                hint = did_you_mean(arm.method, methods) or "see `rlhf list methods`"
                message = f"arm '{arm.arm}': no method '{arm.method}'"
                yield _declared(catalogue, benchmark, "M003", message, hint)


@catalogue_rule("M006", "method without a contract")
def method_contract(catalogue: Catalogue) -> Iterator[Finding]:
    """Beside every method's file stands its contract."""
    for method in catalogue.facts.methods.values():
        contract = method.path.with_name(f"{method.path.stem}_contract.py")
        if not contract.is_file():
            hint = f"write {contract.relative_to(catalogue.root).as_posix()}"
            yield _declared(catalogue, method, "M006", f"method '{method.key}' has no contract", hint)


@catalogue_rule("M007", "method in no benchmark")
def method_benchmark(catalogue: Catalogue) -> Iterator[Finding]:
    """Every method is compared with others."""
    run = {arm.method for benchmark in catalogue.facts.benchmarks.values() for arm in benchmark.arms}
    for method in catalogue.facts.methods.values():
        if method.key not in run:
            hint = "add an arm to a module of reference_impls/benchmarks"
            yield _declared(catalogue, method, "M007", f"method '{method.key}' is in no benchmark", hint)


@catalogue_rule("M005", "test of an unknown claim")
def tested_claim(catalogue: Catalogue) -> Iterator[Finding]:
    """A benchmark tests claims that entries make and that name it."""
    stated = {
        f"{entry.key}/{_text(entry.doc, 'claims', i, 'id')}": _text(entry.doc, "claims", i, "test")
        for entry in catalogue.entries
        for i, _ in _rows(entry.doc, "claims")
    }
    for test in catalogue.facts.claims.values():
        if test.key not in stated:
            hint = did_you_mean(test.key, stated) or "add the claim to the paper's entry"
            yield _declared(catalogue, test, "M005", f"'{test.key}' is no claim of an entry", hint)
        elif stated[test.key] != test.benchmark:
            hint = f"write test: {test.benchmark} in the entry"
            yield _declared(catalogue, test, "M005", f"the claim '{test.key}' does not name this test", hint)


@catalogue_rule("P016", "claim with an unknown test")
def claim_has_its_test(catalogue: Catalogue) -> Iterator[Finding]:
    """The test that a claim names is a benchmark that tests it."""
    for entry in catalogue.entries:
        for i, _ in _rows(entry.doc, "claims"):
            name = _text(entry.doc, "claims", i, "test")
            if (
                entry.doc
                and name
                and f"{entry.key}/{_text(entry.doc, 'claims', i, 'id')}"
                not in (test.key for test in catalogue.facts.claims.values() if test.benchmark == name)
            ):
                message = f"no benchmark '{name[:60]}' tests this claim"
                hint = "test: null with a reason, until a benchmark has it among its CLAIMS"
                yield _at(entry.doc, ("claims", i, "test"), "P016", message, hint)


def _declared(
    catalogue: Catalogue, what: MethodFacts | Benchmark | ClaimTest, code: str, message: str, suggestion: str
) -> Finding:
    file = what.path.relative_to(catalogue.root).as_posix()
    return Finding(file, what.line, 1, code, message, suggestion)
