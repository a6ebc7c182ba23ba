"""Orders: reports may come late, twice and in any order; the furthest counts, and each is kept."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.hot.orders import Order
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values

BASE: dict[str, Any] = {"symbol": "BTC/USDT", "order_id": "1", "side": "buy", "type": "limit", "amount": 3}
LIFE = (
    {"status": "open", "filled": 0, "updated_at": START_US, "price": 100, "client_order_id": "mine"},
    {"status": "open", "filled": 1, "updated_at": START_US + 1, "average": 100},
    {"status": "open", "filled": 2, "updated_at": START_US + 2, "average": "100.5"},
    {"status": "closed", "filled": 3, "updated_at": START_US + 2, "average": "100.6", "cost": "301.8"},
)
"""An order from its first report to its last; the last two are of one moment."""


def tell(store: HybridStore, report: dict[str, Any]) -> bool:
    return store.record_order(**BASE, **report)


def order(store: HybridStore) -> Order:
    found = store.get_order("BTC/USDT", "1")
    assert found is not None
    return found


def test_an_order_is_found_as_it_was_told(store: HybridStore) -> None:
    assert store.get_order("BTC/USDT", "1") is None
    assert tell(store, {**LIFE[0], "post_only": True, "strategy": "grid", "bot": "a", "time_in_force": "GTC"})
    found = order(store)
    assert values(found.status, found.price, found.amount, found.filled) == ("open", 100, 3, 0)
    assert (found.post_only, found.reduce_only, found.strategy, found.bot) == (True, None, "grid", "a")
    assert found.updated_at == datetime.fromtimestamp(START_US // 10**6, UTC)
    assert store.get_open_orders() == store.get_open_orders("BTC/USDT") == [found]
    assert store.get_open_orders("ETH/USDT") == store.get_open_orders(account="other") == []
    assert tell(store, LIFE[3])
    assert store.get_open_orders() == []


@pytest.mark.parametrize("places", list(itertools.permutations(range(len(LIFE)))))
def test_in_any_order_they_leave_the_same_order(store: HybridStore, places: tuple[int, ...]) -> None:
    for place in places:
        tell(store, LIFE[place])
    found = order(store)
    assert values(found.status, found.filled, found.average, found.cost) == (
        "closed", 3, Decimal("100.6"), Decimal("301.8"),
    )  # fmt: skip
    assert values(found.price, found.client_order_id) == (100, "mine"), (
        "what the last does not say is not taken back"
    )
    events = rows(store, "SELECT status, filled FROM order_events ORDER BY occurred_at, filled")
    assert events == [("open", "0"), ("open", "1"), ("open", "2"), ("closed", "3")]


def test_told_again_nothing_changes(store: HybridStore, rng: random.Random) -> None:
    for report in LIFE:
        tell(store, report)
    before = contents(store)
    for report in rng.sample(LIFE * 3, 12):
        assert not tell(store, report)
    after = contents(store)
    assert {name: after[name] for name in ("orders", "order_events", "corrections")} == {
        name: before[name] for name in ("orders", "order_events", "corrections")
    }


def test_a_report_without_a_time_is_of_now(store: HybridStore) -> None:
    report = {"status": "open", "filled": 0}
    assert tell(store, report)
    assert not tell(store, report), "it says nothing new"
    assert tell(store, {"status": "canceled", "filled": 1})
    assert [status for (status,) in rows(store, "SELECT status FROM order_events ORDER BY id")] == [
        "open", "canceled",
    ]  # fmt: skip
    assert order(store).status == "canceled"


def test_a_late_report_fills_in_what_nobody_said(store: HybridStore) -> None:
    tell(store, LIFE[1])
    assert order(store).client_order_id is None
    assert tell(store, LIFE[0])
    assert values(order(store).client_order_id, order(store).filled) == ("mine", 1)


def test_the_events_of_an_open_order_may_be_archived_before_it(store: HybridStore) -> None:
    old = {"status": "open", "filled": 0, "updated_at": START_US - 20 * DAY_US}
    tell(store, old)
    tell(store, {**old, "filled": 1, "updated_at": START_US})
    assert store.retention.run().rows == 1, "the first event; the order is open"
    tell(store, old)
    assert rows(store, "SELECT filled FROM order_events") == [("1",)]
    assert store.sql("SELECT count(*) FROM order_events").rows() == [(2,)]
    assert order(store).filled == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("status", "flying"), ("side", "up"), ("amount", 1.5), ("order_id", None), ("leverage", 3)],
)
def test_what_does_not_fit_is_named(store: HybridStore, column: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=column):
        store.record_order(**{**BASE, "status": "open", column: value})
    assert rows(store, "SELECT count(*) FROM orders") == [(0,)]


def test_asking_for_what_is_no_name(store: HybridStore) -> None:
    ask: Any = store.get_order
    for wrong in ((None, "1"), ("BTC/USDT", 5), ("BTC/USDT", "1", None)):
        with pytest.raises(InvalidValue):
            ask(*wrong)


@pytest.mark.parametrize("late", [{}, {"updated_at": START_US + 10}])
def test_an_order_that_is_final_is_not_opened_again(store: HybridStore, late: dict[str, Any]) -> None:
    tell(store, LIFE[3])
    assert not tell(store, {"status": "open", "filled": 0, **late})
    assert values(order(store).status, order(store).filled) == ("closed", 3)


def test_the_end_of_an_order_counts_whatever_clock_it_is_told_by(store: HybridStore) -> None:
    """The first report had no time, and the exchange's clock is behind this machine's."""
    assert tell(store, {"status": "open", "filled": 0})
    assert tell(store, {"status": "closed", "filled": 3, "updated_at": START_US - 200_000})
    assert values(order(store).status, order(store).filled) == ("closed", 3)
    assert store.get_open_orders() == []
