"""Every table of a report as a file of CSV and one of JSON, with every digit and every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.books.figures import FIGURES
from hybridstore.books.trades import TRADE_FIGURES
from hybridstore.durable import make_directories, telling_failures, write_file
from hybridstore.reports.plain import csv_text, json_text

if TYPE_CHECKING:
    from hybridstore.books.attribution import Attribution
    from hybridstore.books.performance import Performance
    from hybridstore.books.trades import Trades
    from hybridstore.reports.data import ReportData


class Rows(NamedTuple):
    """A table for programs.

    Attributes:
        columns: Names of the columns.
        rows: Values, in their order.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


def write_tables(data: ReportData, folder: Path) -> list[Path]:
    """Write every table of a report.

    Args:
        data: What the report says.
        folder: Where; it is made where it is not there. Files of the same name are replaced, each whole.

    Returns:
        The files.

    Raises:
        StorageFull: There is no room for them.
        StorageFailure: They cannot be written.
    """
    written = []
    with telling_failures("write the tables of a report", folder):
        make_directories(folder)
        for name, table in tables_of(data).items():
            rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            texts = {".csv": csv_text(table.columns, table.rows), ".json": json_text(rows)}
            for suffix, text in texts.items():
                written.append(folder / f"{name}{suffix}")
                write_file(written[-1], text.encode())
    return written


def tables_of(data: ReportData) -> dict[str, Rows]:
    """Return every table of a report.

    Args:
        data: What it says.

    Returns:
        By name; one without rows is left out.
    """
    found: dict[str, Rows] = {}
    if data.performance is not None:
        found |= _performance(data.performance)
    for one in data.attribution:
        found[f"attribution-by-{one.dimension}"] = _attribution(one)
    if data.trades is not None:
        found["trades"] = _trades(data.trades)
    found |= {
        "positions": _records(data.positions),
        "balances": _records(data.balances),
        "tiers": _records(data.tiers),
        "checks": _records(data.checks),
        "definitions": Rows(
            ("figure", "title", "unit", "version", "definition"),
            [
                (one.name, one.title, one.unit, one.version, one.definition)
                for one in (*FIGURES, *TRADE_FIGURES)
            ],
        ),
    }
    return {name: table for name, table in found.items() if table.rows}


def _performance(found: Performance) -> Mapping[str, Rows]:
    values = [
        (one.figure.name, one.value, one.observations, one.figure.label, found.benchmark, found.risk_free)
        for one in found.figures
    ]
    money = ("start", "end", "base_currency", "start_equity", "net_flow", "profit", "end_equity")
    return {
        "account": Rows(money, [[getattr(found, name) for name in money]]),
        "figures": Rows(("figure", "value", "observations", "definition", "benchmark", "risk_free"), values),
        "days": _records(found.days),
        "months": _months(found),
        "drawdowns": _records(found.drawdowns),
        "rolling": _records(found.rolling),
        "distribution": _records(found.distribution),
    }


def _months(found: Performance) -> Rows:
    rows = []
    for month, days in groupby(found.days, key=lambda one: f"{one.day:%Y-%m}"):
        growth = 1.0
        for day in days:
            growth *= 1 + day.ret
        rows.append((month, growth - 1))
    return Rows(("month", "ret"), rows)


def _attribution(found: Attribution) -> Rows:
    money = ("profit", "realized", "unrealized", "funding", "fees", "contribution", "days_missing")
    rows = [
        (part.name, *(getattr(part, name) for name in money), *(one.value for one in part.figures))
        for part in found.parts
    ]
    return Rows((found.dimension, *money, *(figure.name for figure in FIGURES)), rows)


def _trades(found: Trades) -> Rows:
    columns = ("dimension", "part", "currency", *(figure.name for figure in TRADE_FIGURES))
    return Rows(columns, [[getattr(one, name) for name in columns] for one in found.figures])


def _records(records: Iterable[object]) -> Rows:
    """Return records of one kind, a column a field."""
    listed = list(records)
    columns: tuple[str, ...] = listed[0].__struct_fields__ if listed else ()  # type: ignore[attr-defined]
    return Rows(columns, [[getattr(one, name) for name in columns] for one in listed])
