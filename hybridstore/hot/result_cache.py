"""Results of repeated queries, used again only while they are exactly what a new query would give.

Two kinds, by what they cost. A point read takes 3 us and turning its row into a record as much again: the row is read
every time, and the record made of an equal row is given out again - nothing to invalidate, nothing can be stale. A
result that costs more (all balances, open positions, a portfolio's value) is kept with the number of the commit it was
read after; it is valid while no commit since, of any process, touched the datasets it was read from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeGuard, TypeVar

from hybridstore.config import DatabaseConfig
from hybridstore.hot.commits import CommitLog
from hybridstore.hot.pool import ReaderPool
from hybridstore.hot.reader import Row

Value = TypeVar("Value")
ENTRIES_MAX = 10_000
"""Remembered at the most, of each kind; then all are dropped, which costs a bot less than keeping account of use."""


class _Entry(NamedTuple):
    value: Any
    seq: int
    read_s: float


class ResultCache:
    """What was read lately.

    Args:
        config: Whether results are kept and for how long.
        readers: Where the last commit's number is read.
        log: What this process's commits touched.
        position_sql: Reads number and time of the last commit.
    """

    def __init__(
        self, config: DatabaseConfig, readers: ReaderPool, log: CommitLog, position_sql: str
    ) -> None:
        self._config = config
        self._readers = readers
        self._log = log
        self._position_sql = position_sql
        self._records: dict[Hashable, tuple[Row, Any]] = {}
        self._results: dict[Hashable, _Entry] = {}
        self._hits = 0
        self._misses = 0

    def record(self, key: Hashable, row: Row, decode: Callable[[Row], Value]) -> Value:
        """Return the record of a row that was just read.

        Args:
            key: What was looked up.
            row: The row.
            decode: Makes an immutable record of a row.

        Returns:
            The record made of an equal row before, or a new one.
        """
        known = self._records.get(key)
        if known is not None and known[0] == row:
            self._hits += 1
            return known[1]  # type: ignore[no-any-return]  # made by the same decode
        if self._config.enable_query_cache:
            self._misses += 1
        return self._keep(key, row, decode)

    def part(self, key: Hashable, row: Row, decode: Callable[[Row], Value]) -> Value:
        """Do :meth:`record` for a part of a larger result, which alone counts as asked for.

        Args:
            key: What the part is of.
            row: The row.
            decode: Makes a record of a row that nobody changes.

        Returns:
            The record made of an equal row before, or a new one.
        """
        known = self._records.get(key)
        if known is not None and known[0] == row:
            return known[1]  # type: ignore[no-any-return]  # made by the same decode
        return self._keep(key, row, decode)

    def _keep(self, key: Hashable, row: Row, decode: Callable[[Row], Value]) -> Value:
        value = decode(row)
        if self._config.enable_query_cache:
            if len(self._records) >= ENTRIES_MAX:
                self._records.clear()
            self._records[key] = (row, value)
        return value

    def result(self, key: object, datasets: tuple[str, ...], load: Callable[[], Value]) -> Value:
        """Return a result, from memory where nothing it depends on has changed.

        Args:
            key: What is asked.
            datasets: What the result is read from.
            load: Asks; its result must be immutable or copied by the caller.

        Returns:
            The result.
        """
        if not self._config.enable_query_cache or not _is_hashable(key):
            return load()  # which refuses what can be no name
        # The number is read first: a commit that slips in between makes the entry look older than it is.
        seq: int = self._readers.rows(self._position_sql)[0][0]
        now_s = time.monotonic()
        entry = self._results.get(key)
        if (
            entry is not None
            and now_s - entry.read_s <= self._config.cache_timeout_seconds
            and (entry.seq == seq or self._log.is_unchanged(datasets, entry.seq, seq))
        ):
            self._hits += 1
            return entry.value  # type: ignore[no-any-return]  # loaded by the same key
        self._misses += 1
        value = load()
        if len(self._results) >= ENTRIES_MAX:
            self._results.clear()
        self._results[key] = _Entry(value, seq, now_s)
        return value

    def statistics(self) -> dict[str, float]:
        """Return the cache's figures.

        Returns:
            hits, misses, entries, hit_rate (percent; 0 where nothing was asked).
        """
        asked = self._hits + self._misses
        return {
            "hits": self._hits,
            "misses": self._misses,
            "entries": len(self._records) + len(self._results),
            "hit_rate": round(100 * self._hits / asked, 2) if asked else 0.0,
        }


def _is_hashable(key: object) -> TypeGuard[Hashable]:
    """``isinstance`` would look only at the outer tuple."""
    try:
        hash(key)
    except TypeError:
        return False
    return True
