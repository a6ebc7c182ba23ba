"""Writing an archived file: sorted, encoded for size, flushed, read back and compared, hashed, given its final name."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from decimal import Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hybridstore.archive.layout import file_path, temporary_path
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.stored import stored_values
from hybridstore.durable import PRIVATE_FILE_MODE, fsync_file, make_directories, publish_file, sha256_file
from hybridstore.errors import ArchiveCorrupt, MoveFailed
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.keys import KEY_SEPARATOR, hash_text
from hybridstore.schema.types import LogicalType

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROW_GROUP_ROWS = 122_880
"""DuckDB's own size: one row group a thread."""
ZSTD_LEVELS = {
    "market": {"hot": 3, "warm": 9, "cold": 9, "frozen": 15},
    "books": {"hot": 3, "warm": 3, "cold": 3, "frozen": 9},
}
"""By tier. Of the books, level 6 takes twice the time of the whole write for 1.5 % of the size: most of it is ids and
products. What is frozen is written once and lies for years: of market trades level 15 saves 2 % more."""
_DISTINCT_MAX = 0.5
"""A dictionary of mostly different values only adds to the file: fills are 18 % smaller without those."""
_DELTA = (LogicalType.INTEGER, LogicalType.TIMESTAMP)
_SUMMED = (LogicalType.MONEY, LogicalType.TICK)
_SAMPLE_ROWS = 8_192
_FEW, _NEARLY_ALL = 0.25, 0.98
"""What a sample must have of different values to say whether all have more or less than _DISTINCT_MAX: where of 8 192
values spread over a row group two in a hundred come again, of all of it a quarter does; counting all takes ten times as
long."""
_SUM_MAX = 10**38
"""What 38 digits hold."""
_DIGITS = Context(prec=76)
_METADATA_PREFIX = "hybridstore."
_KEYS_AT_ONCE = 65_536
"""Keys that are texts in memory at a time."""
OnStep = Callable[[str], None]


class Target(NamedTuple):
    """Which file is to be written.

    Attributes:
        file_id: Unique for ever.
        tier: hot, warm, cold or frozen.
        start_us: First moment of its partition, us UTC.
        end_us: First moment after its partition, us UTC.
        schema_version: Version of the store's schema.
        is_compressed: Whether its pages are.
    """

    file_id: str
    tier: str
    start_us: int
    end_us: int
    schema_version: int
    is_compressed: bool = True

    def path(self, dataset: Dataset) -> str:
        """Return where the file will lie.

        Args:
            dataset: Whose rows it will hold.

        Returns:
            Path relative to the root.
        """
        return file_path(dataset.name, self.tier, self.start_us, self.end_us, self.file_id)


def write_archive(
    root: Path, dataset: Dataset, rows: pa.Table, target: Target, on_step: OnStep
) -> ArchiveFile:
    """Write rows to a new file that is durable and proven before it has its name.

    Args:
        root: The store's folder.
        dataset: Whose rows.
        rows: At least one row, the dataset's stored columns.
        target: Which file.
        on_step: Called with the name of each step when it is done.

    Returns:
        The file as the manifest will hold it; it does not count yet.

    Raises:
        ArchiveCorrupt: What was read back is not what was written.
        FileExistsError: A file of that name is there already.
    """
    rows = sort_rows(dataset, rows)
    facts = _facts(dataset, rows)
    relative = target.path(dataset)
    final = root / relative
    temporary = root / temporary_path(relative)
    make_directories(final.parent)
    digest = _write_parquet(temporary, dataset, rows, target, facts)
    on_step("written")
    fsync_file(temporary)
    on_step("flushed")
    _read_back(temporary, rows, digest)
    on_step("verified")
    size_bytes = temporary.stat().st_size
    publish_file(temporary, final)
    on_step("named")
    return ArchiveFile(
        file_id=target.file_id,
        dataset=dataset.name,
        tier=target.tier,
        path=relative,
        start_us=target.start_us,
        end_us=target.end_us,
        visible_through=None,
        size_bytes=size_bytes,
        sha256=digest,
        schema_version=target.schema_version,
        column_count=rows.num_columns,
        **facts,
    )


