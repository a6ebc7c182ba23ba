"""A history told again, in any order, half of it archived: nothing changes; told differently, it is a correction."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.archived import ArchiveNeeded
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance
from hybridstore.store import HybridStore

NOW_DAY = 20_600
DAYS = 14
"""The first half of them is archived by the default policies."""
SYMBOLS = ("BTC/USDT", "ETH/USDT:USDT")
OLD_US = (NOW_DAY - 20) * DAY_US + 5
Report = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of a store with its arguments."""


def moment_us(rng: random.Random) -> int:
    return (NOW_DAY - DAYS) * DAY_US + rng.randrange(DAYS * DAY_US)


def make_history(rng: random.Random, count: int) -> list[Report]:
    """Draw what a bot told its store in two weeks."""
    makers = (_balance, _fill, _order, _deposit, _tick, _candle)
    return [rng.choice(makers)(rng, number) for number in range(count)]


def _balance(rng: random.Random, number: int) -> Report:
    at_us = moment_us(rng)
    source = rng.choice(("websocket", "rest"))
    details = {"changed_at": at_us, "exchange_at": at_us - 1000, "reason": rng.choice((None, "fill"))}
    return "record_balance_update", (rng.choice(("BTC", "USDT")), Decimal(number), 0, source), details


def _fill(rng: random.Random, number: int) -> Report:
    price, amount = Decimal(rng.randrange(1, 10**6)) / 100, Decimal(rng.randrange(1, 1000)) / 1000
    details = {
        "trade_id": f"t{number}",
        "order_id": f"o{number}",
        "executed_at": moment_us(rng),
        "fee": "-0.01",
    }
    return "record_fill", (rng.choice(SYMBOLS), rng.choice(("buy", "sell")), price, amount), details


def _order(rng: random.Random, number: int) -> Report:
    status, filled = rng.choice((("open", 0), ("open", 1), ("closed", 2), ("canceled", 1)))
    return "record_order", (), {
        "symbol": rng.choice(SYMBOLS), "order_id": f"order{number % 40}", "side": "buy", "type": "limit",
        "status": status, "amount": 2, "filled": filled, "price": Decimal(number % 7 + 1), "updated_at": moment_us(rng),
        "client_order_id": rng.choice((None, f"c{number % 40}")),
    }  # fmt: skip


def _deposit(rng: random.Random, number: int) -> Report:
    entry = {
        "account": "default",
        "entry_id": f"d{number}",
        "type": "deposit",
        "asset": "USDT",
        "amount": number + 1,
    }
    return "record_ledger_entries", ([{**entry, "occurred_at": moment_us(rng)}],), {}


def _tick(rng: random.Random, number: int) -> Report:
    row = (rng.choice(SYMBOLS), number, "1.5", "0.25", rng.choice(("buy", "sell")), moment_us(rng))
    return "record_market_trades", ([row],), {}


def _candle(rng: random.Random, number: int) -> Report:
    opened_us = (NOW_DAY - DAYS) * DAY_US + number * 60_000_000
    return "record_candles", ([(SYMBOLS[0], "1m", opened_us, 1, 2, 1, 2, number)],), {}


def tell(store: HybridStore, history: list[Report]) -> None:
    for method, arguments, details in history:
        getattr(store, method)(*arguments, **details)


def everything(store: HybridStore) -> dict[str, list[tuple[Any, ...]]]:
    """Return what every dataset shows over all tiers, in an order that does not depend on where a row is."""
    return {
        name: sorted(store.sql(f"SELECT * FROM {name}").rows(), key=repr)
        for name in store.database.registry.public
    }


def corrections(store: HybridStore, dataset: str | None = None) -> int:
    sql = "SELECT count(*) FROM corrections WHERE dataset = ifnull(?, dataset)"
    count: int = store.database.readers.rows(sql, (dataset,))[0][0]
    return count


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    with HybridStore(tmp_path, clock=ManualClock(NOW_DAY * DAY_US)) as opened:
        yield opened


