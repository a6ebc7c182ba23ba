"""The hot path against raw apsw and against peers: point read, single write, 100 tasks, batch.

Guards (A5), always in the same process, in turns with raw apsw on the same kind of file:

* latest balance through the async facade on a running loop: p50 <= 2x apsw running the same prepared statement on the
  same file;
* a single durable write: shown against BEGIN IMMEDIATE, the same statements and COMMIT in the caller's own thread; no
  limit, because most of it is the device's flush;
* 100 tasks each awaiting durable balance updates: >= 25 000 acknowledgements/s and >= 15 % of apsw executing the same
  statements row by row in one transaction;
* ``batch_update_balances`` of 10 000 tuples: >= 40 % of the same.

Times are percentiles of single calls; rates are the best of the rounds, because other work on the machine only ever
slows a round down.
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

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.peers import Answer, Order, measure_peers
from benchmarks.timing import Paired, Stopwatch, spread
from benchmarks.workload import (
    ACCOUNT,
    RawWriter,
    asset_name,
    balance_tuples,
    balances_in,
    create_store,
    open_raw,
    stored_updates,
)
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.hot.database import DatabaseManager

TASKS = 100
READ_RATIO_MAX = 2.0
TASKS_PER_S_MIN = 25_000.0
TASKS_RATIO_MIN = 0.15
BATCH_RATIO_MIN = 0.40
Part = Callable[[TradingBotStorageSystem, RawWriter], Awaitable[list[Figure]]]


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Of each side.
        reads: Point reads a round.
        writes: Single writes a round.
        updates: Updates of all tasks together a round.
        batch: Rows of a batch; also what the point reads find.
    """

    rounds: int
    reads: int
    writes: int
    updates: int
    batch: int


SIZES: dict[Size, Sizes] = {
    "small": Sizes(rounds=2, reads=50, writes=10, updates=200, batch=200),
    "full": Sizes(rounds=9, reads=5_000, writes=200, updates=20_000, batch=10_000),
}


