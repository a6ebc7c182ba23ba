"""Rows of any dataset: recorded once, a repetition ignored, a contradiction recorded as a correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.hot.archived import Wanted, archived_until_us, find_archived
from hybridstore.hot.commits import touches_by
from hybridstore.hot.connection import Claimed
from hybridstore.hot.known import Key, Stored
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.keys import key_hash

RECORDED_AT = "recorded_at"
_RECORDED_BY = {
    "balance_history": "record_balance_update or batch_update_balances, which keep the latest balance, too",
    "trades": "record_fill, which keeps ledger and position, too",
    "position_events": "record_fill, create_position or close_position",
    "order_events": "record_order, which keeps the order's state, too",
}
"""Events that a second door would let in without their consequences."""


class RowCounts(Record, frozen=True, gc=False):
    """What became of rows that were given.

    Attributes:
        inserted: New ones.
        repeated: Known before with the same content; nothing was done.
        corrected: Known before with another content; the old version is kept in ``corrections``.
    """

    inserted: int
    repeated: int = 0
    corrected: int = 0


def prepare_rows(
    dataset: Dataset, rows: Iterable[Mapping[str, object] | Sequence[object]]
) -> list[list[Any]]:
    """Take rows of a dataset through the door.

    Args:
        dataset: The declaration.
        rows: Mappings by column name, or sequences in declared order without ``recorded_at``.

    Returns:
        The stored forms in declared order, with None for ``recorded_at``, which the commit fills in.

    Raises:
        InvalidValue: A value does not fit; row number and value are named, and nothing was written.
    """
    if dataset.kind not in {"event", "market"}:
        raise InvalidValue(
            f"rows of {dataset.name} are not inserted: it is {dataset.kind} data, which the store keeps itself",
            hint="record balances, positions, orders and marks with the methods named for them",
        )
    if dataset.name in _RECORDED_BY:
        raise InvalidValue(
            f"rows of {dataset.name} are not inserted: they come with what they are part of",
            hint=f"use {_RECORDED_BY[dataset.name]}",
        )
    columns = [column for column in dataset.columns if column.name != RECORDED_AT]
    names = [column.name for column in columns]
    place = dataset.column_names.index(RECORDED_AT) if RECORDED_AT in dataset.column_names else None
    checks = [column.check for column in columns]
    prepared: list[list[Any]] = []
    for number, row in enumerate(rows):
        try:
            values = _by_name(dataset, row, names) if isinstance(row, Mapping) else tuple(row)
            stored = [check(value) for check, value in zip(checks, values, strict=True)]
        except InvalidValue as error:
            raise InvalidValue(
                error.message,
                operation=f"row {number} for {dataset.name}",
                hint=error.hint or "nothing was written",
            ) from error
        except (TypeError, ValueError):
            raise InvalidValue(
                f"{row!r} has not {len(names)} values",
                operation=f"row {number} for {dataset.name}",
                hint=f"give {', '.join(names)}",
            ) from None
        if place is not None:
            stored.insert(place, None)
        prepared.append(stored)
    return prepared


def _by_name(dataset: Dataset, row: Mapping[str, object], names: list[str]) -> list[object]:
    for name in row:
        if name not in names:
            dataset.column(name)
            raise InvalidValue(f"{name} is set by the store", hint="leave it out")
    return [row.get(name) for name in names]


@touches_by(lambda dataset, _: (dataset.name,))
def write_rows(session: WriteSession, dataset: Dataset, rows: list[list[Any]]) -> RowCounts:
    """Record rows of a dataset, each once, also where its first copy is archived.

    Args:
        session: The write transaction.
        dataset: The declaration.
        rows: What :func:`prepare_rows` returned.

    Returns:
        What became of them.

    Raises:
        Claimed: A row with another content belongs to a day that is just being archived.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    if RECORDED_AT in dataset.column_names:
        place = dataset.column_names.index(RECORDED_AT)
        for row in rows:
            row[place] = session.ts_us
    archived = _find_archived(session, dataset, rows) if dataset.key and dataset.tiering else {}
    if not archived:
        return _insert(session, dataset, rows)
    new = [row for row in rows if key_of(dataset, row) not in archived]
    counts = _insert(session, dataset, new)
    corrected = 0
    for row in rows:
        found = archived.get(key_of(dataset, row))
        if found is not None:
            corrected += _settle(session, dataset, found, row)
    repeated = len(rows) - len(new) - corrected
    return RowCounts(counts.inserted, counts.repeated + repeated, counts.corrected + corrected)


