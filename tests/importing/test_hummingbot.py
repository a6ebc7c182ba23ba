"""hummingbot's database: its tables as its models declare them, with figures in whole millionths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import pytest

from hybridstore import HybridStore
from hybridstore.errors import InvalidValue

TABLES = (
    """CREATE TABLE "Order" (id TEXT PRIMARY KEY NOT NULL, config_file_path TEXT NOT NULL, strategy TEXT NOT NULL,
       market TEXT NOT NULL, symbol TEXT NOT NULL, base_asset TEXT NOT NULL, quote_asset TEXT NOT NULL,
       creation_timestamp BIGINT NOT NULL, order_type TEXT NOT NULL, amount BIGINT NOT NULL, leverage INTEGER,
       price BIGINT NOT NULL, last_status TEXT NOT NULL, last_update_timestamp BIGINT NOT NULL,
       exchange_order_id TEXT, position TEXT)""",
    """CREATE TABLE TradeFill (config_file_path TEXT NOT NULL, strategy TEXT NOT NULL, market TEXT NOT NULL,
       symbol TEXT NOT NULL, base_asset TEXT NOT NULL, quote_asset TEXT NOT NULL, timestamp BIGINT NOT NULL,
       order_id TEXT NOT NULL, trade_type TEXT NOT NULL, order_type TEXT NOT NULL, price BIGINT NOT NULL,
       amount BIGINT NOT NULL, leverage INTEGER NOT NULL, trade_fee JSON NOT NULL, trade_fee_in_quote BIGINT,
       exchange_trade_id TEXT NOT NULL, position TEXT, PRIMARY KEY (market, order_id, exchange_trade_id))""",
    """CREATE TABLE FundingPayment (timestamp BIGINT PRIMARY KEY NOT NULL, config_file_path TEXT NOT NULL,
       market TEXT NOT NULL, rate FLOAT NOT NULL, symbol TEXT NOT NULL, amount FLOAT NOT NULL)""",
)
NOW_MS = 1_790_000_000_000
PERCENT: dict[str, Any] = {
    "fee_type": "AddedToCost",
    "percent": "0.001",
    "percent_token": None,
    "flat_fees": [],
}
FLAT: dict[str, Any] = {"fee_type": "AddedToCost", "percent": "0", "percent_token": None,
        "flat_fees": [{"token": "BNB", "amount": "0.00012"}]}  # fmt: skip


class Bot:
    """A database that is written as hummingbot writes it.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = apsw.Connection(str(path))
        for table in TABLES:
            self._connection.execute(table)

    def order(self, name: str, amount: int, price: int, status: str, market: str = "binance") -> None:
        """Write an order."""
        self._connection.execute(
            "INSERT INTO \"Order\" VALUES (?, 'conf.yml', 'pmm', ?, 'BTC-USDT', 'BTC', 'USDT', ?, 'LIMIT', ?, 1,"
            " ?, ?, ?, 'x', 'NIL')",
            (name, market, NOW_MS, amount, price, status, NOW_MS + 5_000),
        )

    def fill(self, name: str, order: str, side: str, price: int, amount: int, fee: Any, **more: Any) -> None:
        """Write a fill."""
        market, at_ms = more.get("market", "binance"), more.get("at_ms", NOW_MS + 1_000)
        self._connection.execute(
            "INSERT INTO TradeFill VALUES ('conf.yml', 'pmm', ?, 'BTC-USDT', 'BTC', 'USDT', ?, ?, ?, 'LIMIT', ?, ?, 1,"
            " ?, 0, ?, 'NIL')",
            (market, at_ms, order, side, price, amount, json.dumps(fee), name),
        )

    def funding(self, amount: float, at_ms: int) -> None:
        """Write a funding payment."""
        self._connection.execute(
            "INSERT INTO FundingPayment VALUES (?, 'conf.yml', 'binance_perpetual', 0.0001, 'BTC-USDT', ?)",
            (at_ms, amount),
        )

    def done(self) -> Path:
        """Close it."""
        self._connection.close()
        return self.path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """Return an empty store."""
    with HybridStore(tmp_path / "store", maintenance="off") as opened:
        yield opened


@pytest.fixture
def bot(tmp_path: Path) -> Bot:
    """Return a database without rows."""
    return Bot(tmp_path / "conf_pmm.sqlite")


