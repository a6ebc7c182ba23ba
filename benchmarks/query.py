"""Questions over archived market trades, through the store against DuckDB on the same files.

Guards: a question costs at most 1.2 times what DuckDB takes for the same SQL on the same files (A5). What comes on top
is one snapshot of the hot store, the check of the statement, a look at every file, and the view. Both sides have
the same threads and memory, give the same answers, and are measured in turns. A scan through polars is set against
polars on the same files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.timing import Paired, Stopwatch
from hybridstore.analytics.engine import MEMORY_LIMIT
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.writing import Target, write_archive
from hybridstore.clock import DAY_US
from hybridstore.config import CONFIG_NAME
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.sqlite import quote_text
from hybridstore.schema.types import TICK_SCALE, moment
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    import duckdb
    import polars as pl

DAYS = {"small": 3, "full": 30}
ROWS_A_DAY = {"small": 2_000, "full": 170_000}
ROUNDS = {"small": 1, "full": 15}
RATIO_MAX = 1.2
SEED = 20_260_801
SYMBOLS = ("ADA/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
_FIRST_DAY = 20_600
_HOUR_US = DAY_US // 24
_TICK_BYTES = np.dtype("<i8")


class Question(NamedTuple):
    """One question in SQL; ``{trades}`` stands for where the rows are."""

    name: str
    sql: str


QUESTIONS = (
    Question(
        "VWAP per minute of one day",
        "SELECT symbol, date_trunc('minute', traded_at) AS minute,"
        " sum(price::DOUBLE * amount::DOUBLE) / sum(amount::DOUBLE) AS vwap, sum(amount) AS volume"
        " FROM {trades} WHERE traded_at >= $start AND traded_at < $end GROUP BY ALL ORDER BY ALL",
    ),
    Question(
        "sums of everything by symbol",
        "SELECT symbol, count(*), sum(amount), sum(CAST(price AS DECIMAL(38, 8)) * amount), min(traded_at),"
        " max(traded_at) FROM {trades} GROUP BY symbol ORDER BY symbol",
    ),
    Question(
        "one symbol, one hour",
        "SELECT traded_at, price, amount FROM {trades}"
        " WHERE symbol = 'ETH/USDT' AND traded_at >= $start AND traded_at < $hour_end ORDER BY trade_id",
    ),
    Question(
        "exact notional by day",
        "SELECT date_trunc('day', traded_at) AS day, sum(CAST(price AS DECIMAL(38, 8)) * amount) FROM {trades}"
        " GROUP BY day ORDER BY day",
    ),
)


def measure(size: Size) -> list[Figure]:
    """Ask every question both ways.

    Args:
        size: small or full.

    Returns:
        Time of each question, in ms.
    """
    with (
        tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder,
        HybridStore(computing(Path(folder))) as store,
    ):
        paths = _fill(store, DAYS[size], ROWS_A_DAY[size])
        raw = raw_engine()
        start_us = (_FIRST_DAY + DAYS[size] // 2) * DAY_US
        try:
            figures = [_asking(store, raw, paths, question, start_us, ROUNDS[size]) for question in QUESTIONS]
        finally:
            raw.close()
        return [*figures, *_scanning(store, paths, start_us, ROUNDS[size])]


def computing(root: Path) -> Path:
    """Have a store compute each answer, however often it is asked.

    Args:
        root: Its folder, which is there.

    Returns:
        The folder.
    """
    (root / CONFIG_NAME).write_text("[analytics]\nresult_cache_mb = 0\n", encoding="utf-8")
    return root


def _fill(store: HybridStore, days: int, rows_a_day: int) -> list[str]:
    """Put files of market trades straight into the archive: how they got there is measured elsewhere."""
    random = np.random.default_rng(SEED)
    files: list[ArchiveFile] = []
    for day in range(days):
        rows = trades_of_day(random, _FIRST_DAY + day, 1 + day * rows_a_day, rows_a_day)
        start_us = (_FIRST_DAY + day) * DAY_US
        target = Target(f"bench{day:04}", "warm", start_us, start_us + DAY_US, 1)
        files.append(write_archive(store.root, MARKET_TRADES, rows, target, lambda _step: None))
    rows_of_manifest = [file.as_row() for file in files]
    store.database.writer.call(
        lambda session: session.executemany(session.sql["insert_archive_files"], rows_of_manifest)
    )
    return [(store.root / file.path).as_posix() for file in files]


def trades_of_day(random: np.random.Generator, day: int, first_id: int, count: int) -> pa.Table:
    """Make market trades of one day: prices walk by whole cents, amounts have five places, as on a real market."""
    ids = np.arange(first_id, first_id + count)
    times = day * DAY_US + np.sort(random.integers(0, DAY_US, count))
    prices = 3_000_000 + np.cumsum(random.integers(-3, 4, count))
    amounts = random.integers(1, 200_000, count)
    columns: dict[str, pa.Array] = {
        "id": pa.array(ids),
        "symbol": pa.array(SYMBOLS).take(pa.array(random.integers(0, len(SYMBOLS), count))),
        "trade_id": pa.array(ids),
        "price": _ticks(prices * (TICK_SCALE // 100)),
        "amount": _ticks(amounts * (TICK_SCALE // 100_000)),
        "side": pa.array(["buy", "sell"]).take(pa.array(random.integers(0, 2, count))),
        "traded_at": pa.array(times).cast(pa.timestamp("us", "UTC")),
        "recorded_at": pa.array(times // 1_000_000 * 1_000_000).cast(pa.timestamp("us", "UTC")),
    }
    return pa.table(columns, schema=arrow_schema(MARKET_TRADES))


def _ticks(scaled: np.ndarray[Any, Any]) -> pa.Array:
    kind = arrow_schema(MARKET_TRADES).field("price").type
    words = np.empty((len(scaled), 2), dtype=_TICK_BYTES)
    words[:, 0] = scaled
    words[:, 1] = scaled >> 63
    return pa.Array.from_buffers(kind, len(scaled), [None, pa.py_buffer(words)])


def raw_engine() -> duckdb.DuckDBPyConnection:
    """Return DuckDB with the store's limits and nothing else of it; whoever asked closes it."""
    import duckdb

    raw = duckdb.connect(":memory:")
    for setting, value in (
        ("TimeZone", "'UTC'"),
        ("memory_limit", f"'{MEMORY_LIMIT}'"),
        ("threads", str(os.cpu_count() or 1)),
        ("parquet_metadata_cache", "true"),
    ):
        raw.execute(f"SET GLOBAL {setting} = {value}")
    return raw


