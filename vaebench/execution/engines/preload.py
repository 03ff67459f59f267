"""The heavy imports of a worker, made once in the server that workers are forked from.

A failure is left for the worker to meet again, where it becomes a message.
"""

import getpass
import logging
import os
import tempfile
from contextlib import suppress

from vaebench.compute.memory import keep_freed
from vaebench.compute.processes import end_with_parent
from vaebench.execution.engines import DRIVER, SAFE_PATH

# The driver may end before the imports below have.
if driver := os.environ.pop(DRIVER, None):
    end_with_parent(int(driver))

if os.environ.get(SAFE_PATH[0]) == SAFE_PATH[1]:
    del os.environ[SAFE_PATH[0]]

# What torch compiles outlives a cell, whose folder for temporary files does not.
with suppress(Exception):
    os.environ.setdefault(
        "TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}"
    )

# Threads that spin while they wait for each other slow small batches down tenfold and more where
# other processes want the cores. OpenMP reads this once, when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

keep_freed()
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # see vaebench.cli

with suppress(Exception):
    import vaebench.execution.plan
    import vaebench.execution.run_cell  # noqa: F401
