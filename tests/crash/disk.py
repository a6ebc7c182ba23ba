"""What a disk may hold after the power goes: a pure model of written, synced and lost.

A recorded run is one ordered list of operations over all files of one folder. Replaying it to any point
gives the state a power cut at that moment leaves, and that state stands for many disks:

* what a sync covered is there, byte for byte;
* of the writes since then any subset is there, each torn at 512-byte sectors; a sector that did not make it
  holds its old content or zeros;
* a truncation or an extension since then happened or not;
* a file created or deleted since its folder was last synced is there or not.

``Crash.image`` draws one of these disks. Everything is deterministic in the ``random.Random`` it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

SECTOR_BYTES = 512
"""What a device writes whole or not at all."""


@dataclass(frozen=True, slots=True)
class Create:
    """A name was given to a new, empty file."""

    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Delete:
    """A name was removed."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written at an offset; nothing is durable yet."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file's length was set; nothing is durable yet."""

    inode: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync of one file returned. It covers what was logged before it began."""

    inode: int
    flags: int
    began: int


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """A sync of the folder returned: the names as they were when it began are durable."""

    began: int


@dataclass(frozen=True, slots=True)
class Note:
    """The application was told something (a commit acknowledged) at this place of the order."""

    payload: object


Operation = Create | Delete | Write | Truncate | Sync | SyncFolder | Note


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
    _names_pending: list[tuple[int, str, int | None]] = field(default_factory=list)
    _position: int = 0

    def __post_init__(self) -> None:
        """Give the files of the baseline the inodes -1, -2, ... in the order of their names."""
        for number, (name, content) in enumerate(sorted(self.baseline.items()), start=1):
            self._files[-number] = _File(bytearray(content))
            self._names[name] = -number

    def step(self, operation: Operation) -> None:
        """Replay one operation.

        Args:
            operation: The next of the recorded order.
        """
        match operation:
            case Create(name, inode):
                self._files[inode] = _File()
                self._names_pending.append((self._position, name, inode))
            case Delete(name):
                self._names_pending.append((self._position, name, None))
            case Write(inode) | Truncate(inode):
                self._files[inode].pending.append((self._position, operation))
            case Sync(inode, _, began):
                self._files[inode].sync(began)
            case SyncFolder(began):
                for position, name, inode_or_none in self._names_pending:
                    if position < began:
                        _rename(self._names, name, inode_or_none)
                self._names_pending = [entry for entry in self._names_pending if entry[0] >= began]
            case Note():
                pass
        self._position += 1

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
        chances: dict[
            str, bool
        ] = {}  # of one name's changes a prefix is kept: no deletion without the creation
        for _, name, inode in self._names_pending:
            kept = chances.get(name, True) and (
                strategy == "everything" or (strategy != "nothing" and bool(rng.getrandbits(1)))
            )
            chances[name] = kept
            if kept:
                _rename(names, name, inode)
        return {
            name: self._content(self._files[number], rng, strategy) for name, number in sorted(names.items())
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


def _rename(names: dict[str, int], name: str, inode: int | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


STRATEGIES = ("nothing", "everything", "prefix", "prefix", "subset", "subset", "subset")
"""Drawn from with equal chance: torn disks are the interesting ones."""


@dataclass(frozen=True, slots=True)
class Image:
    """One disk after one power cut.

    Args:
        point: How many operations of the order had happened.
        strategy: How the disk was drawn.
        files: Content by name.
        notes: What the application had been told by then, in order (a view of the first ``len`` notes).
    """

    point: int
    strategy: str
    files: dict[str, bytes]
    notes: Sequence[object]


def crash_images(
    operations: Sequence[Operation],
    *,
    count: int,
    rng: random.Random,
    baseline: dict[str, bytes] | None = None,
) -> Iterator[Image]:
    """Draw disks after power cuts at random points of a recorded run.

    Args:
        operations: The recorded order.
        count: How many images.
        rng: Source of every choice.
        baseline: Files that were durable before the recording began.

    Yields:
        Images in the order of their points.
    """
    points = sorted(rng.randrange(len(operations) + 1) for _ in range(count))
    crash = Crash(baseline or {})
    notes: list[object] = []
    done = 0
    for point in points:
        for operation in operations[done:point]:
            crash.step(operation)
            if isinstance(operation, Note):
                notes.append(operation.payload)
        done = point
        strategy = rng.choice(STRATEGIES)
        yield Image(point, strategy, crash.image(rng, strategy), tuple(notes))
