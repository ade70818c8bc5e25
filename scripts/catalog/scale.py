"""How long a check of a large catalogue takes: `python -m scripts.catalog.scale 10000`. A measurement, not a test.

On 2026-11-22, with two cores shared by many, 10,000 entries took 8.8 s of CPU (30.8 s by the clock) and 158 MB. The
budget is 15 s, on a core of its own, and 1 GB.
"""

from __future__ import annotations

import json
import random
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

from .check import check
from .load import load
from .model import Facts
from .text import make_key

WORDS = re.findall(
    r"\w+",
    """reward policy preference optimal learning human feedback model language direct gradient sampling alignment
    robust safe critic value margin ranking pairwise token horizon offline online entropy divergence regularised
    exploration bandit estimator variance baseline annotator principle critique demonstration inverse""",
)
TAXONOMY = """\
branch:
  id: synthetic
  title: Synthetic
  description: A branch for measuring.
categories:
  - id: alpha
    title: Alpha
    question: How long does a check of many entries take?
    description: Synthetic entries only.
    limits: Nothing here is a paper.
    reason: Nothing is run for synthetic entries.
    founding: KEY
"""


def synthesise(root: Path, entries: int, seed: int = 0) -> None:
    """Write so many valid entries with distinct titles under ``root``."""
    draw = random.Random(seed)
    (root / "taxonomy").mkdir(parents=True)
    previous, first = "", Path()
    for i in range(entries):
        year = 2000 + i % 27
        number = "".join(chr(97 + int(digit)) for digit in f"{i:05d}")
        title = f"{number.capitalize()} {' '.join(draw.sample(WORDS, 7))}"
        family = "".join(draw.choices("abcdefgh", k=4)).capitalize()
        key = make_key(family, str(year), title)
        folder = root / "papers" / str(year)
        folder.mkdir(parents=True, exist_ok=True)
        fields = (
            f"title = {{{title}}},\n  author = {{{family}, Jane and Roe, Richard}},\n  year = {{{year}}},"
        )
        (folder / f"{key}.bib").write_text(
            f"@misc{{{key},\n  {fields}\n  url = {{https://example.org/{key}}},\n}}\n", encoding="utf-8"
        )
        summary = " ".join(draw.choices(WORDS, k=40))
        if not previous:
            text = TAXONOMY.replace("KEY", key)
            (root / "taxonomy" / "10-synthetic.yaml").write_text(text, encoding="utf-8")
        target = previous or "LAST"
        related = (
            f"relations:\n  - {{type: builds_on, paper: {target}, reason: carries over the objective}}\n"
        )
        first = first if previous else folder / f"{key}.yaml"
        (folder / f"{key}.yaml").write_text(
            f"categories: [alpha]\nsummary: >-\n  {summary}.\nbasis: abstract\nfeedback: [pairs]\n"
            f"status: preprint\n{related}checked:\n"
            f'  - {{by: "Nobody", date: "2026-01-01", what: "{number} against itself"}}\n',
            encoding="utf-8",
        )
        previous = key
    first.write_text(first.read_text(encoding="utf-8").replace("LAST", previous), encoding="utf-8")


def measure(entries: int) -> dict[str, float]:
    """Seconds and peak MB of loading and checking so many entries, and how many findings there were."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        synthesise(root, entries)
        started, clock = time.perf_counter(), time.process_time()
        findings = check(load(root, Facts()))
        seconds, cpu = time.perf_counter() - started, time.process_time() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "entries": entries,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round(peak),
        "findings": len(findings),
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)))
