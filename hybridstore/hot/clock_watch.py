"""The machine's clock, watched: commits never go back, so a clock that was ahead shows until it is caught up."""

from __future__ import annotations

import time
from collections.abc import Callable

from hybridstore.clock import DAY_US, SECOND_US, Clock
from hybridstore.hot.guard_report import GuardReport
from hybridstore.schema.types import moment

AHEAD_US = SECOND_US
"""A last commit that is further ahead of the clock than this is told."""
_JUMP_US = SECOND_US
_REMEMBERED_US = 3_600 * SECOND_US
"""How long a jump of the clock is told, counted by what no setting of the clock changes."""


def uptime_us() -> int:
    """Return a time that nobody can set.

    Returns:
        Microseconds since some moment, the time the machine slept included where the system counts it.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return time.monotonic_ns() // 1000


class ClockWatch:
    """Compares the clock with the last commit and with a time that nobody can set.

    Args:
        clock: The store's clock.
        uptime: The other time, us; None where the clock is not the machine's and may be set at will.
    """

    def __init__(self, clock: Clock, uptime: Callable[[], int] | None) -> None:
        self._clock = clock
        self._uptime = uptime
        self._ahead_us: int | None = None
        self._jump_us = 0
        self._jumped_at_us = 0
        self._jumped_up_us = 0

    def look(self) -> None:
        """Notice whether the clock was set since the last look."""
        if self._uptime is None:
            return
        now_us, up_us = self._clock.now_us(), self._uptime()
        before_us, self._ahead_us = self._ahead_us, now_us - up_us
        if before_us is not None and abs(jump_us := self._ahead_us - before_us) > _JUMP_US:
            self._jump_us, self._jumped_at_us, self._jumped_up_us = jump_us, now_us, up_us

    def report(self, last_us: int) -> GuardReport:
        """Say how it stands.

        Args:
            last_us: Time of the last commit, us UTC.

        Returns:
            A warning while commits are ahead of the clock, an alarm if they are by more than a day; a warning for an
            hour after the clock was set by more than a second.
        """
        ahead_us = last_us - self._clock.now_us()
        if ahead_us > AHEAD_US:
            return GuardReport(
                "clock",
                "alarm" if ahead_us > DAY_US else "warning",
                f"the last commit is of {moment(last_us).isoformat()}, {ahead_us / SECOND_US:.1f} s ahead of this "
                f"machine's clock: until the clock gets there, each commit counts on from it by one microsecond"
                f"{self._jumped()}",
                "set the clock right and keep it right (NTP); records made meanwhile carry that later time",
            )
        if self._was_set():
            return GuardReport(
                "clock",
                "warning",
                f"the machine's clock was not steady{self._jumped()}",
                "keep it right with NTP, which moves it slowly; a machine that slept may show the same",
            )
        return GuardReport("clock", "ok", "the machine's clock is steady and not behind the last commit")

    def _was_set(self) -> bool:
        return (
            bool(self._jump_us)
            and self._uptime is not None
            and self._uptime() - self._jumped_up_us < _REMEMBERED_US
        )

    def _jumped(self) -> str:
        if not self._was_set():
            return ""
        way = "back" if self._jump_us < 0 else "forward"
        seconds = abs(self._jump_us) / SECOND_US
        return f"; it was set {way} by {seconds:.1f} s at {moment(self._jumped_at_us).isoformat(timespec='seconds')}"
