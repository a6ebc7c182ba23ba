"""Rows of portfolio_snapshots, and the equity of their hour and day, in one transaction.

First, highest, lowest and last of a period are always what its whole snapshots say, in the order they were taken: of
the newest by comparing, of a late or corrected one by reading the day, also from the archives. A snapshot that lacks a
price is in no period: its equity is that of what has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from hybridstore.clock import DAY_US
from hybridstore.hot import ledger
from hybridstore.hot.activity import PERIODS, Equity, period_of
from hybridstore.hot.archived import Wanted, archived_until_us, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.known import Stored
from hybridstore.hot.rows import RowCounts, content, correct_row, is_old_version, key_of, supersede_row
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.figures import PORTFOLIO_SNAPSHOTS

EQUITY_TOUCHES = ("portfolio_snapshots", "portfolio_equity", "portfolio_hourly", "portfolio_daily")
PLACE = {name: place for place, name in enumerate(PORTFOLIO_SNAPSHOTS.column_names)}
_SERIES = ("account", "base_currency")
Outcome = Literal["inserted", "repeated", "corrected"]


class LatestEquity(NamedTuple):
    """A row of ``portfolio_equity``.

    Attributes:
        account, base_currency: Its key.
        taken_us: When the latest snapshot was taken, us UTC.
        equity: Its equity, as text.
        unpriced: What it lacks, a JSON list; None where it is whole.
        flows: Flows that were counted, a JSON object.
    """

    account: str
    base_currency: str
    taken_us: int
    equity: str
    unpriced: str | None
    flows: str


def rows_operation(dataset: str) -> Callable[..., RowCounts]:
    """Return what records rows of a dataset: some have consequences.

    Args:
        dataset: Its name.

    Returns:
        An operation that takes the declaration and the prepared rows.
    """
    return _write_declared if dataset == PORTFOLIO_SNAPSHOTS.name else ledger.rows_operation(dataset)


@touches(*EQUITY_TOUCHES)
def _write_declared(session: WriteSession, _declaration: Dataset, rows: list[list[Any]]) -> RowCounts:
    wanted = [_wanted(row) for row in rows]
    find_archived(session, PORTFOLIO_SNAPSHOTS, wanted)  # all that must be looked up, at once
    counts = dict.fromkeys(("inserted", "repeated", "corrected"), 0)
    for row in rows:
        counts[enter_snapshot(session, row, find_snapshot(session, row))] += 1
    return RowCounts(**counts)


def find_snapshot(session: WriteSession, row: Sequence[Any]) -> tuple[Stored | None, bool]:
    """Find what is known of a snapshot.

    Args:
        session: The write transaction.
        row: Its declared columns; only its key matters.

    Returns:
        Its stored columns, and whether they are archived.

    Raises:
        ArchiveNeeded: It must be looked up first.
    """
    key, time_us = wanted = _wanted(row)
    hot = session.one("find_portfolio_snapshots", key)
    if hot is not None or time_us is None:
        return hot, False
    rows = find_archived(session, PORTFOLIO_SNAPSHOTS, [wanted]).get(key)
    return (rows[0], True) if rows else (None, False)


def enter_snapshot(
    session: WriteSession,
    row: list[Any],
    known: tuple[Stored | None, bool],
    *,
    force: bool = False,
    flows: str | None = None,
) -> Outcome:
    """Record a snapshot, or what is said anew of a known one, with what follows for its hour and day.

    Args:
        session: The write transaction.
        row: Declared columns' stored forms.
        known: What :func:`find_snapshot` returned.
        force: Whether it shall be as the row says even where that is an old version.
        flows: Flows that are counted from now on; None leaves them as they are.

    Returns:
        What became of it.

    Raises:
        Claimed: It has another content and belongs to a day that is just being archived.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    row[-1] = session.ts_us
    found, archived = known
    before = None
    outcome: Outcome = "inserted"
    if found is None:
        session.timely(row[PLACE["taken_at"]], "taken_at")
        session.run("insert_portfolio_snapshots", row)
    else:
        before = found[1:]
        if content(PORTFOLIO_SNAPSHOTS, before) == content(PORTFOLIO_SNAPSHOTS, row):
            outcome = "repeated"
        elif not force and _is_old(session, row):
            return "repeated"
        else:
            (supersede_row if archived else correct_row)(session, PORTFOLIO_SNAPSHOTS, found, row)
            outcome = "corrected"
    if outcome != "repeated":
        _note_equity(session, row, before)
    _remember(session, row, flows)
    return outcome


