"""What ``shim.c`` wrote down, as operations of the disk model."""

from __future__ import annotations

import enum
import itertools
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.crash.operations import (
    Create,
    Delete,
    MakeFolder,
    Note,
    Operation,
    Rename,
    Sync,
    SyncFolder,
    Truncate,
    Write,
)

_HEADER = struct.Struct("=4i3q")
"""Kind, length of the name and of the other name, nothing, inode, number, length of the data."""
_NOT_KEPT = "-shm"
"""SQLite builds its shared memory anew."""


class _Kind(enum.IntEnum):
    """The numbers are those of ``shim.c``."""

    CREATE = 1
    MKDIR = 2
    RENAME = 3
    DELETE = 4
    WRITE = 5
    TRUNCATE = 6
    SYNC = 7
    SYNC_FOLDER = 8
    NOTE = 9
    REFUSED = 10


class RefusedCall(AssertionError):
    """A file was changed by a call that the model does not know."""


class Before(NamedTuple):
    """A folder before anything is recorded; all of it is durable.

    Attributes:
        files: Content by name.
        folders: Names.
        inodes: The model's inode of each file by the system's.
    """

    files: dict[str, bytes]
    folders: list[str]
    inodes: dict[int, int]


def take_before(root: Path) -> Before:
    """Read a folder.

    Args:
        root: The folder.
    """
    paths = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*"))}
    files = {name: path for name, path in paths.items() if path.is_file() and not name.endswith(_NOT_KEPT)}
    return Before(
        {name: path.read_bytes() for name, path in files.items()},
        [name for name, path in paths.items() if path.is_dir()],
        # The model numbers what was there -1, -2, ... by name.
        {files[name].stat().st_ino: -number for number, name in enumerate(sorted(files), start=1)},
    )


class _Entry(NamedTuple):
    kind: _Kind
    name: str
    other: str
    inode: int
    number: int
    data: bytes


def read_logs(logs: Iterable[Path], before: Before) -> tuple[list[Operation], int]:
    """Read what was recorded, one operation an entry, after those that make the folders there were.

    Args:
        logs: The files of processes that worked one after the other.
        before: What was there.

    Returns:
        The operations in order, and how many of them only tell of what was there.

    Raises:
        RefusedCall: Something else was done to a file.
    """
    operations: list[Operation] = [MakeFolder(name) for name in before.folders]
    parents = dict.fromkeys([name.rpartition("/")[0] for name in before.folders])
    operations += [SyncFolder(name, len(before.folders)) for name in parents]
    first = len(operations)
    inodes, numbers = dict(before.inodes), itertools.count(1)
    for log in logs:
        begun = len(operations)
        for entry in _entries(log.read_bytes()):
            if entry.kind is _Kind.REFUSED:
                raise RefusedCall(f"{entry.name}: {entry.other}")
            if entry.kind is _Kind.CREATE:  # the system gives the inode of a file that is gone to another
                inodes[entry.inode] = next(numbers)
            operations.append(_operation(entry, inodes, begun))
    return operations, first


def _entries(content: bytes) -> list[_Entry]:
    entries, at = [], 0
    while at < len(content):
        kind, name_length, other_length, _, inode, number, data_length = _HEADER.unpack_from(content, at)
        ends = list(itertools.accumulate((at + _HEADER.size, name_length, other_length, data_length)))
        name, other, data = (content[start:end] for start, end in itertools.pairwise(ends))
        entries.append(_Entry(_Kind(kind), os.fsdecode(name), os.fsdecode(other), inode, number, data))
        at = ends[-1]
    return entries


def _operation(entry: _Entry, inodes: dict[int, int], first: int) -> Operation:
    made: Operation
    match entry.kind:
        case _Kind.CREATE:
            made = Create(entry.name, inodes[entry.inode])
        case _Kind.MKDIR:
            made = MakeFolder(entry.name)
        case _Kind.RENAME:
            made = Rename(entry.name, entry.other)
        case _Kind.DELETE:
            made = Delete(entry.name)
        case _Kind.WRITE:
            made = Write(inodes[entry.inode], entry.number, entry.data)
        case _Kind.TRUNCATE:
            made = Truncate(inodes[entry.inode], entry.number)
        case _Kind.SYNC:
            made = Sync(inodes[entry.inode], 0, first + entry.number)
        case _Kind.SYNC_FOLDER:
            made = SyncFolder(entry.name, first + entry.number)
        case _:
            made = Note(entry.name)
    return made
