"""What follows from the declaration of one setting."""

from dataclasses import dataclass

import pytest

from vaebench.config.declaration import declared, setting


@dataclass(frozen=True, kw_only=True)
class Some:
    many: int = setting(1, "Numbers.", asked="manies", axis=True, least=0)
    rate: float = setting((0.1, 0.2), "Rates.", axis=True, above=0)
    size: int | None = setting(None, "A size.", least=2)
    kind: str = setting("plain", "plain or not.", choices=("plain", "not"), noun="kind")
    names: tuple[str, ...] = setting("all", "Names.")
    limit: float | None = setting(None, "A limit.", above=1.5, absent=None)
    decay: float = setting(0.0, "A decay.", least=0, below=1, absent=0.0)
    other: str = ""


MANY, RATE, SIZE, KIND, NAMES, LIMIT, DECAY = declared(Some)


def test_a_declaration_says_what_there_is():
    assert [s.flag for s in (MANY, SIZE)] == ["--manies", "--size"]
    assert [s.kind for s in (MANY, RATE, SIZE, KIND, NAMES, LIMIT)] == [
        *(int, float, int, str, str, float)
    ]
    assert [s.default for s in (MANY, RATE, SIZE, NAMES)] == [(1,), (0.1, 0.2), None, ("all",)]
    assert [s.shown for s in (MANY, RATE, SIZE, KIND)] == ["1", "0.1,0.2", "", "plain"]
    assert NAMES.several and not NAMES.axis and not SIZE.several


@pytest.mark.parametrize(
    ("of", "given", "expected"),
    [
        (MANY, "0", (0,)),
        (MANY, "0,2,2", (0, 2)),
        (MANY, "0..3, 7", (0, 1, 2, 3, 7)),
        (MANY, [5, "1..2", "010"], (5, 1, 2, 10)),
        (MANY, 4, (4,)),
        (MANY, "1_000", (1000,)),
        (RATE, "1e-3,.5", (1e-3, 0.5)),
        (RATE, [1, "2"], (1.0, 2.0)),
        (SIZE, None, None),
        (SIZE, "8", 8),
        (KIND, "a,b", "a,b"),
        (NAMES, "a, b[c=1,d=2]", ("a", "b[c=1,d=2]")),
        (NAMES, ["a,b"], ("a,b",)),
        (LIMIT, 2, 2.0),
    ],
)
def test_values_are_read(of, given, expected):
    found = of.read(given)
    assert found == expected and type(found) is type(expected)
    assert of.read(of.plain(found)) == found


@pytest.mark.parametrize(
    ("of", "given"),
    [
        *((MANY, given) for given in ("", "a", "3..1", "0.5", "0..99999999", "1:30", "0o7", "0x1")),
        *((MANY, given) for given in (None, [], [None], 1.0, True, [[1]], {"a": 1}, "9" * 5000)),
        *((RATE, given) for given in ("nan", "inf", "1e999", float("nan"), 10**400, "0..4", True)),
        *((SIZE, given) for given in ("1..2", "1,2", [3], "none")),
        *((KIND, given) for given in (None, 1, ["plain"])),
        *((NAMES, given) for given in ("", [], 5, [True])),
    ],
)
def test_other_values_are_refused(of, given):
    with pytest.raises((ValueError, OverflowError)):
        of.read(given)


@pytest.mark.parametrize(
    ("of", "value", "said"),
    [
        (MANY, (0, -1), "--manies must not be negative."),
        (RATE, (1.0, 0.0), "--rate must be positive."),
        (SIZE, 1, "--size must be 2 or more."),
        (LIMIT, 1.5, "--limit must be more than 1.5."),
        (DECAY, 1.0, "--decay must be less than 1."),
        (KIND, "plane", "No kind 'plane'. Did you mean 'plain'? Available: not, plain."),
    ],
)
def test_values_out_of_bounds_are_faults(of, value, said):
    assert [str(fault) for fault in of.faults(value)] == [said]


@pytest.mark.parametrize(("of", "value"), [(MANY, (0,)), (SIZE, None), (SIZE, 2), (KIND, "not")])
def test_values_within_bounds_are_none(of, value):
    assert list(of.faults(value)) == []
