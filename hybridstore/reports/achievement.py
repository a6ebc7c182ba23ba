"""How an account did, as charts and tables of a page."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from hybridstore.reports.charts import LineChart, Point, line_chart
from hybridstore.reports.columns import ColumnChart, column_chart
from hybridstore.reports.tables import Cell, Column, Table
from hybridstore.reports.wording import GAP, MINUS, NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hybridstore.books.figures import Measured
    from hybridstore.books.performance import Day, Performance

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_START = 100.0
_HEATS = (0.000_5, 0.02, 0.05, 0.1)
"""From which return of a month on its ground is coloured how strongly."""


def growth_chart(found: Performance) -> LineChart:
    """Draw what 100 became, beside what it would have become in the benchmark."""
    own = _growth(found.days, [day.ret for day in found.days])
    compared = [day for day in found.days if day.benchmark is not None]
    beside = _growth(compared, [day.benchmark or 0.0 for day in compared]) if compared else []
    return line_chart(
        "What 100 became, deposits and withdrawals taken out",
        own,
        unit="",
        tone="accent",
        beside=beside,
        beside_title=found.benchmark or "",
    )


def drawdown_chart(found: Performance) -> LineChart:
    """Draw how far that was below its highest value before."""
    peak, points = _START, []
    for moment, value in _growth(found.days, [day.ret for day in found.days]):
        peak = max(peak, value)
        points.append((moment, 100 * (value / peak - 1)))
    return line_chart("Drawdown", points, unit=" %", tone="loss")


def _growth(days: Sequence[Day], returns: Sequence[float]) -> list[Point]:
    value = _START
    points = [(_end_of(days[0]) - timedelta(days=1), value)]
    for day, ret in zip(days, returns, strict=True):
        value *= 1 + ret
        points.append((_end_of(day), value))
    return points


def _end_of(day: Day) -> datetime:
    return datetime.combine(day.day, time(), UTC) + timedelta(days=1)


def figures_table(found: Performance) -> Table:
    """Return every figure."""
    told = [one for one in found.figures if found.benchmark or not one.figure.compares]
    beside = f", beside {found.benchmark}" if found.benchmark else ""
    return Table(
        caption=(
            f"{found.start} to {found.end}, {len(found.days):,} days{beside}. Figures of a year are told from 90 days "
            f"on; the risk-free rate is {found.risk_free:.2%} a year."
        ),
        columns=(Column("Figure", numeric=False), Column("Value")),
        rows=tuple((Cell(one.figure.title), value_cell(one)) for one in told),
    )


def value_cell(one: Measured) -> Cell:
    """Return a figure's value."""
    if one.value is None:
        return Cell(NOTHING)
    text = f"{100 * one.value:,.2f}{GAP}%" if one.figure.unit == "share" else f"{one.value:,.3f}"
    return Cell(text.replace("-", MINUS), detail=repr(one.value))


def months_table(found: Performance) -> Table:
    """Return the return of every month and year."""
    rows = []
    for year, days in groupby(found.days, key=lambda day: day.day.year):
        of_year = list(days)
        months = {month: list(some) for month, some in groupby(of_year, key=lambda day: day.day.month)}
        rows.append((
            Cell(str(year)),
            *(_return_cell(months.get(number, ())) for number in range(1, len(_MONTHS) + 1)),
            _return_cell(of_year),
        ))  # fmt: skip
    return Table(
        caption="Return of each month and year, per cent.",
        columns=(Column("Year", numeric=False), *(Column(name) for name in (*_MONTHS, "Year"))),
        rows=tuple(rows),
    )


def _return_cell(days: Iterable[Day]) -> Cell:
    growth, is_there = 1.0, False
    for day in days:
        growth, is_there = growth * (1 + day.ret), True
    if not is_there:
        return Cell(NOTHING)
    heat = sum(abs(growth - 1) >= least for least in _HEATS) * (1 if growth > 1 else -1)
    return Cell(f"{100 * (growth - 1):+.1f}".replace("-", MINUS), "", f"{growth - 1:.6%}", heat)


def rolling_charts(found: Performance) -> tuple[LineChart, ...]:
    """Draw the figures of the 90 days up to each day; nothing where there are fewer than two such days."""
    charts = []
    for title, name, factor, unit in (
        ("Sharpe ratio of the last 90 days", "sharpe", 1, ""),
        ("Volatility of the last 90 days, of a year", "volatility", 100, " %"),
        (f"Beta of the last 90 days to {found.benchmark}", "beta", 1, ""),
    ):
        points = [
            (datetime.combine(one.day, time(), UTC) + timedelta(days=1), factor * value)
            for one in found.rolling
            if (value := getattr(one, name)) is not None and math.isfinite(value)
        ]
        if len(points) > 1:
            charts.append(line_chart(title, points, unit=unit, tone="accent", is_small=True))
    return tuple(charts)


def distribution_chart(found: Performance) -> ColumnChart:
    """Draw how many days had which return."""
    values = [
        (
            f"{100 * one.start:.3g}{GAP}%".replace("-", MINUS),
            float(one.days),
            "loss" if one.start < 0 else "gain",
        )
        for one in found.distribution
    ]
    return column_chart("Days by their return; each column begins at what it is labelled with", values)


def drawdowns_table(found: Performance) -> Table:
    """Return the deepest times below the highest value before."""
    return Table(
        caption="The deepest drawdowns: from the highest value to the day on which it was reached again.",
        columns=(
            Column("From", numeric=False),
            *(Column(name) for name in ("Lowest on", "Recovered on", "Depth", "Days below")),
        ),
        rows=tuple(
            (
                Cell(str(one.peak_day)),
                Cell(str(one.valley_day)),
                Cell("not yet" if one.recovered_day is None else str(one.recovered_day)),
                Cell(f"{100 * one.depth:,.2f}{GAP}%".replace("-", MINUS), "loss", repr(one.depth)),
                Cell(f"{one.days:,}"),
            )
            for one in found.drawdowns
        ),
    )
