"""DataRetentionManager: plans and runs what happens to history, one mover a root; holds, certificates, proofs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import filelock

from hybridstore.archive.layout import ARCHIVES
from hybridstore.archive.leases import live_leases
from hybridstore.archive.reading import FileVerifier
from hybridstore.config import RetentionPolicy
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories
from hybridstore.errors import StoreBusy, StoreCorrupt, UnknownDataset
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.retention.audit import AuditEntry
from hybridstore.retention.certificates import Certificate, certificates
from hybridstore.retention.deleter import count_due
from hybridstore.retention.deletion import PlannedDeletion
from hybridstore.retention.erasure import Eraser, Erasure
from hybridstore.retention.holds import EVERY_DATASET, Hold, place_hold, release_hold
from hybridstore.retention.merging import PlannedMerge
from hybridstore.retention.mover import Mover
from hybridstore.retention.plans import Plans
from hybridstore.retention.policy import PlannedMove, Unit, policies_by_dataset
from hybridstore.retention.progress import MoveReport, OnStep, Progress, Running
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.round import Round
from hybridstore.retention.steps import Move
from hybridstore.retention.sweep import SWEEP_GRACE_S, doubt, sweep
from hybridstore.retention.trusted_clock import Trust, confirm_clock, keep_trust, read_trust
from hybridstore.retention.verification import audit_problem, read_kept
from hybridstore.schema.types import check_timestamp, moment

LOCK_NAME = ".mover.lock"
FOR_EVER_US = 1 << 62
"""The end of a hold that names none, us UTC."""


class DataRetentionManager:
    """Moves between tiers of one store.

    Args:
        database: The open store.
        policies: Configured policies; a dataset without one keeps its declaration's default.
    """

    def __init__(self, database: DatabaseManager, policies: Iterable[RetentionPolicy] = ()) -> None:
        self._database = database
        self._configured = tuple(policies)

    def _plans(self, now_us: int | None = None) -> Plans:
        policies = policies_by_dataset(self._database.registry.tiered, self._configured)
        return Plans(self._database, policies, now_us)

    def units(self) -> list[Unit]:
        """Return what the hot store holds, by dataset and UTC day, one snapshot a dataset.

        Returns:
            Units with at least one row that may leave.
        """
        return self._plans().units()

    def plan(self, now_us: int | None = None) -> list[PlannedMove]:
        """Say what would move now, and why.

        Args:
            now_us: The present, us UTC; None means the store's clock.

        Returns:
            Moves, oldest first.
        """
        return self._plans(now_us).moves()

    def plan_merges(self, now_us: int | None = None) -> list[PlannedMerge]:
        """Say which archived files would become one now, and why.

        Args:
            now_us: The present, us UTC; None means the store's clock.

        Returns:
            Merges, oldest period first.
        """
        return self._plans(now_us).merges(read_trust(self._database))

    def plan_deletions(self, now_us: int | None = None) -> list[PlannedDeletion]:
        """Say which archived rows would be deleted now, and why.

        Args:
            now_us: The present, us UTC; a time that is later than the store's clock, or than what of it is to be
                believed, makes nothing older. None means the store's clock.

        Returns:
            Deletions, oldest rows first.
        """
        return self._plans(now_us).deletions(read_trust(self._database))

    def rows_to_delete(self, planned: PlannedDeletion) -> int:
        """Count the rows that a planned deletion would take.

        Args:
            planned: The deletion.

        Returns:
            How many.

        Raises:
            ArchiveCorrupt: The file is missing or changed.
        """
        return count_due(self._database, planned)

    def run(
        self,
        now_us: int | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        on_step: OnStep | None = None,
        on_replace_step: OnStep | None = None,
        stop: Callable[[], bool] | None = None,
        wait_s: float = 0.0,
    ) -> MoveReport:
        """Finish what a crash left open, then move, delete and merge what is due. What fails does not stop the rest.

        Args:
            now_us: What the plan takes for the present, us UTC; None means the store's clock. Rows are deleted only
                when they are old enough by the store's clock, too.
            progress: Called as rows are moved.
            on_step: Called with the name of each step of each move.
            on_replace_step: Called with the name of each step of each merge, deletion and collection.
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
            adopt_new_datasets(self._database)
            return Round(
                self._database,
                self._plans(now_us),
                keep_trust(self._database),
                on_step=on_step,
                on_replace_step=on_replace_step,
                running=Running(progress),
                stop=stop,
            ).run()

    def sweep(self, grace_s: float = SWEEP_GRACE_S) -> list[Path]:
        """Remove files of moves that this store gave up. Files it knows nothing of may be another's: they stay.

        Args:
            grace_s: Only files older than this.

        Returns:
            What was removed.

        Raises:
            MoveFailed: The database may be an older copy, or another store's; nothing was removed.
        """
        return sweep(self._database, grace_s)

    def hold(
        self, dataset: str, start: object = None, end: object = None, *, reason: str, held_by: str
    ) -> Hold:
        """Place a legal hold: nothing deletes these rows until it is released.

        What a deletion took less than a day ago is brought back by the next run.

        Args:
            dataset: Whose rows; ``*`` means every tiered dataset, also those that are declared later.
            start: Rows from this moment on: an aware datetime, ISO 8601 text with a zone, or microseconds. None means
                from the beginning.
            end: Rows before this moment. None means for ever.
            reason: Why.
            held_by: By whose order.

        Returns:
            The hold as recorded.

        Raises:
            InvalidValue: A value does not fit.
            UnknownDataset: There is no such dataset, or it has no tiers.
        """
        if dataset != EVERY_DATASET and self._database.registry[dataset].tiering is None:
            raise UnknownDataset(
                f"{dataset} has no tiers: nothing deletes its rows",
                hint="name a tiered dataset, or * for all",
            )
        hold = Hold(
            hold_id=f"hold-{uuid.uuid4().hex[:12]}",
            dataset=dataset,
            start_us=0 if start is None else check_timestamp(start, "start"),
            end_us=FOR_EVER_US if end is None else check_timestamp(end, "end"),
            reason=reason,
            held_by=held_by,
        )
        return self._database.writer.call(place_hold, hold, durability="full")

    def release(self, hold_id: str, *, released_by: str) -> Hold:
        """End a legal hold.

        Args:
            hold_id: Which.
            released_by: By whose order.

        Returns:
            The hold as it ended.

        Raises:
            NotFound: There is no such hold, or it ended before.
        """
        return self._database.writer.call(release_hold, hold_id, released_by, durability="full")

    def holds(self, *, released: bool = False) -> list[Hold]:
        """Return legal holds.

        Args:
            released: Also those that ended.

        Returns:
            Oldest first.
        """
        name = "all_holds" if released else "active_holds"
        return [Hold(*row) for row in self._database.readers.rows(self._database.statements[name])]

    def erase(
        self,
        column: str,
        value: str,
        *,
        reason: str,
        ordered_by: str,
        datasets: Sequence[str] | None = None,
        dry_run: bool = False,
        wait_s: float = 0.0,
    ) -> Erasure:
        """Erase every row with a value in a column, for good: as the law may demand of all that belongs to an account.

        Hot rows, archived ones, their old versions and their keys go at once; the bytes of replaced files a day later.
        What is left of the books may not add up any more where only a part of an account is erased.

        Args:
            column: A NAME or TEXT column, for example ``account``.
            value: Its value.
            reason: Why; the audit log keeps it, with a hash of the value.
            ordered_by: By whose order.
            datasets: Only of these; None means of every dataset that has the column.
            dry_run: Only count.
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            What was erased, by dataset.

        Raises:
            Conflict: Some of it is under a legal hold; nothing was changed.
            InvalidValue: No dataset has such a column, or it is not said why or by whom.
            StoreBusy: Another process is moving rows of this store.
        """
        with self._only_mover(wait_s):
            adopt_new_datasets(self._database)
            replacer = Replacer(self._database, keeps_finished=doubt(self._database) is not None)
            replacer.take_back()
            Mover(self._database).resume()  # what a move has claimed cannot be erased
            return Eraser(self._database, replacer).erase(
                column, value, datasets=datasets, reason=reason, ordered_by=ordered_by, dry_run=dry_run
            )

    def certificates(self) -> list[Certificate]:
        """Return what was deleted by policy.

        Returns:
            A certificate for each deletion, oldest first.
        """
        return certificates(self.history())

    def clock(self) -> Trust:
        """Say whether the store's clock is believed; if not, nothing is deleted that was not old enough before.

        Returns:
            The latest time that is believed, and what is in doubt.
        """
        return read_trust(self._database)

    def clock_doubt(self) -> str | None:
        """Say why something is not deleted that would be by the clock.

        Returns:
            A sentence; None where the clock is believed, or nothing waits for it.
        """
        return self._plans().doubt(self.clock())

    def confirm_clock(self, confirmed_by: str) -> Trust:
        """Confirm that the clock is right although it leapt; the audit log says who did.

        Args:
            confirmed_by: Who looked.

        Returns:
            The clock's time.
        """
        return confirm_clock(self._database, confirmed_by)

    def status(self) -> dict[str, Any]:
        """Return the condition of the tiers.

        Returns:
            due_rows: rows that are old enough to move now; due_merges: merges that are due; open_moves: moves that a
            crash or a running mover has open, as {move_id, dataset, day, state}; archived: by dataset {files, rows,
            size_bytes}; tiers: the same by dataset and tier; replaced_files: files that are to be deleted after their
            grace; due_deletions: files of which rows are older than their policy keeps; holds: legal holds in force;
            clock_doubt: why nothing more is deleted, or None; leases: who keeps replaced files from being deleted (see
            LeaseFacts); audit_entries.
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
            "due_rows": sum(planned.row_count for planned in self.plan()),
            "due_merges": len(self.plan_merges()),
            "due_deletions": len(self.plan_deletions()),
            "holds": len(self.holds()),
            "clock_doubt": self.clock_doubt(),
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
            "leases": [lease.to_dict() for lease in live_leases(self._database.root)],
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
