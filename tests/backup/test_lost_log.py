"""Where the log was lost while nobody shipped it a new chain begins and says why; else the chain goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import ConfigError, StoreBusy, StoreMoved
from hybridstore.hot.copying import content_sha256
from hybridstore.store import HybridStore
from tests.backup.witness import Witness

FRAME_BYTES = 4096 + 24


def config_of(root: Path) -> DatabaseConfig:
    """Return settings by which a log is soon too large."""
    return DatabaseConfig(database_path=str(root / DATABASE_NAME), wal_checkpoint_mb=1, wal_limit_mb=1)


def ship(root: Path, gaps: list[str]) -> int:
    """Ship what there is, and stop; return the chain."""
    backup = BackupConfig()
    repository = Repository(backup.base(root))
    shipper = Shipper(config_of(root), backup, repository, SystemClock(), gaps.append)
    try:
        shipper.poll()
        if not any(
            one.named.kind == "full" and one.named.epoch == shipper.epoch for one in repository.files()
        ):
            make_full(config_of(root), backup, repository, shipper.epoch, SystemClock().now_us())
        shipper.poll()
        return shipper.epoch
    finally:
        shipper.close()


def write(root: Path, commits: int = 5) -> None:
    """Commit something, in a store that is opened and closed for it."""
    with HybridStore(root, config=config_of(root)) as store:
        for number in range(commits):
            store.record_balance_update("BTC", number, 0, "test")


def outside(root: Path, *statements: str) -> None:
    """Have a foreign program do something, as the last one that has the store open."""
    with Witness(root / DATABASE_NAME) as witness:
        for statement in statements:
            witness.execute(statement)


def truncate(root: Path) -> None:
    """A foreign program empties the log."""
    outside(root, "PRAGMA wal_checkpoint(TRUNCATE)")


def restart(root: Path) -> None:
    """A foreign program copies the log back, and the next writer begins it anew."""
    with HybridStore(root, config=config_of(root)) as store, Witness(root / DATABASE_NAME) as witness:
        witness.execute("PRAGMA wal_checkpoint(RESTART)")
        store.record_balance_update("BTC", 1, 0, "test")


def close_last(root: Path) -> None:
    """A foreign program only looks, and is the last to close the store: SQLite copies the log back and removes it."""
    with Witness(root / DATABASE_NAME) as witness:
        witness.look()
    assert not (root / f"{DATABASE_NAME}-wal").exists()


def outgrow(root: Path) -> None:
    """The log outgrows its limit, and the store copies it back itself."""
    with HybridStore(root, config=config_of(root)) as store:
        for number in range(300):
            store.record_market_trades(
                [
                    ("BTC/USDT", number * 100 + n, "1", "2", "buy", 1_700_000_000_000_000 + n)
                    for n in range(50)
                ]
            )


def delete(root: Path) -> None:
    """Somebody deletes the log."""
    (root / f"{DATABASE_NAME}-wal").unlink()
    (root / f"{DATABASE_NAME}-shm").unlink()


def put_back(root: Path) -> None:
    """Somebody puts an older copy of the database back."""
    for path in root.glob(f"{DATABASE_NAME}*"):
        path.unlink()
    shutil.copy(root / "older.db", root / DATABASE_NAME)


def rewind(root: Path) -> None:
    """A power cut takes the end of the log, and other commits are written over it under the same salts."""
    assert ship(root, []) == 1  # what is taken was shipped
    log = root / f"{DATABASE_NAME}-wal"
    content = log.read_bytes()
    frames = 0  # of this generation of the log: what lies behind is of an earlier one
    while content[32 + frames * FRAME_BYTES :][8:16] == content[16:24]:
        frames += 1
    log.write_bytes(content[: 32 + (frames - 12) * FRAME_BYTES])
    (root / f"{DATABASE_NAME}-shm").unlink()
    (root / ".watermark").unlink()
    write(root, 30)


LOSSES: tuple[Callable[[Path], None], ...] = (
    truncate,
    restart,
    close_last,
    outgrow,
    delete,
    put_back,
    rewind,
)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_lost_log_begins_a_new_chain(root: Path, lose: Callable[[Path], None]) -> None:
    gaps: list[str] = []
    write(root)
    shutil.copy(root / DATABASE_NAME, root / "older.db")  # closed: its log is copied back
    assert ship(root, gaps) == 1
    write(root)
    assert ship(root, gaps) == 1
    write(root)
    lose(root)
    write(root)
    assert ship(root, gaps) == 2
    assert len(gaps) == 1
    assert "new chain" in gaps[0]
    assert Repository(root / "backups").epochs()[1].reason
    result = restore(Repository(root / "backups"), Target(), root.parent / "restored", config_of(root))
    restored = config_of(root.parent / "restored")
    assert content_sha256(restored) == content_sha256(config_of(root))
    assert result.epoch == 2


def test_a_log_that_is_there_is_followed(root: Path) -> None:
    gaps: list[str] = []
    write(root)
    for _ in range(4):
        assert ship(root, gaps) == 1
        write(root)
    with HybridStore(root, config=config_of(root)) as store:
        assert ship(root, gaps) == 1
        store.record_balance_update("BTC", 5, 0, "test")
        assert ship(root, gaps) == 1
    assert gaps == []
    restore(Repository(root / "backups"), Target(), root.parent / "restored", config_of(root))
    assert content_sha256(config_of(root.parent / "restored")) == content_sha256(config_of(root))


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_a_foreign_checkpoint_makes_no_gap_while_the_log_is_shipped(root: Path, mode: str) -> None:
    gaps: list[str] = []
    backup = BackupConfig()
    repository = Repository(backup.base(root))
    with HybridStore(root, config=config_of(root)) as store, Witness(store.database.path) as witness:
        shipper = Shipper(store.config, backup, repository, SystemClock(), gaps.append)
        make_full(store.config, backup, repository, shipper.epoch, SystemClock().now_us())
        for number in range(60):
            store.record_balance_update("BTC", number, 0, "test")
            if number % 15 == 0:
                witness.execute(f"PRAGMA wal_checkpoint({mode})")
            if number % 4 == 0:
                shipper.poll()
        shipper.poll()
        live = content_sha256(store.config)
        shipper.close()
    assert gaps == []
    assert shipper.epoch == 1
    restore(repository, Target(), root.parent / "restored", config_of(root))
    assert content_sha256(config_of(root.parent / "restored")) == live


def test_the_log_is_kept_short_while_it_is_shipped(root: Path) -> None:
    backup = BackupConfig()
    with HybridStore(root, config=config_of(root)) as store:
        shipper = Shipper(store.config, backup, Repository(backup.base(root)), SystemClock())
        log = root / f"{DATABASE_NAME}-wal"
        for number in range(400):
            store.record_market_trades(
                [
                    ("BTC/USDT", number * 100 + n, "1", "2", "buy", 1_700_000_000_000_000 + n)
                    for n in range(50)
                ]
            )
            if number % 5 == 0:
                shipper.poll()
        shipper.close()
    assert log.stat().st_size < 4 << 20


def test_two_do_not_ship_to_one_folder(root: Path) -> None:
    write(root)
    backup = BackupConfig()
    repository = Repository(backup.base(root))
    shipper = Shipper(config_of(root), backup, repository, SystemClock())
    with pytest.raises(StoreBusy, match="another process writes backups"):
        Shipper(config_of(root), backup, repository, SystemClock())
    shipper.close()
    Shipper(config_of(root), backup, repository, SystemClock()).close()


def test_a_folder_of_another_store_is_refused(root: Path, tmp_path: Path) -> None:
    write(root)
    ship(root, [])
    write(tmp_path / "other")
    backup = BackupConfig(backup_base_path=str(root / "backups"))
    with pytest.raises(ConfigError, match="another store"):
        Shipper(config_of(tmp_path / "other"), backup, Repository(root / "backups"), SystemClock())


def test_a_store_that_was_replaced_is_not_shipped(root: Path) -> None:
    write(root)
    backup = BackupConfig()
    shipper = Shipper(config_of(root), backup, Repository(backup.base(root)), SystemClock())
    (root / DATABASE_NAME).rename(root / "moved.db")
    (root / DATABASE_NAME).write_bytes(b"")
    with pytest.raises(StoreMoved):
        shipper.poll()
    shipper.close()