def _find_archived(session: WriteSession, dataset: Dataset, rows: list[list[Any]]) -> dict[Key, Stored]:
    assert dataset.tiering is not None
    place = dataset.column_names.index(dataset.tiering.time)
    late = rows
    if not dataset.remembers_keys:
        until_us = archived_until_us(session, dataset.name)
        late = [row for row in rows if row[place] is not None and row[place] < until_us]
    wanted = [
        Wanted(key, row[place])
        for row in late
        if session.one(f"find_{dataset.name}", key := key_of(dataset, row)) is None
    ]
    return {key: found[0] for key, found in find_archived(session, dataset, wanted).items()}


def _insert(session: WriteSession, dataset: Dataset, rows: list[list[Any]]) -> RowCounts:
    before = session.connection.total_changes()
    session.executemany(session.sql[f"insert_{dataset.name}"], rows)
    inserted = session.connection.total_changes() - before
    if inserted == len(rows) or not dataset.key:
        return RowCounts(inserted)
    return _settle_known(session, dataset, rows, inserted)


def _settle_known(session: WriteSession, dataset: Dataset, rows: list[list[Any]], inserted: int) -> RowCounts:
    """Some keys were known: find out which rows repeat and which contradict what is stored."""
    corrected = 0
    for row in rows:
        found = session.one(f"find_{dataset.name}", key_of(dataset, row))
        assert found is not None, "a row that was neither inserted nor known"
        if content(dataset, _declared(dataset, found)) != content(dataset, row):
            corrected += _correct_unless_old(session, dataset, found, row)
    return RowCounts(inserted, len(rows) - inserted - corrected, corrected)


def _settle(session: WriteSession, dataset: Dataset, archived: Stored, row: Sequence[Any]) -> bool:
    """Compare a row with its archived version, or with what replaced that in this transaction."""
    found = session.one(f"find_{dataset.name}", key_of(dataset, row))
    present = archived if found is None else found
    if content(dataset, _declared(dataset, present)) == content(dataset, row):
        return False
    if found is not None:
        return _correct_unless_old(session, dataset, found, row)
    if _is_old(session, dataset, row):
        return False
    supersede_row(session, dataset, archived, row)
    return True


def _correct_unless_old(session: WriteSession, dataset: Dataset, found: Stored, row: Sequence[Any]) -> bool:
    if _is_old(session, dataset, row):
        return False
    correct_row(session, dataset, found, row)
    return True


def _is_old(session: WriteSession, dataset: Dataset, row: Sequence[Any]) -> bool:
    said = dict(zip(dataset.column_names, row, strict=True))
    said.pop(RECORDED_AT, None)
    return is_old_version(session, dataset, key_of(dataset, row), said)


def key_of(dataset: Dataset, row: Sequence[Any]) -> Key:
    """Return the key of a row.

    Args:
        dataset: The declaration.
        row: The declared columns' stored forms.

    Returns:
        Those of its key columns.
    """
    names = dataset.column_names
    return tuple([row[names.index(name)] for name in dataset.key])


def _declared(dataset: Dataset, stored: Stored) -> Stored:
    return stored[1:] if dataset.numbered else stored


