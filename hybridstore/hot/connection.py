"""Connections to the hot database, opened one way, and SQLite's result codes turned into our errors."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.errors import (
    Conflict,
    HybridStoreError,
    StorageFailure,
    StorageFull,
    StoreBusy,
    StoreCorrupt,
    StoreError,
)
from hybridstore.hot.foreign_sqlite import protected
from hybridstore.hot.shipped_mark import is_shipped

SQLITE_VERSION_MIN = 3_053_000
"""The first that can drop NOT NULL. Before 3.51.3 two connections could reset the WAL under each other (bot and tiering
job are exactly two)."""
_BUSY_POLL_S = 0.0002
"""SQLite's own back-off grows to 100 ms; a bot behind a 3 ms purge step must not wait that long."""
_BUSY_POLL_MAX_S = 0.001
_MMAP_BYTES = 1 << 30
_GROWING = (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_FSYNC)
"""What a file that cannot grow is reported as: the database or log, or the -shm beside them."""
_BLOCKS_MIN = 256
"""Fewer free blocks than this (1 MiB) count as a full device."""
_PAGE_CHECKSUM_VFS = "cksmvfs"
_WRITER_CACHE_MB_MAX = 16
"""Every commit of another process empties the cache, and emptying 128 MiB holds the next write up for 8 ms."""
_PAGE_CHECKSUM_BYTES = 8
"""What cksumvfs reserves at the end of each page: by this a store with checksums is known."""
_PLATFORM_VFS = "win32" if os.name == "nt" else "unix"
"""Named, because loading cksumvfs makes it the default of the whole process."""
_FULL_ERRNOS = (
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}
)

_IOERR_WHEN_FULL = {apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_FSYNC}
"""A -shm that cannot be extended is how a full disk shows when the store is opened."""


def open_connection(config: DatabaseConfig, *, write: bool, scan: bool = False) -> apsw.Connection:
    """Open the hot database.

    Args:
        config: Where and how.
        write: Whether the connection may write (and create the file).
        scan: Whether it reads ranges rather than points: such a reader may use memory mapping.

    Returns:
        A connection with every safety pragma set and automatic checkpoints off.

    Raises:
        StoreError: SQLite is too old or the file cannot be opened.
    """
    if apsw.SQLITE_VERSION_NUMBER < SQLITE_VERSION_MIN:
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} is too old",
            hint="pip install -U apsw (SQLite 3.53 or newer)",
        )
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if write else 0)
    try:
        connection = apsw.Connection(
            str(config.path), flags=flags, vfs=vfs_name(config), statementcachesize=256
        )
        try:
            _configure(connection, config, write=write, scan=scan)
        except Exception:
            connection.close(True)  # noqa: FBT003  an open handle keeps Windows from removing the half-made file
            raise
    except apsw.Error as error:
        raise translate(error, "open the hot store", config.path) from error
    return connection


def close_connection(connection: apsw.Connection, *, keeps_log: bool) -> None:
    """Close a connection.

    Args:
        connection: The connection; it is not used any more.
        keeps_log: Leave database and log as they are: where the log is not the one that others read, copying it
            into the database would undo what they wrote. A log that is backed up is left in any case.
    """
    if keeps_log or is_shipped(Path(connection.db_filename("main")).parent):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close(True)  # noqa: FBT003  positional in apsw


@contextmanager
def own_connection(config: DatabaseConfig, operation: str) -> Iterator[apsw.Connection]:
    """Open a connection for one question that those that are open do not answer.

    Args:
        config: Where and how.
        operation: What it is asked for.

    Yields:
        The connection.

    Raises:
        StoreError: The question cannot be answered.
    """
    with protected(config.path):
        connection = open_connection(config, write=True)
        try:
            try:
                yield connection
            finally:
                close_connection(connection, keeps_log=True)
        except apsw.Error as error:
            raise translate(error, operation, config.path) from error


def vfs_name(config: DatabaseConfig) -> str:
    """Return the SQLite VFS a store is opened with.

    Args:
        config: The store's settings.

    Returns:
        Its name; it is loaded.
    """
    if not config.page_checksums:
        return config.vfs or _PLATFORM_VFS
    import apsw.sqlite_extra

    if _PAGE_CHECKSUM_VFS not in apsw.vfs_names():
        apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")
    return _PAGE_CHECKSUM_VFS


def platform_vfs() -> str:
    """Return the SQLite VFS of this platform: the process's default may be another one by now."""
    return _PLATFORM_VFS


