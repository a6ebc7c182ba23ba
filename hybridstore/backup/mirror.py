"""Copies of every backup below a URL: of an S3-compatible bucket, or of a folder on another machine's disk.

What is in the folder of the backups is copied as it is, in an order that leaves something restorable after each object.
Only what expired there is deleted here: a folder that was lost or is empty takes nothing with it. The newest commits,
which are in the tail, follow once they are in a segment.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybridstore.archive.object_store import ObjectStore, object_store
from hybridstore.backup.archive_copies import ArchiveCopies
from hybridstore.backup.expirer import expired_paths
from hybridstore.backup.framing import encode_note
from hybridstore.backup.pieces import read_name, sha256_of
from hybridstore.backup.repository import EPOCHS_NAMES, REPOSITORY_NAME, Repository
from hybridstore.backup.target import MARKS_NAME
from hybridstore.durable import sha256_file, telling_failures
from hybridstore.errors import ArchiveCorrupt, BackupCorrupt, BackupError, MoveFailed, StorageFailure
from hybridstore.records import Record

FOLDER = "backups"
"""Everything is below it, so that archives can be below the same URL."""
NOTES = "notes"
PART_BYTES = 64 << 20
"""A larger file becomes several objects: none is ever in memory as a whole."""
_LISTED_FOR_S = 86_400.0
_NOTES_KEPT = 3
_NOTED = (REPOSITORY_NAME, *EPOCHS_NAMES, MARKS_NAME)
_PART = re.compile(r"(?P<path>.+)\.part(?P<number>\d{4})")


class Notes(msgspec.Struct, frozen=True):
    """The small files of a folder of backups that change.

    Attributes:
        taken_us: When they were read, us UTC.
        files: What they held, by their names.
    """

    taken_us: int
    files: dict[str, bytes]


class Mirrored(Record, frozen=True, gc=False):
    """What one look at a folder of backups led to.

    Attributes:
        put: Objects that were made.
        put_bytes: Their size.
        deleted: Objects that were deleted, because they had expired.
        finished: Whether everything is there now; False where it was stopped before.
    """

    put: int
    put_bytes: int
    deleted: int
    finished: bool


class Part(NamedTuple):
    """A piece of a file, which is one object.

    Attributes:
        name: Of the object, below the folder of the series.
        path: Of the file, relative to the folder of the backups.
        start: Where it begins in the file.
        size_bytes: Its size.
    """

    name: str
    path: str
    start: int
    size_bytes: int


class Mirror:
    """Keeps a copy of a folder of backups below a URL.

    Args:
        repository: The backups.
        url: Where to; credentials and endpoint come from the environment (``AWS_*``).

    Raises:
        ConfigError: The URL cannot be one of a store, or the library for it is not installed.
    """

    def __init__(self, repository: Repository, url: str) -> None:
        self._repository = repository
        self._store: ObjectStore = object_store(url)
        self._sizes: dict[str, int] = {}
        self._series = ""
        self._listed_s = -_LISTED_FOR_S
        self._noted: dict[str, bytes] = {}
        self._damaged: set[str] = set()

    def sync(
        self,
        now_us: int,
        stop: Callable[[], bool] | None = None,
        on_object: Callable[[int, int], None] | None = None,
    ) -> Mirrored:
        """Copy what is not there yet, and delete what has expired.

        Args:
            now_us: The time, us UTC.
            stop: Asked before each object; True ends it there.
            on_object: Called with how many objects were looked at, and how many there are.

        Returns:
            What was done.

        Raises:
            ArchiveUnreachable: The store did not answer, or refused it; the next call goes on.
            BackupCorrupt: A file of the backups is damaged; it was not copied, everything else was.
            BackupError: It does not keep the promises that backups need.
            StorageFailure: A backup cannot be read.
        """
        if not self._repository.epochs():  # nothing was backed up yet
            return Mirrored(0, 0, 0, finished=True)
        try:
            done = self._sync(now_us, stop or (lambda: False), on_object or (lambda _done, _all: None))
        except MoveFailed as error:
            raise BackupError(error.message, operation="copy the backups", hint=error.hint) from error
        except BaseException:
            self._listed_s = -_LISTED_FOR_S  # nobody knows what came of the last one
            raise
        if self._damaged:
            first = min(self._damaged)
            raise BackupCorrupt(
                f"{len(self._damaged):,} files of the backups are damaged and were not copied, among them {first}",
                operation="copy the backups",
                path=str(self._repository.base / first),
                hint="hybridstore backup verify names them all; a copy that was made before is still there",
            )
        return done

    def _sync(self, now_us: int, stop: Callable[[], bool], on_object: Callable[[int, int], None]) -> Mirrored:
        self._look()
        # Before the files: whoever fetches finds no file of a chain that is not told of.
        put_bytes = self._note(now_us)
        put, proven = int(put_bytes > 0), ""
        parts = list(self._parts())
        finished = True
        for done, part in enumerate(parts):
            if stop():
                finished = False
                break
            on_object(done, len(parts))
            if self._sizes.get(part.name) == part.size_bytes or part.path in self._damaged:
                continue
            if part.path != proven and not self._is_whole(part.path):
                self._damaged.add(part.path)  # looked at again when everything is listed anew
                continue
            proven = part.path
            if self._put(part):
                put, put_bytes = put + 1, put_bytes + part.size_bytes
        deleted = self._expire() if finished else 0
        return Mirrored(put, put_bytes, deleted, finished)

    def _look(self) -> None:
        """List what is there: once a day, when something failed, and for a folder that was begun anew."""
        series = series_of(self._repository)
        if series == self._series and time.monotonic() - self._listed_s < _LISTED_FOR_S:
            return
        below = f"{FOLDER}/{series}"
        found = self._store.sizes(below)
        self._sizes = {name.removeprefix(f"{below}/"): size for name, size in found.items()}
        self._series, self._noted, self._listed_s = series, {}, time.monotonic()
        self._damaged.clear()

    def _parts(self) -> Iterator[Part]:
        base = self._repository.base
        for path in self._files():
            with suppress(FileNotFoundError):  # it has just expired
                yield from parts_of(path.relative_to(base).as_posix(), path.stat().st_size)

    def _files(self) -> Iterator[Path]:
        """Yield what never changes, in the order in which it is of use."""
        yield from ArchiveCopies(self._repository.base).paths()
        files = [found for found in self._repository.files() if found.named.kind != "tail"]
        for found in sorted(
            files, key=lambda one: (one.named.epoch, one.named.seq_last, one.named.kind, one.path)
        ):
            if found.named.kind == "full":  # what says that it counts comes behind it
                yield found.path.with_suffix("")
            yield found.path

    def _is_whole(self, name: str) -> bool:
        """Prove a file before it is copied: what is damaged here must not take the place of what is whole there."""
        path = self._repository.base / name
        named = read_name(path.name)
        try:
            with telling_failures("copy a backup", path):
                if name.startswith("archives/"):
                    return sha256_file(path) == path.stem
                if named is None:
                    full = self._repository.read_full(path.with_name(f"{path.name}.json"))
                    return sha256_file(path) == full.sha256
            if named.kind == "segment":
                self._repository.read_content(path, self._repository.read_segment(path))
            else:  # what says that a copy counts
                self._repository.read_full(path)
        except (BackupCorrupt, StorageFailure) as error:
            if path.exists() and isinstance(error, StorageFailure):
                raise
            return not path.exists()  # else it has just expired
        return True

    def _put(self, part: Part) -> bool:
        path = self._repository.base / part.path
        with telling_failures("copy a backup", path):
            try:
                with path.open("rb") as file:
                    file.seek(part.start)
                    content = file.read(part.size_bytes)
            except FileNotFoundError:  # it has just expired
                return False
        name = self._name(part.name)
        if part.name in self._sizes:  # of another size: it was damaged there
            self._store.delete(name)
        try:
            self._store.put_new(name, content, sha256_of(content))
        except ArchiveCorrupt:  # of the right size, and something else
            self._store.delete(name)
            self._store.put_new(name, content, sha256_of(content))
        self._sizes[part.name] = part.size_bytes
        return True

    def _note(self, now_us: int) -> int:
        """Put the small files, where one of them has changed; return the size of what was put."""
        files = {}
        for name in _NOTED:
            with (
                telling_failures("copy a backup", self._repository.base / name),
                suppress(FileNotFoundError),
            ):
                files[name] = (self._repository.base / name).read_bytes()
        if files == self._noted:
            return 0
        content = encode_note(Notes(now_us, files))
        name = f"{NOTES}/{now_us:020}-{sha256_of(content)[:16]}.json"
        self._store.put_new(self._name(name), content, sha256_of(content))
        self._sizes[name], self._noted = len(content), files
        return len(content)

    def _expire(self) -> int:
        """Delete what has expired in the folder, and notes that newer ones have replaced."""
        expired = expired_paths(self._repository.base)
        notes = sorted(name for name in self._sizes if name.startswith(f"{NOTES}/"))
        gone = [
            name
            for name in self._sizes
            if (path := path_of(name)) in expired and not (self._repository.base / path).exists()
        ]
        deleted = 0
        for name in gone + notes[:-_NOTES_KEPT]:
            self._store.delete(self._name(name))
            del self._sizes[name]
            deleted += 1
        return deleted

    def _name(self, name: str) -> str:
        return f"{FOLDER}/{self._series}/{name}"


def series_of(repository: Repository) -> str:
    """Return by what name a folder of backups is known to its copies: one that is begun anew is another one.

    Args:
        repository: The backups; there is a chain.
    """
    first = repository.epochs()[0]
    return f"{first.opened_us:020}-{first.store[:8]}"


def parts_of(path: str, size_bytes: int) -> list[Part]:
    """Say which objects a file becomes.

    Args:
        path: Relative to the folder of the backups.
        size_bytes: Its size.
    """
    if size_bytes <= PART_BYTES:
        return [Part(path, path, 0, size_bytes)]
    starts = range(0, size_bytes, PART_BYTES)
    return [
        Part(f"{path}.part{number:04}", path, start, min(PART_BYTES, size_bytes - start))
        for number, start in enumerate(starts)
    ]


def path_of(name: str) -> str:
    """Say of which file an object is a piece.

    Args:
        name: Of the object, below the folder of the series.
    """
    found = _PART.fullmatch(name)
    return found["path"] if found else name
