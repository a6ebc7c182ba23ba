"""Files of lines that several processes append to: whole lines only, rotated by size, never rotated twice.

A file is opened for one append and closed again, under a lock that the processes of a store share. So nobody holds a
file open that another one wants to rename (Windows would refuse), and a line that a killed process left unfinished is
cut off by whoever comes next. Appending is the one thing that also works without the lock, should its holder have
been stopped: one write at the end of the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from hybridstore.durable import PRIVATE_FILE_MODE, make_directories

LOCK_NAME = ".lock"
_WAIT_S = 1.0
_POLL_S = 0.01
_TAIL_BYTES = 1 << 16
"""No line is as long."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class LogFolder:
    """The folder of the log files, and the lock for changing them.

    Args:
        path: The folder; it is created when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stuck = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock, or find out that it cannot be had.

        Yields:
            Whether it is held.

        Raises:
            OSError: The folder or its lock file cannot be created.
        """
        import filelock  # 10 ms that opening a store need not wait for

        if not self.path.is_dir():
            make_directories(self.path)
        lock = filelock.FileLock(self.path / LOCK_NAME, mode=PRIVATE_FILE_MODE)
        try:
            # Its holder needs a millisecond. One that keeps it was stopped in the middle: it is waited for once.
            lock.acquire(timeout=0 if self._stuck else _WAIT_S, poll_interval=_POLL_S)
        except filelock.Timeout:
            self._stuck = True
            yield False
            return
        self._stuck = False
        try:
            yield True
        finally:
            lock.release()


class LogFile:
    """One log: what is to be written, the file it goes to, and the older files beside it.

    Args:
        path: The file; the older ones are called ``<name>.1`` (the youngest) and so on.
        size_max_bytes: From this size on a file is set aside and another one begun.
        files_max: Files kept, the current one included; at least 2.
    """

    def __init__(self, path: Path, size_max_bytes: int, files_max: int) -> None:
        self.path = path
        self._size_max_bytes = size_max_bytes
        self._files_max = files_max
        self._added: list[str] = []
        self._pending = b""

    @property
    def is_written(self) -> bool:
        """Whether nothing is left to write."""
        return not (self._added or self._pending)

    def add(self, lines: str) -> None:
        """Add to what :meth:`write` will write.

        Args:
            lines: Whole lines, each with its newline.
        """
        self._added.append(lines)

    def write(self, *, locked: bool) -> None:
        """Append what was added. What does not fit is kept for the next time.

        Args:
            locked: Whether the folder's lock is held; only then is the file repaired or rotated.

        Raises:
            OSError: The file cannot be written, or the device is full.
        """
        if self._added:
            # What no UTF-8 can hold (half a character in somebody's text) becomes an escape of JSON.
            self._pending += "".join(self._added).encode(errors="backslashreplace")
            self._added.clear()
        if not self._pending:
            return
        if locked:
            self._rotate_if_full()
        descriptor = os.open(self.path, _FLAGS, PRIVATE_FILE_MODE)
        try:
            end = _cut_torn_line(descriptor) if locked else 0
            written = os.write(descriptor, self._pending)
            whole = self._pending.rfind(b"\n", 0, written) + 1
            if whole < written and locked:
                os.ftruncate(descriptor, end + whole)
        finally:
            os.close(descriptor)
        self._pending = self._pending[whole:]
        if self._pending:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self.path))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _rotate_if_full(self) -> None:
        try:
            size_bytes = self.path.stat().st_size
        except FileNotFoundError:
            return
        if not size_bytes or size_bytes + len(self._pending) <= self._size_max_bytes:
            return
        # Windows refuses while somebody reads one of the files: this one grows a little, and the next write tries
        # again. Whatever was renamed until then left a free number, which the next time is the end of the row.
        with contextlib.suppress(OSError):
            number = self._files_max
            while self._older(number).exists():  # more were kept before
                self._older(number).unlink()
                number += 1
            last = self._files_max - 1
            free = next((number for number in range(1, last) if not self._older(number).exists()), last)
            for number in range(free, 1, -1):
                self._older(number - 1).replace(self._older(number))
            self.path.replace(self._older(1))


def _cut_torn_line(descriptor: int) -> int:
    """Cut off the end of a line that a process did not live to finish; return the size of the file."""
    size_bytes = os.fstat(descriptor).st_size
    if not size_bytes:
        return 0
    start = max(size_bytes - _TAIL_BYTES, 0)
    os.lseek(descriptor, size_bytes - 1, os.SEEK_SET)
    if os.read(descriptor, 1) == b"\n":
        return size_bytes
    os.lseek(descriptor, start, os.SEEK_SET)
    whole = start + os.read(descriptor, _TAIL_BYTES).rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)
    return whole
