"""The desk: what is recorded and looked up in the hot store, for code without an event loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybridstore.config import Durability
from hybridstore.hot.balance_reader import BalanceReader
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money, prepare_balance, prepare_balances
from hybridstore.hot.balances import Balance, write_balance, write_balances
from hybridstore.hot.books_desk import BooksDesk
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.fills import prepare_fill
from hybridstore.hot.position_marks import price_position
from hybridstore.hot.position_rows import Position, PositionReader, prepare_position
from hybridstore.hot.positions import close_position, write_position
from hybridstore.hot.trade_rows import FillResult, TradeReader
from hybridstore.hot.trades import write_fill
from hybridstore.hot.valuation import PortfolioReader
from hybridstore.portfolio.summary import PortfolioSummary
from hybridstore.schema.types import check_timestamp, to_decimal


class Desk(BooksDesk):
    """Records and looks up; every write returns when it is durable.

    Args:
        database: The hot store.

    Attributes:
        balances: Point reads of balances.
        positions: Point reads of positions.
        trades: Point reads of fills.
        portfolio: The portfolio's value.
    """

    def __init__(self, database: DatabaseManager) -> None:
        super().__init__(database)
        self.balances = BalanceReader(database)
        self.positions = PositionReader(database)
        self.trades = TradeReader(database)
        self.portfolio = PortfolioReader(database)

    # -- balances -----------------------------------------------------------------------------------------------

    def record_balance_update(
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
        return self._recorder.call(durability, write_balance, update)

    def batch_update_balances(
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
        return self._recorder.call(durability, write_balances, prepare_balances(rows, account))

    def get_latest_balance(self, asset: str, account: str = DEFAULT_ACCOUNT) -> Balance | None:
        """Return the latest balance of an asset, also after all its history was archived.

        Args:
            asset: The asset.
            account: Whose.

        Returns:
            The balance, or None where the asset was never recorded.
        """
        return self.balances.latest(asset, account)

    def get_all_balances(self, account: str = DEFAULT_ACCOUNT) -> list[Balance]:
        """Return the latest balance of every asset of an account.

        Args:
            account: Whose.

        Returns:
            Balances by asset.
        """
        return self.balances.all(account)

    # -- fills, positions, marks --------------------------------------------------------------------------------

    def record_fill(
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
        return self._recorder.call(durability, write_fill, order)

    def create_position(
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
        return self._recorder.call(durability, write_position, order)

    def update_position_price(
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
        return self._recorder.call(durability, price_position, position_id, to_decimal(price, "price"))

    def close_position(
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
        exact = to_decimal(price, "price")
        return self._recorder.call(durability, close_position, position_id, exact, reason, closed_us)

    def get_position(self, position_id: str) -> Position | None:
        """Return a position of the hot store.

        Args:
            position_id: Its id.

        Returns:
            The position, or None.
        """
        return self.positions.get(position_id)

    def get_open_positions(self, account: str = DEFAULT_ACCOUNT) -> list[Position]:
        """Return every open position of an account.

        Args:
            account: Whose.

        Returns:
            Positions in the order they were opened.
        """
        return self.positions.open(account)

    def get_portfolio_summary(
        self, account: str = DEFAULT_ACCOUNT, base_currency: str = "USDT"
    ) -> PortfolioSummary:
        """Value an account at the latest marks.

        Args:
            account: Whose.
            base_currency: What to price everything in.

        Returns:
            The summary; assets without a price are named, never counted as zero.
        """
        return self.portfolio.summary(account, base_currency)
