"""Recorded fills and trades as if they were one's own: every method accounts for all that was bought and sold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hybridstore.portfolio.fill import fill_cost
from hybridstore.portfolio.lots import compute_lots
from hybridstore.portfolio.lots_records import METHODS, LotFill, make_lot_fill
from hybridstore.portfolio.money import total
from hybridstore.portfolio.symbols import parse_symbol
from tests.portfolio.lots_oracle import Closed, Deal, LotOracle, exact

HYPERLIQUID = "bots/ccxt_static_hyperliquid_my_trades.json"
BINANCE = "trades/hftbacktest_binance_trades_20240808_09.parquet"
HELD_BEFORE = {"HYPE": ("6.2", "30"), "flx:CRCL": ("0.13", "80.2618692307692308"), "SOL": ("2.84", "132.31")}
"""The record begins with open positions: how much, and a price whose cost the exchange's profits imply."""
COST_BEFORE = {"HYPE": "186", "flx:CRCL": "10.434043", "SOL": "375.7604"}


@pytest.mark.parametrize("coin", list(HELD_BEFORE))
def test_average_gains_are_the_profits_the_exchange_told(test_data: Path, coin: str) -> None:
    answers = json.loads((test_data / HYPERLIQUID).read_text(encoding="utf-8"))["httpResponse"]
    told = sorted(
        (one for fills in answers.values() for one in fills if one["coin"] == coin),
        key=lambda one: int(one["time"]),
    )
    assert told
    market = parse_symbol("COIN/USDC:USDC")
    amount, price = HELD_BEFORE[coin]
    opening = make_lot_fill(
        market, "buy", Decimal(price), Decimal(amount), trade_id="before", order_id="-", executed_us=1,
        quote_amount=Decimal(COST_BEFORE[coin]),
    )  # fmt: skip
    fills = [opening, *(_own(one) for one in told)]
    disposals, _ = compute_lots(market.symbol, fills, "AVERAGE")
    for one in told:
        mine = [each for each in disposals if each.trade_id == str(one["tid"])]
        assert total(each.gain for each in mine if each.gain is not None) == Decimal(one["closedPnl"])
        if mine and Decimal(one["sz"]) <= Decimal(one["startPosition"]):
            assert total(each.disposal_fee for each in mine) == Decimal(one["fee"])
    _account_for_all(market.symbol, fills)


def _own(one: dict[str, Any]) -> LotFill:
    fees = [("USDC", Decimal(one["fee"]))]  # what the builder gets is in it
    return make_lot_fill(
        parse_symbol("COIN/USDC:USDC"),
        "buy" if one["side"] == "B" else "sell",
        Decimal(one["px"]),
        Decimal(one["sz"]),
        fees,
        trade_id=str(one["tid"]),
        order_id=str(one["oid"]),
        executed_us=int(one["time"]) * 1000,
    )


@pytest.mark.parametrize(
    ("market", "symbol", "size"),
    [("spot", "BTC/USDT", "1"), ("usdm", "BTC/USDT:USDT", "1"), ("cm", "BTC/USD:BTC", "100")],
)
def test_recorded_trades_as_ones_own(test_data: Path, market: str, symbol: str, size: str) -> None:
    """A thousand of the oldest trades of each market, the taker's side, a fee of 0.1 % and a third asset's."""
    fills = list(_binance(test_data / BINANCE, market, symbol, Decimal(size), 1000))
    assert len(fills) > 100
    _account_for_all(symbol, fills)


def _binance(path: Path, market: str, symbol: str, size: Decimal, most: int) -> Iterable[LotFill]:
    table = pq.read_table(
        path, columns=["market", "symbol", "trade_id", "price", "qty", "is_buyer_maker", "trade_ms"]
    )
    table = table.filter(pc.equal(table["market"], market))
    first = table["symbol"][0].as_py()
    table = table.filter(pc.equal(table["symbol"], first)).sort_by(
        [("trade_ms", "ascending"), ("trade_id", "ascending")]
    )
    parsed = parse_symbol(symbol)
    for row in table.slice(0, most).to_pylist():
        price, amount = Decimal(row["price"]), Decimal(row["qty"])
        if not amount or not price:
            continue
        paid = amount * size / price if parsed.inverse else amount * price
        fee = (paid * Decimal("0.001")).quantize(Decimal("0.00000001"))
        base_fee = [("BTC", amount * Decimal("0.0001"))] if parsed.is_spot else []
        yield make_lot_fill(
            parsed,
            "sell" if row["is_buyer_maker"] else "buy",
            price,
            amount,
            [(parsed.profit_asset, fee), ("BNB", Decimal("0.00001")), *base_fee],
            trade_id=str(row["trade_id"]),
            order_id="-",
            executed_us=row["trade_ms"] * 1000,
            contract_size=size,
        )


def _account_for_all(symbol: str, fills: list[LotFill]) -> None:
    """Every method: quantities and costs are those of the oracle, part by part, and add up to the fills."""
    market = parse_symbol(symbol)
    disposals, lots = compute_lots(symbol, fills)
    for method in METHODS:
        oracle = LotOracle(method, {}, spot=market.is_spot)
        for one in fills:
            sign = 1 if one.fill.side == "buy" else -1
            deal = Deal(
                sign * exact(one.fill.amount),
                exact(one.fill.price),
                exact(one.fill.contract_size),
                market.inverse,
                exact(one.fees),
                None if one.fill.cost is None else exact(one.fill.cost),
            )
            oracle.trade(one.executed_at.year, deal, exact(one.fill.fee_in_base))
        mine = [one for one in disposals if one.plan == method]
        told = [(exact(one.amount), one.side == "LONG", exact(one.disposal_fee)) for one in mine]
        assert told == [(one.quantity, one.long, one.closing_fees) for one in oracle.closed]
        gains = [one.gain for one in mine if one.gain is not None]
        assert sum(map(exact, gains), Fraction(0)) == sum(
            (_gain(one, inverse=market.inverse) for one in oracle.closed), Fraction(0)
        )
        open_cost = [lot.entry_cost for lot in lots if lot.plan == method]
        assert sum(map(exact, open_cost), Fraction(0)) == sum(
            (one.cost for one in oracle.parcels), Fraction(0)
        )
        if market.is_spot:
            sold = [one.fill.amount for one in fills if one.fill.side == "sell"]
            paid = [one.fill.fee_in_base for one in fills]
            assert total(one.amount for one in mine) == total([*sold, *paid])
            bought = [fill_cost(one.fill) for one in fills if one.fill.side == "buy"]
            assert total([one.cost for one in mine if one.cost is not None] + open_cost) == total(bought)


def _gain(one: Closed, *, inverse: bool) -> Fraction:
    if one.opened_for is None:
        return Fraction(0)
    gain = one.closed_for - one.opened_for
    return gain if one.long is not inverse else -gain
