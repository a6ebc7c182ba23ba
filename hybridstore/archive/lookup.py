"""Looking for single rows in archived files: whether what is recorded now was archived long ago."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.stored import stored_rows
from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.known import Finding, Key, Known, Need, Stored
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import LogicalType

if TYPE_CHECKING:
    import pyarrow as pa

_CACHE_BYTES = 32 << 20
"""Files kept in memory: who records one old row mostly records its neighbours, too."""
_COMPARED = {LogicalType.NAME, LogicalType.TEXT, LogicalType.INTEGER, LogicalType.TIMESTAMP}
_Place = tuple[str, tuple[str, ...], int | None]
"""Needs of one dataset by the same columns on one day are looked for together."""


class ArchiveLookup:
    """Finds rows of archived files by their key. Safe in several threads.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self._verifier = FileVerifier(database.root)
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, needs: Iterable[Need]) -> Known:
        """Look for rows.

        Args:
            needs: Which.

        Returns:
            What was found for each, in all files that count at one moment. A file that is still being published is
            looked into as a whole: what of it does not count yet is in the hot store, where the writer looks first.

        Raises:
            ArchiveCorrupt: A file that may hold one is missing or changed.
        """
        by_place: dict[_Place, list[Need]] = defaultdict(list)
        for need in needs:
            by_place[need.dataset, need.columns, need.day].append(need)
        datasets = {dataset for dataset, _, _ in by_place}
        statement = self._database.statements["manifest_of_dataset"]
        with self._database.readers.transaction() as transaction:
            manifests = {
                dataset: [ArchiveFile.from_row(row) for row in transaction.rows(statement, (dataset,))]
                for dataset in datasets
            }
        known: Known = {}
        for (name, columns, day), wanted in by_place.items():
            files = [
                file for file in manifests[name] if day is None or file.start_us <= day * DAY_US < file.end_us
            ]
            known |= self._find(self._database.registry[name], columns, day, wanted, files)
        return known

    def _find(
        self,
        dataset: Dataset,
        columns: tuple[str, ...],
        day: int | None,
        wanted: list[Need],
        files: list[ArchiveFile],
    ) -> Known:
        keys = {need.key for need in wanted}
        found: dict[Key, list[Stored]] = defaultdict(list)
        for file in files:
            if day is not None and not (
                file.time_min_us < (day + 1) * DAY_US and file.time_max_us >= day * DAY_US
            ):
                continue  # one of several files of a month or year; the day's rows are in another
            table = _alike(dataset, self._table(file), columns, keys)
            for row in stored_rows(dataset, table):
                named = dict(zip(dataset.stored_names, row, strict=True))
                found[tuple([named[name] for name in columns])].append(row)
        ids = frozenset(file.file_id for file in files)
        return {need: Finding(ids, tuple(sorted(found.get(need.key, ()), key=_row_id))) for need in wanted}

    def _table(self, file: ArchiveFile) -> pa.Table:
        import pyarrow.parquet as pq

        path = self._verifier.check(file)
        with self._lock:
            if file.file_id in self._tables:
                self._tables.move_to_end(file.file_id)
                return self._tables[file.file_id]
        with pq.ParquetFile(path) as parquet:
            table = parquet.read()
        if table.nbytes > _CACHE_BYTES:
            return table
        with self._lock:
            self._tables[file.file_id] = table
            while sum(kept.nbytes for kept in self._tables.values()) > _CACHE_BYTES:
                self._tables.popitem(last=False)
        return table


def _row_id(row: Stored) -> Any:
    return row[0]


def _alike(dataset: Dataset, table: pa.Table, columns: tuple[str, ...], keys: set[Key]) -> pa.Table:
    """Return the rows each of whose key columns holds a value that is looked for; of few keys, these are few rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, name in enumerate(columns):
        kind = dataset.column(name).type
        if kind in _COMPARED:
            values = table.column(name)
            if kind is LogicalType.TIMESTAMP:
                values = values.cast(pa.int64())
            wanted = pa.array({key[place] for key in keys}, values.type)
            table = table.filter(pc.is_in(values, value_set=wanted))
    return table
