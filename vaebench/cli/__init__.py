"""The command line."""

import errno
import logging
import os
import sys
from contextlib import suppress
from typing import Any

from vaebench.cli import interrupt

#: Errors of a disk, a pipe or a terminal that takes no more.
_UNWRITABLE = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EPIPE", "EBADF", "EROFS")
}
#: Of files that belong to somebody else.
_DENIED = {errno.EACCES, errno.EPERM}


def main(arguments: list[str] | None = None, prog_name: str | None = None) -> Any:
    """Run a command, as `arguments` or else the command line say, and end the process."""
    interrupt.watch()
    # A notebook hands on a backend that draws in its own process only.
    os.environ["MPLBACKEND"] = "agg"
    # Without a home it would say at length where it keeps its fonts instead.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # A shell may start it without outputs, as by `>&-`.
    sys.stdout, sys.stderr = (s or open(os.devnull, "w") for s in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal does not have becomes a question mark.
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = _run(arguments, prog_name)
    finally:
        # Whatever is raised once the command was interrupted comes of that.
        if interrupt.interrupted():
            interrupt.end()
    sys.exit(code)


def _run(arguments: list[str] | None, prog_name: str | None) -> Any:
    """The exit code of a command, its output written."""
    try:
        os.getcwd()
    except OSError:
        print("Error: The working directory is gone; change to another one.", file=sys.stderr)
        return 2
    from vaebench.cli.app import main as command

    code: Any = 0
    try:
        command.main(arguments, prog_name)
    except SystemExit as error:
        code = error.code
    except OSError as error:
        if error.errno in _DENIED and error.filename:
            print(f"Error: {error.filename} cannot be used ({error.strerror}).", file=sys.stderr)
            return 2
        if error.errno not in _UNWRITABLE:
            raise
        return _unwritable(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        return code or _unwritable(error)
    return code


def _unwritable(error: OSError) -> int:
    where = error.filename or "The output"
    print(f"Error: {where} cannot be written ({error.strerror}).", file=sys.stderr)
    # What could not be written would be tried again at the end, with a traceback.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
