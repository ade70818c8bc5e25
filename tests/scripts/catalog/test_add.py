"""Scaffolding from BibTeX, and from arXiv's answer as recorded here."""

import urllib.error
from datetime import date
from pathlib import Path

import pytest

from scripts import cli
from scripts.catalog import add as adding
from scripts.catalog.check import check
from scripts.catalog.load import load
from scripts.catalog.model import CatalogueError

ATOM = b"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <entry>
    <id>http://arxiv.org/abs/2305.18290v3</id>
    <published>2023-05-29T17:57:46Z</published>
    <title>Direct Preference Optimization: Your
  Language Model and RLHF</title>
    <author><name>Rafael Rafailov</name></author>
    <author><name>Ludwig van der Berg</name></author>
    <arxiv:doi xmlns:arxiv="http://arxiv.org/schemas/atom">10.1000/xyz</arxiv:doi>
    <arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.LG"/>
  </entry>
</feed>
"""
PASTED = rb"""
@string{neurips = {Advances in Neural Information Processing Systems}}
@article{DBLP:journals/corr/abs-2305-18290,
  author    = {Rafael Rafailov and Anna de la Cruz},
  title     = {{Direct Preference Optimization for RLHF}},
  journal   = {CoRR},
  volume    = {abs/2305.18290},
  year      = {2023},
  url       = {https://doi.org/10.48550/arXiv.2305.18290},
  doi       = {10.48550/ARXIV.2305.18290},
  eprint    = {2305.18290},
  abstract  = {Not ours to copy.},
}
@conference{x, author = "M{\"u}ller, J{\"o}rg", title = "Another Paper", booktitle = neurips,
  date = {2022-12-01}, doi = {https://doi.org/10.1000/ABC}}
"""


def drafts(raw: bytes = PASTED) -> list[adding.Draft]:
    found, problems = adding.drafts_from_bibtex("standard input", raw)
    assert problems == []
    return found


def test_pasted_bibtex_becomes_clean_entries(home: Path) -> None:
    first, second = drafts()
    added = [adding.add(load(home), draft, ["alpha"], date(2026, 11, 22)) for draft in (first, second)]
    assert [a.key for a in added] == ["rafailov2023direct", "muller2022another"]
    assert (home / "papers/2023/rafailov2023direct.bib").read_text() == (
        "@misc{rafailov2023direct,\n"
        "  title = {Direct Preference Optimization for {RLHF}},\n"
        "  author = {Rafailov, Rafael and de la Cruz, Anna},\n"
        "  year = {2023},\n"
        "  eprint = {2305.18290},\n"
        "  archiveprefix = {arXiv},\n"
        "  url = {https://arxiv.org/abs/2305.18290},\n"
        "}\n"
    )
    paper = load(home).papers["muller2022another"]
    assert paper.venue == "Advances in Neural Information Processing Systems"
    assert (paper.doi, paper.url, paper.status) == ("10.1000/ABC", "https://doi.org/10.1000/ABC", "published")
    left = check(load(home))
    assert {f.code for f in left} == {"P018", "S012"}, "only what a person must write is left to do"
    assert len(left) == 10


def test_a_known_paper_is_refused(home: Path) -> None:
    draft = drafts(b"@misc{a, title={Other}, author={Doe, Jane}, year={2021}, eprint={2101.00001v2}}")[0]
    with pytest.raises(CatalogueError, match=r"doe2021first.bib has the same arXiv id"):
        adding.add(load(home), draft)
    draft = drafts(
        rb"@misc{a, title={first words ABOUT RLHF and M{\"u}nchen}, author={Roe, R}, year={2021}}"
    )[0]
    with pytest.raises(CatalogueError, match="same title"):
        adding.add(load(home), draft)


@pytest.mark.parametrize(
    "reference",
    ["2101.00001", "https://arxiv.org/abs/2101.00001v3", "10.48550/ARXIV.2101.00001", "doi:10.1000/XYZ"],
)
def test_a_known_identifier_needs_no_network(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    bib = home / "papers/2021/doe2021second.bib"
    bib.write_text(bib.read_text().replace("  year", "  doi = {10.1000/xyz},\n  year"))
    monkeypatch.setattr(adding, "_fetch", lambda *_, **__: pytest.fail("it went to the network"))
    with pytest.raises(SystemExit):
        cli.main(["add", reference, "--root", str(home)])
    assert "The paper is there already: papers/2021/doe2021" in capsys.readouterr().err


def test_a_taken_key_gets_a_number(home: Path) -> None:
    draft = drafts(
        b"@misc{a, title={First steps elsewhere}, author={Doe, Jane}, year={2021}, url={https://a.b}}"
    )[0]
    assert adding.add(load(home), draft).key == "doe2021first-2"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"@misc{a, title={T}, author={Doe, J}}", "no year"),
        (b"@misc{a, title={T}, year={2021}}", "no author"),
        (b"@misc{a, title={T}, author={Doe, J}, year={soon}}", "not a year"),
        ("@misc{a, title={标题}, author={Doe, J}, year={2021}}".encode(), "No key"),
    ],
)
def test_what_cannot_have_a_key(home: Path, raw: bytes, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        adding.add(load(home), drafts(raw)[0])
    assert len(list((home / "papers/2021").iterdir())) == 4


def test_unreadable_bibtex_gives_findings() -> None:
    found, problems = adding.drafts_from_bibtex("x.bib", b"@misc{a, title = {T, year = {2021}}")
    assert found == [] and [p.code for p in problems] == ["B001"]
    assert adding.drafts_from_bibtex("x.bib", b"\xff")[1][0].code == "F001"


def test_arxiv_answer() -> None:
    draft = adding.draft_from_atom(ATOM, "2305.18290")
    assert draft.type == "misc"
    assert draft.fields == {
        "title": "Direct Preference Optimization: Your Language Model and {RLHF}",
        "author": "Rafailov, Rafael and van der Berg, Ludwig",
        "year": "2023",
        "primaryclass": "cs.LG",
        "eprint": "2305.18290",
        "archiveprefix": "arXiv",
        "url": "https://arxiv.org/abs/2305.18290",
        "doi": "10.1000/xyz",
    }


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"<!DOCTYPE x><feed/>", ATOM.replace(b"2305.18290", b"2305.00000")]
)
def test_other_answers_are_refused(raw: bytes) -> None:
    with pytest.raises(CatalogueError, match="knows no paper"):
        adding.draft_from_atom(raw, "2305.18290")


def test_without_a_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> None:
        assert options["timeout"] == 10.0
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(CatalogueError, match=r"needs the network.*no route.*--bibtex FILE"):
        adding.draft_from_arxiv("https://arxiv.org/abs/2305.18290v1")
    with pytest.raises(CatalogueError, match="neither an arXiv id"):
        adding.draft_from_arxiv("dpo")


RECORDED = (
    b" @article{Chaudhari_2025, title={RLHF Deciphered: A Critical Analysis}, volume={58}, "
    b"ISSN={1557-7341}, url={http://dx.doi.org/10.1145/3743127}, DOI={10.1145/3743127}, number={2}, "
    b"journal={ACM Computing Surveys}, publisher={Association for Computing Machinery (ACM)}, "
    b"author={Chaudhari, Shreyas and Aggarwal, Pranjal}, year={2025}, month=sep, pages={1\xe2\x80\x9337} }\n"
)


@pytest.mark.parametrize(
    "reference", ["10.1145/3743127", "https://doi.org/10.1145/3743127", "doi:10.1145/3743127"]
)
def test_a_doi_is_looked_up(monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    asked = []
    monkeypatch.setattr(adding, "fetch_doi", lambda doi: asked.append(doi) or RECORDED)
    draft = adding.draft_from_id(reference)
    assert asked == ["10.1145/3743127"] and draft.type == "article"
    assert (draft.fields["doi"], draft.fields["url"]) == (
        "10.1145/3743127",
        "https://doi.org/10.1145/3743127",
    )
    assert draft.fields["title"] == "{RLHF} Deciphered: A Critical Analysis"
    assert draft.fields["journal"] == "ACM Computing Surveys"


def test_an_arxiv_doi_is_looked_up_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "fetch_arxiv", lambda arxiv: ATOM)
    assert adding.draft_from_id("10.48550/arXiv.2305.18290").fields["eprint"] == "2305.18290"


def test_a_doi_without_a_network_or_an_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(CatalogueError, match=r"a DOI needs the network, and doi.org.*--bibtex"):
        adding.draft_from_id("10.1145/3743127")
    monkeypatch.setattr(adding, "fetch_doi", lambda doi: b"<html>not found</html>")
    with pytest.raises(CatalogueError, match="cannot be read as one BibTeX entry"):
        adding.draft_from_id("10.1145/3743127")
    with pytest.raises(CatalogueError, match="neither an arXiv id"):
        adding.draft_from_id("the DPO paper")


def test_categories_are_guessed_with_a_reason_and_like_titles_are_named(root: Path) -> None:
    catalogue = load(root)
    guesses = dict(adding.guess_categories(catalogue, "Exploratory Preference Optimization Revisited"))
    assert "exploratory" in guesses["exploratory-preference-optimisation"]
    assert adding.guess_categories(catalogue, "Zzz") == []
    title = catalogue.papers["rafailov2023direct"].title
    assert "rafailov2023direct" in adding.alike(catalogue, title.replace("Secretly", "Secretely"))
