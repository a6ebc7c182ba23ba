"""A mover in a process of its own that can be killed at a named step.

``python -m tests.crash.mover_process run REQUEST`` moves everything that is due in one store; REQUEST is a JSON
object (see :class:`Request`). ``... serve`` reads one REQUEST a line and forks a child for each, because starting
Python with pyarrow costs more than a whole move of these small stores; it answers with one JSON line each. It forks
only from a process without threads, and only on Linux; elsewhere every mover is started on its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.crash.deleting import delete_everything
from tests.crash.moving import move_everything
from tests.crash.mutants import DELETION_MUTANTS, MUTANTS
from tests.crash.real_disk import cut_power_of
from tests.crash.stock import stock_rows

KILL_SIGNAL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""On Windows os.kill with any signal is TerminateProcess: as sudden."""
_POLL_S = 0.0005
MOVE_MAX_S = 60.0
"""A mover that is not through by then hangs."""


class Request(msgspec.Struct, frozen=True):
    """What a mover shall do.

    Attributes:
        root: The store's folder.
        seed: Of its content.
        rows_a_day: Of its content.
        result: Where to write the names of the steps it took, JSON, once it is through.
        kill_at: Name and number of the step to die at; None to live.
        kill_after_s: When it is killed from outside, seconds after its start; None for never.
        mutant: The deliberate break of the protocol to run with.
        work: "move", or "delete" for a store of :mod:`tests.crash.deleting`.
        cut: The mounted file system that loses its power first, where it is killed.
    """

    root: str
    seed: int
    rows_a_day: int
    result: str
    kill_at: tuple[str, int] | None = None
    kill_after_s: float | None = None
    mutant: str | None = None
    work: str = "move"
    cut: str | None = None


def run(request: Request) -> None:
    """Move everything that is due, and die where the request says.

    Args:
        request: What to do.
    """
    steps: list[str] = []
    counts: Counter[str] = Counter()

    def on_step(name: str) -> None:
        steps.append(name)
        counts[name] += 1
        if request.kill_at == (name, counts[name]):
            if request.cut:
                cut_power_of(Path(request.cut))
            os.kill(os.getpid(), KILL_SIGNAL)

    mutants = MUTANTS | DELETION_MUTANTS
    with mutants[request.mutant]() if request.mutant else nullcontext():
        if request.work == "delete":
            delete_everything(Path(request.root), on_step)
        else:
            expected = stock_rows(request.seed, request.rows_a_day)
            move_everything(Path(request.root), on_step, expected=expected)
    Path(request.result).write_text(json.dumps(steps), encoding="utf-8")


def _serve() -> None:
    """Fork a child a request; the child is killed from here, where its number cannot have been given to another."""
    for line in sys.stdin:
        request = msgspec.json.decode(line, type=Request)
        child = os.fork()
        if child == 0:
            _run_and_exit(request)
        kill_at_s = time.monotonic() + (MOVE_MAX_S if request.kill_after_s is None else request.kill_after_s)
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() >= kill_at_s:
                if request.cut and request.kill_after_s is not None:
                    cut_power_of(Path(request.cut))
                os.kill(child, KILL_SIGNAL)
                _, status = os.waitpid(child, 0)
                break
            time.sleep(_POLL_S)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)


def _run_and_exit(request: Request) -> None:
    code = 1
    try:
        run(request)
        code = 0
    except BaseException:  # noqa: BLE001  the child must end here, whatever happened
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Run one request, or serve many."""
    import pyarrow.parquet  # noqa: F401  what every mover needs is loaded before the first fork

    if sys.argv[1] == "serve":
        _serve()
    else:
        run(msgspec.json.decode(sys.argv[2], type=Request))


if __name__ == "__main__":
    main()
