"""Positions: opened by hand or by fills, marked, flipped and closed, for several accounts on one market."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import Conflict, InvalidValue, NotFound
from hybridstore.hot.position_rows import Position
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values

PERP = "BTC/USDT:USDT"
EVENTS = """
SELECT seq, kind, amount_delta, amount_after, realized_delta FROM position_events WHERE position_id = ? ORDER BY seq
"""


def position(store: HybridStore, position_id: str) -> Position:
    found = store.get_position(position_id)
    assert found is not None
    return found


def test_a_position_by_hand(store: HybridStore) -> None:
    opened = store.create_position(
        "pos_001",
        "BTC/USDT",
        "LONG",
        Decimal("0.1"),
        Decimal(45000),
        leverage=3,
        margin_mode="cross",
        strategy="s",
    )
    assert values(opened.status, opened.amount, opened.entry_cost, opened.unrealized_pnl) == (
        "OPEN",
        Decimal("0.1"),
        4500,
        0,
    )
    marked = store.update_position_price("pos_001", Decimal(45500))
    assert values(marked.mark_price, marked.unrealized_pnl, marked.max_favourable) == (45500, 50, 50)
    assert position(store, "pos_001") == marked
    assert store.get_open_positions() == [marked]
    closed = store.close_position("pos_001", 44000, "stop", closed_at=START_US + 5_000_000)
    assert values(closed.status, closed.amount, closed.realized_pnl, closed.close_reason) == (
        "CLOSED",
        0,
        -100,
        "stop",
    )
    assert closed.closed_at == datetime.fromtimestamp(START_US / 1e6 + 5, UTC)
    assert position(store, "pos_001") == closed
    assert store.get_open_positions() == []
    assert rows(store, EVENTS, ("pos_001",)) == [
        (1, "open", "0.1", "0.1", "0"),
        (2, "close", "-0.1", "0", "-100"),
    ]


def test_an_id_is_given_once(store: HybridStore) -> None:
    store.create_position("p", PERP, "LONG", 1, 100)
    before = contents(store)
    with pytest.raises(Conflict, match="'p' exists already"):
        store.create_position("p", PERP, "LONG", 1, 100)
    store.close_position("p", 100)
    with pytest.raises(Conflict, match="'p' exists already"):
        store.create_position("p", PERP, "SHORT", 1, 100)
    assert contents(store)["trades"] == before["trades"]


@pytest.mark.parametrize("operation", ["mark", "close"])
def test_what_is_not_open_is_not_found(store: HybridStore, operation: str) -> None:
    store.create_position("closed", PERP, "LONG", 1, 100)
    store.close_position("closed", 100)
    before = contents(store)
    act = {"mark": store.update_position_price, "close": store.close_position}[operation]
    with pytest.raises(NotFound, match="no open position 'nowhere'"):
        act("nowhere", 100)
    with pytest.raises(NotFound, match="it is closed"):
        act("closed", 100)
    assert contents(store) == before
    assert store.get_position("nowhere") is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("p", PERP, "long", 1, 100), "side='long'"),
        (("p", PERP, "LONG", 0, 100), "amount=0"),
        (("p", PERP, "LONG", -1, 100), "amount=-1"),
        (("p", PERP, "LONG", 1, 0), "entry_price=0"),
        (("p", PERP, "LONG", 1.5, 100), "amount=1.5"),
        (("p", PERP, "LONG", 1, Decimal("1E-19")), "entry_price=1E-19"),
        (("p", "BTCUSDT", "LONG", 1, 100), "symbol='BTCUSDT'"),
        (("", PERP, "LONG", 1, 100), "position_id=''"),
        (("p", 5, "LONG", 1, 100), "symbol=5"),
    ],
)
def test_a_bad_position_is_named(store: HybridStore, arguments: Any, complaint: str) -> None:
    before = contents(store)
    with pytest.raises(InvalidValue, match=complaint):
        store.create_position(*arguments)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("details", "complaint"),
    [
        ({"margin_mode": "none"}, "margin_mode='none'"),
        ({"leverage": 2.0}, "leverage=2.0"),
        ({"account": " x"}, "account=' x'"),
        ({"contract_size": 0}, "contract_size=0"),
        ({"opened_at": datetime(2026, 1, 1)}, "opened_at="),  # noqa: DTZ001  the point of the test
        ({"strategy": ""}, "strategy=''"),
    ],
)
def test_a_bad_detail_is_named(store: HybridStore, details: Any, complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        store.create_position("p", PERP, "LONG", 1, 100, **details)
    assert store.get_open_positions() == []


@pytest.mark.parametrize("price", [0, -1, Decimal("NaN"), 1.5, "x", None, Decimal("1E-19"), Decimal("1E+20")])
def test_a_bad_price_changes_nothing(store: HybridStore, price: Any) -> None:
    store.create_position("p", PERP, "LONG", 1, 100)
    before = contents(store)
    with pytest.raises(InvalidValue, match="price"):
        store.update_position_price("p", price)
    with pytest.raises(InvalidValue, match="price"):
        store.close_position("p", price)
    assert contents(store) == before
    assert store.close_position("p", 100).realized_pnl == 0


def test_a_fill_opens_increases_reduces_flips_and_closes(store: HybridStore) -> None:
    first = store.record_fill(PERP, "buy", 100, 2, trade_id="1").position
    assert first is not None
    store.record_fill(PERP, "buy", 130, 1, trade_id="2")
    assert position(store, first.position_id).entry_price == 110
    reduced = store.record_fill(PERP, "sell", 120, 1, trade_id="3")
    assert values(reduced.trade.realized_pnl, reduced.trade.position_id) == (10, first.position_id)
    flipped = store.record_fill(PERP, "sell", 100, 5, trade_id="4")
    assert flipped.position is not None
    assert flipped.trade.position_id == first.position_id, "the fill belongs to what it closed"
    assert values(flipped.position.side, flipped.position.amount) == ("SHORT", 3)
    assert flipped.position.position_id != first.position_id
    assert flipped.trade.realized_pnl == -20
    closed = store.record_fill(PERP, "buy", 90, 3, trade_id="5")
    assert closed.position is not None
    assert values(closed.position.status, closed.trade.realized_pnl) == ("CLOSED", 30)
    assert store.get_open_positions() == []
    assert [row[1] for row in rows(store, EVENTS, (first.position_id,))] == [
        "open",
        "increase",
        "reduce",
        "flip",
    ]
    assert [row[1] for row in rows(store, EVENTS, (flipped.position.position_id,))] == ["open", "close"]
    pnl = rows(store, "SELECT amount FROM ledger WHERE type = 'trade' ORDER BY id")
    assert pnl == [("10",), ("-20",), ("30",)]


def test_flips_within_one_transaction(store: HybridStore) -> None:
    """Queued together they share a commit; the memory must serve what the tables do not hold yet."""
    from hybridstore.hot.fills import prepare_fill
    from hybridstore.hot.trades import write_fill

    fills = [("buy", 1), ("sell", 2), ("buy", 3), ("sell", 4), ("buy", 2)]

    def all_at_once(session: WriteSession) -> list[str]:
        sides = []
        for number, (side, amount) in enumerate(fills):
            found = write_fill(
                session, prepare_fill(PERP, side, 100 + number, amount, trade_id=str(number))
            ).position
            assert found is not None
            sides.append(f"{found.side} {found.amount} {found.status}")
        return sides

    assert store.database.writer.call(all_at_once) == [
        "LONG 1 OPEN", "SHORT 1 OPEN", "LONG 2 OPEN", "SHORT 2 OPEN", "SHORT 0 CLOSED",
    ]  # fmt: skip
    assert store.get_open_positions() == []
    assert rows(store, "SELECT count(*) FROM positions") == [(4,)]
    assert rows(store, "SELECT status, count(*) FROM positions GROUP BY status") == [("CLOSED", 4)]
    result = store.record_fill(PERP, "buy", 100, 1).position
    assert result is not None
    assert result.amount == 1


def test_accounts_on_one_market_keep_their_own(store: HybridStore) -> None:
    accounts = ["default", "a/1", "a/2", "счёт"]
    for number, account in enumerate(accounts, start=1):
        store.record_fill(PERP, "buy" if number % 2 else "sell", 100, number, account=account)
    assert store.record_mark(PERP, mark=110) == 4
    for number, account in enumerate(accounts, start=1):
        (held,) = store.get_open_positions(account)
        assert held.account == account
        assert held.unrealized_pnl == number * (10 if number % 2 else -10)
    store.record_fill(PERP, "sell", 110, 1, account="default")
    assert store.get_open_positions("default") == []
    assert len(store.get_open_positions("a/1")) == 1
    assert store.record_mark(PERP, mark=120) == 3


def test_two_positions_of_one_market_need_to_be_named(store: HybridStore) -> None:
    store.create_position("one", PERP, "LONG", 1, 100)
    store.create_position("two", PERP, "LONG", 1, 100)
    before = contents(store)
    with pytest.raises(InvalidValue, match=r"2 open positions on BTC/USDT:USDT.*position_id="):
        store.record_fill(PERP, "sell", 110, 1, trade_id="x")
    assert contents(store) == before
    store.record_fill(PERP, "sell", 110, 1, trade_id="x", position_id="two")
    assert [held.position_id for held in store.get_open_positions()] == ["one"]


def test_a_fill_for_a_position_of_another_market_is_refused(store: HybridStore) -> None:
    store.create_position("one", PERP, "LONG", 1, 100)
    before = contents(store)
    for symbol, account in (("ETH/USDT:USDT", "default"), (PERP, "other")):
        with pytest.raises(InvalidValue, match="position 'one' is OPEN on BTC/USDT:USDT of default"):
            store.record_fill(symbol, "sell", 110, 1, position_id="one", account=account)
    assert contents(store) == before
    named = store.record_fill("ETH/USDT:USDT", "sell", 110, 1, position_id="mine").position
    assert named is not None
    assert (named.position_id, named.side) == ("mine", "SHORT")


def test_inverse_contracts_earn_their_base(store: HybridStore) -> None:
    opened = store.record_fill("BTC/USD:BTC", "buy", 50_000, 100, contract_size=100).position
    assert opened is not None
    assert opened.inverse
    assert opened.entry_cost == Decimal("0.2")
    store.record_mark("BTC/USD:BTC", mark=40_000)
    assert position(store, opened.position_id).unrealized_pnl == Decimal("-0.05")
    closed = store.record_fill("BTC/USD:BTC", "sell", 80_000, 100, contract_size=100)
    assert closed.trade.realized_pnl == Decimal("0.075")
    assert rows(store, "SELECT asset, amount FROM ledger") == [("BTC", "0.075")]


def test_marks_keep_the_best_and_the_worst(store: HybridStore, clock: ManualClock) -> None:
    store.create_position("p", PERP, "SHORT", 2, 100)
    for mark in (105, 90, 120, 99):
        clock.advance(1_000_000)
        store.record_mark(PERP, mark=mark)
    held = position(store, "p")
    assert values(held.unrealized_pnl, held.max_favourable, held.max_adverse) == (2, 20, -40)


def test_the_callers_decimal_context_changes_no_position(store: HybridStore) -> None:
    narrow = decimal.Context(prec=3, Emax=3, Emin=-3, capitals=0)
    with decimal.localcontext(narrow):
        store.record_fill(PERP, "buy", Decimal("61234.123456789"), Decimal("0.123456789"), trade_id="1")
        store.record_fill(PERP, "sell", Decimal("61234.123456788"), Decimal("0.123456788"), trade_id="2")
        (held,) = store.get_open_positions()
        summary = store.get_portfolio_summary()
    assert held.amount == Decimal("0.000000001")
    assert rows(store, "SELECT quote_amount FROM trades ORDER BY id") == [
        (str(exact("61234.123456789", "0.123456789")),),
        (str(exact("61234.123456788", "0.123456788")),),
    ]
    assert summary.account == "default"


def exact(one: str, other: str) -> Decimal:
    with decimal.localcontext(prec=60):
        return Decimal(one) * Decimal(other)


def test_closed_positions_leave_with_their_day_and_the_open_ones_stay(
    store: HybridStore, clock: ManualClock
) -> None:
    store.create_position("open", PERP, "LONG", 1, 100)
    store.create_position("closed", PERP, "LONG", 1, 100)
    store.close_position("closed", 110)
    clock.advance(45 * DAY_US)
    store.retention.run(now_us=clock.now_us())
    assert store.get_position("closed") is None
    assert position(store, "open").status == "OPEN"
    assert store.record_mark(PERP, mark=120) == 1
    assert store.close_position("open", 120).realized_pnl == 20


def test_closing_into_a_day_that_is_being_archived_is_refused_whole(hasty: HybridStore) -> None:
    """A late closing would join rows that are already written to a file; the position stays open until it may."""
    hasty.create_position("p", PERP, "LONG", 1, 100, opened_at=START_US - 2 * DAY_US)
    day = START_US - START_US % DAY_US - DAY_US

    def claim(session: WriteSession, state: str) -> None:
        row = (
            "m",
            "positions",
            "warm",
            day,
            day + DAY_US,
            9,
            state,
            "f",
            "archives/x.parquet",
            None,
            START_US,
            None,
        )
        session.run("upsert_archive_moves", row)

    hasty.database.writer.call(claim, "claimed")
    before = contents(hasty)
    with pytest.raises(Conflict, match=r"being archived.*do it again"):
        hasty.close_position("p", 110, closed_at=day + 5)
    with pytest.raises(Conflict, match=r"being archived.*do it again"):
        hasty.record_fill(PERP, "sell", 110, 1, executed_at=day + 5)
    assert contents(hasty) == before
    assert hasty.record_mark(PERP, mark=105) == 1
    hasty.database.writer.call(claim, "done")
    assert hasty.close_position("p", 110, closed_at=day + 5).realized_pnl == 10


def test_what_an_account_owes_is_not_its_equity(store: HybridStore) -> None:
    store.record_balance_update("USDT", 10_000, debt=9_000)
    summary = store.get_portfolio_summary()
    assert [summary.equity, summary.cash, summary.debt] == [1_000, 1_000, 9_000]
    store.record_balance_update("USDT", 10_000, debt=0)
    assert store.get_portfolio_summary().equity == 10_000


@pytest.mark.parametrize("kind", ["balance", "mark", "position", "open positions", "archived until"])
def test_names_may_be_what_the_store_calls_its_own(store: HybridStore, kind: str) -> None:
    """Accounts, assets and ids are the user's to choose: what is remembered of one kind is never taken for another."""
    store.record_mark("BTC/USDT", last=100)
    store.create_position("BTC", "BTC/USDT", "LONG", 1, 100)
    for asset in ("BTC/USDT", "BTC", "ETH", "trades"):
        assert store.record_balance_update(asset, 1, account=kind).balance == 1
        assert store.record_balance_update(asset, 2, account=kind).balance == 2
    assert store.create_position("ETH", "ETH/USDT", "LONG", 1, 100, account=kind).account == kind
    assert store.record_mark("BTC/USDT", last=90) == 1
    assert [position.position_id for position in store.get_open_positions()] == ["BTC"]


