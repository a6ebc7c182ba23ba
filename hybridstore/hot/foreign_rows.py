"""Rows of another program's SQLite database: read once, from a private copy in memory, and never written.

The copy is made by SQLite's own backup, so it is one moment of the other program's work even while that goes on, and
its file is locked for no longer than the copy takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw

from hybridstore.errors import Conflict, InvalidValue, NotFound, StorageFailure
from hybridstore.hot.foreign_sqlite import open_files

ForeignRow = dict[str, Any]
_BUSY_MS = 10_000
_HEADER = b"SQLite format 3\x00"


def read_foreign(path: Path, questions: Mapping[str, str]) -> dict[str, list[ForeignRow]]:
    """Read tables of a SQLite database that is not ours.

    Args:
        path: The database; it may be in use by another process.
        questions: A SELECT by table. A table that is not there has no rows.

    Returns:
        Rows by table, each a mapping of columns.

    Raises:
        NotFound: There is no such file.
        InvalidValue: It is no SQLite database.
        Conflict: This process has it open itself, so that reading it here would end the locks of whoever did.
        StorageFailure: It cannot be read, or is damaged.
    """
    _check(path)
    try:
        source = apsw.Connection(str(path), flags=_flags(path))
        try:
            source.set_busy_timeout(_BUSY_MS)
            copy = _copied(source)
        finally:
            source.close()
        try:
            return _read(copy, questions)
        finally:
            copy.close()
    except apsw.NotADBError:
        raise InvalidValue(f"{path.name} is no SQLite database, or is encrypted", path=str(path)) from None
    except apsw.Error as error:
        raise StorageFailure(
            str(error),
            operation="read another program's database",
            path=str(path),
            hint="stop the program, copy the database with its -wal file, and import the copy",
        ) from error


def _check(path: Path) -> None:
    try:
        status = path.stat()
        with path.open("rb") as file:
            is_sqlite = file.read(len(_HEADER)) == _HEADER
    except FileNotFoundError:
        raise NotFound("there is no such database", path=str(path)) from None
    except OSError as error:
        raise StorageFailure(
            error.strerror or str(error), operation="read another program's database", path=str(path)
        ) from error
    if not is_sqlite:
        raise InvalidValue(f"{path.name} is no SQLite database, or is encrypted", path=str(path))
    if any(identity == (status.st_dev, status.st_ino) for _, identity in open_files()):
        raise Conflict(
            "this process has the database open itself",
            path=str(path),
            hint="import it from another process, as with: hybridstore import",
        )


def _flags(path: Path) -> int:
    """Leave nothing beside the database: who may only read cannot take away the log that reading needs.

    Where there is a log, it is left to whoever writes it. Where there is none, nothing is to be written back, and the
    log that is made for reading goes with the connection.
    """
    has_log = path.with_name(f"{path.name}-wal").exists()
    return apsw.SQLITE_OPEN_READONLY if has_log else apsw.SQLITE_OPEN_READWRITE


def _copied(source: apsw.Connection) -> apsw.Connection:
    copy = apsw.Connection(":memory:")
    with copy.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(1000)
    # What is in it is not trusted: no functions of the schema, no writing, no other files.
    copy.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    copy.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    copy.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
    copy.pragma("query_only", value=True)
    return copy


def _read(copy: apsw.Connection, questions: Mapping[str, str]) -> dict[str, list[ForeignRow]]:
    # A view or a virtual table may compute anything, for any time; no program that is read here keeps its rows in one.
    listed = _rows(copy, "pragma table_list")
    there = {str(row["name"]).lower() for row in listed if row["type"] == "table"}
    return {
        table: _rows(copy, question) if table.lower() in there else []
        for table, question in questions.items()
    }


def _rows(copy: apsw.Connection, question: str) -> list[ForeignRow]:
    cursor = copy.execute(question)
    names: list[str] | None = None
    found = []
    for row in cursor:
        if names is None:
            names = [column[0] for column in cursor.get_description()]
        found.append(dict(zip(names, row, strict=True)))
    return found
