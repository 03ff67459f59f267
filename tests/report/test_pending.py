"""A run that is still going on: what has no result yet is not finished, not failed."""

import io

import pandas as pd
import pytest
from rich.console import Console

from tests.report.make_run import cell_name, fail, result, write_cell
from tests.report.test_page import Page
from tests.report.written import read, render, sheets_of, terminal, write_tables
from vaebench.runs import files


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of ten planned cells four are done, one failed, one has begun and four have no folder."""
    folder = tmp_path_factory.mktemp("pending")
    planned = [
        result(name, seed)
        for name in ("gaussian", "iwae", "iaf", "gmm", "vmf")
        for seed in (0, 1)
    ]  # fmt: skip
    for found in planned[:4]:
        write_cell(folder, found)
    (folder / "cells" / cell_name(planned[4])).mkdir()
    fail(folder, "vmf", 0, "no luck")
    cells = {cell_name(each): each["config"] | {"data": each["data"]["hash"]} for each in planned}
    files.write_json(folder / "plan.json", {"cells": cells})
    return folder


def test_planned_cells_are_rows_of_their_variant(run):
    ((block,),) = (sheet.blocks for sheet in sheets_of(run))
    rows = {row.label: (row.seeds, row.failed, row.unfinished, row.state) for row in block.rows}
    assert rows["gaussian"][:3] == rows["iwae"][:3] == (2, 0, 0)
    assert rows["iaf"] == rows["gmm"] == (0, 0, 2, "not finished")
    assert rows["vmf"] == (0, 1, 1, "failed")


def test_the_page_counts_what_was_planned(run):
    text = " ".join(" ".join(Page(render(run, drawn=False)).text).split())
    assert "10 cells planned, 5 not finished" in text
    assert "5 of 10 planned cells are not finished (gmm, iaf and vmf)." in text
    assert "1 of 10 cells failed (vmf)." in text
    assert "unfinished" not in text.partition("Each cell")[2]
    assert text.partition("Each cell")[2].count(" not finished ") == 5
    assert text.count("failed: no luck") == 2


def test_the_tables_say_so(run):
    write_tables(run)
    lines = (run / "table.md").read_text().splitlines()
    assert any(line.startswith("| iaf | not finished |") for line in lines)
    assert r"{l}{not finished} & 0 \\" in (run / "table.tex").read_text()
    screen = Console(file=io.StringIO(), width=100)
    screen.print(terminal(run))
    assert screen.file.getvalue().count("not finished") == 4
    table = pd.read_csv(run / "table.csv").set_index("plugin")
    assert table.loc["vmf", ["n", "failed", "unfinished"]].to_list() == [0, 1, 1]


@pytest.mark.parametrize("plan", ["", "[]", '{"cells": 3}'])
def test_a_damaged_plan_costs_only_itself(tmp_path, plan):
    write_cell(tmp_path, result("gaussian", 0))
    (tmp_path / "plan.json").write_text(plan)
    assert len(read(tmp_path).records) == 1 and "gaussian" in render(tmp_path, drawn=False)


def test_what_is_no_cell_is_not_planned(tmp_path):
    cell = write_cell(tmp_path, result("gaussian", 0))
    cells = {cell.name: {}, "a": 3, "../b": {}, "c\0": {}, "d": {"plugin": ["<i x>"], "seed": {}}}
    files.write_json(tmp_path / "plan.json", {"cells": cells})
    assert list(read(tmp_path).records) == ["d", cell.name]
    assert "<i x>" not in render(tmp_path)
