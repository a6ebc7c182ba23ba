"""Projection of a declaration to Arrow, and so to Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.types import MONEY_PLACES, TICK_PLACES, LogicalType

if TYPE_CHECKING:
    import pyarrow as pa

MONEY_PRECISION = 38
TICK_PRECISION = 18


def arrow_type(kind: LogicalType) -> pa.DataType:
    """Return the Arrow type of a logical type.

    Args:
        kind: The logical type.

    Returns:
        decimal128(38,18), decimal128(18,8), timestamp[us, UTC], string, int64, bool, float64 or binary.
    """
    import pyarrow as pa

    types: dict[LogicalType, pa.DataType] = {
        LogicalType.MONEY: pa.decimal128(MONEY_PRECISION, MONEY_PLACES),
        LogicalType.TICK: pa.decimal128(TICK_PRECISION, TICK_PLACES),
        LogicalType.TIMESTAMP: pa.timestamp("us", "UTC"),
        LogicalType.INTEGER: pa.int64(),
        LogicalType.BOOLEAN: pa.bool_(),
        LogicalType.RATIO: pa.float64(),
        LogicalType.BLOB: pa.binary(),
    }
    return types.get(kind, pa.string())


def arrow_schema(dataset: Dataset) -> pa.Schema:
    """Return the Arrow schema of a dataset's rows.

    Args:
        dataset: The declaration.

    Returns:
        One field a stored column, in order: the row number first where there is one.
    """
    import pyarrow as pa

    fields: list[pa.Field[pa.DataType]] = (
        [pa.field(ROW_ID, pa.int64(), nullable=False)] if dataset.numbered else []
    )
    fields += [
        pa.field(column.name, arrow_type(column.type), nullable=column.nullable) for column in dataset.columns
    ]
    return pa.schema(fields)


def numbers_table(numbers: Sequence[int]) -> pa.Table:
    """Return row numbers as a table.

    Args:
        numbers: The row numbers.

    Returns:
        One column, named as that of a dataset.
    """
    import pyarrow as pa

    return pa.table({ROW_ID: pa.array(numbers, pa.int64())})
