"""The backups' copies of archived files: each content once, whatever it is called in the store."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybridstore.archive.object_store import object_store
from hybridstore.config import DatabaseConfig
from hybridstore.durable import (
    PRIVATE_FILE_MODE,
    append_line,
    fsync_directory,
    fsync_file,
    make_directories,
    sha256_file,
    telling_failures,
)
from hybridstore.errors import ArchiveCorrupt, ArchiveError, BackupCorrupt, HybridStoreError
from hybridstore.hot.copying import read_kept_files
from hybridstore.records import Record

FOLDER = "archives"
_GONE_NAME = "gone.jsonl"
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}
"""What a file system says that cannot give a file a second name there."""


class KeptFile(NamedTuple):
    """A file of the manifest, as far as its content matters.

    Attributes:
        file_id: Unique.
        path: Relative to the root.
        size_bytes: Its size.
        sha256: Its hash.
        url: Object store below which its object is; None where there is none.
        offloaded_at: Since when that is proven, us UTC; None: not yet.
        replaced_seq: Commit that replaced it; None while it counts.
    """

    file_id: str
    path: str
    size_bytes: int
    sha256: str
    url: str | None
    offloaded_at: int | None
    replaced_seq: int | None


class _Gone(Record, frozen=True, gc=False):
    """A note that the store does not know a file any more, or again.

    Attributes:
        sha256: Hash of the file.
        gone_us: When that was noticed, us UTC; 0: it knows it again.
    """

    sha256: str
    gone_us: int


def kept_files(config: DatabaseConfig) -> tuple[int, list[KeptFile]]:
    """Return every archived file that a database knows.

    Args:
        config: Where the database is.

    Returns:
        The last commit of the moment, and the files.

    Raises:
        StoreError: It cannot be read.
    """
    seq, rows = read_kept_files(config)
    return seq, [KeptFile(*row) for row in rows]


class ArchiveCopies:
    """Copies of archived files.

    Args:
        base: The folder of the backups.
    """

    def __init__(self, base: Path) -> None:
        self._base = base / FOLDER

    def path(self, sha256: str) -> Path:
        """Return where the copy of a content is.

        Args:
            sha256: Its hash.
        """
        return self._base / sha256[:2] / f"{sha256}.parquet"

    def paths(self) -> list[Path]:
        """Return every copy there is."""
        return sorted(self._base.glob("[0-9a-f][0-9a-f]/*.parquet"))

    def has(self, file: KeptFile) -> bool:
        """Say whether there is a copy; it is not read.

        Args:
            file: Of this file.
        """
        try:
            return self.path(file.sha256).stat().st_size == file.size_bytes
        except OSError:
            return False

    def note_gone(self, files: Iterable[KeptFile], now_us: int) -> None:
        """Note which copies are of files that the store does not know any more, and which it knows again.

        Args:
            files: Every file the store knows.
            now_us: The time, us UTC.

        Raises:
            StorageFull: There is no space.
        """
        known = {file.sha256 for file in files}
        gone = self._gone()
        for path in self.paths():
            if (path.stem in known) == bool(gone.get(path.stem)):
                note = _Gone(path.stem, 0 if path.stem in known else now_us)
                with telling_failures("note what is not needed", self._base / _GONE_NAME):
                    append_line(self._base / _GONE_NAME, msgspec.json.encode(note))

    def gone_before(self, ts_us: int) -> list[str]:
        """Return hashes of copies that no moment since a time refers to.

        Args:
            ts_us: The time, us UTC.
        """
        gone = self._gone()
        return [path.stem for path in self.paths() if 0 < gone.get(path.stem, 0) < ts_us]

    def _gone(self) -> dict[str, int]:
        """Return since when files are not known any more; 0: they are known again. A damaged note keeps its file."""
        found: dict[str, int] = {}
        with suppress(FileNotFoundError):
            for line in (self._base / _GONE_NAME).read_bytes().splitlines():
                with suppress(msgspec.DecodeError):
                    note = msgspec.json.decode(line, type=_Gone)
                    found[note.sha256] = note.gone_us
        return found

    def keep(self, root: Path, file: KeptFile) -> None:
        """Copy a file of the store, and prove the copy. On one file system it becomes a second name of it.

        Args:
            root: The store's folder.
            file: The file.

        Raises:
            ArchiveCorrupt: It is missing or damaged, and there is no whole object of it either.
            StorageFull: The backup's device is full.
            StorageFailure: A file cannot be read or written.
        """
        target, source = self.path(file.sha256), root / file.path
        with telling_failures("back up an archived file", target):
            make_directories(target.parent)
            temporary = target.with_name(f".{target.name}.tmp")
            temporary.unlink(missing_ok=True)
            try:
                if not _is_whole(source, file):
                    _fetch(temporary, file, source)
                else:
                    link_or_copy(source, temporary)
                if not _is_whole(temporary, file):
                    raise ArchiveCorrupt("it changed while it was copied", path=str(source))
                fsync_file(temporary)
                temporary.replace(target)
                fsync_directory(target.parent)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def keep_missing(
        self,
        root: Path,
        files: Sequence[KeptFile],
        on_file: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        """Copy every file that has no copy yet. One that fails keeps none of the others from being copied.

        Args:
            root: The store's folder.
            files: What the store knows.
            on_file: Called with how many were looked at, and how many there are.
            stop: Asked before each; True ends it there.

        Raises:
            ArchiveCorrupt: A file that counts is missing or damaged.
            StorageFull: The backup's device is full.
            StorageFailure: A file cannot be read or written.
        """
        failed: HybridStoreError | None = None
        for done, file in enumerate(files, 1):
            if stop is not None and stop():
                return
            if not self.has(file):
                try:
                    self.keep(root, file)
                except HybridStoreError as error:
                    # One that was replaced may be gone already: whoever deletes it does so before he says that he did.
                    if file.replaced_seq is None or not isinstance(error, ArchiveError):
                        failed = failed or error
            if on_file is not None:
                on_file(done, len(files))
        if failed is not None:
            raise failed

    def put_back(self, root: Path, file: KeptFile) -> bool:
        """Put a file into a store, under its own name there.

        Args:
            root: The store's folder.
            file: The file.

        Returns:
            Whether there is a copy of it.

        Raises:
            BackupCorrupt: The copy is damaged.
            StorageFull: There is no space.
            StorageFailure: A file cannot be read or written.
        """
        copy, target = self.path(file.sha256), root / file.path
        with telling_failures("put an archived file back", target):
            if not copy.exists():
                return False
            if not _is_whole(copy, file):
                raise BackupCorrupt(
                    "the copy of an archived file is not what was written",
                    path=str(copy),
                    hint="hybridstore backup verify says what can still be restored",
                )
            make_directories(target.parent)
            temporary = target.with_name(f".{target.name}.tmp")
            temporary.unlink(missing_ok=True)
            link_or_copy(copy, temporary)
            fsync_file(temporary)
            temporary.replace(target)
            fsync_directory(target.parent)
        return True


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second name, or copy it where that cannot be.

    Args:
        source: The file.
        target: A name that is free.

    Raises:
        OSError: It cannot be written.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(source, target)
        target.chmod(PRIVATE_FILE_MODE)


def _is_whole(path: Path, file: KeptFile) -> bool:
    try:
        return path.stat().st_size == file.size_bytes and sha256_file(path) == file.sha256
    except FileNotFoundError:
        return False


def _fetch(target: Path, file: KeptFile, source: Path) -> None:
    if file.offloaded_at is None or file.url is None:
        raise ArchiveCorrupt(
            "an archived file is missing or damaged, so it was not backed up",
            path=str(source),
            hint="hybridstore verify says what is wrong with it; an earlier backup may hold it",
        )
    target.write_bytes(object_store(file.url).get(file.path, file.size_bytes, file.sha256))
    target.chmod(PRIVATE_FILE_MODE)
