"""A bot's durable writes while a million rows of history move, and while they are merged.

Guards (A7): while the mover's process takes market trades out of the hot store, and merges them, every durable write of
the bot's process is acknowledged, none is told that the database is locked, and p99 stays <= 10 ms. Two bots: one that
writes every 2 ms, one that writes 10 balances at once every 10 ms (a move takes 3 s: rarer bursts would be too few to
have a 99th percentile of). Writes are begun on schedule whether or not those before are done, so a stall shows in every
write it held up. What stands under "raw" is the same bot while no mover runs: where that alone is near the limit, the
device is busy with something else and the run says nothing about the store.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.timing import Spread, spread
from benchmarks.workload import START_S, asset_name, record_market_trades
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.operations.maintenance import run_in_process

ROWS = {"small": 3_000, "full": 1_000_000}
IDLE_S = {"small": 0.1, "full": 6.0}
P99_MS_MAX = 10.0
DAYS = 5
_AGE_DAYS = 30
"""The mover's clock is this far on, so that every trade is old enough to leave."""
_MERGED_DAYS = 900
"""And this far, that months become years; days become months in the run that moves them."""


class Bot(NamedTuple):
    """How a bot writes.

    Attributes:
        name: For the table.
        every_s: Seconds between the beginnings of its writes.
        at_once: How many it begins together.
    """

    name: str
    every_s: float
    at_once: int


BOTS = (Bot("a write every 2 ms", 0.002, 1), Bot("10 writes every 10 ms", 0.01, 10))


class Writes:
    """What became of a bot's writes."""

    def __init__(self) -> None:
        self.took_ns: list[int] = []
        self.errors: Counter[str] = Counter()

    async def one(self, storage: TradingBotStorageSystem, number: int) -> None:
        """Record one balance and note how long it took, or which error it ended in."""
        balance = Decimal(number).scaleb(-8)
        begun_ns = time.perf_counter_ns()
        try:
            await storage.record_balance_update(
                asset_name(number % 100), balance, 0, "websocket", durability="full"
            )
        except Exception as error:  # noqa: BLE001  whatever it is, it is counted and shown
            self.errors[f"{type(error).__name__}: {error}"] += 1
        else:
            self.took_ns.append(time.perf_counter_ns() - begun_ns)


def measure(size: Size) -> list[Figure]:
    """Measure both bots beside an idle and a working mover.

    Args:
        size: small or full.

    Returns:
        Their times, errors, and the mover's rate.
    """
    figures = []
    for bot in BOTS:
        with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
            figures += asyncio.run(_beside_mover(Path(folder), bot, size))
    return figures


async def _beside_mover(root: Path, bot: Bot, size: Size) -> list[Figure]:
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        await asyncio.to_thread(record_market_trades, storage.store.database, ROWS[size], DAYS)
        idle = await _write_until(storage, bot, asyncio.create_task(asyncio.sleep(IDLE_S[size])))
        now_us = int(START_S) * SECOND_US + _AGE_DAYS * DAY_US
        moving = asyncio.create_task(asyncio.to_thread(run_in_process, root, now_us=now_us))
        beside = await _write_until(storage, bot, moving)
        report = await moving
        assert report.rows == ROWS[size], f"{report.rows:,} rows moved, not {ROWS[size]:,}"
        merged_us = int(START_S) * SECOND_US + _MERGED_DAYS * DAY_US
        merging = asyncio.create_task(asyncio.to_thread(run_in_process, root, now_us=merged_us))
        beside_merges = await _write_until(storage, bot, merging)
        merged = await merging
        assert merged.merged_rows >= ROWS[size], f"{merged}"
        kept = (await storage.sql("SELECT count(*) FROM balance_history")).rows()
        acknowledged = sum(len(writes.took_ns) for writes in (idle, beside, beside_merges))
        assert kept[0][0] == acknowledged, f"{acknowledged:,} writes acknowledged, {kept[0][0]:,} found"
    return [
        *_figures(bot, idle, beside, "the move"),
        Figure(name=f"{bot.name}, the move beside it", unit="rows/s", ours=report.rows_per_s),
        *_figures(bot, idle, beside_merges, "merges"),
    ]


async def _write_until(storage: TradingBotStorageSystem, bot: Bot, end: asyncio.Task[Any]) -> Writes:
    """Write as the bot does until something else is done, and wait for what was begun."""
    writes = Writes()
    begun: set[asyncio.Task[None]] = set()
    number, due_s = 1, time.perf_counter()
    while not end.done():
        for _ in range(bot.at_once):
            task = asyncio.create_task(writes.one(storage, number))
            begun.add(task)
            task.add_done_callback(begun.discard)
            number += 1
        due_s += bot.every_s
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
    await asyncio.gather(*begun)
    return writes


def _figures(bot: Bot, idle: Writes, busy: Writes, what: str) -> list[Figure]:
    before, beside = spread(idle.took_ns, 1_000_000), spread(busy.took_ns, 1_000_000)
    errors = idle.errors + busy.errors
    figures = []
    for name in Spread._fields:
        limits = (Limit(of="ours", at_most=P99_MS_MAX),) if name == "p99" else ()
        figures.append(
            Figure(
                name=f"{bot.name} beside {what}, {name}",
                unit="ms",
                ours=getattr(beside, name),
                raw=getattr(before, name),
                limits=limits,
                point="A7",
                note=f"of {len(busy.took_ns):,} writes" if name == "p99" else "",
            )
        )
    errors_figure = Figure(
        name=f"{bot.name} beside {what}, errors",
        unit="writes",
        ours=float(errors.total()),
        limits=(Limit(of="ours", at_most=0),),
        point="A7",
        note="; ".join(errors),
    )
    return [*figures, errors_figure]


if __name__ == "__main__":
    sys.exit(main("contention", measure, __doc__))
