"""Fifty million ticks over four tiers, beside DuckDB on the same files, polars, chDB and ArcticDB.

Guards: the VWAP of each minute of one day takes at most 50 ms, of everything at most 1.1 times what DuckDB takes on the
same files; the first question of a new process comes within 300 ms of opening the store; with 500 000 hot rows the
first question takes at most 1 s, and after 1 000 new rows the next at most 30 ms (A3 of analytics).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.query import computing, raw_engine, trades_of_day
from benchmarks.tick_peers import PEERS, Order, why_absent
from benchmarks.timing import Paired, Stopwatch
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.writing import Target, write_archive
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.sqlite import quote_text
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    import duckdb

FIRST_DAY = 20_400
DAYS_A_FILE = 4
SEED = 20_261_124
VWAP = (
    "SELECT symbol, time_bucket(INTERVAL 1 MINUTE, traded_at) AS minute,"
    " sum(price::DOUBLE * amount::DOUBLE) / sum(amount::DOUBLE) AS vwap, sum(amount) AS volume"
    " FROM {trades}{where} GROUP BY ALL ORDER BY ALL"
)
WHERE_DAY = " WHERE traded_at >= $start AND traded_at < $end"
_FIRST = """
import sys, time
from datetime import UTC, datetime
begun = time.perf_counter()
import duckdb, pyarrow
from hybridstore import HybridStore
from hybridstore.analytics import session
imported = time.perf_counter()
with HybridStore(sys.argv[1]) as store:
    rows = store.sql(
        "SELECT count(*) FROM market_trades WHERE symbol = 'BTC/USDT' AND traded_at >= $start AND traded_at < $end",
        start=datetime.fromtimestamp(int(sys.argv[2]), UTC), end=datetime.fromtimestamp(int(sys.argv[3]), UTC),
    ).rows()
    assert rows[0][0] > 0
    print((time.perf_counter() - imported) * 1000, (imported - begun) * 1000)
"""


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rows_a_day: Ticks of a day.
        frozen: Days in the frozen tier; all tiers lie behind each other.
        cold: Days in the cold tier.
        warm: Days in the warm tier, a file each.
        hot: Days in SQLite.
        rounds: Rounds of a question about a day.
        rounds_of_all: Rounds of a question about everything.
    """

    rows_a_day: int
    frozen: int
    cold: int
    warm: int
    hot: int
    rounds: int
    rounds_of_all: int


SIZES: dict[Size, Sizes] = {
    "small": Sizes(2_000, 4, 4, 2, 1, 1, 1),
    "full": Sizes(250_000, 104, 64, 30, 2, 15, 5),
}


class Stock(NamedTuple):
    """What is asked about.

    Attributes:
        paths: Archived files.
        hot: Hot rows as a file, for those who cannot read SQLite.
        rows: How many there are in all.
    """

    paths: list[str]
    hot: Path
    rows: int


