"""A full disk during a tier move: the rows stay where they are, the error says why, and the move goes on afterwards."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hybridstore.clock import ManualClock
from hybridstore.errors import StorageFull
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from tests.crash.observer import Observer, difference
from tests.crash.stock import DATASETS, NOW_US, create_stock, old_ids, stock_rows, store_config
from tests.faults.tmpfs import Filler, small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from hybridstore.hot.session import WriteSession
    from tests.crash.stock import Rows

_UNLIMITED_PAGES = 1 << 30


def _open(root: Path) -> DatabaseManager:
    database = DatabaseManager(store_config(root), clock=ManualClock(NOW_US))
    database.open()
    return database


def _limit_pages(database: DatabaseManager, pages: int) -> None:
    """Let the database have no more pages than this, or than it has."""

    def limit(session: WriteSession) -> None:
        session.connection.pragma("max_page_count", pages)

    database.writer.call(limit)


def _use_up(database: DatabaseManager) -> None:
    """Fill the pages there are: somebody else takes what a purge has freed."""

    def insert(session: WriteSession) -> None:
        session.execute("INSERT INTO settings VALUES (hex(randomblob(16)), hex(randomblob(1000)))")

    with suppress(StorageFull):
        while True:
            database.writer.call(insert)


def _assert_whole(root: Path, expected: Rows, *, moved: bool) -> None:
    observer = Observer(root)
    assert difference(expected, observer.rows()) is None
    assert observer.integrity() == "ok"
    assert observer.broken_audit_entry() is None
    if moved:
        assert not observer.unreferenced()
        assert not observer.counted_twice()
        for dataset in DATASETS:
            assert not observer.hot_ids(dataset) & set(old_ids(expected, dataset))
    observer.close()


def test_full_database_stops_a_move_that_goes_on_later(tmp_path: Path, seed: int) -> None:
    root = tmp_path / "root"
    expected = stock_rows(seed, 30)
    create_stock(root, expected)
    database = _open(root)
    _limit_pages(database, 1)
    with pytest.raises(StorageFull) as full:
        DataRetentionManager(database).run(on_step=lambda _name: _use_up(database))
    assert full.value.path == str(database.path)
    assert full.value.hint
    _assert_whole(root, expected, moved=False)
    _limit_pages(database, _UNLIMITED_PAGES)
    DataRetentionManager(database).run()
    database.shutdown()
    _assert_whole(root, expected, moved=True)


@pytest.mark.parametrize("left_kib", [0, 32, 64, 96, 128, 256, 512])
def test_full_disk_stops_a_move_that_goes_on_later(tmp_path: Path, seed: int, left_kib: int) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    expected = stock_rows(seed, 1_500)
    with small_disk(folder, 16) as disk:
        root = disk / "root"
        create_stock(root, expected)
        database = _open(root)
        filler = Filler(disk / "filler")
        filler.fill(left_kib)
        with pytest.raises(StorageFull) as full:
            DataRetentionManager(database).run()
        print(full.value)
        assert full.value.path is not None
        assert full.value.path.startswith(str(root))
        assert full.value.hint
        _assert_whole(root, expected, moved=False)
        filler.free()
        DataRetentionManager(database).run()
        database.shutdown()
        _assert_whole(root, expected, moved=True)
