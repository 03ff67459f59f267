import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.report.make_run import make_run, per_image, result, write_cell
from tests.report.written import render
from vaebench import report
from vaebench.report.comparison.ranking import critical_difference, mean_ranks, ranking
from vaebench.report.plots import bounds
from vaebench.report.plots.history import curve
from vaebench.report.plots.ladder import ladder
from vaebench.report.plots.look import Look
from vaebench.report.plots.scatter import scatter
from vaebench.report.plots.style import brief, with_unit
from vaebench.report.plots.terms import figures
from vaebench.report.sheet import sheets
from vaebench.runs import files
from vaebench.runs.run import Run


def blocks(run):
    found = Run(run)
    return [(sheet, block) for sheet in sheets(found) for block in sheet.blocks], found.records


@pytest.mark.parametrize(
    ("variants", "expected"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_the_critical_difference_is_that_of_the_published_table(variants, expected):
    """Demšar 2006, table 5(a): q at 0.05."""
    factor = np.sqrt(variants * (variants + 1) / (6 * 14))
    assert critical_difference(variants, 14) == pytest.approx(expected * factor, abs=1e-3 * factor)


def test_mean_ranks_put_the_best_first_and_share_ties():
    values = np.array([[1.0, 2.0, 2.0], [3.0, 1.0, 0.0]])
    assert mean_ranks(values, "lower").tolist() == [2.0, 2.25, 1.75]
    assert mean_ranks(values, "higher").tolist() == [2.0, 1.75, 2.25]
    assert stats.rankdata([0.1, 0.2]).tolist() == [1, 2]


@pytest.mark.parametrize(("datasets", "diagrams"), [(5, 0), (6, 2)])
def test_a_diagram_needs_six_data_sets(tmp_path, datasets, diagrams):
    for number in range(datasets):
        for name in ("gaussian", "iaf", "gmm"):
            write_cell(tmp_path, result(name, 0, dataset=f"data{number}"))
    found, _ = blocks(tmp_path)
    look = Look(["gaussian", "iaf", "gmm"])
    drawn = ranking(found, look)
    assert len(drawn) == diagrams
    if diagrams:
        assert "Ranks over all data sets" in render(tmp_path, drawn=False)
    for each in drawn:
        assert f"over {datasets} data sets" in each["text"] and "iaf ranks first" in each["text"]


def bounds_of(run, name):
    ((_, block),), _ = blocks(run)
    return block.bounds[name]


def test_the_ais_estimate_is_carried_over_to_the_images_of_the_bound(tmp_path):
    """AIS had the first 64 images of 400: its gap to the bound there is added to the bound."""
    run = make_run(tmp_path, (0, 1))
    frames = [per_image("iaf", seed) for seed in (0, 1)]
    found = bounds_of(run, "iaf")
    assert list(found.values.index) == [1, 128]
    for seed, one in enumerate(frames):
        expected = [one["elbo"].mean(), one["iwae_128"].mean()]
        assert found.values.iloc[:, seed].to_list() == pytest.approx(expected)
    gaps = [frame["log_likelihood_ais"][:64] - frame["iwae_128"][:64] for frame in frames]
    means = [f["iwae_128"].mean() + gap.mean() for f, gap in zip(frames, gaps, strict=True)]
    assert found.log_px == pytest.approx(np.mean(means))
    squares = [gap.var(ddof=1) / 64 * (1 - 64 / 400) for gap in gaps]
    assert found.se == pytest.approx(np.sqrt(np.sum(squares)) / 2)


def test_the_bound_against_k_is_the_curve_that_the_metric_keeps(tmp_path):
    kept = {"k": [1, 2, 5, 128], "bound": [-24.0, -23.5, -23.0, -22.6], "se": [0.1] * 4}
    for seed in (0, 1):
        found = result("iaf", seed)
        found["metrics"]["iwae_128"]["detail"] = {
            "curve": kept | {"bound": [b - seed for b in kept["bound"]]}
        }
        write_cell(tmp_path, found)
    assert bounds_of(tmp_path, "iaf").values.mean(axis=1).to_dict() == dict(
        zip(kept["k"], np.array(kept["bound"]) - 0.5, strict=True)
    )
    ((_, block),), records = blocks(tmp_path)
    drawn = {t: f for t, _, f in figures(block, records, Look(["iaf"]))}
    axes = drawn["Bounds against K"].axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "128", "AIS"]
    assert list(axes.lines[0].get_ydata()) == [-24.5, -24.0, -23.5, -23.1]


def test_the_words_about_the_bounds_name_images_bands_and_levels(tmp_path):
    run = make_run(tmp_path, (0, 1))
    text = bounds.text([bounds_of(run, "iaf"), bounds_of(run, "gmm")])
    assert "L_K over 400 test items, mean over seeds; bands, the range over seeds" in text
    assert "AIS saw the first 64 of them only" in text and "means over these 64" in text
    single = bounds_of(make_run(tmp_path / "one", (0,)), "iaf")
    alone = bounds.text([single._replace(annealed=400)])
    assert "seeds" not in alone and "only" not in alone and "± 2 standard errors" in alone
    assert "AIS" not in bounds.text([single._replace(annealed=0, log_px=np.nan)])


def test_of_many_variants_all_but_the_first_are_grey():
    names = [f"v{i}" for i in range(9)]
    look = Look(names)
    assert look.focused(names[:8]).grey == frozenset()
    focused = look.focused(names)
    assert focused.grey == set(names[6:])
    assert [focused.colour(n) for n in names[:6]] == [look.colour(n) for n in names[:6]]
    assert len({focused.colour(n) for n in names[6:]}) == 1 and focused.line("v8")["alpha"] < 1


def test_a_page_of_many_variants_says_which_are_grey(tmp_path):
    for number in range(12):
        found = result("gaussian", 0)
        found["config"]["plugin"] = found["variant"]["name"] = f"gaussian{number}"
        found["metrics"]["log_likelihood_ais"]["value"] -= number
        files.write_json(tmp_path / "cells" / f"c{number}" / "result.json", found)
    html = report.write(tmp_path).page.read_text()
    assert "In colour the first 6 variants of the table; the filter gives others" in html
    legend = html.partition('class="legend"')[2].partition("</p>")[0]
    assert legend.count('class="grey"') == 6
    assert legend.index("gaussian5<") < legend.index('class="grey"') < legend.index("gaussian6<")


@pytest.mark.parametrize(
    "kept", ["no", {"k": 3, "bound": [1]}, {"k": ["x", 0], "bound": [1, 2]}, {"k": [1] * 99}]
)
def test_a_damaged_curve_leaves_the_bounds_of_the_images(tmp_path, kept):
    found = result("iaf", 0)
    found["metrics"]["iwae_128"]["detail"] = {"curve": kept}
    write_cell(tmp_path, found)
    assert list(bounds_of(tmp_path, "iaf").values.index) == [1, 128]


def test_kl_by_dimension_is_sorted_and_only_from_whole_lists(tmp_path):
    for name, values in {"gaussian": [0.1, 2.0, 0.0], "gmm": [1.0, None], "iaf": "no"}.items():
        found = result(name, 0)
        found["metrics"]["kl"]["detail"] = {"per_dimension": values}
        write_cell(tmp_path, found)
    ((_, block),), records = blocks(tmp_path)
    look = Look([row.label for row in block.rows])
    drawn = {t: f for t, _, f in figures(block, records, look)}
    (line,) = drawn["KL by dimension"].axes[0].lines
    assert list(line.get_ydata()) == [2.0, 0.1, 0.0]


def test_a_name_looks_the_same_on_pages_of_other_variants():
    one, other = Look(["gaussian", "iwae", "gmm"]), Look(["vmf", "iwae", "stranger", "gaussian"])
    for name in ("gaussian", "iwae"):
        assert (one.colour(name), one.marker(name)) == (other.colour(name), other.marker(name))


def test_forty_variants_look_different():
    names = [f"variant-{i}" for i in range(40)]
    look = Look(names)
    assert len({(look.colour(n), look.marker(n)) for n in names}) == 40
    assert len({look.colour(n) for n in names[:10]}) > 1
    few = Look(names[:10])
    assert len({few.colour(n) for n in names[:10]}) == 10
    assert len({str(few.line(n)["linestyle"]) for n in names[:10]}) == 4


def test_rows_far_away_stand_at_the_edge_with_their_values():
    points = {f"v{i}": (-0.1 * i, 0.1, 0.1) for i in range(6)} | {"far": (-40.0, 1.0, 1.0)}
    _, axes = ladder(points, Look(points))
    left, right = axes.get_xlim()
    assert left > -2 and right < 1
    assert [text.get_text() for text in axes.texts] == ["-40"]
    _, axes = ladder({k: v for k, v in points.items() if k != "far"}, Look(points))
    assert not axes.texts


@pytest.mark.parametrize("count", [1, 2, 3])
def test_bars_of_few_variants_are_drawn_whole(count):
    points = {f"v{i}": (0.1 * i, 0.3, 0.3) for i in range(count)}
    _, axes = ladder(points, Look(points))
    bottom, top = axes.get_ylim()
    assert bottom >= count - 0.5 and top <= -0.5
    left, right = axes.get_xlim()
    assert left < -0.3 and right > 0.1 * (count - 1) + 0.3


def test_epochs_are_whole_and_times_begin_at_zero(tmp_path):
    for name, seconds in (("gaussian", 0.4), ("iaf", 30.0)):
        found = result(name, 0)
        found["train"]["seconds"] = seconds
        write_cell(tmp_path, found)
    ((_, block),), _ = blocks(tmp_path)
    (sheet,) = {id(s): s for s, _ in blocks(tmp_path)[0]}.values()
    columns = {column.name: column for column in sheet.columns}
    look = Look(["gaussian", "iaf"])
    drawn = scatter(columns["seconds"], columns["elbo"], block.rows, look)
    assert drawn.axes[0].get_xlim()[0] >= 0
    frame = pd.DataFrame({"valid_elbo": [-9.0, -8.0, -7.0]}, index=[1, 2, 3])
    axes = curve("valid_elbo", {"gaussian": [frame]}, look).axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("gaussian", "gaussian"),
        ("gmm[components=8,estimator=implicit]", "gmm[components=8,…]"),
        ("a" * 30, "a" * 21 + "…"),
    ],
)
def test_long_labels_are_cut_after_a_whole_option(label, shown):
    assert brief(label) == shown


def test_distortion_by_level_is_drawn_over_the_rate_of_the_levels(tmp_path):
    for name, levels in (
        ("gmm", {"blocks": ["a", "b"], "rate": [0, 3, 8.5], "distortion": [40, 30.5, 20]}),
        ("iaf", {"blocks": ["a"], "rate": [0, 3], "distortion": "no list"}),
        ("gaussian", None),
    ):
        found = result(name, 0)
        found["metrics"]["elbo"]["detail"] = {"levels": levels} if levels else {}
        write_cell(tmp_path, found)
    ((_, block),), records = blocks(tmp_path)
    made = figures(block, records, Look(r.label for r in block.rows))
    (axes,) = [f.axes[0] for title, _, f in made if title.startswith("Distortion at the rate")]
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [0, 3, 8.5]
    assert line.get_ydata().tolist() == [40, 30.5, 20]


def test_a_unit_has_a_line_of_its_own_where_the_text_is_long():
    assert with_unit("difference to iwae", "nats/image") == "difference to iwae, nats/image"
    assert with_unit("difference to iwae", None) == "difference to iwae"
    long = with_unit("difference to gaussian[samples=8]", "squared feature distance")
    assert long == "difference to gaussian[samples=8]\nsquared feature distance"
