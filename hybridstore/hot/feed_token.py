"""The resume token of a subscriber: a place in the store's history as printable text. Pure: values in, text out.

It holds the store's mark, the time of the last commit that was told of, and for each dataset the last row that was
told. A token is bound to its store and is as good in any process and at any later time.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from hybridstore.errors import InvalidValue

MARK_BYTES = 8
"""Bytes of the store's mark in a token: enough to tell any two stores apart."""
NUMBER_MAX = (1 << 63) - 1
_VERSION = 1
_TIMED = 0x80
"""Set in the length of a name whose place is a time and a row number."""
_HINT = "store the text unchanged; without it, follow from_start=True or from now on"


class Place(NamedTuple):
    """How far a dataset was told.

    Attributes:
        ts_us: Time of the commit of the last row, us UTC; only where rows are ordered by it.
        id: Number of the last row.
    """

    ts_us: int
    id: int


class FeedToken(NamedTuple):
    """What a token says.

    Attributes:
        mark: The first bytes of the store's mark.
        ts_us: Time of the last commit that was told of, us UTC.
        places: How far each dataset was told.
    """

    mark: bytes
    ts_us: int
    places: dict[str, Place]


class TokenMaker:
    """Makes tokens for a fixed list of datasets; one is made for every event, so it is made for speed.

    Args:
        mark: The store's mark.
        datasets: Names, each with whether its rows are ordered by time and number rather than by number alone.
    """

    def __init__(self, mark: bytes, datasets: Sequence[tuple[str, bool]]) -> None:
        parts = [bytes([_VERSION]), mark[:MARK_BYTES], bytes([len(datasets)])]
        for name, timed in datasets:
            parts += [bytes([len(name) | (_TIMED if timed else 0)]), name.encode()]
        self._head = b"".join(parts)
        self._head_crc = zlib.crc32(self._head)
        self._numbers = struct.Struct(f">{1 + sum(2 if timed else 1 for _, timed in datasets)}q")

    def text(self, ts_us: int, numbers: Sequence[int]) -> str:
        """Return a token.

        Args:
            ts_us: Time of the last commit that was told of, us UTC.
            numbers: For each dataset the last row's number; before it its commit's time where rows are ordered by it.

        Returns:
            The token's text: letters, digits, ``-`` and ``_``.
        """
        body = self._numbers.pack(ts_us, *numbers)
        checksum = zlib.crc32(body, self._head_crc)
        return base64.urlsafe_b64encode(self._head + body + checksum.to_bytes(4)).rstrip(b"=").decode()


def read_token(text: object) -> FeedToken:
    """Take a token apart.

    Args:
        text: What :meth:`TokenMaker.text` returned.

    Returns:
        What it says.

    Raises:
        InvalidValue: It is no token, was damaged, or was made by a newer hybridstore.
    """
    if not isinstance(text, str):
        raise InvalidValue(f"token={text!r}: a {type(text).__name__} is no token", hint=_HINT)
    try:
        content = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        raise _damaged(text) from None
    if len(content) < 1 + MARK_BYTES + 1 + 8 + 4 or zlib.crc32(content[:-4]) != int.from_bytes(content[-4:]):
        raise _damaged(text)
    if content[0] != _VERSION:
        raise InvalidValue(
            f"token={text[:20]!r}...: version {content[0]} is not known", hint="pip install -U hybridstore"
        )
    return _read(content)


def _read(content: bytes) -> FeedToken:
    position = 1 + MARK_BYTES
    names: list[tuple[str, bool]] = []
    for _ in range(content[position]):
        length = content[position + 1] & ~_TIMED
        timed = bool(content[position + 1] & _TIMED)
        names.append((content[position + 2 : position + 2 + length].decode(), timed))
        position += 1 + length
    ts_us, *numbers = struct.unpack(f">{(len(content) - 5 - position) // 8}q", content[position + 1 : -4])
    places = {}
    rest = iter(numbers)
    for name, timed in names:
        places[name] = Place(next(rest) if timed else 0, next(rest))
    return FeedToken(content[1 : 1 + MARK_BYTES], ts_us, places)


def _damaged(text: str) -> InvalidValue:
    shown = text if len(text) <= 40 else f"{text[:20]}...{text[-10:]}"  # noqa: PLR2004  what a message can show
    return InvalidValue(f"token={shown!r}: damaged or cut ({len(text)} characters)", hint=_HINT)
