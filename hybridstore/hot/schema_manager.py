"""SchemaManager: makes the live schema what the declarations say, and proves that it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import msgspec

from hybridstore.durable import fsync_directory, fsync_file, make_directories
from hybridstore.errors import SchemaMismatch, StorageFailure
from hybridstore.hot.connection import open_connection, translate, vfs_name
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.folder import make_private_file
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.migrations import MIGRATIONS, Migration
from hybridstore.schema.registry import Registry
from hybridstore.schema.sqlite import added_columns, ddl, declaration_sha256, is_extension

OWN_PREFIX = "dataset:"
"""Settings whose name starts with this hold the declaration of a user's own dataset."""


class SchemaManager:
    """Creates, upgrades and verifies the schema of a store.

    Args:
        database: The open store.
        migrations: The versions there are, oldest first.
    """

    def __init__(self, database: DatabaseManager, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._database = database
        self._migrations = migrations

    async def initialize_complete_schema(self) -> None:
        """Do :meth:`initialize` without holding up the event loop."""
        await asyncio.to_thread(self.initialize)

    def initialize(self) -> int:
        """Bring the store to the newest version and verify it.

        Returns:
            The version.

        Raises:
            SchemaMismatch: The store was written by a newer hybridstore, or its schema was changed by hand.
        """
        newest = self._migrations[-1].version
        version: int = self._database.readers.rows(self._database.statements["schema_version"])[0][0]
        if version > newest:
            raise SchemaMismatch(
                f"the store has schema version {version}, this hybridstore knows {newest}",
                path=str(self._database.path),
                hint="pip install -U hybridstore",
            )
        if version == 0:
            self._database.writer.call(self._create, newest, durability="full")
        for migration in self._migrations:
            if 0 < version < migration.version:
                backup = self._back_up(migration)
                self._database.writer.call(_migrate, migration, str(backup), durability="full")
        self._adopt_own_datasets()
        self.verify()
        return newest

    def verify(self) -> None:
        """Compare the live schema with the declarations.

        Raises:
            SchemaMismatch: Something is missing or differs; the message names each.
        """
        live: dict[str, str] = dict(self._database.readers.rows(self._database.statements["live_schema"]))
        problems = []
        for dataset in self._database.registry.values():
            for name, statement in ddl(dataset).items():
                if name not in live:
                    problems.append(f"{name} is missing")
                elif _normal(live[name]) != _normal(statement):
                    problems.append(f"{name} differs from its declaration")
        if problems:
            raise SchemaMismatch(
                "; ".join(problems),
                path=str(self._database.path),
                hint="restore the schema from a backup; tables of a store are changed only by migrations",
            )

    def _create(self, session: WriteSession, version: int) -> None:
        if _read_version(session):
            return  # another process was first
        live = _live_schema(session)
        for dataset in Registry().values():
            _create_missing(session, dataset, live)
        for dataset in Registry().values():
            session.run(
                "insert_dataset_state", (dataset.name, 0, declaration_sha256(dataset), None, None, None)
            )
        session.run("insert_schema_history", (version, "created", session.ts_us, None))
        session.connection.pragma("user_version", version)

    def _adopt_own_datasets(self) -> None:
        """Own datasets are remembered in the store, so that the tiering job and analysts know them too."""
        built_in = Registry()
        stored = _stored_datasets(self._database)
        own = {name: dataset for name, dataset in self._database.registry.items() if name not in built_in}
        for name in own.keys() - stored.keys():
            self._database.writer.call(_create_own, own[name], durability="full")
            stored = _stored_datasets(self._database)  # another process may have been first, with another one
        for name, dataset in own.items():
            if is_extension(dataset, stored[name]):  # this program is older than the one that extended it
                own[name] = stored[name]
            elif is_extension(stored[name], dataset):
                self._database.writer.call(_extend_own, dataset, durability="full")
            elif declaration_sha256(stored[name]) != declaration_sha256(dataset):
                raise SchemaMismatch(
                    f"dataset {name} was created with another declaration",
                    path=str(self._database.path),
                    hint="add nullable columns behind the others, rename or widen one with hybridstore retention "
                    "rename-column | widen-column first, give the new declaration a new name, or restore the one it "
                    "was created with",
                )
            elif stored[name] != dataset:
                self._database.writer.call(_remember_own, dataset, durability="full")
        self._database.adopt(Registry((stored | own).values()))

    def _back_up(self, migration: Migration) -> Path:
        """Copy the hot database aside, so that a step that went wrong can be taken back."""
        now = datetime.now(UTC)
        folder = self._database.root / "backups" / now.strftime("%Y%m%d") / "full"
        target = folder / f"before-schema-v{migration.version}-{now.strftime('%H%M%S%f')}.db"
        config = self._database.config
        operation = f"back up before schema version {migration.version}"
        try:
            make_directories(folder)
            make_private_file(target)
            with (
                closing(open_connection(config, write=False)) as source,
                closing(apsw.Connection(str(target), vfs=vfs_name(config))) as copy,
                copy.backup("main", source, "main") as backup,
            ):
                backup.step()
            fsync_file(target)
            fsync_directory(folder)
        except apsw.Error as error:
            target.unlink(missing_ok=True)
            raise translate(error, operation, target) from error
        except OSError as error:
            raise StorageFailure(
                f"the backup cannot be written: {error}",
                operation=operation,
                path=str(target),
                hint="without a backup the schema is not changed: make room for it, or check permissions",
            ) from error
        return target


def _read_version(session: WriteSession) -> int:
    return int(session.connection.pragma("user_version"))


def _live_schema(session: WriteSession) -> dict[str, str]:
    rows: list[Any] = session.execute(session.sql["live_schema"]).fetchall()
    return dict(rows)


def _create_missing(session: WriteSession, dataset: Dataset, live: dict[str, str]) -> None:
    for name, statement in ddl(dataset).items():
        if name not in live:
            session.execute(statement)


def adopt_new_datasets(database: DatabaseManager) -> None:
    """Take over datasets that another process created, extended, renamed or widened since the store was opened.

    Args:
        database: The open store.
    """
    new = {
        name: dataset
        for name, dataset in _stored_datasets(database).items()
        if name not in database.registry
        or declaration_sha256(database.registry[name]) != declaration_sha256(dataset)
    }
    if new:
        built_in = Registry()
        own = {name: dataset for name, dataset in database.registry.items() if name not in built_in}
        database.adopt(Registry((own | new).values()))


def _stored_datasets(database: DatabaseManager) -> dict[str, Dataset]:
    rows = database.readers.rows(database.statements["settings_between"], (OWN_PREFIX, f"{OWN_PREFIX}~"))
    return {name.removeprefix(OWN_PREFIX): msgspec.json.decode(text, type=Dataset) for name, text in rows}


def _create_own(session: WriteSession, dataset: Dataset) -> None:
    live = _live_schema(session)
    _create_missing(session, dataset, live)
    session.run("insert_dataset_state", (dataset.name, 0, declaration_sha256(dataset), None, None, None))
    session.run("insert_settings", _as_setting(dataset))


def _extend_own(session: WriteSession, dataset: Dataset) -> None:
    """Add the columns that a declaration has got; rows that are there have no value in them."""
    found = session.one("find_settings", (_as_setting(dataset)[0],))
    assert found is not None
    before = msgspec.json.decode(found[1], type=Dataset)
    if not is_extension(before, dataset):
        return  # another process was first
    for statement in added_columns(dataset, len(before.columns)):
        session.execute(statement)
    _create_missing(session, dataset, _live_schema(session))
    remember_declaration(session, dataset)


def check_readable(stored: str | None, dataset: Dataset) -> None:
    """Refuse to read rows by a declaration that they are not stored by any more.

    Args:
        stored: The setting that holds the stored declaration; None of one of the store's own datasets.
        dataset: The declaration to read by; it may have fewer columns.

    Raises:
        SchemaMismatch: Another process has renamed or widened columns.
    """
    if stored is None:
        return
    found = msgspec.json.decode(stored, type=Dataset)
    if declaration_sha256(found) != declaration_sha256(dataset) and not is_extension(dataset, found):
        changed = [
            f"{before.name} is {after.name} {after.type.name} now"
            for before, after in zip(dataset.columns, found.columns, strict=False)
            if (before.name, before.type, before.nullable) != (after.name, after.type, after.nullable)
        ]
        raise SchemaMismatch(
            f"another program changed columns of {dataset.name}: {', '.join(changed)}",
            hint="open the store again, and declare the dataset as it is now",
        )


def is_declared(session: WriteSession, dataset: Dataset) -> bool:
    """Say whether a dataset's rows are stored as a declaration says, now that nobody else can change that.

    Args:
        session: The write transaction.
        dataset: The declaration.

    Returns:
        False where another process has extended, renamed or widened it since this one looked.
    """
    found = session.one("find_settings", (f"{OWN_PREFIX}{dataset.name}",))
    if found is None:  # one of the store's own
        return True
    return declaration_sha256(msgspec.json.decode(found[1], type=Dataset)) == declaration_sha256(dataset)


def remember_declaration(session: WriteSession, dataset: Dataset) -> None:
    """Note what a user's dataset is from now on; its table is that already.

    Args:
        session: The write transaction.
        dataset: The declaration.
    """
    session.run("note_extension", (declaration_sha256(dataset), dataset.name))
    session.run("upsert_settings", _as_setting(dataset))


def _remember_own(session: WriteSession, dataset: Dataset) -> None:
    if is_declared(session, dataset):  # else another process has changed more than words meanwhile
        session.run("upsert_settings", _as_setting(dataset))


def _as_setting(dataset: Dataset) -> tuple[str, str]:
    return f"{OWN_PREFIX}{dataset.name}", msgspec.json.encode(dataset).decode()


def _migrate(session: WriteSession, migration: Migration, backup: str) -> None:
    if _read_version(session) >= migration.version:
        return  # another process was first
    for statement in migration.statements:
        session.execute(statement)
    session.run("insert_schema_history", (migration.version, migration.name, session.ts_us, backup))
    session.connection.pragma("user_version", migration.version)


def _normal(statement: str) -> str:
    """Return a statement without what says nothing: an added column stands on another line than a declared one."""
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", statement)).strip()
