"""Maintenance as a service: one process a root, round after round, until it is told to stop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from hybridstore.backup.service import BackupService
from hybridstore.clock import SystemClock
from hybridstore.config import Settings
from hybridstore.errors import BackupError, StoreBusy
from hybridstore.hot.shipped_mark import unmark_shipped
from hybridstore.operations.condition import (
    Condition,
    Owner,
    maintenance_lock,
    read_condition,
    write_condition,
)
from hybridstore.operations.endpoint import serving
from hybridstore.operations.equity_job import EquityJob
from hybridstore.operations.maintenance import OnProgress, run_once
from hybridstore.operations.report_job import ReportJob
from hybridstore.retention.progress import MoveReport, Progress

RETRY_S = 30.0
"""How long after a failed round the next one begins; twice as long after each further failure, up to the interval."""
_DOUBLINGS_MAX = 32
"""More of them make a number that no clock counts to."""
_LOOK_S = 0.3
"""How long a service waits for the lock before it says who has it: one that only looks holds it for a moment."""
_SLICE_S = 0.5
"""On Windows a signal does not end a wait; so waits are short."""
_PROGRESS_EVERY_S = 5.0

OnReport = Callable[[MoveReport], None]
OnError = Callable[[Exception], None]


def serve(
    settings: Settings,
    stop: threading.Event,
    *,
    owner_pid: int | None = None,
    restarts: int = 0,
    on_standby: Callable[[str], None] | None = None,
    on_report: OnReport | None = None,
    on_error: OnError | None = None,
    progress: OnProgress | None = None,
    retry_s: float = RETRY_S,
) -> None:
    """Maintain a store until told to stop. A round that fails is told, and tried again.

    Args:
        settings: The store and how it is maintained.
        stop: Ends the service when set; a round that is running ends after its step.
        owner_pid: The bot on whose behalf it runs; None for a service of its own.
        restarts: How often that bot had to start it again.
        on_standby: Called once with a sentence when another process maintains the root; then its end is waited for.
            None means not to wait.
        on_report: Called after each round.
        on_error: Called with what a round failed of.
        progress: Called as rows are moved.
        retry_s: How long after a failed round the next one begins.

    Raises:
        StoreBusy: Another process maintains the root, and its end was not to be waited for.
    """
    lock = maintenance_lock(settings.database.root)
    if not _take(lock, stop, _LOOK_S):
        if stop.is_set():
            return
        said = _who_has(settings.database.root)
        if on_standby is None:
            raise StoreBusy(
                said,
                operation="maintain",
                path=str(settings.database.root),
                hint="it is done there; this one is not needed",
            )
        on_standby(said)
    with serving(settings, on_error or (lambda _error: None)):
        if lock.is_locked or _take(lock, stop, None):
            try:
                _Rounds(
                    settings, stop, _first(owner_pid, restarts), on_report, on_error, progress, retry_s
                ).run()
            finally:
                lock.release()


def _first(owner_pid: int | None, restarts: int) -> Condition:
    """Return what a service says before its first round."""
    owner: Owner = "service" if owner_pid is None else "bot"
    return Condition(pid=os.getpid(), owner=owner, owner_pid=owner_pid, started_at=_iso(), restarts=restarts)


def _take(lock: Any, stop: threading.Event, patience_s: float | None) -> bool:
    """Take the lock; False when patience ran out or the service is to stop."""
    import filelock

    end_s = None if patience_s is None else time.monotonic() + patience_s
    while not stop.is_set():
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if end_s is not None and time.monotonic() >= end_s:
                return False
            stop.wait(0.1 if end_s is not None else _SLICE_S)
        else:
            return True
    return False


def _who_has(root: Path) -> str:
    condition = read_condition(root)
    return f"another process maintains this store{f' ({condition.who()})' if condition else ''}"


class _Rounds:
    """Rounds of one service, and the file that tells of them."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        condition: Condition,
        on_report: OnReport | None,
        on_error: OnError | None,
        progress: OnProgress | None,
        retry_s: float,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._condition = condition
        self._on_report = on_report or (lambda _report: None)
        self._on_error = on_error or (lambda _error: None)
        self._progress = progress or (lambda _progress: None)
        self._retry_s = retry_s
        self._failures = 0
        self._told_s = 0.0
        self._telling = threading.Lock()

    def run(self) -> None:
        """Do rounds until told to stop."""
        earlier = read_condition(self._settings.database.root)
        if earlier is not None:  # what the one before did is still the last that was done
            self._condition = msgspec.structs.replace(
                self._condition,
                last_round_at=earlier.last_round_at,
                last_report=earlier.last_report,
                last_equity=earlier.last_equity,
                last_reports=earlier.last_reports,
            )
        equity = EquityJob(
            self._settings,
            self._stop,
            lambda report: self._tell(last_equity=report.to_dict()),
            self._on_error,
        )
        equity.start()
        reports = ReportJob(
            self._settings,
            self._stop,
            lambda written: self._tell(last_reports=written.to_dict()),
            self._on_error,
        )
        reports.start()
        backup = self._start_backup()
        try:
            while not self._stop.is_set():
                due_s = time.monotonic() + self._round()
                while (left_s := due_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, _SLICE_S)):
                    pass
        finally:
            self._stop.set()
            equity.close()
            reports.close()
            if backup is not None:
                backup.close()

    def _start_backup(self) -> BackupService | None:
        settings = self._settings
        if settings.backup.mode == "off":
            unmark_shipped(settings.database.root)
            return None
        backup = BackupService(
            settings.database,
            settings.backup,
            SystemClock(),
            self._stop,
            on_error=self._on_error,
            on_gap=lambda said: self._on_error(BackupError(said)),
        )
        backup.start()
        return backup

    def _round(self) -> float:
        """Do one round; return how long to wait for the next, s."""
        self._tell(round_started_at=_iso(), next_round_at=None)
        delay_s = self._settings.maintenance.interval_s
        found: dict[str, Any]
        try:
            report = run_once(self._settings, progress=self._advance, stop=self._stop.is_set)
        except Exception as error:  # noqa: BLE001  whatever it is: told, kept in the condition, and tried again
            delay_s = min(self._retry_s * 2 ** min(self._failures, _DOUBLINGS_MAX), delay_s)
            self._failures += 1
            found = {"last_error": f"{type(error).__name__}: {error}"}
            self._on_error(error)
        else:
            self._failures = 0
            rows_moved = self._condition.rows_moved + report.rows
            found = {"last_error": None, "last_report": report.to_dict(), "rows_moved": rows_moved}
            self._on_report(report)
        now = datetime.now(UTC)
        self._tell(
            rounds=self._condition.rounds + 1,
            round_started_at=None,
            progress=None,
            last_round_at=now.isoformat(),
            next_round_at=None if self._stop.is_set() else (now + timedelta(seconds=delay_s)).isoformat(),
            **found,
        )
        return delay_s

    def _advance(self, progress: Progress) -> None:
        self._progress(progress)
        if time.monotonic() >= self._told_s + _PROGRESS_EVERY_S:
            self._tell(progress=progress.to_dict())

    def _tell(self, **changes: Any) -> None:
        with self._telling:  # rounds and snapshots tell from threads of their own
            self._condition = msgspec.structs.replace(self._condition, **changes)
            self._told_s = time.monotonic()
            try:
                write_condition(self._settings.database.root, self._condition)
            except OSError as error:  # a full disk must not keep the move that would free it from running
                self._on_error(error)


def _iso() -> str:
    return datetime.now(UTC).isoformat()
