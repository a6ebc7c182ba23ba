"""A write that meets a tier move waits for it, or says how long it waited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import Conflict
from hybridstore.retention.mover import Mover
from hybridstore.store import HybridStore
from tests.hot.books import START_US

OLD_US = START_US - 20 * DAY_US


def tick(price: int) -> list[tuple[object, ...]]:
    return [("BTC/USDT", 1, price, 1, "buy", OLD_US)]


def move_and_meanwhile(store: HybridStore, act: Callable[[], None]) -> None:
    """Move what is old; once it is claimed and read, act."""
    (planned,) = store.retention.plan()
    Mover(store.database, on_step=lambda step: act() if step == "read" else None).move(planned)


def test_a_correction_of_a_claimed_day_waits_for_the_move(store: HybridStore) -> None:
    store.record_market_trades(tick(100))
    correction = threading.Thread(
        target=lambda: counts.append(store.record_market_trades(tick(200)).corrected)
    )
    counts: list[int] = []
    move_and_meanwhile(store, correction.start)
    correction.join(10)
    assert counts == [1]
    assert store.sql("SELECT price FROM market_trades").rows() == [(200,)]


def test_an_awaited_one_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    async def run() -> None:
        async with TradingBotStorageSystem(tmp_path, clock=ManualClock(START_US)) as storage:
            await storage.record_market_trades(tick(100))
            loop, begun = asyncio.get_running_loop(), asyncio.Event()

            def act() -> None:
                loop.call_soon_threadsafe(begun.set)

            moving = asyncio.create_task(asyncio.to_thread(move_and_meanwhile, storage.store, act))
            await begun.wait()
            correction = asyncio.create_task(storage.record_market_trades(tick(200)))
            await storage.record_balance_update("BTC", 1)
            await moving
            assert (await correction).corrected == 1

    asyncio.run(run())


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), busy_timeout_ms=30)
    with HybridStore(config=config, clock=ManualClock(START_US)) as store:
        store.record_market_trades(tick(100))
        told: list[str] = []

        def act() -> None:
            with pytest.raises(Conflict, match="its day is being archived") as caught:
                store.record_market_trades(tick(200))
            assert caught.value.retryable
            told.append(str(caught.value))

        move_and_meanwhile(store, act)
        assert len(told) == 1
        assert store.sql("SELECT price FROM market_trades").rows() == [(100,)]
