"""Reader connections: taken for one statement or one read transaction, then given back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.errors import StoreBusy, StoreClosed, StoreError
from hybridstore.hot.connection import open_connection, translate
from hybridstore.hot.guards import ProcessGuard

Row = tuple[Any, ...]
_WAIT_S = 5.0


class _Unbound(dict[str, None]):
    """Bindings that have every name, as NULL."""

    def __missing__(self, name: str) -> None:
        return None


class ReadTransaction:
    """One moment of the store. It ends by itself when it grows too old, for it keeps the WAL from shrinking.

    Args:
        connection: A reader that is in no transaction.
        path: The database, for messages.
        max_age_s: The age at which :meth:`expire_if_old` ends it.
    """

    def __init__(self, connection: apsw.Connection, path: Path, max_age_s: float) -> None:
        self._connection = connection
        self._path = path
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._begun_s = time.monotonic()
        self.expired = False
        connection.execute("BEGIN")

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun_s

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run one statement in the transaction.

        Args:
            sql: A SELECT.
            parameters: By position, or by name.

        Returns:
            All its rows.

        Raises:
            StoreError: The transaction was ended for its age.
        """
        with self._lock:
            if self.expired:
                raise StoreError(
                    f"this snapshot was closed after {self._max_age_s:g} s",
                    path=str(self._path),
                    hint="take a new snapshot, or raise reader_max_age_s",
                )
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except apsw.Error as error:
                raise translate(error, "read a snapshot", self._path) from error

    def expire_if_old(self) -> bool:
        """End the transaction if it is too old.

        Returns:
            Whether it was ended now.
        """
        if self.expired or self.age_s <= self._max_age_s:
            return False
        self.end()
        return True

    def end(self) -> None:
        """End the transaction; a second time does nothing."""
        with self._lock:
            self.expired = True
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


class ReaderPool:
    """At most ``max_connections`` readers, opened when first needed.

    A point read takes about 5 us and never leaves its thread, so even a busy bot rarely needs a second connection:
    the limit is a bound, not a target.

    Args:
        config: Where and how to open.
        guard: Refuses use across a fork.
    """

    def __init__(self, config: DatabaseConfig, guard: ProcessGuard) -> None:
        self._config = config
        self._guard = guard
        self._path = config.path
        self._points: deque[apsw.Connection] = deque()
        self._scans: deque[apsw.Connection] = deque()
        self._all: list[apsw.Connection] = []
        self._running: set[ReadTransaction] = set()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._expired = 0

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run one bounded statement and return all its rows.

        Args:
            sql: A SELECT whose plan is a search on an index.
            parameters: By position, or by name.

        Returns:
            The rows; no read transaction is left open.
        """
        self._guard.check()
        try:
            connection = self._points.pop()
        except IndexError:
            connection = self._take(self._points, scan=False)
        try:
            return connection.execute(sql, parameters).fetchall()
        except apsw.Error as error:
            raise translate(error, "read", self._path) from error
        finally:
            self._give(self._points, connection)

    def plan(self, sql: str) -> list[str]:
        """Return SQLite's query plan of a statement.

        Args:
            sql: A SELECT.

        Returns:
            One line a step.
        """
        # Every parameter is NULL; a plan does not depend on values.
        unbound = (None,) * sql.count("?") or _Unbound()
        return [str(row[3]) for row in self.rows(f"EXPLAIN QUERY PLAN {sql}", unbound)]

    @contextmanager
    def transaction(self) -> Iterator[ReadTransaction]:
        """Hold one read transaction: everything read in it is of one moment.

        Yields:
            The transaction; it is over when the block ends, or when it grew too old.
        """
        self._guard.check()
        connection = self._take(self._scans, scan=True)
        transaction: ReadTransaction | None = None
        try:
            transaction = ReadTransaction(connection, self._path, self._config.reader_max_age_s)
            self._running.add(transaction)
            yield transaction
        finally:
            if transaction is not None:
                self._running.discard(transaction)
                transaction.end()
            self._give(self._scans, connection)

    def expire_old(self) -> int:
        """End read transactions that are too old. Called by the store's housekeeping thread.

        Returns:
            How many were ended.
        """
        ended = sum(transaction.expire_if_old() for transaction in tuple(self._running))
        self._expired += ended
        return ended

    def statistics(self) -> dict[str, float]:
        """Return the pool's figures.

        Returns:
            max_connections, total_connections, active_connections, idle_connections, oldest_reader_s,
            expired_readers.
        """
        idle = len(self._points) + len(self._scans)
        return {
            "max_connections": self._config.max_connections,
            "total_connections": len(self._all),
            "active_connections": len(self._all) - idle,
            "idle_connections": idle,
            "oldest_reader_s": max((transaction.age_s for transaction in tuple(self._running)), default=0.0),
            "expired_readers": self._expired,
        }

    def close(self) -> None:
        """Close every connection; later use raises StoreClosed."""
        with self._changed:
            self._closed = True
            for transaction in tuple(self._running):
                transaction.end()
            for connection in self._all:
                connection.close(True)  # noqa: FBT003  positional in apsw
            self._all.clear()
            self._points.clear()
            self._scans.clear()
            self._changed.notify_all()

    def _give(self, idle: deque[apsw.Connection], connection: apsw.Connection) -> None:
        if self._closed:
            connection.close(True)  # noqa: FBT003  positional in apsw
            return
        idle.append(connection)
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def _take(self, idle: deque[apsw.Connection], *, scan: bool) -> apsw.Connection:
        deadline = time.monotonic() + _WAIT_S
        with self._changed:
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise StoreClosed("the store is closed", path=str(self._path))
                    if idle:
                        return idle.pop()
                    if len(self._all) < self._config.max_connections:
                        connection = open_connection(self._config, write=False, scan=scan)
                        self._all.append(connection)
                        return connection
                    if not self._changed.wait(deadline - time.monotonic()):
                        raise StoreBusy(
                            f"all {self._config.max_connections} reader connections are in use",
                            path=str(self._path),
                            hint="close snapshots you no longer need, or raise max_connections",
                        )
            finally:
                self._waiting -= 1
