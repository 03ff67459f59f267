"""What README and docs show works: code runs, commands parse, the pages build, files exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from matplotlib.figure import Figure

import vaebench
from tests.finished import train
from vaebench.cli.app import main
from vaebench.config.cell import Evaluation, Training
from vaebench.config.declaration import declared

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


#: Pages that hold a variant.
VARIANTS = ("plugins", "distributions", "rivals")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the run that the tutorial reads."""
    home = tmp_path_factory.mktemp("docs")
    for plugin in ("gaussian", "iwae"):
        for seed in (0, 1):
            train(home / "results" / "first", plugin=plugin, seed=seed)
    return home


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_code_runs(page, home, monkeypatch):
    monkeypatch.chdir(home)
    space = {"__name__": "documented"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), space)


def commands():
    for page in PAGES:
        for block in (*blocks(page, "sh"), *blocks(page, "console")):
            for line in block.splitlines():
                command = line.split("#")[0].removeprefix("$ ").strip()
                if command.startswith("vaebench "):
                    yield pytest.param(command, id=f"{page.name}: {command}")


@pytest.mark.parametrize("command", list(commands()))
def test_commands_parse(command):
    arguments = shlex.split(command)[1:]
    if not arguments[0].startswith("-"):
        name, *rest = arguments
        assert name in main.commands
        with click.Context(main) as parent:
            main.commands[name].make_context(name, rest, parent=parent)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        generated = target.startswith("results/") and not (ROOT / "results" / "example").exists()
        if "://" not in target and not generated:
            assert (page.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", *(f"docs/{n}.md" for n in VARIANTS)])
def test_the_documented_variants_conform(page):
    from vaebench import testing

    codes = [c for c in blocks(ROOT / page, "python") if "vaebench_variants" in c]
    assert codes
    for code in codes:
        space = {"__name__": "documented"}
        exec(compile(code, page, "exec"), space)
        (variant,) = space["vaebench_variants"]()
        failed = [r for r in testing.run(variant) if r.status in ("failed", "out of date")]
        assert not failed, failed


@pytest.mark.slow
def test_the_documentation_builds_without_warnings_and_shows_without_network(tmp_path):
    for package in ("sphinx", "myst_parser", "furo", "sphinx_design", "math_core"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = {path.stem: path.read_text("utf-8") for path in tmp_path.glob("*.html")}
    assert {"api", "index", "gallery", "critic"} <= pages.keys()
    for name, text in pages.items():
        assert not re.findall(r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//', text), name
        assert not re.findall(r'<link[^>]* href="(?:https?:)?//', text), name
        assert "\\log" not in re.sub("<annotation.*?</annotation>", "", text), name
    assert "<math" in pages["likelihood"] and "<svg" in pages["gallery"]
    assert 'href="api.html#vaebench.Draw"' in pages["plugins"]
    assert 'href="metrics.html#metric-inference-gap"' in pages["likelihood"]
    assert (tmp_path / "example" / "report.html").exists()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    space = {"__name__": "documented"}
    for cell in json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook", "exec"), space)
    assert (tmp_path / "curves.pdf").exists()


def test_every_command_and_public_name_is_documented():
    table = (ROOT / "docs" / "commands.md").read_text()
    for name in main.commands:
        assert f"`vaebench {name}" in table, name
    api = (ROOT / "docs" / "api.md").read_text()
    for name in set(vaebench.__all__) - {"__version__", "hookimpl"}:
        assert f"vaebench.{name}" in api, name


def test_the_table_of_settings_is_that_of_their_declarations():
    def rows(part):
        for s in declared(part):
            several = "several" if s.axis else ""
            yield f"| `{s.flag}` | {s.help} | {s.shown.replace(',', ', ')} | {several} |"

    page = (ROOT / "docs" / "commands.md").read_text()
    for part in (Training, Evaluation):
        table = "\n".join(rows(part))
        assert table in page, f"docs/commands.md needs this table:\n{table}"


def test_the_citation_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert {"title", "authors", "message", "license"} <= cited.keys()
    assert cited["version"] == vaebench.__version__
    assert f"## {vaebench.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_plots_are_axes_to_go_on_with(home):
    run = vaebench.load(home / "results" / "first")
    for axes in (
        run.plot_curves("valid_elbo"),
        run.plot_scatter("elbo", "mse"),
        run.plot_differences("elbo"),
    ):
        assert isinstance(axes.figure, Figure)
    assert len(run.plot_curves("valid_elbo").lines) == 2
    with pytest.raises(vaebench.errors.UserError, match="Did you mean 'elbo'"):
        run.plot_differences("elb")
