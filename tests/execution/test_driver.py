"""What the driver decides before anything runs, and what it says of a run."""

import fcntl

import pytest
from rich.console import Console

from tests.cells import cell, task
from tests.runs.test_merge import make
from vaebench.config.cell import Task
from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.execution import driver, status
from vaebench.execution.worker import Plan
from vaebench.runs import files, records
from vaebench.runs.effort import Wanted
from vaebench.runs.lock import claim, held


def planned(cells, broken={}):  # noqa: B006
    """A plan of cells of which the ELBO is measured."""
    evaluation = task(metrics=("elbo",)).evaluation
    tasks = tuple(Task(one, evaluation) for one in cells)
    return Plan(Settings(), tasks, "cpu", {evaluation: (Wanted("elbo", {}, group="elbo"),)}, broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jobs": 0}, "--jobs must be 1"),
        ({"cell_timeout": 0.0}, "--cell-timeout must be positive"),
        ({"cell_memory": -1.0}, "--cell-memory must be positive"),
        ({"checkpoint_every": -1.0}, "--checkpoint-every"),
        ({"engine": "rai"}, "Did you mean 'ray'"),
        ({"address": "auto"}, "need --engine ray"),
        ({"gpus_per_cell": 0.5}, "need --engine ray"),
        ({"devices": 0}, "--devices must be 1"),
        ({"devices": 2, "jobs": 2}, "leave out --jobs"),
        ({"devices": 2, "engine": "ray"}, "leave out --jobs and --engine ray"),
        ({"devices": 2, "strategy": "dpp"}, "Did you mean 'ddp'"),
        ({"strategy": "ddp"}, "needs --devices 2"),
    ],
)
def test_what_cannot_work_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        driver.Where(**changes).check()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="choose another --out"), held(tmp_path / "file"):
        pass


def test_a_folder_is_held_by_one(tmp_path):
    with (
        held(tmp_path),
        pytest.raises(UserError, match="Another vaebench"),
        held(tmp_path),
    ):
        pass


def test_a_single_value_and_a_list_of_one_are_the_same_experiment(tmp_path):
    claim(tmp_path, Settings())
    (tmp_path / "config.yaml").write_text("epochs: [40]\n")
    claim(tmp_path, Settings())
    with pytest.raises(UserError, match="other epochs, lr"):
        claim(tmp_path, Settings(epochs=(41,), lr=(1.0,)))


def test_only_what_is_missing_failed_or_altered_runs(tmp_path, capsys):
    make(tmp_path, (0,))
    make(tmp_path, (1,), state="failed")
    make(tmp_path, (2,))
    screen = Console(stderr=True)
    cells = [cell(seed=seed) for seed in range(4)]
    (tmp_path / "cells" / cells[2].id / "history.csv").write_text("epoch\n9\n")

    def missing(retry):
        return [driver.missing(tmp_path, one, retry, screen) for one in cells]

    assert missing(False) == [False, False, True, True]
    assert "history.csv was altered; computing the cell again" in capsys.readouterr().err
    assert missing(True) == [False, True, True, True]
    (tmp_path / "cells" / cells[3].id).symlink_to("/")
    with pytest.raises(UserError, match="leads out of the run"):
        missing(False)


def test_what_failed_by_the_machines_fault_runs_again_by_itself(tmp_path):
    screen, one = Console(quiet=True), cell()
    folder = tmp_path / "cells" / one.id
    folder.mkdir(parents=True)
    for transient in (True, False):
        files.write_result(folder, files.failure(one, "full") | {"transient": transient})
        assert driver.missing(tmp_path, one, False, screen) is transient
    files.write_result(folder, files.failure(one, None) | {"status": "done", "transient": True})
    assert not driver.missing(tmp_path, one, False, screen)


def test_the_state_of_a_run(tmp_path, capsys):
    make(tmp_path, (0,))
    make(tmp_path, (1,), state="failed")
    cells = [cell(seed=seed) for seed in range(4)]
    records.write(tmp_path, cells)
    files.write_bytes(tmp_path / "cells" / cells[3].id / "checkpoint", b"x")
    files.write_json(tmp_path / "running.json", {"cells": [cells[2].id]})
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = status.summary(tmp_path)
        assert [len(found[state]) for state in status.STATES] == [1, 0, 1, 1, 1]
        assert found["running"] == [{"cell": cells[2].id}]
    found = status.summary(tmp_path)
    assert [len(found[state]) for state in status.STATES] == [1, 0, 0, 1, 2]
    assert found["missing"][1]["checkpoint"] and not found["missing"][0]["checkpoint"]
    status.show(tmp_path, as_json=False)
    text = capsys.readouterr().out
    assert "1 finished, 0 running, 1 failed, 2 missing" in text
    assert "bad luck" in text and "has a checkpoint" in text
    with pytest.raises(UserError, match="No run in"):
        status.summary(tmp_path / "nowhere")


def test_the_state_says_how_far_running_cells_are(tmp_path, capsys, monkeypatch):
    make(tmp_path, (0,))
    one = cell()
    far = {"stage": "annealing", "done": 1500, "total": 6000, "began": 100.0}
    files.write_json(tmp_path / "running.json", {"cells": [one.id], "stages": {one.id: far}})
    monkeypatch.setattr(status.time, "time", lambda: 130.0)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (found,) = status.summary(tmp_path)["running"]
        status.show(tmp_path, as_json=False)
    assert (found["stage"], found["left"]) == ("annealing", 90)
    assert "annealing 1500 of 6000, at most 0:01:30 left" in capsys.readouterr().out
