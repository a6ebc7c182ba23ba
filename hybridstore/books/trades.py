"""How the closed trades of an account did: a trade is a position from its first fill to its last."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from hybridstore.books.figures import Figure
from hybridstore.books.performance import span
from hybridstore.errors import InvalidValue
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.money import divide
from hybridstore.records import Record
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

STATEMENTS = load_named_sql("hybridstore.books", "trading.sql")
Dimension = Literal["all", "symbol", "strategy", "bot", "exchange", "side", "hour"]
DIMENSIONS: tuple[str, ...] = get_args(Dimension)

_NET = "net: realised profit + funding - fees"
TRADE_FIGURES = (
    Figure("trades", "Trades", "number", "positions closed in the time"),
    Figure("wins", "Won", "number", f"trades with a net above 0; {_NET}"),
    Figure("losses", "Lost", "number", f"trades with a net below 0; {_NET}"),
    Figure("win_rate", "Win rate", "share", "won / trades whose net is known"),
    Figure("net", "Net profit", "money", "realised profit + funding - fees"),
    Figure("gross_profit", "Gross profit", "money", "sum of the nets of trades that were won"),
    Figure("gross_loss", "Gross loss", "money", "sum of the nets of trades that were lost"),
    Figure("profit_factor", "Profit factor", "ratio", "gross profit / |gross loss|"),
    Figure("expectancy", "Expectancy", "money", "net profit / trades, half even at 18 places"),
    Figure("payoff", "Payoff", "ratio", "average win / |average loss|"),
    Figure("average_win", "Average win", "money", "gross profit / won"),
    Figure("average_loss", "Average loss", "money", "gross loss / lost"),
    Figure("best", "Best trade", "money", "highest net"),
    Figure("worst", "Worst trade", "money", "lowest net"),
    Figure("realized", "Realised", "money", "realised profit, gross of fees and funding"),
    Figure(
        "fees",
        "Fees",
        "money",
        "fees paid less rebates; of coin-margined contracts those in the coin",
    ),
    Figure("funding", "Funding", "money", "received less paid"),
    Figure("holding_s", "Holding time", "duration", "mean time from opening to closing"),
    Figure("median_holding_s", "Median holding time", "duration", "median of the same"),
    Figure("winning_streak", "Winning streak", "number", "most trades won one after the other, by closing"),
    Figure("losing_streak", "Losing streak", "number", "most trades lost one after the other, by closing"),
    Figure(
        "average_mfe",
        "Average MFE",
        "money",
        "mean of the largest unrealised profit each trade had (maximum favourable excursion)",
    ),
    Figure("best_mfe", "Best MFE", "money", "highest of the same"),
    Figure(
        "average_mae",
        "Average MAE",
        "money",
        "mean of the largest unrealised loss each trade had (maximum adverse excursion), not above 0",
    ),
    Figure("worst_mae", "Worst MAE", "money", "lowest of the same"),
    Figure(
        "fills", "Fills", "number", "fills of these positions; one that turned a position is of one of them"
    ),
    Figure("volume", "Volume", "money", "sum of their quote amounts, in quote"),
    Figure("maker_share", "Maker share", "share", "fills that made liquidity / fills of which it is known"),
    Figure(
        "slippage",
        "Slippage",
        "share",
        "how much worse fills were than the price their order named (its trigger price, else its limit), weighted by "
        "quote amount; below 0: better; fills of orders that named none are left out",
    ),
)
"""Every figure of trades, in the order in which they are told. A ratio whose denominator is 0 is none."""


class TradeFigures(Record, frozen=True, gc=False):
    """Figures of some closed trades in one currency; each by its definition in :data:`TRADE_FIGURES`.

    Attributes:
        dimension: What they have in common: all, symbol, strategy, bot, exchange, side or hour (in which they were
            opened, UTC).
        part: Which; ``-`` where none was told, nothing for all.
        currency: What money is in; nothing is converted.
    """

    dimension: str
    part: str
    currency: str
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    net: Decimal
    gross_profit: Decimal
    gross_loss: Decimal
    profit_factor: float | None
    expectancy: Decimal | None
    payoff: float | None
    average_win: Decimal | None
    average_loss: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    realized: Decimal
    fees: Decimal
    funding: Decimal
    holding_s: float
    median_holding_s: float
    winning_streak: int
    losing_streak: int
    average_mfe: Decimal
    best_mfe: Decimal
    average_mae: Decimal
    worst_mae: Decimal
    fills: int
    volume: Decimal
    maker_share: float | None
    slippage: float | None


class Trades(Record, frozen=True, gc=False):
    """How the closed trades of an account did.

    Attributes:
        account: Whose.
        start: Closed after this moment; None: ever since.
        end: Closed up to this moment; None: until now.
        deleted_until: What was closed or filled before was deleted by policy, and is in no figure; None: nothing was.
        figures: By every dimension, part and currency.
    """

    account: str
    start: datetime | None
    end: datetime | None
    deleted_until: datetime | None
    figures: tuple[TradeFigures, ...]

    def by(self, dimension: Dimension) -> tuple[TradeFigures, ...]:
        """Return the figures of the parts of one dimension.

        Args:
            dimension: all, symbol, strategy, bot, exchange, side or hour.

        Returns:
            By part and currency, sorted.

        Raises:
            InvalidValue: There is no such dimension.
        """
        check_dimension(dimension, DIMENSIONS)
        return tuple(one for one in self.figures if one.dimension == dimension)

    def metrics(self) -> list[dict[str, object]]:
        """Return the figures as rows of the dataset ``performance_metrics``, each with the version of its definition.

        Returns:
            What ``store.insert("performance_metrics", ...)`` takes. Values are doubles there.
        """
        period = f"trades {self.start or '-'}/{self.end or '-'}"
        return [
            {
                "scope": scope_of(self.account, one.dimension, one.part, one.currency),
                "period": period,
                "benchmark": "-",
                "metric": figure.name,
                "definition": figure.label,
                "value": None if (value := getattr(one, figure.name)) is None else float(value),
                "annualisation": None,
                "risk_free": None,
                "observations": one.trades,
            }
            for one in self.figures
            for figure in TRADE_FIGURES
        ]


def check_dimension(dimension: str, known: tuple[str, ...]) -> None:
    """Refuse a dimension that is not known.

    Args:
        dimension: What somebody asks for.
        known: What there is.

    Raises:
        InvalidValue: It is none of them.
    """
    if dimension not in known:
        raise InvalidValue(f"by={dimension!r}", hint=f"one of {', '.join(known)}")


def scope_of(account: str, dimension: str, part: str, currency: str | None = None) -> str:
    """Return how ``performance_metrics`` names a part of an account.

    Args:
        account: Whose.
        dimension: For example strategy.
        part: Which.
        currency: What money is in, where that is not one for all.
    """
    words = [account]
    if dimension != "all":
        words.append(f"{dimension}={part}")
    if currency is not None:
        words.append(currency)
    return " ".join(words)


def measure_trades(snapshot: Snapshot, account: str, *, start: object = None, end: object = None) -> Trades:
    """Measure how closed trades did; see :meth:`hybridstore.books.books.Books.trades`.

    Args:
        snapshot: The moment to ask.
        account: Whose.
        start: Closed after this moment; None means ever since.
        end: Closed up to this moment; None means until now.

    Returns:
        The figures; none where nothing was closed.

    Raises:
        InvalidValue: A moment is none.
    """
    since, until = span(start, end)
    answer = snapshot.sql(STATEMENTS["trade_figures"], account=account, start_at=since, end_at=until)
    found = tuple(_figures(dict(zip(answer.columns, row, strict=True))) for row in answer.rows())
    deleted_us = max(snapshot.deleted_until_us(name) for name in ("positions", "trades"))
    return Trades(
        account=account,
        start=None if start is None else since,
        end=None if end is None else until,
        deleted_until=moment(deleted_us) if deleted_us else None,
        figures=found,
    )


def _figures(row: dict[str, Any]) -> TradeFigures:
    """Make figures of an answer: averages of money are exact sums, divided here."""
    known, trades = row.pop("known"), row["trades"]
    return TradeFigures(
        expectancy=_average(row["net"], known),
        average_win=_average(row["gross_profit"], row["wins"]),
        average_loss=_average(row["gross_loss"], row["losses"]),
        average_mfe=divide(row.pop("sum_mfe"), Decimal(trades)),
        average_mae=divide(row.pop("sum_mae"), Decimal(trades)),
        **row,
    )


def _average(amount: Decimal, count: int) -> Decimal | None:
    return divide(amount, Decimal(count)) if count else None
