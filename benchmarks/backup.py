"""Backups: what they cost the bot, and how long a copy takes.

Guards: a durable write takes at most 1.1 times as long with continuous backup, and 100 concurrent writers get at least
0.9 times as many through (A7). The raw figures are the same without backup, VACUUM INTO, and SQLite's backup API.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from benchmarks.figures import Figure, Limit, Size, main
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.backup.full import make_full
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.repository import Repository
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.durable import fsync_file
from hybridstore.store import HybridStore

MB = 1_000_000
_FIRST_US = 1_700_000_000_000_000
TASKS = 100


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Pairs of rounds with and without backup.
        writes: Single writes a round.
        updates: Updates of all tasks together a round.
        database_mb: Size of the database that is copied, MB.
    """

    rounds: int
    writes: int
    updates: int
    database_mb: int


SIZES: dict[Size, Sizes] = {
    "small": Sizes(1, 10, 200, 2),
    "full": Sizes(11, 300, 10_000, 1_074),
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
            *_copies(root / "copies", sizes),
        ]


def config_of(root: Path, **settings: Any) -> DatabaseConfig:
    """Return settings of a store in a folder."""
    return DatabaseConfig(database_path=str(root / DATABASE_NAME), enable_logs=False, **settings)


def rows_of(number: int, count: int) -> list[tuple[object, ...]]:
    """Return market trades, each batch behind the one before."""
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
            manager = BackupManager(config_of(root))
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


def _copies(root: Path, sizes: Sizes) -> list[Figure]:
    backup = BackupConfig()
    with HybridStore(root, config=config_of(root)) as store:
        number = 0
        while store.database.path.stat().st_size < sizes.database_mb * MB:
            store.record_market_trades(rows_of(number, 5_000))
            number += 1
        repository = Repository(backup.base(root))
        shipper = Shipper(store.config, backup, repository, SystemClock())
        begun = time.perf_counter()
        full = make_full(store.config, backup, repository, shipper.epoch, SystemClock().now_us())
        full_s = time.perf_counter() - begun
        store.record_market_trades(rows_of(number, 5_000))
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
    note = f"{full.raw_bytes / MB:,.0f} MB, checked and packed into {full.size_bytes / MB:,.0f} MB"
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
