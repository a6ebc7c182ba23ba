"""The write transactions of a move. Each is one bounded step, and any of them may be the last before a crash."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.errors import MoveFailed
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.audit import audit_head, next_entry
from hybridstore.schema.dataset import Dataset

AUDIT_HEAD = "audit_head"
"""The setting that says where the audit log ends: a chain alone does not tell what was cut off its end."""


class Move(Record, frozen=True, gc=False):
    """One move of a unit; the fields are the columns of ``archive_moves``.

    Attributes:
        move_id: Unique.
        dataset: What is moved.
        tier: Where to.
        start_us: First moment of the unit, us UTC.
        end_us: First moment after the unit, us UTC.
        max_id: Largest row number claimed.
        state: claimed, publishing, done or abandoned.
        file_id: The file it writes.
        path: The file's path relative to the root.
        row_count: Rows moved, once known.
        claimed_at: When it began, us UTC.
        finished_at: When it ended, us UTC.
    """

    move_id: str
    dataset: str
    tier: str
    start_us: int
    end_us: int
    max_id: int
    state: str
    file_id: str
    path: str
    row_count: int | None = None
    claimed_at: int = 0
    finished_at: int | None = None

    @property
    def unit(self) -> dict[str, int]:
        """The unit's bounds as statement parameters."""
        return {"start_us": self.start_us, "end_us": self.end_us}


class Step(Record, frozen=True, gc=False):
    """What one publishing step is to do.

    Attributes:
        above: No row of the file between what is published already and this number is left in the hot store.
        through: Row numbers up to here are published and deleted by this step.
        row_count: How many rows the file holds between the two.
        last: Whether nothing is left afterwards.
    """

    above: int
    through: int
    row_count: int
    last: bool


class StepResult(Record, frozen=True, gc=False):
    """What a publishing step saw.

    Attributes:
        begun_s: ``time.perf_counter()`` when it had the write lock.
        work_s: How long it took without the commit.
        seq: Number of its commit: a gap to the step before means that others are writing.
    """

    begun_s: float
    work_s: float
    seq: int


def claim(session: WriteSession, move: Move) -> Move:
    """Claim a unit: from this commit on its rows up to ``max_id`` cannot be changed.

    Args:
        session: The write transaction.
        move: The move.

    Returns:
        The move as recorded.

    Raises:
        MoveFailed: The unit is being moved already.
    """
    rows: list[Any] = session.execute(session.sql["open_moves"]).fetchall()
    for row in rows:
        other = Move(*row)
        if (other.dataset, other.start_us) == (move.dataset, move.start_us):
            raise MoveFailed(
                f"{move.dataset} of this day is being moved already ({other.move_id})",
                hint="run the retention again: it first finishes what was begun",
            )
    claimed = Move(**{**move.to_dict(), "claimed_at": session.ts_us})
    session.run("insert_archive_moves", tuple(claimed.values()))
    return claimed


def abandon(session: WriteSession, move: Move) -> None:
    """End a move of which nothing counts.

    Args:
        session: The write transaction.
        move: The move.
    """
    session.run("finish_move", ("abandoned", None, session.ts_us, move.move_id))


@touches()
def remember_keys(session: WriteSession, hashes: list[int], day: int) -> StepResult:
    """Note under which day rows are archived, by the hashes of their keys.

    Args:
        session: The write transaction.
        hashes: See :func:`hybridstore.schema.keys.key_hash`.
        day: Their UTC day since 1970.

    Returns:
        What it saw.
    """
    begun_s = time.perf_counter()
    listed = msgspec.json.encode(hashes).decode()
    session.run("remember_keys", {"day": day, "hashes": listed})
    return StepResult(begun_s, time.perf_counter() - begun_s, session.seq)


def publish(session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step) -> StepResult:
    """Make some of a file's rows count and delete the same rows from the hot store, in one transaction.

    Args:
        session: The write transaction.
        dataset: The declaration.
        move: The move.
        file: The file, durable under its final name.
        step: Which rows.

    Returns:
        What it saw.

    Raises:
        MoveFailed: The hot store does not hold exactly the rows the file holds; nothing was changed.
    """
    begun_s = time.perf_counter()
    visible_through = None if step.last else step.through
    session.memory.clear()  # what this process's writer remembers of the archives
    if session.one("find_archive_files", (file.file_id,)) is None:
        counted = {**file.to_dict(), "visible_through": visible_through, "created_seq": session.seq}
        session.run("insert_archive_files", ArchiveFile(**counted).as_row())
        session.run("begin_publishing", (file.row_count, move.move_id))
    else:
        session.run("advance_file", (visible_through, file.file_id))
    deleted = session.run(
        f"purge_{dataset.name}", {**move.unit, "above": step.above, "through": step.through}
    )
    if deleted != step.row_count:
        raise MoveFailed(
            f"{dataset.name}: the file holds {step.row_count:,} rows with numbers {step.above + 1}..{step.through}, "
            f"the hot store {deleted:,}",
            path=file.path,
            hint="nothing was changed; somebody deleted or changed rows of a day that was being archived",
        )
    if step.last:
        session.run("finish_move", ("done", file.row_count, session.ts_us, move.move_id))
        record(session, "move", {
            "dataset": dataset.name, "tier": file.tier, "file_id": file.file_id, "path": file.path,
            "rows": file.row_count, "sha256": file.sha256, "start_us": file.start_us, "end_us": file.end_us,
        })  # fmt: skip
    return StepResult(begun_s, time.perf_counter() - begun_s, session.seq)


def record(session: WriteSession, action: str, detail: dict[str, Any]) -> None:
    """Append to the audit log.

    Args:
        session: The write transaction.
        action: What was done.
        detail: To what.
    """
    last = session.one("last_audit_entry")
    entry = next_entry(None if last is None else (last[0], last[1]), session.ts_us, action, detail)
    session.run("insert_audit_log", entry)
    session.run("upsert_settings", (AUDIT_HEAD, audit_head(entry)))
