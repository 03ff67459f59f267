import csv
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from tests.report.make_run import HOSTILE, TRUTH, fail, make_run, result, write_cell
from tests.report.written import terminal as printed_tables
from tests.report.written import write_tables
from vaebench.errors import UserError
from vaebench.report.page.page import render
from vaebench.report.sheet import sheets
from vaebench.runs import files, frames
from vaebench.runs.about import About
from vaebench.runs.run import Run


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("one") / "run")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("three") / "run", (0, 1, 2))


def read(run, name):
    if not (run / name).exists():
        write_tables(run)
    return (run / name).read_text("utf-8")


def terminal(run, width):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(printed_tables(run))
    return console.export_text()


def line(text, label):
    return next(x for x in text.splitlines() if x.strip(" |").startswith(label))


def test_results_csv_has_a_row_per_cell_and_the_promised_columns(three):
    rows = list(csv.DictReader(io.StringIO(read(three, "results.csv"))))
    assert len(rows) == 24
    promised = (
        "cell plugin dataset backbone critic latent seed status elbo log_likelihood_ais kl "
        "active_units sharpness fid_digits elbo_se reason seconds parameters"
    )
    assert set(promised.split()) <= rows[0].keys()
    row = next(r for r in rows if r["plugin"] == "iaf" and r["seed"] == "1")
    kept = files.read_json(three / "cells" / row["cell"] / "result.json")
    assert float(row["elbo"]) == kept["metrics"]["elbo"]["value"]
    assert float(row["elbo_se"]) == kept["metrics"]["elbo"]["se"]
    assert row["latent"] == "10"
    assert float(row["parameters"]) == 25_600


def test_what_could_not_be_computed_is_not_a_number(one):
    rows = {r["plugin"]: r for r in csv.DictReader(io.StringIO(read(one, "results.csv")))}
    assert rows["autoencoder"]["elbo"] == rows["autoencoder"]["elbo_se"] == "n/a"
    assert rows["vmf"]["status"] == "failed"
    assert rows["vmf"]["reason"].startswith("the training loss is NaN")
    assert rows["vmf"]["elbo"] == "n/a"
    assert rows["iaf"]["active_units_se"] == ""


