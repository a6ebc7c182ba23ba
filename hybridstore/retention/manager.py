"""DataRetentionManager: plans and runs what happens to history, one mover a root; holds, certificates, proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.config import RetentionPolicy
from hybridstore.durable import telling_failures
from hybridstore.errors import StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.retention.deleter import count_due
from hybridstore.retention.deletion import PlannedDeletion
from hybridstore.retention.failures import Failures
from hybridstore.retention.kept import kept
from hybridstore.retention.merging import PlannedMerge
from hybridstore.retention.mover import Mover
from hybridstore.retention.offload import due_files
from hybridstore.retention.plans import Plans
from hybridstore.retention.policy import PlannedMove, Unit, policies_by_dataset
from hybridstore.retention.progress import MoveReport, OnStep, Progress, Running
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.rewriting_desk import RewritingDesk
from hybridstore.retention.round import Round
from hybridstore.retention.sweep import SWEEP_GRACE_S, doubt, sweep
from hybridstore.retention.trusted_clock import Trust, confirm_clock, keep_trust, read_trust
from hybridstore.retention.verification import audit_problem, prove_content, read_kept


class DataRetentionManager(RewritingDesk):
    """Moves between tiers of one store.

    Args:
        database: The open store.
        policies: Configured policies; a dataset without one keeps its declaration's default.
    """

    def __init__(self, database: DatabaseManager, policies: Iterable[RetentionPolicy] = ()) -> None:
        super().__init__(database)
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

    def plan_offloads(self) -> list[ArchiveFile]:
        """Say which archived files would be put into the object store now.

        Returns:
            Files, by dataset and time; none where no ``archive_url`` is set.
        """
        return due_files(self._database)

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
            on_replace_step: Called with the name of each step of each merge, deletion, collection and
                offload.
            stop: Asked after each step; True ends the run there. A move whose rows have begun to count is finished by
                the next run, one of which nothing counts yet is taken back.
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            What was done.

        Raises:
            StoreBusy: Another process is moving rows of this store.
            ArchiveError: Some rows could not be moved; everything else was.
            StorageFailure: The same: the device does not give a file, or takes none.
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

    def finish_open(self, *, wait_s: float = 0.0) -> tuple[int, int]:
        """Finish or take back what a crash left open, and begin nothing. A run does the same before all else.

        Args:
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            How many moves were finished, and how many moves, merges and deletions were taken back.

        Raises:
            StoreBusy: Another process is moving rows of this store.
            ArchiveError: A move could not be finished; the others were.
            StorageFailure: The same: the device does not give a file.
        """
        with self._only_mover(wait_s, "finish what was left open"):
            adopt_new_datasets(self._database)
            keeps, failures = doubt(self._database) is not None, Failures()
            opened = len(self._database.readers.rows(self._database.statements["open_moves"]))
            taken_back = Replacer(self._database, keeps_finished=keeps).take_back()
            finished = len(Mover(self._database, keeps_finished=keeps, failures=failures).resume())
            if failures.errors:
                raise failures.summary(f"{finished:,} moves were finished")
            return finished, taken_back + opened - finished

    def sweep(self, grace_s: float = SWEEP_GRACE_S) -> list[Path]:
        """Remove files of moves that this store gave up. Files it knows nothing of may be another's: they stay.

        Args:
            grace_s: Only files older than this.

        Returns:
            What was removed.

        Raises:
            MoveFailed: The database may be an older copy, or another store's; nothing was removed.
        """
        with telling_failures("sweep", self._database.root):
            return sweep(self._database, grace_s)

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
            clock_doubt: why nothing more is deleted, or None; due_offloads: files that are to be put into the object
            store; offloaded: {url: {files, size_bytes, here_bytes}} of those that are there, and how much of it has a
            copy here; leases: who keeps replaced files from being deleted (see
            LeaseFacts); audit_entries.
        """
        return {
            "due_rows": sum(planned.row_count for planned in self.plan()),
            "due_merges": len(self.plan_merges()),
            "due_deletions": len(self.plan_deletions()),
            "due_offloads": len(self.plan_offloads()),
            "holds": len(self.holds()),
            "clock_doubt": self.clock_doubt(),
            **kept(self._database),
        }

    def verify(self) -> int:
        """Prove the audit chain and hash every file of the manifest anew; see ``verification.examine`` for more.

        Returns:
            How many files there are.

        Raises:
            ArchiveCorrupt: A file is missing or changed.
            ArchiveUnreachable: An object store does not answer.
            StoreCorrupt: An entry of the audit log was changed, added or taken away.
        """
        books = read_kept(self._database)
        if (problem := audit_problem(books)) is not None:
            raise StoreCorrupt(
                f"the audit log is {problem}",
                path=str(self._database.path),
                hint="compare it with the audit log of a backup",
            )
        verifier = FileVerifier(self._database.root)
        for file in books.files:
            prove_content(verifier, file)
        return len(books.files)
