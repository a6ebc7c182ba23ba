"""Answers on a terminal and in files: tables for people, JSON and CSV for programs.

Only tables shorten numbers. JSON and CSV hold every digit, as plain text that no reader turns into a float.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybridstore.errors import ConfigError
from hybridstore.reports.plain import cell_text, csv_text, json_text

_DIGITS = 8
"""Digits a number of a table has at most, unless its integer part alone has more."""
_WIDEST = 10_000
"""Columns of a terminal that everything fits on."""


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
