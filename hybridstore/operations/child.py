"""The child process: ``python -m hybridstore.operations.child``, started by :mod:`hybridstore.operations.launch`.

It ends when its job is done, when its standard input ends (its parent is gone or wants it to end), when its parent's
process number changes, or at SIGTERM. In each case it finishes the bounded step it is in; what is left of a move is
finished by the next process. A step that takes longer than the grace is cut off: a move may end anywhere.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from hybridstore.clock import ManualClock
from hybridstore.errors import HybridStoreError, StoreBusy
from hybridstore.operations.launch import EXIT_STANDBY, Complaint, Job
from hybridstore.operations.maintenance import run_once
from hybridstore.operations.service import serve
from hybridstore.operations.signals import obey_signals

_STDIN = 0
_CHUNK_BYTES = 1 << 16
_PARENT_CHECK_S = 0.5
_NICENESS = 10
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def main() -> NoReturn:
    """Read the job from standard input and do it."""
    line = _read_line()
    if not line:  # the parent was gone before it could say what to do
        sys.exit(0)
    job = msgspec.json.decode(line, type=Job)
    if job.settings.maintenance.low_priority:
        lower_priority()
    with obey_signals() as stop:
        watch = threading.Thread(target=_watch_parent, args=(job, stop), daemon=True)
        watch.start()
        sys.exit(_do_once(job, stop) if job.once else _serve(job, stop))


def lower_priority() -> None:
    """Leave the processor to the bot where both want it."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


def _serve(job: Job, stop: threading.Event) -> int:
    try:
        serve(job.settings, stop, owner_pid=job.owner_pid, restarts=job.restarts, on_error=_complain)
    except StoreBusy:
        return EXIT_STANDBY
    return 0


def _do_once(job: Job, stop: threading.Event) -> int:
    try:
        report = run_once(
            job.settings,
            now_us=job.now_us,
            clock=None if job.clock_us is None else ManualClock(job.clock_us),
            wait_s=job.wait_s,
            progress=lambda progress: _write_line({"progress": progress}),
            stop=stop.is_set,
        )
    except HybridStoreError as error:
        _complain(error)
        return 1
    _write_line({"report": report})
    return 0


def _read_line() -> bytes:
    """Read the first line past Python's buffers: a thread that waits in one would hold up the end of the process."""
    content = b""
    while not content.endswith(b"\n"):
        chunk = os.read(_STDIN, _CHUNK_BYTES)
        if not chunk:
            return b""
        content += chunk
    return content


def _watch_parent(job: Job, stop: threading.Event) -> None:
    """Wait for the life line to end, then see to it that the process does."""
    while not stop.is_set() and not _parent_is_gone(job.owner_pid):
        pass
    stop.set()
    time.sleep(job.grace_s)
    os._exit(1)  # the step takes too long; whatever it is, the next process finishes it or takes it back


def _parent_is_gone(parent: int) -> bool:
    if sys.platform == "win32":
        return not os.read(_STDIN, 1)
    # A process forked from the bot holds the other end of the line, too, and may outlive it.
    readable, _, _ = select.select([_STDIN], [], [], _PARENT_CHECK_S)
    return (bool(readable) and not os.read(_STDIN, 1)) or os.getppid() != parent


def _complain(error: Exception) -> None:
    """Tell of an error as one JSON line."""
    at, kind = datetime.now(UTC).isoformat(), type(error).__name__
    if isinstance(error, HybridStoreError):
        known = (error.operation, error.path, error.hint)
        complaint = Complaint(at, kind, str(error), error.message, *known)
    else:
        complaint = Complaint(at, kind, str(error), str(error))
    sys.stderr.write(msgspec.json.encode(complaint).decode() + "\n")
    sys.stderr.flush()


def _write_line(message: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
