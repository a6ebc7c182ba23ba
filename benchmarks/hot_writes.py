"""Durable writes through both facades against raw apsw, and against peers: single, marks, 100 tasks, batch.

Guards (A2), always in the same process, in turns with raw apsw on the same kind of file:

* a single durable write (p50): <= 1.3x a raw FULL commit (BEGIN IMMEDIATE, the same statements, COMMIT in the caller's
  own thread) through the synchronous facade, <= 2x through the asynchronous one;
* ``record_marks`` of 100 symbols a call, each a durable commit: >= 20 000 marks/s, without positions and with an open
  position in every market, which is then valued, too;
* 100 tasks each awaiting durable balance updates: >= 50 000 acknowledgements/s and >= 30 % of apsw executing the same
  statements row by row in one transaction;
* ``batch_update_balances`` of 10 000 tuples: >= 60 % of the same.

Both sides write into logs that have reached their size, as any log has soon after a bot starts: to extend a file costs
a flush about twice what overwriting does. Neither has a checkpoint inside a commit: the raw side's are between rounds,
the store's are made by its own thread meanwhile. Of p50s and of rates the best of the rounds counts, of each side,
because other work on processors and device only ever slows a round down; where neighbours keep the processors busy,
there are up to four times as many. p99 is that of all rounds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.books import record_books
from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.peer_libraries import Order
from benchmarks.peers import Answers, column, measure_peers
from benchmarks.processors import rounds
from benchmarks.timing import Paired, Spread, Stopwatch, spread
from benchmarks.workload import (
    RawWriter,
    asset_name,
    balance_tuples,
    balances_in,
    create_store,
    log_size_bytes,
    stored_updates,
    written_columns,
)
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.store import HybridStore

TASKS = 100
SYNC_RATIO_MAX = 1.3
ASYNC_RATIO_MAX = 2.0
MARKS_PER_S_MIN = 20_000.0
TASKS_PER_S_MIN = 50_000.0
TASKS_RATIO_MIN = 0.30
BATCH_RATIO_MIN = 0.60
_WARM_ROWS = {"small": 100, "full": 20_000}
_WARM_ROUNDS_MAX = {"small": 1, "full": 60}
Part = Callable[[TradingBotStorageSystem, RawWriter], Awaitable[list[Figure]]]


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Of each side.
        quiet: How many of them without busy neighbours; up to four times the rounds are made for that.
        writes: Single writes a round.
        marks: Calls of ``record_marks`` a round.
        updates: Updates of all tasks together a round.
        batch: Rows of a batch.
    """

    rounds: int
    quiet: int
    writes: int
    marks: int
    updates: int
    batch: int


SIZES: dict[Size, Sizes] = {
    "small": Sizes(rounds=2, quiet=0, writes=10, marks=2, updates=200, batch=200),
    "full": Sizes(rounds=15, quiet=3, writes=200, marks=100, updates=20_000, batch=10_000),
}


