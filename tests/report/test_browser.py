"""The page in a real browser: what works, what is shown, and that nothing leaves it."""

import re
import shutil

import pytest

from tests.report.make_run import HOSTILE, digits, make_run, png, result, write_cell
from vaebench import report
from vaebench.runs import files

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    not shutil.which(CHROMIUM), reason="there is no chromium; install the package chromium"
)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Eight variants, three seeds and all kinds of pictures."""
    run = make_run(tmp_path_factory.mktemp("browser") / "run", (0, 1, 2))
    for cell in (run / "cells").iterdir():
        for name in ("interpolations", "traversals", "film") if "vmf" not in cell.name else ():
            files.write_bytes(cell / f"{name}.png", png(digits(0)))
    return report.write(run).page


class Visit:
    """An opened page with everything that it said and asked for."""

    def __init__(self, browser, path, fragment, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append("dialog"), dialog.dismiss()))

        def only_the_file(route):
            url = route.request.url
            if url.partition("#")[0] == path.as_uri() or url.startswith("data:"):
                route.continue_()
            else:
                self.requests.append(url)
                route.abort()

        self.page.route("**/*", only_the_file)
        self.page.goto(path.as_uri() + fragment)


@pytest.fixture
def visit(browser):
    opened = []

    def visit(path, fragment="", **options):
        opened.append(Visit(browser, path, fragment, **options))
        return opened[-1].page

    yield visit
    for each in opened:
        each.context.close()
        assert each.errors == []
        assert each.requests == []


def names(page):
    rows = page.locator("table.sheet").first.locator("tbody tr:visible th")
    return [re.sub(r"[\d,]+$", "", text.strip()) for text in rows.all_text_contents()]


def order(page, head):
    """What the column below a header is sorted by, from top to bottom, None where unknown."""
    number = head.evaluate("head => [...head.parentElement.cells].indexOf(head)")
    cells = page.locator(f"table.sheet tbody tr > :nth-child({number + 1})")
    texts = [cell.get_attribute("data-order") for cell in cells.all()]
    return [float(text) if text else None for text in texts]


def known(page, head):
    """The same, but for the unknown."""
    return [value for value in order(page, head) if value is not None]


def is_sorted(values, sign):
    return values == sorted(values, reverse=sign < 0)


def until(page, condition, seconds=20):
    """Wait for what the table does a moment after the key or click."""
    for _ in range(10 * seconds):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the table did not come to the order that was asked for")


@pytest.mark.parametrize(("title", "first"), [("FID of samples (digits)", 1), ("ELBO", -1)])
def test_a_click_sorts_by_the_mean_the_best_first_and_another_turns_it_round(
    visit, path, title, first
):
    page = visit(path)
    head = page.locator(f"table.sheet thead th[aria-label='{title}']").first
    for sign, said in ((first, {1: "ascending", -1: "descending"}[first]), (-first, None)):
        head.click()
        if said:
            until(page, lambda said=said: head.get_attribute("aria-sort") == said)
        until(page, lambda sign=sign: is_sorted(known(page, head), sign))
        found = order(page, head)
        assert len(known(page, head)) > 5
        assert None in found and found.index(None) == len(known(page, head))


def test_the_keyboard_suffices(visit, path):
    page = visit(path)
    page.get_by_role("button", name="variant: Activate to sort").first.focus()
    page.keyboard.press("Enter")
    until(page, lambda: names(page) == sorted(names(page)))
    page.keyboard.press("Enter")
    until(page, lambda: names(page) == sorted(names(page), reverse=True))
    page.get_by_role("button", name="Columns").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaLabel") == "Search columns"
    page.keyboard.press("Escape")
    assert not page.get_by_label("Search columns").first.is_visible()
    assert page.evaluate("document.activeElement.textContent") == "Columns ▾"
    tab = page.get_by_role("tab", selected=True).first
    tab.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Interpolations"
    assert page.get_by_role("tabpanel").count() == 1


def test_a_footnote_in_a_header_is_a_link(visit, path):
    page = visit(path)
    before = names(page)
    link = page.locator("table.sheet thead sup a").first
    note = page.locator(link.get_attribute("href"))
    assert not note.is_visible()
    link.click()
    page.wait_for_timeout(1500)  # until the page has scrolled there
    assert re.search(r"#at=s0-note-\d+$", page.url)
    assert note.is_visible() and names(page) == before
    again = visit(path, fragment=link.get_attribute("href"))
    assert again.locator(link.get_attribute("href")).is_visible()


def test_the_filter_leaves_what_matches(visit, path):
    page = visit(path)
    page.get_by_label("Filter").first.fill("IA")
    assert set(names(page)) == {"iaf", "gaussian"}
    assert page.get_by_role("status").first.text_content().strip() == "2 of 8 variants"
    page.get_by_label("Filter").first.fill("iwae epan")
    assert set(names(page)) == {"iwae", "epanechnikov"}
    page.get_by_label("Filter").first.fill("")
    assert len(names(page)) == 8 and page.get_by_role("status").first.text_content() == ""


def test_columns_are_hidden_and_shown(visit, path):
    page = visit(path)
    shown = page.locator("table.sheet thead th:visible")
    before = shown.count()
    page.get_by_role("button", name="Columns").first.click()
    page.get_by_role("checkbox", name="ELBO", exact=True).click()
    assert shown.count() == before - 1
    page.get_by_role("button", name="all", exact=True).click()
    assert shown.count() > before
    rows = page.locator("table.sheet tr")
    assert {row.locator("th, td").count() for row in rows.all()} == {shown.count()}
    page.get_by_role("button", name="the usual ones").click()
    assert shown.count() == before
    groups = page.locator(".columns fieldset:visible")
    assert groups.locator("legend").all_text_contents()[0] == "Likelihood" and groups.count() > 3
    page.get_by_label("Search columns").fill("sharp rec")
    assert groups.locator("legend").all_text_contents() == ["Reconstructions"]
    assert groups.locator("label:visible").count() == 1


def test_the_filter_holds_for_pictures_plots_and_cards(visit, path):
    page = visit(path)
    page.get_by_text("Learning curves").click()
    drawn = page.locator("svg [data-row]:visible")
    pictures = page.locator(".gallery figure:visible figcaption")
    before = drawn.count()
    page.get_by_label("Filter").first.fill("iwae")
    assert pictures.all_text_contents() == ["iwae"]
    assert page.locator(".legend > span:visible").all_text_contents() == ["■ iwae"]
    row = page.locator("table.sheet tbody tr:visible").get_attribute("data-row")
    rows = page.locator(".drawings svg [data-row]:visible")
    assert 10 < rows.count() < before
    assert set(rows.evaluate_all("rows => rows.map(r => r.dataset.row)")) == {row}
    cards = page.locator(".card svg [data-row]")
    assert cards.evaluate_all(
        "(rows, row) => rows.every(r => r.classList.contains('faint') === (r.dataset.row !== row))",
        row,
    )
    page.get_by_label("Filter").first.fill("")
    assert drawn.count() == before and page.locator(".faint").count() == 0


def test_a_link_reproduces_the_view(visit, path):
    page = visit(path)
    page.get_by_label("Filter").first.fill("ia")
    page.get_by_role("button", name="Columns").first.click()
    page.get_by_role("checkbox", name="ELBO", exact=True).click()
    page.get_by_role("checkbox", name="L₁₂₈").click()
    page.keyboard.press("Escape")
    page.locator("table.sheet thead th[data-name=kl]").click()
    until(page, lambda: "sort=kl" in page.url)
    heads = page.locator("table.sheet thead th:visible").all_text_contents()
    fragment = page.url.partition("#")[2]
    assert "filter=ia" in fragment and "hide=elbo" in fragment and "show=iwae_128" in fragment
    again = visit(path, fragment=f"#{fragment}")
    assert again.locator("table.sheet thead th:visible").all_text_contents() == heads
    assert names(again) == names(page) and len(names(again)) == 2
    assert again.get_by_label("Filter").first.input_value() == "ia"
    assert again.locator("[aria-sort]").get_attribute("data-name") == "kl"


def test_a_section_is_kept_in_the_address(visit, path):
    page = visit(path, fragment="#filter=iwae&at=cells")
    for _ in range(50):
        there = "e => e.getBoundingClientRect().top < innerHeight"
        if seen := page.locator("#cells").evaluate(there):
            break
        page.wait_for_timeout(100)
    assert seen
    assert names(page) == ["iwae"]


@pytest.mark.parametrize(
    "fragment", ["#filter=%3Cimg%20onerror%3D1%3E", "#sort=no%20up&show=no", "#%E0%A4%A", "#at=no"]
)
def test_an_address_that_means_nothing_does_no_harm(visit, path, fragment):
    page = visit(path, fragment=fragment)
    assert page.locator("table.sheet thead th:visible").count() > 5
    assert page.locator("[onerror]").count() == 0


def test_explanations_come_by_keyboard_and_touch(visit, path):
    page = visit(path, has_touch=True, viewport={"width": 390, "height": 800})
    tip = page.get_by_role("tooltip")
    page.locator("table.sheet thead th[data-name=elbo]").tap()
    assert "Evidence lower bound" in tip.text_content()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    cell = page.locator("table.sheet tbody td[tabindex='0']")
    assert cell.count() == 1
    cell.focus()
    first = tip.text_content()
    page.keyboard.press("ArrowDown")
    assert tip.is_visible() and tip.text_content() != first
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.locator("table.sheet sup a").first.focus()
    assert "fewer images" in tip.text_content()


def test_without_javascript_the_tables_are_whole(visit, path):
    page = visit(path, java_script_enabled=False)
    assert len(names(page)) == 8
    heads = page.locator("table.sheet thead th")
    assert heads.count() > 12 and all(head.is_visible() for head in heads.all())
    assert page.get_by_role("table").first.get_by_role("columnheader").count() == heads.count()


def test_tabs_show_one_kind_of_pictures(visit, path):
    page = visit(path)
    for title in ("Interpolations", "Traversals", "Training", "Samples and reconstructions"):
        page.get_by_role("tab", name=title).first.click()
        panels = page.get_by_role("tabpanel")
        assert panels.count() == 1
        assert panels.locator("img").count() >= 7
        broken = "panels => panels.some(i => i.complete && i.naturalWidth === 0)"
        assert not panels.locator("img").evaluate_all(broken)


def test_hostile_names_are_shown_as_text(visit, tmp_path):
    for number, name in enumerate(HOSTILE):
        found = result("gaussian", number)
        found["config"]["plugin"] = name
        found["variant"] = {"name": name, "deviations": {name: name}, "reference": name}
        found["metrics"]["elbo"]["title"] = HOSTILE[1]
        files.write_json(tmp_path / "cells" / f"c{number}" / "result.json", found)
    page = visit(report.write(tmp_path).page)
    shown = page.locator("table.sheet tbody th").all_text_contents()
    assert any("<script>alert(1)</script>" in text for text in shown)
    page.get_by_role("button", name="Columns").first.click()
    assert page.locator(".columns").get_by_text(HOSTILE[1]).count() == 1
    page.get_by_label("Filter").first.fill("<script")
    assert page.locator("table.sheet tbody tr").count() == 1
    assert page.locator("script").count() == 1
    assert page.locator("[onmouseover], [onerror]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_sideways_and_text_is_legible(visit, path, scheme, width):
    size = {"width": width, "height": 800}
    page = visit(path, color_scheme=scheme, viewport=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_text("Run it again").click()
    command = page.locator("#command")
    assert command.evaluate("code => code.scrollWidth <= code.clientWidth")
    ink, paper = page.evaluate(
        "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    )
    assert (luminance(ink) > luminance(paper)) == (scheme == "dark")
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.slow
def test_a_large_page_is_light_and_ready_soon(visit, tmp_path):
    for dataset in ("digits", "mnist", "omniglot"):
        for seed in (0, 1, 2):
            for name in ("gaussian", "iwae", "iaf", "gmm", "gamix", "epanechnikov", "autoencoder"):
                cell = write_cell(tmp_path, result(name, seed, dataset=dataset))
                for kind in ("interpolations", "traversals", "film"):
                    files.write_bytes(cell / f"{kind}.png", png(digits(seed)))
    path = report.write(tmp_path).page
    assert path.stat().st_size < 5e6
    page = visit(path)
    page.locator("table.sheet thead th:has(.dt-column-order)").first.click()
    page.locator("table.sheet thead [aria-sort]").first.wait_for()
    assert page.evaluate("document.querySelectorAll('*').length") < 30_000


def test_a_comparison_page_works_too(visit, path):
    from vaebench.report.comparison import versus
    from vaebench.report.comparison.differences import compare

    found = compare(("gaussian", "iaf"), path.parent, ())
    page = visit(
        versus.page(found, path.with_name("versus.html")), viewport={"width": 360, "height": 700}
    )
    assert page.locator("tbody tr").count() > 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
