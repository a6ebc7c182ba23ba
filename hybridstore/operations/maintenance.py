"""One round of maintenance: here, or in a process of its own.

Moves hold the interpreter lock for milliseconds; a bot must not feel that. So a bot's process never runs a round
itself: it starts a child (:func:`run_in_process`), or has one watched (:mod:`hybridstore.operations.supervisor`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from hybridstore import errors
from hybridstore.clock import Clock
from hybridstore.config import Settings, load_settings
from hybridstore.errors import HybridStoreError, MoveFailed, NotFound
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.operations.launch import Complaint, Job, start_child
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.progress import MoveReport, Progress

OnProgress = Callable[[Progress], None]
WAIT_S = 60.0
"""How long somebody who asks for a round waits for a move that is under way."""


def run_once(
    store: Path | Settings,
    *,
    now_us: int | None = None,
    clock: Clock | None = None,
    wait_s: float = 0.0,
    progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> MoveReport:
    """Open a store, move what is due, close it.

    Args:
        store: The store's folder, whose configuration is read, or its settings.
        now_us: Plan as if it were this moment, us UTC; None means the clock's. Commits keep their own time.
        clock: Where the time of commits comes from; None means the machine's clock.
        wait_s: How long to wait for another process that is moving rows.
        progress: Called as rows are moved.
        stop: Asked between steps; True ends the round early, the next one goes on.

    Returns:
        What was moved.

    Raises:
        NotFound: There is no store; maintenance never creates one.
        StoreBusy: Another process is moving rows and did not end in time.
    """
    settings = store if isinstance(store, Settings) else load_settings(store)
    if not settings.database.path.exists():
        raise NotFound("there is no store here", operation="maintain", path=str(settings.database.path))
    database = DatabaseManager(settings.database, clock=clock)
    database.open()
    try:
        SchemaManager(database).initialize()
        retention = DataRetentionManager(database, settings.retention)
        return retention.run(now_us, progress=progress, stop=stop, wait_s=wait_s)
    finally:
        database.shutdown()


def run_in_process(
    store: Path | Settings,
    *,
    now_us: int | None = None,
    clock_us: int | None = None,
    wait_s: float = 0.0,
    progress: OnProgress | None = None,
) -> MoveReport:
    """Do :func:`run_once` in a process of its own and wait for it. The process ends with this one.

    Args:
        store: The store's folder, whose configuration is read, or its settings.
        now_us: Plan as if it were this moment, us UTC; None means the clock's.
        clock_us: What a store with a clock of its own takes for the present, us UTC; None means the machine's clock.
        wait_s: How long to wait for another process that is moving rows.
        progress: Called as rows are moved.

    Returns:
        What was moved.

    Raises:
        HybridStoreError: What the process failed of.
        MoveFailed: It died; its last words are in the message.
    """
    settings = store if isinstance(store, Settings) else load_settings(store)
    job = Job(
        settings=settings,
        owner_pid=os.getpid(),
        once=True,
        now_us=now_us,
        clock_us=clock_us,
        wait_s=wait_s,
    )
    with start_child(job) as child:
        assert child.stdout is not None
        complaints: list[bytes] = []
        reader = threading.Thread(target=lambda: complaints.extend(child.stderr or ()), daemon=True)
        reader.start()
        report: MoveReport | None = None
        for line in child.stdout:
            message: dict[str, Any] = msgspec.json.decode(line)
            if "progress" in message and progress:
                progress(msgspec.convert(message["progress"], Progress))
            elif "report" in message:
                report = msgspec.convert(message["report"], MoveReport)
        reader.join()
    if child.returncode or report is None:
        raise _failure(child.returncode, complaints, settings.database.root)
    return report


def _failure(code: int, complaints: list[bytes], root: Path) -> HybridStoreError:
    """Return the error that a child told of, or one that says how it died."""
    with suppress(IndexError, msgspec.MsgspecError):
        told = msgspec.json.decode(complaints[-1], type=Complaint)
        kind = getattr(errors, told.error, None)
        if isinstance(kind, type) and issubclass(kind, HybridStoreError):
            return kind(told.said, operation=told.operation, path=told.path, hint=told.hint)
    said = b"".join(complaints[-5:]).decode(errors="replace").strip()
    return MoveFailed(
        f"the maintenance process ended with code {code}: {said}",
        path=str(root),
        hint="what it had begun is finished by the next run",
    )
