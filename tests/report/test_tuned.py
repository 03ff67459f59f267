"""A run that was tuned: one table, a column that says so, and what tuning was worth."""

import re
import shutil

import pandas as pd
import pytest

from tests.report.make_run import HOSTILE, cell_name, result, write_cell
from tests.report.written import read, render, sheets_of, terminal, write_tables
from tests.runs.test_tuning import found, trial
from vaebench.report.comparison.differences import compare
from vaebench.report.comparison.tuned import tuned
from vaebench.runs import files, trials

SEEDS = (0, 1, 2)
#: By variant the settings that were chosen, what cells of it are called, and what they gain.
CHOSEN = {"gaussian": (0.004, "gaussian", 4.0), "iwae": (0.008, "iwae[samples=8]", -0.3)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make(tmp_path_factory.mktemp("tuned"))


def make(run, **more):
    """Two variants, tuned, and one that was not: cells with default and with chosen settings."""
    files.write_text(run / "config.yaml", "dataset: digits\n")
    cells = {}
    for seed in SEEDS:
        for name in (*CHOSEN, "autoencoder"):
            folder = write_cell(run, result(name, seed))
            cells[folder.name] = {"variant": name, "settings": "default"}
        for name, (lr, plugin, gain) in CHOSEN.items():
            changed = result(name, seed, lr=lr)
            for column in ("elbo", "log_likelihood_ais"):
                changed["metrics"][column]["value"] += gain + 0.1 * (seed - 1)
            source = cell_name(changed)
            changed["config"]["plugin"] = plugin
            files.write_json(run / "cells" / source / "result.json", changed | {"cell": source})
            cells[source] = {"variant": name, "settings": "tuned"}
    searches = {
        name: {
            "cell": name,
            "space": {"lr": "0.0003..0.01 (log)"},
            "trials": [
                trial(-24.0, settings={"lr": 0.002}),
                trial(-23.0, settings={"lr": lr}),
                trial(None, "pruned", settings={"lr": 0.0003}),
            ],
        }
        for name, (lr, *_) in CHOSEN.items()
    }
    state = found(
        cells=cells, variants=searches, left_out={"autoencoder": "it has no likelihood"}, trials=3
    )
    trials.write(run, state | more)
    return run


def test_default_and_tuned_rows_stand_in_one_table(run):
    (sheet,) = sheets_of(run)
    (block,) = sheet.blocks
    assert sheet.varying == [] and "lr" not in block.settings
    kinds = {row.label: (row.tuning, row.seeds) for row in block.rows}
    assert kinds == {
        "gaussian (tuned)": ("tuned", 3),
        "gaussian": ("default", 3),
        "iwae (tuned)": ("tuned", 3),
        "iwae": ("default", 3),
        "autoencoder": ("default", 3),
    }
    assert {"gaussian (tuned)", "iwae"} <= block.verdicts["elbo"].differences.keys() | {
        block.verdicts["elbo"].best
    }


def test_every_table_says_which(run):
    write_tables(run)
    text = (run / "table.md").read_text()
    assert "| variant | settings |" in text and re.search(
        r"gaussian \(tuned\)[^|]*\| tuned \|", text
    )
    assert re.search(r"\| iwae [^|]*\| default \|", text)
    assert " & settings & " in (run / "table.tex").read_text()
    for name in ("results.csv", "table.csv"):
        table = pd.read_csv(run / name)
        assert set(table["tuning"]) == {"default", "tuned"} and "lr" in table
    widths = {line.count("|") for line in text.split("##")[1].split("\n") if line[:1] == "|"}
    assert len(widths) == 1


def test_what_tuning_was_worth_is_paired_over_seeds(run):
    known = tuned(read(run), sheets_of(run))
    lines = {line.variant: line for line in known.lines}
    gap = lines["gaussian"].gaps["log_likelihood_ais"]
    assert gap.mean == pytest.approx(4.0) and gap.significant
    assert lines["gaussian"].worth["log_likelihood_ais"][1] == "better"
    assert lines["iwae"].gaps["log_likelihood_ais"].mean == pytest.approx(-0.3)
    assert lines["gaussian"].chosen == "lr 0.004" and "1 stopped early" in lines["iwae"].trials
    assert lines["gaussian"].criterion == ("\u221224.00 ± 0.20", "\u221223.00 ± 0.20")
    assert "iwae, gaussian with default settings and gaussian, iwae" in known.orders[0]
    assert "seed 1000" in known.about and "200 validation items" in known.about


def test_page_and_terminal_show_it(run, capsys):
    html = render(run, drawn=False)
    assert "What tuning was worth" in html and html.count(">tuned</td>") == 2
    assert "autoencoder was not tuned: it has no likelihood." in html
    assert "vaebench tune --trials 3 --criterion iwae --config" in html
    assert "3 variants" in html and "<dd>lr 0.0003..0.01 (log)</dd>" in html
    from rich.console import Console

    Console(width=200).print(terminal(run))
    assert "gaussian (tuned)" in capsys.readouterr().out


def test_default_and_tuned_are_compared_by_name(run):
    (found_,) = compare(("gaussian", "gaussian (tuned)"), run, ("ais",))
    assert found_.apart == {"lr": (0.002, 0.004)}
    assert found_.lines[0].difference.mean == pytest.approx(4.0)


def test_settings_that_stayed_the_defaults_gain_nothing(tmp_path):
    run = make(tmp_path)
    state = found(trial(-24.0), trial(None, "failed"))
    for folder in (run / "cells").iterdir():
        if not folder.name.startswith("gaussian") or '"lr": 0.004' in text_of(folder):
            shutil.rmtree(folder)
    both = {"variant": "gaussian", "settings": "default and tuned"}
    cells = {folder.name: both for folder in (run / "cells").iterdir()}
    trials.write(run, state | {"variants": {"gaussian": state["variants"]["a"]}, "cells": cells})
    (line,) = tuned(read(run), sheets_of(run)).lines
    assert line.worth["log_likelihood_ais"] == ("0, the same settings", "")
    assert line.chosen.startswith("the defaults")


def text_of(folder):
    return (folder / "result.json").read_text()


def test_what_a_stranger_wrote_is_shown_as_text(tmp_path):
    text = HOSTILE[0]
    searches = {
        "gaussian": {
            "cell": text,
            "space": {text: text},
            "trials": [trial(-24.0, settings={"lr": text}, reason=text)],
        }
    }
    run = make(tmp_path, variants=searches, left_out={text: text}, asked=[text])
    assert text not in render(run, drawn=False)
    write_tables(run)
    assert "<script>" not in (run / "table.md").read_text().replace("\\<script\\>", "")


def test_a_tuning_that_does_not_know_every_cell_leaves_the_tables_as_they_are(tmp_path):
    run = make(tmp_path)
    path = run / "tuning.json"
    state = files.read_json(path)
    state["cells"].popitem()
    files.write_json(path, state)
    assert "tuning" not in read(run).cells and len(sheets_of(run)[0].blocks) == 3
    assert tuned(read(run), sheets_of(run)) is None
    assert "What tuning was worth" not in render(run, drawn=False)
