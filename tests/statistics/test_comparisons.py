"""False claims of tables whose truth is known, and what is found where there is a difference."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vaebench.statistics import Score, verdict
from vaebench.statistics.comparisons import pairwise
from vaebench.statistics.intervals import independent
from vaebench.statistics.ranks import critical_difference, mean_ranks


def scores(*values, se=None):
    return {seed: Score(value, se) for seed, value in enumerate(values)}


def table(rng, rows, seeds, spread=1.0, interaction=0.0, missing=0.0, means=0.0, images=True):
    """Rows of scores by seed: equal images for all, training runs of their own.

    `spread` is the standard deviation of training runs, of each row or of all, `interaction` that
    of what an image costs one row alone, `missing` the share of failed cells.
    """
    spread, means = np.broadcast_to(spread, rows), np.broadcast_to(means, rows)
    base, found = rng.normal(0, 10, 40), {}
    for v in range(rows):
        own, row = rng.normal(0, interaction, 40), {}
        for seed in range(seeds):
            effect = means[v] + rng.normal(0, spread[v])
            if rng.random() < missing and (row or seed < seeds - 1):
                continue
            values = base + own + effect
            error = values.std(ddof=1) / math.sqrt(40)
            series = pd.Series(values) if images else None
            row[seed] = Score(values.mean(), error, series) if interaction else Score(effect)
        found[str(v)] = row
    return found


def false_claims(runs, rows, seeds, **how):
    """The shares of tables in which a row is called worse that is not, and with a winner."""
    rng = np.random.default_rng(seeds)
    means = np.broadcast_to(how.get("means", 0.0), rows)
    wrong = won = 0
    for _ in range(runs):
        found = verdict(table(rng, rows, seeds, **how), "higher")
        if found is not None:
            worse = [name for name in found.differences if name not in found.ties]
            wrong += any(means[int(name)] >= means[int(found.best)] for name in worse)
            won += not found.ties
    return wrong / runs, won / runs


def allowed(runs):
    """5 %, and what chance adds to it in so many tables."""
    return 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / runs)


KINDS = {
    "eight equal rows": {},
    "one row that trains unsteadily": {"spread": [5, 1, 1, 1, 1, 1, 1, 1]},
    "every row on a scale of its own": {"spread": [1, 2, 4, 8, 16, 32, 64, 128]},
    "failed cells": {"missing": 0.3},
    "failed cells, unsteady rows": {"missing": 0.3, "spread": [5, 5, 1, 1, 1, 1, 1, 1]},
    "images that suit some rows": {"interaction": 3.0},
    "images alone": {"interaction": 3.0, "spread": 0.01},
    "images, not paired": {"interaction": 3.0, "images": False},
    "four equal rows above four": {"means": [0, 0, 0, 0, -4, -4, -4, -4]},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [2, 5])
def test_no_more_than_one_table_in_twenty_calls_an_equal_row_worse(kind, seeds):
    runs = 100
    assert false_claims(runs, 8, seeds, **KINDS[kind])[0] <= allowed(runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", range(2, 11))
def test_the_rate_of_false_claims_over_many_tables(kind, seeds):
    runs = 1500
    assert false_claims(runs, 8, seeds, **KINDS[kind])[0] <= allowed(runs)


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_one_seed_makes_no_statement_about_variants(rows):
    assert false_claims(50, rows, 1, interaction=3.0) == (0, 0)


@pytest.mark.parametrize(
    ("seeds", "means", "least"),
    [(3, [12, *[0] * 7], 0.8), (5, [6, *[0] * 7], 0.9), (3, [6, 0], 0.9)],
)
def test_a_variant_that_is_far_better_wins(seeds, means, least):
    assert false_claims(100, len(means), seeds, means=means)[1] >= least


def test_two_rows_are_judged_by_welchs_test():
    x, y = [1.0, 2.0, 4.0], [5.0, 17.0, 6.0]
    found = verdict({"x": scores(*x), "y": scores(*y)}, "higher")
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert found.differences["x"].margin == pytest.approx((expected.high - expected.low) / 2)


def test_the_levels_are_holms_with_the_pairs_that_are_left():
    """Three rows: the farthest at 5 % / 3, the next as the only one left at 5 %."""
    rows = {"a": scores(9.0, 9.2), "b": scores(-500.0, -500.1), "c": scores(3.0, 3.2)}
    found = verdict(rows, "higher")
    assert found.ties == [] and found.best == "a"
    for name, level in (("b", 1 - 0.05 / 3), ("c", 0.95)):
        values = [[score.value for score in rows[each].values()] for each in (name, "a")]
        expected = stats.ttest_ind(*values, equal_var=False).confidence_interval(level)
        margin = found.differences[name].margin
        assert margin == pytest.approx((expected.high - expected.low) / 2)


@pytest.mark.parametrize(("better", "best"), [("higher", "b"), ("lower", "a")])
def test_the_best_needs_a_significant_difference_to_every_other_row(better, best):
    found = verdict({"a": scores(1.0, 1.1, se=0.01), "b": scores(9.0, 9.1, se=0.01)}, better)
    assert (found.best, found.ties) == (best, [])
    tied = verdict({"a": scores(1.0, 1.1, se=9.0), "b": scores(9.0, 9.1, se=9.0)}, better)
    assert tied.best == best and len(tied.ties) == 1


def test_with_one_seed_trained_models_are_told_apart_and_variants_are_not():
    rows = {"a": scores(1.0, se=0.1), "b": scores(2.0, se=0.1), "c": scores(1.9, se=0.1)}
    found = verdict(rows, "higher")
    assert found.best == "b" and set(found.ties) == {"a", "c"}
    assert found.models == ["a"] and found.leading == ["b", "c"] and found.seeds == 1
    del rows["c"]
    assert verdict(rows, "higher").leading == ["b"]


def test_nothing_is_said_of_a_row_with_one_seed_beside_rows_with_more():
    rows = {"a": scores(9.0, 9.1, 9.2), "b": scores(1.0, 1.1, 1.2), "c": {0: Score(0.0)}}
    found = verdict(rows, "higher")
    assert found.best == "a" and found.ties == ["c"] and found.models == []
    rows["c"] = {0: Score(20.0)}
    found = verdict(rows, "higher")
    assert found.best == "c" and set(found.ties) == {"a", "b"}


def test_equal_values_are_ties_and_hold_up_no_other_row():
    rows = {name: scores(*[value] * 5) for name, value in {"a": 1.0, "b": 1.0, "c": -5.0}.items()}
    found = verdict(rows, "higher")
    assert len(found.ties) == 1 and "c" not in found.ties


def test_no_verdict_without_direction_rival_or_error():
    rows = {"a": scores(1.0, se=0.1), "b": scores(2.0, se=0.1)}
    assert verdict(rows, None) is None
    assert verdict({"a": rows["a"]}, "higher") is None
    assert verdict({"a": scores(1.0), "b": scores(2.0)}, "higher") is None


def test_pairs_are_antisymmetric_and_at_a_level_for_all_of_them():
    rows = {"a": scores(1.0, 2.0, 4.0), "b": scores(0.0, 2.0, 1.0), "c": scores(5.0, 5.0, 9.0)}
    found = pairwise(rows)
    assert set(found) == {(x, y) for x in rows for y in rows if x != y}
    for (x, y), gap in found.items():
        assert gap == pytest.approx(independent(rows[x], rows[y]).at(1 - 0.05 / 3))
        assert gap.mean == -found[y, x].mean and gap.margin == found[y, x].margin


def test_no_more_than_one_table_in_twenty_has_a_pair_apart():
    rng = np.random.default_rng(0)
    runs = 100
    wrong = sum(
        any(gap.significant for gap in pairwise(table(rng, 8, 3, spread=[5, *[1] * 7])).values())
        for _ in range(runs)
    )
    assert wrong / runs <= allowed(runs)


@pytest.mark.parametrize(("variants", "datasets"), [(2, 6), (3, 6), (8, 6), (8, 20)])
def test_ranks_of_equal_variants_rarely_differ(variants, datasets):
    rng = np.random.default_rng(0)
    gap = critical_difference(variants, datasets)
    runs = 2000
    ranks = [mean_ranks(rng.normal(size=(datasets, variants)), "higher") for _ in range(runs)]
    wrong = np.mean([np.ptp(each) >= gap for each in ranks])
    assert wrong <= allowed(runs)


@pytest.mark.parametrize(("rows", "seeds", "runs"), [(2, 2, 400), (8, 3, 60)])
def test_rows_of_counts_are_called_worse_in_no_more_tables(rows, seeds, runs):
    """Seeds that are all alike say nothing of the spread where few values can be had."""
    rng, wrong = np.random.default_rng(rows + seeds), 0
    for _ in range(runs):
        counts = rng.integers(0, 2, (rows, seeds)).astype(float)
        found = verdict({str(k): scores(*row) for k, row in enumerate(counts)}, "higher")
        wrong += found is not None and len(found.ties) < rows - 1
    assert wrong / runs <= allowed(runs)


@pytest.mark.filterwarnings("error")
def test_rows_without_a_score_are_not_in_the_table():
    known = {"a": scores(1.0, 1.2, 1.1), "b": scores(9.0, 9.1, 9.2)}
    more = {"none": {}, "nan": scores(math.nan, math.nan), **known}
    assert verdict(more, "lower") == verdict(known, "lower")
    assert verdict({"a": scores(math.nan), "b": scores(1.0)}, "lower") is None
    endless = verdict({"never": scores(-math.inf, -5.0), **known}, "higher")
    assert endless.best == "b" and endless.ties == ["never"]
