"""What must hold for a connection to be trusted: same process, same file, private permissions, some disk left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hybridstore.durable import PRIVATE_DIR_MODE, PRIVATE_FILE_MODE, make_directories
from hybridstore.errors import StorageFailure, StoreForked, StoreMoved

RESERVE_NAME = ".reserve"
_MIB = 1 << 20


class _Forks:
    """Counts the forks between this process and the one that imported this module.

    Asking the system for the process's number takes 0.2 us here and more under some sandboxes, on every read and write
    of the store. Python tells every child that it was forked; Windows has no fork to tell of.
    """

    count = 0

    @classmethod
    def note(cls) -> None:
        """Count one more; runs in the child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forks.note)


class ProcessGuard:
    """Refuses use in a forked child: SQLite's locks and our writer thread do not cross a fork.

    Args:
        path: The database, for the message.
    """

    def __init__(self, path: Path) -> None:
        self._pid = os.getpid()
        self._forks = _Forks.count
        self._path = path

    def is_ours(self) -> bool:
        """Tell a process from its forked child.

        Returns:
            Whether this is the process that opened the store.
        """
        return _Forks.count == self._forks

    def check(self) -> None:
        """Raise unless this is the process that opened the store.

        Raises:
            StoreForked: It is a forked child.
        """
        if _Forks.count != self._forks:
            raise StoreForked(
                f"opened by process {self._pid}, used by its child {os.getpid()}",
                path=str(self._path),
                hint="open a store of its own in each process (multiprocessing: start method 'spawn')",
            )


class FileGuard:
    """Notices that the database file was moved away or replaced: SQLite would go on writing to the old one.

    Args:
        path: The database, open in this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)
        self._name = os.fspath(path)

    def check(self) -> None:
        """Raise unless the path still names the file that was opened.

        Raises:
            StoreMoved: It names another file, or none.
        """
        try:
            status = os.stat(self._name)  # noqa: PTH116  once a transaction: the plain call is the fast one
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise StoreMoved(
                "the database file was moved or replaced while it was open",
                path=self._name,
                hint="close this store, put the right file back and open it again; nothing was written to either",
            )


def make_private_root(root: Path) -> None:
    """Create the store's folder, or check that it can be used.

    Args:
        root: The folder.

    Raises:
        StorageFailure: It cannot be created or written.
    """
    try:
        make_directories(root)
    except OSError as error:
        raise StorageFailure(
            f"the store's folder cannot be created: {error.strerror}",
            path=str(root),
            hint="choose another root, or give this user the right to write there",
        ) from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise StorageFailure(
            "this user may not write to the store's folder",
            path=str(root),
            hint="choose another root or change its owner",
        )


def make_private_file(path: Path) -> bool:
    """Create an empty file that only its owner can read, unless it exists.

    SQLite would create it readable by all; its -wal and -shm inherit the mode.

    Args:
        path: The database.

    Returns:
        Whether it was created now.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE_MODE))
    except FileExistsError:
        return False
    except OSError as error:
        raise StorageFailure(
            f"the database cannot be created: {error.strerror}",
            path=str(path),
            hint="check permissions and free space",
        ) from error
    return True


def permission_warnings(root: Path, database: Path) -> list[str]:
    """Say what others on this machine could read.

    Args:
        root: The store's folder.
        database: The hot database.

    Returns:
        One sentence a problem.
    """
    if sys.platform == "win32":
        return []
    warnings = []
    for path, mode in ((root, PRIVATE_DIR_MODE), (database, PRIVATE_FILE_MODE)):
        actual = path.stat().st_mode & 0o777
        if actual & ~mode & 0o077:
            warnings.append(f"{path} is open to other users (mode {actual:o}); run: chmod {mode:o} {path}")
    return warnings


class ReserveFile:
    """A little disk space set aside: with a full disk a store without its -shm cannot even be opened for reading.

    Args:
        root: The store's folder.
        size_mb: How much, MiB; 0 keeps none.
    """

    def __init__(self, root: Path, size_mb: int) -> None:
        self._path = root / RESERVE_NAME
        self._size_bytes = size_mb * _MIB

    def keep(self) -> bool:
        """Set the space aside.

        Returns:
            Whether it is there.
        """
        if not self._size_bytes:
            return False
        try:
            if self._path.exists() and self._path.stat().st_size >= self._size_bytes:
                return True
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(
                    os.urandom(self._size_bytes)
                )  # a compressing file system sets nothing aside for zeros
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Give the space up.

        Returns:
            Whether there was any.
        """
        held = self._path.exists()
        self._path.unlink(missing_ok=True)
        return held
