"""A shipper in a process of its own, which can die at a step of its protocol.

``python -m tests.crash.shipper_process ROOT STEP OCCURRENCE BURST_BYTES`` ships without end; it says ``epoch N`` once
it has begun. STEP is one of :data:`STEPS`, or ``-`` for one that is killed from outside.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybridstore.backup import full
from hybridstore.backup import shipper as shipper_module
from hybridstore.backup.repository import Repository
from hybridstore.backup.shipper import Shipper
from hybridstore.backup.tail import TailFile
from hybridstore.hot.log_pin import LogPin
from tests.crash.shipping import Ships, settings_of

STEPS: dict[str, tuple[object, str, bool]] = {
    "flushed": (TailFile, "flush", True),
    "publishing": (Repository, "publish", False),
    "published": (TailFile, "remove", False),
    "rolled": (TailFile, "remove", True),
    "begun": (Repository, "add_epoch", True),
    "copying": (full, "_pack", False),
    "kept": (full, "write_file", False),
    "copied": (LogPin, "copy_back", True),
    "committed": (LogPin, "add_commit", True),
    "held": (Shipper, "_release", False),
}
"""Each step: what is called, and whether it comes behind that call."""
LIMIT_MB = 2
POLL_S = 0.004


def _die() -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _die_at(step: str, occurrence: int) -> None:
    kind, name, behind = STEPS[step]
    call: Callable[..., Any] = getattr(kind, name)
    counts: Counter[str] = Counter()

    @functools.wraps(call)
    def dying(*arguments: Any, **named: Any) -> Any:
        # Writers are held where the call is made by who holds them.
        counts[step] += step != "held" or sys._getframe(1).f_code.co_name == "_release_held"
        due = counts[step] >= occurrence
        if due and not behind:
            _die()
        result = call(*arguments, **named)
        if due and behind:
            _die()
        return result

    setattr(kind, name, dying)


def main(root: Path, step: str, occurrence: int, burst_bytes: int) -> None:
    """Ship without end; what is as large as a burst goes into a segment at once."""
    shipper_module.BURST_BYTES = burst_bytes
    ships = Ships(settings_of(root))
    if step in STEPS:
        _die_at(step, occurrence)
    with ships.shipping(LIMIT_MB) as shipper:
        os.write(1, f"epoch {shipper.epoch}\n".encode())
        until_s = time.monotonic() + 600
        while time.monotonic() < until_s:
            shipper.poll()
            time.sleep(POLL_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5]))
