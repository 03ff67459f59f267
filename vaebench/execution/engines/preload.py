"""The heavy imports of a worker, made once in the server that workers are forked from.

A failure is left for the worker to meet again, where it becomes a message.
"""

import os
from contextlib import suppress

# Threads that spin while they wait for each other slow small batches down tenfold and more where
# other processes want the cores. OpenMP reads this once, when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


with suppress(Exception):
    import vaebench.execution.plan
    import vaebench.execution.run_cell  # noqa: F401
