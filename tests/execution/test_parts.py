"""Cells of items of several parts, from the plan to a model that is restored from its files."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.execution import run_cell as cells
from vaebench.execution.codec import codec
from vaebench.execution.plan import resolve
from vaebench.execution.restore import restore
from vaebench.runs.described import described
from vaebench.runs.records import one
from vaebench.training.build import resolve as resolved

PLACE = Place(Path("nowhere"), device="cpu")
LINEAR = "linear[items=64,kind=parts,parts=2]"


def plan(**changes):
    return resolve(replace(Settings(), latent=(4,), **changes), PLACE)


def test_variants_of_parts_are_for_items_that_have_some():
    settings, _, notes = plan(plugins=("all",), dataset=("digits", LINEAR), backbone=("mlp",))
    chosen = {"poe", "masked", "mmvm"}
    assert chosen <= set(settings.plugins)
    assert any("poe" in note and "linear[kind=parts]" in note for note in notes["digits"])
    assert any("convdraw" in note for note in notes[LINEAR])
    with pytest.raises(UserError, match=r"poe needs items of several parts, .*kind=parts"):
        plan(plugins=("gaussian", "poe"))
    with pytest.raises(UserError, match="gaussian or laplace"):
        plan(plugins=("poe",), dataset=(LINEAR,), likelihood=("bernoulli",))
    with pytest.raises(UserError, match="one of tokens"):
        plan(plugins=("poe",), dataset=(LINEAR,), backbone=("lstm",))
    with pytest.raises(UserError, match="word-dropout"):
        plan(plugins=("poe",), dataset=(LINEAR,), word_dropout=(0.5,))
    _, tasks, _ = plan(plugins=("poe",), dataset=(LINEAR,))
    assert {task.cell.critic for task in tasks} == {"none"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one cell of pictures and captions, and its record."""
    run = tmp_path_factory.mktemp("parts") / "run"
    asked = {"dataset": ("captions[items=64]",), "epochs": (1,), "width": (4,), "metrics": ("kl",)}
    _, (task,), _ = plan(plugins=("poe[private=1]",), **asked)
    folder = run / "cells" / task.cell.id
    record = cells.run(task, PLACE, folder, lambda progress: None)
    assert record["status"] == "done", record["reason"]
    return run, one(run, task.cell.id), task.cell


def test_a_model_of_parts_is_restored_from_its_files_alone(finished):
    run, record, cell = finished
    hollow = restore(run, record).model
    assert record["data"]["parts"][1]["kind"] == "tokens"
    data = resolved(cell, PLACE).images
    whole = restore(run, record, data).model
    x, z = data.test.stored[:5].float(), torch.randn(3, 5, whole.posterior.features)
    torch.testing.assert_close(hollow.log_likelihood(z, x), whole.log_likelihood(z, x))
    assert whole.posterior.features == 5 and whole.decoder.reads["caption"] == [0, 1, 2, 4]
    with pytest.raises(UserError, match="several modalities"):
        codec(run, record)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1, 0, 32]},
        {"shape": [2**40, 32, 32]},
        {"shape": 3},
        {"kind": "sets"},
        {"kind": ["pictures"]},
        {"name": "../up"},
        {"name": "caption"},
        {"name": None},
        {"levels": 1000},
        {"levels": "2"},
    ],
)
def test_a_record_that_describes_no_parts_is_refused(finished, changes):
    record = deepcopy(finished[1])
    assert described(record).parts
    record["data"]["parts"][0] |= changes
    with pytest.raises(UserError, match="does not say how its model is built"):
        described(record)
    for parts in (None, [], "ab", [3], record["data"]["parts"][1:]):
        record["data"]["parts"] = parts
        with pytest.raises(UserError):
            described(record)
