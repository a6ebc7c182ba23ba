"""Where the last shipper stopped, by what it left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import NamedTuple

from hybridstore.backup.commits import ClockRow
from hybridstore.backup.framing import decode_records
from hybridstore.backup.pieces import NO_SHA256, LogPosition, Segment
from hybridstore.backup.repository import Found, Repository
from hybridstore.backup.tail import TailFile
from hybridstore.errors import BackupCorrupt


class ChainEnd(NamedTuple):
    """The end of a chain.

    Attributes:
        tail: The tail to go on with; None where another one is to be begun.
        number: Of the segment that it will be.
        previous: Hash of the content of the segment before.
        place: Where in the log it ends.
        row: The last commit it holds.
    """

    tail: TailFile | None
    number: int
    previous: str
    place: LogPosition
    row: ClockRow


def find_end(repository: Repository, epoch: int) -> ChainEnd:
    """Find the end of a chain, and remove what was left by a shipper that died between two steps.

    Args:
        repository: The backups; the lock is held.
        epoch: The chain.

    Returns:
        Its end.

    Raises:
        BackupCorrupt: What it ends with is damaged or missing.
    """
    ours = [found for found in repository.files() if found.named.epoch == epoch]
    last = _last_segment(repository, ours)
    number, previous = (last.number + 1, last.sha256) if last else (0, NO_SHA256)
    tail: TailFile | None = None
    for found in ours:
        if found.named.kind == "tail" and found.named.number == number:
            with suppress(BackupCorrupt) if last else nullcontext():  # the log may still hold all of it
                tail = _reopen(repository, found)
    if last is not None and tail is None and (longer := _longer_tail(repository, ours, last)) is not None:
        tail = longer
    elif last is not None:
        _remove(ours, "tail", last.number)  # segments hold what they held
    if tail is not None:
        return ChainEnd(tail, number, previous, tail.end, _last_commit(tail))
    if last is None:
        raise BackupCorrupt("the newest segments of the last chain of backups are missing")
    return ChainEnd(None, number, previous, last.end, ClockRow(last.seq_last, last.ts_last_us))


def _last_segment(repository: Repository, ours: Sequence[Found]) -> Segment | None:
    segments = [found for found in ours if found.named.kind == "segment"]
    newest = [found for found in segments if found.named.number == segments[-1].named.number]
    # Where the device failed as one was written, another may have been made of the same tail, which had grown.
    heads = [repository.read_segment(found.path) for found in newest]
    return max(heads, key=lambda head: head.frames, default=None)


def _longer_tail(repository: Repository, ours: Sequence[Found], last: Segment) -> TailFile | None:
    """Return the tail of a segment, where it grew after the device failed as the segment was written."""
    for found in ours:
        if found.named.kind == "tail" and found.named.number == last.number:
            with suppress(BackupCorrupt):
                tail = _reopen(repository, found)
                if tail.frames > last.frames:
                    _remove(ours, "segment", last.number, last.number)
                    return tail
    return None


def _remove(ours: Sequence[Found], kind: str, upto: int, since: int = 0) -> None:
    for found in ours:
        if found.named.kind == kind and since <= found.named.number <= upto:
            found.path.unlink(missing_ok=True)


def _reopen(repository: Repository, found: Found) -> TailFile:
    head, body = repository.read_tail(found.path)
    records, _ = decode_records(body)
    return TailFile(repository.base, head, records)


def _last_commit(tail: TailFile) -> ClockRow:
    for batch in reversed(tail.batches()):
        if len(batch.seqs):
            return ClockRow(int(batch.seqs[-1]), int(batch.times_us[-1]))
    return ClockRow(tail.head.seq_before, tail.head.ts_before_us)
