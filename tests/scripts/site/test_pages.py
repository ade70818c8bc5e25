import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.site.build import generate, navigation, write_pages
from scripts.site.gather import gather
from scripts.site.model import ClaimStanding, Table
from scripts.site.pages import write
from scripts.site.view import View, address, citation, shorten


@pytest.fixture(scope="module")
def pages(small: Path) -> dict[str, str]:
    made = generate(small)
    assert made.problems == []
    return made.files


def words(page: str) -> str:
    """The page without tags and with entities of a few plain characters resolved."""
    bare = re.sub(r"<[^>]+>", " ", page)
    bare = re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), bare)
    return " ".join(bare.split())


def test_every_kind_of_page_is_there(pages: dict[str, str]) -> None:
    markdown = {path for path in pages if path.endswith(".md")}
    assert markdown == {
        "index.md",
        "map.md",
        "browse.md",
        "methods.md",
        "ledger.md",
        "data.md",
        "feedback.md",
        "reductions.md",
        "gradient-noise.md",
        "kl-estimators.md",
        "same-name.md",
        "museum.md",
        "categories/runs-here.md",
        "categories/told-only.md",
        "categories/elsewhere.md",
        "methods/toy.md",
        "papers/doe2001toy.md",
        "papers/roe2002second.md",
    }
    assert {"figures/toys-light.svg", "figures/toys-dark.svg"} <= set(pages)
    assert "source/reference_impls/toys/toy.py.txt" in pages


def test_the_same_data_give_the_same_bytes(small: Path, pages: dict[str, str]) -> None:
    assert generate(small).files == pages


def test_a_category_page_has_all_its_parts(pages: dict[str, str]) -> None:
    page = pages["categories/runs-here.md"]
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["The idea", "Code", "Run it", "Measured", "Papers", "Limits"]
    shown = words(page)
    for part in (
        "rlhf run toy",
        "toy loss",
        "The whole file",
        "The fast arm gets further: 0.76 against 0.51.",
        "4 runs; seeds 0, 1; cpu, 1 thread; torch 2.0.test; transformers 5.0.test; python 3.test; 2001-02-03",
        "GPU: Test GPU 9000; 2001-02-03; torch 2.0.test; transformers 5.0.test; python 3.test; largest deviation "
        "of an arm's mean gap_closed from the CPU record: 0.020 (fast)",
        "2 checks; 6 of 7 mutants killed, 1 equivalent with a reason.",
        "Doe et al., 2001",
    ):
        assert part.replace("_", " ") in shown.replace("_", " "), part
    assert "<math" in page and 'src="../../figures/toys-light.svg"' in page
    assert 'href="../../source/reference&#95;impls/toys/toy.py.txt"' in page


def test_a_category_without_a_method_gives_its_reason(pages: dict[str, str]) -> None:
    page = pages["categories/told-only.md"]
    assert "Nothing runs here because this is test data." in words(page)
    assert "## Code" not in page and "## Run it" not in page


def test_without_gpu_records_the_page_says_so(small: Path) -> None:
    atlas = gather(small)
    toys = replace(atlas.benchmarks["toys"], gpu=None)
    files, _ = write(replace(atlas, benchmarks={"toys": toys}))
    assert "GPU: Not yet run on GPU." in words(files["categories/runs-here.md"])


def test_methods_without_a_benchmark_have_a_gpu_line_too(small: Path) -> None:
    files, _ = write(replace(gather(small), benchmarks={}))
    shown = words(files["categories/runs-here.md"])
    assert "No benchmark compares these methods yet." in shown and "GPU: Not yet run on GPU." in shown


def test_a_category_page_says_what_its_code_leaves_out(pages: dict[str, str]) -> None:
    page = pages["categories/runs-here.md"]
    before = page[page.index("## Code") : page.index("code-origin")]
    assert "What we leave out: everything else." in words(before)


def test_a_claim_has_its_name_and_a_paper_links_the_figures_that_test_it(small: Path) -> None:
    atlas = gather(small)
    paper = atlas.papers["doe2001toy"]
    standing = ClaimStanding(verdict="holds", measured="1 ± 0", values=(1.0,), test="t", benchmark="toys")
    files, _ = write(replace(atlas, claims={f"{paper.key}/{paper.claims[0].id}": standing}))
    page = files["papers/doe2001toy.md"]
    assert f'<span class="claim-id">{paper.claims[0].id}</span>' in page
    assert "Figures" in words(page) and "categories/runs-here/&#35;measured" in page


