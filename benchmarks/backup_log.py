"""Backups: how fast the log is shipped and a moment restored, how long a commit waits, what it takes, who is held.

Guards: the log is shipped with at least 300 MB/s and that of a bot restored with 500 MB/s, one of new pages nearly as
fast as SQLite copies it back and checks it; a commit takes at most 600 bytes once it is in a segment, writers are held
for at most 25 ms, a commit waits at most 150 ms (A6). The raw figures are copying the log as a file, and SQLite's own
recovery.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw

from benchmarks.backup import MB, config_of, rows_of
from benchmarks.figures import Figure, Limit, Size, main
from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig
from hybridstore.durable import fsync_file
from hybridstore.store import HybridStore


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        log_mb: Size of the log that is shipped, MB.
        commits: Commits that are shipped one by one.
        waits: Commits that are waited for.
        held_s: How long somebody writes while the log has to begin anew, s.
    """

    log_mb: int
    commits: int
    waits: int
    held_s: float


SIZES: dict[Size, Sizes] = {"small": Sizes(6, 50, 3, 0.2), "full": Sizes(1_000, 5_000, 76, 10.0)}


def measure(size: Size) -> list[Figure]:
    """Measure shipping and restoring.

    Args:
        size: small or full.

    Returns:
        Their figures.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        return [
            *_log(root / "log", sizes),
            *_commits(root / "commits", sizes),
            *_lags(root / "lags", sizes),
            *_holds(root / "holds", sizes),
        ]


def _log(root: Path, sizes: Sizes) -> list[Figure]:
    """Ship and restore two logs: of a bot, which changes the same pages again and again, and of bulk inserts."""
    return [
        *_one_log(root / "bot", sizes.log_mb, _work_of_a_bot, "commits of a bot", (300, 500)),
        *_one_log(root / "bulk", sizes.log_mb // 3, _bulk_inserts, "500 rows a commit", (300, 0)),
    ]


def _work_of_a_bot(store: HybridStore, number: int) -> None:
    store.record_balance_update(f"C{number % 20}", number, 0, "websocket", durability="normal")
    store.record_market_trades(rows_of(number, 3))


def _bulk_inserts(store: HybridStore, number: int) -> None:
    store.record_market_trades(rows_of(number, 500))


def _one_log(
    root: Path, log_mb: int, work: Callable[[HybridStore, int], None], said: str, least: tuple[int, int]
) -> list[Figure]:
    config = config_of(root, wal_checkpoint_mb=1 << 20, wal_limit_mb=1 << 21)
    backup = BackupConfig(segment_interval_s=3600)
    log = root / f"{DATABASE_NAME}-wal"
    with HybridStore(root, config=config) as store:
        repository = Repository(backup.base(root))
        shipper = Shipper(config, backup, repository, SystemClock())
        make_full(config, backup, repository, shipper.epoch, SystemClock().now_us())
        number = 0
        while not log.exists() or log.stat().st_size < log_mb * MB:
            work(store, number)
            number += 1
        size_mb = log.stat().st_size / MB
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
            note=f"to a database of {restored.database_bytes / MB:,.0f} MB, checked by SQLite as a whole; "
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
    with HybridStore(root, config=config_of(root)) as store:
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
    with HybridStore(root, config=config_of(root)) as store:
        shipper = Shipper(store.config, BackupConfig(), Repository(root / "backups"), SystemClock())

        def ship() -> None:
            while not stop.wait(BackupConfig().poll_interval_ms / 1000):
                shipper.poll()

        shipping = threading.Thread(target=ship)
        shipping.start()
        for number in range(sizes.waits):
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
    config = config_of(root, wal_checkpoint_mb=1, wal_limit_mb=4)
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


if __name__ == "__main__":
    sys.exit(main("backup_log", measure, __doc__))
