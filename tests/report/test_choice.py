import re

import pandas as pd
import pytest

from tests.report.make_run import make_run, result, write_cell
from vaebench.errors import UserError
from vaebench.report.columns import fixed, named
from vaebench.report.plots import export
from vaebench.report.plots.export import FORMATS
from vaebench.report.sheet import sheets
from vaebench.report.tables.choice import Wish, chosen
from vaebench.report.tables.write import write
from vaebench.runs.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("choice") / "run")


@pytest.fixture(scope="module")
def sheet(run):
    (found,) = sheets(Run(run))
    return found


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("elbo", "elbo"),
        ("fid", "fid_digits"),
        ("rec_fid", "rec_fid_digits"),
        ("ais", "log_likelihood_ais"),
        ("iwae", "iwae_128"),
        ("seconds", "seconds"),
    ],
)
def test_short_names_stand_for_columns(sheet, name, column):
    assert [each.name for each in named(name, sheet.columns)] == [column]


def test_an_unknown_column_is_named_with_the_nearest(sheet):
    with pytest.raises(UserError, match=r"'elboo'.*'elbo'"):
        chosen([sheet], ["ais", "elboo"])


def test_a_column_that_may_be_several_is_asked_for_in_full(sheet):
    with pytest.raises(UserError, match=r"fid_digits, rec_fid_digits"):
        chosen([sheet], ["digits"])


def test_all_tables_have_the_columns_and_decimals_that_are_asked_for(run, tmp_path):
    wish = Wish(("fid", "ais", "active_units"), 1)
    found = Run(run)
    write(found, chosen(sheets(found, wish.digits), wish.columns), tmp_path, wish)
    table = pd.read_csv(tmp_path / "table.csv")
    scores = [name for name in table if f"{name}_se" in table]
    assert scores == ["fid_digits", "log_likelihood_ais", "active_units"]
    assert not {"elbo", "kl", "seconds"} & set(table)
    row = table.set_index("plugin").loc["iaf"]
    assert float(row["fid_digits"]) == round(float(row["fid_digits"]), 1)
    head, _, *rows = (tmp_path / "table.md").read_text().split("\n")[2:]
    assert head.count("|") == 6 and re.search(r"FID.*log p", head)
    fid, ais, active = rows[0].split("|")[2:5]
    assert re.match(r"[ *]*\d\.\d ± \d\.\d\b", fid) and re.match(r"[ *]*-22\.\d ± \d\.\d\b", ais)
    assert re.fullmatch(r" \d+ ", active)


def test_whole_numbers_stay_whole_and_small_ones_keep_their_digits(sheet, run):
    done = Run(run).cells.query("status == 'done'")
    columns = {column.name: column for column in sheet.columns}
    digits = {n: fixed(columns[n], done, 2).digits for n in ("elbo", "active_units", "mse")}
    assert digits == {"elbo": 2, "active_units": 0, "mse": 3}


def test_figures_are_files_and_the_same_bytes_again(tmp_path):
    for name in ("gaussian", "iwae"):
        cell = write_cell(tmp_path, result(name, 0))
        (cell / "history.csv").write_text("epoch,valid_elbo\n1,-30\n2,-25\n")
    run = Run(tmp_path)
    for folder in "ab":
        export.write(run, sheets(run), tmp_path / folder, FORMATS)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    names = {
        f"digits-{x}.{kind}" for x in ("bounds-against-k", "validation-elbo") for kind in FORMATS
    }
    assert names <= files.keys()
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_a_data_set_without_the_columns_is_left_out(tmp_path):
    for dataset in ("digits", "other"):
        found = result("gaussian", 0, dataset=dataset)
        if dataset == "other":
            del found["metrics"]["kl"]
        write_cell(tmp_path, found)
    assert [sheet.dataset for sheet in chosen(sheets(Run(tmp_path)), ["kl"])] == ["digits"]
