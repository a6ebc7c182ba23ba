"""Binance's recorded answers through a real ccxt object into a store: every figure is there to the last digit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, TradingBotStorageSystem
from hybridstore.integrations.exchange.report import SyncReport
from tests.exchanges.server import (
    Answer,
    ExchangeServer,
    Query,
    binance,
    ccxt_or_skip,
    exchange_server,
    recorded,
    recorded_answers,
)

MARKETS = ("BTC/USDT", "ETH/BTC", "LTC/BTC")
SYMBOLS = {"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"}
WHAT = ("orders", "balances", "market_trades")


def only_recorded() -> Answer:
    """Answer from recordings; of what no recording exists, that there is nothing."""
    answers = recorded_answers()

    def answer(method: str, path: str, query: Query) -> Any:
        if path == "/api/v3/allOrders" and query["symbol"] not in {"BTCUSDT", "LTCBTC"}:
            return []
        if (path, query.get("symbol")) in {("/api/v3/openOrders", "ETHBTC"), ("/api/v3/trades", "LTCBTC")}:
            return []
        return answers(method, path, query)

    return answer


@pytest.fixture
def server() -> Iterator[ExchangeServer]:
    with exchange_server(only_recorded()) as server:
        yield server


def read_sync(root: Path, url: str) -> SyncReport:
    exchange = binance(ccxt_or_skip(), url, options={"fetchTradesMethod": "publicGetTrades"})
    with HybridStore(root) as store:
        return store.sync(
            exchange, markets=MARKETS, what=WHAT, since="2017-01-01T00:00:00Z", account="binance"
        )


def read_async(root: Path, url: str, module: str = "ccxt.async_support") -> SyncReport:
    async def read() -> SyncReport:
        exchange = binance(ccxt_or_skip(module), url, options={"fetchTradesMethod": "publicGetTrades"})
        try:
            async with TradingBotStorageSystem(root, maintenance="off") as storage:
                return await storage.sync(
                    exchange, markets=MARKETS, what=WHAT, since="2017-01-01T00:00:00Z", account="binance"
                )
        finally:
            await exchange.close()

    return asyncio.run(read())


def read_pro(root: Path, url: str) -> SyncReport:
    return read_async(root, url, "ccxt.pro")


@pytest.mark.parametrize("read", [read_sync, read_async, read_pro])
def test_what_was_recorded_lands_exactly(
    tmp_path: Path, server: ExchangeServer, read: Callable[[Path, str], SyncReport]
) -> None:
    report = read(tmp_path, server.url)
    assert report.refused == ()
    parsed = recorded("ccxt_parsed/binance_balance.json")["parsed"]
    with HybridStore(tmp_path) as store:
        assert_balances(store, parsed)
        for symbol in SYMBOLS:
            assert_trades(store, symbol)
        assert_orders(store)
        assert (
            report.streams["market_trades"].new
            == store.sql("select count(*) from market_trades").rows()[0][0]
        )


def assert_balances(store: HybridStore, parsed: dict[str, Any]) -> None:
    stored = {balance.asset: balance for balance in store.get_all_balances("binance")}
    assert set(stored) == set(parsed["total"])
    for asset, balance in stored.items():
        told = parsed[asset]
        assert (balance.available, balance.hold_trade, balance.balance) == (
            Decimal(told["free"]), Decimal(told["used"]), Decimal(told["total"]),
        )  # fmt: skip


def assert_trades(store: HybridStore, symbol: str) -> None:
    market = SYMBOLS[symbol]
    parsed = recorded(f"ccxt_parsed/binance_{symbol.lower()}_trades.json")["parsed"]
    rows = store.sql(
        "select trade_id, price, amount, side, epoch_ms(traded_at) from market_trades where symbol = $symbol "
        "order by 1",
        symbol=market,
    ).rows()
    assert rows == [
        (int(one["id"]), Decimal(one["price"]), Decimal(one["amount"]), one["side"], one["timestamp"])
        for one in sorted(parsed, key=lambda one: int(one["id"]))
    ]


def assert_orders(store: HybridStore) -> None:
    parsed = recorded("ccxt_parsed/binance_open_orders.json")["parsed"]
    assert parsed
    for told in parsed:
        order = store.get_order(told["symbol"], told["id"], "binance")
        assert order is not None
        assert (order.side, order.type, order.time_in_force, order.status) == (
            told["side"], told["type"], told["timeInForce"], told["status"],
        )  # fmt: skip
        assert (order.price, order.amount, order.filled) == (
            Decimal(told["price"]), Decimal(told["amount"]), Decimal(told["filled"]),
        )  # fmt: skip
