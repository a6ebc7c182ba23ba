"""Positions now and at any moment: by hand, late, archived, and a random life that adds up to what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock, TradingBotStorageSystem
from hybridstore.books.position_at import PositionAt
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.schema.types import moment
from tests.books.life import ACCOUNT, Life
from tests.hot.books import values

START_US = 20_670 * DAY_US
HOUR_US = DAY_US // 24
LINEAR, INVERSE = "BTC/USDT:USDT", "BTC/USD:BTC"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """An open store, a month after everything that is told to it."""
    with HybridStore(tmp_path / "store", clock=ManualClock(START_US + 30 * DAY_US)) as opened:
        yield opened


def told(store: HybridStore, hour: int, side: str, amount: str, price: str, **more: Any) -> str | None:
    """Record a fill so many hours after the start; returns its position's id."""
    details: dict[str, Any] = {
        "symbol": LINEAR,
        "trade_id": f"t{hour}",
        "executed_at": START_US + hour * HOUR_US,
    }
    position = store.record_fill(side=side, price=price, amount=amount, **(details | more)).position
    return None if position is None else position.position_id


def at(store: HybridStore, hour: float, **more: Any) -> list[PositionAt]:
    return list(store.books.positions(at=START_US + round(hour * HOUR_US), **more))


def test_a_position_as_it_was_hour_by_hour(store: HybridStore) -> None:
    told(store, 1, "buy", "2", "100", fee="1", fee_currency="USDT")
    told(store, 2, "buy", "1", "130", fee="0.5", fee_currency="USDT")
    store.record_funding(LINEAR, "-0.25", funding_id="f", occurred_at=START_US + 3 * HOUR_US)
    told(store, 4, "sell", "1.5", "120")
    told(store, 5, "sell", "1.5", "90")
    for archived in (False, True):
        if archived:
            store.retention.run()
            assert store.get_system_status()["datasets"]["position_events"]["hot_rows"] == 0
        assert at(store, 0.9) == []
        (one,) = at(store, 1)
        assert values(one.amount, one.entry_price, one.fees, one.realized_pnl) == (2, 100, 1, 0)
        assert values(one.price, one.price_source, one.unrealized_pnl) == (100, "fill", 0)
        (one,) = at(store, 3.5)
        assert values(one.amount, one.entry_price, one.entry_cost, one.fees) == (3, 110, 330, Decimal("1.5"))
        assert values(one.funding, one.unrealized_pnl, one.price) == (Decimal("-0.25"), 60, 130)
        assert (one.priced_at, one.changed_at) == (
            moment(START_US + 2 * HOUR_US), moment(START_US + 3 * HOUR_US),
        )  # fmt: skip
        (one,) = at(store, 4)
        assert values(one.amount, one.entry_cost, one.realized_pnl, one.status) == (
            Decimal("1.5"),
            165,
            15,
            "OPEN",
        )
        assert at(store, 5) == []
        (one,) = at(store, 5, status="all")
        assert values(one.amount, one.entry_price, one.realized_pnl, one.status) == (0, None, -15, "CLOSED")
        assert values(one.closed_at, one.unrealized_pnl) == (moment(START_US + 5 * HOUR_US), 0)
        assert one.profit_asset == "USDT"


def test_now_it_is_what_the_hot_store_says_at_its_marks(store: HybridStore) -> None:
    first = told(store, 1, "buy", "2", "100")
    second = told(store, 2, "sell", "3", "50000", symbol=INVERSE, contract_size=100)
    store.record_mark(LINEAR, mark="110")
    found = {one.position_id: one for one in store.books.positions()}
    assert first is not None
    assert second is not None
    for position in store.get_open_positions():
        one = found.pop(position.position_id)
        for name in (
            "amount",
            "side",
            "status",
            "entry_price",
            "entry_cost",
            "realized_pnl",
            "fees",
            "funding",
        ):
            assert one[name] == position[name]
        assert (one.opened_at, one.closed_at) == (position.opened_at, position.closed_at)
        if one.symbol == LINEAR:
            assert values(one.unrealized_pnl, one.price, one.price_source) == (20, 110, "mark")
        else:  # no price is no profit, not one of zero
            assert (one.unrealized_pnl, one.price, one.price_source, one.priced_at) == (None,) * 4
    assert not found
    (priced,) = store.books.positions(symbol=INVERSE, prices={INVERSE: "40000"})
    assert values(priced.unrealized_pnl, priced.price_source) == (Decimal("0.0015"), "given")


