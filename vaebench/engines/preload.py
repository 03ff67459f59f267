"""The heavy imports of a worker, made once in the server that workers are forked from.

A failure is left for the worker to meet again, where it becomes a message.
"""

from contextlib import suppress

with suppress(Exception):
    import vaebench.cell
    import vaebench.matrix  # noqa: F401
