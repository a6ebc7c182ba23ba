"""The store in somebody's own DuckDB: in this process, and in another one that knows nothing but a folder."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.analytics.session import Analytics
from hybridstore.clock import DAY_US
from hybridstore.errors import ConfigError, StoreClosed
from hybridstore.retention import pace
from hybridstore.retention.manager import DataRetentionManager
from tests.books.conftest import told  # noqa: F401  a fixture
from tests.tiered import OLD_DAY, OWN, insert, make_rows, open_store

LIFE_US = 20_600 * DAY_US
READ = """
import sys, duckdb
connection = duckdb.connect()
connection.execute(open(sys.argv[1], encoding="utf-8").read())
for name in sys.argv[2:]:
    rows = connection.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}"').fetchall()
    print(name, sorted(map(repr, rows)))
print(connection.execute("SELECT dmul(3::DECIMAL(38, 18), 1.5)").fetchall())
"""


def rows_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    return sorted(map(repr, connection.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}"').fetchall()))


def test_every_dataset_shows_the_same_rows_in_any_duckdb(told: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "moment"
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        names = list(store.database.registry.public)
        connection = store.connect()
        with store.snapshot() as snapshot:
            expected = {}
            for name in names:
                duck = store.analytics._engine.separate(())
                duck.register("answer", snapshot.sql(f"SELECT * FROM {name}").arrow())
                expected[name] = rows_of(duck, "answer")
                duck.close()
        assert sum(map(len, expected.values())) > 60
        for name in names:
            assert rows_of(connection, name) == expected[name], name
        found = store.analytics.write_moment(folder)
        assert (found.datasets, found.seq) == (len(names), snapshot.seq)
        assert connection.execute("SELECT ddiv(1, 3)").fetchone() is not None
    read = subprocess.run(
        [sys.executable, "-c", READ, found.init_sql, *names],
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    *lines, product = read.stdout.splitlines()
    assert lines == [f"{name} {expected[name]}" for name in names]
    assert "4.5" in product
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")


def test_a_moment_that_is_half_moved_is_shown_whole(tmp_path: Path) -> None:
    """While files are published and rows purged step by step each row is shown once."""
    rng = random.Random(5)
    seen: set[tuple[str, int]] = set()
    with open_store(tmp_path / "store") as database:
        insert(database, OWN, make_rows(OWN, rng, 60, days=2, first_day=OLD_DAY))
        analytics = Analytics(database)

        def look(step: str) -> None:
            connection = analytics.connect()
            rows = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {OWN.name}").fetchall()
            moment = analytics.write_moment(tmp_path / f"moment-{len(seen)}")
            seen.add((step, len(seen)))
            other = duckdb.connect()
            other.execute(Path(moment.init_sql).read_text(encoding="utf-8"))
            assert rows == other.execute(f"SELECT count(*), count(DISTINCT id) FROM {OWN.name}").fetchall()
            assert rows == [(60, 60)], step
            connection.close()
            other.close()

        with patch.multiple(pace, STEP_ROWS_FIRST=25, STEP_ROWS_MIN=25):
            assert DataRetentionManager(database).run(on_step=look).rows == 60
        analytics.close()
    assert len({step for step, _ in seen}) >= 5


def test_what_is_done_there_stays_there(told: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    out.mkdir()
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        trades = store.sql("SELECT count(*) FROM trades").rows()
        with store.connect(folders=[out]) as connection:
            connection.execute("CREATE TABLE mine AS SELECT * FROM trades")
            connection.execute(f"COPY mine TO '{(out / 'mine.parquet').as_posix()}'")
            assert connection.cursor().execute("SELECT count(*) FROM mine").fetchall() == trades
            for elsewhere in (
                f"COPY mine TO '{(tmp_path / 'other.csv').as_posix()}'",
                f"SELECT * FROM read_csv('{(tmp_path / 'x.csv').as_posix()}')",
                f"ATTACH '{(told / 'trading_bot.db').as_posix()}' (TYPE sqlite)",
                "SET enable_external_access = true",
                "LOAD sqlite",
            ):
                with pytest.raises(duckdb.Error):
                    connection.execute(elsewhere)
        assert store.sql("SELECT count(*) FROM trades").rows() == trades
        assert (out / "mine.parquet").exists()


def test_an_earlier_moment_leaves_out_what_keeps_no_history(told: Path) -> None:  # noqa: F811
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        connection = store.connect(as_known_at=LIFE_US)
        names = {
            row[0]
            for row in connection.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
        }
    assert "trades" in names
    assert "balances" not in names


def test_a_connection_keeps_its_files_and_needs_an_open_store(told: Path) -> None:  # noqa: F811
    store = HybridStore(told, clock=ManualClock(LIFE_US)).open()
    connection = store.connect()
    assert len(list((told / "leases").glob("*.json"))) == 1
    store.close()
    assert list((told / "leases").glob("*.json")) == []
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")
    with pytest.raises(StoreClosed):
        store.connect()


def test_a_folder_that_is_not_empty_is_left_alone(told: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with HybridStore(told, clock=ManualClock(LIFE_US)) as store:
        for folder in (tmp_path, tmp_path / "file"):
            with pytest.raises(ConfigError, match="not empty"):
                store.analytics.write_moment(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
