"""Sums by hour and day, kept in the transaction that changes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hybridstore.clock import DAY_US
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.activity import NONE, Activity, add_activity
from hybridstore.schema.types import money_text

_HOUR_US = DAY_US // 24
PERIODS = (("portfolio_hourly", _HOUR_US), ("portfolio_daily", DAY_US))
"""Datasets and the length of their periods, us."""
_AMOUNTS = Activity._fields[:-1]
_EQUITY = ("equity_open", "equity_high", "equity_low", "equity_close")
Equity = tuple[Decimal, Decimal, Decimal, Decimal]


class Period:
    """A row of an hour or a day, as the writer remembers it.

    Attributes:
        account, currency, start_us: Its key.
        equity: First, highest, lowest and last; None where none was taken.
        activity: Sums of what was done.
    """

    __slots__ = ("account", "activity", "currency", "equity", "start_us")

    def __init__(self, account: str, currency: str, start_us: int) -> None:
        self.account = account
        self.currency = currency
        self.start_us = start_us
        self.equity: Equity | None = None
        self.activity = NONE


def note_activity(
    session: WriteSession, account: str, currency: str, moment_us: int, activity: Activity
) -> None:
    """Add what was done to the sums of its hour and its day.

    Args:
        session: The write transaction.
        account: Whose.
        currency: What the amounts are in.
        moment_us: When it was done, us UTC.
        activity: The amounts; what :func:`hybridstore.portfolio.activity.undo_activity` returns takes some back.
    """
    for name, length_us in PERIODS:
        period = period_of(session, name, account, currency, moment_us - moment_us % length_us)
        period.activity = add_activity(period.activity, activity)


def period_of(session: WriteSession, name: str, account: str, currency: str, start_us: int) -> Period:
    """Return the row of a period to change it; it is written at the end of the transaction.

    Args:
        session: The write transaction.
        name: portfolio_hourly or portfolio_daily.
        account: Whose.
        currency: What its amounts are in.
        start_us: Its start, us UTC.

    Returns:
        The row as it is now.
    """
    key = (name, account, currency, start_us)
    period: Period | None = session.memory.get(key)
    if period is None:
        period = Period(account, currency, start_us)
        row = session.one(f"find_{name}", key[1:])
        if row is not None:
            equity, (net_flow, realized, funding, fees, other, volume) = row[3:7], map(Decimal, row[7:13])
            if equity[0] is not None:
                period.equity = (
                    Decimal(equity[0]),
                    Decimal(equity[1]),
                    Decimal(equity[2]),
                    Decimal(equity[3]),
                )
            period.activity = Activity(net_flow, realized, funding, fees, other, volume, row[13])
        session.memory[key] = period
    session.defer_state(f"upsert_{name}", key, period, _encode)
    return period


def _encode(period: Period, ts_us: int) -> tuple[Any, ...]:
    *amounts, count = period.activity
    equity = (
        (None,) * len(_EQUITY)
        if period.equity is None
        else tuple([money_text(value, name) for value, name in zip(period.equity, _EQUITY, strict=True)])
    )
    texts = [money_text(amount, name) for amount, name in zip(amounts, _AMOUNTS, strict=True)]
    return (period.account, period.currency, period.start_us, *equity, *texts, count, ts_us)
