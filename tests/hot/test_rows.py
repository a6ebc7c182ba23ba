"""Rows of any dataset: new, repeated, corrected or refused, and counted as such."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import Conflict, InvalidValue, UnknownDataset
from hybridstore.hot.rows import RowCounts
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values

TICK = ("BTC/USDT", 1, "61234.5", "0.001", "buy", START_US)


def candle(close: object, opened_at: int = START_US) -> dict[str, Any]:
    return {
        "symbol": "BTC/USDT", "timeframe": "1m", "opened_at": opened_at, "open": 1, "high": 3, "low": 1,
        "close": close, "volume": "0.5",
    }  # fmt: skip


def test_new_rows_are_counted_and_exact(store: HybridStore) -> None:
    ticks = [
        ("BTC/USDT", number, f"61234.{number:08}", "0.00000001", "sell", START_US + number)
        for number in range(1, 500)
    ]
    assert store.record_market_trades(ticks) == RowCounts(499)
    found = rows(store, "SELECT trade_id, price, amount, traded_at FROM market_trades ORDER BY trade_id")
    assert found == [(n, 6_123_400_000_000 + n, 1, START_US + n) for n in range(1, 500)]
    assert store.record_market_trades([]) == RowCounts(0)


def test_repeated_rows_change_nothing(store: HybridStore) -> None:
    store.record_market_trades([TICK])
    before = rows(store, "SELECT * FROM market_trades")
    assert store.record_market_trades([TICK, ("BTC/USDT", 2, 1, 1, "buy", START_US), TICK]) == RowCounts(1, 2)
    assert rows(store, "SELECT * FROM market_trades")[:1] == before
    assert store.record_market_trades(iter([TICK])) == RowCounts(0, 1)


def test_a_contradiction_is_a_correction(store: HybridStore) -> None:
    store.record_market_trades([TICK])
    changed = ("BTC/USDT", 1, "61234.6", "0.001", "buy", START_US)
    assert store.record_market_trades([changed, changed]) == RowCounts(0, 1, 1)
    assert rows(store, "SELECT price FROM market_trades") == [(6_123_460_000_000,)]
    (found,) = rows(store, "SELECT dataset, row_id, old_row, new_row FROM corrections")
    assert found[:2] == ("market_trades", 1)
    assert (json.loads(found[2])["price"], json.loads(found[3])["price"]) == (
        6_123_450_000_000,
        6_123_460_000_000,
    )


def test_versions_within_one_call_end_at_the_last(store: HybridStore) -> None:
    assert store.record_candles([candle(1), candle(2), candle(3), candle(2)]) == RowCounts(1, 0, 3)
    assert rows(store, "SELECT close FROM candles") == [(200_000_000,)]
    # A forming candle is expected to change: its versions would only fill the disk.
    assert rows(store, "SELECT count(*) FROM corrections") == [(0,)]
    assert rows(store, "SELECT mutations FROM dataset_state WHERE dataset = 'candles'") == [(3,)]


def test_a_ledger_entry_of_ones_own(store: HybridStore) -> None:
    entry = ("default", "dep-1", "deposit", "USDT", "1000.000000000000000001", None, START_US)
    assert store.record_ledger_entries([entry]).inserted == 1
    assert store.record_ledger_entries([entry]).repeated == 1
    assert rows(store, "SELECT amount, reference FROM ledger") == [("1000.000000000000000001", None)]


BAD: list[tuple[str, Any, str]] = [
    ("market_trades", ("BTC/USDT", 2, 1.5, 1, "buy", START_US), "price=1.5"),
    ("market_trades", ("BTC/USDT", 2, Decimal("0.000000001"), 1, "buy", START_US), "price=1E-9"),
    ("market_trades", ("BTC/USDT", 2, Decimal("NaN"), 1, "buy", START_US), "price=NaN"),
    ("market_trades", ("BTC/USDT", "2", 1, 1, "buy", START_US), "trade_id='2'"),
    ("market_trades", ("BTC/USDT", 2, 1, 1, "Buy", START_US), "side='Buy'"),
    ("market_trades", ("BTC/USDT", 2, 1, 1, "buy", 1_785_585_600_000), "traded_at=1785585600000"),
    ("market_trades", ("BTC/USDT", 2, 1, 1, "buy"), "has not 6 values"),
    ("market_trades", ("BTC/USDT", 2, 1, 1, "buy", START_US, 0), "has not 6 values"),
    ("market_trades", (None, 2, 1, 1, "buy", START_US), "symbol=None: this column is required"),
    ("market_trades", 5, "5 has not 6 values"),
    ("market_trades", {"symbol": "BTC/USDT", "prise": 1}, "no column 'prise'.*did you mean price"),
    ("market_trades", {"recorded_at": START_US}, "recorded_at is set by the store"),
    ("ledger", ("default", "1", "gift", "BTC", 1, None, START_US), "type='gift'.*deposit"),
    ("ledger", ("default", "1", "deposit", "BTC", Decimal("1E-19"), None, START_US), "amount=1E-19"),
]


@pytest.mark.parametrize(("dataset", "row", "complaint"), BAD, ids=[str(case[1]) for case in BAD])
def test_a_bad_row_is_named_with_its_number_and_nothing_is_written(
    store: HybridStore, dataset: str, row: Any, complaint: str
) -> None:
    before = contents(store)
    good: Any = TICK if dataset == "market_trades" else ("default", "9", "deposit", "BTC", 1, None, START_US)
    with pytest.raises(InvalidValue, match=complaint) as caught:
        store.insert(dataset, [good, row, good])
    assert str(caught.value).startswith(f"row 1 for {dataset}: ")
    assert caught.value.hint is not None
    assert contents(store) == before


def test_an_unknown_dataset_is_told_with_the_nearest(store: HybridStore) -> None:
    with pytest.raises(UnknownDataset, match=r"'trade'.*did you mean trades"):
        store.insert("trade", [])


@pytest.mark.parametrize(
    "dataset",
    [
        "balances",
        "positions",
        "marks",
        "orders",
        "portfolio_hourly",
        "archive_files",
        "commit_clock",
        "settings",
    ],
)
def test_what_the_store_keeps_itself_is_not_inserted(store: HybridStore, dataset: str) -> None:
    """A balance put in beside the writer's memory would be forgotten, a manifest entry would be a lie."""
    with pytest.raises(InvalidValue, match=f"rows of {dataset} are not inserted"):
        store.insert(dataset, [])


