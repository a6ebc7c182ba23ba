"""Deleting what is older than its policy keeps: the replace operation without the rows that go, and its certificate.

From the replacement on the rows count no more. Their bytes are destroyed a day later (collector.py); until then a legal
hold on their time brings them back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import exact_sums
from hybridstore.errors import ArchiveCorrupt, MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.deletion import PlannedDeletion
from hybridstore.retention.holds import Hold, active_holds, held_spans
from hybridstore.retention.merger import sums_of
from hybridstore.retention.replacement import Replacement, facts_of, replace_files
from hybridstore.retention.replacer import Order, Replacer
from hybridstore.retention.spans import Span, clip, union, without
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import EXACT

if TYPE_CHECKING:
    import pyarrow as pa


class Gone(Record, frozen=True, gc=False):
    """Rows that a deletion took.

    Attributes:
        rows: How many.
        time_min_us: The earliest, us UTC.
        time_max_us: The latest, us UTC.
        sums: Exact sum of each MONEY and TICK column, decimal text.
    """

    rows: int
    time_min_us: int
    time_max_us: int
    sums: dict[str, str]


class Deleter:
    """Deletes rows of archived files, and brings those back that are held.

    Args:
        database: The open store.
        replacer: Replaces files.
    """

    def __init__(self, database: DatabaseManager, replacer: Replacer) -> None:
        self._database = database
        self._replacer = replacer

    def delete(self, planned: PlannedDeletion) -> int:
        """Do one deletion; for what is raised see :meth:`Replacer.replace`.

        Args:
            planned: From which file, and what stays.

        Returns:
            How many rows count no more; 0 where all that were old enough had gone before.

        Raises:
            MoveFailed: A legal hold was placed meanwhile; nothing was changed.
        """
        file = planned.file
        dataset = self._database.registry[file.dataset]
        order = Order(
            "delete", file.dataset, file.tier, file.start_us, file.end_us, (file,), kept=planned.kept
        )
        gone = Gone(
            file.row_count,
            file.time_min_us,
            file.time_max_us,
            msgspec.json.decode(file.sums, type=dict[str, str]),
        )

        def split(rows: pa.Table) -> Sequence[pa.Table]:
            nonlocal gone
            taken = without(Span(file.time_min_us, file.time_max_us + 1), planned.kept)
            gone = _facts_of_gone(dataset, rows_within(dataset, rows, taken))
            return [rows_within(dataset, rows, [span]) for span in planned.kept]

        def prove(files: list[ArchiveFile]) -> None:
            check_parts(file, files, gone)

        def commit(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> None:
            _commit_deletion(session, replacement, planned, files, gone)

        self._replacer.replace(order, split, prove, commit)
        return gone.rows

    def restore_held(self, holds: Iterable[Hold]) -> int:
        """Bring back rows of deletions that are held now and whose bytes are still there.

        Args:
            holds: Legal holds in force.

        Returns:
            How many rows count again.
        """
        holds = list(holds)
        rows = 0
        latest = (1 << 62,)
        for row in self._database.readers.rows(self._database.statements["replacements_to_collect"], latest):
            deletion = Replacement(*row)
            if deletion.kind == "delete" and deletion.state == "done":
                rows += self._restore(deletion, holds)
        return rows

    def _restore(self, deletion: Replacement, holds: Iterable[Hold]) -> int:
        found = self._database.readers.rows(
            self._database.statements["find_archive_files"], (deletion.replaced_ids[0],)
        )
        file = ArchiveFile.from_row(found[0])
        own = Span(file.time_min_us, file.time_max_us + 1)
        taken = without(own, deletion.kept_spans or ())
        back = tuple(
            span for part in clip(held_spans(holds, file.dataset), own) for span in clip(taken, part)
        )
        if not back:
            return 0
        dataset = self._database.registry[file.dataset]
        order = Order(
            "restore", file.dataset, file.tier, file.start_us, file.end_us, (file,), is_replaced=False, kept=back
        )  # fmt: skip
        kept = union([*(deletion.kept_spans or ()), *back])

        def commit(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> None:
            text = msgspec.json.encode(kept).decode()
            if session.run("keep_more", (text, deletion.replacement_id)) != 1:
                raise MoveFailed(f"{deletion.replacement_id} is being collected already")
            detail = {"dataset": file.dataset, "tier": file.tier, "deletion": deletion.replacement_id}
            rows = sum(one.row_count for one in files)
            replace_files(session, replacement, files, {**detail, "rows": rows, "files": facts_of(files)})

        erasures = self._erased_since(deletion, dataset)

        def split(rows: pa.Table) -> Sequence[pa.Table]:
            for column, value_sha256 in erasures:
                rows = _without_value(rows, column, value_sha256)
            return [rows_within(dataset, rows, [span]) for span in back]

        files = self._replacer.replace(order, split, lambda _files: None, commit)
        return sum(one.row_count for one in files)

    def _erased_since(self, deletion: Replacement, dataset: Dataset) -> list[tuple[str, str]]:
        """Return by which columns, and hashes of which values, rows were erased for good after a deletion."""
        statement = self._database.statements["erasures_since"]
        erasures = []
        for (detail,) in self._database.readers.rows(statement, (deletion.finished_at,)):
            told: dict[str, Any] = msgspec.json.decode(detail)
            if (
                dataset.name in told.get("datasets", (dataset.name,))
                and told["column"] in dataset.column_names
            ):
                erasures.append((told["column"], told["value_sha256"]))
        return erasures


def count_due(database: DatabaseManager, planned: PlannedDeletion) -> int:
    """Count the rows that a planned deletion would take; where that is not the whole file, their times are read.

    Args:
        database: The open store.
        planned: The deletion.

    Returns:
        How many.

    Raises:
        ArchiveCorrupt: The file is missing or changed.
    """
    import pyarrow.parquet as pq

    file = planned.file
    if not planned.kept:
        return file.row_count
    dataset = database.registry[file.dataset]
    assert dataset.tiering is not None
    with pq.ParquetFile(FileVerifier(database.root).check(file)) as parquet:
        rows = parquet.read(columns=[dataset.tiering.time])
    kept_rows: int = rows_within(dataset, rows, planned.kept).num_rows
    return file.row_count - kept_rows


def rows_within(dataset: Dataset, rows: pa.Table, spans: Iterable[Span]) -> pa.Table:
    """Return the rows of some times.

    Args:
        dataset: The declaration.
        rows: Rows with at least the column of its time.
        spans: Which times, apart from each other.

    Returns:
        Those rows, in the same order.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    assert dataset.tiering is not None
    times = rows.column(dataset.tiering.time).cast(pa.int64())
    wanted = None
    for span in spans:
        inside = pc.and_(pc.greater_equal(times, span.start_us), pc.less(times, span.end_us))
        wanted = inside if wanted is None else pc.or_(wanted, inside)
    return rows.slice(0, 0) if wanted is None else rows.filter(wanted)


