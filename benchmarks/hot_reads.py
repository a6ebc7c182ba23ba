"""Point reads through the async facade against raw apsw on the same file, and against peers.

Guards (A2): latest balance, open position, order by id and last trade take, at p50, <= 1.5x what apsw takes, in the
same process, on the same file, in turns. There are two honest ways to compare, and the limit holds for both:

* as delivered: the facade with its default settings, asked for something that has not changed since it was last asked,
  against apsw fetching the bare row. The facade reads the row from SQLite each time, too, and only makes no new record
  of it where it equals the one before: nothing here can be stale;
* "made anew": the facade with ``enable_query_cache`` off, which makes a record of Decimals and datetimes each time,
  against apsw and the same conversions of the same columns into a plain list. The note says how many times the bare row
  that is.

The raw statement of the last trade is the one that knows of no archives. Peers read bare rows (Redis: hashes).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from benchmarks.books import Books, account_of, record_books
from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.peer_libraries import Order, Question
from benchmarks.peers import Answers, column, measure_peers
from benchmarks.timing import Paired, spread
from benchmarks.workload import open_raw, written_columns
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import DatabaseConfig
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType, moment
from hybridstore.store import HybridStore

RATIO_MAX = 1.5
MARKETS = 100
ROUNDS = {"small": 2, "full": 15}
READS = {"small": 50, "full": 2_000}
_DATASETS = Registry()
_CONVERSIONS: dict[LogicalType, Callable[[Any], Any]] = {
    LogicalType.MONEY: Decimal,
    LogicalType.TIMESTAMP: moment,
    LogicalType.BOOLEAN: bool,
}


class Read(NamedTuple):
    """One kind of read.

    Attributes:
        question: As the raw library and peers are asked.
        method: The facade's.
        arguments: The facade's, one for each key of the question.
    """

    question: Question
    method: str
    arguments: list[tuple[str, ...]]


def measure(size: Size) -> list[Figure]:
    """Measure every kind of read.

    Args:
        size: small or full.

    Returns:
        p50 and p99 of each.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder) / "store"
        with HybridStore(root) as store:
            books = record_books(store, MARKETS)
        reads = kinds(store.database.statements, books)
        order = Order(
            database=str(store.database.path),
            questions=[read.question for read in reads],
            reads=READS[size],
            statements={},
            columns=written_columns(),
            updates=[],
            writes=0,
        )
        return asyncio.run(_measure(root, reads, size, measure_peers(order, Path(folder))))


def kinds(statements: dict[str, str], books: Books) -> list[Read]:
    """Return what is measured.

    Args:
        statements: The store's.
        books: What there is to be found.

    Returns:
        The kinds of reads.
    """
    stored = ", ".join(_DATASETS["trades"].stored_names)
    newest = f"SELECT {stored} FROM trades WHERE account = ? AND symbol = ? ORDER BY executed_at DESC, id DESC LIMIT 1"
    by_account = [account_of(asset) for asset in books.assets]
    orders = list(zip(books.symbols, books.order_ids, strict=True))
    return [
        Read(
            Question("latest balance", "balances", ("account", "asset"), statements["latest_balance"], by_account),
            "get_latest_balance",
            [(asset,) for asset in books.assets],
        ),
        Read(
            Question(
                "open position", "positions", ("position_id",), statements["find_positions"],
                [(position_id,) for position_id in books.position_ids],
            ),
            "get_position",
            [(position_id,) for position_id in books.position_ids],
        ),
        Read(
            Question(
                "order by id", "orders", ("account", "symbol", "order_id"), statements["find_orders"],
                [account_of(*order) for order in orders],
            ),
            "get_order",
            [tuple(order) for order in orders],
        ),
        Read(
            Question(
                "last trade", "trades", ("account", "symbol"), newest,
                [account_of(symbol) for symbol in books.symbols], ("executed_at", "id"),
            ),
            "get_last_trade",
            [(symbol,) for symbol in books.symbols],
        ),
    ]  # fmt: skip


