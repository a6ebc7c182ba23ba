"""The answer to a question: fetched once as Arrow, handed out in whatever form is wanted."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hybridstore.clock import DAY_US
from hybridstore.errors import ConfigError, QueryFailed
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    import polars as pl

_SHOWN_ROWS = 50
_TEXT_ROWS = 20
_CELL_WIDTH = 40
_EXPLAIN = ("explain_key", "explain_value")
_INTERVAL = [("months", "<i4"), ("days", "<i4"), ("ns", "<i8")]
"""How Arrow lays out an INTERVAL."""
_DAYS_MAX = 100_000_000
"""More do not fit into 64 bits of microseconds."""


class Result:
    """The answer to one question. It never changes.

    Args:
        table: The answer as the engine gave it.

    Raises:
        QueryFailed: A column cannot be told in Arrow.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = _settled(table)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; a name that occurs twice has a number behind it."""
        return tuple(self._table.column_names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Iterate over the rows."""
        return iter(self.rows())

    def arrow(self) -> pa.Table:
        """Return the answer as Arrow.

        Returns:
            A pyarrow Table: money as decimals, times as timestamp[us, UTC], lengths of time as duration[us].
        """
        return self._table

    def pl(self) -> pl.DataFrame:
        """Return the answer as polars.

        Returns:
            A polars DataFrame.
        """
        import polars as pl

        frame = pl.from_arrow(self._table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def df(self) -> Any:
        """Return the answer as pandas, which is no requirement of this package.

        Returns:
            A pandas DataFrame: money as Decimal objects.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            return self._table.to_pandas()
        except ImportError as error:
            raise ConfigError("pandas is not installed", hint="pip install pandas, or use .pl()") from error

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the answer as Python values.

        Returns:
            One tuple a row: money as Decimal, times as aware datetimes, lengths of time as timedelta, integers as int.
        """
        if not self._table.num_columns:
            return [()] * self._table.num_rows
        return list(zip(*(_values(column) for column in self._table.columns), strict=True))

    def __repr__(self) -> str:
        """Return the first rows as a text table, or the plan of an EXPLAIN."""
        if self.columns == _EXPLAIN:
            return "\n".join(str(row[1]) for row in self.rows())
        shown = Result(self._table.slice(0, _TEXT_ROWS))
        lines = [self.columns, *(tuple(plain(value)[:_CELL_WIDTH] for value in row) for row in shown.rows())]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
        text = ["  ".join(line).rstrip() for line in padded]
        if len(self) > _TEXT_ROWS:
            text.append("...")
        return "\n".join([*text, self._size()])

    def _repr_html_(self) -> str:
        """Return the first rows as an HTML table, for notebooks."""
        if self.columns == _EXPLAIN:
            return f"<pre>{html.escape(repr(self))}</pre>"
        shown = Result(self._table.slice(0, _SHOWN_ROWS))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(plain(value))}</td>' for value in row)}</tr>"
            for row in shown.rows()
        )
        more = f", the first {_SHOWN_ROWS} shown" if len(self) > _SHOWN_ROWS else ""
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{self._size()}{more}</p>"
        )

    def _size(self) -> str:
        return f"{len(self):,} {'row' if len(self) == 1 else 'rows'} x {len(self.columns)} columns"


def _settled(table: pa.Table) -> pa.Table:
    """Give every column a name and a type that every reader understands, and check what could be out of range."""
    columns, names = [], []
    seen: set[str] = set()
    for name, column in zip(table.column_names, table.columns, strict=True):
        unique, number = name, 0
        while unique in seen:
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        names.append(unique)
        columns.append(_settled_column(name, column))
    if not columns:
        return table
    return pa.Table.from_arrays(columns, names=names)


def _settled_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        raise QueryFailed(
            f"column {name} has a type that Arrow does not know", hint=f"select {name}::VARCHAR"
        )
    if kind == pa.month_day_nano_interval():
        return pa.chunked_array([_durations(name, chunk) for chunk in column.chunks], pa.duration("us"))
    if pa.types.is_timestamp(kind) and kind.tz is not None and kind.tz != "UTC":
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_decimal(kind) and kind.scale == 0:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise QueryFailed(
                f"column {name} holds an integer of more than 38 digits", hint=f"select {name}::VARCHAR"
            ) from error
    return column


def _durations(name: str, chunk: pa.Array) -> pa.Array:
    """Tell intervals as microseconds, which every reader understands. A day has 24 hours: times are UTC."""
    import numpy as np

    parts = np.frombuffer(chunk.buffers()[1] or b"", _INTERVAL)[chunk.offset : chunk.offset + len(chunk)]
    absent = np.asarray(chunk.is_null().to_numpy(zero_copy_only=False), bool)
    there = parts[~absent]
    if there["months"].any() or (np.abs(there["days"].astype(np.int64)) > _DAYS_MAX).any():
        raise QueryFailed(
            f"column {name} holds intervals of months, which are not all the same length, or of more than "
            f"{_DAYS_MAX:,} days",
            hint=f"select {name}::VARCHAR",
        )
    lengths_us = parts["days"].astype(np.int64) * DAY_US + parts["ns"] // 1000
    return pa.array(lengths_us, pa.int64(), mask=absent).cast(pa.duration("us"))


def _values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None and kind.unit == "us":
        # Through integers: Arrow's own way needs a time zone database, which Windows does not have.
        return [None if ts_us is None else moment(ts_us) for ts_us in column.cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return [None if value is None else int(value) for value in values]
    return values


def plain(value: object) -> str:
    """Write a value for people: money without exponent and trailing zeros, lengths of time as h:mm:ss, NULL as nothing.

    Args:
        value: Any value of an answer.

    Returns:
        Its text.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        seconds, fraction_us = divmod(abs(value), timedelta(seconds=1))
        fraction = f".{fraction_us.microseconds:06}".rstrip("0") if fraction_us else ""
        sign = "-" if value < timedelta() else ""
        return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
    return str(value)
