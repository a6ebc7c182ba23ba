"""What a fill with all that follows costs as trades, ledger and position events grow.

Guards: beside 10^6 fills of the days before, with some 3 x 10^6 ledger entries, a durable fill by 100 tasks takes
<= 1.5 times what it takes beside 10^4 (which stands under "raw"). The two stores are open at once and take turns; the
best round of each counts. The long history is the short one, written out a hundred times by plain statements into a
closed store; it takes about 2 GB of the device with the temporary folder, is ten times shorter where there is too
little room, and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.money import TASKS, trade
from benchmarks.timing import Paired, Stopwatch
from benchmarks.workload import open_raw
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import DATABASE_NAME

RATIO_MAX = 1.5
_ROOM_BYTES = 4 << 30
_NAMED_BY = {"trades": "trade_id", "ledger": "entry_id", "position_events": "position_id"}
"""Tables that a fill adds rows to, and the column of their key that tells copies apart."""


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        history: Fills of the short history.
        copies: How many of it the long one is.
        fills: Fills a round.
        rounds: Of each store.
    """

    history: int
    copies: int
    fills: int
    rounds: int


SIZES: dict[Size, Sizes] = {"small": Sizes(200, 3, 200, 2), "full": Sizes(10_000, 100, 5_000, 9)}


def measure(size: Size) -> list[Figure]:
    """Measure beside both histories.

    Args:
        size: small or full.

    Returns:
        Time of a fill beside the long one against the short one.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        short, long = Path(folder) / "short", Path(folder) / "long"
        asyncio.run(_begin(short, sizes))
        copies = sizes.copies if shutil.disk_usage(folder).free >= _ROOM_BYTES else sizes.copies // 10
        if copies < sizes.copies:
            print(f"only {copies} times the history: too little room at {folder}", file=sys.stderr)
        shutil.copytree(short, long)
        _write_out(long, copies)
        pairs = asyncio.run(_measure((long, short), sizes))
    return [
        Figure(
            name=f"a fill beside {sizes.history * copies:,} others, {TASKS} tasks, durable",
            unit="us",
            ours=pairs.least[0],
            raw=pairs.least[1],
            limits=(Limit(of="ratio", at_most=RATIO_MAX),),
            point="own",
            note=f"raw: beside {sizes.history:,}",
        )
    ]


async def _begin(root: Path, sizes: Sizes) -> None:
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        await _record(storage, 0, sizes.history)


async def _record(storage: TradingBotStorageSystem, round_number: int, fills: int) -> None:
    await asyncio.gather(*(trade(storage, round_number, task, fills // TASKS) for task in range(TASKS)))


def _write_out(root: Path, copies: int) -> None:
    """Add copies of every row under names of their own; nobody else has the store, and a cut one is never used."""
    connection = open_raw(root / DATABASE_NAME)
    try:
        connection.execute(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF"
        )
        for table, named_by in _NAMED_BY.items():
            found = connection.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'")
            names = [str(name) for (name,) in found]
            values = ", ".join(f"{name} || '-' || n" if name == named_by else name for name in names)
            ((before,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            connection.execute(
                f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM numbers CROSS JOIN "
                f"(SELECT * FROM {table} LIMIT ?)",
                (copies - 1, before),
            )
            ((after,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert after == int(str(before)) * copies, (table, before, after)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


async def _measure(roots: Sequence[Path], sizes: Sizes) -> Paired:
    pairs = Paired()
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(TradingBotStorageSystem(root, maintenance="off"))
            for root in roots
        ]
        for number in range(1, sizes.rounds + 2):
            times_us = []
            for store in stores:
                with Stopwatch() as watch:
                    await _record(store, number, sizes.fills)
                times_us.append(watch.elapsed_s * 1e6 / sizes.fills)
            if number > 1:  # the first round extends both logs
                pairs.add(*times_us)
    return pairs


if __name__ == "__main__":
    sys.exit(main("fills_growth", measure, __doc__))
