"""Finished cells are measured again: what comes out is said, and what does not."""

import json
import math

import pytest
from click.testing import CliRunner

from tests.finished import train
from vaebench.cli.app import main
from vaebench.execution.driver import Where
from vaebench.execution.verify import damaged, judged, verify
from vaebench.runs import files, records
from vaebench.runs.schema import MetricRecord


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one cell."""
    folder = tmp_path_factory.mktemp("run")
    return folder, train(folder)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of that run."""
    run, name = finished
    for path in (path for path in run.rglob("*") if path.is_file()):
        files.write_bytes(tmp_path / path.relative_to(run), path.read_bytes())
    return tmp_path, name


def changed(run, name, column, **changes):
    """Write other values into the record of a number."""
    path = run / "cells" / name / "result.json"
    record = json.loads(path.read_text())
    record["metrics"][column] |= changes
    record["checksum"] = files.checksum(record)
    files.write_bytes(path, json.dumps(record).encode())


def one(run, name):
    (found,) = verify(run, [name], Where(quiet=True))
    return found


def test_a_run_of_this_machine_comes_out_to_the_bit(finished):
    found = one(*finished)
    assert found.good and not found.changed
    assert {"elbo", "kl", "mse"} <= {number.column for number in found.numbers}
    assert found.count("same") == len(found.numbers) == 4


def test_a_number_that_was_changed_is_found(copied):
    run, name = copied
    before = records.one(run, name)["metrics"]["elbo"]
    near = before["value"] + before["detail"]["monte_carlo_se"]
    changed(run, name, "elbo", value=near)
    changed(run, name, "mse", value=2 * records.one(run, name)["metrics"]["mse"]["value"])
    found = {number.column: number.verdict for number in one(run, name).numbers}
    assert found["elbo"] == "within error" and found["mse"] == "differs"
    assert found["kl"] == found["distortion"] == "same"
    runner = CliRunner()
    result = runner.invoke(main, ["verify", str(run), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[name]["numbers"]["mse"]["verdict"] == "differs"
    shown = runner.invoke(main, ["verify", str(run)])
    assert "of 4 numbers 2 the same to the bit, 1 within their error, 1 differ" in shown.stdout


def test_damaged_weights_are_no_verification(copied):
    run, name = copied
    path = run / "cells" / name / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    files.write_bytes(path, bytes(content))
    found = one(run, name)
    assert not found.good and "model.safetensors" in found.flaw


def test_a_result_that_was_altered_is_no_verification(finished, copied):
    run, name = copied
    path = run / "cells" / name / "result.json"
    files.write_bytes(path, path.read_bytes().replace(b'"value"', b'"valve"'))
    assert damaged(run) == [name] and not damaged(finished[0])
    result = CliRunner().invoke(main, ["verify", str(run), name])
    assert result.exit_code != 0


def metric(value, **more) -> MetricRecord:
    known = {"value": value, "se": None, "depends": {}, "detail": {}, "reason": None}
    return known | {"failed": False} | more  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (metric(-80.0, se=0.5, depends={"sampler_se": 0.01}), metric(-80.03), "within error"),
        (metric(-80.0, se=0.5, depends={"sampler_se": 0.01}), metric(-80.2), "differs"),
        (metric(40.0, se=0.5), metric(40.4), "within error"),
        (metric(3.0), metric(4.0), "differs"),
        (metric(3.0), None, "unknown"),
        (metric(3.0), metric(None, failed=True, reason="no weights"), "unknown"),
        (metric(3.0), metric(None, reason="it means nothing"), "differs"),
        (metric(None), metric(None), "same"),
        (metric(None), metric(1.0), "differs"),
    ],
)
def test_a_number_may_be_off_by_its_own_noise(before, now, verdict):
    found = judged("column", before, now)
    assert found.verdict == verdict
    assert math.isnan(found.allowed) == (now is None)


def test_cells_without_weights_are_passed_over_unless_none_has_any(copied):
    run, name = copied
    (run / "cells" / name / "model.safetensors").unlink()
    (run / "cells" / name / "per_image.csv").unlink()
    found = one(run, name)
    assert found.bare and found.good
    result = CliRunner().invoke(main, ["verify", str(run)])
    assert result.exit_code == 1 and "passed over, its weights are not here" in result.stdout
    files.write_bytes(run / "cells" / name / "history.csv", b"epoch\n1\n")
    assert "history.csv was altered" in one(run, name).flaw
    assert not one(run, name).good
