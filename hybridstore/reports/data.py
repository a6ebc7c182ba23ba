"""What a report says, before it is laid out: exact figures and moments, no text made for the eye."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from hybridstore.books.attribution import Attribution
from hybridstore.books.performance import Performance
from hybridstore.books.trades import Trades

Answer = tuple[tuple[object, ...], ...]
"""Rows of an answer to a SQL question, in the question's own order."""


class EquityPoint(msgspec.Struct, frozen=True):
    """The equity at one moment.

    Attributes:
        taken_at: When.
        equity: In the base currency.
        peak: The highest equity so far.
        net_flow: Deposits less withdrawals since the point before.
    """

    taken_at: datetime
    equity: Decimal
    peak: Decimal
    net_flow: Decimal = Decimal(0)


class SymbolTotals(msgspec.Struct, frozen=True):
    """What happened in one symbol.

    Attributes:
        symbol: ccxt unified symbol.
        profit_asset: What its profit and fees are in.
        market_trades: Public trades recorded.
        market_amount: Exact sum of their amounts (base, or contracts).
        market_notional: Exact sum of price * amount.
        fills: The bot's own fills.
        volume: Exact sum of the fills' quote amounts.
        fees: Fees of the fills, in quote.
        realized: Profit the fills realised, gross of fees.
        wins: Fills that realised a profit.
        losses: Fills that realised a loss.
    """

    symbol: str
    profit_asset: str
    market_trades: int
    market_amount: Decimal
    market_notional: Decimal
    fills: int
    volume: Decimal
    fees: Decimal
    realized: Decimal
    wins: int
    losses: int


class PositionRow(msgspec.Struct, frozen=True):
    """An open position.

    Attributes:
        symbol: ccxt unified symbol.
        side: LONG or SHORT.
        amount: Units of base, or contracts.
        entry_price: Average entry.
        mark_price: Last mark; None where none is known.
        unrealized: Profit at the mark, in the symbol's profit asset; None without a mark.
    """

    symbol: str
    side: str
    amount: Decimal
    entry_price: Decimal
    mark_price: Decimal | None
    unrealized: Decimal | None


class BalanceRow(msgspec.Struct, frozen=True):
    """A reported balance beside what the ledger adds up to.

    Attributes:
        asset: The asset.
        reported: The latest balance.
        booked: Sum of all ledger entries.
    """

    asset: str
    reported: Decimal
    booked: Decimal


class LatencyRow(msgspec.Struct, frozen=True):
    """How long calls of one operation took.

    Attributes:
        operation: What was called.
        calls: How often.
        rows: Rows all calls recorded together; the number of calls where each is one row.
        p50_us: Median, microseconds.
        p99_us: 99th percentile, microseconds.
        max_us: The slowest, microseconds.
    """

    operation: str
    calls: int
    rows: int
    p50_us: float
    p99_us: float
    max_us: float


class TierRow(msgspec.Struct, frozen=True):
    """What one tier holds of one dataset.

    Attributes:
        dataset: Which.
        tier: hot, warm, cold or frozen.
        rows: Rows in it.
        files: Parquet files; 0 for the hot store.
        size_bytes: Size of the files; None for the hot store, whose tables share one file.
    """

    dataset: str
    tier: str
    rows: int
    files: int
    size_bytes: int | None


class MoveFigures(msgspec.Struct, frozen=True):
    """What the tiering job did.

    Attributes:
        rows: Rows moved.
        files: Files written.
        size_bytes: Their size together.
        seconds: Time of the moving itself.
        clock_days: How far the clock was put forward before it, in days.
    """

    rows: int
    files: int
    size_bytes: int
    seconds: float
    clock_days: int


class Proof(msgspec.Struct, frozen=True):
    """One SQL question, asked before and after the move.

    Attributes:
        name: The question's name.
        doc: What it asks, one line.
        sql: Its text.
        columns: Names of the answer's columns.
        before: The answer before the move.
        after: The answer after the move.
    """

    name: str
    doc: str
    sql: str
    columns: tuple[str, ...]
    before: Answer
    after: Answer

    @property
    def identical(self) -> bool:
        """Whether both answers are the same, to the last digit."""
        return self.before == self.after


class Check(msgspec.Struct, frozen=True):
    """Something that must hold, and what was found.

    Attributes:
        name: What must hold.
        finding: What was found, in words.
        passed: Whether it holds.
    """

    name: str
    finding: str
    passed: bool


class ReportData(msgspec.Struct, frozen=True):
    """Everything a page tells. An empty tuple leaves its section out.

    Attributes:
        title: The page's title.
        source: Where the market data came from.
        account: Whose account.
        base_currency: What equity is in.
        generated_at: When the page was made.
        equity: Equity over time, in order.
        symbols: Totals by symbol.
        positions: Open positions.
        balances: Balances and what the ledger says of them.
        latencies: Measured calls.
        tiers: What is where.
        move: The tiering job, where one ran.
        proofs: The same questions before and after it.
        checks: What must hold.
        performance: How the account did, where that is known.
        attribution: What made its profit, by market, strategy and bot.
        trades: How its closed trades did.
    """

    title: str
    source: str
    account: str
    base_currency: str
    generated_at: datetime
    equity: tuple[EquityPoint, ...] = ()
    symbols: tuple[SymbolTotals, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    balances: tuple[BalanceRow, ...] = ()
    latencies: tuple[LatencyRow, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    move: MoveFigures | None = None
    proofs: tuple[Proof, ...] = ()
    checks: tuple[Check, ...] = ()
    performance: Performance | None = None
    attribution: tuple[Attribution, ...] = ()
    trades: Trades | None = None

    @property
    def in_base(self) -> tuple[SymbolTotals, ...]:
        """Return the symbols whose profit is in the base currency; only these can be added up."""
        return tuple(row for row in self.symbols if row.profit_asset == self.base_currency)
