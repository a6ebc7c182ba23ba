"""SQLite's write-ahead log, read and proven (pure).

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log. A frame is 24 bytes and a page; its checksum
covers every frame before it since the log began, so one that is right proves all of them.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hybridstore.errors import StoreCorrupt

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
_HEADER = struct.Struct(">8I")
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""The byte order checksums are computed in."""
_VERSION = 3_007_000
_HEADER_SUMMED_BYTES = 24
_MASK = 0xFFFF_FFFF
_STEP = ((1, 1), (1, 2))
"""What one pair of words does to the two sums before the words are added, mod 2^32."""

Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]
Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Sums: TypeAlias = tuple[int, int]
_Matrix: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


class LogHeader(NamedTuple):
    """The head of a log: which generation of it this is.

    Attributes:
        page_bytes: Size of a page.
        salts: Two numbers that every frame of this generation repeats.
        sums: Checksum the first frame goes on from.
        order: Byte order of the checksums, ``<`` or ``>``.
    """

    page_bytes: int
    salts: tuple[int, int]
    sums: Sums
    order: str

    @property
    def frame_bytes(self) -> int:
        """Size of a frame."""
        return FRAME_HEADER_BYTES + self.page_bytes


class Frames(NamedTuple):
    """Frames that were proven, in the order of the log.

    Attributes:
        numbers: Page number of each, shape (frames,).
        sizes: Pages the database has after it where it ends a commit, else 0, shape (frames,).
        pages: Their pages, shape (frames, page_bytes).
        sums: Checksum of the last one; that of before where there is none.
    """

    numbers: Words
    sizes: Words
    pages: Bytes
    sums: Sums


def parse_header(content: bytes) -> LogHeader:
    """Read the head of a log.

    Args:
        content: Its first 32 bytes.

    Returns:
        The head.

    Raises:
        StoreCorrupt: It is not one, or it is damaged.
    """
    if len(content) < HEADER_BYTES:
        raise StoreCorrupt(f"the write-ahead log has {len(content)} bytes and no header")
    magic, version, page_bytes, _, *salts, sum0, sum1 = _HEADER.unpack(content[:HEADER_BYTES])
    order = _MAGIC.get(magic)
    if order is None or version != _VERSION or page_bytes.bit_count() != 1:
        raise StoreCorrupt(f"not the header of a write-ahead log: {content[:12].hex()}")
    words = np.frombuffer(content[:_HEADER_SUMMED_BYTES], f"{order}u4").astype(np.uint32)
    if _continued((0, 0), words.reshape(1, -1)) != (sum0, sum1):
        raise StoreCorrupt("the header of the write-ahead log is damaged: its checksum is wrong")
    # What is left out, the sequence of checkpoints, each connection counts for itself.
    return LogHeader(page_bytes, (salts[0], salts[1]), (sum0, sum1), order)


def parse_frames(header: LogHeader, content: bytes, before: Sums) -> Frames:
    """Read frames and prove them.

    Args:
        header: The head of their log.
        content: Whole frames that follow each other.
        before: Checksum of the frame before the first; of the header where it is the first of all.

    Returns:
        The frames.

    Raises:
        StoreCorrupt: One of them is damaged, or of another generation.
    """
    count, rest = divmod(len(content), header.frame_bytes)
    if rest:
        raise StoreCorrupt(f"{len(content):,} bytes are no whole frames of {header.frame_bytes:,} bytes")
    if not count:
        empty = np.empty(0, np.uint32)
        return Frames(empty, empty, np.empty((0, header.page_bytes), np.uint8), before)
    raw = np.frombuffer(content, np.uint8).reshape(count, header.frame_bytes)
    heads = np.ascontiguousarray(raw[:, :FRAME_HEADER_BYTES]).view(">u4").astype(np.uint32)
    wrong = np.flatnonzero((heads[:, 2] != header.salts[0]) | (heads[:, 3] != header.salts[1]))
    if len(wrong):
        raise StoreCorrupt(f"frame {wrong[0]} of {count} is of another generation of the log")
    stored = heads[:, 4:6]
    sums = np.vstack([np.array([before], np.uint32), stored[:-1]])
    wrong = np.flatnonzero((_sums_after(header, raw, sums) != stored).any(axis=1))
    if len(wrong):
        raise StoreCorrupt(f"frame {wrong[0]} of {count} is damaged: its checksum is wrong")
    last = (int(stored[-1, 0]), int(stored[-1, 1]))
    return Frames(heads[:, 0], heads[:, 1], raw[:, FRAME_HEADER_BYTES:], last)


