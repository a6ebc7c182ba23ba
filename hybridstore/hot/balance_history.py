"""The history of balances: a report that is not newer than what is known may be known already.

A balance has no id by which it is known again. What is told of one asset of one account for one moment by one source is
the same report; told again with the same content it changes nothing, with another it is a correction. Only a report
that names its moment can be told again, and only one that is not newer than the latest needs to be looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import apsw

from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.connection import Claimed
from hybridstore.hot.known import Key, Stored
from hybridstore.hot.rows import is_old_version, keep_version, supersede_row
from hybridstore.hot.session import WriteSession
from hybridstore.schema.books import BALANCE_HISTORY
from hybridstore.schema.types import EXACT, MONEY_INTEGER_DIGITS, money_text

REPORT_KEY = ("account", "asset", "changed_at", "source")
_TOLD = (
    "balance",
    "hold_trade",
    "available",
    "debt",
    "told",
    "reason",
    "sync_status",
    "reported",
    "exchange_at",
)
"""What is told of a balance; its change is computed from it."""
_PERCENT_PLACES = Decimal("1E-8")
_DIVISION = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[])
_HUNDRED = Decimal(100)
_subtract, _multiply = EXACT.subtract, EXACT.multiply
_divide, _quantize = _DIVISION.divide, _DIVISION.quantize
_PLACE = {name: place for place, name in enumerate(BALANCE_HISTORY.column_names)}


def settle_report(session: WriteSession, row: Sequence[Any]) -> str:
    """Compare a report with what is known of its moment, in the hot store and in the archives.

    Args:
        session: The write transaction.
        row: The declared columns of ``balance_history``.

    Returns:
        ``new``: nothing is known of it, and nothing was written; ``repeated``: it is known; ``corrected``: it replaced
        what was known, which is kept in ``corrections``.

    Raises:
        Claimed: It contradicts a row of a day that is just being archived.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    session.flush("insert_balance_history")
    told = {name: row[_PLACE[name]] for name in _TOLD}
    key: Key = tuple([row[_PLACE[name]] for name in REPORT_KEY])
    account, asset, changed_us, source = key
    sql = session.sql["balances_at"]
    hot: list[Any] = session.execute(sql, (asset, changed_us, account, source)).fetchall()
    known: Sequence[Stored] = hot or find_archived(
        session, BALANCE_HISTORY, [Wanted(key, changed_us)], REPORT_KEY
    ).get(key, ())
    if not known:
        return "new"
    if any(_tells(found, told) for found in known) or is_old_version(
        session, BALANCE_HISTORY, key, told, REPORT_KEY
    ):
        return "repeated"
    corrected = _with_change(known[-1], row)
    if hot:
        _rewrite(session, hot[-1], corrected, key)
    else:
        supersede_row(session, BALANCE_HISTORY, known[-1], corrected, key)
    return "corrected"


def change_from(before: Decimal, balance: Decimal) -> tuple[str, str | None]:
    """Return by how much a balance changed.

    Args:
        before: The balance before.
        balance: The balance.

    Returns:
        The difference, and 100 * difference / before rounded half even to 8 places; the latter is None from zero, and
        where it is too large to be stored.
    """
    difference = _subtract(balance, before)
    change = money_text(difference, "change")
    if not before:
        return change, None
    if not difference:
        return change, "0"
    percentage = _quantize(_divide(_multiply(_HUNDRED, difference), before), _PERCENT_PLACES)
    if percentage.adjusted() >= MONEY_INTEGER_DIGITS:
        return change, None
    return change, money_text(percentage, "change_percentage")


def _with_change(found: Stored, row: Sequence[Any]) -> list[Any]:
    """Return the corrected row with the change from the same balance before as the row it replaces."""
    corrected = list(row)
    change, balance = found[1 + _PLACE["change"]], row[_PLACE["balance"]]
    if change is None or balance is None:
        figures: tuple[str | None, str | None] = (None, None)
    else:
        before = _subtract(Decimal(found[1 + _PLACE["balance"]]), Decimal(change))
        figures = change_from(before, Decimal(balance))
    corrected[_PLACE["change"]], corrected[_PLACE["change_percentage"]] = figures
    return corrected


def _tells(found: Stored, told: dict[str, Any]) -> bool:
    return all(found[1 + _PLACE[name]] == value for name, value in told.items())


def _rewrite(session: WriteSession, found: Stored, row: Sequence[Any], key: Key) -> None:
    try:
        session.run("rewrite_balance_history", (*row, found[0]))
    except apsw.ConstraintError as error:
        raise Claimed(
            f"the balance of {key[1]!r} at {key[2]} us is known with another content and its day is being archived",
            hint="record the correction again when the tier move is done",
        ) from error
    keep_version(session, BALANCE_HISTORY, found, row, found[0], key)
