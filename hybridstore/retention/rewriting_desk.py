"""What rewrites history on somebody's order: erasure, and other names or wider types of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import filelock

from hybridstore.archive.layout import ARCHIVES
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories, telling_failures
from hybridstore.errors import StoreBusy
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.retention.deleter import Deleter
from hybridstore.retention.erasure import Eraser, Erasure
from hybridstore.retention.evolver import Evolution, Evolver
from hybridstore.retention.legal_desk import LegalDesk
from hybridstore.retention.mover import Mover
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.sweep import doubt
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.evolution import renamed, widened
from hybridstore.schema.types import LogicalType

LOCK_NAME = ".mover.lock"
OnRows = Callable[[int, int], None]
"""Called with rows done and rows in all."""


class RewritingDesk(LegalDesk):
    """Rewrites history of one store, one process at a time.

    Args:
        database: The open store.
    """

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
        with self._only_mover(wait_s, "erase"):
            adopt_new_datasets(self._database)
            replacer = Replacer(self._database, keeps_finished=doubt(self._database) is not None)
            replacer.take_back()
            Mover(self._database).resume()  # what a move has claimed cannot be erased
            if doubt(self._database) is None:  # rows that are held count, though they were deleted before
                Deleter(self._database, replacer).restore_held(self.holds())
            return Eraser(self._database, replacer).erase(
                column, value, datasets=datasets, reason=reason, ordered_by=ordered_by, dry_run=dry_run
            )

    def rename_column(
        self,
        dataset: str,
        old: str,
        new: str,
        *,
        dry_run: bool = False,
        progress: OnRows | None = None,
        wait_s: float = 0.0,
    ) -> Evolution:
        """Give a column of a user's dataset another name: in its table, its archived files and its old versions.

        Everything changes in one commit, after all files were written anew; until then nothing has. Programs that
        declare the dataset are stopped before and declare the new name afterwards.

        Args:
            dataset: The dataset.
            old: The column's name.
            new: Its new name.
            dry_run: Only say what there is to do.
            progress: Called with rows written anew and rows in all.
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            How much was written anew.

        Raises:
            InvalidValue: It is no dataset of a user, there is no such column, or it cannot have that name.
            Conflict: Rows of it that were just deleted could still be brought back.
            StoreBusy: Another process is moving rows of this store.
        """
        return self._evolve(dataset, lambda one: renamed(one, old, new), dry_run, progress, wait_s)

    def widen_column(
        self,
        dataset: str,
        column: str,
        kind: LogicalType | None = None,
        *,
        nullable: bool = False,
        dry_run: bool = False,
        progress: OnRows | None = None,
        wait_s: float = 0.0,
    ) -> Evolution:
        """Let a column of a user's dataset hold more: a NAME any TEXT, a BOOLEAN any INTEGER, or no value at all.

        See :meth:`rename_column`. Another scale is refused: stored values would be rounded, or mean something else.

        Args:
            dataset: The dataset.
            column: The column.
            kind: Its new type; None keeps it.
            nullable: Whether it may be absent from now on.
            dry_run: Only say what there is to do.
            progress: Called with rows written anew and rows in all.
            wait_s: How long to wait for another process that is moving rows.

        Returns:
            How much was written anew.

        Raises:
            InvalidValue: It is no dataset of a user, there is no such column, or it would not hold what it holds.
            Conflict: Rows of it that were just deleted could still be brought back.
            StoreBusy: Another process is moving rows of this store.
        """
        return self._evolve(
            dataset, lambda one: widened(one, column, kind, nullable=nullable), dry_run, progress, wait_s
        )

    def _evolve(
        self,
        dataset: str,
        change: Callable[[Dataset], Dataset],
        dry_run: bool,  # noqa: FBT001  both methods above have it by name
        progress: OnRows | None,
        wait_s: float,
    ) -> Evolution:
        with self._only_mover(wait_s, "change columns"):
            adopt_new_datasets(self._database)
            replacer = Replacer(self._database, keeps_finished=doubt(self._database) is not None)
            replacer.take_back()
            Mover(self._database).resume()  # what a move has begun is under the old declaration
            return Evolver(self._database, replacer).evolve(
                dataset, change, dry_run=dry_run, progress=progress
            )

    @contextmanager
    def _only_mover(self, wait_s: float, operation: str = "move") -> Iterator[None]:
        """Hold the root's mover lock, which is gone with the process; say in our words which file cannot be used."""
        root = self._database.root
        with telling_failures(operation, root):
            make_directories(root / ARCHIVES)
            lock = filelock.FileLock(root / LOCK_NAME, timeout=wait_s, mode=PRIVATE_FILE_MODE)
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise StoreBusy(
                    "another process is moving rows of this store",
                    operation=operation,
                    path=str(root),
                    hint="wait for it to finish; it is safe to run again",
                ) from error
            try:
                yield
            finally:
                lock.release()
