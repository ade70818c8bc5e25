"""What is exported can be read by others, says the same, and changes nothing when it comes back."""

import json
import shutil
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import rispy
from pybtex.database import parse_string

from scripts.catalog.add import _refuse_known, drafts_from_bibtex, format_bib
from scripts.catalog.bib import parse_bib
from scripts.catalog.check import check
from scripts.catalog.citations import plain
from scripts.catalog.export import CITATIONS, FORMATS, export
from scripts.catalog.load import load
from scripts.catalog.model import CatalogueError
from scripts.catalog.query import Query
from scripts.catalog.source import decode

ROOT = Path(__file__).resolve().parents[3]


@cache
def atlas() -> Query:
    return Query(load(ROOT))


@cache
def exported(form: str) -> str:
    return export(atlas(), form)


def test_bibtex_is_read_by_pybtex_with_nothing_lost() -> None:
    read = parse_string(exported("bib"), "bibtex")
    papers = atlas().catalogue.papers
    assert list(read.entries) == list(papers)
    for key, entry in read.entries.items():
        assert entry.fields["year"] == papers[key].year
        people = [p for p in entry.persons["author"] if str(p) != "others"]
        assert len(people) == len([a for a in papers[key].authors if a != "et al."])


def test_bibtex_that_comes_back_changes_nothing() -> None:
    source, problems = decode("atlas.bib", exported("bib").encode())
    assert source is not None and problems == []
    again, problems = parse_bib(source)
    assert problems == [] and len(again.entries) == len(atlas().catalogue.papers)
    for entry in atlas().catalogue.entries:
        assert entry.bib is not None
        (back,) = [e for e in again.entries if e.key == entry.key]
        assert [(f.name, f.raw) for f in back.fields] == [(f.name, f.raw) for f in entry.bib.fields]


def test_bibtex_that_is_added_again_is_refused_and_would_say_the_same() -> None:
    drafts, problems = drafts_from_bibtex("atlas.bib", exported("bib").encode())
    assert problems == []
    entries = [entry for entry in atlas().catalogue.entries if entry.bib]
    for draft, entry in zip(drafts, entries, strict=True):
        source, _ = decode("x.bib", format_bib(draft, entry.key).encode())
        assert source is not None and entry.bib is not None
        (made,) = parse_bib(source)[0].entries
        assert {f.name: " ".join(f.raw.split()) for f in made.fields} == {
            f.name: " ".join(f.raw.split()) for f in entry.bib.fields
        }
    for draft in drafts[:20]:
        with pytest.raises(CatalogueError, match="is there already"):
            _refuse_known(atlas().catalogue, draft.fields)


def test_ris_is_read_by_rispy_with_the_same_facts() -> None:
    papers = atlas().catalogue.papers
    read = {record["id"]: record for record in rispy.loads(exported("ris"))}
    assert list(read) == list(papers)
    for key, paper in papers.items():
        record = read[key]
        assert (record["title"], record["year"]) == (" ".join(paper.title.split()), paper.year)
        assert record.get("doi", "") == paper.doi and record.get("urls", [""])[0] == paper.url
        assert len(record["authors"]) == len([a for a in paper.authors if a != "et al."])
        assert (f"arXiv:{paper.arxiv}" in record.get("notes", [])) == bool(paper.arxiv)


def test_csl_json_has_the_same_facts() -> None:
    papers = atlas().catalogue.papers
    items = {item["id"]: item for item in json.loads(exported("csl"))}
    assert list(items) == list(papers)
    for key, item in items.items():
        paper = papers[key]
        assert item["title"] == paper.title and item["issued"] == {"date-parts": [[int(paper.year)]]}
        assert item.get("DOI", "") == paper.doi and item.get("container-title", "") == paper.venue
        assert all(set(name) in ({"literal"}, {"family", "given"}) for name in item["author"])
    neurips = items["rafailov2023direct"]
    assert neurips["type"] == "paper-conference" and neurips["author"][0]["family"] == "Rafailov"


def test_json_follows_its_published_schema_and_the_schema_is_closed() -> None:
    schema, document = json.loads(exported("schema")), json.loads(exported("json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    document["papers"][0]["rating"] = 5
    with pytest.raises(jsonschema.ValidationError, match="rating"):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("form", CITATIONS)
def test_citations_can_be_narrowed_to_a_category(form: str) -> None:
    category = "direct-preference-optimisation"
    text = export(atlas(), form, category)
    for key, paper in atlas().catalogue.papers.items():
        assert (key in text) == (category in paper.categories) or any(
            key in other and key != other for other in atlas().catalogue.papers
        )


def test_a_wrong_category_or_form_is_one_sentence() -> None:
    with pytest.raises(CatalogueError, match="did you mean 'best-of-n'"):
        export(atlas(), "bib", "best-of-m")
    with pytest.raises(CatalogueError, match="--category goes with"):
        export(atlas(), "csv", "best-of-n")


@pytest.mark.parametrize("status", ["withdrawn", "retracted"])
def test_a_paper_that_no_longer_stands_says_so_in_every_form(tmp_path: Path, status: str) -> None:
    home = shutil.copytree(ROOT / "tests/data/good", tmp_path / "good")
    entry = home / "papers/2021/doe2021second.yaml"
    entry.write_text(entry.read_text().replace("status: preprint", f"status: {status}"))
    assert [f.code for f in check(load(home))] == ["P013"], "the BibTeX says nothing of it yet"
    bib = entry.with_suffix(".bib")
    bib.write_text(bib.read_text().replace("  year", f"  note = {{{status.capitalize()} in 2022}},\n  year"))
    catalogue = load(home)
    assert check(catalogue) == []
    for form in FORMATS:
        if form != "schema":
            first, second = (f"doe2021{name}" for name in ("first", "second"))
            text = export(Query(catalogue), form)
            assert first in text and second in text and text.lower().count(status) >= 1, form
    assert plain(catalogue.papers["doe2021second"]).count(f"[{status}].") == 1
    assert status not in plain(catalogue.papers["doe2021first"])
