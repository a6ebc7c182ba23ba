"""A listener for hummingbot's events that records fills in a store.

In a script or connector: ``listener = RecordingListener(ROOT, account="binance/main")``, then for each connector

    connector.add_listener(MarketEvent.OrderFilled, SourceInfoEventForwarder(listener.on_fill))

hummingbot calls its listeners on its event loop, so nothing is waited for there: a thread records, in order. Its events
hold ``Decimal``, before its own database cuts them to six places.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hybridstore import HybridStore

LOG = logging.getLogger(__name__)
ROOT = "my-store"


def fill_of(event: Any, account: str) -> dict[str, Any]:
    """Turn an OrderFilledEvent into arguments of ``record_fill``.

    Args:
        event: hummingbot's event: timestamp (s), order_id, trading_pair, trade_type, price, amount, trade_fee,
            exchange_trade_id.
        account: Whose.

    Returns:
        The arguments.
    """
    base, _, quote = event.trading_pair.partition("-")
    fee = event.trade_fee
    fees = [(token.token, token.amount) for token in fee.flat_fees]
    if fee.percent:
        cost = event.price * event.amount * fee.percent
        fees.append((fee.percent_token or quote, cost.quantize(Decimal("1E-18"))))
    return {
        "symbol": f"{base}/{quote}",
        "side": event.trade_type.name.lower(),
        "price": event.price,
        "amount": event.amount,
        "fees": fees or None,
        "trade_id": event.exchange_trade_id,
        "order_id": event.order_id,
        "executed_at": int(event.timestamp * 1_000_000),
        "account": account,
    }


class RecordingListener:
    """Records fills in a thread of its own, in the order they came."""

    def __init__(self, root: str, account: str) -> None:
        self.store = HybridStore(root, maintenance="auto").open()
        self.account = account
        self.thread = ThreadPoolExecutor(1, "hybridstore-recorder")

    def on_fill(self, event_tag: int, source: Any, event: Any) -> None:
        """Take an event on the event loop; returns at once."""
        recorded = self.thread.submit(self.record, event)
        recorded.add_done_callback(self.complain)

    def record(self, event: Any) -> None:
        """Record a fill; told twice, it is known by its id."""
        self.store.record_fill(**fill_of(event, self.account))

    def complain(self, recorded: Future[None]) -> None:
        """Say that a fill was not recorded: reconciling with the exchange will name it."""
        if recorded.exception() is not None:
            LOG.error("a fill is not recorded: %s", recorded.exception())

    def close(self) -> None:
        """Wait until everything is recorded."""
        self.thread.shutdown(wait=True)
        self.store.close()


if __name__ == "__main__":
    listener = RecordingListener(ROOT, account="binance/main")
    fee = SimpleNamespace(percent=Decimal("0.001"), percent_token=None, flat_fees=[])
    listener.on_fill(
        107,
        None,
        SimpleNamespace(
            timestamp=1_790_000_000.25, order_id="o-1", trading_pair="BTC-USDT", trade_type=SimpleNamespace(name="BUY"),
            price=Decimal("60000.10"), amount=Decimal("0.005"), trade_fee=fee, exchange_trade_id="t-1",
        ),
    )  # fmt: skip
    listener.close()
    with HybridStore(ROOT) as shown:
        print(shown.sql("select * from trades").pl())
