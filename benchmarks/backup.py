"""Backups: what they cost the bot, how fast the log is shipped and a moment restored, how long a copy takes.

Guards: a durable write takes at most 1.1 times as long with continuous backup, and 100 concurrent writers get at least
0.9 times as many through (A7); the log is shipped with at least 300 MB/s and that of a bot restored with 500 MB/s, one
of new pages nearly as fast as SQLite copies it back and checks it; a commit takes at most 600 bytes once it is in a
segment, writers are held for at most 25 ms, a commit waits at most 150 ms (A6). The raw figures are copying the log as
a file, SQLite's own recovery, VACUUM INTO, and SQLite's backup API.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from benchmarks.figures import Figure, Limit, Size, main
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.durable import fsync_file
from hybridstore.store import HybridStore

_MB = 1_000_000
_FIRST_US = 1_700_000_000_000_000
TASKS = 100


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Pairs of rounds with and without backup.
        writes: Single writes a round.
        updates: Updates of all tasks together a round.
        log_mb: Size of the log that is shipped, MB.
        database_mb: Size of the database that is copied, MB.
        commits: Commits that are shipped one by one.
        held_s: How long somebody writes while the log has to begin anew, s.
    """

    rounds: int
    writes: int
    updates: int
    log_mb: int
    database_mb: int
    commits: int
    held_s: float


SIZES: dict[Size, Sizes] = {
    "small": Sizes(1, 10, 200, 6, 2, 50, 0.2),
    "full": Sizes(11, 300, 10_000, 1_000, 1_074, 5_000, 10.0),
}


