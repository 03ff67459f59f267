import errno
import json
import os
import shlex

import pytest

from tests.finished import train
from tests.report.make_run import HOSTILE, make_run, result
from vaebench.cli.app import main
from vaebench.config.command import command
from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.report.comparison import differences
from vaebench.runs import files


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("commands") / "run", (0, 1, 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands") / "trained"
    return folder / "cells" / train(folder)


def test_a_report_elsewhere_leaves_the_run_alone(vaebench, tmp_path):
    run = make_run(tmp_path / "run", (0, 1))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = vaebench("report", run, "--out", tmp_path / "here" / "there")
    assert done.exit_code == 0, done.output
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    there = {path.name for path in (tmp_path / "here" / "there").iterdir()}
    assert {"report.html", "results.csv", "table.csv", "table.md", "table.tex"} <= there


def test_a_report_that_cannot_be_written_is_a_sentence(vaebench, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", (0,))
    (tmp_path / "file").write_text("")
    done = vaebench("report", run, "--out", tmp_path / "file")
    assert done.exit_code == 2 and "--out" in done.output

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_bytes", full)
    done = vaebench("report", run)
    assert done.exit_code == 2
    assert "No space left on device" in done.output and "--out" in done.output


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_help_has_an_example(vaebench, name):
    done = vaebench(name, "--help")
    assert done.exit_code == 0
    assert any(
        line.strip().startswith(f"vaebench {name} ") for line in done.output.splitlines()[2:]
    )


def test_a_mistyped_option_gets_a_suggestion(vaebench):
    done = vaebench("run", "--seed", "3")
    assert done.exit_code == 2
    assert "'--seeds'" in done.output
    assert "Did you mean 'compare'?" in vaebench("compar").output


@pytest.mark.parametrize(("typed", "meant"), [("--metrcs", "--metrics"), ("--debgu", "--debug")])
def test_only_the_closest_option_is_suggested(vaebench, typed, meant):
    done = vaebench("run", typed, "x")
    assert done.exit_code == 2
    assert f"Did you mean '{meant}'?" in done.output
    assert "Did you mean" not in vaebench("run", "--quite-another-thing").output


def test_debug_goes_after_the_command_too(vaebench):
    done = vaebench("run", "--seeds", "zero", "--debug")
    assert isinstance(done.exception, UserError)


def test_variants_are_compared_in_pairs(vaebench, run):
    done = vaebench("compare", "gaussian", "iaf", "gamix", "--run", run)
    assert done.exit_code == 0, done.output
    assert "iaf against gaussian on digits" in done.output
    assert "gamix against gaussian on digits" in done.output
    assert "better" in done.output and "worse" in done.output and "paired" in done.output


def test_the_comparison_is_data_too(vaebench, run):
    arguments = ("compare", "gaussian", "iaf", "--run", run, "--metric", "elbo", "--json")
    (found,) = json.loads(vaebench(*arguments).stdout)
    elbo = found["metrics"]["elbo"]
    assert list(found["metrics"]) == ["elbo"]
    assert elbo["difference"] == pytest.approx(elbo["second"] - elbo["first"])
    assert elbo["difference"] == pytest.approx(1.0, abs=0.3)
    assert elbo["significant"] and elbo["outcome"] == "better"
    assert elbo["method"] == "3 seeds and 400 images, paired"


def test_runs_are_compared_variant_by_variant(vaebench, run, tmp_path):
    other = make_run(tmp_path / "later", (0, 1, 2), critic="none")
    done = vaebench("compare", run, other, "--json")
    found = json.loads(done.stdout)
    assert {one["second"] for one in found} >= {"gaussian (later)", "iaf (later)"}
    assert all(one["settings"] == {"critic": ["patchgan", "none"]} for one in found)
    gaps = [one["metrics"]["mse"]["difference"] for one in found]
    assert gaps == [0] * len(gaps)


def test_a_comparison_is_a_page_with_hostile_names_as_text(vaebench, tmp_path):
    for number, name in enumerate(HOSTILE[:2]):
        found = result("gaussian", number)
        found["config"]["plugin"] = name
        files.write_json(tmp_path / "hostile" / "cells" / f"c{number}" / "result.json", found)
    done = vaebench("compare", *HOSTILE[:2], "--run", "hostile", "--out", "page.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gaussian",), "two or more"),
        (("gausian", "iaf"), "Did you mean 'gaussian'?"),
        (("gaussian", "iaf", "--metric", "elb"), "Did you mean 'elbo'?"),
        (("gaussian", "iaf", "--metric", "nonsense"), "Leave out --metric"),
        (("gaussian", "no/where"), "'no/where' is neither the folder of a run nor a variant"),
        (("gaussian", "nowhere"), "No folder of a run, nor a finished variant"),
    ],
)
def test_what_cannot_be_compared_is_refused(vaebench, run, arguments, words):
    done = vaebench("compare", *arguments, "--run", run)
    assert done.exit_code == 2
    assert words in done.output