def measure(size: Size) -> list[Figure]:
    """Measure every kind of write.

    Args:
        size: small or full.

    Returns:
        Its figures.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        peers = measure_peers(_order(root, SIZES[size]), root)
        return asyncio.run(_measure(root, size, peers))


def _order(root: Path, sizes: Sizes) -> Order:
    database = create_store(root / "peers")
    updates = stored_updates(root / "stored", balance_tuples(sizes.batch, TASKS, round_number=1))
    return Order(
        database=str(database.path),
        questions=[],
        reads=0,
        statements={
            name: database.statements[name] for name in ("insert_balance_history", "upsert_balances")
        },
        columns=written_columns(),
        updates=[(update.history, update.latest) for update in updates],
        writes=sizes.writes * sizes.rounds,
    )


async def _measure(root: Path, size: Size, peers: Answers) -> list[Figure]:
    sizes = SIZES[size]
    beside = partial(_beside_raw, size=size)
    figures = await beside(root / "sync", partial(_single_writes, root, sizes, peers, through="sync"))
    figures += await beside(root / "async", partial(_single_writes, root, sizes, peers, through="async"))
    figures += await _marks(root / "marks", sizes, positions=False)
    figures += await _marks(root / "positions", sizes, positions=True)
    figures += await beside(root / "tasks", partial(_tasks, root, sizes, peers))
    figures += await beside(root / "batch", partial(_batch, root, sizes, peers))
    return figures


async def _beside_raw(folder: Path, part: Part, *, size: Size) -> list[Figure]:
    """Run one part with a store and a raw database that begin alike, and see that they end alike."""
    raw_database = create_store(folder / "raw")
    raw = RawWriter(raw_database)
    try:
        async with TradingBotStorageSystem(folder / "ours", maintenance="off") as storage:
            await _warm(folder / "warm", storage, raw, size)
            figures = await part(storage, raw)
    finally:
        raw.close()
    assert balances_in(storage.store.database.path) == balances_in(raw_database.path)
    return figures


async def _warm(folder: Path, storage: TradingBotStorageSystem, raw: RawWriter, size: Size) -> None:
    """Write the same to both until the store's log is begun anew, and let the raw one have its size."""
    rows = balance_tuples(_WARM_ROWS[size], TASKS)
    updates = stored_updates(folder, rows)
    path = storage.store.database.path
    for number in range(_WARM_ROUNDS_MAX[size]):
        before_bytes = log_size_bytes(path)
        await storage.batch_update_balances(balance_tuples(_WARM_ROWS[size], TASKS, round_number=number))
        raw.write_all(updates)
        if log_size_bytes(path) == before_bytes:
            break
    raw.checkpoint()


async def _single_writes(
    root: Path,
    sizes: Sizes,
    peers: Answers,
    storage: TradingBotStorageSystem,
    raw: RawWriter,
    *,
    through: str,
) -> list[Figure]:
    tuples = balance_tuples(sizes.writes, TASKS, bare=True)
    updates = stored_updates(root / f"stored-{through}", tuples)
    pairs, ours_ns, raw_ns = Paired(), list[int](), list[int]()
    clock = time.perf_counter_ns
    record = storage.store.record_balance_update if through == "sync" else None
    for _ in rounds(sizes.rounds, sizes.quiet, 4 * sizes.rounds):
        round_ours, round_raw = [], []
        for (asset, balance, hold, source, *_), update in zip(tuples, updates, strict=True):
            begun_ns = clock()
            if record is not None:
                record(asset, balance, hold, source)
            else:
                await storage.record_balance_update(asset, balance, hold, source)
            between_ns = clock()
            raw.write_one(update)
            round_raw.append(clock() - between_ns)
            round_ours.append(between_ns - begun_ns)
        raw.checkpoint()
        pairs.add(spread(round_ours, 1000).p50, spread(round_raw, 1000).p50)
        ours_ns += round_ours
        raw_ns += round_raw
    at_most = SYNC_RATIO_MAX if through == "sync" else ASYNC_RATIO_MAX
    limits = (Limit(of="ratio", at_most=at_most),)
    name = f"one durable write, {through}"
    least_ours, least_raw = pairs.least
    return [
        Figure(
            name=f"{name}, p50", unit="us", ours=least_ours, raw=least_raw,
            peers=_write_peers(peers, "p50"), limits=limits, point="A2",
        ),
        Figure(
            name=f"{name}, p99", unit="us", ours=spread(ours_ns, 1000).p99, raw=spread(raw_ns, 1000).p99,
            peers=_write_peers(peers, "p99"),
        ),
    ]  # fmt: skip


def _write_peers(peers: Answers, percentile: str) -> dict[str, float | None]:
    def pick(spread_us: Spread | None) -> float | None:
        return None if spread_us is None else float(getattr(spread_us, percentile))

    return column(peers, lambda answer: pick(answer.write_us))


