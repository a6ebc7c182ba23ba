"""BackupManager: what a trader calls."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore.backup.manager import BackupManager
from hybridstore.backup.service import BackupService
from hybridstore.clock import DAY_US, SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import (
    BackupCorrupt,
    ConfigError,
    Conflict,
    InvalidValue,
    NotFound,
    NotRestorable,
    StoreBusy,
)
from hybridstore.hot.folder import RESTORING_NAME
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore


@pytest.fixture
def store(root: Path) -> HybridStore:
    """A store with a balance of 1, closed."""
    with HybridStore(root) as made:
        made.record_balance_update("BTC", 1, 0, "test")
    return made


def balance(root: Path) -> Decimal:
    """Return the balance a store holds."""
    with HybridStore(root) as restored:
        found = restored.get_latest_balance("BTC")
    assert found is not None
    return found.balance


def record(store: HybridStore, amount: int) -> int:
    """Record a balance; return the number of the commit."""
    with store:
        store.record_balance_update("BTC", amount, 0, "test")
        return int(store.get_system_status()["commit_seq"])


def test_a_moment_is_given_in_any_way_a_trader_would(store: HybridStore, tmp_path: Path) -> None:
    backups = store.backups
    backups.create_full()
    mark = backups.mark("one")
    seq = record(store, 2)
    backups.create_incremental()
    two_us = backups.restore_points()[-1].ts_last_us
    record(store, 3)
    backups.create_incremental()
    asked: dict[str, datetime | str | int] = {
        "time": moment(two_us),
        "text": moment(two_us).isoformat(),
        "microseconds": two_us,
        "digits": str(two_us),
        "number": seq,
        "before": moment(two_us) + timedelta(microseconds=1),
    }
    for name, target in asked.items():
        result = backups.restore(target, tmp_path / name)
        assert (result.seq, result.exact) == (seq, True)
        assert balance(tmp_path / name) == 2
    assert backups.restore("one", tmp_path / "one").seq == mark.seq
    assert balance(tmp_path / "one") == 1
    backups.restore("latest", tmp_path / "latest")
    assert balance(tmp_path / "latest") == 3
    backups.restore(two_us, tmp_path / "exclusive", inclusive=False)
    assert balance(tmp_path / "exclusive") == 1
    late = backups.restore(datetime.now(UTC) + timedelta(days=1), tmp_path / "late")
    assert not late.exact


def test_what_is_no_moment_is_refused(store: HybridStore, tmp_path: Path) -> None:
    backups = store.backups
    with pytest.raises(NotRestorable, match="no backup yet"):
        backups.restore("latest", tmp_path / "to")
    backups.create_full()
    with pytest.raises(InvalidValue, match="no moment is marked 'nothing'"):
        backups.restore("nothing", tmp_path / "to")
    with pytest.raises(InvalidValue):
        backups.restore(datetime(2026, 8, 1), tmp_path / "to")  # noqa: DTZ001  refused for that
    with pytest.raises(NotRestorable, match="before the first full backup"):
        backups.restore("2020-01-01T00:00:00Z", tmp_path / "to")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        backups.restore("latest", tmp_path / "full")
    assert not (tmp_path / "to").exists()


def test_a_name_is_given_once(store: HybridStore) -> None:
    store.backups.mark("before-upgrade")
    record(store, 2)
    with pytest.raises(Conflict):
        store.backups.mark("before-upgrade")
    for name in ("latest", "1st", "", "a/b"):
        with pytest.raises(InvalidValue):
            store.backups.mark(name)


def test_archived_files_come_back_with_the_store(root: Path, tmp_path: Path) -> None:
    with HybridStore(root) as store:
        old_us = SystemClock().now_us() - 20 * DAY_US
        store.record_market_trades([("BTC/USDT", n, "1.5", "2", "buy", old_us + n) for n in range(100)])
        store.retention.run()
        rows = store.sql("SELECT count(*), sum(price * amount) FROM market_trades").rows()
        store.backups.create_full()
        assert list((root / "archives").rglob("*.parquet"))
    result = store.backups.restore("latest", tmp_path / "restored")
    assert result.archive_files == 1
    with HybridStore(tmp_path / "restored") as restored:
        assert restored.sql("SELECT count(*), sum(price * amount) FROM market_trades").rows() == rows
    copy = next((root / "backups" / "archives").rglob("*.parquet"))
    copy.unlink()
    with pytest.raises(BackupCorrupt, match="no copy of an archived file"):
        store.backups.restore("latest", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_store_is_put_back_where_it_is(store: HybridStore, root: Path) -> None:
    backups = store.backups
    backups.create_full()
    mark = backups.mark("good")
    record(store, 2)
    with store, pytest.raises(StoreBusy, match="has the store open"):
        backups.restore_in_place("good")
    result, aside = backups.restore_in_place("good")
    assert (result.seq, result.root) == (mark.seq, str(root))
    assert balance(root) == 1
    assert (aside / DATABASE_NAME).exists()
    record(store, 5)
    backups.create_full()
    assert [point.epoch for point in backups.restore_points()] == [1, 2]
    assert backups.verify("restore").holds


@pytest.mark.parametrize("step", ["before", "aside", "half"])
def test_an_exchange_that_was_interrupted_is_finished(
    store: HybridStore, root: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    backups = store.backups
    backups.create_full()
    backups.mark("good")
    record(store, 2)
    renames = {"before": 0, "aside": 2, "half": 100}[step]
    real, done = Path.rename, [0]

    def rename(self: Path, target: Path) -> Path:
        if self.parent == root or self.parent.name.startswith(".restoring"):
            if done[0] >= renames or (step == "half" and self.name == DATABASE_NAME and self.parent != root):
                raise OSError(5, "power cut")
            done[0] += 1
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Exception, match="power cut"):
        backups.restore_in_place("good")
    monkeypatch.undo()
    assert (root / RESTORING_NAME).exists()
    with pytest.raises(StoreBusy, match="being put back"):
        HybridStore(root).open()
    backups.restore_in_place("good")
    assert balance(root) == 1


def test_expiry_and_verification_are_told(store: HybridStore) -> None:
    backups = store.backups
    backups.create_full()
    assert backups.expire(dry_run=True).files == ()
    found = backups.verify()
    assert found.holds
    full = next(backups.base.glob("*/full/*.zst"))
    full.write_bytes(full.read_bytes()[:-1])
    found = backups.verify()
    assert not found.holds
    assert str(full) in found.problems[0]


def test_without_a_store_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    manager = BackupManager(DatabaseConfig(database_path=str(tmp_path / "none" / DATABASE_NAME)))
    with pytest.raises(NotFound):
        manager.create_full()
    assert not (tmp_path / "none").exists()


def test_another_disk_and_no_compression(root: Path, tmp_path: Path) -> None:
    backup = BackupConfig(backup_base_path=str(tmp_path / "disk"), enable_compression=False)
    with HybridStore(root, backup=backup) as store:
        store.record_balance_update("BTC", 1, 0, "test")
        store.backups.create_full()
        store.record_balance_update("BTC", 2, 0, "test")
        store.backups.create_incremental()
        store.backups.restore("latest", tmp_path / "restored")
    names = [path.suffix for path in (tmp_path / "disk").rglob("0001-*")]
    assert sorted(set(names)) == [".db", ".json", ".wal"]
    assert not (root / "backups").exists()
    assert balance(tmp_path / "restored") == 2


def test_a_service_backs_up_by_itself_and_answers_requests(root: Path, tmp_path: Path) -> None:
    errors: list[object] = []
    backup = BackupConfig(poll_interval_ms=10, segment_interval_s=0.1)
    with HybridStore(root, backup=backup) as store:
        stop = threading.Event()
        service = BackupService(
            store.config,
            backup,
            SystemClock(),
            stop,
            on_error=errors.append,
            on_gap=errors.append,
            archives_every_s=0.05,
        )
        service.start()
        try:
            store.record_balance_update("BTC", 1, 0, "test")
            while store.backups.status()["state"] != "running":
                time.sleep(0.01)
            store.backups.mark("one")
            store.record_balance_update("BTC", 2, 0, "test")
            first = store.backups.create_full(wait_s=30)
            status = store.get_system_status()["backups"]
            assert (status["state"], status["warning"]) == ("running", None)
            store.record_balance_update("BTC", 3, 0, "test")
            second = store.backups.create_full(wait_s=30)
        finally:
            stop.set()
            service.close()
    assert errors == []
    assert second.origin == "chain"
    assert second.seq > first.seq
    assert store.backups.status()["last_proven_restore"] is not None
    store.backups.restore("one", tmp_path / "one")
    assert balance(tmp_path / "one") == 1


def test_a_file_that_is_gone_is_put_back_and_noted(root: Path) -> None:
    said: list[str] = []
    backup = BackupConfig(poll_interval_ms=10)
    with HybridStore(root, backup=backup) as store:
        old_us = SystemClock().now_us() - 20 * DAY_US
        store.record_market_trades([("BTC/USDT", n, "1.5", "2", "buy", old_us + n) for n in range(100)])
        store.retention.run()
        store.backups.create_full()
        file = next((root / "archives").rglob("*.parquet"))
        content = file.read_bytes()
        file.unlink()
        stop = threading.Event()
        service = BackupService(
            store.config,
            backup,
            SystemClock(),
            stop,
            on_error=lambda error: said.append(f"error: {error}"),
            on_gap=said.append,
            archives_every_s=0.05,
        )
        service.start()
        end_s = time.monotonic() + 30
        while not said and time.monotonic() < end_s:
            time.sleep(0.01)
        stop.set()
        service.close()
        assert said == [f"{file.relative_to(root).as_posix()} was missing and is put back from the backups"]
        assert file.read_bytes() == content
        assert store.retention.history(1)[0].action == "heal"
        assert store.sql("SELECT count(*) FROM market_trades").rows() == [(100,)]


def test_continuous_backup_in_a_process_of_ones_own(store: HybridStore, tmp_path: Path) -> None:
    store.backups.start()
    store.backups.start()
    record(store, 7)
    store.backups.mark("seven")
    store.backups.stop()
    store.backups.stop()
    store.backups.restore("latest", tmp_path / "restored")
    assert balance(tmp_path / "restored") == 7


def test_a_damaged_copy_is_gone_around(store: HybridStore, tmp_path: Path) -> None:
    backups = store.backups
    backups.create_full()
    record(store, 2)
    backups.create_full()
    record(store, 3)
    backups.create_incremental()
    _, second = sorted(backups.base.glob("*/full/*.zst"))
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 1
    second.write_bytes(content)
    result = backups.restore("latest", tmp_path / "restored")
    assert result.exact
    assert balance(tmp_path / "restored") == 3
    assert not backups.verify().holds


def test_a_copy_whose_note_was_deleted_is_told_and_expires(store: HybridStore) -> None:
    store.backups.create_full()
    record(store, 2)
    full = store.backups.create_full()
    data = store.backups.base / full.path
    data.with_name(f"{data.name}.json").unlink()
    assert store.backups.verify().holds, "it may be being made just now"
    day_us = store.database.clock.now_us()
    for age_days, expires in ((1, False), (40, True)):
        at_s = (day_us - age_days * DAY_US) / 1e6
        os.utime(data, (at_s, at_s))
        (problem,) = store.backups.verify().problems
        assert problem == f"{data}: it has no note (.json), so it does not count"
        assert [one.path for one in store.backups.expire().files] == [full.path.as_posix()] * expires
    assert store.backups.verify().holds
