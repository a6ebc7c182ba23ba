"""Equity at any moment of a random life, against a reckoning of its own: rows late, corrected, voided, archived."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.schema.types import moment
from tests.books.life import ACCOUNT, DAYS, INVERSE, MINUTE_US, START_US, Life

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
        clock.set(START_US + 11 * DAY_US)
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
