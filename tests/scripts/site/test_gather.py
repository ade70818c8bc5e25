import json
import subprocess
import sys
from pathlib import Path

from scripts.site.gather import gather, in_print


def test_everything_is_gathered(small: Path) -> None:
    atlas = gather(small)
    assert atlas.problems == ()
    assert list(atlas.categories) == ["runs-here", "told-only", "elsewhere"]
    assert list(atlas.papers) == ["doe2001toy", "roe2002second"]
    toy = atlas.methods["toy"]
    assert toy.contract is not None and toy.contract.status == "pass" and not toy.contract.stale
    assert [c.status for c in toy.contract.checks] == ["pass", "pass"]
    assert [(m.key, m.status) for m in toy.contract.museum] == [("toy-forgets-half", "killed")]
    assert atlas.methods_of("runs-here") == (toy,)
    assert [p.key for p in atlas.papers_of("elsewhere")] == ["doe2001toy"]
    assert [(p.key, r.type) for p, r in atlas.back_links("doe2001toy")] == [("roe2002second", "builds_on")]


def test_results_come_from_the_records(small: Path) -> None:
    benchmark = gather(small).benchmarks["toys"]
    assert benchmark.results is not None
    assert benchmark.results.conclusion == "The fast arm gets further: 0.76 against 0.51."
    assert benchmark.results.table.rows == (("slow", "0.505"), ("fast", "0.755"))
    where = benchmark.results.provenance
    assert (where.runs, where.seeds, where.dates, where.stale) == (4, (0, 1), ("2001-02-03",), ())
    assert where.devices == ("cpu, 1 thread",)
    assert benchmark.gpu is not None
    assert benchmark.gpu.metric == "gap_closed" and abs((benchmark.gpu.deviation or 0) - 0.02) < 1e-9
    assert benchmark.gpu.provenance.devices == ("Test GPU 9000",)


def test_means_have_intervals(small: Path) -> None:
    results = gather(small).methods["toy"].results
    assert results is not None
    assert results.columns == ("benchmark", "arm", "device", "seeds", "gap_closed")
    # Two values d apart: mean ± 12.706 * d / 2.
    assert results.rows[0] == ("toys", "slow", "cpu", "2", "0.505 ± 0.064")
    assert ("toys", "fast (oracle)", "cuda", "1", "0.770") in results.rows


def test_numbers_are_printed_with_a_minus_and_zero_without_a_sign() -> None:
    said = "it moves by -0.00 (+0.00), -0.01 and +0.10; best-of-16 on 2026-11-30, -0.0 ± 0.1"
    assert in_print(said) == "it moves by 0.00 (0.00), −0.01 and +0.10; best-of-16 on 2026-11-30, 0.0 ± 0.1"


def test_changed_settings_make_records_and_contracts_stale(fresh: Path) -> None:
    method = fresh / "reference_impls" / "toys" / "toy.py"
    method.write_text(method.read_text().replace("lr: float = 0.1", "lr: float = 0.3"))
    atlas = gather(fresh)
    results = atlas.benchmarks["toys"].results
    assert results is not None
    assert results.provenance.stale == ("slow: the settings of the method have changed",)
    contract = atlas.methods["toy"].contract
    assert contract is not None and contract.stale


def test_what_cannot_be_read_is_a_problem_and_not_a_crash(fresh: Path) -> None:
    implementations = fresh / "reference_impls"
    (implementations / "records" / "toys-cpu.jsonl").write_text("{broken\n")
    (implementations / "records" / "contracts.json").write_text("[broken")
    (implementations / "toys" / "toy_contract.py").write_text("def broken(:")
    problems = gather(fresh).problems
    assert len(problems) >= 3
    for file in ("toys-cpu.jsonl", "contracts.json"):
        assert any(file in problem for problem in problems), file


def test_a_benchmark_that_fails_is_named(fresh: Path) -> None:
    path = fresh / "reference_impls" / "benchmarks" / "toys.py"
    path.write_text(path.read_text().replace("means.max()", "means.no_such_thing()"))
    atlas = gather(fresh)
    assert len(atlas.problems) == 1 and atlas.problems[0].startswith(
        "toys.py fails on its records: AttributeError"
    )
    assert atlas.benchmarks["toys"].results is None


def test_nothing_imports_torch(small: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from scripts.site.build import generate;"
        f"made = generate(Path({str(small)!r}));"
        "print(json.dumps([m for m in ('torch', 'transformers') if m in sys.modules]), len(made.files))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.rsplit(" ", 1)[0]) == []
