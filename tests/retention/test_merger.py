"""Merges of real files: every row exactly once at every moment, whatever ends the merger or is wrong with a file."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.errors import ArchiveCorrupt, MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention import round as round_module
from hybridstore.retention.collector import COLLECT_GRACE_US, Collector
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.merger import merge
from hybridstore.retention.replacer import REPLACEMENT_STEPS, Replacer
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, OLD_DAY, TIERED, all_rows, insert, make_rows, open_store

LATER_US = NOW_US + 60 * DAY_US
"""When the month of OLD_DAY is old enough for the cold tier."""


class Killed(BaseException):
    """What ends a merger here: no handler for errors may see it, as none runs after a kill."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


def manifest(database: DatabaseManager) -> list[tuple[str, str, int]]:
    """Return (tier, dataset, rows) of the files that count."""
    return database.readers.rows(
        "SELECT tier, dataset, row_count FROM archive_files WHERE replaced_seq IS NULL ORDER BY start_us, row_count"
    )


def collector(database: DatabaseManager) -> Collector:
    return Collector(database, Replacer(database))


def states(database: DatabaseManager) -> list[str]:
    return [
        row[0] for row in database.readers.rows("SELECT state FROM archive_replacements ORDER BY claimed_at")
    ]


def parquet_files(database: DatabaseManager) -> set[str]:
    return {path.name for path in (database.root / "archives").rglob("*") if path.is_file()} - {".mover.lock"}


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_days_of_every_dataset_become_a_month(
    database: DatabaseManager, dataset: Dataset, rng: random.Random
) -> None:
    insert(database, dataset, make_rows(dataset, rng, 120, days=3))
    before = all_rows(database, dataset)
    manager = DataRetentionManager(database)
    assert manager.run().files == 3
    seen = 0

    def watch(_name: str) -> None:
        nonlocal seen
        seen += 1
        assert all_rows(database, dataset) == before

    report = manager.run(LATER_US, on_replace_step=watch)
    assert seen == len(REPLACEMENT_STEPS)
    assert (report.rows, report.merged, report.merged_rows, report.collected) == (0, 3, 120, 0)
    assert manifest(database) == [("cold", dataset.name, 120)]
    assert all_rows(database, dataset) == before
    assert manager.verify() == 1
    assert len(parquet_files(database)) == 4, "the files of the days stay for those who read them"
    assert DataRetentionManager(database).run(LATER_US).merged == 0


def test_a_month_lies_in_a_folder_of_the_month(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 20))
    manager = DataRetentionManager(database)
    manager.run(LATER_US)
    ((path,),) = database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
    assert path.startswith(
        "archives/cold/market_trades/year=2026/month=04/market_trades-cold-20260401-20260430-"
    )
    manager.run(LATER_US + 700 * DAY_US)
    ((path,),) = database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
    assert path.startswith("archives/frozen/market_trades/year=2026/market_trades-frozen-20260101-20261231-")


@pytest.mark.parametrize("step", REPLACEMENT_STEPS)
def test_a_merge_that_is_killed_at_any_step_is_done_by_the_next_run(
    tmp_path: Path, rng: random.Random, step: str
) -> None:
    def die(name: str) -> None:
        if name == step:
            raise Killed

    with open_store(tmp_path) as database:
        insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
        before = all_rows(database, MARKET_TRADES)
        DataRetentionManager(database).run()
        with pytest.raises(Killed):
            DataRetentionManager(database).run(LATER_US, on_replace_step=die)
        assert all_rows(database, MARKET_TRADES) == before
    with open_store(tmp_path) as database:
        assert all_rows(database, MARKET_TRADES) == before
        report = DataRetentionManager(database).run(LATER_US)
        assert report.merged == (0 if step == "replaced" else 3)
        assert all_rows(database, MARKET_TRADES) == before
        assert states(database) == (["done"] if step == "replaced" else ["abandoned", "done"])
        assert len(parquet_files(database)) == 4, "what was begun is removed"
        assert DataRetentionManager(database).verify() == 1


