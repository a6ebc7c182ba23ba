"""DataRetentionManager: one mover a store, what crashes left behind, and proof of what was done."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.errors import ArchiveCorrupt, StoreBusy, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.progress import Progress
from hybridstore.retention.rewriting_desk import LOCK_NAME
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, OLD_DAY, OWN, all_rows, hot_rows, insert, make_rows, open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


@pytest.fixture
def manager(database: DatabaseManager, rng: random.Random) -> DataRetentionManager:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=2))
    insert(database, LEDGER, make_rows(LEDGER, rng, 40))
    return DataRetentionManager(database)


def test_a_plan_changes_nothing_and_names_what_a_run_then_moves(
    database: DatabaseManager, manager: DataRetentionManager
) -> None:
    planned = manager.plan()
    assert [(move.unit.dataset, move.unit.row_count, move.tier) for move in planned] == sorted(
        [("ledger", 40, "warm"), *[("market_trades", move.unit.row_count, "warm") for move in planned[1:]]],
        key=lambda move: move[0],
    )
    assert not (database.root / "archives").exists()
    report = manager.run()
    assert (report.rows, report.files) == (100, len(planned))
    assert report.size_bytes == sum(
        path.stat().st_size for path in (database.root / "archives").rglob("*.parquet")
    )
    assert report.rows_per_s > 0
    assert 0 < report.lock_ms_p50 <= report.lock_ms_p99 <= report.lock_ms_max


def test_nothing_to_do_is_done_at_once(database: DatabaseManager) -> None:
    report = DataRetentionManager(database).run()
    assert (report.rows, report.files, report.rows_per_s, report.lock_ms_max) == (0, 0, 0.0, 0.0)


def test_the_present_can_be_given(database: DatabaseManager, manager: DataRetentionManager) -> None:
    day_after_us = (OLD_DAY + 8) * DAY_US
    assert manager.plan(day_after_us - 1) == []
    assert {move.unit.start_us for move in manager.plan(day_after_us)} == {OLD_DAY * DAY_US}
    assert manager.run(day_after_us - 1).rows == 0


def test_a_configured_policy_replaces_the_default(
    database: DatabaseManager, manager: DataRetentionManager
) -> None:
    keep = RetentionPolicy(
        name="keep",
        table_name="ledger",
        hot_retention_days=300,
        warm_retention_days=300,
        cold_retention_days=365,
    )
    report = DataRetentionManager(database, [keep]).run()
    assert report.rows == 60
    assert len(hot_rows(database, LEDGER)) == 40


def test_rows_of_the_future_stay_hot(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, OWN, make_rows(OWN, rng, 10, first_day=NOW_US // DAY_US + 10_000))
    assert DataRetentionManager(database).run().rows == 0
    assert len(hot_rows(database, OWN)) == 10


def test_only_one_mover_works_on_a_store(database: DatabaseManager, manager: DataRetentionManager) -> None:
    refused = 0

    def intrude(_name: str) -> None:
        nonlocal refused
        with pytest.raises(StoreBusy, match="another process is moving") as caught:
            DataRetentionManager(database).run()
        assert caught.value.retryable
        refused += 1

    manager.run(on_step=intrude)
    assert refused > 0
    assert DataRetentionManager(database).run().rows == 0  # the lock is free again
    if os.name != "nt":
        assert stat.S_IMODE((database.root / LOCK_NAME).stat().st_mode) == 0o600


def test_the_lock_is_free_after_a_run_that_failed(
    database: DatabaseManager, manager: DataRetentionManager
) -> None:
    def fail(_name: str) -> None:
        raise RuntimeError("the disk caught fire")

    with pytest.raises(RuntimeError):
        manager.run(on_step=fail)
    assert DataRetentionManager(database).run().rows == 100


def test_progress_rises_to_the_total(database: DatabaseManager, manager: DataRetentionManager) -> None:
    seen: list[Progress] = []
    manager.run(progress=seen.append)
    assert [step.rows_done for step in seen] == sorted(step.rows_done for step in seen)
    assert (seen[-1].rows_done, seen[-1].rows_total) == (100, 100)
    assert {step.dataset for step in seen} == {"ledger", "market_trades"}
    assert seen[0].day == "2026-04-17"


def test_every_move_is_in_the_audit_log(database: DatabaseManager, manager: DataRetentionManager) -> None:
    files = manager.run().files
    assert manager.verify() == files
    entries = database.readers.rows("SELECT action, detail FROM audit_log ORDER BY entry")
    hashes = [
        row[0] for row in database.readers.rows("SELECT sha256 FROM archive_files ORDER BY created_seq")
    ]
    assert [action for action, _ in entries] == ["move"] * files
    assert all(sha256 in detail for sha256, (_, detail) in zip(hashes, entries, strict=True))


def test_a_forged_audit_log_or_file_is_found(
    database: DatabaseManager, manager: DataRetentionManager
) -> None:
    manager.run()
    (damaged, *_rest) = sorted((database.root / "archives").rglob("*.parquet"))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArchiveCorrupt) as caught:
        manager.verify()
    assert caught.value.path == str(damaged)
    damaged.write_bytes(content)

    def forge(session: WriteSession) -> None:
        session.execute(
            "UPDATE audit_log SET detail = replace(detail, '\"rows\":', '\"rows\":1') WHERE entry = 2"
        )

    database.writer.call(forge)
    with pytest.raises(StoreCorrupt, match="entry 2"):
        manager.verify()


@pytest.mark.parametrize(
    ("forgery", "complaint"),
    [
        ("DELETE FROM audit_log WHERE entry = (SELECT max(entry) FROM audit_log)", "ends at entry 2 and had"),
        ("DELETE FROM audit_log", "ends at entry none and had ended at entry 3"),
        (
            "DELETE FROM audit_log; DELETE FROM settings WHERE setting = 'audit_head'",
            "says nothing of the file",
        ),
        ("DELETE FROM settings WHERE setting = 'audit_head'", "had ended at entry none"),
    ],
)
def test_entries_cut_off_the_end_of_the_audit_log_are_missed(
    database: DatabaseManager, manager: DataRetentionManager, forgery: str, complaint: str
) -> None:
    assert manager.run().files == 3
    assert manager.verify() == 3

    def forge(session: WriteSession) -> None:
        for statement in forgery.split(";"):
            session.execute(statement)

    database.writer.call(forge)
    with pytest.raises(StoreCorrupt, match=complaint):
        manager.verify()


def test_status_tells_what_is_due_open_and_archived(
    database: DatabaseManager, manager: DataRetentionManager
) -> None:
    assert manager.status() == {
        "due_rows": 100, "due_merges": 0, "due_deletions": 0, "holds": 0, "clock_doubt": None, "open_moves": [],
        "archived": {}, "tiers": {}, "replaced_files": 0, "leases": [], "audit_entries": 0, "due_offloads": 0,
        "offloaded": {},
    }  # fmt: skip
    during: list[dict[str, object]] = []
    manager.run(on_step=lambda name: during.append(manager.status()) if name == "named" else None)
    assert [move["state"] for move in during[0]["open_moves"]] == ["claimed"]  # type: ignore[attr-defined]
    after = manager.status()
    assert (after["due_rows"], after["open_moves"]) == (0, [])
    assert after["archived"]["market_trades"]["rows"] == 60
    assert after["tiers"]["market_trades"] == {"warm": after["archived"]["market_trades"]}
    assert (
        after["archived"]["ledger"]["files"]
        == after["audit_entries"] - after["archived"]["market_trades"]["files"]
    )
    assert len(all_rows(database, MARKET_TRADES)) == 60


def test_a_run_ends_though_old_rows_are_recorded_all_the_while(
    database: DatabaseManager, manager: DataRetentionManager, rng: random.Random
) -> None:
    told = 0

    def tell_more(_: Progress) -> None:
        nonlocal told
        told += 1
        insert(database, LEDGER, make_rows(LEDGER, rng, 1, number=1000 + told))
        assert told < 50, "it goes on for as long as somebody records"

    first = manager.run(progress=tell_more)
    assert first.rows >= 100
    assert hot_rows(database, LEDGER), "what came meanwhile waits for the next run"
    manager.run()
    assert not hot_rows(database, LEDGER)
