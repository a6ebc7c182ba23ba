"""The parts of a store that cost an import: each is loaded when it is first asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hybridstore.config import Settings
from hybridstore.errors import StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.desk import Desk
from hybridstore.hot.known import Known, Need

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.archive.lookup import ArchiveLookup
    from hybridstore.backup.manager import BackupManager
    from hybridstore.books.books import Books
    from hybridstore.retention.manager import DataRetentionManager


class StoreParts(Desk):
    """The desk of a store, and its other parts.

    Args:
        database: The hot store.
        settings: All settings in use.

    Attributes:
        database: The hot store.
    """

    def __init__(self, database: DatabaseManager, settings: Settings) -> None:
        super().__init__(database)
        self.database = database
        self.base_currency = settings.portfolio.base_currency
        self._settings = settings
        self._opening = threading.Lock()
        self._analytics: Analytics | None = None
        self._retention: DataRetentionManager | None = None
        self._archived: ArchiveLookup | None = None
        self._backups: BackupManager | None = None
        database.archive_lookup = self._look_up

    @property
    def analytics(self) -> Analytics:
        """Questions over all tiers."""
        with self._opening:  # the first questions may come from several threads at once
            if self._analytics is None:
                _ = self.database.readers  # an engine of a store that is not open would never be closed
                from hybridstore.analytics.session import Analytics

                self._analytics = Analytics(self.database, self._settings.analytics)
            return self._analytics

    @property
    def books(self) -> Books:
        """Questions about an account's books: what is held, what it was, whether it proves itself."""
        from hybridstore.books.books import Books

        return Books(self.analytics)

    @property
    def retention(self) -> DataRetentionManager:
        """Moves between tiers."""
        if self._retention is None:
            from hybridstore.retention.manager import DataRetentionManager

            self._retention = DataRetentionManager(self.database, self._settings.retention)
        return self._retention

    @property
    def backups(self) -> BackupManager:
        """Backups, and restores to any moment."""
        if self._backups is None:
            from hybridstore.backup.manager import BackupManager

            self._backups = BackupManager(self.database.config, self._settings.backup, self.database.clock)
        return self._backups

    def _offering(self, error: StoreCorrupt) -> StoreCorrupt:
        """Return what to say of a damaged store: also to which moment its backups would take it back."""
        from hybridstore.backup.healing import offering

        return offering(error, self.backups.repository)

    def _close_parts(self) -> None:
        """Close those that hold something open."""
        if self._backups is not None:
            self._backups.stop()
        with self._opening:
            analytics, self._analytics = self._analytics, None
        if analytics is not None:
            analytics.close()

    def _look_up(self, needs: tuple[Need, ...]) -> Known:
        with self._opening:
            if self._archived is None:
                from hybridstore.archive.lookup import ArchiveLookup

                self._archived = ArchiveLookup(self.database)
        return self._archived(needs)