def sort_rows(dataset: Dataset, rows: pa.Table) -> pa.Table:
    """Put rows in the order of the dataset's cluster key: what is asked together lies together.

    Args:
        dataset: The declaration.
        rows: Its stored columns.

    Returns:
        The same rows, sorted.
    """
    import numpy as np

    assert dataset.tiering is not None
    keys = [_sort_key(rows.column(name)) for name in dataset.tiering.cluster]
    order = np.lexsort(keys[::-1])
    if bool((order[1:] > order[:-1]).all()):
        return rows.combine_chunks()
    return rows.take(order)


def _sort_key(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return integers in the order of a column's values; sorting texts themselves would take most of a move."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return np.asarray(column.cast(pa.int64()))
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    rank = np.empty(len(encoded.dictionary), dtype=np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(encoded.dictionary))
    return np.asarray(rank[encoded.indices.to_numpy()])


def _facts(dataset: Dataset, rows: pa.Table) -> dict[str, Any]:
    """What the manifest says of the rows, and the file's own metadata repeats."""
    import pyarrow.compute as pc

    assert dataset.tiering is not None
    if not rows.num_rows:
        raise MoveFailed(f"there is no row of {dataset.name} to write")
    ids = pc.min_max(rows.column(ROW_ID)).as_py()
    times = pc.min_max(rows.column(dataset.tiering.time).cast("int64")).as_py()
    symbols = pc.min_max(rows.column(dataset.tiering.symbol)).as_py() if dataset.tiering.symbol else {}
    return {
        "id_min": ids["min"],
        "id_max": ids["max"],
        "time_min_us": times["min"],
        "time_max_us": times["max"],
        "symbol_min": symbols.get("min"),
        "symbol_max": symbols.get("max"),
        "row_count": rows.num_rows,
        "sums": msgspec.json.encode(exact_sums(dataset, rows)).decode(),
    }


def exact_sums(dataset: Dataset, rows: pa.Table, names: Iterable[str] | None = None) -> dict[str, str]:
    """Add up MONEY and TICK columns without rounding or overflow.

    Args:
        dataset: The declaration.
        rows: Its stored columns.
        names: Only these columns; None means all.

    Returns:
        Decimal text by column.
    """
    sums = {}
    wanted = dataset.column_names if names is None else set(names)
    for column in dataset.columns:
        if column.type in _SUMMED and column.name in wanted:
            sums[column.name] = f"{_exact_sum(rows.column(column.name)):f}"
    return sums


def _exact_sum(values: pa.ChunkedArray) -> Decimal:
    """Add up decimals: in 128 bits where no sum of so many can exceed them, which takes a tenth of the time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.min_max(values).as_py()
    if ends["min"] is None:
        return Decimal(0)
    scale = values.type.scale
    largest = max(abs(int(end.scaleb(scale, _DIGITS))) for end in ends.values())
    if largest * len(values) >= _SUM_MAX:
        values = values.cast(pa.decimal256(_DIGITS.prec, scale))
    total: Decimal = pc.sum(values).as_py()
    return total


class _HashedFile(io.FileIO):
    """A new private file whose content is hashed on its way in.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb", opener=lambda name, flags: os.open(name, flags, PRIVATE_FILE_MODE))
        self.digest = hashlib.sha256()

    def write(self, content: Any) -> int:
        """Write all of the content; the system may take it in pieces."""
        rest = memoryview(content).cast("B")
        size_bytes = len(rest)
        self.digest.update(rest)
        while len(rest):
            rest = rest[super().write(rest) :]
        return size_bytes


def zstd_level(dataset: Dataset, tier: str) -> int:
    """Return how hard rows of a tier are compressed.

    Args:
        dataset: The declaration.
        tier: hot, warm, cold or frozen.

    Returns:
        A level of zstd.
    """
    return ZSTD_LEVELS["market" if dataset.kind == "market" else "books"][tier]


def _write_parquet(
    path: Path, dataset: Dataset, rows: pa.Table, target: Target, facts: dict[str, Any]
) -> str:
    """Write the file and return the SHA-256 of what was written."""
    import pyarrow.parquet as pq

    facts = {**facts, "schema_version": target.schema_version}
    delta = [ROW_ID] + [column.name for column in dataset.columns if column.type in _DELTA]
    metadata = {f"{_METADATA_PREFIX}{name}": str(value) for name, value in facts.items() if value is not None}
    metadata[f"{_METADATA_PREFIX}dataset"] = dataset.name
    with _HashedFile(path) as file:
        pq.write_table(
            rows.replace_schema_metadata(metadata),
            file,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd" if target.is_compressed else "none",
            compression_level=zstd_level(dataset, target.tier) if target.is_compressed else None,
            use_dictionary=[name for name in rows.schema.names if name not in delta and _repeats(rows, name)],
            column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
            write_page_index=True,
            write_page_checksum=True,
        )
    return file.digest.hexdigest()


def _repeats(rows: pa.Table, name: str) -> bool:
    """Return whether values of a column come again often enough to be worth a dictionary."""
    import pyarrow.compute as pc

    values = rows.column(name).slice(0, ROW_GROUP_ROWS)
    if len(values) > 4 * _SAMPLE_ROWS:
        spread = values.take(_spread(len(values)))
        share = pc.count_distinct(spread).as_py() / len(spread)
        if not _FEW < share < _NEARLY_ALL:
            return bool(share <= _FEW)
    return int(pc.count_distinct(values).as_py()) <= _DISTINCT_MAX * len(values)


def _spread(count: int) -> np.ndarray[Any, Any]:
    """Return places all over so many rows."""
    import numpy as np

    return np.linspace(0, count - 1, _SAMPLE_ROWS, dtype=np.int64)


def _read_back(path: Path, rows: pa.Table, digest: str) -> None:
    """Compare the file with what was written to it, byte for byte, and its rows with those it shall hold."""
    import pyarrow.parquet as pq

    hint = "the device or its driver is at fault; the rows are still in the hot store"
    if sha256_file(path) != digest:  # statistics and indexes are in no row, and a query is misled by them
        raise ArchiveCorrupt("what was read back is not what was written", path=str(path), hint=hint)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        count, position = file.metadata.num_rows, 0
        for group in range(file.num_row_groups):  # one after the other: all at once would be in memory twice
            written = file.read_row_group(group)
            if not written.equals(rows.slice(position, written.num_rows)):
                break
            position += written.num_rows
    if count != rows.num_rows or position != count:
        raise ArchiveCorrupt(
            f"the rows that were read back ({count:,}) are not those that were written ({rows.num_rows:,}), from row "
            f"{position + 1:,} on",
            path=str(path),
            hint=hint,
        )


def key_hashes(dataset: Dataset, rows: pa.Table) -> np.ndarray[Any, Any]:
    """Return the hashes of the keys of rows.

    Args:
        dataset: The declaration; it has a key.
        rows: Its stored columns.

    Returns:
        int64, ascending; see :func:`hybridstore.schema.keys.key_hash`.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    hashes = np.empty(rows.num_rows, dtype=np.int64)
    for first in range(0, rows.num_rows, _KEYS_AT_ONCE):
        parts = []
        for name in dataset.key:
            values = rows.column(name).slice(first, _KEYS_AT_ONCE)
            if not pa.types.is_string(values.type):
                texts = [str(value) for value in stored_values(dataset, name, values)]
                values = pa.chunked_array([pa.array(texts, pa.string())])
            parts.append(values)
        joined = pc.binary_join_element_wise(dataset.name, *parts, KEY_SEPARATOR)
        hashes[first : first + _KEYS_AT_ONCE] = [hash_text(text) for text in joined.to_pylist()]
    hashes.sort()
    return hashes


def read_ids(path: Path) -> np.ndarray[Any, Any]:
    """Return the row numbers of an archived file.

    Args:
        path: The file.

    Returns:
        int64, ascending.
    """
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        ids = file.read(columns=[ROW_ID]).column(ROW_ID).to_numpy()
    return np.sort(ids)
