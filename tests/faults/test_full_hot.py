"""A full disk under the hot path: a clear error, nothing half-written, work goes on once there is space."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import StorageFull
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.optimizer import BalanceQueries
from hybridstore.hot.schema_manager import SchemaManager
from tests.faults.tmpfs import Filler, small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hybridstore.hot.session import WriteSession

_UPDATES_MAX = 20_000
_REASON = "r" * 400
_UNLIMITED_PAGES = 1 << 30


def _open(root: Path, *, reserve_mb: int = 0) -> DatabaseManager:
    database = DatabaseManager(
        DatabaseConfig(database_path=str(root / DATABASE_NAME), reserve_mb=reserve_mb, wal_checkpoint_mb=1)
    )
    database.open()
    SchemaManager(database).initialize()
    return database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    """Return an open store."""
    opened = _open(tmp_path / "root")
    yield opened
    opened.shutdown()


def _limit_pages(database: DatabaseManager, more: int | None) -> None:
    """Let the database grow by so many pages, after which SQLite says "full"; None lifts the limit."""

    def limit(session: WriteSession) -> None:
        pages = session.connection.pragma("page_count") + more if more is not None else _UNLIMITED_PAGES
        session.connection.pragma("max_page_count", pages)

    database.writer.call(limit)


def _balances(database: DatabaseManager) -> dict[str, list[Decimal]]:
    """Return each asset's history in order, after checking that ``balances`` holds the last of each."""
    with database.readers.transaction() as moment:
        history: dict[str, list[Decimal]] = {}
        for asset, balance in moment.rows("SELECT asset, balance FROM balance_history ORDER BY id"):
            history.setdefault(asset, []).append(Decimal(balance))
        latest = {asset: Decimal(text) for asset, text in moment.rows("SELECT asset, balance FROM balances")}
    assert latest == {asset: values[-1] for asset, values in history.items()}
    return history


async def _write_until_full(database: DatabaseManager, asset: str) -> tuple[int, StorageFull]:
    """Record 1, 2, 3, ... until the disk is full; return the last one acknowledged and the error."""
    queries = BalanceQueries(database)
    for number in range(1, _UPDATES_MAX):
        try:
            await queries.insert_balance_entry(asset, number, reason=_REASON)
        except StorageFull as error:
            return number - 1, error
    pytest.fail(f"the disk was not full after {_UPDATES_MAX} updates")


def _assert_helpful(error: StorageFull, database: DatabaseManager) -> None:
    assert error.path == str(database.path)
    assert str(database.path) in str(error)
    assert error.hint
    assert "free space" in error.hint
    assert error.retryable


async def test_full_database_names_path_and_hint_and_recovers(database: DatabaseManager) -> None:
    _limit_pages(database, 8)
    acknowledged, error = await _write_until_full(database, "BTC")
    _assert_helpful(error, database)
    assert _balances(database) == {"BTC": list(range(1, acknowledged + 1))}
    _limit_pages(database, None)
    balance = await BalanceQueries(database).insert_balance_entry("BTC", acknowledged + 1, reason=_REASON)
    assert balance.balance == acknowledged + 1
    assert _balances(database) == {"BTC": list(range(1, acknowledged + 2))}


async def test_batch_that_does_not_fit_leaves_nothing(database: DatabaseManager) -> None:
    queries = BalanceQueries(database)
    await queries.insert_balance_entry("BTC", 1)
    _limit_pages(database, 8)
    rows = [{"asset": "BTC", "balance": number, "reason": _REASON} for number in range(2, 2_000)]
    with pytest.raises(StorageFull) as full:
        await queries.insert_balance_entries(rows)
    _assert_helpful(full.value, database)
    assert _balances(database) == {"BTC": [1]}
    _limit_pages(database, None)
    assert await queries.insert_balance_entries(rows) == len(rows)
    assert _balances(database) == {"BTC": list(range(1, 2_000))}


async def test_of_concurrent_writers_exactly_the_acknowledged_are_there(database: DatabaseManager) -> None:
    _limit_pages(database, 30)
    outcomes = await asyncio.gather(*(_write_until_full(database, f"ASSET{task}") for task in range(6)))
    for _, error in outcomes:
        _assert_helpful(error, database)
    expected = {
        f"ASSET{task}": list(range(1, count + 1)) for task, (count, _) in enumerate(outcomes) if count
    }
    assert _balances(database) == expected


async def test_commit_clock_counts_only_what_was_committed(database: DatabaseManager) -> None:
    position = database.statements["commit_position"]
    _limit_pages(database, 8)
    ((before, _),) = database.readers.rows(position)
    acknowledged, _ = await _write_until_full(database, "BTC")
    ((after, _),) = database.readers.rows(position)
    assert after - before == acknowledged


async def test_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 6) as disk:
        database = _open(disk / "root")
        filler = Filler(disk / "filler")
        queries = BalanceQueries(database)
        await queries.insert_balance_entry("ETH", 1)
        filler.fill()
        acknowledged, error = await _write_until_full(database, "BTC")
        _assert_helpful(error, database)
        history = _balances(database)
        assert history.get("BTC", []) == list(range(1, acknowledged + 1))
        filler.free()
        await queries.insert_balance_entry("BTC", acknowledged + 1, reason=_REASON)
        assert _balances(database)["BTC"] == list(range(1, acknowledged + 2))
        database.shutdown()


async def test_log_that_fills_the_disk_recovers_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 4) as disk:
        database = _open(disk / "root")
        acknowledged, error = await _write_until_full(database, "BTC")
        _assert_helpful(error, database)
        assert _balances(database)["BTC"] == list(range(1, acknowledged + 1))
        database.shutdown()
        again = _open(disk / "root")
        assert _balances(again)["BTC"] == list(range(1, acknowledged + 1))
        again.shutdown()


async def test_store_opens_on_a_full_disk_by_giving_up_its_reserve(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 6) as disk:
        database = _open(disk / "root", reserve_mb=1)
        await BalanceQueries(database).insert_balance_entry("BTC", 7)
        database.shutdown()
        Filler(disk / "filler").fill()
        again = _open(disk / "root", reserve_mb=1)
        latest = await BalanceQueries(again).get_latest_balance("BTC")
        assert latest is not None
        assert latest.balance == Decimal(7)
        again.shutdown()


async def test_new_store_on_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 1) as disk:
        root = disk / "root"
        root.mkdir()
        filler = Filler(disk / "filler")
        filler.fill()
        with pytest.raises(StorageFull) as full:
            _open(root)
        assert str(root / DATABASE_NAME) in str(full.value)
        filler.free()
        _open(root).shutdown()
