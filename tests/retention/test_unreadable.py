"""Files that the system does not give: what could not be done is told as an error of ours that names the file.

Where each call of each operation fails is in ``tests/faults/test_errno.py``.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hybridstore.archive import reading
from hybridstore.clock import DAY_US
from hybridstore.durable import sha256_file, telling_failures
from hybridstore.errors import StorageFailure, StorageFull, StoreError
from hybridstore.hot.connection import own_connection
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.rewriting_desk import LOCK_NAME
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, insert, make_rows, open_store


@pytest.fixture
def database(tmp_path: Path, rng: random.Random) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        for dataset in (LEDGER, MARKET_TRADES):
            insert(database, dataset, make_rows(dataset, rng, 30, days=2))
        yield database


def _bad_sector(path: Path) -> str:
    if path.name.startswith(LEDGER.name):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    return sha256_file(path)


def test_a_lock_file_that_cannot_be_opened_is_named(database: DatabaseManager) -> None:
    retention = DataRetentionManager(database)
    lock = database.root / LOCK_NAME
    lock.mkdir()
    with pytest.raises(StorageFailure, match=r"move: .*Error") as failed:
        retention.run()
    assert failed.value.path == str(lock)
    lock.rmdir()
    assert retention.run().rows == 60


def test_a_file_that_cannot_be_read_is_named(database: DatabaseManager) -> None:
    retention = DataRetentionManager(database)
    retention.run()
    with patch.object(reading, "sha256_file", _bad_sector):
        with pytest.raises(StorageFailure, match="read ledger") as failed:
            retention.verify()
        with pytest.raises(StorageFailure, match="ledger"):
            retention.run(NOW_US + 30 * DAY_US)
    assert failed.value.path is not None
    assert failed.value.path.startswith(str(database.root / "archives"))
    assert examine(database, "scrub").problems == ()
    retention.run(NOW_US + 30 * DAY_US)


def test_a_file_that_cannot_be_read_keeps_nothing_else_from_being_done(database: DatabaseManager) -> None:
    retention = DataRetentionManager(database)
    retention.run()
    clock: Any = database.clock
    clock.advance(30 * DAY_US)
    with (
        patch.object(reading, "sha256_file", _bad_sector),
        pytest.raises(StorageFailure, match="0 rows of the rest were moved"),
    ):
        retention.run()
    (left,) = retention.plan_merges()
    assert left.dataset == LEDGER.name
    assert list(retention.status()["tiers"][MARKET_TRADES.name]) == ["cold"]


def test_verification_names_what_it_cannot_read_and_looks_at_the_rest(database: DatabaseManager) -> None:
    DataRetentionManager(database).run()
    with patch.object(reading, "sha256_file", _bad_sector):
        found = examine(database, "full")
    assert found.files == 4
    assert len(found.problems) == 2
    assert all("read ledger" in problem and ".parquet" in problem for problem in found.problems)


def test_a_question_sqlite_cannot_answer_is_told_in_our_words(database: DatabaseManager) -> None:
    with (
        pytest.raises(StoreError, match="look") as failed,
        own_connection(database.config, "look") as connection,
    ):
        connection.execute("SELECT * FROM nothing_of_this_name")
    assert failed.value.path == str(database.path)


def test_what_is_no_file_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), telling_failures("tell", tmp_path):
        raise BrokenPipeError(errno.EPIPE, "whoever is told is gone")
    with pytest.raises(StorageFull) as full, telling_failures("write", tmp_path):
        raise OSError(errno.ENOSPC, "no space")
    assert (full.value.operation, full.value.path) == ("write", str(tmp_path))
