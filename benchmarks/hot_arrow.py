"""Hot rows as Arrow: read once, then kept up.

Guards: the way from SQLite to Arrow through text that Arrow parses itself stays >= 1.5x as fast as the plain one
(apsw's rows, turned into columns and given to pyarrow), for the bot's own balances (money in 18 places) and for market
trades; and the copy that answers questions is kept up with new rows in at most a tenth of the time of reading anew.
Both sides give equal tables.
"""

from __future__ import annotations

import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import apsw
import pyarrow as pa

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.timing import Paired, Stopwatch
from benchmarks.workload import balance_tuples, open_raw, record_market_trades
from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.hot.transfer import read_rows
from hybridstore.schema.arrow import arrow_schema, arrow_type
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.types import TICK_PLACES, LogicalType
from hybridstore.store import HybridStore

ROWS = {"small": 2_000, "full": 200_000}
ROUNDS = {"small": 1, "full": 5}
NEW_ROWS = 100
READ_RATIO_MIN = 1.5
KEEP_UP_RATIO_MAX = 0.1
DATASETS = ("balance_history", "market_trades")
POINT = "own"
_ASSETS = 50
_DAYS = 2


def measure(size: Size) -> list[Figure]:
    """Measure reading and keeping up.

    Args:
        size: small or full.

    Returns:
        Rows/s of reading, time of keeping up.
    """
    with (
        tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder,
        HybridStore(Path(folder)) as store,
    ):
        store.batch_update_balances(balance_tuples(ROWS[size], _ASSETS))
        record_market_trades(store.database, ROWS[size], _DAYS)
        figures = [_reading(store, name, ROUNDS[size]) for name in DATASETS]
        return [*figures, _keeping_up(store, ROUNDS[size], ROWS[size] // NEW_ROWS)]


def _reading(store: HybridStore, name: str, rounds: int) -> Figure:
    dataset = store.database.registry[name]
    raw = open_raw(store.database.path)
    pairs = Paired()
    for number in range(rounds):
        with Stopwatch() as ours, store.database.readers.transaction() as transaction:
            table = read_rows(transaction, dataset)
        with Stopwatch() as plain:
            plain_table = _read_plainly(raw, dataset)
        if number == 0:
            assert table.equals(plain_table), f"{name}: the two ways differ"
        pairs.add(table.num_rows / ours.elapsed_s, table.num_rows / plain.elapsed_s)
    raw.close()
    return Figure(
        name=f"{name} to Arrow",
        unit="rows/s",
        ours=pairs.ours,
        raw=pairs.raw,
        ratio=pairs.ratio,
        limits=(Limit(of="ratio", at_least=READ_RATIO_MIN),),
        point=POINT,
        note=f"{len(dataset.stored_names)} columns",
    )


def _read_plainly(connection: apsw.Connection, dataset: Dataset) -> pa.Table:
    """Read all rows as Python values and hand them to pyarrow, column by column."""
    rows = connection.execute(
        f"SELECT {', '.join(dataset.stored_names)} FROM {dataset.name} ORDER BY id"
    ).fetchall()
    schema = arrow_schema(dataset)
    arrays = [
        _array(dataset, name, values)
        for name, values in zip(schema.names, zip(*rows, strict=True), strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(dataset: Dataset, name: str, values: tuple[object, ...]) -> pa.Array:
    if name == ROW_ID:
        return pa.array(values, pa.int64())
    kind = dataset.column(name).type
    if kind is LogicalType.TICK:
        return pa.array([Decimal(str(value)).scaleb(-TICK_PLACES) for value in values], arrow_type(kind))
    return pa.array(values).cast(arrow_type(kind))


def _keeping_up(store: HybridStore, rounds: int, told: int) -> Figure:
    """Add new rows; ``told`` rounds of that many were told before, and none of those is told again."""
    dataset = store.database.registry["balance_history"]
    copy = ArrowCopy(store.database.statements)
    pairs = Paired()
    for number in range(rounds + 1):
        store.batch_update_balances(balance_tuples(NEW_ROWS, _ASSETS, round_number=told + number))
        with Stopwatch() as ours, HotSnapshot(store.database, copy) as snapshot:
            kept = snapshot.hot(dataset.name)
        with Stopwatch() as anew, store.database.readers.transaction() as transaction:
            table = read_rows(transaction, dataset)
        assert kept.num_rows == table.num_rows
        if number:  # the first makes the copy
            pairs.add(ours.elapsed_s * 1000, anew.elapsed_s * 1000)
    assert kept.equals(table)
    return Figure(
        name=f"copy of balance_history, {NEW_ROWS} new rows",
        unit="ms",
        ours=pairs.ours,
        raw=pairs.raw,
        ratio=pairs.ratio,
        limits=(Limit(of="ratio", at_most=KEEP_UP_RATIO_MAX),),
        point=POINT,
        note="raw: reading anew",
    )


if __name__ == "__main__":
    sys.exit(main("hot_arrow", measure, __doc__))
