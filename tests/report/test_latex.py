import re
import shutil
import subprocess

import pandas as pd
import pytest

from tests.report.make_run import HOSTILE, make_run, result
from tests.report.written import write_tables
from vaebench.report.sheet import sheets
from vaebench.report.tables.latex import escape, latex
from vaebench.runs import files
from vaebench.runs.run import Run


def written(run):
    return latex(sheets(Run(run)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("latex") / "run", (0, 1, 2))


def test_the_table_is_one_of_booktabs(run):
    text = written(run)
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "&" in line]
    wide = [line for line in body if "multicolumn" not in line]
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in wide}) == 1
    assert re.search(r"iaf & \\textbf\{\$-\$22\.\d+ \$\\pm\$ \d\.\d+\}", text)
    assert r"$^{1}$" in text


def test_the_table_fits_the_line_and_explains_itself(run):
    text = written(run)
    assert r"\usepackage{booktabs} and \usepackage{graphicx}" in text.splitlines()[0]
    assert re.search(r"\\resizebox\{\\linewidth\}\{!\}\{%\n\\begin\{tabular\}", text)
    assert "\\end{tabular}}\n" in text and r"\label{tab:vaebench}" in text
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption{"))
    assert "A best value is in bold where every other row is significantly worse" in caption
    assert r"$\pm$ is half the 95 \% interval over 3 seeds" in caption
    assert re.search(r"^variant & .* & n \\\\$", text, re.MULTILINE)
    assert re.search(r"^iaf & .* & 3 \\\\$", text, re.MULTILINE)
    assert re.search(r"^% log p\(x\) by AIS: iaf is best", text, re.MULTILINE)


def test_braces_are_balanced_and_labels_unique(tmp_path):
    for critic in ("none", "patchgan"):
        files.write_json(
            tmp_path / "cells" / critic / "result.json", result("gaussian", 0, critic=critic)
        )
    text = written(tmp_path)
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:vaebench", "tab:vaebench-2"]
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")


def test_hostile_names_stay_text(tmp_path):
    for number, name in enumerate(HOSTILE):
        found = result("gaussian", number)
        found["config"]["plugin"] = name
        files.write_json(tmp_path / "cells" / f"c{number}" / "result.json", found)
    text = written(tmp_path)
    assert r"\textless{}script\textgreater{}" in text
    assert r"\textbackslash{}frac" in text
    assert text.isascii() or not re.search("[\u0180-\uffff]", text)


def test_every_special_character_is_escaped():
    assert escape("100 % of x_1 & $y$") == r"100 \% of x\_1 \& \$y\$"
    assert escape("L₁₂₈") == "L$_{128}$"
    assert escape("{~^\\}") == (r"\{\textasciitilde{}\textasciicircum{}\textbackslash{}\}")


def test_parquet_keeps_numbers_as_numbers(run):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    write_tables(run)
    found = pd.read_parquet(run / "results.parquet")
    cells = Run(run).cells
    assert list(found) == list(cells)
    assert found["elbo"].to_list() == pytest.approx(cells["elbo"].to_list(), nan_ok=True)
    assert found["seed"].dtype.kind == "i"
    assert found["plugin"].to_list() == cells["plugin"].to_list()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")
def test_latex_accepts_it(run, tmp_path):
    files.write_text(tmp_path / "table.tex", written(run))
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    files.write_text(tmp_path / "a.tex", head + r"\begin{document}\input{table}\end{document}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
