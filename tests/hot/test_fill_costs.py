"""Fills through the store: fees in base, sales beyond the position, the exchange's own cost, all in equal books."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore.hot.position_rows import Position
from hybridstore.store import HybridStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """An open store without a maintenance process."""
    with HybridStore(tmp_path / "root") as opened:
        yield opened


def read(store: HybridStore, position_id: str) -> Position:
    """The position as its row says, not as the fill's result did."""
    found = store.get_position(position_id)
    assert found is not None
    return found


def test_a_fee_in_base_leaves_the_position(store: HybridStore) -> None:
    result = store.record_fill(
        "BTC/USDT", "buy", "50000", "0.1", trade_id="1", fee="0.0001", fee_currency="BTC", position_id="p"
    )
    assert result.trade.fee_in_quote == Decimal(5)
    held = read(store, "p")
    assert (held.amount, held.entry_cost, held.fees) == (Decimal("0.0999"), Decimal(4995), Decimal(5))


def test_what_is_sold_beyond_the_position_takes_its_share_of_the_fee(store: HybridStore) -> None:
    store.record_fill("BTC/USDT", "buy", "50000", "0.1", trade_id="1", position_id="p")
    sold = store.record_fill("BTC/USDT", "sell", "51000", "0.2", trade_id="2", fee="5")
    assert sold.trade.realized_pnl == Decimal(100)
    held = read(store, "p")
    assert (held.status, held.realized_pnl, held.fees) == ("CLOSED", Decimal(100), Decimal("2.5"))


def test_a_sale_adds_to_a_short_opened_by_hand(store: HybridStore) -> None:
    store.create_position("p", "BTC/USDT", "SHORT", Decimal("0.1"), Decimal(50_000))
    store.record_fill("BTC/USDT", "sell", "52000", "0.3", trade_id="1")
    held = read(store, "p")
    assert (held.amount, held.entry_price) == (Decimal("0.4"), Decimal(51_500))


def test_a_fill_that_goes_to_its_own_fee_leaves_a_closed_position(store: HybridStore) -> None:
    store.record_fill(
        "DOGE/USDT", "buy", "0.1", "1", trade_id="1", fee="1", fee_currency="DOGE", position_id="p"
    )
    held = read(store, "p")
    assert (held.status, held.amount, held.fees) == ("CLOSED", Decimal(0), Decimal("0.1"))
    assert held.closed_at == held.opened_at
    assert store.get_open_positions() == []


def test_the_exchanges_own_cost_is_the_positions(store: HybridStore) -> None:
    store.record_fill(
        "BTC/USDT", "buy", "3", "0.333333333333333333", trade_id="1", quote_amount="0.99", position_id="p"
    )
    assert read(store, "p").entry_cost == Decimal("0.99")


def test_fees_that_are_known_count_beside_one_that_is_not(store: HybridStore) -> None:
    fees = [("USDT", "2"), ("BNB", "0.01")]
    result = store.record_fill("BTC/USDT", "buy", "50000", "0.1", trade_id="1", fees=fees, position_id="p")
    assert result.trade.fee_in_quote is None
    assert read(store, "p").fees == Decimal(2)
