"""Verified reading: the whole content of a file is hashed before its first use.

One flipped bit in a Parquet file is otherwise wrong data without an error, four times out of five. What lies in an
object store is fetched when it is asked for; the file in the root is a copy of it then, which is made anew where it is
missing or damaged.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.object_store import object_store
from hybridstore.durable import make_directories, sha256_file, telling_failures, write_error, write_file
from hybridstore.errors import ArchiveCorrupt

FETCHES_MAX = 8
"""Files fetched at a time: an object store takes its time for each, and does many at once."""
_HINT = "hybridstore backup heal puts it back from the backups"
_log = logging.getLogger(__name__)


class FileVerifier:
    """Checks files of the manifest before their first use, fetches what is not here. Safe in several threads.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[str, int, int, int], str] = {}
        self._lock = threading.Lock()

    def paths(self, files: Iterable[ArchiveFile]) -> list[str]:
        """Check files and return where they are.

        Args:
            files: Files of the manifest.

        Returns:
            Absolute paths with forward slashes, in order.

        Raises:
            ArchiveCorrupt: A file is missing, has another size, or another content.
            ArchiveUnreachable: It has to be fetched, and the object store does not answer.
            StorageFailure: A file cannot be read.
        """
        files = list(files)
        missing = [file for file in files if self._is_elsewhere(file)]
        if len(missing) > 1:
            with ThreadPoolExecutor(FETCHES_MAX, "hybridstore-fetch") as pool:
                list(pool.map(self.check, missing))
        return [self.check(file).as_posix() for file in files]

    def check(self, file: ArchiveFile) -> Path:
        """Check one file. A file that was checked and did not change since is not read again.

        Args:
            file: A file of the manifest.

        Returns:
            Its absolute path.

        Raises:
            ArchiveCorrupt: It is missing, has another size, or another content.
            ArchiveUnreachable: It has to be fetched, and the object store does not answer.
            StorageFailure: It cannot be read.
        """
        if file.offloaded_at is None:
            return self.prove(file)
        try:
            path = self.prove(file)
        except ArchiveCorrupt as error:
            if not self._is_elsewhere(file):
                _log.warning("a copy of an archived file is fetched anew: %s", error)
            fetch(self._root, file)
            path = self.prove(file)
        note_use(path)
        return path

    def _is_elsewhere(self, file: ArchiveFile) -> bool:
        return file.offloaded_at is not None and not (self._root / file.path).exists()

    def prove(self, file: ArchiveFile) -> Path:
        """Check the file that lies here, and fetch nothing.

        Args:
            file: A file of the manifest.

        Returns:
            Its absolute path.

        Raises:
            ArchiveCorrupt: It is missing, has another size, or another content.
            StorageFailure: It cannot be read.
        """
        path = self._root / file.path
        try:
            status = path.stat()
        except OSError as error:
            raise ArchiveCorrupt(
                f"a file of {file.dataset} with {file.row_count:,} rows is missing: {error.strerror}",
                path=str(path),
                hint=_HINT,
            ) from error
        if status.st_size != file.size_bytes:
            raise ArchiveCorrupt(
                f"the file has {status.st_size:,} bytes, the manifest says {file.size_bytes:,}",
                path=str(path),
                hint=_HINT,
            )
        key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if self._known.get(key) == file.sha256:
                return path
        with telling_failures(f"read {file.dataset}", path):
            actual = sha256_file(path)
        if actual != file.sha256:
            raise ArchiveCorrupt(
                f"the file's content changed: its SHA-256 is {actual}, the manifest says {file.sha256}",
                path=str(path),
                hint=_HINT,
            )
        with self._lock:
            self._known[key] = actual
        return path


def fetch(root: Path, file: ArchiveFile) -> None:
    """Fetch a file from the object store it lies in.

    Args:
        root: The store's folder.
        file: A file of the manifest with a proven object.

    Raises:
        ArchiveCorrupt: The object is missing, or holds something else.
        ArchiveUnreachable: The store does not answer.
        StorageFull: There is no room for it here.
    """
    assert file.url is not None
    content = object_store(file.url).get(file.path, file.size_bytes, file.sha256)
    path = root / file.path
    try:
        make_directories(path.parent)
        write_file(path, content)
    except PermissionError as error:  # on Windows somebody has just fetched it and reads it
        if not path.exists():
            raise write_error(error, "fetch an archived file", path) from error
    except OSError as error:
        raise write_error(error, "fetch an archived file", path) from error


def note_use(path: Path) -> None:
    """Note that a file is used now; which ones were not for long is what says which need not stay here.

    Args:
        path: The file.
    """
    try:
        # Not every file system notes it by itself. The time of the last change stays: by it the file is known again.
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except OSError:  # read-only, or gone this moment: it is read all the same
        _log.debug("the use of %s is not noted", path, exc_info=True)
