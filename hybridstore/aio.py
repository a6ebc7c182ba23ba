"""TradingBotStorageSystem: the store for bots that run on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hybridstore.clock import Clock
from hybridstore.config import BackupConfig, DatabaseConfig, RetentionPolicy
from hybridstore.hot.async_desk import AsyncDesk
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment
from hybridstore.hot.bot_view import BotView
from hybridstore.hot.optimizer import QueryOptimizer
from hybridstore.hot.trade_rows import Trade
from hybridstore.parts import POLL_S
from hybridstore.schema.dataset import Dataset
from hybridstore.sections import MaintenanceMode
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from hybridstore.analytics.result import Result
    from hybridstore.backup.manager import BackupManager
    from hybridstore.books.async_books import AsyncBooks
    from hybridstore.hot.async_subscription import AsyncSubscription
    from hybridstore.integrations.exchange.report import SyncReport
    from hybridstore.integrations.importing.importer import Importer
    from hybridstore.retention.progress import MoveReport


class TradingBotStorageSystem(AsyncDesk):
    """One store on an event loop. It opens in an ``async with`` block, or with :meth:`initialize`.

    Point reads answer inline in microseconds; writes are awaited until they are durable; questions over all tiers
    run in a thread.

    Args:
        root: The store's folder; None takes the configuration's (see :func:`hybridstore.config.default_root`).
        config: Settings of the hot store; None reads the configuration file and the environment.
        clock: Where the time comes from; None means the machine's clock.
        datasets: The user's own datasets beside the built-in ones.
        policies: Retention policies beside the configured ones.
        backup: Settings of its backups; None takes the configuration's.
        maintenance: ``auto``: the maintenance process is started and watched while the store is open; ``off``: it is
            not. None takes the configuration's mode (``auto``), but never starts it for a store with a clock of its
            own.

    Attributes:
        store: The same store for code without an event loop.
        query_optimizer: The hot path's named queries.
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
        maintenance: MaintenanceMode | None = None,
    ) -> None:
        self.store = HybridStore(
            root,
            config=config,
            clock=clock,
            datasets=datasets,
            policies=policies,
            backup=backup,
            maintenance=maintenance,
        )
        super().__init__(self.store.database)
        self.base_currency = self.store.base_currency
        self.query_optimizer = QueryOptimizer(self.store.database)

    async def initialize(self) -> None:
        """Open the store, creating or upgrading it where needed. A second call does nothing.

        Cancelled while it opens, it waits until the store is open and closes it again.
        """
        was_open = self.store.database.is_open
        opening = asyncio.ensure_future(asyncio.to_thread(self.store.open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(Exception):  # the caller wants no store: why it did not open is nothing to them
                await opening
            if not was_open:
                await asyncio.to_thread(self.store.close)
            raise

    async def close(self) -> None:
        """Commit what is queued and close everything. A second call does nothing."""
        await asyncio.to_thread(self.store.close)

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.close()

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.store.root

    @property
    def config(self) -> DatabaseConfig:
        """The settings in use; what is assigned to them takes effect where it can."""
        return self.store.config

    @property
    def backups(self) -> BackupManager:
        """Backups, and restores to any moment; its calls take long, so run them in a thread."""
        return self.store.backups

    @property
    def books(self) -> AsyncBooks:
        """Questions about an account's books: what is held, what it was, whether it proves itself."""
        from hybridstore.books.async_books import AsyncBooks

        return AsyncBooks(lambda: self.store.books)

    @property
    def importer(self) -> Importer:
        """Imports of what other programs recorded, and of files of rows; give its calls to ``asyncio.to_thread``."""
        return self.store.importer

    async def sync(self, exchange: Any, **wish: Any) -> SyncReport:
        """Read what an exchange knows of an account into the store. See :meth:`HybridStore.sync`.

        Args:
            exchange: An exchange object of ``ccxt.async_support`` or ``ccxt.pro`` with ``number = str``; one of plain
                ``ccxt`` is read in a thread.
            **wish: markets, since, what, timeframes, account, strategy, bot, overlap_s; see
                :class:`hybridstore.integrations.exchange.sync.Wish`.

        Returns:
            Counts by kind, and where rows are missing or sums differ.

        Raises:
            InvalidValue: The exchange object or an argument cannot be used.
            ExchangeError: The exchange refused a question, or told rows that cannot be recorded; all others are.
            ExchangeUnreachable: It does not answer.
        """
        from hybridstore.integrations.exchange.sync import sync_exchange_async, wish_of

        return await sync_exchange_async(self, exchange, wish_of(**wish))

    async def follow(
        self,
        exchange: Any,
        *,
        stop: asyncio.Event | None = None,
        poll_s: float = POLL_S,
        on_report: Callable[[SyncReport], object] | None = None,
        **wish: Any,
    ) -> None:
        """Keep reading an exchange until cancelled: what it streams as it comes, and the rest by :meth:`sync`.

        An exchange of ``ccxt.pro`` is watched; it is read again after every break of the connection, and every five
        minutes. Any other is read every ``poll_s``.

        Args:
            exchange: An exchange object of ccxt with ``number = str``.
            stop: Set it to end; None goes on until the task is cancelled.
            poll_s: How long to wait between two readings of an exchange that does not stream, s.
            on_report: Called with what each reading brought.
            **wish: See :meth:`sync`.

        Raises:
            InvalidValue: The exchange object or an argument cannot be used.
            ExchangeError: The exchange refused a question, as for a wrong key.
        """
        from hybridstore.integrations.exchange.following import follow_exchange_async
        from hybridstore.integrations.exchange.sync import wish_of

        await follow_exchange_async(
            self, exchange, wish_of(**wish), stop=stop or asyncio.Event(), poll_s=poll_s, on_report=on_report
        )

    async def get_balance_history(
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
        return await asyncio.to_thread(self.store.get_balance_history, asset, start, end, account)

    async def get_last_trade(self, symbol: str, account: str = DEFAULT_ACCOUNT) -> Trade | None:
        """Return the fill of a market that was executed last: inline, or where it is archived from a thread.

        Args:
            symbol: The market.
            account: Whose.

        Returns:
            The fill, or None where there is none.
        """
        last = self.store.trades.last(symbol, account)
        if last is not None or not self.store.trades.archived():
            return last
        return await asyncio.to_thread(self.store.get_last_trade, symbol, account)

    def for_bot(
        self, bot: str, *, account: str = DEFAULT_ACCOUNT, strategy: str | None = None
    ) -> BotView[Self]:
        """Return the store as one bot sees it.

        Args:
            bot: Its name.
            account: The account it trades on.
            strategy: What it follows.

        Returns:
            The same calls with these filled in, and only its own positions and orders; they are awaited.
        """
        return BotView(self, bot, account, strategy)

    async def sql(self, query: str, /, *, as_known_at: object = None, **params: object) -> Result:
        """Ask one SQL question over every tier, in one snapshot, off the event loop.

        Args:
            query: A SELECT over datasets by name, in DuckDB's SQL; parameters as ``$name``.
            as_known_at: As the store knew things then; None means now. See :meth:`HybridStore.snapshot`.
            **params: The parameters.

        Returns:
            The result: ``.pl() .arrow() .df() .rows()``.
        """
        return await asyncio.to_thread(partial(self.store.sql, query, as_known_at=as_known_at, **params))

    async def connect(
        self, *, folders: Iterable[str | Path] = (), as_known_at: Moment | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Open a DuckDB of the caller's own that shows every dataset as it is now; it is made in a thread.

        Args:
            folders: What it may read and write beside the archives, for files of the caller's own.
            as_known_at: As the store knew things then; datasets without history are left out. None means now.

        Returns:
            The connection, not to be used on the event loop. It goes on showing the moment of this call, for a week, or
            until the store is closed.
        """
        return await asyncio.to_thread(self.store.connect, folders=folders, as_known_at=as_known_at)

    def subscribe(
        self,
        datasets: Iterable[str] | str | None = None,
        *,
        token: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
        bot: str | None = None,
        from_start: bool = False,
        poll_max_ms: float = 50.0,
    ) -> AsyncSubscription:
        """Follow what is committed, by this process and all others: every event once, in the order of commits.

        Args:
            datasets: Names of event and market datasets; None means all. Corrections of their rows are events, too.
            token: Where to go on: behind the event that held it, however long ago. None begins with what is committed
                after this call.
            account: Only events of this account.
            symbol: Only events of this market, or asset where a dataset has assets.
            bot: Only events of this bot.
            from_start: Without a token: begin with the first event there ever was.
            poll_max_ms: The longest pause between two looks at what other processes commit, ms.

        Returns:
            An asynchronous iterator of events, to be used in an ``async with`` block.

        Raises:
            InvalidValue: The token is damaged, or a dataset cannot be followed.
            StoreError: The token is another store's, or the store lost commits it knows of.
        """
        from hybridstore.archive.backlog import open_feed
        from hybridstore.hot.async_subscription import AsyncSubscription

        feed = open_feed(
            self.store.database,
            datasets,
            token=token,
            account=account,
            symbol=symbol,
            bot=bot,
            from_start=from_start,
        )
        return AsyncSubscription(self.store.database, feed, poll_max_ms=poll_max_ms)

    async def scan(
        self,
        dataset: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        symbol: str | None = None,
        account: str | None = None,
        as_known_at: Moment | None = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset over every tier as a polars LazyFrame; it is made in a thread.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.
            as_known_at: As the store knew things then; None means now. See :meth:`HybridStore.snapshot`.

        Returns:
            The rows; filters and projections are pushed down.
        """
        scan = partial(self.store.scan, dataset, start=start, end=end, symbol=symbol, account=account)
        return await asyncio.to_thread(scan, as_known_at=as_known_at)

    async def cleanup_old_data(self) -> MoveReport:
        """Move rows that are old enough into their archives, in a process of its own. A move under way is waited for.

        Returns:
            What was moved.

        Raises:
            MoveFailed: The process failed; its own words are in the message.
        """
        return await asyncio.to_thread(self.store.cleanup_old_data)

    def get_system_status(self) -> dict[str, Any]:
        """Return the store's condition.

        Returns:
            See :func:`hybridstore.operations.status.collect_status`.
        """
        return self.store.get_system_status()

    async def run_performance_diagnostics(self, account: str = DEFAULT_ACCOUNT) -> dict[str, Any]:
        """Measure the hot path on this store, on this machine.

        Args:
            account: Whose balances and positions are read.

        Returns:
            See :func:`hybridstore.operations.diagnostics.run_diagnostics`.
        """
        return await asyncio.to_thread(self.store.run_performance_diagnostics, account)
