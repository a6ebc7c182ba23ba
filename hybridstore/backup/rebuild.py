"""Puts the hot database of a moment together: a full copy, and the last image of each page since."""

from __future__ import annotations

import hashlib
import os
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import zstandard

from hybridstore.backup.batch import Batch
from hybridstore.backup.chain import Chain, Target
from hybridstore.backup.commits import ClockRow
from hybridstore.backup.pieces import Full
from hybridstore.backup.wal import Bytes, page_checksums
from hybridstore.durable import PRIVATE_FILE_MODE, telling_failures
from hybridstore.errors import BackupCorrupt, StorageFull

_CHUNK_BYTES = 4 << 20
_CHECKSUM_BYTES = 8
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
OnBytes = Callable[[int], None]


class Rebuilt(NamedTuple):
    """A database that was put together.

    Attributes:
        row: Its last commit.
        followed: Whether a later one was seen, so that this is all there was up to the moment.
        pages: Pages of the database.
        applied: Frames that were looked at.
    """

    row: ClockRow
    followed: bool
    pages: int
    applied: int


def unpack_full(source: Path, full: Full, target: Path, on_bytes: OnBytes | None = None) -> None:
    """Write the database that a full copy holds.

    Args:
        source: The copy.
        full: What is said of it.
        target: A file that does not exist.
        on_bytes: Called with the bytes written so far.

    Raises:
        BackupCorrupt: The copy is missing or not what was written.
        StorageFull: There is no space for it.
        StorageFailure: A file cannot be read or written.
    """
    hint = "hybridstore backup verify says what can still be restored"
    packed, raw, written = hashlib.sha256(), hashlib.sha256(), 0
    _check_space(full, target)
    with (
        telling_failures("restore", target),
        os.fdopen(os.open(target, _FLAGS, PRIVATE_FILE_MODE), "wb") as out,
    ):
        try:
            for chunk in _unpacked(source, full, packed.update):
                written += len(chunk)
                if written > full.raw_bytes:
                    break
                raw.update(chunk)
                out.write(chunk)
                if on_bytes is not None:
                    on_bytes(written)
        except FileNotFoundError as error:
            raise BackupCorrupt("the copy is missing", path=str(source), hint=hint) from error
        except zstandard.ZstdError as error:
            raise BackupCorrupt(f"it cannot be decompressed: {error}", path=str(source), hint=hint) from error
    if (written, raw.hexdigest(), packed.hexdigest()) != (full.raw_bytes, full.raw_sha256, full.sha256):
        raise BackupCorrupt("the copy is not what was written", path=str(source), hint=hint)


def _unpacked(source: Path, full: Full, hashed: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield what a copy holds; never more of it in memory than a chunk, whatever it becomes."""
    with source.open("rb") as file:
        if os.fstat(file.fileno()).st_size != full.size_bytes:
            raise BackupCorrupt("the copy is not as long as what was written", path=str(source))
        hashing = cast("BinaryIO", _Hashing(file, hashed))
        reader = hashing
        if full.compressed:
            reader = zstandard.ZstdDecompressor().stream_reader(hashing)
        while chunk := reader.read(_CHUNK_BYTES):
            yield chunk
        while hashing.read(_CHUNK_BYTES):  # what is behind the end of what was packed
            pass


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO, hashed: Callable[[bytes], None]) -> None:
        self._file, self._hashed = file, hashed

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._hashed(content)
        return content


def _check_space(full: Full, target: Path) -> None:
    """Refuse what does not fit before the disk is full of it."""
    with telling_failures("restore", target):
        free = shutil.disk_usage(target.parent).free
    if full.raw_bytes > free:
        raise StorageFull(
            f"the database of the copy has {full.raw_bytes:,} bytes, and {free:,} are free",
            operation="restore",
            path=str(target),
            hint="restore to a larger device",
        )


def apply_links(
    path: Path,
    chain: Chain,
    batches: Iterator[Batch],
    target: Target,
    on_bytes: OnBytes | None = None,
) -> Rebuilt:
    """Write what was committed after the copy into its database.

    Args:
        path: The database, as the copy holds it.
        chain: The way to the moment.
        batches: What the links of the chain hold, in their order.
        target: The moment.
        on_bytes: Called with the bytes applied so far.

    Returns:
        What came of it.

    Raises:
        BackupCorrupt: What the links hold does not lead to where they say.
        StorageFailure: The database cannot be written.
    """
    full = chain.full
    row, pages = ClockRow(full.seq, full.ts_us), full.raw_bytes // full.page_bytes
    applied, done_bytes, followed = 0, 0, False
    with telling_failures("restore", path), path.open("r+b", buffering=0) as file:
        for link, whole, batch in zip(chain.links, chain.whole, batches, strict=True):
            if len(batch.seqs) != link.commits or (link.commits and int(batch.seqs[-1]) != link.seq_last):
                raise BackupCorrupt(
                    f"segment {link.number} of chain {link.epoch} does not hold what its head says"
                )
            wanted = count_wanted(batch, target)
            followed = followed or wanted < len(batch.seqs)
            if wanted:
                end = int(batch.ends[wanted - 1])
                row = ClockRow(int(batch.seqs[wanted - 1]), int(batch.times_us[wanted - 1]))
                pages = int(batch.sizes[end - 1])
            else:
                end = 0
            if whole and wanted == len(batch.seqs):
                end = len(batch.numbers)
            _write_pages(file, batch, end, full)
            applied += end
            done_bytes += batch.raw_bytes
            if on_bytes is not None:
                on_bytes(done_bytes)
        file.truncate(pages * full.page_bytes)
        os.fsync(file.fileno())
    return Rebuilt(row, followed, pages, applied)


def count_wanted(batch: Batch, target: Target) -> int:
    """Return how many of a batch's commits are wanted: those up to the moment, and they come first.

    Args:
        batch: The batch.
        target: The moment.
    """

    def is_later(number: int) -> int:
        return int(not target.admits(int(batch.seqs[number]), int(batch.times_us[number])))

    return bisect_left(range(len(batch.seqs)), 1, key=is_later)


def _write_pages(file: BinaryIO, batch: Batch, end: int, full: Full) -> None:
    """Write the last image of each page among the first frames of a batch."""
    if not end:
        return
    if batch.pages.shape[1] != full.page_bytes:
        raise BackupCorrupt("a segment holds pages of another size than the copy it follows")
    numbers, last = np.unique(batch.numbers[:end][::-1], return_index=True)
    images = batch.pages[end - 1 - last]
    if full.page_checksums:
        images = _stamped(images)
    # Pages that lie side by side are written at once.
    starts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist()]
    for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
        file.seek((int(numbers[start]) - 1) * full.page_bytes)
        _write(file, images[start:stop].reshape(-1).data)


def _write(file: BinaryIO, content: memoryview) -> None:
    while content:
        content = content[file.write(content) :]


def _stamped(pages: Bytes) -> Bytes:
    """Return pages that end in their checksum: in the log they carry none. See SQLite's cksumvfs."""
    stamped = pages.copy()
    sums = page_checksums(stamped[:, :-_CHECKSUM_BYTES])
    stamped[:, -_CHECKSUM_BYTES:] = sums.astype("<u4").view(np.uint8).reshape(len(pages), _CHECKSUM_BYTES)
    return stamped
