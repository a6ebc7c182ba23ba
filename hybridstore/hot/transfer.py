"""Rows of the hot store as Arrow tables, read in bulk.

SQLite joins the columns of many rows into one text, and Arrow's CSV reader takes it apart again in parallel with typed
columns. That is several times faster than turning each value into a Python object first, and just as exact: money goes
from decimal text to DECIMAL(38,18), ticks from integers scaled by 1e8 to DECIMAL(18,8), times from microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hybridstore.hot.reader import ReadTransaction
from hybridstore.schema.arrow import TICK_PRECISION, arrow_schema, arrow_type
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.sqlite import unit_condition
from hybridstore.schema.types import TICK_PLACES, LogicalType

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW_IDS = 16_384
"""Row numbers whose rows SQLite joins into one text."""
_CHUNK_BYTES = 64 << 20
"""Text parsed at once: bounds memory, and is enough to keep every core busy."""
_BLOCK_BYTES = 4 << 20
_BYTE_ORDER_MARK = "\ufeff".encode()
_SEPARATOR = "\x1f"
"""Between fields. Names hold no control characters; free text is escaped."""
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", _SEPARATOR: "\\s"}
_EMPTY = "\\e"
"""Stands for the empty text: an empty field is NULL."""
_UNESCAPE = {escape: character for character, escape in _ESCAPES.items()} | {_EMPTY: ""}
_ESCAPED = re.compile(r"\\[\\nrse]")
_FREE_TEXT = (LogicalType.TEXT, LogicalType.JSON)
_AS_INTEGER = (LogicalType.TICK, LogicalType.TIMESTAMP, LogicalType.INTEGER, LogicalType.BOOLEAN)


def read_rows(
    transaction: ReadTransaction,
    dataset: Dataset,
    *,
    id_above: int | None = None,
    id_through: int | None = None,
    start_us: int | None = None,
    end_us: int | None = None,
) -> pa.Table:
    """Read hot rows of a dataset.

    Args:
        transaction: The moment to read.
        dataset: Whose rows.
        id_above: Only rows with a larger row number.
        id_through: Only rows up to this row number.
        start_us: With ``end_us``: only rows of this unit that may leave the hot store, us UTC.
        end_us: First moment after the unit.

    Returns:
        The dataset's stored columns, by row number where there is one.
    """
    import pyarrow as pa

    tables: list[pa.Table] = []
    texts: list[bytes] = []
    size_bytes = 0
    for text in _texts(transaction, dataset, (id_above, id_through), (start_us, end_us)):
        texts.append(text)
        size_bytes += len(text)
        if size_bytes >= _CHUNK_BYTES:
            tables.append(_parse(dataset, texts))
            texts, size_bytes = [], 0
    if texts:
        tables.append(_parse(dataset, texts))
    if (
        not tables
    ):  # empty_table() would import pandas where it is installed, which takes longer than a question
        return pa.Table.from_batches([], schema=arrow_schema(dataset))
    return pa.concat_tables(tables)


def _texts(
    transaction: ReadTransaction,
    dataset: Dataset,
    ids: tuple[int | None, int | None],
    unit: tuple[int | None, int | None],
) -> Iterator[bytes]:
    """Yield the rows as text, many lines at a time, by windows of the row number."""
    line = f"concat_ws(char(31), {', '.join(_field(dataset, name) for name in dataset.stored_names)})"
    if not dataset.numbered:
        yield from _text(transaction, f"SELECT {line} AS line FROM {dataset.name}", {})
        return
    lowest, highest = _bounds(transaction, dataset)
    if lowest is None or highest is None:
        return
    above = lowest - 1 if ids[0] is None else max(ids[0], lowest - 1)
    through = highest if ids[1] is None else min(ids[1], highest)
    condition = "" if unit[0] is None else f" AND {unit_condition(dataset)}"
    bounds: dict[str, Any] = {} if unit[0] is None else {"start_us": unit[0], "end_us": unit[1]}
    source = (
        f"SELECT {line} AS line FROM {dataset.name} NOT INDEXED "
        f"WHERE {ROW_ID} > :above AND {ROW_ID} <= :through{condition} ORDER BY {ROW_ID}"
    )
    for window in range(above, through, _WINDOW_IDS):
        yield from _text(
            transaction, source, {**bounds, "above": window, "through": min(window + _WINDOW_IDS, through)}
        )


def _bounds(transaction: ReadTransaction, dataset: Dataset) -> tuple[int | None, int | None]:
    # Two statements: SQLite answers min() or max() alone by one search, both together by a scan.
    lowest = transaction.rows(f"SELECT min({ROW_ID}) FROM {dataset.name}")[0][0]
    highest = transaction.rows(f"SELECT max({ROW_ID}) FROM {dataset.name}")[0][0]
    return lowest, highest


def _text(transaction: ReadTransaction, source: str, parameters: dict[str, Any]) -> Iterator[bytes]:
    joined = f"SELECT CAST(group_concat(line, char(10)) AS BLOB) FROM ({source})"
    text = transaction.rows(joined, parameters)[0][0]
    if text is not None:
        yield text


def _field(dataset: Dataset, name: str) -> str:
    """Return the SQL expression of a column's text: NULL is the empty field, and nothing else is."""
    if name == ROW_ID and dataset.numbered:
        return ROW_ID
    column = dataset.column(name)
    expression = name
    if column.type in _FREE_TEXT:
        for character, escape in _ESCAPES.items():
            expression = f"replace({expression}, char({ord(character)}), '{escape}')"
        expression = f"iif({name} = '', '{_EMPTY}', {expression})"
    elif column.type is LogicalType.RATIO:
        # SQLite's own text of a double has 15 digits; format() makes a zero of NULL.
        expression = f"iif({name} IS NULL, NULL, format('%!.17g', {name}))"
    return f"ifnull({expression}, '')" if column.nullable else expression


