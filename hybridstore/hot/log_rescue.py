"""Puts a write-ahead log back whose name was removed while this process still has it open.

What was committed to it is in no file that anybody could open, and would be gone with the process. Copied back under
its name it is what a crash leaves: the next opening recovers every commit of it.
"""

from __future__ import annotations

import logging
import os
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.durable import PRIVATE_FILE_MODE, fsync_directory
from hybridstore.hot.connection import vfs_name
from hybridstore.hot.foreign_sqlite import LOCKED_BYTES, LOCKED_FIRST, Identity, open_files
from hybridstore.hot.watermark import Position

_CHUNK_BYTES = 1 << 20
_log = logging.getLogger("hybridstore")


def put_log_back(
    config: DatabaseConfig, database: Identity, log: Identity, last: Position, position_sql: str
) -> bool:
    """Put the log back, if nobody else has used the database since it was removed.

    The log would otherwise put old pages over what they wrote: so the database is locked against everybody, and must
    end at a commit that was made before the log was removed.

    Args:
        config: The store's settings.
        database: Device and inode of the database, which this process has open.
        log: Device and inode of the log, which this process has open.
        last: The last commit that was made while the log was in its place.
        position_sql: Reads mark, number and time of the last commit.

    Returns:
        Whether the log is back.
    """
    if sys.platform == "win32":  # an open file cannot be removed there
        return False
    files = {identity: descriptor for descriptor, identity in open_files()}
    path = Path(f"{config.path}-wal")
    try:
        if database not in files or log not in files:
            return False
        _lock(files[database])
        status = config.path.stat()
        if (status.st_dev, status.st_ino) != database or path.exists():
            return False
        unlocking = _open_as_it_is(config)  # its close drops the lock, so it stays open until the end
        try:
            row: Any = unlocking.execute(position_sql).fetchall()[0]
            mark, seq, ts_us = row
            if mark.hex() != last.mark or seq > last.seq or ts_us > last.ts_us:
                return False
            size_bytes = _copy(files[log], path)
        finally:
            unlocking.close(True)  # noqa: FBT003  positional in apsw
    except (OSError, apsw.Error) as error:
        _log.warning("%s could not be put back: %s", path, error)
        return False
    _log.warning("%s was removed while it was in use, and is back with its %d bytes", path, size_bytes)
    return True


def _lock(descriptor: int) -> None:
    """Lock the database against every other process; raises OSError where one is using it."""
    import fcntl

    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCKED_BYTES, LOCKED_FIRST)


def _open_as_it_is(config: DatabaseConfig) -> apsw.Connection:
    """Open the database without log and locks."""
    name = f"file:{urllib.parse.quote(str(config.path))}?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(name, flags=flags, vfs=vfs_name(config))


def _copy(descriptor: int, path: Path) -> int:
    """Copy an open file under a name that nobody has, whole or not at all; return its size."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    size_bytes = 0
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE), "wb"
        ) as file:
            while chunk := os.pread(descriptor, _CHUNK_BYTES, size_bytes):
                file.write(chunk)
                size_bytes += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)  # unlike a rename it replaces nothing
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return size_bytes