def content(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """Return what makes two rows the same: everything but when they were recorded.

    Args:
        dataset: The declaration.
        row: The declared columns' stored forms.

    Returns:
        The others' stored forms.
    """
    return [value for name, value in zip(dataset.column_names, row, strict=True) if name != RECORDED_AT]


def is_old_version(
    session: WriteSession,
    dataset: Dataset,
    key: Key,
    said: Mapping[str, Any],
    columns: tuple[str, ...] | None = None,
) -> bool:
    """Say whether something was replaced by a correction: told again by a slow source, it must not undo that.

    Args:
        session: The write transaction.
        dataset: The declaration.
        key: The row's key.
        said: What is said of the row: stored forms by column.
        columns: Which columns the key is of; None means the dataset's key.

    Returns:
        Whether an earlier version agrees with all of it.
    """
    if dataset.provisional:
        return False
    return any(
        all(old.get(name) == value for name, value in said.items())
        for old in earlier_versions(session, dataset, key, columns or dataset.key)
    )


def earlier_versions(
    session: WriteSession, dataset: Dataset, key: Key, columns: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return what corrections replaced.

    Args:
        session: The write transaction.
        dataset: The declaration.
        key: The row's key.
        columns: Which columns the key is of.

    Returns:
        Earlier versions by column, oldest first.
    """
    rows: list[Any] = session.execute(
        session.sql["versions_of_key"], (key_hash(dataset.name, key),)
    ).fetchall()
    decoded = [msgspec.json.decode(old) for name, old in rows if name == dataset.name]
    return [old for old in decoded if tuple([old[name] for name in columns]) == key]


def correct_row(session: WriteSession, dataset: Dataset, found: Stored, row: Sequence[Any]) -> None:
    """Overwrite a hot row and keep its old version, unless the dataset's rows are provisional.

    Args:
        session: The write transaction.
        dataset: The declaration.
        found: The stored columns as they are.
        row: The declared columns as they shall be.

    Raises:
        Claimed: The row belongs to a day that is just being archived.
    """
    names = dataset.column_names
    new = dict(zip(names, row, strict=True))
    try:
        session.run(
            f"rewrite_{dataset.name}",
            [*(new[name] for name in names if name not in dataset.key), *(new[name] for name in dataset.key)],
        )
    except apsw.ConstraintError as error:
        key = ", ".join(f"{name}={new[name]!r}" for name in dataset.key)
        raise Claimed(
            f"{dataset.name} {key} is known with another content and its day is being archived",
            hint="record the correction again when the tier move is done",
        ) from error
    row_id = found[0] if dataset.numbered else 0
    keep_version(session, dataset, found, row, row_id, key_of(dataset, row))


def supersede_row(
    session: WriteSession, dataset: Dataset, found: Stored, row: Sequence[Any], key: Key | None = None
) -> None:
    """Record another version of an archived row: the file stays as it is, its row no longer counts.

    Args:
        session: The write transaction.
        dataset: The declaration.
        found: The archived row's stored columns.
        row: The declared columns as they shall be.
        key: What the row is known by; None means the dataset's key.
    """
    session.run("insert_superseded_rows", (dataset.name, found[0], session.seq))
    session.run(f"insert_{dataset.name}", row)
    new_row_id = session.connection.last_insert_rowid()
    keep_version(session, dataset, found, row, new_row_id, key or key_of(dataset, row))


def keep_version(
    session: WriteSession, dataset: Dataset, found: Stored, row: Sequence[Any], new_row_id: int, key: Key
) -> None:
    """Keep what a correction replaced, unless the dataset's rows are provisional.

    Args:
        session: The write transaction.
        dataset: The declaration.
        found: The stored columns before.
        row: The declared columns since.
        new_row_id: The row number since.
        key: What the row is known by.
    """
    if dataset.provisional:
        return
    old = dict(zip(dataset.stored_names, found, strict=True))
    new = dict(zip(dataset.column_names, row, strict=True))
    session.run(
        "insert_corrections",
        (
            dataset.name,
            key_hash(dataset.name, key),
            old.get(ROW_ID, 0),
            new_row_id,
            msgspec.json.encode(old).decode(),
            msgspec.json.encode(new).decode(),
            session.ts_us,
        ),
    )
