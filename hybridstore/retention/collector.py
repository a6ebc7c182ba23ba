"""Deleting files that were replaced, once nobody can still be reading them.

Whatever else is kept of the rows of a deletion goes with its file: versions of them that were corrected, notes that
they count no more, and the keys by which they would be known again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.archive.leases import LeaseFacts, live_leases
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.object_store import object_store
from hybridstore.archive.writing import key_hashes
from hybridstore.clock import DAY_US
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.deleter import rows_within
from hybridstore.retention.failures import Failures
from hybridstore.retention.holds import Hold, active_holds, held_spans
from hybridstore.retention.pace import Pace
from hybridstore.retention.progress import OnStep
from hybridstore.retention.replacement import Replacement, begin_collecting, collect_files
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.spans import Span, clip, without
from hybridstore.schema.dataset import ROW_ID, Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

COLLECT_GRACE_US = DAY_US
"""Replaced files stay this long: whoever opened a snapshot before may still read them."""
COLLECT_STEPS = ("collecting", "forgotten", "unlinked", "collected")
"""Names passed to ``on_step``, in order."""


class Collector:
    """Deletes replaced files of a store. Only the process that holds the mover lock may.

    Args:
        database: The open store.
        replacer: Knows the files that count, and proves them.
        on_step: Called with the name of each step (see :data:`COLLECT_STEPS`) when it is done.
        failures: Where to note why files could not be deleted.
    """

    def __init__(
        self,
        database: DatabaseManager,
        replacer: Replacer,
        on_step: OnStep | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._database = database
        self.failures = failures if failures is not None else Failures()
        """Why files could not be deleted."""
        self._replacer = replacer
        self._on_step = on_step or (lambda _name: None)

    def collect(self, now_us: int, grace_us: int = COLLECT_GRACE_US) -> list[Path]:
        """Delete files that were replaced long enough ago, once what replaced them is proven to be whole.

        Args:
            now_us: The present, us UTC.
            grace_us: How long they stay, us.

        Returns:
            What was deleted. Where a file of the period that counts is missing or changed, what it replaced stays, and
            the reason is noted in the failures.
        """
        statement = self._database.statements["replacements_to_collect"]
        rows = self._database.readers.rows(statement, (now_us - grace_us,))
        counting = self._replacer.files() if rows else []
        leases = live_leases(self._database.root) if rows else []
        removed: list[Path] = []
        for replacement in (Replacement(*row) for row in rows):
            if self._is_leased(replacement, leases):
                continue
            with self.failures.noting(replacement.dataset, replacement.replacement_id):
                self._prove_successors(replacement, counting)
                # On Windows somebody may have one open; it is there the next time, too.
                with suppress(PermissionError):
                    removed += self._collect(replacement)
        return removed

    def _prove_successors(self, replacement: Replacement, counting: Sequence[ArchiveFile]) -> None:
        for file in counting:
            # What replaced the files of several periods lies within these, what was merged since reaches beyond.
            is_within = file.start_us < replacement.end_us and file.end_us > replacement.start_us
            if is_within and file.dataset == replacement.dataset:
                self._replacer.verifier.check(file)

    def _is_leased(self, replacement: Replacement, leases: Sequence[LeaseFacts]) -> bool:
        """Say whether somebody still reads a moment at which the files counted."""
        return any(
            lease.covers(file.created_seq, file.replaced_seq)
            for file in map(self._file, replacement.replaced_ids)
            for lease in leases
            if file.replaced_seq is not None
        )

    def _collect(self, replacement: Replacement) -> list[Path]:
        files = [self._file(file_id) for file_id in replacement.replaced_ids]
        if not self._database.writer.call(_begin, replacement, files, durability="full"):
            return []  # held: the next run brings the rows back first
        self._on_step("collecting")
        paths = [self._database.root / file.path for file in files]
        damage = self._forget(replacement, files[0]) if replacement.kind == "delete" else None
        self._on_step("forgotten")
        removed = []
        for file in files:
            if file.url is not None:  # first: while the copy is here, a run that is cut off finds it again
                object_store(file.url).delete(file.path)
        for path in filter(Path.exists, paths):
            path.unlink()
            removed.append(path)
            _tidy(path)
        self._on_step("unlinked")
        names = [path.relative_to(self._database.root).as_posix() for path in paths]
        self._database.writer.call(collect_files, replacement, names, damage, durability="full")
        self._on_step("collected")
        return removed

    def _file(self, file_id: str) -> ArchiveFile:
        statement = self._database.statements["find_archive_files"]
        return ArchiveFile.from_row(self._database.readers.rows(statement, (file_id,))[0])

    def _forget(self, replacement: Replacement, file: ArchiveFile) -> str | None:
        """Forget what the hot store knows of rows that go for good. Done again after a crash, it finds less to do.

        Returns:
            Why it could not be read which rows those were; what is known of them stays then. None where it could.
        """
        import pyarrow.parquet as pq

        path = self._database.root / file.path
        if file.offloaded_at is None and not path.exists():  # an earlier run came as far as that
            return None
        try:
            self._replacer.verifier.check(file)
        except ArchiveCorrupt as error:
            return error.message if path.exists() or file.offloaded_at is None else None
        dataset = self._database.registry[file.dataset]
        assert dataset.tiering is not None
        columns = list(dict.fromkeys((ROW_ID, dataset.tiering.time, *dataset.key)))
        with pq.ParquetFile(path) as parquet:
            rows = rows_within(dataset, parquet.read(columns=columns), _taken(replacement, file))
        ids = set(rows.column(ROW_ID).to_pylist())
        statements = self._database.statements
        superseded = self._database.readers.rows(statements["superseded_of_dataset"], (dataset.name,))
        self._forget_versions(dataset, ids)
        self._step("forget_superseded", [(dataset.name, row_id) for (row_id,) in superseded if row_id in ids])
        if dataset.remembers_keys:
            holds = [Hold(*row) for row in self._database.readers.rows(statements["active_holds"])]
            stays = [*held_spans(holds, dataset.name), *(replacement.kept_spans or ())]
            self._forget_keys(dataset, rows, Span(file.time_min_us, file.time_max_us + 1), stays)
        return None

    def _forget_versions(self, dataset: Dataset, ids: set[int]) -> None:
        """Forget corrections of rows that go.

        Where one gave a row another time, younger rows are not as they were known without it: that is noted before.
        """
        assert dataset.tiering is not None
        statements = self._database.statements
        asked = {"dataset": dataset.name, "time": dataset.tiering.time}
        until_us = self._database.readers.rows(statements["deleted_until"], (dataset.name,))[0][0] or 0
        going: list[tuple[int]] = []
        is_missed = False
        for number, row_id, new_row_id, *times in self._database.readers.rows(
            statements["correction_times"], asked
        ):
            if row_id in ids or new_row_id in ids:
                going.append((number,))
                is_missed = is_missed or any(at is None or at >= until_us for at in times)
        if is_missed:
            self._database.writer.call(_note_incomplete, dataset.name, durability="full")
        self._step("forget_correction", going)

    def _forget_keys(self, dataset: Dataset, rows: pa.Table, own: Span, stays: Sequence[Span]) -> None:
        """Forget the keys of whole days: of a day of which rows are left, one of them may have the same key."""
        for day in range(own.start_us // DAY_US, (own.end_us - 1) // DAY_US + 1):
            whole = Span(day * DAY_US, (day + 1) * DAY_US)
            part = rows_within(dataset, rows, [whole])
            if part.num_rows and not clip(stays, whole):
                self._step("forget_keys", key_hashes(dataset, part).tolist(), day)

    def _step(self, name: str, what: list[Any], day: int | None = None) -> None:
        pace, position = Pace(), 0
        while position < len(what):
            some = what[position : position + pace.step_rows]
            begun_s, work_s, seq = self._database.writer.call(_forget, name, some, day, durability="normal")
            pace.note(work_s * 1000, (time.perf_counter() - begun_s) * 1000, seq)
            time.sleep(pace.pause_s)
            position += len(some)


def _taken(replacement: Replacement, file: ArchiveFile) -> tuple[Span, ...]:
    own = Span(file.time_min_us, file.time_max_us + 1)
    kept = replacement.kept_spans
    return () if kept is None else without(own, kept)


def _begin(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> bool:
    """Note that the files are about to be deleted, unless rows that only they have are held by now."""
    if replacement.state == "collecting":
        return True
    found = session.one("find_archive_replacements", (replacement.replacement_id,))
    assert found is not None
    held = held_spans(active_holds(session), replacement.dataset)
    for file in files:
        if any(clip(held, span) for span in _taken(Replacement(*found), file)):
            return False
    begin_collecting(session, replacement)
    return True


@touches()
def _note_incomplete(session: WriteSession, dataset: str) -> None:
    session.run("note_incomplete", (session.ts_us, dataset))


@touches()
def _forget(session: WriteSession, name: str, what: list[Any], day: int | None) -> tuple[float, float, int]:
    begun_s = time.perf_counter()
    if day is None:
        session.executemany(session.sql[name], what)
    else:
        session.run(name, {"hashes": msgspec.json.encode(what).decode(), "day": day})
    return begun_s, time.perf_counter() - begun_s, session.seq


def _tidy(path: Path) -> None:
    """Remove the folders of a period that nothing is in any more."""
    for folder in path.parents:
        if "=" not in folder.name or any(folder.iterdir()):
            return
        folder.rmdir()
