"""Exact arithmetic, whatever the caller's decimal context is."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.portfolio.money import ZERO, add, divide, multiply, round_money, share, subtract, total
from hybridstore.schema.types import money_text
from tests.portfolio.oracle import exact, money

LARGEST = Decimal("99999999999999999999.999999999999999999")
SMALLEST = Decimal("0.000000000000000001")

amounts = st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1).map(
    lambda scaled: Decimal(scaled).scaleb(-18, Context(prec=60))
)
positive = st.integers(min_value=1, max_value=10**38 - 1).map(
    lambda scaled: Decimal(scaled).scaleb(-18, Context(prec=60))
)


@pytest.fixture
def hostile_context() -> Iterator[None]:
    """A caller's context of three digits that raises whenever it has to round."""
    with decimal.localcontext(
        Context(prec=3, rounding=decimal.ROUND_UP, traps=[decimal.Inexact, decimal.Rounded])
    ):
        with pytest.raises(ArithmeticError):
            LARGEST + SMALLEST
        yield


@given(left=amounts, right=amounts)
def test_sum_difference_and_product_are_exact(left: Decimal, right: Decimal) -> None:
    assert exact(add(left, right)) == exact(left) + exact(right)
    assert exact(subtract(left, right)) == exact(left) - exact(right)
    assert exact(multiply(left, right)) == exact(left) * exact(right)


@given(values=st.lists(amounts, max_size=50))
def test_a_total_is_exact(values: list[Decimal]) -> None:
    assert exact(total(values)) == sum(map(exact, values), Fraction(0))


@given(left=amounts, right=positive)
def test_a_quotient_is_the_fraction_rounded_once_half_even(left: Decimal, right: Decimal) -> None:
    assert exact(divide(left, right)) == money(exact(left) / exact(right))


@given(left=amounts, right=amounts)
def test_a_product_rounds_half_even_to_18_places(left: Decimal, right: Decimal) -> None:
    assert exact(round_money(multiply(left, right))) == money(exact(left) * exact(right))


@given(whole=amounts, part=positive, of=positive)
def test_a_share_and_the_rest_are_the_whole(whole: Decimal, part: Decimal, of: Decimal) -> None:
    taken = share(whole, part, of)
    assert exact(taken) == money(exact(whole) * exact(part) / exact(of))
    assert add(taken, subtract(whole, taken)) == whole


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [
        ("1", "3", "0.333333333333333333"),
        ("2", "3", "0.666666666666666667"),
        ("0.000000000000000001", "2", "0"),  # a tie goes to the even neighbour
        ("0.000000000000000003", "2", "0.000000000000000002"),
        ("-0.000000000000000005", "2", "-0.000000000000000002"),
        ("100", "4", "25"),
        ("0", "7", "0"),
    ],
)
def test_quotients_worked_by_hand(dividend: str, divisor: str, quotient: str) -> None:
    assert money_text(divide(Decimal(dividend), Decimal(divisor)), "quotient") == quotient


def test_division_by_zero_is_an_error() -> None:
    with pytest.raises(decimal.DivisionByZero):
        divide(Decimal(1), ZERO)


def test_what_has_few_places_is_left_as_it_is() -> None:
    amount = Decimal("1.50")
    assert round_money(amount) is amount


@pytest.mark.usefixtures("hostile_context")
def test_the_callers_context_changes_nothing() -> None:
    assert add(LARGEST, SMALLEST) == Decimal(10**20)
    assert subtract(LARGEST, SMALLEST) == Decimal("99999999999999999999.999999999999999998")
    assert exact(multiply(LARGEST, LARGEST)) == exact(LARGEST) ** 2
    assert divide(Decimal(2), Decimal(3)) == Decimal("0.666666666666666667")
    assert round_money(Decimal("0.0000000000000000025")) == Decimal("0.000000000000000002")
    assert total([LARGEST, LARGEST, SMALLEST]) == Decimal("199999999999999999999.999999999999999999")
