"""The money side: what a portfolio is worth, marks of positions, and fills with all that follows from them.

Guards (A5):

* ``get_portfolio_summary`` of 50 assets and 50 positions, computed after every mark has changed: p50 <= 500 us; asked
  again while nothing was committed: <= 20 us;
* ``update_position_price``, durable: p50 <= 2x a raw FULL commit of the same statements;
* ``update_prices`` of 100 symbols, each with an open position, durable: p50 <= 5 ms;
* ``record_fill`` with two fees, by 100 tasks over 20 contracts and 20 spot markets, durable: trade, ledger entries,
  what is held of each asset, position, event, sums of the hour and the day: >= 5 000 fills/s.

Raw is apsw doing the same statements: for the summary the one query it asks, unpacked but not valued; for a position
and for prices one FULL transaction; for fills the rows that our side wrote, each by its own statement, in one
transaction. The best of the rounds counts, of each side.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.processors import rounds
from benchmarks.timing import Paired, Stopwatch, spread
from benchmarks.workload import ACCOUNT, StoredRow, asset_name, create_store, open_raw
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import READ_CLOCK, WRITE_CLOCK
from hybridstore.store import HybridStore

POINT = "A5"
TASKS = 100
HELD = 50
MARKED = 100
SUMMARY_US_MAX = 500.0
CACHED_US_MAX = 20.0
MARK_RATIO_MAX = 2.0
PRICES_MS_MAX = 5.0
FILLS_PER_S_MIN = 5_000.0
_FIRST_US = 1_785_542_400_000_000
_WRITTEN_BY_FILLS = ("trades", "ledger", "position_events")
_KEPT_BY_FILLS = ("positions", "ledger_balances", "portfolio_hourly", "portfolio_daily")


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Of each side.
        quiet: How many of them without busy neighbours.
        reads: Summaries a round.
        writes: Durable writes a round.
        fills: Fills a round.
    """

    rounds: int
    quiet: int
    reads: int
    writes: int
    fills: int


SIZES: dict[Size, Sizes] = {
    "small": Sizes(rounds=2, quiet=0, reads=5, writes=5, fills=200),
    "full": Sizes(rounds=9, quiet=3, reads=200, writes=100, fills=10_000),
}


class RawBooks:
    """The store's statements on a bare apsw connection.

    Args:
        database: A closed store's database.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self.connection = open_raw(database.path)
        self._statements = database.statements

    def commit(self, writes: Iterable[tuple[str, StoredRow]]) -> None:
        """Run statements in one durable transaction, the clock included.

        Args:
            writes: Names of statements and their parameters.
        """
        execute, statements = self.connection.execute, self._statements
        execute("BEGIN IMMEDIATE")
        clock: StoredRow = execute(READ_CLOCK).fetchall()[0]
        for name, row in writes:
            execute(statements[name], row)
        execute(WRITE_CLOCK, (clock[0] + 1, max(clock[1] + 1, time.time_ns() // 1000)))
        execute("COMMIT")

    def checkpoint(self) -> None:
        """Copy the log back, between rounds."""
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def measure(size: Size) -> list[Figure]:
    """Measure all of it.

    Args:
        size: small or full.

    Returns:
        Its figures.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        figures = _summary(root / "summary", sizes)
        figures += _marks(root / "marks", sizes)
        figures += asyncio.run(_fills(root / "fills", sizes))
        return figures


