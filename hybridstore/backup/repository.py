"""The folder of backups: what is in it, and how files get into it so that they are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from hybridstore.backup.framing import (
    HEAD_MIN_BYTES,
    NoteT,
    decode_head,
    decode_note,
    encode_head,
    encode_note,
    head_bytes,
)
from hybridstore.backup.pieces import Epoch, Full, Named, Segment, Tail, read_name, sha256_of
from hybridstore.durable import (
    PRIVATE_FILE_MODE,
    make_directories,
    publish_file,
    telling_failures,
    write_file,
)
from hybridstore.errors import BackupCorrupt, ConfigError
from hybridstore.records import Record

REPOSITORY_NAME = "repo.json"
EPOCHS_NAMES = ("epochs.jsonl", "epochs-copy.jsonl")
LOCK_NAME = ".lock"
FORMAT = 1
FILE_MAX_BYTES = 1 << 28
"""No segment or tail is larger: what is was damaged, or is meant to fill the memory."""
_HINT = "hybridstore backup verify says what can still be restored"
HeadT = TypeVar("HeadT", Segment, Tail)
_BINARY = getattr(os, "O_BINARY", 0)


class RepositoryFacts(Record, frozen=True, gc=False):
    """What ``repo.json`` says.

    Attributes:
        store: Mark of the store whose backups these are, hexadecimal.
        format: Version of the layout.
    """

    store: str
    format: int = FORMAT


class Found(Record, frozen=True, gc=False):
    """A file of a backup that was found by its name.

    Attributes:
        path: Where.
        named: What its name says.
    """

    path: Path
    named: Named


class Repository:
    """The backups of one store. Reading needs no lock; one process writes (see Shipper).

    Args:
        base: The folder; it is created when it is first written to.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        """The folder."""

    def facts(self) -> RepositoryFacts | None:
        """Say whose backups these are.

        Returns:
            What it says; None where there are none.

        Raises:
            BackupCorrupt: It cannot be read.
        """
        path = self.base / REPOSITORY_NAME
        content = _read_if_there(path)
        return None if content is None else _unsealed(path, content, RepositoryFacts)

    def claim(self, store: str) -> None:
        """Take the folder for a store.

        Args:
            store: Its mark, hexadecimal.

        Raises:
            ConfigError: It holds another store's backups.
            BackupCorrupt: Nobody can say whose backups it holds.
            StorageFailure: It cannot be written.
        """
        epochs: list[Epoch] = []
        with suppress(BackupCorrupt):  # it is made anew once the folder is known to be the store's
            epochs = self.epochs()
        try:
            facts = self.facts()
        except BackupCorrupt:
            if not epochs:
                raise
            facts = None
        # Where it was lost or damaged, the chains say whose they are.
        owner = facts.store if facts is not None else epochs[-1].store if epochs else store
        if owner != store:
            raise ConfigError(
                f"the folder holds backups of another store ({owner[:8]}, this one is {store[:8]})",
                path=str(self.base),
                hint="give each store a backup_base_path of its own",
            )
        if facts is None:
            with telling_failures("begin backups", self.base):
                make_directories(self.base)
                write_file(self.base / REPOSITORY_NAME, encode_note(RepositoryFacts(store)) + b"\n")

    # -- what is there ------------------------------------------------------------------------------------------

    def epochs(self) -> list[Epoch]:
        """Return every chain there is, oldest first. Without the list no moment can be restored: it is there twice.

        Raises:
            BackupCorrupt: Both lists are damaged, or do not tell of a chain of which there are files.
        """
        found, failed = self._read_lists()
        if not found:
            raise failed[0]
        return max(found, key=len)

    def epoch_problems(self) -> list[str]:
        """Say what is wrong with either of the two lists of chains."""
        return [str(error) for error in self._read_lists()[1]]

    def _read_lists(self) -> tuple[list[list[Epoch]], list[BackupCorrupt]]:
        # Before the lists are read: a chain may begin meanwhile.
        newest = max((one.named.epoch for one in self.files()), default=0)
        found: list[list[Epoch]] = []
        failed: list[BackupCorrupt] = []
        for name in EPOCHS_NAMES:
            try:
                found.append(self._read_epochs(self.base / name, newest))
            except BackupCorrupt as error:
                failed.append(error)
        return found, failed

    def _read_epochs(self, path: Path, newest: int) -> list[Epoch]:
        content = _read_if_there(path) or b""
        found = [_unsealed(path, line, Epoch) for line in content.split(b"\n") if line]
        if [one.epoch for one in found] != list(range(1, len(found) + 1)) or len(found) < newest:
            raise BackupCorrupt(
                f"it tells of {len(found)} chains of backups, and there are files of chain {newest}",
                path=str(path),
                hint=_HINT,
            )
        return found

    def rebuild_epochs(self, store: str) -> list[Epoch]:
        """Make the list of chains anew, from what can be read of it and what there is of each chain.

        Args:
            store: Mark of the store, hexadecimal.

        Returns:
            Every chain there is.

        Raises:
            StorageFailure: It cannot be written.
        """
        known: dict[int, Epoch] = {}
        for name in EPOCHS_NAMES:
            for line in (_read_if_there(self.base / name) or b"").split(b"\n"):
                with suppress(BackupCorrupt):
                    epoch = decode_note(line, Epoch)
                    known[epoch.epoch] = epoch
        begun: dict[int, int] = {}
        for found in self.files():
            created_us = found.path.stat().st_mtime_ns // 1000
            begun[found.named.epoch] = min(created_us, begun.get(found.named.epoch, created_us))
        rebuilt = []
        for number in range(1, max([*known, *begun], default=0) + 1):
            reason = "not known: the list of chains was damaged"
            rebuilt.append(known.get(number) or Epoch(number, store, begun.get(number, 0), reason, 0, 0))
        self.mend_epochs(rebuilt)
        return rebuilt

    def files(self) -> list[Found]:
        """Return the copies, segments and tails there are by their names, in the order of their chains.

        Raises:
            StorageFailure: A folder cannot be read.
        """
        with telling_failures("look at the backups", self.base):
            return sorted(
                self._files(),
                key=lambda found: (found.named.epoch, found.named.number, found.named.kind, found.path.name),
            )

    def _files(self) -> Iterator[Found]:
        for kind in ("full", "incremental"):
            for folder in self.base.glob(f"[0-9]*/{kind}"):
                with suppress(FileNotFoundError):  # it has just expired
                    for path in folder.iterdir():
                        named = read_name(path.name)
                        if named is not None:
                            yield Found(path, named)

    def read_full(self, path: Path) -> Full:
        """Read what is said of a full copy.

        Args:
            path: Its ``.json``.

        Raises:
            BackupCorrupt: It is damaged or missing.
        """
        full = _unsealed(path, _read(path, FILE_MAX_BYTES), Full)
        if full.path.name + ".json" != path.name:
            raise BackupCorrupt("it says something else than its name", path=str(path), hint=_HINT)
        return full

    def read_segment(self, path: Path) -> Segment:
        """Read the head of a segment; its content is read by :meth:`read_content`.

        Args:
            path: Its file.

        Raises:
            BackupCorrupt: It is damaged or missing.
        """
        segment = self._read_head(path, Segment)
        if segment.path.name != path.name:
            raise BackupCorrupt("it says something else than its name", path=str(path), hint=_HINT)
        return segment

    def read_content(self, path: Path, segment: Segment) -> bytes:
        """Read what a segment holds, and prove it.

        Args:
            path: Its file.
            segment: Its head.

        Raises:
            BackupCorrupt: It is damaged or missing.
        """
        head_size = len(encode_head(segment))
        body = _read(path, head_size + min(segment.size_bytes, FILE_MAX_BYTES))[head_size:]
        if len(body) != segment.size_bytes or sha256_of(body) != segment.sha256:
            raise BackupCorrupt("its content is not what was written", path=str(path), hint=_HINT)
        return body

    def read_tail(self, path: Path) -> tuple[Tail, bytes]:
        """Read a tail.

        Args:
            path: Its file.

        Returns:
            Its head, and everything behind it.

        Raises:
            BackupCorrupt: Its head is damaged.
        """
        head = self._read_head(path, Tail)
        if head.path.name != path.name:
            raise BackupCorrupt("it says something else than its name", path=str(path), hint=_HINT)
        return head, _read(path, FILE_MAX_BYTES)[len(encode_head(head)) :]

    # -- how it gets there --------------------------------------------------------------------------------------

    def add_epoch(self, epoch: Epoch) -> None:
        """Begin a chain.

        Args:
            epoch: The next one.

        Raises:
            StorageError: It cannot be written.
        """
        self.mend_epochs([*self.epochs(), epoch])

    def mend_epochs(self, epochs: list[Epoch]) -> None:
        """Write the two lists of chains, where one does not say this; nobody else may be writing.

        Args:
            epochs: Every chain there is.

        Raises:
            StorageError: They cannot be written.
        """
        content = b"".join(encode_note(one) + b"\n" for one in epochs)
        for name in EPOCHS_NAMES:
            path = self.base / name
            with telling_failures("begin a chain of backups", path):
                if not path.exists() or path.read_bytes() != content:
                    write_file(path, content)

    def publish(self, path: PurePosixPath, head: bytes, body: bytes) -> Path:
        """Write a file so that it is whole or absent.

        Args:
            path: Below the base; nothing that counts has the name.
            head: How it begins.
            body: What follows.

        Returns:
            Where it is.

        Raises:
            StorageFull: There is no space.
            StorageFailure: It cannot be written.
        """
        final = self.base / path
        with telling_failures("write a backup", final):
            make_directories(final.parent)
            # Of an attempt that failed after it had its name: it never counted.
            final.unlink(missing_ok=True)
            temporary = final.with_name(f".{final.name}.tmp")
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, PRIVATE_FILE_MODE
            )
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(head)
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                publish_file(temporary, final)
            except BaseException:
                for left in (temporary, final):
                    with suppress(OSError):
                        left.unlink(missing_ok=True)
                raise
        return final

    def sweep(self) -> None:
        """Remove what a process that died or a device that failed left half-written; nobody else may be writing.

        Raises:
            StorageFailure: It cannot be removed.
        """
        with telling_failures("look at the backups", self.base):
            for pattern in (".*.tmp", "[0-9]*/*/.*.tmp"):
                for left in self.base.glob(pattern):
                    left.unlink(missing_ok=True)

    def _read_head(self, path: Path, kind: type[HeadT]) -> HeadT:
        try:
            with telling_failures("read a backup", path), _opened(path) as file:
                start = file.read(HEAD_MIN_BYTES)
                return decode_head(start + file.read(head_bytes(start) - HEAD_MIN_BYTES), kind)
        except BackupCorrupt as error:
            raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error


def has_full(repository: Repository, epoch: int) -> bool:
    """Say whether a chain has a full copy, by the names there are.

    Args:
        repository: The backups.
        epoch: The chain.
    """
    return any(one.named.kind == "full" and one.named.epoch == epoch for one in repository.files())


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise _missing(path) from error


def _read(path: Path, size_max_bytes: int) -> bytes:
    """Read a whole file, unless it is larger than any that was written."""
    with telling_failures("read a backup", path), _opened(path) as file:
        if os.fstat(file.fileno()).st_size > size_max_bytes:
            raise BackupCorrupt("it is larger than what was written", path=str(path), hint=_HINT)
        return file.read()


def _read_if_there(path: Path) -> bytes | None:
    with telling_failures("read a backup", path):
        there = path.exists()
    return _read(path, FILE_MAX_BYTES) if there else None


def _unsealed(path: Path, content: bytes, kind: type[NoteT]) -> NoteT:
    try:
        return decode_note(content, kind)
    except BackupCorrupt as error:
        raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error


def _missing(path: Path) -> BackupCorrupt:
    return BackupCorrupt("it is missing", path=str(path), hint=_HINT)
