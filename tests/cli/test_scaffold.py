"""What `new-plugin` writes installs, conforms, and is found."""

import json
import os
import subprocess
import sys

import pytest

from vaebench.cli.scaffold import write
from vaebench.errors import UserError


def run(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, **more
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write("student-t", tmp_path_factory.mktemp("here"))


def test_the_package_is_complete_and_linted(package):
    names = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert names == {
        "pyproject.toml",
        "README.md",
        "vaebench_student_t.py",
        "tests/test_vaebench_student_t.py",
    }
    assert not any("$" in p.read_text() for p in package.rglob("*.py"))
    done = run(
        "ruff", "check", "--isolated", "--select", "E,F,UP,B", "--line-length", "100", str(package)
    )
    assert done.returncode == 0, done.stdout


def test_an_existing_folder_is_left_alone(package):
    with pytest.raises(UserError, match="exists already"):
        write("student-t", package.parent)


@pytest.mark.parametrize("name", ["", "Student", "../x", "a_b", "1a", "a--b", "a" * 50])
def test_a_name_that_makes_no_package_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="is not a name"):
        write(name, tmp_path)


@pytest.mark.parametrize("name", ["gaussian", "ciwae", "siwae", "all", "vaebench", "plugins"])
def test_a_name_that_is_taken_is_refused(name, tmp_path):
    with pytest.raises(UserError, match=f"The name '{name}' is taken"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_package_installs_is_listed_conforms_and_runs(package, tmp_path):
    site = tmp_path / "site"
    installed = run(
        *("pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--target", str(site), str(package)),
    )
    assert installed.returncode == 0, installed.stderr
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    here = {"env": {**os.environ, "PYTHONPATH": path}, "cwd": tmp_path}
    listed = json.loads(run("vaebench", "list", "--json", **here).stdout)
    assert "student-t" in [plugin["name"] for plugin in listed["plugins"]]
    checked = run("vaebench", "check", "student-t", **here)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run("pytest", "-q", "-p", "no:cacheprovider", str(package), **here)
    assert tested.returncode == 0, tested.stdout
    trained = run(
        *("vaebench", "run", "--plugins", "student-t[least=0.01]", "--epochs", "1"),
        *("--backbone", "mlp", "--ais-images", "2", "--out", "run"),
        **here,
    )
    assert trained.returncode == 0, trained.stderr


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*another --out"):
        write("mine", tmp_path / "file")
