"""Equity at any moment of a random life, against a reckoning of its own: rows late, corrected, voided, archived."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.schema.types import moment
from tests.books.life import ACCOUNT, COIN, DAYS, INVERSE, MINUTE_US, SPOT, START_US, Life

LAST = Fraction(1, 10**18)


def some_moments(rng: Random, life: Life, count: int = 1_000) -> list[int]:
    """Moments anywhere, at fills and flows and a microsecond before, and at the close of a minute."""
    events = [one.at_us for one in life.final.values()]
    drawn = [
        rng.choice((
            START_US + rng.randrange(DAYS * DAY_US),
            rng.choice(events),
            rng.choice(events) - 1,
            START_US + rng.randrange(DAYS * 24 * 60) * MINUTE_US,
        ))
        for _ in range(count)
    ]  # fmt: skip
    return [START_US, *drawn]


@pytest.mark.parametrize("even", [True, False], ids=["nothing rounded", "coins rounded"])
def test_equity_is_what_was_in_hand(tmp_path: Path, rng: Random, *, even: bool) -> None:
    life = Life(rng, even=even)
    moments = some_moments(rng, life)
    worth = life.worth(moments)
    with HybridStore(tmp_path / "store", clock=ManualClock(START_US + 7 * DAY_US)) as store:
        clock = store.database.clock
        assert isinstance(clock, ManualClock)
        for closes in life.closes.values():
            store.record_candles(closes.rows)
        early = len(life.tellings) // 2
        for tell in life.tellings[:early]:
            tell(store)
        clock.set(START_US + 9 * DAY_US)
        assert store.retention.run().rows
        for tell in life.tellings[early:]:
            tell(store)
        check(store, life, moments, worth, even=even)
        clock.set(START_US + 30 * DAY_US)
        assert store.retention.run().rows
        check(store, life, moments, worth, even=even)
        for at_us in rng.sample(moments, 5):  # one moment alone says what it says among many
            alone = store.books.portfolio(ACCOUNT, at=at_us, source="booked")
            (among,) = store.books.equity([at_us], ACCOUNT, source="booked")
            assert (alone.at, alone.equity) == (moment(at_us), among.equity)
            assert {price.source for price in alone.prices} <= {"candle"}


def test_reported_equity_is_the_last_report_at_its_price(tmp_path: Path, rng: Random) -> None:
    life = Life(rng, even=True, count=1)
    reports = [
        (START_US + rng.randrange(DAYS * DAY_US), rng.choice(("USDT", "BTC", "BNB")), rng.randrange(1_000))
        for _ in range(300)
    ]  # in any order: many are told late
    moments = [START_US + rng.randrange(DAYS * DAY_US) for _ in range(200)]
    with HybridStore(tmp_path / "store", clock=ManualClock(START_US + 7 * DAY_US)) as store:
        clock = store.database.clock
        assert isinstance(clock, ManualClock)
        for closes in life.closes.values():
            store.record_candles(closes.rows)
        for at_us, asset, amount in reports:
            store.record_balance_update(asset, amount, account=ACCOUNT, changed_at=at_us, durability="normal")
        clock.set(START_US + 9 * DAY_US)
        assert store.retention.run().rows
        told = store.books.equity(moments, ACCOUNT)
    for at_us, one in zip(moments, told, strict=True):
        held = {asset: amount for when, asset, amount in sorted(reports) if when <= at_us}
        coins = held.get("BTC", 0) * life.closes[SPOT].at(at_us) + held.get("BNB", 0) * life.closes[COIN].at(
            at_us
        )
        assert Fraction(one.equity) == held.get("USDT", 0) + coins


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_equity_of_many_lives(tmp_path: Path, rng: Random) -> None:
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        test_equity_is_what_was_in_hand(folder, Random(rng.randrange(2**32)), even=number % 2 == 0)


def check(store: HybridStore, life: Life, moments: list[int], worth: list[Fraction], *, even: bool) -> None:
    told = store.books.equity(moments, ACCOUNT, source="booked")
    for at_us, one, right in zip(moments, told, worth, strict=True):
        assert one.unpriced == ()
        wrong = abs(Fraction(one.equity) - right)
        if even:
            assert wrong == 0, (at_us, one, float(right))
        else:  # half a last place of coin for each fill and position, at its price; half a one of value for each sum
            coins = sum(1 for fill in life.final.values() if getattr(fill, "symbol", "") == INVERSE)
            assert wrong <= LAST * 50_000 * 2 * (coins + 20), (at_us, one, float(right))
