"""How an account did, as charts and tables of a page."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from hybridstore.reports.charts import LineChart, Point, line_chart
from hybridstore.reports.tables import Cell, Column, Table, Tone
from hybridstore.reports.wording import MINUS, NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hybridstore.books.figures import Measured
    from hybridstore.books.performance import Day, Performance

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_START = 100.0


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
        columns=(Column("Figure", numeric=False), Column("Value"), Column("Days")),
        rows=tuple((Cell(one.figure.title), value_cell(one), Cell(f"{one.observations:,}")) for one in told),
    )


def value_cell(one: Measured) -> Cell:
    """Return a figure's value."""
    if one.value is None:
        return Cell(NOTHING)
    text = f"{100 * one.value:,.2f} %" if one.figure.unit == "share" else f"{one.value:,.3f}"
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
    tone: Tone = "gain" if growth > 1 else "loss" if growth < 1 else ""
    return Cell(f"{100 * (growth - 1):+.1f}".replace("-", MINUS), tone, f"{growth - 1:.6%}")
