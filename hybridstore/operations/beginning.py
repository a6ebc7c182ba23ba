"""Making a store with a configuration file that explains itself; never over one that is there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hybridstore.archive.layout import ARCHIVES
from hybridstore.config import BACKUPS_NAME, CONFIG_NAME, DATABASE_NAME, load_settings
from hybridstore.durable import telling_failures, write_file
from hybridstore.errors import Conflict
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.watermark import WATERMARK_NAME
from hybridstore.operations.settings_told import example_file

_OF_A_STORE = (DATABASE_NAME, CONFIG_NAME, WATERMARK_NAME, ARCHIVES, BACKUPS_NAME)
"""What shows that a store is, or was, in a folder."""


def begin_store(root: Path, *, page_checksums: bool = False) -> tuple[Path, Path]:
    """Make a store and its configuration file.

    Args:
        root: Its folder; it may be there, with other things in it.
        page_checksums: Whether each page gets a checksum; nobody can decide that later.

    Returns:
        The database and the configuration file.

    Raises:
        Conflict: A store is there, or what one left.
        ConfigError: An environment variable is no setting.
        StorageFailure: The folder cannot be written.
    """
    there = [name for name in _OF_A_STORE if (root / name).exists()]
    if there:
        raise Conflict(
            f"there is a store here, or what is left of one: {', '.join(there)}",
            operation="init",
            path=str(root),
            hint="hybridstore status shows it, hybridstore doctor examines it; a configuration file alone: "
            "hybridstore init --print; else choose another folder",
        )
    config = load_settings(root).database
    if page_checksums:
        config = msgspec.structs.replace(config, page_checksums=True)
    database = DatabaseManager(config)
    database.open()
    try:
        SchemaManager(database).initialize()
    finally:
        database.shutdown()
    path = root / CONFIG_NAME
    with telling_failures("write the configuration file", path):
        write_file(path, example_file(page_checksums=config.page_checksums).encode())
    return config.path, path
