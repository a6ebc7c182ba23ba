"""Exact arithmetic of money, in contexts of its own: the caller's decimal context never touches it.

The contexts are shared by all threads: they are only ever used through their methods, which leave nothing behind but
status flags that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

from hybridstore.schema.types import EXACT, MONEY_PLACES

ZERO = Decimal(0)
ONE = Decimal(1)
_PLACE = ONE.scaleb(-MONEY_PLACES, EXACT)
_ROUNDING = Context(
    prec=120,
    rounding=ROUND_HALF_EVEN,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
"""Every setting is given: one left out would come from ``decimal.DefaultContext``, which a program may have changed.

120 digits hold a product of three amounts of money, and a quotient of two far enough that rounding it to 18 places
afterwards is the same as rounding it once.
"""

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

    Raises:
        decimal.DivisionByZero: The divisor is zero.
    """
    quotient = _ROUNDING.quantize(_ROUNDING.divide(dividend, divisor), _PLACE)
    if not quotient:
        return ZERO
    short = _ROUNDING.normalize(quotient)
    return _ROUNDING.quantize(short, ONE) if short == short.to_integral_value() else short


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """Take a proportional share; what is left is ``subtract(whole, share)``, so nothing is lost to rounding.

    Args:
        whole: What is shared.
        part: How much of ``of`` the share is for.
        of: The quantity the whole belongs to; not zero.

    Returns:
        whole * part / of at 18 places, half even.
    """
    return divide(multiply(whole, part), of)
