"""Rows of one dataset as a polars LazyFrame: polars reads the files itself and pushes filters down into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.types import LogicalType, check_timestamp, moment

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_SYMBOLS = ("symbol", "asset")


class Bounds(NamedTuple):
    """Which rows of a dataset are wanted.

    Attributes:
        time: The column the times are of, where there is one.
        start_us: From, inclusive, us UTC.
        end_us: To, exclusive, us UTC.
        symbol: Only this market or asset.
        symbol_column: The column it is in.
        account: Only this account.
    """

    time: str | None
    start_us: int | None
    end_us: int | None
    symbol: str | None
    symbol_column: str | None
    account: str | None


def check_bounds(
    dataset: Dataset, start: object, end: object, symbol: str | None, account: str | None
) -> Bounds:
    """Check what is asked of a dataset.

    Args:
        dataset: The declaration.
        start: From, inclusive, by the dataset's time; None means the beginning.
        end: To, exclusive; None means the end.
        symbol: Only this market or asset.
        account: Only this account.

    Returns:
        The checked bounds.

    Raises:
        InvalidValue: A moment does not fit, or the dataset has no such column.
    """
    time = _time_column(dataset)
    symbol_column = _symbol_column(dataset)
    if time is None and (start is not None or end is not None):
        raise InvalidValue(f"start, end: {dataset.name} has no time", hint="filter the rows it returns")
    if symbol_column is None and symbol is not None:
        raise InvalidValue(f"symbol={symbol!r}: {dataset.name} has neither symbol nor asset")
    if account is not None:
        dataset.column("account")
    return Bounds(
        time,
        None if start is None else check_timestamp(start, "start"),
        None if end is None else check_timestamp(end, "end"),
        symbol,
        symbol_column,
        account,
    )


def lazy_rows(
    dataset: Dataset,
    complete: Sequence[str],
    publishing: Sequence[tuple[str, int]],
    hot: pa.Table,
    superseded: Sequence[int],
    bounds: Bounds,
    columns: Sequence[str] | None,
    known_us: int | None = None,
) -> pl.LazyFrame:
    """Join files and hot rows of one moment.

    Args:
        dataset: The declaration.
        complete: Paths of files all of whose rows count.
        publishing: Paths of files still being published, each with the largest row number that counts.
        hot: The hot rows.
        superseded: Row numbers in files that no longer count.
        bounds: Which rows.
        columns: Which columns; None means all.
        known_us: Rows in files that were committed later do not count, us UTC; None means that all do.

    Returns:
        The rows, in no particular order.
    """
    import polars as pl
    import pyarrow as pa

    empty = pl.from_arrow(pa.Table.from_batches([], schema=arrow_schema(dataset)))
    assert isinstance(empty, pl.DataFrame)
    options: dict[str, Any] = {
        "schema": empty.schema,
        "glob": False,
        "hive_partitioning": False,
        "missing_columns": "insert",  # files of an older schema lack what was added since
        "extra_columns": "ignore",
    }
    parts = [pl.scan_parquet(list(complete), **options)] if complete else []
    for path, visible_through in publishing:
        parts.append(pl.scan_parquet(path, **options).filter(pl.col(ROW_ID) <= visible_through))
    if superseded:
        parts = [part.filter(~pl.col(ROW_ID).is_in(list(superseded))) for part in parts]
    if known_us is not None:
        parts = [part.filter(pl.col(RECORDED_AT) <= moment(known_us)) for part in parts]
    if hot.num_rows or not parts:
        rows = pl.from_arrow(hot)
        assert isinstance(rows, pl.DataFrame)
        parts.append(rows.lazy())
    frame = pl.concat(parts) if len(parts) > 1 else parts[0]
    for condition in _conditions(bounds):
        frame = frame.filter(condition)
    if columns is None:
        return frame
    for name in columns:
        if name not in dataset.stored_names:
            dataset.column(name)
    return frame.select(list(columns))


def _conditions(bounds: Bounds) -> list[pl.Expr]:
    import polars as pl

    conditions = []
    if bounds.time is not None and bounds.start_us is not None:
        conditions.append(pl.col(bounds.time) >= moment(bounds.start_us))
    if bounds.time is not None and bounds.end_us is not None:
        conditions.append(pl.col(bounds.time) < moment(bounds.end_us))
    if bounds.symbol_column is not None and bounds.symbol is not None:
        conditions.append(pl.col(bounds.symbol_column) == bounds.symbol)
    if bounds.account is not None:
        conditions.append(pl.col("account") == bounds.account)
    return conditions


def _time_column(dataset: Dataset) -> str | None:
    if dataset.tiering:
        return dataset.tiering.time
    return next((name for name in dataset.key if dataset.column(name).type is LogicalType.TIMESTAMP), None)


def _symbol_column(dataset: Dataset) -> str | None:
    if dataset.tiering and dataset.tiering.symbol:
        return dataset.tiering.symbol
    return next((name for name in _SYMBOLS if name in dataset.column_names), None)
