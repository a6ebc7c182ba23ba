"""Balances on their way in: what a source told of them, which parts of it, and what follows from those."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.schema.plain import check_json
from hybridstore.schema.types import EXACT, check_name, check_text, check_timestamp, money_text, to_decimal

DEFAULT_ACCOUNT = "default"
PARTS = {"total": "balance", "free": "available", "used": "hold_trade", "debt": "debt"}
"""What may be told of a balance, and the column it is stored in."""
_TOLD = tuple([" ".join([name for bit, name in enumerate(PARTS) if which >> bit & 1]) for which in range(16)])
"""The names of the parts told, by the sum of 1 for the first, 2 for the second, 4 and 8."""
_subtract, _add = EXACT.subtract, EXACT.add
_TUPLE_FIELDS = 10
Money = Decimal | int | str
Moment = datetime | str | int | float


class BalanceUpdate(msgspec.Struct, frozen=True, gc=False):
    """A checked balance on its way to the writer: Decimals to compute with, texts to store.

    The total is None where the source told neither a total nor what is free.
    """

    account: str
    asset: str
    balance: Decimal | None
    hold: Decimal | None
    available: Decimal | None
    debt: Decimal | None
    balance_text: str | None
    hold_text: str | None
    available_text: str | None
    debt_text: str | None
    told: str
    reason: str | None
    source: str
    sync_status: str | None
    reported: str | None
    changed_us: int | None
    exchange_us: int | None


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

    Which of the four parts a source told is kept as ``told``; what it did not tell is computed where it follows from
    the others, and is unknown otherwise.

    Args:
        asset: The asset.
        balance: Total held, in units of the asset; None where the source tells only parts of it: then it is what is
            available and held, and unknown where what is available is not told either.
        hold_trade: Held back for open orders; None where nobody tells: then it is what is not available of a total
            that was told, and unknown otherwise.
        source: Where the figure came from.
        account: Whose it is.
        reason: Why it changed.
        sync_status: What the caller says of its synchronisation.
        changed_at: The moment the figure is of; None means the commit's time.
        exchange_at: The exchange's own time.
        debt: Borrowed; None where unknown.
        available: What the source says is free; None computes it where it can be.
        reported: What else the source tells, as staked or interest, nulls and texts included: kept as it is.

    Returns:
        The checked update.

    Raises:
        InvalidValue: A value does not fit, or no part is told; it is named.
    """
    total = None if balance is None else to_decimal(balance, "balance")
    free = None if available is None else to_decimal(available, "available")
    hold = None if hold_trade is None else to_decimal(hold_trade, "hold_trade")
    owed = None if debt is None else to_decimal(debt, "debt")
    told = (total is not None) + 2 * (free is not None) + 4 * (hold is not None) + 8 * (owed is not None)
    if not told:
        raise InvalidValue(
            f"nothing is told of the balance of {asset!r}",
            hint="give balance, or one of available=, hold_trade= and debt= where the source tells no total",
        )
    if total is None:
        if free is not None:
            total = _add(free, hold) if hold else free
    elif free is None:
        free = None if hold is None else _subtract(total, hold) if hold else total
    elif hold is None:
        hold = _subtract(total, free)
    total_text = None if total is None else money_text(total, "balance")
    return BalanceUpdate(
        check_name(account, "account"),
        check_name(asset, "asset"),
        total,
        hold,
        free,
        owed,
        total_text,
        None if hold is None else money_text(hold, "hold_trade") if hold else "0",
        None if free is None else total_text if free is total else money_text(free, "available"),
        None if owed is None else money_text(owed, "debt"),
        _TOLD[told],
        None if reason is None else check_text(reason, "reason"),
        check_text(source, "source"),
        None if sync_status is None else check_text(sync_status, "sync_status"),
        None if reported is None else check_json(_plain(reported), "reported"),
        None if changed_at is None else check_timestamp(changed_at, "changed_at"),
        None if exchange_at is None else check_timestamp(exchange_at, "exchange_at"),
    )


def told_of(row: Mapping[str, Any]) -> dict[str, Decimal | None]:
    """Return what a source told of a balance.

    Args:
        row: A row of ``balance_history`` by column.

    Returns:
        total, free, used and debt as they were told; None where it told none, also where the column could be computed.
    """
    told = row["told"].split()
    return {name: Decimal(row[column]) if name in told else None for name, column in PARTS.items()}


def _plain(reported: Mapping[str, object]) -> dict[str, object]:
    """Amounts as everywhere: plain text, no exponent."""
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in reported.items()}


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
