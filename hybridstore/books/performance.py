"""How an account did, with deposits and withdrawals taken out, and beside a benchmark."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from hybridstore.books.figures import DAYS_A_YEAR, OBSERVATIONS_MIN, Measured, measured
from hybridstore.books.returns import (
    STATEMENTS,
    Bin,
    Drawdown,
    Returns,
    Rolling,
    distribution_of,
    drawdowns_of,
    figures_of,
    rolling_of,
)
from hybridstore.books.worth import daily_worth
from hybridstore.errors import InvalidValue, NotFound
from hybridstore.portfolio.money import add, subtract, total
from hybridstore.records import Record
from hybridstore.schema.types import check_timestamp, moment

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

_FIRST = datetime(1970, 1, 2, tzinfo=UTC)
_RATE_MAX = 10.0
COMPARING = "compare with a benchmark"
"""What failed where an error says that there is nothing to compare with."""
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
Source = Literal["snapshots", "booked", "reported"]
SOURCES: tuple[str, ...] = get_args(Source)
SNAPSHOTS: Source = "snapshots"
Benchmark = str | Mapping[str, float] | None


class Day(Record, frozen=True, gc=False):
    """One day of an account, UTC.

    Attributes:
        day: Which.
        ret: Its return, deposits and withdrawals taken out.
        equity: What the account was worth at its end, in the base currency.
        net_flow: Deposits less withdrawals of the day.
        benchmark: The benchmark's return; None where it has none.
    """

    day: date
    ret: float
    equity: Decimal
    net_flow: Decimal
    benchmark: float | None


class Performance(Record, frozen=True, gc=False):
    """How an account did over some days.

    Attributes:
        account: Whose.
        base_currency: What it is priced in.
        start: First day.
        end: Last day.
        since: When the first snapshot was taken.
        until: When the last was.
        start_equity: What it was worth before the first day.
        end_equity: What it was worth at the end of the last.
        net_flow: Deposits less withdrawals between, exact.
        profit: end_equity - start_equity - net_flow, exact.
        benchmark: What it is compared with, in words; None: nothing.
        risk_free: Rate a year.
        annualisation: Days a year.
        days_without_snapshot: Days of which nothing is known; their return counts on the next day that has a snapshot.
        undefined_steps: Steps from an equity of nothing or less, which have no return.
        figures: Every figure with its definition.
        days: Day by day.
        drawdowns: The ten deepest times below the highest value before.
        rolling: Figures of the 90 days up to each day.
        distribution: Days by their return.
    """

    account: str
    base_currency: str
    start: date
    end: date
    since: datetime
    until: datetime
    start_equity: Decimal
    end_equity: Decimal
    net_flow: Decimal
    profit: Decimal
    benchmark: str | None
    risk_free: float
    annualisation: int
    days_without_snapshot: int
    undefined_steps: int
    figures: tuple[Measured, ...]
    days: tuple[Day, ...]
    drawdowns: tuple[Drawdown, ...]
    rolling: tuple[Rolling, ...]
    distribution: tuple[Bin, ...]

    def metrics(self) -> list[dict[str, object]]:
        """Return the figures as rows of the dataset ``performance_metrics``, each with the version of its definition.

        Returns:
            What ``store.insert("performance_metrics", ...)`` takes: told again they are repeated or corrected.
        """
        return [
            {
                "scope": self.account,
                "period": f"{self.start}/{self.end}",
                "benchmark": self.benchmark or "-",
                "metric": one.figure.name,
                "definition": one.figure.label,
                "value": one.value,
                "annualisation": self.annualisation if one.figure.is_annualised else None,
                "risk_free": self.risk_free,
                "observations": one.observations,
            }
            for one in self.figures
            if self.benchmark or not one.figure.compares
        ]

    def value(self, name: str) -> float | None:
        """Return the value of a figure.

        Args:
            name: Its name, for example ``sharpe``.

        Raises:
            NotFound: There is no such figure.
        """
        found = {one.figure.name: one.value for one in self.figures}
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            raise NotFound(
                f"there is no figure {name!r}", hint=f"did you mean {near[0]}?" if near else ", ".join(found)
            )
        return found[name]


def measure(
    snapshot: Snapshot,
    account: str,
    base_currency: str,
    *,
    start: object = None,
    end: object = None,
    benchmark: Benchmark = None,
    risk_free: float = 0.0,
    source: Source = SNAPSHOTS,
    observations_min: int = OBSERVATIONS_MIN,
) -> Performance:
    """Measure how an account did, from its equity.

    Args:
        snapshot: The moment to ask.
        account: Whose.
        base_currency: What its snapshots are priced in.
        start: Only from this moment on; None means the first snapshot.
        end: Only up to this moment; None means the last.
        benchmark: A symbol of which there are candles, or a basket of several with their weights, bought once at the
            start and held; None compares with nothing.
        risk_free: Rate a year: 0.02 is two per cent.
        source: Where equity comes from, see :meth:`hybridstore.books.books.Books.performance`.
        observations_min: Days from which on a figure is told as of a year.

    Returns:
        What it did.

    Raises:
        NotFound: There are not two snapshots to compare, or no candles of the benchmark.
        InvalidValue: A weight, rate or moment is none.
    """
    if not -1 < risk_free < _RATE_MAX:
        raise InvalidValue(f"risk_free={risk_free!r}", hint="a rate a year: 0.02 is two per cent")
    since, until = span(start, end)
    rows = _account_days(snapshot, account, base_currency, source, (since, until))
    compared = _benchmark_days(snapshot, benchmark, rows[0][0], rows[-1][0])
    days = tuple(Day(day, ret, equity, flow, compared.get(day)) for day, ret, equity, flow, *_ in rows)
    returns = Returns(
        [one.day for one in days], [one.ret for one in days], [one.benchmark for one in days], risk_free
    )
    start_equity, end_equity = rows[0][4], days[-1].equity
    net_flow = total(day.net_flow for day in days)
    return Performance(
        account=account,
        base_currency=base_currency,
        start=days[0].day,
        end=days[-1].day,
        since=rows[0][-2],
        until=rows[0][-1],
        start_equity=start_equity,
        end_equity=end_equity,
        net_flow=net_flow,
        profit=subtract(end_equity, add(start_equity, net_flow)),
        benchmark=_in_words(benchmark),
        risk_free=risk_free,
        annualisation=DAYS_A_YEAR,
        days_without_snapshot=sum(not row[5] for row in rows),
        undefined_steps=sum(row[6] for row in rows),
        figures=measured(figures_of(snapshot, returns), observations_min),
        days=days,
        drawdowns=drawdowns_of(snapshot, returns),
        rolling=rolling_of(snapshot, returns),
        distribution=distribution_of(snapshot, returns),
    )


def _account_days(
    snapshot: Snapshot, account: str, base_currency: str, source: str, bounds: tuple[datetime, datetime]
) -> list[tuple[Any, ...]]:
    """Return the account's days, by its snapshots or by what its books were worth."""
    if source == SNAPSHOTS:
        block, asked = "recorded_snapshots", {
            "account": account, "base_currency": base_currency, "start_at": bounds[0], "end_at": bounds[1],
        }  # fmt: skip
        hint = (
            "the maintenance process takes one a minute, record_portfolio_snapshot takes one now; source='booked' "
            "values the ledger day by day instead"
        )
    elif source in SOURCES:
        found = daily_worth(snapshot, account, base_currency, source, *bounds)
        block, hint = "computed_snapshots", "the books need two midnights"
        asked = {
            "taken": [one.taken_at for one in found],
            "equities": [str(one.equity) for one in found],
            "unpriced": [", ".join(one.unpriced) or None for one in found],
            "flows": [str(one.net_flow) for one in found],
        }
    else:
        raise InvalidValue(f"source={source!r}", hint=f"one of {', '.join(SOURCES)}")
    question = STATEMENTS["account_days"].replace("{snapshots}", STATEMENTS[block])
    rows = snapshot.ask(question, params=asked).rows()
    if not rows:
        raise NotFound(
            f"there are not two snapshots of {account!r} in {base_currency} to compare",
            operation="measure performance",
            hint=hint,
        )
    return rows


