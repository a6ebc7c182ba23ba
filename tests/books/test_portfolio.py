"""What an account is and was worth: both sources of balances, every source of prices, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock, TradingBotStorageSystem
from hybridstore.books.portfolio import Portfolio
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import Moment
from hybridstore.portfolio.summary import PortfolioSummary
from hybridstore.schema.types import moment
from tests.hot.books import values

START_US = 20_670 * DAY_US
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
NOW_US = START_US + 30 * DAY_US
SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """An open store, a month after everything that is told to it."""
    with HybridStore(tmp_path / "store", clock=ManualClock(NOW_US)) as opened:
        yield opened


def report(store: HybridStore, hour: float, asset: str, balance: str, **more: Any) -> None:
    store.record_balance_update(asset, balance, changed_at=START_US + round(hour * HOUR_US), **more)


def candle(store: HybridStore, opened_us: int, close: str, timeframe: str = "1m", symbol: str = SPOT) -> None:
    store.record_candles([(symbol, timeframe, opened_us, close, close, close, close, 1)])


def at(store: HybridStore, hour: float, **more: Any) -> Portfolio:
    return store.books.portfolio(at=START_US + round(hour * HOUR_US), **more)


def test_reported_balances_are_the_last_report_until_then(store: HybridStore) -> None:
    report(store, 1, "USDT", "100")
    report(store, 3, "USDT", "300")
    report(store, 3, "USDT", "310", source="other")  # of one moment, what was told last
    report(store, 2, "USDT", "200")  # told late
    report(store, 2, "USDT", "1", account="other")
    for archived in (False, True):
        if archived:
            store.retention.run()
            assert store.get_system_status()["datasets"]["balance_history"]["hot_rows"] == 0
        asked = [START_US + round(hour * HOUR_US) for hour in (3, 0.5, 2.9, 2, 1, 99, 2)]
        equity = [one.equity for one in store.books.equity(asked)]
        assert values(*equity) == (310, 0, 200, 200, 100, 310, 200)
        assert [at(store, hour).equity for hour in (3, 0.5, 2.9, 2, 1, 99, 2)] == equity
        assert store.books.portfolio().equity == 310


def test_booked_balances_are_the_sum_of_the_ledger_until_then(store: HybridStore) -> None:
    for number, (hour, amount) in enumerate([(1, "1000"), (5, "-100")]):
        entry = ("default", f"e{number}", "transfer", "USDT", amount, None, START_US + hour * HOUR_US)
        store.record_ledger_entries([entry])
    store.record_fill(
        SPOT,
        "buy",
        "50000",
        "0.01",
        trade_id="1",
        fee="1",
        fee_currency="USDT",
        executed_at=START_US + 2 * HOUR_US,
    )
    report(store, 1, "USDT", "7")
    for archived in (False, True):
        if archived:
            store.retention.run()
        first = at(store, 1, source="booked")
        assert values(first.equity, first.unpriced, first.source) == (1000, (), "booked")
        second = at(store, 2, source="booked", prices={"BTC": "60000"})
        assert values(second.equity, second.cash, second.unrealized_pnl) == (1099, 1099, 100)
        assert [values(one.asset, one.amount) for one in second.assets] == [
            ("BTC", Decimal("0.01")), ("USDT", 499),
        ]  # fmt: skip
        assert at(store, 6, source="booked", prices={SPOT: "60000"}).equity == 999
        assert at(store, 6, prices={SPOT: "60000"}).cash == 7
        now = store.books.portfolio(source="booked", prices={"BTC": "60000"})
        assert values(now.equity, now.at) == (999, None)


def test_now_it_is_the_summary_of_the_hot_store(store: HybridStore, rng: Random) -> None:
    for number in range(40):
        symbol = rng.choice((SPOT, LINEAR, INVERSE, "ETH/USDT:USDT", "SOL/EUR"))
        store.record_fill(
            symbol, rng.choice(("buy", "sell")), Decimal(rng.randrange(100, 999)), Decimal(rng.randrange(1, 99)),
            contract_size=100 if symbol == INVERSE else 1, trade_id=str(number),
            fees=[("BNB", "0.01"), ("BTC", "0.001")], executed_at=START_US + number * HOUR_US,
        )  # fmt: skip
    for number, asset in enumerate(("USDT", "BTC", "DUST", "EUR", "BNB")):
        report(store, number, asset, str(rng.randrange(100)), debt=str(rng.randrange(3)))
    for symbol in rng.sample((SPOT, LINEAR, INVERSE, "ETH/USDT:USDT", "SOL/EUR", "EUR/USDT"), 4):
        store.record_mark(symbol, mark=Decimal(rng.randrange(100, 999)))
    for position in store.get_open_positions()[:2]:
        store.update_position_price(position.position_id, "555")
    for currency in ("USDT", "EUR"):
        found = store.books.portfolio(base_currency=currency)
        summary = store.get_portfolio_summary(base_currency=currency)
        for name in PortfolioSummary.__struct_fields__:
            if name in {"assets", "positions", "unpriced"}:
                assert sorted(found[name], key=str) == sorted(summary[name], key=str)
            else:
                assert found[name] == summary[name]


def test_prices_of_the_past_the_best_first(store: HybridStore) -> None:
    report(store, 0, "BTC", "1")

    def priced(hour: float, **more: Any) -> tuple[object, ...]:
        found = at(store, hour, **more)
        assert (found.unpriced == ()) is bool(found.prices)
        return (None,) if not found.prices else values(found.prices[0].source, found.equity)

    noon = START_US + 12 * HOUR_US
    assert priced(36) == (None,)
    store.record_mark(SPOT, mark="1", marked_at=noon)
    assert (priced(11.9), priced(12), priced(36)) == ((None,), ("mark", 1), ("mark", 1))
    store.record_market_trades([(SPOT, 1, "2", "1", "buy", noon), (SPOT, 2, "3", "1", "buy", noon)])
    assert priced(36) == ("market trade", 3)  # the last of one moment
    store.record_fill(SPOT, "buy", "4", "1", trade_id="1", account="other", executed_at=noon)
    assert priced(36) == ("fill", 4)
    store.record_fill(SPOT, "buy", "9", "1", trade_id="2", account="other", executed_at=noon + 1)
    store.void_fill(SPOT, "2", account="other")
    assert priced(36) == ("fill", 4)
    candle(store, noon - 7 * DAY_US, "5", "1w")
    assert priced(36) == ("candle", 5)
    candle(store, noon - HOUR_US, "6", "1h")
    assert priced(36) == ("candle", 6)
    candle(store, noon - MINUTE_US, "7")
    assert (priced(12), priced(36)) == (("candle", 7), ("candle", 7))
    candle(store, noon, "8")
    assert (priced(12), priced(12.02)) == (("candle", 7), ("candle", 8))
    candle(store, noon, "0.5", "?")  # no timeframe, no moment it closed at
    store.record_market_trades([(SPOT, 3, "2.5", "1", "buy", noon + HOUR_US)])
    assert (priced(13), priced(13.1)) == (("candle", 8), ("market trade", Decimal("2.5")))
    assert priced(36, prices={"BTC": 10}) == ("given", 10)
    assert priced(36, max_price_age_s=22 * 3600) == (None,)
    assert priced(40 * 24) == (None,)
    assert priced(40 * 24, max_price_age_s=None) == priced(40 * 24, max_price_age_s=float("inf"))
    assert priced(40 * 24, max_price_age_s=None) == ("market trade", Decimal("2.5"))
    before = [priced(hour) for hour in (11.9, 12, 12.02, 13, 13.1, 36)]
    store.retention.run()
    assert store.get_system_status()["datasets"]["candles"]["hot_rows"] == 0
    assert [priced(hour) for hour in (11.9, 12, 12.02, 13, 13.1, 36)] == before


def test_a_candle_that_was_never_told_to_its_end_is_of_the_moment_it_was_told(tmp_path: Path) -> None:
    clock = ManualClock(START_US + 2 * HOUR_US + HOUR_US // 2)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        report(store, 0, "BTC", "1")
        candle(store, START_US, "5", "1d")
        candle(store, START_US + HOUR_US, "6", "1h")
        clock.set(NOW_US)
        found = at(store, 23.9)
        assert values(found.equity, found.prices[0].priced_at) == (6, moment(START_US + 2 * HOUR_US))
        found = at(store, 24)
        ((told_at,),) = store.sql("select recorded_at from candles where timeframe = '1d'").rows()
        assert values(found.equity, found.prices[0].priced_at) == (5, told_at)
        candle(store, START_US, "7", "1d")
        found = at(store, 24)
        assert values(found.equity, found.prices[0].priced_at) == (7, moment(START_US + DAY_US))


def test_an_asset_is_priced_through_the_best_market_there_is(store: HybridStore) -> None:
    report(store, 0, "BTC", "1")
    moments = [START_US + minute * MINUTE_US for minute in range(1, 5)]
    candle(store, START_US, "0.5", symbol="USDT/BTC")
    candle(store, START_US + MINUTE_US, "3", symbol=LINEAR)
    candle(store, START_US + 2 * MINUTE_US, "4", symbol=SPOT)
    assert values(*(one.equity for one in store.books.equity(moments))) == (2, 3, 4, 4)
    assert [store.books.portfolio(at=at_us).prices[0].symbol for at_us in moments] == [
        "USDT/BTC", LINEAR, SPOT, SPOT,
    ]  # fmt: skip


def test_what_has_no_price_is_named_and_never_zero(store: HybridStore) -> None:
    report(store, 0, "USDT", "10")
    report(store, 0, "DUST", "5")
    store.record_fill(LINEAR, "buy", "100", "1", trade_id="1", executed_at=START_US)
    found = at(store, 1, max_price_age_s=60)
    assert values(found.equity, set(found.unpriced)) == (10, {"DUST", LINEAR})
    (one,) = store.books.equity([START_US + HOUR_US], max_price_age_s=60)
    assert values(one.equity, set(one.unpriced)) == (10, {"DUST", LINEAR})
    assert found.exposure().unpriced == found.unpriced


def test_debts_count_and_unknown_ones_are_named(store: HybridStore) -> None:
    report(store, 1, "USDT", "100")
    report(store, 2, "USDT", "100", debt="30")
    report(store, 2, "BTC", "0", debt="0")
    later = at(store, 2)
    assert values(later.equity, later.debt, later.debts_unknown) == (70, 30, ())
    earlier = at(store, 1.5)
    assert values(earlier.equity, earlier.debt, earlier.debts_unknown) == (100, 0, ("USDT",))
    assert at(store, 1.5, source="booked").debts_unknown == ()


def test_what_is_left_of_a_cost_counts_without_a_price_of_its_market(store: HybridStore) -> None:
    for hour, side, price, amount in (
        (10, "buy", "100", "2"),
        (5, "sell", "90", "0.5"),
        (7, "buy", "80", "0.5"),
    ):
        executed_us = START_US + hour * HOUR_US
        store.record_fill(LINEAR, side, price, amount, trade_id=str(hour), executed_at=executed_us)
    found = at(store, 8, source="booked", max_price_age_s=1)
    assert values(found.equity, found.unpriced) == (5, ())
    (one,) = found.positions
    assert values(one.amount, one.unrealized_pnl, one.value) == (
        0,
        found.unrealized_pnl,
        found.positions_value,
    )
    assert found.exposure().gross == 0


def test_exposure_of_a_portfolio_knows_the_terms_of_its_positions(store: HybridStore) -> None:
    report(store, 0, "USDT", "500")
    report(store, 0, "BTC", "1")
    store.create_position(
        "p", LINEAR, "LONG", "2", "100", leverage="4", liquidation_price="90", opened_at=START_US
    )
    store.record_mark(LINEAR, mark="120")
    store.record_mark(INVERSE, mark="120")
    for found in (store.books.portfolio(), store.books.portfolio(at=NOW_US + HOUR_US)):
        exposure = found.exposure()
        assert values(exposure.gross, exposure.leverage) == (360, Decimal("0.545454545454545455"))
        (risk,) = exposure.positions
        assert values(risk.margin_used, risk.liquidation_distance, risk.notional) == (
            50,
            Decimal("0.25"),
            240,
        )


def test_moments_come_back_as_they_were_asked_for(store: HybridStore) -> None:
    assert store.books.equity([]) == ()
    report(store, 1, "USDT", "100")
    asked: list[Moment] = [
        "1970-01-01T00:00:00Z",
        moment(START_US + HOUR_US),
        START_US,
        moment(START_US + HOUR_US),
    ]
    found = store.books.equity(asked)
    assert [one.at for one in found] == [
        moment(us) for us in (0, START_US + HOUR_US, START_US, START_US + HOUR_US)
    ]
    assert values(*(one.equity for one in found)) == (0, 100, 0, 100)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"at": "2026-08-01T12:00:00"}, "naive"),
        ({"source": "guessed"}, "neither reported nor booked"),
        ({"base_currency": ""}, "base_currency"),
        ({"account": 5}, "account"),
        ({"prices": {"BTC": -1}}, "more than zero"),
        ({"prices": {"": 1}}, "symbol of a price"),
    ],
)
def test_a_question_that_makes_no_sense_is_named(store: HybridStore, question: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        store.books.portfolio(**question)


async def test_a_loop_asks_the_same(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store") as storage:
        await storage.record_balance_update("USDT", 100, changed_at=START_US)
        now = await storage.books.portfolio()
        (then,) = await storage.books.equity([START_US])
        assert values(now.equity, then.equity) == (100, 100)
