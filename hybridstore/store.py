"""HybridStore: the store for code without an event loop - analysts, jobs, the command line."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from hybridstore.clock import Clock, SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig, RetentionPolicy, load_settings
from hybridstore.errors import StoreCorrupt
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment
from hybridstore.hot.bot_view import BotView
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.trade_rows import Trade
from hybridstore.parts import StoreParts
from hybridstore.schema.dataset import Dataset
from hybridstore.sections import MaintenanceMode

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from hybridstore.analytics.result import Result
    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.subscription import Subscription
    from hybridstore.operations.supervisor import Supervisor
    from hybridstore.retention.progress import MoveReport


class HybridStore(StoreParts):
    """One store. It opens when used in a ``with`` block, or with :meth:`open`.

    Args:
        root: The store's folder; None takes the configuration's (see :func:`hybridstore.config.default_root`).
        config: Settings of the hot store; None reads the configuration file and the environment.
        clock: Where the time comes from; None means the machine's clock.
        datasets: The user's own datasets beside the built-in ones.
        policies: Retention policies beside the configured ones.
        backup: Settings of its backups; None takes the configuration's.
        maintenance: ``auto``: the maintenance process is started and watched while the store is open; ``off``: it is
            not. None takes the configuration's mode, but never starts it for a store with a clock of its own.

    Attributes:
        database: The hot store.
        schema: Its schema.
        balances, positions, marks, portfolio: See :class:`hybridstore.hot.desk.Desk`.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        config: DatabaseConfig | None = None,
        clock: Clock | None = None,
        datasets: Iterable[Dataset] = (),
        policies: Iterable[RetentionPolicy] = (),
        backup: BackupConfig | None = None,
        maintenance: MaintenanceMode | None = "off",
    ) -> None:
        folder = Path(root) if root is not None else config.root if config is not None else None
        settings = load_settings(folder)
        if config is None:
            config = settings.database
        elif root is not None:
            config = config.taken_by_store(Path(root) / DATABASE_NAME)
        database = DatabaseManager(config, clock=clock, datasets=datasets)
        if maintenance is None and not isinstance(database.clock, SystemClock):
            maintenance = "off"
        mode = settings.maintenance.mode if maintenance is None else maintenance
        settings = msgspec.structs.replace(
            settings,
            database=database.config,
            retention=(*settings.retention, *policies),
            backup=backup or settings.backup,
            maintenance=msgspec.structs.replace(settings.maintenance, mode=mode),
        )
        super().__init__(database, settings)
        self.schema = SchemaManager(database)
        self._supervisor: Supervisor | None = None

    # -- life cycle ---------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Open the store, creating or upgrading it where needed. A second call does nothing.

        Returns:
            The store.
        """
        with self._opening:  # who comes second waits for the schema, too
            if not self.database.is_open:
                try:
                    self.database.open()
                    try:
                        self.schema.initialize()
                    except BaseException:
                        self.database.shutdown()
                        raise
                except StoreCorrupt as error:
                    raise self._offering(error) from error
                if self._settings.maintenance.mode == "auto":
                    from hybridstore.operations.supervisor import Supervisor

                    self._supervisor = Supervisor(self._settings)
                    self._supervisor.start()
        return self

    def close(self) -> None:
        """Commit what is queued and close everything. A second call does nothing.

        In a forked child it does nothing either, and lets go of nothing: to free an engine without its threads crashes.
        """
        if self.database.is_inherited:
            return
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None
        self._close_parts()
        self._retention = None
        self.database.shutdown()
        self._close_parts()  # what another thread asked for meanwhile

    def __enter__(self) -> Self:
        """Open the store."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.database.root

    @property
    def config(self) -> DatabaseConfig:
        """The settings in use; what is assigned to them takes effect where it can."""
        return self.database.config

    # -- questions ----------------------------------------------------------------------------------------------

    def get_balance_history(
        self,
        asset: str,
        start: Moment | None = None,
        end: Moment | None = None,
        account: str = DEFAULT_ACCOUNT,
    ) -> pl.DataFrame:
        """Return an asset's history over all tiers.

        Args:
            asset: The asset.
            start: From, inclusive; None means the beginning.
            end: To, exclusive; None means the end.
            account: Whose.

        Returns:
            A polars DataFrame of ``balance_history``, oldest first.
        """
        with self.analytics.snapshot() as moment:
            rows = moment.scan("balance_history", start=start, end=end, symbol=asset, account=account)
        return rows.sort("changed_at", "id").collect()

    def get_last_trade(self, symbol: str, account: str = DEFAULT_ACCOUNT) -> Trade | None:
        """Return the fill of a market that was executed last, also where it is archived.

        Args:
            symbol: The market.
            account: Whose.

        Returns:
            The fill, or None where there is none.
        """
        last = self.trades.last(symbol, account)
        if last is not None or not self.trades.archived():
            return last
        from hybridstore.analytics.last_trade import last_trade

        return last_trade(self.analytics, symbol, account)

    def for_bot(
        self, bot: str, *, account: str = DEFAULT_ACCOUNT, strategy: str | None = None
    ) -> BotView[Self]:
        """Return the store as one bot sees it.

        Args:
            bot: Its name.
            account: The account it trades on.
            strategy: What it follows.

        Returns:
            The same calls with these filled in, and only its own positions and orders.
        """
        return BotView(self, bot, account, strategy)

    def sql(self, query: str, /, *, as_known_at: object = None, **params: object) -> Result:
        """Ask one SQL question over every tier, in one snapshot.

        Args:
            query: A SELECT over datasets by name, in DuckDB's SQL; parameters as ``$name``.
            as_known_at: As the store knew things then; None means now. See :meth:`snapshot`.
            **params: The parameters.

        Returns:
            The result: ``.pl() .arrow() .df() .rows()``.
        """
        return self.analytics.sql(query, params=params, as_known_at=as_known_at)

    def scan(
        self,
        dataset: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        symbol: str | None = None,
        account: str | None = None,
        as_known_at: Moment | None = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset over every tier as a polars LazyFrame.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.
            as_known_at: As the store knew things then; None means now. See :meth:`snapshot`.

        Returns:
            The rows; filters and projections are pushed down. They can be collected for a week, or until the store is
            closed: their files stay that long.
        """
        return self.analytics.scan(
            dataset, start=start, end=end, symbol=symbol, account=account, as_known_at=as_known_at
        )

    def snapshot(self, *, as_known_at: Moment | None = None) -> AbstractContextManager[Snapshot]:
        """Hold one moment over several questions.

        Args:
            as_known_at: Rows that were committed up to then, in the versions of then. A dataset without history, or
                that lost some since, is refused; see :meth:`hybridstore.analytics.session.Analytics.snapshot`.

        Returns:
            A context manager that gives the snapshot.
        """
        return self.analytics.snapshot(as_known_at=as_known_at)

    def connect(
        self, *, folders: Iterable[str | Path] = (), as_known_at: Moment | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Open a DuckDB of the caller's own that shows every dataset as it is now: for magics, for SQL of any kind.

        Args:
            folders: What it may read and write beside the archives, for files of the caller's own.
            as_known_at: As the store knew things then; datasets without history are left out. None means now.

        Returns:
            The connection, with a view of each dataset and the exact macros. It goes on showing the moment of this
            call, for a week, or until the store is closed.
        """
        return self.analytics.connect(folders=folders, as_known_at=as_known_at)

    # -- events -------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        datasets: Iterable[str] | str | None = None,
        *,
        token: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
        bot: str | None = None,
        from_start: bool = False,
        timeout_s: float | None = None,
        poll_max_ms: float = 50.0,
    ) -> Subscription:
        """Follow what is committed, by this process and all others: every event once, in the order of commits.

        Args:
            datasets: Names of event and market datasets; None means all. Corrections of their rows are events, too.
            token: Where to go on: behind the event that held it, however long ago. None begins with what is committed
                after this call.
            account: Only events of this account.
            symbol: Only events of this market, or asset where a dataset has assets.
            bot: Only events of this bot.
            from_start: Without a token: begin with the first event there ever was.
            timeout_s: Iteration ends when there was no event for so long; 0 takes what is there, None waits for ever.
            poll_max_ms: The longest pause between two looks at what other processes commit, ms.

        Returns:
            An iterator of events, to be used in a ``with`` block.

        Raises:
            InvalidValue: The token is damaged, or a dataset cannot be followed.
            StoreError: The token is another store's, or the store lost commits it knows of.
        """
        from hybridstore.archive.backlog import open_feed
        from hybridstore.hot.subscription import Subscription

        feed = open_feed(
            self.database,
            datasets,
            token=token,
            account=account,
            symbol=symbol,
            bot=bot,
            from_start=from_start,
        )
        return Subscription(self.database, feed, timeout_s=timeout_s, poll_max_ms=poll_max_ms)

    # -- maintenance --------------------------------------------------------------------------------------------

    def cleanup_old_data(self) -> MoveReport:
        """Move rows that are old enough into their archives, in a process of its own. A move under way is waited for.

        Returns:
            What was moved.

        Raises:
            StoreBusy: Another process is moving rows and did not end in time.
            MoveFailed: The process failed; its own words are in the message.
        """
        from hybridstore.operations.maintenance import WAIT_S, run_in_process

        clock = self.database.clock
        clock_us = None if isinstance(clock, SystemClock) else clock.now_us()
        return run_in_process(self._settings, clock_us=clock_us, wait_s=WAIT_S)

    # -- condition ----------------------------------------------------------------------------------------------

    def get_system_status(self) -> dict[str, Any]:
        """Return the store's condition.

        Returns:
            See :func:`hybridstore.operations.status.collect_status`.
        """
        from hybridstore.operations.status import collect_status

        supervisor = self._supervisor
        return collect_status(
            self.database, supervisor.status() if supervisor else None, self._settings.backup
        )

    def run_performance_diagnostics(self, account: str = DEFAULT_ACCOUNT) -> dict[str, Any]:
        """Measure the hot path on this store, on this machine.

        Args:
            account: Whose balances and positions are read.

        Returns:
            See :func:`hybridstore.operations.diagnostics.run_diagnostics`.
        """
        from hybridstore.operations.diagnostics import run_diagnostics

        return run_diagnostics(self.database, account)
