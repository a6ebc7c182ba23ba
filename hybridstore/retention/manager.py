"""DataRetentionManager: plans and runs moves, one mover a root, and sweeps what crashes left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import filelock

from hybridstore.archive.layout import ARCHIVES
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories
from hybridstore.errors import ArchiveError, MoveFailed, StoreBusy, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.records import Record
from hybridstore.retention.audit import AuditEntry, audit_head, broken_entry, unrecorded_files
from hybridstore.retention.mover import Mover, OnStep, needs_several_files
from hybridstore.retention.policy import PlannedMove, Unit, plan, policies_by_dataset
from hybridstore.retention.steps import AUDIT_HEAD, Move, record
from hybridstore.retention.sweep import SWEEP_GRACE_S, doubt, find_leftovers
from hybridstore.schema.types import moment

LOCK_NAME = ".mover.lock"


_ROUNDS_MAX = 3
"""How often a run looks for what was recorded meanwhile; else it would never end while somebody tells an old history.
Of a unit too large for one file it moves all."""


class Progress(Record, frozen=True, gc=False):
    """How far a run is.

    Attributes:
        dataset: What is being moved.
        day: Which UTC day, ISO 8601.
        rows_done: Rows moved so far.
        rows_total: Rows planned.
    """

    dataset: str
    day: str
    rows_done: int
    rows_total: int


class MoveReport(Record, frozen=True, gc=False):
    """What a run did.

    Attributes:
        rows: Rows moved, with those of resumed moves.
        files: Files published.
        size_bytes: Their size.
        elapsed_s: How long it took.
        rows_per_s: rows / elapsed_s.
        lock_ms_p50: How long publishing steps held the write lock, median.
        lock_ms_p99: 99 of 100 steps held it no longer.
        lock_ms_max: The longest.
        resumed: Moves that a crash had left open and that were finished.
        swept: Files removed of moves that had been given up.
        strange: Files under archives/ that this store knows nothing of; they are left alone.
        complete: Whether everything that was due was moved; False where the run was stopped.
    """

    rows: int
    files: int
    size_bytes: int
    elapsed_s: float
    rows_per_s: float
    lock_ms_p50: float
    lock_ms_p99: float
    lock_ms_max: float
    resumed: int
    swept: int
    strange: int = 0
    complete: bool = True


class _Stopped(Exception):
    """The run is to end after the step that has just been done."""


class DataRetentionManager:
    """Moves between tiers of one store.

    Args:
        database: The open store.
        policies: Configured policies; a dataset without one keeps its declaration's default.
    """

    def __init__(self, database: DatabaseManager, policies: Iterable[RetentionPolicy] = ()) -> None:
        self._database = database
        self._configured = tuple(policies)

    def units(self) -> list[Unit]:
        """Return what the hot store holds, by dataset and UTC day, one snapshot a dataset.

        Returns:
            Units with at least one row that may leave.
        """
        found = []
        for dataset in self._database.registry.tiered:
            # One transaction each: all of them together may take longer than a reader may live.
            with self._database.readers.transaction() as transaction:
                rows = transaction.rows(self._database.statements[f"units_{dataset.name}"])
            found += [
                Unit(dataset.name, day * DAY_US, count, id_min, id_max) for day, count, id_min, id_max in rows
            ]
        return found

    def _due(self, mover: Mover, now_us: int | None) -> list[PlannedMove]:
        return [one for one in self.plan(now_us) if mover.may_move(one)]

    def plan(self, now_us: int | None = None) -> list[PlannedMove]:
        """Say what would move now, and why.

        Args:
            now_us: The present, us UTC; None means the store's clock.

        Returns:
            Moves, oldest first.
        """
        policies = policies_by_dataset(self._database.registry.tiered, self._configured)
        return plan(self.units(), policies, self._database.clock.now_us() if now_us is None else now_us)

    def run(
        self,
        now_us: int | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        on_step: OnStep | None = None,
        stop: Callable[[], bool] | None = None,
        wait_s: float = 0.0,
    ) -> MoveReport:
        """Finish what a crash left open, then move everything that is due. What cannot be moved does not stop the rest.

        Args:
            now_us: What the plan takes for the present, us UTC; None means the store's clock.
            progress: Called as rows are moved.
            on_step: Called with the name of each step of each move.
            stop: Asked after each step; True ends the run there. A move whose rows have begun to count is finished by
                the next run, one of which nothing counts yet is taken back.
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            What was done.

        Raises:
            StoreBusy: Another process is moving rows of this store.
            ArchiveError: Some rows could not be moved; everything else was.
        """
        with self._only_mover(wait_s):
            begun_s = time.monotonic()
            adopt_new_datasets(self._database)
            state = _Running(progress)
            is_certain = doubt(self._database) is None
            mover = Mover(
                self._database, _stoppable(on_step, stop), state.advance, keeps_finished=not is_certain
            )
            resumed: list[ArchiveFile] = []
            moved: list[ArchiveFile] = []
            swept: list[Path] = []
            strange = 0
            complete = False
            try:
                resumed += mover.resume()
                moves, rounds = self._due(mover, now_us), 1
                while moves:
                    state.begin(moves)
                    for planned in moves:
                        _check(stop)
                        state.enter(planned)
                        with mover.noting(planned.unit.dataset, planned.unit.start_us):
                            moved.extend(filter(None, [mover.move(planned)]))
                    large = {one.unit[:2] for one in moves if needs_several_files(one)}
                    moves = self._due(mover, now_us)
                    if rounds >= _ROUNDS_MAX:
                        moves = [one for one in moves if one.unit[:2] in large]
                    rounds += 1
                if is_certain:
                    swept += self.sweep()
                strange += len(find_leftovers(self._database).strange)
                complete = True
            except _Stopped:
                mover.take_back_claims()
        if mover.failures:
            raise _failed(mover.failures, state.rows_done)
        elapsed_s = time.monotonic() - begun_s
        rows = state.rows_done
        return MoveReport(
            rows=rows,
            files=len(moved),
            size_bytes=sum(file.size_bytes for file in moved),
            elapsed_s=round(elapsed_s, 3),
            rows_per_s=round(rows / elapsed_s, 1) if rows else 0.0,
            lock_ms_p50=_percentile(mover.locked_ms, 50),
            lock_ms_p99=_percentile(mover.locked_ms, 99),
            lock_ms_max=_percentile(mover.locked_ms, 100),
            resumed=len(resumed),
            swept=len(swept),
            strange=strange,
            complete=complete,
        )

    def sweep(self, grace_s: float = SWEEP_GRACE_S) -> list[Path]:
        """Remove files of moves that this store gave up. Files it knows nothing of may be another's: they stay.

        Args:
            grace_s: Only files older than this.

        Returns:
            What was removed.

        Raises:
            MoveFailed: The database may be an older copy, or another store's; nothing was removed.
        """
        why = doubt(self._database)
        if why is not None:
            raise MoveFailed(
                f"no archived file is removed while it is not certain whose it is: {why}",
                path=str(self._database.root),
                hint="put the right database back; where what is there shall count, call database.accept_loss()",
            )
        removed = []
        for path in find_leftovers(self._database, grace_s).given_up:
            with suppress(PermissionError):  # on Windows somebody has it open; it is there the next time, too
                path.unlink()
                removed.append(path)
        if removed:
            names = [path.relative_to(self._database.root).as_posix() for path in removed]
            self._database.writer.call(record, "sweep", {"paths": names}, durability="full")
        return removed

    def status(self) -> dict[str, Any]:
        """Return the condition of the tiers.

        Returns:
            due_rows: rows that are old enough to move now; open_moves: moves that a crash or a running mover has
            open, as {move_id, dataset, day, state}; archived: by dataset {files, rows, size_bytes}; audit_entries.
        """
        statements = self._database.statements
        with self._database.readers.transaction() as transaction:
            moves = [Move(*row) for row in transaction.rows(statements["open_moves"])]
            tiers = transaction.rows(statements["archived_by_dataset_and_tier"])
            last = transaction.rows(statements["last_audit_entry"])
        archived: dict[str, dict[str, int]] = {}
        for dataset, _tier, files, rows, size_bytes in tiers:
            sums = archived.setdefault(dataset, {"files": 0, "rows": 0, "size_bytes": 0})
            for name, value in (("files", files), ("rows", rows), ("size_bytes", size_bytes)):
                sums[name] += value
        return {
            "due_rows": sum(planned.unit.row_count for planned in self.plan()),
            "open_moves": [
                {
                    "move_id": move.move_id,
                    "dataset": move.dataset,
                    "day": f"{moment(move.start_us):%Y-%m-%d}",
                    "state": move.state,
                }
                for move in moves
            ],
            "archived": archived,
            "audit_entries": last[0][0] if last else 0,
        }

    def verify(self) -> int:
        """Prove the audit chain and hash every file of the manifest anew.

        Returns:
            How many files there are.

        Raises:
            ArchiveCorrupt: A file is missing or changed.
            StoreCorrupt: An entry of the audit log was changed, added or taken away.
        """
        statements = self._database.statements
        with self._database.readers.transaction() as transaction:
            head = transaction.rows(statements["find_settings"], (AUDIT_HEAD,))
            entries = [AuditEntry(*row) for row in transaction.rows(statements["audit_entries"])]
            files = [
                ArchiveFile.from_row(row)
                for dataset in self._database.registry.tiered
                for row in transaction.rows(statements["manifest_of_dataset"], (dataset.name,))
            ]
        self._prove_audit_log(entries, head[0][1] if head else None, files)
        FileVerifier(self._database.root).paths(files)
        return len(files)

    def _prove_audit_log(self, entries: list[AuditEntry], head: str | None, files: list[ArchiveFile]) -> None:
        broken = broken_entry(entries)
        moved = {file.file_id: file.sha256 for file in files if file.visible_through is None}
        if broken is not None:
            problem = f"broken at entry {broken}: it does not follow from the one before"
        elif audit_head(entries[-1] if entries else None) != head:
            ended = head.partition(" ")[0] if head else "none"
            problem = f"not whole: it ends at entry {len(entries) or 'none'} and had ended at entry {ended}"
        elif unrecorded := unrecorded_files(entries, moved):
            problem = f"not whole: it says nothing of the file {unrecorded[0]}"
        else:
            return
        raise StoreCorrupt(
            f"the audit log is {problem}",
            path=str(self._database.path),
            hint="compare it with the audit log of a backup",
        )

    def _only_mover(self, wait_s: float) -> AbstractContextManager[object]:
        """Take the root's mover lock; it is gone with the process that held it."""
        make_directories(self._database.root / ARCHIVES)
        lock = filelock.FileLock(self._database.root / LOCK_NAME, timeout=wait_s, mode=PRIVATE_FILE_MODE)
        try:
            return lock.acquire()
        except filelock.Timeout as error:
            raise StoreBusy(
                "another process is moving rows of this store",
                operation="move",
                path=str(self._database.root),
                hint="wait for it to finish; it is safe to run again",
            ) from error


