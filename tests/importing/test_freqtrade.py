"""freqtrade's databases, made by freqtrade itself (run_freqtrade.py): every trade, its profit to the last digit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import pytest

from hybridstore import HybridStore
from hybridstore.errors import Conflict, InvalidValue, NotFound
from hybridstore.integrations.importing.freqtrade import decimal_of, moment_us

HERE = Path(__file__).parent
SPOT, FUTURES = HERE / "freqtrade-2026.9-spot.sqlite", HERE / "freqtrade-2026.9-futures.sqlite"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """Return an empty store."""
    with HybridStore(tmp_path / "store", maintenance="off") as opened:
        yield opened


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask a database of freqtrade."""
    with apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("path", [SPOT, FUTURES], ids=["spot", "futures"])
def test_every_profit_comes_out_again_to_the_last_digit_of_its_floats(store: HybridStore, path: Path) -> None:
    report = store.importer.freqtrade(path, account="freqtrade/binance", bot="walker")
    told = dict(rows_of(path, "SELECT id, close_profit_abs FROM trades WHERE NOT is_open"))
    ratios = dict(rows_of(path, "SELECT id, close_profit FROM trades WHERE NOT is_open"))

    assert len(report.profits) == len(told) == 76
    assert {one.trade: float(one.computed) for one in report.profits} == told
    assert {one.trade: float(one.computed_ratio) for one in report.profits} == ratios
    assert report.is_clean
    for one in report.profits:  # the books are exact; freqtrade rounds each exit to 8 places
        exits = rows_of(path, f"SELECT count(*) FROM orders WHERE ft_trade_id = {one.trade}")[0][0]
        assert one.booked is not None
        assert abs(one.booked - one.told) <= Decimal("0.5e-8") * exits + Decimal("1e-12")


@pytest.mark.parametrize("path", [SPOT, FUTURES], ids=["spot", "futures"])
def test_every_order_and_fill_lands_and_is_flagged(store: HybridStore, path: Path) -> None:
    report = store.importer.freqtrade(path)
    orders = rows_of(
        path, "SELECT ft_pair, order_id, side, average, filled FROM orders WHERE filled > 0 ORDER BY order_id"
    )
    fills = store.sql("select symbol, order_id, side, price, amount from trades order by order_id").rows()

    assert [tuple(map(str, one)) for one in fills] == [
        (str(pair), str(name), str(side), f"{Decimal(repr(price)):.18f}", f"{Decimal(repr(amount)):.18f}")
        for pair, name, side, price, amount in orders
    ]
    assert store.sql("select count(*) as n from trades where not synthetic_id").rows() == [(0,)]
    assert report.kinds["fills"].new == report.kinds["orders"].new == len(orders)
    assert store.books.prove().holds
    shorts = rows_of(path, "SELECT count(*) FROM trades WHERE is_short")
    assert store.sql("select count(*) as n from positions where side = 'SHORT'").rows() == shorts
    assert len(store.get_open_positions()) == 2


def test_what_was_lost_is_listed(store: HybridStore) -> None:
    report = store.importer.freqtrade(SPOT, dry_run=True)

    assert {(loss.what, loss.rows) for loss in report.losses} == {
        ("fills", 242),
        ("fees", 242),
        ("pairlocks", 76),
    }
    assert all(loss.said for loss in report.losses)


def test_again_nothing_is_new(store: HybridStore) -> None:
    store.importer.freqtrade(SPOT)
    before = store.sql("select * from trades order by id").rows()
    again = store.importer.freqtrade(SPOT)

    assert again.new == 0
    assert again.kinds["fills"].repeated == again.kinds["orders"].repeated == 242
    assert store.sql("select * from trades order by id").rows() == before


def test_a_dry_run_records_nothing(store: HybridStore) -> None:
    report = store.importer.freqtrade(SPOT, dry_run=True)

    assert report.kinds["fills"].new == 242
    assert report.is_clean
    assert all(one.booked is None for one in report.profits)
    assert store.sql("select count(*) as n from trades").rows() == [(0,)]


def test_the_database_may_be_in_use_by_freqtrade(store: HybridStore, tmp_path: Path) -> None:
    path = shutil.copy(SPOT, tmp_path / "tradesv3.sqlite")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('pragma journal_mode = wal'); c.execute('begin immediate');"
        "c.execute(\"update trades set strategy = 'half'\"); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        report = store.importer.freqtrade(path)
        assert child.stdin is not None
        child.stdin.close()
    assert report.kinds["fills"].new == 242
    assert store.sql("select count(*) as n from trades where strategy = 'half'").rows() == [(0,)]


