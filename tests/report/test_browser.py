"""The page in a real browser: what works, what is shown, and that nothing leaves it."""

import re
import shutil
import time

import pytest

from tests.report.make_run import HOSTILE, digits, make_run, png, result, write_cell
from vaebench import report, store

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
            store.write_bytes(cell / f"{name}.png", png(digits(0)))
    return report.write(run)


class Visit:
    """An opened page with everything that it said and asked for."""

    def __init__(self, browser, path, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append("dialog"), dialog.dismiss()))

        def only_the_file(route):
            url = route.request.url
            if url == path.as_uri() or url.startswith("data:"):
                route.continue_()
            else:
                self.requests.append(url)
                route.abort()

        self.page.route("**/*", only_the_file)
        self.page.goto(path.as_uri())


@pytest.fixture
def visit(browser):
    opened = []

    def visit(path, **options):
        opened.append(Visit(browser, path, **options))
        return opened[-1].page

    yield visit
    for each in opened:
        each.context.close()
        assert each.errors == []
        assert each.requests == []


def names(page):
    rows = page.locator("table.sheet").first.locator("tbody tr:visible th")
    return [re.sub(r"[\d,]+$", "", text.strip()) for text in rows.all_text_contents()]


def test_a_click_sorts_and_another_one_turns_it_round(visit, path):
    page = visit(path)
    head = page.locator("table.sheet thead th", has_text="FID").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    up = names(page)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert sorted(up) == sorted(names(page))
    number = page.locator("table.sheet thead th").all_text_contents().index(head.text_content())
    cells = page.locator(f"table.sheet tbody tr td:nth-child({number + 1})")
    values = [cell.get_attribute("data-value") for cell in cells.all()]
    known = [float(value) for value in values if value]
    assert len(known) > 5 and known == sorted(known, reverse=True)


def test_the_keyboard_suffices(visit, path):
    page = visit(path)
    page.locator("table.sheet thead button").first.focus()
    page.keyboard.press("Enter")
    assert names(page) == sorted(names(page))
    tab = page.get_by_role("tab", selected=True).first
    tab.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Interpolations"
    assert page.get_by_role("tabpanel").count() == 1


def test_the_filter_leaves_what_matches(visit, path):
    page = visit(path)
    page.get_by_label("Filter").first.fill("IA")
    assert set(names(page)) == {"iaf", "gaussian"}
    assert page.get_by_role("status").first.text_content() == "2 of 8"
    page.get_by_label("Filter").first.fill("")
    assert len(names(page)) == 8


def test_columns_are_hidden_and_shown(visit, path):
    page = visit(path)
    shown = page.locator("table.sheet thead th:visible")
    before = shown.count()
    page.locator("details.columns summary").first.click()
    page.get_by_label("ELBO", exact=True).first.uncheck()
    assert shown.count() == before - 1
    page.keyboard.press("Escape")
    page.get_by_label("all metrics").first.check()
    assert shown.count() == page.locator("table.sheet thead th").count() > before
    page.get_by_label("all metrics").first.uncheck()
    assert shown.count() == before


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
        store.write_json(tmp_path / "cells" / f"c{number}" / "result.json", found)
    page = visit(report.write(tmp_path))
    shown = page.locator("table.sheet tbody th").all_text_contents()
    assert any("<script>alert(1)</script>" in text for text in shown)
    assert page.locator("script").count() == 1
    assert page.locator("[onmouseover], [onerror]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_sideways_and_text_is_legible(visit, path, scheme, width):
    size = {"width": width, "height": 800}
    page = visit(path, color_scheme=scheme, viewport=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
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
                    store.write_bytes(cell / f"{kind}.png", png(digits(seed)))
    path = report.write(tmp_path)
    assert path.stat().st_size < 5e6
    started = time.perf_counter()
    page = visit(path)
    page.locator("table.sheet thead button").first.click()
    wall = time.perf_counter() - started
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert ready < 1000, f"interactive after {ready:.0f} ms, clicked after {1000 * wall:.0f} ms"


def test_a_comparison_page_works_too(visit, path):
    from vaebench.differences import compare
    from vaebench.report import versus

    found = compare(("gaussian", "iaf"), path.parent, ())
    page = visit(
        versus.page(found, path.with_name("versus.html")), viewport={"width": 360, "height": 700}
    )
    assert page.locator("tbody tr").count() > 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
