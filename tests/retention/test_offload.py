"""Cold and frozen files in an object store: every row is there whatever ends a run, and nothing stays of what goes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.archive.object_store import ObjectStore
from hybridstore.clock import DAY_US
from hybridstore.config import DatabaseConfig
from hybridstore.errors import ArchiveUnreachable, ConfigError
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.offload import OFFLOAD_STEPS
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.market import MARKET_TRADES
from tests.objects import ObjectServer, object_server, real_url
from tests.retention.aging import BEGIN_US, DUE_US, YEAR_US, live_until, parquet_files
from tests.retention.offloading import COLD_US, Killed, evict, files_of, objects_of, rows_of
from tests.tiered import NOW_US, TIERED, all_rows, insert, make_rows, open_store


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path, server: ObjectServer) -> Iterator[DatabaseManager]:
    """A store that keeps no copy longer than it must."""
    with open_store(tmp_path, archive_url=server.url, archive_cache_mb=0) as database:
        yield database


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_rows_of_every_dataset_are_there_when_only_the_objects_are(
    database: DatabaseManager, server: ObjectServer, dataset: Dataset, rng: random.Random
) -> None:
    insert(database, dataset, make_rows(dataset, rng, 60, days=30))
    before = all_rows(database, dataset)
    reports = live_until(database, COLD_US)
    files = files_of(database)
    assert {file.tier for file in files} == {"cold"}
    assert sum(report.offloaded for report in reports) == len(files)
    assert objects_of(server) == {file.path for file in files}
    assert evict(database) == sum(file.size_bytes for file in files)
    assert not any((database.root / file.path).exists() for file in files)
    assert examine(database, "scrub").problems == ()
    assert rows_of(database, dataset) == before
    live_until(database, BEGIN_US + 3 * YEAR_US)
    (file,) = files_of(database)
    assert (file.tier, file.url) == ("frozen", server.url)
    assert objects_of(server) == {file.path}, "objects of merged files are gone with them"
    evict(database)
    assert rows_of(database, dataset) == before


def test_deleted_rows_leave_no_object_behind(
    database: DatabaseManager, server: ObjectServer, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 60, days=10))
    live_until(database, DUE_US - 40 * DAY_US)
    assert len(objects_of(server)) == 1
    evict(database)
    live_until(database, DUE_US + 40 * DAY_US)
    assert (files_of(database), objects_of(server), parquet_files(database)) == ([], set(), [])
    (certificate,) = DataRetentionManager(database).certificates()
    assert certificate.rows == 60
    assert certificate.destroyed_us is not None
    assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(0,)]


def test_a_real_server_keeps_and_gives_back_and_forgets(tmp_path: Path, rng: random.Random) -> None:
    url = real_url()
    with open_store(tmp_path, archive_url=url, archive_cache_mb=0) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 200, days=20))
        before = all_rows(database, LEDGER)
        for days, step in enumerate(OFFLOAD_STEPS):

            def kill(name: str, step: str = step) -> None:
                if name == step:
                    raise Killed

            with pytest.raises(Killed):
                live_until(database, COLD_US + days * DAY_US, on_replace_step=kill)
        for until_us in (COLD_US + 40 * DAY_US, BEGIN_US + 3 * YEAR_US):
            live_until(database, until_us)
            assert set(ObjectStore(url).sizes("")) == {file.path for file in files_of(database)}
            assert evict(database) > 0
            assert examine(database, "scrub").problems == ()
            assert rows_of(database, LEDGER) == before
        live_until(database, DUE_US + 40 * DAY_US)
        assert set(ObjectStore(url).sizes("")) == set()


@pytest.mark.parametrize("step", OFFLOAD_STEPS)
def test_a_run_that_is_killed_is_taken_up_again(
    database: DatabaseManager, server: ObjectServer, rng: random.Random, step: str
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40, days=30))
    before = all_rows(database, MARKET_TRADES)

    def kill(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        live_until(database, COLD_US, on_replace_step=kill)
    assert rows_of(database, MARKET_TRADES) == before
    evict(database)
    assert rows_of(database, MARKET_TRADES) == before
    live_until(database, COLD_US + 32 * DAY_US)
    assert objects_of(server) == {file.path for file in files_of(database)}
    assert all(file.offloaded_at is not None for file in files_of(database))
    evict(database)
    assert rows_of(database, MARKET_TRADES) == before


def test_an_object_of_a_file_that_was_merged_before_it_was_proven_goes_with_it(
    database: DatabaseManager, server: ObjectServer, rng: random.Random
) -> None:
    def kill(name: str) -> None:
        if name == "put":
            raise Killed

    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
    with pytest.raises(Killed):
        live_until(database, COLD_US, on_replace_step=kill)
    (orphan,) = objects_of(server)
    clock: Any = database.clock
    clock.set(BEGIN_US + 3 * YEAR_US)  # at once to the frozen tier, without a run that would finish it
    DataRetentionManager(database).confirm_clock("the test")
    DataRetentionManager(database).run()
    clock.advance(2 * DAY_US)
    DataRetentionManager(database).run()
    assert objects_of(server) == {file.path for file in files_of(database)}
    assert orphan not in objects_of(server)


@pytest.mark.parametrize("moment", ["object", "copy"])
def test_a_collection_that_is_killed_leaves_neither_object_nor_key(
    database: DatabaseManager,
    server: ObjectServer,
    rng: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 30, days=5))
    live_until(database, DUE_US - 40 * DAY_US)
    evict(database)

    def kill(name: str) -> None:
        if name == "unlinked" and moment == "copy":
            raise Killed

    with monkeypatch.context() as patched:
        if moment == "object":
            real = ObjectStore.delete

            def delete(store: ObjectStore, name: str) -> bool:
                real(store, name)
                raise Killed

            patched.setattr(ObjectStore, "delete", delete)
        with pytest.raises(Killed):
            live_until(database, DUE_US + 40 * DAY_US, on_replace_step=kill)
    assert objects_of(server) == set()
    live_until(database, DUE_US + 80 * DAY_US)
    assert parquet_files(database) == []
    (certificate,) = DataRetentionManager(database).certificates()
    assert certificate.destroyed_us is not None
    assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(0,)]


def test_a_store_that_does_not_answer_keeps_nothing_else_from_being_done(
    database: DatabaseManager, server: ObjectServer, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
    before = all_rows(database, LEDGER)

    clock: Any = database.clock
    clock.set(COLD_US)
    server.stop()
    with pytest.raises(ArchiveUnreachable, match=r"rows of the rest were moved") as unreachable:
        DataRetentionManager(database).run()
    assert server.url in str(unreachable.value)
    assert {file.tier for file in files_of(database)} == {"cold"}
    assert all_rows(database, LEDGER) == before
    assert evict(database) == 0
    assert all_rows(database, LEDGER) == before


def test_what_is_elsewhere_and_cannot_be_reached_is_an_error_not_a_shorter_answer(
    tmp_path: Path, server: ObjectServer
) -> None:
    clock = ManualClock(NOW_US)
    config = DatabaseConfig(
        database_path=str(tmp_path / "bot.db"), archive_url=server.url, archive_cache_mb=0
    )
    with HybridStore(config=config, clock=clock) as store:
        store.record_market_trades(
            [("BTC/USDT", number, "60000.5", "0.25", "buy", NOW_US - number) for number in range(50)]
        )
        clock.advance(100 * DAY_US)
        store.retention.run()
        store.retention.run()
        assert evict(store.database) > 0
        asked = "SELECT count(*), sum(dmul(price, amount)) FROM market_trades"
        assert store.sql(asked).rows() == [(50, Decimal("750006.25"))]
        store.record_market_trades(
            [("BTC/USDT", 7, "60000.5", "0.25", "buy", NOW_US - 7)]
        )  # known by its file
        assert store.sql(asked).rows() == [(50, Decimal("750006.25"))]
        (offloaded,) = store.retention.status()["offloaded"].values()
        assert offloaded["here_bytes"] == offloaded["size_bytes"] > 0
        evict(store.database)
        (offloaded,) = store.retention.status()["offloaded"].values()
        assert offloaded["here_bytes"] == 0
        assert store.scan("market_trades").collect().height == 50
        assert evict(store.database) == 0, "a lazy frame holds a lease"

    server.stop()
    with HybridStore(config=config, clock=clock) as store:
        assert evict(store.database, certain=False) == 0, "the last copy stays while the object is not seen"
        for path in parquet_files(store.database):
            path.unlink()
        with pytest.raises(ArchiveUnreachable, match="check the network"):
            store.sql("SELECT count(*), max(price) FROM market_trades")
        assert any("check the network" in text for text in examine(store.database, "quick").problems)


def test_what_was_begun_under_another_setting_is_not_left_there(
    tmp_path: Path, server: ObjectServer, rng: random.Random
) -> None:
    def kill(name: str) -> None:
        if name == "put":
            raise Killed

    other = tmp_path / "other disk"
    with open_store(tmp_path / "root", archive_url=other.as_uri()) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 20, days=5))
        with pytest.raises(Killed):
            live_until(database, COLD_US, on_replace_step=kill)
    assert [path for path in other.rglob("*") if path.is_file()]
    with open_store(tmp_path / "root", now_us=COLD_US, archive_url=server.url) as database:
        DataRetentionManager(database).run()
        assert objects_of(server) == {file.path for file in files_of(database)}
    assert [path for path in other.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["", "s3:bucket", "memory:///x", 7])
def test_a_url_that_is_none_is_refused_when_it_is_set(url: Any) -> None:
    with pytest.raises(ConfigError, match="archive_url"):
        DatabaseConfig(archive_url=url)


def test_erased_rows_are_in_no_object(
    database: DatabaseManager, server: ObjectServer, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=5))
    live_until(database, COLD_US)
    account = database.readers.rows("SELECT count(*) FROM ledger")
    assert account == [(0,)], "all is archived"
    names = LEDGER.column_names
    value = next(iter(rows_of(database, LEDGER).values()))[names.index("asset")]
    manager = DataRetentionManager(database)
    erased = manager.erase("asset", value, reason="the law", ordered_by="a court")
    assert [one.dataset for one in erased.erased] == ["ledger"]
    live_until(database, COLD_US + 40 * DAY_US)
    assert objects_of(server) == {file.path for file in files_of(database)}
    evict(database)
    assert all(row[names.index("asset")] != value for row in rows_of(database, LEDGER).values())
