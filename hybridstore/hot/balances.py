"""Balances: the latest of each asset, answered in microseconds, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hybridstore.hot.balance_history import change_from, settle_report
from hybridstore.hot.balance_updates import BalanceUpdate
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.types import EXACT, moment, money_text

_ZERO = Decimal(0)
_subtract = EXACT.subtract


class Balance(Record, frozen=True, gc=False):
    """The latest balance of an asset.

    Attributes:
        account: Whose it is.
        asset: The asset.
        balance: Total held, in units of the asset: as it was told, else what is available and held.
        hold_trade: Held back for open orders: as it was told, else balance - available; None where unknown.
        available: As it was told, else balance - hold_trade; None where unknown.
        debt: Borrowed; None where unknown.
        told: What the source told of it, of total, free, used and debt, separated by spaces; the rest was computed.
        source: Where the figure came from.
        updated_at: The moment the figure is of, UTC.
        recorded_at: When the store took it, UTC.
    """

    account: str
    asset: str
    balance: Decimal
    hold_trade: Decimal | None
    available: Decimal | None
    debt: Decimal | None
    told: str
    source: str
    updated_at: datetime
    recorded_at: datetime


class _Last(msgspec.Struct, frozen=True, gc=False):
    balance: Decimal
    updated_us: int
    source: str


@touches("balances", "balance_history")
def write_balance(session: WriteSession, update: BalanceUpdate) -> Balance:
    """Append a balance to the history, unless it is known, and make it the latest, unless a later one is.

    Args:
        session: The write transaction.
        update: The checked balance.

    Returns:
        The balance as recorded; of one without a total what is known of it beside, as in the latest.
    """
    _record(session, update)
    if update.balance is None:
        update = _completed(session, update)
    changed_us = update.changed_us
    return Balance(
        update.account,
        update.asset,
        _ZERO if update.balance is None else update.balance,
        update.hold,
        update.available,
        update.debt,
        update.told,
        update.source,
        session.recorded_at if changed_us is None else moment(changed_us),
        session.recorded_at,
    )


@touches("balances", "balance_history")
def write_balances(session: WriteSession, updates: Sequence[BalanceUpdate]) -> int:
    """Do :func:`write_balance` for many, in one transaction.

    Args:
        session: The write transaction.
        updates: The checked balances, in order.

    Returns:
        How many were recorded; those that were known are not counted.
    """
    recorded = 0
    for update in updates:
        recorded += _record(session, update)
    return recorded


def _record(session: WriteSession, update: BalanceUpdate) -> bool:
    """Record a report unless it is known; return whether anything was written."""
    ts_us = session.ts_us
    account, asset = update.account, update.asset
    changed_us = ts_us if update.changed_us is None else session.timely(update.changed_us, "changed_at")
    key = ("balance", account, asset)
    last = session.memory.get(key) or _load_last(session, key)
    newest = last is None or changed_us >= last.updated_us
    before = last.balance if last is not None and newest else None
    told_when = "new"
    if last is not None and changed_us <= last.updated_us and update.changed_us is not None:
        told_when = settle_report(session, _history_row(update, before, changed_us, ts_us))
        if told_when == "repeated":
            return False
        # A correction of an older report, or of another source's, leaves the latest as it is.
        newest = changed_us == last.updated_us and (told_when == "new" or update.source == last.source)
    if told_when == "new":
        session.defer("insert_balance_history", _history_row(update, before, changed_us, ts_us))
    if newest:
        if update.balance is None:
            update = _completed(session, update)
        session.memory[key] = _Last(update.balance or _ZERO, changed_us, update.source)
        session.defer_latest(
            "upsert_balances",
            key,
            (
                account,
                asset,
                update.balance_text,
                update.hold_text,
                update.available_text,
                update.debt_text,
                update.told,
                update.source,
                changed_us,
                ts_us,
            ),
        )
    return True


def _completed(session: WriteSession, update: BalanceUpdate) -> BalanceUpdate:
    """Return a report that tells neither a total nor what is free with what is known beside.

    It says nothing of the parts it does not name, so they stay as they were; where no total was ever told it is at
    least what is held.
    """
    session.settle()
    row = session.one("latest_balance", (update.account, update.asset))
    balance, hold, free, debt = (update.hold_text or "0", None, None, None) if row is None else row[2:6]
    if update.hold_text is not None:
        hold, free = (
            update.hold_text,
            money_text(_subtract(Decimal(balance), Decimal(update.hold_text)), "available"),
        )
    debt = update.debt_text if update.debt_text is not None else debt
    return msgspec.structs.replace(
        update, balance_text=balance, hold_text=hold, available_text=free, debt_text=debt,
        **{name: None if text is None else Decimal(text) for name, text in
           {"balance": balance, "hold": hold, "available": free, "debt": debt}.items()},
    )  # fmt: skip


def _history_row(
    update: BalanceUpdate, before: Decimal | None, changed_us: int, ts_us: int
) -> tuple[Any, ...]:
    balance = update.balance
    change, percentage = (None, None) if before is None or balance is None else change_from(before, balance)
    return (
        update.account, update.asset, update.balance_text, update.hold_text, update.available_text, update.debt_text,
        update.told, change, percentage, update.reason, update.source, update.sync_status, update.reported, changed_us,
        update.exchange_us, ts_us,
    )  # fmt: skip


def _load_last(session: WriteSession, key: tuple[str, str, str]) -> _Last | None:
    row = session.one("last_balance", key[1:])
    return None if row is None else _Last(Decimal(row[0]), row[1], row[2])
