"""Time as a parameter: everything that asks for the time is given a clock."""

from __future__ import annotations

import time
from typing import Protocol

SECOND_US = 1_000_000
"""Microseconds in a second."""
DAY_US = 86_400 * SECOND_US
"""Microseconds in a UTC day (UTC as computers count it has no leap seconds)."""


class Clock(Protocol):
    """A source of the current time."""

    def now_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's wall clock. It may go back; what orders things uses ``max(last + 1, now)`` (commit clock)."""

    def now_us(self) -> int:
        """Return the wall clock's microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000


class ManualClock:
    """A clock that stands still until it is set, for replaying recorded data and for tests.

    Args:
        start_us: The first answer, in microseconds since 1970-01-01 UTC.
    """

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the time last set, in microseconds since 1970-01-01 UTC."""
        return self._now_us

    def set(self, now_us: int) -> None:
        """Set the time.

        Args:
            now_us: Microseconds since 1970-01-01 UTC.
        """
        self._now_us = now_us

    def advance(self, delta_us: int) -> None:
        """Move the time on.

        Args:
            delta_us: By how many microseconds.
        """
        self._now_us += delta_us


def day_of(ts_us: int) -> int:
    """Return the number of the UTC day a moment falls in.

    Args:
        ts_us: Microseconds since 1970-01-01 UTC.

    Returns:
        Days since 1970-01-01.
    """
    return ts_us // DAY_US
