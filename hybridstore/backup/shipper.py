"""Copies every commit of a running store out of its write-ahead log, as it is made. One shipper a store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import filelock
import msgspec

from hybridstore.backup.batch import encode, join
from hybridstore.backup.commits import Clock, ClockRow
from hybridstore.backup.framing import decode_records, encode_head
from hybridstore.backup.log_reader import GapError, LogReader, place_now, prove_place
from hybridstore.backup.newest import Newest, NewestFile
from hybridstore.backup.pieces import NO_SHA256, Epoch, Segment, Tail, sha256_of
from hybridstore.backup.repository import LOCK_NAME, Found, Repository
from hybridstore.backup.tail import TailFile
from hybridstore.clock import Clock as TimeSource
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories, telling_failures
from hybridstore.errors import BackupCorrupt, StoreBusy
from hybridstore.hot.log_pin import LogPin
from hybridstore.hot.shipped_mark import mark_shipped

_LEVEL = 3
_MIB = 1 << 20
SEGMENT_MAX_BYTES = 32 * _MIB
"""From this size on a tail becomes a segment, before compression."""
_HOLD_WAIT_MS = 50
_HOLD_EVERY_S = 1.0


class Shipper:
    """Ships the log of one store. Used by one thread.

    Args:
        config: The store's settings; the store exists.
        backup: Settings of its backups.
        repository: Where to.
        clock: Where the time comes from.
        on_gap: Called with a sentence where commits are missing between two chains.

    Raises:
        StoreBusy: Another process ships this store, or writes to this folder.
        ConfigError: The folder holds another store's backups.
        StoreError: The store cannot be read.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        backup: BackupConfig,
        repository: Repository,
        clock: TimeSource,
        on_gap: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._backup = backup
        self._repository = repository
        self._clock = clock
        self._on_gap = on_gap or (lambda _said: None)
        self._held_s = self._tail_begun_s = time.monotonic()
        self._last_safe = ClockRow(0, 0)
        self.holds_ms: list[float] = []
        """How long writers were held each time, ms."""
        self._newest = NewestFile(repository.base)
        self._unsure: set[Path] = set()
        self._lock = lock_repository(repository)
        try:
            self._pin = LogPin(config)
            try:
                self._mark = self._pin.position.mark
                repository.claim(self._mark.hex())
                with telling_failures("begin to ship", repository.base):
                    self._begin()
            except BaseException:
                self._newest.close()
                self._pin.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    @property
    def epoch(self) -> int:
        """The chain that is being written."""
        return self._epoch

    @property
    def clock_row(self) -> ClockRow:
        """The last commit that is safe."""
        return self._reader.clock.row

    def close(self) -> None:
        """Stop. The log stays as it is, for the next shipper to go on."""
        self._tail.close()
        self._newest.close()
        self._pin.close()
        self._lock.release()

    def poll(self) -> int:
        """Ship what was committed since the last call, then let the log be copied back and begin anew.

        Returns:
            How many frames were shipped.

        Raises:
            StorageFull: The backup's device is full; the next call tries again, and nothing is lost meanwhile.
            StorageFailure: The backup cannot be written.
            StoreMoved: The store's files were replaced.
            StoreCorrupt: The log is damaged.
        """
        self._pin.check_files()
        shipped = self._ship()
        backup = self._backup
        interval_s = min(backup.segment_interval_s, backup.incremental_backup_interval_hours * 3600)
        if time.monotonic() - self._tail_begun_s >= interval_s:
            self.roll()
        self._let_go()
        return shipped

    def roll(self) -> Segment | None:
        """Make a segment of the tail.

        Returns:
            The segment; None where there was nothing.

        Raises:
            StorageFull: The backup's device is full.
            StorageFailure: It cannot be written.
        """
        tail = self._tail
        if tail.is_empty:
            return None
        segment = self._make_segment(tail)
        self._start_tail(segment.number + 1, segment.sha256)
        tail.remove()
        return segment

    # -- where to go on -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Go on where the last shipper stopped, or begin a new chain and say why."""
        self._repository.sweep()
        try:
            epochs = self._repository.epochs()
        except BackupCorrupt as error:  # a store that is not backed up any more would be worse
            epochs = self._repository.rebuild_epochs(self._mark.hex())
            self._on_gap(f"the list of chains was damaged and made anew: {error.message}")
        if epochs:
            self._repository.mend_epochs(epochs)
        if not epochs:
            self._begin_epoch(self._next_epoch(1, "the first"))
        elif all(found.named.epoch < len(epochs) for found in self._repository.files()):
            self._begin_epoch(epochs[-1])  # its beginning failed before there was anything in it
        else:
            try:
                self._resume(len(epochs))
            except (BackupCorrupt, GapError) as error:
                self._begin_epoch(self._next_epoch(len(epochs) + 1, error.message))
        self._tell_newest()
        with telling_failures("begin to ship", self._config.root):
            said = {"to": str(self._repository.base), "epoch": self.epoch}
            mark_shipped(self._config.root, msgspec.json.encode(said))

    def _resume(self, epoch: int) -> None:
        ours = [found for found in self._repository.files() if found.named.epoch == epoch]
        last = self._last_segment(ours)
        number, previous = (last.number + 1, last.sha256) if last else (0, NO_SHA256)
        tail: TailFile | None = None
        for found in ours:
            if found.named.kind == "tail" and found.named.number == number:
                with suppress(BackupCorrupt) if last else nullcontext():  # the log may still hold all of it
                    tail = self._reopen(found)
        if last is not None and tail is None and (longer := self._longer_tail(ours, last)) is not None:
            tail = longer
        elif last is not None:
            self._remove(ours, "tail", last.number)  # segments hold what they held
        if tail is None and last is None:
            raise BackupCorrupt("the newest segments of the last chain of backups are missing")
        if tail is not None:
            place, row = tail.end, _last_commit(tail)
        else:
            assert last is not None
            place, row = last.end, ClockRow(last.seq_last, last.ts_last_us)
        self._last_safe = row
        prove_place(self._pin, self._config.path, place)
        self._reader = LogReader(self._pin, self._config.path, self._mark, place, Clock(row))
        if tail is not None:
            self._tail, self._epoch = tail, epoch
        else:
            self._epoch = epoch
            self._start_tail(number, previous)

    def _last_segment(self, ours: list[Found]) -> Segment | None:
        segments = [found for found in ours if found.named.kind == "segment"]
        newest = [found for found in segments if found.named.number == segments[-1].named.number]
        # Where the device failed as one was written, another may have been made of the same tail, which had grown.
        heads = [self._repository.read_segment(found.path) for found in newest]
        return max(heads, key=lambda head: head.frames, default=None)

    def _longer_tail(self, ours: list[Found], last: Segment) -> TailFile | None:
        """Return the tail of a segment, where it grew after the device failed as the segment was written."""
        for found in ours:
            if found.named.kind == "tail" and found.named.number == last.number:
                with suppress(BackupCorrupt):
                    tail = self._reopen(found)
                    if tail.frames > last.frames:
                        self._remove(ours, "segment", last.number, last.number)
                        return tail
        return None

    def _remove(self, ours: list[Found], kind: str, upto: int, since: int = 0) -> None:
        for found in ours:
            if found.named.kind == kind and since <= found.named.number <= upto:
                found.path.unlink(missing_ok=True)

    def _reopen(self, found: Found) -> TailFile:
        head, body = self._repository.read_tail(found.path)
        records, _ = decode_records(body)
        return TailFile(self._repository.base, head, records)

    def _next_epoch(self, number: int, reason: str) -> Epoch:
        known = self._last_safe
        epoch = Epoch(number, self._mark.hex(), self._clock.now_us(), reason, known.seq, known.ts_us)
        self._repository.add_epoch(epoch)
        return epoch

    def _begin_epoch(self, epoch: Epoch) -> None:
        found = place_now(self._pin, self._config.path, self._mark)
        if found is None:
            self._pin.begin_log(self._clock.now_us())
            found = place_now(self._pin, self._config.path, self._mark)
            assert found is not None, (
                "a log that was begun, and cannot begin anew under the pin, is not empty"
            )
        place, clock = found
        self._reader = LogReader(self._pin, self._config.path, self._mark, place, clock)
        self._epoch = epoch.epoch
        self._start_tail(0, NO_SHA256)
        self._tail.flush()  # empty as it is: it says where the next shipper goes on
        if epoch.epoch > 1:
            ended = f"; the one before ends with commit {epoch.seq}" if epoch.seq else ""
            self._on_gap(f"backups begin a new chain with commit {clock.row.seq}: {epoch.reason}{ended}")

    def _start_tail(self, number: int, previous: str) -> None:
        row = self._reader.clock.row
        head = Tail(
            store=self._mark.hex(),
            epoch=self._epoch,
            number=number,
            previous=previous,
            created_us=self._clock.now_us(),
            seq_before=row.seq,
            ts_before_us=row.ts_us,
            page_bytes=self._pin.page_bytes,
            begin=self._reader.position,
        )
        self._tail = TailFile(self._repository.base, head)

    # -- one look -----------------------------------------------------------------------------------------------

    def _ship(self) -> int:
        shipped = 0
        for read in self._reader.read():
            if (
                self._tail.raw_bytes >= SEGMENT_MAX_BYTES
            ):  # before more of it: no file becomes too large to be read
                self.roll()
            if self._tail.is_empty:
                self._tail_begun_s = time.monotonic()
            self._tail.add(read.batch, read.end)
            self._tail.flush()
            self._reader.advance(read)
            self._tell_newest()
            shipped += len(read.batch.numbers)
        return shipped

    def _tell_newest(self) -> None:
        self._newest.write(Newest(self._epoch, *self._reader.clock.row))

    def _make_segment(self, tail: TailFile) -> Segment:
        batch, head, row = join(tail.batches()), tail.head, self._reader.clock.row
        compressed = self._backup.enable_compression
        body = encode(batch, _LEVEL if compressed else None)
        segment = Segment(
            store=head.store,
            epoch=head.epoch,
            number=head.number,
            previous=head.previous,
            created_us=self._clock.now_us(),
            seq_before=head.seq_before,
            ts_before_us=head.ts_before_us,
            seq_first=int(batch.seqs[0]) if len(batch.seqs) else 0,
            seq_last=row.seq,
            ts_first_us=int(batch.times_us[0]) if len(batch.seqs) else 0,
            ts_last_us=row.ts_us,
            commits=len(batch.seqs),
            frames=len(batch.numbers),
            page_bytes=head.page_bytes,
            end=tail.end,
            raw_bytes=batch.raw_bytes,
            size_bytes=len(body),
            sha256=sha256_of(body),
            compressed=compressed,
        )
        path = self._repository.base / segment.path
        self._unsure.add(path)
        self._repository.publish(segment.path, encode_head(segment), body)
        # Shorter ones of the same tail, whose device failed before anybody could say whether they were written.
        with telling_failures("remove a segment", path):
            for other in self._unsure - {path}:
                other.unlink(missing_ok=True)
        self._unsure.clear()
        return segment

    def _let_go(self) -> None:
        """Let the log be copied back, and begin anew: nothing of it is needed any more."""
        sizes = self._pin.sizes()
        if sizes.frames < self._frames_of(self._config.wal_checkpoint_mb):
            return
        self._release()
        hold = sizes.frames >= self._frames_of(self._config.wal_limit_mb) // 2
        if hold and time.monotonic() - self._held_s >= _HOLD_EVERY_S:
            self._held_s = begun_s = time.monotonic()
            with suppress(StoreBusy), self._pin.holding_writers(_HOLD_WAIT_MS):
                begun_s = time.monotonic()
                self._ship()
                self._release()
            self.holds_ms.append((time.monotonic() - begun_s) * 1000)

    def _release(self) -> None:
        with suppress(
            StoreBusy
        ):  # somebody else copies it back just now, or begins it anew: the next look tries again
            self._pin.renew(self._ship)
            sizes = self._pin.copy_back()
            if sizes.copied == sizes.frames:
                self._pin.renew(self._ship)

    def _frames_of(self, size_mb: int) -> int:
        return size_mb * _MIB // self._pin.page_bytes


def _last_commit(tail: TailFile) -> ClockRow:
    for batch in reversed(tail.batches()):
        if len(batch.seqs):
            return ClockRow(int(batch.seqs[-1]), int(batch.times_us[-1]))
    return ClockRow(tail.head.seq_before, tail.head.ts_before_us)


def lock_repository(repository: Repository) -> filelock.BaseFileLock:
    """Take the folder of backups: two that write to it would mix two chains.

    Args:
        repository: The backups.

    Returns:
        The lock, held.

    Raises:
        StoreBusy: Another process has it.
        StorageFailure: The folder cannot be written.
    """
    with telling_failures("begin to ship", repository.base):
        make_directories(repository.base)
        lock = filelock.FileLock(repository.base / LOCK_NAME, mode=PRIVATE_FILE_MODE)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreBusy(
                "another process writes backups to this folder",
                operation="begin to ship",
                path=str(repository.base),
                hint="one shipper a store: it is done there; this one is not needed",
            ) from None
    return lock
