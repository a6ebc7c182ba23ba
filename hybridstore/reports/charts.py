"""Charts as geometry: what to draw, in shares of a plot, so that a page can show it at any width.

A plot is an SVG stretched over its box (strokes keep their width); labels are text of the page placed by per cent,
so they stay readable at 360 pixels, follow the page's colours and can be selected. Everything here is pure.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PLOT_WIDTH = 1000
PLOT_HEIGHT = 300
_COLUMNS = 400
_NARROWEST = 1e-9
"""A range narrower than this part of its values is drawn as a flat line: doubles have no ticks inside it."""
_LINE_TICKS = 4
_TIME_TICKS = 6
_STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
_DAY_S = 86_400
_YEAR_S = 365 * _DAY_S
_YEARS_MIN = 2
"""A longer time is ticked by its years: a day of the year would not tell which."""

Point = tuple[datetime, float]


class Tick(msgspec.Struct, frozen=True):
    """A label on an axis.

    Attributes:
        label: Its text.
        percent: Where, in per cent of the plot from the left or the top.
    """

    label: str
    percent: float


class LineChart(msgspec.Struct, frozen=True):
    """A line over time.

    Attributes:
        title: What it shows.
        description: The same in a sentence with figures, for who cannot see it.
        line: SVG path of the line.
        area: SVG path of the area between the line and the base, or nothing.
        x_ticks: Times.
        y_ticks: Values.
        tone: Name of the colour: ``accent`` or ``loss``.
        beside: SVG path of a second line that it is compared with, or nothing.
        beside_title: What that is.
        is_small: Whether it takes less height, and has no area.
    """

    title: str
    description: str
    line: str
    area: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    tone: str
    beside: str = ""
    beside_title: str = ""
    is_small: bool = False


class Bar(msgspec.Struct, frozen=True):
    """One bar, from ``start`` over ``length``, in per cent of the plot's width.

    Attributes:
        label: What it is of.
        value: Its figure as text.
        start: Left end.
        length: Width.
        tone: ``gain``, ``loss`` or ``accent``.
    """

    label: str
    value: str
    start: float
    length: float
    tone: str


class BarChart(msgspec.Struct, frozen=True):
    """Horizontal bars on a common axis.

    Attributes:
        title: What it shows.
        description: The same in a sentence.
        bars: From top to bottom.
        x_ticks: The axis.
        zero: Where zero is, in per cent; None for an axis without zero.
    """

    title: str
    description: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    zero: float | None = None


def thin(points: Sequence[Point], columns: int = _COLUMNS) -> list[Point]:
    """Drop points nobody could see, keeping every high and low.

    Args:
        points: In time order.
        columns: How many columns the plot has; each keeps its lowest and its highest point.

    Returns:
        At most ``2 * columns + 2`` points, in time order, the first and the last among them.
    """
    if len(points) <= 2 * columns:
        return list(points)
    kept = {0, len(points) - 1}
    for column in range(columns):
        part = range(column * len(points) // columns, (column + 1) * len(points) // columns)
        kept.add(min(part, key=lambda index: points[index][1]))
        kept.add(max(part, key=lambda index: points[index][1]))
    return [points[index] for index in sorted(kept)]


def line_chart(
    title: str,
    points: Sequence[Point],
    *,
    unit: str,
    tone: str,
    places: int = 0,
    beside: Sequence[Point] = (),
    beside_title: str = "",
    is_small: bool = False,
) -> LineChart:
    """Draw a line over time.

    Args:
        title: What it shows.
        points: At least one, in time order.
        unit: What follows a value.
        tone: ``accent`` or ``loss``.
        places: Least digits after the point of the labels.
        beside: A second line that it is compared with, within the same time.
        beside_title: What that is.
        is_small: Whether it takes less height, and has no area.

    Returns:
        The chart. The value axis covers the points, not zero.
    """
    values = [value for _, value in points]
    others = [value for _, value in beside]
    ticks = nice_ticks(min(values + others), max(values + others))
    low, high = ticks[0], ticks[-1]
    start, end = points[0][0], points[-1][0]
    span_s = (end - start).total_seconds() or 1.0
    places = max(places, _places(ticks))

    def placed(some: Sequence[Point]) -> list[tuple[float, float]]:
        return [
            (
                (moment - start).total_seconds() / span_s * PLOT_WIDTH,
                (high - value) / (high - low) * PLOT_HEIGHT,
            )
            for moment, value in thin(some)
        ]

    coordinates = placed(points)
    line = _path(coordinates)
    # A loss hangs from zero at the top, everything else stands on the bottom.
    base = 0 if tone == "loss" else PLOT_HEIGHT
    area = "" if is_small else f"{line}L{coordinates[-1][0]:.1f} {base}L{coordinates[0][0]:.1f} {base}Z"
    return LineChart(
        title=title,
        description=(
            f"{title} from {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC: starts at "
            f"{values[0]:,.{places}f}{unit}, ends at {values[-1]:,.{places}f}{unit}, "
            f"between {min(values):,.{places}f}{unit} and {max(values):,.{places}f}{unit}."
            + (f" {beside_title} ends at {others[-1]:,.{places}f}{unit}." if others else "")
        ),
        line=line,
        area=area,
        x_ticks=time_ticks(start, end),
        y_ticks=tuple(
            Tick(
                f"{tick:,.{places}f}{unit}".replace("-", "\N{MINUS SIGN}"), 100 * (high - tick) / (high - low)
            )
            for tick in ticks
        ),
        tone=tone,
        beside=_path(placed(beside)) if beside else "",
        beside_title=beside_title if beside else "",
        is_small=is_small,
    )


def _path(coordinates: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in coordinates)


def bar_chart(title: str, values: Sequence[tuple[str, float, str]], unit: str) -> BarChart:
    """Draw gains to the right of zero and losses to the left.

    Args:
        title: What it shows.
        values: (label, value, the value as text) from top to bottom; at least one.
        unit: What follows a value on the axis.

    Returns:
        The chart.
    """
    amounts = [amount for _, amount, _ in values]
    ticks = nice_ticks(min(0.0, *amounts), max(0.0, *amounts))
    low, span = ticks[0], ticks[-1] - ticks[0]
    zero = 100 * -low / span
    places = _places(ticks)
    return BarChart(
        title=title,
        description=f"{title}: " + ", ".join(f"{label} {text}" for label, _, text in values) + ".",
        bars=tuple(
            Bar(
                label,
                text,
                min(zero, 100 * (amount - low) / span),
                abs(100 * amount / span),
                "loss" if amount < 0 else "gain",
            )
            for label, amount, text in values
        ),
        x_ticks=tuple(
            Tick(f"{tick:,.{places}f}{unit}".replace("-", "\N{MINUS SIGN}"), 100 * (tick - low) / span)
            for tick in ticks
        ),
        zero=zero,
    )


def range_chart(title: str, ranges: Sequence[tuple[str, float, float, str]]) -> BarChart:
    """Draw durations from their median to their 99th percentile on a logarithmic axis.

    Args:
        title: What it shows.
        ranges: (label, median in microseconds, 99th percentile in microseconds, both as text); at least one.

    Returns:
        The chart; its axis runs over whole decades of a microsecond.
    """
    decades = (
        math.floor(math.log10(max(min(low for _, low, _, _ in ranges), 0.1))),
        math.ceil(math.log10(max(high for _, _, high, _ in ranges)) + 1e-9),
    )

    def percent(us: float) -> float:
        return 100 * (math.log10(max(us, 0.1)) - decades[0]) / (decades[1] - decades[0])

    return BarChart(
        title=title,
        description=f"{title}: " + ", ".join(f"{label} {text}" for label, _, _, text in ranges) + ".",
        bars=tuple(
            Bar(label, text, percent(low), max(percent(high) - percent(low), 0.5), "accent")
            for label, low, high, text in ranges
        ),
        x_ticks=tuple(
            Tick(_decade_label(decade), percent(10.0**decade)) for decade in range(decades[0], decades[1] + 1)
        ),
    )


def nice_ticks(low: float, high: float, wanted: int = _LINE_TICKS) -> list[float]:
    """Choose round values that cover a range.

    Args:
        low: Smallest value.
        high: Largest value; a range too narrow to show is widened.
        wanted: About how many steps.

    Returns:
        Multiples of 1, 2, 2.5 or 5 times a power of ten, ascending; the first is <= low, the last >= high.
    """
    scale = max(abs(low), abs(high))
    if high - low < max(scale * _NARROWEST, _NARROWEST):
        margin = scale * 0.001 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(start: datetime, end: datetime) -> tuple[Tick, ...]:
    """Choose round moments within a time range.

    Args:
        start: Left end.
        end: Right end.

    Returns:
        Labels such as ``23:58``, the day at midnight, or days for long ranges.
    """
    span_s = (end - start).total_seconds()
    if span_s <= 0:
        return (Tick(f"{start:%H:%M:%S}", 0.0),)
    if span_s > _YEARS_MIN * _YEAR_S:
        step = math.ceil(span_s / _YEAR_S / _TIME_TICKS)
        years = [datetime(year, 1, 1, tzinfo=UTC) for year in range(start.year + 1, end.year + 1)]
        return tuple(
            Tick(str(year.year), 100 * _share(int(year.timestamp()), start, end)) for year in years[::step]
        )
    step_s = next((step for step in _STEPS_S if span_s / step <= _TIME_TICKS), 0)
    step_s = step_s or math.ceil(span_s / _TIME_TICKS / _DAY_S) * _DAY_S
    first_s = math.ceil(start.timestamp() / step_s) * step_s
    moments = range(first_s, math.floor(end.timestamp()) + 1, step_s)
    return tuple(
        Tick(_time_label(datetime.fromtimestamp(moment_s, UTC), step_s), 100 * _share(moment_s, start, end))
        for moment_s in moments
    )


def _share(moment_s: int, start: datetime, end: datetime) -> float:
    moment = datetime.fromtimestamp(moment_s, UTC)
    return (moment - start) / (end - start)


def _time_label(moment: datetime, step_s: int) -> str:
    if step_s >= _DAY_S or moment - datetime(moment.year, moment.month, moment.day, tzinfo=UTC) == timedelta(
        0
    ):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M:%S}" if step_s < _STEPS_S[5] else f"{moment:%H:%M}"


def _decade_label(decade: int) -> str:
    names = {0: "1 µs", 1: "10 µs", 2: "100 µs", 3: "1 ms", 4: "10 ms", 5: "100 ms", 6: "1 s", 7: "10 s"}
    return names.get(decade, f"1e{decade} µs")


def _places(ticks: Sequence[float]) -> int:
    """Count the digits after the point that tell neighbouring ticks apart."""
    step = ticks[1] - ticks[0]
    return next((places for places in range(9) if abs(round(step, places) - step) < step * 1e-6), 9)
