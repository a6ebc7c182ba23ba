"""Plain Hive Parquet and filtered rows: what any other engine reads is what the store shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.errors import ConfigError, InvalidValue, StorageFull, UnknownDataset
from tests.books.conftest import told  # noqa: F401  a fixture

LIFE_US = 20_600 * DAY_US


def rows_of(connection: duckdb.DuckDBPyConnection, relation: str, columns: str) -> list[Any]:
    """Return rows as text, in one order."""
    return sorted(
        connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM (SELECT {columns} FROM {relation})").fetchall()
    )


def test_any_engine_reads_the_same_rows_and_sums(told: Path, tmp_path: Path) -> None:  # noqa: F811
    done: dict[str, int] = {}
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        found = store.analytics.write_hive(
            tmp_path / "hive", on_rows=lambda name, rows: done.update({name: done.get(name, 0) + rows})
        )
        names = [name for name in store.database.registry.public if len(store.sql(f"SELECT * FROM {name}"))]
        shown = store.connect()
        sums = store.sql("SELECT sum(quote_amount) AS q FROM trades").rows()[0][0]
        archived = store.sql("SELECT count(*) FROM trades").rows()[0][0]
        columns = {name: ", ".join(store.database.registry[name].column_names) for name in names}
        expected = {name: rows_of(shown, name, columns[name]) for name in names}
    assert set(names) == set(found.rows) == set(done)
    assert archived == found.rows["trades"] > 1
    other = duckdb.connect()
    other.execute("SET TimeZone = 'UTC'")
    for name in names:
        read = (
            f"read_parquet('{(tmp_path / 'hive' / name).as_posix()}/**/*.parquet', hive_partitioning = true)"
        )
        assert rows_of(other, read, columns[name]) == expected[name], name
        assert found.rows[name] == done[name] == len(expected[name])
    place = tmp_path / "hive" / "trades"
    assert (
        pl.scan_parquet(place, hive_partitioning=True).select(pl.col("quote_amount").sum()).collect().item()
        == sums
    )
    table = ds.dataset(place, format="parquet", partitioning="hive").to_table()
    assert sum(table["quote_amount"].to_pylist(), Decimal(0)) == sums
    for path in place.rglob("*.parquet"):
        months = pq.read_table(path, partitioning=None)["executed_at"].to_pylist()
        assert {f"year={at:%Y}/month={at:%m}" for at in months} == {"/".join(path.parts[-3:-1])}
    assert sum(1 for path in (tmp_path / "hive").rglob("*") if path.is_file()) == found.files


def test_some_datasets_only(told: Path, tmp_path: Path) -> None:  # noqa: F811
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        found = store.analytics.write_hive(tmp_path / "hive", ["positions", "trades", "trades"])
        assert set(found.rows) == {"positions", "trades"}
        assert (tmp_path / "hive" / "positions" / "part-0.parquet").exists()
        with pytest.raises(UnknownDataset, match="no dataset is called 'trade'"):
            store.analytics.write_hive(tmp_path / "other", ["trade"])
        with pytest.raises(UnknownDataset):
            store.analytics.write_hive(tmp_path / "other", ["commit_clock"])
    assert sorted(
        path.name for path in tmp_path.iterdir() if "hive" in path.name or "other" in path.name
    ) == ["hive"]


def test_a_folder_that_is_not_empty_is_left_alone(told: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "hive").mkdir()
    (tmp_path / "hive" / "mine.txt").write_text("mine")
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        with pytest.raises(ConfigError, match="is there and not empty"):
            store.analytics.write_hive(tmp_path / "hive")
        (tmp_path / "hive" / "mine.txt").unlink()
        assert store.analytics.write_hive(tmp_path / "hive", ["trades"]).rows["trades"] > 0


def test_what_fails_leaves_nothing(told: Path, tmp_path: Path) -> None:  # noqa: F811
    full = OSError(28, "No space left on device")
    place = tmp_path / "target"
    place.mkdir()
    with (
        HybridStore(told, clock=ManualClock(LIFE_US)) as store,
        patch.object(pq.ParquetWriter, "write_table", side_effect=full),
        pytest.raises(StorageFull),
    ):
        store.analytics.write_hive(place / "hive")
    assert list(place.iterdir()) == []


def test_rows_are_filtered_as_they_happened(told: Path) -> None:  # noqa: F811
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        whole = store.analytics.export_rows("trades")
        place = whole.columns.index("executed_at")
        times = [row[place] for row in whole]
        assert times == sorted(times)
        assert len(whole) == len(store.sql("SELECT * FROM trades"))
        part = store.analytics.export_rows("trades", start=times[1], end=times[-1])
        assert [row[place] for row in part] == [at for at in times if times[1] <= at < times[-1]]
        symbol = whole.rows()[0][whole.columns.index("symbol")]
        account = whole.rows()[0][whole.columns.index("account")]
        one = store.analytics.export_rows("trades", symbol=symbol, account=account)
        assert {(row[one.columns.index("symbol")], row[one.columns.index("account")]) for row in one} == {
            (symbol, account)
        }
        late = datetime.now(UTC) + timedelta(days=40_000)
        assert len(store.analytics.export_rows("trades", start=late)) == 0
        with pytest.raises(UnknownDataset):
            store.analytics.export_rows("trade")
        with pytest.raises(InvalidValue, match="has neither symbol nor asset"):
            store.analytics.export_rows("portfolio_snapshots", symbol="BTC/USDT")
