"""Following an exchange: streamed by a real ccxt.pro object, or asked again and again; breaks leave no hole."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, TradingBotStorageSystem
from hybridstore.errors import ExchangeError
from hybridstore.integrations.exchange import following, steps
from hybridstore.integrations.exchange.report import SyncReport
from tests.exchanges.account import Account
from tests.exchanges.server import Refusal, binance, ccxt_or_skip, exchange_server, recorded_answers
from tests.integrations.test_exchange_sync import SPOT, stored_fills, told_fills

ccxt_or_skip()

from tests.exchanges.stream import account_position, account_stream, execution  # noqa: E402  needs ccxt's aiohttp


def now_ms() -> int:
    return int(time.time() * 1000)


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  what is waited for is in a database, not on this loop
            await asyncio.sleep(0.02)


def hot_fills(storage: TradingBotStorageSystem) -> int:
    return int(storage.store.database.readers.rows("SELECT count(*) FROM trades")[0][0])


async def test_what_is_streamed_is_recorded_and_a_break_leaves_no_hole(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_RETRY_FIRST_S", 0.05)
    account = Account(recorded_answers(), now_ms())
    account.trade("BTCUSDT", rng, now_ms() - 5000)
    reports: list[SyncReport] = []
    with exchange_server(account.answer) as server:
        async with (
            account_stream() as stream,
            TradingBotStorageSystem(tmp_path, maintenance="off") as storage,
        ):
            exchange = binance(ccxt_or_skip("ccxt.pro"), server.url)
            exchange.urls["api"]["ws"]["ws-api"]["spot"] = stream.url
            task = asyncio.create_task(storage.follow(exchange, markets=[SPOT], on_report=reports.append))
            try:
                await until(lambda: bool(reports) and stream.subscribed > 0)
                assert hot_fills(storage) == 1, "what was before is read"
                account.trade("BTCUSDT", rng, now_ms())
                fill, order = account.fills["BTCUSDT"][-1], account.orders["BTCUSDT"][-1]
                await stream.tell(execution(fill, order))
                await stream.tell(account_position(now_ms(), BTC=("0.7", "0.3"), USDT=("10", "0")))
                await until(lambda: hot_fills(storage) == 2)
                await until(lambda: storage.store.get_latest_balance("BTC") is not None)
                balance = storage.store.get_latest_balance("BTC")
                assert balance is not None
                assert (balance.balance, balance.hold_trade) == (Decimal(1), Decimal("0.3"))
                assert storage.store.get_order(SPOT, str(order["orderId"])) is not None
                await stream.break_off()
                account.now_ms = now_ms() + 1000
                account.trade("BTCUSDT", rng, now_ms())  # nobody is told of it
                await until(lambda: hot_fills(storage) == 3)
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await exchange.close()
            assert await asyncio.to_thread(stored_fills, storage.store) == told_fills(account)
            corrections = storage.store.database.readers.rows("SELECT count(*) FROM corrections")
            assert corrections == [(0,)], "a fill of the stream and of the history is one"


@pytest.mark.parametrize("module", ["ccxt", "ccxt.async_support"])
async def test_an_exchange_that_does_not_stream_is_asked_again(
    tmp_path: Path, rng: random.Random, module: str
) -> None:
    account = Account(recorded_answers(), now_ms())
    with exchange_server(account.answer) as server:
        async with TradingBotStorageSystem(tmp_path, maintenance="off") as storage:
            exchange = binance(ccxt_or_skip(module), server.url)
            stop = asyncio.Event()
            following_it = asyncio.create_task(
                storage.follow(exchange, markets=[SPOT], what=["trades"], poll_s=0.05, stop=stop)
            )
            await asyncio.sleep(0.3)
            account.now_ms = now_ms()
            account.trade("BTCUSDT", rng, account.now_ms - 1)
            await until(lambda: hot_fills(storage) == 1)
            stop.set()
            await following_it
            if module != "ccxt":
                await exchange.close()


def test_an_outage_is_waited_for_and_a_refusal_is_not(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(steps, "RETRIES", 0)
    account = Account(recorded_answers(), now_ms())
    outage = {"is": True}

    def refuse(path: str) -> None:
        if outage["is"] and path in {"/api/v3/myTrades", "/api/v3/time"}:
            raise Refusal(503, {"code": -1001, "msg": "Internal error; unable to process your request."})

    account.refuse = refuse
    account.trade("BTCUSDT", rng, now_ms() - 1000)
    reports: list[SyncReport] = []
    stop = threading.Event()

    def told(report: SyncReport) -> None:
        reports.append(report)
        stop.set()

    threading.Timer(0.5, outage.update, kwargs={"is": False}).start()
    with exchange_server(account.answer) as server, HybridStore(tmp_path) as store:
        exchange = binance(ccxt_or_skip(), server.url)
        wish: dict[str, Any] = {"markets": [SPOT], "what": ["trades"], "poll_s": 0.01}
        store.follow(exchange, stop=stop, on_report=told, **wish)
        assert reports[-1].streams["trades"].new == 1

        def forbid(_path: str) -> None:
            raise Refusal(401, {"code": -1002, "msg": "You are not authorized to execute this request."})

        account.refuse = forbid
        with pytest.raises(ExchangeError, match="check apiKey"):
            store.follow(exchange, **wish)
