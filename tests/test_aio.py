"""The store on event loops: awaited writes are durable, cancelled ones are written, close waits for what is queued."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue, NotFound, StoreClosed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.optimizer import QueryOptimizer
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.store import HybridStore
from tests.hot.books import contents, rows

PERP = "BTC/USDT:USDT"


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[TradingBotStorageSystem]:
    """Return an open store."""
    async with TradingBotStorageSystem(tmp_path / "root") as opened:
        yield opened


async def test_a_hundred_tasks_are_acknowledged_and_the_bad_one_fails(
    storage: TradingBotStorageSystem,
) -> None:
    async def record(number: int) -> Decimal:
        if number == 50:
            await storage.update_position_price("nowhere", 1)
        return (await storage.record_balance_update(f"A{number}", number)).balance

    results = await asyncio.gather(*(record(number) for number in range(100)), return_exceptions=True)
    assert isinstance(results[50], NotFound)
    assert [result for number, result in enumerate(results) if number != 50] == [
        Decimal(number) for number in range(100) if number != 50
    ]
    assert len(await storage.get_all_balances()) == 99


async def test_writes_of_one_task_are_in_order(storage: TradingBotStorageSystem) -> None:
    await asyncio.gather(*(storage.record_balance_update("BTC", number) for number in range(50)))
    found = rows(storage.store, "SELECT balance, change FROM balance_history ORDER BY id")
    assert found == [("0", None), *((str(number), "1") for number in range(1, 50))]
    latest = await storage.get_latest_balance("BTC")
    assert latest is not None
    assert latest.balance == 49


async def test_a_cancelled_write_is_written(storage: TradingBotStorageSystem) -> None:
    tasks = [asyncio.create_task(storage.record_balance_update(f"A{number}", number)) for number in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(result, BaseException) for result in results[1::2])
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) > 0
    await storage.record_balance_update("LAST", 1)
    assert len(await storage.get_all_balances()) == 41


async def test_a_write_that_timed_out_is_written(storage: TradingBotStorageSystem) -> None:
    release = threading.Event()
    held = storage.store.database.writer.submit(None, lambda _: release.wait(10))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(storage.record_balance_update("BTC", 1), 0.02)
    assert await storage.get_latest_balance("BTC") is None
    release.set()
    assert held.result(10)
    await storage.record_balance_update("ETH", 1)
    assert await storage.get_latest_balance("BTC") is not None


async def test_closing_waits_for_what_is_queued(tmp_path: Path) -> None:
    storage = TradingBotStorageSystem(tmp_path / "root")
    await storage.initialize()
    release = threading.Event()
    storage.store.database.writer.submit(None, lambda _: release.wait(10))
    tasks = [asyncio.create_task(storage.record_balance_update(f"A{number}", number)) for number in range(30)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(storage.close())
    await asyncio.sleep(0.05)
    release.set()
    await closing
    assert [balance.balance for balance in await asyncio.gather(*tasks)] == list(range(30))
    with pytest.raises(StoreClosed):
        await storage.record_balance_update("LATE", 1)
    await storage.close()
    with HybridStore(tmp_path / "root") as store:
        assert len(store.get_all_balances()) == 30


async def test_many_tasks_open_one_store_once(tmp_path: Path) -> None:
    storage = TradingBotStorageSystem(tmp_path / "root")

    async def use(number: int) -> None:
        await storage.initialize()
        await storage.record_balance_update(f"A{number}", number)

    await asyncio.gather(*(use(number) for number in range(8)))
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("hybridstore-")]
    assert sorted(names) == ["hybridstore-housekeeping", "hybridstore-journal", "hybridstore-writer"]
    await storage.close()


async def test_a_task_cancelled_while_it_opens_leaves_a_store_that_can_be_closed(tmp_path: Path) -> None:
    storage = TradingBotStorageSystem(tmp_path / "root")
    opening = asyncio.create_task(storage.initialize())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await storage.initialize()
    assert (await storage.record_balance_update("BTC", 1)).balance == 1
    await storage.close()


def test_one_store_on_several_event_loops(tmp_path: Path) -> None:
    storage = TradingBotStorageSystem(tmp_path / "root")
    storage.store.open()
    wrong: list[BaseException] = []

    async def work(name: int) -> None:
        await asyncio.gather(
            *(storage.record_balance_update(f"L{name}-{number}", number) for number in range(30))
        )
        for number in range(30):
            found = await storage.get_latest_balance(f"L{name}-{number}")
            assert found is not None
            assert found.balance == number

    def loop(name: int) -> None:
        try:
            asyncio.run(work(name))
        except BaseException as error:  # noqa: BLE001  whatever it is, the test shows it
            wrong.append(error)

    threads = [threading.Thread(target=loop, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    assert len(storage.store.get_all_balances()) == 120
    asyncio.run(storage.close())


async def test_the_event_loop_goes_on_while_writes_wait(storage: TradingBotStorageSystem) -> None:
    release = threading.Event()
    storage.store.database.writer.submit(None, lambda _: release.wait(10))
    pending = asyncio.create_task(storage.record_balance_update("BTC", 1))
    ticks = 0
    for _ in range(20):
        await asyncio.sleep(0.001)
        ticks += 1
        assert await storage.get_latest_balance("BTC") is None, "reads are answered"
    assert ticks == 20
    assert not pending.done()
    release.set()
    assert (await pending).balance == 1


async def test_everything_the_desk_does(storage: TradingBotStorageSystem) -> None:
    assert (
        await storage.batch_update_balances([("USDT", 1000, 0, "rest", None, None, None, None, None, None)])
        == 1
    )
    created = await storage.create_position("p", "ETH/USDT", "LONG", 2, 100)
    assert (await storage.update_position_price("p", 110)).unrealized_pnl == 20
    assert (await storage.close_position("p", 120, "target")).realized_pnl == 40
    assert (await storage.get_position("p")) != created
    filled = await storage.record_fill(PERP, "sell", 100, 1, trade_id="1")
    assert filled.position is not None
    assert await storage.record_mark(PERP, mark=90) == 1
    assert await storage.record_marks([{"symbol": PERP, "mark": 80}]) == 1
    mark = await storage.get_mark(PERP)
    assert mark is not None
    assert mark.mark == 80
    (held,) = await storage.get_open_positions()
    assert held.unrealized_pnl == 20
    summary = await storage.get_portfolio_summary()
    assert summary.equity == 1020
    moment = 1_785_585_600_000_000
    assert (await storage.record_market_trades([(PERP, 1, 1, 1, "buy", moment)])).inserted == 1
    assert (await storage.record_candles([(PERP, "1m", moment, 1, 2, 1, 2, 5)])).inserted == 1
    assert (
        await storage.record_ledger_entries([("default", "e", "deposit", "BTC", 1, None, moment)])
    ).inserted == 1
    assert (await storage.insert("market_trades", [(PERP, 1, 1, 1, "buy", moment)])).repeated == 1
    assert await storage.record_order(
        symbol=PERP, order_id="1", side="buy", type="limit", status="open", amount=1
    )
    assert storage.root == storage.store.root
    assert (await storage.get_balance_history("USDT"))["balance"].to_list() == [1000]
    assert (await storage.sql("SELECT count(*) FROM balance_history")).rows() == [(1,)]
    assert storage.get_system_status()["datasets"]["trades"]["hot_rows"] == 1


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("record_balance_update", ("BTC", 1.5)),
        ("record_balance_update", ("", 1)),
        ("batch_update_balances", ([("BTC", 1)],)),
        ("record_fill", (PERP, "buy", 0, 1)),
        ("create_position", ("p", PERP, "LONG", -1, 1)),
        ("record_mark", (PERP,)),
        ("record_market_trades", ([(PERP, 1, 1.5, 1, "buy", 1)],)),
        ("insert", ("trade", [])),
        ("get_latest_balance", (5,)),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_written(
    storage: TradingBotStorageSystem, method: str, arguments: Any
) -> None:
    before = contents(storage.store)
    with pytest.raises(InvalidValue):
        await getattr(storage, method)(*arguments)
    assert contents(storage.store) == before


async def test_the_parts_by_themselves(tmp_path: Path) -> None:
    """As in the requested system's first snippet: manager, schema, queries."""
    database = DatabaseManager(DatabaseConfig(database_path=str(tmp_path / "root" / DATABASE_NAME)))
    await database.initialize()
    await SchemaManager(database).initialize_complete_schema()
    queries = QueryOptimizer(database)
    await queries.balance_queries.insert_balance_entry(
        "BTC", "1.5", "0.5", "ws", reason="r", account="a", debt=1
    )
    assert (
        await queries.balance_queries.insert_balance_entries([{"asset": "ETH", "balance": 2}], account="a")
        == 1
    )
    found = await queries.balance_queries.get_latest_balance("BTC", "a")
    assert found is not None
    assert (found.available, found.debt) == (Decimal(1), Decimal(1))
    assert [balance.asset for balance in await queries.balance_queries.get_all_balances("a")] == [
        "BTC",
        "ETH",
    ]
    await queries.position_queries.create_position("p", PERP, "SHORT", 1, 100)
    marked = await queries.position_queries.update_position_price("p", 90)
    assert await queries.position_queries.get_position("p") == marked
    assert await queries.position_queries.get_open_positions() == [marked]
    await database.close()
    await database.close()


async def test_a_store_whose_opening_is_cancelled_is_closed(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate() if thread.name.startswith("hybridstore")}
    storage = TradingBotStorageSystem(tmp_path / "root", maintenance="off")
    opening = asyncio.ensure_future(storage.initialize())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not storage.store.database.is_open
    after = {thread.name for thread in threading.enumerate() if thread.name.startswith("hybridstore")}
    assert after == before
    async with storage:
        await storage.record_balance_update("BTC", 1)
        again = asyncio.ensure_future(storage.initialize())
        await asyncio.sleep(0)
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again
        assert storage.store.database.is_open, "it was open before"
