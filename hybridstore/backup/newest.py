"""Which commit the backups held last: so that the loss of the newest files is noticed.

A chain whose end is missing looks like one that ends earlier. Two places of one small file take turns, so that one is
whole whatever happens while the other is written. It is not flushed: after a power cut it may say less, never more.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hybridstore.durable import PRIVATE_FILE_MODE

NEWEST_NAME = "newest.bin"
FETCHED_NAME = "fetched.json"
"""Says of a folder that it was brought from elsewhere: which commit was the newest is not known there."""
_MAGIC = b"HSNEWEST"
_PLACE = struct.Struct("<8sIqq")
_CRC = struct.Struct("<I")
_PLACES = (0, 512)
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


class Newest(NamedTuple):
    """The last commit that was stored.

    Attributes:
        epoch: Its chain.
        seq: Its number.
        ts_us: Its time, us UTC.
    """

    epoch: int
    seq: int
    ts_us: int


def read_newest(base: Path) -> Newest | None:
    """Read which commit was stored last.

    Args:
        base: The folder of the backups.

    Returns:
        The commit; None where nothing says it.
    """
    try:
        with (base / NEWEST_NAME).open("rb") as file:
            content = file.read(_PLACES[-1] + _PLACE.size + _CRC.size)
    except OSError:
        return None
    found = [one for place in _PLACES if (one := _decode(content[place:])) is not None]
    return max(found, default=None)


def _decode(content: bytes) -> Newest | None:
    if len(content) < _PLACE.size + _CRC.size:
        return None
    magic, *numbers = _PLACE.unpack_from(content)
    (crc,) = _CRC.unpack_from(content, _PLACE.size)
    if magic != _MAGIC or crc != zlib.crc32(content[: _PLACE.size]):
        return None
    return Newest(*numbers)


class NewestFile:
    """The file, as it is written. A device that fails keeps it from being written, and nothing else.

    Args:
        base: The folder of the backups.
    """

    def __init__(self, base: Path) -> None:
        self._path = base / NEWEST_NAME
        self._descriptor: int | None = None
        self._written: Newest | None = None
        self._turn = 0

    def write(self, newest: Newest) -> None:
        """Write which commit was stored last.

        Args:
            newest: The commit.
        """
        if newest == self._written:
            return
        content = _PLACE.pack(_MAGIC, *newest)
        content += _CRC.pack(zlib.crc32(content))
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, _FLAGS, PRIVATE_FILE_MODE)
            os.lseek(self._descriptor, _PLACES[self._turn], os.SEEK_SET)
            if os.write(self._descriptor, content) == len(content):
                self._written, self._turn = newest, 1 - self._turn
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file; it stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
