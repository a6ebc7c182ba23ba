"""A freqtrade strategy that records each filled order in a store, live and in dry runs.

Put ``RecordsFills`` before ``IStrategy`` in your own strategy, or copy this file into ``user_data/strategies``.
freqtrade calls its strategies one after the other, on no event loop, so a plain store is used; a write takes a third of
a millisecond.

freqtrade keeps floats. What it took from an exchange as text is the shortest decimal that reads back as the same float,
and that is recorded. It knows orders, not the executions they were filled by: each order is one fill at its average
price, with the fee by freqtrade's rate. ``store.sync(exchange)`` brings the executions themselves, with their own fees.
"""

from __future__ import annotations

import logging
from collections import deque
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, ClassVar

from hybridstore import HybridStore, HybridStoreError

try:
    from freqtrade.strategy import IStrategy
except ImportError:  # the recording below is shown without it
    IStrategy = object

LOG = logging.getLogger(__name__)
ROOT = "my-store"
RECORDED_MODES = {"live", "dry_run"}
"""A backtest calls the same methods; its orders are of no account."""
PLACES = Decimal("1E-18")


def decimal_of(number: float) -> Decimal:
    """Return the shortest decimal that reads back as the same float."""
    return Decimal(repr(float(number)))


def fill_of(pair: str, trade: Any, order: Any, strategy: str) -> dict[str, Any]:
    """Turn a filled order of freqtrade into arguments of ``record_fill``.

    Args:
        pair: The market, as freqtrade and ccxt call it.
        trade: freqtrade's Trade.
        order: freqtrade's Order, filled.
        strategy: The strategy's name.

    Returns:
        The arguments.
    """
    price, amount = decimal_of(order.safe_price), decimal_of(order.safe_filled)
    rate = trade.fee_open if order.ft_order_side == trade.entry_side else trade.fee_close
    if order.ft_fee_base:  # taken out of what was bought
        fee, currency = decimal_of(order.ft_fee_base), trade.safe_base_currency
    else:
        fee, currency = (price * amount * decimal_of(rate)).quantize(PLACES), trade.safe_quote_currency
    return {
        "symbol": pair,
        "side": order.ft_order_side,
        "price": price,
        "amount": amount,
        "fee": fee,
        "fee_currency": currency,
        "trade_id": f"order-{order.order_id}",
        "order_id": order.order_id,
        "executed_at": order.order_filled_utc,
        "strategy": strategy,
        "info": {"freqtrade_trade": trade.id, "enter_tag": trade.enter_tag, "exit_reason": trade.exit_reason},
    }


class RecordsFills:
    """Records filled orders; what the store cannot take at once is tried again with every loop of the bot."""

    store: HybridStore | None = None

    def bot_start(self, **kwargs: Any) -> None:
        """Open the store; a process beside the bot moves its history and backs it up."""
        self.waiting: deque[dict[str, Any]] = deque()
        self.store = HybridStore(ROOT, maintenance="auto").open()

    def order_filled(self, pair: str, trade: Any, order: Any, current_time: Any, **kwargs: Any) -> None:
        """Record an order that was filled."""
        if self.store is None or self.dp.runmode.value not in RECORDED_MODES:
            return
        fill = fill_of(pair, trade, order, type(self).__name__)
        self.waiting.append({**fill, "executed_at": fill["executed_at"] or current_time})
        self.record_waiting()

    def bot_loop_start(self, current_time: Any, **kwargs: Any) -> None:
        """Try again what could not be recorded, as on a full disk."""
        if self.store is not None and self.waiting:
            self.record_waiting()

    def record_waiting(self) -> None:
        """Record what waits, the oldest first. A fill that is told again is known by its order."""
        while self.waiting:
            try:
                self.store.record_fill(**self.waiting[0])
            except HybridStoreError as error:
                LOG.exception("not recorded: %s", self.waiting[0])
                if error.retryable:
                    return
            self.waiting.popleft()


class RecordingStrategy(RecordsFills, IStrategy):
    """A strategy that never trades by itself; forced entries are recorded. Fill in your own signals."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi: ClassVar = {"0": 0.05}
    stoploss = -0.1

    def populate_indicators(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """Compute what the signals need."""
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """Say when to enter."""
        dataframe["enter_long"] = 0
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """Say when to leave."""
        dataframe["exit_long"] = 0
        return dataframe


if __name__ == "__main__":
    order = SimpleNamespace(
        order_id="o-1", ft_order_side="buy", safe_price=60000.1, safe_filled=0.005, ft_fee_base=None,
        order_filled_utc="2026-11-24T12:00:00Z",
    )  # fmt: skip
    trade = SimpleNamespace(
        id=1, entry_side="buy", fee_open=0.001, fee_close=0.001, safe_base_currency="BTC", enter_tag="by hand",
        safe_quote_currency="USDT", exit_reason=None,
    )  # fmt: skip
    with HybridStore(ROOT) as shown:
        print(shown.record_fill(**fill_of("BTC/USDT", trade, order, "RecordingStrategy")).trade)
