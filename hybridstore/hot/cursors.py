"""Cursors: how far something outside the store was read, kept in the store beside what was read from it.

A cursor is written after the rows that it speaks of are durable. Whoever dies in between reads the same rows again, and
they are known.
"""

from __future__ import annotations

from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession

_PREFIX = "cursor "


@touches()
def write_cursor(session: WriteSession, name: str, value: str) -> None:
    """Remember how far a source was read.

    Args:
        session: The write transaction.
        name: Of the source.
        value: How far, in the words of whoever reads it.
    """
    session.run("upsert_settings", (f"{_PREFIX}{name}", value))


def read_cursors(database: DatabaseManager) -> dict[str, str]:
    """Return every cursor of the store.

    Args:
        database: The open store.

    Returns:
        Values by name.
    """
    rows = database.readers.rows(database.statements["settings_between"], (_PREFIX, f"{_PREFIX}\U0010ffff"))
    return {name.removeprefix(_PREFIX): value for name, value in rows}
