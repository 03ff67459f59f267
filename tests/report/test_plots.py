import numpy as np
import pytest
from scipy import stats

from tests.report.make_run import make_run, result, write_cell
from vaebench import report, results, store
from vaebench.report.plots import Look
from vaebench.report.ranking import critical_difference, mean_ranks, ranking
from vaebench.report.sheet import sheets
from vaebench.report.terms import figures


def blocks(run):
    records = store.cells(run)
    found = sheets(results.frame(run, records), records)
    return [(sheet, block) for sheet in found for block in sheet.blocks], {
        record["cell"]: record for record in records
    }


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
        assert "Over all data sets" in report.write(tmp_path).read_text()
    for each in drawn:
        assert f"over {datasets} data sets" in each["text"] and "iaf ranks first" in each["text"]


def test_bounds_are_drawn_on_the_images_that_ais_had(tmp_path):
    run = make_run(tmp_path, (0, 1))
    ((_, block),), records = blocks(run)
    drawn = {
        title: figure
        for title, _, figure in figures(
            str(run), block.rows, records, Look([r.label for r in block.rows])
        )
    }
    axes = drawn["Bounds against K"].axes[0]
    lines = {line.get_color(): line for line in axes.lines if len(line.get_xdata()) == 2}
    assert len(axes.lines) == 2 * 7 and lines
    cells = [record for record in records.values() if record["config"]["plugin"] == "iaf"]
    values = [
        results.numbers(run, f"cells/{record['cell']}/per_image.csv", "index").dropna()
        for record in cells
    ]
    expected = [np.mean([frame[name].mean() for frame in values]) for name in ("elbo", "iwae_128")]
    curves = [list(line.get_ydata()) for line in axes.lines if list(line.get_xdata()) == [1, 128]]
    assert any(np.allclose(curve, expected) for curve in curves)


def test_kl_by_dimension_is_sorted_and_only_from_whole_lists(tmp_path):
    for name, values in {"gaussian": [0.1, 2.0, 0.0], "gmm": [1.0, None], "iaf": "no"}.items():
        found = result(name, 0)
        found["metrics"]["kl"]["detail"] = {"per_dimension": values}
        write_cell(tmp_path, found)
    ((_, block),), records = blocks(tmp_path)
    look = Look([row.label for row in block.rows])
    drawn = {t: f for t, _, f in figures(str(tmp_path), block.rows, records, look)}
    (line,) = drawn["KL by dimension"].axes[0].lines
    assert list(line.get_ydata()) == [2.0, 0.1, 0.0]
