"""The commands as a user runs them, in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from tests.registry.test_catalogue import package
from vaebench.cli.app import main
from vaebench.registry.catalogue import catalogue

SMALL = [
    *("--epochs", "2", "--backbone", "mlp", "--width", "16", "--latent", "3"),
    *("--ais-images", "4", "--iw-samples", "8"),
]
STRANGERS = """
import math, os, sys
import torch
from vaebench import Gaussian, Variant, elbo, hookimpl

class Raises(Gaussian):
    def forward(self, h):
        raise RuntimeError("no <b>posterior</b> today")

class Exits(Gaussian):
    def forward(self, h):
        os._exit(7)

class Quits(Gaussian):
    def forward(self, h):
        sys.exit("gone")

@hookimpl
def vaebench_variants():
    return [
        Variant("mine", Gaussian),
        Variant("raises", Raises),
        Variant("exits", Exits),
        Variant("quits", Quits),
        Variant("diverges", Gaussian, lambda draw: elbo(draw) * math.nan),
    ]
"""


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Home:
    """An empty folder to run commands in, with strangers' plugins installed."""

    def __init__(self, home, site):
        self.home, self.site = home, site

    def alone(self, *arguments):
        """Run a command in a process of its own, as a user does."""
        path = os.pathsep.join(filter(None, [str(self.site), os.environ.get("PYTHONPATH")]))
        return subprocess.run(
            [sys.executable, "-m", "vaebench", *arguments],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *arguments):
        """Run a command in this process, which has the heavy imports loaded."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.home)
            patch.setenv("COLUMNS", "200")
            patch.syspath_prepend(self.site)
            catalogue.cache_clear()
            done = CliRunner().invoke(main, arguments)
            catalogue.cache_clear()
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def vaebench(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    package(site, "strangers", STRANGERS)
    package(site, "broken", "import nothing_like_this")
    return Home(tmp_path_factory.mktemp("home"), site)


@pytest.fixture(scope="module")
def finished(vaebench):
    done = vaebench.alone("run", "--plugins", "gaussian,gmm[components=2]", *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_leaves_what_it_promises(vaebench, finished):
    run = vaebench.home / "run"
    assert {p.name for p in run.iterdir()} >= {
        *("config.yaml", "cells", "results.csv", "table.csv", "table.md", "report.html"),
    }
    for cell in (run / "cells").iterdir():
        assert {p.name for p in cell.iterdir()} >= {
            *("result.json", "history.csv", "model.safetensors", "samples.png"),
            *("reconstructions.png", "per_image.csv"),
        }
    frame = pd.read_csv(run / "results.csv")
    assert set(frame.columns) >= {
        *("cell", "plugin", "dataset", "backbone", "critic", "latent", "seed", "status"),
        *("elbo", "elbo_se", "log_likelihood_ais", "log_likelihood_ais_se", "kl", "iwae_8"),
        *("active_units", "sharpness", "sharpness_rec", "sharpness_real", "mse"),
        *("fid_digits", "rec_fid_digits"),
    }
    assert list(frame.status) == ["done", "done"]
    assert set(frame.plugin) == {"gaussian", "gmm[components=2]"}
    assert (frame.elbo < frame.iwae_8).all()
    assert str(run / "report.html") in finished.stdout or "run/report.html" in finished.stdout


def test_each_number_says_what_it_depends_on(vaebench, finished):
    for path in (vaebench.home / "run" / "cells").glob("*/result.json"):
        record = json.loads(path.read_text())
        for name, metric in record["metrics"].items():
            assert metric["value"] is not None or metric["reason"], name
            assert metric["unit"] and metric["description"]
        ais = record["metrics"]["log_likelihood_ais"]
        assert {"observation", "chains", "steps", "sampler_se"} <= ais["depends"].keys()
        assert ais["n"] == 4
        assert "@" in record["metrics"]["fid_digits"]["depends"]["features"]
        assert record["versions"]["torch"]
        assert record["data"]["hash"]


def test_the_same_command_finds_its_own_run(vaebench, finished):
    run = vaebench.home / "run" / "cells"
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    done = vaebench("run", "--plugins", "gaussian,gmm[components=2]", *SMALL, "--out", "run")
    assert done.returncode == 0
    assert "All 2 cells are finished" in done.stderr
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}


def test_a_lost_cell_is_computed_again_with_the_same_numbers(vaebench, finished):
    run = vaebench.home / "run"
    before = pd.read_csv(run / "results.csv")
    lost = next((run / "cells").glob("gaussian-*"))
    (lost / "result.json").write_text('{"status": "do')
    done = vaebench("run", "--config", "run/config.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr
    after = pd.read_csv(run / "results.csv")
    spent = ("seconds", "seconds_per_epoch", "seconds_to_elbo", "peak_memory")
    numbers = [c for c in before if c not in spent]
    pd.testing.assert_frame_equal(before[numbers], after[numbers])


def test_another_experiment_is_kept_out_of_the_folder(vaebench, finished):
    done = vaebench("run", "--plugins", "gaussian", "--epochs", "3", "--out", "run")
    assert done.returncode == 2
    assert "holds another experiment" in done.stderr
    assert "epochs" in done.stderr and "vaebench merge" in done.stderr
    again = vaebench("run", "--plugins", "gaussian", "--epochs", "3", "--out", "run", "--dry-run")
    assert again.returncode == 2 and again.stderr == done.stderr


def test_a_run_grows_by_variants_and_keeps_what_it_has(vaebench, finished):
    grown = vaebench.home / "grown"
    shutil.copytree(vaebench.home / "run", grown)
    before = {path.parent.name: path.read_bytes() for path in grown.glob("cells/*/result.json")}
    variants = "gaussian,gmm[components=2],mine"
    done = vaebench.alone("run", "--plugins", variants, *SMALL, "--out", "grown")
    assert done.returncode == 0, done.stderr
    after = {path.parent.name: path.read_bytes() for path in grown.glob("cells/*/result.json")}
    assert len(after) == len(before) + 1 and before.items() <= after.items()
    names = list(pd.read_csv(grown / "results.csv")["plugin"])
    assert len(names) == len(after) and "mine" in names


def test_a_folder_of_other_things_is_left_alone(vaebench):
    (vaebench.home / "things").mkdir()
    (vaebench.home / "things" / "thesis.tex").write_text("x")
    done = vaebench("run", "--out", "things")
    assert done.returncode == 2
    assert "not empty" in done.stderr


def test_the_report_is_rebuilt_from_the_cells(vaebench, finished):
    run = vaebench.home / "run"
    for name in ("results.csv", "table.csv", "table.md", "report.html"):
        (run / name).unlink()
    done = vaebench("report", "run")
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").stat().st_size > 10_000
    assert (run / "table.md").exists()


def test_broken_variants_cost_their_own_cells_alone(vaebench):
    done = vaebench.alone(
        *("run", "--plugins", "mine,raises,exits,quits,diverges,broken", *SMALL),
        *("--out", "strange", "--metrics", "elbo,mse"),
    )
    assert done.returncode == 1, done.stderr
    said = "broken cannot be loaded: ModuleNotFoundError: No module named 'nothing_like_this'"
    assert f"{said} (broken_module.py, line 1); its cells will fail." in done.stderr
    frame = pd.read_csv(vaebench.home / "strange" / "results.csv").set_index("plugin")
    assert frame.status.to_dict() == {
        "mine": "done",
        **dict.fromkeys(("raises", "exits", "quits", "diverges", "broken"), "failed"),
    }
    assert "no <b>posterior</b> today" in frame.reason["raises"]
    assert "exit code 7" in frame.reason["exits"]
    assert "gone" in frame.reason["quits"]
    assert "nan at step 1" in frame.reason["diverges"]
    assert "nothing_like_this" in frame.reason["broken"]
    assert frame.elbo["mine"] < 0
    page = (vaebench.home / "strange" / "report.html").read_text()
    assert "<b>posterior</b>" not in page
    assert "today" in page


def test_a_dry_run_says_what_must_fail(vaebench):
    plugins = "mine,broken,quits,gmm[components=-3]"
    done = vaebench("run", "--plugins", plugins, *SMALL, "--dry-run", "--out", "dry")
    assert done.returncode == 1, done.stderr
    assert "broken cannot be loaded: ModuleNotFoundError" in done.stdout
    assert "quits on digits fails in its first steps: SystemExit: gone." in done.stdout
    assert "gmm[components=-3] on digits fails in its first steps: ValueError" in done.stdout
    assert "a few steps and images of 1 of 3 kinds" in done.stdout
    assert not (vaebench.home / "dry").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--plugins", "gausian"), "Did you mean 'gaussian'"),
        (("run", "--dataset", "mnist"), "with --data-dir or $VAEBENCH_DATA, or fetch it with"),
        (("run", "--dataset", "mnits"), "Did you mean 'mnist'"),
        (("run", "--seeds", "zero"), "0..4"),
        (("run", "--latent", "two"), "it takes whole numbers: 0,1,2 or 0..4"),
        (("run", "--config", "missing.yaml"), "cannot be read"),
        (("run", "--device", "cuda:99"), "--device cuda:99"),
        (("run", "--fid-weights", "missing.pth"), "is not a file"),
        (("run", "--device", "gpu"), "No device 'gpu'; take auto"),
        (("run", "--image-size", "32"), "leave out --image-size"),
        (("run", "--lr", "nan"), "--lr cannot be nan; it takes finite numbers"),
        (("run", "--jobs", "0"), "--jobs"),
        (("run", "--dataset", "folder:nowhere", "--image-size", "16"), "is not a folder"),
        (("report", "nowhere"), "No run"),
        (("rum",), "Did you mean 'run'"),
    ],
)
def test_bad_requests_get_one_sentence_and_exit_code_two(vaebench, arguments, message):
    done = vaebench(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (vaebench.home / "results").exists()


def test_a_bad_request_is_one_sentence_in_a_process_of_its_own(vaebench):
    done = vaebench.alone("run", "--dataset", "mnits")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "Did you mean 'mnist'" in done.stderr


def test_debug_shows_the_traceback(vaebench):
    done = vaebench.alone("--debug", "run", "--seeds", "zero")
    assert "Traceback" in done.stderr


def test_the_list_shows_strangers_and_broken_plugins(vaebench):
    done = vaebench("list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    by_name = {plugin["name"]: plugin for plugin in found["plugins"]}
    assert by_name["strangers"]["package"] == "strangers 1.0"
    assert by_name["gaussian"]["package"].startswith("vaebench ")
    assert found["broken"][0]["name"] == "broken"
    assert {"digits", "mnist", "folder"} <= {one["name"] for one in found["datasets"]}
    assert {"elbo", "log_likelihood_ais"} <= {one["name"] for one in found["metrics"]}
    text = vaebench("list").stdout
    assert "strangers 1.0" in text and "broken: broken" in text


def test_the_configuration_is_resolved(vaebench, finished):
    config = yaml.safe_load((vaebench.home / "run" / "config.yaml").read_text())
    assert config["plugins"] == ["gaussian", "gmm[components=2]"]
    assert config["epochs"] == 2
