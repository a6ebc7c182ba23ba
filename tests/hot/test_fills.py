"""Fills: recorded once, with their ledger entries and their effect on a position, in one commit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import Conflict, InvalidValue
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.hot.books import START_US, commit_seq, contents, rows, values

PERP = "BTC/USDT:USDT"


def entries(store: HybridStore) -> list[tuple[Any, ...]]:
    return rows(store, "SELECT type, asset, amount FROM ledger ORDER BY id")


def test_a_spot_fill_moves_both_assets_and_the_fee(store: HybridStore) -> None:
    result = store.record_fill(
        "BTC/USDT", "buy", "45000.5", "0.2", fee="0.0002", fee_currency="BTC", liquidity="maker", trade_id="t",
        order_id="o", executed_at=START_US, strategy="s", bot="b", info={"raw": Decimal("1.10")},
    )  # fmt: skip
    assert not result.repeated
    assert (result.trade.quote_amount, result.trade.fee_in_quote) == (Decimal("9000.1"), Decimal("9.0001"))
    assert result.position is not None
    assert result.position.amount == Decimal("0.1998")
    assert entries(store) == [
        ("trade", "BTC", "0.2"),
        ("trade", "USDT", "-9000.1"),
        ("fee", "BTC", "-0.0002"),
    ]
    assert rows(store, "SELECT liquidity, synthetic_id, info, executed_at FROM trades") == [
        ("maker", 0, '{"raw":"1.10"}', START_US)
    ]


def test_a_rebate_and_several_fees(store: HybridStore) -> None:
    result = store.record_fill(
        PERP, "buy", 100, 1, fees=[("USDT", "-0.01"), {"currency": "BNB", "cost": "0.002"}]
    )
    assert result.trade.fee is None
    assert result.trade.fee_in_quote is None, "nobody knows what BNB is worth"
    assert entries(store) == [("rebate", "USDT", "0.01"), ("fee", "BNB", "-0.002")]
    (text,) = rows(store, "SELECT fees FROM trades")[0]
    assert json.loads(text) == [{"currency": "USDT", "cost": "-0.01"}, {"currency": "BNB", "cost": "0.002"}]


def test_a_repeated_fill_changes_nothing(store: HybridStore) -> None:
    first = store.record_fill(PERP, "buy", 100, 1, trade_id="7", order_id="o", executed_at=START_US)
    before = {name: found for name, found in contents(store).items() if name != "commit_clock"}
    again = store.record_fill(
        PERP, "buy", "100.0", Decimal("1.00"), trade_id="7", order_id="o", executed_at=START_US
    )
    without_time = store.record_fill(PERP, "buy", 100, 1, trade_id="7", order_id="o")
    assert again.repeated
    assert without_time.repeated
    assert again.trade == first.trade == without_time.trade
    assert again.position is None
    assert {name: found for name, found in contents(store).items() if name != "commit_clock"} == before


def test_the_same_id_elsewhere_is_another_fill(store: HybridStore) -> None:
    several: list[dict[str, Any]] = [{"order_id": "p"}, {"account": "b"}, {"order_id": "o"}]
    for details in several:
        assert not store.record_fill(PERP, "buy", 100, 1, trade_id="7", **details).repeated
    assert not store.record_fill("ETH/USDT:USDT", "buy", 100, 1, trade_id="7").repeated
    assert rows(store, "SELECT count(*) FROM trades") == [(4,)]


@pytest.mark.parametrize("age_days", [0, 30])
def test_a_fill_told_without_and_with_its_order_is_one(
    store: HybridStore, clock: ManualClock, age_days: int
) -> None:
    first = store.record_fill(PERP, "buy", 100, 1, trade_id="7")
    clock.advance(age_days * DAY_US)
    store.retention.run()
    told = store.record_fill(PERP, "buy", "100.0", 1, trade_id="7", order_id="o", info={"channel": "rest"})
    assert told.trade.order_id == "-"
    assert not told.position
    # A match of the bot with itself: one id, two fills.
    other = store.record_fill(PERP, "sell", 100, 1, trade_id="7", order_id="p")
    assert not other.repeated
    assert store.sql("SELECT order_id, side FROM trades ORDER BY side").rows() == [
        ("-", "buy"),
        ("p", "sell"),
    ]
    assert store.record_fill(PERP, "sell", 100, 1, trade_id="7", order_id="p").repeated
    assert store.record_fill(PERP, "buy", 100, 1, trade_id="7").trade.recorded_at == first.trade.recorded_at


def test_a_contradiction_is_a_correction_and_the_old_version_is_kept(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="7")
    corrected = store.record_fill(PERP, "buy", 101, 1, trade_id="7")
    assert (corrected.repeated, corrected.corrected) == (False, ("price", "quote_amount"))
    assert values(corrected.trade.price, corrected.trade.quote_amount) == (101, 101)
    assert rows(store, "SELECT price, quote_amount FROM trades") == [("101", "101")]
    assert corrected.position is not None
    assert values(corrected.position.entry_price, corrected.position.entry_cost) == (101, 101)
    assert store.get_open_positions() == [corrected.position]
    (dataset, old, new) = rows(store, "SELECT dataset, old_row, new_row FROM corrections")[0]
    assert dataset == "trades"
    assert (json.loads(old)["price"], json.loads(new)["price"]) == ("100", "101")


def test_what_a_second_channel_does_not_say_is_not_taken_back(store: HybridStore) -> None:
    first = store.record_fill(
        PERP, "buy", 100, 1, trade_id="7", fee="0.1", strategy="trend", info={"channel": "websocket"}
    )
    again = store.record_fill(PERP, "buy", 100, 1, trade_id="7", info={"channel": "rest"})
    assert again.repeated
    assert again.trade == first.trade
    assert rows(store, "SELECT count(*) FROM corrections") == [(0,)]


def test_fills_without_an_id_are_all_different(store: HybridStore) -> None:
    results = [store.record_fill(PERP, "buy", 100, 1) for _ in range(3)]
    assert len({result.trade.trade_id for result in results}) == 3
    assert all(result.trade.synthetic_id for result in results)
    assert results[2].position is not None
    assert results[2].position.amount == 3


def test_a_spot_sale_of_what_was_held_before_changes_no_position(store: HybridStore) -> None:
    sold = store.record_fill("BTC/USDT", "sell", 100, 1)
    assert (sold.position, sold.trade.position_id, sold.trade.realized_pnl) == (None, None, None)
    assert entries(store) == [("trade", "BTC", "-1"), ("trade", "USDT", "100")]
    store.record_fill("BTC/USDT", "buy", 100, 1)
    beyond = store.record_fill("BTC/USDT", "sell", 110, 3)
    assert beyond.position is not None
    assert values(beyond.position.status, beyond.trade.realized_pnl) == ("CLOSED", 10)
    assert store.get_open_positions() == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"price": 0}, "price=0: must be more than zero"),
    ({"price": -1}, "price=-1"),
    ({"price": 1.5}, "price=1.5: a float is not exact"),
    ({"price": Decimal("NaN")}, "price=NaN"),
    ({"price": Decimal("Infinity")}, "price=Infinity"),
    ({"price": None}, "price=None"),
    ({"amount": True}, "amount=True"),
    ({"amount": Decimal("0.0000000000000000001")}, "amount=1E-19"),
    ({"amount": "1E-10", "price": "1E-10"}, "quote_amount="),
    ({"amount": "1E+15", "price": "1E+15"}, "quote_amount="),
    ({"side": "BUY"}, "side='BUY'.*buy, sell"),
    ({"side": None}, "side=None"),
    ({"symbol": "BTC-USDT"}, "symbol='BTC-USDT'"),
    ({"symbol": 5}, "symbol=5"),
    ({"symbol": "BTC/US\x00DT"}, "symbol="),
    ({"account": ""}, "account=''"),
    ({"fee": 0.1}, "fee=0.1"),
    ({"fee": "0.0000000000000000001"}, "fee="),
    ({"fee": 1, "fees": [("USDT", 1)]}, "both fee and fees"),
    ({"fees": [{"cost": 1}]}, "fees="),
    ({"fees": [5]}, "fees="),
    ({"fees": [("USDT", 1, 2)]}, "fees="),
    ({"fees": 7}, "fees=7"),
    ({"fees": [("USDT", 0.5)]}, "fee=0.5"),
    ({"fees": [("", 1)]}, "fee_currency=''"),
    ({"liquidity": "both"}, "liquidity='both'.*maker, taker"),
    ({"contract_size": -1}, "contract_size=-1"),
    ({"executed_at": 1_785_585_600}, "executed_at=1785585600.*multiply"),
    ({"info": "{"}, "info="),
    ({"trade_id": 5}, "trade_id=5"),
    ({"trade_id": ""}, "trade_id=''"),
    ({"fee": "1E+500"}, "fee="),
    ({"fee": "1E+200", "fee_currency": "BTC"}, "fee="),
    ({"price": "0." + "1" * 60}, "price="),
    ({"price": "1E+500"}, "price="),
    ({"order_id": " o"}, "order_id=' o'"),
    ({"quote_amount": 0}, "quote_amount=0"),
]


@pytest.mark.parametrize(("details", "complaint"), BAD, ids=[str(case[0]) for case in BAD])
def test_a_bad_fill_is_named_and_nothing_is_written(store: HybridStore, details: Any, complaint: str) -> None:
    before = contents(store)
    arguments = {"symbol": PERP, "side": "buy", "price": 100, "amount": 1, **details}
    with pytest.raises(InvalidValue, match=complaint):
        store.record_fill(**arguments)
    assert contents(store) == before


def test_the_exchanges_own_cost_is_taken_where_the_product_does_not_fit(store: HybridStore) -> None:
    result = store.record_fill(
        "PEPE/USDT", "buy", "0.0000000001", "0.0000000001", quote_amount="0.000000000000000001"
    )
    assert result.trade.quote_amount == Decimal("1E-18")
    assert entries(store)[1] == ("trade", "USDT", "-0.000000000000000001")


def test_a_fill_is_one_commit(store: HybridStore) -> None:
    before = commit_seq(store)
    store.record_fill("BTC/USDT", "buy", 100, 1, fee=1)
    assert commit_seq(store) == before + 1
    found = rows(store, "SELECT recorded_at FROM trades UNION SELECT recorded_at FROM ledger")
    assert len(found) == 1


def test_a_late_fill_of_a_day_that_is_being_archived(hasty: HybridStore, clock: ManualClock) -> None:
    """New rows are behind the claim; changing a claimed one is refused, retryable by name, and nothing is half done."""
    hasty.record_fill(PERP, "buy", 100, 1, trade_id="1", executed_at=START_US)

    def claim(session: WriteSession) -> None:
        day = START_US - START_US % DAY_US
        row = (
            "m",
            "trades",
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
    late = hasty.record_fill(PERP, "buy", 100, 1, trade_id="2", executed_at=START_US)
    assert late.position is not None
    assert late.position.amount == 2
    before = contents(hasty)
    with pytest.raises(Conflict, match="its day is being archived") as caught:
        hasty.record_fill(PERP, "buy", 105, 1, trade_id="1", executed_at=START_US)
    assert caught.value.hint is not None
    assert "again" in caught.value.hint
    assert contents(hasty) == before


def test_every_fill_has_ledger_entries_of_its_own(store: HybridStore) -> None:
    """Also where ids hold what parts them in an entry's id, or are as long as they may be."""
    long = "x" * 200
    for place, (trade_id, order_id) in enumerate(
        [("1|2", "3"), ("1", "2|3"), (long, long), (long, f"{long[1:]}y")]
    ):
        store.record_fill("BTC/USDT", "buy", 100, 10**place, trade_id=trade_id, order_id=order_id)
    assert rows(store, "SELECT amount FROM ledger WHERE asset = 'BTC' ORDER BY id") == [
        ("1",),
        ("10",),
        ("100",),
        ("1000",),
    ]
    kept = rows(store, "SELECT account, entry_id, type, asset, amount, reference, occurred_at FROM ledger")
    assert store.record_ledger_entries(kept).repeated == len(kept) == 8


def test_a_spot_market_has_one_unit_a_contract_however_it_is_written(store: HybridStore) -> None:
    for place, size in enumerate((1, "1", "1.000", Decimal(1))):
        result = store.record_fill("BTC/USDT", "buy", "100", "1", contract_size=size, trade_id=str(place))
        assert result.trade.contract_size == 1
    with pytest.raises(InvalidValue, match="a spot market has no contracts"):
        store.record_fill("BTC/USDT", "buy", "100", "1", contract_size="2")


def test_an_id_that_its_teller_made_up_is_flagged_and_known(store: HybridStore) -> None:
    first = store.record_fill("BTC/USDT", "buy", "100", "1", trade_id="order-7", synthetic_id=True)
    again = store.record_fill("BTC/USDT", "buy", "100", "1", trade_id="order-7", synthetic_id=True)

    assert first.trade.synthetic_id
    assert again.repeated
    assert rows(store, "SELECT count(*) FROM trades") == [(1,)]