def _asking(
    store: HybridStore,
    raw: duckdb.DuckDBPyConnection,
    paths: list[str],
    question: Question,
    start_us: int,
    rounds: int,
) -> Figure:
    files = ", ".join(map(quote_text, paths))
    raw_sql = question.sql.format(trades=f"read_parquet([{files}], hive_partitioning = false)")
    our_sql = question.sql.format(trades="market_trades")
    moments = {"start": start_us, "end": start_us + DAY_US, "hour_end": start_us + _HOUR_US}
    parameters = {name: moment(us) for name, us in moments.items() if f"${name}" in question.sql}
    pairs = Paired()
    for number in range(rounds + 1):
        with Stopwatch() as ours:
            answer = store.sql(our_sql, **parameters).arrow()
        with Stopwatch() as plain:
            expected = raw.sql(raw_sql, params=parameters or None).to_arrow_table()
        assert len(answer) == len(expected) > 0
        if number:  # the first round hashes the files and fills the caches of both
            pairs.add(ours.elapsed_s * 1000, plain.elapsed_s * 1000)
    if "DOUBLE" not in question.sql:  # sums of doubles depend on the order of threads
        assert answer.to_pylist() == expected.to_pylist()
    return Figure(
        name=question.name,
        unit="ms",
        ours=pairs.ours,
        raw=pairs.raw,
        ratio=pairs.ratio,
        limits=(Limit(of="ratio", at_most=RATIO_MAX),),
        point="A5",
        note=f"{len(expected):,} rows of answer",
    )


def _scanning(store: HybridStore, paths: list[str], start_us: int, rounds: int) -> list[Figure]:
    import polars as pl

    start, end = moment(start_us), moment(start_us + DAY_US)

    def one_day() -> pl.LazyFrame:
        return store.scan("market_trades", start=start, end=end)

    def one_day_raw() -> pl.LazyFrame:
        traded = pl.col("traded_at")
        return pl.scan_parquet(paths).filter((traded >= start) & (traded < end))

    def everything() -> pl.LazyFrame:
        return store.scan("market_trades")

    def everything_raw() -> pl.LazyFrame:
        return pl.scan_parquet(paths)

    return [
        _scan("polars: volume per minute of one day", one_day, one_day_raw, rounds),
        _scan("polars: volume per minute of everything", everything, everything_raw, rounds),
    ]


def _scan(
    name: str, ours: Callable[[], pl.LazyFrame], raw: Callable[[], pl.LazyFrame], rounds: int
) -> Figure:
    import polars as pl

    def volume(rows: pl.LazyFrame) -> pl.DataFrame:
        minute = pl.col("traded_at").dt.truncate("1m")
        return (
            rows.group_by("symbol", minute).agg(pl.col("amount").sum()).sort("symbol", "traded_at").collect()
        )

    pairs = Paired()
    for number in range(rounds + 1):
        with Stopwatch() as watch:
            answer = volume(ours())
        with Stopwatch() as plain:
            expected = volume(raw())
        assert answer.equals(expected)
        if number:
            pairs.add(watch.elapsed_s * 1000, plain.elapsed_s * 1000)
    return Figure(name=name, unit="ms", ours=pairs.ours, raw=pairs.raw, ratio=pairs.ratio, note="raw: polars")


if __name__ == "__main__":
    sys.exit(main("query", measure, __doc__))
