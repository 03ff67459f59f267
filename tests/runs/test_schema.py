"""What a reader gets of a record has the types that are declared."""

import pytest

from vaebench.runs.schema import (
    DataRecord,
    Detail,
    MetricRecord,
    TrainRecord,
    VariantRecord,
    fits,
    known,
)


@pytest.mark.parametrize(
    ("kind", "key", "good", "bad"),
    [
        (DataRecord, "levels", 256, [2.0, True, "2", None, 10**200]),
        (DataRecord, "shape", [1, 8, 8], [[1, "8"], {}, 8]),
        (TrainRecord, "seconds", 3, [True, "3", 1e200, None]),
        (TrainRecord, "peak_memory", None, ["much", [1.0]]),
        (TrainRecord, "parameters", {"encoder": 3}, [[3], {"encoder": "3"}]),
        (VariantRecord, "deviations", {"bound": "why"}, [{"bound": 1}, "bound"]),
        (MetricRecord, "better", "higher", ["more", 1]),
        (MetricRecord, "role", None, ["king", ["elbo"]]),
        (MetricRecord, "place", 10, [10.0, True, "10"]),
        (MetricRecord, "error", True, [1, None]),
        (Detail, "per_dimension", [0.5, 2], [[None], ["1"], 3]),
        (Detail, "curve", {"k": [1], "bound": [None], "se": "kept"}, [{"k": [1]}, {"k": 1}, [1]]),
        (MetricRecord, "depends", {"a": [1, {"b": None}]}, [[1], None]),
    ],
)
def test_a_value_of_another_type_is_left_out(kind, key, good, bad):
    assert known(kind, {key: good, "unheard": object}) == {key: good, "unheard": object}
    for value in bad:
        assert known(kind, {key: value, "unheard": 1}) == {"unheard": 1}, value


def test_no_number_is_one_that_cannot_be_squared():
    assert fits(1e99, float) and not fits(1e101, float) and not fits(float("nan"), float)
