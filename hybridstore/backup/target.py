"""What somebody means by a moment to restore, and the moments they gave names to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hybridstore.backup.chain import Target
from hybridstore.backup.framing import decode_note, encode_note
from hybridstore.durable import telling_failures, write_file
from hybridstore.errors import BackupCorrupt, Conflict, InvalidValue
from hybridstore.records import Record
from hybridstore.schema.types import check_timestamp

LATEST = "latest"
MARKS_NAME = "marks.jsonl"
_TIME_MIN = 1 << 50
"""Commits are numbered from 2^48 on and no time is below 2^50, so a number says itself which it is."""
_NAME = re.compile(r"[A-Za-z_][\w .:+-]{0,99}")
_DIGITS = re.compile(r"\d+")


class Mark(Record, frozen=True, gc=False):
    """A commit that was given a name.

    Attributes:
        name: The name.
        epoch: The chain that holds it.
        seq: Number of the commit.
        ts_us: Its time, us UTC.
    """

    name: str
    epoch: int
    seq: int
    ts_us: int


def read_marks(base: Path) -> list[Mark]:
    """Return the commits that were given names, oldest first.

    Args:
        base: The folder of the backups.

    Raises:
        BackupCorrupt: The list is damaged.
    """
    path = base / MARKS_NAME
    try:
        return [decode_note(line, Mark) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except BackupCorrupt as error:
        raise BackupCorrupt(error.message, path=str(path), hint="restore by time instead") from error


def add_mark(base: Path, mark: Mark) -> None:
    """Give a commit a name.

    Args:
        base: The folder of the backups.
        mark: The commit.

    Raises:
        InvalidValue: The name is none, or could be taken for a moment.
        Conflict: Another commit has it.
        StorageFull: There is no space.
    """
    name = mark.name
    if not _NAME.fullmatch(name) or name == LATEST:
        raise InvalidValue(
            f"mark {name!r}", hint="begin with a letter; at most 100 letters, digits and .:+-_; not 'latest'"
        )
    marks = read_marks(base)
    if any(one.name == name and one.seq != mark.seq for one in marks):
        raise Conflict(f"another commit is marked {name!r}", hint="choose another name")
    if all(one.name != name for one in marks):
        with telling_failures("mark a moment", base / MARKS_NAME):
            write_file(base / MARKS_NAME, b"".join(encode_note(one) + b"\n" for one in (*marks, mark)))


def parse_target(
    value: datetime | str | int, marks: Sequence[Mark] = (), *, inclusive: bool = True
) -> Target:
    """Say what somebody means by a moment.

    Args:
        value: An aware datetime, ISO 8601 text with a zone, integer microseconds UTC, a commit's number, the name of a
            mark, or ``latest``.
        marks: The marks there are.
        inclusive: Whether a commit of exactly that moment counts.

    Returns:
        What is meant.

    Raises:
        InvalidValue: Nothing of that kind.
    """
    if isinstance(value, str):
        value = value.strip()
        if value == LATEST:
            return Target(inclusive=inclusive)
        for mark in marks:
            if mark.name == value:
                return Target(seq=mark.seq, epoch=mark.epoch, inclusive=inclusive)
        if _DIGITS.fullmatch(value):
            value = int(value)
        elif _NAME.fullmatch(value):
            known = ", ".join(mark.name for mark in marks) or "none"
            raise InvalidValue(f"no moment is marked {value!r}", hint=f"marks: {known}")
    if isinstance(value, int) and value < _TIME_MIN:
        return Target(seq=value, inclusive=inclusive)
    return Target(ts_us=check_timestamp(value, "target"), inclusive=inclusive)
