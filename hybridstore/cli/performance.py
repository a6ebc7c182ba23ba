"""``hybridstore performance``: how an account did, and beside a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.books.performance import Source
from hybridstore.cli.options import Account, Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, warn
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from hybridstore.books.figures import Measured
    from hybridstore.books.performance import Performance

Benchmark = Annotated[
    tuple[str, ...],
    Parameter(
        help="Compare with holding this symbol; several make a basket, with weights as BTC/USDT=3 ETH/USDT=1.",
        consume_multiple=True,
    ),
]
BaseCurrency = Annotated[str, Parameter(help="What its snapshots are priced in.")]
Start = Annotated[
    str | None,
    Parameter(help="Only from this moment on (ISO 8601 with a zone). Default: the first snapshot."),
]
End = Annotated[
    str | None,
    Parameter(help="Only up to this moment (ISO 8601 with a zone). Default: the last snapshot."),
]
RiskFree = Annotated[float, Parameter(help="Risk-free rate a year: 0.02 is two per cent.")]
EquitySource = Annotated[
    Source,
    Parameter(help="Where equity comes from: snapshots that were taken, or the books, valued each midnight."),
]
Definitions = Annotated[bool, Parameter(negative="", help="Also print how each figure is computed.")]
Record = Annotated[
    bool, Parameter(negative="", help="Also write the figures down, in the dataset performance_metrics.")
]
_DAY_COLUMNS = ("day", "ret", "equity", "net_flow", "benchmark")


def performance(
    *,
    account: Account = DEFAULT_ACCOUNT,
    base_currency: BaseCurrency = "USDT",
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
    """Show how an account did, deposits and withdrawals taken out, and beside a benchmark."""
    from hybridstore.store import HybridStore

    parts = parts_of(benchmark)
    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.books.performance(
            account,
            base_currency,
            start=start,
            end=end,
            benchmark=parts or None,
            risk_free=risk_free,
            source=source,
        )
        if record:
            store.insert("performance_metrics", found.metrics())
    print_answer(
        found,
        _DAY_COLUMNS,
        [[day[name] for name in _DAY_COLUMNS] for day in found.days],
        lambda console: _show(found, console, definitions=definitions),
        json=json,
        csv=csv,
        output=output,
    )


def parts_of(benchmark: tuple[str, ...]) -> dict[str, float]:
    """Read a basket as it is given on the command line.

    Args:
        benchmark: Symbols, each with its weight behind an equals sign or without one.

    Raises:
        InvalidValue: A weight is no number.
    """
    return dict(map(_part, benchmark))


def _part(text: str) -> tuple[str, float]:
    symbol, _, weight = text.partition("=")
    try:
        return symbol, float(weight or 1)
    except ValueError as error:
        raise InvalidValue(f"--benchmark {text}", hint="give weights as BTC/USDT=3") from error


def _show(found: Performance, console: Console, *, definitions: bool) -> None:
    against = f", beside {found.benchmark}" if found.benchmark else ""
    console.print(
        f"[bold]{escape(found.account)}[/] from {found.start} to {found.end}, {len(found.days):,} days, in "
        f"{escape(found.base_currency + against)}",
        highlight=False,
    )
    money = [
        ("equity at the start", found.start_equity),
        ("deposits less withdrawals", found.net_flow),
        ("profit", found.profit),
        ("equity at the end", found.end_equity),
    ]
    print_table(console, None, ("", found.base_currency), money)
    told = [one for one in found.figures if found.benchmark or not one.figure.compares]
    print_table(console, None, ("figure", "value"), [(one.figure.title, value_text(one)) for one in told])
    for one in told if definitions else ():
        console.print(f"{one.figure.title}: {one.figure.definition}", highlight=False, soft_wrap=True)
    if any(one.value is None and one.figure.is_annualised for one in told):
        console.print("Figures of a year are told from 90 days on.", highlight=False)
    if found.days_without_snapshot:
        warn(
            console,
            f"of {found.days_without_snapshot:,} days there is no snapshot: they count as days without a return",
        )
    if found.undefined_steps:
        warn(
            console,
            f"{found.undefined_steps:,} steps begin with an equity of nothing or less, and have no return",
        )


def value_text(one: Measured) -> str:
    """Return the value of a figure as it is told to people; a dash where there is none."""
    if one.value is None:
        return "-"
    return f"{one.value:.2%}" if one.figure.unit == "share" else f"{one.value:,.3f}"
