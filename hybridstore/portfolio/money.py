"""Exact arithmetic of money, in contexts of its own: the caller's decimal context never touches it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from hybridstore.schema.types import EXACT, MONEY_PLACES

ZERO = Decimal(0)
ONE = Decimal(1)
_PLACE = ONE.scaleb(-MONEY_PLACES)
_ROUNDING = Context(prec=120, rounding=ROUND_HALF_EVEN)

add = EXACT.add
"""Exact sum of two Decimals."""
subtract = EXACT.subtract
"""Exact difference of two Decimals."""
multiply = EXACT.multiply
"""Exact product of two Decimals."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts exactly.

    Args:
        amounts: Any number of them.

    Returns:
        Their sum.
    """
    result = ZERO
    for amount in amounts:
        result = add(result, amount)
    return result


def round_money(amount: Decimal) -> Decimal:
    """Round to what money can hold.

    Args:
        amount: Any finite Decimal.

    Returns:
        The amount at 18 places, half even; unchanged where it has fewer.
    """
    rounded = _ROUNDING.quantize(amount, _PLACE)
    return amount if rounded == amount else rounded


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, rounding the quotient to what money can hold.

    Args:
        dividend: What is divided.
        divisor: By what; not zero.

    Returns:
        The quotient at 18 places, half even, without trailing zeros.
    """
    quotient = _ROUNDING.quantize(_ROUNDING.divide(dividend, divisor), _PLACE)
    return _ROUNDING.normalize(quotient) if quotient else ZERO
