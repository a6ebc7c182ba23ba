"""A sweep removes what this store gave up itself, and never a file that another database may count."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.retention import pace
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.schema.books import LEDGER
from tests.tiered import NOW_US, all_rows, insert, make_rows, open_store


class Killed(BaseException):
    """What ends a mover here, as a kill would."""


@pytest.fixture
def database(tmp_path: Path, rng: random.Random) -> Iterator[DatabaseManager]:
    """Return a store with old rows."""
    with open_store(tmp_path) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 40))
        yield database


@contextmanager
def open_named(path: Path) -> Iterator[DatabaseManager]:
    """Open a store whose database has a name of its own."""
    config = DatabaseConfig(database_path=str(path), reserve_mb=0)
    database = DatabaseManager(config, clock=ManualClock(NOW_US))
    database.open()
    try:
        SchemaManager(database).initialize()
        yield database
    finally:
        database.shutdown()


def files(root: Path) -> set[Path]:
    return {path for path in (root / "archives").rglob("*") if path.is_file()}


def age(*paths: Path, seconds: float = 7_200) -> None:
    moment = time.time() - seconds
    for path in paths:
        os.utime(path, (moment, moment))


def kill_at(database: DatabaseManager, step: str) -> None:
    def kill(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        DataRetentionManager(database).run(on_step=kill)


def test_files_of_moves_that_were_given_up_are_swept_and_no_others(database: DatabaseManager) -> None:
    kill_at(database, "named")
    (given_up,) = files(database.root)
    content = given_up.read_bytes()
    manager = DataRetentionManager(database)
    assert manager.run().files == 1
    known = files(database.root)
    assert given_up not in known
    temporary = given_up.with_name(f"{given_up.name}.tmp")
    for path in (given_up, temporary):
        path.write_bytes(content)
    strange = [given_up.with_name("strange.parquet"), given_up.with_name("strange.parquet.tmp")]
    for path in strange:
        path.write_bytes(b"PAR1")
    assert manager.sweep() == [], "they are fresh"
    age(*files(database.root))
    report = manager.run()
    assert (report.swept, report.strange) == (2, 2)
    assert files(database.root) == known | set(strange)
    action, detail = database.readers.rows("SELECT action, detail FROM audit_log ORDER BY entry DESC")[0]
    assert action == "sweep"
    assert given_up.name in detail
    assert temporary.name in detail
    assert manager.verify() == 1


def test_files_of_an_open_move_are_never_swept(database: DatabaseManager) -> None:
    kept: set[Path] = set()

    def sweep(name: str) -> None:
        if name in ("written", "flushed", "verified", "named"):
            age(*files(database.root))
            kept.update(files(database.root))
            assert DataRetentionManager(database).sweep() == []

    assert DataRetentionManager(database).run(on_step=sweep).rows == 40
    assert kept


def test_two_databases_of_one_folder_leave_each_other_their_files(tmp_path: Path, rng: random.Random) -> None:
    for name in ("bot1.db", "bot2.db"):
        with open_named(tmp_path / name) as database:
            insert(database, LEDGER, make_rows(LEDGER, rng, 40))
            DataRetentionManager(database).run()
    age(*files(tmp_path))
    before = files(tmp_path)
    assert len(before) == 2
    for _ in range(2):
        for name in ("bot1.db", "bot2.db"):
            with open_named(tmp_path / name) as database:
                report = DataRetentionManager(database).run()
                assert (report.swept, report.strange) == (0, 1)
                assert len(all_rows(database, LEDGER)) == 40
                with pytest.raises(MoveFailed, match="another store") as caught:
                    DataRetentionManager(database).sweep(0)
                assert "accept_loss" in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("step", ["claimed", "named", "published", "done"])
@pytest.mark.parametrize("then", ["", "accepted"])
def test_an_older_copy_of_the_database_removes_nothing_the_newer_one_counts(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch, step: str, then: str
) -> None:
    """The older copy was taken at any step of a move that the newer one finished."""
    for name in ("STEP_ROWS_FIRST", "STEP_ROWS_MIN", "STEP_ROWS_MAX"):
        monkeypatch.setattr(pace, name, 10)
    older, newer = tmp_path / "older.db", tmp_path / "newer.db"
    root = tmp_path / "root"
    with open_store(root) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 40))
        before = all_rows(database, LEDGER)
        kill_at(database, step)
    path = root / DATABASE_NAME
    shutil.copy(path, older)
    with open_store(root) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 10, number=100))
        DataRetentionManager(database).run()
        after = all_rows(database, LEDGER)
    shutil.copy(path, newer)
    counted = files(root)
    age(*counted)
    shutil.copy(older, path)
    with open_store(root) as database:
        for _ in range(2):
            assert DataRetentionManager(database).run().swept == 0
            age(*files(root))
        assert all_rows(database, LEDGER) == before
        if then:
            database.accept_loss()
            DataRetentionManager(database).run()
            assert all_rows(database, LEDGER) == before
    if step == "named" and then:
        return  # its own books say that nothing of the file counts, and there is no newer one any more
    assert counted <= files(root)
    shutil.copy(newer, path)
    with open_store(root) as database:
        assert all_rows(database, LEDGER) == after
