"""Keeps the write-ahead log from beginning anew before somebody has read all of it.

A log may begin anew once all of it is copied into the database and no reader needs it. The pin is such a reader: always
one of two connections holds a read transaction, and the next is taken before the last is let go. So whoever reads the
log between the two has read every commit that a new beginning could overwrite:

- where the new pin needs frames of the log, the log cannot begin anew while it is held;
- where it needs none, all that was there is copied back, and while it is held nothing more is. So the log can only
  begin anew where nothing was added since.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from hybridstore.config import DatabaseConfig
from hybridstore.errors import StoreCorrupt
from hybridstore.hot.connection import busy_handler, close_connection, open_connection, translate, vfs_name
from hybridstore.hot.foreign_sqlite import Identity, protect, unprotect
from hybridstore.hot.guards import FileGuard, ProcessGuard
from hybridstore.hot.session import WRITE_CLOCK
from hybridstore.named_sql import load_named_sql

_OPERATION = "read the write-ahead log"
_RECOVERY_WAIT_MS = 1_000
"""A process that died while it committed leaves an index of the log that the next one makes anew; so long it is
waited for."""
_ATTEMPTS_MAX = 100
_ATTEMPT_PAUSE_S = 0.002


class LogSizes(NamedTuple):
    """How far the log has come.

    Attributes:
        frames: Frames of commits in it; what lies behind them is no part of it.
        copied: How many of them are in the database, too.
    """

    frames: int
    copied: int


class ClockPosition(NamedTuple):
    """What the commit clock of a database says.

    Attributes:
        mark: The 16 bytes by which the store is known.
        seq: Number of the last commit.
        ts_us: Its time, us UTC.
    """

    mark: bytes
    seq: int
    ts_us: int


class LogPin:
    """A pin on the log of a store. Used by one thread.

    Args:
        config: The store's settings; the store exists.

    Attributes:
        page_bytes: Size of a page.
        position: What the commit clock says at the moment of the pin that is held.

    Raises:
        StoreError: It cannot be opened.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._position_sql = load_named_sql("hybridstore.hot")["commit_identity"]
        # What is noted in the backups must not be missing from the store after a power cut.
        config = msgspec.structs.replace(config, durability="full")
        self._closing: list[apsw.Connection] = []
        self._protection: Identity | None = protect(config.path)
        try:
            self._control = self._open(write=True)
            self._held, self._next = self._open(write=False), self._open(write=False)
            for pin in (self._held, self._next):
                pin.set_busy_handler(busy_handler(_RECOVERY_WAIT_MS))
            # Never in a transaction: within one SQLite does not say how far the log has come.
            self._asking = self._open(write=True)
            self.page_bytes = int(self._control.pragma("page_size"))
            self.position = self._take(self._held)
            self._files = FileGuard(config.path, ProcessGuard(config.path))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the log and leave it as it is."""
        while self._closing:
            connection = self._closing.pop()
            with suppress(apsw.Error):
                close_connection(connection, keeps_log=True)
        protection, self._protection = self._protection, None
        if protection is not None:
            unprotect(protection)

    def sizes(self) -> LogSizes:
        """Return how far the log has come.

        Raises:
            StoreError: It cannot be said.
        """
        for attempt in range(_ATTEMPTS_MAX):
            try:
                frames, copied = self._asking.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
                break
            except apsw.BusyError as error:  # the moment in which a commit is written down is a short one
                if attempt == _ATTEMPTS_MAX - 1:
                    raise translate(error, _OPERATION, self._config.path) from error
                time.sleep(_ATTEMPT_PAUSE_S)
            except apsw.Error as error:
                raise translate(error, _OPERATION, self._config.path) from error
        return LogSizes(max(frames, 0), max(copied, 0))

    def check_files(self) -> None:
        """Raise where database or log were moved away or replaced.

        Raises:
            StoreMoved: They were.
        """
        wrong = self._files.look()
        if wrong is not None:
            raise wrong

    def renew(self, read: Callable[[], object]) -> None:
        """Take the next pin, have the log read, let go of the last one.

        Args:
            read: Reads every commit that is in the log when it is called; where it raises, the last pin stays.

        Raises:
            StoreError: The next one cannot be taken.
        """
        position = self._take(self._next)
        try:
            read()
        except BaseException:
            self._release(self._next)
            raise
        self._release(self._held)
        self.position, self._held, self._next = position, self._next, self._held

    def copied_seq(self) -> int | None:
        """Say which commit the database ends with without its log.

        Returns:
            Its number; None where that cannot be told.
        """
        name = f"file:{urllib.parse.quote(str(self._config.path))}?immutable=1"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        try:
            with closing(apsw.Connection(name, flags=flags, vfs=vfs_name(self._config))) as connection:
                return read_position(connection, self._position_sql, self._config.path).seq
        except (apsw.Error, StoreCorrupt):  # of a new store all there is may be in the log
            return None

    def add_commit(self, now_us: int, wait_ms: int | None = None) -> None:
        """Make a commit of nothing but its number: a place in the log is known by what is there.

        Args:
            now_us: The time, us UTC.
            wait_ms: How long to wait for who is writing, ms; None waits as long as a writer would.

        Raises:
            StoreBusy: Somebody else is writing, and did not end in time.
            StorageFull: There is no space.
        """
        with self.holding_writers(self._config.busy_timeout_ms if wait_ms is None else wait_ms):
            position = read_position(self._control, self._position_sql, self._config.path)
            with self._telling():
                self._control.execute(WRITE_CLOCK, (position.seq + 1, max(position.ts_us + 1, now_us)))
                self._control.execute("COMMIT")

    def copy_back(self) -> LogSizes:
        """Copy what may be copied of the log into the database; waits for nobody.

        Returns:
            How far the log has come.
        """
        with self._telling():
            frames, copied = self._asking.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return LogSizes(max(frames, 0), max(copied, 0))

    @contextmanager
    def holding_writers(self, wait_ms: int) -> Iterator[None]:
        """Keep every writer waiting for a moment.

        Args:
            wait_ms: How long to wait for the one that is writing, ms.

        Yields:
            Nothing.

        Raises:
            StoreBusy: It did not end.
        """
        self._control.set_busy_handler(busy_handler(wait_ms))
        try:
            with self._telling():
                self._control.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                with suppress(apsw.Error):
                    self._control.execute("ROLLBACK")
        finally:
            self._control.set_busy_handler(None)

    def _open(self, *, write: bool) -> apsw.Connection:
        connection = open_connection(self._config, write=write)
        self._closing.append(connection)
        connection.set_busy_handler(None)
        return connection

    def _take(self, connection: apsw.Connection) -> ClockPosition:
        with self._telling():
            connection.execute("BEGIN")
            try:
                return read_position(connection, self._position_sql, self._config.path)
            except BaseException:
                self._release(connection)
                raise

    def _release(self, connection: apsw.Connection) -> None:
        with suppress(apsw.Error):
            connection.execute("ROLLBACK")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise translate(error, _OPERATION, self._config.path) from error


def read_position(connection: apsw.Connection, position_sql: str, path: Path) -> ClockPosition:
    """Read the commit clock.

    Args:
        connection: Of the store.
        position_sql: Reads mark, number and time of the last commit.
        path: The database.

    Returns:
        What it says.

    Raises:
        StoreCorrupt: It is empty.
    """
    rows: list[Any] = connection.execute(position_sql).fetchall()
    if not rows:
        raise StoreCorrupt("the commit clock is empty: its only row is gone", path=str(path))
    mark, seq, ts_us = rows[0]
    return ClockPosition(bytes(mark), int(seq), int(ts_us))