def has_page_checksums(config: DatabaseConfig) -> bool:
    """Say whether a store was created with page checksums: one that was must be written with them for ever.

    Args:
        config: Where it is; the file exists.

    Returns:
        Whether it has them; what the settings ask for where it is still empty.

    Raises:
        StoreError: It cannot be read.
    """
    if not config.path.stat().st_size:
        return config.page_checksums
    try:
        connection = apsw.Connection(
            str(config.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=config.vfs or _PLATFORM_VFS
        )
        try:
            connection.set_busy_handler(busy_handler(config.busy_timeout_ms))
            connection.config(
                apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1
            )  # it would copy pages without stamping them
            connection.pragma("schema_version")  # reads the file's header
            return connection.reserve_bytes("main", -1) == _PAGE_CHECKSUM_BYTES
        finally:
            connection.close(True)  # noqa: FBT003  positional in apsw
    except apsw.Error as error:
        raise translate(error, "open the hot store", config.path) from error


def _configure(connection: apsw.Connection, config: DatabaseConfig, *, write: bool, scan: bool) -> None:
    connection.set_busy_handler(busy_handler(config.busy_timeout_ms))
    for option, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
        # Else a statement with a range is planned anew for each value bound to it: 16 us on top of 4 us.
        (apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1),
    ):
        connection.config(option, value)
    connection.wal_autocheckpoint(0)  # a commit must never pay for a checkpoint
    if is_shipped(config.root):  # whoever closes last would copy the log back and remove it
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("cell_size_check", value=True)
    connection.pragma("temp_store", "memory")
    cache_mb = min(config.cache_size_mb, _WRITER_CACHE_MB_MAX) if write else config.cache_size_mb
    connection.pragma("cache_size", -cache_mb * 1024)
    connection.pragma("foreign_keys", value=True)
    # Never on the writer: an I/O error under a mapping is a signal that kills the bot, not an error code.
    mapped = _MMAP_BYTES if scan and config.enable_memory_mapping and not write else 0
    connection.pragma("mmap_size", mapped)
    if write:
        _configure_writer(connection, config)
    else:
        connection.pragma("query_only", value=True)


def _configure_writer(connection: apsw.Connection, config: DatabaseConfig) -> None:
    if not config.path.stat().st_size:
        if config.page_checksums:
            connection.reserve_bytes("main", _PAGE_CHECKSUM_BYTES)
        # Purged pages can be handed back to the file system in small steps only if this is set at creation.
        connection.pragma("auto_vacuum", "incremental")
    mode = _enter_wal(connection, config.busy_timeout_ms)
    if mode != "wal":
        raise StoreError(
            f"journal_mode is {mode}",
            path=str(config.path),
            hint="the file system must support shared memory (WAL)",
        )
    connection.pragma("synchronous", config.durability)


def _enter_wal(connection: apsw.Connection, timeout_ms: int) -> object:
    """Switch to WAL, waiting for others that do the same to a new database.

    SQLite does not ask the busy handler here: two that wait for each other would wait for ever.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            return connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_POLL_MAX_S)


def busy_handler(timeout_ms: int) -> Callable[[int], bool]:
    """Return a busy handler that polls quickly and gives up after a time.

    Args:
        timeout_ms: How long to wait in all.

    Returns:
        A callable for ``apsw.Connection.set_busy_handler``.
    """
    deadline = 0.0

    def wait(attempts: int) -> bool:
        nonlocal deadline
        now = time.monotonic()
        if attempts == 0:
            deadline = now + timeout_ms / 1000
        if now >= deadline:
            return False
        time.sleep(min(_BUSY_POLL_S * (1 + attempts / 16), _BUSY_POLL_MAX_S))
        return True

    return wait


class Claimed(Conflict):
    """A row that would change belongs to a day that is just being archived; nothing was written."""

    retryable = True


def translate(error: BaseException, operation: str, path: Path) -> HybridStoreError:
    """Turn an apsw error into ours, by its result code and errno, never by its message.

    Args:
        error: What apsw raised.
        operation: What was being done.
        path: The database.

    Returns:
        The error to raise; an error that is ours already comes back as it is.
    """
    if isinstance(error, HybridStoreError):
        return error
    code = getattr(error, "extendedresult", 0)
    if _is_full(error, code, path):
        return StorageFull(
            "no space left for the hot store; nothing was written",
            operation=operation,
            path=str(path),
            hint="free space on its device; the same store works again at once, without a restart",
        )
    if (
        code == apsw.SQLITE_CONSTRAINT_TRIGGER
    ):  # the only triggers that refuse guard what a tier move has claimed
        return Claimed(
            "what it would change belongs to a day that is just being archived; nothing was written",
            operation=operation,
            path=str(path),
            hint="do it again when the tier move is done",
        )
    if code == apsw.SQLITE_IOERR_DATA:
        return StoreCorrupt(
            f"a page's checksum is wrong ({error})",
            operation=operation,
            path=str(path),
            hint="stop the bot and restore from a backup",
        )
    for kinds, ours, hint in _TRANSLATIONS:
        if isinstance(error, kinds):
            message = f"{type(error).__name__} {code}: {error}"
            return ours(message, operation=operation, path=str(path), hint=hint)
    return StoreError(f"{type(error).__name__} {code}: {error}", operation=operation, path=str(path))


_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], type[HybridStoreError], str | None], ...] = (
    ((apsw.IOError,), StorageFailure, "check the device and the system log"),
    (
        (apsw.BusyError, apsw.LockedError),
        StoreBusy,
        "another process holds the write lock: find the one that keeps a transaction open, or raise busy_timeout_ms",
    ),
    ((apsw.CorruptError, apsw.NotADBError), StoreCorrupt, "stop the bot and restore from a backup"),
    (
        (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError),
        StorageFailure,
        "check that the folder exists and this user may write there",
    ),
    ((apsw.ConstraintError,), Conflict, None),
)


def _is_full(error: BaseException, code: int, path: Path) -> bool:
    """A file-size limit or a full device comes back as a plain write error on some systems."""
    if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in _FULL_ERRNOS:
        return True
    if code not in _GROWING or not hasattr(os, "statvfs"):
        return False
    try:
        return os.statvfs(path.parent).f_bavail < _BLOCKS_MIN
    except OSError:
        return False