def test_long_cells_of_the_feedback_matrix_are_folded(small: Path) -> None:
    atlas = gather(small)
    toy = atlas.methods["toy"]
    many = {f"toy-{n}": replace(toy, key=f"toy-{n}") for n in range(9)}
    files, _ = write(replace(atlas, methods=many, benchmarks={}))
    assert "<summary>9 methods" in files["feedback.md"]
    files, _ = write(atlas)
    assert "<summary>" not in files["feedback.md"]


def test_without_records_the_page_says_how_to_make_them(small: Path) -> None:
    atlas = gather(small)
    toys = replace(atlas.benchmarks["toys"], gpu=None, results=None)
    files, _ = write(replace(atlas, benchmarks={"toys": toys}))
    assert "rlhf bench toys --commit" in words(files["categories/runs-here.md"])
    assert not any(path.startswith("figures/") for path in files)


def test_stale_records_are_marked(small: Path) -> None:
    atlas = gather(small)
    toys = atlas.benchmarks["toys"]
    assert toys.results is not None
    where = replace(toys.results.provenance, stale=("slow: the settings of the method have changed",))
    toys = replace(toys, results=replace(toys.results, provenance=where))
    files, _ = write(replace(atlas, benchmarks={"toys": toys}))
    assert "Stale: today's code no longer gives these records." in words(files["categories/runs-here.md"])


def test_a_page_says_how_settings_were_chosen_and_whose_grid_has_not_been_run(small: Path) -> None:
    atlas = gather(small)
    table = Table(("arm", "setting", "best", "used"), (("fast", "lr", "0.002", "0.001"),))
    toys = replace(atlas.benchmarks["toys"], choices=table, ungridded=("slow",))
    files, _ = write(replace(atlas, benchmarks={"toys": toys}))
    page = words(files["categories/runs-here.md"])
    assert "How the settings were chosen" in page and "0.002" in page
    assert "the grid is written but has not been run: slow." in page
    files, _ = write(atlas)
    assert "How the settings were chosen" not in words(files["categories/runs-here.md"])


def test_a_method_page_tells_story_contract_and_results(pages: dict[str, str]) -> None:
    page = pages["methods/toy.md"]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == [
        "The method",
        "Run it",
        "Facts",
        "Code",
        "Contract",
        "Results",
        "Elsewhere",
    ]
    shown = words(page)
    assert "Half of" in shown and "the square forgets the sign" in shown and "The half was forgotten" in shown
    assert ">Doe et al., 2001</a>, section 2" in page
    assert "0.505 ± 0.064" in shown and "TestLib" in shown
    assert "steps=10" in shown and "lr : 0.1, 0.2" in shown


def test_a_paper_page_has_relations_both_ways(pages: dict[str, str]) -> None:
    assert "Builds on Toy Problems" in words(pages["papers/roe2002second.md"])
    assert "Built on by A Second Paper (2002) carries the toy over" in words(pages["papers/doe2001toy.md"])


def test_a_paper_page_has_links_claims_and_bibtex(pages: dict[str, str]) -> None:
    first, second = pages["papers/doe2001toy.md"], pages["papers/roe2002second.md"]
    assert 'href="https://example.org/toy"' in first and "Code (by the authors)" in first
    assert 'href="https://arxiv.org/abs/0201.00001"' in second and "Publication" not in second
    assert "not tested" in first and "it is test data – not tested" in words(first)
    assert "@inproceedings" in words(first)
    assert "We read the abstract, not the whole paper." in words(first)


def test_a_retracted_paper_says_so_wherever_it_is_named(small: Path) -> None:
    atlas = gather(small)
    papers = dict(atlas.papers) | {"doe2001toy": replace(atlas.papers["doe2001toy"], status="retracted")}
    pages, _ = write(replace(atlas, papers=papers))
    named = [path for path, page in pages.items() if path.endswith(".md") and "doe2001toy/" in page]
    assert {"browse.md", "ledger.md", "categories/runs-here.md", "papers/roe2002second.md"} <= set(named)
    assert [path for path in named if "retracted" not in words(pages[path])] == []
    assert "[retracted]" in words(pages["papers/doe2001toy.md"])


def test_the_browse_page_is_a_whole_list_without_scripts(pages: dict[str, str]) -> None:
    page = pages["browse.md"]
    assert page.count('class="paper-card"') == 2
    assert '<form id="browse-form" class="browse-form" hidden role="search"' in page
    assert 'data-year="2001"' in page and 'data-category="runs-here elsewhere"' in page
    assert page.index("A Second Paper") < page.index("Toy Problems")


def test_ledger_and_museum_collect(pages: dict[str, str]) -> None:
    assert "The toy reaches" in words(pages["ledger.md"])
    museum = words(pages["museum.md"])
    assert "The half was forgotten" in museum and "example/toy: loss.py (0123456789, 2001-02-03)" in museum
    assert "- return (x - optimum) ** 2 / 2 + return (x - optimum) ** 2" in museum
    assert "bugs are here" in museum and "Killed means that the check named below" in museum


