"""Reports of every account, written anew by whoever maintains the store: a page each, and its tables."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from hybridstore.archive.layout import encode_name
from hybridstore.config import Settings
from hybridstore.durable import make_directories
from hybridstore.errors import HybridStoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.records import Record

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics

REPORTS = "reports"
_FIRST_AFTER_S = 60.0
"""A service that has just begun leaves the machine to what it was begun for."""
_HOUR_S = 3_600.0
_SLICE_S = 0.5

OnWritten = Callable[["ReportsWritten"], None]
OnError = Callable[[Exception], None]


class ReportsWritten(Record, frozen=True, gc=False):
    """What was written.

    Attributes:
        written_at: When, ISO 8601.
        pages: Accounts that have a new page.
        failed: By account: why it has none.
    """

    written_at: str
    pages: int
    failed: dict[str, str]


def write_reports(settings: Settings) -> ReportsWritten:
    """Write the report of every account that has equity snapshots, into ``<root>/reports``.

    Args:
        settings: The store, and what its reports compare with.

    Returns:
        What was written.

    Raises:
        StorageFull: There is no room for the folder.
    """
    from hybridstore.analytics.session import Analytics

    database = DatabaseManager(settings.database)
    database.open()
    try:
        SchemaManager(database).initialize()
        analytics = Analytics(database, settings.analytics)
        try:
            return _write_all(database, analytics, settings)
        finally:
            analytics.close()
    finally:
        database.shutdown()


def _write_all(database: DatabaseManager, analytics: Analytics, settings: Settings) -> ReportsWritten:
    from hybridstore.reports.account import report_account
    from hybridstore.reports.exporting import write_tables
    from hybridstore.reports.page import write_page

    with database.readers.transaction() as transaction:
        accounts = [row[:2] for row in transaction.rows(database.statements["accounts_with_equity"])]
    folder, pages, failed = database.root / REPORTS, 0, {}
    make_directories(folder)
    for account, base_currency in accounts:
        name = encode_name(f"{account}-{base_currency}")
        try:
            data = report_account(
                database,
                analytics,
                account,
                base_currency,
                benchmark=settings.report.benchmark or None,
                risk_free=settings.report.risk_free,
                is_scheduled=True,
                backup=settings.backup,
            )
            write_tables(data, folder / name)
            write_page(data, folder / f"{name}.html")
            pages += 1
        except HybridStoreError as error:  # the other accounts have theirs
            failed[account] = f"{type(error).__name__}: {error}"
    return ReportsWritten(datetime.now(UTC).isoformat(), pages, failed)


def are_due(settings: Settings, now_s: float) -> bool:
    """Say whether reports are to be written.

    Args:
        settings: The store, and how often.
        now_s: The time, seconds since 1970.

    Returns:
        Whether the newest page is old enough, or there is none.
    """
    if not settings.report.interval_hours:
        return False
    newest_s = 0.0
    for path in (settings.database.root / REPORTS).glob("*.html"):
        with suppress(OSError):
            newest_s = max(newest_s, path.stat().st_mtime)
    return not newest_s <= now_s < newest_s + settings.report.interval_hours * _HOUR_S


class ReportJob:
    """The thread that has reports written until it is told to stop, each time by a process of its own.

    What reports need (engine, memory) is given back with that process. One that is stopped half-way leaves whole pages.

    Args:
        settings: The store, and how often.
        stop: Ends it when set.
        on_written: Called with what was written.
        on_error: Called with why nothing was.
        first_after_s: Seconds after its start before which nothing is written.
    """

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        on_written: OnWritten,
        on_error: OnError,
        first_after_s: float = _FIRST_AFTER_S,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._on_written = on_written
        self._on_error = on_error
        self._not_before_s = time.monotonic() + first_after_s
        self._thread = threading.Thread(target=self._run, name="hybridstore-reports", daemon=True)

    def start(self) -> None:
        """Begin, unless the interval is 0."""
        if self._settings.report.interval_hours:
            self._thread.start()

    def close(self) -> None:
        """Wait for the end of the thread; ``stop`` must be set."""
        if self._settings.report.interval_hours:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SLICE_S):
            if time.monotonic() < self._not_before_s or not self._settings.database.path.exists():
                continue
            if are_due(self._settings, time.time()):
                # Where it fails, or there is no account yet, it is tried again in an hour.
                self._not_before_s = time.monotonic() + min(
                    self._settings.report.interval_hours * _HOUR_S, _HOUR_S
                )
                self._write()

    def _write(self) -> None:
        command = [sys.executable, "-m", __name__]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:  # noqa: S603  ours
            asked = msgspec.json.encode(self._settings)
            while True:
                try:
                    told, complaints = child.communicate(asked, timeout=_SLICE_S)
                    break
                except subprocess.TimeoutExpired:
                    asked = b""
                    if self._stop.is_set():
                        child.kill()
        if child.returncode == 0:
            self._on_written(msgspec.json.decode(told, type=ReportsWritten))
        elif not self._stop.is_set():
            said = complaints.decode(errors="replace").strip().rpartition("\n")[2]
            self._on_error(HybridStoreError(f"no reports were written: {said}", operation="write reports"))


def main() -> None:
    """Write the reports of the store that standard input tells of."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    sys.stdout.write(msgspec.json.encode(write_reports(settings)).decode())


if __name__ == "__main__":
    main()
