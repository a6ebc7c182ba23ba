"""Subscriptions wait for what is committed here and elsewhere, hold nothing meanwhile, and end when they should."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import StoreClosed
from hybridstore.hot.async_subscription import AsyncSubscription
from hybridstore.hot.subscription import Pace
from hybridstore.store import HybridStore
from tests.hot import children
from tests.hot.books import START_US

WAIT_S = 20.0
"""Longer than anything here takes; a test that waits so long fails."""


def trade(number: int, amount: int = 1) -> tuple[object, ...]:
    return ("BTC/USDT", number, 100, amount, "buy", START_US)


class TestSync:
    def test_waits_for_a_commit(self, store: HybridStore) -> None:
        with store.subscribe(timeout_s=WAIT_S) as events:
            later = threading.Timer(0.05, store.record_market_trades, [[trade(1)]])
            later.start()
            event = events.next(WAIT_S)
            later.join()
        assert event is not None
        assert event.row["trade_id"] == 1

    def test_ends_after_its_timeout_and_can_go_on(self, store: HybridStore) -> None:
        with store.subscribe(timeout_s=0.01) as events:
            assert list(events) == []
            assert events.next(0) is None
            store.record_market_trades([trade(1)])
            assert len(list(events)) == 1

    def test_is_closed_from_another_thread(self, store: HybridStore) -> None:
        events = store.subscribe()
        closing = threading.Timer(0.02, events.close)
        closing.start()
        assert list(events) == []
        closing.join()
        events.close()
        store.record_market_trades([trade(1)])
        assert events.next() is None

    def test_ends_when_the_store_is_closed(self, root: Path) -> None:
        store = HybridStore(root).open()
        events = store.subscribe(timeout_s=WAIT_S)
        closing = threading.Timer(0.02, store.close)
        closing.start()
        with pytest.raises(StoreClosed):
            list(events)
        closing.join()
        with pytest.raises(StoreClosed):
            store.subscribe()

    def test_leaves_nothing_behind(self, store: HybridStore) -> None:
        threads = set(threading.enumerate())
        log = store.database.writer.log
        with store.subscribe(from_start=True, timeout_s=0) as events:
            store.record_market_trades([trade(number) for number in range(2_000)])
            assert events.next() is not None
            statistics = store.database.readers.statistics()
            assert (statistics["active_connections"], statistics["oldest_reader_s"]) == (0, 0)
            assert set(threading.enumerate()) == threads
            assert len(log.listeners) == 1
        assert not log.listeners

    def test_that_was_forgotten_is_not_rung(self, store: HybridStore) -> None:
        events = store.subscribe()
        assert len(store.database.writer.log.listeners) == 1
        del events
        gc.collect()
        assert not store.database.writer.log.listeners

    def test_sees_what_another_process_commits(self, store: HybridStore) -> None:
        with store.subscribe(["market_trades"]) as events:
            child = children.start(_WRITER, store.root, 0, 20)
            told = [events.next(WAIT_S) for _ in range(20)]
            children.finish(child)
        assert [event.row["trade_id"] for event in told if event] == list(range(20))

    def test_the_pace_follows_what_others_do(self) -> None:
        pace = Pace(50)
        pace.note(changed=True)
        assert pace.poll_s == pytest.approx(0.002)
        pauses = []
        for _ in range(30):
            pace.note(changed=False)
            pauses.append(pace.poll_s)
        assert pauses == sorted(pauses)
        assert pauses[-1] == pytest.approx(0.05)


@pytest.fixture
async def storage(root: Path, clock: ManualClock) -> AsyncIterator[TradingBotStorageSystem]:
    """Return an open store on the loop of the test."""
    async with TradingBotStorageSystem(root, clock=clock) as opened:
        yield opened


async def take(events: AsyncSubscription, count: int) -> list[int]:
    async with asyncio.timeout(WAIT_S):
        return [(await anext(events)).row["trade_id"] for _ in range(count)]


class TestAsync:
    async def test_tells_what_is_committed_meanwhile(self, storage: TradingBotStorageSystem) -> None:
        async with storage.subscribe(["market_trades"]) as events:
            taking = asyncio.create_task(take(events, 300))
            for number in range(300):
                await storage.record_market_trades([trade(number)], durability="normal")
            assert await taking == list(range(300))
            assert storage.store.database.writer.log.listeners
        assert not storage.store.database.writer.log.listeners

    async def test_goes_on_from_a_token(self, storage: TradingBotStorageSystem) -> None:
        await storage.record_market_trades([trade(number) for number in range(500)])
        token = None
        told = []
        for count in (1, 99, 100, 250, 50):
            async with storage.subscribe(["market_trades"], token=token, from_start=token is None) as events:
                told += await take(events, count)
                token = events.token
        assert told == list(range(500))

    async def test_reads_archived_rows_in_a_thread(
        self, storage: TradingBotStorageSystem, clock: ManualClock
    ) -> None:
        async with storage.subscribe(["market_trades"], from_start=True) as events:
            await storage.record_market_trades([trade(0), trade(1)])
            assert await take(events, 2) == [0, 1]
            await storage.record_market_trades([trade(number) for number in range(2, 700)])
            clock.advance(10 * DAY_US)
            await asyncio.to_thread(storage.store.retention.run)
            assert await take(events, 698) == list(range(2, 700))

    async def test_cancelling_who_waits_loses_nothing(self, storage: TradingBotStorageSystem) -> None:
        told: list[int] = []
        async with storage.subscribe(["market_trades"]) as events:
            for number in range(200):
                await storage.record_market_trades([trade(number)], durability="normal")
                waiting = asyncio.create_task(_append(events, told))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
            told += await take(events, 200 - len(told))
        assert told == list(range(200))

    async def test_others_have_their_turn_while_there_is_much_to_tell(
        self, storage: TradingBotStorageSystem
    ) -> None:
        await storage.record_market_trades([trade(number) for number in range(3_000)])
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async with storage.subscribe(["market_trades"], from_start=True) as events:
            await take(events, 3_000)
        counting.cancel()
        assert turns > 10

    async def test_a_slow_consumer_holds_nothing(self, storage: TradingBotStorageSystem) -> None:
        await storage.record_market_trades([trade(number) for number in range(1_000)])
        async with storage.subscribe(["market_trades"], from_start=True) as events:
            await take(events, 10)
            statistics = storage.store.database.readers.statistics()
            assert (statistics["active_connections"], statistics["oldest_reader_s"]) == (0, 0)

    async def test_is_closed_by_another_task(self, storage: TradingBotStorageSystem) -> None:
        events = storage.subscribe()
        waiting = asyncio.create_task(_all(events))
        await asyncio.sleep(0.01)
        await events.close()
        await events.close()
        async with asyncio.timeout(WAIT_S):
            assert await waiting == []

    async def test_ends_when_the_store_is_closed(self, root: Path) -> None:
        storage = TradingBotStorageSystem(root, maintenance="off")
        await storage.initialize()
        events = storage.subscribe()
        waiting = asyncio.create_task(_all(events))
        await asyncio.sleep(0.01)
        await storage.close()
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(StoreClosed):
                await waiting
        await events.close()

    async def test_a_round_that_is_under_way_is_waited_for(self, storage: TradingBotStorageSystem) -> None:
        await storage.record_market_trades([trade(number) for number in range(100)])
        events = storage.subscribe(from_start=True)
        waiting = asyncio.create_task(_all(events))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await events.close()
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def _append(events: AsyncSubscription, told: list[int]) -> None:
    told.append((await anext(events)).row["trade_id"])


async def _all(events: AsyncSubscription) -> list[object]:
    return [event async for event in events]


_WRITER = """
import sys
from hybridstore import HybridStore
with HybridStore(sys.argv[1]) as store:
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3])):
        store.record_market_trades([("BTC/USDT", number, 100, 1, "buy", 1_785_585_600_000_000)])
