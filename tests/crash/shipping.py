"""What the tests of the shipper share: settings, processes, what was noted of a store, and how backups are judged."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from hybridstore import HybridStore
from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository, has_full
from hybridstore.backup.restore import restore
from hybridstore.backup.shipper import Shipper
from hybridstore.backup.stock import choose, read_links, take_stock
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import NotRestorable
from hybridstore.hot.copying import content_sha256
from tests.crash.processes import REPOSITORY, environment

_START_MAX_S = 60.0
CHECKPOINT_MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")


def settings_of(root: Path, *, limit_mb: int = 1_024, durability: str = "normal") -> DatabaseConfig:
    """Return settings of a store whose log begins anew often."""
    path = str(root / DATABASE_NAME)
    settings = {"wal_checkpoint_mb": 1, "wal_limit_mb": limit_mb, "durability": durability}
    return msgspec.convert({"database_path": path, "enable_logs": False, **settings}, DatabaseConfig)


class Note(NamedTuple):
    """What a store said at a moment.

    Attributes:
        seq: Its last commit.
        ts_us: Time of that commit.
        sha256: Hash of all it held.
    """

    seq: int
    ts_us: int
    sha256: str


def note(config: DatabaseConfig) -> Note:
    """Note what a store says now."""
    position, sha256 = content_sha256(config)
    return Note(position.seq, position.ts_us, sha256)


class Ships:
    """The backups of a store, shipped by this process when it is asked to.

    Args:
        config: The store's settings.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self.backup = BackupConfig(segment_interval_s=0.2)
        self.repository = Repository(self.backup.base(config.root))
        self.gaps: list[str] = []

    @contextmanager
    def shipping(self, limit_mb: int | None = None) -> Iterator[Shipper]:
        """Ship for as long as a block lasts; a chain without a full copy gets one first."""
        config = self.config
        if limit_mb is not None:
            config = msgspec.structs.replace(config, wal_limit_mb=limit_mb)
        shipper = Shipper(config, self.backup, self.repository, SystemClock(), self.gaps.append)
        try:
            if not has_full(self.repository, shipper.epoch):
                make_full(config, self.backup, self.repository, shipper.epoch, SystemClock().now_us())
            yield shipper
        finally:
            shipper.close()

    def checkpoint(self, shipper: Shipper, folder: Path, *modes: str) -> None:
        """Have another program copy the log back while it is shipped."""
        foreign = Child(folder, "foreign", "foreign_process", str(self.config.path), *modes, awaited=False)
        while foreign.process.poll() is None:
            shipper.poll()
            time.sleep(0.005)
        for line in foreign.end():
            assert " 0 " in line, line

    def restored(self, target: Target, folder: Path) -> tuple[Note, bool]:
        """Restore a moment; return what it holds, and whether it is known to be all up to then."""
        folder.parent.mkdir(exist_ok=True)
        result = restore(self.repository, target, folder, self.config)
        config = msgspec.structs.replace(self.config, database_path=str(folder / DATABASE_NAME))
        return note(config), result.exact

    def prove_latest(self, folder: Path) -> Note:
        """Ship what there is, and prove that what can be restored is what the store holds."""
        with self.shipping() as shipper:
            shipper.poll()
            noted = note(self.config)
            shipper.poll()
        found, _ = self.restored(Target(seq=noted.seq), folder)
        assert found == noted, (found, noted)
        return noted

    def prove(self, noted: Note, folder: Path) -> bool:
        """Prove one moment by number and by time; False where it is in a gap that was told of."""
        targets = (Target(seq=noted.seq), Target(ts_us=noted.ts_us))
        for number, target in enumerate(targets):
            try:
                found, exact = self.restored(target, folder / f"{noted.seq}-{number}")
            except NotRestorable:
                found, exact = None, False
            if found != noted:
                assert not exact, f"{target}: {found} is said to be exact, and is not {noted}"
                assert self._in_gap(noted.seq), f"{target}: {found}, not {noted}, and no gap is known"
                return False
        return True

    def _in_gap(self, seq: int) -> bool:
        firsts = {
            epoch.epoch: min(
                (
                    one.named.number
                    for one in self.repository.files()
                    if one.named[:2] == ("full", epoch.epoch)
                ),
                default=1 << 62,
            )
            for epoch in self.repository.epochs()
        }
        return any(
            epoch.seq < seq < firsts[epoch.epoch] for epoch in self.repository.epochs() if epoch.epoch > 1
        )

    def prove_chains(self) -> int:
        """Prove that no commit of any chain is missing or there twice; return how many there are."""
        stock = take_stock(self.repository)
        assert not stock.damaged
        count = 0
        for epoch in self.repository.epochs():
            fulls = [full for full in stock.fulls if full.epoch == epoch.epoch]
            if not fulls:
                continue
            chain = choose(self.repository, stock, Target(epoch=epoch.epoch))
            first = min(fulls, key=lambda full: full.seq)
            links = [link for link in stock.links if link.epoch == epoch.epoch]
            links.sort(key=lambda link: link.number)
            assert [link.number for link in links] == list(range(len(links)))
            seqs = [batch.seqs for batch in read_links(self.repository, stock, links)]
            told = np.concatenate(seqs) if seqs else np.empty(0, np.int64)
            assert (np.diff(told) == 1).all(), f"chain {epoch}: {told[:-1][np.diff(told) != 1]}"
            assert not len(told) or told[0] <= first.seq + 1
            assert not len(told) or chain.links[-1].seq_last == told[-1]
            count += len(told)
        return count


def fill(store: HybridStore, count: int, size_bytes: int = 1_000) -> None:
    """Make some commits."""
    for number in range(count):
        store.record_balance_update(f"A{number % 7}", Decimal(number), Decimal(0), "x" * size_bytes)


class Child:
    """A process of these tests, which says a line when it is ready.

    Args:
        folder: Where what it says goes.
        name: Of the files there.
        arguments: Module below tests.crash, and what it is given.
        awaited: Wait until it has said something.
    """

    def __init__(self, folder: Path, name: str, *arguments: str, awaited: bool = True) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        command = [sys.executable, "-W", "error", "-m", f"tests.crash.{arguments[0]}", *arguments[1:]]
        with self._out.open("wb") as out, self._err.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=errors, env=environment(), cwd=REPOSITORY
            )
        deadline_s = time.monotonic() + _START_MAX_S
        while (
            awaited
            and not self._out.stat().st_size
            and self.process.poll() is None
            and time.monotonic() < deadline_s
        ):
            time.sleep(0.002)

    def lines(self) -> list[str]:
        """Return the whole lines it has said."""
        text = self._out.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()

    def errors(self) -> str:
        """Return how it complained."""
        return self._err.read_text(encoding="utf-8", errors="replace")[-2_000:]

    def kill(self) -> None:
        """Kill it, unless it has killed itself."""
        self.process.kill()
        self.process.wait()
        self.close()
        assert self.process.returncode < 0, self.errors()

    def end(self) -> list[str]:
        """Have it end by itself; return what it said."""
        self.close()
        assert self.process.wait(_START_MAX_S) == 0, self.errors()
        return self.lines()

    def close(self) -> None:
        """Close its input, by which it knows that it shall end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
