"""Other SQLite libraries in this process: refused where Python can tell, noticed where only the system can.

POSIX locks belong to a process, not to a library. When another library in this process (Python's own ``sqlite3``,
connectorx, ADBC, DuckDB's ``sqlite`` extension) closes the hot database, the system drops every lock this process has
on it. That library then takes itself for the last user and removes the write-ahead log, in which commits go on.
Windows keeps locks by handle and does not have the problem.
"""

from __future__ import annotations

import os
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from hybridstore.clock import Clock
from hybridstore.errors import StoreError
from hybridstore.hot.guard_report import GuardReport
from hybridstore.schema.types import moment

RULE = (
    "ask the store instead (store.sql), or open a copy, or open it from another process; in this one no other SQLite "
    "library may open it, because closing it there drops the store's locks"
)
_LIBRARIES = ("connectorx", "adbc_driver_sqlite", "sqlite_scanner")
"""Libraries that open SQLite files without Python's ``sqlite3``, as they are named where they are loaded."""
LOCKS = Path("/proc/locks")
MAPS = Path("/proc/self/maps")
_DESCRIPTORS = "/dev/fd"
"""Lists the open files of the process, on every system with POSIX locks."""
_SHARED_FIRST, _SHARED_BYTES = 0x4000_0002, 510
"""Where every user of a database holds a lock in it, as SQLite's file format says."""
LOCKED_FIRST, LOCKED_BYTES = 0x4000_0000, 512
"""These bytes and the ones that announce a change: who holds them all has the database alone."""
_DEAD_MAN_BYTE = 128
"""Which byte of the -shm every user holds, so that the next one knows it is not the first."""
_LOOKS = 3
"""The system lists locks in pieces: one that is missing in one listing may have slipped between two pieces."""

Identity = tuple[int, int]


class _Stores:
    """The databases this process has open, by device and inode; read by the hook without a lock."""

    open: dict[Identity, tuple[Path, int]] = {}  # noqa: RUF012  one for the process, like its locks
    lock = threading.RLock()
    is_hooked = False
    refused = 0

    @classmethod
    def forget(cls) -> None:
        """Forget them; runs in a forked child, which holds no locks and so cannot drop any."""
        cls.open = {}
        cls.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Stores.forget)


def one_at_a_time() -> AbstractContextManager[object]:
    """Keep the other threads of this process from :func:`protect`.

    Returns:
        What to create a database in: while it is being created it looks like one that somebody else has open, and the
        end of that drops the locks of who opened it meanwhile.
    """
    return _Stores.lock


def protect(path: Path) -> Identity:
    """Refuse from now on that Python's ``sqlite3`` opens a database in this process.

    Args:
        path: The hot database; it exists, and no store that is being opened has it open yet.

    Returns:
        What to give to :func:`unprotect`.

    Raises:
        StoreError: Somebody else in this process has it open.
    """
    status = path.stat()
    identity = (status.st_dev, status.st_ino)
    with _Stores.lock:
        if identity not in _Stores.open and any(found == identity for _, found in open_files()):
            raise StoreError(
                "this process already has the database open: with another SQLite library, or because it was forked "
                "from one that has",
                path=str(path),
                hint="close it there first (multiprocessing: start method 'spawn'); then " + RULE,
            )
        if not _Stores.is_hooked:  # a hook stays for the life of the process
            sys.addaudithook(_refuse)
            _Stores.is_hooked = True
        count = _Stores.open.get(identity, (path, 0))[1]
        _Stores.open[identity] = (path, count + 1)
    return identity


def unprotect(identity: Identity) -> None:
    """Allow it again, once every store that asked for it is closed.

    Args:
        identity: As :func:`protect` returned it.
    """
    with _Stores.lock:
        path, count = _Stores.open.pop(identity, (Path(), 0))
        if count > 1:
            _Stores.open[identity] = (path, count - 1)