def measure(size: Size) -> list[Figure]:
    """Measure backups.

    Args:
        size: small or full.

    Returns:
        Their figures.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        return [
            *_beside_a_bot(root / "beside", sizes),
            *_log(root / "log", sizes),
            *_commits(root / "commits", sizes),
            *_lags(root / "lags", sizes),
            *_holds(root / "holds", sizes),
            *_copies(root / "copies", sizes),
        ]


def _config(root: Path, **settings: Any) -> DatabaseConfig:
    return DatabaseConfig(database_path=str(root / DATABASE_NAME), enable_logs=False, **settings)


def _rows(number: int, count: int) -> list[tuple[object, ...]]:
    first = number * count
    return [
        (
            "BTC/USDT",
            first + n,
            f"{60000 + (first + n) % 977}.{n % 97:02}",
            "0.015",
            "buy",
            _FIRST_US + first + n,
        )
        for n in range(count)
    ]


@contextmanager
def _service(root: Path) -> Iterator[None]:
    """Run what backs a store up, in a process of its own."""
    command = [sys.executable, "-m", "hybridstore", "run", "--root", str(root), "--json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:  # noqa: S603  ours
        try:
            manager = BackupManager(_config(root))
            while not manager.status()["fulls"]:
                time.sleep(0.05)
            yield
        finally:
            child.terminate()


def _beside_a_bot(folder: Path, sizes: Sizes) -> list[Figure]:
    single: list[tuple[float, float]] = []
    many: list[tuple[float, float]] = []
    for root in (folder / "with", folder / "without"):
        HybridStore(root).open().close()
    with _service(folder / "with"):
        for _ in range(sizes.rounds):
            single.append((_single(folder / "with", sizes), _single(folder / "without", sizes)))
            many.append((_many(folder / "with", sizes), _many(folder / "without", sizes)))
    ours, raw = (statistics.median(pair[side] for pair in single) for side in (0, 1))
    through, through_raw = (statistics.median(pair[side] for pair in many) for side in (0, 1))
    return [
        Figure(
            name="one durable write with continuous backup, p50",
            unit="us",
            ours=ours,
            raw=raw,
            ratio=statistics.median(a / b for a, b in single),
            limits=(Limit(of="ratio", at_most=1.1),),
            point="A7",
            note="raw: without",
        ),
        Figure(
            name="100 tasks with continuous backup, durable",
            unit="acks/s",
            ours=through,
            raw=through_raw,
            ratio=statistics.median(a / b for a, b in many),
            limits=(Limit(of="ratio", at_least=0.9),),
            point="A7",
            note="raw: without",
        ),
    ]


def _single(root: Path, sizes: Sizes) -> float:
    taken = []
    with HybridStore(root) as store:
        for number in range(sizes.writes):
            begun = time.perf_counter()
            store.record_balance_update("BTC", number, 0, "websocket")
            taken.append(time.perf_counter() - begun)
            time.sleep(0.001)
    return statistics.median(taken) * 1e6


def _many(root: Path, sizes: Sizes) -> float:
    async def task(storage: TradingBotStorageSystem, account: int) -> None:
        for number in range(sizes.updates // TASKS):
            await storage.record_balance_update("BTC", number, 0, "websocket", account=f"a/{account}")

    async def run() -> float:
        async with TradingBotStorageSystem(root, maintenance="off") as storage:
            begun = time.perf_counter()
            await asyncio.gather(*(task(storage, account) for account in range(TASKS)))
            return sizes.updates / (time.perf_counter() - begun)

    return asyncio.run(run())


def _log(root: Path, sizes: Sizes) -> list[Figure]:
    """Ship and restore two logs: of a bot, which changes the same pages again and again, and of bulk inserts."""
    return [
        *_one_log(root / "bot", sizes.log_mb, _work_of_a_bot, "commits of a bot", (300, 500)),
        *_one_log(root / "bulk", sizes.log_mb // 3, _bulk_inserts, "500 rows a commit", (300, 0)),
    ]


def _work_of_a_bot(store: HybridStore, number: int) -> None:
    store.record_balance_update(f"C{number % 20}", number, 0, "websocket", durability="normal")
    store.record_market_trades(_rows(number, 3))


def _bulk_inserts(store: HybridStore, number: int) -> None:
    store.record_market_trades(_rows(number, 500))


def _one_log(
    root: Path, log_mb: int, work: Callable[[HybridStore, int], None], said: str, least: tuple[int, int]
) -> list[Figure]:
    config = _config(root, wal_checkpoint_mb=1 << 20, wal_limit_mb=1 << 21)
    backup = BackupConfig(segment_interval_s=3600)
    log = root / f"{DATABASE_NAME}-wal"
    with HybridStore(root, config=config) as store:
        repository = Repository(backup.base(root))
        shipper = Shipper(config, backup, repository, SystemClock())
        make_full(config, backup, repository, shipper.epoch, SystemClock().now_us())
        number = 0
        while not log.exists() or log.stat().st_size < log_mb * _MB:
            work(store, number)
            number += 1
        size_mb = log.stat().st_size / _MB
        begun = time.perf_counter()
        shipper.poll()
        shipper.roll()
        shipped_s = time.perf_counter() - begun
        copied = root / "copied"
        copied.mkdir()
        begun = time.perf_counter()
        shutil.copyfile(log, copied / log.name)
        fsync_file(copied / log.name)
        copied_s = time.perf_counter() - begun
        shutil.copyfile(root / DATABASE_NAME, copied / DATABASE_NAME)
        shipper.close()
    begun = time.perf_counter()
    restored = restore(repository, Target(), root / "restored", config)
    restored_s = time.perf_counter() - begun
    assert restored.exact
    recovered_s = _recovered_by_sqlite(copied / DATABASE_NAME)
    return [
        Figure(
            name=f"log shipped, {said}",
            unit="MB/s",
            ours=size_mb / shipped_s,
            raw=size_mb / copied_s,
            limits=(Limit(of="ours", at_least=least[0]),),
            point="A6",
            note=f"{size_mb:,.0f} MB of log, proven, packed, durable; raw: copied as a file",
        ),
        Figure(
            name=f"log restored, {said}",
            unit="MB/s",
            ours=size_mb / restored_s,
            raw=size_mb / recovered_s,
            limits=(Limit(of="ours", at_least=least[1]) if least[1] else Limit(of="ratio", at_least=0.8),),
            point="A6",
            note=f"to a database of {restored.database_bytes / _MB:,.0f} MB, checked by SQLite as a whole; "
            "raw: SQLite copies the same log back and checks it",
        ),
    ]


def _recovered_by_sqlite(database: Path) -> float:
    begun = time.perf_counter()
    with closing(apsw.Connection(str(database))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return time.perf_counter() - begun


def _commits(root: Path, sizes: Sizes) -> list[Figure]:
    backup = BackupConfig(segment_interval_s=3600)
    with HybridStore(root, config=_config(root)) as store:
        repository = Repository(backup.base(root))
        shipper = Shipper(store.config, backup, repository, SystemClock())
        for number in range(sizes.commits):
            store.record_balance_update(f"C{number % 20}", number, 0, "websocket")
            if number % 50 == 0:
                shipper.poll()
        shipper.poll()
        shipper.roll()
        shipper.close()
    segments = [
        repository.read_segment(one.path) for one in repository.files() if one.named.kind == "segment"
    ]
    stored, commits = sum(one.size_bytes for one in segments), sum(one.commits for one in segments)
    return [
        Figure(
            name="a commit of one balance, stored",
            unit="B",
            ours=stored / commits,
            limits=(Limit(of="ours", at_most=600),) if sizes.commits > 1_000 else (),
            point="A6",
            note=f"{sum(one.raw_bytes for one in segments) / stored:.0f} times smaller than its pages",
        )
    ]


def _lags(root: Path, sizes: Sizes) -> list[Figure]:
    """Write now and then, and look how long it takes until the shipper has it."""
    stop, lags = threading.Event(), []
    with HybridStore(root, config=_config(root)) as store:
        shipper = Shipper(store.config, BackupConfig(), Repository(root / "backups"), SystemClock())

        def ship() -> None:
            while not stop.wait(BackupConfig().poll_interval_ms / 1000):
                shipper.poll()

        shipping = threading.Thread(target=ship)
        shipping.start()
        for number in range(sizes.writes // 4 + 1):
            time.sleep(0.017 * (number % 7))
            store.record_balance_update("BTC", number, 0, "websocket")
            begun, seq = time.perf_counter(), shipper.clock_row.seq
            while shipper.clock_row.seq == seq:
                time.sleep(0.0005)
            lags.append(time.perf_counter() - begun)
        stop.set()
        shipping.join()
        shipper.close()
    return [
        Figure(
            name="a commit until it is in the backups, longest",
            unit="ms",
            ours=max(lags) * 1000,
            limits=(Limit(of="ours", at_most=150),),
            point="A6",
            note=f"of {len(lags)}, median {statistics.median(lags) * 1000:.0f} ms; poll_interval_ms is 100",
        )
    ]


def _holds(root: Path, sizes: Sizes) -> list[Figure]:
    config = _config(root, wal_checkpoint_mb=1, wal_limit_mb=4)
    stop = threading.Event()
    with HybridStore(root, config=config) as store:
        shipper = Shipper(config, BackupConfig(), Repository(root / "backups"), SystemClock())

        def write() -> None:
            number = 0
            while not stop.wait(0.0025):
                number += 1
                store.record_balance_update("BTC", number, 0, "websocket")

        writing = threading.Thread(target=write)
        writing.start()
        end_s = time.monotonic() + sizes.held_s
        while time.monotonic() < end_s:
            shipper.poll()
            time.sleep(0.1)
        stop.set()
        writing.join()
        shipper.close()
    holds = sorted(shipper.holds_ms) or [0.0]
    return [
        Figure(
            name="writers held so that the log begins anew, longest",
            unit="ms",
            ours=holds[-1],
            limits=(Limit(of="ours", at_most=25),),
            point="A6",
            note=f"{len(shipper.holds_ms)} times at about 400 commits a second, with a log of 4 MiB at the most",
        )
    ]


def _copies(root: Path, sizes: Sizes) -> list[Figure]:
    backup = BackupConfig()
    with HybridStore(root, config=_config(root)) as store:
        number = 0
        while store.database.path.stat().st_size < sizes.database_mb * _MB:
            store.record_market_trades(_rows(number, 5_000))
            number += 1
        repository = Repository(backup.base(root))
        shipper = Shipper(store.config, backup, repository, SystemClock())
        begun = time.perf_counter()
        full = make_full(store.config, backup, repository, shipper.epoch, SystemClock().now_us())
        full_s = time.perf_counter() - begun
        store.record_market_trades(_rows(number, 5_000))
        begun = time.perf_counter()
        shipper.poll()
        shipper.roll()
        incremental_s = time.perf_counter() - begun
        shipper.close()
    database = root / DATABASE_NAME
    with closing(apsw.Connection(str(database))) as source:
        begun = time.perf_counter()
        source.execute("VACUUM INTO ?", (str(root / "vacuumed.db"),))
        fsync_file(root / "vacuumed.db")
        vacuum_s = time.perf_counter() - begun
        begun = time.perf_counter()
        with (
            closing(apsw.Connection(str(root / "copied.db"))) as copy,
            copy.backup("main", source, "main") as copying,
        ):
            copying.step(-1)
        fsync_file(root / "copied.db")
        plain_s = time.perf_counter() - begun
    note = f"{full.raw_bytes / _MB:,.0f} MB, checked and packed into {full.size_bytes / _MB:,.0f} MB"
    return [
        Figure(name="full backup", unit="s", ours=full_s, raw=vacuum_s, note=f"{note}; raw: VACUUM INTO"),
        Figure(
            name="full backup, beside the plain API",
            unit="s",
            ours=full_s,
            raw=plain_s,
            note="raw: backup API",
        ),
        Figure(name="incremental backup", unit="s", ours=incremental_s, note="5,000 rows in one commit"),
    ]


if __name__ == "__main__":
    sys.exit(main("backup", measure, __doc__))
