"""Balances: the latest of each asset, answered in microseconds, and their history."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_history import change_from, settle_report
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.types import (
    EXACT,
    check_name,
    check_text,
    check_timestamp,
    moment,
    money_text,
    to_decimal,
)

DEFAULT_ACCOUNT = "default"
_subtract = EXACT.subtract
_TUPLE_FIELDS = 10
_ZERO = Decimal(0)
Money = Decimal | int | str
Moment = datetime | str | int | float


class Balance(Record, frozen=True, gc=False):
    """The latest balance of an asset.

    Attributes:
        account: Whose it is.
        asset: The asset.
        balance: Total held, in units of the asset.
        hold_trade: Held back for open orders.
        available: balance - hold_trade.
        debt: Borrowed; None where unknown.
        source: Where the figure came from.
        updated_at: The moment the figure is of, UTC.
        recorded_at: When the store took it, UTC.
    """

    account: str
    asset: str
    balance: Decimal
    hold_trade: Decimal
    available: Decimal
    debt: Decimal | None
    source: str
    updated_at: datetime
    recorded_at: datetime


class BalanceUpdate(msgspec.Struct, frozen=True, gc=False):
    """A checked balance on its way to the writer: Decimals to compute with, texts to store."""

    account: str
    asset: str
    balance: Decimal
    hold: Decimal
    available: Decimal
    debt: Decimal | None
    balance_text: str
    hold_text: str
    available_text: str
    debt_text: str | None
    reason: str | None
    source: str
    sync_status: str | None
    changed_us: int | None
    exchange_us: int | None


class _Last(msgspec.Struct, frozen=True, gc=False):
    balance: Decimal
    updated_us: int
    source: str


def prepare_balance(
    asset: str,
    balance: Money,
    hold_trade: Money = 0,
    source: str = "",
    *,
    account: str = DEFAULT_ACCOUNT,
    reason: str | None = None,
    sync_status: str | None = None,
    changed_at: Moment | None = None,
    exchange_at: Moment | None = None,
    debt: Money | None = None,
) -> BalanceUpdate:
    """Take a balance through the door.

    Args:
        asset: The asset.
        balance: Total held, in units of the asset.
        hold_trade: Held back for open orders.
        source: Where the figure came from.
        account: Whose it is.
        reason: Why it changed.
        sync_status: What the caller says of its synchronisation.
        changed_at: The moment the figure is of; None means the commit's time.
        exchange_at: The exchange's own time.
        debt: Borrowed.

    Returns:
        The checked update.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    total = to_decimal(balance, "balance")
    total_text = money_text(total, "balance")
    hold = to_decimal(hold_trade, "hold_trade")
    if hold:
        hold_text = money_text(hold, "hold_trade")
        available = _subtract(total, hold)
        available_text = money_text(available, "available")
    else:
        hold, hold_text, available, available_text = _ZERO, "0", total, total_text
    owed = None if debt is None else to_decimal(debt, "debt")
    return BalanceUpdate(
        check_name(account, "account"),
        check_name(asset, "asset"),
        total,
        hold,
        available,
        owed,
        total_text,
        hold_text,
        available_text,
        None if owed is None else money_text(owed, "debt"),
        None if reason is None else check_text(reason, "reason"),
        check_text(source, "source"),
        None if sync_status is None else check_text(sync_status, "sync_status"),
        None if changed_at is None else check_timestamp(changed_at, "changed_at"),
        None if exchange_at is None else check_timestamp(exchange_at, "exchange_at"),
    )


def prepare_balances(rows: Iterable[object], account: str = DEFAULT_ACCOUNT) -> list[BalanceUpdate]:
    """Take many balances through the door.

    Args:
        rows: Each a tuple (asset, balance, hold, source, reason, timestamp, readable, change, percentage, status), or
            a mapping or record with the arguments of :func:`prepare_balance`. Of a tuple, ``readable``, ``change``
            and ``percentage`` are computed anew: the store's own figures are the ones that add up.
        account: Whose they are, for tuples.

    Returns:
        The checked updates, in order.

    Raises:
        InvalidValue: A value does not fit; row number and value are named, and nothing was written.
    """
    updates: list[BalanceUpdate] = []
    for number, row in enumerate(rows):
        try:
            updates.append(_prepare_row(row, account))
        except InvalidValue as error:
            raise InvalidValue(
                error.message,
                operation=f"row {number} of the batch",
                hint=error.hint or "nothing of the batch was written",
            ) from error
    return updates


def _prepare_row(row: Any, account: str) -> BalanceUpdate:
    if isinstance(row, tuple):
        if len(row) != _TUPLE_FIELDS:
            raise InvalidValue(
                f"a balance tuple has {_TUPLE_FIELDS} fields, this one {len(row)}: {row!r}",
                hint="(asset, balance, hold, source, reason, timestamp, readable, change, percentage, status)",
            )
        asset, balance, hold, source, reason, timestamp, _, _, _, status = row
        return prepare_balance(
            asset,
            balance,
            hold,
            source,
            account=account,
            reason=reason,
            changed_at=timestamp,
            sync_status=status,
        )
    try:
        arguments = {"account": account, **dict(row)}
    except (TypeError, ValueError):
        raise InvalidValue(f"{row!r} is neither a tuple nor a record", hint="see prepare_balances") from None
    wrong = [name for name in arguments if name not in _ARGUMENTS]
    if wrong or not {"asset", "balance"} <= arguments.keys():
        raise InvalidValue(
            f"{row!r} has {'no asset and balance' if not wrong else f'{wrong[0]!r}, which is no argument'}",
            hint=f"give {', '.join(_ARGUMENTS)}",
        )
    return prepare_balance(**arguments)


_ARGUMENTS = tuple(inspect.signature(prepare_balance).parameters)


@touches("balances", "balance_history")
def write_balance(session: WriteSession, update: BalanceUpdate) -> Balance:
    """Append a balance to the history, unless it is known, and make it the latest, unless a later one is.

    Args:
        session: The write transaction.
        update: The checked balance.

    Returns:
        The balance as recorded.
    """
    _record(session, update)
    changed_us = update.changed_us
    return Balance(
        update.account,
        update.asset,
        update.balance,
        update.hold,
        update.available,
        update.debt,
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
    account, asset, total = update.account, update.asset, update.balance
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
        session.memory[key] = _Last(total, changed_us, update.source)
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
                update.source,
                changed_us,
                ts_us,
            ),
        )
    return True


def _history_row(
    update: BalanceUpdate, before: Decimal | None, changed_us: int, ts_us: int
) -> tuple[Any, ...]:
    change, percentage = (None, None) if before is None else change_from(before, update.balance)
    return (
        update.account, update.asset, update.balance_text, update.hold_text, update.available_text, change,
        percentage, update.reason, update.source, update.sync_status, changed_us, update.exchange_us, ts_us,
    )  # fmt: skip


def _load_last(session: WriteSession, key: tuple[str, str, str]) -> _Last | None:
    row = session.one("last_balance", key[1:])
    return None if row is None else _Last(Decimal(row[0]), row[1], row[2])
