import math

import pytest

from vaebench.config.cell import Cell
from vaebench.config.command import command
from vaebench.config.effort import USUAL, chosen, filled


@pytest.mark.parametrize(
    ("shape", "train"),
    [
        *(((1, 8, 8), 1197), ((1, 28, 28), 50_000), ((1, 28, 28), 17_780), ((1, 28, 28), 100)),
        *(((1, 32, 32), 10_000), ((3, 32, 32), 45_000), ((3, 64, 64), 162_770)),
        *((None, 100), ((3, 64, 64), None)),
    ],
)
def test_the_data_sets_of_vaebench_and_small_pictures_have_the_usual_effort(shape, train):
    assert chosen(shape, train) == {"ais_images": 64, "ais_budget": 6000} == USUAL


def test_larger_pictures_get_no_more_gradients_than_forty_epochs_have_images():
    for train in range(600, 12_000, 37):
        found = chosen((3, 64, 64), train)
        assert math.prod(found.values()) <= 40 * train
        assert found["ais_images"] >= 16 and found["ais_budget"] >= 1500
        assert all(found[name] <= USUAL[name] for name in USUAL)
        assert math.prod(found.values()) >= 0.93 * min(40 * train, math.prod(USUAL.values()))


def test_few_pictures_get_the_least_that_says_anything():
    assert chosen((3, 32, 32), 240) == {"ais_images": 16, "ais_budget": 1500}


def test_what_is_asked_for_stays():
    asked = {"ais_images": 100, "ais_budget": None, "ais_target": None}
    found = filled(asked, (3, 32, 32), 240)
    assert found == {"ais_images": 100, "ais_budget": 1500, "ais_target": None}


def test_a_command_names_effort_that_is_not_what_would_be_chosen():
    cell = {"plugin": "gaussian", "dataset": "digits"}
    large = {"shape": [3, 32, 32], "train": 240}
    assert "--ais" not in command(cell | {"ais_images": 64, "ais_budget": 6000}, {})
    assert "--ais" not in command(cell | {"ais_images": 16, "ais_budget": 1500}, large)
    found = command(cell | {"ais_images": 64, "ais_budget": 6000}, large)
    assert "--ais-images 64" in found and "--ais-budget 6000" in found


def test_effort_is_no_part_of_a_cells_name():
    assert not set(USUAL) & set(Cell.__dataclass_fields__)
