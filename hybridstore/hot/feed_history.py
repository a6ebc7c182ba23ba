"""What a feed has to know of a store's history: rows as they were committed first, and whether a token is of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hybridstore.errors import StoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed_event import RowForm, Stored
from hybridstore.hot.feed_source import Archive, Moment, Portion, Source
from hybridstore.hot.feed_token import MARK_BYTES, NUMBER_MAX, FeedToken, Place
from hybridstore.hot.reader import ReadTransaction
from hybridstore.schema.internal import CORRECTIONS
from hybridstore.schema.types import moment

_BACK_ROWS = 1_000
"""Rows read at once on the way back to a moment."""
_LOST_HINT = (
    "the store was restored from a backup or lost commits: undo what was done with the lost events, then follow "
    "anew, from_start=True or from now on"
)


class ArchiveAhead(Exception):
    """A round would have to read archived files."""


def as_committed(
    transaction: ReadTransaction,
    statements: Mapping[str, str],
    source: Source,
    portion: Portion,
    since_id: int | None,
) -> Portion:
    """Return rows as they were when they were committed first; their corrections are events of their own.

    A row that is not told yet can only have been corrected behind the corrections that are told. A row that was
    inserted by a correction, because the version before was archived, is no event beside it.

    Args:
        transaction: A moment at or behind that of the rows.
        statements: The named SQL of the hot path.
        source: Whose rows.
        portion: The rows as they are.
        since_id: The last correction that was told; None where there is none behind it.

    Returns:
        The rows as they were.
    """
    form = source.form
    rows = portion.rows
    last_us = source.commit_us(rows[-1]) if rows else None
    if since_id is None or not rows or source.timed or not isinstance(form, RowForm):
        return portion._replace(last_us=last_us)
    asked = {
        "since_id": since_id,
        "dataset": source.name,
        "above": source.read.id,
        "through": portion.through.id,
    }
    originals: dict[int, Stored] = {}
    inserted_us: dict[int, int] = {}
    for row_id, new_row_id, old_row, corrected_us in transaction.rows(statements["corrected_since"], asked):
        if row_id not in originals:
            originals[row_id] = form.from_json(old_row, row_id)
        if new_row_id != row_id:
            inserted_us[new_row_id] = corrected_us
    last = rows[-1]
    last_us = inserted_us.get(last[0])
    if last_us is None:
        last_us = source.commit_us(originals.get(last[0], last))
    told = [originals.get(row[0], row) for row in rows if row[0] not in inserted_us]
    return portion._replace(rows=told, last_us=last_us)


def check_token(token: FeedToken, now: Moment, database: DatabaseManager, *, named: bool) -> FeedToken:
    """Refuse a token that is not of this store, or of more than it holds.

    Args:
        token: What the token says.
        now: The present.
        database: The store.
        named: Whether the caller named the datasets to follow.

    Returns:
        The token.

    Raises:
        StoreError: It is another store's, or ahead of this one.
        UnknownDataset: It holds a dataset that is not declared here.
    """
    path = str(database.path)
    if token.mark != now.mark[:MARK_BYTES]:
        raise StoreError(
            "the token is of another store",
            operation="subscribe",
            path=path,
            hint="open the store it was made by, or follow this one from_start=True or from now on",
        )
    for name in token.places:
        if name not in database.registry and not named:
            unknown = database.registry.unknown(name)
            unknown.hint = (
                "the token follows it: declare it as its writer does, or name the datasets to follow"
            )
            raise unknown
    ahead = [
        f"{place.id - now.highest.get(name, 0)} rows of {name}"
        for name, place in token.places.items()
        if name in database.registry
        and not database.registry[name].provisional
        and place.id > now.highest.get(name, 0)
    ]
    if token.ts_us > now.ts_us:
        ahead.append(
            f"{(token.ts_us - now.ts_us) / 1_000_000:g} s (it is of {moment(token.ts_us).isoformat()}, the last "
            f"commit of {moment(now.ts_us).isoformat()})"
        )
    if ahead:
        raise StoreError(
            f"the token is ahead of the store by {', '.join(ahead)}",
            operation="subscribe",
            path=path,
            hint=_LOST_HINT,
        )
    return token


def begin_again(
    transaction: ReadTransaction,
    statements: Mapping[str, str],
    sources: Sequence[Source],
    token: FeedToken,
    now: Moment,
    archive: Callable[[], Archive] | None,
) -> None:
    """Put every source to its place in a token's history, and prove that it is this store's.

    Args:
        transaction: The moment to read.
        statements: The named SQL of the hot path.
        sources: What is followed.
        token: Where to go on.
        now: The moment.
        archive: What reads archived rows; None where that may not be done here.

    Raises:
        StoreError: The store has another history since.
        ArchiveAhead: Archived files must be read, and may not be.
    """
    for source in sources:
        place = token.places.get(source.name)
        if place is None:
            source.read = _place_at(transaction, source, now, token.ts_us)
            source.skip_through_us = token.ts_us
            source.horizon = (token.ts_us, 0, 0)
        elif not source.timed:
            _check_history(transaction, statements, source, place.id, token.ts_us, archive)


def _place_at(transaction: ReadTransaction, source: Source, now: Moment, ts_us: int) -> Place:
    """Return the place of the last row that was committed up to a moment and is still in the hot store."""
    if source.timed:
        return Place(ts_us, NUMBER_MAX)
    row_id = now.highest.get(source.name, 0)
    while rows := source.back(transaction, row_id, _BACK_ROWS):
        for number, committed_us in rows:
            if committed_us <= ts_us:
                return Place(0, number)
        row_id = rows[-1][0] - 1
    return Place(0, 0)


def _check_history(
    transaction: ReadTransaction,
    statements: Mapping[str, str],
    source: Source,
    row_id: int,
    ts_us: int,
    archive: Callable[[], Archive] | None,
) -> None:
    """Prove that the last row a token knows was committed by its time: a store that lost commits gives numbers anew."""
    newest = list(source.back(transaction, row_id, 1))
    files = source.moved_since(transaction, ts_us, row_id)
    if files:
        if archive is None:
            raise ArchiveAhead
        newest += archive().newest(source.dataset, files, row_id)
    for number, committed_us in newest:
        if committed_us <= ts_us:
            continue
        asked = {"since_id": 0, "dataset": source.name, "above": number - 1, "through": number}
        corrections = transaction.rows(statements["corrected_since"], asked)
        if source.name == CORRECTIONS.name or not corrections:
            committed_first_us = committed_us
        else:
            committed_first_us = _committed_first_us(source, number, corrections)
        if committed_first_us > ts_us:
            raise StoreError(
                f"the token is of another history: row {number} of {source.name} was told by "
                f"{moment(ts_us).isoformat()}, and this store committed it at {moment(committed_first_us).isoformat()}",
                operation="subscribe",
                hint=_LOST_HINT,
            )


def _committed_first_us(source: Source, number: int, corrections: Sequence[Stored]) -> int:
    assert isinstance(source.form, RowForm)
    inserted = [row[3] for row in corrections if row[1] == number != row[0]]
    if inserted:
        return int(inserted[0])
    return source.commit_us(source.form.from_json(corrections[0][2], number))
