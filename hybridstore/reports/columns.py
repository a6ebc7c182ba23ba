"""Columns over an axis of numbers or names: the geometry of a histogram, in shares of a plot. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hybridstore.reports.charts import PLOT_HEIGHT, PLOT_WIDTH, Tick, nice_ticks
from hybridstore.reports.wording import MINUS

_GAP = 0.12
"""Share of a column's width that is left free."""
_LABELS_MAX = 8


class Column(msgspec.Struct, frozen=True):
    """One column, in units of the plot.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Width.
        height: Height.
        tone: ``gain``, ``loss`` or ``accent``.
        title: What it is of, with its value.
    """

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


class ColumnChart(msgspec.Struct, frozen=True):
    """Columns that stand on zero, or hang from it.

    Attributes:
        title: What it shows.
        description: The same in a sentence with figures, for who cannot see it.
        columns: From left to right.
        x_ticks: What they are of; as many labels as fit.
        y_ticks: Values.
        zero: Where zero is, in units of the plot from the top.
    """

    title: str
    description: str
    columns: tuple[Column, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float


def column_chart(title: str, values: Sequence[tuple[str, float, str]]) -> ColumnChart:
    """Draw a column for each value.

    Args:
        title: What it shows.
        values: (label, value, tone) from left to right; at least one.

    Returns:
        The chart; its value axis includes zero.
    """
    amounts = [value for _, value, _ in values]
    ticks = nice_ticks(min(0.0, *amounts), max(0.0, *amounts))
    low, high = ticks[0], ticks[-1]
    step = PLOT_WIDTH / len(values)

    def y(value: float) -> float:
        return (high - value) / (high - low) * PLOT_HEIGHT

    columns = tuple(
        Column(
            place * step + step * _GAP / 2,
            min(y(value), y(0.0)),
            step * (1 - _GAP),
            abs(y(value) - y(0.0)),
            tone,
            f"{label}: {_text(value)}",
        )
        for place, (label, value, tone) in enumerate(values)
    )
    every = -(-len(values) // _LABELS_MAX)
    highest = max(values, key=lambda one: one[1])
    return ColumnChart(
        title=title,
        description=(
            f"{title}: {len(values)} columns from {values[0][0]} to {values[-1][0]}, the highest at {highest[0]} "
            f"with {_text(highest[1])}."
        ),
        columns=columns,
        x_ticks=tuple(
            Tick(values[place][0], 100 * (place + 0.5) / len(values))
            for place in range(0, len(values), every)
        ),
        y_ticks=tuple(Tick(_text(tick), 100 * (high - tick) / (high - low)) for tick in ticks),
        zero=y(0.0),
    )


def _text(value: float) -> str:
    return f"{value:,.6g}".replace("-", MINUS)
