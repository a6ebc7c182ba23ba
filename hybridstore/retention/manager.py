"""DataRetentionManager: plans and runs moves, one mover a root, and sweeps what crashes left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import filelock

from hybridstore.archive.layout import ARCHIVES
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories
from hybridstore.errors import ArchiveError, MoveFailed, StoreBusy, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.retention.audit import AuditEntry
from hybridstore.retention.merger import Merger
from hybridstore.retention.merging import PlannedMerge, plan_merges
from hybridstore.retention.mover import Mover, needs_several_files
from hybridstore.retention.policy import PlannedMove, Unit, plan, policies_by_dataset
from hybridstore.retention.progress import (
    Done,
    MoveReport,
    OnStep,
    Progress,
    Running,
    Stopped,
    check_stop,
    stoppable,
)
from hybridstore.retention.steps import Move, record
from hybridstore.retention.sweep import SWEEP_GRACE_S, doubt, find_leftovers
from hybridstore.retention.verification import audit_problem, read_kept
from hybridstore.schema.types import moment

LOCK_NAME = ".mover.lock"


_ROUNDS_MAX = 3
"""How often a run looks for what was recorded meanwhile; else it would never end while somebody tells an old history.
Of a unit too large for one file it moves all."""


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

    def plan_merges(self, now_us: int | None = None) -> list[PlannedMerge]:
        """Say which archived files would become one now, and why.

        Args:
            now_us: The present, us UTC; None means the store's clock.

        Returns:
            Merges, oldest period first.
        """
        policies = policies_by_dataset(self._database.registry.tiered, self._configured)
        now_us = self._database.clock.now_us() if now_us is None else now_us
        return plan_merges(Merger(self._database).files(), policies, now_us)

    def run(
        self,
        now_us: int | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        on_step: OnStep | None = None,
        on_merge_step: OnStep | None = None,
        stop: Callable[[], bool] | None = None,
        wait_s: float = 0.0,
    ) -> MoveReport:
        """Finish what a crash left open, then move and merge what is due. What cannot be moved does not stop the rest.

        Args:
            now_us: What the plan takes for the present, us UTC; None means the store's clock.
            progress: Called as rows are moved.
            on_step: Called with the name of each step of each move.
            on_merge_step: Called with the name of each step of each merge.
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
            state, done = Running(progress), Done()
            is_certain = doubt(self._database) is None
            mover = Mover(
                self._database, stoppable(on_step, stop), state.advance, keeps_finished=not is_certain
            )
            merger = Merger(self._database, stoppable(on_merge_step, stop), keeps_finished=not is_certain)
            try:
                merger.take_back()
                done.resumed += len(mover.resume())
                self._move_due(mover, state, done, now_us, stop)
                done.moving_s = time.monotonic() - begun_s
                self._merge_due(merger, mover, done, now_us, stop)
                if is_certain:
                    done.swept += len(self.sweep())
                    done.collected += len(merger.collect(self._database.clock.now_us()))
                done.strange += len(find_leftovers(self._database).strange)
                done.complete = True
            except Stopped:
                mover.take_back_claims()
        if mover.failures:
            raise _failed(mover.failures, state.rows_done)
        return done.report(state.rows_done, time.monotonic() - begun_s, mover.locked_ms)

    def _move_due(
        self,
        mover: Mover,
        state: Running,
        done: Done,
        now_us: int | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        moves, rounds = self._due(mover, now_us), 1
        while moves:
            state.begin(moves)
            for planned in moves:
                check_stop(stop)
                state.enter(planned)
                with mover.noting(planned.unit.dataset, planned.unit.start_us):
                    done.note_move(mover.move(planned))
            large = {one.unit[:2] for one in moves if needs_several_files(one)}
            moves = self._due(mover, now_us)
            if rounds >= _ROUNDS_MAX:
                moves = [one for one in moves if one.unit[:2] in large]
            rounds += 1

    def _merge_due(
        self,
        merger: Merger,
        mover: Mover,
        done: Done,
        now_us: int | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        """Do every merge that is due, planned anew until there are none but those that failed."""
        while planned := [
            one for one in self.plan_merges(now_us) if mover.may_merge(one.dataset, one.files[0].file_id)
        ]:
            for one in planned:
                check_stop(stop)
                with mover.noting(one.dataset, one.files[0].file_id):
                    merger.merge(one)
                    done.note_merge(one)

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
            due_rows: rows that are old enough to move now; due_merges: merges that are due; open_moves: moves that a
            crash or a running mover has open, as {move_id, dataset, day, state}; archived: by dataset {files, rows,
            size_bytes}; tiers: the same by dataset and tier; replaced_files: files that are to be deleted after their
            grace; audit_entries.
        """
        statements = self._database.statements
        with self._database.readers.transaction() as transaction:
            moves = [Move(*row) for row in transaction.rows(statements["open_moves"])]
            tiers = transaction.rows(statements["archived_by_dataset_and_tier"])
            last = transaction.rows(statements["last_audit_entry"])
            replaced = transaction.rows(statements["replaced_files_left"])[0][0]
        archived: dict[str, dict[str, int]] = {}
        by_tier: dict[str, dict[str, dict[str, int]]] = {}
        for dataset, tier, files, rows, size_bytes in tiers:
            by_tier.setdefault(dataset, {})[tier] = {"files": files, "rows": rows, "size_bytes": size_bytes}
            sums = archived.setdefault(dataset, {"files": 0, "rows": 0, "size_bytes": 0})
            for name, value in (("files", files), ("rows", rows), ("size_bytes", size_bytes)):
                sums[name] += value
        return {
            "due_rows": sum(planned.unit.row_count for planned in self.plan()),
            "due_merges": len(self.plan_merges()),
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
            "tiers": by_tier,
            "replaced_files": replaced,
            "audit_entries": last[0][0] if last else 0,
        }

    def history(self, last: int | None = None) -> list[AuditEntry]:
        """Return what was done to history, oldest first.

        Args:
            last: Only so many of the newest entries; None means all.

        Returns:
            Entries of the audit log.
        """
        rows = self._database.readers.rows(self._database.statements["audit_entries"])
        return [AuditEntry(*row) for row in rows[-last if last else 0 :]]

    def verify(self) -> int:
        """Prove the audit chain and hash every file of the manifest anew; see ``verification.examine`` for more.

        Returns:
            How many files there are.

        Raises:
            ArchiveCorrupt: A file is missing or changed.
            StoreCorrupt: An entry of the audit log was changed, added or taken away.
        """
        kept = read_kept(self._database)
        if (problem := audit_problem(kept)) is not None:
            raise StoreCorrupt(
                f"the audit log is {problem}",
                path=str(self._database.path),
                hint="compare it with the audit log of a backup",
            )
        FileVerifier(self._database.root).paths(kept.files)
        return len(kept.files)

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
