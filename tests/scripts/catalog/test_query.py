"""Lists, coverage and exports: fields as promised, evidence read from records without importing methods."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from reference_impls.registry import contract_digest
from scripts.catalog.evidence import merge, verdict_of
from scripts.catalog.export import FORMATS, export
from scripts.catalog.load import load
from scripts.catalog.model import CatalogueError
from scripts.catalog.query import COVERAGE, Query

METHOD = '''
"""Never imported."""
raise RuntimeError("imported")
from dataclasses import dataclass

METHODS = {
    "toy": {"name": "Toy", "paper": "doe2021first", "category": "alpha", "provenance": "reconstruction",
            "feedback": ["pairs"], "needs": ["reference"], "target": "J_beta", "yields": "policy"},
}

@dataclass(frozen=True)
class ToyConfig:
    beta: float = 0.5

def train(bed: object, config: ToyConfig, seed: int, observe: object) -> None: ...
'''
BED = '''
"""Never imported."""
from dataclasses import dataclass

@dataclass(frozen=True)
class ExactConfig:
    size: int = 8
'''
BENCHMARK = """
BENCHMARK = {"key": "toys", "categories": ["alpha"], "question": "Which?",
             "arms": [{"arm": "plain", "method": "toy"}]}
"""
FIELDS = {
    "methods": "key name paper category provenance target feedback needs contract mutants surviving records stale",
    "categories": "id title parent question benchmark reason founding newest papers methods",
    "papers": "key title authors year venue arxiv doi seed summary basis status code relations claims executable "
    "contract records categories feedback methods",
    "claims": "id paper statement where test band control measured verdict",
}


def record(device: str, seed: int, config_digest: str) -> dict[str, Any]:
    from reference_impls.core.digest import digest

    return {
        "benchmark": "toys",
        "arm": "plain",
        "method": "toy",
        "oracle": False,
        "bed": "exact",
        "bed_config": {"size": 8},
        "bed_digest": digest({"size": 8}),
        "config": {"beta": 0.5},
        "config_digest": config_digest or digest({"beta": 0.5}),
        "seed": seed,
        "metrics": {},
        "curve": [],
        "canary": {},
        "cost": {},
        "environment": {"device": device},
        "date": "2026-11-22",
        "claims": {},
    }


@pytest.fixture
def lived(home: Path) -> Path:
    """The clean catalogue with a method, a passing contract and records on two devices."""
    folder = home / "reference_impls"
    for name, text in {"toys/toy.py": METHOD, "beds/exact.py": BED, "benchmarks/toys.py": BENCHMARK}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "toys/toy_contract.py").write_text("contract = 1\n")
    (folder / "records").mkdir()
    for device in ("cpu", "cuda"):
        lines = [json.dumps(record(device, seed, "")) + "\n" for seed in (0, 1)]
        (folder / f"records/toys-{device}.jsonl").write_text("".join(lines))
    module = "reference_impls.toys.toy"
    verdict = {"digest": contract_digest(module, folder), "status": "pass", "mutants": 7, "surviving": []}
    (folder / "records/contracts.json").write_text(json.dumps({module: verdict}))
    yaml = home / "taxonomy/10-good.yaml"
    yaml.write_text(yaml.read_text().replace('    reason: "Nothing to run."\n', ""))
    return home


def query(home: Path) -> Query:
    return Query(load(home))


@pytest.mark.parametrize("kind", list(FIELDS))
def test_promised_fields(lived: Path, kind: str) -> None:
    rows = query(lived).rows(kind)
    assert rows
    assert all(set(FIELDS[kind].split()) <= set(row) for row in rows)
    json.dumps(rows)


def test_evidence_of_a_method(lived: Path) -> None:
    (row,) = query(lived).rows("methods")
    assert (row["contract"], row["mutants"], row["surviving"], row["stale"]) == ("pass", 7, 0, False)
    assert row["records"] == {"exact": {"cpu": [0, 1], "cuda": [0, 1]}}
    (category,) = query(lived).rows("categories")
    assert (category["benchmark"], category["methods"], category["reason"]) == ("toys", ["toy"], None)
    assert (category["papers"], category["newest"]) == (["doe2021first", "doe2021second"], "doe2021second")
    first, second = query(lived).rows("papers")
    assert (first["executable"], first["contract"], first["methods"]) == (True, "pass", ["toy"])
    assert (second["executable"], second["contract"], second["records"]) == (False, "none", {})


def test_a_changed_method_loses_its_contract(lived: Path) -> None:
    path = lived / "reference_impls/toys/toy.py"
    path.write_text(path.read_text() + "# changed\n")
    assert query(lived).rows("methods")[0]["contract"] == "fail"
    (lived / "reference_impls/records/contracts.json").unlink()
    assert query(lived).rows("methods")[0]["contract"] == "none"


def test_a_changed_default_makes_records_stale(lived: Path) -> None:
    path = lived / "reference_impls/toys/toy.py"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    assert query(lived).rows("methods")[0]["stale"] is True
    assert query(lived).coverage()["categories"][0]["old"] == ["toy"]


def test_broken_records_are_one_sentence(lived: Path) -> None:
    path = lived / "reference_impls/records/toys-cpu.jsonl"
    path.write_text("{\n")
    with pytest.raises(CatalogueError, match=r"toys-cpu.jsonl:1"):
        query(lived).rows("methods")
    (lived / "reference_impls/records/contracts.json").write_text("{")
    with pytest.raises(CatalogueError, match=r"contracts.json"):
        query(lived).rows("methods")


def test_coverage(lived: Path) -> None:
    covered = query(lived).coverage()
    assert set(covered) == {"categories", "papers"}
    full = {name: True for name in COVERAGE} | {"claim_tested": False}
    assert {k: covered["categories"][0][k] for k in COVERAGE} == full
    alpha = covered["categories"][0]
    assert (alpha["papers"], alpha["founding"], alpha["newest"]) == (2, "doe2021first", "doe2021second")
    assert {k: covered["papers"][0][k] for k in COVERAGE} == full
    assert not any(covered["papers"][1][k] for k in COVERAGE if k != "summarised")


def test_seed_papers_only(home: Path) -> None:
    path = home / "papers/2021/doe2021second.yaml"
    path.write_text(path.read_text() + "seed: true\n")
    assert [r["key"] for r in query(home).rows("papers", seed_papers=True)] == ["doe2021second"]
    assert [r["paper"] for r in query(home).rows("claims", seed_papers=True)] == ["doe2021second"]
    with pytest.raises(CatalogueError, match="goes with"):
        query(home).rows("methods", seed_papers=True)


def test_show_and_its_suggestions(lived: Path) -> None:
    kinds = {key: query(lived).show(key)["kind"] for key in ("doe2021first", "alpha", "toy")}
    assert kinds == {"doe2021first": "paper", "alpha": "category", "toy": "method"}
    with pytest.raises(CatalogueError, match="did you mean 'doe2021first'"):
        query(lived).show("doe2021frist")
    (lived / "papers/2021/doe2021first.bib").write_text("")
    with pytest.raises(CatalogueError, match="cannot be read"):
        query(lived).show("doe2021first")


def test_verdicts_and_merging() -> None:
    assert verdict_of(()) == verdict_of(("none",)) == "none"
    assert (verdict_of(("pass", "pass")), verdict_of(("pass", "none"))) == ("pass", "fail")
    assert merge([None, {"exact": {"cpu": [1]}}, {"exact": {"cpu": [0, 1]}}]) == {"exact": {"cpu": [0, 1]}}


@pytest.mark.parametrize("form", [form for form in FORMATS if form in ("bib", "csv", "json", "graphml")])
def test_exports_read_back(lived: Path, form: str, tmp_path: Path) -> None:
    path = lived / "papers/2021/doe2021second.bib"
    path.write_text(path.read_text().replace("{Second Words", "{=HYPERLINK and 'Second' Words"))
    text = export(query(lived), form)
    if form == "bib":
        import bibtexparser

        assert [e.key for e in bibtexparser.parse_string(text).entries] == ["doe2021first", "doe2021second"]
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert rows[1]["title"].startswith("'=HYPERLINK")
        assert rows[0]["authors"] == "Jane Doe; Some Group; et al."
        assert rows[0]["arxiv"] == "2101.00001"
    elif form == "json":
        document = json.loads(text)
        assert [m["paper"] for m in document["methods"]] == ["doe2021first"]
        assert document["papers"][0]["methods"] == ["toy"]
    else:
        (tmp_path / "a.graphml").write_text(text, encoding="utf-8")
        graph = nx.read_graphml(tmp_path / "a.graphml")
        assert graph.nodes["doe2021first"]["kind"] == "paper"
        kinds = {(a, b): d["type"] for a, b, d in graph.edges(data=True)}
        assert kinds[("doe2021first", "doe2021second")] == "builds_on"
        assert kinds[("method:toy", "doe2021first")] == "implements"
        assert kinds[("doe2021first", "alpha")] == "in_category"


def test_a_brief_list_of_papers_reads_no_runs(home: Path) -> None:
    query = Query(load(home))
    rows = query.rows("papers", brief=True)
    full = query.rows("papers")
    assert [{name: row[name] for name in brief} for row, brief in zip(full, rows, strict=True)] == rows
    lazy = Query(query.catalogue)
    lazy.rows("papers", brief=True)
    assert not {"evidence", "standings"} & set(vars(lazy))
