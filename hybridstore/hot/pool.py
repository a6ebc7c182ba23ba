"""Reader connections: taken for one statement or one read transaction, then given back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.errors import InvalidValue, QueryTimeout, StoreBusy, StoreClosed
from hybridstore.hot.connection import close_connection, open_connection, translate
from hybridstore.hot.guards import FileGuard, ProcessGuard
from hybridstore.hot.journal import Journal
from hybridstore.hot.reader import NEVER, Reader, ReadTransaction, Row, late

_WAIT_S = 5.0


class _Unbound(dict[str, None]):
    """Bindings that have every name, as NULL."""

    def __missing__(self, name: str) -> None:
        return None


class ReaderPool:
    """At most ``max_connections`` readers, opened when first needed.

    A point read takes about 5 us and never leaves its thread, so even a busy bot rarely needs a second connection:
    the limit is a bound, not a target.

    Args:
        config: Where and how to open.
        guard: Refuses use across a fork.
        journal: Where slow reads are noted; None for no logs.
        files: Asked before a reader is opened: an old path may name another database, or another log.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        guard: ProcessGuard,
        journal: Journal | None = None,
        files: FileGuard | None = None,
    ) -> None:
        self._files = files
        self._config = config
        self._guard = guard
        self._path = config.path
        self._points: deque[Reader] = deque()
        self._scans: deque[Reader] = deque()
        self._all: set[Reader] = set()
        self._running: set[ReadTransaction] = set()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._expired = 0
        self._journal = journal
        self._slow_s = NEVER if journal is None else journal.slow_s

    def rows(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any] = (), timeout_ms: float | None = None
    ) -> list[Row]:
        """Run one bounded statement and return all its rows.

        Args:
            sql: A SELECT whose plan is a search on an index.
            parameters: By position, or by name.
            timeout_ms: The statement is cancelled when it takes longer, ms; None never cancels it.

        Returns:
            The rows; no read transaction is left open.

        Raises:
            QueryTimeout: It took longer than it may, or no connection came free in that time.
        """
        self._guard.check()
        begun_s = time.monotonic()
        deadline_s = NEVER if timeout_ms is None else begun_s + timeout_ms / 1000
        try:
            reader = self._points.pop()
        except IndexError:
            reader = self._take(self._points, scan=False, deadline_s=deadline_s)
        reader.deadline_s = deadline_s
        try:
            rows = reader.connection.execute(sql, parameters).fetchall()
        except apsw.InterruptError as error:
            self._note_if_slow(sql, begun_s, 0)
            raise late(timeout_ms, self._path) from error
        except apsw.Error as error:
            raise translate(error, "read", self._path) from error
        except (TypeError, UnicodeError) as error:
            raise InvalidValue(f"{parameters!r}: cannot be looked up: {error}", operation="read") from None
        finally:
            self._give(self._points, reader)
        if time.monotonic() - begun_s >= self._slow_s:
            self._note_if_slow(sql, begun_s, len(rows))
        return rows

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
    def transaction(self, timeout_ms: float | None = None) -> Iterator[ReadTransaction]:
        """Hold one read transaction: everything read in it is of one moment.

        Args:
            timeout_ms: Its statements are cancelled after this time, ms, counted from now; None never cancels them.

        Yields:
            The transaction; it is over when the block ends, or when it grew too old.

        Raises:
            QueryTimeout: No connection came free in that time.
        """
        self._guard.check()
        deadline_s = NEVER if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        reader = self._take(self._scans, scan=True, deadline_s=deadline_s)
        reader.deadline_s = deadline_s
        transaction: ReadTransaction | None = None
        try:
            max_age_s = self._config.reader_max_age_s
            transaction = ReadTransaction(reader, self._path, max_age_s, timeout_ms, self._note_if_slow)
            self._running.add(transaction)
            if self._closed:  # it closed since the connection was taken
                raise StoreClosed("the store is closed", path=str(self._path))
            yield transaction
        finally:
            if transaction is not None:
                self._running.discard(transaction)
                transaction.end()
            self._give(self._scans, reader)

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

    def renew(self) -> int:
        """Close idle readers whose settings were changed since, or that are too many now; called like expire_old.

        Returns:
            How many were closed; the next reads open theirs anew.
        """
        closed = 0
        present = self._opened_with()
        if all(reader.opened_with == present for reader in tuple(self._all)) and not self._has_too_many():
            return closed
        for idle in (self._points, self._scans):
            for _ in range(len(idle)):
                with suppress(IndexError):  # somebody else took it
                    reader = idle.pop()
                    if reader.opened_with == present and not self._has_too_many():
                        idle.appendleft(reader)
                        continue
                    self._discard(reader)
                    closed += 1
        return closed

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

    def _note_if_slow(self, sql: str, begun_s: float, rows: int) -> None:
        duration_s = time.monotonic() - begun_s
        if self._journal is not None and duration_s >= self._slow_s:
            self._journal.slow("slow_read", sql, duration_s, rows)

    def _give(self, idle: deque[Reader], reader: Reader) -> None:
        idle.append(reader)
        if self._closed:
            self._close_idle()
        elif self._waiting:
            with self._changed:
                self._changed.notify()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._discard(self._points.pop() if self._points else self._scans.pop())

    def _discard(self, reader: Reader) -> None:
        with self._changed:
            if reader not in self._all:  # closed with its transaction; then its block gave it back
                return
            close_connection(reader.connection, keeps_log=self._guard.condemned is not None)
            self._all.discard(reader)
            self._changed.notify_all()

    def _opened_with(self) -> tuple[object, ...]:
        return self._config.cache_size_mb, self._config.enable_memory_mapping

    def _has_too_many(self) -> bool:
        return len(self._all) > self._config.max_connections

    def _take(self, idle: deque[Reader], *, scan: bool, deadline_s: float) -> Reader:
        other = self._points if scan else self._scans
        wait_until_s = time.monotonic() + _WAIT_S
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
                        if self._files is not None and (wrong := self._files.look()) is not None:
                            raise wrong
                        opened_with = self._opened_with()
                        reader = Reader(open_connection(self._config, write=False, scan=scan), opened_with)
                        self._all.add(reader)
                        return reader
                    if not self._changed.wait(min(wait_until_s, deadline_s) - time.monotonic()):
                        raise self._none_free(late=deadline_s < wait_until_s)
            finally:
                self._waiting -= 1

    def _none_free(self, *, late: bool) -> QueryTimeout | StoreBusy:
        message = f"all {self._config.max_connections} reader connections are in use"
        hint = "close snapshots you no longer need, or raise max_connections"
        kind = QueryTimeout if late else StoreBusy
        return kind(message, operation="read", path=str(self._path), hint=hint)
