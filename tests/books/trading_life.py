"""An account that trades for some months in several markets by several strategies, for tests of what they made."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME, DatabaseConfig

FIRST_US = 20_000 * DAY_US
HOUR_US = DAY_US // 24
DAYS = 130
ARCHIVED_DAYS = 24
MARKETS = {
    "BTC/USDT": ("grid", "bot-1"),
    "BTC/USDT:USDT": ("grid", "bot-2"),
    "ETH/USDT:USDT": ("trend", "bot-2"),
    "SOL/USDT": (None, None),
}
"""Strategy and bot of each."""


class Fill(NamedTuple):
    """A fill as it was told.

    Attributes:
        day: Number of the day it was made on.
        symbol: Its market.
        signed: Amount, below 0 where it was sold.
        price: In quote.
        fee: In USDT.
    """

    day: int
    symbol: str
    signed: Decimal
    price: Decimal
    fee: Decimal


class Lived(NamedTuple):
    """What was told to the store.

    Attributes:
        root: Its folder.
        fills: All fills.
        closes: By market: the price at the end of each day, the first of which is that of the beginning.
        funding: By day and market.
        flows: Deposits less withdrawals of each day.
    """

    root: Path
    fills: list[Fill]
    closes: dict[str, list[Decimal]]
    funding: dict[tuple[int, str], Decimal]
    flows: list[Decimal]


def live(root: Path, seed: int) -> Lived:
    """Trade by chance for 130 days; every balance is what the ledger says, every mark the close of the day."""
    rng = Random(seed)
    clock = ManualClock(FIRST_US)
    prices = dict(zip(MARKETS, map(Decimal, ("50000", "50000", "2000", "20")), strict=True))
    lived = Lived(root, [], {symbol: [price] for symbol, price in prices.items()}, {}, [])
    held = dict.fromkeys(MARKETS, Decimal(0))
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), durability="normal", enable_logs=False)
    with HybridStore(config=config, clock=clock) as store:
        store.record_ledger_entries([("default", "first", "deposit", "USDT", 100_000, None, FIRST_US - 1)])
        _end_day(store, clock, prices)
        for day in range(DAYS):
            lived.flows.append(Decimal(rng.randint(-500, 900)) if day % 20 == 7 else Decimal(0))
            if lived.flows[-1]:
                kind = "deposit" if lived.flows[-1] > 0 else "withdrawal"
                moved = ("default", f"flow-{day}", kind, "USDT", lived.flows[-1], None, clock.now_us() + 1)
                store.record_ledger_entries([moved])
            for symbol in MARKETS:
                prices[symbol] = (prices[symbol] * rng.randint(970, 1031) / 1000).quantize(Decimal("0.01"))
                for number in range(rng.randint(0, 3)):
                    clock.advance(HOUR_US)
                    fill = _fill(rng, day, symbol, held[symbol], prices[symbol])
                    held[symbol] += fill.signed
                    lived.fills.append(fill)
                    _record(store, fill, f"{day}-{number}", clock.now_us())
                if symbol == "ETH/USDT:USDT" and held[symbol]:
                    paid = Decimal(rng.randint(-300, 300)) / 100
                    store.record_funding(symbol, paid, occurred_at=clock.now_us() + 1, funding_id=f"f{day}")
                    lived.funding[day, symbol] = paid
                lived.closes[symbol].append(prices[symbol])
            clock.set(FIRST_US + (day + 1) * DAY_US)
            _end_day(store, clock, prices)
        assert store.retention.run(
            FIRST_US + ARCHIVED_DAYS * DAY_US
        ).rows  # some of it: moves of days take their time
    return lived


def _fill(rng: Random, day: int, symbol: str, held: Decimal, price: Decimal) -> Fill:
    spot = ":" not in symbol
    amount = Decimal(rng.randint(1, 40)) / (10 if symbol == "SOL/USDT" else 1_000)
    sells = rng.random() < 0.5
    if held and rng.random() < 0.4:  # closes what is open
        amount, sells = abs(held), held > 0
    elif spot and sells:
        amount = min(amount, held)
        sells = amount > 0
        amount = amount or Decimal("0.01")
    at = (price * rng.randint(995, 1005) / 1000).quantize(Decimal("0.01"))
    return Fill(day, symbol, -amount if sells else amount, at, Decimal(rng.randint(-5, 30)) / 100)


def _record(store: HybridStore, fill: Fill, number: str, at_us: int) -> None:
    strategy, bot = MARKETS[fill.symbol]
    store.record_fill(
        fill.symbol,
        "buy" if fill.signed > 0 else "sell",
        fill.price,
        abs(fill.signed),
        trade_id=f"{fill.symbol}-{number}",
        order_id=f"o-{fill.symbol}-{number}",
        fee=fill.fee,
        fee_currency="USDT",
        strategy=strategy,
        bot=bot,
        liquidity="maker" if fill.fee < 0 else "taker",
        executed_at=at_us,
    )


def _end_day(store: HybridStore, clock: ManualClock, prices: dict[str, Decimal]) -> None:
    """Report what the ledger says, at the closes of the day."""
    now_us = clock.now_us()
    store.record_candles(
        (symbol, "1d", now_us - DAY_US, price, price, price, price, 1) for symbol, price in prices.items()
    )
    for symbol, price in prices.items():
        store.record_mark(symbol, mark=price)
    for asset, amount in store.sql("SELECT asset, amount FROM ledger_balances").rows():
        store.record_balance_update(asset, amount, 0, "test")
    assert store.record_portfolio_snapshot(taken_at=now_us).unpriced == ()