def test_the_id_of_an_archived_position_is_taken(store: HybridStore, clock: ManualClock) -> None:
    store.create_position("p", PERP, "LONG", 1, 100)
    store.close_position("p", 110)
    clock.advance(30 * DAY_US)
    store.retention.run()
    assert store.get_position("p") is None, "it is archived"
    before = contents(store)
    with pytest.raises(Conflict, match=f"'p' exists already, on {PERP}"):
        store.create_position("p", "ETH/USDT", "SHORT", 5, 10)
    with pytest.raises(InvalidValue, match="'p' is CLOSED"):
        store.record_fill("ETH/USDT", "buy", 10, 5, position_id="p", trade_id="t")
    assert contents(store) == before
    assert store.sql("SELECT position_id, symbol FROM positions").rows() == [("p", PERP)]
    assert store.create_position("q", "ETH/USDT", "SHORT", 5, 10).position_id == "q"


@pytest.mark.parametrize(("bid", "ask"), [("1E+500", 1), (1, "1E+500"), ("1" * 60, "0." + "1" * 60)])
def test_prices_that_do_not_fit_are_named(store: HybridStore, bid: object, ask: object) -> None:
    with pytest.raises(InvalidValue, match=r"(bid|ask)="):
        store.record_mark("BTC/USDT", bid=bid, ask=ask)