def test_a_history_told_three_times_more_changes_nothing(store: HybridStore, rng: random.Random) -> None:
    history = make_history(rng, 600)
    tell(store, history)
    before = everything(store)
    assert store.retention.run().rows > 200
    assert everything(store) == before
    corrected = corrections(store)
    for _ in range(3):
        rng.shuffle(history)
        tell(store, history)
        assert everything(store) == before
        assert corrections(store) == corrected
        assert store.retention.run().rows == 0, "nothing came back into the hot store"


def test_it_may_also_be_told_by_a_hundred_tasks(tmp_path: Path, rng: random.Random) -> None:
    history = make_history(rng, 300)

    async def tell_all(storage: TradingBotStorageSystem) -> None:
        rng.shuffle(history)
        await asyncio.gather(
            *(getattr(storage, method)(*arguments, **details) for method, arguments, details in history)
        )

    async def run() -> None:
        async with TradingBotStorageSystem(tmp_path, clock=ManualClock(NOW_DAY * DAY_US)) as storage:
            await tell_all(storage)
            before = everything(storage.store)
            assert storage.store.retention.run().rows > 100
            for _ in range(3):
                await tell_all(storage)
                assert everything(storage.store) == before

    asyncio.run(run())


def test_it_may_be_told_while_it_is_being_archived(store: HybridStore, rng: random.Random) -> None:
    history = make_history(rng, 300)
    tell(store, history)
    before = everything(store)
    rest = iter(rng.sample(history, len(history)))

    def tell_some(_: object) -> None:
        for report in [next(rest, None) for _ in range(10)]:
            if report is not None:
                tell(store, [report])

    store.retention.run(progress=tell_some)
    tell(store, list(rest))
    assert everything(store) == before


CORRECTED: list[tuple[str, Callable[[int], Report], str, Any]] = [
    (
        "balance_history",
        lambda value: ("record_balance_update", ("BTC", value, 0, "rest"), {"changed_at": OLD_US}),
        "balance",
        Decimal,
    ),
    (
        "trades",
        lambda value: (
            "record_fill",
            ("BTC/USDT", "buy", value, 1),
            {"trade_id": "t1", "executed_at": OLD_US},
        ),
        "price",
        Decimal,
    ),
    (
        "ledger",
        lambda value: (
            "record_ledger_entries",
            ([("default", "d1", "deposit", "USDT", value, None, OLD_US)],),
            {},
        ),
        "amount",
        Decimal,
    ),
    (
        "market_trades",
        lambda value: ("record_market_trades", ([("BTC/USDT", 1, value, 1, "buy", OLD_US)],), {}),
        "price",
        Decimal,
    ),
]


@pytest.mark.parametrize(
    ("dataset", "report", "column", "kind"), CORRECTED, ids=[case[0] for case in CORRECTED]
)
@pytest.mark.parametrize("archived", [False, True], ids=["hot", "archived"])
def test_other_content_is_a_correction_that_no_replay_takes_back(
    store: HybridStore,
    dataset: str,
    report: Callable[[int], Report],
    column: str,
    kind: Callable[[int], Any],
    archived: bool,  # noqa: FBT001  a case of the test
) -> None:
    def shown() -> list[Any]:
        where = "WHERE type = 'deposit'" if dataset == "ledger" else ""
        by_sql = [row[0] for row in store.sql(f"SELECT {column} FROM {dataset} {where}").rows()]
        frame = store.scan(dataset).collect()
        if dataset == "ledger":
            frame = frame.filter(frame["type"] == "deposit")
        assert frame[column].to_list() == by_sql
        return by_sql

    tell(store, [report(100)])
    if archived:
        assert store.retention.run().rows
    tell(store, [report(200)])
    assert shown() == [kind(200)]
    assert corrections(store, dataset) == 1
    tell(store, [report(100), report(200), report(100)])
    assert (shown(), corrections(store, dataset)) == ([kind(200)], 1)
    store.retention.run()
    assert shown() == [kind(200)]
    tell(store, [report(100), report(200)])
    assert (shown(), corrections(store, dataset)) == ([kind(200)], 1)
    tell(store, [report(300)])
    assert (shown(), corrections(store, dataset)) == ([kind(300)], 2)
    store.retention.run()
    tell(store, [report(100), report(200), report(300)])
    assert (shown(), corrections(store, dataset)) == ([kind(300)], 2)
    status = store.get_system_status()["datasets"][dataset]
    assert status["hot_rows"] + status["archived_rows"] == len(store.sql(f"SELECT * FROM {dataset}").rows())
    ((counting, replaced),) = store.database.readers.rows(
        "SELECT count(*) FILTER (WHERE replaced_seq IS NULL), count(replaced_seq) FROM archive_files"
    )
    assert store.retention.verify() == counting
    assert counting + replaced == len({*(store.root / "archives").rglob("*.parquet")})


