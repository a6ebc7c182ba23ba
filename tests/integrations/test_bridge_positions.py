"""Portfolio managers that tell and show positions."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from hybridstore import StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from tests.hot.books import rows, values
from tests.integrations.managers import (
    Desk,
    Holding,
    Registry,
    Side,
)
from tests.integrations.watching import NEVER_S, SOON_S, eventually, open_positions, trades

# -- positions ----------------------------------------------------------------------------------------------------


async def test_positions_that_a_manager_opens_and_closes(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Desk()
    manager.positions["SOL/USDT"] = {"symbol": "SOL/USDT", "side": "long", "size": 10, "entry_price": 100}
    integration = await bridge.integrate_with_portfolio_manager(
        manager, account="a", strategy="trend", poll_interval_s=NEVER_S
    )
    assert manager.open_position("BTC/USDT:USDT", "short", 0.5, 45000.0, 5.0)["size"] == 0.5
    with pytest.raises(KeyError):
        manager.open_position("BTC/USDT:USDT", "short", 1, 45000.0)
    await integration.flush()
    assert await open_positions(storage, "a") == [
        ("SOL/USDT", "LONG", Decimal(10), Decimal(100)),
        ("BTC/USDT:USDT", "SHORT", Decimal("0.5"), Decimal(45000)),
    ]
    short = (await storage.get_open_positions("a"))[1]
    assert values(short.leverage, short.strategy) == (5, "trend")
    manager.close_position("BTC/USDT:USDT", exit_price=44000, reason="take profit")
    await integration.flush()
    closed = await storage.get_position(short.position_id)
    assert closed is not None
    assert values(closed.status, closed.realized_pnl, closed.close_reason) == ("CLOSED", 500, "take profit")
    assert integration.errors == 0
    assert "positions follow from positions" in integration.how


async def test_positions_that_change_unseen_are_found_and_valued(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Desk()
    integration = await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=SOON_S)
    manager.open_position("BTC/USDT", "long", 1, 100)
    manager.resize("BTC/USDT", 3, 120)
    await eventually(lambda: integration.recorded == 2)
    assert await open_positions(storage) == [("BTC/USDT", "LONG", Decimal(3), Decimal(120))]
    assert trades(storage)[0][2:] == ("buy", "130", "2"), "what the new average implies"
    await storage.record_mark("BTC/USDT", mark=150)
    manager.resize("BTC/USDT", 2, 120)
    await eventually(lambda: integration.recorded == 3)
    ((_, _, amount, _),) = await open_positions(storage)
    assert amount == 2
    assert trades(storage)[1][2:] == ("sell", "150", "1")
    assert rows(storage.store, "SELECT DISTINCT synthetic_id FROM trades") == [(1,)]
    manager.positions.clear()
    await eventually(lambda: integration.recorded == 4)
    assert await open_positions(storage) == []
    assert integration.errors == 0


async def test_positions_of_objects_with_ids(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Registry([Holding("h1", "BTC/USDT", Side.LONG, Decimal(1), Decimal(100), Decimal(110))])
    integration = await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=SOON_S)
    await integration.flush()
    (held,) = await storage.get_open_positions()
    assert values(held.position_id, held.mark_price, held.unrealized_pnl) == ("h1", 110, 10)
    manager.holdings[0].current_price = Decimal(120)
    manager.holdings.append(Holding("h2", "BTC/USDT:USDT", Side.SHORT, Decimal(2), Decimal(120)))
    await eventually(lambda: integration.recorded == 4)
    held = (await storage.get_open_positions())[0]
    assert held.mark_price == 120
    manager.holdings[0].status = "CLOSED"
    manager.holdings[0].exit_price = Decimal(125)
    await eventually(lambda: integration.recorded == 5)
    closed = await storage.get_position("h1")
    assert closed is not None
    assert values(closed.status, closed.realized_pnl) == ("CLOSED", 25)
    assert [symbol for symbol, *_ in await open_positions(storage)] == ["BTC/USDT:USDT"]
    assert integration.errors == 0


async def test_a_flip_closes_and_opens(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    shown: list[dict[str, Any]] = [
        {"symbol": "BTC/USDT:USDT", "contracts": 2.0, "contractSize": 0.1, "side": "long", "entryPrice": 100.0,
         "markPrice": 101.0, "leverage": 3.0, "marginMode": "cross", "liquidationPrice": 70.5},
    ]  # fmt: skip

    class Ccxt:
        async def get_positions(self) -> list[dict[str, Any]]:
            await asyncio.sleep(0)
            return shown

    integration = await bridge.integrate_with_portfolio_manager(Ccxt(), poll_interval_s=SOON_S)
    await integration.flush()
    (held,) = await storage.get_open_positions()
    assert values(held.contract_size, held.leverage, held.margin_mode) == (Decimal("0.1"), 3, "cross")
    assert held.liquidation_price == Decimal("70.5")
    shown[0] = shown[0] | {"side": "short", "contracts": 1.0, "entryPrice": 104.0}
    await eventually(lambda: integration.recorded == 3)
    assert await open_positions(storage) == [("BTC/USDT:USDT", "SHORT", Decimal(1), Decimal(104))]
    closed = await storage.get_position(held.position_id)
    assert closed is not None
    assert (closed.status, closed.close_reason, closed.realized_pnl) == ("CLOSED", "flip", Decimal("0.8"))


async def test_a_restart_takes_up_the_open_position(
    storage: TradingBotStorageSystem,
) -> None:
    manager = Desk()
    for number in range(3):
        async with StorageIntegrationBridge(storage) as bridge:
            integration = await bridge.integrate_with_portfolio_manager(manager)
            if number == 0:
                manager.open_position("BTC/USDT", "long", 1, 100)
            await integration.flush()
            assert integration.errors == 0
            assert await open_positions(storage) == [("BTC/USDT", "LONG", Decimal(1), Decimal(100))]
    assert len(rows(storage.store, "SELECT position_id FROM positions")) == 1


async def test_an_id_that_was_closed_is_opened_anew(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Registry([Holding("h1", "BTC/USDT", Side.LONG, Decimal(1), Decimal(100), Decimal(100))])
    integration = await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=SOON_S)
    await bridge.flush()
    holding = manager.holdings.pop()
    await eventually(lambda: integration.recorded == 3)
    assert await open_positions(storage) == []
    manager.holdings.append(holding)
    await eventually(lambda: integration.recorded == 4)
    (again,) = await storage.get_open_positions()
    assert again.position_id.startswith("h1-LONG-")


async def test_a_leveraged_position_of_an_ambiguous_name_is_refused(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Desk()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    manager.open_position("BTCUSDT", "short", 1, 100)
    manager.open_position("ETHUSDT", "long", 1, 100)
    await integration.flush()
    assert integration.errors >= 1
    assert "market='swap'" in str(integration.last_error)
    assert [symbol for symbol, *_ in await open_positions(storage)] == ["ETH/USDT"]


class _Callers:
    """Shows nothing: what its methods are told is all there is."""

    def __init__(self) -> None:
        self.count = 0

    def create_position(self, symbol: str, direction: str, quantity: Any, entry_price: Any) -> str:
        self.count += 1
        return f"p{self.count}"

    def update_position_price(self, position_id: str, price: Any) -> None:
        """Keep nothing."""

    def reduce_position(self, position_id: str, quantity: Any, price: Any) -> None:
        """Keep nothing."""

    def exit_position(self, position_id: str, price: Any) -> None:
        """Keep nothing."""


async def test_positions_of_calls_alone(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = _Callers()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    first = manager.create_position("BTC/USDT:USDT", "LONG", 2, 100.0)
    second = manager.create_position("BTC/USDT:USDT", "SHORT", 1, 100.0)
    manager.update_position_price(first, 110)
    manager.reduce_position(first, 0.5, 112)
    await integration.flush()
    held = await storage.get_position("p1")
    assert held is not None
    assert values(held.amount, held.mark_price is not None, held.realized_pnl) == (Decimal("1.5"), True, 6)
    manager.exit_position(first, 120)
    manager.exit_position(second, 95)
    manager.exit_position("p9", 95)
    await integration.flush()
    assert await open_positions(storage) == []
    closed = [await storage.get_position(name) for name in ("p1", "p2")]
    assert [each.realized_pnl for each in closed if each is not None] == [36, 5]
    assert integration.errors == 1
    assert "no open position 'p9'" in str(integration.last_error)


async def test_a_position_closed_at_an_unknown_price_is_said_so(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Desk()
    integration = await bridge.integrate_with_portfolio_manager(manager, poll_interval_s=SOON_S)
    manager.open_position("BTC/USDT", "long", 1, 100)
    manager.open_position("ETH/USDT", "long", 1, 100)
    await integration.flush()
    manager.positions.clear()
    await eventually(lambda: integration.errors == 1)
    assert "unknown price" in str(integration.last_error)
