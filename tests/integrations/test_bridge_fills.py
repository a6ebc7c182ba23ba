"""Portfolio managers that tell fills: positions follow from those."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from hybridstore import StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from tests.hot.books import START_US, rows
from tests.integrations.managers import (
    FillBook,
    Side,
)
from tests.integrations.watching import open_positions, trades

AT = datetime.fromtimestamp(START_US / 1e6, UTC)
CCXT_FILL = {
    "info": {"tradeId": "17"},
    "id": "17",
    "order": "o-1",
    "timestamp": START_US // 1000,
    "datetime": "2026-08-01T12:00:00.000Z",
    "symbol": "BTC/USDT",
    "type": "limit",
    "side": "buy",
    "takerOrMaker": "maker",
    "price": 45000.5,
    "amount": 0.1,
    "cost": 4500.05,
    "fee": {"cost": 4.50005, "currency": "USDT", "rate": 0.001},
    "fees": [],
}


# -- fills --------------------------------------------------------------------------------------------------------


async def test_fills_of_ccxt(storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge) -> None:
    manager = FillBook()
    integration = await bridge.integrate_with_portfolio_manager(manager, strategy="trend", bot="bot-1")
    assert await manager.on_fill(CCXT_FILL) == Decimal("0.1")
    await manager.on_fill(CCXT_FILL)
    manager.update_price("BTC/USDT", 46000.5)
    await integration.flush()
    assert trades(storage) == [("BTC/USDT", "17", "buy", "45000.5", "0.1")], "told twice, recorded once"
    (trade,) = rows(
        storage.store,
        "SELECT order_id, fee, fee_currency, liquidity, quote_amount, strategy, bot, executed_at FROM trades",
    )
    assert trade == ("o-1", "4.50005", "USDT", "maker", "4500.05", "trend", "bot-1", START_US)
    (position,) = await storage.get_open_positions()
    assert (position.amount, position.entry_price, position.unrealized_pnl) == (
        Decimal("0.1"), Decimal("45000.5"), Decimal(100),
    )  # fmt: skip
    assert (integration.recorded, integration.errors) == (3, 0)
    assert "positions follow from fills" in integration.how


class _Fills:
    def record_trade(
        self, symbol: str, side: str, quantity: Any, price: Any, commission: Any = None, trade_id: Any = None
    ) -> None:
        """Keep nothing."""

    def add_trades(self, trades: list[Any]) -> None:
        """Keep nothing."""

    def handle_order_filled(self, order: Any) -> None:
        """Keep nothing."""

    def _process_fill(self, message: Any) -> None:
        """Keep nothing."""


class Execution(NamedTuple):
    """A fill as a named tuple."""

    symbol: str
    price: str
    qty: str
    commission: str
    commissionAsset: str  # noqa: N815  as the exchange writes it
    id: int
    time: int
    isBuyer: bool = True  # noqa: N815  as the exchange writes it


ORDER = {
    "id": "o-9", "symbol": "ETH/USDT", "side": "sell", "amount": 3, "filled": 2, "remaining": 1, "price": 2000,
    "average": 2001, "status": "open", "trades": [],
}  # fmt: skip
MESSAGE = """{"data": [
    {"symbol": "BTC/USDT", "tradeId": "t1", "side": "Buy", "execPrice": "100", "execQty": "2"}
]}"""
ONE = ("BTC/USDT", "t1", "buy", "100", "2")

FILLS: list[tuple[Callable[[_Fills], object], list[tuple[str, ...]]]] = [
    (lambda m: m.record_trade("BTC/USDT", "BUY", 2.0, "100", trade_id="t1"), [ONE]),
    (lambda m: m.record_trade("BTCUSDT", "buy", 2, 100, 0.1, "t1"), [ONE]),
    (lambda m: m.record_trade("BTC-USDT", Side.LONG.name, 2, 100, trade_id="t1"), [ONE]),
    (lambda m: m.record_trade("BTC_USDT", "", -2, 100, trade_id="t1"), [("BTC/USDT", "t1", "sell", "100", "2")]),
    (lambda m: m.add_trades([CCXT_FILL, CCXT_FILL | {"id": "18", "side": "sell"}]), [
        ("BTC/USDT", "17", "buy", "45000.5", "0.1"), ("BTC/USDT", "18", "sell", "45000.5", "0.1"),
    ]),
    (lambda m: m.add_trades([Execution("BTCUSDT", "100", "2", "0.1", "BNB", 7, 1_785_585_600_000)]), [
        ("BTC/USDT", "7", "buy", "100", "2"),
    ]),
    (lambda m: m.handle_order_filled(ORDER), []),
    (lambda m: m.handle_order_filled(ORDER | {"status": "closed", "filled": 3, "remaining": 0}), [
        ("ETH/USDT", "order-o-9", "sell", "2001", "3"),
    ]),
    (lambda m: m.handle_order_filled(ORDER | {"trades": [{"id": "a", "price": 2001, "amount": 2}]}), [
        ("ETH/USDT", "a", "sell", "2001", "2"),
    ]),
    (lambda m: m._process_fill(MESSAGE), [ONE]),
    (lambda m: m._process_fill(SimpleNamespace(symbol="BTC/USDT", is_buy=True, price=100, size=2, id="t1")), [ONE]),
]  # fmt: skip


@pytest.mark.parametrize(("act", "expected"), FILLS, ids=range(len(FILLS)))
async def test_a_shape_of_fills_is_read(
    act: Callable[[_Fills], object],
    expected: list[tuple[str, ...]],
    storage: TradingBotStorageSystem,
    bridge: StorageIntegrationBridge,
) -> None:
    manager = _Fills()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    act(manager)
    await integration.flush()
    assert trades(storage) == expected
    assert integration.errors == 0, integration.last_error


async def test_names_of_markets_are_told(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = _Fills()
    integration = await bridge.integrate_with_portfolio_manager(
        manager, market="swap", symbols={"XBTUSD": "BTC/USD:BTC"}
    )
    manager.record_trade("BTCUSDT", "sell", 2, 100, trade_id="a")
    manager.record_trade("XBTUSD", "sell", 100, 50000, trade_id="b")
    manager.record_trade("DOGE", "buy", 1, 1)
    await integration.flush()
    assert [symbol for symbol, *_ in trades(storage)] == ["BTC/USDT:USDT", "BTC/USD:BTC"]
    assert bridge.status()["symbols"] == {"BTCUSDT": "BTC/USDT:USDT", "XBTUSD": "BTC/USD:BTC"}
    assert integration.errors == 1
    assert "symbols={'DOGE'" in str(integration.last_error)


async def test_a_fill_of_floats_with_too_many_places(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = _Fills()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    manager.record_trade("BTC/USDT", "buy", 0.1 + 0.2, 1 / 3, trade_id="t1")
    await integration.flush()
    ((price, amount, cost),) = rows(storage.store, "SELECT price, amount, quote_amount FROM trades")
    assert (price, amount) == ("0.3333333333333333", "0.30000000000000004")
    exact = Decimal(price) * Decimal(amount)
    assert abs(Decimal(cost) - exact) <= Decimal("5E-19")
    assert bridge.status()["rounded"] == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"price": float("nan")}, "price"),
        ({"price": None}, "price is missing"),
        ({"amount": 0}, "must be more than zero"),
        ({"side": "hold"}, "neither buy nor sell"),
        ({"symbol": None}, "no market"),
    ],
)
async def test_a_wrong_fill_is_refused(
    change: dict[str, Any], complaint: str, storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = FillBook()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    await manager.on_fill(CCXT_FILL | change)
    await manager.on_fill(CCXT_FILL)
    await integration.flush()
    assert integration.errors == 1
    assert complaint in str(integration.last_error)
    assert len(trades(storage)) == 1


async def test_fills_of_many_threads_are_all_recorded(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = _Fills()
    integration = await bridge.integrate_with_portfolio_manager(manager)

    def work(number: int) -> None:
        for step in range(25):
            manager.record_trade("BTC/USDT", "buy", 1, 100, trade_id=f"{number}-{step}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await integration.flush()
    assert await open_positions(storage) == [("BTC/USDT", "LONG", Decimal(100), Decimal(100))]
    for number in range(4):
        own = [trade_id for _, trade_id, *_ in trades(storage) if trade_id.startswith(f"{number}-")]
        assert own == [f"{number}-{step}" for step in range(25)]