def test_a_run_is_not_compared_with_what_is_none(vaebench, run):
    done = vaebench("compare", run, "nodir")
    assert done.exit_code == 2
    assert f"'nodir' is neither the folder of a run, as {run} is" in done.output


def test_a_word_that_one_column_has_names_it(vaebench, run):
    arguments = ("compare", "gaussian", "iaf", "--run", run, "--metric", "ais", "--json")
    (found,) = json.loads(vaebench(*arguments).stdout)
    assert list(found["metrics"]) == ["log_likelihood_ais"]


@pytest.mark.parametrize(
    ("command", "out", "words"),
    [
        (("compare", "a", "b"), ".", "is a folder"),
        (("compare", "a", "b"), "/proc/x/page.html", "cannot be written"),
        (("sample", "c"), "/proc/x.png", "cannot be written"),
        (("sample", "c"), "folder.png", "is a folder"),
        (("encode", "c", "here.csv"), "file/codes.csv", "cannot be written"),
        (("encode", "c", "missing.png"), "codes.csv", "no file missing.png"),
        (("encode", "c", "."), "codes.csv", "is a folder"),
        (("decode", "c", "here.csv"), "folder.png", "is a folder"),
        (("decode", "c", "missing.csv"), "a.png", "no file missing.csv"),
        (("decode", "c", "here.csv"), "a.png", "cannot be read as a CSV"),
    ],
)
def test_files_are_looked_at_before_any_work(vaebench, tmp_path, monkeypatch, command, out, words):
    monkeypatch.setattr(differences, "compare", None)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "here.csv").write_text("")
    done = vaebench(*command, "--out", out)
    assert done.exit_code == 2 and words in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png", "here.csv"]


def test_without_a_run_the_newest_is_taken(vaebench, tmp_path):
    assert "No run in the folder results" in vaebench("compare", "a", "b").output
    make_run(tmp_path / "results" / "mine")
    assert "iaf against gaussian" in vaebench("compare", "gaussian", "iaf").output


def test_a_cell_is_shown_with_its_command(vaebench, run):
    name = next(path.name for path in (run / "cells").glob("gamix*s0*"))
    for given in ((name, "--run", run), (run / "cells" / name,)):
        done = vaebench("show", *given)
        assert done.exit_code == 0, done.output
        assert "Breaks the law “bound”" in done.output
        assert "log p(x) by AIS" in done.output
        assert "vaebench run --plugins gamix" in done.output
    assert json.loads(vaebench("show", name, "--run", run, "--json").stdout)["cell"] == name


def test_a_failed_cell_shows_its_log(vaebench, run):
    (folder,) = (path for path in (run / "cells").glob("vmf*-s2-*"))
    (folder / "error.txt").write_text("Traceback: the \x1b[31mroot of it\n")
    done = vaebench("show", folder)
    assert "failed the training loss is NaN" in done.output
    assert "root of it" in done.output and "\x1b" not in done.output


def test_a_long_reason_is_cut(vaebench, tmp_path):
    folder = make_run(tmp_path / "long", (0,))
    (path,) = folder.glob("cells/vmf*/result.json")
    long = "ValueError: found invalid values " + 300 * "x" + "\ntensor([[nan, nan]])"
    record = files.read_json(path) | {"status": "failed", "reason": long}
    files.write_result(path.parent, record)
    (tmp_path / "codes.csv").write_text("z0\n1\n")
    for name, *more in (("evaluate",), ("decode", "codes.csv", "--out", "a.png")):
        done = vaebench(name, path.parent, *more)
        assert done.exit_code == 2
        assert "has no trained model: ValueError: found" in done.output
        assert "tensor" not in done.output and len(done.output) < 350
    files.write_result(path.parent, record | {"reason": "no data."})
    assert vaebench("evaluate", path.parent).output.endswith("has no trained model: no data.\n")


