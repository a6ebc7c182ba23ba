"""What an operation sees inside a write transaction: statements, the commit's number and time, cached state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import apsw

from hybridstore.clock import DAY_US, Clock
from hybridstore.errors import InvalidValue
from hybridstore.hot.known import NOTHING, Known
from hybridstore.schema.types import moment

Encode = Callable[[Any, int], Any]
SEQ_START = 1 << 48
"""First commit number: from here on every number takes 8 bytes in a page."""
TS_START = 1 << 50
"""No commit time is below this (2005-09-05), for the same reason."""
MEMORY_MAX = 100_000
"""Remembered rows at the most (about 100 MB): positions come and go for as long as a bot runs."""
AHEAD_MAX_US = DAY_US
"""How far ahead of the commit a moment may be: clocks differ by seconds, wrong units and years by much more."""
READ_CLOCK = "SELECT seq, ts FROM commit_clock WHERE slot = 1"
WRITE_CLOCK = "UPDATE commit_clock SET seq = ?, ts = ? WHERE slot = 1"


class WriteSession:
    """The state of the running write transaction. Used only in the writer thread.

    State that operations remember between transactions (the latest balance of each asset, open positions) lives in
    :attr:`memory`; it is valid because every commit of every process advances the commit clock: when the clock is not
    where this process left it, somebody else wrote and the memory is emptied.

    Args:
        connection: The writer's connection.
        clock: Where the time comes from.
        statements: Named SQL.

    Attributes:
        seq: Number of this commit.
        ts_us: Time of this commit, us UTC, larger than that of every commit before.
        recorded_at: The same as a datetime.
        foreign: Whether somebody else committed, or this process failed to, since its last commit.
        memory: Remembered rows, by tuples that begin with what they are ("balance", "mark", ...): names of accounts and
            markets are the user's and may be any text. Emptied on rollback.
        known: What was found in the archives for the operation that runs.
        execute: Runs a statement on the writer's connection.
        sql: Named statements.
    """

    def __init__(self, connection: apsw.Connection, clock: Clock, statements: Mapping[str, str]) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.connection = connection
        self.sql = statements
        self.memory: dict[Any, Any] = {}
        self._deferred: dict[str, list[Any]] = {}
        self._latest: dict[str, dict[Any, Any]] = {}
        self._states: dict[str, tuple[Encode, dict[Any, Any]]] = {}
        self.seq = 0
        self.ts_us = 0
        self.foreign = True
        self.known: Known = NOTHING
        self.recorded_at = moment(0)
        self._clock = clock

    def begin(self) -> None:
        """Take the number and time of the commit that is being made."""
        row: Any = self.execute(READ_CLOCK).fetchall()[0]
        seq, ts_us = row
        self.foreign = seq != self.seq
        if self.foreign or len(self.memory) > MEMORY_MAX:
            self.memory.clear()
        self.seq = seq + 1
        self.ts_us = max(ts_us + 1, self._clock.now_us(), TS_START)
        self.recorded_at = moment(self.ts_us)

    def timely(self, ts_us: int, column: str) -> int:
        """Refuse a moment that lies far ahead: what is latest would stay so until then.

        Args:
            ts_us: The moment, us UTC.
            column: Its name, for the message.

        Returns:
            The moment.

        Raises:
            InvalidValue: It is more than a day after the commit.
        """
        if ts_us > self.ts_us + AHEAD_MAX_US:
            raise InvalidValue(
                f"{column}={moment(ts_us).isoformat()}: more than a day after now ({self.recorded_at.isoformat()})",
                hint="correct the time, or the machine's clock",
            )
        return ts_us

    def finish(self) -> None:
        """Run what was put off and advance the commit clock: the transaction's last statement."""
        self.settle()
        self.execute(WRITE_CLOCK, (self.seq, self.ts_us))

    def settle(self) -> None:
        """Run what was put off."""
        if self._deferred:
            for name, rows in self._deferred.items():
                self.executemany(self.sql[name], rows)
            self._deferred.clear()
        if self._latest:
            for name, by_key in self._latest.items():
                self.executemany(self.sql[name], by_key.values())
            self._latest.clear()
        if self._states:
            for name, (encode, states) in self._states.items():
                rows = [encode(state, self.ts_us) for state in states.values()]
                self.executemany(self.sql[name], rows)
            self._states.clear()

    def undo(self) -> None:
        """Drop what was remembered and put off since :meth:`settle`: an operation did not happen."""
        self.memory.clear()
        self._deferred.clear()
        self._latest.clear()
        self._states.clear()

    def forget(self) -> None:
        """Drop what was remembered: the transaction did not happen."""
        self.undo()
        self.seq = -1

    def defer(self, name: str, row: Any) -> None:
        """Put off a statement to the end of the transaction, where all rows of one statement run together.

        Args:
            name: The statement.
            row: Its parameters.
        """
        rows = self._deferred.get(name)
        if rows is None:
            self._deferred[name] = [row]
        else:
            rows.append(row)

    def flush(self, name: str) -> None:
        """Run what was put off of one statement, so that it is seen by what comes next.

        Args:
            name: The statement.
        """
        rows = self._deferred.pop(name, None)
        if rows:
            self.executemany(self.sql[name], rows)

    def defer_latest(self, name: str, key: Any, row: Any) -> None:
        """Put off a statement to the end of the transaction, where only the last row of each key runs.

        Args:
            name: The statement, an upsert.
            key: What it sets.
            row: Its parameters.
        """
        by_key = self._latest.get(name)
        if by_key is None:
            by_key = self._latest[name] = {}
        by_key[key] = row

    def defer_state(self, name: str, key: Any, state: Any, encode: Encode) -> None:
        """Do :meth:`defer_latest` for what changes many times in a transaction: its row is made once, at the end.

        Args:
            name: The statement, an upsert.
            key: What it sets.
            state: What the row is made of then.
            encode: Makes the row from the state and the commit's time, us UTC; always the same for a statement.
        """
        states = self._states.get(name)
        if states is None:
            states = self._states[name] = (encode, {})
        states[1][key] = state

    def one(self, name: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        """Run a named statement that returns at most one row.

        Args:
            name: The statement.
            parameters: By position, or by name.

        Returns:
            The row, or None.
        """
        rows = self.execute(self.sql[name], parameters).fetchall()
        return rows[0] if rows else None

    def run(self, name: str, parameters: Any = ()) -> int:
        """Run a named statement that changes rows.

        Args:
            name: The statement.
            parameters: By position, or by name.

        Returns:
            How many rows it changed.
        """
        self.execute(self.sql[name], parameters)
        return self.connection.changes()
