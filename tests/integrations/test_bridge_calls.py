"""A manager notices nothing: results, exceptions, threads, wrong figures, and detaching."""

from __future__ import annotations

import asyncio
import functools
import threading
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hybridstore import StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from tests.integrations.managers import (
    Batches,
    Bookkeeper,
    ExchangeFeed,
    Setter,
)
from tests.integrations.watching import NEVER_S, SOON_S, eventually, history

# -- calls inside calls, exceptions, threads ----------------------------------------------------------------------


class Nested:
    """Each level calls the next; only the innermost knows asset and balance by name."""

    async def handle_balance_message(self, message: list[str]) -> None:
        """Split a message of the exchange's own kind."""
        await asyncio.sleep(0)
        for entry in message:
            self.on_balance_update(entry)

    def on_balance_update(self, entry: str) -> None:
        """Split an entry."""
        asset, _, figure = entry.partition("=")
        self.set_balance(asset, figure)

    def set_balance(self, asset: str, balance: str) -> None:
        """Keep nothing."""


async def test_calls_inside_calls_are_recorded_once(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Nested()
    integration = await bridge.integrate_with_balance_manager(manager)
    await manager.handle_balance_message(["BTC=1", "ETH=2"])
    await asyncio.gather(*(manager.handle_balance_message([f"A{number}=1"]) for number in range(3)))
    await integration.flush()
    assert history(storage) == [
        ("BTC", "1", None),
        ("ETH", "2", None),
        *((f"A{n}", "1", None) for n in range(3)),
    ]
    assert integration.ignored == 0


async def test_a_call_that_raises_tells_nothing(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Bookkeeper()
    integration = await bridge.integrate_with_balance_manager(manager)
    with pytest.raises(ValueError, match="BTC"):
        manager.update_balance("BTC", Decimal(-1))
    with pytest.raises(TypeError, match="asset"):
        manager.update_balance(balance=Decimal(1))  # type: ignore[call-arg]  # the point
    await integration.flush()
    assert history(storage) == []
    assert integration.errors == 0


async def test_threads_and_loops_of_their_own(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Bookkeeper()
    feed = ExchangeFeed()
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=NEVER_S)
    other = await bridge.integrate_with_balance_manager(feed, account="other")

    def work(number: int) -> None:
        for step in range(100):
            manager.update_balance(f"T{number}", Decimal(step))
        asyncio.run(feed.process_balance_update({"B": [{"a": f"T{number}", "f": "1", "l": "0"}]}))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await bridge.flush()
    for number in range(4):
        latest = await storage.get_latest_balance(f"T{number}")
        assert latest is not None
        assert latest.balance == 99
    assert integration.errors == 0
    assert sorted(history(storage, "other")) == [(f"T{number}", "1", "0") for number in range(4)]
    assert other.recorded == 4


async def test_a_thread_records_all_of_its_calls_in_order(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Setter()
    await bridge.integrate_with_balance_manager(manager)

    def work() -> None:
        for number in range(500):
            manager.set_balance("BTC", number)

    await asyncio.to_thread(work)
    await bridge.flush()
    assert history(storage) == [("BTC", str(number), None) for number in range(500)]


# -- detaching ----------------------------------------------------------------------------------------------------


async def test_detaching_leaves_the_manager_as_it_was(bridge: StorageIntegrationBridge) -> None:
    manager = Bookkeeper()
    mine = manager.update_balance
    before = dict(vars(manager))
    integration = await bridge.integrate_with_balance_manager(manager)
    assert vars(manager).keys() - before.keys() == {"update_balance"}
    assert manager.update_balance.__doc__ == mine.__doc__
    integration.detach()
    integration.detach()
    assert vars(manager) == before
    assert manager.update_balance == mine
    assert not integration.attached
    manager.update_balance("BTC", Decimal(1))
    await bridge.flush()
    assert integration.recorded == 0


async def test_an_own_function_on_the_instance_comes_back(bridge: StorageIntegrationBridge) -> None:
    def own(asset: str, balance: int) -> None:
        """Do nothing."""

    manager = SimpleNamespace(update_balance=own)
    integration = await bridge.integrate_with_balance_manager(manager)
    assert manager.update_balance is not own
    integration.detach()
    assert manager.update_balance is own


async def test_a_wrapper_that_was_wrapped_falls_silent(bridge: StorageIntegrationBridge) -> None:
    manager = Setter()
    integration = await bridge.integrate_with_balance_manager(manager)
    inner = manager.set_balance
    manager.set_balance = functools.partial(inner)  # type: ignore[method-assign]  # somebody else's wrapper
    integration.detach()
    manager.set_balance("BTC", 1)
    await bridge.flush()
    assert (manager.calls, integration.recorded) == (1, 0)


async def test_closing_detaches_and_records_what_is_queued(storage: TradingBotStorageSystem) -> None:
    bridge = StorageIntegrationBridge(storage)
    manager = Setter()
    integration = await bridge.integrate_with_balance_manager(manager)
    for number in range(50):
        manager.set_balance("BTC", number)
    await bridge.close()
    await bridge.close()
    assert len(history(storage)) == 50
    assert not integration.attached
    with pytest.raises(Exception, match="bridge is closed"):
        await bridge.integrate_with_balance_manager(Setter())


# -- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), Decimal("NaN"), "1.2.3", 10**20])
async def test_a_wrong_figure_is_refused_and_the_manager_goes_on(
    bad: object, storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Batches()
    integration = await bridge.integrate_with_balance_manager(manager)
    manager.update_balances([{"asset": "BTC", "total": bad}, {"asset": "ETH", "total": 1}])
    await bridge.flush()
    assert history(storage) == [("ETH", "1", None)]
    assert (manager.calls, integration.errors) == (1, 1)


async def test_a_wrong_figure_that_is_shown_is_refused_once(bridge: StorageIntegrationBridge) -> None:
    manager = SimpleNamespace(balances={"BTC": float("nan"), "ETH": 1.0})
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=SOON_S)
    await eventually(lambda: integration.recorded == 1)
    await asyncio.sleep(5 * SOON_S)  # polled again and again, it is refused no second time
    assert (integration.errors, integration.recorded) == (1, 1)
    assert "not a finite number" in str(integration.last_error)


async def test_floats_can_be_refused(storage: TradingBotStorageSystem) -> None:
    errors: list[str] = []
    async with StorageIntegrationBridge(
        storage, floats="refuse", on_error=lambda who, event, error: errors.append(f"{event} {error}")
    ) as bridge:
        manager = Setter()
        integration = await bridge.integrate_with_balance_manager(manager)
        manager.set_balance("BTC", 0.1)
        manager.set_balance("BTC", 1)
        await integration.flush()
        assert history(storage) == [("BTC", "1", None)]
        assert integration.errors == 1
        assert bridge.status()["floats_converted"] == 0
    assert "BTC" in errors[0]
    assert "0.1" in errors[0]
    assert "float is not exact" in errors[0]


async def test_on_error_that_fails_harms_nobody(storage: TradingBotStorageSystem) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the user's own")

    async with StorageIntegrationBridge(storage, on_error=fail) as bridge:
        manager = Setter()
        integration = await bridge.integrate_with_balance_manager(manager)
        manager.set_balance("BTC", float("inf"))
        manager.set_balance("BTC", 1)
        await integration.flush()
        assert (integration.errors, integration.recorded) == (1, 1)
