import base64
import hashlib
import io
import json
import re
import struct
import zlib
from collections import Counter
from email.message import Message
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.report.make_run import HOSTILE, TRUTH, cell_name, fail, make_run, result, write_cell
from tests.report.written import render
from vaebench import report
from vaebench.report.page.embed import picture
from vaebench.runs import files, numbers
from vaebench.runs.run import Run


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.html, self.elements, self.text, self.open = html, [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("report") / "my run", (0, 1, 2))


PAPERS = ("https://arxiv.org/abs/", "https://doi.org/", "https://openreview.net/forum?id=")


@pytest.fixture(scope="module")
def page(run):
    return Page(report.write(run).page.read_text("utf-8"))


def test_the_page_is_written_into_the_run(run, page):
    assert (run / "report.html").exists()
    assert page.html.startswith("<!doctype html>")
    assert len(page.html.encode()) < 2e6


def test_traversals_say_which_factors_their_lines_follow(tmp_path):
    run = tmp_path / "run"
    words = ["x 84 %", HOSTILE[0], "no factor", *["x" * 500] * 100]
    for name, captions in (("gaussian", {"traversals": words, "film": 3}), ("iwae", {})):
        cell = write_cell(run, result(name, 0) | {"captions": captions})
        files.write_bytes(cell / "traversals.png", (cell / "samples.png").read_bytes())
    page = Page(render(run, drawn=False))
    notes = [text for text in page.text if text.startswith("lines follow")]
    assert len(notes) == 1 and f"x 84 %, {HOSTILE[0]}, no factor, xxx" in notes[0]
    assert len(notes[0]) < 1000


def test_nothing_is_fetched(page):
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "poster", "action", "xlink:href"):
            value = attrs.get(name) or "#"
            link = name == "href" and tag == "a" and value.startswith(PAPERS)
            assert link or value.startswith(("#", "data:")), value
    style = re.sub(r"<script.*?</script>", "", page.html, flags=re.DOTALL)
    assert not re.search(r"@import|url\((?!#)", style)
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_only_the_shipped_script_may_run(page):
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.html


def test_the_page_can_be_used_without_seeing_it(page):
    for image in page.all("img"):
        assert image["alt"]
    assert sum("aria-label" in a for a in page.all("svg")) == len(page.all("svg")) >= 10
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    outside = [i for i in ids if not re.match(r"s\d+-(x|c|f)\d*|s\d+-\w+-(?!note|table|title)", i)]
    assert len(outside) == len(set(outside))
    for _, attrs in page.elements:
        if (attrs.get("href") or "").startswith("#"):
            assert attrs["href"][1:] in ids


def test_the_reader_learns_who_wins_and_how_surely(page):
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert re.search(r"log p\(x\) by AIS iaf −22\.\d+ nats/image", text)
    assert re.search(r"In words iaf is best with −22\.\d+ nats/image, 0\.\d+ ±", text)
    assert "1 of 24 cells failed (vmf)." in text
    assert "vaebench run --config" in text and "my run/config.yaml'" in text
    for name in TRUTH:
        assert f"Originals over reconstructions by {name}" in page.html


def test_the_plots_are_sound_and_follow_the_page_colours(page):
    drawings = re.findall(r"<svg.*?</svg>", page.html, re.DOTALL)
    for drawing in drawings:
        xlink = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
        ElementTree.fromstring(drawing.replace("<svg ", f"<svg {xlink} ", 1))
        assert "currentColor" in drawing
        assert "#000000" not in drawing
    words = ("Rate and distortion", "Likelihood and samples", "Validation: ELBO", "Training: KL")
    assert all(word in page.html for word in words)


def test_hostile_text_is_shown_as_text(tmp_path):
    for number, name in enumerate(HOSTILE):
        found = result("gaussian", number)
        found["config"]["plugin"] = found["config"]["dataset"] = name
        found["config"]["optimiser"] = name
        found["variant"] = {"name": name, "deviations": {name: name}, "reference": name}
        found["metrics"]["elbo"] |= {"title": name, "unit": name, "description": name}
        found["metrics"]["elbo"]["depends"] = {name: name}
        found["versions"] = {name: name}
        found["date"] = name
        folder = tmp_path / "cells" / f"c{number}"
        files.write_json(folder / "result.json", found)
        files.write_text(folder / "history.csv", f'epoch,"train_{number}<b>$"\n0,1\n1,2\n')
        found |= {"status": "failed", "reason": name, "metrics": {}}
        files.write_json(tmp_path / "cells" / f"f{number}" / "result.json", found)
    files.write_text(tmp_path / "config.yaml", "\n".join(HOSTILE))
    page = Page(render(tmp_path))
    assert len(page.all("script")) == 1
    assert {a["src"][:10] for a in page.all("img")} <= {"data:image"}
    assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
    text = "".join(page.text)
    for name in (*HOSTILE[:9], *HOSTILE[10:12]):
        assert name in text
    assert "\x1b" not in page.html


def test_damaged_files_cost_only_themselves(tmp_path):
    run = make_run(tmp_path / "run")
    folders = sorted((run / "cells").iterdir())
    (folders[0] / "result.json").write_text('{"schema": 1')
    (folders[1] / "history.csv").write_text('epoch\n"')
    (folders[2] / "history.csv").write_text("epoch,train_kl\na,b\n1,1e400\n2,-1e308\n3,nan\n")
    (folders[3] / "samples.png").write_bytes(b"GIF89a")
    (folders[3] / "history.csv").write_bytes(b"\xff\xfe\x00")
    (folders[4] / "samples.png").unlink()
    (folders[4] / "samples.png").symlink_to("/etc/hostname")
    (folders[5] / "reconstructions.png").write_bytes(b"")
    page = Page(render(run))
    text = " ".join(page.text)
    assert "result.json is truncated or damaged" in text
    assert text.count("none to show") == 3
    assert 'aria-label="Validation: ELBO' in page.html


def test_a_run_of_failures_has_a_page(tmp_path):
    fail(tmp_path, "gaussian", 0, "no luck")
    text = " ".join(Page(render(tmp_path)).text)
    assert "failed: no luck" in text
    (tmp_path / "empty" / "cells").mkdir(parents=True)
    assert "0 cells" in " ".join(Page(render(tmp_path / "empty")).text)


def test_comparisons_stand_apart_and_are_linked(tmp_path):
    for dataset in ("digits", "mnist"):
        for critic in ("none", "patchgan"):
            for name in ("gaussian", "iaf"):
                found = result(name, 0, dataset=dataset, critic=critic)
                found["data"]["hash"] = dataset
                write_cell(tmp_path, found)
    page = Page(render(tmp_path, drawn=False))
    assert len([a for a in page.all("table") if a.get("class") == "sheet"]) == 4
    titles = [f"{d} · critic {c}" for d in ("digits", "mnist") for c in ("none", "patchgan")]
    assert all(text in page.text for text in titles)


def test_without_known_errors_nobody_wins(tmp_path):
    for name in ("gaussian", "iaf"):
        found = result(name, 0)
        for metric in found["metrics"].values():
            metric["se"] = None
        files.write_json(tmp_path / "cells" / cell_name(found) / "result.json", found)
    page = Page(render(tmp_path, drawn=False))
    assert "nothing says how sure that is" in " ".join(page.text)
    assert "undecided" in " ".join(page.text)
    assert not re.search(r'<td class="(best|tied)', page.html)


def noise(width, height):
    return Image.effect_noise((width, height), 90).convert("RGB")


def noise_png(width, height):
    file = io.BytesIO()
    noise(width, height).save(file, "PNG")
    return file.getvalue()


def put(run, image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    files.write_bytes(run / "cells" / "c" / "samples.png", file.getvalue())


def test_small_pictures_stay_exact_and_large_ones_fit_the_budget(tmp_path):
    small = noise(40, 20)
    put(tmp_path, small)
    found = picture(tmp_path, "c", "samples.png", 50_000)
    content = base64.b64decode(found.uri.removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(content)).tobytes() == small.tobytes()
    assert (found.width, found.height) == (40, 20)
    put(tmp_path, noise(600, 600))
    found = picture(tmp_path, "c", "samples.png", 50_000)
    assert found.uri.startswith("data:image/webp")
    assert len(found.uri) < 50_000 * 4 / 3 + 100


def test_the_page_says_what_was_read(tmp_path):
    for seed in (0, 1):
        found = result("gaussian", seed)
        notes = ["40 <b>pictures</b> read; 3 passed over"]
        found["data"] |= {"notes": notes if seed else "no list"}
        write_cell(tmp_path, found)
    page = Page(report.write(tmp_path).page.read_text("utf-8"))
    assert "Data: 40 <b>pictures</b> read; 3 passed over" in "".join(page.text)
    assert not page.all("b") or "pictures</b>" not in page.html


def test_pictures_are_decoded_not_passed_through(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "<script>")
    put(tmp_path, noise(8, 8), pnginfo=info)
    found = picture(tmp_path, "c", "samples.png", 50_000)
    assert b"<script>" not in base64.b64decode(found.uri.partition(",")[2])


def test_a_picture_too_large_to_decode_is_left_out(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9))
    files.write_bytes(tmp_path / "cells" / "c" / "samples.png", bomb + chunk(b"IEND", b""))
    assert picture(tmp_path, "c", "samples.png", 50_000) is None


def test_a_title_and_a_note_head_the_page_as_text(tmp_path):
    run = make_run(tmp_path / "my run")
    page = Page(
        report.write(run, title=HOSTILE[0], note=f"two\nlines {HOSTILE[1]}").page.read_text()
    )
    assert page.html.count("<script") == 1
    assert HOSTILE[0] in page.text and f"{HOSTILE[0]} · vaebench" in page.text
    assert f"two\nlines {HOSTILE[1]}" in page.text
    assert "my run" in page.text
    assert HOSTILE[0] in Page(render(run, drawn=False)).text


def test_the_foot_links_to_where_the_package_says(monkeypatch, tmp_path):
    found = Message()
    found["Project-URL"] = "Source, https://example.org/vaebench"
    for urls, link in ((found, "https://example.org/vaebench"), (Message(), None)):
        monkeypatch.setattr("vaebench.report.page.page.metadata", lambda name, urls=urls: urls)
        run = tmp_path / "run" if link is None else make_run(tmp_path / "run")
        html = render(run, drawn=False)
        foot = Page(html.partition("<footer>")[2].partition("</footer>")[0])
        assert [a["href"] for a in foot.all("a")] == ([link] if link else [])
        assert "vaebench" in "".join(foot.text)


def test_the_first_screen_is_short(run, page):
    """Words that are seen before anything is opened, tables and plots aside."""
    html = re.sub(r"<(script|style|svg|table|title)\b.*?</\1>", "", page.html, flags=re.DOTALL)
    while "<details" in html:
        html = re.sub(r"<details[^>]*>(?:(?!<details).)*?</details>", "", html, flags=re.DOTALL)
    html = re.sub(r'<div class="panel" id="s0-panel-[^1].*?</figure>\s*</div>\s*</div>', "", html)
    assert len(re.sub(r"<[^>]+>", " ", html).split()) < 300


def test_samples_under_a_sampler_stand_beside_those_of_the_prior(tmp_path):
    for name in ("gaussian", "iwae"):
        cell = write_cell(tmp_path, result(name, 0))
        files.write_bytes(cell / "samples@gmm.png", (cell / "samples.png").read_bytes())
    html = render(tmp_path, drawn=False)
    figure = html.partition('<div class="gallery">')[2].partition("</figure>")[0]
    heads = re.findall(r"<small>([^<]*)</small>", figure)
    assert heads == ["prior", "gmm", "reconstructions"] and figure.count("<img") == 3
    assert "Samples under gmm of" in figure and html.count('class="panel"') == 1


def test_words_of_items_have_their_pictures_before_them_and_stay_words(tmp_path):
    said = {
        "items": [["a <b>hook</b>", "whole item: a dome"], ["a bracket"]],
        "drawn": [["a dome"]],
    }
    for name in ("gaussian", "iwae"):
        cell = write_cell(tmp_path, result(name, 0))
        files.write_text(cell / "texts.json", json.dumps(said))
        files.write_bytes(cell / "items-items.png", noise_png(10, 3 * 8))
        files.write_bytes(cell / "items-drawn.png", noise_png(10, 7) if name == "iwae" else b"no")
    html = render(tmp_path, drawn=False)
    galleries = html.split('<div class="gallery texts">')[1:]
    drawn, items = (re.findall(r"<figure.*?</figure>", each, re.S)[:2] for each in galleries)
    assert [figure.count("<img") for figure in items] == [3, 3]
    assert [figure.count("<img") for figure in drawn if ">iwae" in figure] == [1]
    assert sum(figure.count("<img") for figure in drawn) == 1
    first = items[0].index("a &lt;b&gt;hook&lt;/b&gt;")
    assert items[0].index("<img") < first < items[0].index("whole item: a dome")
    assert items[0].count('width="10" height="8"') == 3
    assert "<h4>Drawn items</h4>" in html and "<h4>Test items</h4>" in html


def test_names_keep_their_hyphens_and_numbers_get_minus_signs(tmp_path):
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        found["config"]["plugin"] = found["variant"]["name"] = f"{name}-2[rate=1e-3]"
        files.write_json(tmp_path / "cells" / name / "result.json", found)
    text = " ".join(Page(render(tmp_path)).text)
    assert "iwae-2[rate=1e-3]" in text and "\u22122[" not in text
    assert re.search("\u22122\\d\\.\\d+", text)


def test_several_data_sets_begin_with_a_table_of_all(tmp_path):
    for name in ("gaussian", "iwae"):
        for dataset in ("digits", "mnist"):
            found = result(name, 0, dataset=dataset)
            found["data"]["hash"] = dataset
            write_cell(tmp_path, found)
    html = render(tmp_path, drawn=False)
    table = html.partition('<table class="across">')[2].partition("</table>")[0]
    assert table.index("digits") < table.index("mnist")
    assert table.count("<tr") == 3 and table.count(">\u2212") == 4
    assert html.index('class="across"') < html.index('class="sheet"')
    assert 'class="across"' not in render(make_run(tmp_path / "one", (0,)), drawn=False)


def test_a_tie_by_a_wide_interval_alone_is_called_one(tmp_path):
    values = {"gaussian": (1.0, 1.1, 0.9), "iwae": (3.0, 3.1, 2.9), "iaf": (0.0, 9.0, 6.0)}
    for name, each in values.items():
        for seed, value in enumerate(each):
            found = result(name, seed)
            found["metrics"]["fid_digits"] |= {"value": value, "se": 0.01}
            write_cell(tmp_path, found)
    text = " ".join(Page(render(tmp_path, drawn=False)).text)
    assert "iaf cannot be told from gaussian" in text
    assert "the others are significantly worse than gaussian" in text
    assert "That iaf is not ruled out is due to a wide interval." in text


def test_each_file_of_a_cell_is_parsed_once(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", (0, 1), lr=0.1)
    make_run(run, (0, 1), lr=0.2)
    opened = Counter()
    content = numbers._content
    monkeypatch.setattr(
        numbers, "_content", lambda run, name: opened.update([name]) or content(run, name)
    )
    report.write(run)
    done = [cell for cell, record in Run(run).records.items() if record["status"] == "done"]
    assert opened == {f"cells/{c}/{n}.csv": 1 for c in done for n in ("history", "per_image")}
