"""Upkeep of the hot database after rows left it: free pages go back to the file system, statistics are kept fresh.

All of it in transactions of a few milliseconds, as a move's: the bot's writes go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hybridstore.hot.commits import touches
from hybridstore.hot.connection import own_connection
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.pace import Pace
from hybridstore.retention.progress import check_stop

FREE_SHARE = 8
"""One page in so many stays free: the next days' rows need it, and a file that shrinks and grows gains nothing."""
FREE_PAGES_MIN = 256
"""Nor is less than this (1 MiB) worth the work."""
_ANALYSIS_LIMIT = 400
"""Rows of an index that are looked at; more changes no plan and takes longer than a step may."""
_WHAT_IS_STALE = "PRAGMA optimize(-1)"
"""Tells which statements it would run, and runs none."""


class Upkeep:
    """Keeps a store's hot database small and its statistics fresh.

    Args:
        database: The open store.
        stop: Asked after each step; True ends it there, and the next round goes on.
    """

    def __init__(self, database: DatabaseManager, stop: Callable[[], bool] | None = None) -> None:
        self._database = database
        self._stop = stop
        self.locked_ms: list[float] = []
        """How long each step held the write lock."""

    def give_back(self) -> int:
        """Give free pages back to the file system where there are many.

        Returns:
            How many bytes the file got smaller, once its write-ahead log is copied back.
        """
        pages, free, page_size = self._sizes()
        if free < FREE_PAGES_MIN or free <= 2 * pages // FREE_SHARE:
            return 0
        before, pace = pages, Pace()
        while free > pages // FREE_SHARE:
            step = min(pace.step_rows, free - pages // FREE_SHARE)
            begun_s, work_s, seq = self._database.writer.call(_vacuum, step, durability="normal")
            self._note(pace, begun_s, work_s, seq)
            left = free
            pages, free, _ = self._sizes()
            if free >= left:  # others take and leave pages, too; it ends where nothing is gained
                break
        return max(before - pages, 0) * page_size

    def refresh_statistics(self) -> int:
        """Look again at tables whose size has changed much since they were looked at.

        Returns:
            How many.
        """
        pace, stale = Pace(), self._stale()
        for statement in stale:
            begun_s, work_s, seq = self._database.writer.call(_analyze, statement, durability="normal")
            self._note(pace, begun_s, work_s, seq)
        return len(stale)

    def _stale(self) -> list[str]:
        """Ask a connection of its own: those that are open keep the statistics they began with."""
        with own_connection(self._database.config, "look for stale statistics") as connection:
            return [str(row[0]) for row in connection.execute(_WHAT_IS_STALE).fetchall()]

    def _note(self, pace: Pace, begun_s: float, work_s: float, seq: int) -> None:
        held_ms = (time.perf_counter() - begun_s) * 1000
        self.locked_ms.append(held_ms)
        pace.note(work_s * 1000, held_ms, seq)
        check_stop(self._stop)
        time.sleep(pace.pause_s)

    def _sizes(self) -> tuple[int, int, int]:
        with self._database.readers.transaction() as transaction:
            pages, free, page_size = (
                transaction.rows(f"PRAGMA {name}")[0][0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return pages, free, page_size


@touches()
def _vacuum(session: WriteSession, pages: int) -> tuple[float, float, int]:
    begun_s = time.perf_counter()
    session.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return begun_s, time.perf_counter() - begun_s, session.seq


@touches()
def _analyze(session: WriteSession, statement: str) -> tuple[float, float, int]:
    begun_s = time.perf_counter()
    session.connection.pragma("analysis_limit", _ANALYSIS_LIMIT)
    session.execute(statement).fetchall()
    return begun_s, time.perf_counter() - begun_s, session.seq
