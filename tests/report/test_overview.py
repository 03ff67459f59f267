import io

import numpy as np
import pytest
from rich.console import Console

from tests.report.make_run import make_run, result, write_cell
from tests.report.written import read as read_run
from tests.report.written import render
from vaebench.report.comparison import versus
from vaebench.report.comparison.differences import compare
from vaebench.report.comparison.overview import overview


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("overview") / "run", (0, 1, 2))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six") / "run"
    for number in range(6):
        for seed in (0, 1):
            for name in ("gaussian", "iaf", "gmm"):
                found = result(name, seed, dataset=f"data{number}")
                found["data"]["hash"] = f"hash{number}"
                write_cell(folder, found)
    return folder


def printed(found):
    screen = Console(file=io.StringIO(), width=160)
    for part in versus.terminal(found):
        screen.print(part)
    return screen.file.getvalue()


def test_three_variants_are_compared_in_all_pairs(run):
    view = overview(compare(("gaussian", "iaf", "gamix"), run, ("elbo",)))
    ((title, found),) = view.matrices
    assert title == "All pairs on digits" and set(found.labels) == {"gaussian", "iaf", "gamix"}
    assert found.cells["iaf", "gamix"][1] == "better" and found.cells["gamix", "iaf"][1] == "worse"
    assert found.cells["iaf", "gamix"][0].startswith("+")
    assert found.cells["iaf", "gamix"][0][1:] == found.cells["gamix", "iaf"][0][1:]
    assert not overview(compare(("gaussian", "iaf"), run, ("elbo",))).matrices


def test_scores_are_normalised_among_all_variants_of_the_run(run):
    (standing,) = overview(compare(("gaussian", "gmm"), run, ("elbo",))).standings
    cells = read_run(run).cells
    means = cells.groupby("plugin")["elbo"].mean().dropna()
    span = means.max() - means.min()
    expected = (means["gmm"] - means.min()) / span
    assert set(standing.means) == {"gaussian", "gmm"}
    assert standing.means["gmm"].mean == pytest.approx(expected)


def test_one_seed_has_no_interquartile_mean_and_that_is_said(tmp_path):
    run = make_run(tmp_path / "run")
    assert "needs 3 finished seeds" in printed(compare(("gaussian", "iaf"), run, ()))
    assert "needs 3 finished seeds" in render(run, drawn=False)


def test_from_six_data_sets_on_ranks_are_given(six, run):
    found = compare(("gaussian", "iaf"), six, ("elbo",))
    (ranks,) = overview(found).ranks
    means = read_run(six).cells.groupby("plugin")["elbo"].mean()
    order = means.sort_values(ascending=False).index
    assert ranks.datasets == 6
    assert ranks.means == dict(zip(order, (1.0, 2.0, 3.0), strict=True))
    assert ranks.gap == pytest.approx(2.343 * np.sqrt(3 * 4 / 36), abs=1e-3)
    assert "ELBO: mean ranks over 6 data sets: iaf 1.00" in printed(found)
    assert not overview(compare(("gaussian", "iaf"), run, ("elbo",))).ranks


def test_runs_stand_beside_each_other(run, tmp_path):
    other = make_run(tmp_path / "later", (0, 1, 2))
    found = compare((str(run), str(other)), None, ("elbo",))
    (standing,) = overview(found).standings
    assert {"iaf (run)", "iaf (later)"} <= set(standing.means)


def test_terminal_and_pages_show_it(run, six, tmp_path):
    found = compare(("gaussian", "iaf", "gmm"), run, ())
    text = printed(found)
    for words in ("All pairs on digits: ELBO", "Interquartile means over data sets and seeds"):
        assert words.replace("ELBO", "log p(x) by AIS") in text
    page = versus.page(found, tmp_path / "page.html").read_text()
    assert "All pairs on digits" in page and "Interquartile means" in page
    page = render(run, drawn=False)
    assert "Differences between all pairs" in page and "Over data sets and seeds" in page
    assert (
        "mean ranks over 6 data sets"
        in versus.page(compare(("gaussian", "iaf"), six, ()), tmp_path / "six.html").read_text()
    )


def test_a_comparison_says_that_networks_differ(tmp_path):
    for name, networks in (("gaussian", ""), ("gmm", ""), ("iaf", "other.networks")):
        found = result(name, 0)
        found["variant"]["networks"] = networks
        write_cell(tmp_path, found)
    alike, apart = compare(("gaussian", "gmm", "iaf"), tmp_path, ())
    said = ["Their networks differ" in " ".join(versus._methods(one)) for one in (alike, apart)]
    assert said == [False, True]
