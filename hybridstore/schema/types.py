"""Logical types: what a column means, how a value passes the door, and how each engine stores it.

``check`` functions take what a caller may give and return the stored form, or raise :class:`InvalidValue` naming the
value. They run for every value of every write, so they are written for speed: the usual case first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from enum import Enum
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.schema.plain import check_blob, check_boolean, check_integer, check_json, check_ratio

MONEY_PLACES = 18
MONEY_INTEGER_DIGITS = 20
TICK_PLACES = 8
TICK_SCALE = 10**TICK_PLACES
_TICK_LIMIT = 10**18
NAME_LENGTH_MAX = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TS_MIN_US = 0
_TS_MAX_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, the last moment datetime knows."""
_FLOAT_EXACT_US = (1 << 32) * 1_000_000
"""Before 2106 a double of seconds is closer to its microsecond than a quarter of one, so rounding finds it again."""
_from_timestamp = datetime.fromtimestamp
_SECONDS_MAX = 100_000_000_000
"""Below this (the year 5138) an integer is refused as seconds, above it is microseconds."""
_DECIMAL_TEXT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_EXPONENT_MAX = 60
EXACT = Context(
    prec=120,
    rounding=ROUND_HALF_EVEN,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
"""The arithmetic of stored values: it never rounds, whatever the caller's own decimal context is."""
_plain = EXACT.to_sci_string
"""``str`` of a Decimal, but never with the small ``e`` that a caller's own context may ask for."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FLOAT_HINT = "give Decimal, int or decimal text; Decimal(str(x)) converts a float you trust"


class LogicalType(Enum):
    """What a column holds.

    ``MONEY``: Decimal, 20 integer digits and 18 places, TEXT in SQLite. ``TICK``: Decimal of market data, 10 integer
    digits and 8 places, INTEGER times 1e8 in SQLite. ``TIMESTAMP``: microseconds UTC. ``NAME``: a short identifier
    without control characters. ``TEXT``: anything. ``JSON``: JSON text. ``INTEGER``: 64 bits. ``BOOLEAN``.
    ``RATIO``: a double, for figures that are not money. ``BLOB``: bytes, internal tables only.
    """

    MONEY = "money"
    TICK = "tick"
    TIMESTAMP = "timestamp"
    NAME = "name"
    TEXT = "text"
    JSON = "json"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    RATIO = "ratio"
    BLOB = "blob"


def to_decimal(value: object, column: str) -> Decimal:
    """Take an amount of money as callers give it.

    Args:
        value: Decimal, int, or decimal text.
        column: The column's name, for the message.

    Returns:
        The finite Decimal.

    Raises:
        InvalidValue: A float, a bool, NaN, infinity, or text that is no number.
    """
    if type(value) is Decimal:
        if value.is_finite():
            return value
        raise InvalidValue(f"{column}={value}: not a finite number", hint="money is always a finite Decimal")
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, float):
        raise InvalidValue(f"{column}={value!r}: a float is not exact", hint=_FLOAT_HINT)
    if isinstance(value, str):
        if _DECIMAL_TEXT.match(value):
            try:
                return Decimal(value)
            except InvalidOperation:
                pass
        raise InvalidValue(f"{column}={value!r}: not a decimal number", hint=_FLOAT_HINT)
    if isinstance(value, Decimal):
        return to_decimal(Decimal(value), column)
    raise InvalidValue(f"{column}={value!r}: a {type(value).__name__} is not money", hint=_FLOAT_HINT)


def money_text(value: Decimal, column: str) -> str:
    """Return the stored text of a finite amount: plain notation, no exponent, no trailing zeros after the point.

    Args:
        value: A finite Decimal.
        column: The column's name, for the message.

    Returns:
        Text such as ``1000.5`` or ``-0.00000001``.

    Raises:
        InvalidValue: More than 18 places or 20 integer digits.
    """
    if not value:  # most sums are, and zero has many forms
        return "0"
    text = _plain(value)  # half the time of the format below, and the same text unless it has an exponent
    if len(text) > MONEY_PLACES or "E" in text:  # shorter text cannot exceed either bound
        return _long_money_text(value, column)
    if text[-1] == "0" and "." in text:
        return text.rstrip("0").rstrip(".")
    return text


def _long_money_text(value: Decimal, column: str) -> str:
    if not -_EXPONENT_MAX < value.adjusted() < _EXPONENT_MAX:
        raise InvalidValue(
            f"{column}={value}: at most {MONEY_INTEGER_DIGITS} digits and {MONEY_PLACES} places fit"
        )
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if len(text) > MONEY_PLACES:
        integer, _, fraction = text.partition(".")
        if len(fraction) > MONEY_PLACES:
            raise InvalidValue(
                f"{column}={value}: {len(fraction)} decimal places, at most {MONEY_PLACES} fit",
                hint="round it where it arises, so that the rounding is yours",
            )
        if len(integer.lstrip("-")) > MONEY_INTEGER_DIGITS:
            raise InvalidValue(f"{column}={value}: more than {MONEY_INTEGER_DIGITS} digits before the point")
    return text


def check_money(value: object, column: str) -> str:
    """Check an amount and return its stored text.

    Args:
        value: Decimal, int, or decimal text.
        column: The column's name, for the message.

    Returns:
        Plain decimal text.

    Raises:
        InvalidValue: See :func:`to_decimal` and :func:`money_text`.
    """
    return money_text(to_decimal(value, column), column)


def check_tick(value: object, column: str) -> int:
    """Check a price or amount of market data and return its stored integer.

    Args:
        value: Decimal, int, or decimal text.
        column: The column's name, for the message.

    Returns:
        The value times 1e8.

    Raises:
        InvalidValue: More than 8 places or 10 integer digits, or not a finite number.
    """
    number = to_decimal(value, column)
    try:
        scaled = number.scaleb(TICK_PLACES, EXACT)
        stored = int(scaled) if scaled.adjusted() < _EXPONENT_MAX else _TICK_LIMIT
    except (Inexact, InvalidOperation, Overflow):
        raise InvalidValue(f"{column}={number}: out of range for market data") from None
    if stored != scaled or not -_TICK_LIMIT < stored < _TICK_LIMIT:
        raise InvalidValue(
            f"{column}={number}: market data has at most 10 digits before and {TICK_PLACES} after the point",
            hint="declare the dataset with MONEY columns if it needs more",
        )
    return stored


def check_timestamp(value: object, column: str) -> int:
    """Check a moment and return microseconds since 1970-01-01 UTC.

    Args:
        value: An aware datetime, ISO 8601 text with a zone, integer microseconds, or float seconds as
            ``time.time()`` gives them.
        column: The column's name, for the message.

    Returns:
        Microseconds.

    Raises:
        InvalidValue: A naive datetime, text without a zone, an integer that looks like seconds or milliseconds, or
            a moment outside 1970..9999.
    """
    if type(value) is int:
        if value < _SECONDS_MAX * 1000 and value != 0:
            raise InvalidValue(
                f"{column}={value}: an integer time is microseconds; this looks like seconds or milliseconds",
                hint="multiply by 1_000_000 or 1000, or give an aware datetime",
            )
        moment_us = value
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidValue(
                f"{column}={value!r}: a naive datetime has no zone", hint="use datetime.now(timezone.utc)"
            )
        moment_us = (value - EPOCH) // _MICROSECOND
    elif isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidValue(f"{column}={value!r}: not an ISO 8601 time") from None
        return check_timestamp(parsed, column)
    elif isinstance(value, float) and 0 <= value < _SECONDS_MAX:
        moment_us = round(value * 1_000_000)
    else:
        raise InvalidValue(
            f"{column}={value!r}: not a time",
            hint="give an aware datetime, ISO 8601 text with a zone, integer microseconds or float seconds",
        )
    if not _TS_MIN_US <= moment_us <= _TS_MAX_US:
        raise InvalidValue(f"{column}={value!r}: outside 1970..9999")
    return moment_us


def check_name(value: object, column: str) -> str:
    """Check an identifier: an asset, a symbol, an account, an exchange's id.

    Args:
        value: Text of 1 to 200 characters without control characters.
        column: The column's name, for the message.

    Returns:
        The same text.

    Raises:
        InvalidValue: Not text, empty, too long, surrounded by white space, or with control characters.
    """
    if type(value) is not str:
        raise InvalidValue(
            f"{column}={value!r}: a {type(value).__name__} is not a name", hint="give text, for example 'BTC'"
        )
    if value.isalnum() and len(value) <= NAME_LENGTH_MAX:
        return value
    if not value or len(value) > NAME_LENGTH_MAX or value != value.strip() or _CONTROL.search(value):
        raise InvalidValue(
            f"{column}={value[:60]!r}: a name has 1 to {NAME_LENGTH_MAX} characters, no control characters and no "
            "white space around it"
        )
    _check_unicode(value, column)
    return value


def check_text(value: object, column: str) -> str:
    """Check free text.

    Args:
        value: Any text that UTF-8 can hold, without NUL.
        column: The column's name, for the message.

    Returns:
        The same text.

    Raises:
        InvalidValue: Not text, or with NUL or lone surrogates.
    """
    if not isinstance(value, str):
        raise InvalidValue(f"{column}={value!r}: a {type(value).__name__} is not text")
    if "\x00" in value:
        raise InvalidValue(f"{column}={value[:60]!r}: text cannot hold NUL")
    _check_unicode(value, column)
    return str(value)


def _check_unicode(value: str, column: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{column}={value[:60]!r}: not valid Unicode (a lone surrogate)") from None


CHECKS: dict[LogicalType, Callable[[Any, str], Any]] = {
    LogicalType.MONEY: check_money,
    LogicalType.TICK: check_tick,
    LogicalType.TIMESTAMP: check_timestamp,
    LogicalType.NAME: check_name,
    LogicalType.TEXT: check_text,
    LogicalType.JSON: check_json,
    LogicalType.INTEGER: check_integer,
    LogicalType.BOOLEAN: check_boolean,
    LogicalType.RATIO: check_ratio,
    LogicalType.BLOB: check_blob,
}
"""The door of each type: takes a value and the column's name, returns the stored form."""


def moment(ts_us: int) -> datetime:
    """Return a stored time as an aware datetime.

    Args:
        ts_us: Microseconds since 1970-01-01 UTC.

    Returns:
        The moment, in UTC.
    """
    if 0 <= ts_us < _FLOAT_EXACT_US:
        return _from_timestamp(ts_us / 1_000_000, UTC)
    return EPOCH + timedelta(microseconds=ts_us)


def tick_decimal(stored: int) -> Decimal:
    """Return a stored tick as a Decimal.

    Args:
        stored: The value times 1e8.

    Returns:
        The value.
    """
    return Decimal(stored).scaleb(-TICK_PLACES, EXACT)
