"""Which commits are in a log, by the commit clock's own page (pure).

Every transaction of this package writes the clock's row last, so the frames of a commit hold a page with its number
and time. A commit without one (VACUUM, a foreign program's) belongs to the commit before it.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hybridstore.backup.wal import Bytes, Frames

Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
_LEAF = 0x0A
"""Kind of a b-tree page that holds whole rows of a table without row numbers."""
_RECORD = bytes((37, 5, 9, 44, 6, 6))
"""The clock's row as SQLite stores it: 37 bytes, of which 5 say what follows: 1, 16 bytes, two numbers of 8 bytes."""
_NUMBERS = struct.Struct(">qq")
_MARK_BYTES = 16


class ClockRow(NamedTuple):
    """What the commit clock says.

    Attributes:
        seq: Number of the last commit.
        ts_us: Its time, us UTC.
    """

    seq: int
    ts_us: int


class Clock(NamedTuple):
    """What is known of the commit clock at some point of a log.

    Attributes:
        row: What it said after the last commit.
        going_on: What it says in a commit that has begun and not ended; None where it does not say anything yet.
        page: Number of the page it was found on last; 0 while it was not.
    """

    row: ClockRow
    going_on: ClockRow | None = None
    page: int = 0


class Commits(NamedTuple):
    """Commits that end in some frames, in their order.

    Attributes:
        ends: How many of the frames are of it or of those before it, shape (commits,).
        seqs: Number of each, shape (commits,).
        times_us: Time of each, us UTC, shape (commits,).
        clock: The clock behind the frames.
    """

    ends: Numbers
    seqs: Numbers
    times_us: Numbers
    clock: Clock


def read_clock(page: Bytes, mark: bytes) -> ClockRow | None:
    """Read the commit clock from a page.

    Args:
        page: The page.
        mark: The 16 bytes by which the store is known.

    Returns:
        What it says; None where this is not the clock's page.
    """
    if page[0] != _LEAF or page[3] or page[4] != 1:
        return None
    start = int(page[8]) << 8 | int(page[9])
    cell = page[start : start + len(_RECORD) + _MARK_BYTES + _NUMBERS.size].tobytes()
    head, numbers = cell[: len(_RECORD) + _MARK_BYTES], cell[len(_RECORD) + _MARK_BYTES :]
    if head != _RECORD + mark or len(numbers) != _NUMBERS.size:
        return None
    return ClockRow(*_NUMBERS.unpack(numbers))


def find_commits(frames: Frames, mark: bytes, clock: Clock) -> Commits:
    """Find the commits that end in some frames.

    Args:
        frames: Frames that follow each other; the first may belong to a commit that began before them.
        mark: The 16 bytes by which the store is known.
        clock: The clock before them.

    Returns:
        The commits.
    """
    ends = np.flatnonzero(frames.sizes).astype(np.int64) + 1
    found: list[ClockRow] = []
    start = 0
    for end in ends.tolist():
        page, row = _clock_of(frames, start, end, mark, clock.page)
        clock = Clock(row or clock.going_on or clock.row, None, page)
        found.append(clock.row)
        start = end
    if start < len(frames.numbers):
        page, row = _clock_of(frames, start, len(frames.numbers), mark, clock.page)
        clock = clock._replace(going_on=row or clock.going_on, page=page)
    table = np.array(found, np.int64).reshape(-1, 2)
    return Commits(ends, table[:, 0], table[:, 1], clock)


def _clock_of(frames: Frames, start: int, end: int, mark: bytes, page: int) -> tuple[int, ClockRow | None]:
    """Return where the clock is and what it says in some frames; the last image of a page is what counts."""
    numbers = frames.numbers[start:end]
    for index in np.flatnonzero(numbers == page)[::-1].tolist():
        row = read_clock(frames.pages[start + index], mark)
        if row is not None:
            return page, row
    pages = frames.pages[start:end]
    likely = (pages[:, 0] == _LEAF) & (pages[:, 3] == 0) & (pages[:, 4] == 1)
    for index in np.flatnonzero(likely)[::-1].tolist():
        row = read_clock(pages[index], mark)
        if row is not None:
            return int(numbers[index]), row
    return page, None
