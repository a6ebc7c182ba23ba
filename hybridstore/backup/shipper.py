"""Copies every commit of a running store out of its write-ahead log, as it is made. One shipper a store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hybridstore.backup.batch import Batch, encode, join
from hybridstore.backup.claims import lock_repository, refuse_unmounted, words
from hybridstore.backup.commits import ClockRow
from hybridstore.backup.framing import encode_head
from hybridstore.backup.last_chain import find_end
from hybridstore.backup.log_reader import GapError, LogReader, Read, place_now, prove_place
from hybridstore.backup.newest import Newest, NewestFile
from hybridstore.backup.patience import Patience
from hybridstore.backup.pieces import NO_SHA256, Epoch, LogPosition, Segment, Tail, sha256_of
from hybridstore.backup.repository import Repository
from hybridstore.backup.tail import TailFile
from hybridstore.clock import Clock as TimeSource
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.durable import telling_failures
from hybridstore.errors import BackupCorrupt, StorageFailure, StorageFull, StoreBusy
from hybridstore.hot.log_pin import LogPin
from hybridstore.hot.shipped_mark import mark_shipped

_LEVEL = 3
_MIB = 1 << 20
SEGMENT_MAX_BYTES = 32 * _MIB
"""From this size on a tail becomes a segment, before compression."""
BURST_BYTES = 8 * _MIB
"""What is as large becomes part of a segment at once: in the tail it would be compressed and flushed once more."""
_HOLD_WAIT_MS = 50
_HOLD_EVERY_S = 1.0
_HOLD_SHIP_MAX_S = 0.05
"""Where shipping takes longer than that writers are not held meanwhile: the backups may be on a slow device."""
_HOLDS_KEPT = 1_000


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
        BackupError: A folder of another disk is empty, and held backups of this store.
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
        self._shipped = 0
        self._ship_s = 0.0
        self.holds_ms: deque[float] = deque(maxlen=_HOLDS_KEPT)
        """How long writers were held the last times, ms."""
        self._newest = NewestFile(repository.base)
        self._unsure: set[Path] = set()
        refuse_unmounted(config, backup)
        self._lock = lock_repository(repository)
        try:
            self._pin = LogPin(config)
            try:
                self._mark = self._pin.position.mark
                repository.claim(self._mark.hex())
                self._patience = Patience(self._frames_of(config.wal_checkpoint_mb))
                with telling_failures("begin to ship", repository.base):
                    self._begin()
                    with self._beginning_anew():
                        self._seal()
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
        before, backup = self._shipped, self._backup
        interval_s = min(backup.segment_interval_s, backup.incremental_backup_interval_hours * 3600)
        with self._beginning_anew():
            # Renewed each time: a checkpoint of somebody else that waits for the pin keeps all writers waiting.
            self._pin.renew(self._ship)
            if time.monotonic() - self._tail_begun_s >= interval_s:
                self.roll()
            self._let_go()
        return self._shipped - before

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
        segment = self._make_segment(tail.batches(), tail.end, self._reader.clock.row)
        self._follow(segment)
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
            mark_shipped(self._config.root, words(self._repository.base))

    def _resume(self, epoch: int) -> None:
        end = find_end(self._repository, epoch)
        self._last_safe = end.row
        clock = prove_place(self._pin, self._config.path, self._mark, end.place, end.row)
        self._reader = LogReader(self._pin, self._config.path, self._mark, end.place, clock)
        self._epoch = epoch
        if end.tail is not None:
            self._tail = end.tail
        else:
            self._start_tail(end.number, end.previous)

    @contextmanager
    def _beginning_anew(self) -> Iterator[None]:
        """Begin a new chain where commits do not follow: whoever looked again would find the same, for ever."""
        try:
            yield
        except GapError as error:
            self._last_safe = self.clock_row
            self._tail.close()
            self._begin_epoch(self._next_epoch(self._epoch + 1, error.message))

    def _next_epoch(self, number: int, reason: str) -> Epoch:
        known = self._last_safe
        epoch = Epoch(number, self._mark.hex(), self._clock.now_us(), reason, known.seq, known.ts_us)
        self._repository.add_epoch(epoch)
        return epoch

    def _begin_epoch(self, epoch: Epoch) -> None:
        found = place_now(self._pin, self._config.path, self._mark)
        if found is None:
            self._pin.add_commit(self._clock.now_us())
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

    def _ship(self) -> None:
        begun_s = time.monotonic()
        for read in self._reader.read():
            raw_bytes = read.batch.raw_bytes
            if raw_bytes >= BURST_BYTES or self._tail.raw_bytes + raw_bytes >= SEGMENT_MAX_BYTES:
                segment = self._make_segment([*self._tail.batches(), read.batch], read.end, read.clock.row)
                self._reader.advance(read)
                self._follow(segment)
            else:
                self._append(read)
            self._tell_newest()
            self._shipped += len(read.batch.numbers)
        self._ship_s = time.monotonic() - begun_s

    def _append(self, read: Read) -> None:
        if self._tail.is_empty:
            self._tail_begun_s = time.monotonic()
        self._tail.add(read.batch, read.end)
        self._tail.flush()
        self._reader.advance(read)

    def _tell_newest(self) -> None:
        self._newest.write(Newest(self._epoch, *self._reader.clock.row))

    def _follow(self, segment: Segment) -> None:
        """Go on behind a segment, which holds what the tail held."""
        tail = self._tail
        self._start_tail(segment.number + 1, segment.sha256)
        tail.remove()

    def _make_segment(self, batches: Sequence[Batch], end: LogPosition, row: ClockRow) -> Segment:
        """Make a segment of the tail's number: of what the tail holds, and maybe more."""
        batch, head = join(batches), self._tail.head
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
            end=end,
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
        frames = self._pin.sizes().frames
        if frames < self._frames_of(self._config.wal_checkpoint_mb) or not self._patience.is_over(frames):
            self._seal()
            return
        before = self._reader.position
        self._release()
        if frames >= self._frames_of(self._config.wal_limit_mb) // 2:
            self._release_held()
        self._seal()
        now = self._reader.position
        self._patience.note(frames, failed=(now.salt1, now.salt2) == (before.salt1, before.salt2))

    def _release(self) -> None:
        with suppress(StoreBusy):  # somebody else copies it back just now
            sizes = self._pin.copy_back()
            if sizes.copied >= sizes.frames:
                self._pin.renew(self._ship)

    def _release_held(self) -> None:
        """Do it while nobody adds to the log, if that helps: if no reader keeps it, and it does not take long."""
        sizes = self._pin.sizes()
        few = 0 < sizes.frames - sizes.copied <= self._frames_of(self._config.wal_checkpoint_mb)
        due = time.monotonic() - self._held_s >= _HOLD_EVERY_S
        if not (few and due and self._ship_s <= _HOLD_SHIP_MAX_S):
            return
        self._held_s = time.monotonic()
        with suppress(StoreBusy), self._pin.holding_writers(_HOLD_WAIT_MS):
            begun_s = time.monotonic()
            self._pin.renew(self._ship)
            self._release()
            self.holds_ms.append((time.monotonic() - begun_s) * 1000)

    def _seal(self) -> None:
        """Leave no log that could begin anew while nobody looks: nobody could tell later what it had held.

        One that is copied back as a whole begins anew with the next commit. So that commit is made here, and shipped at
        once. From then on it holds what nobody copies back but who ships it.
        """
        sizes = self._pin.sizes()
        if sizes.copied < sizes.frames:
            return
        with suppress(StoreBusy, StorageFull, StorageFailure):  # the next look tries again
            self._pin.add_commit(self._clock.now_us(), _HOLD_WAIT_MS)
        self._ship()

    def _frames_of(self, size_mb: int) -> int:
        return size_mb * _MIB // self._pin.page_bytes
