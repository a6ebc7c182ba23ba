"""Puts archived files back that are gone or damaged, and says so in the audit log; offers to restore a database.

A replacement is proven before it takes the place of what is there, and the entry follows at once: a process that dies
between leaves a healed store that does not tell of it, never one that tells of what was not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from hybridstore.backup.archive_copies import ArchiveCopies, KeptFile, kept_files
from hybridstore.backup.chain import Target
from hybridstore.backup.points import plan_restore
from hybridstore.backup.repository import Repository
from hybridstore.clock import Clock
from hybridstore.config import DatabaseConfig
from hybridstore.durable import sha256_file, telling_failures
from hybridstore.errors import BackupCorrupt, HybridStoreError, StoreCorrupt
from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.steps import record
from hybridstore.schema.types import moment

ACTION = "heal"
"""What the audit log calls it."""
Wrong = Literal["missing", "damaged"]
OnFile = Callable[[int, int], None]


class Wound(NamedTuple):
    """An archived file that counts and is not what was written.

    Attributes:
        file: The file.
        wrong: What is wrong with it.
        has_copy: Whether the backups have a copy of it.
        is_healed: Whether that was put in its place.
        error: Why not, where the copy is damaged, too.
    """

    file: KeptFile
    wrong: Wrong
    has_copy: bool
    is_healed: bool = False
    error: BackupCorrupt | None = None


def find_wounds(
    config: DatabaseConfig,
    copies: ArchiveCopies,
    files: Sequence[KeptFile],
    *,
    thorough: bool = False,
    on_file: OnFile | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Wound]:
    """Return every file that counts, whose content is nowhere else, and is gone or damaged.

    Args:
        config: The store's settings.
        copies: The backups' copies.
        files: Every file the store knows.
        thorough: Also read and hash each; else only its size is looked at.
        on_file: Called with how many were looked at, and how many there are.
        stop: Asked before each; True ends it there.

    Raises:
        StorageFailure: A file cannot be read.
    """
    # What lies in an object store, too, is fetched from there by who reads it.
    ours = [file for file in files if file.replaced_seq is None and file.offloaded_at is None]
    found = []
    for done, file in enumerate(ours, 1):
        if stop is not None and stop():
            break
        wrong = _what_is_wrong(config, file, thorough=thorough)
        if wrong is not None:
            found.append(Wound(file, wrong, copies.has(file)))
        if on_file is not None:
            on_file(done, len(ours))
    return found


def _what_is_wrong(config: DatabaseConfig, file: KeptFile, *, thorough: bool) -> Wrong | None:
    path = config.root / file.path
    with telling_failures("look at an archived file", path):
        try:
            is_whole = path.stat().st_size == file.size_bytes
            if is_whole and thorough:
                is_whole = sha256_file(path) == file.sha256
        except FileNotFoundError:
            return "missing"
    return None if is_whole else "damaged"


def heal(config: DatabaseConfig, clock: Clock, copies: ArchiveCopies, wounds: Sequence[Wound]) -> list[Wound]:
    """Put back every file that has a copy. Each is proven first, and noted afterwards.

    Args:
        config: The store's settings.
        clock: Where the time comes from.
        copies: The backups' copies.
        wounds: What is wrong.

    Returns:
        The same, each with what came of it; without those that do not count any more.

    Raises:
        StorageFull: There is no space.
        StoreError: The store cannot be written.
    """
    told = []
    # One that does not count any more was merged, deleted or erased meanwhile: it is not to come back.
    counting = (
        {file.file_id for file in kept_files(config)[1] if file.replaced_seq is None} if wounds else set()
    )
    for wound in wounds:
        if wound.file.file_id not in counting:
            continue
        try:
            told.append(wound._replace(is_healed=copies.put_back(config.root, wound.file)))
        except BackupCorrupt as error:  # on one file system both are one file with two names
            told.append(wound._replace(error=error))
    healed = [wound for wound in told if wound.is_healed]
    if healed:
        database = DatabaseManager(config, clock=clock)
        database.open()
        try:
            for file, wrong, *_ in healed:
                detail = {"file_id": file.file_id, "path": file.path, "sha256": file.sha256, "was": wrong}
                database.writer.call(_note, detail, durability="full")
        finally:
            database.shutdown()
    return told


@touches()
def _note(session: WriteSession, detail: dict[str, Any]) -> None:
    record(session, ACTION, detail)


def offering(error: StoreCorrupt, repository: Repository) -> StoreCorrupt:
    """Return what to say of a damaged database: also to which moment the backups would take it back.

    Args:
        error: What is said of it.
        repository: The backups.

    Returns:
        The same, with an offer in its hint where the backups can restore something.
    """
    try:
        plan = plan_restore(repository, Target())
    except (HybridStoreError, OSError):  # there are none, or they are damaged, too: their own commands tell
        return error
    hint = (
        "stop everybody who has the store open; hybridstore backup restore latest --in-place takes it back to commit "
        f"{plan.seq} of {moment(plan.ts_us).isoformat()}, the last that the backups hold; the damaged one is kept aside"
    )
    return StoreCorrupt(error.message, operation=error.operation, path=error.path, hint=hint)
