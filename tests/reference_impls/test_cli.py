"""What the commands print, and how they end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from reference_impls import cli, contract_record
from reference_impls.core.digest import digest
from reference_impls.jobs import Job
from reference_impls.registry import bed_values, config_values

RUN_FIELDS = {
    "method",
    "bed",
    "bed_config",
    "seed",
    "config",
    "metrics",
    "curve",
    "cost",
    "environment",
    "record",
}


def record(job: Job, progress: Any = None) -> dict[str, Any]:
    """A stand-in for the harness that is noisy on stdout."""
    print("noise from a library")
    if progress is not None:
        progress(1, 1)
    config, bed = (
        config_values(job.method, job.config_set),
        bed_values(job.bed, job.bed_set, method=job.method),
    )
    metrics = {"gap_closed": 0.8123456, "target_gap": None, "heldout_gap_closed": 0.75, "proxy_reward": 2.0}
    return {
        "method": job.method, "bed": job.bed, "bed_config": bed, "bed_digest": digest(bed), "seed": job.seed,
        "config": config, "config_digest": digest(config), "metrics": metrics, "curve": [], "canary": {},
        "cost": {"seconds": 1.5, "labels": 8000, "samples": 0, "tokens": 0, "peak_memory_mb": 1.0},
        "environment": {"device": "cpu"}, "date": "2026-01-01", "claims": {},
    }  # fmt: skip


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command line in an empty folder, with nothing behind it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "execute", record)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli.app, [*arguments])

    return invoke


def test_run_shows_the_yardsticks_that_apply(call: Any, tmp_path: Path) -> None:
    result = call("run", "dpo", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "gap_closed" in result.stdout and "0.8123" in result.stdout and "0.75" in result.stdout
    assert "target_gap" not in result.stdout and "proxy_reward" in result.stdout
    assert "8,000 labels" in result.stdout and "noise" not in result.stdout
    assert len(list((tmp_path / "runs").glob("dpo-*-seed0.json"))) == 1


def test_run_json_is_one_document(call: Any, tmp_path: Path) -> None:
    result = call("run", "dpo", "--device", "cpu", "--seed", "3", "--set", "beta=0.1", "--json", "--out", "o")
    document = json.loads(result.stdout)
    assert set(document) >= RUN_FIELDS and document["config"]["beta"] == 0.1 and document["seed"] == 3
    saved = json.loads((tmp_path / document["record"]).read_text())
    assert {**saved, "record": document["record"]} == document


def test_runs_that_differ_do_not_overwrite_each_other(call: Any, tmp_path: Path) -> None:
    for extra in ([], ["--set", "beta=0.1"], ["--bed-set", "beta=1"], ["--seed", "1"], []):
        assert call("run", "dpo", "--device", "cpu", *extra).exit_code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "dpoo"], 1, "There is no method 'dpoo'; did you mean 'dpo'?"),
        (["run", "dpo", "--bed", "text"], 1, "The 'text' bed is not built yet; use --bed exact."),
        (["run", "dpo", "--bed", "hub"], 1, "The 'hub' bed is not built yet; use --bed exact."),
        (["run", "dpo", "--bed", "exatc"], 1, "There is no bed 'exatc'; did you mean 'exact'?"),
        (["run", "dpo", "--set", "bta=1"], 1, "dpo has no setting 'bta'; did you mean 'beta'?"),
        (["run", "dpo", "--set", "beta=x"], 1, "beta of dpo must be float, not 'x'."),
        (
            ["run", "dpo", "--bed-set", "vocb=1"],
            1,
            "the exact bed has no setting 'vocb'; did you",
        ),
        (["run", "dpo", "--set", "beta"], 2, "write --set name=value, not 'beta'"),
        (["run", "dpo", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["run", "dpo", "--device", "tpu"], 2, "'tpu' is not one of"),
        (["bench", "nothing-like-it"], 1, "There is no benchmark, category or paper 'nothing-like-it'"),
        (["bench", "--budget", "soon"], 1, "'soon' is no duration"),
        (["verify", "--methods", "dpoo"], 1, "did you mean 'dpo'?"),
        (["contract", "dpoo"], 1, "did you mean 'dpo'?"),
    ],
)
def test_mistakes_are_one_sentence(call: Any, arguments: list[str], code: int, words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code and result.stdout == ""
    assert words in " ".join(result.stderr.replace("│", " ").split()) and "Traceback" not in result.stderr
    if code == 1:
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FloatingPointError("the loss became nan; lower the learning rate"), "the loss became nan; lower"),
        (ValueError("leave-one-out needs two samples"), "leave-one-out needs two samples"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch is not installed"),
    ],
)
def test_what_goes_wrong_inside_is_one_sentence(
    call: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "execute", fails)
    result = call("run", "dpo", "--device", "cpu", "--json")
    assert result.exit_code == 1 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and words in result.stderr


def test_ctrl_c_ends_a_run_without_a_traceback(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "execute", interrupted)
    result = call("run", "dpo", "--device", "cpu")
    assert result.exit_code == 130 and result.stderr.splitlines() == ["Stopped; what had finished is kept."]


ENTRY = {
    "digest": "d", "methods": ["dpo"], "status": "pass", "problems": [], "mutants": 9, "killed": 8,
    "checks": [{"kind": "worked", "name": "c", "title": "t", "doc": "d", "status": "pass"}],
    "equivalent": [{"id": "e", "reason": "r"}], "surviving": [], "museum": [],
}  # fmt: skip


@pytest.mark.parametrize("problems", [[], ["surviving mutant: dpo_loss: beta -> 1 #1"]])
def test_contract_says_what_it_found(call: Any, monkeypatch: pytest.MonkeyPatch, problems: list[str]) -> None:
    entry = {**ENTRY, "problems": problems, "status": "fail" if problems else "pass"}
    monkeypatch.setattr(contract_record, "modules_of", lambda keys: ["reference_impls.x.dpo"])
    monkeypatch.setattr(
        contract_record, "run_all", lambda keys, workers, progress: {"reference_impls.x.dpo": entry}
    )
    shown, document = call("contract", "dpo"), call("contract", "dpo", "--json")
    assert shown.exit_code == document.exit_code == len(problems)
    assert json.loads(document.stdout) == {"reference_impls.x.dpo": entry}
    assert (
        "1/1" in shown.stdout
        and "8/9" in shown.stdout
        and all(problem in shown.stdout for problem in problems)
    )


def test_a_gpu_that_is_not_there_is_one_sentence(call: Any) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = call("run", "dpo", "--device", "cuda")
    assert result.exit_code == 1 and result.stderr == "torch sees no CUDA device here; use --device cpu.\n"


def test_the_module_runs_as_a_program() -> None:
    words = [sys.executable, "-m", "reference_impls", "run", "dpo", "--bed", "text"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "The 'text' bed is not built yet; use --bed exact.\n"