def test_a_row_of_a_day_that_is_being_archived_is_not_changed(hasty: HybridStore) -> None:
    hasty.record_candles([candle(1), candle(1, START_US + DAY_US)])

    def claim(session: WriteSession) -> None:
        day = START_US - START_US % DAY_US
        row = (
            "m",
            "candles",
            "warm",
            day,
            day + DAY_US,
            1,
            "claimed",
            "f",
            "archives/x.parquet",
            None,
            START_US,
            None,
        )
        session.run("insert_archive_moves", row)

    hasty.database.writer.call(claim)
    before = contents(hasty)
    with pytest.raises(Conflict, match=r"candles symbol='BTC/USDT'.*is being archived") as caught:
        hasty.record_candles([candle(1, START_US + 1), candle(2)])
    assert caught.value.hint is not None
    assert contents(hasty) == before
    assert hasty.record_candles([candle(1)]) == RowCounts(0, 1)
    assert hasty.record_candles([candle(2, START_US + DAY_US)]) == RowCounts(0, 0, 1)


def test_orders_overwrite_older_reports_and_only_those(store: HybridStore) -> None:
    order: dict[str, Any] = {
        "symbol": "BTC/USDT", "order_id": "1", "side": "buy", "type": "limit", "status": "open",
        "price": 100, "amount": 2,
    }  # fmt: skip
    assert store.record_order(**order, updated_at=START_US)
    assert store.record_order(**{**order, "status": "closed", "filled": 2}, updated_at=START_US + 2)
    assert not store.record_order(**{**order, "filled": 1}, updated_at=START_US + 1)
    assert rows(store, "SELECT account, status, filled, updated_at FROM orders") == [
        ("default", "closed", "2", START_US + 2)
    ]
    assert store.record_order(**{**order, "order_id": "2"})
    before = contents(store)
    for wrong, complaint in (
        ({"status": "gone"}, "status='gone'"), ({"price": 1.5}, "price=1.5"), ({"sied": "buy"}, "no column 'sied'"),
        ({"amount": None}, "amount=None"), ({"reduce_only": 1}, "reduce_only=1"),
    ):  # fmt: skip
        with pytest.raises(InvalidValue, match=complaint):
            store.record_order(**{**order, **wrong})
    assert contents(store) == before


