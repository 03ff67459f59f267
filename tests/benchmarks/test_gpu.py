"""The script for a GPU, gone through at toy size where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_the_script_for_a_gpu_goes_through_all_its_parts(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--rehearse"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    for part in (
        "training, resnetv2, critic patchgan, recorded steps",
        "importance bound",
        "step of AIS",
        "bf16-mixed / float32",
        "cells an hour",
        "objectives differ by 0.0e+00",
        "long budget of iwae-table1",
    ):
        assert any(part in row for row in rows), part
    assert not any("failed" in row for row in rows)
    assert not list(tmp_path.iterdir())
