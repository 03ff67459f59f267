import io

import pytest
from rich.console import Console

from tests.report.make_run import metric, result, write_cell
from vaebench import results, store
from vaebench.report import sheet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with metrics that the main table does not show."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        found["train"] |= {"peak_memory": 512.5, "seconds": 30.0, "epochs": 60}
        extra = {
            "fid_digits_real": 1.5,
            "fid_digits_noise": 40.0,
            "fid_digits_infinity": 8.5,
            "kid_digits": None,
        }
        for column, value in extra.items():
            found["metrics"][column] = metric("fid_digits", value, None, "nobody asked")
        write_cell(folder, found)
    return folder


def columns(run):
    records = store.cells(run)
    return sheet.sheets(results.frame(run, records), records)[0]


def test_what_stands_beside_the_fid_does_not_crowd_the_main_table(run):
    found = {column.name: column for column in columns(run).columns}
    assert found["fid_digits"].short == "FID" and found["fid_digits"].key
    assert not found["fid_digits_noise"].key and not found["fid_digits_infinity"].key
    assert not found["kid_digits"].key and "fid_digits_real" not in found


def test_real_images_stand_under_samples_and_reconstructions(run):
    (block,) = columns(run).blocks
    assert float(block.references["fid_digits"]) == 1.5
    assert float(block.references["rec_fid_digits"]) == 1.5


def test_only_footnotes_that_are_referred_to_are_printed(run):
    assert "n/a: nobody asked" in columns(run).notes
    screen = Console(file=io.StringIO(), width=200)
    screen.print(results.terminal(run))
    results.write(run)
    for text in (screen.file.getvalue(), (run / "table.md").read_text()):
        assert "nobody asked" not in text and "fewer images" in text


def test_costs_are_columns(run):
    found = results.load(run).iloc[0]
    assert found["seconds_per_epoch"] == 0.5 and found["peak_memory"] == 512.5
    names = [column.name for column in columns(run).columns]
    assert {"seconds", "seconds_per_epoch", "decoder_passes", "peak_memory"} <= set(names)