def span(start: object, end: object) -> tuple[datetime, datetime]:
    """Take the bounds of a time as callers give them.

    Args:
        start: A moment, or None for ever since.
        end: A moment, or None for until now.

    Returns:
        Both.

    Raises:
        InvalidValue: One is no moment.
    """
    return _bound(start, _FIRST), _bound(end, _LAST)


def _bound(value: object, default: datetime) -> datetime:
    return default if value is None else moment(check_timestamp(value, "start or end"))


def _benchmark_days(snapshot: Snapshot, benchmark: Benchmark, first: date, last: date) -> dict[date, float]:
    """Return the benchmark's return of each day that it has one of."""
    if benchmark is None:
        return {}
    parts = {benchmark: 1.0} if isinstance(benchmark, str) else dict(benchmark)
    if not parts or not all(weight > 0 for weight in parts.values()):
        raise InvalidValue(f"benchmark={benchmark!r}", hint="give a symbol, or symbols with weights above 0")
    # A week before: a symbol that had no candle on the last day has its last close.
    since = datetime.combine(first - timedelta(days=7), time(), UTC)
    rows = snapshot.sql(
        STATEMENTS["basket_days"],
        symbols=list(parts),
        weights=[float(weight) for weight in parts.values()],
        since=since,
        until=datetime.combine(last + timedelta(days=1), time(), UTC),
    ).rows()
    found = {day: ret for day, ret in rows if ret is not None}
    if not found:
        raise NotFound(
            f"there are no candles of {', '.join(parts)} from {since.date()} on",
            operation=COMPARING,
            hint="record some with record_candles, or compare with another symbol",
        )
    return found


def _in_words(benchmark: Benchmark) -> str | None:
    if benchmark is None or isinstance(benchmark, str):
        return benchmark
    if len(benchmark) == 1:
        return next(iter(benchmark))
    whole = sum(benchmark.values())
    return ", ".join(f"{weight / whole:.0%} {symbol}" for symbol, weight in benchmark.items())