def test_a_cell_that_is_none_is_told_from_a_run(vaebench, run):
    done = vaebench("show", run)
    assert done.exit_code == 2
    assert f"{run} is a run; name one of its cells, such as {run}/cells/" in done.output
    done = vaebench("show", "gausian", "--run", run)
    assert f"No cell 'gausian' in the run {run}. Did you mean 'gaussian-digits-s0" in done.output
    done = vaebench("show", run / "cells" / "iav-digits")
    assert f"in the run {run}. Did you mean 'iaf-digits" in done.output
    assert "Its first cells are autoencoder" in vaebench("show", "qqqq", "--run", run).output
    name = next((run / "cells").glob("gamix*s0*"))
    assert vaebench("show", name).output.startswith(f"Run {run}\n")


def test_the_command_of_a_cell_gives_its_settings_back(vaebench, monkeypatch):
    from vaebench.execution import driver

    config = {"plugin": "gmm[components=2]", "dataset": "digits", "critic": "none", "seed": 3}
    config |= {"critic_weight": 0.0, "latent": 4, "metrics": ["elbo", "kl"], "extractor": "digits"}
    seen = []
    monkeypatch.setattr(driver, "run", lambda settings, where: seen.append(settings) or 0)
    done = vaebench(*shlex.split(command(config, {}))[1:])
    assert done.exit_code == 0, done.output
    expected = Settings(
        plugins=("gmm[components=2]",),
        seeds=(3,),
        critic=("none",),
        latent=(4,),
        metrics=("elbo", "kl"),
        extractor="digits",
    )
    assert seen == [expected]
    assert "weight-decay" not in command(config, {})
    assert "--optimiser adamw --weight-decay 0" in command(config | {"optimiser": "adamw"}, {})
    assert "--weight-decay 0.01" in command(config | {"weight_decay": 0.01}, {})


def test_a_cell_is_measured_again_with_more_effort(vaebench, trained):
    before = (trained / "result.json").read_bytes()
    asked = ("evaluate", trained, "--metrics", "ais,bdmc,elbo", "--ais-images", "3", "--steps", "7")
    looked = vaebench(*asked, "--json", "--no-write")
    assert looked.exit_code == 0, looked.output
    assert (trained / "result.json").read_bytes() == before
    done = vaebench(*asked, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    values = {name: one["value"] for name, one in json.loads(looked.stdout).items()}
    assert {name: one["value"] for name, one in found.items()} == values
    ais = found["log_likelihood_ais"]
    assert ais["n"] == 3 and ais["depends"]["steps"] == 7
    assert abs(found["bdmc_gap"]["value"]) < 1
    assert found["elbo"]["value"] == pytest.approx(
        json.loads(before)["metrics"]["elbo"]["value"], rel=1e-6
    )
    written = json.loads((trained / "result.json").read_text())["metrics"]
    assert {name: written[name]["value"] for name in found} == values
    assert json.loads(before)["metrics"].items() <= written.items()
    run = trained.parents[1]
    assert "log p(x), AIS" in (run / "table.md").read_text()
    assert "bdmc_gap" in (run / "results.csv").read_text()
    whole = vaebench("evaluate", run, trained.name[:12], "--metrics", "bdmc", "--ais-images", "2")
    assert whole.exit_code == 0 and f"Report: {run}/report.html" in whole.stdout
    assert "bdmc_gap; --again replaces it" in whole.stderr
    assert vaebench("evaluate", run, "nobody").exit_code == 2


def test_a_target_brackets_the_sampler_first(vaebench, trained):
    done = vaebench(
        *("evaluate", trained, "--metrics", "ais", "--ais-images", "3", "--json"),
        *("--ais-target", "0.2", "--again"),
    )
    depends = json.loads(done.stdout)["log_likelihood_ais"]["depends"]
    assert depends["bdmc_gap"] < 0.2


def test_an_effort_that_cannot_be_made_is_refused(vaebench, trained):
    done = vaebench("evaluate", trained, "--ais-target", "-1")
    assert done.exit_code == 2 and "--ais-target" in done.output
    done = vaebench("evaluate", trained, "--metrics", "elob")
    assert done.exit_code == 2 and "Did you mean 'elbo'" in done.output
    done = vaebench("evaluate", trained, "--metrics", "elbo,regret")
    assert done.exit_code == 2 and "--metrics regret is of modalities, sets, tokens" in done.output
    done = vaebench("evaluate", trained, "--metrics", "")
    assert done.exit_code == 2 and "--metrics cannot be empty" in done.output
