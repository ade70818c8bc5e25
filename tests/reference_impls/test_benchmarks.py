"""Benchmark modules: their arms exist, tables and figures come from data, conclusions can turn out otherwise."""

import contextlib
import importlib
import json

import pandas as pd
import pytest

from reference_impls.bench import is_default
from reference_impls.benchmarks.summary import mean_table
from reference_impls.registry import Benchmark, benchmarks, claim_tests, config_values, methods

ALL = benchmarks()


def runs_of(benchmark: Benchmark, flip: bool = False) -> pd.DataFrame:
    """Flattened records as `reference_impls.records.frame` makes them, with numbers that depend on the arm."""
    rows = []
    arms = list(benchmark.arms)
    for place, arm in enumerate(reversed(arms) if flip else arms):
        for seed in range(3):
            level = 0.2 + 0.6 * place / len(arms) + 0.01 * seed + 0.07 * flip
            metrics = {
                "gap_closed": level,
                "heldout_gap_closed": level - 0.1,
                "kl_efficiency": level,
                "heldout_kl_efficiency": level,
                "heldout_win_rate": 0.5 + level / 2,
                "gold_reward": 2 * level,
                "kl_ref": 0.5 + 2 * level,
                "proxy_reward": 2 * level + (0.1 if flip else -0.1),
                "target_gap": level,
                "win_rate": 0.5 + level / 2,
                **{name: level for name in benchmark.measures},
            }
            curve = [{"step": step, **metrics, "gap_closed": level * step / 600} for step in (20, 300, 600)]
            config = config_values(arm.method, arm.set)
            rows.append(
                {
                    "benchmark": benchmark.key,
                    "arm": arm.arm,
                    "method": arm.method,
                    "oracle": arm.oracle,
                    "seed": seed,
                    "curve": curve,
                    **{f"metrics.{name}": value for name, value in metrics.items()},
                    **{f"config.{name}": value for name, value in config.items()},
                    "cost.samples": 1000,
                    "cost.labels": 8000,
                    "cost.seconds": 3.0,
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("key", ALL)
def test_table_figure_and_conclusion_come_from_the_runs(key: str) -> None:
    benchmark = ALL[key]
    module = importlib.import_module(benchmark.module)
    runs = runs_of(benchmark)
    table = module.table(runs)
    assert len(table) >= len(benchmark.arms)  # more where a run is broken down by what it measured
    spec = json.loads(json.dumps(module.figure(runs)))
    assert spec["$schema"].endswith("v5.json") and "http" not in json.dumps(spec).replace(spec["$schema"], "")
    first, other = module.conclusion(runs), module.conclusion(runs_of(benchmark, flip=True))
    assert first.endswith(".") and first != other, "the sentence does not depend on the runs"


def test_every_arm_names_a_method_and_settings_that_exist() -> None:
    for benchmark in ALL.values():
        for arm in benchmark.arms:
            config_values(arm.method, arm.set)


def test_every_method_on_the_frontier_has_five_points_along_its_knob() -> None:
    swept = [arm.method for arm in ALL["frontier"].arms]
    for key in set(swept):
        assert swept.count(key) >= 5 and methods()[key].knob, key


def test_claims_are_judged_by_measures_that_give_a_number_for_these_runs() -> None:
    for key, test in claim_tests().items():
        module = importlib.import_module(test.module)
        runs = runs_of(ALL[test.benchmark])
        one = runs[runs["seed"] == 0].set_index("arm")
        for name in (test.measure, *(control["measure"] for control in test.controls)):
            # Made-up metrics are equal where real ones differ; a share of nothing is no fault of the measure.
            with contextlib.suppress(ZeroDivisionError):
                value = getattr(module, name)(one.loc[list(test.arms)])
                assert isinstance(float(value), float), (key, name)


def test_every_method_is_recorded_with_its_defaults_somewhere() -> None:
    arms = [arm for benchmark in ALL.values() for arm in benchmark.arms]
    assert {arm.method for arm in arms if is_default(arm)} == set(methods())


def test_tables_show_counts_whole_and_zero_without_a_sign() -> None:
    runs = pd.DataFrame(
        {
            "arm": ["a", "a"],
            "seed": [0, 1],
            "labels": [2400, 2400],
            "gain": [-0.001, 0.0],
            "kl": [1500.0, 1501.0],
        }
    )
    table = mean_table(runs, {"labels": "labels", "gain": "gain", "kl": "KL"}, {"arm": "method"})
    assert table["labels"].tolist() == ["2,400"]
    assert table["gain"].tolist() == ["0.00 ± 0.01"]
    assert table["KL"].tolist() == ["1500.50 ± 6.35"]


def test_no_two_columns_of_a_table_have_one_heading() -> None:
    runs = pd.DataFrame({"arm": ["a"], "seed": [0], "labels": [600]})
    with pytest.raises(ValueError, match="one heading"):
        mean_table(runs, {"labels": "votes"}, {"arm": "votes"})