def test_replaced_files_are_deleted_after_their_grace(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    before = all_rows(database, MARKET_TRADES)
    DataRetentionManager(database).run(LATER_US)
    merger = collector(database)
    ((finished_us,),) = database.readers.rows("SELECT finished_at FROM archive_replacements")
    assert merger.collect(finished_us + COLLECT_GRACE_US - 1) == []
    assert len(merger.collect(finished_us + COLLECT_GRACE_US)) == 3
    assert merger.collect(finished_us + COLLECT_GRACE_US) == []
    assert states(database) == ["collected"]
    assert len(parquet_files(database)) == 1
    assert not list((database.root / "archives/warm").rglob("year=*")), "nor are their folders there"
    assert all_rows(database, MARKET_TRADES) == before
    assert DataRetentionManager(database).verify() == 1


def test_nothing_is_deleted_while_what_replaced_it_is_damaged(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    DataRetentionManager(database).run(LATER_US)
    ((path,),) = database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
    content = bytearray((database.root / path).read_bytes())
    content[len(content) // 2] ^= 1
    (database.root / path).write_bytes(content)
    broken = collector(database)
    assert broken.collect(NOW_US * 2) == []
    (error,) = broken.failures.errors
    assert "content changed" in str(error)
    assert len(parquet_files(database)) == 4
    database.clock.set(NOW_US + 2 * DAY_US)  # type: ignore[attr-defined]  # a ManualClock
    with pytest.raises(ArchiveCorrupt, match="content changed"):
        DataRetentionManager(database).run()


def test_what_was_merged_twice_is_proven_before_its_parts_are_deleted(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    manager = DataRetentionManager(database)
    manager.run(LATER_US)
    manager.run(LATER_US + 700 * DAY_US)
    ((path,),) = database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
    whole = (database.root / path).read_bytes()
    (database.root / path).write_bytes(whole[:-1])
    broken = collector(database)
    assert broken.collect(NOW_US * 2) == []
    assert all("manifest says" in str(error) for error in broken.failures.errors)
    assert len(broken.failures.errors) == 2
    assert len(parquet_files(database)) == 5, "days, month and year"
    (database.root / path).write_bytes(whole)
    assert len(collector(database).collect(NOW_US * 2)) == 4
    assert states(database) == ["collected", "collected"]


def test_late_rows_join_the_period_they_fall_into(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 80, days=2))
    manager = DataRetentionManager(database)
    manager.run(LATER_US)
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 2, number=5_000))
    before = all_rows(database, MARKET_TRADES)
    report = manager.run(LATER_US)
    assert (report.rows, report.merged) == (2, 1), "the month is not rewritten for two rows"
    assert manifest(database) == [("cold", "market_trades", 2), ("cold", "market_trades", 80)]
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 20, number=6_000))
    before = all_rows(database, MARKET_TRADES)
    assert manager.run(LATER_US).merged == 3
    assert manifest(database) == [("cold", "market_trades", 102)]
    assert all_rows(database, MARKET_TRADES) == before


def test_a_damaged_file_stops_its_merge_and_no_other(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40, days=2))
    insert(
        database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40, first_day=OLD_DAY - 60, days=2, number=500)
    )
    manager = DataRetentionManager(database)
    manager.run()
    ((path,),) = database.readers.rows("SELECT path FROM archive_files ORDER BY start_us DESC LIMIT 1")
    (database.root / path).write_bytes(b"PAR1")
    with pytest.raises(ArchiveCorrupt, match="manifest says"):
        manager.run(LATER_US)
    tiers = [tier for tier, _, _ in manifest(database)]
    assert tiers == ["cold", "warm", "warm"]
    assert states(database).count("abandoned") == 1
    assert not list((database.root / "archives").rglob("*.tmp"))


def test_a_file_that_counts_no_more_stops_the_merge(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40, days=2))
    manager = DataRetentionManager(database)
    manager.run()
    (planned,) = manager.plan_merges(LATER_US)

    def interfere(name: str) -> None:
        if name == "named":

            def write(session: WriteSession) -> None:
                session.run("replace_file", (session.seq, planned.files[0].file_id))

            database.writer.call(write)

    with pytest.raises(MoveFailed, match="does not count any more"):
        merge(Replacer(database, interfere), planned)
    assert states(database) == ["abandoned"]
    assert len(parquet_files(database)) == 2
    ((counting,),) = database.readers.rows("SELECT count(*) FROM archive_files WHERE replaced_seq IS NULL")
    assert counting == 1, "the other one still counts"


def test_a_run_can_be_stopped_between_merges(database: DatabaseManager, rng: random.Random) -> None:
    for number in range(2):
        rows = make_rows(
            MARKET_TRADES, rng, 20, first_day=OLD_DAY + 20 * number, days=2, number=1 + 100 * number
        )
        insert(database, MARKET_TRADES, rows)
    before = all_rows(database, MARKET_TRADES)
    manager = DataRetentionManager(database)
    manager.run()
    steps: list[str] = []
    report = manager.run(LATER_US, on_replace_step=steps.append, stop=lambda: steps.count("replaced") == 1)
    assert (report.complete, report.merged) == (False, 2)
    assert all_rows(database, MARKET_TRADES) == before
    assert manager.run(LATER_US).complete
    assert {tier for tier, _, _ in manifest(database)} == {"cold"}
    assert all_rows(database, MARKET_TRADES) == before


def test_an_older_copy_of_the_database_deletes_nothing(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    manager = DataRetentionManager(database)
    manager.run(LATER_US)
    monkeypatch.setattr(round_module, "doubt", lambda _database: "it may be an older copy")
    clock = database.clock
    clock.set(NOW_US + 10 * COLLECT_GRACE_US)  # type: ignore[attr-defined]  # a ManualClock
    assert manager.run(LATER_US).collected == 0
    assert len(parquet_files(database)) == 4
    monkeypatch.undo()
    assert manager.run(LATER_US).collected == 3


def test_a_policy_decides_when(tmp_path: Path, rng: random.Random) -> None:
    policy = RetentionPolicy(
        name="ticks", table_name="market_trades", warm_retention_days=7, cold_retention_days=8
    )
    with open_store(tmp_path) as database:
        insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 20))
        DataRetentionManager(database, [policy]).run()
        assert manifest(database) == [("cold", "market_trades", 20)]