def test_the_map_is_a_picture_and_a_list(pages: dict[str, str]) -> None:
    page = pages["map.md"]
    assert page.count("<svg") == 2 and page.count('aria-hidden="true"') == 2
    assert "Does the toy reach" in page and "1 method" in page
    assert 'id="first-branch"' in page
    home = pages["index.md"]
    assert "branch-cards" in home and "rlhf run toy" in words(home)
    assert "atlas:" not in home


def test_an_unknown_part_of_the_front_page_is_a_problem(small: Path) -> None:
    atlas = replace(gather(small), home="<!-- atlas:no-such-part -->")
    _, problems = write(atlas)
    assert problems == ["index.md: there is no part called 'no-such-part'"]


def test_problems_name_the_page(small: Path) -> None:
    atlas = gather(small)
    broken = replace(atlas.categories["runs-here"], description=r"See $\foo{x}$ and [y](paper:nobody).")
    _, problems = write(replace(atlas, categories={**atlas.categories, "runs-here": broken}))
    assert problems == [
        r"categories/runs-here.md: formula '\\foo{x}': unknown command '\\foo'",
        "categories/runs-here.md: link to 'paper:nobody' leads nowhere we link to",
    ]


def test_a_repository_address_is_used_in_links(small: Path) -> None:
    files, _ = write(gather(small, "https://example.org/atlas/"))
    assert (
        "https://example.org/atlas/blob/main/reference&#95;impls/toys/toy.py#" not in files["methods/toy.md"]
    )
    assert "https://example.org/atlas/blob/main/reference&#95;impls/toys/toy.py" in files["methods/toy.md"]


def test_navigation_gains_categories_and_methods(small: Path) -> None:
    nav = navigation(gather(small), [{"Home": "index.md"}, {"Map": "map.md"}, {"Methods": "methods.md"}])
    assert nav[1] == {
        "Map": [
            "map.md",
            {"First branch": ["categories/runs-here.md", "categories/told-only.md"]},
            {"Second branch": ["categories/elsewhere.md"]},
        ]
    }
    assert nav[2] == {"Methods": ["methods.md", "methods/toy.md"]}


def test_the_same_pages_can_be_written_to_disk(small: Path, pages: dict[str, str], tmp_path: Path) -> None:
    assert write_pages(small, tmp_path / "pages") == []
    for path, content in pages.items():
        assert (tmp_path / "pages" / path).read_text() == content
    assert (tmp_path / "pages" / "about" / "exact-bed.md").is_file()


def test_front_matter_is_one_quoted_line_each(pages: dict[str, str]) -> None:
    for path, page in pages.items():
        if path.endswith(".md"):
            matter = page.split("---\n")[1]
            title = re.search(r"^title: (.+)$", matter, re.MULTILINE)
            assert title and json.loads(title[1])


@pytest.mark.parametrize(
    ("path", "served"),
    [("index.md", ""), ("a/index.md", "a/"), ("a/b.md", "a/b/"), ("f/x.svg", "f/x.svg")],
)
def test_addresses(path: str, served: str) -> None:
    assert address(path) == served


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ("index.md", "map.md", "map/"),
        ("map.md", "index.md", "../"),
        ("papers/a.md", "papers/b.md", "../b/"),
        ("papers/a.md", "papers/a.md", "./"),
        ("papers/a.md", "figures/x.svg", "../../figures/x.svg"),
        ("index.md", "index.md", "./"),
    ],
)
def test_relative_links(small: Path, here: str, there: str, expected: str) -> None:
    assert View(gather(small), here).to(there) == expected


def test_citations_and_descriptions() -> None:
    assert citation(("Jane Doe",), "2001") == "Doe, 2001"
    assert citation(("Jane Doe", "Roe, R."), "2001") == "Doe and Roe, 2001"
    assert citation(("A B", "C D", "E F"), "") == "B et al."
    assert shorten("word " * 100).endswith("word…") and len(shorten("word " * 100)) <= 181


def test_a_paper_page_has_lineage_and_a_plain_citation(pages: dict[str, str]) -> None:
    first, second = words(pages["papers/doe2001toy.md"]), words(pages["papers/roe2002second.md"])
    assert "To read before it" in second
    assert "1 paper here descends from it A Second Paper" in first
    assert "(2002). A Second Paper." in second


def test_the_data_page_links_files_that_exist(pages: dict[str, str]) -> None:
    page = pages["data.md"]
    assert "rlhf-atlas.schema.json" in page and "feed.xml" in page
    for name in re.findall(r'download="([^"]+)"', page):
        assert pages[f"data/{name}"].strip(), name