def measure(size: Size) -> list[Figure]:
    """Measure the hot path.

    Args:
        size: small or full.

    Returns:
        Its figures.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        database = create_store(root / "read", balance_tuples(sizes.batch, TASKS))
        peers = measure_peers(_order(database, root / "stored", sizes), root)
        return asyncio.run(_measure(root, database, sizes, peers))


async def _measure(
    root: Path, database: DatabaseManager, sizes: Sizes, peers: dict[str, Answer]
) -> list[Figure]:
    figures = await _point_read(database, sizes, peers)
    figures += await _beside_raw(root / "one", partial(_single_write, root, sizes, peers))
    figures += await _beside_raw(root / "tasks", partial(_tasks, root, sizes, peers))
    figures += await _beside_raw(root / "batch", partial(_batch, root, sizes, peers))
    return figures


def _order(database: DatabaseManager, folder: Path, sizes: Sizes) -> Order:
    names = ("latest_balance", "insert_balance_history", "upsert_balances")
    updates = stored_updates(folder, balance_tuples(sizes.batch, TASKS, round_number=1))
    return Order(
        database=str(database.path),
        statements={name: database.statements[name] for name in names},
        keys=[(ACCOUNT, asset_name(number)) for number in range(TASKS)],
        updates=[(update.history, update.latest) for update in updates],
        reads=sizes.reads,
        writes=sizes.writes * sizes.rounds,
    )


async def _beside_raw(folder: Path, part: Part) -> list[Figure]:
    """Run one part with a store and a raw database that begin alike, and see that they end alike."""
    raw_database = create_store(folder / "raw")
    raw = RawWriter(raw_database)
    try:
        async with TradingBotStorageSystem(folder / "ours", maintenance="off") as storage:
            figures = await part(storage, raw)
    finally:
        raw.close()
    assert balances_in(storage.store.database.path) == balances_in(raw_database.path)
    return figures


async def _point_read(database: DatabaseManager, sizes: Sizes, peers: dict[str, Answer]) -> list[Figure]:
    sql = database.statements["latest_balance"]
    assets = [asset_name(number) for number in range(TASKS)] * -(-sizes.reads // TASKS)
    ours_ns: list[int] = []
    raw_ns: list[int] = []
    pairs = Paired()
    async with TradingBotStorageSystem(database.root, maintenance="off") as storage:
        raw = open_raw(database.path)
        execute, clock = raw.execute, time.perf_counter_ns
        for _ in range(sizes.rounds):
            round_ours, round_raw = [], []
            for asset in assets:
                begun_ns = clock()
                balance = await storage.get_latest_balance(asset)
                round_ours.append(clock() - begun_ns)
                assert balance is not None
            for asset in assets:
                begun_ns = clock()
                rows = execute(sql, (ACCOUNT, asset)).fetchall()
                round_raw.append(clock() - begun_ns)
                assert len(rows) == 1
            pairs.add(spread(round_ours).p50, spread(round_raw).p50)
            ours_ns += round_ours
            raw_ns += round_raw
        raw.close()
    ours, plain = spread(ours_ns, 1000), spread(raw_ns, 1000)
    return [
        Figure(
            name="latest balance, p50",
            unit="us",
            ours=ours.p50,
            raw=plain.p50,
            ratio=pairs.ratio,
            peers={name: answer.read_us.p50 for name, answer in peers.items()},
            limits=(Limit(of="ratio", at_most=READ_RATIO_MAX),),
            point="A5",
        ),
        Figure(
            name="latest balance, p99",
            unit="us",
            ours=ours.p99,
            raw=plain.p99,
            peers={name: answer.read_us.p99 for name, answer in peers.items()},
        ),
    ]


async def _single_write(
    root: Path, sizes: Sizes, peers: dict[str, Answer], storage: TradingBotStorageSystem, raw: RawWriter
) -> list[Figure]:
    tuples = balance_tuples(sizes.writes, TASKS, bare=True)
    updates = stored_updates(root / "stored-one", tuples)
    ours_ns: list[int] = []
    raw_ns: list[int] = []
    clock = time.perf_counter_ns
    for _ in range(sizes.rounds):
        for (asset, balance, hold, source, *_), update in zip(tuples, updates, strict=True):
            begun_ns = clock()
            await storage.record_balance_update(asset, balance, hold, source)
            between_ns = clock()
            raw.write_one(update)
            raw_ns.append(clock() - between_ns)
            ours_ns.append(between_ns - begun_ns)
        raw.checkpoint()
    ours, plain = spread(ours_ns, 1000), spread(raw_ns, 1000)
    return [
        Figure(
            name=f"one durable write, {name}",
            unit="us",
            ours=getattr(ours, name),
            raw=getattr(plain, name),
            peers={library: getattr(answer.write_us, name) for library, answer in peers.items()},
        )
        for name in ("p50", "p99")
    ]


async def _tasks(
    root: Path, sizes: Sizes, peers: dict[str, Answer], storage: TradingBotStorageSystem, raw: RawWriter
) -> list[Figure]:
    tuples = balance_tuples(sizes.updates, TASKS, bare=True)
    updates = stored_updates(root / "stored-tasks", tuples)
    took_ns: list[int] = []
    clock = time.perf_counter_ns

    async def bot(number: int) -> None:
        for asset, balance, hold, source, *_ in tuples[number::TASKS]:
            begun_ns = clock()
            await storage.record_balance_update(asset, balance, hold, source)
            took_ns.append(clock() - begun_ns)

    pairs = Paired()
    for _ in range(sizes.rounds):
        with Stopwatch() as ours:
            await asyncio.gather(*(bot(number) for number in range(TASKS)))
        with Stopwatch() as plain:
            raw.write_all(updates)
        raw.checkpoint()
        pairs.add(len(tuples) / ours.elapsed_s, len(updates) / plain.elapsed_s)
    waits = spread(took_ns, 1000)
    best_ours, best_raw = pairs.best
    return [
        Figure(
            name=f"{TASKS} tasks, durable",
            unit="acks/s",
            ours=best_ours,
            raw=best_raw,
            peers={name: answer.tasks_per_s for name, answer in peers.items()},
            limits=(
                Limit(of="ours", at_least=TASKS_PER_S_MIN),
                Limit(of="ratio", at_least=TASKS_RATIO_MIN),
            ),
            point="A5",
        ),
        Figure(name=f"{TASKS} tasks, a write's p50", unit="us", ours=waits.p50),
        Figure(name=f"{TASKS} tasks, a write's p99", unit="us", ours=waits.p99),
    ]


async def _batch(
    root: Path, sizes: Sizes, peers: dict[str, Answer], storage: TradingBotStorageSystem, raw: RawWriter
) -> list[Figure]:
    updates = stored_updates(root / "stored-batch", balance_tuples(sizes.batch, TASKS))
    pairs = Paired()
    for number in range(sizes.rounds):
        tuples = balance_tuples(sizes.batch, TASKS, round_number=number)
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
            peers={name: answer.batch_per_s for name, answer in peers.items()},
            limits=(Limit(of="ratio", at_least=BATCH_RATIO_MIN),),
            point="A5",
        )
    ]


if __name__ == "__main__":
    sys.exit(main("hot_path", measure, __doc__))
