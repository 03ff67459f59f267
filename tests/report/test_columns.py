import io

import pytest
from rich.console import Console

from tests.report.make_run import metric, result, write_cell
from tests.report.written import terminal, write_tables
from vaebench.report import sheet
from vaebench.runs import files
from vaebench.runs.run import Run


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
    return sheet.sheets(Run(run))[0]


def test_what_stands_beside_the_fid_does_not_crowd_the_main_table(run):
    found = {column.name: column for column in columns(run).columns}
    assert found["fid_digits"].head == "FID (digits)" and found["fid_digits"].key
    assert not found["fid_digits_noise"].key and not found["fid_digits_infinity"].key
    assert not found["kid_digits"].key and "fid_digits_real" not in found


def test_the_features_stand_in_head_and_title(run):
    found = {column.name: column for column in columns(run).columns}
    assert found["rec_fid_digits"].head == "rec. FID (digits)"
    assert found["kid_digits"].head == found["kid_digits"].title == "FID of samples (digits)"
    assert found["elbo"].head == "ELBO" and found["sharpness"].title == "Sharpness of samples"


def test_each_likelihood_says_over_which_images_it_is(tmp_path):
    for name, count in (("gaussian", 64), ("iwae", 32)):
        found = result(name, 0)
        found["metrics"]["kl"]["n"] = count
        write_cell(tmp_path, found)
    (block,) = columns(tmp_path).blocks
    assert block.images["log_likelihood_ais"] == "first 64 images"
    assert block.images["elbo"] == "400 images" and block.images["fid_digits"] == ""
    assert block.images["kl"] == "32 to 64 images"
    screen = Console(file=io.StringIO(), width=100)
    screen.print(terminal(tmp_path))
    write_tables(tmp_path)
    for text in (screen.file.getvalue(), (tmp_path / "table.md").read_text()):
        assert (
            "log p(x) by AIS is a mean over the first 64 images and ELBO over 400 images: do not "
            "compare these two columns; inference_gap does on the same images."
        ) in " ".join(text.split())


def test_without_a_difference_of_images_nothing_is_said_of_them(tmp_path):
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        found["metrics"]["log_likelihood_ais"]["n"] = 400
        write_cell(tmp_path, found)
    write_tables(tmp_path)
    assert "do not compare" not in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(("width", "hidden"), [(300, 0), (80, 5)])
def test_the_terminal_counts_the_columns_that_it_leaves_out(run, width, hidden):
    screen = Console(file=io.StringIO(), width=width)
    screen.print(terminal(run))
    assert (f"\n{hidden} more columns in table.md" in screen.file.getvalue()) == (hidden > 0)
    assert ("more column" in screen.file.getvalue()) == (hidden > 0)


def test_real_images_stand_under_samples_and_reconstructions(run):
    (block,) = columns(run).blocks
    assert float(block.references["fid_digits"]) == 1.5
    assert float(block.references["rec_fid_digits"]) == 1.5


def test_only_footnotes_that_are_referred_to_are_printed(run):
    assert "n/a: nobody asked" in columns(run).notes
    screen = Console(file=io.StringIO(), width=200)
    screen.print(terminal(run))
    write_tables(run)
    for text in (screen.file.getvalue(), (run / "table.md").read_text()):
        assert "nobody asked" not in text and "fewer images" in text


def test_what_no_cell_has_leaves_the_main_table_unless_it_is_a_likelihood(tmp_path):
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        for one in ("mse", "log_likelihood_ais"):
            found["metrics"][one] |= {"value": None, "se": None, "reason": "no file"}
        write_cell(tmp_path, found)
    found = {column.name: column.key for column in columns(tmp_path).columns}
    assert found["log_likelihood_ais"] and found["sharpness"] and not found["mse"]


def test_costs_are_columns(run):
    found = Run(run).cells.iloc[0]
    assert found["seconds_per_epoch"] == 0.5 and found["peak_memory"] == 512.5
    names = [column.name for column in columns(run).columns]
    assert {"seconds", "seconds_per_epoch", "decoder_passes", "peak_memory"} <= set(names)


def test_the_time_to_an_elbo_needs_all_seeds_and_names_its_target(tmp_path):
    for name, slow in (("gaussian", 0), ("iwae", 2)):
        for seed in range(2):
            folder = write_cell(tmp_path, result(name, seed))
            elbos = [-30.0, -25.0] if seed < slow else [-30.0, -20.0 + seed]
            rows = "".join(f"{i},{10 * i},{elbo}\n" for i, elbo in enumerate(elbos, 1))
            files.write_text(folder / "history.csv", "epoch,seconds,valid_elbo\n" + rows)
    sheet = columns(tmp_path)
    column = next(c for c in sheet.columns if c.name == "seconds_to_elbo")
    target = Run(tmp_path).cells["elbo_target"].iloc[0]
    assert column.depends == f"target: {target:.2f}"
    (block,) = sheet.blocks
    values = {row.label: row.entries["seconds_to_elbo"].value for row in block.rows}
    assert values == {"gaussian": 20.0, "iwae": 20.0 if target <= -25 else None}


def test_a_column_that_needs_all_seeds_says_why_it_has_no_mean(tmp_path):
    for seed, elbo in enumerate((-20.0, -20.0, -20.0, -20.0, -40.0)):
        folder = write_cell(tmp_path, result("gaussian", seed))
        files.write_text(folder / "history.csv", f"epoch,seconds,valid_elbo\n1,10,{elbo}\n")
    ((row,),) = (block.rows for block in columns(tmp_path).blocks)
    entry = row.entries["seconds_to_elbo"]
    assert (
        entry.value is None and entry.detail == "Not available: not every seed reached the target"
    )


def test_a_warning_of_one_seed_names_it(tmp_path):
    for seed in range(3):
        for name in ("gaussian", "iwae"):
            found = result(name, seed)
            if (name, seed) == ("iwae", 1):
                found["metrics"]["elbo"]["warning"] = "few chains"
            write_cell(tmp_path, found)
    found = [note for note in columns(tmp_path).notes if "few chains" in note]
    assert found == ["seed 1: few chains"]


def test_under_a_frozen_decoder_gaps_are_in_the_table_and_log_p_is_no_merit(tmp_path):
    for name, gap in (("gaussian", 0.4), ("iwae", 0.9)):
        found = result(name, 0)
        found["metrics"]["inference_gap"] = metric("kl", gap, 0.01, None)
        write_cell(tmp_path / "trained", found)
        found["config"]["decoder_of"] = "gaussian-digits-s0-00000000@0123456789abcdef"
        write_cell(tmp_path / "frozen", found)
    trained, frozen = (
        {column.name: column for column in columns(tmp_path / which).columns}
        for which in ("trained", "frozen")
    )
    assert not trained["inference_gap"].key and frozen["inference_gap"].key
    assert trained["log_likelihood_ais"].better == "higher"
    assert frozen["log_likelihood_ais"].better is None
    for which, said in (("trained", False), ("frozen", True)):
        write_tables(tmp_path / which)
        text = (tmp_path / which / "table.md").read_text()
        assert ("gaussian-digits-s0-00000000, frozen" in text) == said
        assert text.count("0123456789abcdef") == 0
