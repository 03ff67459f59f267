import json
import math
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cells import cell
from vaebench.errors import UserError
from vaebench.runs import files, records

BASE = {"schema": 1, "status": "done", "config": {"plugin": "a"}, "metrics": {}}


def put(run, cell, text):
    files.write_text(run / "cells" / cell / "result.json", text)


def record(run, **changes):
    put(run, "c", json.dumps(BASE | changes))
    return records.cells(run)[0]


def weights_differ(folder):
    about = files.read_json(folder / "result.json")
    return any(files.differing(folder, about, lambda name: name == "model.safetensors"))


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.txt"
    files.write_text(path, "old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_json_is_standard_and_comes_back(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": math.nan, "y": [math.inf, 1.5], "z": ("ü", None)})
    assert "NaN" not in (tmp_path / "a.json").read_text()
    found = files.read_json(tmp_path / "a.json")
    assert found == {"x": None, "y": [None, 1.5], "z": ["ü", None]}


@pytest.mark.parametrize("text", ["", '{"a": 1', "[1]", "\x00", "[" * 100_000, "9" * 5000])
def test_what_is_no_json_object_is_a_user_error(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match="run the cell again"):
        files.read_json(tmp_path / "a.json")


def test_a_missing_or_binary_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*a\.json"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UserError, match="truncated"):
        files.read_json(tmp_path / "a.json")


def test_a_file_larger_than_any_result_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 10)
    (tmp_path / "a.json").write_text('{"a": "0123456789"}')
    with pytest.raises(UserError, match="larger than"):
        files.read_json(tmp_path / "a.json")


def test_a_folder_that_is_no_run_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no folder 'cells'"):
        records.cells(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": None},
        {"status": "fine"},
        {"config": ["plugin"]},
        {"metrics": {"elbo": 3}},
        {"metrics": {"=cmd()": {"value": 1}}},
        {"metrics": {"<b>": {"value": 1}}},
        {"metrics": {"plugin": {"value": 1}}},
    ],
)
def test_a_result_of_another_shape_is_a_failed_cell_with_the_reason(tmp_path, changes):
    found = record(tmp_path, **changes)
    assert found["status"] == "failed"
    assert "not what vaebench writes" in found["reason"]
    assert found["metrics"] == {}


def test_truncated_and_missing_results_are_told_apart(tmp_path):
    put(tmp_path, "a", '{"schema": 1, "sta')
    (tmp_path / "cells" / "b").mkdir()
    a, b = records.cells(tmp_path)
    assert (a["status"], b["status"]) == ("failed", "unfinished")
    assert "truncated" in a["reason"]


def test_numbers_that_are_none_have_a_reason(tmp_path):
    metrics = {
        name: {"value": value}
        for name, value in {
            "text": "3",
            "true": True,
            "huge": 10**400,
            "large": 1e200,
            "none": None,
            "fine": 2,
        }.items()
    }
    put(tmp_path, "c", json.dumps(BASE | {"metrics": metrics | {"nan": {"value": math.nan}}}))
    found = records.cells(tmp_path)[0]["metrics"]
    assert found["fine"]["value"] == 2.0
    assert found["fine"]["reason"] == ""
    for name in ("text", "true", "huge", "large", "none", "nan"):
        assert found[name]["value"] is None
        assert found[name]["reason"] == "no finite number"


def test_text_that_a_terminal_would_obey_is_made_harmless(tmp_path):
    found = record(tmp_path, status="failed", reason="\x1b[31mred\ud800\u202eback" + "x" * 10_000)
    assert "\x1b" not in found["reason"]
    assert found["reason"].startswith("\ufffd[31mred\ufffd\ufffdback")
    assert len(found["reason"]) == 2000


def test_files_outside_the_run_are_not_there(tmp_path):
    run = tmp_path / "run"
    put(run, "c", json.dumps(BASE))
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(BASE))
    (run / "cells" / "d").mkdir()
    (run / "cells" / "d" / "result.json").symlink_to(secret)
    (run / "cells" / "e").symlink_to(tmp_path)
    (run / "loop").symlink_to(run / "loop")
    assert files.file(run, "cells/c/result.json") is not None
    for name in ("cells/d/result.json", "cells/e/secret.json", "../secret.json", "loop", "a\0b"):
        assert files.file(run, name) is None
    assert files.file(run, str(secret)) is None
    assert files.file(run, "cells/c/result.json", largest=3) is None
    assert [r["status"] for r in records.cells(run)] == ["done", "failed", "unfinished"]


