"""The recorded Hyperliquid fills through a real store: closedPnl digit for digit, the liquidations included.

The record starts in the middle of positions. What was held before a coin's first fill is recorded as one purchase whose
cost is what the exchange's first closing profit implies; every further profit is then the store's own. The spot fill
shows the same: Hyperliquid spreads the fee of a purchase over what arrived, so its cost of 49.98251 PURR is more than
what was paid for them (see decision 6), and given that cost the profit is the exchange's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.hot.trade_rows import FillResult
from hybridstore.portfolio.ledger import fill_reference
from hybridstore.portfolio.money import divide, multiply, subtract, total
from hybridstore.store import HybridStore
from tests.hot.books import rows

FILE = "bots/ccxt_static_hyperliquid_my_trades.json"
SYMBOLS = {
    "HYPE": "HYPE/USDC:USDC", "flx:CRCL": "FLX-CRCL/USDH:USDH", "SOL": "SOL/USDC:USDC", "PURR/USDC": "PURR/USDC"
}  # fmt: skip
FIRST_CLOSED = {"HYPE": ("1.0", "30"), "flx:CRCL": ("0.13", "10.434043"), "SOL": ("1", "132.31"),
                "PURR/USDC": ("49", "47.729955")}  # fmt: skip
"""How much the first closing fill closed, and at which cost by the exchange's profit; the one of SOL is free."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    with HybridStore(tmp_path / "root") as opened:
        yield opened


@pytest.fixture
def recorded(test_data: Path) -> list[dict[str, Any]]:
    """All seven fills, the oldest first."""
    answers = json.loads((test_data / FILE).read_text(encoding="utf-8"))["httpResponse"]
    fills = [fill for answer in answers.values() for fill in answer]
    assert len(fills) == 7
    return sorted(fills, key=lambda fill: int(fill["time"]))


def fees_of(fill: dict[str, Any]) -> list[tuple[str, Decimal]]:
    """The exchange's own fee and the builder's; what it calls ``fee`` is the two together."""
    whole, builder = Decimal(fill["fee"]), Decimal(fill.get("builderFee") or "0")
    fees = [(fill["feeToken"], subtract(whole, builder)), (fill["feeToken"], builder)]
    return [(asset, cost) for asset, cost in fees if cost]


def record(store: HybridStore, fill: dict[str, Any]) -> FillResult:
    return store.record_fill(
        SYMBOLS[fill["coin"]],
        "buy" if fill["side"] == "B" else "sell",
        fill["px"],
        fill["sz"],
        trade_id=str(fill["tid"]),
        order_id=str(fill["oid"]),
        fees=fees_of(fill),
        realized_pnl_exchange=fill["closedPnl"],
        liquidation="liquidation" in fill,
        executed_at=int(fill["time"]) * 1000,
        info=fill,
    )


def hold_before(store: HybridStore, fill: dict[str, Any]) -> None:
    """Record what was held before a coin's first fill, at the cost its first close implies."""
    amount, cost = map(Decimal, FIRST_CLOSED[fill["coin"]])
    held = Decimal(fill["startPosition"])
    whole = divide(multiply(cost, held), amount)
    store.record_fill(
        SYMBOLS[fill["coin"]],
        "buy",
        divide(whole, held),
        held,
        quote_amount=whole,
        executed_at=int(fill["time"]) * 1000 - 1,
    )


def held_of(store: HybridStore, symbol: str) -> Decimal:
    return total(position.amount for position in store.get_open_positions() if position.symbol == symbol)


def test_profits_are_the_exchanges(store: HybridStore, recorded: list[dict[str, Any]]) -> None:
    known: set[str] = set()
    for fill in recorded:
        symbol = SYMBOLS[fill["coin"]]
        if fill["coin"] not in known:
            known.add(fill["coin"])
            hold_before(store, fill)
        assert held_of(store, symbol) == Decimal(fill["startPosition"])
        result = record(store, fill)
        fees = Decimal(fill["fee"])
        assert result.trade.realized_pnl == Decimal(fill["closedPnl"]), "gross, digit for digit"
        assert result.trade.fee_in_quote == fees, "fees in a column of their own"
        assert result.trade.net_pnl == subtract(Decimal(fill["closedPnl"]), fees), "and what is left of it"
        assert record(store, fill).repeated


def test_gross_fees_and_net_are_columns_of_their_own(
    store: HybridStore, recorded: list[dict[str, Any]]
) -> None:
    test_profits_are_the_exchanges(store, recorded)
    told = {str(fill["tid"]): fill for fill in recorded}
    stored = store.sql(
        "SELECT trade_id, realized_pnl, realized_pnl_exchange, fee_in_quote, net_pnl FROM trades "
        "WHERE realized_pnl_exchange IS NOT NULL"
    ).rows()
    assert len(stored) == len(told)
    for trade_id, gross, exchange, fees, net in stored:
        fill = told[trade_id]
        assert gross == exchange == Decimal(fill["closedPnl"])
        assert (fees, net) == (Decimal(fill["fee"]), Decimal(fill["closedPnl"]) - Decimal(fill["fee"]))


def test_the_ledger_moves_by_net(store: HybridStore, recorded: list[dict[str, Any]]) -> None:
    test_profits_are_the_exchanges(store, recorded)
    for fill in recorded:
        symbol = SYMBOLS[fill["coin"]]
        reference = fill_reference(symbol, str(fill["tid"]), str(fill["oid"]))
        entries = rows(store, "SELECT asset, type, amount FROM ledger WHERE reference = ?", (reference,))
        charged = [Decimal(amount).copy_negate() for _, kind, amount in entries if kind == "fee"]
        assert charged == [cost for _, cost in fees_of(fill)]
        assert total(charged) == Decimal(fill["fee"])
        if ":" in symbol:
            assert {asset for asset, _, _ in entries} == {symbol.rpartition(":")[2]}
            moved = total(Decimal(amount) for _, _, amount in entries)
            assert moved == subtract(Decimal(fill["closedPnl"]), Decimal(fill["fee"]))


def test_a_liquidation_is_named(store: HybridStore, recorded: list[dict[str, Any]]) -> None:
    test_profits_are_the_exchanges(store, recorded)
    liquidated = {SYMBOLS[fill["coin"]] for fill in recorded if "liquidation" in fill}
    closed = rows(
        store,
        "SELECT p.symbol, p.close_reason, e.kind, e.amount_after FROM positions AS p JOIN position_events AS e "
        "ON e.position_id = p.position_id AND e.seq = p.event_seq WHERE p.status = 'CLOSED'",
    )
    assert sorted(closed) == [(symbol, "liquidation", "liquidate", "0") for symbol in sorted(liquidated)]
    assert len(liquidated) == 2
