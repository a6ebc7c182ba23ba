"""A store whose backups are copied below a URL, and what comes back from there."""

from __future__ import annotations

from pathlib import Path

from hybridstore import HybridStore
from hybridstore.archive.object_store import ObjectStore
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.mirror import FOLDER
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.hot.copying import content_sha256

NOW_US = 20_600 * DAY_US + DAY_US // 2


class Bot:
    """A store with backups that are copied.

    Args:
        root: Its folder.
        url: Where to.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.clock = ManualClock(NOW_US)
        self.config = DatabaseConfig(database_path=str(root / DATABASE_NAME), enable_logs=False)
        self.backup = BackupConfig(mirror_url=url)
        self.manager = BackupManager(self.config, self.backup, self.clock)
        self._number = 0

    def write(self, *, archived: bool = False) -> None:
        """Record something; with archived also something that moves to the archives."""
        self.clock.advance(DAY_US)
        with HybridStore(config=self.config, clock=self.clock, maintenance="off") as store:
            self._number += 1
            store.record_balance_update("BTC", self._number, 0, "test")
            if archived:
                at_us = self.clock.now_us() - 20 * DAY_US
                store.record_market_trades([("BTC/USDT", self._number, "100", "0.5", "buy", at_us)])
                store.retention.run()

    def live(self) -> tuple[int, str]:
        """Return number and hash of what the store holds."""
        position, sha256 = content_sha256(self.config)
        return position.seq, sha256


def restored(base: Path, to: Path, target: str | int = "latest") -> tuple[int, str]:
    """Restore from a folder; return number and hash of what came of it."""
    config = DatabaseConfig(database_path=str(to / DATABASE_NAME), enable_logs=False)
    BackupManager(config, BackupConfig(backup_base_path=str(base))).restore(target, to)
    position, sha256 = content_sha256(config)
    return position.seq, sha256


def far_away(url: str) -> set[str]:
    """Return what there is below the folder of all copies."""
    return {name.removeprefix(f"{FOLDER}/") for name in ObjectStore(url).sizes(FOLDER)}
