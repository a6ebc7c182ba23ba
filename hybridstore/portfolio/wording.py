"""How amounts and moments are written in sentences."""

from __future__ import annotations

from decimal import Decimal

from hybridstore.schema.types import EXACT, moment


def amount_text(amount: Decimal) -> str:
    """Write an amount exactly: plain notation, no trailing zeros.

    Args:
        amount: Any amount.

    Returns:
        For example ``0.00000001``.
    """
    return f"{EXACT.normalize(amount):f}" if amount else "0"


def when_text(ts_us: int) -> str:
    """Write a moment exactly.

    Args:
        ts_us: Microseconds UTC.

    Returns:
        For example ``2026-05-01 12:00:00.250000Z``; no fraction where it is zero.
    """
    return moment(ts_us).replace(tzinfo=None).isoformat(sep=" ") + "Z"
