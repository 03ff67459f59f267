"""Processes and their sessions."""

import subprocess
import sys
from pathlib import Path

import pytest

_SHARE = "/proc/self/autogroup"
_LEAD = f"""
import os
from vaebench.compute.processes import lead_session
os.nice(7)
lead_session()
assert os.getsid(0) == os.getpid()
print(open({_SHARE!r}).read())
"""


@pytest.mark.skipif(
    not Path(_SHARE).exists(), reason="this kernel does not divide processors among sessions"
)
def test_a_session_is_as_nice_as_who_leads_it():
    said = subprocess.run(
        [sys.executable, "-c", _LEAD], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip().endswith("nice 7")
