"""Stores with rows of any tiered dataset, and what every snapshot of such a store must show."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import EXACT, LogicalType, check_money

NOW_US = 20_600 * DAY_US + DAY_US // 3
"""What stores of these tests take for the present."""
OLD_DAY = 20_560
Row = tuple[Any, ...]

AWKWARD = (
    "",
    " ",
    "plain",
    "\\",
    "\\n",
    "\\e",
    "line\nline\r\nline",
    'quoted "text", with a comma\tand a tab',
    "unit separator \x1f, start of heading \x01, delete \x7f",
    "¥ \u2028 \U0001f680 e\u0301",
    "NULL",
    "nan",
    "\\\\s\x1f\\s",
)
"""Texts that a careless reader of separated values gets wrong."""

OWN = Dataset(
    name="sentiment",
    kind="event",
    doc="A user's own dataset with every type of column, each also nullable.",
    columns=(
        *(
            Column(f"{kind.value}_{suffix}", kind, "A value.", nullable=suffix == "maybe")
            for kind in LogicalType
            if kind is not LogicalType.BLOB
            for suffix in ("always", "maybe")
        ),
    ),
    key=("integer_always",),
    indexes=(Index(("name_always", "timestamp_always")),),
    tiering=Tiering(
        time="timestamp_always", cluster=("name_always", "timestamp_always", "id"), symbol="name_always"
    ),
)
TIERED = (*Registry().tiered, OWN)


@contextmanager
def open_store(
    root: Path, own: Iterable[Dataset] = (OWN,), *, now_us: int = NOW_US, **settings: Any
) -> Iterator[DatabaseManager]:
    """Open a store whose clock stands at NOW_US, or another time."""
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), reserve_mb=0, **settings)
    database = DatabaseManager(config, clock=ManualClock(now_us), datasets=own)
    database.open()
    try:
        SchemaManager(database).initialize()
        yield database
    finally:
        database.shutdown()


def make_rows(
    dataset: Dataset,
    rng: random.Random,
    count: int,
    *,
    first_day: int = OLD_DAY,
    days: int = 1,
    number: int = 0,
) -> list[Row]:
    """Return random rows that may leave the hot store, in stored form, with keys from ``number`` on."""
    assert dataset.tiering is not None
    rows = []
    for place in range(count):
        values = {column.name: _value(column, rng, number + place) for column in dataset.columns}
        values[dataset.tiering.time] = (first_day + rng.randrange(days)) * DAY_US + rng.choice(
            (0, DAY_US - 1, rng.randrange(DAY_US))
        )
        if dataset.tiering.when:
            values[dataset.tiering.when[0]] = rng.choice(dataset.tiering.when[1])
        _make_unique(dataset, values, number + place)
        rows.append(tuple(values.values()))
    return rows


def insert(database: DatabaseManager, dataset: Dataset, rows: list[Row]) -> None:
    """Insert rows in stored form in one transaction."""

    def write(session: WriteSession) -> None:
        session.executemany(session.sql[f"insert_{dataset.name}"], rows)

    database.writer.call(write, durability="normal")


def hot_rows(database: DatabaseManager, dataset: Dataset) -> dict[int, Row]:
    """Return the hot rows as apsw gives them, decoded one by one, by row number."""
    with database.readers.transaction() as transaction:
        stored = transaction.rows(f"SELECT {', '.join(dataset.stored_names)} FROM {dataset.name}")
    return {row[0]: tuple(map(decoded, dataset.columns, row[1:])) for row in stored}


def table_rows(dataset: Dataset, table: Any) -> dict[int, Row]:
    """Return the rows of an Arrow table by row number; no two may share one."""
    columns = []
    for column in dataset.columns:
        values = table.column(column.name)
        columns.append((values.cast("int64") if column.type is LogicalType.TIMESTAMP else values).to_pylist())
    numbers = table.column("id").to_pylist()
    rows = dict(zip(numbers, zip(*columns, strict=True), strict=True))
    assert len(rows) == len(numbers)
    return rows


def all_rows(database: DatabaseManager, dataset: Dataset) -> dict[int, Row]:
    """Return every row of a snapshot over both tiers; a row that is there twice fails."""
    import pyarrow.parquet as pq

    with database.readers.transaction() as transaction:
        manifest = transaction.rows(
            "SELECT path, visible_through FROM archive_files WHERE dataset = ? AND replaced_seq IS NULL",
            (dataset.name,),
        )
        stored = transaction.rows(f"SELECT {', '.join(dataset.stored_names)} FROM {dataset.name}")
    found = {row[0]: tuple(map(decoded, dataset.columns, row[1:])) for row in stored}
    for path, through in manifest:
        with pq.ParquetFile(database.root / path) as file:
            rows = table_rows(dataset, file.read())
        visible = {number: row for number, row in rows.items() if through is None or number <= through}
        assert not visible.keys() & found.keys(), f"{path}: rows are there twice"
        found |= visible
    return found


def _value(column: Column, rng: random.Random, number: int) -> Any:
    if column.nullable and rng.random() < 0.3:
        return None
    if column.choices:
        return rng.choice(column.choices)
    if column.type is LogicalType.MONEY:
        return _money(rng)
    return rng.choice(
        {
            LogicalType.TICK: (0, 1, -1, 10**18 - 1, 1 - 10**18, rng.randrange(-(10**12), 10**12)),
            LogicalType.TIMESTAMP: (0, 253_402_300_799_999_999, NOW_US + number),
            LogicalType.INTEGER: (0, -(2**63), 2**63 - 1, rng.randrange(10**6)),
            LogicalType.BOOLEAN: (0, 1),
            LogicalType.RATIO: (0.0, -0.0, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, rng.random()),
            LogicalType.NAME: ("BTC/USDT:USDT", "ñame \\n", "a,b", '"q"', "\\", f"n{rng.randrange(9)}"),
            LogicalType.JSON: ("null", '{"a": "b\\n", "c": [1.10]}', '""', '{\n"x": 1}'),
            LogicalType.TEXT: AWKWARD,
        }[column.type]
    )


def _money(rng: random.Random) -> str:
    digits = rng.choice((0, 1, 10**38 - 1, rng.randrange(10**38), rng.randrange(10**9)))
    places = rng.choice((18, 18, 8, 2))
    amount = Decimal(digits % 10 ** (20 + places)).scaleb(-places, EXACT)
    return check_money(amount if rng.random() < 0.7 else EXACT.minus(amount), "amount")


def _make_unique(dataset: Dataset, values: dict[str, Any], number: int) -> None:
    for column in dataset.columns:
        if column.name in dataset.key and not column.choices:
            if column.type is LogicalType.INTEGER:
                values[column.name] = number + 1
                return
            if column.type is LogicalType.NAME:
                values[column.name] = f"key {number}"


def decoded(column: Column, value: Any) -> Any:
    """Return what a stored form stands for; a time stays microseconds."""
    if value is None:
        return None
    if column.type is LogicalType.MONEY:
        return Decimal(value)
    if column.type is LogicalType.TICK:
        return Decimal(value).scaleb(-8, EXACT)
    return bool(value) if column.type is LogicalType.BOOLEAN else value