def test_table_csv_holds_means_and_intervals_over_seeds(three):
    table = pd.read_csv(io.StringIO(read(three, "table.csv"))).set_index("plugin")
    cells = Run(three).cells
    values = cells.loc[cells["plugin"] == "iaf", "elbo"].to_numpy()
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    row = table.loc["iaf"]
    assert row["elbo"] == pytest.approx(values.mean())
    assert (row["elbo_ci_low"], row["elbo_ci_high"]) == pytest.approx((low, high))
    errors = cells.loc[cells["plugin"] == "iaf", "elbo_se"]
    assert row["elbo_se"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert (row["n"], row["failed"], row["interval"]) == (3, 0, "t")
    assert (table.loc["vmf", "n"], table.loc["vmf", "failed"]) == (2, 1)


def test_one_seed_has_an_empty_interval(one):
    rows = {r["plugin"]: r for r in csv.DictReader(io.StringIO(read(one, "table.csv")))}
    assert rows["iaf"]["n"] == "1"
    assert {rows["iaf"][x] for x in ("elbo_ci_low", "elbo_ci_high", "interval")} == {""}
    assert rows["autoencoder"]["elbo_ci_low"] == "n/a"
    assert rows["vmf"]["n"] == "0"
    assert rows["vmf"]["reason"].startswith("the training loss is NaN")


def test_ten_seeds_have_students_interval_too(tmp_path):
    for seed in range(10):
        write_cell(tmp_path, result("gaussian", seed))
    run = Run(tmp_path)
    row, values = run.table.iloc[0], run.cells["elbo"]
    expected = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert (row["n"], row["interval"]) == (10, "t")
    assert (row["elbo_ci_low"], row["elbo_ci_high"]) == pytest.approx(expected)


@pytest.mark.parametrize("unit", ["share", "accuracy", "probability", "AUROC"])
def test_the_interval_of_a_share_stays_within_zero_and_one(tmp_path, unit):
    for seed, value in enumerate((0.93, 0.99, 1.0)):
        found = result("gaussian", seed)
        found["metrics"]["mse"] |= {"value": value, "se": None, "unit": unit}
        write_cell(tmp_path, found)
    row = Run(tmp_path).table.iloc[0]
    assert row["mse_ci_high"] == 1 and 0 < row["mse_ci_low"] < 0.9
    entry = sheets(Run(tmp_path))[0].blocks[0].rows[0].entries["mse"]
    assert entry.error.endswith(", 1.000]") and "to 1.000" in entry.detail
    assert entry.value + entry.margins[1] == pytest.approx(1)


def test_every_setting_that_varies_makes_rows_of_its_own(tmp_path):
    for critic in ("none", "patchgan"):
        for latent in (2, 10):
            write_cell(tmp_path, result("gaussian", 0, critic=critic, latent=latent, lr=latent))
    table = Run(tmp_path).table
    assert len(table) == 4
    assert {"plugin", "dataset", "backbone", "critic", "latent", "lr"} <= set(table.columns)
    assert "batch_size" not in table.columns


def test_other_data_under_the_same_name_is_not_averaged(tmp_path):
    write_cell(tmp_path, result("gaussian", 0))
    other = result("gaussian", 1)
    other["data"]["hash"] = "0ther"
    write_cell(tmp_path, other)
    assert Run(tmp_path).table["n"].tolist() == [1, 1]


def test_the_best_is_bold_and_ties_are_marked(three):
    text = read(three, "table.md")
    cells = [cell.strip() for cell in line(text, "iaf").split("|")]
    assert re.fullmatch(r"\*\*-2\d\.\d\d ± 0\.\d\d\*\*", cells[2])
    assert "◇" not in text
    assert re.search(r"^\d+\. vmf: 1 of 3 seeds failed: the training loss", text, re.MULTILINE)
    assert "n/a: prior and decoder are not a model of the data" in text
    assert "gamix is known to break the law “bound”" in text


def test_one_seed_has_no_winner_but_a_model_that_is_ahead(one):
    """In Markdown, LaTeX, terminal and page."""
    text = read(one, "table.md")
    assert "failed" in line(text, "vmf")
    assert re.search(r"^\d+\. vmf: failed: the training loss is NaN", text, re.MULTILINE)
    cells = [cell.strip() for cell in line(text, "iaf").split("|")]
    assert re.fullmatch(r"-2\d\.\d\d ± 0\.\d\d ◇", cells[2])
    assert "The trained model of iaf has the best value" in text
    assert "**" not in text and "is best" not in text and "significantly" not in text
    assert "about these models, not about the variants" in text
    assert "$\\diamond$" in read(one, "table.tex") and "textbf" not in read(one, "table.tex")
    found = Run(one)
    page = render(found, sheets(found), About())
    assert "★" not in page and "◇" in page
    assert "★" not in terminal(one, 200) and "◇" in terminal(one, 200)


def test_no_best_where_the_difference_is_within_the_error(tmp_path):
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        found["metrics"]["elbo"]["value"] = {"gaussian": -24.0, "iwae": -23.9}[name]
        found["metrics"]["elbo"]["se"] = 0.2
        write_cell(tmp_path, found)
    text = read(tmp_path, "table.md")
    assert "-24.00 ± 0.20 =" in text
    assert "-23.90 ± 0.20 =" in text
    assert "**-23.90" not in text


def test_rows_under_other_settings_do_not_compete(tmp_path):
    for critic in ("none", "patchgan"):
        for name in ("gaussian", "iaf", "gamix"):
            write_cell(tmp_path, result(name, 0, critic=critic))
    text = read(tmp_path, "table.md")
    assert text.count("### critic") == 2
    assert len(re.findall(r"\| iaf \| -2[0-9. ±]* ◇", text)) == 2


def test_the_sentences_name_the_winner_with_its_margin(three, tmp_path):
    text = read(three, "table.md")
    margin = r"0\.\d+ ± 0\.\d+ better than iwae"
    assert re.search(rf"iaf is best with -22\.\d+ nats/image, {margin}", text)
    assert "another training run" not in text
    assert "1 of 24 cells failed (vmf)." in text


@pytest.mark.parametrize("width", [100, 118])
def test_the_terminal_table_fits(one, three, width):
    for run in (one, three):
        text = terminal(run, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        for name in TRUTH:
            assert line(text, name)
        for head in ("log p(x), AIS ↑", "ELBO ↑", "FID ↓", "MSE ↓"):
            assert head in text
        assert "n/a" in line(text, "autoencoder")
        assert "real images" in text


def test_hostile_text_stays_text_in_csv_and_markdown(tmp_path):
    for number, name in enumerate(HOSTILE):
        found = result("gaussian", 0)
        found["config"]["plugin"] = found["variant"]["name"] = name
        found["variant"]["deviations"] = {name: name}
        found["metrics"]["elbo"] |= {"title": name, "unit": name, "warning": f"{name} {number}"}
        files.write_json(tmp_path / "cells" / f"c{number}" / "result.json", found)
        files.write_json(
            tmp_path / "cells" / f"f{number}" / "result.json",
            found | {"status": "failed", "reason": name, "metrics": {}},
        )
    for name in ("results.csv", "table.csv"):
        for row in csv.reader(io.StringIO(read(tmp_path, name))):
            for cell in row:
                assert not re.match(r"[=+@\t\r]|-(?![\d.])", cell), cell
    text = read(tmp_path, "table.md")
    assert not re.search(r"(?<!\\)<(?!/?sup>|br>)", text)
    tables = [x for x in text.splitlines() if x.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", x)) for x in tables}) == 1
    assert not re.search(r"(?<!\\)\[click", text)
    assert "\x1b" not in terminal(tmp_path, 118)


def test_damaged_cells_are_rows_with_a_reason(tmp_path):
    make_run(tmp_path, (0, 1))
    names = sorted(p.name for p in (tmp_path / "cells").iterdir())
    (tmp_path / "cells" / names[0] / "result.json").write_text('{"schema": 1,')
    (tmp_path / "cells" / names[3] / "result.json").unlink()
    (tmp_path / "cells" / names[5] / "per_image.csv").write_bytes(b"\xff\x00,,\n\n")
    (tmp_path / "cells" / names[7] / "per_image.csv").write_text("elbo\n1\n")
    rows = {r["cell"]: r for r in csv.DictReader(io.StringIO(read(tmp_path, "results.csv")))}
    assert rows[names[0]]["status"] == "failed"
    assert "truncated" in rows[names[0]]["reason"]
    assert (rows[names[0]]["plugin"], rows[names[0]]["seed"]) == ("autoencoder", "0")
    assert rows[names[3]]["status"] == "unfinished"
    table = Run(tmp_path).table
    assert len(table) == 8
    assert table.set_index("plugin").loc["autoencoder", "n"] == 1


def test_a_run_of_failures_and_one_without_cells_have_tables_too(tmp_path):
    fail(tmp_path / "a", "gaussian", 0, "no luck")
    (tmp_path / "b" / "cells").mkdir(parents=True)
    assert "no luck" in read(tmp_path / "a", "table.md")
    assert "no luck" in terminal(tmp_path / "a", 100)
    assert read(tmp_path / "b", "results.csv").startswith("cell,")
    with pytest.raises(UserError):
        write_tables(tmp_path)


def test_a_spread_of_any_size_can_be_shown(tmp_path):
    for name, value in {"gaussian": 1e99, "iwae": -1e-99, "iaf": 0.0}.items():
        found = result(name, 0)
        found["metrics"]["elbo"] |= {"value": value, "se": 1e90}
        write_cell(tmp_path, found)
    assert "1.00e+99" in read(tmp_path, "table.md")
    assert terminal(tmp_path, 118)


def test_real_images_are_a_row_of_reference(tmp_path):
    found = result("gaussian", 0)
    found["metrics"]["fid_digits"]["depends"]["floor"] = 1.25
    write_cell(tmp_path, found)
    cells = [c.strip() for c in line(read(tmp_path, "table.md"), "*real images*").split("|")]
    assert {"0.0078", "1.25"} <= set(cells)


def test_reading_needs_no_torch(one):
    code = (
        "import sys; from vaebench import report; "
        f"report.write({str(one)!r}); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_setting_that_older_records_lack_is_what_it_was_then(monkeypatch):
    monkeypatch.setattr(frames, "ABSENT", {"optimiser": "adam"})
    older, same, other = (result("gaussian", seed) for seed in (0, 1, 2))
    same["config"]["optimiser"] = "adam"
    other["config"]["optimiser"] = "sgd"
    records = [r | {"cell": f"gaussian-{i}"} for i, r in enumerate((older, same, other))]
    found = frames.frame("nowhere", records)
    assert found["optimiser"].tolist() == ["adam", "adam", "sgd"]
    assert [len(part) for _, part in frames.groups(found)] == [2, 1]