def latest_equity(session: WriteSession, account: str, base_currency: str) -> LatestEquity | None:
    """Return the latest equity of an account.

    Args:
        session: The write transaction.
        account: Whose.
        base_currency: What it is priced in.

    Returns:
        The row; None before the first snapshot.
    """
    row = session.one("find_portfolio_equity", (account, base_currency))
    return None if row is None else LatestEquity(*row[:-1])


def _wanted(row: Sequence[Any]) -> Wanted:
    return Wanted(key_of(PORTFOLIO_SNAPSHOTS, row), row[PLACE["taken_at"]])


def _is_old(session: WriteSession, row: Sequence[Any]) -> bool:
    said = dict(zip(PORTFOLIO_SNAPSHOTS.column_names[:-1], row, strict=False))
    return is_old_version(session, PORTFOLIO_SNAPSHOTS, key_of(PORTFOLIO_SNAPSHOTS, row), said)


def _remember(session: WriteSession, row: Sequence[Any], flows: str | None) -> None:
    """Keep the latest equity: of a late snapshot only the flows it counted."""
    account, base_currency, taken_us = row[:3]
    old = latest_equity(session, account, base_currency)
    new = LatestEquity(
        account, base_currency, taken_us, row[PLACE["equity"]], row[PLACE["unpriced"]],
        flows or (old.flows if old else "{}"),
    )  # fmt: skip
    if old is not None and taken_us < old.taken_us:
        new = old._replace(flows=new.flows)
    if new != old:
        session.run("upsert_portfolio_equity", (*new, session.ts_us))


def _note_equity(session: WriteSession, row: Sequence[Any], before: Sequence[Any] | None) -> None:
    """Put hour and day right."""
    if not any(version is not None and version[PLACE["unpriced"]] is None for version in (row, before)):
        return
    account, base_currency, taken_us = row[:3]
    is_latest = before is None and _is_latest(session, account, base_currency, taken_us)
    day = [] if is_latest else _whole_of_day(session, account, base_currency, taken_us)
    for name, length_us in PERIODS:
        start_us = taken_us - taken_us % length_us
        period = period_of(session, name, account, base_currency, start_us)
        if is_latest:
            period.equity = _extend(period.equity, Decimal(row[PLACE["equity"]]))
        else:
            inside = [equity for moment, equity in day if start_us <= moment < start_us + length_us]
            period.equity = (inside[0], max(inside), min(inside), inside[-1]) if inside else None


def _extend(equity: Equity | None, latest: Decimal) -> Equity:
    if equity is None:
        return latest, latest, latest, latest
    first, highest, lowest, _ = equity
    return first, max(highest, latest), min(lowest, latest), latest


def _is_latest(session: WriteSession, account: str, base_currency: str, taken_us: int) -> bool:
    if taken_us < archived_until_us(session, PORTFOLIO_SNAPSHOTS.name):
        return False
    end_us = taken_us - taken_us % DAY_US + DAY_US
    return session.one("later_snapshot", (account, base_currency, taken_us, end_us)) is None


def _whole_of_day(
    session: WriteSession, account: str, base_currency: str, taken_us: int
) -> list[tuple[int, Decimal]]:
    """Read all snapshots of a day that lack nothing, in the order they were taken: archived ones, too."""
    day_us = taken_us - taken_us % DAY_US
    series = (account, base_currency)
    archived = find_archived(session, PORTFOLIO_SNAPSHOTS, [Wanted(series, day_us)], _SERIES).get(series, ())
    rows: list[Any] = session.execute(
        session.sql["snapshots_between"], (*series, day_us, day_us + DAY_US)
    ).fetchall()
    # A file may hold another day, too, and what it is still being purged of is in both.
    places = [1 + PLACE[name] for name in ("taken_at", "equity", "unpriced")]
    found = [tuple([row[place] for place in places]) for row in archived]
    by_moment = {row[0]: row for row in (*found, *rows) if day_us <= row[0] < day_us + DAY_US}
    return [
        (moment, Decimal(equity))
        for moment, equity, unpriced in sorted(by_moment.values())
        if unpriced is None
    ]
