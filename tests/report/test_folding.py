from tests.report.make_run import metric, result, write_cell
from tests.report.test_page import Page
from tests.report.written import render, sheets_of
from vaebench.report.footnotes import folded


def write(run):
    """Two metrics that no variant has and one that one of them lacks."""
    for name in ("gaussian", "iwae"):
        found = result(name, 0)
        for column, reason in (("sharpness", "<b>no class</b>"), ("mse", "<b>no class</b>")):
            found["metrics"][column] = metric(column, None, None, reason)
        if name == "iwae":
            found["metrics"]["kl"] = metric("kl", None, None, "no rate")
        write_cell(run, found)


def test_columns_without_a_value_are_named_with_their_reason(tmp_path):
    write(tmp_path)
    (sheet,) = sheets_of(tmp_path)
    found, text = folded(sheet)
    names = {column.name for column in found.columns}
    assert {c.name for c in sheet.columns} - names == {"sharpness", "mse"} and "kl" in names
    assert text == "No variant has a value of Sharpness of samples, MSE (<b>no class</b>)."
    assert "n/a: no rate" in found.notes and "n/a: <b>no class</b>" not in found.notes


def test_the_page_leaves_them_out_of_the_table_and_its_menu(tmp_path):
    write(tmp_path)
    page = Page(render(tmp_path, drawn=False))
    heads = [a["aria-label"] for a in page.all("th") if "aria-label" in a]
    assert "MSE" not in heads and "Sharpness of samples" not in heads and "KL" in heads
    assert any("MSE (<b>no class</b>)" in text for text in page.text)


def test_a_sheet_with_all_values_stays_as_it_is(tmp_path):
    write_cell(tmp_path, result("gaussian", 0))
    (sheet,) = sheets_of(tmp_path)
    assert folded(sheet) == (sheet, "")
