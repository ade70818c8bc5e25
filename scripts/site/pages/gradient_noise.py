"""How noisy policy gradients are, from the record that enumeration wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scripts.site.escape import Html, element
from scripts.site.model import Table
from scripts.site.source import code_block
from scripts.site.view import Heading, Page, View, data_table, details

from .parts import table_page

Row = Mapping[str, Any]

PATH = "gradient-noise.md"
TITLE = "The noise of policy gradients"
INTRODUCTION = (
    "A policy gradient is an average over sampled answers, and how many answers it takes is decided by what is "
    "subtracted from their rewards. Here that noise is computed exactly, by listing all answers or all groups of them."
)
QUESTION = r"""
With $s = \nabla_\theta \log \pi_\theta(y)$ the score of an answer, $(R - b)\, s$ points in the right direction on
average whatever the **baseline** $b$ is, as long as it does not look at $y$. So baselines compete on noise alone.
The measure is the number of

$$\text{answers} = \frac{\mathrm{Var}[\hat g]}{\|g\|^2},$$

with $\mathrm{Var}$ the variance of one answer's gradient, summed over parameters, and $g$ the true gradient: average
this many answers per prompt and the noise is as large as the signal.
"""
BED_AFTER = r"""
- *Mean reward* is the mean over all answers of the prompt, which nobody knows. **Leave-one-out** estimates it from the
  group's other answers. With two answers that doubles the noise, with sixteen it costs a few per cent: this is all
  there is to the size of a group.
- The *best constant* weighs rewards by the size of their scores. It is hardly better than the mean.
- The *reward of the likeliest answer* (the greedy answer's, as in ReMax) is not near the mean on this bed: it is one
  answer, with a reward of its own. That is noisier than the mean here, and at the start noisier than nothing.
  Where answers are long and greedy ones are typical it may be otherwise.
- A **critic** knows more than a baseline: the expected reward *from here on*. An exact one removes what was decided
  before the token; if it also replaces the sampled return by the exact value of the next state (what
  $\lambda = 0$ does in generalised advantage estimation) most of the noise is gone. A learned critic pays for that with
  bias.
- At the reference *no baseline* and *mean reward* agree because the bed's rewards have mean zero there. Half way to
  the optimum they do not, and without a baseline the noise has doubled while everyone else's has fallen.
"""
GROUPS = r"""
A standard deviation or a clip makes the gradient depend on the whole group in ways that no formula undoes. So here the
world is small (one prompt, eight answers of one token) and all {groups:,} multisets of {group} answers are listed, each
with its probability. *Cosine* and *scale* compare the mean gradient with the true one; *answers* is as above, relative
to the estimator's own mean. As advantages, *leave-one-out* is what RLOO uses, the *group mean* Dr. GRPO, *group mean
and deviation* GRPO, and leaving groups without spread out is DAPO's dynamic sampling; the *clip* is PPO's, which GRPO
has too, and bounds the ratio of new to old probability by one plus or minus 0.2. The older policy is a step of 0.1 or
0.4 (times the standardised reward, in logits) behind.
"""
GROUPS_AFTER = r"""
- The **group mean** instead of leave-one-out shrinks signal and noise alike, by $\frac{n-1}{n}$: the same thing at
  another learning rate.
- The **standard deviation** hardly turns the gradient here, but it rescales it, and by how much depends on the prompt:
  with one answer in ten right the gradient is twice as long as the true one. Across prompts that is a change of what is
  optimised: hard and easy prompts gain weight.
- Groups **without spread** (all right or all wrong) have no gradient. Leaving them out and drawing others (dynamic
  sampling) makes a gradient from as many *kept* answers far less noisy; the answers that were thrown away are not
  counted in that number.
- With an older policy's answers, importance weights without a clip stay exact for leave-one-out. The **clip** does what
  it is meant to: once the step has been taken there is little gradient left, and after a long step what is left may
  point elsewhere. That is why a result about clips from one update per batch, where no ratio differs from 1, is a
  result about nothing.
"""
METHOD = r"""
The first table is for the exact bed's training prompts, with one free logit per prompt, prefix and token; noise and
signal are summed over prompts, and the range is over {instances} instances. (A transformer shares parameters between
prefixes; what it does to these numbers is not shown here.) Leave-one-out is a U-statistic, whose variance has a closed
form. Every number of the second table was compared with {draws:,} sampled groups: the means agree within
{worst:.1f} standard errors at most, which for so many comparisons is chance. The tests repeat all formulas by brute
force on a smaller space.
"""


def page(view: View) -> Page:
    """Both tables, with what they say."""
    record = view.atlas.gradient_table
    sections = None if record is None else _sections(view, record)
    return table_page(PATH, TITLE, INTRODUCTION, "rlhf gradient-table --commit", sections)


def _sections(view: View, record: Mapping[str, Any]) -> Iterable[Html | Heading]:
    facts = {**record, "worst": max(row["monte_carlo"] for row in record["eight"])}
    own = [row for row in record["eight"] if not row["staleness"]]
    old = [
        row
        for row in record["eight"]
        if row["staleness"] and row["estimator"] in ("leave-one-out", "group mean and deviation")
    ]
    return [
        view.prose(QUESTION),
        Heading("Baselines and critics"),
        _bed(record["bed"]),
        view.prose(BED_AFTER),
        Heading("Groups"),
        view.prose(GROUPS.format(**facts)),
        _groups(own, "Groups of eight answers that the policy wrote itself"),
        _groups(old, "Groups of eight answers that an older policy wrote", old=True),
        view.prose(GROUPS_AFTER),
        details(
            "All cases of the second part",
            _groups(record["eight"], "All cases with groups of eight answers", old=True),
            class_="fold figure-table",
        ),
        Heading("How it was computed"),
        view.prose(METHOD.format(**facts)),
        code_block("rlhf gradient-table", "bash"),
        element(
            "p",
            "Code: ",
            element("code", "reference_impls/core/gradient_truth.py"),
            "; record: ",
            element("code", "reference_impls/records/gradient-noise.json"),
            ", which the tests recompute. Background: ",
            view.category("policy-gradients"),
            ", ",
            view.category("group-relative-policy-gradients"),
            ".",
            class_="provenance",
        ),
    ]


def _bed(rows: Iterable[Row]) -> Html:
    columns = ("subtracted from the reward", "answers, at the reference", "answers, half way")
    by_estimator: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_estimator.setdefault(row["estimator"], {})[row["policy"]] = row
    cells = tuple(
        (name, _answers(at["reference"]), _answers(at["half way"])) for name, at in by_estimator.items()
    )
    return data_table(Table(columns, cells), "Answers until signal and noise are equal, on the exact bed")


def _answers(row: Row) -> str:
    return f"{row['answers']:.0f} ({row['fewest']:.0f} to {row['most']:.0f})"


def _groups(rows: Iterable[Row], caption: str, old: bool = False) -> Html:
    columns = ("reward", *(("step behind", "clip") if old else ()), "advantage", "cosine", "scale", "answers")
    cells = tuple(
        (
            row["reward"],
            *(
                (f"{row['staleness']:g}", "none" if row["clip"] is None else f"{row['clip']:g}")
                if old
                else ()
            ),
            row["estimator"],
            f"{row['cosine']:+.2f}".replace("-", "−"),
            f"{row['scale']:.2f}",
            f"{row['answers']:.0f}" if row["answers"] < 1000 else "over 1,000",
        )
        for row in rows
    )
    return data_table(Table(columns, cells), caption)
