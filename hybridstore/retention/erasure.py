"""Legal erasure: every row with a value in a column goes for good, from the hot store, the archives and old versions.

Archived rows go by the replacement of their files. What is erased from the database is overwritten, not only unlinked.
Replaced files are destroyed a day later, as those of a merge are.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.results import forget_results
from hybridstore.archive.writing import exact_sums, key_hashes
from hybridstore.clock import DAY_US
from hybridstore.errors import Conflict, InvalidValue
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.deleter import Gone, check_parts, rows_within
from hybridstore.retention.holds import Hold, active_holds, held_spans
from hybridstore.retention.pace import Pace
from hybridstore.retention.replacement import Replacement, facts_of, replace_files
from hybridstore.retention.replacer import Order, Replacer
from hybridstore.retention.spans import Span
from hybridstore.retention.steps import record
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.sqlite import erasing_statements
from hybridstore.schema.types import LogicalType

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = (LogicalType.NAME, LogicalType.TEXT)


class Erased(Record, frozen=True, gc=False):
    """What of one dataset was erased, or would be.

    Attributes:
        dataset: Its name.
        hot_rows: Rows of the hot store.
        archived_rows: Rows of archived files, superseded versions included.
        files: How many files they were in.
        versions: Old versions of corrected rows.
    """

    dataset: str
    hot_rows: int
    archived_rows: int
    files: int
    versions: int


class Erasure(Record, frozen=True, gc=False):
    """What an erasure did, or would do.

    Attributes:
        column: By which column.
        erased: By dataset; those without such a row are left out.
        dry_run: Whether nothing was changed.
    """

    column: str
    erased: tuple[Erased, ...]
    dry_run: bool


class _Found(Record, frozen=True, gc=False):
    """Rows of a dataset that are to go."""

    dataset: Dataset
    hot_ids: list[int]
    hot_rows: int
    files: list[ArchiveFile]
    archived_ids: set[int]
    versions: list[int]

    def told(self) -> Erased:
        """Say how many."""
        return Erased(
            self.dataset.name, self.hot_rows, len(self.archived_ids), len(self.files), len(self.versions)
        )


class Eraser:
    """Erases rows of a store whose mover lock is held.

    Args:
        database: The open store.
        replacer: Replaces files.
    """

    def __init__(self, database: DatabaseManager, replacer: Replacer) -> None:
        self._database = database
        self._replacer = replacer
        self._known_holds: set[str] = set()

    def erase(
        self,
        column: str,
        value: str,
        *,
        datasets: Sequence[str] | None,
        reason: str,
        ordered_by: str,
        dry_run: bool,
    ) -> Erasure:
        """Erase every row with a value in a column.

        Args:
            column: The column, a NAME or TEXT.
            value: Its value.
            datasets: Only of these; None means of every dataset that has the column.
            reason: Why.
            ordered_by: By whose order.
            dry_run: Only count.

        Returns:
            What was erased.

        Raises:
            Conflict: Some of it is under a legal hold; nothing was changed.
            InvalidValue: No dataset has the column, or it is not said why or by whom.
            ArchiveCorrupt: A file is missing or changed; what came before it is erased already.
        """
        for name, text in (("reason", reason), ("ordered_by", ordered_by), ("value", value)):
            if not text.strip():
                raise InvalidValue(f"{name}={text!r}", hint="say what is erased, why, and by whose order")
        holds = [Hold(*row) for row in self._database.readers.rows(self._database.statements["active_holds"])]
        self._known_holds = {hold.hold_id for hold in holds}
        having = self._having(column, datasets)
        found = [self._find(dataset, column, value, holds) for dataset in having]
        found = [one for one in found if one.hot_rows or one.archived_ids or one.versions]
        if not dry_run:
            for one in found:
                self._forget(one)
                for file in one.files:
                    self._replace(one.dataset, file, column, value, reason)
                self._erase_hot(one, column, value)
            detail = {
                "column": column, "value_sha256": hashlib.sha256(value.encode()).hexdigest(), "reason": reason,
                "ordered_by": ordered_by, "datasets": [one.name for one in having],
                "erased": [one.told().to_dict() for one in found],
            }  # fmt: skip
            self._database.writer.call(record, "erasure", detail, durability="full")
            forget_results(self._database.root)
        return Erasure(column, tuple(one.told() for one in found), dry_run)

    def _having(self, column: str, datasets: Sequence[str] | None) -> list[Dataset]:
        registry = self._database.registry
        wanted = [registry[name] for name in (registry if datasets is None else datasets)]
        having = [one for one in wanted if column in one.column_names and one.kind != "internal"]
        if datasets is not None:
            for one in wanted:
                one.column(column)  # says what it has
        if not having or any(one.column(column).type not in _TEXTS for one in having):
            raise InvalidValue(
                f"column={column!r}: no dataset has such a text column", hint="see docs/datasets.md"
            )
        return having

    def _find(self, dataset: Dataset, column: str, value: str, holds: Iterable[Hold]) -> _Found:
        statements = erasing_statements(dataset, column)
        versions = self._versions(dataset, column, value)
        if dataset.tiering is None:
            count = self._database.readers.rows(statements["count"], (value,))
            return _Found(dataset, [], count[0][0], [], set(), list(versions))
        held = held_spans(holds, dataset.name)
        hot = self._database.readers.rows(statements["find"], (value,))
        times = [at for _, at in hot] + [at for both in versions.values() for at in both]
        is_held = any(_is_within(at, held) for at in times)
        files, archived_ids = [], set()
        for file in self._replacer.files():
            if file.dataset != dataset.name:
                continue
            rows = self._matching(dataset, file, column, value)
            if rows.num_rows:
                is_held = is_held or rows_within(dataset, rows, held).num_rows > 0
                files.append(file)
                archived_ids |= set(rows.column(ROW_ID).to_pylist())
        if is_held:
            raise Conflict(
                f"rows of {dataset.name} with {column}={value!r} are under a legal hold; nothing was erased",
                operation="erase",
                hint="see: hybridstore retention holds",
            )
        ids = {row[0] for row in hot} | archived_ids
        corrected = self._database.readers.rows(self._database.statements["correction_ids"], (dataset.name,))
        gone = {number for number, *both in corrected if not ids.isdisjoint(both)} | versions.keys()
        return _Found(dataset, [row[0] for row in hot], len(hot), files, archived_ids, sorted(gone))

    def _versions(self, dataset: Dataset, column: str, value: str) -> dict[int, list[int]]:
        """Return corrections of rows that had the value or got it, with the times of both versions."""
        time_column = dataset.tiering.time if dataset.tiering else column
        asked = {"dataset": dataset.name, "column": column, "value": value, "time": time_column}
        rows = self._database.readers.rows(self._database.statements["corrections_with"], asked)
        return {number: [at for at in both if isinstance(at, int)] for number, *both in rows}

    def _matching(self, dataset: Dataset, file: ArchiveFile, column: str, value: str) -> pa.Table:
        """Return row number, time and key of a file's rows that are to go."""
        import pyarrow.parquet as pq

        assert dataset.tiering is not None
        names = list(dict.fromkeys((ROW_ID, dataset.tiering.time, column, *dataset.key)))
        with pq.ParquetFile(self._replacer.verifier.check(file)) as parquet:
            known = [name for name in names if name in parquet.schema_arrow.names]
            rows = parquet.read(columns=known)
        return _split(rows, column, value)[1] if column in known else rows.slice(0, 0)

    def _forget(self, found: _Found) -> None:
        """Forget old versions and keys first: were they left behind by a crash, nothing would find them again."""
        dataset = found.dataset
        self._steps(dataset.name, "forget_correction", [(number,) for number in found.versions])
        if dataset.remembers_keys:
            for file in found.files:
                for day in range(file.time_min_us // DAY_US, file.time_max_us // DAY_US + 1):
                    self._forget_day(dataset, file, found.archived_ids, day)

    def _forget_day(self, dataset: Dataset, file: ArchiveFile, ids: set[int], day: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        assert dataset.tiering is not None
        names = list(dict.fromkeys((ROW_ID, dataset.tiering.time, *dataset.key)))
        with pq.ParquetFile(self._replacer.verifier.check(file)) as parquet:
            rows = rows_within(dataset, parquet.read(columns=names), [Span(day * DAY_US, (day + 1) * DAY_US)])
        rows = rows.filter(pc.is_in(rows.column(ROW_ID), value_set=pa.array(sorted(ids), pa.int64())))
        if rows.num_rows:
            listed = msgspec.json.encode(key_hashes(dataset, rows).tolist()).decode()
            self._steps(dataset.name, "forget_keys", [{"hashes": listed, "day": day}])

    def _replace(self, dataset: Dataset, file: ArchiveFile, column: str, value: str, reason: str) -> None:
        order = Order("erase", file.dataset, file.tier, file.start_us, file.end_us, (file,))
        gone = Gone(0, 0, 0, {})

        def split(rows: pa.Table) -> Sequence[pa.Table]:
            nonlocal gone
            kept, taken = _split(rows, column, value)
            gone = Gone(taken.num_rows, 0, 0, exact_sums(dataset, taken))
            return [kept]

        def commit(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> None:
            late = [hold for hold in active_holds(session) if hold.hold_id not in self._known_holds]
            if held_spans(late, dataset.name):
                raise Conflict(
                    f"a legal hold on {dataset.name} was placed a moment ago; this file was not changed",
                    operation="erase",
                    path=file.path,
                    hint="see: hybridstore retention holds; then erase the rest",
                )
            replace_files(session, replacement, files, {
                "dataset": file.dataset, "tier": file.tier, "rows": gone.rows, "reason": reason,
                "replaces": facts_of([file]), "files": facts_of(files),
            })  # fmt: skip

        self._replacer.replace(order, split, lambda files: check_parts(file, files, gone), commit)

    def _erase_hot(self, found: _Found, column: str, value: str) -> None:
        name = found.dataset.name
        statements = erasing_statements(found.dataset, column)
        if found.dataset.tiering is None:
            self._database.writer.call(_erase, name, statements["erase"], [(value,)], durability="full")
            return
        self._steps(name, statements["erase_row"], [(number,) for number in found.hot_ids])
        superseded = [(name, number) for number in found.archived_ids]
        self._steps(name, "forget_superseded", superseded)

    def _steps(self, dataset: str, statement: str, what: list[Any]) -> None:
        pace, position = Pace(), 0
        while position < len(what):
            some = what[position : position + pace.step_rows]
            begun_s, work_s, seq = self._database.writer.call(
                _erase, dataset, statement, some, durability="full"
            )
            pace.note(work_s * 1000, (time.perf_counter() - begun_s) * 1000, seq)
            time.sleep(pace.pause_s)
            position += len(some)


def _split(rows: pa.Table, column: str, value: str) -> tuple[pa.Table, pa.Table]:
    """Part rows into those that stay and those that go; a null is no value."""
    import pyarrow.compute as pc

    goes = pc.fill_null(pc.equal(rows.column(column), value), fill_value=False)
    return rows.filter(pc.invert(goes)), rows.filter(goes)


def _is_within(time_us: int, spans: Iterable[Span]) -> bool:
    return any(span.start_us <= time_us < span.end_us for span in spans)


def _erase(session: WriteSession, dataset: str, statement: str, what: list[Any]) -> tuple[float, float, int]:
    """Delete rows, or what is kept of them, and overwrite where they were."""
    begun_s = time.perf_counter()
    session.connection.pragma("secure_delete", value=True)
    try:
        session.executemany(session.sql.get(statement, statement), what)
        session.run("note_mutation", (dataset,))  # copies of the table in memory are made anew
        session.run("note_incomplete", (session.ts_us, dataset))
    finally:
        session.connection.pragma("secure_delete", value=False)
    return begun_s, time.perf_counter() - begun_s, session.seq
