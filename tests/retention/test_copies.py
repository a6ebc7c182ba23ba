"""Copies of what lies in an object store: fetched, proven, made anew, and deleted when nobody needs them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.archive.leases import take_lease
from hybridstore.archive.object_store import ObjectStore
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention import offload
from hybridstore.retention.failures import Failures
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.offload import Offloader
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from tests.objects import Environment, ObjectServer, object_server
from tests.retention.aging import live_until
from tests.retention.offloading import COLD_US, evict, files_of, rows_of
from tests.tiered import TIERED, all_rows, insert, make_rows, open_store


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path, server: ObjectServer) -> Iterator[DatabaseManager]:
    """A store that keeps no copy longer than it must."""
    with open_store(tmp_path, archive_url=server.url, archive_cache_mb=0) as database:
        yield database


def test_a_damaged_copy_is_fetched_anew_and_a_damaged_object_is_named(
    database: DatabaseManager, server: ObjectServer, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
    before = all_rows(database, LEDGER)
    live_until(database, COLD_US)
    (file,) = files_of(database)
    path = database.root / file.path
    for content in (b"", path.read_bytes()[:-1] + b"x"):
        path.write_bytes(content)
        assert [str(path) in text for text in examine(database, "full").problems] == [True]
        assert rows_of(database, LEDGER) == before
        assert "is fetched anew" in caplog.text
    path.unlink()

    def damaged(environment: Environment) -> bytes | None:
        whole = environment["REQUEST_METHOD"] == "GET" and environment["PATH_INFO"].endswith(".parquet")
        return b"x" * file.size_bytes if whole else None

    server.fault = damaged
    assert examine(database, "quick").problems == ()
    assert ["another content" in text for text in examine(database, "scrub").problems] == [True]
    with pytest.raises(ArchiveCorrupt, match="another content") as corrupt:
        rows_of(database, LEDGER)
    assert file.path in str(corrupt.value)
    server.fault = None
    ObjectStore(server.url).delete(file.path)
    for mode in ("quick", "full", "scrub"):
        assert ["no such object" in text for text in examine(database, mode).problems] == [True]


def test_copies_that_were_not_used_for_longest_go_first_and_no_more_than_must(
    tmp_path: Path, server: ObjectServer, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "_MIB", 1 << 40)
    with open_store(tmp_path, archive_url=server.url, archive_cache_mb=1) as database:
        for dataset in TIERED[:6]:
            insert(database, dataset, make_rows(dataset, rng, 40, days=5))
        live_until(database, COLD_US)
        files = files_of(database)
        assert evict(database) == 0, "the cache has room for all of it"
        order = rng.sample(files, len(files))
        for place, file in enumerate(order):
            os.utime(database.root / file.path, ns=(place * 10**9, 10**9))
        FileVerifier(database.root).check(order[0])  # used now
        left = sum(file.size_bytes for file in files)
        monkeypatch.setattr(offload, "_MIB", left - 1)
        with take_lease(database.root, order[0].created_seq + 10**6, "a notebook", days_max=1):
            assert evict(database) == 0
        assert evict(database) == order[1].size_bytes
        assert [file for file in order if not (database.root / file.path).exists()] == [order[1]]
        monkeypatch.setattr(offload, "_MIB", 0)
        Offloader(database, Failures()).evict()
        assert [file for file in order if (database.root / file.path).exists()] == [order[0]], "used just now"


def test_a_copy_that_is_used_while_others_go_stays(
    database: DatabaseManager, server: ObjectServer, rng: random.Random
) -> None:
    """The store is asked about each object first, which takes its time."""
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=80))
    live_until(database, COLD_US + 80 * DAY_US)
    first, *others = files_of(database)
    assert others
    hour_ago = time.time() - 7200
    for file in (first, *others):
        os.utime(database.root / file.path, (hour_ago, hour_ago))
        hour_ago += 1
    used: list[Path] = []

    def ask(environment: Environment) -> None:
        if environment["REQUEST_METHOD"] == "HEAD" and first.path in environment["PATH_INFO"] and not used:
            used.extend(map(FileVerifier(database.root).check, (first, *others)))

    server.fault = ask
    Offloader(database, Failures()).evict()
    assert used
    assert all(path.exists() for path in used), "somebody is about to open it"


def test_many_threads_ask_for_one_file_at_a_time(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
    live_until(database, COLD_US)
    (file,) = files_of(database)
    evict(database)
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            FileVerifier(database.root).check(file)
        except BaseException as error:  # noqa: BLE001  shown below
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in (database.root / file.path).parent.iterdir()] == [Path(file.path).name]


def test_what_a_fetch_left_that_died_is_cleared_away(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 10, days=5))
    live_until(database, COLD_US)
    (file,) = files_of(database)
    left = (database.root / file.path).with_name(f".{Path(file.path).name}.1-2.tmp")
    left.write_bytes(b"half of it")
    evict(database)
    assert not left.exists()


def test_a_file_stays_where_it_went_when_the_setting_changes(
    tmp_path: Path, server: ObjectServer, rng: random.Random
) -> None:
    folder = (tmp_path / "other disk").as_uri()
    with open_store(tmp_path / "root", archive_url=folder, archive_cache_mb=0) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
        before = all_rows(database, LEDGER)
        live_until(database, COLD_US)
        evict(database)
    for url in (server.url, None):
        with open_store(tmp_path / "root", now_us=COLD_US, archive_url=url) as database:
            assert rows_of(database, LEDGER) == before
            assert {file.url for file in files_of(database)} == {folder}
            assert DataRetentionManager(database).plan_offloads() == []
            evict(database)
