"""The kit catches every mistake of the zoo, by the check meant for it, and nothing else."""

import pytest

from tests.testing.zoo import ZOO
from vaebench import testing

CHECKS = {check.name: check for check in testing.checks()}
#: Checks that take more than a moment; their part of the zoo is visited with -m slow.
LONG = {"sampler", "gradient", "normalised", "linear_gaussian"}

pytestmark = pytest.mark.filterwarnings("ignore::vaebench.testing.KitWarning")


def each(entries, **marks):
    return [pytest.param(e, id=f"{e.variant.name}-{e.check}", **marks) for e in entries]


@pytest.mark.parametrize(
    "broken",
    each([e for e in ZOO if e.check not in LONG])
    + each([e for e in ZOO if e.check in LONG], marks=pytest.mark.slow),
)
def test_the_check_meant_for_a_mistake_catches_it(broken):
    with pytest.raises(AssertionError) as error:
        CHECKS[broken.check](broken.variant)
    text = str(error.value)
    assert broken.variant.name in text
    assert CHECKS[broken.check].mistake in text


@pytest.mark.slow
@pytest.mark.parametrize("broken", each(ZOO[::10]))
def test_the_whole_kit_fails_a_broken_variant(broken):
    failed = {result.check for result in testing.run(broken.variant) if not result.ok}
    assert broken.check in failed


def test_there_is_a_mistake_for_every_check():
    assert {entry.check for entry in ZOO} == set(CHECKS)


def test_the_zoo_is_large_and_its_names_differ():
    assert len({entry.variant.name for entry in ZOO}) == len(ZOO) >= 25
