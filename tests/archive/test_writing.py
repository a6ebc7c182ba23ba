"""Writing an archived file: the content is exact for every dataset, and nothing gets its name before it is proven."""

from __future__ import annotations

import json
import os
import random
import stat
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.writing import (
    ROW_GROUP_ROWS,
    Target,
    _repeats,
    exact_sums,
    read_ids,
    sort_rows,
    write_archive,
    zstd_level,
)
from hybridstore.clock import DAY_US
from hybridstore.durable import sha256_file
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.transfer import read_rows
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.types import EXACT, LogicalType
from tests.tiered import OLD_DAY, OWN, TIERED, insert, make_rows, open_store, table_rows

START_US = OLD_DAY * DAY_US

RECORDED = "trades/hftbacktest_binance_trades_20240808_09.parquet"


def stored_table(root: Path, dataset: Dataset, rng: random.Random, count: int = 200) -> pa.Table:
    with open_store(root) as database:
        insert(database, dataset, make_rows(dataset, rng, count))
        with database.readers.transaction() as transaction:
            return read_rows(transaction, dataset)


def write(root: Path, dataset: Dataset, rows: pa.Table, on_step: Any = lambda _name: None) -> ArchiveFile:
    return write_archive(root, dataset, rows, Target("f1", "warm", START_US, START_US + DAY_US, 1), on_step)


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_every_engine_reads_back_what_was_written(
    tmp_path: Path, dataset: Dataset, rng: random.Random
) -> None:
    rows = stored_table(tmp_path, dataset, rng)
    file = write(tmp_path, dataset, rows)
    path = tmp_path / file.path
    expected = table_rows(dataset, rows)
    names = ", ".join(f'"{name}"' for name in dataset.stored_names)
    assert table_rows(dataset, pq.read_table(path, partitioning=None)) == expected
    assert (
        table_rows(dataset, pl.read_parquet(path, hive_partitioning=False).to_arrow().cast(rows.schema))
        == expected
    )
    with duckdb.connect() as connection:
        relation = connection.sql(f"SELECT {names} FROM read_parquet('{path}', hive_partitioning=false)")
        assert table_rows(dataset, relation.to_arrow_table().cast(rows.schema)) == expected


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_the_manifest_row_tells_the_truth(tmp_path: Path, dataset: Dataset, rng: random.Random) -> None:
    rows = stored_table(tmp_path, dataset, rng)
    file = write(tmp_path, dataset, rows)
    path = tmp_path / file.path
    assert dataset.tiering is not None
    content = table_rows(dataset, rows)
    times = [row[dataset.column_names.index(dataset.tiering.time)] for row in content.values()]
    assert (file.row_count, file.id_min, file.id_max) == (len(content), min(content), max(content))
    assert (file.time_min_us, file.time_max_us) == (min(times), max(times))
    assert (file.size_bytes, file.sha256) == (path.stat().st_size, sha256_file(path))
    if dataset.tiering.symbol:
        symbols = [row[dataset.column_names.index(dataset.tiering.symbol)] for row in content.values()]
        assert (file.symbol_min, file.symbol_max) == (min(symbols), max(symbols))
    sums = json.loads(file.sums)
    for place, column in enumerate(dataset.columns):
        if column.type in (LogicalType.MONEY, LogicalType.TICK):
            total = reduce(
                EXACT.add, (row[place] for row in content.values() if row[place] is not None), Decimal(0)
            )
            assert Decimal(sums[column.name]) == total
    metadata = pq.read_schema(path).metadata
    assert metadata[b"hybridstore.dataset"] == dataset.name.encode()
    assert json.loads(metadata[b"hybridstore.sums"]) == sums
    assert list(read_ids(path)) == sorted(content)


def test_rows_lie_in_the_order_of_the_cluster_key(tmp_path: Path, rng: random.Random) -> None:
    rows = sort_rows(OWN, stored_table(tmp_path, OWN, rng))
    keys = list(
        zip(
            *(rows.column(name).to_pylist() for name in ("name_always", "timestamp_always", "id")),
            strict=True,
        )
    )
    assert keys == sorted(keys, key=lambda key: (key[0].encode(), *key[1:]))


def test_sums_beyond_38_digits_are_exact(tmp_path: Path) -> None:
    largest = Decimal("99999999999999999999.999999999999999999")
    rows = stored_table(tmp_path, OWN, random.Random(1), 3)
    place = rows.schema.get_field_index("money_always")
    rows = rows.set_column(
        place, rows.schema.field(place), pa.array([largest] * 3, rows.schema.field(place).type)
    )
    assert Decimal(exact_sums(OWN, rows)["money_always"]) == EXACT.multiply(largest, Decimal(3))


