"""The report of one account of a store: what it did, what it has, and whether the store is as it should be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from hybridstore.backup.repository import Repository
from hybridstore.backup.status import backup_status
from hybridstore.books.attribution import PARTITIONS, attribute_performance
from hybridstore.books.performance import COMPARING, SNAPSHOTS, Benchmark, Performance, Source, measure
from hybridstore.books.trades import measure_trades
from hybridstore.config import BackupConfig
from hybridstore.errors import NotFound
from hybridstore.hot.desk import Desk
from hybridstore.portfolio.money import add
from hybridstore.reports.collect import check_books, collect_books, collect_tiers
from hybridstore.reports.data import Check, EquityPoint, ReportData
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.hot.database import DatabaseManager


def report_account(
    database: DatabaseManager,
    analytics: Analytics,
    account: str,
    base_currency: str,
    *,
    benchmark: Benchmark = None,
    risk_free: float = 0.0,
    source: Source = SNAPSHOTS,
    is_scheduled: bool = False,
    backup: BackupConfig | None = None,
) -> ReportData:
    """Collect what the report of an account tells.

    Args:
        database: The open store.
        analytics: Questions over its tiers.
        account: Whose.
        base_currency: What its snapshots are priced in.
        benchmark: What it is compared with; None: nothing.
        risk_free: Rate a year.
        source: Where equity comes from, see :meth:`hybridstore.books.books.Books.performance`.
        is_scheduled: Whether a benchmark without candles is left out instead of being an error.
        backup: Settings of the backups; None: nothing is said of them.

    Returns:
        What it tells.

    Raises:
        NotFound: There are no candles of the benchmark.
        InvalidValue: A weight or rate is none.
    """
    summary = Desk(database).get_portfolio_summary(account, base_currency)
    with analytics.snapshot() as snapshot:
        measured = partial(measure, snapshot, account, base_currency, risk_free=risk_free, source=source)
        found = _measure(measured, benchmark, is_scheduled=is_scheduled)
        # By day, however many snapshots there are.
        curve = () if found is None else _by_day(found)
        books = collect_books(snapshot, summary, equity=curve, with_market=False)
        attribution = () if found is None else attribute_performance(snapshot, found, PARTITIONS)
        trades = measure_trades(snapshot, account)
    checks = [
        *check_books(books, summary, of_all_time=False),
        *_check_days(found),
        *_check_backups(database, backup),
    ]
    return ReportData(
        title=f"{account}: performance report",
        source="what the bots of this store recorded",
        account=account,
        base_currency=base_currency,
        generated_at=moment(database.clock.now_us()),
        equity=books.equity,
        symbols=books.symbols,
        positions=books.positions,
        balances=books.balances,
        tiers=collect_tiers(database),
        checks=tuple(checks),
        performance=found,
        attribution=attribution,
        trades=trades,
    )


def _measure(
    measured: Callable[..., Performance], benchmark: Benchmark, *, is_scheduled: bool
) -> Performance | None:
    """Return how the account did; None where there are no two snapshots."""
    try:
        return measured(benchmark=benchmark)
    except NotFound as error:
        if benchmark and not is_scheduled:
            raise
        if error.operation != COMPARING:
            return None
    return measured()


def _by_day(performance: Performance) -> tuple[EquityPoint, ...]:
    first = datetime.combine(performance.start, time(), UTC)
    peak = performance.start_equity
    points = [EquityPoint(first, peak, peak)]
    for day in performance.days:
        peak = max(add(peak, day.net_flow), day.equity)
        at = datetime.combine(day.day, time(), UTC) + timedelta(days=1)
        points.append(EquityPoint(at, day.equity, peak, day.net_flow))
    return tuple(points)


def _check_days(found: Performance | None) -> list[Check]:
    if found is None:
        return []
    missing = found.days_without_snapshot
    finding = f"{len(found.days):,} days, {missing:,} of them without a snapshot"
    return [Check("Every day has a snapshot of the equity", finding, passed=not missing)]


def _check_backups(database: DatabaseManager, backup: BackupConfig | None) -> list[Check]:
    if backup is None or backup.mode == "off":
        return []
    with database.readers.transaction() as transaction:
        seq = transaction.rows(database.statements["commit_position"])[0][0]
    found = backup_status(Repository(backup.base(database.root)), database.clock.now_us(), seq)
    proven = found["last_proven_restore"] or "never"
    finding = found["warning"] or f"safe until {found['safe_until']}, last restore proven {proven}"
    return [Check("Everything is backed up", finding, passed=found["warning"] is None)]
