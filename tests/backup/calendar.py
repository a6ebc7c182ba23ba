"""A store's life by the calendar: commits, moves and backups of many days, with a clock that is set."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.expirer import expire
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository, has_full
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import DAY_US, SECOND_US, ManualClock
from hybridstore.config import BackupConfig
from hybridstore.hot.copying import content_sha256
from hybridstore.store import HybridStore
from tests.tiered import NOW_US

Known = tuple[int, int, str, tuple[str, ...]]
"""Number and time of a commit, hash of what the store held, hashes of its archived files."""


def state(store: HybridStore) -> Known:
    """Return what a store holds now."""
    position, content = content_sha256(store.config)
    files = kept_files(store.config)[1]
    return (
        position.seq,
        position.ts_us,
        content,
        tuple(sorted(one.sha256 for one in files if one.replaced_seq is None)),
    )


class Calendar:
    """A store that is backed up day after day.

    Args:
        root: Its folder.
        rng: Draws what is done.
        keep_days: How long any moment stays restorable.
    """

    def __init__(self, root: Path, rng: Random, keep_days: int) -> None:
        self.clock = ManualClock(NOW_US)
        self.store = HybridStore(root, clock=self.clock)
        self.backup = BackupConfig(keep_full_backups_days=keep_days)
        self.repository = Repository(self.backup.base(root))
        self.compressed = True
        self.known: list[Known] = []
        self.counts: list[tuple[int, int, int]] = []
        self._rng = rng
        self._number = 0

    def day(self, commits: int, *, restarts: bool) -> None:
        """Live through one day: commits, a move, a full copy, expiry."""
        self.backup = msgspec.structs.replace(self.backup, enable_compression=self.compressed)
        shipper = Shipper(self.store.config, self.backup, self.repository, self.clock)
        if not has_full(self.repository, shipper.epoch):  # of a chain that was begun just now
            make_full(self.store.config, self.backup, self.repository, shipper.epoch, self.clock.now_us())
        midnight = (self.clock.now_us() // DAY_US + 1) * DAY_US
        for _ in range(commits):
            self.clock.advance(self._rng.randrange(1, max((midnight - self.clock.now_us()) // commits, 2)))
            self.commit(shipper)
            if self._rng.random() < 0.4:
                shipper.roll()
        self.clock.set(max(midnight + 5 * SECOND_US, self.clock.now_us()))
        self.store.retention.run()
        shipper.poll()
        self._keep()
        self.known.append(state(self.store))
        make_full(self.store.config, self.backup, self.repository, shipper.epoch, self.clock.now_us())
        expire(self.repository, self.backup.keep_full_backups_days, self.clock.now_us())
        shipper.close()
        if restarts:  # with nobody to keep it, the log is copied back and begins anew
            self._lose_log()
        self.counts.append(self._count())

    def commit(self, shipper: Shipper) -> None:
        """Commit something, ship it, and sometimes note what the store held then."""
        self.clock.advance(1)
        self._record()
        shipper.poll()
        if self._rng.random() < 0.3:
            self.known.append(state(self.store))

    def _record(self) -> None:
        self._number += 1
        asset = self._rng.choice("ABCD")
        self.store.record_balance_update(asset, Decimal(self._number), Decimal(0), "websocket")
        if self._rng.random() < 0.5:
            traded_us = self.clock.now_us() - self._rng.choice((0, 1, 2, 9, 10)) * DAY_US
            rows = [("BTC/USDT", self._number * 10 + n, "1.5", "2", "buy", traded_us + n) for n in range(5)]
            self.store.record_market_trades(rows)

    def _count(self) -> tuple[int, int, int]:
        """Return how many full copies, segments, and copies of files that do not count there are."""
        kinds = [one.named.kind for one in self.repository.files()]
        live = {file.sha256 for file in kept_files(self.store.config)[1]}
        copies = ArchiveCopies(self.repository.base).paths()
        return kinds.count("full"), kinds.count("segment"), sum(path.stem not in live for path in copies)

    def _keep(self) -> None:
        copies = ArchiveCopies(self.repository.base)
        files = kept_files(self.store.config)[1]
        for file in files:
            if not copies.has(file):
                copies.keep(self.store.root, file)
        copies.note_gone(files, self.clock.now_us())

    def _lose_log(self) -> None:
        marker = self.store.root / ".shipped"
        marker.unlink()
        self.store.close()
        self.store.open()
