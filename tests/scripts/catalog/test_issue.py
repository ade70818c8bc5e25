"""Answers of the issue form become the same files; nothing in them can do harm."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.catalog import add as adding
from scripts.catalog.check import check
from scripts.catalog.issue import LABELS, Answers, draft_of, entry_text, parse_issue
from scripts.catalog.load import load
from scripts.catalog.model import CatalogueError

FORM = Path(__file__).resolve().parents[3] / ".github/ISSUE_TEMPLATE/add-a-paper.yml"
BODY = """### arXiv id or DOI

2305.18290

### Title

A Paper

### Categories

alpha, beta

### Summary

The first sentence says what the problem is: and why. "Quoted" # not a comment.

The second says what changed for all those who came after, at some length.

### What did you read?

abstract

### How does it relate to papers that are here?

- builds on doe2021first: the objective

### A claim that a small experiment could refute

_No response_

### Code

_No response_

### Licence

- [X] The text above is mine and may be published under CC BY 4.0.
"""
BIB = b"@misc{x, title={A Paper}, author={Roe, Ann}, year={2022}, url={https://example.org/a}}"


def test_the_labels_are_those_of_the_form() -> None:
    form = yaml.safe_load(FORM.read_text(encoding="utf-8"))
    labels = [part["attributes"]["label"] for part in form["body"] if part["type"] != "markdown"]
    assert [label for label in labels if label != "Licence"] == list(LABELS)


def test_answers_are_read() -> None:
    answers = parse_issue(BODY.replace("\n", "\r\n"))
    assert (answers.identifier, answers.title, answers.categories) == (
        "2305.18290",
        "A Paper",
        ("alpha", "beta"),
    )
    assert answers.summary.endswith(
        '"Quoted" # not a comment. The second says what changed for all those who came after, at some length.'
    )
    assert answers.basis == "abstract" and answers.claims == answers.code == ""
    assert answers.relations == ("builds on doe2021first: the objective",)


def test_they_become_an_entry(home: Path) -> None:
    answers = parse_issue(BODY)
    draft = adding.drafts_from_bibtex("x", BIB)[0][0]
    adding.add(load(home), draft, ["alpha"], date(2026, 11, 22), lambda text: entry_text(text, answers))
    catalogue = load(home)
    paper = catalogue.papers["roe2022paper"]
    assert paper.summary == answers.summary and paper.basis == "abstract"
    assert "# The form's answer on relations: builds on doe2021first" in (home / paper.file).read_text()
    assert {f.code for f in check(catalogue)} == {"P018", "S012"}, (
        "who checked it and a relation are left to say"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no answer to 'arXiv id or DOI'"),
        ("### Title\n\nA\n", "no answer to 'arXiv id or DOI'"),
        (BODY.replace("abstract", "_No response_"), "no answer to 'What did you read"),
        ("x" * 50_000, "longer than"),
    ],
)
def test_what_is_no_form_is_one_sentence(body: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        parse_issue(body)


def test_a_wrong_identifier_is_one_sentence() -> None:
    with pytest.raises(CatalogueError, match="neither an arXiv id nor a DOI"):
        draft_of(parse_issue(BODY.replace("2305.18290", "the DPO paper")))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=80))
def test_hostile_answers_stay_text(summary: str, claim: str, relation: str) -> None:
    draft = adding.drafts_from_bibtex("x", BIB)[0][0]
    answers = Answers("1", "t", (), summary, "abstract", (relation,), claim, claim)
    text = entry_text(adding.scaffold(draft, ["alpha"], date(2026, 1, 1)), answers)
    try:
        read = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return  # characters that YAML forbids: the check says where
    assert read["summary"] == summary and set(read) == {
        "categories",
        "summary",
        "basis",
        "feedback",
        "status",
        "checked",
    }
