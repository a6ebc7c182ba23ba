"""The desk for code on an event loop: writes are awaited, point reads answer inline in microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from hybridstore.config import Durability
from hybridstore.hot.balances import (
    DEFAULT_ACCOUNT,
    Balance,
    BalanceReader,
    Moment,
    Money,
    prepare_balance,
    prepare_balances,
    write_balance,
    write_balances,
)
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.desk import Row
from hybridstore.hot.fills import prepare_fill
from hybridstore.hot.market import Mark, MarkReader, prepare_mark, prepare_marks
from hybridstore.hot.orders import prepare_order, write_order
from hybridstore.hot.position_rows import Position, PositionReader, prepare_position
from hybridstore.hot.positions import close_position, price_position, write_mark, write_marks, write_position
from hybridstore.hot.rows import RowCounts, prepare_rows, write_rows
from hybridstore.hot.trades import FillResult, write_fill
from hybridstore.hot.valuation import PortfolioReader
from hybridstore.portfolio.summary import PortfolioSummary
from hybridstore.schema.types import check_timestamp, to_decimal

Result = TypeVar("Result")


class AsyncDesk:
    """Records and looks up on an event loop; an awaited write is durable. See Desk for the arguments in full.

    Cancelling an awaited write does not take it back: it was handed to the writer.

    Args:
        database: The hot store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self._balances = BalanceReader(database)
        self._positions = PositionReader(database)
        self._marks = MarkReader(database)
        self._portfolio = PortfolioReader(database)

    async def _write(
        self, durability: Durability | None, operation: Callable[..., Result], *args: object
    ) -> Result:
        return await self._database.writer.submit_async(durability, operation, *args)

    async def record_balance_update(
        self,
        asset: str,
        balance: Money,
        hold_trade: Money = 0,
        source: str = "",
        *,
        durability: Durability | None = None,
        **details: Any,
    ) -> Balance:
        """Record a balance.

        Args:
            asset: The asset.
            balance: Total held, in units of the asset.
            hold_trade: Held back for open orders.
            source: Where the figure came from.
            durability: "full", "normal", or None for the store's own.
            **details: account, reason, sync_status, changed_at, exchange_at, debt.

        Returns:
            The balance as recorded; it is durable.

        Raises:
            InvalidValue: A value does not fit; nothing was written.
        """
        update = prepare_balance(asset, balance, hold_trade, source, **details)
        return await self._database.writer.submit_async(durability, write_balance, update)

    async def batch_update_balances(
        self, rows: Iterable[object], *, account: str = DEFAULT_ACCOUNT, durability: Durability | None = None
    ) -> int:
        """Record many balances in one transaction.

        Args:
            rows: See :func:`hybridstore.hot.balances.prepare_balances`.
            account: Whose they are, for tuples.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were recorded.
        """
        return await self._write(durability, write_balances, prepare_balances(rows, account))

    async def get_latest_balance(self, asset: str, account: str = DEFAULT_ACCOUNT) -> Balance | None:
        """Return the latest balance of an asset, also after all its history was archived; read inline.

        Args:
            asset: The asset.
            account: Whose.

        Returns:
            The balance, or None where the asset was never recorded.
        """
        return self._balances.latest(asset, account)

    async def get_all_balances(self, account: str = DEFAULT_ACCOUNT) -> list[Balance]:
        """Return the latest balance of every asset of an account; read inline.

        Args:
            account: Whose.

        Returns:
            Balances by asset.
        """
        return self._balances.all(account)

    async def record_fill(
        self,
        symbol: str,
        side: str,
        price: Money,
        amount: Money,
        *,
        durability: Durability | None = None,
        **details: Any,
    ) -> FillResult:
        """Record one of the bot's own fills with its ledger entries and its effect on a position.

        Args:
            symbol: The market in unified form.
            side: buy or sell.
            price: In quote.
            amount: Units of base, or contracts.
            durability: "full", "normal", or None for the store's own.
            **details: See :func:`hybridstore.hot.fills.prepare_fill`.

        Returns:
            The trade and the position.
        """
        return await self._write(durability, write_fill, prepare_fill(symbol, side, price, amount, **details))

    async def create_position(
        self, position_id: str, symbol: str, side: str, amount: Money, entry_price: Money, **details: Any
    ) -> Position:
        """Open a position by hand.

        Args:
            position_id: Its id, unique in the store.
            symbol: Its market in unified form.
            side: LONG or SHORT.
            amount: Units of base, or contracts.
            entry_price: In quote.
            **details: See :func:`hybridstore.hot.position_rows.prepare_position`.

        Returns:
            The position.
        """
        order = prepare_position(position_id, symbol, side, amount, entry_price, **details)
        return await self._write(None, write_position, order)

    async def update_position_price(self, position_id: str, price: Money) -> Position:
        """Mark one position.

        Args:
            position_id: The position.
            price: The mark, in quote.

        Returns:
            The position with its unrealised profit.
        """
        return await self._write(None, price_position, position_id, to_decimal(price, "price"))

    async def close_position(
        self, position_id: str, price: Money, reason: str | None = None, closed_at: Moment | None = None
    ) -> Position:
        """Close a position by hand.

        Args:
            position_id: The position.
            price: In quote.
            reason: Why.
            closed_at: When; None means the commit's time.

        Returns:
            The closed position.
        """
        closed_us = None if closed_at is None else check_timestamp(closed_at, "closed_at")
        return await self._write(
            None, close_position, position_id, to_decimal(price, "price"), reason, closed_us
        )

    async def get_position(self, position_id: str) -> Position | None:
        """Return a position of the hot store; read inline.

        Args:
            position_id: Its id.

        Returns:
            The position, or None.
        """
        return self._positions.get(position_id)

    async def get_open_positions(self, account: str = DEFAULT_ACCOUNT) -> list[Position]:
        """Return every open position of an account; read inline.

        Args:
            account: Whose.

        Returns:
            Positions in the order they were opened.
        """
        return self._positions.open(account)

    async def record_mark(self, symbol: str, *, durability: Durability | None = None, **prices: Any) -> int:
        """Make prices the latest of their market and mark its open positions.

        Args:
            symbol: The market.
            durability: "full", "normal", or None for the store's own.
            **prices: bid, ask, last, mark, marked_at; see :func:`hybridstore.hot.market.prepare_mark`.

        Returns:
            How many positions were marked.
        """
        return await self._write(durability, write_mark, prepare_mark(symbol, **prices))

    async def record_marks(
        self, marks: Iterable[Mapping[str, Any]], *, durability: Durability | None = None
    ) -> int:
        """Do :meth:`record_mark` for many, in order, in one transaction.

        Args:
            marks: Each the arguments of :func:`hybridstore.hot.market.prepare_mark`.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many prices were taken; the others are older than what is known.
        """
        return await self._write(durability, write_marks, prepare_marks(marks))

    async def get_mark(self, symbol: str) -> Mark | None:
        """Return the latest prices of a market; read inline.

        Args:
            symbol: The market.

        Returns:
            The prices, or None.
        """
        return self._marks.latest(symbol)

    async def get_portfolio_summary(
        self, account: str = DEFAULT_ACCOUNT, base_currency: str = "USDT"
    ) -> PortfolioSummary:
        """Value an account at the latest marks; read inline.

        Args:
            account: Whose.
            base_currency: What to price everything in.

        Returns:
            The summary; assets without a price are named, never counted as zero.
        """
        return self._portfolio.summary(account, base_currency)

    async def insert(
        self, dataset: str, rows: Iterable[Row], *, durability: Durability | None = None
    ) -> RowCounts:
        """Record rows of an event or market dataset, built-in or the user's own.

        Args:
            dataset: Its name.
            rows: Mappings by column name, or sequences in declared order without ``recorded_at``.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        declaration = self._database.registry[dataset]
        return await self._write(durability, write_rows, declaration, prepare_rows(declaration, rows))

    async def record_market_trades(
        self, rows: Iterable[Row], *, durability: Durability | None = None
    ) -> RowCounts:
        """Record public trades.

        Args:
            rows: (symbol, trade_id, price, amount, side, traded_at) or mappings.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        return await self.insert("market_trades", rows, durability=durability)

    async def record_candles(self, rows: Iterable[Row]) -> RowCounts:
        """Record candles; the forming one may be given again until it closes.

        Args:
            rows: (symbol, timeframe, opened_at, open, high, low, close, volume) or mappings.

        Returns:
            How many were new, repeated and corrected.
        """
        return await self.insert("candles", rows)

    async def record_ledger_entries(self, rows: Iterable[Row]) -> RowCounts:
        """Record deposits, withdrawals, transfers, funding and other entries that no fill causes.

        Args:
            rows: (account, entry_id, type, asset, amount, reference, occurred_at) or mappings.

        Returns:
            How many were new, repeated and corrected.
        """
        return await self.insert("ledger", rows)

    async def record_order(self, **columns: object) -> bool:
        """Record the state of an order.

        Args:
            **columns: Columns of the ``orders`` dataset.

        Returns:
            Whether it is the latest state known.
        """
        return await self._write(None, write_order, prepare_order(columns))
