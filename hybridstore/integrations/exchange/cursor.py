"""How far each kind of history was read from an exchange."""

from __future__ import annotations

import msgspec

from hybridstore.records import Record


class Cursor(Record, frozen=True, gc=False):
    """What is known of one history of one account on one exchange.

    Attributes:
        from_ms: The first moment that was read, ms since 1970 by the exchange's clock.
        until_ms: Everything before was read, ms.
        last_id: The last row that was read; None where there was none.
        last_ms: Its time, ms.
    """

    from_ms: int
    until_ms: int
    last_id: str | None = None
    last_ms: int = 0


def cursor_name(account: str, exchange: str, stream: str, part: str = "") -> str:
    """Name a cursor.

    Args:
        account: Whose history.
        exchange: ccxt's id of the exchange.
        stream: Which history: trades, orders, ...
        part: Which part of it: a market, a market and a timeframe.

    Returns:
        The name.
    """
    return msgspec.json.encode([account, exchange, stream, part]).decode()


def parse_name(name: str) -> tuple[str, str, str, str] | None:
    """Take a name apart.

    Args:
        name: What :func:`cursor_name` made.

    Returns:
        account, exchange, stream, part; None of a cursor of something else.
    """
    try:
        return msgspec.json.decode(name, type=tuple[str, str, str, str])
    except msgspec.DecodeError:
        return None


def decode_cursor(value: str | None) -> Cursor | None:
    """Read a cursor.

    Args:
        value: As it was kept.

    Returns:
        It; None where there is none.
    """
    return None if value is None else msgspec.json.decode(value, type=Cursor)


def encode_cursor(cursor: Cursor) -> str:
    """Write a cursor down.

    Args:
        cursor: It.

    Returns:
        Its text.
    """
    return msgspec.json.encode(cursor).decode()
