"""Moving history from the hot store into Parquet, every step included: claim, read, write, flush, verify, hash, purge.

Guards: at least 150 000 rows/s in one mover process (A5), for market trades and for the bot's own fills (26 columns);
publishing steps leave the write lock soon enough that a bot writes within 10 ms (A7); recorded Binance trades take at
most 5.0 bytes a row in the archive (A5). The raw figure of the recorded trades is what pyarrow's defaults make of the
same rows. Rates are the best of the rounds, because other work on the machine only ever slows a move down.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure, Limit, Size, main
from hybridstore.clock import DAY_US
from hybridstore.demo.market import MarketTrade
from hybridstore.demo.recorded import read_market
from hybridstore.hot.session import WriteSession
from hybridstore.retention.mover import STEPS
from hybridstore.retention.progress import MoveReport
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.types import check_tick, tick_decimal
from hybridstore.store import HybridStore

ROWS = {"small": 4_000, "full": 1_000_000}
ROUNDS = {"small": 1, "full": 3}
DAYS = 2
ROWS_A_SECOND_MIN = 150_000
BYTES_A_ROW_MAX = 5.0
LOCK_MS_MAX = 10.0
_BATCH_ROWS = 500
"""Rows that a bot records in one transaction, and that so have the same ``recorded_at``."""
_LOAD_ROWS = 20_000
_FIRST_US = 20_000 * DAY_US
_MOVED_US = _FIRST_US + 12 * DAY_US
"""When the rows are old enough to be moved, and not to be merged."""
_MERGED_US = _FIRST_US + 75 * DAY_US
"""When their month is old enough for the cold tier."""
_RECORDED = "trades/hftbacktest_binance_trades_20240808_09.parquet"
_DATA_VARIABLE = "HYBRIDSTORE_TEST_DATA"
_REPOSITORY = Path(__file__).resolve().parent.parent
Row = tuple[Any, ...]


class Moved(NamedTuple):
    """What one move measured."""

    report: MoveReport
    steps_s: dict[str, float]
    merged_rows_per_s: float


def measure(size: Size) -> list[Figure]:
    """Move market trades, fills and recorded trades.

    Args:
        size: small or full.

    Returns:
        Rates, seconds of each step, time under the write lock, bytes a row.
    """
    figures = []
    for dataset, make in (("market_trades", _market_trade), ("trades", _fill)):
        rng = random.Random(dataset)
        rows = [make(rng, number, ROWS[size]) for number in range(ROWS[size])]
        moves = [_move(dataset, rows) for _ in range(ROUNDS[size])]
        figures += _figures(dataset, max(moves, key=lambda moved: moved.report.rows_per_s))
    return [*figures, *_recorded()]


def _figures(dataset: str, moved: Moved) -> list[Figure]:
    report = moved.report
    rate = Limit(of="ours", at_least=ROWS_A_SECOND_MIN)
    steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in moved.steps_s.items())
    return [
        Figure(
            name=f"move of {dataset}",
            unit="rows/s",
            ours=report.rows_per_s,
            limits=(rate,),
            point="A5",
            note=f"s: {steps}",
        ),
        Figure(name=f"{dataset}: write lock p50", unit="ms", ours=report.lock_ms_p50),
        Figure(
            name=f"{dataset}: write lock p99",
            unit="ms",
            ours=report.lock_ms_p99,
            limits=(Limit(of="ours", at_most=LOCK_MS_MAX),),
            point="A7",
            note=f"longest {report.lock_ms_max:.1f} ms",
        ),
        Figure(
            name=f"{dataset}: warm to cold",
            unit="rows/s",
            ours=moved.merged_rows_per_s,
            note="every step of the run, planning and finding nothing to move included",
        ),
        Figure(name=f"{dataset}: size", unit="B/row", ours=report.size_bytes / report.rows),
    ]


def _move(dataset: str, rows: Iterable[Row], batch_rows: int = _LOAD_ROWS) -> Moved:
    """Record rows in a new store and move all of them."""
    with tempfile.TemporaryDirectory() as folder, HybridStore(folder) as store:
        _load(store, dataset, rows, batch_rows)
        marks = [("", time.perf_counter())]
        report = store.retention.run(
            _MOVED_US, on_step=lambda name: marks.append((name, time.perf_counter()))
        )
        begun_s = time.perf_counter()
        merged = store.retention.run(_MERGED_US)
        merged_rows_per_s = round(merged.merged_rows / (time.perf_counter() - begun_s), 1)
    steps_s = dict.fromkeys(STEPS, 0.0)
    for (_, before_s), (name, after_s) in pairwise(marks):
        steps_s[name] += after_s - before_s
    return Moved(report, steps_s, merged_rows_per_s)


def _load(store: HybridStore, dataset: str, rows: Iterable[Row], batch_rows: int) -> None:
    remaining = iter(rows)

    def insert(session: WriteSession, batch: list[Row]) -> None:
        session.executemany(session.sql[f"insert_{dataset}"], [(*row, session.ts_us) for row in batch])

    while batch := list(islice(remaining, batch_rows)):
        store.database.writer.call(insert, batch, durability="normal")


def _market_trade(rng: random.Random, number: int, total: int) -> Row:
    return (
        ("BTC/USDT", "ETH/USDT", "SOL/USDT")[number % 3],
        900_000_000 + number,
        6_000_000_000_000 + rng.randrange(10_000) * 1_000_000,
        rng.randrange(1, 10**4) * 10_000,
        ("buy", "sell")[rng.random() < 0.5],
        _FIRST_US + number * (DAYS * DAY_US // total),
    )


def _fill(rng: random.Random, number: int, total: int) -> Row:
    price, amount = rng.randrange(5_900_000, 6_100_000), rng.randrange(1, 10**6)
    executed_us = _FIRST_US + number * (DAYS * DAY_US // total)
    return (
        f"kraken/{number % 2}",
        ("BTC/USDT", "ETH/USDT", "SOL/USDT")[number % 3],
        f"T{900_000_000 + number}",
        f"O{rng.getrandbits(48):012x}",
        0,
        ("buy", "sell")[rng.random() < 0.5],
        _plain(price, 2),
        _plain(amount, 6),
        "1",
        _plain(price * amount, 8),
        _plain(price * amount, 11),
        "USDT",
        _plain(price * amount, 11),
        None,
        ("maker", "taker")[rng.random() < 0.5],
        _plain(rng.randrange(-(10**9), 10**9), 8) if number % 2 else None,
        _plain(rng.randrange(-(10**9), 10**9), 8) if number % 2 else None,
        None,
        f"position-{number // 100}",
        None,
        0,
        "momentum",
        "bot-1",
        executed_us,
        None,
    )


def _plain(digits: int, places: int) -> str:
    sign, text = "-" * (digits < 0), f"{abs(digits):0{places + 1}}"
    fraction = text[-places:].rstrip("0")
    return f"{sign}{text[:-places]}{'.' if fraction else ''}{fraction}"


def _recorded() -> list[Figure]:
    """Record the shared Binance trades in the order of reception, as a bot would, and move them."""
    path = Path(os.environ.get(_DATA_VARIABLE) or _REPOSITORY.parent / "shared" / "data") / _RECORDED
    if not path.is_file():
        print(f"recorded Binance trades are absent: set {_DATA_VARIABLE} to the folder with {_RECORDED}")
        return []
    rows = _recorded_rows(path)
    moved = _move("market_trades", rows, _BATCH_ROWS)
    return [
        Figure(
            name=f"{len(rows):,} recorded trades: size",
            unit="B/row",
            ours=moved.report.size_bytes / moved.report.rows,
            raw=_default_size_bytes(rows) / len(rows),
            limits=(Limit(of="ours", at_most=BYTES_A_ROW_MAX),),
            point="A5",
            note=f"{moved.report.files} files",
        ),
    ]


def _recorded_rows(path: Path) -> list[Row]:
    return [
        (
            event.symbol,
            event.trade_id,
            check_tick(event.price, "price"),
            check_tick(event.amount, "amount"),
            event.side,
            event.traded_us,
        )
        for batch in read_market([path]).batches()
        for event in batch
        if isinstance(event, MarketTrade)
    ]


def _default_size_bytes(rows: list[Row]) -> int:
    """Return the size of a file that pyarrow makes of the same rows by itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = MARKET_TRADES.column_names[:-1]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    sink = pa.BufferOutputStream()
    schema = pa.schema([arrow_schema(MARKET_TRADES).field(name) for name in names])
    for name in ("price", "amount"):
        columns[name] = [tick_decimal(value) for value in columns[name]]
    pq.write_table(pa.table(columns, schema=schema), sink)
    return int(sink.getvalue().size)


if __name__ == "__main__":
    sys.exit(main("move", measure, __doc__))
