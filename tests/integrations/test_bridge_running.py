"""The bridge itself: bases, methods by name, nothing to hook, and a store that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hybridstore import StorageBackedBalanceManager, StorageBackedPortfolioManager, StorageIntegrationBridge
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue
from tests.hot.books import START_US, rows
from tests.integrations.managers import (
    Setter,
)
from tests.integrations.watching import SOON_S, eventually, history, trades

# -- bases, explicit names, nothing to hook -----------------------------------------------------------------------


class OwnFills(StorageBackedPortfolioManager):
    """Says itself which fills and prices there are."""


class Own(StorageBackedBalanceManager):
    """Says itself what is to be recorded; it does not call the constructor of its base."""

    def __init__(self) -> None:
        self.known: dict[str, float] = {}

    def trade(self, asset: str, by: float) -> bool:
        """Change a balance and record it."""
        self.known[asset] = self.known.get(asset, 0) + by
        return self.record_balance(asset, self.known[asset], hold=1, source="trade", reason="test")


async def test_a_subclass_records_by_itself(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    manager = Own()
    assert not manager.trade("BTC", 5), "nobody listens yet"
    integration = await bridge.integrate_with_balance_manager(manager)
    assert manager.trade("BTC", 0.5)
    assert manager.record_balance("ETH", float("nan")), "taken, and refused"
    await integration.flush()
    assert history(storage) == [("BTC", "5.5", "1")]
    assert rows(storage.store, "SELECT source, reason FROM balance_history") == [("trade", "test")]
    assert integration.errors == 1
    integration.detach()
    assert not manager.trade("BTC", 1)


async def test_methods_can_be_named(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Peculiar:
        def tally(self, words: str) -> str:
            return words.upper()

        def assets_now(self, coin: str, total: int) -> None:
            """Keep nothing."""

    manager = Peculiar()
    integration = await bridge.integrate_with_balance_manager(
        manager,
        update_methods={
            "tally": lambda words: {words.split()[0]: words.split()[1]},
            "assets_now": lambda coin, total: {coin: total},
        },
    )
    assert manager.tally("btc 5") == "BTC 5"
    manager.assets_now("ETH", 7)
    await integration.flush()
    assert history(storage) == [("btc", "5", None), ("ETH", "7", None)]
    with pytest.raises(InvalidValue, match="no method 'tell'"):
        await bridge.integrate_with_balance_manager(Peculiar(), update_methods=["tell"])


async def test_a_manager_is_not_integrated_twice(bridge: StorageIntegrationBridge) -> None:
    manager = Setter()
    integration = await bridge.integrate_with_balance_manager(manager)
    with pytest.raises(InvalidValue, match="integrated already"):
        await bridge.integrate_with_balance_manager(manager)
    integration.detach()
    again = await bridge.integrate_with_balance_manager(manager)
    manager.set_balance("BTC", 1)
    await bridge.flush()
    assert (integration.recorded, again.recorded) == (0, 1)


async def test_nothing_to_hook_says_what_was_looked_for(bridge: StorageIntegrationBridge) -> None:
    class Mute:
        def shout(self) -> None:
            """Do nothing."""

    manager = Mute()
    with pytest.raises(InvalidValue) as caught:
        await bridge.integrate_with_balance_manager(manager)
    text = str(caught.value)
    for part in (
        "Mute",
        "add_listener",
        "update_balance",
        "get_all_balances",
        "shout",
        "update_methods=",
        "extract=",
    ):
        assert part in text
    assert vars(manager) == {}
    assert bridge.status()["integrations"] == []


async def test_an_object_that_takes_no_wrapper_is_watched(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Slotted:
        __slots__ = ("balances",)

        def __init__(self) -> None:
            self.balances = {"BTC": 1}

        def update_balance(self, asset: str, balance: int) -> None:
            self.balances[asset] = balance

    manager = Slotted()
    integration = await bridge.integrate_with_balance_manager(manager, poll_interval_s=SOON_S)
    assert "update_balance" not in integration.how
    manager.update_balance("BTC", 2)
    await eventually(lambda: integration.recorded == 2)
    assert history(storage) == [("BTC", "1", None), ("BTC", "2", None)]


# -- a store that fails -------------------------------------------------------------------------------------------


@contextmanager
def write_lock(storage: TradingBotStorageSystem) -> Iterator[None]:
    """Hold the write lock from another connection of the same library, so that every write finds the store busy."""
    from hybridstore.hot.connection import open_connection

    connection = open_connection(storage.store.database.config, write=True)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_a_busy_store_is_tried_again(tmp_path: Path, clock: ManualClock) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), busy_timeout_ms=10)
    async with (
        TradingBotStorageSystem(config=config, clock=clock) as storage,
        StorageIntegrationBridge(storage) as bridge,
    ):
        manager = Setter()
        integration = await bridge.integrate_with_balance_manager(manager)
        with write_lock(storage):
            for number in range(20):
                manager.set_balance("BTC", number)
            await eventually(lambda: bridge.status()["retries"] > 1)
            assert integration.recorded == 0
        await integration.flush()
        assert history(storage) == [("BTC", str(number), None) for number in range(20)]
        assert (integration.recorded, integration.errors) == (20, 0)


async def test_a_full_queue_loses_the_oldest_figures_and_says_so(
    storage: TradingBotStorageSystem, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []
    bridge = StorageIntegrationBridge(
        storage, queue_size=10, on_error=lambda _a, _b, error: errors.append(error)
    )
    manager = Setter()
    integration = await bridge.integrate_with_balance_manager(manager)
    for number in range(25):
        manager.set_balance("BTC", number)
    await bridge.close()
    assert [figure for _, figure, _ in history(storage)] == [str(number) for number in range(15, 25)]
    assert (integration.recorded, integration.errors, integration.dropped) == (10, 15, 15)
    assert len(errors) == 15
    assert "10 events wait" in str(errors[0])
    assert bridge.status()["dropped"] == 15
    assert len([record for record in caplog.records if "not recorded" in record.message]) == 4, (
        "1, 2, 4 and 8"
    )


async def test_a_full_queue_keeps_fills_and_their_order(
    storage: TradingBotStorageSystem,
) -> None:
    bridge = StorageIntegrationBridge(storage, queue_size=10)
    manager = OwnFills()
    integration = await bridge.integrate_with_portfolio_manager(manager)
    for number in range(1, 9):
        manager.record_fill("BTC/USDT", "buy", 100, 1, trade_id=str(number))
        manager.record_price("BTC/USDT", number)
    await bridge.close()
    assert [trade_id for _, trade_id, *_ in trades(storage)] == [str(number) for number in range(1, 9)]
    assert (integration.recorded, integration.dropped) == (10, 6)
    mark = await storage.get_mark("BTC/USDT")
    assert mark is not None
    assert mark.mark == 8, "the latest price is kept"


async def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), busy_timeout_ms=10)
    async with TradingBotStorageSystem(config=config, maintenance="off") as storage:
        bridge = StorageIntegrationBridge(storage)
        manager = Setter()
        integration = await bridge.integrate_with_balance_manager(manager)
        with write_lock(storage):
            manager.set_balance("BTC", 1)
            await bridge.close(timeout_s=0.1)
        assert (integration.recorded, integration.errors) == (0, 1)
        assert "before the store took this" in str(integration.last_error)


async def test_a_store_that_stays_closed_is_reported(tmp_path: Path) -> None:
    storage = TradingBotStorageSystem(tmp_path / "root")
    await storage.initialize()
    bridge = StorageIntegrationBridge(storage)
    manager = Setter()
    integration = await bridge.integrate_with_balance_manager(manager)
    await storage.close()
    manager.set_balance("BTC", 1)
    await integration.flush()
    assert (manager.calls, integration.recorded, integration.errors) == (1, 0, 1)
    assert "closed" in str(integration.last_error)
    await bridge.close()


def test_a_loop_that_ends_without_closing_says_what_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = Setter()

    async def run() -> Any:
        storage = TradingBotStorageSystem(tmp_path / "root", maintenance="off")
        await storage.initialize()
        bridge = StorageIntegrationBridge(storage)
        integration = await bridge.integrate_with_balance_manager(manager)
        manager.set_balance("BTC", 1)
        storage.store.close()
        return integration

    integration = asyncio.run(run())
    manager.set_balance("BTC", 2)
    assert (manager.calls, integration.recorded, integration.errors) == (2, 0, 2)
    assert "not recorded" in caplog.text


async def test_only_an_open_asynchronous_storage_is_taken(storage: TradingBotStorageSystem) -> None:
    with pytest.raises(InvalidValue, match="no TradingBotStorageSystem"):
        StorageIntegrationBridge(storage.store)  # type: ignore[arg-type]  # the point
    with pytest.raises(InvalidValue, match="floats='round'"):
        StorageIntegrationBridge(storage, floats="round")  # type: ignore[arg-type]  # the point
    with pytest.raises(InvalidValue, match="queue_size=0"):
        StorageIntegrationBridge(storage, queue_size=0)


async def test_a_time_without_a_zone_is_left_out(
    storage: TradingBotStorageSystem, bridge: StorageIntegrationBridge
) -> None:
    class Timed:
        def update_balance(self, asset: str, balance: int, timestamp: datetime) -> None:
            """Keep nothing."""

    manager = Timed()
    await bridge.integrate_with_balance_manager(manager)
    manager.update_balance("BTC", 1, datetime(2020, 1, 1))  # noqa: DTZ001  the point
    await bridge.flush()
    latest = await storage.get_latest_balance("BTC")
    assert latest is not None
    assert latest.updated_at == datetime.fromtimestamp(START_US / 1e6, UTC)
    assert bridge.status()["times_ignored"] == 1
