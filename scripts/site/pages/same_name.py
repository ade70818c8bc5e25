"""What papers and libraries call by one name, from the record that one batch wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from scripts.site.escape import Html, element, text
from scripts.site.model import Table
from scripts.site.source import code_block
from scripts.site.view import Heading, Page, View, data_table

from .parts import table_page

PATH = "same-name.md"
TITLE = "Same name, different maths"
INTRODUCTION = (
    "Two people say “IPO”, “GRPO”, “γ” or “reference point” and compute different things. Here each meaning is written "
    "out, with where it stands, and computed on the same answers."
)
EXPLAINED = r"""
*Value* is the loss on one batch of six pairs (for GRPO: three groups of four) of one to six tokens. *Length* and
*cosine* compare the gradient by the policy's log-probabilities with that of the first meaning in the table: a cosine of
1 with another length is another learning rate, a smaller cosine is another direction. The numbers belong to this batch;
that they differ does not.
"""
REASONS = {
    "IPO": r"""
Dividing by length makes the target $\frac{1}{2\tau}$ one of *per-token* log-ratios. For answers of one length $n$ that
is the paper's loss for $\tau / n$ over $n^2$; as soon as lengths differ it is another loss, in which long answers have
to move further. A setting of $\tau$ found with one is wrong for the other by the length of an answer. Without a
reference it is no longer an optimum near the reference that is sought.
""",
    "SimPO's γ": r"""
The paper subtracts $\gamma$ after multiplying by $\beta$; the authors' code has asked for the ratio $\gamma / \beta$
since July 2024, so that the same number typed in means a margin $\beta$ times as large. TRL's number is the paper's,
but its default adds the likelihood of the chosen answer, which is the method CPO-SimPO.
""",
    "KTO's reference point": r"""
The formula has a KL divergence of the policy. What is computed is the mean log-ratio of other prompts' answers, cut at
0, because the policy's own answers would have to be sampled. The mean log-ratio of answers that the policy did not
write is no estimate of that divergence, and usually lies below it. Without a reference point (APO-zero) the
two halves of the loss are judged against the starting policy.
""",
    "GRPO": r"""
The paper averages over an answer's tokens first, so that every answer weighs the same; the defaults of the libraries
average over all tokens, so that long answers weigh more (the change that DAPO argues for). The paper's KL stands in the
loss; by default the libraries have none, or one in the reward.
""",
}


def page(view: View) -> Page:
    """One table per name, with the reason why the meanings differ."""
    record = view.atlas.same_name
    sections = None if record is None else _sections(view, record)
    return table_page(PATH, TITLE, INTRODUCTION, "rlhf same-name --commit", sections)


def _sections(view: View, record: Mapping[str, Any]) -> Iterable[Html | Heading]:
    yield view.prose(EXPLAINED)
    for name, group in groupby(record["definitions"], key=lambda row: row["name"]):
        yield Heading(text(name))
        rows = list(group)
        yield _table(view, name, rows)
        yield view.prose(REASONS.get(name, ""))
        yield element(
            "ul",
            [element("li", element("strong", row["whose"]), ": ", row["where"]) for row in rows],
            class_="provenance",
        )
    yield Heading("Repeat it")
    yield code_block("rlhf same-name", "bash")
    yield element(
        "p",
        "Code: ",
        element("code", "reference_impls/core/same_name.py"),
        "; record: ",
        element("code", "reference_impls/records/same-name.json"),
        ", which the tests recompute. Libraries are named as they were at the commits given; no reproach is meant: "
        "most of these differences are documented choices.",
        class_="provenance",
    )


def _table(view: View, name: str, rows: Iterable[Mapping[str, Any]]) -> Html:
    columns = ("as meant by", "formula", "value", "length", "cosine")
    cells = tuple(
        (
            row["whose"],
            view.inline(row["formula"]),
            f"{row['value']:.3f}",
            f"{row['length']:.2f}",
            f"{row['cosine']:.3f}",
        )
        for row in rows
    )
    return data_table(Table(columns, cells), f"Meanings of {name}")
