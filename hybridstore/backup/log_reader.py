"""Reads the write-ahead log of a running store, behind a place up to which it was read before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hybridstore.backup.batch import Batch, make_batch
from hybridstore.backup.commits import Clock, ClockRow, Numbers, find_commits
from hybridstore.backup.pieces import LogPosition
from hybridstore.backup.wal import (
    HEADER_BYTES,
    LogHeader,
    parse_frames,
    parse_header,
)
from hybridstore.errors import BackupError, StoreCorrupt
from hybridstore.hot.log_pin import LogPin

_CHUNK_BYTES = 16 << 20
_ATTEMPTS_MAX = 5
"""So often the head of the log may change while it is looked at: a writer changes it once in many commits."""


class GapError(BackupError):
    """The log does not go on where it was read up to: commits may be missing between."""


class Read(NamedTuple):
    """Some frames that were read.

    Attributes:
        batch: The frames and their commits.
        end: Where in the log they end.
        clock: The commit clock there.
    """

    batch: Batch
    end: LogPosition
    clock: Clock


class LogReader:
    """Reads each frame once, in the order of the log, and proves it.

    Args:
        pin: Keeps the log from beginning anew before it was read.
        path: The database.
        mark: The 16 bytes by which the store is known.
        position: Up to where it was read.
        clock: The commit clock there.
        follows: Whether commits must follow each other; not where one only looks for the end of the log.
    """

    def __init__(
        self,
        pin: LogPin,
        path: Path,
        mark: bytes,
        position: LogPosition,
        clock: Clock,
        *,
        follows: bool = True,
    ) -> None:
        self.position = position
        self._follows = follows
        self.clock = clock
        self._pin = pin
        self._log = path.with_name(f"{path.name}-wal")
        self._mark = mark

    def read(self) -> Iterator[Read]:
        """Read what was committed since the last call. It counts as read once :meth:`advance` was called.

        Yields:
            Frames, at most about 16 MiB at once.

        Raises:
            GapError: The log does not go on where it was read up to.
            StoreCorrupt: A frame is damaged.
        """
        header, frames = look_at_log(self._pin, self._log)
        if header is None or not frames:
            return
        position, clock = self.position, self.clock
        if not _is_of(position, header):
            # The pin lets it begin anew only after all of it was read. Its head does not tell how often that was: each
            # connection counts for itself, and after a foreign TRUNCATE the next writer may draw both salts anew. What
            # tells is the number of the first commit in it.
            self._pin.check_files()
            position = _start_of(header)
        if frames < position.frames:
            raise GapError(
                f"the write-ahead log has {frames} frames, and {position.frames} were read",
                path=str(self._log),
            )
        yield from self.read_frames(header, position, clock, frames)

    def advance(self, read: Read) -> None:
        """Count frames as read.

        Args:
            read: The last of them.
        """
        self.position, self.clock = read.end, read.clock

    def read_frames(
        self, header: LogHeader, position: LogPosition, clock: Clock, frames_end: int
    ) -> Iterator[Read]:
        """Read frames of one generation of the log.

        Args:
            header: Its head.
            position: Where they begin.
            clock: The commit clock there.
            frames_end: Frames before their end.

        Yields:
            Frames, at most about 16 MiB at once.

        Raises:
            GapError: Commits do not follow each other.
            StoreCorrupt: A frame is damaged.
        """
        step = max(_CHUNK_BYTES // header.frame_bytes, 1)
        with self._log.open("rb") as file:
            for start in range(position.frames, frames_end, step):
                count = min(step, frames_end - start)
                file.seek(HEADER_BYTES + start * header.frame_bytes)
                content = file.read(count * header.frame_bytes)
                if len(content) != count * header.frame_bytes:
                    raise StoreCorrupt(
                        f"the write-ahead log ends before frame {frames_end}",
                        operation="read the write-ahead log",
                        path=str(self._log),
                    )
                frames = parse_frames(header, content, (position.sum1, position.sum2))
                commits = find_commits(frames, self._mark, clock)
                if self._follows:
                    self._check_numbers(clock.row.seq, commits.seqs)
                clock = commits.clock
                position = LogPosition(*header.salts, start + count, *frames.sums)
                yield Read(make_batch(frames, commits), position, clock)

    def _check_numbers(self, before: int, seqs: Numbers) -> None:
        """Refuse commits that do not follow each other; 0 is known of none before them."""
        steps = np.diff(seqs, prepend=before) if before else np.diff(seqs)
        wrong = np.flatnonzero((steps < 0) | (steps > 1))
        if len(wrong):
            raise GapError(
                f"commit {seqs[wrong[0]] - steps[wrong[0]]} is followed by commit {seqs[wrong[0]]}",
                path=str(self._log),
            )


def look_at_log(pin: LogPin, log: Path) -> tuple[LogHeader | None, int]:
    """Say which generation of the log this is, and how many frames of commits it has.

    The head is read before and after the frames are counted: only where it stayed the same do both belong together.

    Args:
        pin: The pin.
        log: The log.

    Returns:
        Its head, None where it has none yet; and the frames.

    Raises:
        StoreCorrupt: Its head is damaged.
    """
    for attempt in range(_ATTEMPTS_MAX):
        before = _head(log)
        sizes = pin.sizes()
        if not sizes.frames:
            return None, 0
        if before and before == _head(log):
            try:
                return parse_header(before), sizes.frames
            except StoreCorrupt:
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
    raise StoreCorrupt(
        "the head of the write-ahead log does not stay the same", operation="read the log", path=str(log)
    )


def place_now(pin: LogPin, path: Path, mark: bytes) -> tuple[LogPosition, Clock] | None:
    """Say where the log ends now, and what the commit clock says there.

    Args:
        pin: The pin; it was taken just now.
        path: The database.
        mark: The 16 bytes by which the store is known.

    Returns:
        The place, and the clock; None where the log is empty.

    Raises:
        StoreCorrupt: The log is damaged.
    """
    log = path.with_name(f"{path.name}-wal")
    pinned = Clock(ClockRow(pin.position.seq, pin.position.ts_us))
    for attempt in range(_ATTEMPTS_MAX):
        header, frames = look_at_log(pin, log)
        if header is None:
            return None
        start = _start_of(header)
        reader = LogReader(pin, path, mark, start, Clock(ClockRow(0, 0)), follows=False)
        try:
            for read in reader.read_frames(header, start, reader.clock, frames):
                reader.advance(read)
            break
        except StoreCorrupt:
            # Where the pin needs nothing of it, the log may begin anew while it is read.
            if attempt == _ATTEMPTS_MAX - 1 or look_at_log(pin, log)[0] == header:
                raise
    # Where no commit of the log has a number, the database says the last one.
    return reader.position, reader.clock if reader.clock.row.seq else pinned


def prove_place(pin: LogPin, path: Path, mark: bytes, place: LogPosition, row: ClockRow) -> Clock:
    """Prove that the log is the one that was read up to a place, goes on there, and belongs to this database.

    A log that began anew since will not do, even if nothing seems to be missing: while nobody held it, commits may have
    been added, copied back and overwritten.

    Args:
        pin: The pin.
        path: The database.
        mark: The 16 bytes by which the store is known.
        place: The place.
        row: What the commit clock said behind the last commit before the place.

    Returns:
        The commit clock at the place, which may lie amid a commit.

    Raises:
        GapError: It does not.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        header, frames = look_at_log(pin, log)
        if header is None or not _is_of(place, header):
            raise GapError("the write-ahead log began anew while nobody shipped it", path=str(log))
        if frames < place.frames:
            raise GapError("the write-ahead log is shorter than what was shipped of it", path=str(log))
        start = _start_of(header)
        reader = LogReader(pin, path, mark, start, Clock(ClockRow(0, 0)), follows=False)
        first = 0
        for read in reader.read_frames(header, start, reader.clock, place.frames):
            numbered = read.batch.seqs[read.batch.seqs > 0]
            first = first or (int(numbered[0]) if len(numbered) else 0)
            reader.advance(read)
        if reader.position != place:
            raise GapError("the write-ahead log holds other commits than were shipped of it", path=str(log))
    except StoreCorrupt as error:
        raise GapError(error.message, path=str(log)) from error
    copied = pin.copied_seq()
    if first and copied is not None and copied < first - 1:
        # A log begins when all that was committed before is in the database.
        raise GapError(
            f"the database ends with commit {copied}, and its write-ahead log begins with commit {first}: "
            "it was replaced by an older one",
            path=str(path),
        )
    return reader.clock._replace(row=row)


def _is_of(position: LogPosition, header: LogHeader) -> bool:
    """Say whether a place is in this generation of the log."""
    return header.salts == (position.salt1, position.salt2)


def _start_of(header: LogHeader) -> LogPosition:
    return LogPosition(*header.salts, 0, *header.sums)


def _head(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        return b""