def test_fills_and_orders_land_as_they_are_kept(store: HybridStore, bot: Bot) -> None:
    bot.order("buy://BTC-USDT/1", 500_000, 64_000_120_000, "BuyOrderCompletedEvent")
    bot.fill("t1", "buy://BTC-USDT/1", "BUY", 64_000_120_000, 300_000, PERCENT)
    bot.fill("t2", "buy://BTC-USDT/1", "BUY", 64_000_110_000, 200_000, FLAT, at_ms=NOW_MS + 2_000)
    bot.order("sell://BTC-USDT/2", 500_000, 65_000_000_000, "OrderCancelledEvent")
    report = store.importer.hummingbot(bot.done(), account="hb", bot="one")

    assert store.sql(
        "select trade_id, side, price, amount, fee, fee_currency, strategy, bot from trades order by trade_id"
    ).rows() == [
        ("t1", "buy", Decimal("64000.12"), Decimal("0.3"), Decimal("19.200036"), "USDT", "pmm", "one"),
        ("t2", "buy", Decimal("64000.11"), Decimal("0.2"), Decimal("0.00012"), "BNB", "pmm", "one"),
    ]
    assert store.sql("select order_id, side, status, filled from orders order by order_id").rows() == [
        ("buy://BTC-USDT/1", "buy", "closed", Decimal("0.5")),
        ("sell://BTC-USDT/2", "sell", "canceled", Decimal(0)),
    ]
    assert report.is_clean
    assert store.importer.hummingbot(bot.path, account="hb", bot="one").new == 0
    assert store.books.prove("hb").holds


def test_what_was_cut_off_is_told(store: HybridStore, bot: Bot) -> None:
    bot.fill("t1", "buy://1", "BUY", 64_000_120_000, 333_333, PERCENT)  # goes to the sixth place
    bot.fill("t2", "buy://1", "BUY", 12, 5_000_000_000, FLAT)  # a price of 0.000012, two digits of it
    bot.fill("t3", "buy://1", "BUY", 0, 5_000_000_000, FLAT)  # a price below a millionth
    bot.fill("t4", "buy://1", "BUY", 64_000_120_000, 300_000, PERCENT)
    report = store.importer.hummingbot(bot.done())

    rows = {loss.said.split(":")[0].split(";")[0]: loss.rows for loss in report.losses}
    assert rows["price or amount goes to hummingbot's sixth place"] == 2
    assert rows["price or amount has three digits or fewer left of six places"] == 1
    assert rows["price or amount was cut to zero"] == 1
    assert [problem.part for problem in report.refused] == ["t3"]
    assert report.kinds["fills"].new == 3
    assert not report.is_clean


@pytest.mark.parametrize(
    ("fee_type", "paid_in", "side", "market", "fee"),
    [
        ("DeductedFromReturns", None, "BUY", "binance", (Decimal("0.0003"), "BTC")),
        ("DeductedFromReturns", None, "SELL", "binance", (Decimal("19.2"), "USDT")),
        ("DeductedFromReturns", None, "BUY", "binance_perpetual", (Decimal("19.2"), "USDT")),
        ("AddedToCost", None, "BUY", "binance", (Decimal("19.2"), "USDT")),
        ("AddedToCost", "BTC", "BUY", "binance", (Decimal("0.0003"), "BTC")),
        ("AddedToCost", "BNB", "BUY", "binance", (Decimal("19.2"), "USDT")),
    ],
)
def test_a_ratio_counts_in_the_asset_that_pays_it(
    store: HybridStore,
    bot: Bot,
    fee_type: str,
    paid_in: str | None,
    side: str,
    market: str,
    fee: tuple[Decimal, str],
) -> None:
    told: dict[str, Any] = {
        "fee_type": fee_type,
        "percent": "0.001",
        "percent_token": paid_in,
        "flat_fees": [],
    }
    bot.fill("t1", f"{side.lower()}://1", side, 64_000_000_000, 300_000, told, market=market)
    report = store.importer.hummingbot(bot.done())

    assert store.sql("select fee, fee_currency from trades").rows() == [fee]
    assert any("third asset" in loss.said for loss in report.losses) is (paid_in == "BNB")


def test_perpetuals_are_contracts_and_their_funding_counts(store: HybridStore, bot: Bot) -> None:
    bot.fill("t1", "sell://1", "SELL", 64_000_000_000, 100_000, FLAT, market="binance_perpetual")
    bot.funding(1.25, NOW_MS + 60_000)
    report = store.importer.hummingbot(bot.done())

    position = store.get_open_positions()[0]
    assert (position.symbol, position.side, position.funding) == ("BTC/USDT:USDT", "SHORT", Decimal("1.25"))
    assert report.kinds["funding"].new == 1


def test_what_is_no_database_of_hummingbot_is_refused(store: HybridStore, bot: Bot) -> None:
    bot.fill("t1", "buy://1", "up", 64_000_000_000, 100_000, FLAT)
    with pytest.raises(InvalidValue, match="tradefill t1"):
        store.importer.hummingbot(bot.done())
