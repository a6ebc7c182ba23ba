"""``hybridstore trades``: how closed trades did."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.books.trades import TRADE_FIGURES, Dimension
from hybridstore.cli.options import Account, Csv, Json, Output, Root, existing_root
from hybridstore.cli.performance import Definitions, Record
from hybridstore.cli.printing import print_answer, print_table, warn
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from hybridstore.books.figures import Figure
    from hybridstore.books.trades import TradeFigures, Trades

_SHOWN = (
    "trades",
    "net",
    "win_rate",
    "profit_factor",
    "expectancy",
    "payoff",
    "fees",
    "holding_s",
    "slippage",
)
"""Figures that stand beside each other where there are several parts."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def trades(
    *,
    account: Account = DEFAULT_ACCOUNT,
    by: Annotated[
        Dimension, Parameter(help="Tell them apart by this; hour: in which they were opened, UTC.")
    ] = "all",
    start: Annotated[
        str | None, Parameter(help="Only those closed after this moment (ISO 8601 with a zone).")
    ] = None,
    end: Annotated[
        str | None, Parameter(help="Only those closed up to this moment (ISO 8601 with a zone).")
    ] = None,
    definitions: Definitions = False,
    record: Record = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Show how closed trades did: win rate, profit factor, expectancy, holding time, streaks, excursions, slippage."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.books.trades(account, start=start, end=end)
        if record:
            store.insert("performance_metrics", found.metrics())
    columns = ("dimension", "part", "currency", *(figure.name for figure in TRADE_FIGURES))
    told = found.by(by)
    print_answer(
        found,
        columns,
        [[getattr(one, name) for name in columns] for one in told],
        lambda console: _show(found, by, told, console, definitions=definitions),
        json=json,
        csv=csv,
        output=output,
    )


def _show(
    found: Trades, by: Dimension, told: tuple[TradeFigures, ...], console: Console, *, definitions: bool
) -> None:
    if not told:
        console.print(f"[bold]{escape(found.account)}[/]: no position was closed", highlight=False)
        return
    if by == "all":
        rows = [
            (figure.title, *(in_words(figure, getattr(one, figure.name)) for one in told))
            for figure in TRADE_FIGURES
        ]
        print_table(console, None, (found.account, *(one.currency for one in told)), rows)
    else:
        shown = [figure for figure in TRADE_FIGURES if figure.name in _SHOWN]
        columns = (by, "currency", *(figure.title for figure in shown))
        lines = [
            (one.part, one.currency, *(in_words(figure, getattr(one, figure.name)) for figure in shown))
            for one in told
        ]
        print_table(console, None, columns, lines)
    if found.deleted_until is not None:
        warn(console, f"what was closed before {found.deleted_until:%Y-%m-%d} was deleted by policy")
    for figure in TRADE_FIGURES if definitions else ():
        console.print(f"{figure.title}: {figure.definition}", highlight=False, soft_wrap=True)


def in_words(figure: Figure, value: object) -> object:
    """Return a value as its figure is told to people.

    Args:
        figure: Which.
        value: Its value.

    Returns:
        Text, or a number that a table shortens.
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        if figure.unit == "duration":
            return _duration(value)
        return f"{value:.2%}" if figure.unit == "share" else f"{value:,.3f}"
    return value if isinstance(value, Decimal) else f"{value:,}"


def _duration(seconds: float) -> str:
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
