"""BackupManager: continuous backup, full copies, restores to any moment, proofs, expiry."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.claims import lock_repository
from hybridstore.backup.condition import BackupCondition, read_condition, write_condition
from hybridstore.backup.expirer import ExpiryReport, expire
from hybridstore.backup.full import OnProgress, make_full
from hybridstore.backup.healing import Wound, find_wounds, heal
from hybridstore.backup.in_place import restore_in_place
from hybridstore.backup.mirror import Mirror
from hybridstore.backup.pieces import Full
from hybridstore.backup.points import RestorePlan, RestorePoint, plan_restore, restore_points
from hybridstore.backup.repository import Repository, has_full
from hybridstore.backup.requests import have_full_made, wait_until_shipped
from hybridstore.backup.restore import RestoreResult, restore
from hybridstore.backup.service import BackupService
from hybridstore.backup.shipper import Shipper
from hybridstore.backup.target import Mark, add_mark, parse_target, read_marks
from hybridstore.backup.verification import BackupVerification, Level, verify_backups
from hybridstore.clock import Clock, SystemClock
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.errors import BackupCorrupt, InvalidValue, NotFound, StoreBusy
from hybridstore.hot.copying import live_position
from hybridstore.hot.shipped_mark import unmark_shipped

_log = logging.getLogger("hybridstore")
_WAIT_S = 3600.0


class BackupManager:
    """The backups of one store. It need not be open; whoever restores needs no store at all.

    Args:
        config: The store's settings.
        backup: Settings of its backups.
        clock: Where the time comes from; None means the machine's clock.
    """

    def __init__(
        self, config: DatabaseConfig, backup: BackupConfig | None = None, clock: Clock | None = None
    ) -> None:
        self.config = config
        self.backup = backup or BackupConfig()
        self.repository = Repository(self.backup.base(config.root))
        self._clock = clock or SystemClock()
        self._service: tuple[BackupService, threading.Event] | None = None

    @property
    def base(self) -> Path:
        """The folder of the backups."""
        return self.repository.base

    # -- making them --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Back up continuously, in threads of this process. A second call does nothing.

        A bot need not call it: its maintenance process does.
        """
        if self._service is None:
            stop = threading.Event()
            service = BackupService(
                self.config,
                self.backup,
                self._clock,
                stop,
                on_error=lambda error: _log.error("backup: %s", error),
                on_gap=lambda said: _log.warning("backup: %s", said),
            )
            service.start()
            self._service = service, stop

    def stop(self) -> None:
        """End continuous backup. What was committed is shipped first. A second call does nothing."""
        if self._service is not None:
            (service, stop), self._service = self._service, None
            stop.set()
            service.close()

    def create_full(self, progress: OnProgress | None = None, *, wait_s: float = _WAIT_S) -> Full:
        """Make a full backup now, archived files included. Where a process backs the store up, it does.

        Args:
            progress: Called with what is being done, how much of it is done, and how much there is.
            wait_s: How long to wait for that process.

        Returns:
            What is said of the copy.

        Raises:
            StorageFull: The backup's device is full.
            StoreError: The store cannot be read.
            BackupError: The process that backs it up did not make it in time; its words are in the message.
        """
        self._require_store()
        try:
            shipper = Shipper(self.config, self.backup, self.repository, self._clock, self._on_gap)
        except StoreBusy:
            return have_full_made(self.repository, wait_s)
        try:
            full = self._make_full(shipper, progress)
        finally:
            self._end(shipper)
        self.mirror()
        return full

    def begin_anew(self) -> None:
        """Let backups begin in a folder that is empty and held some before: they are gone for good.

        Without this call a ``backup_base_path`` that is empty is taken for the mount point of a disk that is not there.
        """
        unmark_shipped(self.config.root)

    def create_incremental(self) -> int:
        """Ship what was committed since the last backup. Where a process backs the store up, that is done already.

        Returns:
            Number of the last commit that is safe.

        Raises:
            StorageFull: The backup's device is full.
            StoreError: The store cannot be read.
        """
        seq = self._ship()
        self.mirror()
        return seq

    def mark(self, name: str) -> Mark:
        """Give the present a name, to restore it by.

        Args:
            name: Begins with a letter.

        Returns:
            The commit that has the name now; it is in the backups.

        Raises:
            InvalidValue: The name is none.
            Conflict: Another commit has it.
            StorageFull: The backup's device is full.
        """
        self._ship()
        position = live_position(self.config)
        self._ship()
        mark = Mark(name, self.repository.epochs()[-1].epoch, position.seq, position.ts_us)
        add_mark(self.base, mark)
        self.mirror()
        return mark

    def expire(self, *, dry_run: bool = False) -> ExpiryReport:
        """Delete what no moment of the last ``keep_full_backups_days`` needs.

        Args:
            dry_run: Only say what would be deleted.

        Returns:
            Each file, and why it is not needed.

        Raises:
            BackupCorrupt: A full copy that would be relied on is damaged; nothing was deleted.
            StoreBusy: Another process backs the store up: it does this by itself.
        """
        now_us, days = self._clock.now_us(), self.backup.keep_full_backups_days
        if dry_run:
            return expire(self.repository, days, now_us, dry_run=True)
        with lock_repository(self.repository):
            return expire(self.repository, days, now_us)

    def heal(
        self, *, dry_run: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> list[Wound]:
        """Put back every archived file that is gone or damaged and of which the backups have a copy.

        Whoever backs the store up does it by itself: at once for one that is gone, once a day for one that went bad.

        Args:
            dry_run: Only say what is wrong.
            progress: Called with how many files were read, and how many there are.

        Returns:
            Everything that was wrong, and whether it was put back.

        Raises:
            StorageFull: There is no space.
            StoreError: The store cannot be read.
        """
        self._require_store()
        copies, (_, files) = ArchiveCopies(self.base), kept_files(self.config)
        wounds = find_wounds(self.config, copies, files, thorough=True, on_file=progress)
        return wounds if dry_run else heal(self.config, self._clock, copies, wounds)

    def mirror(self) -> None:
        """Copy what is not there yet below ``mirror_url``, where one is set. Every other call does it last.

        Raises:
            ArchiveUnreachable: The store of objects did not answer; the backups themselves are made.
            BackupError: It does not keep the promises that backups need.
            ConfigError: The URL cannot be used.
        """
        if self.backup.mirror_url is None:
            return
        now_us = self._clock.now_us()
        try:
            lock_repository(self.repository).release()
            Mirror(self.repository, self.backup.mirror_url).sync(now_us)
        except StoreBusy:  # who backs the store up copies, too
            return
        except BackupCorrupt as error:  # of an older one; everything else was copied
            _log.warning("backup: %s", error)
            return
        if (condition := read_condition(self.base)) is not None:
            write_condition(self.base, msgspec.structs.replace(condition, mirrored_us=now_us))

    # -- using them ---------------------------------------------------------------------------------------------

    def restore(
        self,
        target: datetime | str | int,
        to: str | Path,
        *,
        inclusive: bool = True,
        progress: OnProgress | None = None,
    ) -> RestoreResult:
        """Put the whole store back as it was at a moment, into a new folder. The store itself is not touched.

        Args:
            target: An aware datetime, ISO 8601 text with a zone (to the microsecond), integer microseconds UTC, a
                commit's number, the name of a mark, or ``latest``.
            to: The folder; it does not exist or is empty.
            inclusive: Whether a commit of exactly that moment counts.
            progress: Called with what is being done, how much of it is done, and how much there is.

        Returns:
            What was put back; ``exact`` is False where the backups end before the moment.

        Raises:
            NotRestorable: The backups do not hold the moment.
            BackupCorrupt: A file that it needs is missing or damaged; nothing was put there.
            ConfigError: The folder is in use.
            StorageFull: There is no space.
        """
        parsed = parse_target(target, self._marks_for(target), inclusive=inclusive)
        return restore(self.repository, parsed, Path(to).absolute(), self.config, progress)

    def restore_in_place(
        self, target: datetime | str | int, *, inclusive: bool = True, progress: OnProgress | None = None
    ) -> tuple[RestoreResult, Path]:
        """Put the store back where it is. Nobody may have it open; what is there now is kept aside.

        Interrupted, it leaves a note that keeps everybody from opening the store; called again, it finishes.

        Args:
            target: See :meth:`restore`.
            inclusive: Whether a commit of exactly that moment counts.
            progress: Called with what is being done, how much of it is done, and how much there is.

        Returns:
            What was put back, and the folder with what was there before.

        Raises:
            StoreBusy: A process has the store open.
            NotRestorable: The backups do not hold the moment.
            BackupCorrupt: A file that it needs is missing or damaged; the store is as it was.
            StorageFull: There is no space.
        """
        parsed = parse_target(target, self._marks_for(target), inclusive=inclusive)
        return restore_in_place(self.repository, parsed, self.config, progress)

    def plan_restore(self, target: datetime | str | int, *, inclusive: bool = True) -> RestorePlan:
        """Say what a restore would use; nothing is written.

        Args:
            target: See :meth:`restore`.
            inclusive: Whether a commit of exactly that moment counts.

        Returns:
            The commit it would lead to, and from which files.

        Raises:
            NotRestorable: The backups do not hold the moment.
            BackupCorrupt: A file that it needs is missing or damaged.
        """
        parsed = parse_target(target, self._marks_for(target), inclusive=inclusive)
        return plan_restore(self.repository, parsed)

    def verify(
        self,
        level: Level = "chain",
        *,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> BackupVerification:
        """Prove the backups themselves. Nothing is changed.

        Args:
            level: ``files``: every file is what was written. ``chain``: also that every commit follows the one before.
                ``restore``: also that the latest moment can be restored, archived files included.
            progress: Called with the bytes read so far, and all there are.
            stop: Asked between files; True ends the proof there.

        Returns:
            What is wrong, each file named, and what can be restored for all that.
        """
        return verify_backups(self.repository, level, self.config, progress, stop)

    def restore_points(self) -> list[RestorePoint]:
        """Say which moments can be restored: one range a chain, oldest first."""
        return restore_points(self.repository)

    def marks(self) -> list[Mark]:
        """Return the commits that were given names, oldest first."""
        return read_marks(self.base)

    def status(self) -> dict[str, Any]:
        """Say how the backups are doing.

        Returns:
            See :func:`hybridstore.backup.status.backup_status`.
        """
        from hybridstore.backup.status import backup_status

        return backup_status(self.repository, self._clock.now_us())

    # -- parts --------------------------------------------------------------------------------------------------

    def _ship(self) -> int:
        """Ship what is committed now; return the last commit that is safe."""
        self._require_store()
        try:
            shipper = Shipper(self.config, self.backup, self.repository, self._clock, self._on_gap)
        except StoreBusy:
            seq = wait_until_shipped(self.config, self.repository)
            if not has_full(self.repository, self.repository.epochs()[-1].epoch):
                have_full_made(self.repository, _WAIT_S)  # of a chain that was begun just now
            return seq
        try:
            if not has_full(self.repository, shipper.epoch):  # of a chain that was begun just now
                self._make_full(shipper, None)
            else:
                shipper.poll()
                shipper.roll()
                self._keep_archives(None)
            return shipper.clock_row.seq
        finally:
            self._end(shipper)

    def _make_full(self, shipper: Shipper, progress: OnProgress | None) -> Full:
        shipper.poll()
        self._keep_archives(progress)
        now_us = self._clock.now_us()
        full = make_full(self.config, self.backup, self.repository, shipper.epoch, now_us, progress)
        shipper.poll()
        shipper.roll()
        return full

    def _end(self, shipper: Shipper) -> None:
        """Say how far it came, and close it."""
        row, earlier = shipper.clock_row, read_condition(self.base)
        condition = BackupCondition(
            os.getpid(), shipper.epoch, row.seq, row.ts_us, polled_us=self._clock.now_us()
        )
        if earlier is not None:
            condition = earlier.proven_in(condition)
        shipper.close()
        write_condition(self.base, condition)

    def _marks_for(self, target: datetime | str | int) -> list[Mark]:
        """Return the marks where the target may be one: a damaged list of them keeps no time from being restored."""
        try:
            parse_target(target)
        except InvalidValue:
            return read_marks(self.base)
        return []

    def _require_store(self) -> None:
        if not self.config.path.exists():
            raise NotFound("there is no store here", operation="back up", path=str(self.config.path))

    def _on_gap(self, said: str) -> None:
        _log.warning("backup: %s", said)

    def _keep_archives(self, progress: OnProgress | None) -> None:
        copies = ArchiveCopies(self.base)
        _, files = kept_files(self.config)
        told = None if progress is None else partial(progress, "archives")
        copies.keep_missing(self.config.root, files, told)
        copies.note_gone(files, self._clock.now_us())