def _summary(root: Path, sizes: Sizes) -> list[Figure]:
    computed, plain, cached = Paired(), list[float](), list[float]()
    with HybridStore(root) as store:
        symbols = _open_positions(store, HELD)
        for number in range(HELD):
            store.record_balance_update(asset_name(number), 1 + number, durability="normal")
        raw = open_raw(store.database.path)
        asked = json.dumps([*symbols, *(symbol.partition(":")[0] for symbol in symbols)])
        given = {"account": ACCOUNT, "asked": asked}
        sql = store.database.statements["what_is_held"]
        for number in rounds(sizes.rounds, sizes.quiet, 4 * sizes.rounds):
            ours, bare, again = [], [], []
            for read in range(sizes.reads):
                price = Decimal(10_000 + number * sizes.reads + read).scaleb(-2)
                prices = dict.fromkeys((*symbols, *(symbol.partition(":")[0] for symbol in symbols)), price)
                store.update_prices(prices, durability="normal")
                begun_ns = time.perf_counter_ns()
                summary = store.get_portfolio_summary()
                done_ns = time.perf_counter_ns()
                repeated = store.get_portfolio_summary()
                again.append(time.perf_counter_ns() - done_ns)
                ours.append(done_ns - begun_ns)
                assert repeated is summary
                begun_ns = time.perf_counter_ns()
                held = [json.loads(str(text)) for text in raw.execute(sql, given).fetchall()[0]]
                bare.append(time.perf_counter_ns() - begun_ns)
                assert (len(summary.assets), len(summary.positions)) == (HELD, len(held[1]))
                assert summary.positions[0].mark_price == price
            computed.add(spread(ours, 1000).p50, spread(bare, 1000).p50)
            plain.append(spread(bare, 1000).p50)
            cached.append(spread(again, 1000).p50)
        raw.close()
    name = f"portfolio of {HELD} assets and {HELD} positions"
    return [
        Figure(
            name=f"{name}, computed, p50", unit="us", ours=computed.least[0], raw=computed.least[1],
            limits=(Limit(of="ours", at_most=SUMMARY_US_MAX),), point=POINT,
            note="raw: its one query, unpacked by json and not valued",
        ),
        Figure(
            name=f"{name}, asked again, p50", unit="us", ours=min(cached),
            limits=(Limit(of="ours", at_most=CACHED_US_MAX),), point=POINT,
        ),
    ]  # fmt: skip


def _open_positions(store: HybridStore, count: int) -> list[str]:
    symbols = [f"{asset_name(number)}/USDT:USDT" for number in range(count)]
    for number, symbol in enumerate(symbols):
        store.record_fill(symbol, "buy", "100.5", "0.25", trade_id=f"open-{number}", durability="normal")
    return symbols


def _marks(root: Path, sizes: Sizes) -> list[Figure]:
    one, many = Paired(), Paired()
    raw_database = create_store(root / "raw")
    with HybridStore(root / "ours") as store:
        symbols = _open_positions(store, MARKED)
        position_id = store.get_open_positions()[0].position_id
        rows = _rows(store, "positions")
        marks = [(symbol, None, None, None, "100.5", _FIRST_US, _FIRST_US) for symbol in symbols]
        both = [
            *(("upsert_marks", mark) for mark in marks),
            *(("upsert_positions", row[1:]) for row in rows),
        ]
        raw = RawBooks(raw_database)
        raw.commit(both)
        for number in rounds(sizes.rounds, sizes.quiet, 4 * sizes.rounds):
            times: list[list[int]] = [[], [], [], []]
            for write in range(sizes.writes):
                price = Decimal(10_000 + number * sizes.writes + write).scaleb(-2)
                moments = [time.perf_counter_ns()]
                store.update_position_price(position_id, price)
                moments.append(time.perf_counter_ns())
                raw.commit([("upsert_positions", rows[0][1:])])
                moments.append(time.perf_counter_ns())
                store.update_prices(dict.fromkeys(symbols, price))
                moments.append(time.perf_counter_ns())
                raw.commit(both)
                moments.append(time.perf_counter_ns())
                for place, taken in enumerate(times):
                    taken.append(moments[place + 1] - moments[place])
            p50 = [spread(taken, 1000).p50 for taken in times]
            one.add(p50[0], p50[1])
            many.add(p50[2] / 1000, p50[3] / 1000)
            raw.checkpoint()
        raw.close()
        assert {position.mark_price for position in store.get_open_positions()} == {price}
    return [
        Figure(
            name="mark of one position, durable, p50", unit="us", ours=one.least[0], raw=one.least[1],
            limits=(Limit(of="ratio", at_most=MARK_RATIO_MAX),), point=POINT,
        ),
        Figure(
            name=f"prices of {MARKED} symbols with {MARKED} positions, durable, p50", unit="ms", ours=many.least[0],
            raw=many.least[1], limits=(Limit(of="ours", at_most=PRICES_MS_MAX),), point=POINT,
        ),
    ]  # fmt: skip


