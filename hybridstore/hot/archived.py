"""Rows that are archived already: how a write finds out that what it is given was recorded years ago.

The writer cannot open Parquet files: other writes wait behind it. It only finds out, by an index, that a row *may* be
archived, and gives up with :class:`ArchiveNeeded`. Whoever called it looks into the files in a thread of its own and
tries again with what it found; that holds as long as the same files count, which the writer checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hybridstore.clock import DAY_US
from hybridstore.errors import HybridStoreError, InvalidValue
from hybridstore.hot.known import Key, Need, Stored
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.keys import key_hash
from hybridstore.schema.types import moment


class ArchiveNeeded(HybridStoreError):
    """A write needs to know what is archived; nothing was written.

    Attributes:
        needs: What it needs to know.
    """

    retryable = True

    def __init__(self, needs: Iterable[Need]) -> None:
        self.needs = tuple(needs)
        super().__init__(
            f"{self.needs[0].dataset}: {len(self.needs)} row(s) are of days that are archived",
            operation="record",
            hint="record it through HybridStore or TradingBotStorageSystem, which look into the archives",
        )


class Wanted(NamedTuple):
    """A row about to be recorded.

    Attributes:
        key: Stored forms of the columns it is known by.
        time_us: Its time by the dataset's tiering, us UTC; None where it has none yet.
    """

    key: Key
    time_us: int | None


def find_archived(
    session: WriteSession,
    dataset: Dataset,
    wanted: Iterable[Wanted],
    columns: tuple[str, ...] | None = None,
) -> dict[Key, tuple[Stored, ...]]:
    """Find rows in the archives.

    Args:
        session: The write transaction.
        dataset: Whose rows.
        wanted: Which. None of them is in the hot store.
        columns: By which columns; None means the dataset's key, and then a time that is part of it, or settled, is
            exact; else it stands for its day.

    Returns:
        Stored columns of what counts in an archive, by key; several rows only where the columns are no key.

    Raises:
        ArchiveNeeded: It is not known yet, or other files count since.
        InvalidValue: Rows as old as one of them were deleted by policy: nobody can say whether it was among them.
    """
    if dataset.tiering is None:
        return {}
    if dataset.remembers_keys:
        wanted = list(wanted)
        _refuse_deleted(session, dataset.name, wanted)
    if not (newest_us := archived_until_us(session, dataset.name)):
        return {}
    is_exact = columns is None and not dataset.remembers_keys  # else a time stands for its day
    columns = columns or dataset.key
    needs: list[Need] = []
    found: dict[Key, tuple[Stored, ...]] = {}
    for key, time_us in wanted:
        for day in _days(session, dataset, key, time_us, newest_us):
            files = _files(session, dataset.name, day, time_us if is_exact else None)
            if not files:
                continue
            need = Need(dataset.name, columns, key, day)
            finding = session.known.get(need)
            if finding is None or finding.files != files:
                needs.append(need)
            elif counting := _counting(session, dataset, finding.rows):
                found[key] = counting
    if needs:
        raise ArchiveNeeded(needs)
    return found


def _days(
    session: WriteSession, dataset: Dataset, key: Key, time_us: int | None, newest_us: int
) -> tuple[int | None, ...]:
    """Return on which days a row may be archived; None stands for any."""
    if dataset.remembers_keys:
        return _remembered(session, dataset.name, key)
    if time_us is None or time_us >= newest_us:
        return ()
    return (time_us // DAY_US,)


def archived_until_us(session: WriteSession, dataset: str) -> int:
    """Return the end of the newest archived unit.

    Args:
        session: The write transaction.
        dataset: Whose.

    Returns:
        us UTC; 0 where nothing is archived.
    """
    place = ("archived until", dataset)
    until_us: int | None = session.memory.get(place)
    if until_us is None:
        row = session.one("archived_until", (dataset,))
        until_us = session.memory[place] = row[0] if row else 0
    return until_us


def _refuse_deleted(session: WriteSession, dataset: str, wanted: Iterable[Wanted]) -> None:
    """Refuse what may have been counted and deleted: it would be counted again, and deleted by the next run."""
    place = ("deleted until", dataset)
    until_us: int | None = session.memory.get(place)
    if until_us is None:
        row = session.one("deleted_until", (dataset,))
        until_us = session.memory[place] = row[0] or 0 if row else 0
    if not until_us:
        return
    for _, time_us in wanted:
        if time_us is not None and time_us < until_us:
            raise InvalidValue(
                f"{dataset} of {moment(time_us).isoformat()}: rows before {moment(until_us):%Y-%m-%d} were deleted "
                f"by policy, and this may be one of them",
                hint="leave out what is older; see: hybridstore retention certificates",
            )


def _remembered(session: WriteSession, dataset: str, key: Key) -> tuple[int | None, ...]:
    row = session.one("find_archived_keys", (key_hash(dataset, key),))
    return () if row is None else (row[1],)


def _files(session: WriteSession, dataset: str, day: int | None, exact_us: int | None) -> frozenset[str]:
    """Return the files of a day; none where a row of exactly that time is in none of them."""
    place = ("archived files", dataset, day)
    known: tuple[frozenset[str], list[Any]] | None = session.memory.get(place)
    if known is None:
        until_us, after_us = (1 << 62, 0) if day is None else (day * DAY_US, day * DAY_US)
        rows: list[Any] = session.execute(
            session.sql["files_of_day"], (dataset, until_us, after_us)
        ).fetchall()
        known = session.memory[place] = frozenset(row[0] for row in rows), rows
    files, spans = known
    # Of the present day the oldest rows may be archived already; what happens now must not wait for their file.
    if exact_us is not None and not any(first_us <= exact_us <= last_us for _, first_us, last_us in spans):
        return frozenset()
    return files


def _counting(session: WriteSession, dataset: Dataset, rows: tuple[Stored, ...]) -> tuple[Stored, ...]:
    """Leave out versions that were superseded since the files were written."""
    return tuple([row for row in rows if session.one("find_superseded_rows", (dataset.name, row[0])) is None])
