"""A nautilus_trader actor that records every fill and every account state of a node in a store.

Add it to a node or an engine: ``node.trader.add_actor(RecordingActor(RecordingConfig(root="my-store")))``. nautilus
calls its handlers on the event loop of the node, so nothing is waited for there: a thread records, in order, and
stopping the actor waits for it. Quantities and prices of nautilus are exact decimals.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hybridstore import HybridStore

try:
    from nautilus_trader.common.actor import Actor
    from nautilus_trader.config import ActorConfig
except ImportError:  # what is recorded is shown without it
    Actor, ActorConfig = object, None

LOG = logging.getLogger(__name__)
NS_US = 1000


def symbol_of(instrument: Any) -> str:
    """Return the unified symbol of a nautilus instrument: BTC/USDT, or BTC/USDT:USDT for a contract."""
    base, quote = instrument.base_currency.code, instrument.quote_currency.code
    settled = instrument.settlement_currency.code if type(instrument).__name__ != "CurrencyPair" else None
    return f"{base}/{quote}" if settled is None else f"{base}/{quote}:{settled}"


def fill_of(event: Any, instrument: Any) -> dict[str, Any]:
    """Turn an OrderFilled event into arguments of ``record_fill``.

    Args:
        event: nautilus's OrderFilled.
        instrument: The instrument it is of.

    Returns:
        The arguments.
    """
    return {
        "symbol": symbol_of(instrument),
        "side": "buy" if event.is_buy else "sell",
        "price": event.last_px.as_decimal(),
        "amount": event.last_qty.as_decimal(),
        "contract_size": instrument.multiplier.as_decimal(),
        "fee": event.commission.as_decimal(),
        "fee_currency": event.commission.currency.code,
        "trade_id": event.trade_id.value,
        "order_id": event.client_order_id.value,
        "liquidity": {"MAKER": "maker", "TAKER": "taker"}.get(event.liquidity_side.name),
        "account": event.account_id.value,
        "strategy": event.strategy_id.value,
        "executed_at": event.ts_event // NS_US,
    }


def balances_of(state: Any) -> list[dict[str, Any]]:
    """Turn an AccountState event into reports of balances.

    Args:
        state: nautilus's AccountState.

    Returns:
        Arguments of ``record_balance_update``, one for each asset.
    """
    return [
        {
            "asset": balance.currency.code,
            "balance": balance.total.as_decimal(),
            "hold_trade": balance.locked.as_decimal(),
            "available": balance.free.as_decimal(),
            "source": "nautilus",
            "account": state.account_id.value,
            "changed_at": state.ts_event // NS_US,
        }
        for balance in state.balances
    ]


if ActorConfig is not None:

    class RecordingConfig(ActorConfig, frozen=True):
        """Where to record."""

        root: str = "my-store"

    class RecordingActor(Actor):
        """Records fills and balances in a thread of its own, in the order they came."""

        def __init__(self, config: RecordingConfig) -> None:
            super().__init__(config)
            self.store = HybridStore(config.root)
            self.thread: ThreadPoolExecutor | None = None

        def on_start(self) -> None:
            """Open the store and listen to what happens on every account."""
            self.store.open()
            self.thread = ThreadPoolExecutor(1, "hybridstore-recorder")
            self.msgbus.subscribe("events.order.*", self.on_order_event)
            self.msgbus.subscribe("events.account.*", self.on_account_state)

        def on_order_event(self, event: Any) -> None:
            """Take an event of an order; only fills are recorded."""
            if type(event).__name__ == "OrderFilled":
                fill = fill_of(event, self.cache.instrument(event.instrument_id))
                self.thread.submit(self.store.record_fill, **fill).add_done_callback(complain)

        def on_account_state(self, event: Any) -> None:
            """Take a state of an account."""
            for balance in balances_of(event):
                self.thread.submit(self.store.record_balance_update, **balance).add_done_callback(complain)

        def on_stop(self) -> None:
            """Wait until everything is recorded."""
            self.thread.shutdown(wait=True)
            self.store.close()


def complain(recorded: Future[Any]) -> None:
    """Say that something was not recorded: reconciling with the venue will name it."""
    if recorded.exception() is not None:
        LOG.error("not recorded: %s", recorded.exception())


def practise(root: str) -> None:
    """Trade over made-up quotes in nautilus's backtest engine, with the actor beside the strategy.

    Args:
        root: The store's folder.
    """
    from decimal import Decimal

    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import QuoteTick
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    market = TestInstrumentProvider.btcusdt_binance()

    class TwoOrders(Strategy):
        """Buys at the second quote and sells at the fifth."""

        def on_start(self) -> None:
            """Listen to quotes."""
            self.quotes = 0
            self.subscribe_quote_ticks(market.id)

        def on_quote_tick(self, tick: QuoteTick) -> None:
            """Trade."""
            self.quotes += 1
            side = {2: OrderSide.BUY, 5: OrderSide.SELL}.get(self.quotes)
            if side is not None:
                amount = market.make_qty(Decimal("0.5"))
                self.submit_order(self.order_factory.market(market.id, side, amount))

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    funds = [Money(1_000_000, USDT), Money(1, BTC)]
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.CASH, funds, None)
    engine.add_instrument(market)
    many = market.make_qty(10)
    times = [(1_700_000_000 + second) * 1_000_000_000 for second in range(10)]
    engine.add_data(
        [
            QuoteTick(
                market.id, market.make_price(50000 + n), market.make_price(50001 + n), many, many, at, at
            )
            for n, at in enumerate(times)
        ]
    )
    engine.add_actor(RecordingActor(RecordingConfig(root=root)))
    engine.add_strategy(TwoOrders())
    engine.run()
    engine.dispose()


if __name__ == "__main__":
    if ActorConfig is None:
        sys.exit("nautilus_trader is not installed: pip install nautilus_trader")
    practise("my-store")
    with HybridStore("my-store") as shown:
        print(shown.sql("select side, price, amount, fee from trades").rows())
