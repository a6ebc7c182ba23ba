"""The figures a reader of a report wants first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hybridstore.portfolio.money import subtract, total
from hybridstore.reports import achievement, tables
from hybridstore.reports.tables import Tone
from hybridstore.reports.wording import MINUS, NOTHING, count, counted, exact, rounded

if TYPE_CHECKING:
    from decimal import Decimal

    from hybridstore.books.performance import Performance
    from hybridstore.reports.data import ReportData


class Figure(msgspec.Struct, frozen=True):
    """One headline figure.

    Attributes:
        label: What it is.
        value: Its text.
        note: What helps to read it.
        tone: How it is coloured.
        detail: The exact figure.
    """

    label: str
    value: str
    note: str = ""
    tone: Tone = ""
    detail: str = ""


def headline(data: ReportData) -> tuple[Figure, ...]:
    """Return the figures a reader wants first."""
    own = data.in_base
    realized = total(row.realized for row in own)
    fees = total(row.fees for row in own)
    base_symbols = {row.symbol for row in own}
    unrealized = total(
        row.unrealized for row in data.positions if row.symbol in base_symbols and row.unrealized is not None
    )
    fills = sum(row.fills for row in data.symbols)
    figures = []
    if data.performance is not None:
        figures += _achieved(data.performance)
    elif data.equity:
        start, end = data.equity[0].equity, data.equity[-1].equity
        change = subtract(end, start)
        percent = f"{rounded(100 * change / start, 3, signed=True)} %" if start else NOTHING
        figures += [
            Figure("Equity", rounded(end), f"{rounded(start)} at the start", detail=exact(end)),
            _gain("Change", change, f"{percent} in {data.base_currency}"),
        ]
    return (
        *figures,
        _gain("Realised", realized, "gross of fees"),
        _gain("Unrealised", unrealized, f"in {counted(len(data.positions), 'open position')}"),
        Figure(
            "Fees",
            f"{MINUS}{rounded(fees)}" if fees > 0 else rounded(-fees),
            "taker fees",
            detail=exact(fees),
        ),
        Figure("Fills", count(fills), f"{tables.win_rate(own)} of the closing ones won"),
    )


def _achieved(found: Performance) -> list[Figure]:
    figures = {one.figure.name: one for one in found.figures}
    beside = ""
    if found.benchmark:
        beside = f"{found.benchmark}: {achievement.value_cell(figures['benchmark_return']).text}"
    notes = {"total_return": beside, "sharpe": "of a year", "max_drawdown": "from the highest value before"}
    shown = [
        Figure(
            "Equity",
            rounded(found.end_equity),
            f"{rounded(found.start_equity)} at the start",
            detail=exact(found.end_equity),
        ),
        _gain("Profit", found.profit, f"{rounded(found.net_flow, signed=True)} deposited less withdrawn"),
    ]
    for name, note in notes.items():
        cell = achievement.value_cell(figures[name])
        shown.append(Figure(figures[name].figure.title, cell.text, note, "", cell.detail))
    return shown


def _gain(label: str, value: Decimal, note: str) -> Figure:
    tone: Tone = "gain" if value > 0 else "loss" if value < 0 else ""
    return Figure(label, rounded(value, signed=True), note, tone, exact(value))
