"""The report of one account of a store: what it did, what it has, and whether the store is as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from hybridstore.books.performance import Performance
from hybridstore.portfolio.money import add
from hybridstore.reports.collect import check_books, collect_books, collect_tiers
from hybridstore.reports.data import Check, EquityPoint, ReportData

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.database import DatabaseManager
    from hybridstore.portfolio.summary import PortfolioSummary


def report_account(
    snapshot: Snapshot,
    database: DatabaseManager,
    summary: PortfolioSummary,
    performance: Performance | None,
    hot_rows: Mapping[str, int],
    made_at: datetime,
) -> ReportData:
    """Collect what the report of an account tells.

    Args:
        snapshot: The moment to read.
        database: The open store.
        summary: The account's value.
        performance: How it did; None where there are no two snapshots yet.
        hot_rows: Rows of each dataset in the hot store, by name.
        made_at: When the report is made.

    Returns:
        What it tells.
    """
    # By day, however many snapshots there are.
    books = collect_books(snapshot, summary, equity=() if performance is None else _by_day(performance))
    checks = [*check_books(books, summary, of_all_time=False)]
    if performance is not None:
        missing = performance.days_without_snapshot
        finding = f"{len(performance.days):,} days, {missing:,} of them without a snapshot"
        checks.append(Check("Every day has a snapshot of the equity", finding, passed=not missing))
    return ReportData(
        title=f"{summary.account}: performance report",
        source="what the bots of this store recorded",
        account=summary.account,
        base_currency=summary.base_currency,
        generated_at=made_at,
        equity=books.equity,
        symbols=books.symbols,
        positions=books.positions,
        balances=books.balances,
        tiers=collect_tiers(database, hot_rows),
        checks=tuple(checks),
        performance=performance,
    )


def _by_day(performance: Performance) -> tuple[EquityPoint, ...]:
    first = datetime.combine(performance.start, time(), UTC)
    peak = performance.start_equity
    points = [EquityPoint(first, peak, peak)]
    for day in performance.days:
        peak = max(add(peak, day.net_flow), day.equity)
        moment = datetime.combine(day.day, time(), UTC) + timedelta(days=1)
        points.append(EquityPoint(moment, day.equity, peak, day.net_flow))
    return tuple(points)