def test_files_beside_a_result_are_held_to_it(tmp_path):
    one = cell()
    folder = tmp_path / "cells" / one.id
    files.write_text(folder / "history.csv", "epoch,lr\n1,0.1\n")
    files.write_bytes(folder / "model.safetensors", b"weights")
    written = files.write_result(folder, files.failure(one, None) | {"status": "done"})
    assert records.cells(tmp_path)[0]["status"] == "done"
    assert not weights_differ(folder)
    (folder / "history.csv").write_text("epoch,lr\n1,0.")
    record = records.cells(tmp_path)[0]
    assert record["status"] == "failed"
    assert record["reason"] == "history.csv was altered or truncated: run the cell again"
    (folder / "history.csv").unlink()
    (folder / "model.safetensors").write_bytes(b"weight")
    assert records.cells(tmp_path)[0]["status"] == "done"
    assert weights_differ(folder)
    old = {key: value for key, value in written.items() if key not in ("files", "checksum")}
    files.write_json(folder / "result.json", old)
    assert records.cells(tmp_path)[0]["status"] == "done"
    assert not weights_differ(folder)
    secret = tmp_path / "secret"
    secret.write_text("x")
    stranger = old | {"files": {"../../secret": "0" * 64, "/etc/hostname": "0" * 64}}
    files.write_json(folder / "result.json", stranger)
    assert records.cells(tmp_path)[0]["status"] == "done"


def test_cells_that_the_last_command_did_not_ask_for(tmp_path):
    for name in ("old", "new"):
        put(tmp_path, name, json.dumps(BASE))
    assert [r["cell"] for r in records.cells(tmp_path)] == ["new", "old"]
    assert not records.left_out(tmp_path)
    (tmp_path / "plan.json").write_text('{"cells": {"new": {}, "missing": {}}}')
    assert [r["cell"] for r in records.cells(tmp_path)] == ["new"]
    assert [r["cell"] for r in records.cells(tmp_path, planned=False)] == ["new", "old"]
    assert records.left_out(tmp_path).total() == 1
    for nonsense in ("[]", "{", '{"cells": 3}'):
        (tmp_path / "plan.json").write_text(nonsense)
        assert len(records.cells(tmp_path)) == 2


@pytest.mark.parametrize("name", ["result.json", "history.csv"])
def test_a_pipe_in_a_cell_hangs_nobody(tmp_path, name):
    one = cell()
    folder = tmp_path / "cells" / one.id
    files.write_text(folder / "history.csv", "epoch,lr\n1,0.1\n")
    files.write_result(folder, files.failure(one, None) | {"status": "done"})
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert files.flaw(folder) is not None
    assert records.cells(tmp_path)[0]["cell"] == one.id
    os.mkfifo(tmp_path / "plan.json")
    assert len(records.completed(tmp_path)) == 1
    os.mkfifo(folder / "log.txt")
    assert files.last_lines(folder / "log.txt") == "" and files.tail(tmp_path, one.id) == ""


def test_more_settings_than_any_run_has_are_refused(tmp_path):
    many = {f"x{i}": i for i in range(1001)}
    found = record(tmp_path, config=many)
    assert found["status"] == "failed" and "1001 entries, more than 1000" in found["reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"hash": "old"}}, "other pictures"),
        ({"variant": {"code": "old"}}, "other code than"),
        ({"data": {"hash": "old"}, "variant": {"code": "old"}}, "other pictures"),
        ({}, "other code or settings"),
    ],
)
def test_it_is_said_what_cells_are_left_out_for(tmp_path, changes, words):
    config = {"plugin": "a", "dataset": "folder:/p", "image_size": 8}
    now = {"data": {"hash": "new"}, "variant": {"code": "new"}}
    put(tmp_path, "old", json.dumps(BASE | {"config": config} | now | changes))
    planned = config | {"data": "new", "code": "new"}
    (tmp_path / "plan.json").write_text(json.dumps({"cells": {"now": planned}}))
    ((reason, count),) = records.left_out(tmp_path).items()
    assert count == 1 and reason.startswith(words)


def test_what_vaebench_says_in_a_log_is_no_reason(tmp_path):
    (tmp_path / "log.txt").write_text(f"{files.OURS}40 pictures read\nthe cause\n")
    assert files.last_lines(tmp_path / "log.txt") == "the cause"


def test_what_cannot_be_written_is_named_by_its_own_name(tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(OSError) as error:
        files.write_text(tmp_path / "table.csv", "1,2")
    assert error.value.filename == str(tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@contextmanager
def another():
    """Somebody who owns nothing, where the tests run as root; else whoever runs them."""
    me = os.geteuid()
    os.seteuid(me or 65534)
    try:
        yield
    finally:
        os.seteuid(me)


def test_what_may_not_be_read_is_not_missing_and_not_damaged():
    # Beside the folder of the tests, whose parents are closed to others.
    with TemporaryDirectory() as folder:
        run = Path(folder)
        for name in ("file", "folder"):
            files.write_json(run / "cells" / name / "result.json", {})
        (run / "cells/file/result.json").chmod(0)
        (run / "cells/folder").chmod(0)
        run.chmod(0o755)
        with another():
            found = records.cells(run)
        assert [record["status"] for record in found] == ["failed"] * 2
        for record in found:
            assert "cannot be read (Permission denied)" in record["reason"]
