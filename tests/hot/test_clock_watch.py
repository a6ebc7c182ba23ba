"""The machine's clock: ahead of it, set back, set forward, and steady."""

from __future__ import annotations

import time

from hybridstore.clock import DAY_US, SECOND_US, ManualClock
from hybridstore.hot.clock_watch import ClockWatch, uptime_us
from tests.hot.books import START_US

HOUR_US = 3_600 * SECOND_US


class Machine:
    """A clock and a time since the start, which pass together unless somebody sets the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_US)
        self.up_us = 5 * SECOND_US
        self.watch = ClockWatch(self.clock, lambda: self.up_us)
        self.watch.look()

    def live(self, duration_us: int, set_by_us: int = 0) -> None:
        self.clock.advance(duration_us + set_by_us)
        self.up_us += duration_us
        self.watch.look()

    def last_us(self) -> int:
        return self.clock.now_us()


def test_a_steady_clock_is_fine() -> None:
    machine = Machine()
    for second in range(100):
        machine.live(SECOND_US, set_by_us=400_000 if second % 2 else -400_000)  # NTP moves it slowly
    report = machine.watch.report(machine.last_us() + 900_000)
    assert (report.guard, report.state, report.remedy) == ("clock", "ok", None)


def test_commits_ahead_of_the_clock_are_told() -> None:
    machine = Machine()
    report = machine.watch.report(machine.last_us() + 90 * SECOND_US)
    assert report.state == "warning"
    assert "2026-08-01T12:01:30" in report.message
    assert "90.0 s ahead" in report.message
    assert "microsecond" in report.message
    assert report.remedy is not None
    assert "NTP" in report.remedy
    assert machine.watch.report(machine.last_us() + DAY_US).state == "warning"
    assert machine.watch.report(machine.last_us() + DAY_US + 1).state == "alarm"


def test_a_clock_that_was_set_is_told_for_an_hour() -> None:
    for set_by_us, way in ((-30 * SECOND_US, "back by 30.0 s"), (2 * HOUR_US, "forward by 7200.0 s")):
        machine = Machine()
        machine.live(10 * SECOND_US)
        machine.live(SECOND_US, set_by_us)
        for _ in range(3):
            machine.live(SECOND_US)
        report = machine.watch.report(machine.last_us())
        assert report.state == "warning"
        assert way in report.message
        ahead = machine.watch.report(machine.last_us() + 20 * SECOND_US)
        assert "20.0 s ahead" in ahead.message
        assert way in ahead.message, "both are said at once"
        machine.live(HOUR_US)
        assert machine.watch.report(machine.last_us()).state == "ok"


def test_a_clock_that_may_be_set_at_will_only_has_to_be_ahead() -> None:
    clock = ManualClock(START_US)
    watch = ClockWatch(clock, None)
    watch.look()
    clock.advance(30 * DAY_US)
    watch.look()
    assert watch.report(START_US).state == "ok"
    assert watch.report(clock.now_us() + 2 * SECOND_US).state == "warning"


def test_the_time_that_nobody_sets_passes() -> None:
    before_us = uptime_us()
    time.sleep(0.002)
    assert 2_000 <= uptime_us() - before_us < 60 * SECOND_US
