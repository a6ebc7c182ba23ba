"""The doors of values that are neither money nor times nor text: integers, truth values, figures, JSON, bytes."""

from __future__ import annotations

import contextlib

import msgspec

from hybridstore.errors import InvalidValue


def check_integer(value: object, column: str) -> int:
    """Check a 64-bit integer.

    Args:
        value: An int.
        column: The column's name, for the message.

    Returns:
        The same integer.

    Raises:
        InvalidValue: Not an int, or beyond 64 bits.
    """
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise InvalidValue(f"{column}={value!r}: not a 64-bit integer")
    return value


def check_boolean(value: object, column: str) -> int:
    """Check a truth value.

    Args:
        value: True or False.
        column: The column's name, for the message.

    Returns:
        1 or 0.

    Raises:
        InvalidValue: Anything else.
    """
    if value is True or value is False:
        return int(value)
    raise InvalidValue(f"{column}={value!r}: neither True nor False")


def check_ratio(value: object, column: str) -> float:
    """Check a figure that is not money.

    Args:
        value: A finite float or int.
        column: The column's name, for the message.

    Returns:
        The float.

    Raises:
        InvalidValue: Not a number, NaN or infinite.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
            if number - number == 0.0:
                return number
    raise InvalidValue(f"{column}={value!r}: not a finite number")


def check_json(value: object, column: str) -> str:
    """Check a JSON document.

    Args:
        value: JSON text, or a dict or list (a Decimal in it is written as text, so that no digit is lost).
        column: The column's name, for the message.

    Returns:
        JSON text.

    Raises:
        InvalidValue: Not JSON.
    """
    try:
        if isinstance(value, str):
            msgspec.json.decode(value.encode())
            return value
        text = msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise InvalidValue(f"{column}={str(value)[:60]!r}: not JSON: {error}") from None
    _refuse_lossy(value, column)
    return text


def _refuse_lossy(value: object, column: str) -> None:
    """Refuse what would be written as something else without a word: NaN and infinity as null, bytes as text."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            waiting.extend(part)
        elif (isinstance(part, float) and part - part != 0.0) or isinstance(
            part, bytes | bytearray | memoryview
        ):
            raise InvalidValue(f"{column}={part!r:.60}: JSON cannot hold this", hint="give it as text")


def check_blob(value: object, column: str) -> bytes:
    """Check bytes.

    Args:
        value: Bytes.
        column: The column's name, for the message.

    Returns:
        The same bytes.

    Raises:
        InvalidValue: Anything else.
    """
    if isinstance(value, bytes):
        return value
    raise InvalidValue(f"{column}={value!r}: not bytes")
