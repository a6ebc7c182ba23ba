"""Charts: axes are round and cover what they show, lines stay inside, and thinning keeps every extreme."""

from __future__ import annotations

import itertools
import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridstore.reports.charts import (
    PLOT_HEIGHT,
    PLOT_WIDTH,
    bar_chart,
    line_chart,
    nice_ticks,
    range_chart,
    thin,
    time_ticks,
)

START = datetime(2024, 8, 8, 23, 54, 14, tzinfo=UTC)
values = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


def points_of(numbers: list[float]) -> list[tuple[datetime, float]]:
    return [(START + timedelta(seconds=second), number) for second, number in enumerate(numbers)]


@given(low=values, high=values)
def test_ticks_cover_the_range_in_even_steps(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    slack = 1e-6 * max(step, abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert all(math.isclose(b - a, step, rel_tol=1e-6, abs_tol=slack) for a, b in itertools.pairwise(ticks))


@given(numbers=st.lists(values, min_size=1, max_size=1000))
@example(numbers=[-1000000000.0, -999999999.9999999])
@example(numbers=[0.0, 5e-324])
def test_a_line_stays_inside_its_plot(numbers: list[float]) -> None:
    chart = line_chart("Equity", points_of(numbers), unit="", tone="accent")
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", chart.line):
        assert -0.1 <= float(x) <= PLOT_WIDTH + 0.1
        assert -0.1 <= float(y) <= PLOT_HEIGHT + 0.1


@given(numbers=st.lists(values, min_size=1, max_size=500), columns=st.integers(min_value=1, max_value=50))
def test_thinning_keeps_ends_and_extremes(numbers: list[float], columns: int) -> None:
    points = points_of(numbers)
    kept = thin(points, columns)
    assert len(kept) <= 2 * columns + 2
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert min(value for _, value in kept) == min(numbers)
    assert max(value for _, value in kept) == max(numbers)


def test_higher_values_are_drawn_higher() -> None:
    chart = line_chart("Equity", points_of([0.0, 10.0]), unit="", tone="accent")
    assert chart.line == f"M0.0 {PLOT_HEIGHT:.1f}L{PLOT_WIDTH:.1f} 0.0"
    assert [tick.label for tick in chart.y_ticks] == ["0.0", "2.5", "5.0", "7.5", "10.0"]
    assert "starts at 0.0, ends at 10.0, between 0.0 and 10.0" in chart.description


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (timedelta(minutes=11), ["23:56", "23:58", "9 Aug", "00:02", "00:04"]),
        (timedelta(seconds=8), ["23:54:14", "23:54:16", "23:54:18", "23:54:20", "23:54:22"]),
        (timedelta(days=3), ["9 Aug", "12:00", "10 Aug", "12:00", "11 Aug", "12:00"]),
        (timedelta(0), ["23:54:14"]),
    ],
    ids=["minutes", "seconds", "days", "one moment"],
)
def test_times_are_round_and_midnight_names_its_day(span: timedelta, labels: list[str]) -> None:
    assert [tick.label for tick in time_ticks(START, START + span)] == labels


@pytest.mark.parametrize(
    ("days", "labels"),
    [
        (700, ["11 Oct", "5 Feb", "2 Jun", "27 Sep", "22 Jan", "19 May"]),
        (800, ["2025", "2026"]),
        (3_000, ["2025", "2027", "2029", "2031"]),
        (20_000, ["2025", "2035", "2045", "2055", "2065", "2075"]),
    ],
)
def test_years_are_ticked_by_years(days: int, labels: list[str]) -> None:
    ticks = time_ticks(START, START + timedelta(days=days))
    assert [tick.label for tick in ticks] == labels
    assert all(0 <= tick.percent <= 100 for tick in ticks)


def test_what_a_line_is_compared_with_is_drawn_in_the_same_plot() -> None:
    points = [(START + timedelta(days=number), float(number)) for number in range(10)]
    higher = [(moment, 10 * value) for moment, value in points]
    chart = line_chart("Growth", points, unit="", tone="accent", beside=higher, beside_title="BTC/USDT")
    assert chart.line.endswith(chart.line.rpartition("L")[2])
    own, other = (float(path.rpartition(" ")[2]) for path in (chart.line, chart.beside))
    assert 0 <= other < own <= PLOT_HEIGHT
    assert chart.description.endswith("BTC/USDT ends at 90.")
    assert line_chart("Growth", points, unit="", tone="accent").beside == ""


def test_gains_go_right_and_losses_left_of_zero() -> None:
    chart = bar_chart("Profit", [("BTC", 30.0, "+30"), ("ETH", -10.0, "-10")], "")
    assert chart.zero is not None
    gain, loss = chart.bars
    assert gain.start == pytest.approx(chart.zero)
    assert loss.start + loss.length == pytest.approx(chart.zero)
    assert gain.length == pytest.approx(3 * loss.length)
    assert (gain.tone, loss.tone) == ("gain", "loss")


def test_durations_lie_on_whole_decades() -> None:
    chart = range_chart("Latency", [("read", 5.0, 12.0, "5"), ("write", 300.0, 1000.0, "300")])
    assert [tick.label for tick in chart.x_ticks] == ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]
    read, write = chart.bars
    assert read.start == pytest.approx(25 * math.log10(5))
    assert write.start + write.length == pytest.approx(75)
