"""A fill's cost, its parts, and what its fees come to."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.fill import FillInput, cost_of, fee_totals, fill_cost, split_fill
from hybridstore.portfolio.money import add
from hybridstore.portfolio.symbols import parse_symbol

SPOT, LINEAR, INVERSE = map(parse_symbol, ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"))


def decimals(places: int, limit: int) -> st.SearchStrategy[Decimal]:
    return st.integers(min_value=1, max_value=limit).map(lambda scaled: Decimal(scaled).scaleb(-places))


@pytest.mark.parametrize(
    ("price", "amount", "size", "kind", "cost"),
    [
        ("50000", "0.1", "1", "linear", "5000"),
        ("50000", "3", "0.01", "linear", "1500"),  # three contracts of a hundredth of a bitcoin
        (
            "50000",
            "3",
            "100",
            "inverse",
            "0.006",
        ),  # three contracts of 100 dollars are worth 300 / 50000 coins
        ("30000", "1", "100", "inverse", "0.003333333333333333"),
    ],
)
def test_costs_worked_by_hand(price: str, amount: str, size: str, kind: str, cost: str) -> None:
    inverse = kind == "inverse"
    assert cost_of(Decimal(price), Decimal(amount), Decimal(size), inverse=inverse) == Decimal(cost)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_an_inverse_contract_has_no_value_without_a_price(price: str) -> None:
    with pytest.raises(InvalidValue, match=f"price={price}"):
        cost_of(Decimal(price), Decimal(1), Decimal(100), inverse=True)


@given(
    price=decimals(8, 10**16),
    amounts=st.tuples(decimals(8, 10**16), decimals(8, 10**16)),
    fees=st.tuples(decimals(18, 10**20), decimals(18, 10**16)),
    kind=st.sampled_from(["linear", "inverse"]),
    given_cost=st.none() | decimals(8, 10**18),
)
def test_the_parts_of_a_fill_are_the_fill(
    price: Decimal,
    amounts: tuple[Decimal, Decimal],
    fees: tuple[Decimal, Decimal],
    kind: str,
    given_cost: Decimal | None,
) -> None:
    whole = FillInput(
        "buy", price, add(*amounts), Decimal(10), kind == "inverse", -fees[0], fees[1], given_cost
    )
    first, rest = split_fill(whole, amounts[0])
    assert (first.amount, rest.amount) == amounts
    assert add(fill_cost(first), fill_cost(rest)) == fill_cost(whole)
    assert add(first.fee_in_quote, rest.fee_in_quote) == whole.fee_in_quote
    assert add(first.fee_in_base, rest.fee_in_base) == whole.fee_in_base
    assert first[:2] == rest[:2] == whole[:2]


def test_fees_in_quote_base_and_a_third_asset() -> None:
    price = Decimal(50_000)
    fees = [("USDT", Decimal("1.5")), ("BTC", Decimal("0.0001")), ("USDT", Decimal("-0.5"))]
    totals = fee_totals(SPOT, price, fees)
    assert totals == (Decimal(6), Decimal(6), Decimal("0.0001"))
    with_third = fee_totals(SPOT, price, [*fees, ("BNB", Decimal("0.01"))])
    assert with_third == (None, Decimal(6), Decimal("0.0001"))
    assert fee_totals(SPOT, price, []) == (Decimal(0), Decimal(0), Decimal(0))


def test_a_contract_holds_no_base_that_could_pay_a_fee() -> None:
    assert fee_totals(INVERSE, Decimal(50_000), [("BTC", Decimal("0.0002"))]) == (
        Decimal(10),
        Decimal(10),
        Decimal(0),
    )
    assert fee_totals(LINEAR, Decimal(50_000), [("USDT", Decimal(2))]) == (Decimal(2), Decimal(2), Decimal(0))


def test_several_fees_in_base_are_rounded_once() -> None:
    tiny = Decimal("0.000000000000000001")
    # Half a unit of the last place each: rounded one by one both would vanish.
    assert fee_totals(SPOT, Decimal("0.5"), [("BTC", tiny), ("BTC", tiny)]).in_quote == tiny
