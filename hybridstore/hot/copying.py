"""A whole copy of the hot database while others go on writing, and proof that a copy is whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from hybridstore.config import DatabaseConfig
from hybridstore.durable import fsync_file, telling_failures
from hybridstore.errors import HybridStoreError, StorageFull, StoreCorrupt
from hybridstore.hot.connection import (
    has_page_checksums,
    open_connection,
    own_connection,
    platform_vfs,
    translate,
    vfs_name,
)
from hybridstore.hot.folder import make_private_file
from hybridstore.hot.log_pin import ClockPosition, read_position
from hybridstore.named_sql import load_named_sql
from hybridstore.schema.sqlite import select_all

_STEP_PAGES = 1024
_CHECKS_MAX = 5
"""So many problems say enough."""


class Copied(NamedTuple):
    """A copy that was made, or proven.

    Attributes:
        position: What its commit clock says.
        page_bytes: Size of a page.
        pages: Pages in it.
        page_checksums: Whether each page ends in a checksum of its own.
    """

    position: ClockPosition
    page_bytes: int
    pages: int
    page_checksums: bool


def copy_database(
    config: DatabaseConfig, target: Path, on_pages: Callable[[int, int], None] | None = None
) -> Copied:
    """Copy one moment of the hot database.

    Args:
        config: The store's settings; the store exists.
        target: A file that does not exist; it is flushed.
        on_pages: Called with the pages copied so far and all there are, after each step.

    Returns:
        What was copied.

    Raises:
        StoreError: The store cannot be read, or the copy cannot be written.
    """
    operation = "copy the hot database"
    position_sql = load_named_sql("hybridstore.hot")["commit_identity"]
    with telling_failures(operation, target):
        make_private_file(target)
        with own_connection(config, operation) as source:
            source.execute("BEGIN")  # one moment, however long it takes
            position = read_position(source, position_sql, config.path)
            page_bytes = int(source.pragma("page_size"))
            try:
                pages = _copy_pages(config, source, target, on_pages)
            except apsw.Error as error:
                raise _copy_error(error, operation, config.path, target) from error
            source.execute("ROLLBACK")
        fsync_file(target)
    return Copied(position, page_bytes, pages, has_page_checksums(config))


def _copy_pages(
    config: DatabaseConfig,
    source: apsw.Connection,
    target: Path,
    on_pages: Callable[[int, int], None] | None,
) -> int:
    with closing(apsw.Connection(str(target), vfs=vfs_name(config))) as copy:
        # The copy is flushed as a whole; what a crash leaves of it is never used.
        copy.pragma("journal_mode", "off")
        copy.pragma("synchronous", "off")
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(_STEP_PAGES)
                if on_pages is not None:
                    on_pages(backup.page_count - backup.remaining, backup.page_count)
                time.sleep(0)
            pages = int(backup.page_count)
    return pages


def _copy_error(error: apsw.Error, operation: str, source: Path, target: Path) -> HybridStoreError:
    """Say which of the two it is about: what is only read has space enough, and what is new is not damaged."""
    ours = translate(error, operation, target)
    if isinstance(ours, StoreCorrupt):
        return translate(error, operation, source)
    if isinstance(ours, StorageFull):
        return StorageFull(
            "no space left for a copy of the hot database",
            operation=operation,
            path=str(target),
            hint="free space on its device and do it again; nothing was lost",
        )
    return ours


def prove_database(config: DatabaseConfig, path: Path, *, quick: bool = False) -> Copied:
    """Prove that a database nobody uses is whole.

    Args:
        config: Settings of the store it is of.
        path: The database.
        quick: Leave out the comparison of indexes with their tables.

    Returns:
        What it holds.

    Raises:
        StoreCorrupt: It is damaged.
        StoreError: It cannot be read.
    """
    settings = msgspec.structs.replace(config, database_path=str(path), vfs=None)
    try:
        msgspec.structs.force_setattr(settings, "page_checksums", has_page_checksums(settings))
        with closing(open_connection(settings, write=True)) as connection:
            check = "quick_check" if quick else "integrity_check"
            rows = connection.execute(f"PRAGMA {check}({_CHECKS_MAX})").fetchall()
            problems = [str(row[0]) for row in rows if row[0] != "ok"]
            if problems:
                raise StoreCorrupt(
                    f"SQLite finds it damaged: {'; '.join(problems)}",
                    operation="prove a database",
                    path=str(path),
                )
            position_sql = load_named_sql("hybridstore.hot")["commit_identity"]
            position = read_position(connection, position_sql, path)
            page_bytes, pages = (int(connection.pragma(name)) for name in ("page_size", "page_count"))
    except apsw.Error as error:
        raise translate(error, "prove a database", path) from error
    return Copied(position, page_bytes, pages, settings.page_checksums)


def is_in_use(config: DatabaseConfig) -> bool:
    """Say whether a process has a database open.

    Args:
        config: Where it is.

    Returns:
        Whether somebody has; False also where it is too damaged for anybody to have it open.

    Raises:
        StorageFailure: It cannot be read.
    """
    try:
        connection = apsw.Connection(
            str(config.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=config.vfs or platform_vfs()
        )
        with closing(connection):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("locking_mode", "exclusive")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    except (apsw.BusyError, apsw.LockedError):
        return True
    except (apsw.NotADBError, apsw.CorruptError):
        return False
    except apsw.Error as error:
        raise translate(error, "look who uses the store", config.path) from error
    return False


def live_position(config: DatabaseConfig) -> ClockPosition:
    """Read the commit clock of a store, whether or not anybody has it open.

    Args:
        config: Its settings.

    Returns:
        What it says.

    Raises:
        StoreError: It cannot be read.
    """
    position_sql = load_named_sql("hybridstore.hot")["commit_identity"]
    with own_connection(config, "read the commit clock") as connection:
        return read_position(connection, position_sql, config.path)


def content_sha256(config: DatabaseConfig) -> tuple[ClockPosition, str]:
    """Hash what a database says, whatever its pages look like: schema, and every row of every table.

    Args:
        config: Where it is.

    Returns:
        What its commit clock says at that moment, and the hash, hexadecimal.

    Raises:
        StoreError: It cannot be read.
    """
    statements = load_named_sql("hybridstore.hot")
    digest = hashlib.sha256()
    with own_connection(config, "hash the hot database") as connection:
        connection.execute("BEGIN")
        position = read_position(connection, statements["commit_identity"], config.path)
        for name, sql in connection.execute(statements["whole_schema"]):
            digest.update(f"{name}\0{sql}\0".encode())
        for (name,) in connection.execute(statements["whole_tables"]).fetchall():
            digest.update(f"\0{name}\0".encode())
            for row in connection.execute(select_all(str(name))):
                digest.update(repr(row).encode())
    return position, digest.hexdigest()


def read_kept_files(config: DatabaseConfig) -> tuple[int, list[tuple[Any, ...]]]:
    """Return every archived file a database knows, see ``files_to_keep``.

    Args:
        config: Where it is.

    Returns:
        The last commit of the moment, and the rows.

    Raises:
        StoreError: It cannot be read.
    """
    position_sql = load_named_sql("hybridstore.hot")["commit_identity"]
    files_sql = load_named_sql("hybridstore.hot", "tiering.sql")["files_to_keep"]
    with own_connection(config, "read the manifest") as connection:
        connection.execute("BEGIN")
        position = read_position(connection, position_sql, config.path)
        return position.seq, connection.execute(files_sql).fetchall()
