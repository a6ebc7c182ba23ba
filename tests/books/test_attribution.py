"""What each market, strategy and bot made: beside a computation from nothing but fills and prices."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.books.attribution import PARTITIONS, Attribution
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue, NotFound
from tests.books.trading_life import DAYS, FIRST_US, MARKETS, Lived, live

TINY = Decimal("1e-12")
"""Average costs are rounded at 18 places."""
DIMENSION = {"strategy": 0, "bot": 1}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return live(tmp_path_factory.mktemp("attribution") / "store", 20_261_124)


def made_by_market(lived: Lived) -> dict[str, list[Decimal]]:
    """Return what each market made on each day: worth of what is held, less what was paid for it."""
    made = {symbol: [Decimal(0)] * DAYS for symbol in MARKETS}
    held = dict.fromkeys(MARKETS, Decimal(0))
    fills = iter([*lived.fills, None])
    fill = next(fills)
    for day in range(DAYS):
        before = {symbol: held[symbol] * lived.closes[symbol][day] for symbol in MARKETS}
        while fill is not None and fill.day == day:
            made[fill.symbol][day] -= fill.signed * fill.price + fill.fee
            held[fill.symbol] += fill.signed
            fill = next(fills)
        for symbol in MARKETS:
            made[symbol][day] += held[symbol] * lived.closes[symbol][day + 1] - before[symbol]
            made[symbol][day] += lived.funding.get((day, symbol), Decimal(0))
    return made


def part_of(symbol: str, dimension: str) -> str:
    return symbol if dimension == "symbol" else MARKETS[symbol][DIMENSION[dimension]] or "-"


def ask(lived: Lived, **options: object) -> Attribution:
    with HybridStore(lived.root, clock=ManualClock(FIRST_US + DAYS * DAY_US)) as store:
        return store.books.attribution(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dimension", PARTITIONS)
def test_every_part_made_what_its_fills_and_prices_say(lived: Lived, dimension: str) -> None:
    found = ask(lived, by=dimension, benchmark="BTC/USDT", risk_free=0.02)
    by_market = made_by_market(lived)
    with HybridStore(lived.root, clock=ManualClock(FIRST_US + DAYS * DAY_US)) as store:
        days = store.books.performance(benchmark="BTC/USDT").days
    before = [Decimal(100_000), *(day.equity for day in days[:-1])]
    assert [part.name for part in found.parts] == sorted({part_of(one, dimension) for one in MARKETS})
    for part in found.parts:
        mine = [by_market[symbol] for symbol in MARKETS if part_of(symbol, dimension) == part.name]
        daily = [sum(of_day, Decimal(0)) for of_day in zip(*mine, strict=True)]
        assert abs(part.profit - sum(daily, Decimal(0))) < TINY, part.name
        assert part.profit == part.realized + part.unrealized + part.funding - part.fees
        assert part.days_missing == 0
        shares = np.array([float(one) / float(base) for one, base in zip(daily, before, strict=True)])
        assert part.contribution == pytest.approx(shares.sum(), rel=1e-9, abs=1e-12)
        free = 1.02 ** (1 / 365) - 1
        excess = shares - free
        other = np.array([day.benchmark for day in days]) - free
        beta = np.cov(excess, other, ddof=1)[0, 1] / np.var(other, ddof=1)
        growth = np.concatenate([[1.0], np.cumprod(1 + shares)])
        expected = {
            "total_return": growth[-1] - 1,
            "sharpe": excess.mean() / excess.std(ddof=1) * np.sqrt(365),
            "volatility": shares.std(ddof=1) * np.sqrt(365),
            "max_drawdown": (growth / np.maximum.accumulate(growth) - 1).min(),
            "beta": beta,
            "alpha": (excess.mean() - beta * other.mean()) * 365,
        }
        for name, value in expected.items():
            assert part.value(name) == pytest.approx(float(value), rel=1e-8, abs=1e-10), (part.name, name)


def test_parts_and_rest_are_the_profit_of_the_account(lived: Lived) -> None:
    for dimension in PARTITIONS:
        found = ask(lived, by=dimension)
        assert sum((part.profit for part in found.parts), found.rest) == found.profit
        assert abs(found.rest) < TINY, "every balance is booked and every price is that of the day"


def test_a_part_of_the_time_begins_with_what_was_held(lived: Lived) -> None:
    first, last = 40, 97
    found = ask(lived, start=FIRST_US + first * DAY_US, end=FIRST_US + last * DAY_US)
    for part in found.parts:
        daily = made_by_market(lived)[part.name][first:last]
        assert abs(part.profit - sum(daily, Decimal(0))) < TINY, part.name
    assert abs(found.rest) < TINY


def test_coin_margined_profit_is_converted_day_by_day(tmp_path: Path) -> None:
    symbol, closes = "BTC/USD:BTC", [50_000, 40_000, 80_000]
    clock = ManualClock(FIRST_US)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for day, close in enumerate(closes):
            clock.set(FIRST_US + day * DAY_US)
            for market in (symbol, "BTC/USDT"):
                store.record_candles([(market, "1d", clock.now_us() - DAY_US, *[close] * 4, 1)])
                store.record_mark(market, mark=close)
            store.record_balance_update("USDT", 1_000, 0, "test")
            store.record_portfolio_snapshot(taken_at=FIRST_US + day * DAY_US)
            if day == 0:
                clock.advance(1)
                store.record_fill(
                    symbol, "buy", 50_000, 100, trade_id="t", order_id="o", contract_size=100,
                    fee="0.01", fee_currency="BTC", executed_at=clock.now_us(),
                )  # fmt: skip
        found = store.books.attribution()
    (part,) = found.parts
    # 10 000 dollars of contracts: 0.2 BTC at the beginning, 0.25 at the low, 0.125 at the end.
    assert part.unrealized == Decimal("-0.05") * 40_000 + Decimal("0.125") * 80_000
    # A fee of 0.01 BTC, booked as 500 dollars and told at the day's last price.
    assert part.fees == Decimal(500)
    assert not any((part.realized, part.funding, part.days_missing))


def test_what_has_no_rate_is_counted_and_in_no_sum(tmp_path: Path) -> None:
    clock = ManualClock(FIRST_US)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for day in range(3):
            clock.set(FIRST_US + day * DAY_US)
            store.record_balance_update("USDT", 1_000, 0, "test")
            for market, mark in (("EUR/USDT", "1.1"), ("XYZ/EUR", "10")):
                store.record_mark(market, mark=mark)  # known now alone: marks keep no history
            assert not store.record_portfolio_snapshot(taken_at=FIRST_US + day * DAY_US).unpriced
            if day == 0:
                store.record_fill("XYZ/EUR", "buy", 10, 1, trade_id="t", order_id="o")
        found = store.books.attribution(by="strategy")
        (part,) = found.parts
        assert (part.name, part.days_missing) == ("-", 2)
        assert not any((part.profit, part.contribution))
        assert found.rest == found.profit
        rows = found.metrics()
        assert {row["scope"] for row in rows} == {"default strategy=-"}
        assert store.insert("performance_metrics", rows)
        with pytest.raises(InvalidValue, match="symbol, strategy, bot"):
            store.books.attribution(by="hour")  # type: ignore[arg-type]
        with pytest.raises(NotFound, match="not two snapshots"):
            store.books.attribution("nobody")


def test_positions_whose_beginning_was_deleted_are_left_out_and_counted(tmp_path: Path) -> None:
    """Opened nine years ago, and still open: the policy deletes the events of the opening, not the position."""
    year_us = 365 * DAY_US
    clock = ManualClock(FIRST_US - 9 * year_us)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for number, symbol in enumerate(("BTC/USDT:USDT", "ETH/USDT:USDT")):
            clock.set(FIRST_US - (9 - 8 * number) * year_us)
            for side, amount in (("buy", 3), ("sell", 1)):
                clock.advance(DAY_US)
                store.record_fill(
                    symbol,
                    side,
                    100,
                    amount,
                    trade_id=f"{symbol}{side}",
                    order_id="o",
                    executed_at=clock.now_us(),
                )
        clock.set(FIRST_US)
        store.retention.run()
        for day in range(2):  # a leap of years has to be confirmed before anything is deleted
            clock.set(FIRST_US + day * DAY_US)
            store.retention.confirm_clock("test")
            store.retention.run()
        for day in range(3):
            clock.set(FIRST_US + (2 + day) * DAY_US)
            for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT"):
                store.record_mark(symbol, mark=100 + day)
            store.record_fill(
                "ETH/USDT:USDT",
                "sell",
                100,
                1,
                trade_id=f"x{day}",
                order_id="o",
                executed_at=clock.now_us() - DAY_US // 2,
            )
            store.record_balance_update("USDT", 1_000, 0, "test")
            store.record_portfolio_snapshot(taken_at=clock.now_us())
        with store.snapshot() as snapshot:
            assert snapshot.deleted_until_us("position_events") > 0
        found = store.books.attribution()
        trades = store.books.trades()
    assert found.positions_left_out == 1
    assert [part.name for part in found.parts] == ["ETH/USDT:USDT"]
    assert sum((part.profit for part in found.parts), found.rest) == found.profit
    assert trades.deleted_until is not None
