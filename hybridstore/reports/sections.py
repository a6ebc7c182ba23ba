"""The sections of a report, each a heading with charts and tables; one that would be empty is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hybridstore.reports import achievement, tables, trading
from hybridstore.reports.charts import BarChart, LineChart, bar_chart, line_chart, range_chart
from hybridstore.reports.columns import ColumnChart
from hybridstore.reports.tables import Table
from hybridstore.reports.wording import duration, rounded

if TYPE_CHECKING:
    from hybridstore.reports.data import ReportData


class Section(msgspec.Struct, frozen=True):
    """One section of the page: a heading, charts, then tables.

    Attributes:
        anchor: Its id.
        title: Its heading.
        lines: Charts of lines.
        columns: Charts of columns.
        bars: Charts of bars.
        tables: Its tables.
    """

    anchor: str
    title: str
    lines: tuple[LineChart, ...] = ()
    columns: tuple[ColumnChart, ...] = ()
    bars: tuple[BarChart, ...] = ()
    tables: tuple[Table, ...] = ()


def sections_of(data: ReportData) -> list[Section]:
    """Return the sections of a report that say anything.

    Args:
        data: What it says.
    """
    sections = [
        *_performance(data),
        Section("equity", "Equity", lines=_equity_charts(data)),
        *_risk(data),
        Section(
            "symbols",
            "By symbol",
            bars=_profit_chart(data),
            tables=(tables.symbols_table(data),) if data.symbols and data.trades is None else (),
        ),
        *_attribution(data),
        *_trades(data),
        Section(
            "holdings",
            "Positions and balances",
            tables=(
                *((tables.positions_table(data),) if data.positions else ()),
                *((tables.balances_table(data),) if data.balances else ()),
            ),
        ),
        Section(
            "latency",
            "Speed of the hot path",
            bars=_latency_chart(data),
            tables=(tables.latency_table(data),) if data.latencies else (),
        ),
        Section("tiers", "Tiers", tables=(tables.tiers_table(data),) if data.tiers else ()),
        Section(
            "proof", "Before and after the move", tables=(tables.proofs_table(data),) if data.proofs else ()
        ),
        Section("quality", "Data quality", tables=(tables.checks_table(data),) if data.checks else ()),
    ]
    return [one for one in sections if one.lines or one.columns or one.bars or one.tables]


def _performance(data: ReportData) -> list[Section]:
    found = data.performance
    if found is None:
        return []
    drawdowns = (achievement.drawdowns_table(found),) if found.drawdowns else ()
    return [
        Section(
            "performance",
            "Performance",
            lines=(achievement.growth_chart(found), achievement.drawdown_chart(found)),
            tables=(achievement.figures_table(found), achievement.months_table(found), *drawdowns),
        ),
    ]


def _risk(data: ReportData) -> list[Section]:
    found = data.performance
    if found is None:
        return []
    charts = achievement.rolling_charts(found)
    columns = (achievement.distribution_chart(found),)
    return [Section("risk", "How it changed", lines=charts, columns=columns)]


def _attribution(data: ReportData) -> list[Section]:
    told = [one for one in data.attribution if one.parts]
    return [
        Section(
            "attribution",
            "What made it",
            bars=tuple(chart for one in told for chart in trading.attribution_chart(one)),
            tables=tuple(trading.attribution_table(one) for one in told),
        )
    ]


def _trades(data: ReportData) -> list[Section]:
    found = data.trades
    if found is None or not found.figures:
        return []
    return [
        Section(
            "trades",
            "Closed trades",
            columns=trading.hours_chart(found),
            tables=(
                trading.trades_table(found),
                *(trading.trades_by_table(found, dimension) for dimension in trading.TOLD_BY),
            ),
        )
    ]


def _equity_charts(data: ReportData) -> tuple[LineChart, ...]:
    if not data.equity:
        return ()
    equity = [(point.taken_at, float(point.equity)) for point in data.equity]
    drawdown = [
        (point.taken_at, float(100 * (point.equity - point.peak) / point.peak) if point.peak else 0.0)
        for point in data.equity
    ]
    curve = line_chart(f"Equity, {data.base_currency}", equity, unit="", tone="accent")
    if data.performance is not None:  # it has the drawdown without deposits and withdrawals
        return (curve,)
    return (curve, line_chart("Drawdown", drawdown, unit=" %", tone="loss"))


def _profit_chart(data: ReportData) -> tuple[BarChart, ...]:
    if data.attribution:
        return ()
    net = [(row.symbol, row.realized - row.fees) for row in data.in_base if row.fills]
    if not net:
        return ()
    values = [(symbol, float(amount), rounded(amount, signed=True)) for symbol, amount in net]
    return (bar_chart(f"Realised profit after fees, {data.base_currency}", values, ""),)


def _latency_chart(data: ReportData) -> tuple[BarChart, ...]:
    if not data.latencies:
        return ()
    ranges = [
        (row.operation, row.p50_us, row.p99_us, f"{duration(row.p50_us)} to {duration(row.p99_us)}")
        for row in data.latencies
    ]
    return (range_chart("From the median to the 99th percentile, one call", ranges),)
