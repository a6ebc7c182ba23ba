"""Figures as text for the eye: grouped thousands, a real minus sign, units that fit the size."""

from __future__ import annotations

from decimal import Decimal

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""
GAP = "\N{NO-BREAK SPACE}"
"""Between a figure and its unit, which belong on one line."""
_KIB = 1024
_MILLISECOND_US = 1_000
_SECOND_US = 1_000_000


def exact(value: Decimal) -> str:
    """Return every digit of a figure.

    Args:
        value: Any finite Decimal.

    Returns:
        Plain notation with grouped thousands and without trailing zeros, such as ``1,234.5``.
    """
    text = f"{value:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text.replace("-", MINUS)


def rounded(value: Decimal, places: int = 2, *, signed: bool = False) -> str:
    """Return a figure cut to what the eye needs.

    Args:
        value: Any finite Decimal.
        places: Digits after the point, half even.
        signed: Whether a gain carries a plus sign.

    Returns:
        Text such as ``1,234.50`` or ``+0.12``.
    """
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):
        return text.lstrip("-")
    if text.startswith("-"):
        return MINUS + text[1:]
    return f"+{text}" if signed else text


def count(number: int) -> str:
    """Return a whole number with grouped thousands."""
    return f"{number:,}".replace("-", MINUS)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 file`` or ``1,200 files``."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def duration(us: float) -> str:
    """Return a duration in the unit that suits it.

    Args:
        us: Microseconds.

    Returns:
        Text such as ``8.4 µs``, ``1.25 ms`` or ``2.5 s``.
    """
    if us < _MILLISECOND_US:
        return f"{us:.1f}{GAP}µs"
    if us < _SECOND_US:
        return f"{us / _MILLISECOND_US:.2f}{GAP}ms"
    return f"{us / _SECOND_US:.1f}{GAP}s"


def size(size_bytes: int) -> str:
    """Return a size in the unit that suits it.

    Args:
        size_bytes: Bytes.

    Returns:
        Text such as ``512 B`` or ``1.4 MiB``.
    """
    if size_bytes < _KIB:
        return f"{size_bytes}{GAP}B"
    amount = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _KIB
        if amount < _KIB:
            return f"{amount:.1f}{GAP}{unit}"
    return f"{amount / _KIB:.1f}{GAP}TiB"


def ratio(part: int | Decimal, whole: int | Decimal) -> str:
    """Return a part of a whole in per cent, one place; a dash where the whole is nothing."""
    return f"{100 * Decimal(part) / Decimal(whole):.1f}{GAP}%" if whole else NOTHING