def test_nothing_is_left_beside_the_database(store: HybridStore, tmp_path: Path) -> None:
    path = Path(shutil.copy(SPOT, tmp_path / "tradesv3.sqlite"))
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("UPDATE trades SET strategy = 'log'")
    connection.close()
    before = path.read_bytes()
    store.importer.freqtrade(path)

    assert [one.name for one in tmp_path.glob("tradesv3*")] == ["tradesv3.sqlite"]
    assert path.read_bytes() == before


def test_a_view_is_not_read(store: HybridStore, tmp_path: Path) -> None:
    path = tmp_path / "bomb.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE VIEW trades AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"
    )
    connection.close()
    with pytest.raises(InvalidValue, match="holds no trades of freqtrade"):
        store.importer.freqtrade(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files of a process are not told here")
def test_a_database_that_this_process_has_open_is_refused(store: HybridStore, tmp_path: Path) -> None:
    path = Path(shutil.copy(SPOT, tmp_path / "tradesv3.sqlite"))
    with path.open("rb"), pytest.raises(Conflict, match="has the database open itself"):
        store.importer.freqtrade(path)


def test_a_fee_in_base_is_not_held(store: HybridStore, tmp_path: Path) -> None:
    path = Path(shutil.copy(SPOT, tmp_path / "tradesv3.sqlite"))
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM orders WHERE ft_trade_id <> 2")
    connection.execute("DELETE FROM trades WHERE id <> 2")
    connection.execute("UPDATE orders SET ft_fee_base = 0.0004, filled = 0.4 WHERE ft_order_side = 'buy'")
    connection.execute("UPDATE orders SET filled = 0.3996 WHERE ft_order_side = 'sell'")
    connection.close()
    report = store.importer.freqtrade(path)

    assert store.get_open_positions() == []
    assert store.sql("select fee, fee_currency from trades where side = 'buy'").rows() == [
        (Decimal("0.0004"), "ETH")
    ]
    assert not report.profits[0].is_reproduced  # its orders were changed behind freqtrade's back
    assert not report.is_clean


def test_funding_of_a_trade_is_in_its_position(store: HybridStore, tmp_path: Path) -> None:
    path = Path(shutil.copy(FUTURES, tmp_path / "tradesv3.sqlite"))
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE orders SET funding_fee = -0.25 WHERE ft_trade_id = 1 AND ft_order_side = 'sell'"
    )
    sold = connection.changes()
    connection.execute(
        "UPDATE trades SET close_profit_abs = round(close_profit_abs - 0.25 * ?, 8) WHERE id = 1", (sold,)
    )
    connection.close()
    report = store.importer.freqtrade(path)

    first = next(one for one in report.profits if one.trade == 1)
    assert first.computed == first.told
    assert store.sql("select sum(funding) as f from positions").rows() == [(Decimal("-0.25") * sold,)]


def test_a_trade_of_an_old_version_has_no_orders(store: HybridStore, tmp_path: Path) -> None:
    path = Path(shutil.copy(SPOT, tmp_path / "tradesv3.sqlite"))
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE orders")
    connection.execute("DELETE FROM trades WHERE is_open")
    connection.close()
    report = store.importer.freqtrade(path)

    assert report.kinds["fills"].new == 2 * 76
    assert ("orders", 76) in {(loss.what, loss.rows) for loss in report.losses}


def test_what_is_no_database_of_freqtrade_is_refused(store: HybridStore, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database")
    other = tmp_path / "other.sqlite"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()

    with pytest.raises(NotFound, match="there is no such database"):
        store.importer.freqtrade(tmp_path / "gone.sqlite")
    with pytest.raises(InvalidValue, match="is no SQLite database"):
        store.importer.freqtrade(text)
    with pytest.raises(InvalidValue, match="holds no trades of freqtrade"):
        store.importer.freqtrade(other)


def test_figures_and_times_are_taken_as_they_are() -> None:
    assert decimal_of(0.1 + 0.2, "amount") == Decimal("0.30000000000000004")
    assert decimal_of(None, "amount") == 0
    assert moment_us("2026-11-24 09:15:37.895000", "open_date") == 1_795_511_737_895_000
    assert moment_us("1969-12-31 23:59:59.5", "open_date") == -500_000
    for wrong in ("0.1", float("nan"), True):
        with pytest.raises(InvalidValue, match="no number"):
            decimal_of(wrong, "amount")


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["spot", "futures"])
def test_a_database_that_freqtrade_makes_now(store: HybridStore, tmp_path: Path, mode: str) -> None:
    python = os.environ.get("FREQTRADE_PYTHON")
    if not python:
        pytest.skip("FREQTRADE_PYTHON names no interpreter of an environment with freqtrade")
    subprocess.run(
        [python, str(HERE / "run_freqtrade.py"), str(tmp_path / "bot"), mode], check=True, timeout=500
    )
    report = store.importer.freqtrade(next((tmp_path / "bot").glob("*.sqlite")))

    assert len(report.profits) > 50
    assert report.is_clean
    assert store.books.prove().holds
