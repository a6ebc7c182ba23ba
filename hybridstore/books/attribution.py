"""Which strategy, bot or market made what an account made.

A part has no equity of its own. What it made on a day (realised and unrealised profit, funding, less fees) is told as
a share of the equity that the account's day began with, so that the shares of all parts of a day, and a rest, add up to
the return of the account. All figures of returns are those of these shares.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from hybridstore.books.figures import OBSERVATIONS_MIN, Measured, measured
from hybridstore.books.performance import SNAPSHOTS, Benchmark, Performance, Source, measure
from hybridstore.books.returns import about
from hybridstore.books.trades import STATEMENTS, check_dimension, scope_of
from hybridstore.portfolio.money import subtract, total
from hybridstore.records import Record

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

Partition = Literal["symbol", "strategy", "bot"]
PARTITIONS: tuple[Partition, ...] = get_args(Partition)
_QUESTION = (
    STATEMENTS["parts"]
    .replace("{days}", STATEMENTS["part_days"])
    .replace("{figures}", about("figures", STATEMENTS["part_returns"]))
)


class Part(Record, frozen=True, gc=False):
    """What one strategy, bot or market made.

    Attributes:
        name: Which; ``-`` where none was told.
        profit: realized + unrealized + funding - fees, in the base currency.
        realized: Realised, gross.
        unrealized: By how much the unrealised profit of what is open changed.
        funding: Received less paid.
        fees: Paid less rebates.
        contribution: Sum of its daily shares: 0.1 is ten per cent of the equity the days began with.
        days_missing: Days on which something had no price, or no rate into the base currency; they are in no sum.
        figures: Figures of its daily shares.
    """

    name: str
    profit: Decimal
    realized: Decimal
    unrealized: Decimal
    funding: Decimal
    fees: Decimal
    contribution: float
    days_missing: int
    figures: tuple[Measured, ...]

    def value(self, name: str) -> float | None:
        """Return the value of a figure of its daily shares; None where there is none, or no such figure."""
        return next((one.value for one in self.figures if one.figure.name == name), None)


class Attribution(Record, frozen=True, gc=False):
    """What the parts of an account made.

    Attributes:
        account: Whose.
        base_currency: What money is in.
        dimension: symbol, strategy or bot.
        start: First day.
        end: Last day.
        profit: What the account made, deposits and withdrawals taken out.
        rest: What no position explains: interest, what was held without a position, prices of another source, and what
            has no price.
        benchmark: What it is compared with, in words.
        risk_free: Rate a year.
        annualisation: Days a year.
        positions_left_out: Positions whose beginning was deleted by policy; what they made is in the rest.
        parts: By name.
    """

    account: str
    base_currency: str
    dimension: str
    start: date
    end: date
    profit: Decimal
    rest: Decimal
    benchmark: str | None
    risk_free: float
    annualisation: int
    positions_left_out: int
    parts: tuple[Part, ...]

    def metrics(self) -> list[dict[str, object]]:
        """Return the figures as rows of the dataset ``performance_metrics``, each with the version of its definition.

        Returns:
            What ``store.insert("performance_metrics", ...)`` takes.
        """
        return [
            {
                "scope": scope_of(self.account, self.dimension, part.name),
                "period": f"{self.start}/{self.end}",
                "benchmark": self.benchmark or "-",
                "metric": one.figure.name,
                "definition": one.figure.label,
                "value": one.value,
                "annualisation": self.annualisation if one.figure.is_annualised else None,
                "risk_free": self.risk_free,
                "observations": one.observations,
            }
            for part in self.parts
            for one in part.figures
            if self.benchmark or not one.figure.compares
        ]


def attribute(
    snapshot: Snapshot,
    account: str,
    base_currency: str,
    *,
    by: Partition = "symbol",
    start: object = None,
    end: object = None,
    benchmark: Benchmark = None,
    risk_free: float = 0.0,
    source: Source = SNAPSHOTS,
    observations_min: int = OBSERVATIONS_MIN,
) -> Attribution:
    """Measure what each part of an account made; see :meth:`hybridstore.books.books.Books.attribution`.

    Args:
        snapshot: The moment to ask.
        account: Whose.
        base_currency: What its snapshots are priced in.
        by: What the parts are: ``symbol``, ``strategy`` or ``bot``.
        start: Only from this moment on; None means the first snapshot.
        end: Only up to this moment; None means the last.
        benchmark: What the shares are compared with; None compares with nothing.
        risk_free: Rate a year.
        source: Where the account's equity comes from.
        observations_min: Days from which on a figure is told as of a year.

    Returns:
        The parts.

    Raises:
        NotFound: There are not two snapshots to compare, or no candles of the benchmark.
        InvalidValue: A weight, rate, moment or dimension is none.
    """
    check_dimension(by, PARTITIONS)
    whole = measure(
        snapshot,
        account,
        base_currency,
        start=start,
        end=end,
        benchmark=benchmark,
        risk_free=risk_free,
        source=source,
    )
    return attribute_performance(snapshot, whole, (by,), observations_min)[0]


def attribute_performance(
    snapshot: Snapshot,
    whole: Performance,
    dimensions: Iterable[Partition],
    observations_min: int = OBSERVATIONS_MIN,
) -> tuple[Attribution, ...]:
    """Measure what the parts of an account made of what it made, several times over in one question.

    Args:
        snapshot: The moment that the account was measured at.
        whole: How the account did.
        dimensions: What the parts are: ``symbol``, ``strategy``, ``bot``.
        observations_min: Days from which on a figure is told as of a year.

    Returns:
        One attribution a dimension.
    """
    asked = tuple(dimensions)
    answer = snapshot.sql(_QUESTION, **_parameters(whole, asked))
    ((left_out,),) = snapshot.sql(
        STATEMENTS["deleted_beginnings"], account=whole.account, until=whole.until
    ).rows()
    parts: dict[str, list[Part]] = {dimension: [] for dimension in asked}
    for row in answer.rows():
        dimension, _, name = row[0].partition("=")
        parts[dimension].append(_part(name, dict(zip(answer.columns, row, strict=True)), observations_min))
    return tuple(_attribution(whole, dimension, tuple(parts[dimension]), left_out) for dimension in asked)


def _parameters(whole: Performance, dimensions: tuple[str, ...]) -> dict[str, object]:
    before = [whole.start_equity, *(day.equity for day in whole.days[:-1])]
    return {
        "account": whole.account,
        "base_currency": whole.base_currency,
        "dimensions": list(dimensions),
        "first_day": whole.start,
        "last_day": whole.end,
        "since": whole.since,
        "until": whole.until,
        "days": [day.day for day in whole.days],
        # A day that begins with nothing, or less, has no returns.
        "before": [float(one) if one > 0 else None for one in before],
        "benchmark": [day.benchmark for day in whole.days],
        "risk_free": whole.risk_free,
        "annualisation": float(whole.annualisation),
    }


def _part(name: str, row: dict[str, Any], observations_min: int) -> Part:
    made = total((row["realized"], row["unrealized"], row["funding"]))
    return Part(
        name=name,
        profit=subtract(made, row["fees"]),
        realized=row["realized"],
        unrealized=row["unrealized"],
        funding=row["funding"],
        fees=row["fees"],
        contribution=row["contribution"],
        days_missing=row["missing"],
        figures=measured(row, observations_min),
    )


def _attribution(whole: Performance, dimension: str, parts: tuple[Part, ...], left_out: int) -> Attribution:
    return Attribution(
        account=whole.account,
        base_currency=whole.base_currency,
        dimension=dimension,
        start=whole.start,
        end=whole.end,
        profit=whole.profit,
        rest=subtract(whole.profit, total(part.profit for part in parts)),
        benchmark=whole.benchmark,
        risk_free=whole.risk_free,
        annualisation=whole.annualisation,
        positions_left_out=left_out,
        parts=parts,
    )
