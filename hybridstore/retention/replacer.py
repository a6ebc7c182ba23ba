"""Replacing archived files by others: the one operation behind merges, deletions and whatever else rewrites history.

claim -> read, every hash proven -> write, flush, verify, name -> replace, in one transaction -> after a grace the
replaced files are deleted (collector.py). Until the replacement nothing of the new files counts, and after it nothing
of the old ones, so every snapshot sees each row once; one that was opened before goes on reading the old files.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hybridstore.archive.layout import temporary_path
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import Target, sort_rows, write_archive
from hybridstore.durable import fsync_directory, write_error
from hybridstore.errors import ArchiveCorrupt, HybridStoreError, MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.progress import OnStep
from hybridstore.retention.replacement import (
    Replacement,
    ReplacementKind,
    Written,
    abandon_replacement,
    claim_replacement,
)
from hybridstore.retention.spans import Span
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.migrations import SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

REPLACEMENT_STEPS = ("claimed", "read", "written", "flushed", "verified", "named", "replaced")
"""Names passed to ``on_step``, in order; those of writing come once a file."""
Commit = Callable[[WriteSession, Replacement, list[ArchiveFile]], None]
"""The transaction that makes the new files count."""


class Order(NamedTuple):
    """What is to be replaced.

    Attributes:
        kind: What for.
        dataset: Whose files.
        tier: Where to.
        start_us: First moment of the period, us UTC.
        end_us: First moment after it, us UTC.
        files: Which files are read.
        is_replaced: Whether they count no more afterwards.
        kept: Rows of which times stay, a file each; None: all, in one file.
    """

    kind: ReplacementKind
    dataset: str
    tier: str
    start_us: int
    end_us: int
    files: tuple[ArchiveFile, ...]
    is_replaced: bool = True
    kept: tuple[Span, ...] | None = None

    @property
    def row_count(self) -> int:
        """Rows of all the files."""
        return sum(file.row_count for file in self.files)


Split = Callable[["pa.Table"], Sequence["pa.Table"]]
"""Takes the rows of all files and returns those of each new one; one without rows is not written."""
Prove = Callable[[list[ArchiveFile]], None]
"""Raises unless the new files hold what they should."""


class Replacer:
    """Replaces archived files of a store. Only the process that holds the mover lock may.

    Args:
        database: The open store.
        on_step: Called with the name of each step (see :data:`REPLACEMENT_STEPS`) when it is done.
        keeps_finished: Leave finished files of a replacement that is taken back: where the database may be an older
            copy, the newer one may count them.
        uncompressed: Datasets whose files are not to be compressed.
    """

    def __init__(
        self,
        database: DatabaseManager,
        on_step: OnStep | None = None,
        *,
        keeps_finished: bool = False,
        uncompressed: Collection[str] = (),
    ) -> None:
        self._database = database
        self._keeps_finished = keeps_finished
        self._uncompressed = frozenset(uncompressed)
        self._on_step = on_step or (lambda _name: None)
        self.verifier = FileVerifier(database.root)
        """Checks files before they are read."""

    def files(self) -> list[ArchiveFile]:
        """Return the files that count, of every dataset that is declared."""
        statement = self._database.statements["manifest_of_dataset"]
        with self._database.readers.transaction() as transaction:
            return [
                ArchiveFile.from_row(row)
                for dataset in self._database.registry.tiered
                for row in transaction.rows(statement, (dataset.name,))
            ]

    def replace(self, order: Order, split: Split, prove: Prove, commit: Commit) -> list[ArchiveFile]:
        """Do one replacement.

        Args:
            order: What is replaced.
            split: Says which rows each new file holds.
            prove: Compares the new files with the old ones.
            commit: The transaction that makes them count.

        Returns:
            The files that count now.

        Raises:
            ArchiveCorrupt: A file is missing or changed, or a written one is not what was written to it.
            MoveFailed: The rows do not fit together; nothing was changed.
            StorageFull: There is no room for the new files; the others count as before.
        """
        dataset = self._database.registry[order.dataset]
        compressed = order.dataset not in self._uncompressed
        targets = [
            Target(uuid.uuid4().hex, order.tier, order.start_us, order.end_us, SCHEMA_VERSION, compressed)
            for _ in range(1 if order.kept is None else len(order.kept))
        ]
        replacement = self._claim(dataset, order, targets)
        with self._taken_back(replacement):
            self._on_step("claimed")
            files = self._write(dataset, order, targets, split) if targets else self._check_only(order)
            prove(files)
            self._database.writer.call(commit, replacement, files, durability="full")
        self._on_step("replaced")
        return files

    @contextmanager
    def _taken_back(self, replacement: Replacement) -> Iterator[None]:
        """Take a replacement back where it fails."""
        try:
            yield
        except Exception:
            with suppress(HybridStoreError, OSError):  # the next run does it
                self._take_back(replacement)
            raise

    def rewrite(
        self, order: Order, after: Dataset, change: Callable[[pa.Table], pa.Table], commit: Commit
    ) -> list[ArchiveFile]:
        """Write each file anew, one after the other, and make all of them count in one transaction.

        Args:
            order: Which files.
            after: The declaration of what is written.
            change: Makes the rows of a new file of those of the old one.
            commit: The transaction that makes them count.

        Returns:
            The new files, in the order of the old ones.

        Raises:
            ArchiveCorrupt: A file is missing or changed, or a written one is not what was written to it.
            MoveFailed: The rows do not fit the declaration; nothing was changed.
            StorageFull: There is no room for the new files; the others count as before.
        """
        before = self._database.registry[order.dataset]
        compressed = order.dataset not in self._uncompressed
        targets = [
            Target(uuid.uuid4().hex, file.tier, file.start_us, file.end_us, SCHEMA_VERSION, compressed)
            for file in order.files
        ]
        replacement = self._claim(before, order, targets)
        with self._taken_back(replacement):
            self._on_step("claimed")
            files = []
            for file, target in zip(order.files, targets, strict=True):
                with self._told(order, target):
                    rows = change(self._read(before, [file]))
                    self._on_step("read")
                    files.append(write_archive(self._database.root, after, rows, target, self._on_step))
            self._database.writer.call(commit, replacement, files, durability="full")
        self._on_step("replaced")
        return files

    def _claim(self, dataset: Dataset, order: Order, targets: Sequence[Target]) -> Replacement:
        def as_json(value: object) -> str:
            return msgspec.json.encode(value).decode()

        replacement = Replacement(
            replacement_id=f"{order.kind}-{uuid.uuid4().hex}",
            kind=order.kind,
            dataset=dataset.name,
            tier=order.tier,
            start_us=order.start_us,
            end_us=order.end_us,
            writes=as_json([Written(target.file_id, target.path(dataset)) for target in targets]),
            replaces=as_json([file.file_id for file in order.files] if order.is_replaced else []),
            kept=None if order.kept is None else as_json(order.kept),
            state="claimed",
        )
        return self._database.writer.call(claim_replacement, replacement, durability="full")

    def _check_only(self, order: Order) -> list[ArchiveFile]:
        """What nothing is left of need not be read, only be what it was."""
        self.verifier.paths(order.files)
        self._on_step("read")
        return []

    def _write(
        self, dataset: Dataset, order: Order, targets: Sequence[Target], split: Split
    ) -> list[ArchiveFile]:
        with self._told(order, targets[0]):
            # Each as a sorted copy, and nothing else of it in memory while it is written.
            parts = [sort_rows(dataset, part) for part in split(self._read(dataset, order.files))]
            self._on_step("read")
            return list(self._write_parts(dataset, parts, targets))

    @contextmanager
    def _told(self, order: Order, target: Target) -> Iterator[None]:
        """Say what was being written where something fails."""
        path = self._database.root / target.path(self._database.registry[order.dataset])
        try:
            yield
        except HybridStoreError:
            raise
        except OSError as error:
            raise write_error(error, f"{order.kind} {order.dataset}", path) from error
        except (
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
        ) as error:  # what Arrow raises is one of these
            raise MoveFailed(
                f"files of {order.dataset} cannot be written anew: {error}",
                path=str(path),
                hint="nothing was changed; they count as before",
            ) from error

    def _write_parts(
        self, dataset: Dataset, parts: list[pa.Table], targets: Sequence[Target]
    ) -> Iterator[ArchiveFile]:
        for target in targets:
            part = parts.pop(0)
            if part.num_rows:
                yield write_archive(self._database.root, dataset, part, target, self._on_step)

    def _read(self, dataset: Dataset, files: Sequence[ArchiveFile]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        tables = []
        for file in files:
            with pq.ParquetFile(self.verifier.check(file)) as parquet:
                tables.append(_as_declared(dataset, parquet.read()))
        rows = pa.concat_tables(tables)
        if pc.count_distinct(rows.column(ROW_ID)).as_py() != rows.num_rows:
            raise ArchiveCorrupt(
                f"the same row of {dataset.name} is in two of {len(files)} files",
                path=files[0].path,
                hint="compare them with a backup; nothing was changed",
            )
        return rows

    def take_back(self) -> int:
        """Remove what replacements left behind that did not end.

        Returns:
            How many there were.
        """
        rows = self._database.readers.rows(self._database.statements["open_replacements"])
        for row in rows:
            self._take_back(Replacement(*row))
        return len(rows)

    def _take_back(self, replacement: Replacement) -> None:
        name = "find_archive_replacements"
        found = self._database.readers.rows(self._database.statements[name], (replacement.replacement_id,))
        if Replacement(*found[0]).state != "claimed":  # it is done: only the answer to the commit was lost
            return
        self._database.writer.call(abandon_replacement, replacement, durability="full")
        for written in replacement.written:
            _remove(self._database.root / temporary_path(written.path))
            if not self._keeps_finished:
                _remove(self._database.root / written.path)


def _as_declared(dataset: Dataset, table: pa.Table) -> pa.Table:
    """Return rows with the columns of the declaration: one that was declared later is null in an older file."""
    import pyarrow as pa

    schema = arrow_schema(dataset)
    unknown = set(table.schema.names) - set(schema.names)
    if unknown:
        raise ValueError(f"{dataset.name} declares no column {min(unknown)!r}")
    columns: list[Any] = [
        table.column(field.name) if field.name in table.schema.names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def _remove(path: Path) -> None:
    if path.exists():
        path.unlink()
        fsync_directory(path.parent)
