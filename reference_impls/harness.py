"""Run one method on one bed with one seed, and measure it exactly. Methods compute no metric themselves."""

from __future__ import annotations

import datetime
import math
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache
from types import ModuleType

import torch
import transformers
from torch import Tensor

from reference_impls import registry
from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.core import metrics
from reference_impls.core.digest import digest
from reference_impls.core.outcome import Outcome

CANARY_STEP = 20
CURVE_POINTS = 8
YARDSTICKS = ("gap_closed", "kl_efficiency", "gold_reward", "kl_ref", "win_rate")
BEDS = {"exact": True, "text": False, "hub": False}


def fitted_reward(bed: ExactBed, seed: int) -> Tensor:
    """Centred scores of a Bradley-Terry model fitted to ``bed.config.reward_labels`` pairs."""
    model = registry.load("bradley-terry")
    config = registry.build_config("bradley-terry", {"labels": bed.config.reward_labels})
    outcome: Outcome = model.train(bed, config, seed, lambda step, logps: None)
    assert outcome.scores is not None
    return bed.centred(outcome.scores)


@lru_cache(maxsize=8)
def _remembered_reward(seed: int, config: ExactConfig, device: str) -> Tensor:
    """The same, once per process: the canaries of many arms need one reward model. Its cost is not counted."""
    torch.manual_seed(seed)
    return fitted_reward(ExactBed(seed, config, device), seed)


class _CanaryReached(Exception):
    """Raised out of ``train`` when only the first updates are wanted."""


def run_method(
    key: str,
    *,
    seed: int,
    bed: str = "exact",
    bed_set: Mapping[str, object] | None = None,
    config_set: Mapping[str, object] | None = None,
    device: str = "cpu",
    canary_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
    module: ModuleType | None = None,
) -> dict[str, object]:
    """Train ``key`` on a bed drawn from ``seed`` and return a JSON-ready record.

    ``canary_only`` stops after 20 updates and leaves ``metrics`` empty. ``module`` replaces the method's
    module (a mutant, say). ``progress(step, steps)`` is called after every update.

    Raises ValueError for an unknown bed or option, FloatingPointError where training diverges.
    """
    if bed not in BEDS:
        raise ValueError(f"unknown bed {bed!r}; choose one of {', '.join(BEDS)}")
    if not BEDS[bed]:
        raise ValueError(f"the {bed} bed is not built yet; use --bed exact")
    method = registry.load(key)
    config = registry.build_config(key, config_set or {})
    bed_config = ExactConfig(**registry.bed_values(bed, bed_set or {}, method=key))
    clock = time.process_time if device == "cpu" else time.perf_counter  # neighbours do not count
    started = clock()
    # The CPU generator seeds initialisations, and a device generator the sampling.
    where = ExactBed(seed, bed_config, device)
    torch.manual_seed(seed)
    if bed_config.reward == "model":
        where.reward = (
            _remembered_reward(seed, bed_config, device) if canary_only else fitted_reward(where, seed)
        )

    curve: list[dict[str, object]] = []
    steps = int(getattr(config, "steps", 0))
    watch = _curve_steps(steps)
    canary: dict[str, object] = {}

    def observe(step: int, logps: Callable[[], Tensor]) -> None:
        if progress is not None:
            progress(step, steps)
        if step in watch:
            policy = logps()
            point = {**_yardsticks(where, policy, where.train_rows), **_proxy(where, policy)}
            curve.append({"step": step, **_rounded(point)})
        if step == CANARY_STEP:
            canary.update(curve[-1])
            if canary_only:
                raise _CanaryReached

    measured: dict[str, object] = {}
    try:
        train = (module or method.module).train
        outcome: Outcome = train(where, config, seed, observe)
        measured = _rounded(_all_metrics(where, outcome))
        if not steps:
            canary.update(measured)
    except _CanaryReached:
        pass
    return {
        "method": key,
        "bed": bed,
        "bed_config": asdict(bed_config),
        "bed_digest": digest(asdict(bed_config)),
        "seed": seed,
        "config": asdict(config),
        "config_digest": digest(asdict(config)),
        "metrics": measured,
        "curve": curve,
        "canary": {**canary, "arithmetic": arithmetic(device)},
        "cost": {
            "seconds": round(clock() - started, 2),
            **where.cost,
            "peak_memory_mb": _peak_memory(device),
        },
        "environment": {
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
        },
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "claims": {},
    }


