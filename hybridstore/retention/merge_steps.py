"""The write transactions of a merge. Each is one bounded step, and any of them may be the last before a crash."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.errors import MoveFailed
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.steps import record


class Merge(Record, frozen=True, gc=False):
    """One merge; the fields are the columns of ``archive_merges``.

    Attributes:
        merge_id: Unique.
        dataset: Whose files.
        tier: Where to.
        start_us: First moment of the period, us UTC.
        end_us: First moment after it, us UTC.
        file_id: The file it writes.
        path: The file's path relative to the root.
        replaces: Ids of the files it replaces, JSON.
        state: claimed, done, collected or abandoned.
        row_count: Rows of the file, once known.
        claimed_at: When it began, us UTC.
        finished_at: When it ended, us UTC.
    """

    merge_id: str
    dataset: str
    tier: str
    start_us: int
    end_us: int
    file_id: str
    path: str
    replaces: str
    state: str
    row_count: int | None = None
    claimed_at: int = 0
    finished_at: int | None = None

    @property
    def replaced_ids(self) -> list[str]:
        """Ids of the files it replaces."""
        return msgspec.json.decode(self.replaces, type=list[str])


def claim_merge(session: WriteSession, merge: Merge) -> Merge:
    """Note that a merge has begun, so that what it leaves behind is known as given up if it does not end.

    Args:
        session: The write transaction.
        merge: The merge.

    Returns:
        The merge as recorded.
    """
    claimed = Merge(**{**merge.to_dict(), "claimed_at": session.ts_us})
    session.run("insert_archive_merges", tuple(claimed.values()))
    return claimed


def abandon_merge(session: WriteSession, merge: Merge) -> None:
    """End a merge of which nothing counts.

    Args:
        session: The write transaction.
        merge: The merge.
    """
    session.run("finish_merge", ("abandoned", None, session.ts_us, merge.merge_id))


@touches()
def replace_files(session: WriteSession, merge: Merge, file: ArchiveFile) -> None:
    """Make a file count in the place of others, in one transaction.

    Args:
        session: The write transaction.
        merge: The merge.
        file: The file, durable under its final name.

    Raises:
        MoveFailed: One of the others does not count any more; nothing was changed.
    """
    session.memory.clear()  # what this process's writer remembers of the archives
    for file_id in merge.replaced_ids:
        if session.run("replace_file", (session.seq, file_id)) != 1:
            raise MoveFailed(
                f"the file {file_id} does not count any more, or not as a whole yet",
                path=file.path,
                hint="nothing was changed; run the retention again",
            )
    counted = ArchiveFile(**{**file.to_dict(), "created_seq": session.seq})
    session.run("insert_archive_files", counted.as_row())
    session.run("finish_merge", ("done", file.row_count, session.ts_us, merge.merge_id))
    record(session, "merge", {
        "dataset": merge.dataset, "tier": file.tier, "file_id": file.file_id, "path": file.path,
        "rows": file.row_count, "sha256": file.sha256, "start_us": file.start_us, "end_us": file.end_us,
        "replaces": merge.replaced_ids,
    })  # fmt: skip


def collect_files(session: WriteSession, merge: Merge, paths: Sequence[str]) -> None:
    """Note that the files a merge replaced are deleted.

    Args:
        session: The write transaction.
        merge: The merge.
        paths: The files, relative to the root.
    """
    session.run("finish_merge", ("collected", merge.row_count, merge.finished_at, merge.merge_id))
    record(session, "collect", {"merge_id": merge.merge_id, "paths": list(paths)})
