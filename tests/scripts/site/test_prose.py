import re

import pytest

from scripts.site.prose import inline, plain, prose

PLAIN_TAG = re.compile(r"</?(?:p|em|strong|code|pre|ul|ol|li|table|thead|tbody|tr|t[hd]|blockquote|hr|br)>")


def render(value: str) -> tuple[str, list[str]]:
    reports: list[str] = []
    known = {("method", "dpo"): "../methods/dpo/"}
    return prose(value, lambda kind, key, _: known.get((kind, key)), reports.append), reports


def test_paragraphs_lists_code_and_links() -> None:
    html, reports = render(
        "A *b* **c** `d`.\n\n- e\n- [f](https://example.org/?a=1&b=2)\n- [g](method:dpo)\n"
    )
    assert reports == []
    assert "<em>b</em>" in html and "<strong>c</strong>" in html and "<code>d</code>" in html
    assert '<a href="https://example.org/?a=1&#38;b=2" rel="noopener">f</a>' in html
    assert '<a href="../methods/dpo/">g</a>' in html


def test_an_item_may_hold_paragraphs_that_hang_below_its_words() -> None:
    html, _ = render("1. One.\n2. Two:\n\n   $$x$$\n\n   and more\n   of it.\n3. Three.\n\nAfter.")
    assert html.count("<ol>") == 1 and html.count("<li>") == 3 and "3. Three" not in html
    assert html.index("of it.") < html.index("Three.") < html.index("</ol>") < html.index("After.")
    html, _ = render("1. One\n   goes on.\n2. Two.")
    assert html.count("<li>") == 2 and "<p>" not in html


def test_formulas_but_not_prices_or_code() -> None:
    html, reports = render(
        "It costs $5 and $6, is $x_i$ and `$y$`.\n\n$$\\sum_i x_i$$\n\n    $z$ in a block\n"
    )
    assert reports == []
    assert html.count("<math") == 2 + ("$z$" not in html)
    assert "costs $5 and $6" in html
    assert "<code>$y$</code>" in html


def test_a_formula_may_run_over_lines_but_not_over_paragraphs() -> None:
    html, _ = render("Now $a +\nb$ ends. And $ here\n\nnothing $ more.")
    assert html.count("<math") == 1


def test_a_bad_formula_is_reported_and_shown_as_written() -> None:
    html, reports = render(r"Look: $\foo{x}$.")
    assert len(reports) == 1 and "unknown command" in reports[0]
    assert "<code>&#92;foo&#123;x&#125;</code>" in html


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<div markdown="1" onclick="alert(1)">x</div>',
        "![x](http://evil.example/x.png)",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        '--8<-- "README.md"',
        "# x { onmouseover=alert(1) }",
        "<javascript:alert(1)>",
        "```html\n<script>alert(1)</script>\n```",
        "```\nnot closed <script>",
        "{{ 7*7 }} {% raw %}",
        "a\u202eb",
        '<http://evil.example/"onmouseover=alert(1)//>',
    ],
)
def test_nothing_but_plain_elements_comes_out(value: str) -> None:
    html, _ = render(value)
    rest = PLAIN_TAG.sub("", re.sub(r"</?(?:p|code)(?: class=\"[a-z-]+\")?>", "", html))
    assert "<" not in re.sub(r'<a href="https?://[^"<>]*" rel="noopener">|</a>|</?span>', "", rest)
    assert not set(html) & set("{}`\u202e")


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "JAVASCRIPT:x",
        "method:nope",
        "../../etc/passwd",
        "//evil.example",
    ],
)
def test_links_that_lead_nowhere_are_reported_and_dropped(target: str) -> None:
    html, reports = render(f"[x]({target})")
    assert "href" not in html and "<a" not in html
    assert len(reports) == 1


def test_link_titles_are_dropped() -> None:
    html, _ = render('[x](https://example.org "onmouseover=alert(1)")')
    assert html == '<p><a href="https://example.org" rel="noopener">x</a></p>'


def test_one_line_values() -> None:
    reports: list[str] = []
    made = inline("Why $x^2$ beats <b> [y](http://z)", reports.append)
    assert "<math" in made and "&#60;b&#62; &#91;y&#93;" in made
    assert plain(r"The $\chi$PO way") == "The chiPO way"
