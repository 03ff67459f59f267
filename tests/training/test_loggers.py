"""What trackers are given, and that nothing depends on them."""

import json
from pathlib import Path

import pytest

from tests.cells import task
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution import run_cell as cells
from vaebench.runs import files
from vaebench.training import loggers
from vaebench.training.loggers import TRACKERS, named


def run(folder, *loggers):
    one = task(metrics=("mse",))
    place = Place(Path("nowhere"), "cpu", loggers=loggers)
    folder = folder / "cells" / one.cell.id
    return folder, cells.run(one, place, folder, lambda progress: None)


def test_names_are_checked_before_anything_runs(monkeypatch):
    assert named("") == ()
    assert named("tensorboard, tensorboard") == ("tensorboard",)
    with pytest.raises(UserError, match="Did you mean 'wandb'"):
        named("wandbb")
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(UserError, match=rf"pip install 'vaebench\[{name}\]'"):
            named(name)


def test_tensorboard_has_the_history_and_the_final_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, record = run(tmp_path, "tensorboard")
    found = accumulator.EventAccumulator(str(folder / "logs"))
    found.Reload()
    history = files.read_json(folder / "result.json")
    assert history["status"] == "done"
    lines = (folder / "history.csv").read_text().splitlines()
    names = lines[0].split(",")
    for name in ("valid_elbo", "lr"):
        values = [float(line.split(",")[names.index(name)]) for line in lines[1:]]
        logged = found.Scalars(name)
        assert [event.step for event in logged] == [1, 2]
        assert [event.value for event in logged] == pytest.approx(values)
    (final,) = found.Scalars("final/mse")
    assert final.value == pytest.approx(record["metrics"]["mse"]["value"])
    assert "dataset: digits" in (folder / "logs" / "hparams.yaml").read_text()
    assert "logs" not in json.dumps(record["files"])
    plain, without = run(tmp_path / "plain")
    assert without["files"]["model.safetensors"] == record["files"]["model.safetensors"]
    assert not (plain / "logs").exists()


def test_a_tracker_that_fails_costs_its_log_alone(tmp_path, monkeypatch, capsys):
    class Failing:
        def log_hyperparams(self, config):
            assert config["plugin"] == "gaussian"

        def log_metrics(self, values, step):
            raise ConnectionError("no network")

    monkeypatch.setitem(TRACKERS, "wandb", lambda one, folder, run: Failing())
    monkeypatch.setitem(TRACKERS, "mlflow", lambda *args: 1 / 0)
    _, record = run(tmp_path, "wandb", "mlflow")
    assert record["status"] == "done"
    said = capsys.readouterr().err
    assert "no network" in said and "ZeroDivisionError" in said
