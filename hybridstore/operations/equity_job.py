"""Equity snapshots by the clock: of every account of a store, on a grid of moments, in the maintenance process.

The moments are whole multiples of the interval since 1970 UTC. Each is taken once: a process that begins waits for the
next, and one that was held up takes the newest alone. Snapshots have a thread and a connection of their own, so that a
move that takes minutes delays none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from hybridstore.archive.lookup import ArchiveLookup
from hybridstore.clock import SECOND_US, Clock, SystemClock
from hybridstore.config import Settings
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.desk import Desk
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.records import Record
from hybridstore.schema.types import moment

_SLICE_S = 0.5
"""The longest wait: the machine's clock may be set meanwhile."""

OnTaken = Callable[["EquityReport"], None]
OnError = Callable[[Exception], None]


class EquityReport(Record, frozen=True, gc=False):
    """What was done at one moment of the grid.

    Attributes:
        taken_at: The moment, ISO 8601.
        snapshots: Accounts whose equity was written down.
        lag_ms: How long after the moment the last of them was durable.
        failed: By account: why it has no snapshot.
    """

    taken_at: str
    snapshots: int
    lag_ms: float
    failed: dict[str, str]


def take_snapshots(
    database: DatabaseManager, base_currency: str, taken_us: int, desk: Desk | None = None
) -> EquityReport | None:
    """Write down the equity of every account that holds something, at one moment.

    Args:
        database: The open store.
        base_currency: What to price everything in.
        taken_us: The moment, us UTC; an account that has a snapshot of it is left as it is.
        desk: What records; one that is kept remembers what was done on days that are over. None makes one.

    Returns:
        What was done; None where there was nothing to do.
    """
    desk, taken, failed = desk or Desk(database), 0, {}
    for account in accounts_of(database, base_currency):
        key = (account, base_currency, taken_us)
        try:
            if not database.readers.rows(database.statements["find_portfolio_snapshots"], key):
                desk.record_portfolio_snapshot(account, base_currency, taken_at=taken_us)
                taken += 1
        except Exception as error:  # noqa: BLE001  whatever it is: told, and the other accounts have theirs
            failed[account] = f"{type(error).__name__}: {error}"
    if not taken and not failed:
        return None
    lag_ms = (database.clock.now_us() - taken_us) / 1000
    return EquityReport(moment(taken_us).isoformat(), taken, lag_ms, failed)


def accounts_of(database: DatabaseManager, base_currency: str) -> list[str]:
    """Return accounts that hold or owe something, have open positions, or had equity when last looked at.

    Args:
        database: The open store.
        base_currency: What their equity is in.

    Returns:
        By name.
    """
    statements = database.statements
    with database.readers.transaction() as transaction:
        found = {row[0] for row in transaction.rows(statements["accounts_that_hold"])}
        found.update(row[0] for row in transaction.rows(statements["accounts_with_positions"]))
        latest: list[Any] = transaction.rows(statements["accounts_with_equity"])
    found.update(row[0] for row in latest if row[1] == base_currency and row[3] != "0")
    return sorted(found)


class EquityJob:
    """The thread that takes snapshots until it is told to stop.

    Args:
        settings: The store, the interval and the base currency.
        stop: Ends it when set.
        on_taken: Called after each moment at which something was done.
        on_error: Called with what a moment failed of as a whole; the next one is tried all the same.
        clock: What the grid is laid on; None means the machine's clock.
    """

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        on_taken: OnTaken,
        on_error: OnError,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._on_taken = on_taken
        self._on_error = on_error
        self._clock = clock or SystemClock()
        self._interval_us = round(settings.portfolio.snapshot_interval_s * SECOND_US)
        self._opened: tuple[DatabaseManager, Desk] | None = None
        self._thread = threading.Thread(target=self._run, name="hybridstore-equity", daemon=True)

    def start(self) -> None:
        """Begin, unless the interval is 0."""
        if self._interval_us:
            self._thread.start()

    def close(self) -> None:
        """Wait for the end of the thread; ``stop`` must be set."""
        if self._interval_us:
            self._thread.join()

    def _run(self) -> None:
        last = self._clock.now_us() // self._interval_us
        try:
            while not self._stop.is_set():
                now_us = self._clock.now_us()
                number = now_us // self._interval_us
                if number > last:
                    self._take(number * self._interval_us)
                last = number  # also where the clock was set back
                left_us = (number + 1) * self._interval_us - self._clock.now_us()
                self._stop.wait(min(max(left_us, 0) / SECOND_US, _SLICE_S))
        finally:
            self._let_go()

    def _take(self, taken_us: int) -> None:
        try:
            if self._settings.database.path.exists():  # maintenance never creates a store
                database, desk = self._open()
                report = take_snapshots(database, self._settings.portfolio.base_currency, taken_us, desk)
                if report is not None:
                    self._on_taken(report)
        except Exception as error:  # noqa: BLE001  whatever it is: told, and tried again at the next moment
            self._let_go()
            self._on_error(error)

    def _open(self) -> tuple[DatabaseManager, Desk]:
        if self._opened is None:
            database = DatabaseManager(self._settings.database)
            database.archive_lookup = ArchiveLookup(database)
            database.open()
            self._opened = database, Desk(database)
            SchemaManager(database).initialize()
        return self._opened

    def _let_go(self) -> None:
        """Close the store: it is opened anew at the next moment, also where its files were replaced."""
        opened, self._opened = self._opened, None
        if opened is not None:
            try:
                opened[0].shutdown()
            except Exception as error:  # noqa: BLE001  it is gone either way
                self._on_error(error)
