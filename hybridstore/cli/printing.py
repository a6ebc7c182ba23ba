"""Answers on a terminal and in files: tables for people, JSON and CSV for programs.

Only tables shorten numbers. JSON and CSV hold every digit, as plain text that no reader turns into a float.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybridstore.errors import ConfigError

_DIGITS = 8
"""Digits a number of a table has at most, unless its integer part alone has more."""
_WIDEST = 10_000
"""Columns of a terminal that everything fits on."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def print_answer(
    answer: object,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    show: Callable[[Console], None],
    *,
    json: bool,
    csv: bool,
    output: Path | None,
) -> None:
    """Print or write an answer in the form that was asked for.

    Args:
        answer: All of it, for JSON: records, mappings, sequences, money, times.
        columns: Names of the columns, for CSV.
        rows: The rows, for CSV.
        show: Prints it for people.
        json: Whether JSON was asked for.
        csv: Whether CSV was asked for.
        output: The file to write; None means standard output.

    Raises:
        ConfigError: Two forms were asked for, or the file cannot be written.
    """
    if json and csv:
        raise ConfigError("--json and --csv: an answer has one form", hint="give one of them")
    if json:
        write_text(json_text(answer), output)
    elif csv or output is not None:
        write_text(csv_text(columns, rows), output)
    else:
        show(Console())


def write_text(text: str, output: Path | None) -> None:
    """Write to a file or to standard output.

    Args:
        text: What.
        output: The file; None means standard output.

    Raises:
        ConfigError: The file cannot be written.
    """
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(
            f"--output: {error.strerror or error}",
            path=str(output),
            hint="name a file in a folder that is there",
        ) from error


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


def short_text(value: object) -> str:
    """Return a value for a table: a long fraction ends with an ellipsis, a time with its second.

    Args:
        value: Any value of an answer.

    Returns:
        Its text; numbers that were cut show it.
    """
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    text = cell_text(value)
    if not isinstance(value, Decimal) or "." not in text:
        return text
    whole, _, fraction = text.partition(".")
    digits = len(whole.lstrip("-"))
    zeros = len(fraction) - len(fraction.lstrip("0")) if whole in {"0", "-0"} else 0
    places = max(2, _DIGITS - digits) + zeros
    return text if len(fraction) <= places else f"{whole}.{fraction[:places]}\N{HORIZONTAL ELLIPSIS}"


def table_of(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return rows as a table for a terminal.

    Args:
        title: What it shows.
        columns: Names of the columns.
        rows: The rows; numbers are set to the right.

    Returns:
        The table.
    """
    listed = [tuple(row) for row in rows]
    table = Table(title=title and escape(title))
    for place, name in enumerate(columns):
        numbers = any(isinstance(row[place], Decimal | int) for row in listed)
        table.add_column(escape(name), justify="right" if numbers else "left")
    for row in listed:
        table.add_row(*(escape(short_text(value)) for value in row))
    return table


def print_table(
    console: Console, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print a table with as many of its columns as the terminal is wide, rather than with cells cut short.

    Args:
        console: Where.
        title: What it shows.
        columns: Names of the columns, the important ones first.
        rows: The rows.
    """
    listed = [tuple(row) for row in rows]
    shown = len(columns)
    table = table_of(title, columns, listed)
    while (
        shown > 1
        and console.measure(table, options=console.options.update(width=_WIDEST)).maximum > console.width
    ):
        shown -= 1
        table = table_of(title, columns[:shown], [row[:shown] for row in listed])
    console.print(table)
    if shown < len(columns):
        left_out = ", ".join(columns[shown:])
        console.print(
            f"not shown: {left_out}; use a wider terminal, --json or --csv", style="dim", highlight=False
        )


def warn(console: Console, warning: str) -> None:
    """Print a warning.

    Args:
        console: Where.
        warning: One sentence.
    """
    console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
