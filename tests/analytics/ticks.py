"""Market trades for questions: some archived, some hot, and what they add up to in plain Decimal."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import NamedTuple

from hybridstore.clock import DAY_US
from hybridstore.store import HybridStore

FIRST_DAY = 20_600
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT:USDT")
_TICK = Decimal("0.00000001")


class Tick(NamedTuple):
    """One market trade as a test knows it."""

    symbol: str
    trade_id: int
    price: Decimal
    amount: Decimal
    side: str
    traded_us: int

    @property
    def row(self) -> tuple[str, int, int, int, str, int, int]:
        """The row as it is stored."""
        price, amount = int(self.price.scaleb(8)), int(self.amount.scaleb(8))
        return (self.symbol, self.trade_id, price, amount, self.side, self.traded_us, self.traded_us)


def make_ticks(rng: Random, count: int, days: range) -> list[Tick]:
    """Return market trades spread over days after FIRST_DAY, prices up to five digits, amounts of eight places."""
    return [
        Tick(
            rng.choice(SYMBOLS),
            number,
            Decimal(rng.randrange(1, 10**13)) * _TICK,
            Decimal(rng.randrange(1, 10**10)) * _TICK,
            rng.choice(("buy", "sell")),
            (FIRST_DAY + rng.choice(days)) * DAY_US + rng.randrange(DAY_US),
        )
        for number in range(count)
    ]


def record(store: HybridStore, ticks: list[Tick]) -> None:
    """Record market trades in one commit."""
    rows = [tick.row for tick in ticks]
    store.database.writer.call(
        lambda session: session.executemany(session.sql["insert_market_trades"], rows), durability="normal"
    )


def archive(store: HybridStore, through_day: int) -> int:
    """Move all days up to one after FIRST_DAY into archives.

    Returns:
        How many rows moved.
    """
    return store.retention.run((FIRST_DAY + through_day + 8) * DAY_US).rows


def notional(ticks: list[Tick]) -> Decimal:
    """Return the exact sum of price times amount."""
    return sum((tick.price * tick.amount for tick in ticks), Decimal(0))
