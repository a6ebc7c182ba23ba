"""Answers for programs: JSON and CSV that hold every digit, as plain text that no reader turns into a float."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def json_text(answer: object) -> str:
    """Return an answer as one line of JSON.

    Args:
        answer: Records, mappings, sequences, text, numbers, money, times.

    Returns:
        JSON: money as plain text of every digit, times as ISO 8601.
    """
    return msgspec.json.encode(_built_in(answer)).decode() + "\n"


def _built_in(value: object) -> Any:
    if isinstance(value, Decimal | datetime):
        return cell_text(value)
    if isinstance(value, msgspec.Struct):
        return {name: _built_in(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): _built_in(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_built_in(member) for member in value]
    return value


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV.

    Args:
        columns: Names of the columns.
        rows: The rows.

    Returns:
        CSV with a header: money as plain text of every digit, times as ISO 8601, nothing for None. Text that a
        spreadsheet would take for a formula has an apostrophe before it.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # else a cell with a carriage return is not quoted
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return "".join(lines.written)


class _Lines:
    """Takes lines of CSV and ends them as other text ends."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix("\r\n") + "\n")


def _harmless(value: object) -> str:
    text = cell_text(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def cell_text(value: object) -> str:
    """Return a value as text, with every digit.

    Args:
        value: Any value of an answer.

    Returns:
        Money without exponent and trailing zeros, times as ISO 8601, nothing for None.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
