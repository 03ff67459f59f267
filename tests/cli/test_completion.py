"""What the shell is offered, as click asks for it."""

import json
import os

import pytest
from click.shell_completion import ShellComplete

from vaebench.cli import completion, inventory
from vaebench.cli.app import main


@pytest.fixture
def complete(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def offered(*words):
        *before, last = words
        shell = ShellComplete(main, {}, "vaebench", "_VAEBENCH_COMPLETE")
        return [item.value for item in shell.get_completions(list(before), last)]

    return offered


def test_names_are_completed(complete):
    assert complete("run", "gauss") == ["gaussian"]
    assert {"gaussian", "gmm", "iwae", "all"} <= set(complete("check", ""))
    assert complete("run", "--plugins", "gmm[components=8],iwa") == ["gmm[components=8],iwae"]
    assert complete("run", "--dataset", "digi") == ["digits"]
    assert complete("run", "--metrics", "elbo,log_likelihood_a") == ["elbo,log_likelihood_ais"]
    assert complete("run", "--lr-schedule", "co") == ["constant", "cosine"]
    assert complete("run", "--optimiser", "ada") == ["adam", "adamax", "adamw"]
    assert complete("run", "--kl-schedule", "c") == ["cyclical"]
    assert complete("run", "--plugins", "gmm[components=8,x") == []
    assert complete("compare", "gaussian", "iwa") == ["iwae"]
    assert complete("list", "da") == ["datasets"]


def test_cells_of_the_run_are_completed(complete, tmp_path):
    assert complete("show", "gau") == []
    for run, cell in (("one", "gaussian-digits-s0-aa"), ("two", "gmm-digits-s0-bb")):
        (tmp_path / "results" / run / "cells" / cell).mkdir(parents=True)
    os.utime(tmp_path / "results" / "one" / "cells", (0, 0))
    assert complete("show", "g") == ["gmm-digits-s0-bb"]
    assert complete("sample", "--run", "results/one", "g") == ["gaussian-digits-s0-aa"]
    assert complete("evaluate", "results/one", "g") == ["gaussian-digits-s0-aa"]
    assert complete("evaluate", "results/t") == ["results/two"]
    assert complete("evaluate", "") == ["results/one", "results/two", "gmm-digits-s0-bb"]
    assert complete("status", "") == complete("report", "res") == ["results/one", "results/two"]
    (tmp_path / "else" / "run" / "cells").mkdir(parents=True)
    assert complete("show", "--run", "else/") == ["else/run"]


def test_names_are_kept_until_packages_change(complete, tmp_path, monkeypatch):
    assert complete("run", "--dataset", "digi") == ["digits"]
    path = tmp_path / "cache" / "names.json"
    known = json.loads(path.read_text())
    known["names"]["dataset"] = ["digital"]
    path.write_text(json.dumps(known))
    monkeypatch.setattr(inventory, "collect", lambda: pytest.fail("looked again"))
    assert complete("run", "--dataset", "digi") == ["digital"]
    monkeypatch.undo()
    monkeypatch.setenv("VAEBENCH_CACHE", str(tmp_path / "cache"))
    path.write_text(json.dumps(known | {"installed": ["another"]}))
    assert complete("run", "--dataset", "digi") == ["digits"]
    path.write_text("damaged")
    assert complete("run", "--dataset", "digi") == ["digits"]


def test_names_that_cannot_be_kept_are_no_error(monkeypatch, complete, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert completion.kept() == {}
