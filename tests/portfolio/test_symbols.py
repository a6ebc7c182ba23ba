"""Unified symbols."""

from __future__ import annotations

import pytest

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.symbols import Market, parse_symbol


@pytest.mark.parametrize(
    ("symbol", "base", "quote", "settle", "kind", "profit_asset"),
    [
        ("BTC/USDT", "BTC", "USDT", None, "spot", "USDT"),
        ("BTC/USDT:USDT", "BTC", "USDT", "USDT", "linear", "USDT"),
        ("BTC/USD:BTC", "BTC", "USD", "BTC", "inverse", "BTC"),
        ("BTC/USDT:USDT-260327", "BTC", "USDT", "USDT", "linear", "USDT"),
        ("BTC/USD:BTC-260327-60000-C", "BTC", "USD", "BTC", "inverse", "BTC"),
        ("FLX-CRCL/USDH:USDH", "FLX-CRCL", "USDH", "USDH", "linear", "USDH"),
        ("1000SATS/USDT", "1000SATS", "USDT", None, "spot", "USDT"),
    ],
)
def test_a_symbol_is_taken_apart(
    symbol: str, base: str, quote: str, settle: str | None, kind: str, profit_asset: str
) -> None:
    market = parse_symbol(symbol)
    assert market == Market(symbol, base, quote, settle)
    assert (market.is_spot, market.inverse) == (kind == "spot", kind == "inverse")
    assert market.profit_asset == profit_asset


@pytest.mark.parametrize(
    "symbol",
    [
        "BTCUSDT",
        "",
        "/",
        "BTC/",
        "/USDT",
        "BTC/USDT:",
        "BTC/USDT/ETH",
        "BTC /USDT",
        "BTC/USDT:USDT:X",
        "BTC/USDT\n",
    ],
)
def test_what_is_no_symbol_is_named(symbol: str) -> None:
    with pytest.raises(InvalidValue, match="not a unified symbol") as refused:
        parse_symbol(symbol)
    assert repr(symbol) in str(refused.value)
    assert "BASE/QUOTE" in str(refused.value)
