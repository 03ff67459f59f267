"""Ranks over data sets: of the variants that all have, for each seed."""

import pandas as pd

from benchmarks.ranks import comparable, ranked, table


def frame(**variants):
    return pd.DataFrame(variants).rename_axis("seed")


def test_variants_that_one_data_set_lacks_are_left_out_and_ties_share():
    one = frame(a=[1.0, 2.0], b=[3.0, 1.0], c=[3.0, 0.0])
    other = frame(a=[5.0], b=[4.0], d=[9.0])
    first, second = ranked([one, other], larger=True)
    assert first.to_dict("list") == {"a": [2.0, 1.0], "b": [1.0, 2.0]}
    assert second.to_dict("list") == {"a": [1.0], "b": [2.0]}
    (alone,) = ranked([one], larger=False)
    assert alone.to_dict("list") == {"a": [1.0, 3.0], "b": [2.5, 2.0], "c": [2.5, 1.0]}


def test_a_variant_without_a_number_in_a_seed_is_left_out():
    (found,) = ranked([frame(a=[1.0, 2.0], b=[3.0, None])], larger=True)
    assert list(found) == ["a"]


def test_the_table_has_the_best_mean_first_and_the_range_over_seeds():
    lines = table(["x", "y"], [frame(a=[1.0, 2.0], b=[2.0, 1.0]), frame(a=[2.0], b=[1.0])])
    assert lines[2:] == [
        "| `b` | 1.5 (1–2) | 1.0 (1–1) | 1.2 |",
        "| `a` | 1.5 (1–2) | 2.0 (2–2) | 1.8 |",
    ]


def test_a_variant_with_few_trusted_images_takes_none_from_the_others():
    places = pd.MultiIndex.from_product([[0, 1], range(5)], names=["seed", "index"])
    some = {
        "a": [1.0, 2, 3, 4, None] * 2,
        "b": [1.0] * 6 + [None, None, 2, None],
        "c": [5.0] * 7 + [None] * 3,
    }
    found = comparable(pd.DataFrame(some, places))
    assert list(found) == ["a"] and len(found) == 8
    whole = comparable(pd.DataFrame({"a": some["a"], "d": [1.0, 2, 3, None, None] * 2}, places))
    assert list(whole) == ["a", "d"] and len(whole) == 6
