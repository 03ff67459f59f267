"""Ends a command that is interrupted: one sentence, no traceback, and soon."""

import os
import signal
import threading
import time
from contextlib import suppress
from typing import NoReturn

#: Exit code of a command that was interrupted.
INTERRUPTED = 130
#: Seconds that a command has to clean up.
PATIENCE = 1.5
_SENTENCE = "Interrupted. The same command goes on where this one stopped.\n"
_signals: list[int] = []


def interrupted() -> bool:
    """Whether the command is to end."""
    return bool(_signals)


def watch() -> None:
    """Have Ctrl-C, SIGTERM and SIGHUP end this process with one sentence.

    The first one raises KeyboardInterrupt, so that what was begun is cleaned up; a second one, or
    `PATIENCE`, ends the process at once. Nothing is lost: a run may be killed at any moment.
    Signals that the process was started to ignore, as by nohup, stay ignored.
    """
    _signals.clear()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    if _signals:
        end()
    _signals.append(number)
    _say(_SENTENCE)
    # What else is said comes of the interrupt.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    threading.Thread(target=_end_late, daemon=True).start()
    raise KeyboardInterrupt


def _say(text: str) -> None:
    # Not through sys.stderr, which may be in the middle of a write, or gone with the terminal.
    with suppress(OSError):
        if os.isatty(2):
            # Show the cursor, which a bar of progress hides, on a line of its own.
            text = f"\x1b[?25h\r\x1b[K{text}"
        os.write(2, text.encode("ascii"))


def _end_late() -> None:
    time.sleep(PATIENCE)
    end()


def end() -> NoReturn:
    """End the process without looking back."""
    os._exit(INTERRUPTED)
