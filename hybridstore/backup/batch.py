"""Frames of a log as they are stored: columns, because the images of a page are nearly the same each time (pure).

Layout, all numbers little-endian (docs/formats/backup.md)::

    u32 frames, u32 commits, u32 bytes of a page
    u32 page number        of each frame
    u32 pages of database  of each frame; 0 where it ends no commit
    u64 frames up to its end, i64 number, i64 time (us UTC)   of each commit, column by column
    page                   of each frame
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import zstandard

from hybridstore.backup.commits import Commits, Numbers
from hybridstore.backup.wal import Bytes, Frames, Words
from hybridstore.errors import BackupCorrupt

_HEAD = struct.Struct("<3I")
RAW_MAX_BYTES = 1 << 27
"""More than any batch has: what claims to be larger is damaged, or meant to fill the memory."""


class Batch(NamedTuple):
    """Frames and the commits that end in them.

    Attributes:
        numbers: Page number of each frame, shape (frames,).
        sizes: Pages the database has after it where it ends a commit, else 0, shape (frames,).
        ends: Frames up to the end of each commit, shape (commits,).
        seqs: Number of each commit, shape (commits,).
        times_us: Time of each, us UTC, shape (commits,).
        pages: The pages, shape (frames, bytes).
    """

    numbers: Words
    sizes: Words
    ends: Numbers
    seqs: Numbers
    times_us: Numbers
    pages: Bytes

    @property
    def raw_bytes(self) -> int:
        """Size as it is stored, before compression."""
        return _HEAD.size + 8 * len(self.numbers) + 24 * len(self.ends) + self.pages.size


def make_batch(frames: Frames, commits: Commits) -> Batch:
    """Put frames and their commits together.

    Args:
        frames: The frames.
        commits: The commits that end in them.

    Returns:
        The batch.
    """
    return Batch(frames.numbers, frames.sizes, commits.ends, commits.seqs, commits.times_us, frames.pages)


def join(batches: Sequence[Batch]) -> Batch:
    """Make one batch of several that follow each other.

    Args:
        batches: At least one.

    Returns:
        The batch.
    """
    if len(batches) == 1:
        return batches[0]
    starts = np.cumsum([0, *(len(one.numbers) for one in batches[:-1])]).tolist()
    return Batch(
        np.concatenate([one.numbers for one in batches]),
        np.concatenate([one.sizes for one in batches]),
        np.concatenate([one.ends + start for one, start in zip(batches, starts, strict=True)]),
        np.concatenate([one.seqs for one in batches]),
        np.concatenate([one.times_us for one in batches]),
        np.concatenate([one.pages for one in batches]),
    )


def encode(batch: Batch, level: int | None) -> bytes:
    """Return a batch as it is stored.

    Args:
        batch: The batch.
        level: How hard zstd tries; None does not compress.

    Returns:
        The bytes.
    """
    raw: tuple[bytes | memoryview[int], ...] = (
        _HEAD.pack(len(batch.numbers), len(batch.ends), batch.pages.shape[1]),
        batch.numbers.astype("<u4").tobytes(),
        batch.sizes.astype("<u4").tobytes(),
        *(column.astype("<i8").tobytes() for column in (batch.ends, batch.seqs, batch.times_us)),
        np.ascontiguousarray(batch.pages).reshape(-1).data,
    )
    if level is None:
        return b"".join(raw)
    packing = zstandard.ZstdCompressor(level=level).compressobj(size=batch.raw_bytes)
    return b"".join((*map(packing.compress, raw), packing.flush()))


def decode(content: bytes, raw_bytes: int, *, compressed: bool) -> Batch:
    """Read a batch.

    Args:
        content: As :func:`encode` made it.
        raw_bytes: Its size before compression, as noted beside it.
        compressed: Whether it is.

    Returns:
        The batch.

    Raises:
        BackupCorrupt: It is not one.
    """
    raw = decompress(content, raw_bytes) if compressed else content
    if len(raw) != raw_bytes or raw_bytes < _HEAD.size:
        raise BackupCorrupt(f"{len(raw):,} bytes of frames, not {raw_bytes:,}")
    frames, commits, page_bytes = _HEAD.unpack_from(raw)
    if raw_bytes != _HEAD.size + frames * (8 + page_bytes) + 24 * commits:
        raise BackupCorrupt(f"{frames:,} frames and {commits:,} commits do not take {raw_bytes:,} bytes")
    at = _HEAD.size
    numbers = np.frombuffer(raw, "<u4", frames, at)
    sizes = np.frombuffer(raw, "<u4", frames, at + 4 * frames)
    at += 8 * frames
    ends, seqs, times_us = (np.frombuffer(raw, "<i8", commits, at + 8 * commits * n) for n in range(3))
    at += 24 * commits
    pages = np.frombuffer(raw, np.uint8, frames * page_bytes, at).reshape(frames, page_bytes)
    batch = Batch(numbers, sizes, ends, seqs, times_us, pages)
    if not np.array_equal(np.flatnonzero(sizes) + 1, ends) or (np.diff(seqs) < 0).any() or not numbers.all():
        raise BackupCorrupt("the commits of a batch are not those of its frames")
    return batch


def check_size(raw_bytes: int) -> None:
    """Refuse what is said to be larger than any batch.

    Args:
        raw_bytes: Its size before compression.

    Raises:
        BackupCorrupt: It is.
    """
    if not 0 <= raw_bytes <= RAW_MAX_BYTES:
        raise BackupCorrupt(f"a batch of {raw_bytes:,} bytes is none that was ever written")


def decompress(content: bytes, raw_bytes: int) -> bytes:
    """Decompress what is to have a size, and not more than that.

    Args:
        content: zstd.
        raw_bytes: The size.

    Returns:
        The bytes.

    Raises:
        BackupCorrupt: It is damaged, or has another size.
    """
    check_size(raw_bytes)
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            raw: bytes = reader.read(raw_bytes + 1)
    except zstandard.ZstdError as error:
        raise BackupCorrupt(f"it cannot be decompressed: {error}") from error
    return raw