def measure(size: Size) -> list[Figure]:
    """Measure questions over four tiers.

    Args:
        size: small or full.

    Returns:
        Their times.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder) / "store"
        root.mkdir()
        with HybridStore(computing(root)) as store:
            paths = _archive(store, sizes)
        figures = [_first_question(root, sizes)]
        with HybridStore(root) as store:
            stock = _record(store, sizes, Path(folder), paths)
        figures += _hot_rows(root, sizes)
        with HybridStore(root) as store:
            raw = raw_engine()
            try:
                raw.register("hot_rows", pq.read_table(stock.hot))
                figures += _days(store, raw, stock, sizes)
                figures.append(_everything(store, raw, stock, sizes))
            finally:
                raw.close()
            figures += _peers(store, stock, sizes, Path(folder))
    return figures


def _archive(store: HybridStore, sizes: Sizes) -> list[str]:
    """Put files straight into the archive: how rows get there is measured elsewhere. Return where they are."""
    files: list[ArchiveFile] = []
    day = 0
    for tier, days, span in (
        ("frozen", sizes.frozen, DAYS_A_FILE), ("cold", sizes.cold, DAYS_A_FILE), ("warm", sizes.warm, 1),
    ):  # fmt: skip
        for number in range(days // span):
            start_us = (FIRST_DAY + day) * DAY_US
            target = Target(f"{tier}{number:04}", tier, start_us, start_us + span * DAY_US, 1)
            rows = pa.concat_tables([_day(day + place, sizes) for place in range(span)])
            files.append(write_archive(store.root, MARKET_TRADES, rows, target, lambda _step: None))
            day += span
    manifest = [file.as_row() for file in files]
    store.database.writer.call(
        lambda session: session.executemany(session.sql["insert_archive_files"], manifest)
    )
    return [(store.root / file.path).as_posix() for file in files]


def _record(store: HybridStore, sizes: Sizes, folder: Path, paths: list[str]) -> Stock:
    """Put the last days into SQLite."""
    first = sizes.frozen + sizes.cold + sizes.warm
    hot = pa.concat_tables([_day(first + place, sizes) for place in range(sizes.hot)])
    stored = _stored(hot)
    store.database.writer.call(
        lambda session: session.executemany(session.sql["insert_market_trades"], stored), durability="normal"
    )
    pq.write_table(hot, folder / "hot.parquet", compression="zstd")
    return Stock(paths, folder / "hot.parquet", (first + sizes.hot) * sizes.rows_a_day)


def _day(place: int, sizes: Sizes) -> pa.Table:
    random = np.random.default_rng(SEED + place)
    return trades_of_day(random, FIRST_DAY + place, 1 + place * sizes.rows_a_day, sizes.rows_a_day)


def _stored(rows: pa.Table) -> list[tuple[Any, ...]]:
    """Return rows as SQLite has them."""
    scaled = [
        np.frombuffer(rows.column(name).combine_chunks().buffers()[1], "<i8")[::2]
        for name in ("price", "amount")
    ]
    times = [rows.column(name).cast(pa.int64()).to_pylist() for name in ("traded_at", "recorded_at")]
    return list(
        zip(
            rows.column("symbol").to_pylist(), rows.column("trade_id").to_pylist(), scaled[0].tolist(),
            scaled[1].tolist(), rows.column("side").to_pylist(), *times, strict=True,
        )
    )  # fmt: skip


def _first_question(root: Path, sizes: Sizes) -> Figure:
    """Ask about one day of the warm tier in new processes; what copying hot rows takes is told by itself."""
    start_us = (FIRST_DAY + sizes.frozen + sizes.cold) * DAY_US
    arguments = [
        sys.executable,
        "-c",
        _FIRST,
        str(root),
        str(start_us // SECOND_US),
        str((start_us + DAY_US) // SECOND_US),
    ]
    answered, imported = [], []
    for _ in range(max(sizes.rounds // 2, 1)):
        done = subprocess.run(  # noqa: S603  this interpreter
            arguments,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        )
        told = done.stdout.split()
        answered.append(float(told[0]))
        imported.append(float(told[1]))
    return Figure(
        name="first question of a new process, from opening the store", unit="ms", ours=statistics.median(answered),
        limits=(Limit(of="ours", at_most=300),), point="A3",
        note=f"imports before it: {statistics.median(imported):.0f} ms",
    )  # fmt: skip


def _hot_rows(root: Path, sizes: Sizes) -> list[Figure]:
    """Ask about hot rows in a store that was just opened, then after a thousand new ones, again and again."""
    start_us = (FIRST_DAY + sizes.frozen + sizes.cold + sizes.warm) * DAY_US
    end_us = start_us + sizes.hot * DAY_US
    ask = f"SELECT count(*), sum(amount) FROM market_trades{WHERE_DAY}"
    later = []
    with HybridStore(root) as store:
        _ = store.analytics  # its imports are told with the first question of a process
        with Stopwatch() as first:
            rows = store.sql(ask, start=moment(start_us), end=moment(end_us)).rows()[0][0]
        for number in range(sizes.rounds):
            new = [
                ("NEW/USDT", number * 1_000 + place, 1, 1, "buy", start_us + place) for place in range(1_000)
            ]
            store.record_market_trades(new, durability="normal")
            with Stopwatch() as watch:
                found = store.sql(ask, start=moment(start_us), end=moment(end_us)).rows()[0][0]
            assert found == rows + (number + 1) * 1_000
            later.append(watch.elapsed_s * 1000)
        store.database.writer.call(
            lambda session: session.execute("DELETE FROM market_trades WHERE symbol = 'NEW/USDT'")
        )
    return [
        Figure(
            name=f"first question with {rows:,} hot rows", unit="ms", ours=first.elapsed_s * 1000,
            limits=(Limit(of="ours", at_most=1_000),), point="A3",
        ),
        Figure(
            name="next question after 1 000 new rows", unit="ms", ours=statistics.median(later),
            limits=(Limit(of="ours", at_most=30),), point="A3",
        ),
    ]  # fmt: skip


def _source(stock: Stock) -> str:
    files = ", ".join(map(quote_text, stock.paths))
    columns = "symbol, price, amount, traded_at"
    return (
        f"(SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false)"
        f" UNION ALL SELECT {columns} FROM hot_rows)"
    )


def _days(store: HybridStore, raw: duckdb.DuckDBPyConnection, stock: Stock, sizes: Sizes) -> list[Figure]:
    """Ask about one day of each tier."""
    places = {
        "frozen": sizes.frozen // 2, "cold": sizes.frozen + sizes.cold // 2,
        "warm": sizes.frozen + sizes.cold + sizes.warm // 2, "hot": sizes.frozen + sizes.cold + sizes.warm,
    }  # fmt: skip
    figures = []
    for tier, place in places.items():
        bounds = {
            "start": moment((FIRST_DAY + place) * DAY_US),
            "end": moment((FIRST_DAY + place + 1) * DAY_US),
        }
        pairs = _ask(store, raw, stock, WHERE_DAY, bounds, sizes.rounds)
        figures.append(
            Figure(
                name=f"VWAP per minute of one day, {tier}", unit="ms", ours=pairs.ours, raw=pairs.raw,
                ratio=pairs.ratio, limits=(Limit(of="ours", at_most=50),), point="A3", note="raw: DuckDB",
            )
        )  # fmt: skip
    return figures


def _everything(store: HybridStore, raw: duckdb.DuckDBPyConnection, stock: Stock, sizes: Sizes) -> Figure:
    pairs = _ask(store, raw, stock, "", {}, sizes.rounds_of_all)
    return Figure(
        name=f"VWAP per minute of everything, {stock.rows:,} ticks", unit="ms", ours=pairs.ours, raw=pairs.raw,
        ratio=pairs.ratio, limits=(Limit(of="ratio", at_most=1.1),), point="A3", note="raw: DuckDB",
    )  # fmt: skip


def _ask(
    store: HybridStore,
    raw: duckdb.DuckDBPyConnection,
    stock: Stock,
    where: str,
    bounds: Mapping[str, object],
    rounds: int,
) -> Paired:
    ours, theirs = (
        VWAP.format(trades="market_trades", where=where),
        VWAP.format(trades=_source(stock), where=where),
    )
    pairs = Paired()
    for number in range(rounds + 1):
        with Stopwatch() as watch:
            answer = store.sql(ours, **bounds).arrow()
        with Stopwatch() as plain:
            expected = raw.sql(theirs, params=dict(bounds) or None).to_arrow_table()
        exact = ["symbol", "minute", "volume"]
        assert answer.select(exact).equals(expected.select(exact))
        assert np.allclose(answer["vwap"], expected["vwap"], rtol=1e-12)
        if number:  # the first round hashes the files and fills the caches of both
            pairs.add(watch.elapsed_s * 1000, plain.elapsed_s * 1000)
    return pairs


def _peers(store: HybridStore, stock: Stock, sizes: Sizes, folder: Path) -> list[Figure]:
    """Ask the same of other engines, each in a process of its own; one that is not installed says so."""
    day = sizes.frozen + sizes.cold // 2
    start_us, figures = (FIRST_DAY + day) * DAY_US, []
    bounds = {"start": moment(start_us), "end": moment(start_us + DAY_US)}
    for name in PEERS:
        absent = why_absent(name)
        told: dict[str, Any] = {}
        if absent is None:
            order = Order(
                peer=name, paths=stock.paths, hot=str(stock.hot), folder=str(folder), start_us=start_us,
                end_us=start_us + DAY_US, rounds=sizes.rounds_of_all,
            )  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.tick_peers"], input=json.dumps(order._asdict()), text=True,
                check=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            told = json.loads(done.stdout.splitlines()[-1])
        for what, where, chosen in (("one day, cold", WHERE_DAY, bounds), ("everything", "", {})):
            times = []
            for number in range(sizes.rounds_of_all + 1):
                with Stopwatch() as watch:
                    answer = store.sql(VWAP.format(trades="market_trades", where=where), **chosen).arrow()
                if number:
                    times.append(watch.elapsed_s * 1000)
            peer = told.get(what.partition(",")[0])
            if peer is not None:
                assert peer["groups"] == len(answer), (name, what)
                assert np.isclose(peer["volume"], float(sum(answer["volume"].to_pylist())), rtol=1e-9), (
                    name,
                    what,
                )
            figures.append(
                Figure(
                    name=f"VWAP per minute of {what}, beside {name}", unit="ms", ours=statistics.median(times),
                    raw=None if peer is None else peer["ms"], note=absent or f"raw: {name}; {PEERS[name]}",
                )
            )  # fmt: skip
    return figures


if __name__ == "__main__":
    sys.exit(main("ticks", measure, __doc__))
