"""Ledger entries of a fill: every asset it moved, signed."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from hybridstore.portfolio.ledger import Entry, fill_entries, fill_reference
from hybridstore.portfolio.symbols import Market, parse_symbol
from hybridstore.schema.types import NAME_LENGTH_MAX

SPOT, LINEAR, INVERSE = map(parse_symbol, ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"))
AMOUNT, QUOTE = Decimal("0.1"), Decimal(5000)


@pytest.mark.parametrize(("side", "base", "quote"), [("buy", "0.1", "-5000"), ("sell", "-0.1", "5000")])
def test_spot_moves_base_against_quote(side: str, base: str, quote: str) -> None:
    assert fill_entries(SPOT, side, AMOUNT, QUOTE, Decimal(7), []) == (
        Entry("base", "trade", "BTC", Decimal(base)),
        Entry("quote", "trade", "USDT", Decimal(quote)),
    )


@pytest.mark.parametrize(("market", "asset"), [(LINEAR, "USDT"), (INVERSE, "BTC")])
def test_a_contract_moves_its_profit_only(market: Market, asset: str) -> None:
    assert fill_entries(market, "sell", AMOUNT, QUOTE, Decimal("-1.5"), []) == (
        Entry("pnl", "trade", asset, Decimal("-1.5")),
    )
    assert fill_entries(market, "buy", AMOUNT, QUOTE, Decimal(0), []) == ()


def test_fees_are_taken_and_rebates_given() -> None:
    fees = [("USDT", Decimal("2.5")), ("BNB", Decimal("-0.001")), ("BTC", Decimal(0)), ("USDT", Decimal(1))]
    assert fill_entries(LINEAR, "buy", AMOUNT, QUOTE, Decimal(0), fees) == (
        Entry("fee0", "fee", "USDT", Decimal("-2.5")),
        Entry("fee1", "rebate", "BNB", Decimal("0.001")),
        Entry("fee3", "fee", "USDT", Decimal(-1)),
    )


def test_entries_of_one_fill_have_legs_of_their_own() -> None:
    entries = fill_entries(SPOT, "buy", AMOUNT, QUOTE, Decimal(0), [("BTC", Decimal("0.001"))] * 2)
    assert len({entry.leg for entry in entries}) == len(entries) == 4


def test_no_two_fills_have_one_reference() -> None:
    ids = ["1", "1|2", "2", "2|3", "1\\", "\\1", "|", "\\|", "-", "t" * 200, "t" * 199 + "|"]
    fills = list(product(("BTC/USDT", "B" * 99 + "/" + "Q" * 99), ids, ids))
    references = {fill_reference(*fill) for fill in fills}
    assert len(references) == len(fills)
    assert max(map(len, references)) + len("|fee12345") <= NAME_LENGTH_MAX
    assert fill_reference("BTC/USDT", "t1", "-") == "BTC/USDT|t1|-"
