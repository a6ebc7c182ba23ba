"""Recorded perpetual fills against the exchange's own closedPnl, digit for digit, the liquidations included.

The record starts in the middle of positions. What was held before a coin's first fill is taken from the fills:
``startPosition`` says how much, and its cost is what the exchange's first closing profit implies (HYPE: exactly 30 a
coin; CRCL: 10.434043 for 0.13). Every further profit, amount and status is then the engine's own.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.ledger import fill_entries
from hybridstore.portfolio.money import multiply, subtract, total
from hybridstore.portfolio.position import PositionState, apply_fill, open_position
from hybridstore.portfolio.symbols import parse_symbol

FILE = "bots/ccxt_static_hyperliquid_my_trades.json"
HELD_BEFORE = {
    "HYPE": ("HYPE/USDC:USDC", "6.2", "186"),
    "flx:CRCL": ("FLX-CRCL/USDH:USDH", "0.13", "10.434043"),
    "SOL": ("SOL/USDC:USDC", "2.84", "375.7604"),
}
"""Symbol, amount and cost of what was open before a coin's first fill; the SOL cost is free, none is closed."""


@pytest.fixture
def recorded(test_data: Path) -> dict[str, list[dict[str, Any]]]:
    """Fills by coin, the oldest first."""
    answers = json.loads((test_data / FILE).read_text(encoding="utf-8"))["httpResponse"]
    by_coin: dict[str, list[dict[str, Any]]] = {}
    for fill in sorted(
        (fill for fills in answers.values() for fill in fills), key=lambda fill: int(fill["time"])
    ):
        by_coin.setdefault(fill["coin"], []).append(fill)
    return by_coin


def fee_of(fill: dict[str, Any]) -> Decimal:
    """What it cost in all: the exchange says that a builder's share is in it."""
    return Decimal(fill["fee"])


def held_before(coin: str) -> PositionState:
    _, amount, cost = HELD_BEFORE[coin]
    quantity = Decimal(amount)
    return open_position("LONG", FillInput("buy", Decimal(cost) / quantity, quantity, cost=Decimal(cost)))


@pytest.mark.parametrize("coin", list(HELD_BEFORE))
def test_profits_are_the_exchanges(recorded: dict[str, list[dict[str, Any]]], coin: str) -> None:
    state: PositionState | None = held_before(coin)
    market = parse_symbol(HELD_BEFORE[coin][0])
    for fill in recorded[coin]:
        assert (state.amount if state else 0) == Decimal(fill["startPosition"])
        one = FillInput(
            "buy" if fill["side"] == "B" else "sell",
            Decimal(fill["px"]),
            Decimal(fill["sz"]),
            fee_in_quote=fee_of(fill),
            is_liquidation="liquidation" in fill,
        )
        change = apply_fill(state, one)
        assert change.realized_delta == Decimal(fill["closedPnl"])
        event = change.before_event or change.opened_event
        assert event is not None
        assert (event.kind == "liquidate") == ("liquidation" in fill)
        fees = [(fill["feeToken"], fee_of(fill))]
        moved = fill_entries(
            market, one.side, one.amount, multiply(one.price, one.amount), change.realized_delta, fees
        )
        net = subtract(Decimal(fill["closedPnl"]), fee_of(fill))
        assert {entry.asset for entry in moved} == {market.profit_asset}
        assert total(entry.amount for entry in moved) == net
        last = change.opened or change.before
        assert last is not None
        state = last if last.status == "OPEN" else None


def test_a_liquidation_leaves_nothing_open(recorded: dict[str, list[dict[str, Any]]]) -> None:
    liquidated = [fill for fills in recorded.values() for fill in fills if "liquidation" in fill]
    assert {fill["coin"] for fill in liquidated} == {"HYPE", "flx:CRCL"}
    assert all(fill["sz"] == fill["startPosition"] for fill in liquidated)
