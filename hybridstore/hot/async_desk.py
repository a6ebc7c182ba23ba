"""The desk for code on an event loop: writes are awaited, point reads answer inline in microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybridstore.config import Durability
from hybridstore.hot.async_books_desk import AsyncBooksDesk
from hybridstore.hot.balance_reader import BalanceReader
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money, prepare_balance, prepare_balances
from hybridstore.hot.balances import Balance, write_balance, write_balances
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.fills import prepare_fill
from hybridstore.hot.position_marks import price_position
from hybridstore.hot.position_rows import Position, PositionReader, prepare_position
from hybridstore.hot.positions import close_position, write_position
from hybridstore.hot.trade_rows import FillResult
from hybridstore.hot.trades import write_fill
from hybridstore.hot.valuation import PortfolioReader
from hybridstore.portfolio.summary import PortfolioSummary
from hybridstore.schema.types import check_timestamp, to_decimal


class AsyncDesk(AsyncBooksDesk):
    """Records and looks up on an event loop; an awaited write is durable. See Desk for the arguments in full.

    Cancelling an awaited write does not take it back: it was handed to the writer.

    Args:
        database: The hot store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        super().__init__(database)
        self._balances = BalanceReader(database)
        self._positions = PositionReader(database)
        self._portfolio = PortfolioReader(database)

    async def record_balance_update(
        self,
        asset: str,
        balance: Money | None,
        hold_trade: Money | None = 0,
        source: str = "",
        *,
        durability: Durability | None = None,
        **details: Any,
    ) -> Balance:
        """Record a balance.

        Args:
            asset: The asset.
            balance: Total held, in units of the asset; None where the source tells only what is available.
            hold_trade: Held back for open orders; None where unknown.
            source: Where the figure came from.
            durability: "full", "normal", or None for the store's own.
            **details: account, reason, sync_status, changed_at, exchange_at, debt, available, reported; see
                :func:`hybridstore.hot.balances.prepare_balance`.

        Returns:
            The balance as recorded; it is durable.

        Raises:
            InvalidValue: A value does not fit; nothing was written.
        """
        update = prepare_balance(asset, balance, hold_trade, source, **details)
        return await self._write(durability, write_balance, update)

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
        """Record one of the bot's own fills with all that follows from it: ledger, position, sums by hour and day.

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
        order = prepare_fill(symbol, side, price, amount, **details)
        return await self._write(durability, write_fill, order)

    async def create_position(
        self,
        position_id: str,
        symbol: str,
        side: str,
        amount: Money,
        entry_price: Money,
        *,
        durability: Durability | None = None,
        **details: Any,
    ) -> Position:
        """Open a position by hand.

        Args:
            position_id: Its id, unique in the store.
            symbol: Its market in unified form.
            side: LONG or SHORT.
            amount: Units of base, or contracts.
            entry_price: In quote.
            durability: "full", "normal", or None for the store's own.
            **details: See :func:`hybridstore.hot.position_rows.prepare_position`.

        Returns:
            The position.
        """
        order = prepare_position(position_id, symbol, side, amount, entry_price, **details)
        return await self._write(durability, write_position, order)

    async def update_position_price(
        self, position_id: str, price: Money, *, durability: Durability | None = None
    ) -> Position:
        """Mark one position.

        Args:
            position_id: The position.
            price: The mark, in quote.
            durability: "full", "normal", or None for the store's own.

        Returns:
            The position with its unrealised profit.
        """
        return await self._write(durability, price_position, position_id, to_decimal(price, "price"))

    async def close_position(
        self,
        position_id: str,
        price: Money,
        reason: str | None = None,
        closed_at: Moment | None = None,
        *,
        durability: Durability | None = None,
    ) -> Position:
        """Close a position by hand.

        Args:
            position_id: The position.
            price: In quote.
            reason: Why.
            closed_at: When; None means the commit's time.
            durability: "full", "normal", or None for the store's own.

        Returns:
            The closed position.
        """
        closed_us = None if closed_at is None else check_timestamp(closed_at, "closed_at")
        return await self._write(
            durability, close_position, position_id, to_decimal(price, "price"), reason, closed_us
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
