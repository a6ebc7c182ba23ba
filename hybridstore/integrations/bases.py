"""Bases for managers that say themselves what is to be recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hybridstore.integrations.calls import Call

Sink: TypeAlias = Callable[[str, Call], bool]


class _StorageBacked:
    """What both bases share: a way to the store that an integration opens and detaching closes."""

    _storage_sink: Sink | None = None
    """On the class, so that a subclass need not call ``super().__init__()``."""

    def use_storage(self, sink: Sink | None) -> None:
        """Take the way to the store; the bridge calls this.

        Args:
            sink: Takes the kind of an event and what is known of it; None ends recording.
        """
        self._storage_sink = sink

    def _tell(self, kind: str, **known: Any) -> bool:
        sink = self._storage_sink
        if sink is None:
            return False
        known = {name: value for name, value in known.items() if value is not None}
        return sink(kind, Call(kind, known, tuple(known.values()), None, (), known))


class StorageBackedBalanceManager(_StorageBacked):
    """Base of a balance manager that records its balances itself, by calling :meth:`record_balance`.

    ``await bridge.integrate_with_balance_manager(manager)`` connects it; before and after that the calls do nothing.
    """

    def record_balance(
        self,
        asset: str,
        balance: Any,
        hold: Any = None,
        *,
        source: str | None = None,
        reason: str | None = None,
        timestamp: Any = None,
        debt: Any = None,
    ) -> bool:
        """Put a balance on its way to the store; returns at once, from any thread.

        Args:
            asset: The asset.
            balance: Total held, in units of the asset; floats are taken (see docs/integrating.md).
            hold: Held back for open orders.
            source: Where the figure came from.
            reason: Why it changed.
            timestamp: The moment the figure is of; None means now.
            debt: Borrowed.

        Returns:
            Whether it was taken; False where the manager is not integrated.
        """
        return self._tell(
            "balance", asset=asset, balance=balance, hold=hold, source=source, reason=reason, timestamp=timestamp,
            debt=debt,
        )  # fmt: skip


class StorageBackedPortfolioManager(_StorageBacked):
    """Base of a portfolio manager that records its fills and prices itself.

    ``await bridge.integrate_with_portfolio_manager(manager)`` connects it; before and after that the calls do nothing.
    """

    def record_fill(
        self, symbol: str, side: str, price: Any, amount: Any, *, trade_id: str | None = None, **details: Any
    ) -> bool:
        """Put a fill on its way to the store; returns at once, from any thread.

        Args:
            symbol: The market.
            side: buy or sell.
            price: In quote.
            amount: Units of base, or contracts.
            trade_id: The exchange's id; without one, a fill told twice is two fills.
            **details: order_id, fee, fee_currency, fees, liquidity, timestamp, contract_size, strategy, bot.

        Returns:
            Whether it was taken; False where the manager is not integrated.
        """
        return self._tell(
            "fill", symbol=symbol, side=side, price=price, amount=amount, trade_id=trade_id, **details
        )

    def record_price(
        self, symbol: str, price: Any = None, *, bid: Any = None, ask: Any = None, timestamp: Any = None
    ) -> bool:
        """Put a price on its way to the store; it marks the open positions of its market.

        Args:
            symbol: The market.
            price: In quote.
            bid: Best bid, in quote.
            ask: Best ask, in quote.
            timestamp: When; None means now.

        Returns:
            Whether it was taken; False where the manager is not integrated.
        """
        return self._tell("price", symbol=symbol, mark=price, bid=bid, ask=ask, timestamp=timestamp)