def _rows(store: HybridStore, table: str, since: int = 0) -> list[StoredRow]:
    """Return what a table holds, in order, behind its first rows."""
    order = "1, 2" if table in _KEPT_BY_FILLS[1:] else "id"
    rows: list[Any] = store.database.readers.rows(
        f"SELECT * FROM {table} ORDER BY {order} LIMIT -1 OFFSET {since}"
    )
    return rows


async def _fills(root: Path, sizes: Sizes) -> list[Figure]:
    pairs = Paired()
    raw = RawBooks(create_store(root / "raw"))
    async with TradingBotStorageSystem(root / "ours", maintenance="off") as storage:
        for number in rounds(sizes.rounds + 1, sizes.quiet, 4 * sizes.rounds):
            known = {table: len(_rows(storage.store, table)) for table in _WRITTEN_BY_FILLS}
            with Stopwatch() as ours:
                await asyncio.gather(
                    *(trade(storage, number, task, sizes.fills // TASKS) for task in range(TASKS))
                )
            writes = _written(storage.store, known)
            with Stopwatch() as plain:
                raw.commit(writes)
            raw.checkpoint()
            if number:  # the first round extends both logs
                pairs.add(sizes.fills / ours.elapsed_s, sizes.fills / plain.elapsed_s)
        books = storage.store.books.prove() if sizes.rounds > 1 else None
        assert books is None or books.holds
    raw.close()
    best_ours, best_raw = pairs.best
    return [
        Figure(
            name=f"fills with all that follows, {TASKS} tasks, durable", unit="fills/s", ours=best_ours, raw=best_raw,
            limits=(Limit(of="ours", at_least=FILLS_PER_S_MIN),), point=POINT,
            note=f"{len(writes) / sizes.fills:.1f} statements a fill",
        )
    ]  # fmt: skip


async def trade(storage: TradingBotStorageSystem, round_number: int, task: int, fills: int) -> None:
    """Record fills over 20 contracts and 20 spot markets: positions open, grow, shrink, close and turn.

    Args:
        storage: Where.
        round_number: Rounds have trades of their own.
        task: Which of the tasks.
        fills: How many.
    """
    for fill in range(fills):
        turn = task * 7 + fill
        name = f"{asset_name(turn % 20)}/USDT"
        await storage.record_fill(
            name if turn % 2 else f"{name}:USDT",
            "sell" if turn % 3 == 0 else "buy",
            Decimal(10_000 + turn % 500).scaleb(-2),
            "0.25",
            trade_id=f"{round_number}-{task}-{fill}",
            order_id=f"order-{round_number}-{task}-{fill // 2}",
            fees=[("USDT", "0.0251"), ("BNB", "0.00001")],
            liquidity="taker",
            executed_at=_FIRST_US + (round_number * fills + fill) * 1_000_000,
        )


def _written(store: HybridStore, known: dict[str, int]) -> list[tuple[str, StoredRow]]:
    """Return what a round of fills wrote: rows of their own, and for each the state that it left."""
    new = {table: [row[1:] for row in _rows(store, table, known[table])] for table in _WRITTEN_BY_FILLS}
    states = {table: _rows(store, table) for table in _KEPT_BY_FILLS}
    states["positions"] = [row[1:] for row in states["positions"]]
    writes: list[tuple[str, StoredRow]] = []
    for table, rows in new.items():
        writes += [(f"insert_{table}", row) for row in rows]
    count = len(new["trades"])
    for table, rows in states.items():
        # A fill changes one position, three assets, and two currencies of an hour and of a day.
        changes = {"positions": 1, "ledger_balances": 3}.get(table, 2)
        writes += [(f"upsert_{table}", rows[number % len(rows)]) for number in range(count * changes)]
    return writes


if __name__ == "__main__":
    sys.exit(main("money", measure, __doc__))
