"""The merge: archived files become one that holds the same rows, and count no more from the same commit on.

claim -> read -> write, flush, verify, name -> replace, in one transaction -> after a grace the replaced files are
deleted. Until the replacement nothing of the new file counts, and after it nothing of the old ones, so every snapshot
sees each row once; one that was opened before goes on reading the old files. Rows that were superseded stay what they
are: a merge neither adds nor loses one.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.archive.layout import temporary_path
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import Target, write_archive
from hybridstore.clock import DAY_US
from hybridstore.durable import fsync_directory, write_error
from hybridstore.errors import ArchiveCorrupt, HybridStoreError, MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.merge_steps import (
    Merge,
    abandon_merge,
    claim_merge,
    collect_files,
    replace_files,
)
from hybridstore.retention.merging import PlannedMerge
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.migrations import SCHEMA_VERSION
from hybridstore.schema.types import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

MERGE_STEPS = ("claimed", "read", "written", "flushed", "verified", "named", "replaced")
"""Names passed to ``on_step``, in order."""
COLLECT_GRACE_US = DAY_US
"""Replaced files stay this long: whoever opened a snapshot before may still read them."""


class Merger:
    """Merges archived files of a store. Only the process that holds the mover lock may.

    Args:
        database: The open store.
        on_step: Called with the name of each step (see :data:`MERGE_STEPS`) when it is done.
        keeps_finished: Leave the finished file of a merge that is taken back: where the database may be an older copy,
            the newer one may count it.
    """

    def __init__(
        self,
        database: DatabaseManager,
        on_step: Callable[[str], None] | None = None,
        *,
        keeps_finished: bool = False,
    ) -> None:
        self._database = database
        self._keeps_finished = keeps_finished
        self._verifier = FileVerifier(database.root)
        self._on_step = on_step or (lambda _name: None)

    def files(self) -> list[ArchiveFile]:
        """Return the files that count, of every dataset that is declared."""
        statement = self._database.statements["manifest_of_dataset"]
        with self._database.readers.transaction() as transaction:
            return [
                ArchiveFile.from_row(row)
                for dataset in self._database.registry.tiered
                for row in transaction.rows(statement, (dataset.name,))
            ]

    def merge(self, planned: PlannedMerge) -> ArchiveFile:
        """Do one merge.

        Args:
            planned: What becomes one, and where.

        Returns:
            The file that counts now.

        Raises:
            ArchiveCorrupt: A file is missing or changed, or the written one is not what was written to it.
            MoveFailed: The rows do not fit together; nothing was changed.
            StorageFull: There is no room for the file; the others count as before.
        """
        dataset = self._database.registry[planned.dataset]
        file_id = uuid.uuid4().hex
        target = Target(file_id, planned.tier, planned.start_us, planned.end_us, SCHEMA_VERSION)
        merge = Merge(
            merge_id=f"merge-{file_id}",
            dataset=dataset.name,
            tier=planned.tier,
            start_us=planned.start_us,
            end_us=planned.end_us,
            file_id=file_id,
            path=target.path(dataset),
            replaces=msgspec.json.encode([file.file_id for file in planned.files]).decode(),
            state="claimed",
        )
        merge = self._database.writer.call(claim_merge, merge, durability="full")
        try:
            self._on_step("claimed")
            file = self._write(dataset, planned, target)
            self._database.writer.call(replace_files, merge, file, durability="full")
        except Exception:
            with suppress(HybridStoreError, OSError):  # the next run does it
                self._take_back(merge)
            raise
        self._on_step("replaced")
        return file

    def _write(self, dataset: Dataset, planned: PlannedMerge, target: Target) -> ArchiveFile:
        path = self._database.root / target.path(dataset)
        try:
            rows = self._read(dataset, planned)
            self._on_step("read")
            file = write_archive(self._database.root, dataset, rows, target, self._on_step)
        except HybridStoreError:
            raise
        except OSError as error:
            raise write_error(error, f"merge {dataset.name}", path) from error
        except (
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
        ) as error:  # what Arrow raises is one of these
            raise MoveFailed(
                f"files of {dataset.name} cannot become one: {error}",
                path=str(path),
                hint="nothing was changed; they count as before",
            ) from error
        _check_whole(planned, file)
        return file

    def _read(self, dataset: Dataset, planned: PlannedMerge) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        tables = []
        for file in planned.files:
            with pq.ParquetFile(self._verifier.check(file)) as parquet:
                tables.append(_as_declared(dataset, parquet.read()))
        rows = pa.concat_tables(tables)
        if pc.count_distinct(rows.column(ROW_ID)).as_py() != rows.num_rows:
            raise ArchiveCorrupt(
                f"the same row of {dataset.name} is in two of {len(planned.files)} files",
                path=planned.files[0].path,
                hint="compare them with a backup; nothing was changed",
            )
        return rows

    def take_back(self) -> int:
        """Remove what merges left behind that did not end.

        Returns:
            How many there were.
        """
        rows = self._database.readers.rows(self._database.statements["open_merges"])
        for row in rows:
            self._take_back(Merge(*row))
        return len(rows)

    def _take_back(self, merge: Merge) -> None:
        found = self._database.readers.rows(self._database.statements["find_archive_files"], (merge.file_id,))
        if found:  # it counts: only the answer to the commit was lost
            return
        self._database.writer.call(abandon_merge, merge, durability="full")
        _remove(self._database.root / temporary_path(merge.path))
        if not self._keeps_finished:
            _remove(self._database.root / merge.path)

    def collect(self, now_us: int, grace_us: int = COLLECT_GRACE_US) -> list[Path]:
        """Delete files that were replaced long enough ago, once what replaced them is proven to be whole.

        Args:
            now_us: The present, us UTC.
            grace_us: How long they stay, us.

        Returns:
            What was deleted.

        Raises:
            ArchiveCorrupt: A file of the period that counts is missing or changed: what it replaced stays.
        """
        removed = []
        rows = self._database.readers.rows(
            self._database.statements["merges_to_collect"], (now_us - grace_us,)
        )
        counting = self.files() if rows else []
        for merge in (Merge(*row) for row in rows):
            for file in counting:
                holds = file.start_us <= merge.start_us and file.end_us >= merge.end_us
                if holds and file.dataset == merge.dataset:
                    self._verifier.check(file)
            replaced = [self._path(file_id) for file_id in merge.replaced_ids]
            with suppress(
                PermissionError
            ):  # on Windows somebody has one open; it is there the next time, too
                for path in filter(Path.exists, replaced):
                    path.unlink()
                    removed.append(path)
                    self._tidy(path)
                names = [path.relative_to(self._database.root).as_posix() for path in replaced]
                self._database.writer.call(collect_files, merge, names, durability="full")
        return removed

    def _path(self, file_id: str) -> Path:
        found = self._database.readers.rows(self._database.statements["find_archive_files"], (file_id,))
        return self._database.root / ArchiveFile.from_row(found[0]).path

    def _tidy(self, path: Path) -> None:
        """Remove the folders of a period that nothing is in any more."""
        for folder in path.parents:
            if "=" not in folder.name or any(folder.iterdir()):
                return
            folder.rmdir()


def _as_declared(dataset: Dataset, table: pa.Table) -> pa.Table:
    """Return rows with the columns of the declaration: one that was declared later is null in an older file."""
    import pyarrow as pa

    schema = arrow_schema(dataset)
    unknown = set(table.schema.names) - set(schema.names)
    if unknown:
        raise ValueError(f"{dataset.name} declares no column {min(unknown)!r}")
    columns = [
        table.column(field.name) if field.name in table.schema.names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def _check_whole(planned: PlannedMerge, file: ArchiveFile) -> None:
    """Compare the new file's books with those of the files it was made of."""
    sums: dict[str, Decimal] = {}
    for part in planned.files:
        for name, amount in _sums(part).items():
            sums[name] = EXACT.add(sums.get(name, Decimal(0)), amount)
    found = _sums(file)
    wrong = [name for name in found if sums.get(name, Decimal(0)) != found[name]]
    if file.row_count != planned.row_count or wrong:
        raise ArchiveCorrupt(
            f"{planned.dataset}: the merged file has {file.row_count:,} rows, its parts {planned.row_count:,}"
            + (f"; the sums of {', '.join(wrong)} differ" if wrong else ""),
            path=file.path,
            hint="nothing was changed; compare the parts with a backup",
        )


def _sums(file: ArchiveFile) -> dict[str, Decimal]:
    texts: dict[str, Any] = msgspec.json.decode(file.sums)
    return {name: Decimal(text) for name, text in texts.items()}


def _remove(path: Path) -> None:
    if path.exists():
        path.unlink()
        fsync_directory(path.parent)
