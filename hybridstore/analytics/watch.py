"""One thread that interrupts questions whose time is over, or that somebody cancelled."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_INTERRUPT_AGAIN_S = 0.05
"""An interrupt between two steps of a question is not noticed by the engine, so it is repeated until it is."""


class Watched:
    """One running question.

    Args:
        cursor: Where it runs.
        timeout_s: After how many seconds it is interrupted; None means never.

    Attributes:
        reason: Why it was interrupted; None while it was not.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, timeout_s: float | None) -> None:
        self.cursor = cursor
        self.timeout_s = timeout_s
        self.deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self.reason: str | None = None


class Watcher:
    """Watches questions. Safe in several threads; its own thread starts with the first question."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Watched] = set()
        self._wake_s: float | None = None
        self._thread: threading.Thread | None = None
        self._stopped: str | None = None

    def add(self, cursor: duckdb.DuckDBPyConnection, timeout_s: float | None) -> Watched:
        """Watch a question that is about to run.

        Args:
            cursor: Where it will run.
            timeout_s: After how many seconds it is interrupted; None means never.

        Returns:
            The question, for :meth:`remove`.
        """
        watched = Watched(cursor, timeout_s)
        with self._changed:
            self._running.add(watched)
            watched.reason = self._stopped
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hybridstore-query-watch", daemon=True)
                self._thread.start()
            elif watched.reason or (
                watched.deadline_s is not None and (self._wake_s is None or watched.deadline_s < self._wake_s)
            ):
                self._changed.notify()
        return watched

    def remove(self, watched: Watched) -> None:
        """Stop watching a question; afterwards its cursor is not touched any more.

        Args:
            watched: What :meth:`add` returned.
        """
        with self._changed:
            self._running.discard(watched)
            if self._stopped:
                self._changed.notify()

    def cancel(self, reason: str) -> int:
        """Interrupt every question that is running.

        Args:
            reason: What it is told.

        Returns:
            How many there were.
        """
        with self._changed:
            for watched in self._running:
                watched.reason = watched.reason or reason
            self._changed.notify()
            return len(self._running)

    def stop(self, reason: str) -> None:
        """Interrupt what runs, and what begins from now on, and end the thread once nothing does.

        Args:
            reason: What the questions are told.
        """
        with self._changed:
            self._stopped = reason
        self.cancel(reason)

    def _run(self) -> None:
        with self._changed:
            while self._running or not self._stopped:
                now_s = time.monotonic()
                due = [
                    watched
                    for watched in self._running
                    if watched.reason or (watched.deadline_s is not None and watched.deadline_s <= now_s)
                ]
                for watched in due:
                    watched.reason = (
                        watched.reason or f"the question took longer than {watched.timeout_s:g} s"
                    )
                    watched.cursor.interrupt()
                deadlines_s = [
                    watched.deadline_s for watched in self._running if watched.deadline_s is not None
                ]
                self._wake_s = now_s + _INTERRUPT_AGAIN_S if due else min(deadlines_s, default=None)
                self._changed.wait(None if self._wake_s is None else max(self._wake_s - now_s, 0.0))
            self._thread = None
