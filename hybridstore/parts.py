"""The parts of a store that cost an import: each is loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    from hybridstore.integrations.exchange.report import SyncReport
    from hybridstore.integrations.importing.importer import Importer
    from hybridstore.retention.manager import DataRetentionManager


POLL_S = 10.0
"""How long to wait between two readings of an exchange that is followed, s."""


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

    @property
    def importer(self) -> Importer:
        """Imports of what other programs recorded, and of files of rows."""
        from hybridstore.integrations.importing.importer import Importer

        return Importer(self)

    def sync(self, exchange: Any, **wish: Any) -> SyncReport:
        """Read what an exchange knows of an account: orders, fills, funding, transfers, positions, balances.

        It goes on where the last reading stopped. Killed at any moment, the next call brings the same rows: what was
        recorded is known, what was not is asked for again.

        Args:
            exchange: An exchange object of ``ccxt`` with ``number = str``.
            **wish: markets, since, what, timeframes, account, strategy, bot, overlap_s; see
                :class:`hybridstore.integrations.exchange.sync.Wish`.

        Returns:
            Counts by kind, and where rows are missing or sums differ.

        Raises:
            InvalidValue: The exchange object or an argument cannot be used.
            ExchangeError: The exchange refused a question, or told rows that cannot be recorded; all others are.
            ExchangeUnreachable: It does not answer.
        """
        from hybridstore.integrations.exchange.sync import sync_exchange, wish_of

        return sync_exchange(self, exchange, wish_of(**wish))

    def follow(
        self,
        exchange: Any,
        *,
        stop: threading.Event | None = None,
        poll_s: float = POLL_S,
        on_report: Callable[[SyncReport], object] | None = None,
        **wish: Any,
    ) -> None:
        """Do :meth:`sync` again and again. An exchange that does not answer is asked again later.

        Args:
            exchange: An exchange object of ``ccxt`` with ``number = str``.
            stop: Set it from another thread to end; None goes on until an exception, as Ctrl-C.
            poll_s: How long to wait between two readings, s.
            on_report: Called with what each brought.
            **wish: See :meth:`sync`.

        Raises:
            InvalidValue: The exchange object or an argument cannot be used.
            ExchangeError: The exchange refused a question, as for a wrong key.
        """
        from hybridstore.integrations.exchange.following import follow_exchange
        from hybridstore.integrations.exchange.sync import wish_of

        follow_exchange(
            self,
            exchange,
            wish_of(**wish),
            stop=stop or threading.Event(),
            poll_s=poll_s,
            on_report=on_report,
        )

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
