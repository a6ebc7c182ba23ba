"""The folder of backups: what is in it, and how files get into it so that they are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

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
EPOCHS_NAME = "epochs.jsonl"
LOCK_NAME = ".lock"
FORMAT = 1
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
        return _read_note(path, RepositoryFacts) if path.exists() else None

    def claim(self, store: str) -> None:
        """Take the folder for a store.

        Args:
            store: Its mark, hexadecimal.

        Raises:
            ConfigError: It holds another store's backups.
            StorageFailure: It cannot be written.
        """
        facts = self.facts()
        if facts is None:
            with telling_failures("begin backups", self.base):
                make_directories(self.base)
                write_file(self.base / REPOSITORY_NAME, encode_note(RepositoryFacts(store)))
        elif facts.store != store:
            raise ConfigError(
                f"the folder holds backups of another store ({facts.store[:8]}, this one is {store[:8]})",
                path=str(self.base),
                hint="give each store a backup_base_path of its own",
            )

    # -- what is there ------------------------------------------------------------------------------------------

    def epochs(self) -> list[Epoch]:
        """Return every chain there is, oldest first.

        Raises:
            BackupCorrupt: The list is damaged.
        """
        path = self.base / EPOCHS_NAME
        known = max((found.named.epoch for found in self._files()), default=0)
        if not path.exists() and not known:
            return []
        lines = _read(path).splitlines()
        try:
            found = [decode_note(line, Epoch) for line in lines]
        except BackupCorrupt as error:
            raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error
        if [one.epoch for one in found] != list(range(1, max(len(found), known) + 1)):
            raise BackupCorrupt("chains are missing from the list", path=str(path), hint=_HINT)
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
        path = self.base / EPOCHS_NAME
        known: dict[int, Epoch] = {}
        with suppress(BackupCorrupt):
            for line in _read(path).splitlines():
                with suppress(BackupCorrupt):
                    epoch = decode_note(line, Epoch)
                    known[epoch.epoch] = epoch
        begun: dict[int, int] = {}
        for found in self._files():
            created_us = found.path.stat().st_mtime_ns // 1000
            begun[found.named.epoch] = min(created_us, begun.get(found.named.epoch, created_us))
        rebuilt = []
        for number in range(1, max([*known, *begun], default=0) + 1):
            missing = Epoch(
                number, store, begun.get(number, 0), "not known: the list of chains was damaged", 0, 0
            )
            rebuilt.append(known.get(number, missing))
        with telling_failures("repair the list of chains", path):
            write_file(path, b"".join(encode_note(one) + b"\n" for one in rebuilt))
        return rebuilt

    def files(self) -> list[Found]:
        """Return the copies, segments and tails there are by their names, in the order of their chains."""
        return sorted(
            self._files(), key=lambda found: (found.named.epoch, found.named.number, found.named.kind)
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
        full = _read_note(path, Full)
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
        body = _read(path)[len(encode_head(segment)) :]
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
        return head, _read(path)[len(encode_head(head)) :]

    # -- how it gets there --------------------------------------------------------------------------------------

    def add_epoch(self, epoch: Epoch) -> None:
        """Begin a chain.

        Args:
            epoch: The next one.

        Raises:
            StorageError: It cannot be written.
        """
        path = self.base / EPOCHS_NAME
        with telling_failures("begin a chain of backups", path):
            known = b"".join(encode_note(one) + b"\n" for one in self.epochs())
            write_file(path, known + encode_note(epoch) + b"\n")

    def publish(self, path: PurePosixPath, head: bytes, body: bytes) -> Path:
        """Write a file so that it is whole or absent.

        Args:
            path: Below the base; the name was never used.
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
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
        return final

    def _read_head(self, path: Path, kind: type[HeadT]) -> HeadT:
        try:
            with path.open("rb") as file:
                start = file.read(HEAD_MIN_BYTES)
                return decode_head(start + file.read(head_bytes(start) - HEAD_MIN_BYTES), kind)
        except FileNotFoundError as error:
            raise _missing(path) from error
        except BackupCorrupt as error:
            raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error


def has_full(repository: Repository, epoch: int) -> bool:
    """Say whether a chain has a full copy, by the names there are.

    Args:
        repository: The backups.
        epoch: The chain.
    """
    return any(one.named.kind == "full" and one.named.epoch == epoch for one in repository.files())


def _read_note(path: Path, kind: type[NoteT]) -> NoteT:
    try:
        return decode_note(_read(path), kind)
    except BackupCorrupt as error:
        raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error


def _read(path: Path) -> bytes:
    with telling_failures("read a backup", path):
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise _missing(path) from error


def _missing(path: Path) -> BackupCorrupt:
    return BackupCorrupt("it is missing", path=str(path), hint=_HINT)
