"""One reader connection: the deadline of its statements, and the read transaction it may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from hybridstore.errors import QueryTimeout, StoreClosed, StoreError
from hybridstore.hot.connection import translate

Row = tuple[Any, ...]
NEVER = float("inf")
_LISTED = msgspec.json.Decoder(list[tuple[Any, ...]])
_INTERRUPT_S = 0.01
"""How often a statement that shall end is told so: it may only just be starting."""
_STEPS = 1_000
"""Steps of SQLite's machine between two looks at the clock, some 20 us; a point read takes fewer."""


def listed(rows: list[Row]) -> list[Row]:
    """Take apart the one row of a statement that answers with a JSON list of rows.

    Many rows are asked for in this way because SQLite is asked for each row by itself, and each time another thread
    may have the interpreter first.

    Args:
        rows: What the statement returned.

    Returns:
        The rows it lists.
    """
    return _LISTED.decode(rows[0][0])


class Reader:
    """One connection with the moment at which a statement of it is cancelled.

    Args:
        connection: A connection that only reads.
        opened_with: The settings it was opened with that can change while the store is open.

    Attributes:
        connection: The same.
        opened_with: The same.
        deadline_s: On the monotonic clock.
    """

    __slots__ = ("connection", "deadline_s", "opened_with")

    def __init__(self, connection: apsw.Connection, opened_with: tuple[object, ...]) -> None:
        self.connection = connection
        self.opened_with = opened_with
        self.deadline_s = NEVER
        connection.set_progress_handler(self._is_late, _STEPS)

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline_s


class ReadTransaction:
    """One moment of the store. It ends by itself when it grows too old, for it keeps the WAL from shrinking.

    Args:
        reader: A reader that is in no transaction.
        path: The database, for messages.
        max_age_s: The age at which :meth:`expire_if_old` ends it.
        timeout_ms: What its deadline was made from, for the message.
        note: Called after each statement with its text, when it began on the monotonic clock, and its rows.
    """

    def __init__(
        self,
        reader: Reader,
        path: Path,
        max_age_s: float,
        timeout_ms: float | None = None,
        note: Callable[[str, float, int], None] | None = None,
    ) -> None:
        self._reader = reader
        self._connection = reader.connection
        self._path = path
        self._max_age_s = max_age_s
        self._timeout_ms = timeout_ms
        self._note = note
        self._lock = threading.Lock()
        self._interrupting = threading.Lock()
        self._begun_s = time.monotonic()
        self._over: Callable[[], StoreError] | None = None
        self._ended = False
        self._connection.execute("BEGIN")

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
            begun_s = time.monotonic()
            try:
                rows = self._connection.execute(sql, parameters).fetchall()
            except apsw.Error as error:
                if isinstance(error, apsw.InterruptError):
                    if self._note is not None:
                        self._note(sql, begun_s, 0)
                    raise self._interrupted() from error
                raise translate(error, "read a snapshot", self._path) from error
        if self._note is not None:
            self._note(sql, begun_s, len(rows))
        return rows

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

    def close(self) -> Reader:
        """End the transaction because the store closes.

        Returns:
            Its reader, which is in no transaction and never used again.
        """
        self._end(self._closed)
        return self._reader

    def _end(self, why: Callable[[], StoreError]) -> None:
        if self._over is None:
            self._over = why
        # A statement that is running in another thread would keep the log from shrinking until it is done.
        while not self._lock.acquire(timeout=_INTERRUPT_S):
            self._interrupt()
        try:
            if not self._ended and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            with self._interrupting:
                self._ended = True
            self._lock.release()

    def _interrupt(self) -> None:
        """Interrupt the statement, unless the connection was given back meanwhile: it may be another's now."""
        with self._interrupting:
            if not self._ended:
                self._connection.interrupt()

    def _interrupted(self) -> StoreError | QueryTimeout:
        return late(self._timeout_ms, self._path) if self._over is None else self._over()

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


def late(timeout_ms: float | None, path: Path) -> QueryTimeout:
    """Return the error of a statement that was cancelled.

    Args:
        timeout_ms: How long it might have taken, ms.
        path: The database.

    Returns:
        The error to raise.
    """
    limit = "was interrupted" if timeout_ms is None else f"took longer than {timeout_ms:g} ms"
    return QueryTimeout(
        f"the query {limit} and was cancelled",
        operation="read",
        path=str(path),
        hint="ask for less, or raise balance_query_timeout or position_query_timeout",
    )
