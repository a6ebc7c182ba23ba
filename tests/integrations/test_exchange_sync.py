"""An account on a small exchange, read through a real ccxt object: nothing is missing, nothing is there twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore
from hybridstore.clock import ManualClock
from hybridstore.errors import ExchangeError, ExchangeUnreachable, InvalidValue
from hybridstore.integrations.exchange import steps
from tests.exchanges.account import DAY_MS, Account
from tests.exchanges.server import (
    ExchangeServer,
    Refusal,
    binance,
    ccxt_or_skip,
    exchange_server,
    recorded_answers,
)

NOW_MS = 1_760_000_000_000
SPOT = "BTC/USDT"
SWAP = "BTC/USDT:USDT"


class World:
    """An exchange, the account on it, and a store to read it into."""

    def __init__(self, root: Path, server: ExchangeServer, account: Account) -> None:
        self.root, self.server, self.account = root, server, account
        self.clock = ManualClock(NOW_MS * 1000)

    def exchange(self, **settings: Any) -> Any:
        return binance(ccxt_or_skip(), self.server.url, **settings)

    def open(self) -> HybridStore:
        return HybridStore(self.root, clock=self.clock)

    def pass_time(self, ms: int) -> None:
        self.account.now_ms += ms
        self.clock.advance(ms * 1000)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    account = Account(recorded_answers(), NOW_MS)
    with exchange_server(account.answer) as server:
        yield World(tmp_path / "root", server, account)


def trade_for_months(account: Account, rng: random.Random, symbol: str = "BTCUSDT", fills: int = 150) -> None:
    at_ms = account.now_ms - 80 * DAY_MS
    while fills > 0:
        parts = min(fills, rng.choice((1, 1, 2, 15)))
        account.trade(symbol, rng, at_ms, parts=parts)
        fills -= parts
        at_ms = min(at_ms + rng.choice((1, 1000, DAY_MS, 9 * DAY_MS // 2)), account.now_ms - 1000)


def stored_fills(store: HybridStore, symbol: str = SPOT) -> list[tuple[Any, ...]]:
    return store.sql(
        "select trade_id, order_id, price, amount, quote_amount, fee, fee_currency, side, epoch_ms(executed_at) "
        "from trades where symbol = $symbol order by cast(trade_id as bigint)",
        symbol=symbol,
    ).rows()


def told_fills(account: Account, symbol: str = "BTCUSDT") -> list[tuple[Any, ...]]:
    return [
        (
            str(row["id"]), str(row["orderId"]), Decimal(row["price"]), Decimal(row["qty"]), Decimal(row["quoteQty"]),
            Decimal(row["commission"]), row["commissionAsset"], "buy" if row["isBuyer"] else "sell", row["time"],
        )
        for row in sorted(account.fills.get(symbol, []), key=lambda row: row["id"])
    ]  # fmt: skip


def test_months_of_fills_come_in_pages_and_only_once(world: World, rng: random.Random) -> None:
    trade_for_months(world.account, rng)
    with world.open() as store:
        first = store.sync(world.exchange(), markets=[SPOT])
        assert first.is_clean, first
        assert stored_fills(store) == told_fills(world.account)
        assert first.streams["trades"].new == 150
        again = store.sync(world.exchange(), markets=[SPOT])
        assert (again.streams["trades"].new, again.streams["trades"].corrected) == (0, 0)
        world.pass_time(DAY_MS)
        world.account.trade("BTCUSDT", rng, world.account.now_ms - 5)
        asked = len(world.server.asked)
        assert store.sync(world.exchange(), markets=[SPOT]).streams["trades"].new == 1
        assert stored_fills(store) == told_fills(world.account)
        my_trades = [query for _, path, query in world.server.asked[asked:] if path == "/api/v3/myTrades"]
        assert all(int(query["startTime"]) >= NOW_MS - 3_600_000 for query in my_trades), "only what is new"
        assert store.books.prove().holds


def test_a_fill_that_is_told_late_is_found_in_the_overlap(world: World, rng: random.Random) -> None:
    with world.open() as store:
        store.sync(world.exchange(), markets=[SPOT])
        world.pass_time(60_000)
        world.account.trade("BTCUSDT", rng, NOW_MS - 1_800_000)  # half an hour before the last reading
        assert store.sync(world.exchange(), markets=[SPOT]).streams["trades"].new == 1


def test_an_earlier_moment_reads_what_lies_before(world: World, rng: random.Random) -> None:
    trade_for_months(world.account, rng, fills=60)
    with world.open() as store:
        store.sync(world.exchange(), markets=[SPOT], since=(NOW_MS - 5 * DAY_MS) * 1000)
        assert len(stored_fills(store)) < 60
        store.sync(world.exchange(), markets=[SPOT], since=(NOW_MS - 100 * DAY_MS) * 1000)
        assert stored_fills(store) == told_fills(world.account)


def test_a_fill_that_is_not_told_any_more_is_a_gap(world: World, rng: random.Random) -> None:
    world.account.trade("BTCUSDT", rng, NOW_MS - 60_000)
    with world.open() as store:
        assert store.sync(world.exchange(), markets=[SPOT]).is_clean
        world.account.lost.add(world.account.fills["BTCUSDT"][-1]["id"])
        world.pass_time(60_000)
        report = store.sync(world.exchange(), markets=[SPOT])
        assert [gap.stream for gap in report.gaps] == ["trades", "trades"]
        assert "is not told any more" in report.gaps[0].said
        assert "are filled, and binance tells fills of 0" in report.gaps[1].said


def test_an_order_says_that_fills_are_missing(world: World, rng: random.Random) -> None:
    world.account.trade("BTCUSDT", rng, NOW_MS - 60_000, parts=3)
    world.account.lost.add(world.account.fills["BTCUSDT"][1]["id"])
    with world.open() as store:
        report = store.sync(world.exchange(), markets=[SPOT])
    assert [(gap.stream, gap.part) for gap in report.gaps] == [("trades", SPOT)]
    assert world.account.orders["BTCUSDT"][0]["executedQty"].rstrip("0") in report.gaps[0].said


def test_more_fills_of_one_moment_than_a_page_holds_are_a_gap(world: World, rng: random.Random) -> None:
    for _ in range(25):
        world.account.trade("BTCUSDT", rng, NOW_MS - 60_000)
    world.account.trade("BTCUSDT", rng, NOW_MS - 50_000)
    with world.open() as store:
        report = store.sync(world.exchange(), markets=[SPOT], what=["trades"])
        assert len(stored_fills(store)) == 21, "what comes after that moment is read all the same"
    assert ["more rows at" in gap.said for gap in report.gaps] == [True]


def test_an_order_that_ended_meanwhile_is_asked_for(world: World, rng: random.Random) -> None:
    world.account.trade("BTCUSDT", rng, NOW_MS - 100 * DAY_MS)
    order = world.account.orders["BTCUSDT"][0]
    order |= {"status": "NEW", "executedQty": "0.00000000"}
    with world.open() as store:
        store.sync(world.exchange(), markets=[SPOT])
        assert [one.order_id for one in store.get_open_orders()] == [str(order["orderId"])]
        order |= {"status": "CANCELED", "updateTime": NOW_MS}
        world.pass_time(60_000)
        store.sync(world.exchange(), markets=[SPOT])
        assert store.get_open_orders() == []


def test_transfers_are_entered_when_they_arrive(world: World) -> None:
    deposit = {
        "id": "d1", "amount": "1.5", "coin": "BTC", "network": "BTC", "status": 0, "txId": "0xd",
        "insertTime": NOW_MS - DAY_MS,
    }  # fmt: skip
    withdrawal = {
        "id": "w1", "amount": "0.25", "transactionFee": "0.0004", "coin": "BTC", "status": 6, "txId": "0xw",
        "applyTime": "2025-10-01 10:00:00", "completeTime": NOW_MS - DAY_MS, "transferType": 0,
    }  # fmt: skip
    world.account.deposits.append(deposit)
    world.account.withdrawals.append(withdrawal)
    with world.open() as store:
        store.sync(world.exchange(), markets=[SPOT])
        ledger = "select type, asset, amount, reference from ledger order by amount"
        sent = [
            ("withdrawal", "BTC", Decimal("-0.25"), "0xw"),
            ("fee", "BTC", Decimal("-0.0004"), "withdrawal:w1"),
        ]
        assert store.sql(ledger).rows() == sent
        deposit["status"] = 1
        world.pass_time(10 * DAY_MS)
        store.sync(world.exchange(), markets=[SPOT])
        assert store.sql(ledger).rows() == [*sent, ("deposit", "BTC", Decimal("1.5"), "0xd")]
        assert store.sync(world.exchange(), markets=[SPOT]).new == 0


def test_swaps_with_funding_and_a_position(world: World, rng: random.Random) -> None:
    account = world.account
    trade_for_months(account, rng, fills=40)
    for day in range(30):
        account.income.append(
            {
                "symbol": "BTCUSDT",
                "incomeType": "FUNDING_FEE",
                "income": f"-0.0{day:03}1",
                "asset": "USDT",
                "time": NOW_MS - day * DAY_MS - 1,
                "tranId": 7000 + day,
                "tradeId": "",
                "info": "FUNDING_FEE",
            }
        )
    exchange = world.exchange(types=["linear"], options={"defaultType": "swap"})
    with world.open() as store:
        store.sync(exchange, markets=[SWAP], what=["trades", "funding"])
        assert len(stored_fills(store, SWAP)) == 40
        assert store.sql("select count(*), sum(amount) from ledger where type = 'funding'").rows() == [
            (30, sum(Decimal(row["income"]) for row in account.income))
        ]
        held = store.get_open_positions()[0]
        account.positions.append(position_told(held.amount, "0.001", held.side))
        report = store.sync(exchange, markets=[SWAP], what=["positions"])
        assert len(report.differences) == 1
        account.positions[0] = position_told(held.amount, "0", held.side)
        assert store.sync(exchange, markets=[SWAP], what=["positions"]).differences == ()
        position = store.get_open_positions()[0]
        assert (position.liquidation_price, position.mark_price) == (Decimal("38007.16"), Decimal("61000.5"))
        assert store.books.prove().holds


def position_told(amount: Decimal, more: str, side: str) -> dict[str, Any]:
    signed = amount + Decimal(more) if side == "LONG" else -(amount + Decimal(more))
    return {
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": f"{signed:f}", "entryPrice": "60000.1",
        "breakEvenPrice": "60000.1", "markPrice": "61000.5", "unRealizedProfit": "1", "liquidationPrice": "38007.16",
        "isolatedMargin": "0", "notional": f"{signed * Decimal('61000.5'):f}", "isolatedWallet": "0",
        "updateTime": NOW_MS, "initialMargin": "1", "maintMargin": "1", "positionInitialMargin": "1",
        "openOrderInitialMargin": "0", "adl": "2", "marginAsset": "USDT",
    }  # fmt: skip


def test_a_position_older_than_what_is_told_is_opened(world: World) -> None:
    world.account.positions.append(position_told(Decimal("0.5"), "0", "SHORT"))
    exchange = world.exchange(types=["linear"], options={"defaultType": "swap"})
    with world.open() as store:
        for _ in range(2):
            assert store.sync(exchange, markets=[SWAP], what=["trades", "positions"]).differences == ()
        (position,) = store.get_open_positions()
        assert (position.side, position.amount, position.entry_price) == (
            "SHORT",
            Decimal("0.5"),
            Decimal("60000.1"),
        )


@pytest.mark.parametrize(("timeframe", "length_ms"), [("1h", 3_600_000), ("1d", DAY_MS)])
def test_a_candle_that_was_forming_is_read_until_it_is_closed(
    world: World, timeframe: str, length_ms: int
) -> None:
    opened = NOW_MS // length_ms * length_ms
    for place in range(30):
        at = opened - place * length_ms
        world.account.candles[at] = [at, "1", "3", "1", "2", "10", at + length_ms - 1, "20", 5, "1", "1", "0"]
    closing = "select close, volume from candles where timeframe = $name order by opened_at desc limit 1"
    with world.open() as store:
        wish: dict[str, Any] = {"markets": [SPOT], "what": ["candles"], "timeframes": timeframe}
        assert store.sync(world.exchange(), **wish).streams["candles"].new == 30
        world.account.candles[opened][4:6] = ["2.5", "11.25"]
        world.pass_time(2 * length_ms)
        report = store.sync(world.exchange(), **wish)
        assert (report.is_clean, report.streams["candles"].new) == (True, 0)
        assert store.sql(closing, name=timeframe).rows() == [(Decimal("2.5"), Decimal("11.25"))]
        del world.account.candles[opened - 3 * length_ms]
        again = store.sync(world.exchange(), overlap_s=20 * length_ms / 1000, **wish)
        assert [gap.stream for gap in again.gaps] == ["candles"]


def test_balances_that_are_and_stay_nothing_are_told_once(world: World) -> None:
    world.account.balances |= {"BTC": ("0.5", "0.1"), "ETH": ("0.00000000", "0.00000000")}
    with world.open() as store:
        assert store.sync(world.exchange(), markets=[SPOT]).streams["balances"].new == 2
        assert store.get_latest_balance("BTC").balance == Decimal("0.6")  # type: ignore[union-attr]
        world.pass_time(1000)
        world.account.balances["BTC"] = ("0", "0")
        assert store.sync(world.exchange(), markets=[SPOT]).streams["balances"].new == 1
        assert store.get_latest_balance("BTC").balance == 0  # type: ignore[union-attr]


def test_markets_are_found_by_what_is_held_and_open(world: World, rng: random.Random) -> None:
    world.account.balances |= {"ETH": ("2", "0"), "BTC": ("0.5", "0.1")}
    world.account.trade("ETHBTC", rng, NOW_MS - DAY_MS)
    with world.open() as store:
        report = store.sync(world.exchange())
        assert {"ETH/BTC", "BTC/USDT", "ETH/USDT"} <= set(report.markets)
        assert len(stored_fills(store, "ETH/BTC")) == 1


def test_what_cannot_be_recorded_is_told_and_asked_for_again(world: World, rng: random.Random) -> None:
    for at in (4000, 3000, 2000):
        world.account.trade("BTCUSDT", rng, NOW_MS - at)
    wrong = world.account.fills["BTCUSDT"][1]
    price, wrong["price"] = wrong["price"], "0.0000000000000000001"
    with world.open() as store:
        with pytest.raises(
            ExchangeError, match="1 rows cannot be recorded, the first of trades BTC/USDT"
        ) as caught:
            store.sync(world.exchange(), markets=[SPOT])
        assert caught.value.report.streams["trades"].new == 2  # type: ignore[attr-defined]
        wrong["price"] = price
        assert store.sync(world.exchange(), markets=[SPOT]).streams["trades"].new == 1
        assert stored_fills(store) == told_fills(world.account)


def test_a_refusal_of_one_kind_keeps_no_other_from_being_read(world: World, rng: random.Random) -> None:
    world.account.trade("BTCUSDT", rng, NOW_MS - 1000)

    def refuse(path: str) -> None:
        if "deposit" in path:
            raise Refusal(401, {"code": -1002, "msg": "You are not authorized to execute this request."})

    world.account.refuse = refuse
    world.account.balances["BTC"] = ("1", "0")
    with world.open() as store:
        with pytest.raises(ExchangeError, match="fetch_deposits") as caught:
            store.sync(world.exchange(), markets=[SPOT])
        assert "check apiKey" in str(caught.value)
        assert len(stored_fills(store)) == 1
        assert store.get_latest_balance("BTC") is not None


def test_an_exchange_that_does_not_answer_is_asked_again_then_told(
    world: World, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_RETRY_FIRST_S", 0.001)
    world.account.trade("BTCUSDT", rng, NOW_MS - 1000)
    failures = iter(range(3))

    def fail(path: str) -> None:
        if path == "/api/v3/myTrades" and next(failures, None) is not None:
            raise Refusal(503, {"code": -1001, "msg": "Internal error; unable to process your request."})

    world.account.refuse = fail
    with world.open() as store:
        assert store.sync(world.exchange(), markets=[SPOT]).streams["trades"].new == 1
        failures = iter(range(1000))
        with pytest.raises(ExchangeUnreachable, match="goes on where this one stopped"):
            store.sync(world.exchange(), markets=[SPOT])


def test_what_cannot_be_used_is_refused_with_what_to_do(world: World) -> None:
    loose = world.exchange()
    loose.number = float
    with world.open() as store:
        with pytest.raises(InvalidValue, match=r"binance.number is float.*exchange.number = str"):
            store.sync(loose)
        with pytest.raises(InvalidValue, match="is 'BTC/USDT' meant"):
            store.sync(world.exchange(), markets=["BTCUSDT"])
        with pytest.raises(InvalidValue, match="what='everything'"):
            store.sync(world.exchange(), what="everything")
        with pytest.raises(InvalidValue, match="is no exchange of ccxt"):
            store.sync(object())
        with pytest.raises(InvalidValue, match=r"ccxt\.async_support"):
            store.sync(binance(ccxt_or_skip("ccxt.async_support"), world.server.url))
