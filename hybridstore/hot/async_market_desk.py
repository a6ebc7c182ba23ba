"""The market's side of the desk for code on an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from hybridstore.config import Durability
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.equity_rows import rows_operation
from hybridstore.hot.market import Mark, MarkReader, prepare_mark, prepare_marks, prepare_prices
from hybridstore.hot.market_desk import Row
from hybridstore.hot.orders import Order, OrderReader, prepare_order, write_order
from hybridstore.hot.position_marks import write_mark, write_marks
from hybridstore.hot.recorder import Recorder
from hybridstore.hot.rows import RowCounts, prepare_rows

Result = TypeVar("Result")


class AsyncMarketDesk:
    """Records and looks up marks, orders and rows on an event loop; an awaited write is durable.

    Args:
        database: The hot store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self._recorder = Recorder(database)
        self._marks = MarkReader(database)
        self._orders = OrderReader(database)

    def _write(
        self, durability: Durability | None, operation: Callable[..., Result], *args: object
    ) -> Awaitable[Result]:
        return self._recorder.call_async(durability, operation, *args)

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

    async def update_prices(
        self,
        prices: Mapping[str, Money],
        marked_at: Moment | None = None,
        *,
        durability: Durability | None = None,
    ) -> int:
        """Mark every market named and every open position there, in one transaction.

        Args:
            prices: The price to value by of each symbol, in quote.
            marked_at: When; None means the commit's time.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many prices were taken; the others are older than what is known.
        """
        return await self._write(durability, write_marks, prepare_prices(prices, marked_at))

    async def get_mark(self, symbol: str) -> Mark | None:
        """Return the latest prices of a market; read inline.

        Args:
            symbol: The market.

        Returns:
            The prices, or None.
        """
        return self._marks.latest(symbol)

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
        return await self._write(
            durability, rows_operation(declaration.name), declaration, prepare_rows(declaration, rows)
        )

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

    async def record_candles(self, rows: Iterable[Row], *, durability: Durability | None = None) -> RowCounts:
        """Record candles; the forming one may be given again until it closes.

        Args:
            rows: (symbol, timeframe, opened_at, open, high, low, close, volume) or mappings.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        return await self.insert("candles", rows, durability=durability)

    async def record_order(self, *, durability: Durability | None = None, **columns: Any) -> bool:
        """Record a report of an order; reports may come late, twice and in any order.

        Args:
            durability: "full", "normal", or None for the store's own.
            **columns: Columns of the ``orders`` dataset.

        Returns:
            Whether the order's state changed.
        """
        return await self._write(durability, write_order, prepare_order(columns))

    async def get_order(self, symbol: str, order_id: str, account: str = DEFAULT_ACCOUNT) -> Order | None:
        """Return an order of the hot store; read inline.

        Args:
            symbol: Its market.
            order_id: The exchange's id.
            account: Whose.

        Returns:
            The order, open or final in the last days; None where there is none.
        """
        return self._orders.get(symbol, order_id, account)

    async def get_open_orders(self, symbol: str | None = None, account: str = DEFAULT_ACCOUNT) -> list[Order]:
        """Return the open orders of an account; read inline.

        Args:
            symbol: Only those of this market; None means all.
            account: Whose.

        Returns:
            Orders in the order they were recorded.
        """
        return self._orders.open(symbol, account)