def _failed(failures: list[ArchiveError], rows_done: int) -> ArchiveError:
    """Return the first failure, with the others and what was done all the same in its message."""
    first = failures[0]
    others = f"; {len(failures) - 1} more could not be moved" if len(failures) > 1 else ""
    message = f"{first.message} ({rows_done:,} rows of the rest were moved{others})"
    return type(first)(message, operation=first.operation, path=first.path, hint=first.hint)


def _percentile(times_ms: list[float], percent: int) -> float:
    """Return a percentile by nearest rank; 0 where nothing was measured."""
    ordered = sorted(times_ms)
    return round(ordered[-(-len(ordered) * percent // 100) - 1], 3) if ordered else 0.0


def _stoppable(on_step: OnStep | None, stop: Callable[[], bool] | None) -> OnStep | None:
    """Return what a mover calls after each step: it ends the run there when it is to stop."""
    if stop is None:
        return on_step

    def after(name: str) -> None:
        if on_step:
            on_step(name)
        if name != "done":  # a move that is done is counted first
            _check(stop)

    return after


def _check(stop: Callable[[], bool] | None) -> None:
    if stop and stop():
        raise _Stopped


class _Running:
    """Counts rows of a run for its progress callback."""

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self.rows_done = 0
        self._total = 0
        self._dataset = ""
        self._day = ""

    def begin(self, moves: list[PlannedMove]) -> None:
        """Add what was planned to the total."""
        self._total = self.rows_done + sum(planned.unit.row_count for planned in moves)

    def enter(self, planned: PlannedMove) -> None:
        """Note which unit is being moved."""
        self._dataset = planned.unit.dataset
        self._day = f"{moment(planned.unit.start_us):%Y-%m-%d}"

    def advance(self, rows: int) -> None:
        """Note that rows were moved."""
        self.rows_done += rows
        if self._progress:
            self._progress(
                Progress(self._dataset, self._day, self.rows_done, max(self._total, self.rows_done))
            )
