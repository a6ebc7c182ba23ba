"""Balance managers of many shapes: what they told and showed is in the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hybridstore import StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.errors import InvalidValue
from tests.hot.books import rows, values
from tests.integrations.managers import (
    Announcer,
    AnyArguments,
    Batches,
    Bookkeeper,
    CamelCase,
    Counted,
    Emitter,
    ExchangeFeed,
    Internal,
    Observed,
    OnBalance,
    OnePlace,
    OtherNames,
    RawMessages,
    Registering,
    Setter,
    Subscribable,
    Wallet,
)
from tests.integrations.watching import NEVER_S, SOON_S, eventually, history

# -- four managers ------------------------------------------------------------------------------------------------


async def test_a_method_that_is_called(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Bookkeeper()
    manager.balances["USDT"] = {"total": Decimal(1000), "hold": Decimal(10)}
    integration = await bridge.integrate_with_balance_manager(manager, account="kraken/main")
    assert manager.update_balance("BTC", Decimal("0.5"), Decimal("0.1"), source="ws") == "BTC is 0.5"
    assert manager.update_balance("BTC", balance=Decimal("0.4")) == "BTC is 0.4"
    await integration.flush()
    assert history(storage, "kraken/main") == [
        ("USDT", "1000", "10"), ("BTC", "0.5", "0.1"), ("BTC", "0.4", "0"),
    ]  # fmt: skip
    latest = await storage.get_latest_balance("BTC", "kraken/main")
    assert latest is not None
    assert values(latest.balance, latest.hold_trade, latest.source) == (Decimal("0.4"), 0, "balance_manager")
    first = rows(storage.store, "SELECT source FROM balance_history WHERE balance = '0.5'")
    assert first == [("ws",)]
    assert (integration.recorded, integration.errors, integration.last_error) == (3, 0, None)
    assert "update_balance()" in integration.how
    assert ".balances" in integration.how


async def test_messages_of_an_exchange_to_an_asynchronous_method(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = ExchangeFeed()
    integration = await bridge.integrate_with_balance_manager(manager)
    message = {
        "e": "outboundAccountPosition",
        "timestamp": 1_785_585_599_123,
        "B": [{"a": "BTC", "f": "1.25", "l": "0.75"}, {"a": "USDT", "f": "7", "l": "0.00"}],
    }
    assert await manager.process_balance_update(message) == 2
    assert asyncio.iscoroutinefunction(manager.process_balance_update)
    await integration.flush()
    assert history(storage) == [("BTC", "2", "0.75"), ("USDT", "7", "0")]
    latest = await storage.get_latest_balance("BTC")
    assert latest is not None
    assert latest.updated_at == datetime(2026, 8, 1, 11, 59, 59, 123_000, tzinfo=UTC)


async def test_a_listener(storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge) -> None:
    manager = Announcer()
    integration = await bridge.integrate_with_balance_manager(manager)
    zone = timezone(timedelta(hours=2))
    manager.tell(Announcer.Event("ETH", 1.1, 0.4, datetime(2026, 8, 1, 14, tzinfo=zone)))
    await integration.flush()
    assert history(storage) == [("ETH", "1.5", "0.4")]
    assert bridge.status()["floats_converted"] == 2
    integration.detach()
    assert manager._listeners == []
    manager.tell(Announcer.Event("ETH", 9, 0, datetime(2026, 8, 1, 15, tzinfo=zone)))
    await bridge.flush()
    assert integration.recorded == 1


async def test_a_state_that_is_watched(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Wallet({"BTC": SimpleNamespace(free=1.5, used=0.5, total=2.0)})
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=SOON_S)
    await integration.flush()
    assert history(storage) == [("BTC", "2", "0.5")]
    manager.balances["BTC"].total = 3
    manager.balances["SOL"] = SimpleNamespace(free=7, used=0, total=7)
    await eventually(lambda: integration.recorded == 3)
    await asyncio.sleep(5 * SOON_S)
    assert history(storage) == [("BTC", "2", "0.5"), ("BTC", "3", "0.5"), ("SOL", "7", "0")], "only changes"
    integration.detach()
    manager.balances["SOL"].total = 8
    await asyncio.sleep(5 * SOON_S)
    await bridge.flush()
    assert len(history(storage)) == 3


# -- many more shapes ---------------------------------------------------------------------------------------------


CCXT = {
    "info": {"raw": 1},
    "timestamp": 1_785_585_600_000,
    "datetime": "2026-08-01T12:00:00.000Z",
    "BTC": {"free": 0.3, "used": 0.2, "total": 0.5},
    "USDT": {"free": 100.0, "used": None, "total": 100.0},
    "free": {"BTC": 0.3, "USDT": 100.0},
    "used": {"BTC": 0.2, "USDT": None},
    "total": {"BTC": 0.5, "USDT": 100.0},
}
COLUMNS = {"free": {"BTC": "0.3"}, "used": {"BTC": "0.2"}, "total": {"BTC": "0.5"}}
BTC: list[tuple[str, str, str | None]] = [("BTC", "0.5", "0.2")]

SHAPES: list[tuple[type[Counted], Callable[[Any], object], list[tuple[str, str, str | None]]]] = [
    (Setter, lambda m: m.set_balance("BTC", 0.5), [("BTC", "0.5", None)]),
    (Setter, lambda m: m.set_balance(currency="BTC", amount="0.5"), [("BTC", "0.5", None)]),
    (OnBalance, lambda m: m.on_balance("BTC", "0.3", "0.2"), BTC),
    (RawMessages, lambda m: m.handle_balance_message(json.dumps(COLUMNS)), BTC),
    (RawMessages, lambda m: m.handle_balance_message('{"asset": "BTC", "total": 0.5, "used": 2e-1}'), BTC),
    (CamelCase, lambda m: m.onBalanceUpdate(CCXT), [*BTC, ("USDT", "100", "0")]),
    (CamelCase, lambda m: m.onBalanceUpdate(SimpleNamespace(asset="BTC", total="0.5", held="0.2")), BTC),
    (CamelCase, lambda m: m.onBalanceUpdate({"data": [{"coin": "BTC", "walletBalance": "0.5", "locked": "0.2"}]}), BTC),
    (Internal, lambda m: m.receive({"ccy": "BTC", "bal": "0.5", "frozenBal": "0.2"}), BTC),
    (Internal, lambda m: m._on_balance([("BTC", "0.5", "0.2")]), BTC),
    (Batches, lambda m: m.update_balances({"BTC": 0.5, "ETH": Decimal(1)}), [("BTC", "0.5", None), ("ETH", "1", None)]),
    (Batches, lambda m: m.update_balances({"BTC": {"free": "0.3", "used": "0.2"}}), BTC),
    (Batches, lambda m: m.update_balances([{"asset": "BTC", "free": "0.3", "locked": "0.2"}]), BTC),
    (Batches, lambda m: m.update_balances({"result": {"BTC": {"balance": "0.5", "hold_trade": "0.2"}}}), BTC),
    (AnyArguments, lambda m: m.update_balance("BTC", Decimal("0.5")), [("BTC", "0.5", None)]),
    (AnyArguments, lambda m: m.update_balance(asset="BTC", balance="0.5", hold="0.2"), BTC),
    (AnyArguments, lambda m: m.update_balance("BTC", {"free": "0.3", "used": "0.2"}), BTC),
    (OtherNames, lambda m: m.update_balance("BTC", 1), [("BTC", "1", None)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "act", "expected"), SHAPES, ids=range(len(SHAPES)))
async def test_a_shape_is_read(
    kind: type[Counted],
    act: Callable[[Any], object],
    expected: list[tuple[str, str, str | None]],
    storage: TradingBotStorageSystem,
    bridge: StorageIntegrationBridge,
) -> None:
    manager = kind()
    integration = await bridge.integrate_with_balance_manager(manager)
    act(manager)
    await integration.flush()
    assert history(storage) == expected
    assert (manager.calls, integration.errors) == (1, 0)


@pytest.mark.parametrize("kind", [Emitter, Subscribable, Registering, Observed, OnePlace])
async def test_a_way_of_listening_is_used_and_given_back(
    kind: type[Any], storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = kind()
    integration = await bridge.integrate_with_balance_manager(manager)
    assert manager.count() == 1
    manager.emit("BTC", Decimal(1))
    manager.emit("balance", {"asset": "ETH", "total": "2", "locked": "1"})
    manager.emit({"SOL": {"free": 3, "used": 0}})
    manager.emit("connected")
    await integration.flush()
    assert history(storage) == [("BTC", "1", None), ("ETH", "2", "1"), ("SOL", "3", "0")]
    assert (integration.errors, integration.ignored) == (0, 1)
    integration.detach()
    assert manager.count() == 0


class AwaitsListeners:
    """Awaits every listener, as the annotation of its method says."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[Any], Coroutine[Any, Any, None]]] = []

    def add_listener(self, listener: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """Add a listener."""
        self.tasks.append(listener)

    async def tell(self, event: Any) -> None:
        """Run the listeners as tasks."""
        await asyncio.gather(*(asyncio.create_task(listener(event)) for listener in self.tasks))


async def test_listeners_that_are_awaited(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager, plain = AwaitsListeners(), Subscribable()
    await bridge.integrate_with_balance_manager(manager)
    await bridge.integrate_with_balance_manager(plain)
    await manager.tell({"asset": "BTC", "total": 1})
    told: Any = plain.taken[0]({"asset": "ETH", "total": 2})
    assert not told
    assert await told is None
    await bridge.flush()
    assert history(storage) == [("BTC", "1", None), ("ETH", "2", None)]


async def test_an_object_that_makes_up_attributes_is_not_believed(bridge: StorageIntegrationBridge) -> None:
    class Remote:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            raise RuntimeError(f"{name} was asked of the other side")

        @property
        def balances(self) -> dict[str, int]:
            raise ConnectionError

    with pytest.raises(InvalidValue, match="offers nothing"):
        await bridge.integrate_with_balance_manager(Remote())


async def test_who_was_in_the_place_is_still_called(bridge: StorageIntegrationBridge) -> None:
    manager = OnePlace()
    heard: list[tuple[Any, ...]] = []
    mine = lambda *args: heard.append(args)  # noqa: E731  it is compared below
    manager.on_balance = mine
    integration = await bridge.integrate_with_balance_manager(manager)
    manager.emit("BTC", 1)
    assert heard == [("BTC", 1)]
    integration.detach()
    assert manager.on_balance is mine


async def test_an_asynchronous_getter(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Remote:
        def __init__(self) -> None:
            self.figures = {"BTC": "1"}

        async def get_all_balances(self) -> dict[str, str]:
            await asyncio.sleep(0)
            return self.figures

        def update_balance(self, asset: str, delta: str) -> None:
            self.figures[asset] = str(Decimal(self.figures[asset]) + Decimal(delta))

    manager = Remote()
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=NEVER_S)
    manager.update_balance("BTC", "0.5")
    await eventually(lambda: integration.recorded == 2)
    assert history(storage) == [("BTC", "1", None), ("BTC", "1.5", None)]


async def test_a_getter_that_wants_an_asset(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Asked:
        def get_balance(self, asset: str) -> dict[str, Any]:
            return {"free": {"BTC": 1, "ETH": 2}[asset], "used": 0}

    with pytest.raises(InvalidValue, match="offers nothing"):
        await bridge.integrate_with_balance_manager(Asked())
    integration = await bridge.integrate_with_balance_manager(Asked(), assets=["BTC", "ETH"])
    await integration.flush()
    assert history(storage) == [("BTC", "1", "0"), ("ETH", "2", "0")]
