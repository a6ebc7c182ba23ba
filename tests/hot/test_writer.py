"""Group commit: who is acknowledged is durable and in order, who is at fault fails alone, nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import Conflict, InvalidValue, NotFound, StoreClosed, StoreError
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.hot.books import commit_seq, contents, rows
from tests.hot.gate import Gate, put

TASKS = 100


def fail(_: WriteSession, error: Exception) -> None:
    raise error


def broken_sql(session: WriteSession) -> None:
    session.execute("SELECT * FROM no_such_table")


def half_done(session: WriteSession) -> None:
    """Write something, remember something, put something off, then fail."""
    write_balance(session, prepare_balance("HALF", 1))
    session.run("upsert_settings", ("half", "done"))
    assert ("balance", "default", "HALF") in session.memory
    session.memory["balance", "default", "A50"] = "rubbish"
    raise RuntimeError("on purpose")


def duplicate_key(session: WriteSession) -> None:
    for _ in range(2):
        session.execute("INSERT INTO settings (setting, value) VALUES ('twice', 'x')")


def wrong_type(session: WriteSession) -> None:
    session.execute("INSERT INTO commit_clock (slot, mark, seq, ts) VALUES (2, 'not bytes', 1, 1)")


def test_a_batch_is_one_commit(store: HybridStore) -> None:
    gate = Gate(store)
    before = commit_seq(store)
    futures = [put(store, f"A{number}", number) for number in range(TASKS)]
    gate.release()
    results = [future.result(10) for future in futures]
    assert [result.asset for result in results] == [f"A{number}" for number in range(TASKS)]
    assert commit_seq(store) == before + 2, "the gate and the batch"
    assert len({result.recorded_at for result in results}) == 1


@pytest.mark.parametrize(
    ("bad", "arguments", "expected"),
    [
        (fail, (InvalidValue("bad value"),), InvalidValue),
        (fail, (ZeroDivisionError("bug in an operation"),), ZeroDivisionError),
        (half_done, (), RuntimeError),
        (duplicate_key, (), Conflict),
        (wrong_type, (), Conflict),
        (broken_sql, (), StoreError),
    ],
    ids=["value", "bug", "half done", "duplicate", "type", "sql"],
)
def test_in_a_batch_only_the_one_at_fault_fails(
    store: HybridStore, bad: Any, arguments: tuple[Any, ...], expected: type[Exception]
) -> None:
    store.record_balance_update("A50", 7)
    gate = Gate(store)
    before = [put(store, f"A{number}", number) for number in range(50)]
    faulty = store.database.writer.submit(None, bad, *arguments)
    after = [put(store, f"A{number}", number) for number in range(50, TASKS)]
    gate.release()
    for number, future in enumerate([*before, *after]):
        assert future.result(10).balance == number
    with pytest.raises(expected):
        faulty.result(10)
    for number in range(TASKS):
        found = store.get_latest_balance(f"A{number}")
        assert found is not None
        assert found.balance == number
    assert store.get_latest_balance("HALF") is None
    assert rows(store, "SELECT * FROM settings WHERE setting IN ('half', 'twice')") == []
    # What was remembered is right too: the change is computed from what is stored.
    assert rows(store, "SELECT change FROM balance_history WHERE asset = 'A50' ORDER BY id") == [
        (None,),
        ("43",),
    ]
    store.record_balance_update("A50", "50.5")
    assert rows(store, "SELECT change FROM balance_history WHERE asset = 'A50' ORDER BY id")[-1] == ("0.5",)


def test_one_at_fault_costs_the_others_no_commit(store: HybridStore) -> None:
    before = commit_seq(store)
    gate = Gate(store)
    good = [put(store, f"A{number}", number) for number in range(TASKS)]
    bad = [store.database.writer.submit(None, half_done) for _ in range(3)]
    good += [put(store, f"B{number}", number) for number in range(TASKS)]
    operations = store.database.writer.operations
    gate.release()
    assert [future.result(10).balance for future in good] == [*range(TASKS), *range(TASKS)]
    for future in bad:
        with pytest.raises(RuntimeError, match="on purpose"):
            future.result(10)
    assert commit_seq(store) == before + 2, "the gate and the batch"
    assert store.database.writer.operations == operations + len(good) + 1
    assert len(rows(store, "SELECT 1 FROM balance_history")) == len(good)


def test_a_batch_of_failures_is_no_commit(store: HybridStore) -> None:
    before = commit_seq(store)
    gate = Gate(store)
    bad = [store.database.writer.submit(None, half_done) for _ in range(TASKS)]
    gate.release()
    for future in bad:
        with pytest.raises(RuntimeError, match="on purpose"):
            future.result(10)
    assert commit_seq(store) == before + 1, "the gate"
    store.record_balance_update("A50", 1)
    assert rows(store, "SELECT asset, change FROM balance_history") == [("A50", None)]


def test_a_failure_leaves_nothing_behind(store: HybridStore) -> None:
    store.record_balance_update("A50", 1)
    before = contents(store)
    with pytest.raises(RuntimeError, match="on purpose"):
        store.database.writer.call(half_done)
    assert contents(store) == before


def test_a_position_after_a_failed_batch_is_the_stored_one(store: HybridStore) -> None:
    store.create_position("p", "BTC/USDT", "LONG", 1, 100)
    gate = Gate(store)
    marked = store.database.writer.submit(None, mark_and_fail)
    gate.release()
    with pytest.raises(RuntimeError):
        marked.result(10)
    position = store.close_position("p", 101)
    assert position.max_favourable == 0, "the mark of 900 was never committed"
    assert position.realized_pnl == 1
    with pytest.raises(NotFound, match="it is closed"):
        store.close_position("p", 101)


def mark_and_fail(session: WriteSession) -> None:
    from hybridstore.hot.position_marks import price_position
    from hybridstore.hot.positions import close_position

    price_position(session, "p", Decimal(900))
    close_position(session, "p", Decimal(900), None, None)
    raise RuntimeError("after the position was closed in memory")


def test_many_threads_are_all_acknowledged(store: HybridStore) -> None:
    def record(thread: int) -> list[int]:
        return [int(store.record_balance_update(f"T{thread}", number).balance) for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(record, range(8)))
    assert results == [list(range(40))] * 8
    for thread in range(8):
        found = rows(
            store, "SELECT balance, change FROM balance_history WHERE asset = ? ORDER BY id", (f"T{thread}",)
        )
        assert found == [("0", None), *((str(number), "1") for number in range(1, 40))]


def test_several_event_loops_at_once(store: HybridStore) -> None:
    def loop_of_its_own(name: int) -> list[Decimal]:
        async def record() -> list[Decimal]:
            writer = store.database.writer
            updates = [prepare_balance(f"L{name}-{number}", number) for number in range(50)]
            done = await asyncio.gather(*(writer.submit_async(None, write_balance, one) for one in updates))
            return [balance.balance for balance in done]

        return asyncio.run(record())

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(loop_of_its_own, range(4)))
    assert results == [[Decimal(number) for number in range(50)]] * 4
    assert len(store.get_all_balances()) == 200


def test_a_loop_that_was_closed_meanwhile_harms_nobody(store: HybridStore) -> None:
    gate = Gate(store)

    async def leave() -> None:
        store.database.writer.submit_async(None, write_balance, prepare_balance("GONE", 1))

    asyncio.run(leave())
    staying = put(store, "STAYING")
    gate.release()
    assert staying.result(10).balance == 1
    assert store.get_latest_balance("GONE") is not None


async def test_a_cancelled_write_is_written_and_the_next_ones_are_acknowledged(root: Path) -> None:
    with HybridStore(root) as store:
        gate = Gate(store)
        writer = store.database.writer
        cancelled = writer.submit_async(None, write_balance, prepare_balance("CANCELLED", 1))
        kept = writer.submit_async(None, write_balance, prepare_balance("KEPT", 2))
        cancelled.cancel()
        gate.release()
        assert (await kept).balance == 2
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert store.get_latest_balance("CANCELLED") is not None


async def test_who_waits_for_a_batch_with_a_stop_iteration_is_told(root: Path) -> None:
    """A future of an event loop refuses that exception; the others of the batch must not wait for ever."""
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        writer = storage.store.database.writer
        gate = Gate(storage.store)
        stopped = writer.submit_async(None, fail, StopIteration("at its end"))
        others = [writer.submit_async(None, write_balance, prepare_balance(name, 1)) for name in "AB"]
        gate.release()
        assert [balance.asset for balance in await asyncio.wait_for(asyncio.gather(*others), 10)] == [
            "A",
            "B",
        ]
        with pytest.raises(TypeError, match="StopIteration") as caught:
            await stopped
        assert isinstance(caught.value.__cause__, StopIteration)


def test_a_cancelled_future_of_a_thread_harms_nobody(store: HybridStore) -> None:
    gate = Gate(store)
    cancelled, kept = put(store, "CANCELLED"), put(store, "KEPT")
    assert cancelled.cancel()
    gate.release()
    assert kept.result(10).asset == "KEPT"
    assert store.get_latest_balance("CANCELLED") is not None


def test_close_commits_what_is_queued(root: Path) -> None:
    store = HybridStore(root).open()
    gate = Gate(store)
    futures = [put(store, f"A{number}", number) for number in range(TASKS)]
    closing = threading.Thread(target=store.close)
    closing.start()
    gate.release()
    closing.join(20)
    assert not closing.is_alive()
    assert [future.result(0).balance for future in futures] == list(range(TASKS))
    with HybridStore(root) as again:
        assert len(again.get_all_balances()) == TASKS


@pytest.mark.parametrize("attempt", range(4))
def test_writing_while_the_store_closes_is_acknowledged_or_refused(root: Path, attempt: int) -> None:
    """Nobody hangs, and what was acknowledged is there afterwards."""
    store = HybridStore(root).open()
    acknowledged: list[str] = []
    started = threading.Barrier(5)

    def record(thread: int) -> None:
        started.wait(10)
        for number in range(10_000):
            try:
                store.record_balance_update(f"{thread}-{number}", 1)
            except StoreClosed:
                return
            acknowledged.append(f"{thread}-{number}")

    threads = [threading.Thread(target=record, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    started.wait(10)
    threading.Event().wait(0.003 * attempt)
    store.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a writer waits for ever"
    with HybridStore(root) as again:
        known = {balance.asset for balance in again.get_all_balances()}
    assert known.issuperset(acknowledged)


@pytest.mark.parametrize("attempt", range(6))
def test_reading_while_the_store_closes_is_answered_or_refused(root: Path, attempt: int) -> None:
    store = HybridStore(root).open()
    store.record_balance_update("BTC", 1)
    started = threading.Barrier(5)
    wrong: list[BaseException] = []

    def read() -> None:
        started.wait(10)
        try:
            while True:
                assert store.get_latest_balance("BTC") is not None
                store.get_portfolio_summary()
        except StoreClosed:
            return
        except BaseException as error:  # noqa: BLE001  whatever else it is, the test shows it
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait(10)
    threading.Event().wait(0.003 * attempt)
    store.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert wrong == []


def test_a_closed_store_says_so(root: Path) -> None:
    store = HybridStore(root)
    for state in ("never opened", "closed"):
        with pytest.raises(StoreClosed, match="not open") as caught:
            store.record_balance_update("BTC", 1)
        assert caught.value.path == str(root / DATABASE_NAME), state
        with pytest.raises(StoreClosed, match="not open"):
            store.get_latest_balance("BTC")
        store.open()
        store.close()
        store.close()


def test_a_writer_that_was_kept_beyond_the_close_refuses(root: Path) -> None:
    with HybridStore(root) as store:
        writer = store.database.writer
    with pytest.raises(StoreClosed, match="closed"):
        writer.call(write_balance, prepare_balance("BTC", 1))
    writer.close()
