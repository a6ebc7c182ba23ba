"""Continuous backup of one store: ships its log, makes full copies, proves and expires them, until it is told to stop.

Two threads: one looks at the log ten times a second and does nothing else; one does what takes long. A third copies
backups below a URL, where one is given: a network that does not answer keeps nothing else waiting.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from hybridstore.archive.leases import Lease, take_lease
from hybridstore.backup.archive_copies import ArchiveCopies, KeptFile, kept_files
from hybridstore.backup.condition import BackupCondition, read_condition, write_condition
from hybridstore.backup.drill import drill
from hybridstore.backup.expirer import expire
from hybridstore.backup.full import OnProgress, is_full_due, make_full, readable_fulls
from hybridstore.backup.healing import find_wounds, heal
from hybridstore.backup.log_reader import GapError
from hybridstore.backup.mirror import Mirror
from hybridstore.backup.repository import Repository
from hybridstore.backup.requests import answer_request, open_requests
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import Clock
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.errors import (
    BackupCorrupt,
    BackupError,
    HybridStoreError,
    StoreBusy,
    StoreCorrupt,
    StoreMoved,
)

_TELL_EVERY_S = 1.0
_ARCHIVES_EVERY_S = 10.0
_RETRY_S = 1.0
_RETRY_MAX_S = 30.0
_SHIP_WAIT_S = 60.0
_COPIER_WAIT_S = 10.0
_LEASE_DAYS = 2.0
_LEASE_EVERY_S = 3600.0
_SCRUB_EVERY_S = 86_400.0
"""A file whose content went bad is found within so long, or by who reads it."""

OnError = Callable[[Exception], None]


class BackupService:
    """Continuous backup of one store.

    Args:
        config: The store's settings.
        backup: Settings of its backups.
        clock: Where the time comes from.
        stop: Ends it when set.
        on_error: Called with what failed; it is tried again.
        on_gap: Called with a sentence where a chain could not be continued.
        progress: Called as full copies are made.
        archives_every_s: Seconds between two looks at what is to be done beside shipping.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        backup: BackupConfig,
        clock: Clock,
        stop: threading.Event,
        *,
        on_error: OnError,
        on_gap: Callable[[str], None],
        progress: OnProgress | None = None,
        archives_every_s: float = _ARCHIVES_EVERY_S,
    ) -> None:
        self._config = config
        self._backup = backup
        self._clock = clock
        self._stop = stop
        self._on_error = on_error
        self._on_gap = on_gap
        self._progress = progress
        self._repository = Repository(backup.base(config.root))
        self._copies = ArchiveCopies(self._repository.base)
        self._telling = threading.Lock()
        self._shipped = threading.Condition()
        self._condition = BackupCondition(os.getpid())
        self._told_s = 0.0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._busy = False
        self._looks = 0
        self._archives_every_s = archives_every_s
        self._looked_s = self._leased_s = -_LEASE_EVERY_S
        self._scrubbed_s = -_SCRUB_EVERY_S
        self._lease: Lease | None = None
        self._thread = threading.Thread(target=self._run, name="hybridstore-backup", daemon=True)
        self._worker = threading.Thread(target=self._do_work, name="hybridstore-backup-work", daemon=True)
        self._copier: threading.Thread | None = None
        if backup.mirror_url is not None:
            self._copier = threading.Thread(
                target=self._copy, args=(backup.mirror_url,), name="hybridstore-backup-mirror", daemon=True
            )

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._worker.start()
        if self._copier is not None:
            self._copier.start()

    def close(self) -> None:
        """Wait for the end; ``stop`` must be set."""
        self._thread.join()
        self._work.put(None)
        self._worker.join()
        if self._copier is not None:
            self._copier.join(_COPIER_WAIT_S)  # an object is there as a whole or not at all
        if self._lease is not None:
            self._lease.release()

    # -- the thread that ships ----------------------------------------------------------------------------------

    def _run(self) -> None:
        earlier = read_condition(self._repository.base)
        if earlier is not None:  # what was proven stays proven
            self._condition = earlier.proven_in(self._condition)
        delay_s = _RETRY_S
        while not self._stop.is_set():
            try:
                if self._config.path.exists():  # a backup never creates a store
                    self._ship()
                    delay_s = _RETRY_S
            except StoreBusy as error:  # another process ships, maybe for a moment only: it is done there
                self._tell(error=str(error), quietly=True)
                delay_s = _RETRY_S
            except Exception as error:  # noqa: BLE001  whatever it is: told, and tried again
                self._fail(error)
            self._stop.wait(delay_s)
            delay_s = min(2 * delay_s, _RETRY_MAX_S)

    def _ship(self) -> None:
        """Ship until told to stop, or until the log cannot be followed any more."""
        shipper = Shipper(self._config, self._backup, self._repository, self._clock, self._note_gap)
        try:
            pause_s = self._backup.poll_interval_ms / 1000
            while not self._stop.wait(pause_s):
                try:
                    self._look(shipper)
                    pause_s = self._backup.poll_interval_ms / 1000
                except (GapError, StoreMoved, StoreCorrupt):
                    raise
                except HybridStoreError as error:  # the backup's device: the log waits, nothing is lost
                    self._fail(error)
                    pause_s = _RETRY_S
            with suppress(HybridStoreError):
                self._look(shipper)
                shipper.roll()
        finally:
            shipper.close()
            self._tell(now=True)

    def _look(self, shipper: Shipper) -> None:
        frames = shipper.poll()
        now_us, row = self._clock.now_us(), shipper.clock_row
        lag_ms = max(now_us - row.ts_us, 0) / 1000 if frames else self._condition.lag_ms
        with self._shipped:
            self._tell(
                epoch=shipper.epoch,
                seq=row.seq,
                ts_us=row.ts_us,
                polled_us=now_us,
                frames=self._condition.frames + frames,
                lag_ms=lag_ms,
                error=None,
            )
            self._looks += 1
            self._shipped.notify_all()
        if not self._busy:
            self._give_work()

    def _note_gap(self, said: str) -> None:
        self._tell(gap=said, now=True)
        self._on_gap(said)

    # -- the thread that works ----------------------------------------------------------------------------------

    def _give_work(self) -> None:
        """Have done what is due, one thing after the other."""
        due_s = time.monotonic() - self._looked_s
        if due_s < self._archives_every_s and not open_requests(self._repository.base):
            return
        self._looked_s = time.monotonic()
        self._busy = True
        self._work.put(self._work_once)

    def _do_work(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  whatever it is: told, and tried again
                self._fail(error, "work_error")
            else:
                self._tell(work_error=None)
            finally:
                self._busy = False

    def _work_once(self) -> None:
        asked = open_requests(self._repository.base)
        epoch = self._condition.epoch
        due = is_full_due(self._repository, self._backup, self._clock.now_us())
        failed: HybridStoreError | None = None
        try:
            self._keep_archives()
        except HybridStoreError as error:  # one file that is damaged keeps nothing else from being backed up
            failed = error
        if due or asked:
            self._make_full(epoch)
            expire(self._repository, self._backup.keep_full_backups_days, self._clock.now_us())
        for request in asked:
            answer_request(request)
        if failed is not None:
            raise failed

    def _make_full(self, epoch: int) -> None:
        now_us = self._clock.now_us()
        if self._backup.verify_backups and readable_fulls(self._repository, epoch):
            try:
                full = drill(
                    self._config,
                    self._backup,
                    self._repository,
                    epoch,
                    now_us,
                    self._wait_until_shipped,
                    self._progress,
                )
            except (
                BackupError
            ) as error:  # told; and a copy of the store itself begins anew, whatever is damaged
                self._fail(error, "work_error")
            else:
                self._tell(proven_us=now_us, proven_seq=full.seq, now=True)
                return
        make_full(self._config, self._backup, self._repository, epoch, now_us, self._progress)

    def _wait_until_shipped(self) -> None:
        """Wait until everything that was committed before the call is in the backups."""
        end_s = time.monotonic() + _SHIP_WAIT_S
        with self._shipped:
            looks = self._looks + 2  # the next one may have begun before the call
            while self._looks < looks:
                if self._stop.is_set() or time.monotonic() > end_s:
                    raise BackupError(
                        f"the log was not shipped in {_SHIP_WAIT_S:g} s", operation="prove the backups"
                    )
                self._shipped.wait(0.5)

    def _keep_archives(self) -> None:
        """Copy archived files that have no copy yet; a lease keeps those of this moment until then."""
        root, now_us = self._config.root, self._clock.now_us()
        seq, files = kept_files(self._config)
        if time.monotonic() - self._leased_s >= _LEASE_EVERY_S:
            lease = take_lease(root, seq, "backup", days_max=_LEASE_DAYS)
            if self._lease is not None:
                self._lease.release()
            self._lease, self._leased_s = lease, time.monotonic()
        try:
            self._copies.keep_missing(root, files, stop=self._stop.is_set)
            if not self._stop.is_set():  # else some may have no copy yet
                self._copies.note_gone(files, now_us)
                self._tell(archives_us=now_us)
        finally:
            self._heal(files)

    def _heal(self, files: Sequence[KeptFile]) -> None:
        """Put back what is gone; once a day every file is read for it."""
        thorough = time.monotonic() - self._scrubbed_s >= _SCRUB_EVERY_S
        if thorough:
            self._scrubbed_s = time.monotonic()
        wounds = find_wounds(self._config, self._copies, files, thorough=thorough, stop=self._stop.is_set)
        failed: BackupCorrupt | None = None
        for wound in heal(self._config, self._clock, self._copies, wounds):
            failed = failed or wound.error
            if wound.is_healed:
                self._on_gap(f"{wound.file.path} was {wound.wrong} and is put back from the backups")
        if failed is not None:
            raise failed

    # -- the thread that copies ---------------------------------------------------------------------------------

    def _copy(self, url: str) -> None:
        mirror: Mirror | None = None
        pause_s = self._archives_every_s
        while not self._stop.wait(pause_s):
            pause_s = self._archives_every_s
            now_us = self._clock.now_us()
            try:
                # Here, for a URL that cannot be used must not keep the store from being backed up.
                mirror = mirror or Mirror(self._repository, url)
                if mirror.sync(now_us, self._stop.is_set).finished:
                    self._tell(mirrored_us=now_us, mirror_error=None)
            except Exception as error:  # noqa: BLE001  whatever it is: told, and tried again
                self._fail(error, "mirror_error")
                pause_s = max(_RETRY_MAX_S, pause_s)

    # -- what is told -------------------------------------------------------------------------------------------

    def _fail(self, error: Exception, field: str = "error") -> None:
        said = f"{type(error).__name__}: {error}"
        is_new = getattr(self._condition, field) != said  # once, not ten times a second
        changes: dict[str, Any] = {field: said}
        self._tell(now=True, **changes)  # first: who hears of it and asks for the status finds it there
        if is_new:
            self._on_error(error)

    def _tell(self, *, now: bool = False, quietly: bool = False, **changes: Any) -> None:
        with self._telling:
            self._condition = msgspec.structs.replace(self._condition, **changes)
            if quietly or (not now and time.monotonic() < self._told_s + _TELL_EVERY_S):
                return
            if self._repository.base.is_dir():  # before that nothing was told, and the next who tells does it
                self._told_s = time.monotonic()
                write_condition(self._repository.base, self._condition)
