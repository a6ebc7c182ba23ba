"""What returns day by day amount to: figures, times under water, and how they changed on the way; all of it SQL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.books.figures import DAYS_A_YEAR
from hybridstore.named_sql import load_named_sql
from hybridstore.records import Record

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

STATEMENTS = load_named_sql("hybridstore.books", "figures.sql")
ROLLING_DAYS = 90
"""Days of a rolling figure: as many as a figure of a year needs."""
DRAWDOWNS_MAX = 10
"""So many of the deepest are told."""
_BINS = 30
_NARROWEST = 1e-4
"""No range of returns is narrower: a basis point."""


class Drawdown(Record, frozen=True, gc=False):
    """A time below the highest value before.

    Attributes:
        peak_day: The day at whose end that value was reached; the day before the first, where it is the start.
        valley_day: The lowest day.
        recovered_day: The day on which it was reached again; None: not yet.
        depth: How far below it was, -0.2 is twenty per cent.
        days: Days below it.
    """

    peak_day: date
    valley_day: date
    recovered_day: date | None
    depth: float
    days: int


class Rolling(Record, frozen=True, gc=False):
    """Figures of the 90 days up to a day, by the definitions of the figures of the same name.

    Attributes:
        day: The last of them.
        sharpe: None where all returns were the same.
        volatility: Of a year.
        beta: None without a benchmark on each of these days.
    """

    day: date
    sharpe: float | None
    volatility: float | None
    beta: float | None


class Bin(Record, frozen=True, gc=False):
    """Days by their return.

    Attributes:
        start: From this return on.
        end: Up to this one, it not included.
        days: How many.
    """

    start: float
    end: float
    days: int


class Returns(NamedTuple):
    """Returns of days, one after the other.

    Attributes:
        days: Which days, without a gap.
        returns: The return of each.
        benchmark: The benchmark's; None where it has none.
        risk_free: Rate a year.
    """

    days: Sequence[date]
    returns: Sequence[float]
    benchmark: Sequence[float | None]
    risk_free: float = 0.0

    def parameters(self) -> dict[str, object]:
        """Return them as parameters of the block ``given_returns``."""
        return {
            "days": list(self.days),
            "returns": list(self.returns),
            "benchmark": list(self.benchmark),
        }

    def scale(self) -> dict[str, float]:
        """Return what a figure of a year needs to know."""
        return {"risk_free": self.risk_free, "annualisation": float(DAYS_A_YEAR)}


def about(block: str, returns: str = STATEMENTS["given_returns"]) -> str:
    """Return a question about some returns.

    Args:
        block: ``figures``, ``rolling`` or ``drawdowns``.
        returns: A question for part, day, ret and bench.
    """
    return STATEMENTS[block].replace("{returns}", returns)


def figures_of(snapshot: Snapshot, returns: Returns) -> Mapping[str, float | None]:
    """Compute every figure of some returns.

    Args:
        snapshot: Where to ask.
        returns: At least one.

    Returns:
        The figures by name.
    """
    answer = snapshot.sql(about("figures"), **returns.parameters(), **returns.scale())
    return dict(zip(answer.columns, answer.rows()[0], strict=True))


def drawdowns_of(snapshot: Snapshot, returns: Returns) -> tuple[Drawdown, ...]:
    """Find the deepest times below the highest value before.

    Args:
        snapshot: Where to ask.
        returns: At least one.

    Returns:
        At most ten, the deepest first.
    """
    answer = snapshot.sql(about("drawdowns"), **returns.parameters(), limit=DRAWDOWNS_MAX)
    return tuple(Drawdown(*row) for row in answer.rows())


def distribution_of(snapshot: Snapshot, returns: Returns) -> tuple[Bin, ...]:
    """Count days by their return.

    Args:
        snapshot: Where to ask.
        returns: At least one.

    Returns:
        About thirty ranges of a round width, one of which begins with 0, from the lowest return to the highest.
    """
    width = _round_width(max(returns.returns) - min(returns.returns))
    answer = snapshot.sql(about("distribution"), **returns.parameters(), width=width)
    counted = dict(answer.rows())
    places = range(min(counted), max(counted) + 1)
    return tuple(Bin(place * width, (place + 1) * width, counted.get(place, 0)) for place in places)


def _round_width(span: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that covers a span in thirty steps."""
    least = max(span / _BINS, _NARROWEST)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def rolling_of(snapshot: Snapshot, returns: Returns) -> tuple[Rolling, ...]:
    """Compute the figures of the 90 days up to each day.

    Args:
        snapshot: Where to ask.
        returns: At least one.

    Returns:
        One a day, from the first on that has 90 days.
    """
    answer = snapshot.sql(about("rolling"), **returns.parameters(), **returns.scale(), window=ROLLING_DAYS)
    return tuple(Rolling(*row) for row in answer.rows())
