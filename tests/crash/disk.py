"""What a disk may hold after the power goes: a pure model of written, synced and lost.

A recorded run is one ordered list of operations over all files below one root. Replaying it to any point
gives the state a power cut at that moment leaves, and that state stands for many disks:

* what a sync covered is there, byte for byte;
* of the writes since then any subset is there, each torn at 512-byte sectors; a sector that did not make it
  holds its old content or zeros;
* a truncation or an extension since then happened or not;
* a file or folder created, renamed or deleted since its parent folder was last synced: that happened or not.

Names are paths below the root with forward slashes; the root itself is the folder "". ``Crash.image`` draws
one of these disks. Everything is deterministic in the ``random.Random`` it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

SECTOR_BYTES = 512
"""What a device writes whole or not at all."""


_FOLDER = 0
"""The inode of every folder: they hold no content of their own."""


def folder_of(name: str) -> str:
    """Return the folder a name is in.

    Args:
        name: A path below the root.

    Returns:
        The path of its parent; the root is "".
    """
    return name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class _NameChange:
    """One step over one or two names of a folder: it happened whole or not at all."""

    position: int
    changes: tuple[tuple[str, int | None], ...]

    @property
    def folder(self) -> str:
        return folder_of(self.changes[0][0])


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Write | Truncate]] = field(default_factory=list)

    def sync(self, began: int) -> None:
        for position, operation in self.pending:
            if position < began:
                _apply(self.durable, operation)
        self.pending = [entry for entry in self.pending if entry[0] >= began]


def _apply(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        missing = operation.size_bytes - len(content)
        if missing > 0:
            content.extend(bytes(missing))
        else:
            del content[operation.size_bytes :]
        return
    _put(content, operation.offset, operation.data)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _sectors(write: Write) -> Iterator[tuple[int, bytes]]:
    """Cut a write where the device may tear it: at multiples of the sector size of the *file*."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield start, write.data[start - write.offset : stop - write.offset]
        start = stop


def _apply_torn(content: bytearray, operation: Write | Truncate, rng: random.Random) -> None:
    """Apply what a power cut may leave of one unsynced operation."""
    if isinstance(operation, Truncate):
        if rng.getrandbits(1):
            _apply(content, operation)
        return
    for offset, data in _sectors(operation):
        fate = rng.getrandbits(2)
        if fate <= 1:
            _put(content, offset, data)
        elif fate == 2 and offset + len(data) > len(content):  # the length reached the disk, the data did not
            _put(content, offset, bytes(len(data)))
        elif fate == 2 and not rng.getrandbits(2):
            # A sector caught in mid-write may read as zeros, but only inside the bytes being written: SQLite
            # relies on powersafe overwrite, which every disk of this century gives.
            _put(content, offset, bytes(len(data)))


@dataclass(slots=True)
class Crash:
    """The disk at one point of the order: what is certain, and what is not.

    Args:
        baseline: Files (name -> content) that were durable before the recording began.
    """

    baseline: dict[str, bytes] = field(default_factory=dict)
    _files: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    _names_now: dict[str, int] = field(default_factory=dict)
    _names_pending: list[_NameChange] = field(default_factory=list)
    _position: int = 0

    def __post_init__(self) -> None:
        """Give the files of the baseline the inodes -1, -2, ... in the order of their names."""
        for number, (name, content) in enumerate(sorted(self.baseline.items()), start=1):
            self._files[-number] = _File(bytearray(content))
            self._names[name] = -number
            while name := folder_of(name):
                self._names[name] = _FOLDER
        self._names_now = dict(self._names)

    def step(self, operation: Operation) -> None:
        """Replay one operation.

        Args:
            operation: The next of the recorded order.
        """
        match operation:
            case Create() | MakeFolder() | Rename() | Delete():
                self._change_names(operation)
            case Write(inode) | Truncate(inode):
                self._files[inode].pending.append((self._position, operation))
            case Sync(inode, _, began):
                self._files[inode].sync(began)
            case SyncFolder(folder, began):
                self._sync_folder(folder, began)
            case Note():
                pass
        self._position += 1

    def _sync_folder(self, folder: str, began: int) -> None:
        waiting = []
        for change in self._names_pending:
            if change.folder == folder and change.position < began:
                _apply_names(self._names, change)
            else:
                waiting.append(change)
        self._names_pending = waiting

    def _change_names(self, operation: Create | MakeFolder | Rename | Delete) -> None:
        match operation:
            case Create(name, inode):
                self._files[inode] = _File()
                changes: tuple[tuple[str, int | None], ...] = ((name, inode),)
            case MakeFolder(name):
                changes = ((name, _FOLDER),)
            case Rename(source, target):
                changes = ((source, None), (target, self._names_now[source]))
            case Delete(name):
                changes = ((name, None),)
        change = _NameChange(self._position, changes)
        _apply_names(self._names_now, change)
        self._names_pending.append(change)

    def image(self, rng: random.Random, strategy: str) -> dict[str, bytes]:
        """Draw one of the disks this state stands for.

        Args:
            rng: Decides what was lucky.
            strategy: ``"nothing"`` unsynced was kept, ``"everything"`` was, ``"prefix"``: the first k
                operations of each file and the next one torn, ``"subset"``: each operation and sector on its
                own.

        Returns:
            The files' content by name.
        """
        names = dict(self._names)
        missed: set[str] = set()
        for change in self._names_pending:
            # Of one name's changes a prefix is kept: nothing is deleted or renamed before it was created.
            lucky = strategy == "everything" or (strategy != "nothing" and bool(rng.getrandbits(1)))
            if lucky and not any(name in missed for name, _ in change.changes):
                _apply_names(names, change)
            else:
                missed.update(name for name, _ in change.changes)
        return {
            name: self._content(self._files[inode], rng, strategy)
            for name, inode in sorted(names.items())
            if inode != _FOLDER and _reachable(name, names)
        }

    @staticmethod
    def _content(file: _File, rng: random.Random, strategy: str) -> bytes:
        content = bytearray(file.durable)
        operations = [operation for _, operation in file.pending]
        if strategy == "everything":
            for operation in operations:
                _apply(content, operation)
        elif strategy == "prefix" and operations:
            cut = rng.randrange(len(operations) + 1)
            for operation in operations[:cut]:
                _apply(content, operation)
            for operation in operations[cut : cut + 1]:
                _apply_torn(content, operation, rng)
        elif strategy == "subset":
            luck = rng.choice((0.1, 0.5, 0.9))
            for operation in operations:
                chance = rng.random()
                if chance < luck:
                    _apply(content, operation)
                elif chance < (1 + luck) / 2:
                    _apply_torn(content, operation, rng)
        return bytes(content)


def _apply_names(names: dict[str, int], change: _NameChange) -> None:
    for name, inode in change.changes:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _reachable(name: str, names: dict[str, int]) -> bool:
    """A file whose folder did not survive is gone, however durable its own content is."""
    folder = folder_of(name)
    return not folder or (folder in names and _reachable(folder, names))