async def _measure(root: Path, reads: list[Read], size: Size, peers: Answers) -> list[Figure]:
    figures = []
    anew = DatabaseConfig(enable_query_cache=False)
    async with (
        TradingBotStorageSystem(root, maintenance="off") as storage,
        TradingBotStorageSystem(root, config=anew, maintenance="off") as storage_anew,
    ):
        raw = open_raw(storage.store.database.path)
        try:
            for read in reads:
                figures += await _compare(read, storage, storage_anew, raw, size, peers)
        finally:
            raw.close()
    return figures


async def _compare(
    read: Read,
    storage: TradingBotStorageSystem,
    storage_anew: TradingBotStorageSystem,
    raw: apsw.Connection,
    size: Size,
    peers: Answers,
) -> list[Figure]:
    name, columns = read.question.name, _conversions(read.question, raw)
    delivered, converted, bare_to_anew = Paired(), Paired(), Paired()
    ours_ns: list[int] = []
    raw_ns: list[int] = []
    for _ in range(ROUNDS[size]):
        ours = await _ask(getattr(storage, read.method), read.arguments, READS[size])
        bare = _fetch(raw, read.question, READS[size], ())
        anew = await _ask(getattr(storage_anew, read.method), read.arguments, READS[size])
        values = _fetch(raw, read.question, READS[size], columns)
        ours_ns += ours
        raw_ns += bare
        delivered.add(spread(ours, 1000).p50, spread(bare, 1000).p50)
        converted.add(spread(anew, 1000).p50, spread(values, 1000).p50)
        bare_to_anew.add(spread(anew, 1000).p50, spread(bare, 1000).p50)
    limits = (Limit(of="ratio", at_most=RATIO_MAX),)
    return [
        Figure(
            name=f"{name}, p50", unit="us", ours=delivered.ours, raw=delivered.raw, ratio=delivered.ratio,
            peers=column(peers, lambda answer: answer.read_us[name].p50), limits=limits, point="A2",
            note="as delivered",
        ),
        Figure(
            name=f"{name} made anew, p50", unit="us", ours=converted.ours, raw=converted.raw,
            ratio=converted.ratio, limits=limits, point="A2", note=f"{bare_to_anew.ratio:.2f}x the bare row",
        ),
        Figure(
            name=f"{name}, p99", unit="us", ours=spread(ours_ns, 1000).p99, raw=spread(raw_ns, 1000).p99,
            peers=column(peers, lambda answer: answer.read_us[name].p99),
        ),
    ]  # fmt: skip


async def _ask(
    method: Callable[..., Awaitable[object]], arguments: Sequence[tuple[str, ...]], count: int
) -> list[int]:
    clock, times = time.perf_counter_ns, []
    for number in range(count):
        key = arguments[number % len(arguments)]
        begun_ns = clock()
        found = await method(*key)
        times.append(clock() - begun_ns)
        assert found is not None
    return times


def _fetch(
    connection: apsw.Connection,
    question: Question,
    count: int,
    conversions: Sequence[tuple[int, Callable[[Any], Any]]],
) -> list[int]:
    execute, sql, keys = connection.execute, question.sql, question.keys
    clock, times = time.perf_counter_ns, []
    for number in range(count):
        key = keys[number % len(keys)]
        begun_ns = clock()
        rows: Any = execute(sql, key).fetchall()
        if conversions:
            row = list(rows[0])
            for place, convert in conversions:
                if row[place] is not None:
                    row[place] = convert(row[place])
        times.append(clock() - begun_ns)
        assert len(rows) == 1
    return times


def _conversions(question: Question, connection: apsw.Connection) -> list[tuple[int, Callable[[Any], Any]]]:
    """Return which columns of a question's rows a bot must convert to compute with them, and how."""
    types = {column.name: column.type for column in _DATASETS[question.table].columns}
    first: Any = connection.execute(question.sql, question.keys[0])
    names = [description[0] for description in first.get_description()]
    first.fetchall()
    return [
        (place, _CONVERSIONS[types[name]])
        for place, name in enumerate(names)
        if types.get(name) in _CONVERSIONS
    ]


if __name__ == "__main__":
    sys.exit(main("hot_reads", measure, __doc__))