def test_a_late_sale_before_the_opening_is_the_other_side_until_then(store: HybridStore) -> None:
    told(store, 10, "buy", "2", "100")
    told(store, 5, "sell", "0.5", "90")
    told(store, 7, "buy", "0.5", "80")
    (one,) = at(store, 6, prices={LINEAR: "70"})
    assert values(one.side, one.amount, one.unrealized_pnl) == ("SHORT", Decimal("0.5"), 15)
    (one,) = at(store, 8)  # nothing is held, and what is left of the cost is profit: no price is needed
    assert values(one.amount, one.status, one.unrealized_pnl, one.realized_pnl) == (0, "OPEN", 10, -5)
    (one,) = at(store, 10, prices={LINEAR: "100"})
    assert values(one.side, one.amount, one.unrealized_pnl, one.realized_pnl) == ("LONG", 2, 10, -5)


def test_terms_that_may_have_changed_since_are_not_told(store: HybridStore) -> None:
    terms: dict[str, Any] = {"leverage": "5", "margin_mode": "isolated", "liquidation_price": "81"}
    store.create_position("p", LINEAR, "LONG", "1", "100", opened_at=START_US, **terms)

    def told_terms(hour: float) -> tuple[object, ...]:
        (one,) = at(store, hour)
        return values(one.leverage, one.margin_mode, one.liquidation_price)

    assert told_terms(1) == (5, "isolated", 81)
    told(store, 2, "buy", "1", "100", position_id="p")
    assert (told_terms(1), told_terms(2)) == ((5, "isolated", None), (5, "isolated", 81))
    store.adjust_position("p", leverage="3")
    assert told_terms(1) == (None, None, None)
    assert told_terms(2) == (None, None, None)
    assert told_terms(31 * 24) == (3, "isolated", 81)


def test_only_what_was_asked_for(store: HybridStore) -> None:
    told(store, 1, "buy", "1", "100")
    told(store, 2, "buy", "1", "100", account="other")
    told(store, 3, "buy", "1", "100", symbol="ETH/USDT:USDT")
    told(store, 4, "sell", "1", "100", symbol="ETH/USDT:USDT")
    moments: list[dict[str, Any]] = [{}, {"at": START_US + 9 * HOUR_US}]
    for more in moments:
        assert [one.account for one in store.books.positions(**more)] == ["default", "other"]
        assert [one.account for one in store.books.positions("other", **more)] == ["other"]
        assert store.books.positions("nobody", **more) == ()
        found = store.books.positions(status="all", symbol="ETH/USDT:USDT", **more)
        assert [(one.symbol, one.status) for one in found] == [("ETH/USDT:USDT", "CLOSED")]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"at": "2026-08-01T12:00:00"}, "naive"),
        ({"status": "closed"}, "neither open nor all"),
        ({"account": " main"}, "white space"),
        ({"symbol": ""}, "symbol"),
        ({"prices": {"BTC": 1}}, "not a market"),
        ({"prices": {LINEAR: 0}}, "more than zero"),
        ({"prices": {LINEAR: 1.5}}, "float"),
        ({"max_price_age_s": -1}, "max_price_age_s"),
        ({"max_price_age_s": float("nan")}, "max_price_age_s"),
    ],
)
def test_a_question_that_makes_no_sense_is_named(store: HybridStore, question: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        store.books.positions(**question)


def test_the_sums_of_a_life_are_what_is_kept(store: HybridStore, rng: Random) -> None:
    life = Life(rng, even=False, count=250)
    for number, tell in enumerate(life.tellings):
        tell(store)
        if number == 150:
            store.retention.run()
    now = store.books.positions(ACCOUNT, status="all")
    then = {
        one.position_id: one
        for one in store.books.positions(ACCOUNT, at=START_US + 29 * DAY_US, status="all")
    }
    assert len(now) > 5
    for one in now:
        other = then.pop(one.position_id)
        for name in (
            "side",
            "status",
            "amount",
            "entry_cost",
            "realized_pnl",
            "fees",
            "funding",
            "opened_at",
        ):
            assert one[name] == other[name], (name, one, other)
        if one.amount:
            assert one.entry_price == other.entry_price
    assert not then


async def test_a_loop_asks_the_same(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store") as storage:
        await storage.record_fill(LINEAR, "buy", "100", "2", executed_at=START_US)
        (one,) = await storage.books.positions(at=START_US)
        assert values(one.amount, one.price) == (2, 100)
        assert await storage.books.positions(at=START_US - 1) == ()
