"""Looks once a second whether the store can still be trusted, and says how every guard stands."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import apsw

from hybridstore.clock import Clock, SystemClock
from hybridstore.config import DatabaseConfig
from hybridstore.errors import StoreCorrupt, StoreError
from hybridstore.hot.clock_watch import ClockWatch, uptime_us
from hybridstore.hot.folder import disk_report, permission_reports
from hybridstore.hot.foreign_sqlite import RULE, LockWatch
from hybridstore.hot.guard_report import GuardReport
from hybridstore.hot.guards import FileGuard, ProcessGuard
from hybridstore.hot.log_rescue import put_log_back
from hybridstore.hot.pool import ReaderPool
from hybridstore.hot.watermark import Loss, Position, Watermark

_MIB = 1 << 20
_LOG_ALARM = 4
"""So many times its limit the log is an alarm: it fills the device."""
_log = logging.getLogger("hybridstore")


class Lookout:
    """The guards of one open store. Its looks run in the housekeeping thread, its reports in any.

    Args:
        config: The store's settings.
        clock: The store's clock.
        process: Refuses all use once a look found the store unusable.
        files: The writer's guard of the files.
        readers: The readers.
        position_sql: Reads mark, number and time of the last commit.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        clock: Clock,
        process: ProcessGuard,
        files: FileGuard,
        readers: ReaderPool,
        position_sql: str,
    ) -> None:
        self._config = config
        self._process = process
        self._files = files
        self._readers = readers
        self._position_sql = position_sql
        self._watermark = Watermark(config.root)
        self._position: Position | None = None
        self._store_clock = clock
        # A clock that was given to the store is set at will: it only has to be ahead of the commits.
        self._clock = ClockWatch(clock, uptime_us if isinstance(clock, SystemClock) else None)
        self._locks: LockWatch | None = None

    @property
    def condemned(self) -> bool:
        """Whether a guard found that the store must not be used any more."""
        return self._process.condemned is not None

    def begin(self, connection: apsw.Connection) -> None:
        """Look for the first time: also whether the store holds what it had held.

        Args:
            connection: One that may read.
        """
        before = self._watermark.read()  # first: others may commit meanwhile
        self._position = self._read(connection)
        self._locks = LockWatch(self._config.path, self._store_clock)
        now_us = self._store_clock.now_us()
        self._watermark.compare(before, self._position, self._config.durability, now_us)
        self._watermark.tell()
        self._clock.look()

    def look(self, connection: apsw.Connection) -> None:
        """Look again.

        Args:
            connection: One that may read.
        """
        self._clock.look()
        self._look_at_files()
        if not self.condemned:
            self._files.settle()
            if self._locks is not None and not self._locks.look():
                self._condemn(_locks_lost(self._config))
        with suppress(apsw.Error):  # a moment in which nothing can be read: the next look sees
            position = self._read(connection)
            if not self.condemned:
                self._position = position
            elif self._files.seq and self._position is not None:
                # Only what was acknowledged: the log that is gone may hold more.
                self._position = max(
                    self._position, Position(position.mark, self._files.seq, self._files.ts_us)
                )
            if self._position is not None:
                self._watermark.write(self._position)

    def may_copy(self) -> bool:
        """Say whether the log may be copied into the database: never a log that is not the one others read.

        Returns:
            Whether both files are in their places.
        """
        if not self.condemned:
            self._look_at_files()
        return not self.condemned

    def end(self, connection: apsw.Connection) -> None:
        """Look for the last time, after the last commit.

        Args:
            connection: One that may read.
        """
        self.look(connection)
        self._put_log_back()
        self._watermark.flush()

    def accept_loss(self) -> tuple[Loss, ...]:
        """Stop telling of the losses there are.

        Returns:
            What was accepted.
        """
        return self._watermark.accept()

    def reports(self, log_size_bytes: int) -> list[GuardReport]:
        """Say how every guard stands.

        Args:
            log_size_bytes: Size of the write-ahead log.

        Returns:
            At least one report a guard.
        """
        process = self._process.report()
        if process.state != "ok":  # in a forked child nothing else can be said
            return [process]
        last_us = self._position.ts_us if self._position is not None else 0
        with suppress(StoreError):  # condemned: what was read last has to do
            last_us = int(self._readers.rows(self._position_sql)[0][2])
        return [
            process,
            self._files_report(),
            *permission_reports(self._config.root, self._config.path),
            *([] if self._locks is None else [self._locks.report()]),
            *self._watermark.reports(),
            disk_report(self._config.root, self._config.disk_low_mb),
            self._log_report(log_size_bytes),
            self._readers_report(),
            self._clock.report(last_us),
        ]

    def _read(self, connection: apsw.Connection) -> Position:
        rows: list[Any] = connection.execute(self._position_sql).fetchall()
        if not rows:
            raise StoreCorrupt(
                "the commit clock is empty: its only row is gone",
                path=str(self._config.path),
                hint="stop the bot and restore from a backup",
            )
        mark, seq, ts_us = rows[0]
        return Position(mark.hex(), seq, ts_us)

    def _put_log_back(self) -> None:
        """Save what was committed to a log that another SQLite library removed.

        Whoever removed it by hand may have put another database here. A clock that was set could hide that somebody
        has committed since.
        """
        identity, log, last = self._files.identity, self._files.log_identity, self._position
        if not self.condemned or identity is None or log is None or last is None:
            return
        by_library = self._locks is not None and self._locks.were_dropped()
        steady = isinstance(self._store_clock, SystemClock) and self._clock.report(last.ts_us).state == "ok"
        if by_library and steady:
            put_log_back(self._config, identity, log, last, self._position_sql)

    def _look_at_files(self) -> None:
        wrong = self._files.look()
        if wrong is not None:
            self._condemn(wrong)
        elif self.condemned and self._locks is not None and self._locks.look():
            self._process.absolve()  # the right file was put back before anything was written
            _log.warning("the hot store's files are back in their places: %s", self._config.path)

    def _condemn(self, why: StoreError) -> None:
        if not self.condemned:
            _log.error("%s", why)
        self._process.condemn(why)

    def _files_report(self) -> GuardReport:
        wrong = self._process.condemned or self._files.look()
        if wrong is None:
            return GuardReport("files", "ok", "the database and its log are where they were opened")
        return GuardReport("files", "alarm", wrong.message, wrong.hint)

    def _log_report(self, size_bytes: int) -> GuardReport:
        size_mb, limit_mb = size_bytes // _MIB, self._config.wal_limit_mb
        if size_mb <= limit_mb:
            return GuardReport("log", "ok", f"the write-ahead log has {size_mb} MiB")
        oldest_s = self._readers.statistics()["oldest_reader_s"]
        who = (
            f"the oldest reader of this process is {oldest_s:.1f} s old"
            if oldest_s
            else "no reader of this process is open, so another process has one"
        )
        return GuardReport(
            "log",
            "alarm" if size_mb > _LOG_ALARM * limit_mb else "warning",
            f"the write-ahead log has {size_mb} MiB; a reader that stays open keeps it large ({who})",
            "end old snapshots and transactions, also those of other programs, or lower reader_max_age_s",
        )

    def _readers_report(self) -> GuardReport:
        figures, limit_s = self._readers.statistics(), self._config.reader_max_age_s
        oldest_s, ended = figures["oldest_reader_s"], int(figures["expired_readers"])
        if oldest_s > limit_s + 1:  # housekeeping looks 20 times a second
            return GuardReport(
                "readers",
                "warning",
                f"a read transaction is {oldest_s:.1f} s old and could not be ended at {limit_s:g} s",
                "find the statement that does not end (performance.log names slow ones) and stop it",
            )
        return GuardReport("readers", "ok", f"no reader is too old; {ended} were ended for their age so far")


def _locks_lost(config: DatabaseConfig) -> StoreError:
    return StoreError(
        "another SQLite library in this process dropped the store's locks, and they could not be taken again",
        path=str(config.path),
        hint=f"close the store and open it again; then {RULE}",
    )
