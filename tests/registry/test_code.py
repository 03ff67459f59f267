from importlib.metadata import EntryPoint

import pytest

from vaebench.registry import code
from vaebench.registry.catalogue import catalogue
from vaebench.registry.code import changed, note


def record(plugin, code, status="done"):
    return {"status": status, "variant": {"plugin": plugin, "code": code}}


def test_installed_plugins_are_known_without_loading_them():
    installed = catalogue().plugins
    records = [record(name, plugin.code) for name, plugin in installed.items()]
    assert len(records) > 10
    assert changed(records) == 0
    assert note(records) == ""


def test_other_code_is_counted():
    now = catalogue().owner("gaussian").code
    records = [
        record("gaussian", now),
        record("gaussian", f"{now}+abcd"),
        record("gaussian", "0123456789ab"),
        record("iaf", "0123456789ab+abcd"),
        record("iaf", "0123456789ab", status="failed"),
        record("gone", "0123456789ab"),
        {"status": "done", "variant": {}},
    ]
    assert changed(records) == 2
    assert note(records).startswith("Finished cells of other code than is installed now: 2;")


@pytest.mark.parametrize("module", ["nothing_like_this", "nothing_like_this.inner", "sys"])
def test_a_plugin_that_cannot_be_found_says_nothing(monkeypatch, module):
    point = EntryPoint("mine", module, "vaebench")
    monkeypatch.setattr(code, "entry_points", lambda group: [point])
    assert changed([record("mine", "0123456789ab")]) == 0
