"""QueryOptimizer: the named, prepared queries of a bot that runs on an event loop, grouped by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybridstore.config import Durability
from hybridstore.hot.balance_reader import BalanceReader
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money, prepare_balance, prepare_balances
from hybridstore.hot.balances import Balance, write_balance, write_balances
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.position_marks import price_position
from hybridstore.hot.position_rows import Position, PositionReader, prepare_position
from hybridstore.hot.positions import write_position
from hybridstore.hot.recorder import Recorder
from hybridstore.schema.types import to_decimal


class QueryOptimizer:
    """Gives access to the hot path's queries.

    Args:
        database: The open store.

    Attributes:
        balance_queries: Balances.
        position_queries: Positions.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self.balance_queries = BalanceQueries(database)
        self.position_queries = PositionQueries(database)

    def explain(self) -> dict[str, str]:
        """Return the query plan of every named statement that reads.

        Returns:
            SQLite's plan by statement name, its lines joined by "; ".
        """
        plans = {}
        for name, sql in self._database.statements.items():
            if sql.lstrip().upper().startswith(("SELECT", "WITH")):
                rows = self._database.readers.plan(sql)
                plans[name] = "; ".join(rows)
        return plans


class BalanceQueries:
    """Balances for code that runs on an event loop.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._recorder = Recorder(database)
        self._reader = BalanceReader(database)

    async def insert_balance_entry(
        self,
        asset: str,
        balance: Money,
        hold_trade: Money = 0,
        source: str = "",
        *,
        account: str = DEFAULT_ACCOUNT,
        reason: str | None = None,
        changed_at: Moment | None = None,
        exchange_at: Moment | None = None,
        debt: Money | None = None,
        durability: Durability | None = None,
    ) -> Balance:
        """Record a balance.

        Args:
            asset: The asset.
            balance: Total held, in units of the asset.
            hold_trade: Held back for open orders.
            source: Where the figure came from.
            account: Whose it is.
            reason: Why it changed.
            changed_at: The moment the figure is of; None means the commit's time.
            exchange_at: The exchange's own time.
            debt: Borrowed.
            durability: "full", "normal", or None for the store's own.

        Returns:
            The balance as recorded; it is durable.

        Raises:
            InvalidValue: A value does not fit; nothing was written.
        """
        update = prepare_balance(
            asset, balance, hold_trade, source, account=account, reason=reason, changed_at=changed_at,
            exchange_at=exchange_at, debt=debt,
        )  # fmt: skip
        return await self._recorder.call_async(durability, write_balance, update)

    async def insert_balance_entries(
        self, rows: Iterable[object], *, account: str = DEFAULT_ACCOUNT, durability: Durability | None = None
    ) -> int:
        """Record many balances in one transaction.

        Args:
            rows: See :func:`prepare_balances`.
            account: Whose they are, for tuples.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were recorded.
        """
        updates = prepare_balances(rows, account)
        return await self._recorder.call_async(durability, write_balances, updates)

    async def get_latest_balance(self, asset: str, account: str = DEFAULT_ACCOUNT) -> Balance | None:
        """Return the latest balance of an asset, read inline.

        Args:
            asset: The asset.
            account: Whose.

        Returns:
            The balance, or None where the asset was never recorded.
        """
        return self._reader.latest(asset, account)

    async def get_all_balances(self, account: str = DEFAULT_ACCOUNT) -> list[Balance]:
        """Return the latest balance of every asset of an account.

        Args:
            account: Whose.

        Returns:
            Balances by asset.
        """
        return self._reader.all(account)


class PositionQueries:
    """Positions for code that runs on an event loop.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._recorder = Recorder(database)
        self._reader = PositionReader(database)

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
            The position; it is durable.
        """
        order = prepare_position(position_id, symbol, side, amount, entry_price, **details)
        return await self._recorder.call_async(durability, write_position, order)

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
        mark = to_decimal(price, "price")
        return await self._recorder.call_async(durability, price_position, position_id, mark)

    async def get_position(self, position_id: str) -> Position | None:
        """Return a position, read inline.

        Args:
            position_id: Its id.

        Returns:
            The position, or None.
        """
        return self._reader.get(position_id)

    async def get_open_positions(self, account: str = DEFAULT_ACCOUNT) -> list[Position]:
        """Return every open position of an account, read inline.

        Args:
            account: Whose.

        Returns:
            Positions in the order they were opened.
        """
        return self._reader.open(account)