def test_encodings_row_groups_and_index_are_those_measured(tmp_path: Path) -> None:
    count = ROW_GROUP_ROWS + 10
    sample = stored_table(tmp_path, MARKET_TRADES, random.Random(1), 1000)
    rows = pa.concat_tables([sample] * (count // 1000 + 1)).slice(0, count)
    file = write(tmp_path, MARKET_TRADES, rows)
    metadata = pq.read_metadata(tmp_path / file.path)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [
        ROW_GROUP_ROWS,
        10,
    ]
    group = metadata.row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    for name in ("id", "trade_id", "traded_at", "recorded_at"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings
    for name in ("symbol", "side", "price"):
        assert columns[name].has_dictionary_page
    for column in columns.values():
        assert (column.compression, column.is_stats_set, column.has_column_index) == ("ZSTD", True, True)


def _as_recorded(rows: pa.Table, path: Path) -> pa.Table:
    """Give trades the prices and amounts of a market: at random ones no level has anything to find."""
    told = pq.read_table(path, columns=["price", "qty"])
    for name, source in (("price", "price"), ("amount", "qty")):
        place = rows.schema.get_field_index(name)
        column = told[source].slice(0, rows.num_rows).cast(rows.schema.field(name).type)
        rows = rows.set_column(place, rows.schema.field(name), column)
    return rows


def test_older_tiers_are_compressed_harder(tmp_path: Path, test_data: Path, rng: random.Random) -> None:
    rows = _as_recorded(stored_table(tmp_path, MARKET_TRADES, rng, 20_000), test_data / RECORDED)
    sizes = {}
    for tier in ("hot", "warm", "cold", "frozen"):
        target = Target(f"f-{tier}", tier, START_US, START_US + DAY_US, 1)
        sizes[tier] = write_archive(tmp_path, MARKET_TRADES, rows, target, lambda _name: None).size_bytes
    plain = Target("f-plain", "warm", START_US, START_US + DAY_US, 1, is_compressed=False)
    file = write_archive(tmp_path, MARKET_TRADES, rows, plain, lambda _name: None)
    assert sizes["hot"] >= sizes["warm"] >= sizes["cold"] >= sizes["frozen"]
    assert file.size_bytes > sizes["hot"]
    assert pq.read_metadata(tmp_path / file.path).row_group(0).column(0).compression == "UNCOMPRESSED"
    assert pq.read_table(tmp_path / file.path, partitioning=None).equals(sort_rows(MARKET_TRADES, rows))
    for dataset in TIERED:
        levels = [zstd_level(dataset, tier) for tier in ("hot", "warm", "cold", "frozen")]
        assert levels == sorted(levels)
        assert levels[0] < levels[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_files_and_folders_are_private(tmp_path: Path, rng: random.Random) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    file = write(root, OWN, stored_table(root, OWN, rng, 5))
    path = root / file.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    while path.parent != root:
        path = path.parent
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("step", ["written", "flushed"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_file_that_rotted_before_it_was_read_back_gets_no_name(
    tmp_path: Path, rng: random.Random, step: str, place: float
) -> None:
    rows = stored_table(tmp_path, OWN, rng)

    def damage(name: str) -> None:
        if name == step:
            (temporary,) = tmp_path.rglob("*.tmp")
            content = bytearray(temporary.read_bytes())
            content[int(len(content) * 0.5 * place)] ^= 0x10  # in the pages: the footer lies behind them
            temporary.write_bytes(content)

    with pytest.raises((ArchiveCorrupt, OSError)):
        write(tmp_path, OWN, rows, damage)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_published_name_is_never_taken_again(tmp_path: Path, rng: random.Random) -> None:
    rows = stored_table(tmp_path, OWN, rng, 5)
    before = write(tmp_path, OWN, rows)
    with pytest.raises(FileExistsError):
        write(tmp_path, OWN, rows.slice(1))
    assert sha256_file(tmp_path / before.path) == before.sha256


@pytest.mark.parametrize("texts", [
    ["99999999999999999999.999999999999999999"] * 3,
    ["-99999999999999999999.999999999999999999"] * 3,
    ["99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999", "1E-18"],
    ["1.5", "-0.000000000000000001"],
    [],
])  # fmt: skip
def test_sums_that_38_digits_do_not_hold_are_exact(texts: list[str]) -> None:
    values = [Decimal(text) for text in texts]
    column = next(column for column in OWN.columns if column.type is LogicalType.MONEY)
    rows = pa.table({column.name: pa.array([*values, None], pa.decimal128(38, 18))})
    expected = reduce(EXACT.add, values, Decimal(0))
    assert exact_sums(OWN, rows, [column.name]) == {column.name: f"{expected:f}"}


@pytest.mark.parametrize(
    ("distinct", "is_worth_it"), [(1, True), (100, True), (20_000, True), (60_000, True), (10**9, False)]
)
def test_a_dictionary_is_made_where_values_come_again(
    rng: random.Random, distinct: int, *, is_worth_it: bool
) -> None:
    rows = pa.table({"value": [rng.randrange(distinct) for _ in range(ROW_GROUP_ROWS)]})
    assert _repeats(rows, "value") is is_worth_it
