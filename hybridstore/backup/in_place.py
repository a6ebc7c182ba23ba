"""Puts a store back where it is; what was there is kept aside, and an interruption leaves nothing half done.

First the store of the moment is put together beside the other one and proven. Then a note says what is to be renamed,
and while it is there nobody opens the store: whoever repeats the call finishes what the note says.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hybridstore.backup.chain import Target
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import OnProgress, RestoreResult, restore_into
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.durable import PRIVATE_DIR_MODE, fsync_directory, telling_failures, write_file
from hybridstore.errors import BackupCorrupt, ConfigError, StoreBusy
from hybridstore.hot.copying import is_in_use
from hybridstore.hot.folder import RESTORING_NAME
from hybridstore.records import Record

_OF_THE_STORE = (
    DATABASE_NAME,
    f"{DATABASE_NAME}-wal",
    f"{DATABASE_NAME}-shm",
    "archives",
    "leases",
    ".watermark",
    ".loss.json",
    ".shipped",
)
"""What of the folder is the store itself; settings, logs and backups stay where they are."""


class _Note(Record, frozen=True, gc=False):
    """What is to be renamed.

    Attributes:
        making: Folder of the store that was put together, relative to the root.
        aside: Folder for the one that was there, likewise.
        result: What was put together.
        is_aside: Whether all that was there is in its folder.
    """

    making: str
    aside: str
    result: RestoreResult
    is_aside: bool = False


def restore_in_place(
    repository: Repository,
    target: Target,
    config: DatabaseConfig,
    progress: OnProgress | None = None,
) -> tuple[RestoreResult, Path]:
    """Put a store back where it is.

    Args:
        repository: Its backups.
        target: The moment.
        config: Its settings.
        progress: Called as it goes on.

    Returns:
        What was put back, and the folder with what was there before.

    Raises:
        StoreBusy: A process has the store open.
        NotRestorable: The backups do not hold the moment.
        BackupCorrupt: A file that it needs is missing or damaged; the store is as it was.
        ConfigError: The database has another name than a store's own.
        StorageFull: There is no space.
    """
    root = config.root
    if config.path.name != DATABASE_NAME:
        raise ConfigError(
            f"the database is called {config.path.name}",
            operation="restore in place",
            hint=f"only a store whose database is called {DATABASE_NAME} is put back in place; give a new folder",
        )
    if config.path.exists() and is_in_use(config):
        raise StoreBusy(
            "a process has the store open",
            operation="restore in place",
            path=str(config.path),
            hint="stop the bot, hybridstore run and whoever reads it; then do it again",
        )
    note = _read_note(root)
    if note is None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        making = root / f".restoring-{stamp}"
        with telling_failures("restore in place", making):
            making.mkdir(mode=PRIVATE_DIR_MODE, parents=True)
        try:
            result = restore_into(repository, target, making, config, progress)
            note = _Note(making.name, f"replaced-{stamp}", msgspec.structs.replace(result, root=str(root)))
            with telling_failures("restore in place", root):
                write_file(root / RESTORING_NAME, msgspec.json.encode(note))
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    _exchange(root, note)
    return note.result, root / note.aside


def _exchange(root: Path, note: _Note) -> None:
    """Rename what the note says; what was renamed already is not there any more."""
    aside, making = root / note.aside, root / note.making
    with telling_failures("restore in place", root):
        if not note.is_aside:  # until then nothing in the root is new
            aside.mkdir(mode=PRIVATE_DIR_MODE, exist_ok=True)
            for name in _OF_THE_STORE:
                if (root / name).exists():
                    (root / name).rename(aside / name)
            fsync_directory(aside)
            fsync_directory(root)
            note = msgspec.structs.replace(note, is_aside=True)
            write_file(root / RESTORING_NAME, msgspec.json.encode(note))
        for path in sorted(making.iterdir()) if making.is_dir() else ():
            path.rename(root / path.name)
        fsync_directory(root)
        shutil.rmtree(making, ignore_errors=True)
        (root / RESTORING_NAME).unlink()
        fsync_directory(root)


def _read_note(root: Path) -> _Note | None:
    path = root / RESTORING_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupCorrupt(
            f"the note of an interrupted restore is damaged: {error}",
            path=str(path),
            hint=f"look which of the folders replaced-* and .restoring-* is whole, put it into {root}, remove the note",
        ) from error
