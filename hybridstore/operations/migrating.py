"""The version of a store's schema, and the steps to the newest one, each after a backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hybridstore.config import DatabaseConfig
from hybridstore.errors import SchemaMismatch
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.inspection import inspect_database
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.named_sql import load_named_sql
from hybridstore.records import Record
from hybridstore.schema.migrations import MIGRATIONS, Migration
from hybridstore.schema.types import moment


class MigrationStep(Record, frozen=True, gc=False):
    """One step.

    Attributes:
        version: The version it leads to.
        name: What it does.
        backup: The copy that was made before it; None where it was not run.
    """

    version: int
    name: str
    backup: str | None = None


class MigrationReport(Record, frozen=True, gc=False):
    """What a migration did, or would do.

    Attributes:
        before: Version of the store before; 0: it had no tables yet.
        after: Its version now.
        newest: The newest version this hybridstore knows.
        steps: What was run, or would be.
        history: Versions the store went through: version, name, applied_at, backup.
    """

    before: int
    after: int
    newest: int
    steps: tuple[MigrationStep, ...]
    history: tuple[dict[str, Any], ...]


def migrate_store(
    config: DatabaseConfig, *, dry_run: bool = False, migrations: Sequence[Migration] = MIGRATIONS
) -> MigrationReport:
    """Bring a store to the newest version of its schema.

    Args:
        config: Its settings; it exists.
        dry_run: Only say what would be run; nothing is changed.
        migrations: The versions there are, oldest first.

    Returns:
        What was done, or would be.

    Raises:
        SchemaMismatch: A newer hybridstore wrote the store, or somebody changed it by hand.
        StorageFailure: A backup cannot be made; the schema is not changed.
    """
    before = inspect_database(config, load_named_sql("hybridstore.hot")).schema_version
    newest = migrations[-1].version
    if before > newest:
        raise SchemaMismatch(
            f"the store has schema version {before}, this hybridstore knows {newest}",
            operation="migrate",
            path=str(config.path),
            hint="pip install -U hybridstore; a store is never taken back to an older version",
        )
    due = tuple(MigrationStep(one.version, one.name) for one in migrations if one.version > before)
    if dry_run:
        return MigrationReport(before, before, newest, due, ())
    database = DatabaseManager(config)
    database.open()
    try:
        after = SchemaManager(database, migrations).initialize()
        rows = database.readers.rows(database.statements["schema_steps"])
    finally:
        database.shutdown()
    backups = {version: backup for version, _, _, backup in rows}
    steps = tuple(MigrationStep(one.version, one.name, backups.get(one.version)) for one in due)
    return MigrationReport(before, after, newest, steps, tuple(_told(*row) for row in rows))


def _told(version: int, name: str, applied_us: int, backup: str | None) -> dict[str, Any]:
    at: datetime = moment(applied_us)
    return {"version": version, "name": name, "applied_at": at.isoformat(), "backup": backup}
