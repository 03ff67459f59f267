"""Cells keep their names, and all settings are declared."""

from dataclasses import dataclass, fields, replace

import pytest

from vaebench.config.cell import ALWAYS, SETTINGS, Cell, Evaluation, Training
from vaebench.config.declaration import setting
from vaebench.models.critic import CRITICS
from vaebench.training.schedules import SCHEDULES

FIRST = Cell(
    plugin="gmm[components=8]",
    dataset="digits",
    backbone="mlp",
    width=16,
    critic="none",
    critic_weight=0.0,
    latent=3,
    likelihood="bernoulli",
    binarise="dynamic",
    image_size=None,
    seed=0,
    epochs=2,
    batch_size=128,
    lr=2e-3,
    lr_schedule="constant",
    kl_warmup=0,
    evaluate="best",
    data="d8dedd47bcb771ab",
    code="825dd89c0bcf",
)


@dataclass(frozen=True, kw_only=True)
class Later(Cell):
    """A cell of a version that knows one more setting."""

    optimiser: str = setting("adamw", "adam or adamw.", axis=True, absent="adam")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "s0-6970a72a"),
        (
            {"seed": 3, "lr": 1e-3, "image_size": 32},
            "s3-b4772c2c",
        ),
        (
            {"budget": "seconds", "seconds": 2.5},
            "s0-79a79cfc",
        ),
    ],
)
def test_names_of_cells_never_change(changes, name):
    cell = replace(FIRST, **changes)
    assert cell.id == f"gmm_components=8_-digits-{name}"
    assert list(cell.record()) == list(ALWAYS)


def test_a_setting_that_is_added_renames_no_older_cell():
    known = {f.name: getattr(FIRST, f.name) for f in fields(Cell)}
    later = Later(**known)
    assert later.optimiser == "adam"
    assert later.id == FIRST.id and later.record() == FIRST.record()
    other = replace(later, optimiser="adamw")
    assert other.id != FIRST.id
    assert other.record() == FIRST.record() | {"optimiser": "adamw"}


def test_every_setting_belongs_to_training_or_evaluation():
    names = {f.name for part in (Training, Evaluation) for f in fields(part)}
    assert {s.name for s in SETTINGS} == names
    assert {f.name for f in fields(Cell)} - {f.name for f in fields(Training)} == {"data", "code"}
    assert set(ALWAYS) <= {f.name for f in fields(Cell)}


def test_help_names_every_choice_and_no_default():
    for one in SETTINGS:
        assert one.help.endswith(".") and len(one.help) <= 80, one.name
        assert all(choice in one.help for choice in one.choices), one.name


def test_choices_are_those_that_the_code_knows():
    choices = {s.name: set(s.choices) for s in SETTINGS}
    assert choices["critic"] == set(CRITICS)
    assert choices["lr_schedule"] == set(SCHEDULES)
