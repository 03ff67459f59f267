"""Search spaces: what is wrong with one is a sentence, and settings go into a cell's name."""

import math

import pytest

from tests.cells import cell
from vaebench.config.space import (
    SHARED,
    Choice,
    Range,
    changed,
    default,
    of_option,
    read,
    rounded,
    shared,
    words,
)
from vaebench.errors import UserError


@pytest.mark.parametrize(
    ("space", "value", "reason"),
    [
        (Range(1, 8), 4, ""),
        (Range(0.5, 16.0, log=True), 4.0, ""),
        (Range(1, 8), 4.0, ""),
        (Choice(2, 4), 4, ""),
        (Choice(True, False), True, ""),
        (Range(8, 1), 4, "smaller number to a larger"),
        (Range(0, 8, log=True), 4, "above 0"),
        (Range(1, 3), 4, "leaves out the default 4"),
        (Range(1.5, 8), 4, "no whole number"),
        (Range(1, math.inf), 4.0, "no finite number"),
        (Range(1, math.nan), 4.0, "no finite number"),
        (Range("1", "8"), 4, "no whole number"),
        (Range(1, 8, log="yes"), 4, "log='yes'"),
        (Range(0, 1), True, "give a Choice"),
        (Range(1, 8), "rbf", "give a Choice"),
        (Choice(4), 4, "less than two"),
        (Choice(2, 8), 4, "leaves out the default 4"),
        (Choice(2, 4.0), 4, "no int"),
        (Choice(4, 4), 4, "twice"),
        (Choice("rbf", "a,b"), "rbf", "cannot be written"),
        (Choice([2, 4], 4), 4, "no int"),
        (Choice(1.0, math.nan), 1.0, "not finite"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(space, value, reason):
    assert (reason in space.flaw(value)) if reason else space.flaw(value) == ""


def test_spaces_are_read_as_they_are_typed():
    settings, options = read(
        ("lr=1e-3..1e-2", "kl-warmup=off", "batch_size=32|64", "gmm[components=2|4]", "b[beta=off]")
    )
    assert settings == {
        "lr": Range(1e-3, 1e-2, log=True),
        "kl_warmup": None,
        "batch_size": Choice(32, 64),
    }
    assert options == {"gmm": {"components": "2|4"}, "b": {"beta": "off"}}
    assert of_option("o", "0..2", 1.0) == Range(0.0, 2.0)
    assert of_option("o", "true|false", True) == Choice(True, False)
    assert of_option("o", "off", 1.0) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lr", "not of the form"),
        ("lt=1..2", "Did you mean 'lr'"),
        ("epochs=1..2", "No setting to be tuned"),
        ("lr=1", "low..high"),
        ("lr=a..b", "low..high"),
        ("lr=-1..1", "--lr must be positive"),
        ("lr_schedule=cosine|cosin", "Did you mean 'cosine'"),
        ("gmm[components", "Cannot read"),
    ],
)
def test_a_space_that_cannot_be_read_is_a_sentence(text, reason):
    with pytest.raises(UserError) as refused:
        read((text,))
    assert reason in str(refused.value)


def test_only_what_has_an_effect_is_searched():
    found = shared(cell(epochs=40), {})
    assert found == {"lr": SHARED["lr"], "kl_warmup": Range(0, 10)}
    assert "critic_weight" in shared(cell(epochs=40, critic="patchgan", critic_weight=10.0), {})
    assert shared(cell(epochs=3), {}) == {"lr": SHARED["lr"]}
    assert shared(cell(epochs=40), {"lr": None, "kl_warmup": None}) == {}


def test_a_declared_range_takes_in_what_the_run_has_and_one_that_is_asked_for_has_to():
    assert shared(cell(lr=0.1), {})["lr"] == Range(3e-4, 0.1, log=True)
    with pytest.raises(UserError, match=r"leaves out the default 0\.1"):
        shared(cell(lr=0.1), {"lr": Range(1e-3, 1e-2, log=True)})
    with pytest.raises(UserError, match="must end before the last"):
        shared(cell(epochs=10), {"kl_warmup": Range(0, 10)})


def test_settings_go_into_the_cell_and_options_into_the_name_of_its_variant():
    before = cell(plugin="gmm[estimator=implicit]")
    after = changed(before, {"lr": 0.01, "[components]": 8})
    assert (after.lr, after.plugin) == (0.01, "gmm[components=8,estimator=implicit]")
    assert changed(before, {"lr": before.lr}) == before
    space = {"lr": Range(1e-3, 1e-2), "[components]": Range(1, 8)}
    values = default(before, space, {"components": 4})
    assert values == {"lr": before.lr, "[components]": 4}
    assert words(values) == "lr 0.002, components 4"


def test_values_have_three_digits_and_stay_in_their_space():
    assert rounded(Range(1e-3, 1e-2), 0.0031415) == 0.00314
    assert rounded(Range(0.00012345, 1.0), 0.00012345) == 0.00012345
    assert rounded(Range(0, 8), 3) == 3 and rounded(Choice("a", "b"), "a") == "a"