def _sums_after(header: LogHeader, raw: Bytes, before: Words) -> Words:
    """Return the checksum of each frame, were the one before it right."""
    order = f"{header.order}u4"
    words = raw.view(order)  # 24 bytes of header are six words, so pages begin at the seventh
    weights = _weights(2 + header.page_bytes // 4)
    power = _power(1 + header.page_bytes // 8)
    found = np.empty_like(before)
    for column in (0, 1):
        weight = weights[column]
        added = np.einsum("ij,j->i", words[:, 6:], weight[2:].astype(order), dtype=np.uint32)
        added += words[:, 0] * weight[0] + words[:, 1] * weight[1]
        carried = before[:, 0] * np.uint32(power[column][0]) + before[:, 1] * np.uint32(power[column][1])
        found[:, column] = added + carried
    return found


def checksum(words: Words, before: Sums = (0, 0)) -> Sums:
    """Return SQLite's checksum of some words, as the log and page checksums use it.

    Args:
        words: An even number of them.
        before: The sums to go on from.

    Returns:
        Both sums.
    """
    return _continued(before, words.reshape(1, -1))


def page_checksums(pages: Bytes, order: str = "<") -> Words:
    """Return the checksums of whole pages.

    Args:
        pages: What is summed of each, shape (pages, bytes); a multiple of 8 bytes.
        order: Byte order of the words.

    Returns:
        Both sums of each, shape (pages, 2).
    """
    words = np.ascontiguousarray(pages).view(f"{order}u4")
    weights = _weights(words.shape[1])
    return np.stack(
        [np.einsum("ij,j->i", words, weight.astype(words.dtype), dtype=np.uint32) for weight in weights],
        axis=1,
    )


def _continued(before: Sums, words: Words) -> Sums:
    power = _power(words.shape[1] // 2)
    added = [
        int(np.einsum("ij,j->i", words, weight, dtype=np.uint32)[0]) for weight in _weights(words.shape[1])
    ]
    first, second = (
        (row[0] * before[0] + row[1] * before[1] + add) & _MASK for row, add in zip(power, added, strict=True)
    )
    return first, second


def _times(left: _Matrix, right: _Matrix) -> _Matrix:
    (a, b), (c, d) = left
    (e, f), (g, h) = right
    return (
        ((a * e + b * g) & _MASK, (a * f + b * h) & _MASK),
        ((c * e + d * g) & _MASK, (c * f + d * h) & _MASK),
    )


@lru_cache(maxsize=8)
def _power(pairs: int) -> _Matrix:
    """Return what so many pairs of words do to the sums before them."""
    found: _Matrix = ((1, 0), (0, 1))
    for _ in range(pairs):
        found = _times(_STEP, found)
    return found


@lru_cache(maxsize=8)
def _weights(count: int) -> tuple[Words, Words]:
    """Return how often each of so many words counts in either sum.

    A pair (x, y) makes s0 += x + s1, then s1 += y + s0: it adds (x, x + y), and each later pair multiplies by
    :data:`_STEP`.
    """
    first, second = np.empty(count, np.uint32), np.empty(count, np.uint32)
    power: _Matrix = ((1, 0), (0, 1))
    for pair in range(count // 2 - 1, -1, -1):
        (a, b), (c, d) = power
        first[2 * pair : 2 * pair + 2] = (a + b) & _MASK, b
        second[2 * pair : 2 * pair + 2] = (c + d) & _MASK, d
        power = _times(_STEP, power)
    return first, second
