"""The beginning of a database: its commit clock, without which no transaction can be numbered."""

from __future__ import annotations

import os
from collections.abc import Mapping

import apsw
import msgspec

from hybridstore.config import DatabaseConfig
from hybridstore.errors import SchemaMismatch
from hybridstore.hot.connection import has_page_checksums, open_connection, translate
from hybridstore.hot.cut_file import refuse_cut_file
from hybridstore.hot.session import SEQ_START, TS_START
from hybridstore.schema.internal import COMMIT_CLOCK
from hybridstore.schema.sqlite import ddl

_MARK_BYTES = 16


def bootstrap(config: DatabaseConfig, statements: Mapping[str, str]) -> None:
    """Give a new database its commit clock, and learn from an old one whether its pages have checksums.

    Args:
        config: The store's settings; ``page_checksums`` is set to what the database was created with.
        statements: Named SQL.

    Raises:
        SchemaMismatch: The database belongs to another program.
        StoreCorrupt: Its file was cut.
        StoreError: It cannot be opened or written.
    """
    msgspec.structs.force_setattr(config, "page_checksums", has_page_checksums(config))
    connection = open_connection(config, write=True)
    try:
        if _is_bootstrapped(connection, config, statements):
            refuse_cut_file(config.path, int(connection.pragma("page_size")))
            return  # opening a store must not take the write lock from a bot that is using it
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        if not _is_bootstrapped(connection, config, statements):
            for statement in ddl(COMMIT_CLOCK).values():
                connection.execute(statement)
            row = (1, os.urandom(_MARK_BYTES), SEQ_START, TS_START)
            connection.execute(statements["insert_commit_clock"], row)
        connection.execute("COMMIT")
    except Exception as error:
        raise translate(error, "open the hot store", config.path) from error
    finally:
        connection.close(True)  # noqa: FBT003  positional in apsw


def _is_bootstrapped(
    connection: apsw.Connection, config: DatabaseConfig, statements: Mapping[str, str]
) -> bool:
    live = [name for name, _ in connection.execute(statements["live_schema"])]
    if live and COMMIT_CLOCK.name not in live:
        raise SchemaMismatch(
            f"the database belongs to another program: it has {', '.join(live[:5])} and no {COMMIT_CLOCK.name}",
            path=str(config.path),
            hint="choose another root",
        )
    return bool(live)