def _without_value(rows: pa.Table, column: str, value_sha256: str) -> pa.Table:
    """Leave out rows with a value that only its hash is known of."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = rows.column(column)
    erased = [
        value
        for value in pc.unique(values).to_pylist()
        if value is not None and hashlib.sha256(value.encode()).hexdigest() == value_sha256
    ]
    return rows.filter(pc.invert(pc.is_in(values, value_set=pa.array(erased, values.type))))


def _facts_of_gone(dataset: Dataset, rows: pa.Table) -> Gone:
    import pyarrow.compute as pc

    assert dataset.tiering is not None
    times = pc.min_max(rows.column(dataset.tiering.time).cast("int64")).as_py()
    return Gone(rows.num_rows, times["min"] or 0, times["max"] or 0, exact_sums(dataset, rows))


def check_parts(file: ArchiveFile, kept: list[ArchiveFile], gone: Gone) -> None:
    """Compare what stays and what goes with what there was.

    Args:
        file: The file there was.
        kept: The files that stay.
        gone: What goes.

    Raises:
        ArchiveCorrupt: Together they are not what there was.
    """
    before, left = sums_of([file]), sums_of(kept)
    wrong = [
        name
        for name, total in before.items()
        if EXACT.add(left.get(name, Decimal(0)), Decimal(gone.sums.get(name, "0"))) != total
    ]
    rows = sum(part.row_count for part in kept)
    if rows + gone.rows != file.row_count or wrong:
        raise ArchiveCorrupt(
            f"{file.dataset}: {rows:,} rows stay and {gone.rows:,} go, the file has {file.row_count:,}"
            + (f"; the sums of {', '.join(wrong)} differ" if wrong else ""),
            path=file.path,
            hint="nothing was changed; compare the file with a backup",
        )


def _commit_deletion(
    session: WriteSession,
    replacement: Replacement,
    planned: PlannedDeletion,
    files: list[ArchiveFile],
    gone: Gone,
) -> None:
    """Take rows out of count and certify it, unless somebody holds them by now."""
    file = planned.file
    taken = without(Span(file.time_min_us, file.time_max_us + 1), planned.kept)
    held = held_spans(active_holds(session), file.dataset)
    if any(clip(held, span) for span in taken):
        raise MoveFailed(
            f"rows of {file.dataset} are under a legal hold that was placed a moment ago",
            path=file.path,
            hint="nothing was deleted; the next run leaves them out",
        )
    detail: dict[str, Any] = {
        "dataset": file.dataset, "tier": file.tier, "policy": planned.policy, "before_us": planned.before_us,
        "reason": planned.reason, "rows": gone.rows, "time_min_us": gone.time_min_us,
        "time_max_us": gone.time_max_us, "sums": gone.sums, "holds": list(planned.holds),
        "replaces": facts_of([file]), "files": facts_of(files),
    }  # fmt: skip
    replace_files(session, replacement, files, detail)
    session.run("note_deleted", (planned.before_us, file.dataset))
