"""Runs freqtrade itself, in its own environment, until its database holds trades of every kind.

    python tests/importing/run_freqtrade.py FOLDER

It needs an environment with freqtrade (2026.9) and writes ``tradesv3.sqlite`` (spot) and ``tradesv3.futures.sqlite``.
The bot, its wallet, its orders and its arithmetic are freqtrade's; only the exchange behind ccxt is played here, for
there is no network: Binance's words, and prices that walk from a printed seed.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

SEED = 20261124
PAIRS = {"BTC": 64_123.45, "ETH": 3_141.59, "LTC": 81.37}
STRATEGY = """
from freqtrade.strategy import IStrategy
import random
RNG = random.Random(7)

class Walk(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = FUTURES
    minimal_roi = {"0": 10}
    stoploss = -0.5
    startup_candle_count = 0
    process_only_new_candles = False
    position_adjustment_enable = True
    use_exit_signal = True
    max_entry_position_adjustment = 2
    order_types = {"entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False}

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        column = "enter_short" if FUTURES and metadata["pair"].startswith("ETH") else "enter_long"
        dataframe[column] = 1
        dataframe["enter_tag"] = "walk"
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def leverage(self, pair, current_time, current_rate, proposed_leverage, max_leverage, entry_tag, side, **kwargs):
        return 3.0

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        if RNG.random() < 0.25:
            return "drawn"
        return None

    def adjust_trade_position(self, trade, current_time, current_rate, current_profit, min_stake, max_stake, **kwargs):
        draw = RNG.random()
        if draw < 0.2:
            return trade.stake_amount * 0.5, "more"
        if draw > 0.75 and trade.nr_of_successful_exits < 3:
            return -trade.stake_amount * 0.37, "less"
        return None
"""


class Market:
    """What Binance answers of three markets.

    Args:
        rng: Draws the prices.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.prices = dict(PAIRS)

    def step(self) -> None:
        """Let the prices walk."""
        for name, price in self.prices.items():
            self.prices[name] = round(price * (1 + self._rng.gauss(0, 0.01)), 2)

    def answer(self, url: str) -> Any:
        """Answer a question.

        Args:
            url: Of Binance.

        Returns:
            What it tells.
        """
        parsed = urlparse(url)
        query = {name: values[0] for name, values in parse_qs(parsed.query).items()}
        name, base = parsed.path.rpartition("/")[2], query.get("symbol", "BTCUSDT").removesuffix("USDT")
        told: dict[str, Callable[[], Any]] = {
            "exchangeInfo": lambda: {"serverTime": _now_ms(), "symbols": self._symbols(parsed.path)},
            "klines": lambda: self._klines(base, int(query.get("limit", 500))),
            "depth": lambda: self._depth(self.prices[base]),
            "24hr": lambda: self._tickers(query),
            "bookTicker": lambda: self._tickers(query),
            "time": lambda: {"serverTime": _now_ms()},
        }
        return told[name]() if name in told else []

    def _depth(self, mid: float) -> dict[str, Any]:
        return {
            "lastUpdateId": 1,
            "bids": [[f"{mid * (1 - 0.0001 * n):.2f}", f"{0.37 * n:.5f}"] for n in range(1, 20)],
            "asks": [[f"{mid * (1 + 0.0001 * n):.2f}", f"{0.41 * n:.5f}"] for n in range(1, 20)],
        }

    def _tickers(self, query: dict[str, str]) -> Any:
        found = {f"{base}USDT": self._ticker(base) for base in PAIRS}
        return found[query["symbol"]] if "symbol" in query else list(found.values())

    def _symbols(self, path: str) -> list[dict[str, Any]]:
        if "dapi" in path or "eapi" in path:
            return []
        is_future = "fapi" in path
        more = {"contractType": "PERPETUAL", "marginAsset": "USDT", "pair": "", "deliveryDate": 4133404800000,
                "onboardDate": 1569398400000, "contractSize": "1"} if is_future else {}  # fmt: skip
        step = "0.001" if is_future else "0.00001"
        return [
            {
                "symbol": f"{base}USDT", "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT",
                "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8, "pricePrecision": 2,
                "quantityPrecision": 3, "isSpotTradingAllowed": not is_future, "isMarginTradingAllowed": False,
                "permissions": ["SPOT"], "permissionSets": [["SPOT"]], "orderTypes": ["LIMIT", "MARKET"],
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                    {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000", "stepSize": step},
                    {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "9000", "stepSize": step},
                    {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "9000000"},
                    {"filterType": "MIN_NOTIONAL", "notional": "5", "minNotional": "5"},
                ],
                **more,
            }
            for base in PAIRS
        ]  # fmt: skip

    def _ticker(self, base: str) -> dict[str, Any]:
        mid = self.prices[base]
        return {
            "symbol": f"{base}USDT", "lastPrice": f"{mid:.2f}", "price": f"{mid:.2f}",
            "bidPrice": f"{mid * 0.9999:.2f}", "askPrice": f"{mid * 1.0001:.2f}", "bidQty": "1", "askQty": "1",
            "volume": "1000", "quoteVolume": "100000000", "openPrice": f"{mid:.2f}", "highPrice": f"{mid:.2f}",
            "lowPrice": f"{mid:.2f}", "priceChangePercent": "0", "closeTime": _now_ms(), "openTime": _now_ms() - 1,
        }  # fmt: skip

    def _klines(self, base: str, limit: int) -> list[list[Any]]:
        mid, minute = f"{self.prices[base]:.2f}", _now_ms() // 60_000
        return [
            [at * 60_000, mid, mid, mid, mid, "10", at * 60_000 + 59_999, "100", 5, "5", "50", "0"]
            for at in range(minute - min(limit, 300), minute + 1)
        ]


def _now_ms() -> int:
    return int(time.time() * 1000)


def play(market: Market) -> None:
    """Put the market behind ccxt.

    Args:
        market: What answers.
    """
    ccxt = importlib.import_module("ccxt")
    ccxt_async = importlib.import_module("ccxt.async_support")

    def fetch(self: Any, url: str, *_args: Any, **_kwargs: Any) -> Any:
        return json.loads(json.dumps(market.answer(url)))

    async def fetch_async(self: Any, url: str, *_args: Any, **_kwargs: Any) -> Any:
        return json.loads(json.dumps(market.answer(url)))

    ccxt.Exchange.fetch = fetch
    ccxt_async.Exchange.fetch = fetch_async


def config_of(folder: Path, mode: str) -> dict[str, Any]:
    """Return freqtrade's configuration.

    Args:
        folder: Where everything is.
        mode: spot or futures.
    """
    name = "tradesv3.futures.sqlite" if mode == "futures" else "tradesv3.sqlite"
    suffix = ":USDT" if mode == "futures" else ""
    return {
        "max_open_trades": 3, "stake_currency": "USDT", "stake_amount": 1234.56, "dry_run": True,
        "dry_run_wallet": 50_000, "trading_mode": mode, "margin_mode": "isolated" if mode == "futures" else "",
        "db_url": f"sqlite:///{folder / name}", "strategy": "Walk", "strategy_path": str(folder),
        "user_data_dir": str(folder / "user_data"), "cancel_open_orders_on_exit": False,
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
        "entry_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exchange": {"name": "binance", "key": "", "secret": "", "enable_ws": False,
                     "pair_whitelist": [f"{base}/USDT{suffix}" for base in PAIRS], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}], "internals": {"process_throttle_secs": 1},
        "initial_state": "running", "bot_name": "walker",
    }  # fmt: skip


def main(folder: Path, mode: str, loops: int = 120) -> None:
    """Run the bot.

    Args:
        folder: Where its files go.
        mode: spot or futures.
        loops: How often it looks at the market.
    """
    configuration, enums, freqtradebot, persistence = (
        importlib.import_module(f"freqtrade.{name}")
        for name in ("configuration", "enums", "freqtradebot", "persistence")
    )
    market = Market(random.Random(SEED))
    play(market)
    (folder / "user_data").mkdir(parents=True, exist_ok=True)
    (folder / "walk.py").write_text(STRATEGY.replace("FUTURES", str(mode == "futures")))
    (folder / "config.json").write_text(json.dumps(config_of(folder, mode)))
    config = configuration.Configuration(
        {"config": [str(folder / "config.json")]}, enums.RunMode.DRY_RUN
    ).get_config()
    bot = freqtradebot.FreqtradeBot(config)
    bot.startup()
    for _ in range(loops):
        market.step()
        for name in ("_fetch_tickers_cache", "_exit_rate_cache", "_entry_rate_cache"):
            getattr(bot.exchange, name).clear()
        for lock in persistence.PairLocks.get_all_locks():  # a pair is not traded again within a candle
            lock.active = False
        bot.process()
    persistence.Trade.commit()
    persistence.Trade.session.remove()


if __name__ == "__main__":
    print("seed", SEED)
    main(Path(sys.argv[1]), sys.argv[2])
