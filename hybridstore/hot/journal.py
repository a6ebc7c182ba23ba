"""The logs of a process: what it committed and what was slow, written by a thread of their own.

Whoever commits or reads only puts a tuple into a bounded queue (0.4 us); a quarter of a second later the journal's
thread makes lines of them. A disk that is full or a folder that cannot be written costs log lines, never a write: it
is counted and told in the status.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from typing import Any

import apsw

from hybridstore.clock import Clock
from hybridstore.config import DatabaseConfig
from hybridstore.errors import HybridStoreError
from hybridstore.hot.journal_lines import Figures, Lines, by_name, name_of, shape_of
from hybridstore.hot.log_file import LogFile, LogFolder

LOGS_NAME = "logs"
TRANSACTIONS_NAME = "transactions.log"
PERFORMANCE_NAME = "performance.log"
QUEUE_MAX = 20_000
"""Entries that may wait (about 5 MB): half a second of the shortest commits."""
MESSAGE_LENGTH_MAX = 500
_CHUNK = 512
"""Entries whose lines are written at once."""
_TURN = 32
"""Entries made into lines, in 0.1 ms, before whoever waits for the interpreter has it: a commit may."""
_INTERVAL_S = 0.25
_RETRY_S = 1.0
_IDLE_ROUNDS = 20
"""After so many rounds with nothing to do the thread sleeps until it is woken."""
_SUMMARY_S = 60.0
_MIB = 1 << 20
_OPERATION = itemgetter(0)

_Entry = tuple[Any, ...]


class Journal:
    """transactions.log and performance.log under ``<root>/logs``. One a process and store.

    Args:
        config: Where the store is, what counts as slow, and how large the logs may grow.
        clock: Tells when something failed or was slow; a commit has its own time.
        statements: Named SQL: a slow read is reported by its name.
        figures: Returns what a summary says beside the commits.

    Attributes:
        slow_s: From this duration on, in seconds, a read, query or write is slow.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        clock: Clock,
        statements: Mapping[str, str],
        figures: Callable[[], dict[str, Any]],
    ) -> None:
        self.slow_s = config.slow_query_ms / 1000
        self._clock = clock
        self._statements = statements
        self._more_figures = figures
        self._folder = LogFolder(config.root / LOGS_NAME)
        size_max_bytes = int(config.log_size_mb * _MIB)
        self._transactions, self._performance = (
            LogFile(self._folder.path / name, size_max_bytes, config.log_files)
            for name in (TRANSACTIONS_NAME, PERFORMANCE_NAME)
        )
        self._lines = Lines()
        self._figures = Figures()
        self._summed_up_s = time.monotonic()
        self._entries: deque[_Entry] = deque()
        self._dropped = 0
        self._dropped_told = 0
        self._problem: str | None = None
        self._asleep = False
        self._closing = False
        self._wake = threading.Event()
        self._note("open", path=str(config.path), durability=config.durability)
        self._thread = threading.Thread(target=self._run, name="hybridstore-journal", daemon=True)
        self._thread.start()

    # -- called where time counts ---------------------------------------------------------------------------------

    def committed(
        self, seq: int, ts_us: int, duration_s: float, batch: Sequence[tuple[Any, ...]], *, full: bool
    ) -> None:
        """Note a commit. It never raises: the commit has been made.

        Args:
            seq: Its number.
            ts_us: Its time, us UTC.
            duration_s: How long the transaction took.
            batch: What was done, operations first.
            full: Whether it was flushed to the device.
        """
        entries = self._entries
        if len(entries) >= QUEUE_MAX:
            self._dropped += 1
            return
        try:
            # Counted here, so that no queue of long batches builds up.
            done = batch[0][0] if len(batch) == 1 else Counter(map(_OPERATION, batch))
        except TypeError:  # an operation that cannot be counted, such as an object that is called
            done = Counter(map(name_of, map(_OPERATION, batch)))
        entries.append((seq, ts_us, duration_s, full, done))
        if self._asleep:
            self._wake.set()

    def failed(
        self, error: BaseException, duration_s: float, batch: Sequence[tuple[Any, ...]], *, full: bool
    ) -> None:
        """Note a transaction that failed.

        Args:
            error: What it ended in.
            duration_s: How long it took until then.
            batch: What was to be done, operations first.
            full: Whether it was to be flushed to the device.
        """
        cause = error if isinstance(error, apsw.Error) else error.__cause__
        message = error.message if isinstance(error, HybridStoreError) else str(error)
        self._note(
            "failed",
            operations=len(batch),
            by_operation=by_name(Counter(name_of(work[0]) for work in batch)),
            duration_ms=round(duration_s * 1000, 3),
            durability="full" if full else "normal",
            error=type(error).__name__,
            code=getattr(cause, "extendedresult", None),
            message=message[:MESSAGE_LENGTH_MAX],
        )

    def slow(self, event: str, sql: str, duration_s: float, rows: int) -> None:
        """Note a slow read.

        Args:
            event: ``slow_read`` in the hot store, ``slow_query`` over all tiers.
            sql: The statement.
            duration_s: How long it took.
            rows: How many rows it gave.
        """
        self._note(event, sql=sql, duration_ms=round(duration_s * 1000, 3), rows=rows)

    # -- for the operator -----------------------------------------------------------------------------------------

    def warnings(self) -> list[str]:
        """Say what is wrong with the logs.

        Returns:
            One sentence a problem.
        """
        warnings = []
        if self._problem is not None:
            warnings.append(
                f"the logs under {self._folder.path} cannot be written: {self._problem}; writes to the store go on"
            )
        if self._dropped:
            warnings.append(f"{self._dropped} lines of the logs were dropped since the store was opened")
        return warnings

    def close(self, figures: Mapping[str, Any]) -> None:
        """Write what is queued, then stop the thread. A second call does nothing.

        Args:
            figures: What the last summary says beside the commits: the store has closed its other parts.
        """
        if self._closing:
            return
        self._more_figures = lambda: dict(figures)
        self._note("close")
        self._closing = True
        self._wake.set()
        self._thread.join()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _note(self, event: str, **fields: object) -> None:
        if len(self._entries) >= QUEUE_MAX:
            self._dropped += 1
            return
        self._entries.append((event, self._clock.now_us(), fields))
        if self._asleep:
            self._wake.set()

    def _run(self) -> None:
        idle_rounds = 0
        while not self._closing:
            self._wait(asleep=idle_rounds >= _IDLE_ROUNDS)
            idle_rounds = 0 if self._entries or self._problem else idle_rounds + 1
            if time.monotonic() - self._summed_up_s >= _SUMMARY_S:
                self._sum_up()
            self._write()
        self._write()
        self._sum_up(last=True)
        self._write()

    def _wait(self, *, asleep: bool) -> None:
        if asleep:
            self._asleep = True
            # Whoever noted something before it saw us asleep did not wake us.
            if not self._entries and not self._closing:
                left_s = self._summed_up_s + _SUMMARY_S - time.monotonic()
                self._wake.wait(None if self._figures.is_empty else max(left_s, 0))
            self._asleep = False
        elif not self._closing:
            self._wake.wait(_RETRY_S if self._problem else _INTERVAL_S)
        self._wake.clear()

    def _write(self) -> None:
        """Make lines of what is queued; what cannot be written stays queued for the next time."""
        if not self._entries and self._transactions.is_written and self._performance.is_written:
            return
        try:
            with self._folder.locked() as locked:
                self._write_pending(locked=locked)
                for _ in range(math.ceil(len(self._entries) / _CHUNK)):
                    self._add_chunk()
                    self._write_pending(locked=locked)
        except Exception as error:  # noqa: BLE001  whatever it is, the store goes on without logs and says so
            self._problem = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        else:
            self._problem = None

    def _write_pending(self, *, locked: bool) -> None:
        self._transactions.write(locked=locked)
        self._performance.write(locked=locked)

    def _add_chunk(self) -> None:
        dropped = self._dropped
        for number in range(min(len(self._entries), _CHUNK)):
            if number % _TURN == 0:
                time.sleep(0)
            entry = self._entries.popleft()
            if isinstance(entry[0], str):
                self._add_event(*entry)
            else:
                self._add_commit(entry)
        if dropped > self._dropped_told:
            lines = self._lines.event(
                "dropped", self._clock.now_us(), {"lines": dropped - self._dropped_told}
            )
            self._transactions.add(lines)
            self._dropped_told = dropped

    def _add_commit(self, entry: _Entry) -> None:
        seq, ts_us, duration_s, full, done = entry
        self._transactions.add(self._lines.commit(seq, ts_us, duration_s, done, full=full))
        operations = done.total() if isinstance(done, Counter) else 1
        self._figures.add(duration_s, operations)
        if duration_s >= self.slow_s:
            self._figures.slow += 1
            fields = {
                "seq": seq,
                "operations": operations,
                "by_operation": by_name(done if isinstance(done, Counter) else {name_of(done): 1}),
                "duration_ms": round(duration_s * 1000, 3),
            }
            self._performance.add(self._lines.event("slow_write", ts_us, fields))

    def _add_event(self, event: str, ts_us: int, fields: dict[str, Any]) -> None:
        log = self._transactions
        if sql := fields.pop("sql", None):
            self._figures.slow += 1
            fields = {"statement": self._statement(sql), **fields}
            log = self._performance
        elif event == "failed":
            self._figures.failed += 1
        elif event == "open":
            fields = {**_software(), **fields}
        log.add(self._lines.event(event, ts_us, fields))

    def _statement(self, sql: str) -> str:
        names = (name for name, text in tuple(self._statements.items()) if text == sql)
        return next(names, None) or shape_of(sql)

    def _sum_up(self, *, last: bool = False) -> None:
        figures, begun_s = self._figures, self._summed_up_s
        self._figures, self._summed_up_s = Figures(), time.monotonic()
        if figures.is_empty and not last:
            return
        try:
            more = self._more_figures()
        except (OSError, HybridStoreError):  # the store is closing, or its file is gone
            more = {}
        fields = {"seconds": round(self._summed_up_s - begun_s, 1), **figures.fields(), **more}
        self._performance.add(self._lines.event("summary", self._clock.now_us(), fields))


def _software() -> dict[str, str]:
    """Return whose logs these are; asking takes 10 ms."""
    try:
        own = version("hybridstore")
    except PackageNotFoundError:  # run from its source
        own = "unknown"
    return {"version": own, "sqlite": apsw.sqlite_lib_version()}
