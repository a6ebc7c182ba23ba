"""Looking at a database before it is opened as a store: nothing is written, no log is copied back, nothing is created.

Whoever opens a store makes it one: an empty file gets its tables, a log is copied into the database when the last one
closes. Where something is wrong that would destroy what a person could still save.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import apsw
import msgspec

from hybridstore.config import DatabaseConfig
from hybridstore.errors import SchemaMismatch
from hybridstore.hot.connection import (
    SQLITE_VERSION_MIN,
    busy_handler,
    has_page_checksums,
    platform_vfs,
    translate,
    vfs_name,
)
from hybridstore.hot.cut_file import refuse_cut_file
from hybridstore.hot.foreign_sqlite import protected
from hybridstore.hot.watermark import Position
from hybridstore.schema.internal import COMMIT_CLOCK


class SqliteVersions(NamedTuple):
    """Which SQLite there is.

    Attributes:
        name: As people write it.
        number: As SQLite counts it, 3053000 for 3.53.0.
        least: The oldest that a store is opened with.
        apsw: Version of apsw, which brings it.
    """

    name: str
    number: int
    least: int
    apsw: str


class Inspection(NamedTuple):
    """What a database is.

    Attributes:
        schema_version: Version of its schema; 0 before it has one.
        position: How far it has come; None before it has its commit clock.
        page_checksums: Whether its pages have checksums.
    """

    schema_version: int
    position: Position | None
    page_checksums: bool


def sqlite_versions() -> SqliteVersions:
    """Return which SQLite this process uses.

    Returns:
        Its versions.
    """
    return SqliteVersions(
        apsw.sqlite_lib_version(), apsw.SQLITE_VERSION_NUMBER, SQLITE_VERSION_MIN, apsw.apsw_version()
    )


def inspect_database(config: DatabaseConfig, statements: Mapping[str, str]) -> Inspection:
    """Read what a database is; it may be in use by others.

    Args:
        config: The store's settings; the file exists and is not empty.
        statements: Named SQL of the hot store.

    Returns:
        What it is.

    Raises:
        SchemaMismatch: It belongs to another program.
        StoreCorrupt: It is no database, or was cut.
        StoreError: It cannot be read.
    """
    with protected(config.path):
        has_checksums = has_page_checksums(config)
        own = msgspec.structs.replace(config, page_checksums=has_checksums)
        try:
            connection = apsw.Connection(
                str(config.path),
                flags=apsw.SQLITE_OPEN_READWRITE,  # to read needs the -shm, which may have to be made
                vfs=vfs_name(own) if has_checksums else config.vfs or platform_vfs(),
            )
            try:
                connection.set_busy_handler(busy_handler(config.busy_timeout_ms))
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.pragma("query_only", value=True)
                return _read(connection, config, statements, page_checksums=has_checksums)
            finally:
                connection.close(True)  # noqa: FBT003  positional in apsw
        except apsw.Error as error:
            raise translate(error, "look at the hot store", config.path) from error


def _read(
    connection: apsw.Connection,
    config: DatabaseConfig,
    statements: Mapping[str, str],
    *,
    page_checksums: bool,
) -> Inspection:
    refuse_cut_file(
        config.path, int(connection.pragma("page_size"))
    )  # before the rest of a page is read as zeros
    live = [str(name) for name, _ in connection.execute(statements["live_schema"])]
    if live and COMMIT_CLOCK.name not in live:
        raise SchemaMismatch(
            f"the database belongs to another program: it has {', '.join(live[:5])} and no {COMMIT_CLOCK.name}",
            path=str(config.path),
            hint="choose another root",
        )
    if not live:
        return Inspection(0, None, page_checksums)
    version = int(connection.pragma("user_version"))
    position = None
    for mark, seq, ts_us in connection.execute(statements["commit_identity"]):
        position = Position(mark.hex(), seq, ts_us)
    return Inspection(version, position, page_checksums)
