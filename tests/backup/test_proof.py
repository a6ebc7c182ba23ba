"""The proof of the backups: any moment of a history of several writers is restored as somebody else saw it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.chain import Target
from hybridstore.backup.drill import drill
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import RestoreResult, restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.durable import sha256_file
from hybridstore.store import HybridStore
from tests.backup.witness import Seen, Witness, look_at
from tests.crash.processes import REPOSITORY, environment

_POLL_S = 0.02
FOREIGN = (
    "VACUUM",
    "CREATE TABLE IF NOT EXISTS notes_of_another (a, b)",
    "INSERT INTO notes_of_another VALUES (random(), zeroblob(9000))",
    "DELETE FROM notes_of_another WHERE a > 0",
    "PRAGMA wal_checkpoint(PASSIVE)",
    "PRAGMA wal_checkpoint(FULL)",
    "PRAGMA wal_checkpoint(RESTART)",
    "PRAGMA wal_checkpoint(TRUNCATE)",
)


class Writers:
    """Processes that write when they are told to."""

    def __init__(self, root: Path, count: int, rng: Random) -> None:
        command = [sys.executable, "-m", "tests.backup.writer_process", str(root)]
        self._processes = [
            subprocess.Popen(
                [*command, str(number), str(rng.randrange(1 << 30))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(),
                cwd=REPOSITORY,
            )
            for number in range(count)
        ]
        assert [self._read(process) for process in self._processes] == ["ready"] * count

    def begin(self, operations: int) -> None:
        """Have each do so many operations."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{operations}\n")
            process.stdin.flush()

    def wait(self) -> None:
        """Wait until they are done."""
        for process in self._processes:
            assert self._read(process).isdigit()

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate(timeout=60)
            assert process.returncode == 0

    @staticmethod
    def _read(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()


class Shipping:
    """A shipper in a thread, which also keeps archived files, as the service does."""

    def __init__(self, store: HybridStore, backup: BackupConfig) -> None:
        self.repository = Repository(backup.base(store.root))
        self.gaps: list[str] = []
        self._store, self._backup = store, backup
        self._stop, self._told = threading.Event(), threading.Condition()
        self._shipper = Shipper(store.config, backup, self.repository, SystemClock(), self.gaps.append)
        self._error: BaseException | None = None
        self._looks = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """The chain."""
        return self._shipper.epoch

    def wait(self) -> None:
        """Wait until everything that was committed by now is shipped."""
        with self._told:
            looks = self._looks + 2  # the next one may have begun before
            assert self._told.wait_for(lambda: self._error or self._looks >= looks, 60)
        assert self._error is None, self._error

    def keep_archives(self) -> None:
        """Copy archived files that have no copy yet."""
        copies = ArchiveCopies(self.repository.base)
        for file in kept_files(self._store.config)[1]:
            if not copies.has(file):
                copies.keep(self._store.root, file)

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
        self._shipper.close()
        assert self._error is None, self._error

    def _run(self) -> None:
        try:
            while not self._stop.wait(_POLL_S):
                self._shipper.poll()
                with self._told:
                    self._looks += 1
                    self._told.notify_all()
        except BaseException as error:  # noqa: BLE001  whoever waits raises it
            self._error = error


@contextmanager
def shipping(store: HybridStore, backup: BackupConfig) -> Iterator[Shipping]:
    """Ship a store for as long as a block lasts."""
    ships = Shipping(store, backup)
    try:
        yield ships
    finally:
        ships.close()


def make_history(store: HybridStore, ships: Shipping, rng: Random, rounds: int, writers: int) -> list[Seen]:
    """Let several processes write, rows move, files merge, foreign programs interfere; return what was seen."""
    seen: list[Seen] = []
    with ExitStack() as closing:
        witness = closing.enter_context(Witness(store.database.path))
        others = Writers(store.root, writers, rng)
        closing.callback(others.close)
        for number in range(rounds):
            others.begin(rng.randrange(5, 40))
            if number % 3 == 1:
                seen += look_on(witness, store.retention.run)
            seen += [witness.look() for _ in range(rng.randrange(1, 6))]
            others.wait()
            ships.keep_archives()
            # Nobody writes now: what a foreign program does has no number, and belongs to the commit before it.
            # A program without page checksums would copy pages back without stamping them.
            for _ in range(0 if store.config.page_checksums else rng.randrange(3)):
                sql = rng.choice(FOREIGN)
                if "TABLE" in sql or "notes" not in sql or number > rounds // 2:
                    if "notes" in sql:
                        witness.execute(FOREIGN[1])
                    witness.execute(sql)
            now = witness.look()
            seen = [one for one in seen if one.seq != now.seq] + [now]
            ships.wait()
            if number % 7 == 5:
                make_next_full(store, ships, live=rng.random() < 0.5)
    return seen


def look_on(witness: Witness, work: Callable[[], object]) -> list[Seen]:
    """Do something and look all the while; return what was seen in the middle of a move, and a little more."""
    seen: list[Seen] = []
    is_done = threading.Event()

    def look() -> None:
        while not is_done.is_set():
            seen.append(witness.look())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        work()
    finally:
        is_done.set()
        looking.join()
    moving = [one for one in seen if one.open_moves]
    return moving[:: max(len(moving) // 4, 1)] + seen[-2:]


def make_next_full(store: HybridStore, ships: Shipping, *, live: bool) -> None:
    """Make a full copy: of the store, or of the backups."""
    now_us, backup = SystemClock().now_us(), BackupConfig()
    if live:
        make_full(store.config, backup, ships.repository, ships.epoch, now_us)
    else:
        drill(store.config, backup, ships.repository, ships.epoch, now_us, ships.wait)


def targets_of(seen: Seen, before: int, rng: Random) -> list[tuple[Target, bool]]:
    """Return moments around a commit, and whether the commit itself must come of it."""
    return [
        (Target(ts_us=seen.ts_us), True),
        (Target(seq=seen.seq), True),
        (Target(seq=seen.seq + 1, inclusive=False), True),
        (Target(ts_us=seen.ts_us - 1), False),
        (Target(ts_us=seen.ts_us, inclusive=False), False),
        (Target(ts_us=rng.randrange(before, seen.ts_us + 1)), False),
    ]


def check(root: Path, result: RestoreResult, target: Target, known: dict[int, Seen]) -> bool:
    """Compare a restored store with what was seen, where that commit was; return whether it was."""
    found = look_at(root / "trading_bot.db")
    assert (found.seq, found.ts_us) == (result.seq, result.ts_us)
    assert target.admits(found.seq, found.ts_us)
    for path, sha256 in found.files:
        assert sha256_file(root / path) == sha256
    if found.seq in known:
        assert found == known[found.seq]
    return found.seq in known


def prove(
    tmp_path: Path,
    seed: int,
    *,
    rounds: int,
    writers: int,
    moments: int,
    page_checksums: bool,
    compressed: bool,
) -> tuple[int, int, int]:
    """Make a history, restore moments of it; return how many, how many were seen, and how many inside a move."""
    rng = Random(seed)
    root = tmp_path / "root"
    backup = BackupConfig(segment_interval_s=0.3, enable_compression=compressed)
    config = DatabaseConfig(
        database_path=str(root / DATABASE_NAME),
        page_checksums=page_checksums,
        wal_checkpoint_mb=1,
        wal_limit_mb=2,
    )
    with HybridStore(root, config=config) as store, shipping(store, backup) as ships:
        first = make_full(store.config, backup, ships.repository, ships.epoch, SystemClock().now_us())
        seen = [one for one in make_history(store, ships, rng, rounds, writers) if one.seq > first.seq]
        known = {one.seq: one for one in seen}
        tried = compared = moving = 0
        for one in rng.choices(seen, k=moments):
            target, same = rng.choice(targets_of(one, first.ts_us, rng))
            to = tmp_path / f"restored-{tried}"
            result = restore(ships.repository, target, to, store.config)
            assert result.exact
            assert result.seq == one.seq or not same
            compared += check(to, result, target, known)
            moving += result.seq in known and bool(known[result.seq].open_moves)
            tried += 1
            remove(to)
        assert not ships.gaps
        assert ships.epoch == 1
    with HybridStore(root, config=config) as store, Witness(store.database.path) as witness:
        latest = restore(ships.repository, Target(), tmp_path / "latest", store.config)
        assert look_at(tmp_path / "latest" / "trading_bot.db") == witness.look()
        assert latest.exact
    return tried, compared, moving


def remove(folder: Path) -> None:
    """Remove a restored store."""
    shutil.rmtree(folder)


@pytest.mark.parametrize(("page_checksums", "compressed"), [(False, True), (True, False)])
def test_moments_of_a_history_of_many_writers_are_restored(
    tmp_path: Path, seed: int, *, page_checksums: bool, compressed: bool
) -> None:
    tried, compared, _ = prove(
        tmp_path,
        seed,
        rounds=9,
        writers=2,
        moments=12,
        page_checksums=page_checksums,
        compressed=compressed,
    )
    assert tried == 12
    assert compared


@pytest.mark.soak
def test_two_hundred_moments_and_more_are_restored(tmp_path: Path, seed: int) -> None:
    sums = [0, 0, 0]
    for number in range(6):
        found = prove(
            tmp_path / str(number),
            seed + number,
            rounds=30,
            writers=2 + number % 3,
            moments=80,
            page_checksums=number % 3 == 2,
            compressed=number % 2 == 0,
        )
        sums = [a + b for a, b in zip(sums, found, strict=True)]
    print(f"\n{sums[0]} moments restored, {sums[1]} of them compared as a whole, {sums[2]} inside a move")
    assert sums[0] == 480
    assert sums[2] > 0
