"""ccxt's unified structures of market data as rows of the store: candles, public trades, tickers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.exchange import unified
from hybridstore.schema.types import to_decimal


def candle(symbol: str, timeframe: str, row: Sequence[Any]) -> tuple[Any, ...]:
    """Turn a candle into a row of ``candles``.

    Args:
        symbol: Its market.
        timeframe: Its length.
        row: [ms, open, high, low, close, volume].

    Returns:
        The row.
    """
    names = ("open", "high", "low", "close", "volume")
    figures = (unified.figure(value, name) for value, name in zip(row[1:6], names, strict=True))
    return (symbol, timeframe, unified.moment_us(row[0]), *(value or "0" for value in figures))


def market_trade(trade: unified.Structure) -> tuple[Any, ...]:
    """Turn a public trade into a row of ``market_trades``.

    Args:
        trade: ccxt's trade structure.

    Returns:
        The row.

    Raises:
        InvalidValue: Its id is no number.
    """
    number = str(trade.get("id") or "")
    if not number.isdigit():
        raise InvalidValue(
            f"trade_id={trade.get('id')!r}: market_trades numbers its trades",
            hint="declare a dataset of your own with a NAME id for this exchange's public trades",
        )
    price, amount = unified.figure(trade.get("price"), "price"), unified.figure(trade.get("amount"), "amount")
    return (
        trade["symbol"], int(number), price, amount, trade.get("side"),
        unified.moment_us(unified.needed(trade, "timestamp", "a trade")),
    )  # fmt: skip


def mark(ticker: unified.Structure) -> dict[str, Any] | None:
    """Turn a ticker into a mark.

    Args:
        ticker: ccxt's ticker structure.

    Returns:
        Arguments of ``record_mark``; None where it has no price.
    """
    names = {"bid": "bid", "ask": "ask", "last": "last", "mark": "markPrice"}
    prices = {name: unified.figure(ticker.get(key), key) for name, key in names.items()}
    told = {
        name: price for name, price in prices.items() if price is not None and to_decimal(price, name) > 0
    }
    if not told:
        return None
    return {"symbol": ticker["symbol"], **told, "marked_at": unified.moment_us(ticker.get("timestamp"))}
