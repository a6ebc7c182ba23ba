"""Files under archives/ that count for nothing: which of them this store may remove, and which it only tells of.

A folder may have held another database, or a newer copy of this one, whose files this one knows nothing of. So a store
removes only what its own books say it began and gave up: a file's id is unique for ever, and a move that was given up
never made its file count, in no copy of the database. Not even that is done while the database may be an older copy:
then a move that looks unfinished here may have been finished there.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hybridstore.archive.layout import ARCHIVES
from hybridstore.errors import MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.watermark import Watermark
from hybridstore.retention.replacement import Replacement, written_files
from hybridstore.retention.steps import record

SWEEP_GRACE_S = 3600.0
"""A file is removed only after this long: somebody may just be about to do something with it."""
_PATTERNS = ("*.parquet", "*.tmp")


class Leftovers(NamedTuple):
    """What lies under archives/ and counts for nothing.

    Attributes:
        given_up: Files of moves that this store gave up: it may remove them.
        strange: Files it knows nothing of: they may be another store's, or those of a newer copy of its database.
    """

    given_up: list[Path]
    strange: list[Path]


def doubt(database: DatabaseManager) -> str | None:
    """Say why this database may not be the newest of its folder.

    Args:
        database: The open store.

    Returns:
        A sentence; None where there is no doubt.
    """
    watermark = Watermark(database.root)
    if losses := watermark.losses():
        return losses[-1].sentence()
    reached = watermark.read()  # first: others may commit meanwhile
    mark, seq, _ts_us = database.readers.rows(database.statements["commit_identity"])[0]
    if reached is None or (reached.mark == mark.hex() and reached.seq <= seq):
        return None
    return f"the folder's store had reached commit {reached.seq}, this database ends at commit {seq}"


def find_leftovers(database: DatabaseManager, grace_s: float = SWEEP_GRACE_S) -> Leftovers:
    """Look for files that count for nothing.

    Args:
        database: The open store.
        grace_s: Only files older than this.

    Returns:
        Absolute paths.
    """
    found = Leftovers([], [])
    with database.readers.transaction() as transaction:
        known = {row[0] for row in transaction.rows(database.statements["known_paths"])}
        given_up = {row[0] for row in transaction.rows(database.statements["abandoned_paths"])}
        abandoned = transaction.rows(database.statements["abandoned_writes"])
        opened = transaction.rows(database.statements["open_replacements"])
    given_up |= {written.path for (writes,) in abandoned for written in written_files(writes)}
    known |= {written.path for row in opened for written in Replacement(*row).written}
    oldest_s = time.time() - grace_s
    for pattern in _PATTERNS:
        for path in (database.root / ARCHIVES).rglob(pattern):
            name = path.relative_to(database.root).as_posix().removesuffix(".tmp")
            if name not in known and path.stat().st_mtime < oldest_s:
                (found.given_up if name in given_up else found.strange).append(path)
    return found


def sweep(database: DatabaseManager, grace_s: float = SWEEP_GRACE_S) -> list[Path]:
    """Remove files of moves and replacements that this store gave up.

    Args:
        database: The open store.
        grace_s: Only files older than this.

    Returns:
        What was removed.

    Raises:
        MoveFailed: The database may be an older copy, or another store's; nothing was removed.
    """
    why = doubt(database)
    if why is not None:
        raise MoveFailed(
            f"no archived file is removed while it is not certain whose it is: {why}",
            path=str(database.root),
            hint="put the right database back; where what is there shall count, call database.accept_loss()",
        )
    removed = []
    for path in find_leftovers(database, grace_s).given_up:
        with suppress(PermissionError):  # on Windows somebody has it open; it is there the next time, too
            path.unlink()
            removed.append(path)
    if removed:
        names = [path.relative_to(database.root).as_posix() for path in removed]
        database.writer.call(record, "sweep", {"paths": names}, durability="full")
    return removed
