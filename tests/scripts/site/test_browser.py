"""The built site in a real browser."""

from pathlib import Path

import pytest

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
PAGES = (
    "",
    "map/",
    "browse/",
    "methods/",
    "ledger/",
    "museum/",
    "contribute/",
    "about/",
    "about/exact-bed/",
    "about/yardsticks/",
    "about/contracts/",
    "about/reading-pages/",
    "categories/runs-here/",
    "categories/told-only/",
    "methods/toy/",
    "papers/doe2001toy/",
    "papers/roe2002second/",
)


@pytest.fixture(scope="module")
def address(built: Path, serve) -> str:
    return serve(built)


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    made = context.new_page()
    made.complaints = []
    made.on("pageerror", lambda error: made.complaints.append(str(error)))
    made.on("console", lambda m: made.complaints.append(m.text) if m.type == "error" else None)
    yield made
    context.close()
    assert made.complaints == []


def test_every_request_stays_on_this_host(page, address: str) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    for path in PAGES:
        page.goto(address + path, wait_until="networkidle")
    page.keyboard.press("s")
    page.keyboard.type("toy", delay=30)
    page.wait_for_timeout(800)
    assert len(seen) > len(PAGES)
    assert [url for url in seen if not url.startswith((address, "data:", "blob:" + address))] == []


def test_formulas_are_mathml(page, address: str) -> None:
    page.goto(address + "categories/runs-here/")
    assert page.locator("article math").count() > 5
    box = page.locator("article .math-display math").first.bounding_box()
    assert box["width"] > 50 and box["height"] > 20
    assert "$" not in page.locator("article .prose").first.inner_text()


def test_search_finds_papers_and_categories(page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("s")
    page.wait_for_timeout(400)
    page.keyboard.type("second", delay=30)
    page.wait_for_selector(".md-search-result__item")
    assert "A Second Paper" in page.locator(".md-search-result__list").inner_text()


def test_dark_mode_can_be_chosen_and_changes_figures(page, address: str) -> None:
    page.goto(address + "categories/runs-here/")
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    assert page.locator("img.figure--light").is_visible()
    assert not page.locator("img.figure--dark").is_visible()
    page.locator('label[title="Switch to light mode"]:visible').click()
    page.locator('label[title="Switch to dark mode"]:visible').click()
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    assert page.evaluate(shade) != light
    assert page.locator("img.figure--dark").is_visible()
    assert not page.locator("img.figure--light").is_visible()


def test_dark_mode_follows_the_system(browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    context.close()


def test_figures_are_drawn_and_have_a_table(page, address: str) -> None:
    page.goto(address + "categories/runs-here/")
    image = page.locator("img.figure--light")
    image.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert image.evaluate("i => i.complete && i.naturalWidth") > 300
    assert "fast arm" in image.get_attribute("alt")
    assert not page.locator(".figure-table table").is_visible()
    page.locator(".figure-table summary").click()
    assert page.locator(".figure-table table").is_visible()
    assert page.locator(".figure-table th[scope=col]").all_inner_texts() == ["arm", "metrics.gap_closed"]


def test_filters_narrow_the_list_and_the_link_can_be_shared(page, address: str) -> None:
    page.goto(address + "browse/")
    count, cards = page.locator("#browse-count"), page.locator(".paper-card:visible")
    assert count.inner_text() == "2 papers" and count.get_attribute("aria-live") == "polite"
    page.locator("select[name=feedback]").select_option("language")
    assert count.inner_text() == "1 of 2 papers" and cards.count() == 1
    assert page.url == address + "browse/?feedback=language"
    page.locator("#browse-form button[type=reset]").click()
    page.wait_for_timeout(100)
    assert cards.count() == 2 and page.url == address + "browse/"
    page.locator("input[name=text]").fill("muller")
    assert cards.all_inner_texts()[0].startswith("Toy Problems") and cards.count() == 1
    page.locator("input[name=code]").check()
    page.locator("select[name=category]").select_option("elsewhere")
    page.locator("select[name=year]").select_option("2001")
    shared = page.url
    assert shared.endswith("?text=muller&category=elsewhere&year=2001&code=yes")
    page.goto(address)
    page.goto(shared)
    assert page.locator("#browse-count").inner_text() == "1 of 2 papers"
    assert page.locator("input[name=text]").input_value() == "muller"
    assert page.locator("input[name=code]").is_checked()


def test_a_hostile_query_is_only_text(page, address: str) -> None:
    page.goto(address + "browse/?text=<img src=x onerror=alert(1)>&category=nope&year=%00&code=<b>")
    assert page.locator("article img").count() == 0
    assert page.locator("#browse-count").inner_text() in ("0 of 2 papers", "2 papers")


def test_without_scripts_there_is_a_plain_list(browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "browse/")
    assert page.locator(".paper-card:visible").count() == 2
    assert not page.locator("#browse-form").is_visible()
    page.goto(address + "categories/runs-here/")
    assert page.locator("article math").count() > 5
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_on_a_phone(browser, address: str, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, device_scale_factor=2)
    page = context.new_page()
    wide = []
    for path in PAGES:
        page.goto(address + path)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wide += [(path, over)] if over > 0 else []
    context.close()
    assert wide == []


def test_wide_parts_scroll_in_their_own_box(browser, address: str) -> None:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(address + "categories/runs-here/")
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for box in (".figure-box", ".math-display >> nth=1"):
        assert page.locator(box).evaluate("b => b.scrollWidth > b.clientWidth"), box
    context.close()


def test_words_in_tables_stay_whole(page, address: str) -> None:
    page.goto(address + "methods/")
    for inside in ("a", "code"):
        style = page.locator(f".scroll td {inside}").first.evaluate(
            "n => [getComputedStyle(n).wordBreak, getComputedStyle(n).overflowWrap]"
        )
        assert style == ["normal", "normal"], inside


def test_text_has_contrast(page, address: str) -> None:
    """Labels, quiet text and links against their ground, in both schemes: at least 4.5 to 1."""
    page.goto(address + "methods/toy/")
    for scheme in ("default", "slate"):
        page.evaluate(f"document.body.setAttribute('data-md-color-scheme', '{scheme}')")
        page.wait_for_timeout(400)
        for selector in ("article p", ".trail", ".chip--good", "article .prose a", ".provenance a"):
            assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, (scheme, selector)


CONTRAST = """
(node) => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let ground = node;
  while (ground && (parse(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
  const a = light(parse(getComputedStyle(node).color));
  const b = light(parse(getComputedStyle(ground || document.body).backgroundColor));
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""


@pytest.mark.slow
def test_the_pages_of_this_repository_fit_a_phone(browser, real: Path, serve) -> None:
    address = serve(real)
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    outside, wide = [], []
    page.on("request", lambda r: None if r.url.startswith(address) else outside.append(r.url))
    folders = ("categories", "methods", "about", "map", "museum", "ledger")
    for file in sorted(f for folder in folders for f in (real / folder).rglob("index.html")):
        page.goto(address + str(file.relative_to(real)), wait_until="domcontentloaded")
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wide += [(file.parent.name, over)] if over > 0 else []
    context.close()
    assert wide == []
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []
