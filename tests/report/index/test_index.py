import json
import os
import time
from dataclasses import asdict

import pytest

from tests.report.make_run import HOSTILE, fail, result, write_cell
from vaebench.config.resources import cache_folder
from vaebench.errors import UserError
from vaebench.report.index import entry as entries
from vaebench.report.index import page
from vaebench.report.index.entry import entry
from vaebench.report.index.find import find
from vaebench.runs import files


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VAEBENCH_CACHE", str(folder))
    return folder


def run_of(folder, *names, seeds=(0,)):
    for name in names:
        for seed in seeds:
            write_cell(folder, result(name, seed))
    return folder


def read(folder):
    return page.entries(folder, lambda done, total: None)


def html(folder):
    return page.render(folder, read(folder), folder / "index.html")


def test_runs_are_found_at_any_depth_and_never_through_links(tmp_path):
    there = [tmp_path / "all" / name / "cells" for name in ("a", "deep/er/b")]
    for path in (*there, tmp_path / "outside" / "cells", there[0] / "x" / "cells"):
        path.mkdir(parents=True)
    (tmp_path / "all" / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "all" / "half").mkdir()
    (tmp_path / "all" / "half" / "cells").symlink_to(tmp_path / "outside" / "cells")
    assert find(tmp_path / "all") == [path.parent for path in there]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_runs_is_an_error(tmp_path, name):
    with pytest.raises(UserError, match="name"):
        find(tmp_path / name)


def test_an_entry_says_what_was_run_and_who_is_best(tmp_path):
    run_of(tmp_path / "one", "iaf", "gamix", "gaussian", seeds=(0, 1, 2))
    (found,) = read(tmp_path)
    assert (found.path, found.first, found.last) == ("one", "2026-01-02", "2026-01-02")
    assert found.variants == ("gamix", "gaussian", "iaf") and found.datasets == ("digits",)
    assert (found.seeds, found.cells, found.done, found.lost) == (3, 9, 9, ())
    best = found.results[0]
    assert (best.task, best.kind, best.name) == ("digits", "best", "iaf")
    assert best.value.startswith("-22.") and "±" in best.value and "nats" in best.value


def test_no_variant_is_called_best_without_a_verdict(tmp_path):
    run_of(tmp_path / "tied", "gmm", "gaussian", seeds=(0, 1))
    run_of(tmp_path / "alone", "gmm")
    tied, alone = sorted(read(tmp_path), key=lambda each: each.path, reverse=True)
    assert tied.results[0].kind == "tied" and "gaussian" in tied.results[0].name
    assert alone.results[0].kind == "only"
    assert "★" not in html(tmp_path).partition("<table")[2]


def test_without_a_likelihood_the_bound_speaks_as_on_the_page_of_the_run(tmp_path):
    for name in ("iaf", "gamix"):
        for seed in (0, 1, 2):
            found = result(name, seed)
            found["metrics"]["log_likelihood_ais"] |= {"value": None, "se": None, "reason": "no"}
            write_cell(tmp_path / "a", found)
    assert [each.metric for each in read(tmp_path)[0].results] == ["ELBO ↑", "FID (digits) ↓"]


def test_what_is_unfinished_or_damaged_is_named(tmp_path):
    run_of(tmp_path / "a", "gaussian")
    fail(tmp_path / "d", "vmf", 0, "the training loss is NaN")
    damaged = write_cell(tmp_path / "b", result("iwae", 0))
    (damaged / "result.json").write_text("{")
    begun = next((tmp_path / "a" / "cells").glob("gaussian*")).name
    planned = {name: {"plugin": "gmm", "dataset": "digits"} for name in ("later", begun)}
    files.write_json(tmp_path / "a" / "plan.json", {"cells": planned})
    (tmp_path / "c" / "cells").mkdir(parents=True)
    found = {each.path: each for each in read(tmp_path)}
    assert found["a"].lost == ("later not finished",) and found["a"].cells == 2
    assert "damaged" in found["b"].lost[0] and found["c"].lost == ("no cells",)
    assert "vmf" in found["d"].lost[0] and found["d"].lost[0].endswith("the training loss is NaN")
    assert "damaged" in html(tmp_path)


def test_a_run_that_breaks_the_reader_costs_itself(tmp_path, monkeypatch):
    run_of(tmp_path / "a", "gaussian")

    def broken(run):
        raise RuntimeError("boom")

    monkeypatch.setattr(entries, "sheets", broken)
    (found,) = read(tmp_path)
    assert found.lost == ("RuntimeError: boom",)


def test_strangers_names_stay_text(tmp_path):
    for number, name in enumerate(HOSTILE):
        found = result("gaussian", 0)
        found["config"] |= {"plugin": name, "dataset": name}
        files.write_json(tmp_path / f"r{number}" / "cells" / "c" / "result.json", found)
    run_of(tmp_path / "<img src=x onerror=alert(1)>", "gaussian")
    text = html(tmp_path)
    assert text.count("<script") == 1 and "<img" not in text and "\x1b" not in text
    assert len(text) < 100_000


def test_links_lead_to_pages_that_are_there(tmp_path):
    for name in ("a b", "c", "d"):
        run_of(tmp_path / "in" / name, "gaussian")
    files.write_text(tmp_path / "in" / "a b" / "report.html", "")
    files.write_text(tmp_path / "secret.html", "")
    (tmp_path / "in" / "d" / "report.html").symlink_to(tmp_path / "secret.html")
    assert html(tmp_path / "in").count("<a ") == 1
    assert 'href="a%20b/report.html"' in html(tmp_path / "in")
    away = page.render(tmp_path / "in", read(tmp_path / "in"), tmp_path / "index.html")
    assert f'href="{(tmp_path / "in").as_uri()}/a%20b/report.html"' in away


def test_an_entry_is_made_once_until_the_run_changes(tmp_path, cache, monkeypatch):
    run = run_of(tmp_path / "a", "gaussian")
    made = []
    monkeypatch.setattr(
        entries, "_made", lambda run, make=entries._made: made.append(1) or make(run)
    )
    first = entry(tmp_path, run)
    assert entry(tmp_path, run) == first and len(made) == 1
    write_cell(run, result("iwae", 0))
    assert entry(tmp_path, run).variants == ("gaussian", "iwae") and len(made) == 2
    # Verdicts are paired by image where they can be.
    (cell, *_) = sorted((run / "cells").iterdir())
    (cell / "per_image.csv").write_text("index,elbo\n0,-20\n")
    assert entry(tmp_path, run).done == 2 and len(made) == 3
    made.pop()
    for path in (cache / "index").iterdir():
        path.write_text(json.dumps({"path": 3, "variants": "x"}))
    assert entry(tmp_path, run).variants == ("gaussian", "iwae") and len(made) == 3


def test_runs_that_have_been_read_take_milliseconds(tmp_path):
    run, count = run_of(tmp_path / "run0", "gaussian"), 200
    one = json.dumps(asdict(entry(tmp_path, run)))
    for number in range(1, count):
        other = tmp_path / f"run{number}"
        (other / "cells" / "c").mkdir(parents=True)
        os.link(next(run.glob("cells/*/result.json")), other / "cells" / "c" / "result.json")
        (cache_folder() / "index" / f"{entries._state(other)}.json").write_text(one)
    started = time.process_time()
    assert len(read(tmp_path)) == count
    assert time.process_time() - started < 0.01 * count
