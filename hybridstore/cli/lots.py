"""``hybridstore lots``: what sales disposed of and gained, by one method or several side by side."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from hybridstore.cli.options import Account, At, Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_table, warn, write_text
from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.portfolio.money import add
from hybridstore.reports.plain import json_text

if TYPE_CHECKING:
    from hybridstore.books.lots import Lots

_ROWS_MAX = 40
"""Rows of a table of disposals or lots; CSV and JSON have all."""


def lots(
    *,
    account: Account = DEFAULT_ACCOUNT,
    symbol: Annotated[str | None, Parameter(help="Only this market. Default: all.")] = None,
    method: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="FIFO, LIFO, HIFO or AVERAGE; several are computed side by side. Default: FIFO.",
        ),
    ] = None,
    by_year: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Methods of single calendar years, as 2025=HIFO; lots carry over from year to year.",
        ),
    ] = None,
    year: Annotated[int | None, Parameter(help="Only the disposals of this calendar year.")] = None,
    zone: Annotated[str, Parameter(help="Where years begin and end, as Europe/Berlin.")] = "UTC",
    at: At = None,
    totals: Annotated[
        bool, Parameter(negative="", help="Only what the disposals come to, not each of them.")
    ] = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Show which lots sales disposed of and what they gained; with --csv: the tax export."""
    from hybridstore.store import HybridStore

    if json and csv:
        raise ConfigError("--json and --csv: an answer has one form", hint="give one of them")
    with HybridStore(existing_root(root)) as store:
        found = store.books.lots(
            account=account,
            symbol=symbol,
            method=method or "FIFO",
            by_year=dict(map(_method_of_year, by_year or ())),
            year=year,
            until=at,
            zone=zone,
        )
    if json:
        write_text(json_text({"years": found.years, "totals": found.totals} if totals else found), output)
    elif csv or output is not None:
        _write_csv(found, output, totals=totals)
    else:
        _show(found, Console(), totals=totals)


def _method_of_year(text: str) -> tuple[int, str]:
    year, _, method = text.partition("=")
    if not (year.isascii() and year.isdigit() and method):
        raise InvalidValue(
            f"--by-year {text!r}: not a year and its method", hint="write for example 2025=HIFO"
        )
    return int(year), method


def _write_csv(found: Lots, output: Path | None, *, totals: bool) -> None:
    write = found.write_totals if totals else found.write_disposals
    if output is not None:
        write(output)
        return
    text = io.StringIO()
    write(text)
    write_text(text.getvalue(), None)


def _show(found: Lots, console: Console, *, totals: bool) -> None:
    from hybridstore.books.lots_csv import fees_text

    if not totals:
        _show_rows(
            console,
            "Disposals",
            ("method", "symbol", "disposed at", "amount", "net gain", "in", "kind", "side", "proceeds", "cost", "fees",
             "acquired at"),
            [
                (one.plan if one.plan == one.method else f"{one.plan}: {one.method}", one.symbol, one.disposed_at,
                 one.amount, one.gain_net, one.currency, one.kind, one.side, one.proceeds, one.cost,
                 add(one.acquisition_fee, one.disposal_fee), one.acquired_at or one.basis)
                for one in found.disposals[-_ROWS_MAX:]
            ],
            len(found.disposals),
        )  # fmt: skip
        _show_rows(
            console,
            "Open lots",
            ("method", "symbol", "side", "amount", "price", "entry cost", "fees", "in", "acquired at"),
            [
                (one.plan, one.symbol, one.side, one.amount, one.price, one.entry_cost, one.acquisition_fee,
                 one.currency, one.acquired_at or one.basis)
                for one in found.open_lots[-_ROWS_MAX:]
            ],
            len(found.open_lots),
        )  # fmt: skip
    for title, sums in (("Years", found.years), ("Totals", found.totals)):
        rows = [
            (one.plan, one.year or "all", one.symbol or "all", one.gain_net, one.currency, one.gain,
             add(one.acquisition_fees, one.disposal_fees), fees_text(one.other_fees), one.proceeds, one.cost,
             one.disposals)
            for one in sums
        ]  # fmt: skip
        columns = (
            "method",
            "year",
            "symbol",
            "net gain",
            "in",
            "gain",
            "fees",
            "other fees",
            "proceeds",
            "cost",
            "disposals",
        )
        print_table(console, title, columns, rows)
    for one in found.years:
        if one.unknown_disposals and one.plan == found.years[0].plan:  # it is the same by every method
            warn(
                console,
                f"{one.year}: {one.unknown_disposals} disposals of {one.symbol} have no known cost "
                f"({one.unknown_amount:f} for {one.unknown_proceeds:f} {one.currency}); they are in no gain",
            )


def _show_rows(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], count: int
) -> None:
    shown = list(rows)
    told = title if count == len(shown) else f"{title}: the last {len(shown)} of {count:,}"
    print_table(console, told, columns, shown)
