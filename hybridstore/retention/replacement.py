"""The write transactions of a replacement of archived files.

Each is one bounded step, and any of them may be the last before a crash: what was claimed, done or given up is known
from the database alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.errors import MoveFailed
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.spans import Span
from hybridstore.retention.steps import record

ReplacementKind: TypeAlias = Literal["merge", "delete", "restore", "erase", "evolve"]


class Written(NamedTuple):
    """A file a replacement may write.

    Attributes:
        file_id: Its id.
        path: Its path relative to the root.
    """

    file_id: str
    path: str


class Replacement(Record, frozen=True, gc=False):
    """One replacement; the fields are the columns of ``archive_replacements``.

    Attributes:
        replacement_id: Unique.
        kind: merge, delete, restore, erase or evolve.
        dataset: Whose files.
        tier: Where to.
        start_us: First moment of the period, us UTC.
        end_us: First moment after it, us UTC.
        writes: Files it may write, JSON.
        replaces: Ids of the files it replaces, JSON.
        kept: Rows of which times stay, JSON; None means all.
        state: claimed, done, collecting, collected or abandoned.
        row_count: Rows that stay, once known.
        claimed_at: When it began, us UTC.
        finished_at: When it ended, us UTC.
    """

    replacement_id: str
    kind: ReplacementKind
    dataset: str
    tier: str
    start_us: int
    end_us: int
    writes: str
    replaces: str
    kept: str | None
    state: str
    row_count: int | None = None
    claimed_at: int = 0
    finished_at: int | None = None

    @property
    def written(self) -> list[Written]:
        """Files it may write."""
        return written_files(self.writes)

    @property
    def replaced_ids(self) -> list[str]:
        """Ids of the files it replaces."""
        return msgspec.json.decode(self.replaces, type=list[str])

    @property
    def kept_spans(self) -> tuple[Span, ...] | None:
        """Rows of which times stay; None means all."""
        return None if self.kept is None else msgspec.json.decode(self.kept, type=tuple[Span, ...])


def written_files(writes: str) -> list[Written]:
    """Read which files a replacement may write.

    Args:
        writes: The column ``writes`` of ``archive_replacements``.

    Returns:
        The files.
    """
    return msgspec.json.decode(writes, type=list[Written])


def claim_replacement(session: WriteSession, replacement: Replacement) -> Replacement:
    """Note that a replacement has begun, so that what it leaves behind is known as given up if it does not end.

    Args:
        session: The write transaction.
        replacement: The replacement.

    Returns:
        The replacement as recorded.
    """
    claimed = Replacement(**{**replacement.to_dict(), "claimed_at": session.ts_us})
    session.run("insert_archive_replacements", tuple(claimed.values()))
    return claimed


def abandon_replacement(session: WriteSession, replacement: Replacement) -> None:
    """End a replacement of which nothing counts.

    Args:
        session: The write transaction.
        replacement: The replacement.
    """
    session.run("finish_replacement", ("abandoned", None, session.ts_us, replacement.replacement_id))


@touches()
def replace_files(
    session: WriteSession, replacement: Replacement, files: Sequence[ArchiveFile], detail: dict[str, Any]
) -> None:
    """Make files count in the place of others, in one transaction.

    Args:
        session: The write transaction.
        replacement: The replacement.
        files: The new files, durable under their final names.
        detail: What the audit log says of it.

    Raises:
        MoveFailed: One of the others does not count any more; nothing was changed.
    """
    session.memory.clear()  # what this process's writer remembers of the archives
    for file_id in replacement.replaced_ids:
        if session.run("replace_file", (session.seq, file_id)) != 1:
            raise MoveFailed(
                f"{replacement.dataset}: the file {file_id} does not count any more, or not as a whole yet",
                hint="nothing was changed; run the retention again",
            )
    for file in files:
        counted = ArchiveFile(**{**file.to_dict(), "created_seq": session.seq})
        session.run("insert_archive_files", counted.as_row())
    if replacement.kind not in {"merge", "evolve"}:  # the rows are not the same as before
        note = "note_incomplete" if replacement.kind == "erase" else "note_deleted_at"
        session.run(note, (session.ts_us, replacement.dataset))
    rows = sum(file.row_count for file in files)
    session.run("finish_replacement", ("done", rows, session.ts_us, replacement.replacement_id))
    record(session, replacement.kind, {"replacement_id": replacement.replacement_id, **detail})


def begin_collecting(session: WriteSession, replacement: Replacement) -> None:
    """Note that the files a replacement replaced are about to be deleted: from here on nothing brings them back.

    Args:
        session: The write transaction.
        replacement: The replacement.
    """
    finished = replacement.row_count, replacement.finished_at, replacement.replacement_id
    session.run("finish_replacement", ("collecting", *finished))


def collect_files(
    session: WriteSession, replacement: Replacement, paths: Sequence[str], damage: str | None = None
) -> None:
    """Note that the files a replacement replaced are deleted.

    Args:
        session: The write transaction.
        replacement: The replacement.
        paths: The files, relative to the root.
        damage: Why what else is known of their rows could not be forgotten.
    """
    finished = replacement.row_count, replacement.finished_at, replacement.replacement_id
    session.run("finish_replacement", ("collected", *finished))
    record(session, "collect", {
        "replacement_id": replacement.replacement_id, "kind": replacement.kind, "dataset": replacement.dataset,
        "tier": replacement.tier, "paths": list(paths), **({} if damage is None else {"damage": damage}),
    })  # fmt: skip


def facts_of(files: Iterable[ArchiveFile]) -> list[dict[str, Any]]:
    """Return what the audit log says of files.

    Args:
        files: The files.

    Returns:
        file_id, path, rows and sha256 of each.
    """
    return [
        {"file_id": file.file_id, "path": file.path, "rows": file.row_count, "sha256": file.sha256}
        for file in files
    ]
