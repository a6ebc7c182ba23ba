"""The ledger: entries, and what they say is held of each asset, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from hybridstore.errors import InvalidValue, NotFound
from hybridstore.hot.activity import note_activity
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.known import Stored
from hybridstore.hot.rows import RowCounts, correct_row, is_old_version, supersede_row, write_rows
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.activity import NONE, entry_activity, undo_activity
from hybridstore.portfolio.ledger import maker_of
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.schema.books import LEDGER
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import money_text

LEDGER_TOUCHES = ("ledger", "ledger_balances", "portfolio_hourly", "portfolio_daily")
_PLACE = {name: place for place, name in enumerate(LEDGER.column_names)}
_CONTENT = slice(0, _PLACE["recorded_at"])
Outcome = Literal["inserted", "repeated", "corrected"]
Maker = Literal["hand", "fill", "funding"]


class _Held(NamedTuple):
    """What the ledger says is held, as the writer remembers it."""

    account: str
    asset: str
    amount: Decimal
    entries: int
    updated_us: int


class Outcomes(NamedTuple):
    """What became of an entry.

    Attributes:
        outcome: inserted, repeated or corrected.
        before: Its declared columns before a correction.
    """

    outcome: Outcome
    before: Stored | None = None


def write_entries(session: WriteSession, rows: list[list[Any]]) -> RowCounts:
    """Record entries that no fill causes, each once, also where its first copy is archived.

    Args:
        session: The write transaction.
        rows: Declared columns' stored forms; what was recorded when is filled in.

    Returns:
        What became of them.

    Raises:
        InvalidValue: One contradicts what a fill entered.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    find_archived(session, LEDGER, [_wanted(row) for row in rows])  # all that must be looked up, at once
    counts = dict.fromkeys(("inserted", "repeated", "corrected"), 0)
    for row in rows:
        counts[enter(session, row).outcome] += 1
    return RowCounts(**counts)


def rows_operation(dataset: str) -> Callable[..., RowCounts]:
    """Return what records rows of a dataset: entries of the ledger have consequences.

    Args:
        dataset: Its name.

    Returns:
        An operation that takes the declaration and the prepared rows.
    """
    return _write_declared if dataset == LEDGER.name else write_rows


@touches(*LEDGER_TOUCHES)
def _write_declared(session: WriteSession, _declaration: Dataset, rows: list[list[Any]]) -> RowCounts:
    return write_entries(session, rows)


@touches(*LEDGER_TOUCHES)
def void_entry(session: WriteSession, account: str, entry_id: str) -> bool:
    """Let an entry count nothing; it stays, so that it is known when it is told again.

    Args:
        session: The write transaction.
        account: Whose.
        entry_id: Its id.

    Returns:
        Whether it counted before.

    Raises:
        NotFound: There is no such entry.
        InvalidValue: A fill or a funding payment entered it.
        ArchiveNeeded: It must be looked up first whether it is archived.
    """
    found, _ = find_entry(session, [account, entry_id, None, None, None, None, None, None])
    if found is None:
        raise NotFound(f"no ledger entry {entry_id!r} of {account}", hint="see the ledger dataset")
    row = list(found[1:])
    row[_PLACE["amount"]] = "0"
    return enter(session, row, force=True).outcome == "corrected"  # also one that was voided before


def enter(session: WriteSession, row: list[Any], *, by: Maker = "hand", force: bool = False) -> Outcomes:
    """Record an entry, or what it says anew of a known one.

    Args:
        session: The write transaction.
        row: Declared columns' stored forms.
        by: What causes it; what a fill did is summed up elsewhere.
        force: Whether it shall be as the row says even where that is an old version.

    Returns:
        What became of it.
    """
    row[-1] = session.ts_us
    if by != "fill":
        session.timely(row[_PLACE["occurred_at"]], "occurred_at")
    found, archived = find_entry(session, row)
    if found is None:
        _refuse_others(row, by)
        session.run("insert_ledger", row)
        _count(session, row, None, by_fill=by == "fill")
        return Outcomes("inserted")
    before = found[1:]
    if list(before[_CONTENT]) == row[_CONTENT]:
        return Outcomes("repeated")
    _refuse_others(row, by)
    said = dict(zip(LEDGER.column_names[_CONTENT], row, strict=False))
    if not force and is_old_version(session, LEDGER, tuple(row[:2]), said):
        return Outcomes("repeated")
    if archived:
        supersede_row(session, LEDGER, found, row)
    else:
        correct_row(session, LEDGER, found, row)
    _count(session, row, before, by_fill=by == "fill")
    return Outcomes("corrected", before)