def test_marks(store: HybridStore) -> None:
    assert store.get_mark("BTC/USDT") is None
    store.record_mark("BTC/USDT", bid="100", ask="101", marked_at=START_US)
    found = store.get_mark("BTC/USDT")
    assert found is not None
    assert values(found.bid, found.ask, found.last, found.mark) == (100, 101, None, Decimal("100.5"))
    store.record_mark("BTC/USDT", last=99, marked_at=START_US + 1)
    found = store.get_mark("BTC/USDT")
    assert found is not None
    assert values(found.bid, found.mark) == (None, 99)


def test_the_middle_of_the_finest_prices_is_a_price(store: HybridStore) -> None:
    store.record_mark("A/B", bid="0.000000000000000001", ask="0.000000000000000002")
    store.record_mark("C/D", bid="0.000000000000000003", ask="0.000000000000000004")
    for symbol, mark in (("A/B", "2E-18"), ("C/D", "4E-18")):
        found = store.get_mark(symbol)
        assert found is not None
        assert found.mark == Decimal(mark), "half even"


def test_an_older_mark_changes_nothing(store: HybridStore) -> None:
    store.create_position("p", "BTC/USDT:USDT", "LONG", 1, 100)
    assert store.record_mark("BTC/USDT:USDT", mark=110, marked_at=START_US + 10) == 1
    before = {name: found for name, found in contents(store).items() if name != "commit_clock"}
    assert store.record_mark("BTC/USDT:USDT", mark=50, marked_at=START_US + 9) == 0
    assert {name: found for name, found in contents(store).items() if name != "commit_clock"} == before
    store.close()
    store.open()
    marks = [
        {"symbol": "BTC/USDT:USDT", "mark": mark, "marked_at": START_US + moment}
        for moment, mark in ((8, 1), (12, 120), (11, 2), (12, 121))
    ]
    assert store.record_marks(marks) == 2
    position = store.get_position("p")
    assert position is not None
    assert values(position.mark_price, position.max_favourable, position.max_adverse) == (121, 21, 0)


@pytest.mark.parametrize(
    ("prices", "complaint"),
    [
        ({}, "no price to value BTC/USDT by"),
        ({"bid": 1}, "no price to value BTC/USDT by"),
        ({"bid": 0, "ask": 2}, "bid=0: must be more than zero"),
        ({"mark": -1}, "mark=-1"),
        ({"last": 1.5}, "last=1.5"),
        ({"mark": Decimal("1E-19")}, "mark=1E-19"),
        ({"mark": 1, "marked_at": 5}, "marked_at=5"),
    ],
)
def test_a_bad_mark_is_named(store: HybridStore, prices: Any, complaint: str) -> None:
    before = contents(store)
    with pytest.raises(InvalidValue, match=complaint):
        store.record_mark("BTC/USDT", **prices)
    with pytest.raises(InvalidValue, match=complaint) as caught:
        store.record_marks([{"symbol": "A/B", "mark": 1}, {"symbol": "BTC/USDT", **prices}])
    assert str(caught.value).startswith("row 1 of the marks: ")
    for wrong in ({"prise": 1}, {"mark": 1}, 5, [("symbol", "A/B")]):
        row: Any = wrong
        with pytest.raises(InvalidValue, match=r"row 0 of the marks: .* is no mark"):
            store.record_marks([row])
    assert contents(store) == before


@pytest.mark.parametrize(
    ("dataset", "call"),
    [
        ("balance_history", "record_balance_update"),
        ("trades", "record_fill"),
        ("position_events", "record_fill"),
        ("order_events", "record_order"),
    ],
)
def test_events_come_with_what_they_are_part_of(store: HybridStore, dataset: str, call: str) -> None:
    with pytest.raises(InvalidValue, match=f"rows of {dataset} are not inserted") as caught:
        store.insert(dataset, [{}])
    assert call in (caught.value.hint or "")