@contextmanager
def protected(path: Path) -> Iterator[None]:
    """Do the same for as long as a block lasts.

    Args:
        path: The hot database.

    Yields:
        Nothing.

    Raises:
        StoreError: Somebody else in this process has it open.
    """
    protection = protect(path)
    try:
        yield
    finally:
        unprotect(protection)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Raise when ``sqlite3.connect`` is about to open a database of ours; every other event passes at once."""
    if event != "sqlite3.connect" or not _Stores.open:
        return
    for name in _names(arguments[0]):
        try:
            status = os.stat(name)  # noqa: PTH116  bytes are a name, too
        except (OSError, ValueError):  # it does not exist, or is no name of a file
            continue
        if found := _Stores.open.get((status.st_dev, status.st_ino)):
            _Stores.refused += 1
            raise StoreError(
                "the hot database is open in this process and may not be opened with another SQLite library",
                operation="sqlite3.connect",
                path=str(found[0]),
                hint=RULE,
            )


def _names(database: object) -> list[str | bytes]:
    """Return the files a connection string may mean."""
    if not isinstance(database, str | bytes | os.PathLike):
        return []
    name: str | bytes = os.fspath(database)
    if isinstance(name, str) and name.startswith("file:"):
        path = urllib.parse.unquote(urllib.parse.urlsplit(name).path)
        # A Windows drive stands behind a slash: file:///C:/folder/name.db
        return [name, path, path.lstrip("/")]
    return [name]


class _Lock(NamedTuple):
    """A lock that this process holds as long as it has the database open."""

    identity: Identity
    first: int
    size_bytes: int


class _Drops(NamedTuple):
    """What a watch has found."""

    times: int = 0
    at_us: int = 0
    are_lost: bool = False


class LockWatch:
    """Notices that the locks of this process on the hot database are gone, and takes them again.

    Args:
        path: The hot database, which this process has open and has read.
        clock: The store's clock.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._locks = [
            _Lock((status.st_dev, status.st_ino), first, size_bytes)
            for name, first, size_bytes in (
                (path, _SHARED_FIRST, _SHARED_BYTES),
                (Path(f"{path}-shm"), _DEAD_MAN_BYTE, 1),
            )
            if (status := _status(name)) is not None
        ]
        self._is_visible = bool(self._locks) and _missing(self._locks) == []
        self._drops = _Drops()

    def look(self) -> bool:
        """Look whether the locks are held; take them again where they are not.

        Returns:
            False if they are gone and could not be taken again: then the store must not be used any more.
        """
        if not self._is_visible:
            return True
        missing = _missing(self._locks)
        if missing is None:  # as many files are open as may be: the next look sees
            return not self._drops.are_lost
        if not missing:
            self._drops = self._drops._replace(are_lost=False)
            return True
        at_us = self._clock.now_us()
        taken = [_take_again(lock) for lock in missing]  # each, also after one that could not be taken
        # Told in one piece and last: others report meanwhile, and may not say that a lock is back before it is.
        self._drops = _Drops(self._drops.times + 1, at_us, not all(taken))
        return not self._drops.are_lost

    def were_dropped(self) -> bool:
        """Say whether the locks were dropped since the store was opened.

        Returns:
            Whether they were, as far as this system shows.
        """
        return self._is_visible and (self._drops.times > 0 or bool(_missing(self._locks)))

    def report(self) -> GuardReport:
        """Say how it stands.

        Returns:
            An alarm once locks were dropped, until the store is opened again; a warning where nobody can see locks
            and a library is loaded that may drop them.
        """
        refused = f"; {_Stores.refused} attempts of sqlite3 were refused" if _Stores.refused else ""
        if (drops := self._drops).times:
            at = moment(drops.at_us).isoformat(timespec="seconds")
            since = "could not be taken again" if drops.are_lost else "were taken again within a second"
            return GuardReport(
                "second_sqlite",
                "alarm",
                f"another SQLite library in this process closed the hot database and dropped the store's locks "
                f"({drops.times} times, last {at}); they {since}{refused}",
                f"find the code that opens the database and change it: {RULE}; then restart this process",
            )
        if self._is_visible:
            return _fine(f"the store's locks are held, as /proc/locks shows{refused}")
        if sys.platform == "win32":
            return _fine("Windows keeps locks by handle: no other library can drop them")
        if loaded := _loaded():
            return GuardReport(
                "second_sqlite",
                "warning",
                f"this process has loaded {', '.join(loaded)}, which can open SQLite files, and this system does not "
                f"show whether the store's locks are held{refused}",
                f"do not open the hot database with it: {RULE}",
            )
        return _fine(
            f"none of {', '.join(_LIBRARIES)} is loaded; this system does not show locks, and sqlite3 is "
            f"refused{refused}"
        )


def _fine(message: str) -> GuardReport:
    return GuardReport("second_sqlite", "ok", message)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _missing(locks: list[_Lock]) -> list[_Lock] | None:
    """Return which locks the system does not show for this process; None where it cannot be asked."""
    missing: list[_Lock] | None = locks
    for _ in range(_LOOKS):
        if missing:
            missing = _unseen(missing)
    return missing


def _unseen(locks: list[_Lock]) -> list[_Lock] | None:
    """Return which locks one listing does not show; None where there is none.

    The device is not compared: some file systems give another number in the list than to those who ask.
    """
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    pid = str(os.getpid())
    held = []
    for line in lines:
        if pid not in line:  # a server may list thousands
            continue
        fields = line.split()  # 1: POSIX ADVISORY READ 1234 08:01:131112 128 128
        if len(fields) == 8 and fields[1] == "POSIX" and fields[4] == pid:  # noqa: PLR2004
            last = sys.maxsize if fields[7] == "EOF" else int(fields[7])
            held.append((int(fields[5].rpartition(":")[2]), int(fields[6]), last))
    return [
        lock
        for lock in locks
        if not any(inode == lock.identity[1] and first <= lock.first <= last for inode, first, last in held)
    ]


def _take_again(lock: _Lock) -> bool:
    """Take a lock on a descriptor the store has open; opening and closing another would drop it again."""
    if sys.platform == "win32":
        return False
    import fcntl

    for descriptor, identity in open_files():
        if identity == lock.identity:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, lock.size_bytes, lock.first)
                status = os.fstat(descriptor)
            except OSError:
                continue
            if (
                status.st_dev,
                status.st_ino,
            ) == identity:  # else it was closed meanwhile, and opened for another
                return True
    return False


def open_files() -> list[tuple[int, Identity]]:
    """Return the open files of this process.

    Returns:
        Descriptor, and device and inode, of each; none on Windows.
    """
    try:
        entries = os.listdir(_DESCRIPTORS)  # noqa: PTH208  numbers, not paths
    except OSError:
        return []
    found = []
    for entry in entries:
        try:
            status = os.fstat(int(entry))
        except OSError:  # the listing's own, closed since
            continue
        found.append((int(entry), (status.st_dev, status.st_ino)))
    return found


def _loaded() -> list[str]:
    try:
        text = MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = " ".join(sys.modules)
    return [name for name in _LIBRARIES if name in text]
