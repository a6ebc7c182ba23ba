"""What a backup is made of, and how its files are named and headed (pure).

An epoch is a chain without a gap: full copies, and segments that hold every commit since the first of them. What
cannot be continued begins a new epoch. Formats: docs/formats/backup.md.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from hybridstore.clock import SECOND_US
from hybridstore.records import Record

FORMAT = 1
NO_SHA256 = "0" * 64

_SEGMENT = re.compile(r"(?P<epoch>\d{4,})-(?P<number>\d{8})-(?P<first>\d+)-(?P<last>\d+)\.wal(\.zst)?")
_TAIL = re.compile(r"(?P<epoch>\d{4,})-(?P<number>\d{8})\.tail")
_FULL = re.compile(r"(?P<epoch>\d{4,})-(?P<seq>\d+)\.db(\.zst)?\.json")


class LogPosition(Record, frozen=True, gc=False):
    """A place in a write-ahead log, known by the checksum there: it covers all that came before.

    Attributes:
        salt1: First salt of the log's generation.
        salt2: Second salt.
        frames: Frames before the place.
        sum1: First checksum there.
        sum2: Second checksum.
    """

    salt1: int
    salt2: int
    frames: int
    sum1: int
    sum2: int


class Epoch(Record, frozen=True, gc=False):
    """The beginning of a chain.

    Attributes:
        epoch: 1 for the first.
        store: Mark of the store, hexadecimal.
        opened_us: When, by the machine's clock, us UTC.
        reason: Why the one before was not continued.
        seq: Last commit the one before held; 0 for none.
        ts_us: Time of that commit, us UTC.
    """

    epoch: int
    store: str
    opened_us: int
    reason: str
    seq: int
    ts_us: int


class Full(Record, frozen=True, gc=False):
    """A whole copy of the hot database; what its ``.json`` says, which is written last.

    Attributes:
        store: Mark of the store, hexadecimal.
        epoch: Its chain.
        seq: Last commit it holds.
        ts_us: Time of that commit, us UTC.
        created_us: When it was made, us UTC.
        page_bytes: Size of a page.
        page_checksums: Whether each page ends in a checksum of its own.
        raw_bytes: Size of the database.
        raw_sha256: Hash of the database.
        size_bytes: Size of the file.
        sha256: Hash of the file.
        compressed: Whether it is zstd.
        origin: ``live``: copied from the running store. ``chain``: made from the copies before, and compared with it.
        format: Version of this description.
    """

    store: str
    epoch: int
    seq: int
    ts_us: int
    created_us: int
    page_bytes: int
    page_checksums: bool
    raw_bytes: int
    raw_sha256: str
    size_bytes: int
    sha256: str
    compressed: bool
    origin: Literal["live", "chain"]
    format: int = FORMAT

    @property
    def path(self) -> PurePosixPath:
        """The copy's path below the base."""
        suffix = ".db.zst" if self.compressed else ".db"
        return PurePosixPath(day_of_us(self.created_us), "full", f"{self.epoch:04}-{self.seq}{suffix}")


class Segment(Record, frozen=True, gc=False):
    """Commits in a row; the head of its file.

    Attributes:
        store: Mark of the store, hexadecimal.
        epoch: Its chain.
        number: 0 for the first of the chain, without a gap.
        previous: Hash of the content of the one before; zeros for the first.
        created_us: When it was made, us UTC.
        seq_before: Last commit before it.
        ts_before_us: Time of that commit, us UTC.
        seq_first: First commit that ends in it; 0 where none does.
        seq_last: Last commit that ends in it; ``seq_before`` where none does.
        ts_first_us: Time of the first, us UTC.
        ts_last_us: Time of the last, us UTC.
        commits: How many end in it.
        frames: Frames in it.
        page_bytes: Size of a page.
        end: Where in the log it ends.
        raw_bytes: Size of its content before compression.
        size_bytes: Size of its content in the file.
        sha256: Hash of its content in the file.
        compressed: Whether it is zstd.
        format: Version of the layout.
    """

    store: str
    epoch: int
    number: int
    previous: str
    created_us: int
    seq_before: int
    ts_before_us: int
    seq_first: int
    seq_last: int
    ts_first_us: int
    ts_last_us: int
    commits: int
    frames: int
    page_bytes: int
    end: LogPosition
    raw_bytes: int
    size_bytes: int
    sha256: str
    compressed: bool
    format: int = FORMAT

    @property
    def path(self) -> PurePosixPath:
        """Its path below the base."""
        suffix = ".wal.zst" if self.compressed else ".wal"
        name = f"{self.epoch:04}-{self.number:08}-{self.seq_first}-{self.seq_last}{suffix}"
        return PurePosixPath(day_of_us(self.created_us), "incremental", name)


class Tail(Record, frozen=True, gc=False):
    """The head of the file that the newest commits are appended to, until they become a segment.

    Attributes:
        store: Mark of the store, hexadecimal.
        epoch: Its chain.
        number: Of the segment it will be.
        previous: Hash of the content of the segment before; zeros for the first.
        created_us: When it was begun, us UTC.
        seq_before: Last commit before it.
        ts_before_us: Time of that commit, us UTC.
        page_bytes: Size of a page.
        begin: Where in the log it begins.
        format: Version of the layout.
    """

    store: str
    epoch: int
    number: int
    previous: str
    created_us: int
    seq_before: int
    ts_before_us: int
    page_bytes: int
    begin: LogPosition
    format: int = FORMAT

    @property
    def path(self) -> PurePosixPath:
        """Its path below the base."""
        return PurePosixPath(
            day_of_us(self.created_us), "incremental", f"{self.epoch:04}-{self.number:08}.tail"
        )


class Named(NamedTuple):
    """What a file's name says.

    Attributes:
        kind: What it is.
        epoch: Its chain.
        number: Of the segment; the commit of a full copy.
        seq_last: Last commit that ends in it; 0 for a tail.
    """

    kind: Literal["full", "segment", "tail"]
    epoch: int
    number: int
    seq_last: int


def read_name(name: str) -> Named | None:
    """Read the name of a file.

    Args:
        name: Without its folders.

    Returns:
        What it says; None for any other file.
    """
    if found := _SEGMENT.fullmatch(name):
        return Named("segment", int(found["epoch"]), int(found["number"]), int(found["last"]))
    if found := _TAIL.fullmatch(name):
        return Named("tail", int(found["epoch"]), int(found["number"]), 0)
    if found := _FULL.fullmatch(name):
        return Named("full", int(found["epoch"]), int(found["seq"]), int(found["seq"]))
    return None


def day_of_us(ts_us: int) -> str:
    """Return the folder of a moment.

    Args:
        ts_us: us UTC.

    Returns:
        ``YYYYMMDD``.
    """
    return datetime.fromtimestamp(ts_us // SECOND_US, UTC).strftime("%Y%m%d")


def sha256_of(content: bytes) -> str:
    """Return a hash, hexadecimal.

    Args:
        content: Of what.
    """
    return hashlib.sha256(content).hexdigest()
