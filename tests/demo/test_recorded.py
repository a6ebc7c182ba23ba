"""Reading recorded market data: what is understood, in which order it comes, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridstore.demo.market import MarketEvent, MarketTape, MarketTrade, Quote
from hybridstore.demo.recorded import read_market, unified_symbol
from hybridstore.errors import InvalidValue

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS = 1_000_000_000
START_NS = 1_723_161_254 * SECOND_NS


def trade_columns() -> dict[str, list[Any]]:
    return {
        "market": ["spot", "cm"],
        "symbol": ["BTCUSDT", "BTCUSD_PERP"],
        "trade_id": [7, 7],
        "price": ["61837.63000000", "61804.8"],
        "qty": ["0.00009000", "4"],
        "is_buyer_maker": [True, False],
        "trade_ms": [1_723_161_254_001, 1_723_161_254_000],
        "local_ns": [START_NS + 2_000, START_NS + 1_000],
    }


def quote_columns() -> dict[str, list[Any]]:
    return {
        "market": ["spot", "usdm"],
        "symbol": ["BTCUSDT", "ETHUSDT"],
        "bid": ["61837.62", "2681.62"],
        "ask": ["61837.63", "2681.63"],
        "local_ns": [START_NS + 2_000, START_NS],
    }


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def events_of(tape: MarketTape, batch: int = 3) -> list[MarketEvent]:
    return [event for events in tape.batches(batch) for event in events]


def test_two_files_become_one_tape_in_order_of_reception(tmp_path: Path) -> None:
    quotes = write(tmp_path / "quotes.parquet", quote_columns())
    trades = write(tmp_path / "trades.parquet", trade_columns())
    tape = read_market([quotes, trades])
    start_us = START_NS // 1000
    assert events_of(tape) == [
        Quote("ETH/USDT:USDT", Decimal("2681.62"), Decimal("2681.63"), start_us),
        MarketTrade(
            "BTC/USD:BTC", 7, Decimal("61804.8"), Decimal(4), "buy", 1_723_161_254_000_000, start_us + 1
        ),
        MarketTrade(
            "BTC/USDT",
            7,
            Decimal("61837.63"),
            Decimal("0.00009"),
            "sell",
            1_723_161_254_001_000,
            start_us + 2,
        ),
        Quote("BTC/USDT", Decimal("61837.62"), Decimal("61837.63"), start_us + 2),
    ]
    assert (tape.trade_count, tape.quote_count, len(tape)) == (2, 2, 4)
    assert (tape.first_us, tape.last_us) == (start_us, start_us + 2)
    assert tape.symbols == ("BTC/USD:BTC", "BTC/USDT", "ETH/USDT:USDT")


def test_a_folder_is_read_whole_and_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    trades = write(tmp_path / "trades.parquet", trade_columns())
    write(tmp_path / "quotes.parquet", quote_columns())
    assert len(read_market([tmp_path, trades])) == 4


@pytest.mark.parametrize(
    ("market", "symbol", "unified"),
    [
        ("spot", "BTCUSDT", "BTC/USDT"),
        ("spot", "ETHBTC", "ETH/BTC"),
        ("spot", "1000SATSUSDT", "1000SATS/USDT"),
        ("usdm", "BTCUSDT", "BTC/USDT:USDT"),
        ("usdm", "ETHUSDT_240927", "ETH/USDT:USDT-240927"),
        ("cm", "BTCUSD_PERP", "BTC/USD:BTC"),
        ("cm", "BTCUSD_240927", "BTC/USD:BTC-240927"),
    ],
)
def test_symbols_get_their_unified_names(market: str, symbol: str, unified: str) -> None:
    assert unified_symbol(market, symbol) == unified


@pytest.mark.parametrize(
    ("market", "symbol"), [("options", "BTCUSDT"), ("spot", "btcusdt"), ("spot", "USDT")]
)
def test_a_symbol_nobody_understands_is_refused(market: str, symbol: str) -> None:
    with pytest.raises(InvalidValue, match=f"{symbol}.*{market}"):
        unified_symbol(market, symbol)


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("price", [61837.63, 61804.8], r"column price is double.*a float has already lost digits"),
        ("price", ["61837.63", "1e3"], r"column price holds '1e3'"),
        ("qty", ["0.123456789", "4"], r"column qty holds '0\.123456789'"),
        ("qty", [None, "4"], r"column qty is empty in 1 of 2 rows"),
        ("trade_id", ["7", "8"], r"column trade_id is string, not whole numbers"),
        ("market", ["spot", "options"], r"cannot name symbol 'BTCUSD_PERP' of market 'options'"),
    ],
    ids=["float price", "exponent", "nine places", "missing amount", "text id", "unknown market"],
)
def test_a_value_that_does_not_fit_is_named_with_its_file(
    tmp_path: Path, column: str, values: list[Any], complaint: str
) -> None:
    path = write(tmp_path / "trades.parquet", trade_columns() | {column: values})
    with pytest.raises(InvalidValue, match=complaint) as caught:
        read_market([path])
    assert caught.value.path == str(path.resolve())


def test_a_file_of_another_kind_is_told_what_it_lacks(tmp_path: Path) -> None:
    columns = trade_columns()
    del columns["trade_ms"], columns["is_buyer_maker"]
    path = write(tmp_path / "trades.parquet", columns)
    with pytest.raises(
        InvalidValue, match=r"neither trades \(lacks is_buyer_maker, trade_ms\).*lacks bid, ask"
    ):
        read_market([path])


def test_what_is_not_there_or_not_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"no such file.*leave --market-data out"):
        read_market([tmp_path / "absent.parquet"])
    with pytest.raises(InvalidValue, match=r"no \.parquet file"):
        read_market([tmp_path])
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(write(tmp_path / "trades.parquet", trade_columns()).read_bytes()[:-20])
    with pytest.raises(InvalidValue, match=r"not a readable Parquet file.*torn\.parquet"):
        read_market([torn])


def test_files_without_a_row_are_refused(tmp_path: Path) -> None:
    table = pa.table(trade_columns()).slice(0, 0)
    pq.write_table(table, tmp_path / "trades.parquet")
    with pytest.raises(InvalidValue, match=r"neither a trade nor a quote"):
        read_market([tmp_path / "trades.parquet"])
