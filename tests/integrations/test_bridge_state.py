"""What a balance manager shows counts more than what it was told, and its figures stay in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hybridstore import StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from tests.hot.books import START_US, rows
from tests.integrations.managers import (
    Subscribable,
)
from tests.integrations.watching import NEVER_S, history

AT = datetime.fromtimestamp(START_US / 1e6, UTC)


# -- what the manager shows is what counts ------------------------------------------------------------------------


async def test_amounts_that_move_are_not_taken_for_balances(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Mover:
        def __init__(self) -> None:
            self.balances = {"USDT": Decimal(100)}

        def update_balance(self, asset: str, amount: Decimal) -> None:
            self.balances[asset] = self.balances.get(asset, Decimal(0)) + amount

        def withdraw(self, asset: str, amount: Decimal) -> None:
            self.balances[asset] -= amount

    manager = Mover()
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=NEVER_S)
    manager.update_balance("USDT", Decimal(5))
    manager.update_balance("BTC", Decimal(1))
    manager.withdraw("USDT", Decimal(25))
    await integration.flush()
    assert history(storage) == [
        ("USDT", "100", None),
        ("USDT", "105", None),
        ("BTC", "1", None),
        ("USDT", "80", None),
    ]


async def test_a_change_by_an_unknown_amount_tells_no_balance(bridge: StorageIntegrationBridge) -> None:
    class Blind:
        def update_balance(self, asset: str, delta: Decimal) -> None:
            """Keep it where nobody sees it."""

    manager = Blind()
    integration = await bridge.integrate_with_balance_manager(manager)
    manager.update_balance("BTC", Decimal(1))
    await integration.flush()
    assert (integration.recorded, integration.ignored) == (0, 1)


async def test_figures_nobody_can_name_are_refused(bridge: StorageIntegrationBridge) -> None:
    manager = Subscribable()
    integration = await bridge.integrate_with_balance_manager(manager)
    manager.emit("BTC", Decimal(1), Decimal(2))
    await integration.flush()
    assert (integration.recorded, integration.errors) == (0, 1)
    assert "which of these figures" in str(integration.last_error)


async def test_extract_says_what_figures_are(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Subscribable()
    integration = await bridge.integrate_with_balance_manager(
        manager, extract=lambda asset, old, new: {"asset": asset, "balance": new}
    )
    manager.emit("BTC", Decimal(1), Decimal(2))
    await integration.flush()
    assert history(storage) == [("BTC", "2", None)]


async def test_a_restart_records_only_what_differs(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    await storage.record_balance_update("BTC", 1)
    await storage.record_balance_update("ETH", 1)
    manager = SimpleNamespace(balances={"BTC": 1.0, "ETH": 2.0})
    await bridge.integrate_with_balance_manager(manager)
    await bridge.flush()
    assert history(storage) == [("BTC", "1", "0"), ("ETH", "1", "0"), ("ETH", "2", None)]


# -- moments ------------------------------------------------------------------------------------------------


async def test_a_message_after_a_look_is_the_latest_balance(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    """Its time is the exchange's and some milliseconds ago; the look before it was of now."""

    class Live:
        def __init__(self) -> None:
            self.balances = {"BTC": 1}

        def update_balance(self, asset: str, balance: int, timestamp: int) -> None:
            self.balances[asset] = balance

    manager = Live()
    await bridge.integrate_with_balance_manager(manager, poll_interval_s=NEVER_S)
    manager.update_balance("BTC", 2, START_US // 1000 - 50)
    manager.update_balance("BTC", 3, START_US // 1000 + 60_000)
    await bridge.flush()
    latest = await storage.get_latest_balance("BTC")
    assert latest is not None
    assert latest.balance == 3
    assert abs(latest.updated_at - AT) < timedelta(seconds=1), (
        "a clock that is ahead does not date the future"
    )
    assert rows(storage.store, "SELECT balance, exchange_at FROM balance_history ORDER BY id") == [
        ("1", None), ("2", START_US - 50_000), ("3", START_US + 60_000_000),
    ]  # fmt: skip


async def test_a_message_that_is_late_is_history(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Feed:
        def on_balance(self, message: dict[str, Any]) -> None:
            """Keep nothing."""

    manager = Feed()
    await bridge.integrate_with_balance_manager(manager)
    for balance, at_ms in ((1, 100), (3, 300), (2, 200), (3, 300)):
        manager.on_balance({"asset": "BTC", "balance": balance, "ts": START_US // 1000 - 1000 + at_ms})
    await bridge.flush()
    latest = await storage.get_latest_balance("BTC")
    assert latest is not None
    assert latest.balance == 3
    assert [figure for _, figure, _ in history(storage)] == ["1", "3", "2"], (
        "told again, it is not recorded again"
    )
