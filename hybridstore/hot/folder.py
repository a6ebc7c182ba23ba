"""The store's folder: private to its owner, and with a little disk space set aside."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from hybridstore.durable import PRIVATE_DIR_MODE, PRIVATE_FILE_MODE, make_directories
from hybridstore.errors import StorageFailure, StoreBusy
from hybridstore.hot.guard_report import GuardReport

RESERVE_NAME = ".reserve"
RESTORING_NAME = ".restoring.json"
"""While it is there the files of the store are being exchanged: nobody may open, let alone create one."""
_MIB = 1 << 20
_FREE_LEAST_MB = 64
"""With less than this the next checkpoint or tier move may fail."""


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


def refuse_restoring(root: Path) -> None:
    """Refuse a store whose files are being exchanged for those of a backup.

    Args:
        root: The store's folder.

    Raises:
        StoreBusy: They are, or were when that was interrupted.
    """
    if (root / RESTORING_NAME).exists():
        raise StoreBusy(
            "the store is being put back from a backup, or that was interrupted",
            operation="open the hot store",
            path=str(root / RESTORING_NAME),
            hint="wait for its end; where nobody does it any more, run hybridstore backup restore --in-place again: it "
            "finishes what was begun",
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


def permission_reports(root: Path, database: Path) -> list[GuardReport]:
    """Say what others on this machine could read.

    Args:
        root: The store's folder.
        database: The hot database.

    Returns:
        One report a problem, or one that says there is none.
    """
    reports = []
    if sys.platform != "win32":
        for path, mode in ((root, PRIVATE_DIR_MODE), (database, PRIVATE_FILE_MODE)):
            try:
                actual = path.stat().st_mode & 0o777
            except OSError:  # it is gone, which another guard tells
                continue
            if actual & ~mode & 0o077:
                message = f"{path} is open to other users (mode {actual:o})"
                reports.append(GuardReport("permissions", "warning", message, f"run: chmod {mode:o} {path}"))
    return reports or [GuardReport("permissions", "ok", "no other user can read the store")]


def disk_report(root: Path, low_mb: int) -> GuardReport:
    """Say how much room the device of the store has.

    Args:
        root: The store's folder.
        low_mb: Below this a warning is due, MiB.

    Returns:
        An alarm where the next checkpoint may already fail.
    """
    try:
        free_mb = shutil.disk_usage(root).free // _MIB
    except OSError as error:
        return GuardReport("disk", "alarm", f"{root} cannot be read: {error.strerror}", "check the device")
    if free_mb >= max(low_mb, _FREE_LEAST_MB):
        return GuardReport("disk", "ok", f"{free_mb} MiB are free for {root}")
    return GuardReport(
        "disk",
        "alarm" if free_mb < _FREE_LEAST_MB else "warning",
        f"only {free_mb} MiB are free for {root}",
        "free space on its device, move old backups and archives elsewhere, or put the root on a larger one",
    )


class ReserveFile:
    """A little disk space set aside: with a full disk a store without its -shm cannot even be opened for reading.

    Args:
        root: The store's folder.
        size_mb: How much, MiB; 0 keeps none.
    """

    def __init__(self, root: Path, size_mb: int) -> None:
        self._path = root / RESERVE_NAME
        self._size_bytes = size_mb * _MIB

    def is_kept(self) -> bool:
        """Say whether the space is set aside; nothing is changed.

        Returns:
            Whether all of it is there.
        """
        try:
            return self._path.stat().st_size >= self._size_bytes
        except OSError:
            return False

    def keep(self) -> bool:
        """Set the space aside.

        Returns:
            Whether it is there.
        """
        if not self._size_bytes:
            return False
        try:
            if self.is_kept():
                return True
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                for _ in range(self._size_bytes // _MIB):
                    file.write(os.urandom(_MIB))  # a compressing file system sets nothing aside for zeros
        except (OSError, MemoryError):  # the store is open already, and goes on without
            with suppress(OSError):
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
