"""What must hold for a connection to be trusted: the same process, and the same files."""

from __future__ import annotations

import os
from pathlib import Path

from hybridstore.errors import StoreError, StoreForked, StoreMoved
from hybridstore.hot.guard_report import GuardReport


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
    """Refuses use in a forked child, and of a store that must not be used any more.

    SQLite's locks and our writer thread do not cross a fork.

    Args:
        path: The database, for the message.
    """

    def __init__(self, path: Path) -> None:
        self._pid = os.getpid()
        self._forks = self._expected = _Forks.count
        self._path = path
        self._condemned: StoreError | None = None

    @property
    def condemned(self) -> StoreError | None:
        """Why the store must not be used any more; None while it may be."""
        return self._condemned

    def is_ours(self) -> bool:
        """Tell a process from its forked child.

        Returns:
            Whether this is the process that opened the store.
        """
        return _Forks.count == self._forks

    def check(self) -> None:
        """Raise unless this is the process that opened the store and the store may be used.

        Raises:
            StoreForked: It is a forked child.
            StoreError: The store was condemned.
        """
        if _Forks.count != self._expected and (refusal := self._refusal()) is not None:
            raise refusal

    def condemn(self, why: StoreError) -> None:
        """Refuse every use from now on.

        Args:
            why: The error that each use raises.
        """
        self._condemned = why
        self._expected = -1  # so that a use compares one number, as before

    def absolve(self) -> None:
        """Allow use again."""
        self._expected = self._forks
        self._condemned = None

    def report(self) -> GuardReport:
        """Say whether this is the process that opened the store.

        Returns:
            An alarm in a forked child.
        """
        if self.is_ours():
            return GuardReport("process", "ok", f"process {self._pid} opened the store")
        error = self._forked()
        return GuardReport("process", "alarm", error.message, error.hint)

    def _refusal(self) -> StoreError | None:
        if not self.is_ours():
            return self._forked()
        why = self._condemned
        if why is None:  # absolved since the numbers were compared
            return None
        # One instance would collect the tracebacks of all its uses.
        return type(why)(why.message, operation=why.operation, path=why.path, hint=why.hint)

    def _forked(self) -> StoreForked:
        return StoreForked(
            f"opened by process {self._pid}, used by its child {os.getpid()}",
            path=str(self._path),
            hint="open a store of its own in each process (multiprocessing: start method 'spawn')",
        )


class FileGuard:
    """Notices that the database or its write-ahead log was moved away or replaced: SQLite would go on with the old one.

    Args:
        path: The database, open in this process.
        process: Told when the log is gone: from then on nothing may be read or written.

    Attributes:
        identity: Device and inode of the database.
        log_identity: Device and inode of its log; None until there is one.
        seq: The last commit of this process that is known to be in the right files; 0 before the first.
        ts_us: The time of that commit, us UTC.
    """

    def __init__(self, path: Path, process: ProcessGuard) -> None:
        self._process = process
        self._name = os.fspath(path)
        self._log_name = f"{self._name}-wal"
        self.identity = _identity(self._name)
        self.log_identity = _identity(self._log_name)
        self._safe_seq = self._safe_seq_before = 0
        self.seq = self.ts_us = 0

    def check(self) -> None:
        """Raise unless the path still names the file that was opened.

        Raises:
            StoreMoved: It names another file, or none.
        """
        try:
            status = os.stat(self._name)  # noqa: PTH116  once a transaction: the plain call is the fast one
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.identity:
            raise self._moved()

    def confirm(self, seq: int, ts_us: int) -> None:
        """Raise unless a commit that was just made is in the log that others will read.

        Args:
            seq: Its number.
            ts_us: Its time, us UTC.

        Raises:
            StoreMoved: The log was removed or replaced: the commit, and maybe some before it, are in no file.
        """
        try:
            status = os.stat(self._log_name)  # noqa: PTH116  once a transaction
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.log_identity:
            if self.log_identity is not None:
                raise self._lost(seq)
            if status is not None:  # there was none yet when the store was opened
                self.log_identity = (status.st_dev, status.st_ino)
        self.seq, self.ts_us = seq, ts_us

    def look(self) -> StoreMoved | None:
        """Look at both files, for those who only read and for the time without writes.

        Returns:
            What is wrong, if anything is.
        """
        if _identity(self._name) != self.identity:
            return self._moved()
        if self.log_identity is not None and _identity(self._log_name) != self.log_identity:
            return self._lost(self.seq)
        return None

    def settle(self) -> None:
        """Note that both files were in their places; called once a second.

        A checkpoint that somebody began before they removed the log may lack what was committed since, but hardly what
        was committed two looks ago.
        """
        self._safe_seq_before, self._safe_seq = self._safe_seq, self.seq

    def _moved(self) -> StoreMoved:
        return StoreMoved(
            "the database file was moved or replaced while it was open",
            path=self._name,
            hint="close this store, put the right file back and open it again; nothing was written to either",
        )

    def _lost(self, seq: int) -> StoreMoved:
        first = self._safe_seq_before + 1 if self._safe_seq_before else None
        lost = (
            f"commits {first} to {seq}"
            if first and first <= seq
            else f"commits up to {seq}"
            if seq
            else "commits"
        )
        error = StoreMoved(
            f"the write-ahead log was removed or replaced while it was open: {lost} may be lost",
            path=self._log_name,
            hint="find what removed it (another SQLite library in this process, or somebody's rm); close the store "
            "and open it again: its status then says whether commits are missing; record what is missing again",
        )
        self._process.condemn(error)
        return error


def _identity(name: str) -> tuple[int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116  the plain call, as in check()
    except OSError:
        return None
    return status.st_dev, status.st_ino
