"""Imports run in one direction, and what has to start quickly imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vaebench

ROOT = Path(vaebench.__file__).parent
REPOSITORY = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
}
AUTHORS = {"objectives", "posterior", "hookspecs", "errors"}
NO_TORCH = {
    *("cli", "driver", "config", "spelling", "errors", "store", "worker", "engines.local"),
    *("cli_given", "cli_pictures", "wording", "status"),
    *("results", "compare", "render", "sheet", "summary", "inventory", "hookspecs"),
}


def imports(path: Path, top_level: bool = False) -> set[str]:
    """Full names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    """The modules of vaebench that a file imports, without the prefix."""
    names = {name.removeprefix("vaebench.") for name in imports(path) if "vaebench" in name}
    return {name for name in names if name in MODULES}


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "plugins").glob("*.py")), ids=lambda p: p.stem
)
def test_plugins_use_public_names_only(path):
    allowed = {"vaebench", *(f"vaebench.{name}" for name in vaebench.__all__)}
    found = {name for name in imports(path) if name.partition(".")[0] == "vaebench"}
    assert found <= allowed
    # Built on another plugin as anyone may be, but loaded without it.
    assert not any("vaebench_plugins" in name for name in imports(path, top_level=True))


def test_nothing_imports_a_built_in_plugin():
    for path in MODULES.values():
        assert "vaebench_plugins" not in path.read_text()


def test_what_authors_meet_stands_on_itself():
    for name in AUTHORS:
        assert ours(MODULES[name]) <= AUTHORS


def test_evaluation_never_sees_the_harness():
    for name, path in MODULES.items():
        if name.startswith("evaluation"):
            assert not ours(path) & {"harness", "train", "cell", "driver"}


def test_reading_results_never_trains():
    for name, path in MODULES.items():
        if name.startswith("report") or name in ("results", "compare"):
            assert not ours(path) & {"model", "harness", "cell", "posterior", "evaluation.metrics"}


@pytest.mark.parametrize("name", sorted(NO_TORCH & set(MODULES)))
def test_the_driver_and_the_report_do_without_torch(name):
    code = f"import sys, vaebench.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom vaebench.cli import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_package_is_listed_in_setup_cfg():
    listed = (REPOSITORY / "setup.cfg").read_text()
    for path in ROOT.rglob("__init__.py"):
        name = ".".join(("vaebench", *path.parent.relative_to(ROOT).parts))
        assert f"\n    {name}\n" in listed
