"""The move of one unit (dataset, UTC day) out of the hot store, in steps any of which may be the last before a crash.

claim -> read -> write, flush, verify, hash, name -> publish and purge in bounded steps -> done. Until the first
publishing step nothing of the file counts; from then on each step makes some rows of the file count and deletes the
same rows from the hot store in one transaction. So every snapshot sees each row exactly once, and a crash at any point
leaves either nothing to do (the claim is abandoned and the file removed) or a known rest.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridstore.archive.layout import temporary_path
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import Target, key_hashes, read_ids, sort_rows, write_archive
from hybridstore.clock import DAY_US
from hybridstore.config import Durability
from hybridstore.durable import fsync_directory, fsync_file, write_error
from hybridstore.errors import HybridStoreError, MoveFailed, StoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import is_declared
from hybridstore.hot.session import WriteSession
from hybridstore.hot.transfer import read_rows
from hybridstore.retention.failures import Failures
from hybridstore.retention.pace import Pace
from hybridstore.retention.policy import PlannedMove
from hybridstore.retention.progress import OnStep
from hybridstore.retention.steps import Move, Step, abandon, claim, publish, remember_keys
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.migrations import SCHEMA_VERSION

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

STEPS = ("claimed", "read", "written", "flushed", "verified", "named", "published", "purged", "done")
"""Names passed to ``on_step``, in order; ``purged`` comes once a publishing step after the first."""
FILE_ROWS_MAX = 1_000_000
FILE_VALUES_MAX = 5_000_000
"""Rows of one file, and rows times columns, at the most: they bound the mover's memory."""
_STEP_SPAN_MAX = 20_000
"""Row numbers a step looks through at the most: rows of other days lie between those of the file."""
_READ_IDS = 1 << 20
_READ_IDS_MIN = 1 << 12
"""Row numbers read in one transaction."""
OnRows = Callable[[int], None]