async def _marks(folder: Path, sizes: Sizes, *, positions: bool) -> list[Figure]:
    if positions:
        with HybridStore(folder) as store:
            symbols = record_books(store, TASKS).symbols
    else:
        symbols = [f"{asset_name(number)}/USDT" for number in range(TASKS)]
    rates = []
    async with TradingBotStorageSystem(folder, maintenance="off") as storage:
        for number in range(sizes.rounds):
            calls = [
                [
                    {"symbol": symbol, "bid": f"{number + 100}.{call:04d}", "ask": number + 101}
                    for symbol in symbols
                ]
                for call in range(sizes.marks)
            ]
            with Stopwatch() as watch:
                for marks in calls:
                    taken = await storage.record_marks(marks)
            assert taken == len(symbols)
            rates.append(sizes.marks * len(symbols) / watch.elapsed_s)
        if positions:
            position = (await storage.get_open_positions())[-1]
            assert str(position.mark_price).startswith(f"{sizes.rounds + 99}."), "not valued by the last mark"
    return [
        Figure(
            name=f"marks of {TASKS} symbols a call" + (", each with an open position" if positions else ""),
            unit="marks/s",
            ours=max(rates),
            limits=(Limit(of="ours", at_least=MARKS_PER_S_MIN),),
            point="A2",
        )
    ]


async def _tasks(
    root: Path, sizes: Sizes, peers: Answers, storage: TradingBotStorageSystem, raw: RawWriter
) -> list[Figure]:
    tuples = balance_tuples(sizes.updates, TASKS, bare=True)
    updates = stored_updates(root / "stored-tasks", tuples)

    async def bot(number: int) -> None:
        for asset, balance, hold, source, *_ in tuples[number::TASKS]:
            await storage.record_balance_update(asset, balance, hold, source)

    async def timed_bot(number: int) -> list[int]:
        clock, times = time.perf_counter_ns, []
        for asset, balance, hold, source, *_ in tuples[number::TASKS]:
            begun_ns = clock()
            await storage.record_balance_update(asset, balance, hold, source)
            times.append(clock() - begun_ns)
        return times

    pairs = Paired()
    for _ in rounds(sizes.rounds, sizes.quiet, 4 * sizes.rounds):
        with Stopwatch() as ours:
            await asyncio.gather(*(bot(number) for number in range(TASKS)))
        with Stopwatch() as plain:
            raw.write_all(updates)
        raw.checkpoint()
        pairs.add(len(tuples) / ours.elapsed_s, len(updates) / plain.elapsed_s)
    took_ns = await asyncio.gather(*(timed_bot(number) for number in range(TASKS)))
    raw.write_all(updates)
    waits = spread([time_ns for times in took_ns for time_ns in times], 1000)
    best_ours, best_raw = pairs.best
    return [
        Figure(
            name=f"{TASKS} tasks, durable",
            unit="acks/s",
            ours=best_ours,
            raw=best_raw,
            peers=column(peers, lambda answer: answer.tasks_per_s),
            limits=(
                Limit(of="ours", at_least=TASKS_PER_S_MIN),
                Limit(of="ratio", at_least=TASKS_RATIO_MIN),
            ),
            point="A2",
        ),
        Figure(name=f"{TASKS} tasks, a write's p50", unit="us", ours=waits.p50),
        Figure(name=f"{TASKS} tasks, a write's p99", unit="us", ours=waits.p99),
    ]


async def _batch(
    root: Path, sizes: Sizes, peers: Answers, storage: TradingBotStorageSystem, raw: RawWriter
) -> list[Figure]:
    updates = stored_updates(root / "stored-batch", balance_tuples(sizes.batch, TASKS))
    pairs = Paired()
    for number in range(sizes.rounds):
        # Later than all rows that warmed the log: told again, they would be known and cost less.
        tuples = balance_tuples(sizes.batch, TASKS, round_number=1_000 + number)
        with Stopwatch() as ours:
            count = await storage.batch_update_balances(tuples)
        with Stopwatch() as plain:
            raw.write_all(updates)
        raw.checkpoint()
        assert count == len(updates)
        pairs.add(count / ours.elapsed_s, count / plain.elapsed_s)
    best_ours, best_raw = pairs.best
    return [
        Figure(
            name=f"batch of {sizes.batch:,}",
            unit="rows/s",
            ours=best_ours,
            raw=best_raw,
            peers=column(peers, lambda answer: answer.batch_per_s),
            limits=(Limit(of="ratio", at_least=BATCH_RATIO_MIN),),
            point="A2",
        )
    ]


if __name__ == "__main__":
    sys.exit(main("hot_writes", measure, __doc__))
