"""What is damaged in a store is put back from its backups, or they are offered; and each time it is said."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.healing import find_wounds, heal
from hybridstore.backup.service import BackupService
from hybridstore.clock import DAY_US, SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig
from hybridstore.errors import ArchiveCorrupt, StoreCorrupt
from hybridstore.retention.verification import examine
from hybridstore.schema.types import moment
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
ROWS = 60


@pytest.fixture
def store(root: Path) -> HybridStore:
    """A store with three archived files of which the backups have copies, closed."""
    with HybridStore(root) as store:
        for number in range(3):
            at_us = store.database.clock.now_us() - (20 + number) * DAY_US
            store.record_market_trades(
                [("BTC/USDT", 100 * number + n, "100", "0.5", "buy", at_us + n) for n in range(ROWS // 3)]
            )
        store.retention.run()
        store.backups.create_full()
    return store


def archived(root: Path) -> list[Path]:
    """Return the archived files."""
    found = sorted((root / "archives").rglob("*.parquet"))
    assert len(found) == 3
    return found


def changed(path: Path) -> None:
    """Change a byte of a file, and not of its copy, which on one file system is the same file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def cut(path: Path) -> None:
    """Cut a file, and not its copy."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[:-1])
    other.replace(path)


WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (Path.unlink, "missing"),
    "cut": (cut, "damaged"),
    "changed": (changed, "damaged"),
}


def count(store: HybridStore) -> int:
    """Return how many rows the store answers with."""
    return int(store.sql("SELECT count(DISTINCT trade_id) FROM market_trades").rows()[0][0])


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_put_back_and_the_audit_log_says_so(store: HybridStore, root: Path, way: str) -> None:
    damage, wrong = WAYS[way]
    path = archived(root)[1]
    content = path.read_bytes()
    damage(path)
    with store, pytest.raises(ArchiveCorrupt, match="hybridstore backup heal"):
        count(store)
    (told,) = store.backups.heal(dry_run=True)
    assert (told.file.path, told.wrong, told.has_copy, told.is_healed) == (
        path.relative_to(root).as_posix(), wrong, True, False,
    )  # fmt: skip
    assert not path.exists() or path.read_bytes() != content, "a dry run changes nothing"
    (healed,) = store.backups.heal()
    assert healed.is_healed
    assert path.read_bytes() == content
    assert store.backups.heal() == []
    with store:
        entry = store.retention.history(1)[0]
        assert (entry.action, json.loads(entry.detail)["was"]) == ("heal", wrong)
        assert count(store) == ROWS
        assert examine(store.database, "scrub").problems == ()


def test_where_the_copy_is_damaged_too_that_is_said_and_the_others_are_healed(
    store: HybridStore,
    root: Path,
    run: Run,  # noqa: F811
) -> None:
    both, other, uncopied = archived(root)
    with both.open("r+b") as file:  # the copy is another name of it
        file.seek(100)
        file.write(b"damaged!")
    other.unlink()
    copies = ArchiveCopies(store.backups.base)
    digests = {path.stat().st_ino: path.stem for path in copies.paths()}
    copies.path(digests[uncopied.stat().st_ino]).unlink()
    uncopied.unlink()
    code, out, _ = run("backup", "heal", "--dry-run", "--root", str(root), "--json")
    assert code == 1
    assert {one["path"]: (one["wrong"], one["has_copy"]) for one in json.loads(out)["files"]} == {
        both.relative_to(root).as_posix(): ("damaged", True),
        other.relative_to(root).as_posix(): ("missing", True),
        uncopied.relative_to(root).as_posix(): ("missing", False),
    }
    code, out, _ = run("backup", "heal", "--root", str(root))
    said = " ".join(out.split())
    assert code == 1
    assert "3 files are wrong, 1 were put back" in said
    assert "not what was written" in said
    assert "the backups have no copy of it" in said
    assert other.exists()


def test_a_file_that_cannot_be_healed_keeps_nothing_else_from_being_backed_up(
    store: HybridStore, root: Path
) -> None:
    for path in ArchiveCopies(store.backups.base).paths():
        path.unlink()
    lost, other, _ = archived(root)
    lost.unlink()
    backup = BackupConfig(poll_interval_ms=10, full_backup_interval_hours=0.001)
    said: list[str] = []
    stop = threading.Event()
    service = BackupService(
        store.config, backup, SystemClock(), stop,
        on_error=lambda error: said.append(str(error)), on_gap=lambda _said: None, archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    try:
        end_s = time.monotonic() + 30
        with store:
            store.record_balance_update("BTC", 1, 0, "test")
        while store.backups.status()["fulls"] < 2:
            assert time.monotonic() < end_s, said
            time.sleep(0.05)
    finally:
        stop.set()
        service.close()
    assert any("missing or damaged, so it was not backed up" in one for one in said)
    assert ArchiveCopies(store.backups.base).paths(), f"{other} has a copy again"


def test_a_service_reads_every_file_once_a_day(store: HybridStore, root: Path) -> None:
    path = archived(root)[0]
    content = path.read_bytes()
    changed(path)
    stop = threading.Event()
    said: list[str] = []
    service = BackupService(
        store.config, BackupConfig(poll_interval_ms=10), SystemClock(), stop,
        on_error=lambda error: said.append(f"error: {error}"), on_gap=said.append, archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    end_s = time.monotonic() + 30
    while not said and time.monotonic() < end_s:
        time.sleep(0.05)
    stop.set()
    service.close()
    assert said == [f"{path.relative_to(root).as_posix()} was damaged and is put back from the backups"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("has_backups", [True, False])
def test_of_a_damaged_database_it_is_said_to_which_moment_it_can_go_back(
    store: HybridStore,
    root: Path,
    has_backups: bool,  # noqa: FBT001  a parameter
) -> None:
    with store:
        store.record_balance_update("BTC", 1, 0, "test")
        seq = store.get_system_status()["commit_seq"]
    store.backups.create_incremental()
    last = store.backups.restore_points()[-1]
    assert last.seq_last >= seq
    database = root / DATABASE_NAME
    for path in root.glob(f"{DATABASE_NAME}-*"):
        path.unlink()
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size - 100)
    if not has_backups:
        store.backups.base.rename(root / "elsewhere")
    hint = (
        f"to commit {last.seq_last} of {moment(last.ts_last_us).isoformat()}, the last that the backups hold"
    )
    with pytest.raises(StoreCorrupt) as told:
        HybridStore(root).open()
    assert (hint in str(told.value)) == has_backups
    with pytest.raises(StoreCorrupt) as told:
        asyncio.run(TradingBotStorageSystem(root, maintenance="off").initialize())
    assert (hint in str(told.value)) == has_backups
    if has_backups:
        HybridStore(root).backups.restore_in_place("latest")
        with HybridStore(root) as back:
            balance = back.get_latest_balance("BTC")
            assert balance is not None
            assert balance.balance == 1


def test_one_round_of_maintenance_backs_up_too(store: HybridStore, root: Path, run: Run) -> None:  # noqa: F811
    with store:
        store.record_balance_update("BTC", 5, 0, "test")
        seq = store.get_system_status()["commit_seq"]
    lost = archived(root)[0]
    lost.unlink()
    code, _, err = run("run", "--once", "--root", str(root))
    assert (code, lost.exists()) == (0, True), err
    assert store.backups.status()["last_commit"] >= seq
    for path in ArchiveCopies(store.backups.base).paths():
        path.unlink()
    lost.unlink()
    code, _, err = run("run", "--once", "--root", str(root))
    assert (code, "missing" in err) == (1, True)
    (root / "hybridstore.toml").write_text('[backup]\nmode = "off"\n')
    assert run("run", "--once", "--root", str(root))[0] == 0


def test_a_file_that_does_not_count_any_more_does_not_come_back(store: HybridStore, root: Path) -> None:
    """It was merged or erased between the look and the healing."""
    copies, (_, files) = ArchiveCopies(store.backups.base), kept_files(store.config)
    path = archived(root)[0]
    path.unlink()
    wounds = find_wounds(store.config, copies, files)
    assert len(wounds) == 1
    gone = [wound._replace(file=wound.file._replace(file_id="another")) for wound in wounds]
    assert heal(store.config, SystemClock(), copies, gone) == []
    assert not path.exists()
    assert [one.is_healed for one in heal(store.config, SystemClock(), copies, wounds)] == [True]
    assert path.exists()