class Mover:
    """Moves units of a store.

    Args:
        database: The open store.
        on_step: Called with the name of each step (see :data:`STEPS`) when it is done.
        on_rows: Called with the number of rows each publishing step moved.
        keeps_finished: Leave the finished file of a move that is taken back: where the database may be an older copy,
            the newer one may count it.
        failures: Where to note why units could not be moved.
        uncompressed: Datasets whose files are not to be compressed.
    """

    def __init__(
        self,
        database: DatabaseManager,
        on_step: OnStep | None = None,
        on_rows: OnRows | None = None,
        *,
        keeps_finished: bool = False,
        failures: Failures | None = None,
        uncompressed: Collection[str] = (),
    ) -> None:
        self._database = database
        self._keeps_finished = keeps_finished
        self._uncompressed = frozenset(uncompressed)
        self._verifier = FileVerifier(database.root)
        self._log = database.path.with_name(f"{database.path.name}-wal")
        self._on_step = on_step or (lambda _name: None)
        self._on_rows = on_rows or (lambda _rows: None)
        self.failures = failures if failures is not None else Failures()
        """Why units could not be moved."""
        self.locked_ms: list[float] = []
        """How long each publishing step held the write lock."""

    def needs_several_files(self, planned: PlannedMove) -> bool:
        """Say whether a unit is too large for one file, so that moving it once leaves rows behind.

        Args:
            planned: The planned move.

        Returns:
            Whether more of its rows move than a file may have.
        """
        return planned.row_count > self._rows_max(planned)

    def _rows_max(self, planned: PlannedMove) -> int:
        columns = len(self._database.registry[planned.unit.dataset].stored_names)
        return min(FILE_ROWS_MAX, FILE_VALUES_MAX // columns)

    def move(self, planned: PlannedMove) -> ArchiveFile | None:
        """Move one unit.

        Args:
            planned: What to move where.

        Returns:
            The published file, or None where the unit had no rows any more.

        Raises:
            MoveFailed: The hot store's rows are not those that were written, or cannot be written.
            ArchiveCorrupt: The written file is not what was written to it.
            StorageFull: There is no room for the file; its rows are where they were.
        """
        dataset = self._database.registry[planned.unit.dataset]
        move = self._claim(dataset, planned)
        try:
            file = self._prepare(dataset, move)
        except Exception:
            with suppress(HybridStoreError, OSError):  # the next run does it
                self._take_back(move)
            raise
        if file is not None:
            self._publish(dataset, move, file, read_ids(self._database.root / file.path))
        return file

    def resume(self) -> list[ArchiveFile]:
        """Finish or take back every move that a crash left open.

        Returns:
            The files whose publishing was finished. Where a half-published file is missing or changed its rows that
            are left stay in the hot store, and the reason stands in :attr:`failures`.
        """
        finished = []
        rows = self._database.readers.rows(self._database.statements["open_moves"])
        for move in (Move(*row) for row in rows):
            dataset = self._database.registry[move.dataset]
            found = self._database.readers.rows(
                self._database.statements["find_archive_files"], (move.file_id,)
            )
            if found:
                with self.failures.noting(move.dataset, move.start_us):
                    file = ArchiveFile.from_row(found[0])
                    path = self._verifier.check(file)
                    self._publish(dataset, move, file, read_ids(path))
                    finished.append(file)
            else:
                self._take_back(move)
        return finished

    def take_back_claims(self) -> None:
        """Give up every open move of which nothing counts yet, so that its rows can be changed again."""
        rows = self._database.readers.rows(self._database.statements["open_moves"])
        for move in (Move(*row) for row in rows):
            if not self._database.readers.rows(
                self._database.statements["find_archive_files"], (move.file_id,)
            ):
                self._take_back(move)

    def _claim(self, dataset: Dataset, planned: PlannedMove) -> Move:
        unit = planned.unit
        max_id = unit.id_max
        rows = min(planned.row_count, self._rows_max(planned))
        if rows < unit.row_count:
            # Found before the lock is taken: it reads up to the whole table.
            limit = {"start_us": unit.start_us, "end_us": unit.end_us, "rows": rows}
            max_id = self._database.readers.rows(self._database.statements[f"limit_{dataset.name}"], limit)[
                0
            ][0]
        file_id = uuid.uuid4().hex
        target = Target(file_id, planned.tier, unit.start_us, unit.end_us, SCHEMA_VERSION)
        move = Move(
            move_id=f"move-{file_id}",
            dataset=dataset.name,
            tier=planned.tier,
            start_us=unit.start_us,
            end_us=unit.end_us,
            max_id=max_id,
            state="claimed",
            file_id=file_id,
            path=target.path(dataset),
        )
        return self._database.writer.call(_claim, dataset, move, durability="full")

    def _prepare(self, dataset: Dataset, move: Move) -> ArchiveFile | None:
        """Do everything of a move that comes before anything of it counts."""
        self._on_step("claimed")
        try:
            file = self._write(dataset, move)
        except HybridStoreError:
            raise
        except OSError as error:
            raise write_error(error, f"archive {dataset.name}", self._database.root / move.path) from error
        except (
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
        ) as error:  # what Arrow raises is one of these
            raise MoveFailed(
                f"rows of {dataset.name} cannot be written to a file: {error}",
                path=str(self._database.root / move.path),
                hint="nothing was changed; they stay in the hot store",
            ) from error
        return file

    def _write(self, dataset: Dataset, move: Move) -> ArchiveFile | None:
        rows = sort_rows(
            dataset, self._read(dataset, move)
        )  # here, so that only the sorted ones stay in memory
        self._on_step("read")
        if not rows.num_rows:
            self._database.writer.call(abandon, move, durability="full")
            return None
        compressed = dataset.name not in self._uncompressed
        target = Target(move.file_id, move.tier, move.start_us, move.end_us, SCHEMA_VERSION, compressed)
        if not dataset.remembers_keys:
            return write_archive(self._database.root, dataset, rows, target, self._on_step)
        with ThreadPoolExecutor(1) as beside:  # compressing and reading back leave a processor to it
            hashing = beside.submit(key_hashes, dataset, rows)
            file = write_archive(self._database.root, dataset, rows, target, self._on_step)
            self._remember_keys(hashing.result(), file.start_us // DAY_US)
        return file

    def _read(self, dataset: Dataset, move: Move) -> pa.Table:
        """Read the rows in pieces: what is claimed does not change, and one long read would be ended for its age."""
        import pyarrow as pa

        # Only now: before the claim a row with a smaller number could still come into the unit by an update.
        first = self._database.readers.rows(self._database.statements[f"first_{dataset.name}"], move.unit)
        above = first[0][0] - 1 if first else move.max_id
        tables = []
        width = _READ_IDS
        while above < move.max_id:
            through = min(above + width, move.max_id)
            try:
                with self._database.readers.transaction() as transaction:
                    tables.append(
                        read_rows(
                            transaction,
                            dataset,
                            id_above=above,
                            id_through=through,
                            start_us=move.start_us,
                            end_us=move.end_us,
                        )
                    )
            except StoreError as error:
                if type(error) is not StoreError or width <= _READ_IDS_MIN:
                    raise
                width = max((through - above) // 4, 1)  # it was ended for its age
            else:
                above = through
        return pa.concat_tables(tables) if tables else arrow_schema(dataset).empty_table()

    def _publish(
        self, dataset: Dataset, move: Move, file: ArchiveFile, ids: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> None:
        """Publish and purge in steps; ``ids`` are the file's row numbers in ascending order."""
        done_through = self._done_through(file)
        position = int(ids.searchsorted(done_through, side="right"))
        pace = Pace()
        while position < len(ids):
            step, end = _next_step(ids, position, done_through, pace.step_rows)
            # What first makes the file count and what ends the move is durable when it is acknowledged. A step in
            # between may be undone by a power cut, rows and limit together; it is flushed without the lock.
            durability: Durability = "full" if position == 0 or step.last else "normal"
            result = self._database.writer.call(publish, dataset, move, file, step, durability=durability)
            held_s = time.perf_counter() - result.begun_s
            if durability == "normal":
                fsync_file(self._log)
            self.locked_ms.append(held_s * 1000)
            self._on_rows(step.row_count)
            self._on_step("done" if step.last else "published" if position == 0 else "purged")
            pace.note(result.work_s * 1000, held_s * 1000, result.seq)
            time.sleep(pace.pause_s)
            position, done_through = end, step.through

    def _remember_keys(self, hashes: np.ndarray[Any, Any], day: int) -> None:
        """Note where rows can be found by key, before any of them leaves the hot store.

        A key that is noted though its row never left is looked for in vain, and nothing else comes of it.
        """
        pace = Pace()
        position = 0
        while position < len(hashes):
            step = hashes[position : position + pace.step_rows].tolist()
            result = self._database.writer.call(remember_keys, step, day, durability="normal")
            pace.note(result.work_s * 1000, (time.perf_counter() - result.begun_s) * 1000, result.seq)
            time.sleep(pace.pause_s)
            position += len(step)

    def _done_through(self, file: ArchiveFile) -> int:
        found = self._database.readers.rows(self._database.statements["find_archive_files"], (file.file_id,))
        if not found:
            return file.id_min - 1
        visible = ArchiveFile.from_row(found[0]).visible_through
        return file.id_max if visible is None else visible

    def _take_back(self, move: Move) -> None:
        """Remove what a move left behind before anything of it counted."""
        _remove(self._database.root / temporary_path(move.path))
        if not self._keeps_finished:
            _remove(self._database.root / move.path)
        self._database.writer.call(abandon, move, durability="full")


def _claim(session: WriteSession, dataset: Dataset, move: Move) -> Move:
    """Claim rows as long as all of their columns are known here: what is not written to the file is purged with it."""
    if not is_declared(session, dataset):
        raise MoveFailed(
            f"another program changed the columns of {dataset.name} meanwhile",
            hint="nothing was changed; the next run knows them",
        )
    return claim(session, move)


def _remove(path: Path) -> None:
    if path.exists():
        path.unlink()
        fsync_directory(path.parent)


def _next_step(
    ids: np.ndarray[tuple[int], np.dtype[np.int64]], position: int, done_through: int, step_rows: int
) -> tuple[Step, int]:
    """Return the step that begins at a position of the file's row numbers, and where the next one begins."""
    first = int(ids[position])
    within_span = int(ids.searchsorted(first + _STEP_SPAN_MAX, side="left"))
    end = min(position + step_rows, within_span)
    # A long way without a row of the file is not searched again under the lock.
    above = done_through if first - done_through <= _STEP_SPAN_MAX else first - 1
    return Step(above, int(ids[end - 1]), end - position, end == len(ids)), end
