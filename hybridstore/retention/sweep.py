"""Files under archives/ that count for nothing: which of them this store may remove, and which it only tells of.

A folder may have held another database, or a newer copy of this one, whose files this one knows nothing of. So a store
removes only what its own books say it began and gave up: a file's id is unique for ever, and a move that was given up
never made its file count, in no copy of the database. Not even that is done while the database may be an older copy:
then a move that looks unfinished here may have been finished there.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from hybridstore.archive.layout import ARCHIVES
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.watermark import Watermark

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
        given_up = {
            row[0]
            for name in ("abandoned_paths", "abandoned_merge_paths")
            for row in transaction.rows(database.statements[name])
        }
    oldest_s = time.time() - grace_s
    for pattern in _PATTERNS:
        for path in (database.root / ARCHIVES).rglob(pattern):
            name = path.relative_to(database.root).as_posix().removesuffix(".tmp")
            if name not in known and path.stat().st_mtime < oldest_s:
                (found.given_up if name in given_up else found.strange).append(path)
    return found
