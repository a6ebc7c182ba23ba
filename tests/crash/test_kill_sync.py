"""A bot that reads its exchange is killed between answer and commit: the next reads on; nothing is lost or twice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore import HybridStore
from tests.conftest import REPOSITORY
from tests.exchanges.account import Account
from tests.exchanges.server import ExchangeServer, ccxt_or_skip, exchange_server, recorded_answers
from tests.integrations.test_exchange_sync import stored_fills, told_fills, trade_for_months

MARKETS = ("BTC/USDT", "ETH/BTC")
_PRIVATE = ("/api/v3/myTrades", "/api/v3/allOrders", "/api/v3/account", "/sapi/")


class Killer:
    """Kills a child some moments after the server has sent an answer."""

    def __init__(self, server: ExchangeServer, rng: random.Random) -> None:
        self._rng, self._left = rng, 0
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        server.answered = self._answered

    def aim(self, child: subprocess.Popen[str], answers: int) -> None:
        """Kill a child after so many answers."""
        with self._lock:
            self._child, self._left = child, answers

    def _answered(self, path: str) -> None:
        if not path.startswith(_PRIVATE):
            return
        with self._lock:
            self._left -= 1
            child = self._child if self._left == 0 else None
        if child is not None:
            time.sleep(self._rng.choice((0, 0.0005, 0.001, 0.002, 0.005, 0.01)))
            child.kill()


def start(root: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.sync_child", str(root), url, *MARKETS],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def exchange() -> Iterator[tuple[ExchangeServer, Account]]:
    ccxt_or_skip()
    account = Account(recorded_answers(), int(time.time() * 1000))
    with exchange_server(account.answer) as server:
        yield server, account


def kill_and_compare(
    root: Path, server: ExchangeServer, account: Account, rng: random.Random, kills: int
) -> None:
    for symbol in ("BTCUSDT", "ETHBTC"):
        trade_for_months(account, rng, symbol, fills=200)
    account.balances["BTC"] = ("1.5", "0.25")
    killer, killed, seen = Killer(server, rng), 0, 0
    while killed < kills:
        child = start(root, server.url)
        killer.aim(child, rng.randint(1, 40))
        output, _ = child.communicate(timeout=120)
        if child.returncode != 0:
            assert "done" not in output
            killed += 1
        else:  # it was through before; so there is more to read
            assert "done True" in output
            for symbol in ("BTCUSDT", "ETHBTC"):
                account.trade(symbol, rng, int(time.time() * 1000) - 100, parts=rng.randint(1, 30))
            account.now_ms = int(time.time() * 1000)
        with HybridStore(root) as store:
            counts = [len(stored_fills(store, symbol)) for symbol in MARKETS]
        assert sum(counts) >= seen, "what was there is there"
        seen = sum(counts)
    last = start(root, server.url)
    output, _ = last.communicate(timeout=120)
    assert output.splitlines()[-1] == "done True"
    with HybridStore(root) as store:
        for symbol, market in (("BTCUSDT", "BTC/USDT"), ("ETHBTC", "ETH/BTC")):
            assert stored_fills(store, market) == told_fills(account, symbol)
        orders = store.sql("select count(*), count(distinct (symbol, order_id)) from orders").rows()
        assert orders == [(sum(map(len, account.orders.values())),) * 2]
        assert store.books.prove().holds
        assert store.database.readers.rows("SELECT count(*) FROM corrections") == [(0,)]
    print(f"{killed} kills, {seen} fills after the last")


def test_a_killed_reading_goes_on(
    tmp_path: Path, exchange: tuple[ExchangeServer, Account], rng: random.Random
) -> None:
    kill_and_compare(tmp_path / "root", *exchange, rng, kills=4)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_fifty_killed_readings(
    tmp_path: Path, exchange: tuple[ExchangeServer, Account], rng: random.Random
) -> None:
    kill_and_compare(tmp_path / "root", *exchange, rng, kills=50)
