"""A made-up report with every section, and with text that must be escaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from hybridstore.reports.data import (
    BalanceRow,
    Check,
    EquityPoint,
    LatencyRow,
    MoveFigures,
    PositionRow,
    Proof,
    ReportData,
    SymbolTotals,
    TierRow,
)

START = datetime(2024, 8, 8, 23, 54, 14, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script> & \"more\""


def equity(points: int = 650) -> tuple[EquityPoint, ...]:
    rng = Random(7)
    value = peak = Decimal(100_000)
    walk = []
    for second in range(points):
        walk.append(EquityPoint(START + timedelta(seconds=second), value, peak))
        value += Decimal(rng.randrange(-900, 700)) / 100
        peak = max(peak, value)
    return tuple(walk)


def symbol(name: str, trades: int, fills: int, realized: str) -> SymbolTotals:
    return SymbolTotals(
        symbol=name,
        profit_asset="BTC" if name.endswith(":BTC") else "USDT",
        market_trades=trades,
        market_amount=Decimal("1234.56789012"),
        market_notional=Decimal("76321987.1234567812345678"),
        fills=fills,
        volume=Decimal("204567.1234567890"),
        fees=Decimal("204.567123456789"),
        realized=Decimal(realized),
        wins=fills // 3,
        losses=fills // 4,
    )


def sample_report(**changes: object) -> ReportData:
    row = ("BTC/USDT", 19_904, Decimal("1234.56789012"))
    other = ("ETH/USDT", 14_515, Decimal("9876.54321"))
    parts: dict[str, object] = {
        "title": "Paper trading on recorded market data",
        "source": f"trades.parquet, {HOSTILE}",
        "account": "default",
        "base_currency": "USDT",
        "generated_at": START + timedelta(days=45),
        "equity": equity(),
        "symbols": (
            symbol("BTC/USD:BTC", 5_235, 0, "0"),
            symbol("BTC/USDT", 19_904, 163, "-12.345"),
            symbol("BTC/USDT:USDT", 21_313, 205, "48.9"),
            symbol("ETH/USDT", 14_515, 180, "-1.5"),
            symbol("ETH/USDT:USDT", 14_076, 258, "-7.25"),
        ),
        "positions": (
            PositionRow(
                "ETH/USDT:USDT",
                "SHORT",
                Decimal("3.728"),
                Decimal("2682.472025214592274678"),
                Decimal("2681.385"),
                Decimal("4.0724500000000"),
            ),
        ),
        "balances": (
            BalanceRow("BTC", Decimal("0.05"), Decimal("0.05")),
            BalanceRow("USDT", Decimal("99400.676738922800"), Decimal("99400.676738922801")),
        ),
        "latencies": (
            LatencyRow("record_fill", 806, 806, 310.2, 900.5, 2_100.0),
            LatencyRow("record_market_trades", 158, 78_638, 2_900.4, 7_000.0, 12_345.6),
            LatencyRow("get_latest_balance", 806, 806, 5.4, 11.9, 60.0),
        ),
        "tiers": (
            TierRow("market_trades", "hot", 0, 0, None),
            TierRow("market_trades", "warm", 78_638, 2, 369_598),
            TierRow("marks", "hot", 4, 0, None),
        ),
        "move": MoveFigures(rows=80_000, files=10, size_bytes=400_000, seconds=0.52, clock_days=45),
        "proofs": (
            Proof(
                name="market_totals",
                doc="Public trades by symbol: count, exact sum of amounts and of price x amount.",
                sql="SELECT symbol, count(*), sum(amount)\nFROM market_trades\nGROUP BY symbol",
                columns=("symbol", "trades", "amount"),
                before=(row, other),
                after=(row, other),
            ),
        ),
        "checks": (
            Check("The ledger adds up to every reported balance", "2 assets, no difference", passed=True),
            Check("All questions are answered alike before and after the move", "1 of 1", passed=True),
        ),
    }
    return ReportData(**(parts | changes))  # type: ignore[arg-type]  # one field after another, by name
