"""Run `restore` in a fork of this process, and kill it at a given moment.

The fork has imported the command already, so that a kill hits its work rather than the start of Python.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from restore.cli import main as command_line

__all__ = ["must", "run_forked"]


def run_forked(command: list[str], *, kill_after: float | None = None, show_errors: bool = True) -> int:
    """Return the exit code of the command, or minus the signal that ended it.

    Args:
        command: ``restore`` and its arguments; its standard output is discarded.
        kill_after: seconds after which it is killed, with the processes that it started.
        show_errors: pass on what it writes to standard error.
    """
    child = os.fork()
    if child == 0:
        _as_child(command, show_errors=show_errors)
    if kill_after is not None:
        time.sleep(kill_after)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):  # before it has a group of its own
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def must(condition: bool, otherwise: str) -> None:
    """End the program with a sentence unless the condition holds."""
    if not condition:
        raise SystemExit(otherwise)


def _as_child(command: list[str], *, show_errors: bool) -> None:
    """Run the command and exit with its code, without the exit handlers of the parent."""
    code = 1
    try:
        os.setsid()
        sys.argv = command
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        if not show_errors:
            os.dup2(silence, 2)
        command_line()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)
