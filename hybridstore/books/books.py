"""Books: the door to every question about an account's books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from hybridstore.books.attribution import Attribution, Partition, attribute
from hybridstore.books.lots import Lots, compute_account_lots
from hybridstore.books.performance import SNAPSHOTS, Benchmark, Performance, Source, measure
from hybridstore.books.portfolio import EquityAt, Portfolio, equity, portfolio
from hybridstore.books.position_at import PositionAt
from hybridstore.books.positions import positions
from hybridstore.books.prices import PRICE_AGE_MAX_S
from hybridstore.books.proof import BooksProof, prove_account
from hybridstore.books.reconciliation import LAG_S, reconcile_account
from hybridstore.books.trades import Trades, measure_trades
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.books.reconciled import Reconciliation


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

    def reconcile(
        self,
        account: str = DEFAULT_ACCOUNT,
        *,
        asset: str | None = None,
        opening: Mapping[str, Money] | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        lag_s: float = LAG_S,
    ) -> Reconciliation:
        """Compare the ledger with every balance the exchange reported; say where and why they part.

        Args:
            account: Whose.
            asset: Tell only of this asset; its gaps are explained together with those of all others.
            opening: What each asset's balance was before the first entry, or at ``start``; one that is not named had
                none. None takes zero where that explains the first reports, and else the first report.
            start: Compare reports from then on; None means all.
            end: Compare entries and reports before then; None means all.
            lag_s: How far the moment of a report may be from that of the entries it includes, seconds.

        Returns:
            What agrees, what parts, and what probably happened.

        Raises:
            InvalidValue: A name, moment or amount does not fit.
        """
        return reconcile_account(
            self._analytics,
            account,
            asset=asset,
            opening=opening,
            start=start,
            end=end,
            lag_s=lag_s,
        )

    def positions(
        self,
        account: str | None = None,
        *,
        at: Moment | None = None,
        symbol: str | None = None,
        status: str = "open",
        prices: Mapping[str, Money] | None = None,
        max_price_age_s: float | None = PRICE_AGE_MAX_S,
    ) -> tuple[PositionAt, ...]:
        """Return positions as they are, or as they were at a moment.

        Args:
            account: Whose; None means all accounts.
            at: As of this moment, what happened at it included; None means now.
            symbol: Only this market.
            status: ``open``, or ``all`` for closed ones as well, archived ones included.
            prices: Prices by symbol that come before all others.
            max_price_age_s: How old a price may be at a moment of the past, s; None means any age. Marks of now count
                at any age.

        Returns:
            Positions in the order they were opened, with their profit at the price of the moment. One without a price
            has no unrealised profit; it is None, not zero.

        Raises:
            InvalidValue: A value does not fit; it is named.
        """
        return positions(
            self._analytics,
            account,
            at=at,
            symbol=symbol,
            status=status,
            prices=prices,
            max_price_age_s=max_price_age_s,
        )

    def portfolio(
        self,
        account: str = DEFAULT_ACCOUNT,
        base_currency: str = "USDT",
        *,
        at: Moment | None = None,
        source: str = "reported",
        prices: Mapping[str, Money] | None = None,
        max_price_age_s: float | None = PRICE_AGE_MAX_S,
    ) -> Portfolio:
        """Return what an account is worth, or was worth at a moment.

        Args:
            account: Whose.
            base_currency: What to price everything in.
            at: As of this moment, what happened at it included; None means now.
            source: Where balances come from: ``reported`` by the exchange, or ``booked``, the sum of the ledger.
            prices: Prices that come before all others, by symbol, or by asset in the base currency.
            max_price_age_s: How old a price may be at a moment of the past, s; None means any age. Marks of now count
                at any age.

        Returns:
            The portfolio. What has no price is named in ``unpriced`` and is in no sum; ``.exposure()`` tells what it
            depends on.

        Raises:
            InvalidValue: A value does not fit; it is named.
        """
        return portfolio(
            self._analytics,
            account,
            base_currency,
            at=at,
            source=source,
            prices=prices,
            max_price_age_s=max_price_age_s,
        )

    def performance(
        self,
        account: str = DEFAULT_ACCOUNT,
        base_currency: str = "USDT",
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        benchmark: Benchmark = None,
        risk_free: float = 0.0,
        source: Source = SNAPSHOTS,
    ) -> Performance:
        """Measure how an account did, from its equity; deposits and withdrawals are taken out.

        Args:
            account: Whose.
            base_currency: What its snapshots are priced in.
            start: Only from this moment on; None means the first snapshot.
            end: Only up to this moment; None means the last.
            benchmark: A symbol of which there are candles, or a basket of several with their weights, bought once at
                the start and held; None compares with nothing.
            risk_free: Rate a year: 0.02 is two per cent.
            source: Where equity comes from: ``snapshots`` that were taken, or where there are none each midnight by
                what the ledger adds up to (``booked``) or the exchange told (``reported``), positions from their
                events, at prices of candles, fills, trades and marks.

        Returns:
            Every figure with its definition, exact sums of money, and the returns day by day.

        Raises:
            NotFound: There are not two snapshots to compare, or no candles of the benchmark.
            InvalidValue: A weight, rate or moment is none.
        """
        with self._analytics.snapshot() as snapshot:
            return measure(
                snapshot,
                account,
                base_currency,
                start=start,
                end=end,
                benchmark=benchmark,
                risk_free=risk_free,
                source=source,
            )

    def attribution(
        self,
        account: str = DEFAULT_ACCOUNT,
        base_currency: str = "USDT",
        *,
        by: Partition = "symbol",
        start: Moment | None = None,
        end: Moment | None = None,
        benchmark: Benchmark = None,
        risk_free: float = 0.0,
        source: Source = SNAPSHOTS,
    ) -> Attribution:
        """Measure which part of what an account made came from which market, strategy or bot.

        Args:
            account: Whose.
            base_currency: What its snapshots are priced in.
            by: What the parts are: ``symbol``, ``strategy`` or ``bot``.
            start: Only from this moment on; None means the first snapshot.
            end: Only up to this moment; None means the last.
            benchmark: As in :meth:`performance`; what the parts' daily shares are compared with.
            risk_free: Rate a year: 0.02 is two per cent.
            source: As in :meth:`performance`.

        Returns:
            What each part made, exact, with every figure of its daily shares of the account's equity, and the rest that
            no position explains.

        Raises:
            NotFound: There are not two snapshots to compare, or no candles of the benchmark.
            InvalidValue: A weight, rate, moment or dimension is none.
        """
        with self._analytics.snapshot() as snapshot:
            return attribute(
                snapshot,
                account,
                base_currency,
                by=by,
                start=start,
                end=end,
                benchmark=benchmark,
                risk_free=risk_free,
                source=source,
            )

    def trades(
        self,
        account: str = DEFAULT_ACCOUNT,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Trades:
        """Measure how closed trades did: positions, from their first fill to their last.

        Args:
            account: Whose.
            start: Closed after this moment; None means ever since.
            end: Closed up to this moment; None means until now.

        Returns:
            Win rate, profit factor, expectancy, holding time, streaks, excursions, slippage and the like, of all trades
            and by symbol, strategy, bot, exchange, side and hour.

        Raises:
            InvalidValue: A moment is none.
        """
        with self._analytics.snapshot() as snapshot:
            return measure_trades(snapshot, account, start=start, end=end)

    def equity(
        self,
        moments: Iterable[Moment],
        account: str = DEFAULT_ACCOUNT,
        base_currency: str = "USDT",
        *,
        source: str = "reported",
        prices: Mapping[str, Money] | None = None,
        max_price_age_s: float | None = PRICE_AGE_MAX_S,
    ) -> tuple[EquityAt, ...]:
        """Return what an account was worth at many moments; the store is read once for all of them.

        Args:
            moments: The moments, in any order.
            account: Whose.
            base_currency: What to price everything in.
            source: Where balances come from: ``reported`` by the exchange, or ``booked``, the sum of the ledger.
            prices: Prices that come before all others, at every moment, by symbol, or by asset in the base currency.
            max_price_age_s: How old a price may be, s; None means any age.

        Returns:
            One value a moment, in the order of the moments, each what :meth:`portfolio` tells of that moment.

        Raises:
            InvalidValue: A value does not fit; it is named.
        """
        return equity(
            self._analytics,
            moments,
            account,
            base_currency,
            source=source,
            prices=prices,
            max_price_age_s=max_price_age_s,
        )

    def prove(self, account: str = DEFAULT_ACCOUNT) -> BooksProof:
        """Prove the books: every sum, every figure against its cause, and for each asset the identity without a price.

        Args:
            account: Whose.

        Returns:
            The terms of every asset, and what does not hold.

        Raises:
            InvalidValue: The name does not fit.
            NotFound: The beginning of the books was deleted by policy.
        """
        return prove_account(self._analytics, account)
