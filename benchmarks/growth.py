"""What a latest balance costs as its history grows.

Guards (A7): p50 of ``get_latest_balance`` beside 10^6 and 10^7 rows of ``balance_history`` is <= 1.3 times that beside
10^5 (which stands under "raw"). The stores are open at once and take turns. A durable write, which adds to that
history, is shown, too. The history is written by one plain statement into closed stores; the largest takes about 2 GB
of the device with the temporary folder, is left out where there is too little room, and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.timing import Paired, spread
from benchmarks.workload import START_S, asset_name, balance_tuples, create_store, open_raw, written_columns
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import SECOND_US

RATIO_MAX = 1.3
HISTORIES: dict[Size, tuple[int, ...]] = {"small": (1_000, 3_000), "full": (100_000, 1_000_000, 10_000_000)}
ROUNDS = {"small": 2, "full": 15}
READS = {"small": 50, "full": 2_000}
WRITES = {"small": 5, "full": 100}
_ASSETS = 100
_CHUNK_ROWS = 500_000
_BYTES_A_ROW = 300
"""Room that is asked for; a row takes about half of it, with its part of the index."""
_EXPRESSIONS = {
    "account": "'default'",
    "asset": f"printf('C%03d', n % {_ASSETS})",
    "balance": "printf('%d.%08d', 1 + n % 997, n * 7919 % 100000000)",
    "hold_trade": "'0'",
    "available": "printf('%d.%08d', 1 + n % 997, n * 7919 % 100000000)",
    "change": "printf('%d.%08d', n % 13, n * 31 % 100000000)",
    "change_percentage": "printf('%d.%08d', n % 7, n * 37 % 100000000)",
    "reason": "'trade'",
    "source": "'websocket'",
    "debt": "NULL",
    "told": "'total used'",
    "sync_status": "NULL",
    "reported": "NULL",
    "exchange_at": "NULL",
}


def measure(size: Size) -> list[Figure]:
    """Measure beside histories of different lengths.

    Args:
        size: small or full.

    Returns:
        Time of a read and of a write beside each.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        rows = [count for count in HISTORIES[size] if _has_room(Path(folder), count)]
        roots = [Path(folder) / str(count) for count in rows]
        for root, count in zip(roots, rows, strict=True):
            _fill(root, count)
        return asyncio.run(_measure(roots, rows, size))


def _has_room(folder: Path, count: int) -> bool:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes >= 2 * count * _BYTES_A_ROW:
        return True
    print(f"{count:,} rows left out: only {free_bytes >> 20:,} MiB free at {folder}", file=sys.stderr)
    return False


def _fill(root: Path, count: int) -> None:
    """Create a store with balances, and give it more history than a bot writes in a day."""
    database = create_store(root, balance_tuples(_ASSETS, _ASSETS))
    connection = open_raw(database.path)
    names = written_columns()["balance_history"]
    first_us = int(START_S) * SECOND_US + 86_400 * SECOND_US
    moments = dict.fromkeys(("changed_at", "recorded_at"), f"{first_us} + n")
    values = ", ".join({**_EXPRESSIONS, **moments}[name] for name in names)
    try:
        # Nobody else has it, and a history that was cut short is never used.
        connection.execute(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF"
        )
        for first in range(0, count, _CHUNK_ROWS):
            connection.execute(
                "WITH RECURSIVE numbers(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?) "
                f"INSERT INTO balance_history ({', '.join(names)}) SELECT {values} FROM numbers",
                (first, min(first + _CHUNK_ROWS, count)),
            )
        connection.execute("PRAGMA journal_mode = WAL")
        present = list(connection.execute("SELECT count(*) FROM balance_history"))
        assert present == [(count + _ASSETS,)], present
    finally:
        connection.close()


async def _measure(roots: Sequence[Path], rows: Sequence[int], size: Size) -> list[Figure]:
    reads, writes = [Paired() for _ in rows], [Paired() for _ in rows]
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(TradingBotStorageSystem(root, maintenance="off"))
            for root in roots
        ]
        for _ in range(ROUNDS[size]):
            read_us = [await _read(store, READS[size]) for store in stores]
            write_us = [await _write(store, WRITES[size]) for store in stores]
            for place in range(len(rows)):
                reads[place].add(read_us[place], read_us[0])
                writes[place].add(write_us[place], write_us[0])
    growth = Limit(of="ratio", at_most=RATIO_MAX)
    figures = []
    for place, (count, pairs) in enumerate(zip(rows, reads, strict=True)):
        figures.append(_figure(f"latest balance, {count:,} rows", pairs, *([growth] if place else [])))
    for count, pairs in zip(rows, writes, strict=True):
        figures.append(_figure(f"one durable write, {count:,} rows", pairs))
    return figures


def _figure(name: str, pairs: Paired, *limits: Limit) -> Figure:
    return Figure(
        name=f"{name}, p50",
        unit="us",
        ours=pairs.ours,
        raw=pairs.raw,
        ratio=pairs.ratio,
        limits=limits,
        point="A7",
        note="raw: beside the shortest history",
    )


async def _read(storage: TradingBotStorageSystem, count: int) -> float:
    clock, times = time.perf_counter_ns, []
    for place in range(count):
        begun_ns = clock()
        found = await storage.get_latest_balance(asset_name(place % _ASSETS))
        times.append(clock() - begun_ns)
        assert found is not None
    return spread(times, 1000).p50


async def _write(storage: TradingBotStorageSystem, count: int) -> float:
    clock, times = time.perf_counter_ns, []
    for place in range(count):
        begun_ns = clock()
        await storage.record_balance_update(asset_name(place % _ASSETS), f"{place + 1}.5", 0, "websocket")
        times.append(clock() - begun_ns)
    return spread(times, 1000).p50


if __name__ == "__main__":
    sys.exit(main("growth", measure, __doc__))
