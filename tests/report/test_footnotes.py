import io
import re

import pytest
from rich.console import Console

from tests.report.make_run import make_run
from tests.report.written import sheets_of, terminal
from vaebench.report.footnotes import footnoted

RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("footnotes") / "run", (0, 1, 2))


def test_footnotes_are_numbered_as_a_table_meets_them(run):
    (sheet,) = sheets_of(run)
    for names in ({"elbo"}, {"fid_digits", "mse"}, {c.name for c in sheet.columns}):
        shown = [column for column in sheet.columns if column.name in names]
        found, notes = footnoted(sheet, shown)
        met = [n for column in found.columns if column.name in names for n in column.notes]
        for row in found.blocks[0].rows:
            met += row.notes
            met += [n for name in names if row.entries for n in row.entries[name].notes]
        assert sorted(set(met)) == list(range(1, len(notes) + 1))
        assert found.notes[: len(notes)] == notes
        assert sorted(found.notes) == sorted(sheet.notes)
        for before, after in zip(sheet.blocks[0].rows, found.blocks[0].rows, strict=True):
            texts = [
                [s.notes[n - 1] for n in row.notes] for s, row in ((sheet, before), (found, after))
            ]
            assert sorted(texts[0]) == sorted(texts[1])


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_terminal_prints_every_footnote_that_it_refers_to_and_no_other(run, width):
    screen = Console(file=io.StringIO(), width=width)
    screen.print(terminal(run))
    text = screen.file.getvalue()
    below = re.split(r"for\s+each\s+metric\.", text)[-1]
    printed = [int(n) for n in re.findall(r"^ ?(\d+) \S", below, re.MULTILINE)]
    marks = {int(m.translate(RAISED)) for m in re.findall("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", text)}
    assert printed == sorted(marks) == list(range(1, len(printed) + 1)) and printed


def test_the_terminal_counts_the_finished_seeds(run):
    screen = Console(file=io.StringIO(), width=100)
    screen.print(terminal(run))
    lines = [line.split() for line in screen.file.getvalue().splitlines()]
    counts = {line[0].strip("⁰¹²³⁴⁵⁶⁷⁸⁹"): line[-1] for line in lines if line}
    assert counts["variant"] == "n" and counts["iaf"] == "3" and counts["vmf"] == "2"
