"""ccxt's unified structures as calls of the store: exact, complete, and refused where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore
from hybridstore.errors import InvalidValue
from hybridstore.integrations.exchange import quotes, unified
from hybridstore.integrations.exchange.cursor import cursor_name, parse_name
from hybridstore.integrations.exchange.steps import Write
from tests.exchanges.server import ccxt_or_skip, recorded

AT_MS = 1_760_000_000_123
TAGS = {"account": "main"}
SWAP_MARKET = {"contract": True, "contractSize": "0.01"}


def trade(**changes: Any) -> dict[str, Any]:
    return {
        "id": "7", "order": "9", "timestamp": AT_MS, "symbol": "BTC/USDT:USDT", "side": "buy", "price": "60000.1",
        "amount": "3", "cost": "1800.003", "fee": {"cost": "0.5", "currency": "USDT"}, "fees": [],
        "takerOrMaker": "maker", "info": {"positionSide": "LONG", "realizedPnl": "-0.25"}, **changes,
    }  # fmt: skip


def order(**changes: Any) -> dict[str, Any]:
    return {
        "id": "9", "clientOrderId": "mine", "timestamp": AT_MS, "lastTradeTimestamp": None, "symbol": "BTC/USDT",
        "type": "limit", "timeInForce": "GTC", "side": "buy", "price": "1.5", "amount": "2", "filled": "0.5",
        "average": "1.5", "cost": "0.75", "status": "open", "reduceOnly": None, "postOnly": True, "stopPrice": "0",
        **changes,
    }  # fmt: skip


def do(store: HybridStore, write: Write) -> Any:
    return getattr(store, write.call)(*write.args, **write.kwargs)


def test_a_fill_keeps_everything_it_tells(tmp_path: Path) -> None:
    with HybridStore(tmp_path) as store:
        result = do(store, unified.fill(trade(), SWAP_MARKET, TAGS))
        assert (result.trade.trade_id, result.trade.order_id, result.trade.account) == ("7", "9", "main")
        assert (result.trade.quote_amount, result.trade.contract_size) == (
            Decimal("1800.003"),
            Decimal("0.01"),
        )
        assert (result.trade.fee, result.trade.fee_currency) == (Decimal("0.5"), "USDT")
        assert int(result.trade.executed_at.timestamp() * 1000) == AT_MS
        row = store.sql("select liquidity, position_side, realized_pnl_exchange from trades").rows()
        assert row == [("maker", "LONG", Decimal("-0.25"))]


def test_several_fees_and_unknown_ones(tmp_path: Path) -> None:
    two = [{"cost": "0.1", "currency": "USDT"}, {"cost": "0.002", "currency": "BNB"}]
    assert unified.fill(trade(fees=two), {}, TAGS).kwargs["fees"] == [("USDT", "0.1"), ("BNB", "0.002")]
    unknown = trade(fee={"cost": None, "currency": None})
    assert "fees" not in unified.fill(unknown, {}, TAGS).kwargs
    with pytest.raises(InvalidValue, match="in which currency"):
        unified.fill(trade(fee={"cost": "0.5", "currency": None}), {}, TAGS)


def test_a_cost_is_taken_where_a_product_has_too_many_places(tmp_path: Path) -> None:
    tiny = trade(
        symbol="PEPE/USDT",
        price="0.000000123456",
        amount="0.00000012345678",
        cost="0.000000000000015241",
        info={},
    )
    with HybridStore(tmp_path) as store:
        result = do(store, unified.fill(tiny, {}, TAGS))
    assert result.trade.quote_amount == Decimal("0.000000000000015241")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: unified.fill(trade(price=60000.1), {}, TAGS), "price=60000.1: a float"),
        (lambda: unified.fill(trade(id=None), {}, TAGS), "a trade without id"),
        (lambda: unified.fill(trade(timestamp=None), {}, TAGS), "a trade without timestamp"),
        (lambda: unified.fill(trade(amount=None), {}, TAGS), "has no amount"),
        (lambda: unified.order(order(status="lost"), TAGS), "status 'lost'"),
        (lambda: unified.balances({"total": {"BTC": 1.5}, "BTC": {"total": 1.5}}), "BTC total=1.5: a float"),
        (lambda: quotes.candle("BTC/USDT", "1h", [AT_MS, 1.5, "2", "1", "1", "0"]), "open=1.5"),
        (lambda: quotes.market_trade(trade(id="a-b")), "declare a dataset of your own"),
        (
            lambda: unified.transaction({"id": "1", "amount": "1"}, "deposit", "main"),
            "a deposit without timestamp",
        ),
    ],
)
def test_what_would_be_wrong_is_refused(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        build()


def test_orders_of_every_kind(tmp_path: Path) -> None:
    with HybridStore(tmp_path) as store:
        kinds: tuple[dict[str, Any], ...] = (
            {},
            {"status": None},
            {"status": None, "filled": "2"},
            {"status": "canceling"},
            {"amount": None, "type": None},
        )
        for number, changes in enumerate(kinds):
            assert do(store, unified.order(order(id=str(number), **changes), TAGS))
        stored = store.sql(
            "select order_id, status, amount, filled, type, trigger_price, post_only from orders order by 1"
        )
        half, two = Decimal("0.5"), Decimal(2)
        assert stored.rows() == [
            ("0", "open", two, half, "limit", None, True),
            ("1", "open", two, half, "limit", None, True),
            ("2", "closed", two, two, "limit", None, True),
            ("3", "open", two, half, "limit", None, True),
            ("4", "open", half, half, "unknown", None, True),
        ]


def test_what_moves_an_account_has_its_sign(tmp_path: Path) -> None:
    sent = {
        "id": "w", "amount": "1.5", "currency": "BTC", "timestamp": AT_MS, "txid": "0x1",
        "fee": {"cost": "0.001", "currency": "BTC"},
    }  # fmt: skip
    out = {
        "id": None,
        "type": "rebate",
        "direction": "out",
        "amount": "2",
        "currency": "BNB",
        "timestamp": AT_MS,
    }
    rows = [
        *unified.transaction(sent, "withdrawal", "main"),
        *unified.transaction({**sent, "id": "d", "fee": None}, "deposit", "main"),
        unified.ledger_entry(out, "rebate", "main"),
        unified.ledger_entry({**out, "direction": "in", "id": "5"}, "rebate", "main"),
    ]
    with HybridStore(tmp_path) as store:
        assert store.record_ledger_entries(rows).inserted == 5
        assert store.record_ledger_entries(rows).repeated == 5
        told = store.sql("select entry_id, amount from ledger order by amount, entry_id").rows()
    assert told == [
        (f"ledger:{AT_MS * 1000}:rebate:BNB:out:2", Decimal(-2)),
        ("withdrawal:w", Decimal("-1.5")),
        ("withdrawal:w:fee", Decimal("-0.001")),
        ("deposit:d", Decimal("1.5")),
        ("ledger:5", Decimal(2)),
    ]


def test_tickers_without_a_price_are_no_mark() -> None:
    told = {"symbol": "BTC/USDT", "bid": "1", "ask": None, "last": "0", "timestamp": AT_MS}
    assert quotes.mark(told) == {"symbol": "BTC/USDT", "bid": "1", "marked_at": AT_MS * 1000}
    assert quotes.mark({**told, "bid": None}) is None


def test_fills_of_hyperliquid_with_what_it_realised(tmp_path: Path) -> None:
    exchange = ccxt_or_skip().hyperliquid()
    exchange.number = str
    answers = recorded("bots/ccxt_static_hyperliquid_my_trades.json")["httpResponse"]
    with HybridStore(tmp_path) as store:
        for rows in answers.values():
            for row in rows:
                assert not do(store, unified.fill(exchange.parse_trade(dict(row)), {}, TAGS)).repeated
        told = store.sql(
            "select trade_id, price, amount, realized_pnl_exchange, liquidation from trades"
        ).rows()
    wanted = {
        (
            str(row["tid"]),
            Decimal(row["px"]),
            Decimal(row["sz"]),
            Decimal(row["closedPnl"]),
            "liquidation" in row,
        )
        for rows in answers.values()
        for row in rows
    }
    assert set(told) == wanted


@pytest.mark.parametrize("part", ["BTC/USDT", "", 'a "quoted" one', "ETH/USDT:USDT 1h"])
def test_names_of_cursors_come_apart_again(part: str) -> None:
    assert parse_name(cursor_name("kraken/main", "binance", "trades", part)) == (
        "kraken/main",
        "binance",
        "trades",
        part,
    )
    assert parse_name(f"another's {part}") is None
