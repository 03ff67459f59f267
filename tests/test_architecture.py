"""Imports run in one direction, and what has to start quickly imports nothing heavy."""

import ast
import subprocess
import sys
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import vaebench

ROOT = Path(vaebench.__file__).parent
REPOSITORY = Path(__file__).parents[1]
#: Who may import whom: a part imports from parts of earlier lines alone. A part is a package or a
#: module in the root.
ORDER = (
    {"statistics", "errors", "_version"},
    {"compute", "config"},
    {"models", "runs"},
    {"data", "report", "testing"},
    {"hookspecs"},
    {"registry"},
    {"evaluation", "training"},
    {"execution"},
    {"notebook", "reproduction"},
    {"loading", "cli"},
    {"__init__", "__main__"},
)
#: What reads results, or answers at once.
NO_TORCH = {
    *("statistics", "errors", "_version", "config", "runs", "report", "cli", "hookspecs"),
    *(
        "notebook",
        "reproduction",
        "registry.code",
        "registry.survey",
        "compute.processes",
        "execution.driver",
        "execution.preview",
        "execution.status",
    ),
    *("execution.progress", "execution.search", "execution.tune", "execution.worker"),
    "execution.engines.local",
}
#: Between the packages of annealing and the rest of vaebench lie these alone.
ANNEALING = {"evaluation.annealing", "compute.precision"}


def name_of(path: Path) -> str:
    """``data.images`` for vaebench/data/images.py, ``data`` for vaebench/data/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path: Path, top_level: bool = False) -> set[str]:
    """Full names of the modules, and of what is taken from them, that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dependencies(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Which modules of vaebench each of them imports: at the top, late, and for types alone."""
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        found[module] = set()
        for name in imports(path):
            if name.partition(".")[0] != "vaebench":
                continue
            inner = name.removeprefix("vaebench").removeprefix(".")
            target = inner if inner in modules else inner.rpartition(".")[0] or "__init__"
            assert target in modules, f"{path} imports {name}, which does not exist"
            found[module] |= {target} - {module}
    return found


def against_the_order(graph: dict[str, set[str]]) -> list[str]:
    """The imports that do not lead to an earlier part."""
    level = {part: i for i, parts in enumerate(ORDER) for part in parts}
    return [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in targets
        if (one := module.partition(".")[0]) != (other := target.partition(".")[0])
        and level[other] >= level[one]
    ]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}
GRAPH = dependencies(MODULES)


def test_the_order_names_every_part_and_no_other():
    parts = {name.partition(".")[0] for name in MODULES}
    named = [part for parts in ORDER for part in parts]
    assert len(named) == len(set(named)) and set(named) == parts
    assert NO_TORCH | ANNEALING <= set(MODULES)


def test_imports_lead_to_earlier_parts():
    assert against_the_order(GRAPH) == []


def test_no_modules_import_each_other():
    assert circle(GRAPH) == []


def test_a_wrong_import_would_be_noticed():
    wrong = GRAPH | {"data.images": GRAPH["data.images"] | {"registry.lookup"}}
    assert against_the_order(wrong) == ["data.images imports registry.lookup"]
    assert {"data.images", "registry.lookup"} <= set(circle(wrong))


def test_late_imports_and_those_for_types_count():
    assert "execution.restore" in GRAPH["notebook"]
    assert "models.vae" in GRAPH["notebook"]


def test_the_root_holds_few_modules():
    assert len(list(ROOT.glob("*.py"))) <= 8


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "plugins").glob("*.py")), ids=lambda p: p.stem
)
def test_plugins_use_public_names_only(path):
    allowed = {f"vaebench.{name}" for name in vaebench.__all__}
    found = {name for name in imports(path) if name.partition(".")[0] == "vaebench"}
    assert found <= allowed
    # Built on another plugin as anyone may be, but loaded without it.
    assert not any("vaebench_plugins" in name for name in imports(path, top_level=True))


def test_nothing_imports_a_built_in_plugin():
    for path in MODULES.values():
        assert "vaebench_plugins" not in path.read_text()


def test_annealing_works_for_any_decoder():
    for name, targets in GRAPH.items():
        if name.startswith("evaluation.annealing"):
            assert all(t.startswith("evaluation.annealing") or t in ANNEALING for t in targets)


def test_what_reads_results_does_without_torch():
    """All of it in one process, which names the first module after which torch is there."""
    names = [m for m in MODULES for part in NO_TORCH if m == part or m.startswith(f"{part}.")]
    assert len(names) > 60
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(names)!r}:\n"
        "    importlib.import_module(f'vaebench.{name}')\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} imports torch')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom vaebench.cli import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["itables", "numpy", "pandas", "pytorch-lightning"])
def test_what_breaks_with_its_major_versions_has_an_upper_bound(name):
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    lines = setup["options"]["install_requires"].split()
    required = {one.name: one for one in map(Requirement, lines)}
    assert required[name].specifier.contains(version(name))
    assert not required[name].specifier.contains(f"{int(version(name).split('.')[0]) + 1}.0")


def test_every_package_is_listed_in_setup_cfg():
    listed = (REPOSITORY / "setup.cfg").read_text()
    for path in ROOT.rglob("__init__.py"):
        name = ".".join(("vaebench", *path.parent.relative_to(ROOT).parts))
        assert f"\n    {name}\n" in listed
