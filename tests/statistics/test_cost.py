"""The time to an ELBO, against histories whose crossing is known."""

import math

import numpy as np
import pandas as pd
import pytest

from tests.cells import cell, digits
from vaebench.registry.catalogue import catalogue
from vaebench.runs import files, frames
from vaebench.statistics.cost import seconds_to_elbo
from vaebench.training.build import build
from vaebench.training.fit import fit


def curve(limit, seconds=1.0, epochs=20):
    """limit - 2^-epoch · 8 nats after each epoch, so that limit - 1 is passed after the third."""
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame({"valid_elbo": limit - 8 * 0.5**epoch, "seconds": seconds * epoch})


def test_a_cell_is_timed_by_the_first_epoch_that_reaches_the_target():
    found = seconds_to_elbo({"a": curve(-10), "b": curve(-10, 0.5)}, dict.fromkeys("ab", "x"), -11)
    assert found["seconds"].to_dict() == {"a": 3.0, "b": 1.5}
    assert (found["target"] == -11).all()


def test_a_setback_after_the_target_does_not_count():
    history = curve(-10)
    history.loc[5:, "valid_elbo"] = -50.0
    assert seconds_to_elbo({"a": history}, {"a": 0}, -11)["seconds"]["a"] == 3


def test_the_default_target_is_reached_by_three_quarters_of_the_cells():
    histories = {str(limit): curve(limit) for limit in (-90, -20, -15, -14, -13, -12, -11, -10)}
    found = seconds_to_elbo(histories, dict.fromkeys(histories, "x"))
    assert found["target"].nunique() == 1
    assert found["target"].iloc[0] == pytest.approx(-20, abs=1e-4)
    assert math.isnan(found["seconds"]["-90"])
    assert found["seconds"].drop("-90").notna().all()
    assert found["seconds"]["-20"] == 20 and found["seconds"]["-12"] == 1


def test_groups_have_their_own_targets_and_cells_without_an_elbo_none():
    histories = {
        "a": curve(-10),
        "b": curve(-10),
        "c": curve(500),
        "d": pd.DataFrame({"seconds": [1.0]}),
        "e": curve(-10).drop(columns="seconds"),
        "f": pd.DataFrame(),
        "g": curve(-10).assign(valid_elbo=np.nan),
    }
    groups = {"a": "x", "b": "x", "c": "y"} | dict.fromkeys("defg", "z")
    found = seconds_to_elbo(histories, groups)
    assert found["seconds"].dropna().to_dict() == {"a": 20, "b": 20, "c": 20}
    assert found["target"]["c"] > 0 > found["target"]["a"] and math.isnan(found["target"]["d"])
    assert list(found.index) == list(histories)
    assert seconds_to_elbo({}, {}).empty


def test_training_keeps_its_clock_beside_the_elbo():
    one = cell(epochs=3)
    variant = catalogue().variant("gaussian")
    made = build(one, variant, digits())
    done = fit(made, lambda row, validated: None)
    seconds = [row["seconds"] for row in done.history]
    assert 0 < seconds[0] < seconds[1] < seconds[2] <= done.seconds


def test_a_run_is_timed_when_its_cells_are_read(tmp_path):
    records = []
    for name, limit in (("a", -10), ("b", -10), ("c", None)):
        folder = tmp_path / "cells" / name
        folder.mkdir(parents=True)
        history = curve(limit or 0).assign(epoch=np.arange(20) + 1)
        history = history.drop(columns=[] if limit else ["valid_elbo"])
        files.write_text(folder / "history.csv", history.to_csv(index=False))
        config = {"plugin": name, "dataset": "digits", "seed": 0, "likelihood": "bernoulli"}
        blank = {"cell": name, "status": "done", "reason": "", "config": config, "metrics": {}}
        records.append({**blank, "train": {}, "data": {"hash": "0"}})
    cells = frames.frame(tmp_path, records)
    assert cells["seconds_to_elbo"].tolist()[:2] == [20, 20]
    assert math.isnan(cells["seconds_to_elbo"][2])
    assert cells["elbo_target"][0] == pytest.approx(-10, abs=1e-4)
    assert frames.table(cells)["seconds_to_elbo"].tolist()[:2] == [20, 20]
