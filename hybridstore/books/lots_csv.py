"""Lots as CSV: what a tax adviser's program or a spreadsheet reads, with every digit.

Money is plain decimal text, a time ISO 8601 in UTC, what is not known is empty. Text that a spreadsheet would take for
a formula has an apostrophe before it, a line end in a text is a space: a row is a line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from hybridstore.errors import ConfigError
from hybridstore.portfolio.lots import LotTotals
from hybridstore.portfolio.lots_records import Disposal
from hybridstore.records import Record

DISPOSAL_COLUMNS = (
    "account", "plan", "method", "year", "symbol", "kind", "side", "basis", "amount", "currency", "cost", "proceeds",
    "acquisition_fee", "disposal_fee", "gain", "gain_net", "other_fees", "acquired_at", "acquired_trade_id",
    "disposed_at", "trade_id", "order_id", "strategy",
)  # fmt: skip
"""Columns of disposals: the account, and the fields of a Disposal."""

TOTAL_COLUMNS = (
    "account", "plan", "year", "symbol", "currency", "disposals", "cost", "proceeds", "acquisition_fees",
    "disposal_fees", "gain", "gain_net", "unknown_disposals", "unknown_amount", "unknown_proceeds", "unknown_fees",
    "other_fees",
)  # fmt: skip
"""Columns of totals: the account, and the fields of LotTotals."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or skips on its way to one."""


def write_disposals(account: str, disposals: Iterable[Disposal], output: str | Path | TextIO) -> None:
    """Write disposals as CSV, one a row, under a header.

    Args:
        account: Whose.
        disposals: The disposals.
        output: A file's path, or an open text file.

    Raises:
        ConfigError: The file cannot be written.
    """
    _write(account, DISPOSAL_COLUMNS, disposals, output)


def write_totals(account: str, totals: Iterable[LotTotals], output: str | Path | TextIO) -> None:
    """Write totals as CSV, one a row, under a header.

    Args:
        account: Whose.
        totals: Of years and markets, or of methods.
        output: A file's path, or an open text file.

    Raises:
        ConfigError: The file cannot be written.
    """
    _write(account, TOTAL_COLUMNS, totals, output)


def _write(
    account: str, columns: tuple[str, ...], records: Iterable[Record], output: str | Path | TextIO
) -> None:
    if isinstance(output, str | Path):
        try:
            with Path(output).open("w", encoding="utf-8", newline="") as file:
                _write(account, columns, records, file)
        except OSError as error:
            raise ConfigError(
                f"cannot write CSV: {error.strerror or error}",
                path=str(output),
                hint="name a file in a folder that is there",
            ) from error
        return
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    whose = _text(account)
    writer.writerows([whose, *[_text(getattr(one, name)) for name in columns[1:]]] for one in records)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        value = fees_text(value)
    if not isinstance(value, str):
        return str(value)
    text = f"'{value}" if value.startswith(_FORMULA) else value
    return text.replace("\r", " ").replace("\n", " ")


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def fees_text(fees: Iterable[tuple[str, Decimal]]) -> str:
    """Return fees of several assets as one text.

    Args:
        fees: (asset, cost) pairs.

    Returns:
        For example ``BNB 0.001; DOGE 2``.
    """
    return "; ".join(f"{asset} {_number(cost)}" for asset, cost in fees)
