"""The questions of the tick benchmark, asked of polars, chDB and ArcticDB; each in a process of its own.

polars and chDB read the store's own Parquet files and the hot rows as one more. ArcticDB has its own storage, into
which the rows are written first, one symbol at a time; it has no decimals, so it computes with doubles.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.timing import Stopwatch
from hybridstore.archive.layout import ARCHIVES

PEERS = {
    "polars": "exact volumes, VWAP of doubles",
    "chDB": "exact volumes, VWAP of doubles",
    "ArcticDB": "prices and amounts as doubles, loaded before",
}
"""What each computes with."""
_MODULES = {"polars": "polars", "chDB": "chdb", "ArcticDB": "arcticdb"}
Answer = tuple[int, float]
"""Groups, and the volume of all of them."""


class Order(NamedTuple):
    """What a peer is to do.

    Attributes:
        peer: Its name.
        paths: Archived files.
        hot: One more file, with the hot rows.
        folder: Where it may put what it needs.
        start_us: Beginning of the day, us UTC.
        end_us: Its end.
        rounds: How often it is asked.
    """

    peer: str
    paths: list[str]
    hot: str
    folder: str
    start_us: int
    end_us: int
    rounds: int


def why_absent(peer: str) -> str | None:
    """Say why a peer is not asked; None where it is there."""
    if find_spec(_MODULES[peer]) is None:
        return f"{peer} is not installed (pip install {_MODULES[peer]})"
    return None


def _polars(order: Order) -> tuple[Callable[[], Answer], Callable[[], Answer]]:
    import polars as pl

    traded = pl.col("traded_at")
    rows = pl.scan_parquet([*order.paths, order.hot])
    start, end = (pl.lit(us).cast(pl.Datetime("us", "UTC")) for us in (order.start_us, order.end_us))

    def ask(some: pl.LazyFrame) -> Answer:
        price, amount = (pl.col(name).cast(pl.Float64) for name in ("price", "amount"))
        answer = (
            some.group_by("symbol", traded.dt.truncate("1m").alias("minute"))
            .agg(
                ((price * amount).sum() / amount.sum()).alias("vwap"), pl.col("amount").sum().alias("volume")
            )
            .sort("symbol", "minute")
            .collect()
        )
        return answer.height, float(answer["volume"].cast(pl.Float64).sum())

    return lambda: ask(rows.filter((traded >= start) & (traded < end))), lambda: ask(rows)


def _chdb(order: Order) -> tuple[Callable[[], Answer], Callable[[], Answer]]:
    import chdb

    folder = next(one for one in Path(order.paths[0]).parents if one.name == ARCHIVES)
    assert all(Path(path).is_relative_to(folder) for path in order.paths)
    source = (
        f"(SELECT symbol, price, amount, traded_at FROM file('{folder.as_posix()}/**/*.parquet', Parquet)"
        f" UNION ALL SELECT symbol, price, amount, traded_at FROM file('{order.hot}', Parquet))"
    )

    def ask(where: str) -> Answer:
        told: Any = chdb.query(
            "SELECT count(), sum(toFloat64(volume)) FROM (SELECT symbol, toStartOfMinute(traded_at) AS minute,"
            " sum(toFloat64(price) * toFloat64(amount)) / sum(toFloat64(amount)) AS vwap, sum(amount) AS volume"
            f" FROM {source} {where} GROUP BY symbol, minute ORDER BY symbol, minute)",
            "CSV",
        )
        groups, volume = str(told).strip().split(",")
        return int(groups), float(volume)

    day = (
        f"WHERE traded_at >= fromUnixTimestamp64Micro({order.start_us}, 'UTC')"
        f" AND traded_at < fromUnixTimestamp64Micro({order.end_us}, 'UTC')"
    )
    return lambda: ask(day), lambda: ask("")


def _arcticdb(order: Order) -> tuple[Callable[[], Answer], Callable[[], Answer]]:
    import arcticdb
    import pandas as pd
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    library = arcticdb.Arctic(f"lmdb://{order.folder}/arctic?map_size=20GB").create_library("ticks")
    for path in [*order.paths, order.hot]:
        rows = pq.read_table(path, columns=["symbol", "price", "amount", "traded_at"]).sort_by("traded_at")
        for symbol in pc.unique(rows["symbol"]).to_pylist():
            own = rows.filter(pc.equal(rows["symbol"], symbol))
            columns = {name: own[name].cast("double").to_numpy() for name in ("price", "amount")}
            index = pd.DatetimeIndex(own["traded_at"].cast("timestamp[ns]").to_numpy(), name="traded_at")
            library.append(symbol, pd.DataFrame(columns, index=index))
    symbols = sorted(library.list_symbols())

    def ask(bounds: tuple[pd.Timestamp, pd.Timestamp] | None) -> Answer:
        groups, volume = 0, 0.0
        for symbol in symbols:
            query = arcticdb.QueryBuilder()
            if bounds is not None:
                query = query.date_range(bounds)
            query = query.apply("notional", arcticdb.col("price") * arcticdb.col("amount"))
            query = query.resample("1min").agg({"notional": "sum", "amount": "sum"})
            minutes = library.read(symbol, query_builder=query).data
            minutes = minutes[minutes["amount"] > 0]
            _ = minutes["notional"] / minutes["amount"]
            groups, volume = groups + len(minutes), volume + float(minutes["amount"].sum())
        return groups, volume

    last = pd.Timestamp(order.end_us - 1, unit="us")
    return lambda: ask((pd.Timestamp(order.start_us, unit="us"), last)), lambda: ask(None)


def answer(order: Order) -> dict[str, dict[str, float]]:
    """Ask a peer both questions.

    Args:
        order: Which, about what.

    Returns:
        By question: ms (median), groups, volume.
    """
    one_day, everything = {"polars": _polars, "chDB": _chdb, "ArcticDB": _arcticdb}[order.peer](order)
    found = {}
    for name, ask in (("one day", one_day), ("everything", everything)):
        times = []
        for number in range(order.rounds + 1):
            with Stopwatch() as watch:
                groups, volume = ask()
            if number:
                times.append(watch.elapsed_s * 1000)
        found[name] = {"ms": statistics.median(times), "groups": groups, "volume": volume}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(Order(**json.load(sys.stdin)))) + "\n")
