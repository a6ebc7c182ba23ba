"""Market data: ticks, candles, marks."""

from __future__ import annotations

from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.types import LogicalType

_TICK, _TIME, _NAME = LogicalType.TICK, LogicalType.TIMESTAMP, LogicalType.NAME
_SYMBOL = Column("symbol", _NAME, "Market in unified form: BTC/USDT, BTC/USDT:USDT, BTC/USD:BTC.")
_RECORDED_AT = Column("recorded_at", _TIME, "When the store took it, from the commit clock.")

CANDLES = Dataset(
    name="candles",
    kind="market",
    doc="Open, high, low, close and volume of one interval; the forming one is updated until it closes.",
    columns=(
        _SYMBOL,
        Column("timeframe", _NAME, "Length in exchange notation: 1m, 1h, 1d."),
        Column("opened_at", _TIME, "Start of the interval."),
        Column("open", _TICK, "First price."),
        Column("high", _TICK, "Highest price."),
        Column("low", _TICK, "Lowest price."),
        Column("close", _TICK, "Last price."),
        Column("volume", _TICK, "Traded units of base."),
        _RECORDED_AT,
    ),
    key=("symbol", "timeframe", "opened_at"),
    indexes=(Index(("recorded_at",)),),  # a subscriber is told of every candle that was given again
    provisional=True,
    tiering=Tiering(time="opened_at", cluster=("symbol", "timeframe", "opened_at"), symbol="symbol"),
)

MARKET_TRADES = Dataset(
    name="market_trades",
    kind="market",
    doc="One public trade of a market.",
    columns=(
        _SYMBOL,
        Column("trade_id", LogicalType.INTEGER, "The exchange's number of the trade."),
        Column("price", _TICK, "Price in quote."),
        Column("amount", _TICK, "Units of base, or contracts."),
        Column("side", _NAME, "The taker's direction.", choices=("buy", "sell")),
        Column("traded_at", _TIME, "When, by the exchange's clock."),
        _RECORDED_AT,
    ),
    key=("symbol", "trade_id"),
    tiering=Tiering(time="traded_at", cluster=("symbol", "trade_id"), symbol="symbol", settled_time=True),
)

MARKS = Dataset(
    name="marks",
    kind="state",
    doc="The latest prices of a market; positions and portfolios are valued by them.",
    columns=(
        _SYMBOL,
        Column("bid", LogicalType.MONEY, "Best bid.", nullable=True),
        Column("ask", LogicalType.MONEY, "Best ask.", nullable=True),
        Column("last", LogicalType.MONEY, "Last trade.", nullable=True),
        Column("mark", LogicalType.MONEY, "The price to value by: given, else mid, else last."),
        Column("marked_at", _TIME, "When."),
        _RECORDED_AT,
    ),
    key=("symbol",),
)

MARKET = (CANDLES, MARKET_TRADES, MARKS)
