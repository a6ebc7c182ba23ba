"""Allocation, exposure, leverage, margin and distance to liquidation, by hand and of random accounts."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from hybridstore.portfolio.exposure import Exposure, PositionTerms, Sides, measure_exposure
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.money import total
from hybridstore.portfolio.position import PositionState, open_position
from hybridstore.portfolio.summary import summarize
from hybridstore.portfolio.symbols import parse_symbol
from tests.hot.books import values

SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"


def opened(symbol: str, side: str, amount: str, price: str, size: str = "1") -> PositionState:
    inverse = parse_symbol(symbol).inverse
    return open_position(side, FillInput("buy", Decimal(price), Decimal(amount), Decimal(size), inverse))


def measure(
    balances: dict[str, str],
    positions: dict[str, PositionState],
    prices: dict[str, str],
    debts: dict[str, str] | None = None,
    **terms: Any,
) -> Exposure:
    """Measure an account with at most one position a market, named by its market."""
    held = {asset: Decimal(amount) for asset, amount in balances.items()}
    owed = {asset: Decimal(amount) for asset, amount in (debts or {}).items()}
    marks = {symbol: Decimal(price) for symbol, price in prices.items()}
    listed = [(symbol, symbol, state) for symbol, state in positions.items()]
    summary = summarize("main", held, listed, marks, "USDT", owed)
    known = [
        PositionTerms(
            position_id=symbol,
            entry_cost=state.entry_cost,
            contract_size=state.contract_size,
            inverse=state.inverse,
            is_view=parse_symbol(symbol).is_spot and parse_symbol(symbol).base in held,
            leverage=terms.get("leverage"),
            margin_mode=terms.get("margin_mode"),
            liquidation_price=terms.get("liquidation_price"),
        )
        for symbol, state in positions.items()
    ]
    return measure_exposure(summary, known, marks)


def sides(name: str, long: int | str, short: int | str) -> Sides:
    rising, falling = Decimal(long), Decimal(short)
    return Sides(name, rising, falling, rising + falling, rising - falling)


def test_balances_are_exposure_to_their_asset_and_the_base_currency_is_none() -> None:
    found = measure({"USDT": "1000", "BTC": "0.1", "DUST": "5"}, {}, {SPOT: "50000"}, {"BTC": "0.02"})
    assert found.assets == (sides("BTC", 4000, 0),)
    assert found.markets == ()
    assert values(found.gross, found.net, found.leverage) == (4000, 4000, Decimal("0.8"))
    assert [values(one.asset, one.value, one.share) for one in found.allocation] == [
        ("BTC", 4000, Decimal("0.8")), ("USDT", 1000, Decimal("0.2")), ("DUST", None, None),
    ]  # fmt: skip
    assert found.unpriced == ("DUST",)


def test_what_is_owed_beyond_what_is_held_is_short() -> None:
    found = measure({"USDT": "1000", "BTC": "0.1"}, {}, {SPOT: "1000"}, {"BTC": "0.4"})
    assert found.assets == (sides("BTC", 0, 300),)
    assert [values(one.asset, one.value) for one in found.allocation] == [("USDT", 1000), ("BTC", -300)]
    assert total(one.share or Decimal(0) for one in found.allocation) == 1


def test_contracts_count_with_their_notional_at_the_price() -> None:
    found = measure(
        {"USDT": "1000", "BTC": "0.5"},
        {
            LINEAR: opened(LINEAR, "LONG", "3", "900", "0.1"),
            INVERSE: opened(INVERSE, "SHORT", "4", "800", "100"),
        },
        {SPOT: "1000", LINEAR: "1000", INVERSE: "1000"},
    )
    assert found.markets == (sides(INVERSE, 0, 400), sides(LINEAR, 300, 0))
    assert found.assets == (sides("BTC", 800, 400),)
    assert values(found.gross, found.net) == (1200, 400)
    # 0.1 coins are lost: 400 / 1000 - 400 / 800; and (1000 - 900) * 0.3 dollars are won
    assert found.equity == 1000 + 500 + 30 - 100
    assert [values(one.asset, one.value) for one in found.allocation] == [("USDT", 1030), ("BTC", 400)]


def test_a_spot_position_is_counted_once() -> None:
    held = measure({"USDT": "0", "BTC": "2"}, {SPOT: opened(SPOT, "LONG", "2", "900")}, {SPOT: "1000"})
    alone = measure({}, {SPOT: opened(SPOT, "LONG", "2", "900")}, {SPOT: "1000"})
    assert held.assets == alone.assets == (sides("BTC", 2000, 0),)
    assert (held.markets, alone.markets) == ((), (sides(SPOT, 2000, 0),))
    assert held.allocation == alone.allocation
    assert held.margin_unknown == alone.margin_unknown == ()


@pytest.mark.parametrize(
    ("side", "liquidation", "distance"),
    [("LONG", "900", "0.1"), ("SHORT", "1100", "0.1"), ("LONG", "1010", "-0.01"), ("SHORT", "990", "-0.01")],
)
def test_margin_and_the_way_to_liquidation(side: str, liquidation: str, distance: str) -> None:
    for symbol, size, margin in ((LINEAR, "1", "400"), (INVERSE, "100", "50")):
        found = measure(
            {"USDT": "5000"}, {symbol: opened(symbol, side, "2", "800", size)}, {SPOT: "1000", symbol: "1000"},
            leverage=Decimal(4 if symbol == LINEAR else 5), margin_mode="isolated",
            liquidation_price=Decimal(liquidation),
        )  # fmt: skip
        (risk,) = found.positions
        assert (risk.margin_used, found.margin_used) == (Decimal(margin), Decimal(margin))
        assert risk.liquidation_distance == Decimal(distance)
        assert found.margin_unknown == ()


def test_what_is_not_known_is_named_and_not_guessed() -> None:
    found = measure({"USDT": "100"}, {LINEAR: opened(LINEAR, "LONG", "1", "1000")}, {})
    (risk,) = found.positions
    assert (risk.notional, risk.margin_used, risk.liquidation_distance) == (None, None, None)
    assert values(found.unpriced, found.margin_unknown, found.gross) == ((LINEAR,), (LINEAR,), 0)


def test_an_account_worth_nothing_has_no_leverage_and_no_shares() -> None:
    found = measure({"USDT": "-600", "BTC": "0.5"}, {}, {SPOT: "1000"})
    assert values(found.equity, found.leverage) == (-100, None)
    assert {one.share for one in found.allocation} == {None}
    assert measure({}, {}, {}).allocation == ()


def test_a_position_without_terms_is_an_error() -> None:
    summary = summarize("main", {}, [("p", LINEAR, opened(LINEAR, "LONG", "1", "1"))], {}, "USDT")
    with pytest.raises(KeyError, match="p"):
        measure_exposure(summary, [], {})


def test_shares_add_up_to_one_and_sides_to_the_whole(rng: Random) -> None:
    for _ in range(300):
        prices = {
            symbol: str(Decimal(rng.randrange(1, 10**6)) / 97)
            for symbol in (SPOT, LINEAR, INVERSE, "ETH/USDT")
        }
        prices = {symbol: price[:20] for symbol, price in prices.items()}
        balances = {
            asset: str(Decimal(rng.randrange(-10, 10**6)) / 1000)
            for asset in rng.sample(("USDT", "BTC", "ETH"), rng.randrange(4))
        }
        positions = {
            symbol: opened(symbol, rng.choice(("LONG", "SHORT")), str(rng.randrange(1, 99)), price)
            for symbol, price in prices.items()
            if rng.random() < 0.5
        }
        found = measure(balances, positions, prices)
        assert found.unpriced == ()
        assert total(one.value or Decimal(0) for one in found.allocation) == found.equity
        if found.equity > 0:
            assert total(one.share or Decimal(0) for one in found.allocation) == 1
        for one in (*found.assets, *found.markets):
            assert (one.gross, one.net) == (one.long + one.short, one.long - one.short)
            assert min(one.long, one.short) >= 0
        assert found.gross >= abs(found.net)
