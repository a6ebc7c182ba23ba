"""What an account did so far: its days added up, of which only those that changed are read anew."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.clock import DAY_US
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.activity import NONE, Activity, add_activity
from hybridstore.portfolio.money import ZERO

Sums = dict[str, Activity]


class _Closed(NamedTuple):
    """Days that were over, added up.

    Attributes:
        until_us: Their end, us UTC.
        as_of_us: When the row of them that changed last was recorded. A commit's time is larger than that of every
            commit before, so none changed since unless one was recorded later.
        sums: By currency.
    """

    until_us: int
    as_of_us: int
    sums: Sums


_NOTHING = _Closed(0, 0, {})


class AccountSums:
    """Adds up ``portfolio_daily``, by account and currency.

    Every row is read when an account is asked for the first time, when a day begins, and when something was recorded
    late for an earlier day; at other times only the rows of the day. What is remembered is checked against the table
    each time, so it holds whoever wrote meanwhile and whatever was rolled back.
    """

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}

    def read(self, session: WriteSession, account: str) -> Sums:
        """Add up all an account did.

        Args:
            session: The write transaction; what it had put off is written.
            account: Whose.

        Returns:
            Amounts by currency: net_flow, realized, funding and fees; the others are left at zero.
        """
        today_us = session.ts_us - session.ts_us % DAY_US
        closed = self._closed.get(account, _NOTHING)
        rows = _rows(session, account, closed)
        if closed.until_us != today_us or any(row[1] < closed.until_us for row in rows):
            rows = _rows(session, account, _NOTHING)
            over = [row for row in rows if row[1] < today_us]
            closed = _Closed(today_us, max([row[2] for row in over], default=0), _add_up({}, over))
            if closed.as_of_us < session.ts_us:  # what this transaction itself wrote may be taken back
                self._closed[account] = closed
            rows = [row for row in rows if row[1] >= today_us]
        return _add_up(closed.sums, rows)


def _rows(session: WriteSession, account: str, closed: _Closed) -> list[Any]:
    asked = (account, closed.until_us, closed.as_of_us)
    rows: list[Any] = session.execute(session.sql["days_of_account"], asked).fetchall()
    return rows


def _add_up(sums: Sums, rows: list[Any]) -> Sums:
    result = dict(sums)
    for currency, _, _, *texts in rows:
        net_flow, realized, funding, fees = [ZERO if text == "0" else Decimal(text) for text in texts]
        result[currency] = add_activity(
            result.get(currency, NONE), Activity(net_flow, realized, funding, fees)
        )
    return result