"""

_KILLED_WRITER = """
import sys, time
from hybridstore import HybridStore
process = int(sys.argv[2])
with HybridStore(sys.argv[1]) as store:
    number = process * 1_000_000
    while True:
        number += 5
        rows = [("BTC/USDT", number + place, 100, 1, "buy", 1_785_585_600_000_000) for place in range(5)]
        store.record_market_trades(rows, durability="normal")
        store.record_balance_update("BTC", number, durability="normal")
        print(number, flush=True)
"""

_SUBSCRIBER = """
import json, os, sys
from hybridstore import HybridStore
path = sys.argv[2]
with open(path, "a+b") as log:
    log.seek(0)
    lines = log.read().split(b"\\n")
    log.truncate(sum(len(line) + 1 for line in lines[:-1]))
    token = json.loads(lines[-2])[-1] if len(lines) > 1 else None
    with HybridStore(sys.argv[1]) as store:
        events = store.subscribe(["market_trades", "balance_history"], token=token, from_start=token is None)
        print("ready", flush=True)
        for event in events:
            log.write(json.dumps([event.dataset, event.row["id"], event.token]).encode() + b"\\n")
            log.flush()
assert "pyarrow" not in sys.modules and "duckdb" not in sys.modules and "polars" not in sys.modules
"""


@pytest.mark.parametrize("cycles", [5, pytest.param(34, marks=pytest.mark.soak)])
def test_writers_and_subscribers_that_are_killed(root: Path, tmp_path: Path, seed: int, cycles: int) -> None:
    """A subscriber that stores its token with what it does, in one write, misses and repeats nothing."""
    log = tmp_path / "told.jsonl"
    HybridStore(root).open().close()
    acknowledged: list[int] = []
    for cycle in range(cycles):
        subscriber = children.start(_SUBSCRIBER, root, log)
        children.hear(subscriber, "ready")
        writers = [children.start(_KILLED_WRITER, root, 2 * cycle + number) for number in (1, 2)]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged += [int(writer.stdout.readline()) for _ in range(20)]
        victims = [subscriber, *writers] if (seed + cycle) % 2 else [*writers, subscriber]
        for child in victims:
            child.kill()
            assert child.stdout is not None
            lines = child.stdout.read().split("\n")[:-1]
            child.communicate()
            if child is not subscriber:
                acknowledged += map(int, lines)
    with HybridStore(root) as store:
        told = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]
        token = told[-1][-1] if told else None
        with store.subscribe(
            ["market_trades", "balance_history"], token=token, from_start=token is None, timeout_s=0
        ) as events:
            rest = [[event.dataset, event.row["id"]] for event in events]
        expected = []
        for order, name in enumerate(("balance_history", "market_trades")):
            expected += [
                (ts_us, order, name, row_id)
                for row_id, ts_us in store.database.readers.rows(f"SELECT id, recorded_at FROM {name}")
            ]
        trades = {row[0] for row in store.database.readers.rows("SELECT trade_id FROM market_trades")}
    assert told
    assert [entry[:2] for entry in told] + rest == [[name, row_id] for _, _, name, row_id in sorted(expected)]
    assert all(number + place in trades for number in acknowledged for place in range(5))


@pytest.mark.parametrize("attempt", range(3))
def test_rows_that_are_moved_while_they_are_read(
    store: HybridStore, clock: ManualClock, seed: int, attempt: int
) -> None:
    """A mover, a writer and a subscriber that reconnects, all at once."""
    count = 4_000
    store.record_market_trades([trade(number) for number in range(count)])
    clock.advance(10 * DAY_US)
    moving = threading.Thread(target=store.retention.run)
    moving.start()
    told: list[int] = []
    token = None
    while len(told) < count + 50:
        with store.subscribe(["market_trades"], token=token, from_start=token is None, timeout_s=0) as events:
            for event in events:
                told.append(event.row["trade_id"])
                token = event.token
                if len(told) % (37 + attempt) == 0:
                    break
        if len(told) >= count and not moving.is_alive():
            store.record_market_trades([trade(len(told))])
    moving.join()
    assert told == list(range(count + 50))


def test_a_live_subscriber_loads_no_analytical_library(root: Path) -> None:
    script = (
        _WRITER.replace("    for number", "    events = store.subscribe(timeout_s=0)\n    for number")
        + """
    assert len(list(events)) == 30
heavy = [name for name in ("duckdb", "polars", "pyarrow", "numpy") if name in sys.modules]
assert not heavy, heavy
"""
    )
    children.run(script, root, 0, 30)
