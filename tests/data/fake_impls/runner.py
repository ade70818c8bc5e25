"""Runs fake methods in no time, noting each run in the file that $FAKE_LOG names."""

import functools
import os
import time
from pathlib import Path

from reference_impls import bench, cli, grids
from reference_impls.core.digest import digest
from reference_impls.jobs import Job
from reference_impls.registry import bed_values, config_values

ROOT = Path(__file__).resolve().parent


def run(job: Job) -> dict:
    """What the harness would return; a mutant and a shift of $FAKE_SHIFT move the metrics."""
    config = config_values(job.method, job.config_set, ROOT)
    bed = bed_values("exact", job.bed_set, ROOT)
    if os.environ.get("FAKE_LOG"):
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(f"{os.getpid()} {job.method} {config['beta']} {bed['vocab']} {job.seed}\n")
    time.sleep(float(os.environ.get("FAKE_DELAY", config["delay"])))
    if config["mood"] == "raise":
        raise ValueError("no such thing")
    if config["mood"] == "diverge":
        raise FloatingPointError("the loss became nan")
    if config["mood"] == "die":
        os._exit(3)
    print("noise on stdout")
    value = (3 if job.mutant else 2) * config["beta"] + job.seed / 1000 + float(os.environ.get("FAKE_SHIFT", 0))
    measured = {"gap_closed": value, "target_gap": None}
    return {
        "method": job.method,
        "bed": job.bed,
        "bed_config": bed,
        "bed_digest": digest(bed),
        "seed": job.seed,
        "config": config,
        "config_digest": digest(config),
        "metrics": {} if job.canary_only else measured,
        "curve": [{"step": 20, **measured}],
        "canary": {"step": 20, **measured, "arithmetic": os.environ.get("FAKE_ARITHMETIC", "here")},
        "cost": {"seconds": 0.01, "labels": 8, "samples": 0, "tokens": 0, "peak_memory_mb": 1.0},
        "environment": {"device": "cpu", "torch": "0", "transformers": "0", "python": "3", "threads": 1},
        "date": "2026-01-01",
        "claims": {},
    }


def main(*arguments: str) -> None:
    """The real command line over the fake methods."""
    grids.choices = functools.partial(grids.choices, root=ROOT)
    is_default = bench.is_default
    bench.is_default = lambda arm, root=ROOT: is_default(arm, root)
    bench.survey = functools.partial(bench.survey, root=ROOT)
    bench.choose = functools.partial(bench.choose, root=ROOT)
    bench.known_runs = functools.partial(bench.known_runs, root=ROOT)
    bench.run_lines = functools.partial(bench.run_lines, runner=run)
    bench.run_canaries = functools.partial(bench.run_canaries, runner=run)
    cli.app(list(arguments))