@lru_cache(maxsize=8)
def arithmetic(device: str) -> str:
    """Fingerprint of how this device rounds: the bits of a small fixed computation, digested."""
    x = torch.sin(torch.arange(64 * 256.0)).view(64, 256).to(device)
    y = torch.tanh(x @ x.T / 16).softmax(-1) @ x
    return digest({"sum": y.sum().item(), "spread": y.std().item(), "some": y.flatten()[:16].tolist()})


def _curve_steps(steps: int) -> set[int]:
    """The updates at which the learning curve is measured: dense at first, the canary and the last included."""
    if steps <= 0:
        return set()
    spaced = {round(steps * (i / CURVE_POINTS) ** 1.5) for i in range(1, CURVE_POINTS + 1)}
    return {s for s in spaced if s > 0} | ({CANARY_STEP} if steps >= CANARY_STEP else set())


def _yardsticks(bed: ExactBed, logps: Tensor, rows: Tensor) -> dict[str, float | None]:
    """What applies to any policy, averaged over ``rows`` of prompts."""
    policy, reference, gold = logps[rows], bed.reference_logps[rows], bed.gold[rows]
    return {
        "gap_closed": metrics.gap_closed(policy, bed.optimum()[rows], reference),
        "kl_efficiency": metrics.kl_efficiency(policy, reference, gold),
        "gold_reward": float(metrics.expectation(policy, gold).mean()),
        "kl_ref": float(metrics.kl(policy, reference).mean()),
        "win_rate": metrics.win_rate(policy, reference, gold),
    }


def _all_metrics(bed: ExactBed, outcome: Outcome) -> dict[str, float | None]:
    """Every yardstick on training and on held-out prompts."""
    policy, measured = outcome.logps, dict[str, float | None]()
    for prefix, rows in (("", bed.train_rows), ("heldout_", bed.heldout_rows)):
        values = dict.fromkeys(YARDSTICKS, None) if policy is None else _yardsticks(bed, policy, rows)
        further = {} if policy is None else bed.further_yardsticks(policy, rows)
        gap = None if policy is None else _target_gap(bed, outcome, policy, rows)
        for name, value in {"target_gap": gap, **values, **further}.items():
            measured[prefix + name] = value
    return {**measured, **({} if policy is None else _proxy(bed, policy)), **outcome.measures}


def _proxy(bed: ExactBed, logps: Tensor) -> dict[str, float | None]:
    """Mean score of the policy under a fitted reward model (0 for the reference), where there is one."""
    if bed.reward is bed.gold:
        return {}
    rows = bed.train_rows
    return {"proxy_reward": float(metrics.expectation(logps[rows], bed.reward[rows]).mean())}


def _target_gap(bed: ExactBed, outcome: Outcome, policy: Tensor, rows: Tensor) -> float | None:
    if outcome.optimum is None:
        return None
    measure = metrics.gap_closed if outcome.divergence == "reverse" else metrics.forward_gap_closed
    return measure(policy[rows], outcome.optimum[rows], bed.reference_logps[rows])


def _rounded(values: Mapping[str, float | None]) -> dict[str, object]:
    """Six significant digits; a value that is not finite stops the run instead of reaching a record."""
    result: dict[str, object] = {}
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise FloatingPointError(f"{name} became {value}; the run diverged")
        result[name] = None if value is None else float(f"{value:.6g}")
    return result


def _peak_memory(device: str) -> float:
    """Peak memory in MB: of the GPU where there is one, else of the process."""
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
