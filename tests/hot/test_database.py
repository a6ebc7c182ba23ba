"""Opening and closing: once, whole, by whoever comes; a file that is not ours is left alone."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import (
    ConfigError,
    HybridStoreError,
    SchemaMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
)
from hybridstore.hot import database as database_module
from hybridstore.hot.database import DatabaseManager
from hybridstore.store import HybridStore
from tests.hot.children import run

NEVER_CLOSED = """
import sys
from hybridstore import HybridStore
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance

store = HybridStore(sys.argv[1]).open()
store.record_balance_update("KEPT", 1)
for number in range(500):
    store.database.writer.submit(None, write_balance, prepare_balance(f"Q{number}", number))
print("left")
"""

DROPPED = """
import asyncio, sys
from hybridstore import TradingBotStorageSystem

async def main():
    storage = TradingBotStorageSystem(sys.argv[1])
    await storage.initialize()
    await asyncio.gather(*(storage.record_balance_update(f"A{number}", number) for number in range(50)))

asyncio.run(main())
print("left")
"""


def writer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("hybridstore-")]


def test_many_threads_open_one_store_once(root: Path) -> None:
    store = HybridStore(root)
    together = threading.Barrier(6)

    def open_and_write(number: int) -> None:
        together.wait(10)
        store.open()
        store.record_balance_update(f"A{number}", number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_write, range(6)))
    assert len(writer_threads()) == 3, "one writer, one housekeeping, one journal"
    assert len(store.get_all_balances()) == 6
    store.close()
    assert writer_threads() == []


def test_closing_from_many_threads(root: Path) -> None:
    store = HybridStore(root).open()
    store.record_balance_update("A", 1)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: store.close(), range(6)))
    assert writer_threads() == []
    with store as again:
        assert again.get_latest_balance("A") is not None


def test_opening_that_fails_half_way_leaves_nothing_running(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        """Stands for a file-system error in the middle of opening."""

    def stop(*_: object) -> None:
        raise Stopped

    store = HybridStore(root)
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "Housekeeping", stop)
        with pytest.raises(Stopped):
            store.open()
    assert writer_threads() == []
    assert not store.database.is_open
    with store:
        assert store.record_balance_update("A", 1).balance == 1


def test_a_store_that_was_never_closed_keeps_what_was_queued(root: Path) -> None:
    assert run(NEVER_CLOSED, root) == "left\n"
    with HybridStore(root) as store:
        assert len(store.get_all_balances()) == 501


def test_an_asynchronous_store_that_was_never_closed_ends_quietly(root: Path) -> None:
    assert run(DROPPED, root) == "left\n"
    with HybridStore(root) as store:
        assert len(store.get_all_balances()) == 50


def test_a_closed_store_is_let_go(root: Path) -> None:
    import weakref

    store = HybridStore(root)
    with store:
        store.record_balance_update("A", 1)
    gone = weakref.ref(store.database)
    del store
    gc.collect()
    assert gone() is None


def test_the_log_is_gone_after_the_last_close(root: Path) -> None:
    with HybridStore(root) as first:
        with HybridStore(root) as second:
            second.record_balance_update("A", 1)
            second.get_latest_balance("A")
        first.record_balance_update("A", 2)
        assert (root / f"{DATABASE_NAME}-wal").exists()
    assert sorted(path.name for path in root.iterdir()) == [".reserve", ".watermark", "logs", DATABASE_NAME]


@pytest.mark.parametrize(
    "content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096], ids=["text", "torn"]
)
def test_a_file_that_is_no_database_is_left_as_it_is(root: Path, content: bytes) -> None:
    root.mkdir()
    (root / DATABASE_NAME).write_bytes(content)
    with pytest.raises(StoreCorrupt) as caught:
        HybridStore(root).open()
    assert caught.value.path == str(root / DATABASE_NAME)
    assert (root / DATABASE_NAME).read_bytes() == content
    assert writer_threads() == []


def test_the_database_of_another_program_is_left_as_it_is(root: Path) -> None:
    """Bots often have a trading_bot.db already."""
    root.mkdir()
    other = apsw.Connection(str(root / DATABASE_NAME))
    other.execute(
        "CREATE TABLE trades (id INTEGER PRIMARY KEY, price REAL); INSERT INTO trades VALUES (1, 2.5)"
    )
    other.close()
    with pytest.raises(SchemaMismatch, match="another program") as caught:
        HybridStore(root).open()
    assert caught.value.path == str(root / DATABASE_NAME)
    assert "trades" in str(caught.value)
    again = apsw.Connection(str(root / DATABASE_NAME))
    assert [row[0] for row in again.execute("SELECT name FROM sqlite_schema")] == ["trades"]
    assert list(again.execute("SELECT * FROM trades")) == [(1, 2.5)]
    again.close()


def test_a_folder_where_the_database_should_be_is_refused(root: Path) -> None:
    (root / DATABASE_NAME).mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        HybridStore(root).open()
    assert caught.value.path == str(root / DATABASE_NAME)
    assert writer_threads() == []


def test_a_file_system_that_is_unknown_is_named(root: Path) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), vfs="no-such-vfs")
    with pytest.raises(HybridStoreError, match="no-such-vfs"):
        DatabaseManager(config).open()
    assert not (root / DATABASE_NAME).exists()


def test_a_store_stays_where_it_was_made_and_follows_the_settings_it_can(root: Path) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME))
    database = DatabaseManager(config)
    config.max_connections = 1
    with pytest.raises(ConfigError, match="decided when the store is made"):
        config.database_path = "elsewhere"
    assert database.config.max_connections == 1
    assert database.path == root / DATABASE_NAME


OTHER = """
import sys
from hybridstore.store import HybridStore
with HybridStore(sys.argv[1]) as store:
    store.record_balance_update("BTC", 1)
"""


def test_what_another_process_wrote_is_not_deleted_when_opening_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found the empty file that this process had just made, and got the lock in time."""

    def fail(*_: object) -> None:
        run(OTHER, root)
        raise StoreBusy("as when the lock was not had in time")

    monkeypatch.setattr("hybridstore.hot.database.bootstrap", fail)
    with pytest.raises(StoreBusy):
        HybridStore(root).open()
    monkeypatch.undo()
    with HybridStore(root) as store:
        assert store.get_latest_balance("BTC") is not None


def test_a_reserve_that_cannot_be_kept_keeps_no_store_closed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(size_bytes: int) -> bytes:
        assert size_bytes <= 1 << 20, "no more of it than that is ever in memory"
        raise MemoryError

    with HybridStore(root) as store:
        reserve = store.database._reserve
        assert reserve.release()
        monkeypatch.setattr("hybridstore.hot.folder.os.urandom", fail)
        assert not reserve.keep()
        monkeypatch.undo()
        assert reserve.keep()
        assert store.record_balance_update("BTC", 1).balance == 1
