"""What made the profit, and how closed trades did, as charts and tables of a page."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from hybridstore.books.trades import TRADE_FIGURES, Dimension
from hybridstore.reports.achievement import value_cell
from hybridstore.reports.charts import BarChart, bar_chart
from hybridstore.reports.columns import ColumnChart, column_chart
from hybridstore.reports.tables import Cell, Column, Table, Tone
from hybridstore.reports.wording import GAP, MINUS, NOTHING, count, counted, duration, exact, rounded

if TYPE_CHECKING:
    from hybridstore.books.attribution import Attribution, Part
    from hybridstore.books.figures import Figure
    from hybridstore.books.trades import TradeFigures, Trades

ROWS_MAX = 15
"""Parts of a table; the files beside the page have all."""
_BARS_MAX = 12
_CURRENCIES_MAX = 4
_PART_FIGURES = ("volatility", "sharpe", "max_drawdown", "beta")
_SHOWN = (
    "trades", "net", "win_rate", "profit_factor", "expectancy", "payoff", "fees", "holding_s", "average_mfe",
    "average_mae", "slippage",
)  # fmt: skip
_SECOND_US = 1e6
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3_600.0, 86_400.0
TOLD_BY: dict[Dimension, str] = {
    "symbol": "Market", "strategy": "Strategy", "bot": "Bot", "exchange": "Exchange", "side": "Side",
}  # fmt: skip


def attribution_chart(found: Attribution) -> tuple[BarChart, ...]:
    """Draw what each part made; nothing where there is one part alone."""
    parts = _largest(found.parts)[:_BARS_MAX]
    if not parts[1:]:
        return ()
    values = [(part.name, float(part.profit), rounded(part.profit, signed=True)) for part in parts]
    return (bar_chart(f"Profit by {found.dimension}, {found.base_currency}", values, ""),)


def attribution_table(found: Attribution) -> Table:
    """Return what each part made, and the rest."""
    parts = _largest(found.parts)
    left_out = len(parts) - ROWS_MAX
    told = (
        f"What each {found.dimension} made, in {found.base_currency}, and the figures of its daily shares of the "
        "equity that the account's day began with. Rest: what no position explains."
    )
    if found.positions_left_out:
        told += (
            f" Of {counted(found.positions_left_out, 'position')} the beginning was deleted by policy: they are in "
            "the rest."
        )
    if left_out > 0:
        told += f" {counted(left_out, 'part')} of less are not shown."
    titles = {one.figure.name: one.figure.title for part in parts for one in part.figures}
    blank = Cell(NOTHING)
    return Table(
        caption=told,
        columns=(
            Column(found.dimension.capitalize(), numeric=False),
            *(Column(name) for name in ("Profit", "Share", "Realised", "Unrealised", "Funding", "Fees")),
            *(Column(titles[name]) for name in _PART_FIGURES if name in titles),
        ),
        rows=(
            *(_part_row(part) for part in parts[:ROWS_MAX]),
            (Cell("Rest"), _money_cell(found.rest), *([blank] * (5 + len(_PART_FIGURES)))),
        ),
        total=(Cell("Account"), _money_cell(found.profit), *([blank] * (5 + len(_PART_FIGURES)))),
    )


def _part_row(part: Part) -> tuple[Cell, ...]:
    figures = {one.figure.name: value_cell(one) for one in part.figures}
    share = f"{100 * part.contribution:+,.2f}{GAP}%".replace("-", MINUS)
    return (
        Cell(part.name),
        _money_cell(part.profit),
        Cell(share, detail=repr(part.contribution)),
        *(_plain_cell(one) for one in (part.realized, part.unrealized, part.funding, part.fees)),
        *(figures[name] for name in _PART_FIGURES),
    )


def trades_table(found: Trades) -> Table:
    """Return every figure of all closed trades, a column a currency."""
    deleted = found.deleted_until
    missing = "" if deleted is None else f" What was closed before {deleted:%Y-%m-%d} was deleted by policy."
    told = sorted(found.by("all"), key=lambda one: -one.trades)[:_CURRENCIES_MAX]
    return Table(
        caption=f"Closed positions, from their first fill to their last. Nothing is converted.{missing}",
        columns=(Column("Figure", numeric=False), *(Column(one.currency) for one in told)),
        rows=tuple(
            (Cell(figure.title), *(figure_cell(figure, getattr(one, figure.name)) for one in told))
            for figure in TRADE_FIGURES
        ),
    )


def trades_by_table(found: Trades, dimension: Dimension) -> Table:
    """Return the chosen figures of each part of a dimension."""
    parts = sorted(found.by(dimension), key=lambda one: (-one.trades, one.part, one.currency))
    shown = [figure for figure in TRADE_FIGURES if figure.name in _SHOWN]
    caption = f"Closed trades by {dimension}."
    if len(parts) > ROWS_MAX:
        caption += f" {counted(len(parts) - ROWS_MAX, 'row')} of fewer trades are not shown."
    return Table(
        caption=caption,
        columns=(
            Column(TOLD_BY[dimension], numeric=False),
            Column("Currency", numeric=False),
            *(Column(figure.title) for figure in shown),
        ),
        rows=tuple(
            (
                Cell(one.part),
                Cell(one.currency),
                *(figure_cell(figure, getattr(one, figure.name)) for figure in shown),
            )
            for one in parts[:ROWS_MAX]
        ),
    )


def hours_chart(found: Trades) -> tuple[ColumnChart, ...]:
    """Draw the net profit by the hour in which trades were opened, in the currency that most were in."""
    whole: Sequence[TradeFigures] = found.by("all")
    if not whole:
        return ()
    currency = max(whole, key=lambda one: one.trades).currency
    nets = {one.part: one.net for one in found.by("hour") if one.currency == currency}
    hours = [(f"{hour:02}", nets.get(f"{hour:02}", Decimal(0))) for hour in range(24)]
    values = [(hour, float(net), "loss" if net < 0 else "gain") for hour, net in hours]
    return (column_chart(f"Net profit by the hour of opening, UTC, {currency}", values),)


def figure_cell(figure: Figure, value: object) -> Cell:
    """Return the value of a figure of trades."""
    if value is None:
        return Cell(NOTHING)
    if isinstance(value, Decimal):
        return _money_cell(value) if figure.name == "net" else _plain_cell(value)
    if isinstance(value, int):
        return Cell(count(value))
    assert isinstance(value, float)
    if figure.unit == "duration":
        return Cell(_time_text(value), detail=f"{value} s")
    text = f"{100 * value:,.2f}{GAP}%" if figure.unit == "share" else f"{value:,.3f}"
    return Cell(text.replace("-", MINUS), detail=repr(value))


def _time_text(seconds: float) -> str:
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f}{GAP}{unit}"
    return duration(seconds * _SECOND_US)


def _largest(parts: Sequence[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (-abs(part.profit), part.name))


def _money_cell(value: Decimal) -> Cell:
    tone: Tone = "gain" if value > 0 else "loss" if value < 0 else ""
    return Cell(rounded(value, signed=True), tone, exact(value))


def _plain_cell(value: Decimal) -> Cell:
    return Cell(rounded(value), detail=exact(value))
