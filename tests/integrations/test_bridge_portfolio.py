"""Portfolio managers that notify, name prices, record by themselves, or cannot be followed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hybridstore import StorageBackedPortfolioManager, StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.errors import InvalidValue
from tests.hot.books import START_US, rows, values
from tests.integrations.managers import (
    Desk,
    FillBook,
    Hub,
)
from tests.integrations.watching import SOON_S, eventually, open_positions

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


# -- listeners, prices, adoption ----------------------------------------------------------------------------------


async def test_a_hub_of_events(storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge) -> None:
    manager = Hub()
    integration = await bridge.integrate_with_portfolio_manager(manager, positions_from="fills")
    manager.emit("fill", CCXT_FILL)
    manager.emit("position", {"symbol": "BTC/USDT", "amount": 0.1, "entry_price": 45000.5, "side": "long"})
    manager.emit("price", "BTC/USDT", 45001)
    manager.emit(
        "price", {"symbol": "BTC/USDT", "bid": 45002, "ask": 45004, "timestamp": START_US // 1000 + 5}
    )
    manager.emit("price", "nothing")
    await integration.flush()
    assert await open_positions(storage) == [("BTC/USDT", "LONG", Decimal("0.1"), Decimal("45000.5"))]
    mark = await storage.get_mark("BTC/USDT")
    assert mark is not None
    assert values(mark.bid, mark.mark) == (45002, 45003)
    assert (integration.recorded, integration.ignored, integration.errors) == (3, 2, 0)
    integration.detach()
    assert all(not handlers for handlers in manager._taken.values())


async def test_a_hub_of_positions(storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge) -> None:
    manager = Hub()
    integration = await bridge.integrate_with_portfolio_manager(manager, positions_from="positions")
    told = {"symbol": "BTC/USDT", "amount": 1, "entry_price": 100, "side": "long"}
    manager.emit("position", told)
    manager.emit("position", told | {"amount": 2, "entry_price": 110})
    manager.emit("position", told | {"amount": 0, "exit_price": 130, "status": "closed"})
    await integration.flush()
    assert await open_positions(storage) == []
    assert rows(storage.store, "SELECT realized_pnl FROM positions") == [("40",)]
    assert integration.errors == 0


PRICES: list[tuple[Callable[[Any], object], dict[str, Any]]] = [
    (lambda m: m.update_prices({"BTC/USDT": 100.5, "ETH/USDT": Decimal(7)}), {"BTC/USDT": "100.5", "ETH/USDT": "7"}),
    (lambda m: m.update_prices({"BTC/USDT": {"last": 100, "timestamp": 1_785_585_600_000}}), {"BTC/USDT": "100"}),
    (lambda m: m.on_tick(SimpleNamespace(symbol="BTCUSDT", price="100")), {"BTC/USDT": "100"}),
    (lambda m: m.on_tick({"symbol": "BTC/USDT", "bid": 99, "ask": 101, "last": 100, "info": {}}), {"BTC/USDT": "100"}),
    (lambda m: m.mark_price("BTC/USDT", 100), {"BTC/USDT": "100"}),
    (lambda m: m.set_price(pair="BTC/USDT", value=0, price="100"), {"BTC/USDT": "100"}),
]  # fmt: skip


@pytest.mark.parametrize(("act", "expected"), PRICES, ids=range(len(PRICES)))
async def test_a_shape_of_prices_is_read(
    act: Callable[[Any], object],
    expected: dict[str, str],
    storage: TradingBotStorageSystem,
    bridge: StorageIntegrationBridge,
) -> None:
    class Priced:
        def update_prices(self, prices: Any) -> None:
            """Keep nothing."""

        def on_tick(self, tick: Any) -> None:
            """Keep nothing."""

        def mark_price(self, symbol: str, value: Any) -> None:
            """Keep nothing."""

        def set_price(self, pair: str, value: Any, price: Any) -> None:
            """Keep nothing."""

    manager = Priced()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    act(manager)
    await integration.flush()
    assert dict(rows(storage.store, "SELECT symbol, mark FROM marks")) == expected
    assert integration.errors == 0, integration.last_error


async def test_fills_take_up_what_was_open_before(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Both(FillBook):
        def __init__(self) -> None:
            super().__init__()
            self.positions = {"BTC/USDT": {"amount": "1", "entry_price": "40000", "mark_price": 41000.0}}

    manager = Both()
    integration = await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=SOON_S)
    await manager.on_fill(CCXT_FILL | {"side": "sell", "amount": 0.25})
    manager.positions["BTC/USDT"] |= {"amount": "0.75", "mark_price": 42000.0}
    await eventually(lambda: integration.recorded == 4)
    (held,) = await storage.get_open_positions()
    assert values(held.amount, held.entry_price, held.mark_price) == (Decimal("0.75"), 40000, 42000)
    assert integration.errors == 0


# -- explicit names, bases, nothing to hook -----------------------------------------------------------------------


async def test_methods_can_be_named_with_what_reads_them(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Peculiar:
        def executed(self, line: str) -> str:
            return line

    def read(line: str) -> dict[str, Any]:
        symbol, side, amount, price = line.split()
        return {"symbol": symbol, "side": side, "amount": amount, "price": price}

    manager = Peculiar()
    integration = await bridge.integrate_with_portfolio_manager(manager, fill_methods={"executed": read})
    assert manager.executed("BTC/USDT buy 2 100") == "BTC/USDT buy 2 100"
    manager.executed("nonsense")
    await integration.flush()
    assert await open_positions(storage) == [("BTC/USDT", "LONG", Decimal(2), Decimal(100))]
    assert integration.errors == 1, "extract itself failed"
    integration.detach()
    assert vars(manager) == {}


class Own(StorageBackedPortfolioManager):
    """Says itself what is to be recorded."""


async def test_a_subclass_records_by_itself(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Own()
    assert not manager.record_fill("BTC/USDT", "buy", 100, 1)
    integration = await bridge.integrate_with_portfolio_manager(manager, bot="bot-1")
    assert manager.record_fill("BTC/USDT", "buy", 100.5, 1, trade_id="t", order_id="o", fee=0.5, timestamp=AT)
    assert manager.record_price("BTC/USDT", 101)
    assert manager.record_price("ETH/USDT", bid=1, ask=3)
    await integration.flush()
    assert rows(storage.store, "SELECT trade_id, order_id, fee, fee_currency, bot FROM trades") == [
        ("t", "o", "0.5", "USDT", "bot-1")
    ]
    assert rows(storage.store, "SELECT symbol, mark FROM marks ORDER BY symbol") == [
        ("BTC/USDT", "101"), ("ETH/USDT", "2"),
    ]  # fmt: skip
    assert integration.errors == 0


async def test_nothing_to_hook_says_what_was_looked_for(bridge: StorageIntegrationBridge) -> None:
    with pytest.raises(
        InvalidValue, match=r"on_fill\(trade\).*get_positions\(\).*StorageBackedPortfolioManager"
    ):
        await bridge.integrate_with_portfolio_manager(SimpleNamespace(name="x"))
    with pytest.raises(InvalidValue, match="positions_from='both'"):
        await bridge.integrate_with_portfolio_manager(Desk(), positions_from="both")
    manager = Desk()
    with pytest.raises(InvalidValue, match="poll_interval_s=0"):
        await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=0)
    assert set(vars(manager)) == {"positions"}, "what was hooked before the error is undone"


async def test_a_position_only_the_store_holds_is_named(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    await storage.create_position("old", "BTC/USDT", "LONG", 1, 100)
    integration = await bridge.integrate_with_portfolio_manager(Desk())
    assert "does not show old" in integration.how


async def test_positions_that_change_where_no_fill_is_told_are_noticed(
    bridge: StorageIntegrationBridge, caplog: pytest.LogCaptureFixture
) -> None:
    manager = Hub()
    integration = await bridge.integrate_with_portfolio_manager(manager, positions_from="fills")
    for amount in range(1, 5):
        manager.emit("position", {"symbol": "BTC/USDT", "amount": amount, "entry_price": 1, "side": "long"})
    await integration.flush()
    assert integration.recorded == 0
    (warning,) = [r.message for r in caplog.records if "positions_from='positions'" in r.message]
    assert "positions changed 3 times and no fill was told" in warning


async def test_both_managers_of_a_bot(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Balances:
        def set_balance(self, asset: str, total: float) -> None:
            """Keep nothing."""

    balances, portfolio = Balances(), FillBook()
    await bridge.integrate_with_balance_manager(balances, account="kraken/main")
    await bridge.integrate_with_portfolio_manager(portfolio, account="kraken/main")
    balances.set_balance("USDT", 1000.0)
    await portfolio.on_fill(CCXT_FILL)
    balances.set_balance("USDT", 1000 - 4500.05)
    await bridge.flush()
    status = bridge.status()
    assert (status["recorded"], status["errors"], status["waiting"]) == (3, 0, 0)
    assert [each["name"] for each in status["integrations"]] == [
        "balance manager Balances", "portfolio manager FillBook",
    ]  # fmt: skip
    assert len(await open_positions(storage, "kraken/main")) == 1