def find_entry(session: WriteSession, row: list[Any]) -> tuple[Stored | None, bool]:
    """Find what is known of an entry.

    Args:
        session: The write transaction.
        row: Its declared columns; only its key matters.

    Returns:
        Its stored columns, and whether they are archived.

    Raises:
        ArchiveNeeded: It must be looked up first.
    """
    session.flush("insert_ledger")
    key = tuple(row[:2])
    hot = session.one("find_ledger", key)
    if hot is not None:
        return hot, False
    rows = find_archived(session, LEDGER, [_wanted(row)]).get(key)
    return (rows[0], True) if rows else (None, False)


def append_entry(
    session: WriteSession, account: str, entry_id: str, kind: str, asset: str, amount: Decimal, reference: str,
    occurred_us: int,
) -> None:  # fmt: skip
    """Record an entry that cannot be known, because the fill that causes it is new.

    Args:
        session: The write transaction.
        account: Whose.
        entry_id: Its id.
        kind: Its type.
        asset: What it moves.
        amount: Signed units of it.
        reference: What caused it.
        occurred_us: When, us UTC.
    """
    session.defer(
        "insert_ledger",
        (account, entry_id, kind, asset, money_text(amount, "amount"), reference, occurred_us, session.ts_us),
    )
    _add(session, account, asset, amount, 1, occurred_us)


def _refuse_others(row: list[Any], by: Maker) -> None:
    """Refuse by hand what has more consequences than an entry."""
    entry_id = row[_PLACE["entry_id"]]
    maker = maker_of(entry_id)
    if by == "hand" and maker is not None:
        way = "void it with void_fill" if maker == "fill" else "take it back with an amount of 0"
        raise InvalidValue(
            f"entry_id={entry_id!r} of {row[0]} is the name of what a {maker} enters",
            hint=f"record the {maker} as it is, {way}, or choose another entry_id",
        )


def _wanted(row: list[Any]) -> Wanted:
    return Wanted(tuple(row[:2]), row[_PLACE["occurred_at"]])


def _count(session: WriteSession, row: list[Any], before: Stored | None, *, by_fill: bool) -> None:
    """Add an entry to what is held and to what was done, and take out what it was before."""
    for values, sign in ((before, -1), (row, 1)):
        if values is None:
            continue
        account, _, kind, asset, text, _, occurred_us, _ = values
        amount = Decimal(text)
        change = amount if sign > 0 else subtract(ZERO, amount)
        entries = sign if before is None or before[_PLACE["asset"]] != row[_PLACE["asset"]] else 0
        _add(session, account, asset, change, entries, occurred_us)
        if not by_fill:
            activity = entry_activity(kind, amount)
            note_activity(
                session, account, asset, occurred_us,
                activity if sign > 0 else undo_activity(NONE, activity),
            )  # fmt: skip


def _add(
    session: WriteSession, account: str, asset: str, amount: Decimal, entries: int, occurred_us: int
) -> None:
    key = ("ledger balance", account, asset)
    held: _Held | None = session.memory.get(key)
    if held is None:
        row = session.one("find_ledger_balances", key[1:])
        held = _Held(account, asset, ZERO, 0, 0) if row is None else _Held(
            account, asset, Decimal(row[2]), row[3], row[4]
        )  # fmt: skip
    held = _Held(account, asset, add(held.amount, amount), held.entries + entries, occurred_us)
    session.memory[key] = held
    session.defer_state("upsert_ledger_balances", key, held, _encode)


def _encode(held: _Held, ts_us: int) -> tuple[Any, ...]:
    return held.account, held.asset, money_text(held.amount, "amount"), held.entries, held.updated_us, ts_us
