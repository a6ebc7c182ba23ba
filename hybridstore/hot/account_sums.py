"""What an account did so far: its days added up, of which only those that changed are read anew."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.activity import NONE, Activity, add_activity
from hybridstore.portfolio.money import ZERO

Sums = dict[str, Activity]
_DAYS = "days_of_account"


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

    Days that are over are added up beside the writer, when an account is asked for the first time, when a day begins,
    and when something was recorded late for an earlier day. In the transaction only the rows of the day are read, and
    all of them where what is remembered does not hold: it is checked against the table each time, whoever wrote.
    """

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}

    def prepare(self, database: DatabaseManager, account: str) -> None:
        """Add up the days that are over, so that no transaction has to. Safe in any thread.

        Args:
            database: The open store.
            account: Whose.
        """
        now_us = database.clock.now_us()
        today_us = now_us - now_us % DAY_US
        closed, sql = self._closed.get(account, _NOTHING), database.statements[_DAYS]
        if closed.until_us != today_us or _late(
            database.readers.rows(sql, (account, closed.until_us, closed.as_of_us)), closed
        ):
            over = [row for row in database.readers.rows(sql, (account, 0, 0)) if row[1] < today_us]
            as_of_us = max([row[2] for row in over], default=0)
            self._closed[account] = _Closed(today_us, as_of_us, _add_up({}, over))

    def read(self, session: WriteSession, account: str) -> Sums:
        """Add up all an account did.

        Args:
            session: The write transaction; what it had put off is written.
            account: Whose.

        Returns:
            Amounts by currency: net_flow, realized, funding and fees; the others are left at zero.
        """
        closed, sql = self._closed.get(account, _NOTHING), session.sql[_DAYS]
        rows: list[Any] = session.execute(sql, (account, closed.until_us, closed.as_of_us)).fetchall()
        if not _late(rows, closed):
            return _add_up(closed.sums, rows)
        return _add_up({}, session.execute(sql, (account, 0, 0)).fetchall())


def _late(rows: Iterable[Any], closed: _Closed) -> bool:
    return any(row[1] < closed.until_us for row in rows)


def _add_up(sums: Sums, rows: Iterable[Any]) -> Sums:
    result = dict(sums)
    for currency, _, _, *texts in rows:
        net_flow, realized, funding, fees = [ZERO if text == "0" else Decimal(text) for text in texts]
        result[currency] = add_activity(
            result.get(currency, NONE), Activity(net_flow, realized, funding, fees)
        )
    return result