def test_an_archived_order_is_known_and_may_go_on(store: HybridStore) -> None:
    def report(status: str, filled: int, at_us: int) -> bool:
        return store.record_order(
            symbol="BTC/USDT", order_id="1", side="buy", type="limit", amount=2, status=status, filled=filled,
            updated_at=at_us,
        )  # fmt: skip

    assert report("open", 0, OLD_US)
    assert report("closed", 2, OLD_US + 10)
    store.retention.run()
    assert store.get_order("BTC/USDT", "1") is None, "it is archived"
    assert not report("open", 0, OLD_US)
    assert not report("closed", 2, OLD_US + 10)
    assert store.sql("SELECT status FROM orders").rows() == [("closed",)]
    assert report("canceled", 1, OLD_US + 20)
    assert store.sql("SELECT status, filled FROM orders").rows() == [("canceled", Decimal(1))]
    assert len(store.sql("SELECT * FROM order_events").rows()) == 3


def test_two_reports_of_one_moment_by_two_sources_are_two(store: HybridStore) -> None:
    for _ in range(2):
        for source, balance in (("rest", 1), ("websocket", 2)):
            store.record_balance_update("BTC", balance, 0, source, changed_at=OLD_US)
    assert [row[0] for row in store.sql("SELECT balance FROM balance_history ORDER BY balance").rows()] == [
        1,
        2,
    ]
    store.retention.run()
    for source, balance in (("rest", 1), ("websocket", 2)):
        store.record_balance_update("BTC", balance, 0, source, changed_at=OLD_US)
    assert store.sql("SELECT count(*) FROM balance_history").rows() == [(2,)]


def test_a_fill_without_a_time_is_known_by_its_id(store: HybridStore) -> None:
    store.record_fill("BTC/USDT", "buy", 1, 1, trade_id="t1", executed_at=OLD_US)
    store.retention.run()
    again = store.record_fill("BTC/USDT", "buy", 1, 1, trade_id="t1")
    assert again.repeated
    assert again.trade.executed_at.timestamp() == OLD_US // 10**6 + (OLD_US % 10**6) / 1e6
    assert store.sql("SELECT count(*) FROM trades").rows() == [(1,)]


def test_a_damaged_archive_is_named_and_nothing_is_recorded(store: HybridStore) -> None:
    store.record_fill("BTC/USDT", "buy", 1, 1, trade_id="t1", executed_at=OLD_US)
    store.retention.run()
    (path,) = (store.root / "archives").rglob("trades-*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveCorrupt, match=path.name):
        store.record_fill("BTC/USDT", "buy", 1, 1, trade_id="t1", executed_at=OLD_US)
    store.record_fill("BTC/USDT", "buy", 1, 1, trade_id="t2")


def test_who_cannot_look_into_the_archives_is_told(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1, changed_at=OLD_US)
    store.retention.run()
    late = prepare_balance("BTC", 2, changed_at=OLD_US)
    with pytest.raises(ArchiveNeeded, match="days that are archived") as caught:
        store.database.writer.call(write_balance, late)
    assert "HybridStore" in str(caught.value)
