"""Results on a terminal and in files, for ``hybridstore query``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybridstore.analytics.result import Result, plain
from hybridstore.errors import ConfigError

Format = Literal["table", "csv", "json", "parquet"]
_ROWS_MAX = 1000
"""Rows of a table on a terminal; the other formats print all."""


def write_result(result: Result, form: Format, output: Path | None) -> None:
    """Print or write an answer.

    Args:
        result: The answer.
        form: table, csv, json (one object a row, money as text) or parquet.
        output: The file to write; None means standard output.

    Raises:
        ConfigError: Parquet without a file, or a file that cannot be written.
    """
    try:
        _write(result, form, output)
    except OSError as error:
        if output is None:
            raise
        raise ConfigError(
            f"cannot write the answer: {error.strerror or error}",
            path=str(output),
            hint="name a file in a folder that is there",
        ) from error


def _write(result: Result, form: Format, output: Path | None) -> None:
    if form == "parquet":
        if output is None:
            raise ConfigError("parquet is not for a terminal", hint="name a file with --output")
        import pyarrow.parquet as pq

        pq.write_table(result.arrow(), output, compression="zstd")
    elif form == "table" and output is None:
        _print_table(result)
    else:
        text = _json(result) if form == "json" else _csv(result)
        if output is None:
            sys.stdout.write(text)
        else:
            output.write_text(text, encoding="utf-8")


def _print_table(result: Result) -> None:
    table = Table(*(escape(name) for name in result.columns))
    for row in Result(result.arrow().slice(0, _ROWS_MAX)).rows():
        table.add_row(*(escape(plain(value)) for value in row))
    console = Console()
    console.print(table)
    if len(result) > _ROWS_MAX:
        console.print(f"{_ROWS_MAX:,} of {len(result):,} rows; use --format csv for all")


def _csv(result: Result) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([plain(value) for value in row] for row in result.rows())
    return text.getvalue()


def _json(result: Result) -> str:
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows()]
    return msgspec.json.encode(rows).decode() + "\n"