def _parse(dataset: Dataset, texts: list[bytes]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    schema = arrow_schema(dataset)
    if texts[0].startswith(_BYTE_ORDER_MARK):  # the reader drops one at the very beginning, which is not ours
        texts = [_BYTE_ORDER_MARK + texts[0], *texts[1:]]
    parsed = csv.read_csv(
        pa.BufferReader(b"\n".join(texts)),
        read_options=csv.ReadOptions(column_names=schema.names, block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(
            delimiter=_SEPARATOR, quote_char=False, escape_char=False, ignore_empty_lines=False
        ),
        convert_options=csv.ConvertOptions(
            column_types={name: _parsed_type(dataset, name) for name in schema.names},
            null_values=[""],
            strings_can_be_null=True,
            check_utf8=True,
        ),
    )
    columns = [_typed(dataset, name, parsed.column(name)) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _parsed_type(dataset: Dataset, name: str) -> pa.DataType:
    import pyarrow as pa

    if name == ROW_ID and dataset.numbered:
        return pa.int64()
    kind = dataset.column(name).type
    return pa.int64() if kind in _AS_INTEGER else arrow_type(kind)


def _typed(dataset: Dataset, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn what the CSV reader returned into the column's type, without a Python loop where that can be."""
    if name == ROW_ID and dataset.numbered:
        return values
    kind = dataset.column(name).type
    if kind is LogicalType.TICK:
        return _ticks(values)
    if kind in _FREE_TEXT:
        return _unescape(values)
    return values.cast(arrow_type(kind))


def _ticks(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read 64-bit integers scaled by 1e8 as decimals: the same digits, sign-extended to 128 bits."""
    import numpy as np
    import pyarrow as pa

    kind = pa.decimal128(TICK_PRECISION, TICK_PLACES)
    chunks = []
    for chunk in values.chunks:
        low = chunk.fill_null(0).to_numpy(zero_copy_only=False)
        words = np.empty((len(low), 2), dtype="<i8")
        words[:, 0] = low
        words[:, 1] = low >> 63
        validity = pa.array(chunk.is_valid()).buffers()[1] if chunk.null_count else None
        chunks.append(
            pa.Array.from_buffers(
                kind, len(chunk), [validity, pa.py_buffer(words)], null_count=chunk.null_count
            )
        )
    return pa.chunked_array(chunks, type=kind)


def _unescape(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring(values, "\\")).as_py():
        return values
    texts = [
        None if text is None else _ESCAPED.sub(lambda match: _UNESCAPE[match[0]], text)
        for text in values.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])
