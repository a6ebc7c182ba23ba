"""Archived values in the form the hot store keeps them in: the way back of hot/transfer.py, for a few rows."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.types import EXACT, TICK_SCALE, LogicalType, money_text

if TYPE_CHECKING:
    import pyarrow as pa


def stored_values(dataset: Dataset, name: str, values: pa.ChunkedArray) -> list[Any]:
    """Return a column as the hot store keeps it.

    Args:
        dataset: The declaration.
        name: A stored column.
        values: The column as archived.

    Returns:
        Stored forms; None where the column is null.
    """
    import pyarrow as pa

    if name == ROW_ID and dataset.numbered:
        return list(values.to_pylist())
    kind = dataset.column(name).type
    if kind is LogicalType.TIMESTAMP:
        return list(values.cast(pa.int64()).to_pylist())
    if kind is LogicalType.MONEY:
        return [None if value is None else money_text(value, name) for value in values.to_pylist()]
    if kind is LogicalType.TICK:
        return [None if value is None else _tick(value) for value in values.to_pylist()]
    if kind is LogicalType.BOOLEAN:
        return [None if value is None else int(value) for value in values.to_pylist()]
    return list(values.to_pylist())


def stored_rows(dataset: Dataset, table: pa.Table) -> list[tuple[Any, ...]]:
    """Return rows as the hot store keeps them.

    Args:
        dataset: The declaration.
        table: The dataset's stored columns; one that the file lacks, because it was declared later, is null.

    Returns:
        Stored columns in declared order, the row number first.
    """
    nothing: list[Any] = [None] * table.num_rows
    columns = [
        stored_values(dataset, name, table.column(name)) if name in table.column_names else nothing
        for name in dataset.stored_names
    ]
    return list(zip(*columns, strict=True))


def _tick(value: Decimal) -> int:
    return int(EXACT.multiply(value, TICK_SCALE))
