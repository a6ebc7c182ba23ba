"""Starting the child process that does heavy work, and what it is told.

The child gets its job as the first line of its standard input, which then stays open as its life line: when this
process ends in any way the operating system closes the line, and the child ends by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import msgspec

from hybridstore.config import Settings
from hybridstore.errors import StorageFailure

CHILD_MODULE = "hybridstore.operations.child"
EXIT_STANDBY = 75
"""What a child ends with when another process does the maintenance of its root (sysexits: a temporary failure)."""


class Job(msgspec.Struct, frozen=True):
    """What a child is to do.

    Attributes:
        settings: The store, its policies and the maintenance settings, as the parent has them.
        owner_pid: The parent.
        once: Do one round, tell its progress and its report on standard output, and end; else serve.
        now_us: Plan as if it were this moment, us UTC; only with ``once``.
        clock_us: The present of a store with a clock of its own, us UTC; only with ``once``.
        wait_s: How long to wait for another process that is moving rows; only with ``once``.
        restarts: How often the parent had to start it again.
        grace_s: How long it may take to finish its step when it is to end.
    """

    settings: Settings
    owner_pid: int
    once: bool = False
    now_us: int | None = None
    clock_us: int | None = None
    wait_s: float = 0.0
    restarts: int = 0
    grace_s: float = 8.0


class Complaint(msgspec.Struct, frozen=True):
    """What a child failed of: one JSON line on its standard error.

    Attributes:
        at: When, ISO 8601.
        error: The error's type.
        message: The whole error in words.
        said: The error's own message.
        operation: What was being done.
        path: What it was done to.
        hint: What to do about it.
    """

    at: str
    error: str
    message: str
    said: str
    operation: str | None = None
    path: str | None = None
    hint: str | None = None


def start_child(job: Job) -> subprocess.Popen[bytes]:
    """Start a child and tell it its job.

    Args:
        job: What it is to do.

    Returns:
        The child: stdin is its life line, stderr its complaints; stdout is read only where it does one round.

    Raises:
        StorageFailure: A process cannot be started here.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise StorageFailure(
            "this program is not run by a Python interpreter that could run another module",
            operation="start the maintenance process",
            hint="run `hybridstore run` beside it, and give this store maintenance='off'",
        )
    windows_flags = 0
    if sys.platform == "win32":
        # No console of its own, and no Ctrl-C from the bot's.
        windows_flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        child = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", CHILD_MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if job.once else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            creationflags=windows_flags,
            # Ctrl-C in the bot's terminal is for the bot, which may need a while to close its positions.
            start_new_session=os.name != "nt",
        )
    except OSError as error:
        raise StorageFailure(
            f"{type(error).__name__}: {error.strerror or error}",
            operation="start the maintenance process",
            path=sys.executable,
            hint="check the limits on processes and memory",
        ) from error
    assert child.stdin is not None
    with suppress(OSError):  # a child that died at once has told why on its standard error
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        child.stdin.flush()
    return child


def cut_life_line(child: subprocess.Popen[bytes]) -> None:
    """Tell a child to end: it finishes the step it is in.

    Args:
        child: The child.
    """
    assert child.stdin is not None
    with suppress(OSError):
        child.stdin.close()
