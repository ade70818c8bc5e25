"""The harness: exact metrics, canaries, determinism, and the errors that a user can cause."""

import json
import math
from types import ModuleType

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.harness import arithmetic, run_method

SMALL = {"vocab": 3, "horizon": 3, "reference_steps": 40}
QUICK = {"steps": 25, "labels": 400}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "references"
    monkeypatch.setenv("RLHF_ATLAS_CACHE", str(folder))


def quick(key: str = "dpo", seed: int = 0, **options: object) -> dict:
    settings = {"config_set": QUICK, "bed_set": SMALL, **options}
    return run_method(key, seed=seed, **settings)  # type: ignore[arg-type]


def test_a_record_is_json_and_complete() -> None:
    record = json.loads(json.dumps(quick()))
    assert record["method"] == "dpo" and record["seed"] == 0 and record["bed"] == "exact"
    assert record["config"]["steps"] == 25 and record["bed_config"]["vocab"] == 3
    assert {"gap_closed", "heldout_gap_closed", "target_gap", "win_rate"} <= set(record["metrics"])
    assert record["curve"][-1]["step"] == 25
    assert record["cost"]["labels"] == 400 and record["cost"]["peak_memory_mb"] > 0


def test_the_same_seed_gives_the_same_numbers_and_another_seed_does_not() -> None:
    first, again, other = quick()["metrics"], quick()["metrics"], quick(seed=1)["metrics"]
    assert first == again
    assert first != other


def test_the_canary_is_the_run_after_twenty_updates() -> None:
    whole, early = quick(), quick(canary_only=True)
    assert early["metrics"] == {}
    assert early["canary"] == whole["canary"] and whole["canary"]["step"] == 20


def test_a_method_without_updates_has_its_result_as_canary() -> None:
    record = quick("best-of-n", config_set={"n": 4})
    assert (
        record["canary"] == {**record["metrics"], "arithmetic": arithmetic("cpu")} and record["curve"] == []
    )


def test_progress_counts_updates() -> None:
    seen: list[tuple[int, int]] = []
    quick(progress=lambda step, steps: seen.append((step, steps)))
    assert seen[0] == (1, 25) and seen[-1] == (25, 25)


def test_a_fitted_reward_model_is_reported_beside_gold_and_costs_labels() -> None:
    record = quick(
        "best-of-n", config_set={"n": 4}, bed_set={**SMALL, "reward": "model", "reward_labels": 300}
    )
    assert record["cost"]["labels"] == 300
    assert record["metrics"]["proxy_reward"] > 0
    gold = quick("best-of-n", config_set={"n": 4})["metrics"]
    assert "proxy_reward" not in gold and gold["gold_reward"] > record["metrics"]["gold_reward"]


def test_the_harness_measures_what_the_method_returns() -> None:
    module = ModuleType("fake")

    def train(bed: ExactBed, config: object, seed: int, observe: Observe) -> Outcome:
        return Outcome(logps=bed.optimum(), optimum=bed.optimum())

    module.train = train  # type: ignore[attr-defined]
    best = quick("best-of-n", config_set={}, module=module)["metrics"]
    for name in ("gap_closed", "target_gap", "kl_efficiency", "heldout_gap_closed"):
        assert best[name] == pytest.approx(1, abs=1e-4)

    def idle(bed: ExactBed, config: object, seed: int, observe: Observe) -> Outcome:
        return Outcome(logps=bed.reference_logps)

    module.train = idle  # type: ignore[attr-defined]
    nothing = quick("best-of-n", config_set={}, module=module)["metrics"]
    assert nothing["gap_closed"] == pytest.approx(0, abs=1e-6) and nothing["kl_efficiency"] is None
    assert nothing["win_rate"] == pytest.approx(0.5, abs=1e-4) and nothing["target_gap"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_run_that_diverges_says_so_and_leaves_no_number(value: float) -> None:
    module = ModuleType("fake")

    def train(bed: ExactBed, config: object, seed: int, observe: Observe) -> Outcome:
        return Outcome(logps=torch.full_like(bed.reference_logps, value))

    module.train = train  # type: ignore[attr-defined]
    with pytest.raises(FloatingPointError, match="diverged"):
        quick("best-of-n", config_set={}, module=module)


def test_a_learning_rate_that_is_far_too_high_is_an_error_or_finite_but_never_nan() -> None:
    try:
        record = quick(config_set={**QUICK, "lr": 1e6})
    except FloatingPointError as error:
        assert "lower the learning rate" in str(error) or "diverged" in str(error)
    else:
        assert all(v is None or math.isfinite(v) for v in record["metrics"].values())


@pytest.mark.parametrize("bed", ["text", "hub"])
def test_a_bed_that_is_not_built_says_so(bed: str) -> None:
    with pytest.raises(ValueError, match="not built yet"):
        run_method("dpo", seed=0, bed=bed)


def test_an_unknown_bed_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="exact"):
        run_method("dpo", seed=0, bed="exakt")


def test_an_instance_can_be_fixed_while_the_seed_varies() -> None:
    beds = [ExactBed(seed, ExactConfig(**{**SMALL, "instance": 7})) for seed in (0, 1)]  # type: ignore[arg-type]
    assert torch.equal(beds[0].gold, beds[1].gold)
