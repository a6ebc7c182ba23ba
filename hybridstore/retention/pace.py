"""How long a maintenance step may hold the write lock, and how long it is left alone before the next one."""

from __future__ import annotations

WORK_TARGET_MS = 2.5
"""How long a step means to hold the write lock."""
WORK_TARGET_SHARED_MS = 1.2
"""The same while others are writing: their time to an acknowledgement includes the wait for a step."""
LOCK_LIMIT_MS = 8.0
"""A step that held the write lock longer than this is followed by a smaller one; a bot waits that long for its turn."""
STEP_ROWS_FIRST = 1_000
STEP_ROWS_MIN = 250
STEP_ROWS_MAX = 20_000
_GROWTH_MAX = 2.0
_PAUSE_MIN_S = 0.0003
PAUSE_MAX_S = 0.003
"""After a step the lock is left alone for a moment: a waiting writer looks for it every 0.2 to 1 ms."""


class Pace:
    """Adapts steps to how long they hold the write lock.

    Attributes:
        step_rows: How many rows the next step should take.
        pause_s: How long the lock should be left alone before it, s.
    """

    def __init__(self) -> None:
        self.step_rows = STEP_ROWS_FIRST
        self.pause_s = _PAUSE_MIN_S
        self._target_ms = WORK_TARGET_MS
        self._last_seq: int | None = None

    def note(self, work_ms: float, held_ms: float, seq: int) -> None:
        """Adapt to a step; the time of a row varies tenfold with how scattered the rows lie.

        Args:
            work_ms: How long it took without the commit.
            held_ms: How long it held the lock.
            seq: Number of its commit: a gap to the step before means that others are writing.
        """
        if self._last_seq is not None and seq != self._last_seq + 1:  # others are writing
            self._target_ms = WORK_TARGET_SHARED_MS
            self.pause_s = min(max(held_ms / 1000, _PAUSE_MIN_S), PAUSE_MAX_S)
        self._last_seq = seq
        factor = min(self._target_ms / max(work_ms, 1e-3), LOCK_LIMIT_MS / max(held_ms, 1e-3), _GROWTH_MAX)
        self.step_rows = int(min(max(self.step_rows * factor, STEP_ROWS_MIN), STEP_ROWS_MAX))
