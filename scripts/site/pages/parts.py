"""Pieces that several pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scripts.site import prose
from scripts.site.escape import Html, element, join, text
from scripts.site.figures import SCHEMES, FigureError, figure_size
from scripts.site.model import Benchmark, Contract, Method, Paper, Provenance, Results
from scripts.site.source import code_block, loss_functions
from scripts.site.view import (
    Heading,
    Page,
    View,
    chip,
    citation,
    data_table,
    details,
    listed,
    method_path,
    paper_path,
)

VERDICTS = {"holds": "good", "in part": "mixed", "fails here": "bad", "not tested": "quiet"}
STATUSES = {
    "pass": "good",
    "fail": "bad",
    "not run": "quiet",
    "killed": "good",
    "surviving": "bad",
    "broken": "bad",
}
BASES = {
    "full-text": "We read the full text.",
    "abstract": "We read the abstract, not the whole paper.",
    "code": "We read the code.",
    "secondary": "What we say rests on other people's accounts of the paper.",
    "title-only": "We have seen the title only.",
}

LEFT_OUT = re.compile(r"^What we leave out.+?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def figure_path(benchmark: str, scheme: str) -> str:
    """Where a figure is written."""
    return f"figures/{benchmark}-{scheme}.svg"


def badge(words: str, meanings: dict[str, str] = STATUSES) -> Html:
    """A status as a coloured label."""
    return chip(words, meanings.get(words, "quiet"))


def table_page(
    path: str, title: str, introduction: str, command: str, sections: Iterable[Html | Heading] | None
) -> Page:
    """A page about a table on record; without the record, the command that makes it."""
    body: list[Html | Heading] = [Heading(title, 1), element("p", introduction, class_="lead")]
    if sections is None:
        words = element("p", "The table has not been computed yet: ", element("code", command))
        body.append(element("div", words, class_="callout callout--quiet"))
    else:
        body += sections
    return Page(path, text(title), introduction, tuple(body), search_boost=1.5)


def run_block(key: str) -> Html:
    """The command that runs a method."""
    return code_block(f"rlhf run {key}", "bash")


def paper_card(view: View, paper: Paper) -> Html:
    """A paper in a list."""
    marks = [
        chip("seed", "seed") if paper.seed else None,
        chip(paper.status, "bad" if paper.void else "quiet") if paper.status != "published" else None,
    ]
    by = join(citation(paper.authors, paper.year), f" · {paper.venue}" if paper.venue else None)
    return element(
        "li",
        element("a", view.inline(paper.title), href=view.to(paper_path(paper.key)), class_="paper-title"),
        element("div", by, marks, class_="paper-by"),
        element("p", view.inline(first_sentence(paper.summary)), class_="paper-summary"),
        class_="paper-card",
    )


def paper_list(view: View, papers: tuple[Paper, ...]) -> Html:
    """Papers one below the other."""
    return element("ul", [paper_card(view, paper) for paper in papers], class_="paper-list")


def first_sentence(value: str) -> str:
    """Up to the first full stop that ends a sentence."""
    line = " ".join(value.split())
    for index, character in enumerate(line):
        if character in ".!?" and line[index + 1 : index + 2] in ("", " ") and index > 90:
            return line[: index + 1]
    return line


def source_part(view: View, method: Method) -> tuple[Html, ...]:
    """The functions under contract, then the whole file behind a fold."""
    source = method.source
    declared = method.contract.functions if method.contract else ()
    functions = loss_functions(source, declared)
    shown = [
        join(
            element("p", view.source_link(source.path, f.line), f", line {f.line}", class_="code-origin"),
            code_block(f.text, "python"),
        )
        for f in functions
    ]
    whole = details(
        join("The whole file: ", element("code", source.path)),
        element("p", "On its own: ", view.source_link(source.path)),
        code_block(source.text, "python"),
        class_="fold",
    )
    return element("div", shown, data_search_exclude=True), element("div", whole, data_search_exclude=True)


def measured(view: View, benchmark: Benchmark) -> tuple[Html, ...]:
    """Figure, table and conclusion of a benchmark, with where they come from."""
    question = element("p", view.inline(benchmark.question), class_="benchmark-question")
    results = benchmark.results
    if results is None:
        what = "This benchmark is written but has no committed records yet. To make them: "
        device = "" if benchmark.devices[0] == "cpu" else f" --device {benchmark.devices[0]}"
        command = element("code", f"rlhf bench {benchmark.key}{device} --commit")
        return (
            question,
            element("div", element("p", what, command), class_="callout callout--quiet"),
            gpu(benchmark),
        )
    caption = f"The numbers behind the figure: {benchmark.key}"
    table = data_table(results.table, caption)
    figure = element(
        "figure",
        _images(view, benchmark, results),
        element("figcaption", view.inline(results.conclusion)),
        class_="measured",
    )
    return (
        question,
        figure,
        details("The table behind this figure", table, _yardsticks(view), class_="fold figure-table"),
        *_choices_part(benchmark),
        _provenance_part(view, results.provenance, benchmark),
        gpu(benchmark),
    )


def _yardsticks(view: View) -> Html:
    """How to read the numbers of a table."""
    return element(
        "p",
        "Means over seeds, ± half the 95 % interval; a dash where nothing was measured. ",
        element("a", "What the yardsticks mean", href=view.to("about/yardsticks.md")),
        ".",
        class_="provenance",
    )


def _choices_part(benchmark: Benchmark) -> tuple[Html, ...]:
    """How the settings were chosen, behind a fold."""
    parts: list[Html] = []
    if benchmark.choices is not None:
        words = (
            "One grid for all arms, run once on the seeds 100 and 101, which no figure uses. Where the value used is "
            "not the best of the grid, it was fixed before the grid was run."
        )
        parts += [element("p", words), data_table(benchmark.choices, f"The grid of {benchmark.key}")]
    if benchmark.ungridded:
        words = (
            f"Chosen by hand on the seeds 100 and 101; the grid is written but has not been run: "
            f"{'; '.join(benchmark.ungridded)}."
        )
        parts.append(element("p", words))
    return (details("How the settings were chosen", *parts, class_="fold"),) if parts else ()


def _images(view: View, benchmark: Benchmark, results: Results) -> Html:
    """The drawing for light and for dark pages, of which a page shows one."""
    try:
        width, height = figure_size(results.figure)
    except FigureError as error:
        view.report(f"the figure of {benchmark.key} cannot be drawn: {error}")
        return element("p", "This figure could not be drawn.", class_="callout callout--warn")
    images = [
        element(
            "img",
            src=view.to(figure_path(benchmark.key, scheme)),
            alt=f"{prose.plain(results.conclusion)} The table below has every number.",
            class_=f"figure--{scheme}",
            loading="lazy",
            width=width,
            height=height,
        )
        for scheme in SCHEMES
    ]
    return element(
        "div", images, class_="scroll figure-box", tabindex="0", role="region", aria_label="Figure"
    )


def no_gpu() -> Html:
    """What a page says until a graphics processor has been used."""
    return element("p", element("strong", "GPU: "), "Not yet run on GPU.", class_="provenance")


def gpu(benchmark: Benchmark) -> Html:
    """What is known from a graphics processor."""
    note = benchmark.gpu
    if note is None:
        return no_gpu()
    where = note.provenance
    if note.deviation is None:
        deviation = "no run in common with the CPU record"
    else:
        deviation = (
            f"largest deviation of an arm's mean {note.metric} from the CPU record: "
            f"{note.deviation:.3f} ({note.arm})"
        )
    said = (*where.devices, _span(where.dates), *where.versions, deviation)
    return element("p", element("strong", "GPU: "), "; ".join(said), ".", class_="provenance")


def _provenance_part(view: View, where: Provenance, benchmark: Benchmark) -> Html:
    seeds = _seeds(where.seeds)
    said = [f"{where.runs} runs", seeds, *where.devices, *where.versions, _span(where.dates)]
    if where.minutes >= 0.1:
        said.append(f"{where.minutes:.1f} minutes of computing")
    line = element(
        "p",
        element("strong", "Where this comes from: "),
        "; ".join(part for part in said if part),
        "; records ",
        element("code", where.path),
        f" (commit {where.commit})" if where.commit else None,
        "; made by ",
        element("code", f"rlhf bench {benchmark.key} --commit"),
        ", drawn by ",
        view.source_link(benchmark.path),
        ".",
        class_="provenance",
    )
    if not where.stale:
        return line
    reasons = element("ul", [element("li", reason) for reason in where.stale])
    words = "Stale: today's code no longer gives these records."
    return join(line, element("div", element("p", words), reasons, class_="callout callout--warn"))


def _seeds(seeds: tuple[int, ...]) -> str:
    consecutive = len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
    shown = f"{seeds[0]}–{seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
    return f"seed{'s' if len(seeds) != 1 else ''} {shown}"


def _span(dates: tuple[str, ...]) -> str:
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else ""


def contract_line(view: View, method: Method) -> Html:
    """One sentence on a method's contract."""
    contract = method.contract
    if contract is None:
        return element("p", "No contract yet.", class_="provenance")
    return element(
        "p",
        badge(contract.status),
        " ",
        contract_words(contract),
        " ",
        element("a", "See what is checked", href=view.to(method_path(method.key), "contract")),
        class_="contract-line",
    )


def left_out(view: View, method: Method) -> Html | None:
    """The paragraph of a method's docstring that says what of the paper its code does without."""
    found = LEFT_OUT.search(method.source.docstring)
    return view.story(found[0]) if found else None


def contract_words(contract: Contract) -> str:
    """Checks and mutants in words."""
    words = f"{len(contract.checks)} checks"
    if contract.mutants:
        words += f"; {contract.killed} of {contract.mutants} mutants killed"
    if contract.equivalent:
        words += f", {len(contract.equivalent)} equivalent with a reason"
    if contract.surviving:
        words += f", {len(contract.surviving)} SURVIVING"
    return words + "."


def tags(values: tuple[str, ...]) -> Html:
    """Feedback kinds and the like."""
    return listed([chip(value) for value in values], " ")
