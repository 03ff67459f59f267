import re
import shutil
import subprocess

import pandas as pd
import pytest

from tests.report.make_run import HOSTILE, make_run, result, write_cell
from tests.report.written import write_tables
from vaebench.report.sheet import sheets
from vaebench.report.tables.choice import chosen, for_paper
from vaebench.report.tables.latex import escape, label_of, latex
from vaebench.runs import files
from vaebench.runs.run import Run


def written(run, *columns, caption=""):
    found = sheets(Run(run))
    shown = chosen(found, columns) if columns else [for_paper(sheet) for sheet in found]
    return latex(shown, "tab:run", caption)


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
    bold = r"iaf & \\textbf\{\$-\$22\.\d+\\,\{\\scriptsize \$\\pm\$ \d\.\d+\}\}"
    assert re.search(bold, text) and r"$^{1}$" in text


def test_the_table_explains_itself(run):
    text = written(run)
    assert r"\usepackage{booktabs}" in text.splitlines()[0] and "resizebox" not in text
    assert r"\label{tab:run}" in text
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption{"))
    assert "A best value is in bold where every other row is significantly worse" in caption
    assert r"$\pm$ is half the 95 \% interval over 3 seeds" in caption
    assert re.search(r"^variant & .* & \$n\$ \\\\$", text, re.MULTILINE)
    assert re.search(r"^iaf & .* & 3 \\\\$", text, re.MULTILINE)
    assert re.search(r"^% log p\(x\) by AIS: iaf is best", text, re.MULTILINE)


def heads(text):
    return next(line for line in text.splitlines() if line.startswith("variant &"))


def test_a_paper_gets_four_to_six_columns_likelihoods_and_samples_among_them(run):
    assert 4 <= heads(written(run)).count("&") - 1 <= 6
    for part in (r"$\log p(x)$ $\uparrow$", r"$\mathrm{ELBO}$", r"$\mathrm{KL}$", "FID"):
        assert part in heads(written(run))


def test_columns_are_those_that_are_asked_for_in_that_order(run):
    text = heads(written(run, "fid", "ais"))
    assert re.search(r"variant & FID .* & \$\\log p\(x\)\$ .*& \$n\$", text)


def test_an_own_caption_stands_as_it_is_and_the_explanation_below(run):
    text = written(run, "ais", caption=r"Digits, \emph{three} seeds.")
    assert r"\caption{Digits, \emph{three} seeds.}" in text
    assert text.index("significantly worse") > text.index(r"\end{tabular}")


def test_seeds_are_told_once_where_all_rows_have_as_many(tmp_path):
    for name in ("gaussian", "iwae"):
        for seed in (0, 1):
            write_cell(tmp_path, result(name, seed))
    text = written(tmp_path)
    assert "$n$" not in text and "Each row is of 2 seeds" in text


@pytest.mark.parametrize(
    "symbol", [r"\input{/etc/passwd}", r"x_a_b", "$x", "{x", r"\def\x{}", "x" * 101]
)
def test_a_strangers_symbol_is_not_trusted(tmp_path, symbol):
    found = result("gaussian", 0)
    found["metrics"]["elbo"] |= {"metric": "elbo", "head": "a_b", "place": 1, "symbol": symbol}
    files.write_json(tmp_path / "cells" / "c" / "result.json", found)
    text = written(tmp_path, "elbo")
    assert heads(text).startswith(r"variant & a\_b") and symbol not in text


def test_a_declared_symbol_is_set_as_mathematics(tmp_path):
    found = result("gaussian", 0)
    symbol = r"\mathcal{L}_{50}"
    found["metrics"]["elbo"] |= {"metric": "elbo", "head": "L", "place": 1, "symbol": symbol}
    files.write_json(tmp_path / "cells" / "c" / "result.json", found)
    assert heads(written(tmp_path, "elbo")).startswith(f"variant & ${symbol}$")


def test_labels_say_the_name_of_the_run_and_nothing_that_latex_minds():
    assert label_of("digits-1a2b3c") == "tab:digits-1a2b3c"
    assert label_of("my run_{2} %") == "tab:my-run-2"


def test_braces_are_balanced_and_labels_unique(tmp_path):
    for critic in ("none", "patchgan"):
        files.write_json(
            tmp_path / "cells" / critic / "result.json", result("gaussian", 0, critic=critic)
        )
    text = written(tmp_path)
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:run", "tab:run-2"]
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


def booktabs():
    """Whether LaTeX and the package are there."""
    find = shutil.which("kpsewhich")
    return find and shutil.which("pdflatex") and not subprocess.call([find, "booktabs.sty"])


@pytest.mark.skipif(not booktabs(), reason="there is no pdflatex with booktabs")
@pytest.mark.parametrize("columns", [(), ("ais", "iwae", "kl", "fid"), ("mse",)])
def test_latex_accepts_it_and_it_fits_the_page(run, tmp_path, columns):
    files.write_text(tmp_path / "table.tex", written(run, *columns))
    head = r"\documentclass{article}\usepackage{booktabs}"
    files.write_text(tmp_path / "a.tex", head + r"\begin{document}\input{table}\end{document}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
