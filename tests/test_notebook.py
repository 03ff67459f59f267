import json
import pickle
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

import vaebench
from tests.cells import digits
from tests.finished import train
from vaebench.errors import UserError
from vaebench.evaluation.grid import grid
from vaebench.execution.codec import codec
from vaebench.runs import files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("loading") / "run"
    for changes in ({"plugin": "gaussian"}, {"plugin": "gmm[components=2]"}):
        train(run, **changes)
    return run


@pytest.fixture
def run(folder):
    return vaebench.load(folder)


def test_the_frames_are_tidy(run):
    assert set(run.cells.plugin) == {"gaussian", "gmm[components=2]"}
    assert {"elbo", "elbo_se", "seconds", "status"} <= set(run.cells)
    assert list(run.history) == ["cell", "plugin", "dataset", "seed", "epoch", "term", "value"]
    assert sorted(set(run.history.epoch)) == [1, 2]
    assert list(run.per_image) == ["cell", "plugin", "dataset", "seed", "index", "metric", "value"]
    elbo = run.per_image[run.per_image.metric == "elbo"].groupby("cell").value
    assert (elbo.count() == 400).all()
    assert elbo.mean().to_dict() == pytest.approx(run.cells.set_index("cell").elbo.to_dict())
    assert set(run.table.n) == {1}
    assert "2 of 2 cells done" in repr(run)


def test_a_cell_is_found_by_a_beginning_of_its_name(run):
    name = next(name for name in run.records if name.startswith("gaussian"))
    assert run.find("gaussian-") == run.find(name) == name
    with pytest.raises(UserError, match="write more"):
        run.find("g")
    with pytest.raises(UserError, match="No cell 'nothing'"):
        run.find("nothing")


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(UserError, match="No run in"):
        vaebench.load(tmp_path)


def test_the_restored_model_is_the_one_that_was_evaluated(folder, run):
    for name, record in run.records.items():
        trained = codec(folder, record)
        samples = trained.sample(400, seed=0)[:64]
        assert grid(samples) == (folder / "cells" / name / "samples.png").read_bytes()
        model = run.model(name)
        assert not model.training
        assert model.posterior.prior().event_shape == (3,)


def test_codes_and_pictures_have_the_shapes_of_the_model(folder, run):
    trained = codec(folder, run.records[run.find("gmm")])
    pictures = digits().test.pixels[:5] / 16
    z = trained.encode(pictures)
    assert z.shape == (5, 3)
    assert torch.equal(z, trained.encode(pictures))
    copies = trained.decode(z)
    assert copies.shape == (5, 1, 8, 8)
    assert 0 <= copies.min() <= copies.max() <= 1


def test_a_cell_keeps_pictures_of_its_training_and_its_codes(folder, run):
    for name, record in run.records.items():
        found = {path.stem for path in (folder / "cells" / name).glob("*.png")}
        kinds = {"samples", "reconstructions", "interpolations", "traversals", "film"}
        assert found == kinds
        assert record["train"]["film"] == [1, 2]


@pytest.fixture
def copy(folder, tmp_path):
    """A run that may be damaged, with its only cell's folder."""
    shutil.copytree(folder, tmp_path / "run")
    found = next((tmp_path / "run" / "cells").glob("gaussian*"))
    return tmp_path / "run", found


def _change(cell, **changes):
    record = json.loads((cell / "result.json").read_text())
    record.pop("checksum", None)
    for section, values in changes.items():
        record[section] |= values
    (cell / "result.json").write_text(json.dumps(record))


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, pickle.dumps({"a": 1})])
def test_damaged_weights_are_refused(copy, content):
    run, cell = copy
    (cell / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="are damaged"):
        vaebench.load(run).model(cell.name)


def test_weights_outside_the_run_are_refused(copy, tmp_path):
    run, cell = copy
    weights = (cell / "model.safetensors").rename(tmp_path / "elsewhere")
    (cell / "model.safetensors").symlink_to(weights)
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        vaebench.load(run).model(cell.name)


def test_weights_of_another_model_are_refused(copy):
    run, cell = copy
    _change(cell, config={"latent": 4})
    with pytest.raises(UserError, match="do not fit its plugin"):
        vaebench.load(run).model(cell.name)


def test_weights_that_are_not_finite_are_refused(copy):
    run, cell = copy
    weights = load_file(cell / "model.safetensors")
    next(iter(weights.values())).flatten()[0] = torch.nan
    save_file(weights, cell / "model.safetensors")
    with pytest.raises(UserError, match="not as it was written"):
        vaebench.load(run).model(cell.name)
    files.write_result(cell, files.read_json(cell / "result.json"))
    with pytest.raises(UserError, match="not finite"):
        vaebench.load(run).model(cell.name)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"levels": None}},
        {"data": {"shape": [1, 8]}},
        {"data": {"shape": [1, 8, 10**9]}},
        {"config": {"width": "16"}},
        {"config": {"latent": -3}},
        {"config": {"plugin": ["gaussian"]}},
    ],
)
def test_records_that_describe_no_model_are_refused(copy, changes):
    run, cell = copy
    _change(cell, **changes)
    with pytest.raises(UserError, match="does not say how its model is built"):
        vaebench.load(run).model(cell.name)


def test_a_variant_that_is_not_installed_is_named(copy):
    run, cell = copy
    _change(cell, config={"plugin": "nobody"})
    with pytest.raises(UserError, match="No variant 'nobody'"):
        vaebench.load(run).model(cell.name)


def test_a_plugin_whose_code_has_changed_is_told(copy):
    run, cell = copy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vaebench.load(run).model(cell.name)
        _change(cell, variant={"code": "0123456789ab"})
        with pytest.raises(UserWarning, match=r"The code of gaussian is not what trained"):
            vaebench.load(run).model(cell.name)
