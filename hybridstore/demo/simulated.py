"""A simulated market for when there is no recording at hand: same symbols, same shape, the same everywhere.

Everything is drawn as whole numbers from a seeded generator (times in microseconds, prices in ticks, amounts
in lots), so no floating-point library can make two machines disagree. It is a random walk whose drift
changes, good for trying the store out and worthless for judging a strategy.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import msgspec

from hybridstore.clock import SECOND_US
from hybridstore.demo.market import MarketTape, quote_schema, trade_schema

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_SEED = 20240809
START_US = int(datetime(2024, 8, 8, 23, 54, 14, tzinfo=UTC).timestamp()) * SECOND_US
"""When the simulated recording starts: six minutes before midnight, so that it covers two days."""
DURATION_US = 11 * 60 * SECOND_US

_DRIFT_PERIOD_US = 20 * SECOND_US


class SimulatedSymbol(msgspec.Struct, frozen=True):
    """What one symbol's market looks like.

    Attributes:
        symbol: ccxt unified symbol.
        start_ticks: First bid, in ticks.
        tick_places: Decimal places of a price; a tick is the last one.
        lot_places: Decimal places of an amount.
        largest_lots: The largest trade, in lots.
        trades: How many trades to make.
        quotes: How many best bid/ask updates to show; 0 for a symbol of which only trades are recorded.
        stride_ticks: The furthest the bid goes from one event to the next.
    """

    symbol: str
    start_ticks: int
    tick_places: int
    lot_places: int
    largest_lots: int
    trades: int
    quotes: int
    stride_ticks: int


SYMBOLS = (
    SimulatedSymbol("BTC/USDT", 6_183_763, 2, 5, 60_000, 5_000, 15_000, 60),
    SimulatedSymbol("ETH/USDT", 268_380, 2, 4, 90_000, 3_700, 15_000, 6),
    SimulatedSymbol("BTC/USDT:USDT", 618_002, 1, 3, 1_500, 5_400, 15_000, 6),
    SimulatedSymbol("ETH/USDT:USDT", 268_162, 2, 3, 20_000, 3_600, 15_000, 6),
    SimulatedSymbol("BTC/USD:BTC", 618_048, 1, 0, 400, 1_400, 0, 8),
    SimulatedSymbol("ETH/USD:ETH", 268_140, 2, 0, 900, 900, 0, 8),
)
"""20 000 trades and 60 000 quotes in eleven minutes."""


def simulate_market(seed: int = DEFAULT_SEED) -> MarketTape:
    """Make up eleven minutes of trades and quotes around a midnight.

    Args:
        seed: The same seed gives the same tape on every machine.

    Returns:
        The tape.
    """
    trades: dict[str, list[object]] = {name: [] for name in trade_schema().names}
    quotes: dict[str, list[object]] = {name: [] for name in quote_schema().names}
    for position, symbol in enumerate(SYMBOLS):
        rng = Random(seed * len(SYMBOLS) + position)
        _simulate_symbol(symbol, rng, trades, quotes)
    return MarketTape(
        _table(trades, trade_schema()), _table(quotes, quote_schema()), f"simulated market, seed {seed}"
    )


def _simulate_symbol(
    symbol: SimulatedSymbol, rng: Random, trades: dict[str, list[object]], quotes: dict[str, list[object]]
) -> None:
    moments = sorted(rng.randrange(DURATION_US) for _ in range(symbol.trades + symbol.quotes))
    bids = _walk(symbol, moments, rng)
    is_trade = [True] * symbol.trades + [False] * symbol.quotes
    rng.shuffle(is_trade)
    trade_id = rng.randrange(10**8, 10**9)
    for moment_us, bid, trade in zip(moments, bids, is_trade, strict=True):
        spread = 1 if rng.randrange(20) else 1 + rng.randrange(symbol.stride_ticks)
        if trade:
            trade_id += 1
            is_sell = rng.randrange(2) == 0
            row = (
                symbol.symbol,
                trade_id,
                _text(bid if is_sell else bid + spread, symbol.tick_places),
                _text(_lots(symbol, rng), symbol.lot_places),
                is_sell,
                (START_US + moment_us) // 1000 * 1000,
                (START_US + moment_us) * 1000,
            )
            _append(trades, row)
        else:
            prices = (_text(bid, symbol.tick_places), _text(bid + spread, symbol.tick_places))
            _append(quotes, (symbol.symbol, *prices, (START_US + moment_us) * 1000))


def _walk(symbol: SimulatedSymbol, moments: list[int], rng: Random) -> list[int]:
    """Walk the bid along the moments; every twenty seconds another drift leans on the steps."""
    starts_us = list(range(0, DURATION_US, _DRIFT_PERIOD_US))
    # In thousandths of a stride: a lean of a few per cent makes a trend visible over thousands of steps.
    leans = [rng.randrange(-60, 61) for _ in starts_us]
    bids, thousandths = [], symbol.start_ticks * 1000
    for moment_us in moments:
        lean = leans[bisect_right(starts_us, moment_us) - 1]
        thousandths += symbol.stride_ticks * (rng.randrange(-1000, 1001) // 2 + lean)
        bids.append(max(1, thousandths // 1000))
    return bids


def _lots(symbol: SimulatedSymbol, rng: Random) -> int:
    """Draw a trade's size: most are small, a few are large."""
    ceiling = symbol.largest_lots
    while ceiling > 1 and rng.randrange(3):
        ceiling = max(1, ceiling // 4)
    return rng.randrange(1, ceiling + 1)


def _text(units: int, places: int) -> str:
    if not places:
        return str(units)
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}"


def _append(columns: dict[str, list[object]], row: tuple[object, ...]) -> None:
    for column, value in zip(columns.values(), row, strict=True):
        column.append(value)


def _table(columns: dict[str, list[object]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.table(columns, schema=schema)
