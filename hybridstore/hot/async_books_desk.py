"""The books' side of the desk on an event loop: ledger entries, funding, terms of positions, and what is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from hybridstore.config import Durability
from hybridstore.hot.account_sums import AccountSums
from hybridstore.hot.async_market_desk import AsyncMarketDesk
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.equity import EquitySnapshot, prepare_snapshot, write_snapshot
from hybridstore.hot.fill_corrections import void_fill
from hybridstore.hot.funding import FundingResult, prepare_funding, write_funding
from hybridstore.hot.ledger import void_entry
from hybridstore.hot.market_desk import Row
from hybridstore.hot.position_rows import Position, prepare_terms
from hybridstore.hot.positions import adjust_position
from hybridstore.hot.rows import RowCounts
from hybridstore.hot.trade_rows import FillResult
from hybridstore.sections import DEFAULT_BASE_CURRENCY


class AsyncBooksDesk(AsyncMarketDesk):
    """Records what the books need beside fills; an awaited write is durable.

    Args:
        database: The hot store.

    Attributes:
        base_currency: What equity snapshots are priced in unless a call says otherwise.
    """

    def __init__(self, database: DatabaseManager) -> None:
        super().__init__(database)
        self._sums = AccountSums()
        self.base_currency = DEFAULT_BASE_CURRENCY

    async def record_ledger_entries(
        self, rows: Iterable[Row], *, durability: Durability | None = None
    ) -> RowCounts:
        """Record deposits, withdrawals, transfers, interest and other entries that no fill causes.

        Args:
            rows: (account, entry_id, type, asset, amount, reference, occurred_at) or mappings.
            durability: "full", "normal", or None for the store's own.

        Returns:
            How many were new, repeated and corrected.
        """
        return await self.insert("ledger", rows, durability=durability)

    async def record_funding(
        self, symbol: str, amount: Money, *, durability: Durability | None = None, **details: Any
    ) -> FundingResult:
        """Record a funding payment with what it adds to the position.

        Args:
            symbol: The contract it was paid on.
            amount: Received (+) or paid (-), in what the contract is settled in.
            durability: "full", "normal", or None for the store's own.
            **details: See :func:`hybridstore.hot.funding.prepare_funding`.

        Returns:
            The entry's id and the position.
        """
        order = prepare_funding(symbol, amount, **details)
        return await self._write(durability, write_funding, order)

    async def void_fill(
        self,
        symbol: str,
        trade_id: str,
        order_id: str | None = None,
        account: str = DEFAULT_ACCOUNT,
        *,
        durability: Durability | None = None,
    ) -> FillResult:
        """Take a fill back that never was, as one an exchange cancelled.

        It counts nothing from now on: its amount becomes 0, and ledger, position and sums are put right. It stays, so
        that it is known when it is told again, and its old version is kept.

        Args:
            symbol: Its market.
            trade_id: Its id.
            order_id: Its order; None where it was told without one.
            account: Whose.
            durability: "full", "normal", or None for the store's own.

        Returns:
            The fill as it stands now, with the position that was amended.

        Raises:
            NotFound: There is no such fill.
        """
        return await self._write(durability, void_fill, account, symbol, trade_id, order_id)

    async def void_ledger_entry(
        self, entry_id: str, account: str = DEFAULT_ACCOUNT, *, durability: Durability | None = None
    ) -> bool:
        """Take a ledger entry back that was recorded by mistake; its amount becomes 0 and its old version is kept.

        Args:
            entry_id: Its id.
            account: Whose.
            durability: "full", "normal", or None for the store's own.

        Returns:
            Whether it counted before.

        Raises:
            NotFound: There is no such entry.
            InvalidValue: A fill entered it; void the fill.
        """
        return await self._write(durability, void_entry, account, entry_id)

    async def adjust_position(
        self, position_id: str, *, durability: Durability | None = None, **terms: Any
    ) -> Position:
        """Change the terms of an open position.

        Args:
            position_id: The position.
            durability: "full", "normal", or None for the store's own.
            **terms: leverage, margin_mode and liquidation_price, those that change; None where one is not known any
                more.

        Returns:
            The position.

        Raises:
            NotFound: There is no open position of this id.
        """
        return await self._write(durability, adjust_position, position_id, prepare_terms(terms))

    async def record_portfolio_snapshot(
        self,
        account: str = DEFAULT_ACCOUNT,
        base_currency: str | None = None,
        *,
        taken_at: Moment | None = None,
        durability: Durability | None = None,
    ) -> EquitySnapshot:
        """Value an account and write it down: a row of ``portfolio_snapshots``, and the equity of its hour and day.

        Args:
            account: Whose.
            base_currency: What to price everything in; None takes the configuration's ([portfolio] base_currency).
            taken_at: What moment it is of; None means the commit's. What is read is the present state all the same. The
                same moment again is a repetition, or a correction where the state has changed.
            durability: "full", "normal", or None for the store's own.

        Returns:
            The snapshot; what has no price is named in it.

        Raises:
            InvalidValue: A value does not fit, or the moment is more than a day ahead.
        """
        order = prepare_snapshot(account, base_currency or self.base_currency, taken_at)
        await asyncio.to_thread(self._sums.prepare, self._database, account)
        return await self._write(durability, write_snapshot, order, self._sums)
