"""The desk: what is recorded and looked up in the hot store, for code without an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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

Row = Mapping[str, object] | Sequence[object]


class Desk:
    """Records and looks up; every write returns when it is durable.

    Args:
        database: The hot store.

    Attributes:
        balances: Point reads of balances.
        positions: Point reads of positions.
        marks: Point reads of marks.
        portfolio: The portfolio's value.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self.balances = BalanceReader(database)
        self.positions = PositionReader(database)
        self.marks = MarkReader(database)
        self.portfolio = PortfolioReader(database)

    # -- balances -----------------------------------------------------------------------------------------------

    def record_balance_update(
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
        return self._database.writer.call(write_balance, update, durability=durability)

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
        return self._database.writer.call(
            write_balances, prepare_balances(rows, account), durability=durability
        )

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
        order = prepare_fill(symbol, side, price, amount, **details)
        return self._database.writer.call(write_fill, order, durability=durability)

    def create_position(
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
        return self._database.writer.call(write_position, order)

    def update_position_price(self, position_id: str, price: Money) -> Position:
        """Mark one position.

        Args:
            position_id: The position.
            price: The mark, in quote.

        Returns:
            The position with its unrealised profit.
        """
        return self._database.writer.call(price_position, position_id, to_decimal(price, "price"))

    def close_position(
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
        exact = to_decimal(price, "price")
        return self._database.writer.call(close_position, position_id, exact, reason, closed_us)

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

    def record_mark(self, symbol: str, *, durability: Durability | None = None, **prices: Any) -> int:
        """Make prices the latest of their market and mark its open positions.

        Args:
            symbol: The market.
            durability: "full", "normal", or None for the store's own.
            **prices: bid, ask, last, mark, marked_at; see :func:`hybridstore.hot.market.prepare_mark`.

        Returns:
            How many positions were marked.
        """
        return self._database.writer.call(write_mark, prepare_mark(symbol, **prices), durability=durability)

    def record_marks(
        self, marks: Iterable[Mapping[str, Any]], *, durability: Durability | None = None
    ) -> int:
        """Do :meth:`record_mark` for many, in order, in one transaction.

        Args:
            marks: Each the arguments of :func:`hybridstore.hot.market.prepare_mark`.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many prices were taken; the others are older than what is known.
        """
        return self._database.writer.call(write_marks, prepare_marks(marks), durability=durability)

    def get_mark(self, symbol: str) -> Mark | None:
        """Return the latest prices of a market.

        Args:
            symbol: The market.

        Returns:
            The prices, or None.
        """
        return self.marks.latest(symbol)

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

    # -- rows of any dataset ------------------------------------------------------------------------------------

    def insert(self, dataset: str, rows: Iterable[Row], *, durability: Durability | None = None) -> RowCounts:
        """Record rows of an event or market dataset, built-in or the user's own.

        Args:
            dataset: Its name.
            rows: Mappings by column name, or sequences in declared order without ``recorded_at``.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        declaration = self._database.registry[dataset]
        prepared = prepare_rows(declaration, rows)
        return self._database.writer.call(write_rows, declaration, prepared, durability=durability)

    def record_market_trades(self, rows: Iterable[Row], *, durability: Durability | None = None) -> RowCounts:
        """Record public trades.

        Args:
            rows: (symbol, trade_id, price, amount, side, traded_at) or mappings.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        return self.insert("market_trades", rows, durability=durability)

    def record_candles(self, rows: Iterable[Row]) -> RowCounts:
        """Record candles; the forming one may be given again until it closes.

        Args:
            rows: (symbol, timeframe, opened_at, open, high, low, close, volume) or mappings.

        Returns:
            How many were new, repeated and corrected.
        """
        return self.insert("candles", rows)

    def record_ledger_entries(self, rows: Iterable[Row]) -> RowCounts:
        """Record deposits, withdrawals, transfers, funding and other entries that no fill causes.

        Args:
            rows: (account, entry_id, type, asset, amount, reference, occurred_at) or mappings.

        Returns:
            How many were new, repeated and corrected.
        """
        return self.insert("ledger", rows)

    def record_order(self, **columns: object) -> bool:
        """Record the state of an order.

        Args:
            **columns: Columns of the ``orders`` dataset.

        Returns:
            Whether it is the latest state known.
        """
        return self._database.writer.call(write_order, prepare_order(columns))
