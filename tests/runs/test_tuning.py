"""What a tuning found, on disk: the best trial, the limits of the next one, and damage."""

import json

import pandas as pd
import pytest

from vaebench.runs import files, trials, tuning


def trial(value, state="complete", **more):
    value = value if state == "complete" else None
    return {
        "settings": {"lr": 0.002, "[beta]": 4.0},
        "state": state,
        "value": value,
        "se": None if value is None else 0.2,
        "rungs": {},
        "reason": "",
        "seconds": 1.0,
        **more,
    }


def found(*several, **more):
    return {
        "trials": len(several),
        "seed": 1000,
        "criterion": {
            "name": "iwae",
            "title": "L_64",
            "unit": "nats/image",
            "images": 200,
            "effort": {"iw_samples": 64},
        },
        "rungs": [3, 6],
        "asked": [],
        "variants": {
            "a": {"cell": "a-0", "space": {"lr": "1..2", "[beta]": "1..8"}, "trials": [*several]}
        },
        "left_out": {},
        "cells": {},
        **more,
    }


def search(*several):
    return found(*several)["variants"]["a"]


def test_the_best_complete_trial_is_chosen_and_of_equal_ones_the_first():
    several = [trial(-3.0), trial(None, "failed"), trial(-2.0), trial(None, "pruned"), trial(-2.0)]
    assert tuning.chosen(search(*several)) == 2
    assert tuning.chosen(search(trial(0.0), trial(-1.0))) == 0
    assert tuning.chosen(search(trial(None, "failed"))) is None
    assert tuning.chosen(search()) is None


def test_a_trial_may_be_stopped_below_the_median_of_enough_others():
    several = [trial(-1.0, rungs={"3": value}) for value in (-9.0, -1.0, -2.0)]
    assert tuning.limits(search(*several), [3, 6], 4) == {}
    several.append(trial(None, "pruned", rungs={"3": -30.0, "6": -4.0}))
    assert tuning.limits(search(*several), [3, 6], 4) == {3: -5.5}
    assert tuning.limits(search(*several), [3, 6], 1) == {3: -5.5, 6: -4.0}


def test_what_is_written_is_read_and_listed_for_people(tmp_path):
    state = found(trial(-3.0), trial(None, "failed", reason="=1+1 broke"))
    trials.write(tmp_path, state)
    assert tuning.read(tmp_path) == state
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["settings"].tolist() == ["lr 0.002, beta 4"] * 2
    assert table["state"].tolist() == ["complete", "failed"]
    assert table["chosen"].tolist() == [True, False]
    assert table["reason"].tolist()[1].startswith("'=")


@pytest.mark.parametrize(
    "damage",
    [
        {"trials": "many"},
        {"variants": {"a": {"trials": [3]}}},
        {"variants": {"a": search(trial(-1.0) | {"state": "great"})}},
        {"cells": {"x": "tuned"}},
        {"criterion": None},
    ],
)
def test_a_damaged_file_is_no_tuning(tmp_path, damage):
    files.write_json(tmp_path / tuning.NAME, found(trial(-3.0)) | damage)
    assert tuning.read(tmp_path) is None


def test_a_missing_or_broken_file_is_no_tuning(tmp_path):
    assert tuning.read(tmp_path) is None
    (tmp_path / tuning.NAME).write_text("{" * 50)
    assert tuning.read(tmp_path) is None
    (tmp_path / tuning.NAME).write_text(json.dumps([1]))
    assert tuning.read(tmp_path) is None


def test_rows_are_named_after_the_variant_that_was_asked_for():
    cells = {
        "c0": {"variant": "a", "settings": "default"},
        "c1": {"variant": "a", "settings": "tuned"},
        "c2": {"variant": "b", "settings": "default and tuned"},
    }
    rows = tuning.rows(found(cells=cells))
    assert [row.label for row in rows.values()] == ["a", "a (tuned)", "b"]
    assert tuning.searched(found()) == ["lr"]
