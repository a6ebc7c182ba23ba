"""``hybridstore attribution``: which market, strategy or bot made what an account made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.books.attribution import Partition
from hybridstore.books.figures import FIGURES
from hybridstore.cli.options import Account, Csv, Json, Output, Root, existing_root
from hybridstore.cli.performance import (
    BaseCurrency,
    Benchmark,
    Definitions,
    End,
    EquitySource,
    Record,
    RiskFree,
    Start,
    parts_of,
    value_text,
)
from hybridstore.cli.printing import print_answer, print_table, warn
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from hybridstore.books.attribution import Attribution, Part

_MONEY = ("profit", "realized", "unrealized", "funding", "fees")
_SHOWN = ("volatility", "sharpe", "max_drawdown", "beta", "alpha")


def attribution(
    *,
    account: Account = DEFAULT_ACCOUNT,
    base_currency: BaseCurrency = "USDT",
    by: Annotated[Partition, Parameter(help="What the parts are.")] = "symbol",
    start: Start = None,
    end: End = None,
    benchmark: Benchmark = (),
    risk_free: RiskFree = 0.0,
    source: EquitySource = "snapshots",
    definitions: Definitions = False,
    record: Record = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Show which market, strategy or bot made what an account made, with the figures of each."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.books.attribution(
            account,
            base_currency,
            by=by,
            start=start,
            end=end,
            benchmark=parts_of(benchmark) or None,
            risk_free=risk_free,
            source=source,
        )
        if record:
            store.insert("performance_metrics", found.metrics())
    print_answer(
        found,
        (by, *_MONEY, "contribution", "days_missing", *(figure.name for figure in FIGURES)),
        [
            [part.name, *_money(part), part.contribution, part.days_missing, *_values(part)]
            for part in found.parts
        ],
        lambda console: _show(found, console, definitions=definitions),
        json=json,
        csv=csv,
        output=output,
    )


def _money(part: Part) -> list[object]:
    return [getattr(part, name) for name in _MONEY]


def _values(part: Part) -> list[float | None]:
    return [one.value for one in part.figures]


def _show(found: Attribution, console: Console, *, definitions: bool) -> None:
    console.print(
        f"[bold]{escape(found.account)}[/] from {found.start} to {found.end}, in {escape(found.base_currency)}",
        highlight=False,
    )
    shown = [
        figure for figure in FIGURES if figure.name in _SHOWN and (found.benchmark or not figure.compares)
    ]
    rows: list[tuple[object, ...]] = []
    for part in found.parts:
        values = {one.figure.name: one for one in part.figures}
        rows.append((
            part.name, part.profit, f"{part.contribution:.2%}", *_money(part)[1:],
            *(value_text(values[figure.name]) for figure in shown),
        ))  # fmt: skip
    blank = [""] * (len(_MONEY) - 1 + len(shown))
    rows += [("rest", found.rest, "", *blank), ("account", found.profit, "", *blank)]
    columns = (found.dimension, "profit", "contribution", *_MONEY[1:], *(figure.title for figure in shown))
    print_table(console, None, columns, rows)
    console.print(
        "contribution: sum of the daily shares of the equity that the account's day began with; rest: what no position "
        "explains",
        highlight=False,
        soft_wrap=True,
    )
    for figure in shown if definitions else ():
        console.print(f"{figure.title}: {figure.definition}", highlight=False, soft_wrap=True)
    if found.positions_left_out:
        warn(
            console,
            f"of {found.positions_left_out:,} positions the beginning was deleted by policy: they are in the rest",
        )
    for part in found.parts:
        if part.days_missing:
            warn(
                console, f"{part.name}: {part.days_missing:,} days lack a price or a rate, and are in no sum"
            )
