"""Runs of different machines are joined, or refused with a sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.cells import cell
from vaebench.config.settings import Settings
from vaebench.config.yaml_files import dump
from vaebench.errors import UserError
from vaebench.execution import status
from vaebench.runs import files, per_image, records
from vaebench.runs.merge import merge


def make(run, seeds=(0,), elbo=-20.0, state="done", settings=Settings(), **changes):  # noqa: B008
    settings = replace(settings, plugins=("gaussian",), seeds=seeds)
    files.write_text(run / "config.yaml", dump(settings))
    cells = [cell(seed=seed, **changes) for seed in seeds]
    records.write(run, cells)
    for one in cells:
        folder = run / "cells" / one.id
        files.write_text(folder / "history.csv", "epoch\n1\n")
        record = files.failure(one, None if state == "done" else "bad luck")
        record |= {"status": state, "metrics": {"elbo": {"value": elbo, "unit": "nats"}}}
        files.write_result(folder, record)
    return [one.id for one in cells]


def test_cells_of_both_runs_are_in_the_joined_one(tmp_path):
    names = make(tmp_path / "a", (0, 1)) + make(tmp_path / "b", (1, 2))
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    found = status.summary(tmp_path / "c")
    assert {one["cell"] for one in found["finished"]} == set(names)
    for name in names:
        assert files.flaw(tmp_path / "c" / "cells" / name) is None
        assert (tmp_path / "c" / "cells" / name / "history.csv").read_text() == "epoch\n1\n"
    assert yaml.safe_load((tmp_path / "c" / "config.yaml").read_text())["seeds"] == [0, 1, 2]


def test_a_finished_cell_goes_before_a_failed_one(tmp_path):
    make(tmp_path / "a", state="failed")
    make(tmp_path / "b")
    for order in ("ab", "ba"):
        merge([tmp_path / name for name in order], tmp_path / f"c{order}")
        assert len(status.summary(tmp_path / f"c{order}")["finished"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elbo": -21.0}, "other numbers"),
        ({"settings": Settings(evaluate="last")}, "they differ in evaluate"),
        ({"seeds": (1,), "data": "other"}, "digits,? .*not the same data"),
        ({"seeds": (1,), "code": "other"}, "gaussian has not the same code"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, changes, message):
    make(tmp_path / "a")
    make(tmp_path / "b", **changes)
    with pytest.raises(UserError, match=message):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_what_either_run_has_measured_is_in_the_joined_cell(tmp_path):
    (name,) = make(tmp_path / "a")
    make(tmp_path / "b")
    folder = tmp_path / "b" / "cells" / name
    raw = files.read_json(folder / "result.json")
    kl = {"value": 3.0, "depends": {"ais_images": 8}}
    raw["metrics"] |= {"kl": kl, "ais": kl}
    files.write_bytes(
        folder / per_image.NAME, b"index,elbo,kl\n0,1.5,0.1\n1,,0.30000000000000004\n"
    )
    files.write_result(folder, raw | {"evaluation": {"metrics": ["kl"], "ais_images": 8}})
    worse = {"ais": {"value": 2.0, "depends": {"ais_images": 4}}}
    first = tmp_path / "a" / "cells" / name
    raw = files.read_json(first / "result.json")
    files.write_result(first, raw | {"metrics": raw["metrics"] | worse})
    for order in ("ab", "ba"):
        merge([tmp_path / one for one in order], tmp_path / f"c{order}")
        joined = tmp_path / f"c{order}" / "cells" / name
        assert files.flaw(joined) is None
        found = records.one(tmp_path / f"c{order}", name)
        assert found["metrics"]["kl"]["value"] == found["metrics"]["ais"]["value"] == 3.0
        assert found["metrics"]["elbo"]["value"] == -20.0
        assert per_image.read(joined)["kl"].tolist() == [0.1, 0.30000000000000004]


def test_damage_links_and_occupied_folders_are_refused(tmp_path):
    (name,) = make(tmp_path / "a")
    folder = tmp_path / "a" / "cells" / name
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        merge([tmp_path / "a"], tmp_path / "b")
    (folder / "history.csv").write_text("epoch\n2\n")
    with pytest.raises(UserError, match=r"history\.csv was altered"):
        merge([tmp_path / "a"], tmp_path / "c")
    (folder / "history.csv").unlink()
    (folder / "history.csv").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"history\.csv is missing"):
        merge([tmp_path / "a"], tmp_path / "c")


@pytest.mark.parametrize("name", ["../../a", "..", "/etc", "a/b", "x\x1b[1m"])
def test_names_in_a_plan_cannot_leave_the_folder(tmp_path, name):
    make(tmp_path / "a")
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    plan["cells"][name] = next(iter(plan["cells"].values()))
    files.write_json(tmp_path / "a" / "plan.json", plan)
    with pytest.raises(UserError, match="is not a cell"):
        merge([tmp_path / "a"], tmp_path / "c")
    shown = json.dumps(status.summary(tmp_path / "a"))
    assert "\\u001b" not in shown


def test_a_result_vouches_for_its_files(tmp_path):
    (name,) = make(tmp_path / "a")
    folder = tmp_path / "a" / "cells" / name
    assert files.flaw(folder) is None
    whole = (folder / "result.json").read_text()
    for harmed in (
        whole.replace("-20.0", "-10.0"),
        whole[:-10],
        whole.replace('"checksum"', '"x"'),
    ):
        (folder / "result.json").write_text(harmed)
        assert files.flaw(folder)
    (folder / "result.json").write_text(whole.replace("-20.0", "-10.0"))
    assert "altered" in records.cells(tmp_path / "a")[0]["reason"]
    (folder / "result.json").write_text(whole)
    assert files.flaw(folder) is None
    assert Path(folder / "history.csv").exists()


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No run in .*nowhere"):
        merge([tmp_path / "nowhere"], tmp_path / "out")
