"""Books: the door to every question about an account's books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from hybridstore.books.lots import Lots, compute_account_lots
from hybridstore.hot.balances import DEFAULT_ACCOUNT, Moment

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics


class Books:
    """Questions about the books of a store, hot rows and archives together. Safe in several threads.

    Each question reads one moment of the store.

    Args:
        analytics: Where questions over all tiers are asked.
    """

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics

    def lots(
        self,
        *,
        account: str = DEFAULT_ACCOUNT,
        symbol: str | None = None,
        method: str | Iterable[str] = "FIFO",
        by_year: Mapping[int, str] | None = None,
        year: int | None = None,
        until: Moment | None = None,
        zone: str | tzinfo = UTC,
    ) -> Lots:
        """Compute which lots the account's sales disposed of, and what they gained.

        Args:
            account: Whose.
            symbol: Only this market.
            method: FIFO, LIFO, HIFO or AVERAGE, or several of them, each computed by itself.
            by_year: The methods of single calendar years, whatever the method of the others.
            year: Tell only the disposals of this calendar year, and the lots that were open at its end.
            until: Count fills executed until then, it included; None counts all.
            zone: Where calendar years begin and end: a tzinfo, or a name such as Europe/Berlin.

        Returns:
            Disposals, open lots and totals.

        Raises:
            InvalidValue: A method, year, moment or zone there is not, or a fill lots cannot be made from.
        """
        return compute_account_lots(
            self._analytics,
            account=account,
            symbol=symbol,
            method=method,
            by_year=by_year,
            year=year,
            until=until,
            zone=zone,
        )
