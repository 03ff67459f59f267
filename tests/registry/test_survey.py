"""Plugins that end, crash, hang or change the process that imports them are named and survived."""

import json
import os
import subprocess
import sys
import time

import pytest

from tests.registry.test_catalogue import installed as installed  # a fixture
from tests.registry.test_catalogue import variants
from vaebench.errors import UserError
from vaebench.registry import survey as surveys
from vaebench.registry.catalogue import catalogue

FATAL = {
    "leaves": ("import os; os._exit(0)", "ends the process (exit code 0)"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "aborts": ("import os; os.abort()", "SIGABRT"),
    "loops": ("while True: pass", "longer than 3 s"),
    "holds": ("import ctypes; ctypes.PyDLL(None).sleep(100)", "longer than 3 s"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "exits": ("import sys; sys.exit(4)", "SystemExit: 4"),
    "closes": ("import os; os.closerange(0, 4096)", "closes the files"),
    "asks": ("input('well? ')", "EOFError"),
    "mute": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "Odd: its text cannot be had",
    ),
}
HARMLESS = {
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
    "forks": "import subprocess\nsubprocess.Popen(['sleep', '98.7'])",
    "prints": "print('hello' * 10**6)",
}
CHANGES = """
import os, random, signal, sys, warnings
import torch
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
os.chdir("/")
os.close(1)
os.environ["VAEBENCH_CACHE"] = "/nowhere"
sys.setrecursionlimit(250)
sys.path.insert(0, "/nowhere")
sys.modules["vaebench.errors"] = sys.modules["json"]
random.seed(1)
signal.signal(signal.SIGINT, signal.SIG_IGN)
warnings.simplefilter("error")
"""


def test_whatever_a_plugin_does_on_import_it_is_named_and_the_others_are_there(
    installed, monkeypatch
):
    monkeypatch.setenv("VAEBENCH_PLUGIN_TIMEOUT", "3")
    for name, (code, _) in FATAL.items():
        installed(name, code + "\n" + variants(name))
        catalogue.cache_clear()
    for name, code in HARMLESS.items():
        found = installed(name, code + "\n" + variants(name))
        catalogue.cache_clear()
    found = catalogue()
    for name, (_, reason) in FATAL.items():
        assert reason in found.broken[name]
    assert {"gaussian", "vmf", *HARMLESS} <= set(found.names())
    assert any("thread" in change for change in found.plugins["threads"].changed)
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    assert "sleep 98.7" not in commands.stdout


def test_what_is_known_is_not_asked_again(installed, monkeypatch):
    found = installed("known", variants("theirs"))
    assert found.names().count("theirs") == 1
    catalogue.cache_clear()
    monkeypatch.setattr(surveys, "asked", lambda points: pytest.fail(f"asks for {list(points)}"))
    assert "theirs" in catalogue().names()


def test_a_plugin_that_changes_is_read_again_and_so_is_one_whose_helper_does(installed, tmp_path):
    helper = tmp_path / "a_helper_of_theirs.py"
    helper.write_text("NAME = 'first'")
    code = "import a_helper_of_theirs\n" + variants("x").replace("'x'", "a_helper_of_theirs.NAME")
    assert "first" in installed("changing", code).names()
    catalogue.cache_clear()
    helper.write_text("NAME = 'second'")
    assert "second" in catalogue().names()
    catalogue.cache_clear()
    assert "third" in installed("changing", variants("third")).names()


def test_a_failure_is_forgiven_once_something_is_installed(installed, tmp_path):
    assert "missing" in installed("needy", "import missing_thing\n" + variants("n")).broken["needy"]
    catalogue.cache_clear()
    (tmp_path / "missing_thing.py").write_text("")
    (tmp_path / "missing_thing-1.0.dist-info").mkdir()
    surveys.packages_on.cache_clear()
    assert "n" in catalogue().names()


def test_a_damaged_note_is_made_again(installed):
    installed("damaged", variants("theirs"))
    for path in (surveys.cache_folder() / "plugins").iterdir():
        path.write_text('{"offer": 3}')
    catalogue.cache_clear()
    assert {"theirs", "gaussian"} <= set(catalogue().names())


def test_what_a_plugin_changes_is_put_back_and_said(installed, monkeypatch):
    import torch

    found = installed("untidy", CHANGES + variants("theirs"))
    assert set(found.plugins["untidy"].changed) >= {
        "torch's default dtype",
        "torch's default device",
        "torch's grad mode",
        "the working directory",
        "the environment",
        "the recursion limit",
        "sys.path",
        "loaded modules",
        "signal handlers",
        "descriptor 1",
        "Python's random state",
        "the filters of warnings",
    }
    assert "theirs" not in sys.modules and "untidy_module" not in sys.modules
    before = os.getcwd(), list(sys.path), sys.getrecursionlimit(), os.fstat(1)
    with pytest.warns(UserWarning, match=r"'untidy' \(untidy 1\.0\) changes .*puts it back"):
        assert found.variant("theirs").name == "theirs"
    assert before == (os.getcwd(), list(sys.path), sys.getrecursionlimit(), os.fstat(1))
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert torch.zeros(1).device.type == "cpu"
    assert sys.modules["vaebench.errors"].UserError is UserError


def test_only_what_is_named_is_loaded(installed):
    found = installed("unnamed", variants("theirs"))
    found.variant("gaussian")
    assert "unnamed_module" not in sys.modules
    found.variant("theirs")
    assert "unnamed_module" in sys.modules


def test_a_time_limit_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("VAEBENCH_PLUGIN_TIMEOUT", "soon")
    with pytest.raises(UserError, match="VAEBENCH_PLUGIN_TIMEOUT is 'soon'"):
        surveys.patience()


def test_built_in_plugins_change_nothing():
    assert not any(plugin.changed for plugin in catalogue().plugins.values())


@pytest.mark.slow
def test_the_list_is_quick_once_it_is_known(tmp_path):
    def listed():
        clock = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "vaebench", "list", "--json"],
            env={**os.environ, "VAEBENCH_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return time.monotonic() - clock, json.loads(done.stdout)

    first, found = listed()
    again, same = listed()
    assert found == same and again < first
