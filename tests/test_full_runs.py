"""Methods from beginning to end, through the command that a reader types: those whose code is newer than their
records, and a tenth of the others, another tenth for every commit. FULL_RUNS=all runs every method."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reference_impls.bench import is_default
from reference_impls.registry import benchmarks, methods

ROOT = Path(__file__).resolve().parent.parent

FIELDS = {
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
YARDSTICKS = ("target_gap", "kl_efficiency", "gap_closed", "gold_reward", "kl_ref", "win_rate")

# What a correct implementation reaches on the default bed, as a share of the gap; the gold reward where it applies.
BANDS = {
    "reinforce": (0.90, 1.0),
    "reinforce-mean": (0.95, 1.0),
    "rloo": (0.95, 1.0),
    "ppo": (0.95, 1.0),
    "grpo": (0.70, 0.90),
    "grpo-kl-in-reward": (0.95, 1.0),
    "dpo": (0.70, 0.92),
    "best-of-n": (0.65, 0.92),
    "kl-optimum": (0.999, 1.0),
    # Labels that it gave itself make it too sure of itself: at the bed's beta its policy runs past the optimum.
    "ser": (-1.0, 0.6),
    # Over-fitted on purpose, to 500 pairs for 30 epochs: so are their scores too large for the bed's beta.
    "ensemble-mean": (-2.0, 0.7),
    "ensemble-worst-case": (-2.0, 0.7),
    "ensemble-variance": (-2.0, 0.7),
    "warm": (-2.0, 0.7),
    # A penalty without a mean gradient: the policy runs on to the best answers.
    "kl-in-loss-k1": (-3.0, 0.9),
    # Its optimum is another one, and its slope so steep on rare answers that a hundred samples do not find it.
    "kl-in-loss-k3": (-1.5, 0.9),
    # They are told about principles; half of what the second hears, and nothing of what the first does, is about help.
    "sl-cai": (-2.0, 0.2),
    "rl-cai": (-2.0, 0.7),
    # Its own order, taken for certain, makes it surer than the bed's beta allows.
    "self-rewarding": (-1.0, 0.8),
}


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout


def ages() -> dict[str, int]:
    """How many commits ago each file changed; -1 if it differs from the last commit."""
    found = {line[3:]: -1 for line in git("status", "--porcelain", "--", "reference_impls").splitlines()}
    history = git("log", "--format=tformat:commit", "--name-only", "--", "reference_impls").splitlines()
    commit = -1
    for line in history:
        commit += line == "commit"
        found.setdefault(line, commit)
    return found


def to_run() -> list[str]:
    """The methods whose turn it is; all of them where there is no history to tell."""
    try:
        age, head = ages(), git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return sorted(methods())
    recorded: dict[str, int] = {}
    for benchmark in benchmarks().values():
        written = age.get(f"reference_impls/records/{benchmark.key}-cpu.jsonl", len(age))
        for arm in filter(is_default, benchmark.arms):
            recorded[arm.method] = min(written, recorded.get(arm.method, written))

    def due(key: str) -> bool:
        changed = age[methods()[key].path.relative_to(ROOT).as_posix()]
        in_turn = hashlib.sha256(f"{head}{key}".encode()).digest()[0] % 10 == 0
        return in_turn or changed < recorded[key] or os.environ.get("FULL_RUNS") == "all"

    return [key for key in sorted(methods()) if due(key)]


@pytest.mark.slow
@pytest.mark.parametrize("key", to_run())
def test_a_full_run_with_the_defaults(key: str, root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reference_impls", "run", key, "--json", "--device", "cpu"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = json.loads(done.stdout)
    assert set(run) >= FIELDS and run["method"] == key
    assert set(run["metrics"]) >= {*YARDSTICKS, *(f"heldout_{name}" for name in YARDSTICKS)}
    measured = [value for value in run["metrics"].values() if value is not None]
    assert measured and all(map(math.isfinite, measured))
    facts = methods()[key]
    if facts.yields != "study" and not facts.bed:
        low, high = BANDS.get(key, (0.0, 1.0))
        assert low < run["metrics"]["gap_closed"] <= high + 1e-6
