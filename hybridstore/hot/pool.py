"""Reader connections: taken for one statement or one read transaction, then given back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.errors import InvalidValue, StoreBusy, StoreClosed, StoreError
from hybridstore.hot.connection import open_connection, translate
from hybridstore.hot.guards import ProcessGuard

Row = tuple[Any, ...]
_WAIT_S = 5.0
_INTERRUPT_S = 0.01
"""How often a statement that shall end is told so: it may only just be starting."""


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
        self._over: Callable[[], StoreError] | None = None
        self._ended = False
        connection.execute("BEGIN")

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun_s

    @property
    def expired(self) -> bool:
        """Whether it is over."""
        return self._over is not None

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run one statement in the transaction.

        Args:
            sql: A SELECT.
            parameters: By position, or by name.

        Returns:
            All its rows.

        Raises:
            StoreError: The transaction was ended, for its age or because its block or the store was left.
        """
        with self._lock:
            if self._over is not None:
                raise self._over()
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except apsw.Error as error:
                if isinstance(error, apsw.InterruptError) and self._over is not None:
                    raise self._over() from error
                raise translate(error, "read a snapshot", self._path) from error

    def expire_if_old(self) -> bool:
        """End the transaction if it is too old, also in the middle of a statement.

        Returns:
            Whether it was ended now.
        """
        if self.expired or self.age_s <= self._max_age_s:
            return False
        self._end(self._too_old)
        return True

    def end(self) -> None:
        """End the transaction; a second time does nothing."""
        self._end(self._left)

    def close(self) -> apsw.Connection:
        """End the transaction because the store closes.

        Returns:
            Its connection, which is in no transaction and never used again.
        """
        self._end(self._closed)
        return self._connection

    def _end(self, why: Callable[[], StoreError]) -> None:
        if self._over is None:
            self._over = why
        # A statement that is running in another thread would keep the log from shrinking until it is done.
        while not self._lock.acquire(timeout=_INTERRUPT_S):
            self._connection.interrupt()
        try:
            if not self._ended and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            self._ended = True
            self._lock.release()

    def _too_old(self) -> StoreError:
        return StoreError(
            f"this snapshot was closed after {self._max_age_s:g} s",
            path=str(self._path),
            hint="take a new snapshot, or raise reader_max_age_s",
        )

    def _left(self) -> StoreError:
        return StoreError(
            "this snapshot is over", path=str(self._path), hint="read inside the block that took it"
        )

    def _closed(self) -> StoreError:
        return StoreClosed("the store was closed", path=str(self._path))


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
        except (TypeError, UnicodeError) as error:
            raise InvalidValue(f"{parameters!r}: cannot be looked up: {error}", operation="read") from None
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
            if self._closed:  # it closed since the connection was taken
                raise StoreClosed("the store is closed", path=str(self._path))
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
        ended = 0
        for transaction in tuple(self._running):
            if transaction.age_s <= self._config.reader_max_age_s or transaction.expired:
                continue
            self._expired += 1  # counted first: whoever is told of it finds it counted
            if transaction.expire_if_old():
                ended += 1
            else:
                self._expired -= 1
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
        """Close every connection; later use raises StoreClosed, a snapshot that is still held says the same."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for transaction in tuple(self._running):
            self._discard(transaction.close())
        self._close_idle()
        with self._changed:  # a point read in another thread takes microseconds and closes what it gives back
            self._changed.wait_for(lambda: not self._all, _WAIT_S)

    def _give(self, idle: deque[apsw.Connection], connection: apsw.Connection) -> None:
        idle.append(connection)
        if self._closed:
            self._close_idle()
        elif self._waiting:
            with self._changed:
                self._changed.notify()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._discard(self._points.pop() if self._points else self._scans.pop())

    def _discard(self, connection: apsw.Connection) -> None:
        connection.close(True)  # noqa: FBT003  positional in apsw
        with self._changed:
            if connection in self._all:
                self._all.remove(connection)
                self._changed.notify_all()

    def _take(self, idle: deque[apsw.Connection], *, scan: bool) -> apsw.Connection:
        other = self._points if scan else self._scans
        deadline = time.monotonic() + _WAIT_S
        with self._changed:
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise StoreClosed("the store is closed", path=str(self._path))
                    with suppress(IndexError):
                        return idle.pop()
                    if len(self._all) >= self._config.max_connections:
                        with suppress(IndexError):  # an idle reader of the other kind makes room
                            self._discard(other.pop())
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
