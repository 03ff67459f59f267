"""Trained cells are measured again without training, and nothing that was found is lost."""

from pathlib import Path

import pytest

from tests.cells import task
from vaebench.config.resources import Place
from vaebench.evaluation.metrics import evaluate, select
from vaebench.execution import run_cell
from vaebench.models.metric import Metric
from vaebench.runs import files, records
from vaebench.runs.records import identity

PLACE = Place(root=Path("nowhere"), device="cpu")
SMALL = {"ais_images": 3, "ais_budget": 400, "iw_images": 20}


def run(folder, **changes):
    """Run a task into a run's folder; the record as it is read and the cell's folder."""
    asked = task(**SMALL | changes)
    cell = folder / "cells" / asked.cell.id
    run_cell.run(asked, PLACE, cell, lambda progress: None)
    return records.one(folder, cell.name), cell


def again(cell, place=PLACE, replace=False, **changes):
    asked = task(**SMALL | changes)._replace(again=replace)
    run_cell.run(asked, place, cell, lambda progress: None)
    return records.one(cell.parents[1], cell.name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one cell of which two numbers have been measured."""
    return run(tmp_path_factory.mktemp("run"), metrics=("elbo", "mse"))


@pytest.fixture
def cell(trained, tmp_path):
    """The folder of a copy of that cell."""
    folder = tmp_path / "cells" / trained[1].name
    for path in trained[1].iterdir():
        files.write_bytes(folder / path.name, path.read_bytes())
    return folder


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(run_cell, "fit", refuse)


def test_what_is_measured_later_is_to_the_bit_what_is_measured_at_once(
    cell, tmp_path, no_training, monkeypatch
):
    later = ("kl", "iwae", "ais", "fid", "copies_{extractor}")
    again(cell, metrics=later[:2])
    again(cell, metrics=later[2:])
    found = again(cell, metrics=("gaps", "probe_knn_100"))
    monkeypatch.undo()
    names = ("elbo", "mse", *later, "gaps", "probe_knn_100")
    whole, other = run(tmp_path / "at-once", metrics=names)
    assert files.flaw(cell) is None
    assert list(found["metrics"]) == list(whole["metrics"])
    for name, metric in whole["metrics"].items():
        assert found["metrics"][name] == metric, name
    assert (cell / "per_image.csv").read_bytes() == (other / "per_image.csv").read_bytes()
    pictures = {path.name: path.read_bytes() for path in other.glob("*.png")}
    assert "nearest.png" in pictures
    assert {path.name: path.read_bytes() for path in cell.glob("*.png")} == pictures
    assert set(found["evaluation"]["metrics"]) == set(names) and not found["missing"]


def test_a_number_is_replaced_by_one_of_more_effort_or_on_request(cell, no_training):
    first = again(cell, metrics=("iwae",))["metrics"]["iwae_8"]
    assert first["depends"]["iw_images"] == 20 and first["n"] == 20
    fewer = again(cell, metrics=("iwae",), iw_images=10)
    assert fewer["metrics"]["iwae_8"] == first
    assert fewer["evaluation"]["iw_images"] == 20
    more = again(cell, metrics=("iwae",), iw_images=30)["metrics"]["iwae_8"]
    assert more["n"] == 30
    forced = again(cell, replace=True, metrics=("iwae",), iw_images=20)
    assert forced["metrics"]["iwae_8"] == first
    other = again(cell, metrics=("iwae",), iw_samples=4)["metrics"]
    assert other["iwae_8"] == first and other["iwae_4"]["value"] < first["value"]


def test_a_metric_that_fails_costs_itself_alone(cell, no_training, monkeypatch):
    def ends(subject):
        raise SystemExit(3)

    broken = Metric(
        name="broken", title="B", unit="", description="None.", compute=ends, group="kl"
    )
    monkeypatch.setattr(select, "METRICS", (broken, *select.METRICS))
    before = records.one(cell.parents[1], cell.name)["metrics"]
    found = again(cell, metrics=("kl",))
    assert found["status"] == "done" and not found["halted"]
    assert found["metrics"]["kl"]["value"] is not None
    assert "SystemExit: 3" in found["metrics"]["broken"]["reason"]
    assert found["metrics"]["broken"]["failed"]
    assert {name: found["metrics"][name] for name in before} == before


def test_a_cell_that_cannot_be_measured_keeps_its_numbers(cell, no_training, monkeypatch):
    before = records.one(cell.parents[1], cell.name)
    found = again(cell, metrics=("kl",), dataset="mnist")
    assert "MNIST" in found["halted"]
    assert found["metrics"] == before["metrics"] and found["missing"] == ["kl"]
    assert files.flaw(cell) is None
    healed = again(cell, metrics=("kl",))
    assert healed["metrics"]["kl"]["value"] is not None
    assert not healed["halted"] and not healed["missing"]


@pytest.mark.parametrize("writes", [1, 2])
def test_a_kill_while_numbers_are_added_leaves_a_sound_cell(cell, monkeypatch, writes):
    before = records.one(cell.parents[1], cell.name)
    real, done = files.write_bytes, []

    def killed(path, content):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        real(path, content)

    monkeypatch.setattr(files, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        again(cell, metrics=("kl",))
    monkeypatch.undo()
    assert files.flaw(cell) is None
    assert records.one(cell.parents[1], cell.name)["metrics"] == before["metrics"]
    assert again(cell, metrics=("kl",))["metrics"]["kl"]["value"] is not None


def test_no_checkpoint_outlives_its_training(tmp_path, cell, no_training, monkeypatch):
    (cell / "checkpoint").write_bytes(b"left by a kill right after the training was kept")
    again(cell, metrics=("kl",))
    assert not (cell / "checkpoint").exists()
    monkeypatch.undo()
    train, seen = run_cell._train, []

    def interrupted(record, cell, place, folder, *arguments):
        files.write_bytes(folder / "checkpoint", b"")
        return train(record, cell, place, folder, *arguments)

    def killed(folder, *arguments):
        seen.append((folder / "checkpoint").exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(run_cell, "_train", interrupted)
    monkeypatch.setattr(run_cell, "complete", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "new", metrics=("kl",))
    assert seen == [False]


def test_a_process_that_ends_takes_nothing_from_a_trained_cell(cell, trained):
    one = task().cell
    record = files.broken_off(cell, one, "killed")
    assert (record["status"], record["halted"]) == ("done", "killed")
    assert files.flaw(cell) is None and record["metrics"].keys() == trained[0]["metrics"].keys()
    failed = files.broken_off(cell.with_name("new"), one, "killed")
    assert (failed["status"], failed["reason"]) == ("failed", "killed")


def test_a_contradiction_that_ais_finds_later_takes_back_what_rests_on_the_density(
    cell, no_training, monkeypatch
):
    monkeypatch.setattr(
        evaluate,
        "contradiction",
        lambda subject: subject.made(evaluate.ais_estimate) and "above log p(x)",
    )
    found = again(cell, metrics=("ais",))
    assert found["metrics"]["elbo"]["value"] is None
    assert found["metrics"]["elbo"]["reason"] == "above log p(x)"
    assert found["metrics"]["distortion"]["value"] is not None
    assert "elbo" not in (cell / "per_image.csv").read_text().splitlines()[0].split(",")


def test_a_cell_of_an_older_version_is_found_by_its_training_and_measured_on(cell, no_training):
    """Its settings name what was measured, and its folder has another name."""
    raw = files.read_json(cell / "result.json")
    before = raw.pop("evaluation")
    raw["config"] |= before
    for metric in raw["metrics"].values():
        metric["depends"] = {}
    for name in ("missing", "halted"):
        raw.pop(name)
    old = cell.rename(cell.with_name("gaussian-digits-s0-00000000"))
    files.write_result(old, raw)
    run = old.parents[1]
    record = records.one(run, old.name)
    assert record["evaluation"] == before and "metrics" not in record["config"]
    assert identity(record) == cell.name
    records.adopt(run, [task(seed=1).cell, task().cell])
    assert cell.is_dir() and not old.exists()
    found = again(cell, metrics=("elbo", "kl", "iwae"))
    assert found["metrics"]["kl"]["value"] is not None
    assert found["metrics"]["elbo"]["value"] == record["metrics"]["elbo"]["value"]
    assert found["config"] == record["config"]


def test_the_effort_of_older_records_is_that_of_their_settings(cell):
    raw = files.read_json(cell / "result.json")
    raw["config"] |= raw.pop("evaluation") | {"ais_images": 7, "ais_budget": 500}
    raw["metrics"] |= {"log_likelihood_ais": {"value": -1.0}, "inference_gap": {"value": 1.0}}
    files.write_result(cell, raw)
    found = records.one(cell.parents[1], cell.name)["metrics"]
    for name in ("log_likelihood_ais", "inference_gap"):
        assert found[name]["depends"] == {"ais_images": 7, "ais_budget": 500}
    assert found["elbo"]["depends"] == raw["metrics"]["elbo"]["depends"]


def test_an_estimate_that_is_recorded_is_not_made_again(cell, no_training, monkeypatch):
    first = again(cell, metrics=("ais",))["metrics"]["log_likelihood_ais"]

    def refuse(*arguments, **more):
        raise AssertionError("annealed again")

    monkeypatch.setattr("vaebench.evaluation.metrics.likelihood.ais", refuse)
    found = again(cell, metrics=("gaps",))["metrics"]
    gap = found["inference_gap"]
    assert gap["depends"] == first["depends"]
    assert gap["value"] is not None


def test_what_is_being_measured_is_told(cell, no_training, monkeypatch, capsys):
    clock = iter(range(10**6))
    monkeypatch.setattr(
        "vaebench.evaluation.metrics.likelihood.time.monotonic", lambda: next(clock)
    )
    told = []
    asked = task(**SMALL, metrics=("ais", "kl"))
    run_cell.run(asked, PLACE, cell, told.append)
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == [
        "starting",
        "measuring log p(x), AIS",
        "annealing",
        "measuring KL (rate)",
    ]
    spent = [done for stage, done, _ in told if stage == "annealing"]
    assert spent == sorted(spent) and 0 < spent[-1] <= 400
    assert "measuring log p(x), AIS (1 of 2)" in capsys.readouterr().out
