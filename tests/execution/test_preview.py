"""What a dry run says: which cells there are, what must fail, and how long each phase may take."""

from dataclasses import replace

from tests.cells import cell, task
from tests.execution.test_driver import planned
from tests.runs.test_merge import make
from vaebench.config.resources import Place
from vaebench.execution import preview, timing
from vaebench.execution.forecast import PICTURES, REAL, TRAINING
from vaebench.runs import files


def times(text):
    """Seconds by phase, as they are printed."""
    found = {}
    for line in text.splitlines():
        name, clock = line[2:26].strip(), line[26:].split()[:1]
        if line.startswith("  ") and clock and ":" in clock[0]:
            hours, minutes, seconds = map(int, clock[0].split(":"))
            found[name] = 3600 * hours + 60 * minutes + seconds
    return found


def test_phases_are_those_of_finished_cells(tmp_path, capsys):
    cells = [cell(seed=seed) for seed in range(3)]
    (name,) = make(tmp_path, (0,))
    folder = tmp_path / "cells" / name
    spent = {"total": 99.0, "train": 60.0, "elbo": 7.0, "pictures": 2.0, "fid": 50.0}
    files.write_result(folder, files.read_json(folder / "result.json") | {"timings": spent})
    longer = replace(cells[1], epochs=2 * cells[1].epochs)
    other = replace(cells[0], plugin="iwae")
    assert preview.preview(tmp_path, planned([*cells, longer, other]), lambda few: [])
    text = capsys.readouterr().out
    assert "5 cells, 1 finished" in text and "judging by 1 finished" in text
    found = times(text)
    assert found["training"] == 60 * (1 + 1 + 2 + 1) and "fid" not in found
    assert (found["elbo"], found["pictures"]) == (28, 8)
    assert found["all"] == sum(found.values()) - found["all"]


def test_phases_are_those_of_a_few_steps_where_nothing_has_finished(tmp_path, capsys):
    cells = [cell(seed=seed) for seed in range(3)]
    preview.preview(tmp_path, planned(cells), lambda kinds: [None])
    assert "none could be timed" in capsys.readouterr().out
    several = [*cells, replace(cells[0], epochs=8), replace(cells[0], plugin="iwae")]

    def rehearsed(few):
        return [{TRAINING: 30.0 * few[0].cell.epochs, "ais": 600.0, REAL: 40.0, PICTURES: 2.0}] + [
            None for _ in few[1:]
        ]

    preview.preview(tmp_path, planned(several), rehearsed)
    text = capsys.readouterr().out
    assert "1 of 2 kinds" in text and "--quick" in text and "at most" in text
    found = times(text)
    # Real images are read once.
    assert found["training"] == 30 * (4 * 2 + 8) and found["ais"] == 3000 and found[REAL] == 40
    assert found["pictures"] == 10


def test_notes_on_data_are_said_after_its_name():
    notes = {"folder:/p": ("40 pictures read.", "x\x1b[31m")}
    lines = preview.said(notes)
    assert lines[0] == "folder:/p: 40 pictures read."
    assert "\x1b" not in lines[1]


def test_the_preview_says_what_must_fail(tmp_path, capsys):
    cells = [cell(), cell(plugin="iwae"), cell(plugin="gone")]
    long = "ValueError: found\ntensor([[nan]])"
    spent = {"gaussian": {TRAINING: 16.0, "ais": 4.0}, "iwae": long}
    broken = {"gone": long}
    preview.preview(
        tmp_path, planned(cells, broken), lambda few: [spent[one.cell.plugin] for one in few]
    )
    text = capsys.readouterr().out
    assert "gone cannot be loaded: ValueError: found; its cells will fail." in text
    assert "iwae on digits fails in its first steps: ValueError: found." in text
    found = times(text)
    assert "1 of 2 kinds" in text and (found["training"], found["ais"]) == (16, 4)
    assert "--quick" not in text
    assert "tensor" not in text
    preview.preview(tmp_path, planned(cells[2:], broken), lambda few: [])
    assert "None of the missing ones can run." in capsys.readouterr().out


def test_a_rehearsal_times_every_phase(monkeypatch):
    """Of a trained run each phase has its time; here each has a forecast, and none is negative."""
    monkeypatch.setattr("vaebench.execution.evaluation_time._ENOUGH", 0.0)
    asked = task(metrics=("elbo", "ais", "iwae", "fid", "bdmc", "probe_knn_100"), ais_budget=100)
    (found,) = timing.rehearse([asked], Place(root=None, device="cpu"))
    expected = {TRAINING, "ais", "bdmc", "iwae", "elbo", "fid", "probe", REAL, PICTURES}
    assert expected <= found.keys()
    assert all(seconds >= 0 for seconds in found.values())
    assert all(found[name] > 0 for name in expected)
