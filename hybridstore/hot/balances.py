"""Balances: the latest of each asset, answered in microseconds, and their history."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_history import change_from, settle_report
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.plain import check_json
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
        hold_trade: Held back for open orders; None where unknown.
        available: As it was told, else balance - hold_trade; None where unknown.
        debt: Borrowed; None where unknown.
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
    source: str
    updated_at: datetime
    recorded_at: datetime


class BalanceUpdate(msgspec.Struct, frozen=True, gc=False):
    """A checked balance on its way to the writer: Decimals to compute with, texts to store."""

    account: str
    asset: str
    balance: Decimal
    hold: Decimal | None
    available: Decimal | None
    debt: Decimal | None
    balance_text: str
    hold_text: str | None
    available_text: str | None
    debt_text: str | None
    reason: str | None
    source: str
    sync_status: str | None
    reported: str | None
    changed_us: int | None
    exchange_us: int | None


class _Last(msgspec.Struct, frozen=True, gc=False):
    balance: Decimal
    updated_us: int
    source: str


def prepare_balance(
    asset: str,
    balance: Money | None,
    hold_trade: Money | None = 0,
    source: str = "",
    *,
    account: str = DEFAULT_ACCOUNT,
    reason: str | None = None,
    sync_status: str | None = None,
    changed_at: Moment | None = None,
    exchange_at: Moment | None = None,
    debt: Money | None = None,
    available: Money | None = None,
    reported: Mapping[str, object] | None = None,
) -> BalanceUpdate:
    """Take a balance through the door.

    Args:
        asset: The asset.
        balance: Total held, in units of the asset; None where the source tells only parts of it: then what is
            available and held counts, and ``reported`` says that no total was told.
        hold_trade: Held back for open orders; None where nobody tells: then it is what is not available, and unknown
            where that is not told either.
        source: Where the figure came from.
        account: Whose it is.
        reason: Why it changed.
        sync_status: What the caller says of its synchronisation.
        changed_at: The moment the figure is of; None means the commit's time.
        exchange_at: The exchange's own time.
        debt: Borrowed; None where unknown.
        available: What the source says is free; None computes it where it can be.
        reported: What else the source tells, as staked or interest: kept as it is.

    Returns:
        The checked update.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    if balance is None:
        balance, reported = _from_parts(asset, available, hold_trade, debt, reported)
    total = to_decimal(balance, "balance")
    total_text = money_text(total, "balance")
    hold = None if hold_trade is None else to_decimal(hold_trade, "hold_trade")
    if hold is None and available is not None and not _is_partial(reported):
        hold = _subtract(total, to_decimal(available, "available"))
        reported = {"used": None, **(reported or {})}
    hold_text = None if hold is None else money_text(hold, "hold_trade") if hold else "0"
    free: Decimal | None = None
    free_text: str | None = None
    if available is not None:
        free = to_decimal(available, "available")
        free_text = money_text(free, "available")
    elif hold:
        free = _subtract(total, hold)
        free_text = money_text(free, "available")
    elif hold is not None:
        free, free_text = total, total_text
    owed = None if debt is None else to_decimal(debt, "debt")
    return BalanceUpdate(
        check_name(account, "account"),
        check_name(asset, "asset"),
        total,
        hold,
        free,
        owed,
        total_text,
        hold_text,
        free_text,
        None if owed is None else money_text(owed, "debt"),
        None if reason is None else check_text(reason, "reason"),
        check_text(source, "source"),
        None if sync_status is None else check_text(sync_status, "sync_status"),
        None if reported is None else check_json(_plain(reported), "reported"),
        None if changed_at is None else check_timestamp(changed_at, "changed_at"),
        None if exchange_at is None else check_timestamp(exchange_at, "exchange_at"),
    )


def _from_parts(
    asset: str,
    available: Money | None,
    hold_trade: Money | None,
    debt: Money | None,
    reported: Mapping[str, object] | None,
) -> tuple[Decimal, Mapping[str, object]]:
    """Return what there is at least, and what the source told of it."""
    parts = {"free": available, "used": hold_trade, "debt": debt}
    told = {name: None if part is None else to_decimal(part, name) for name, part in parts.items()}
    known = [part for part in (told["free"], told["used"]) if part is not None]
    if told["free"] is None:
        raise InvalidValue(
            f"balance=None of {asset!r}: neither a total nor what is available",
            hint="give balance, or available where the source tells no total",
        )
    total = known[0] if len(known) == 1 else EXACT.add(known[0], known[1])
    return total, {
        "total": None,
        **{name: None if part is None else money_text(part, name) for name, part in told.items()},
        **(reported or {}),
    }


def told_of(row: Mapping[str, Any]) -> dict[str, Decimal | None]:
    """Return what a source told of a balance.

    Args:
        row: A row of ``balance_history`` by column.

    Returns:
        total, free, used and debt; None where it told none. ``free`` is there, too, where it follows from the others.
    """
    names = {"total": "balance", "free": "available", "used": "hold_trade", "debt": "debt"}
    reported = row["reported"]
    told = (msgspec.json.decode(reported) if isinstance(reported, str) else reported) or {}
    values = {name: told.get(name, row[column]) for name, column in names.items()}
    return {name: None if value is None else Decimal(value) for name, value in values.items()}


def _plain(reported: Mapping[str, object]) -> dict[str, object]:
    """Amounts as everywhere: plain text, no exponent."""
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in reported.items()}


def _is_partial(reported: Mapping[str, object] | None) -> bool:
    return reported is not None and reported.get("total", "") is None


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
        update.account, update.asset, update.balance_text, update.hold_text, update.available_text, update.debt_text,
        change, percentage, update.reason, update.source, update.sync_status, update.reported, changed_us,
        update.exchange_us, ts_us,
    )  # fmt: skip


def _load_last(session: WriteSession, key: tuple[str, str, str]) -> _Last | None:
    row = session.one("last_balance", key[1:])
    return None if row is None else _Last(Decimal(row[0]), row[1], row[2])
