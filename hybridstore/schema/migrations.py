"""Versions of the schema and the steps between them.

A new store is created at the newest version. An older store runs the steps it has not seen, each in its own
transaction after a backup. Adding a version: append a :class:`Migration` whose statements turn the tables of the
version before into those the declarations now describe, and keep a store of the old version under tests/corpus.
"""

from __future__ import annotations

import msgspec


class Migration(msgspec.Struct, frozen=True):
    """One step.

    Attributes:
        version: The version it leads to.
        name: What it does, as an identifier.
        statements: SQL to run, in order.
    """

    version: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (Migration(version=1, name="first_release", statements=()),)
"""In order; the first has no statements because no store is older."""
SCHEMA_VERSION = MIGRATIONS[-1].version


def pending(version: int) -> tuple[Migration, ...]:
    """Return the steps a store still has to run.

    Args:
        version: The version the store is at.

    Returns:
        The steps beyond it, in order.
    """
    return tuple(migration for migration in MIGRATIONS if migration.version > version)
