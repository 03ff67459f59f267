"""What a record lacks of what is asked for, and which of two efforts is more."""

import pytest

from vaebench.runs.effort import Wanted, covers, joined, lacking, less, more
from vaebench.runs.schema import blank

AIS = {"ais_images": 64, "ais_target": None, "ais_budget": 6000, "ais_steps": None}


@pytest.mark.parametrize(
    ("asked", "is_more"),
    [
        ({}, False),
        ({"ais_images": 65}, True),
        ({"ais_target": 0.1}, True),
        ({"ais_budget": 5999}, False),
        ({"ais_images": 65, "ais_budget": 5999}, False),
        ({"ais_images": 65, "ais_target": 0.1}, True),
        ({"ais_steps": 100}, False),
    ],
)
def test_an_effort_is_more_where_it_is_more_in_something_and_less_in_nothing(asked, is_more):
    spent = {name: value for name, value in AIS.items() if value is not None}
    assert more(AIS | asked, spent) is is_more


def test_a_target_that_is_set_is_less_than_a_smaller_one():
    assert more({"ais_target": 0.05}, {"ais_target": 0.1})
    assert not more({"ais_target": None}, {"ais_target": 0.1})


def record(**metrics):
    found = blank("a", "done", "")
    found["metrics"] = {
        name: {"value": 1.0, "failed": False, "depends": {}} | more
        for name, more in metrics.items()
    }
    return found


def test_what_is_missing_worth_less_or_of_other_code_is_lacking():
    wanted = [Wanted("elbo", {}), Wanted("ais", {"ais_images": 4}), Wanted("mine", {}, "abc")]
    mine = {"depends": {"code": "abc"}}
    done = {"elbo": {}, "ais": {"depends": {"ais_images": 4}}, "mine": mine}
    assert lacking(record(), wanted) == ["elbo", "ais", "mine"]
    assert lacking(record(**done), wanted) == []
    assert lacking(record(**done), wanted, again=True) == ["elbo", "ais", "mine"]
    assert lacking(record(**done | {"ais": {"depends": {"ais_images": 3}}}), wanted) == ["ais"]
    assert lacking(record(**done | {"mine": {"depends": {"code": "abd"}}}), wanted) == ["mine"]
    larger = record(**done | {"ais": {"depends": {"ais_images": 5}}})
    assert lacking(larger, wanted) == [] and less(larger, wanted) == ["ais"]


def test_what_failed_is_lacking_where_that_is_asked_for():
    found = record(fid={"value": None, "failed": True}, kl={"value": None})
    wanted = [Wanted("fid", {}), Wanted("kl", {})]
    assert lacking(found, wanted) == []
    assert lacking(found, wanted, failed=True) == ["fid"]


def test_evaluations_are_joined_to_the_larger_effort():
    first = {"metrics": ["default"], "ais_images": 64, "ais_target": 0.1, "iw_samples": 500}
    second = {"metrics": ["probe", "default"], "ais_images": 32, "ais_target": None}
    both = joined(first, second)
    assert both["metrics"] == ("default", "probe")
    assert (both["ais_images"], both["ais_target"], both["iw_samples"]) == (64, 0.1, 500)
    assert joined(second, first) | {"metrics": ()} == both | {"metrics": ()}
    assert covers(both, first) and covers(both, second) and not covers(first, second)
    assert not covers(second, first)
