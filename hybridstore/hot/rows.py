"""Rows of any dataset: recorded once, a repetition ignored, a contradiction recorded as a correction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from hybridstore.errors import Conflict, InvalidValue
from hybridstore.hot.commits import touches_by
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.dataset import ROW_ID, Dataset

RECORDED_AT = "recorded_at"
Stored = tuple[Any, ...]


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
    """Record rows of a dataset.

    Args:
        session: The write transaction.
        dataset: The declaration.
        rows: What :func:`prepare_rows` returned.

    Returns:
        What became of them.

    Raises:
        Conflict: A row with another content belongs to a day that is just being archived.
    """
    if RECORDED_AT in dataset.column_names:
        place = dataset.column_names.index(RECORDED_AT)
        for row in rows:
            row[place] = session.ts_us
    sql = session.sql[f"insert_{dataset.name}"]
    before = session.connection.total_changes()
    session.executemany(sql, rows)
    inserted = session.connection.total_changes() - before
    if inserted == len(rows) or not dataset.key:
        return RowCounts(inserted)
    return _settle_known(session, dataset, rows, inserted)


def _settle_known(session: WriteSession, dataset: Dataset, rows: list[list[Any]], inserted: int) -> RowCounts:
    """Some keys were known: find out which rows repeat and which contradict what is stored."""
    names = dataset.column_names
    places = [names.index(name) for name in dataset.key]
    corrected = 0
    for row in rows:
        found = session.one(f"find_{dataset.name}", [row[place] for place in places])
        assert found is not None, "a row that was neither inserted nor known"
        stored = found[1:] if dataset.numbered else found
        if _content(dataset, stored) != _content(dataset, row):
            correct_row(session, dataset, found, row)
            corrected += 1
    return RowCounts(inserted, len(rows) - inserted - corrected, corrected)


def _content(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """What makes two rows the same: everything but when they were recorded."""
    return [value for name, value in zip(dataset.column_names, row, strict=True) if name != RECORDED_AT]


def correct_row(session: WriteSession, dataset: Dataset, found: Stored, row: Sequence[Any]) -> None:
    """Overwrite a row and keep its old version, unless the dataset's rows are provisional.

    Args:
        session: The write transaction.
        dataset: The declaration; it has a key.
        found: The stored columns as they are.
        row: The declared columns as they shall be.

    Raises:
        Conflict: The row belongs to a day that is just being archived.
    """
    names = dataset.column_names
    new = dict(zip(names, row, strict=True))
    old = dict(zip(dataset.stored_names, found, strict=True))
    try:
        session.run(
            f"rewrite_{dataset.name}",
            [*(new[name] for name in names if name not in dataset.key), *(new[name] for name in dataset.key)],
        )
    except apsw.ConstraintError as error:
        key = ", ".join(f"{name}={new[name]!r}" for name in dataset.key)
        raise Conflict(
            f"{dataset.name} {key} is known with another content and its day is being archived",
            hint="record the correction again when the tier move is done",
        ) from error
    if dataset.provisional:
        return
    session.run(
        "insert_corrections",
        (
            uuid.uuid4().hex,
            dataset.name,
            old.get(ROW_ID, 0),
            msgspec.json.encode(old).decode(),
            msgspec.json.encode(new).decode(),
            session.ts_us,
        ),
    )
