"""What an account is worth, by hand."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.position import (
    PositionState,
    apply_fill,
    apply_funding,
    apply_mark,
    open_position,
)
from hybridstore.portfolio.summary import PortfolioSummary, price_of, price_symbols, summarize


def state(side: str, amount: str, price: str, *, size: str = "1", inverse: bool = False) -> PositionState:
    return open_position(side, FillInput("buy", Decimal(price), Decimal(amount), Decimal(size), inverse))


def decimals(**texts: str) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in texts.items()}


def marks(**texts: str) -> dict[str, Decimal]:
    """Marks by symbol; keywords cannot hold the signs, so BTC_USDT__USDT is BTC/USDT:USDT."""
    return {name.replace("__", ":").replace("_", "/"): Decimal(text) for name, text in texts.items()}


def value(
    balances: dict[str, Decimal],
    positions: dict[str, PositionState],
    prices: dict[str, Decimal],
    base_currency: str = "USDT",
    debts: dict[str, Decimal] | None = None,
) -> PortfolioSummary:
    numbered = [(f"p{place}", symbol, held) for place, (symbol, held) in enumerate(positions.items())]
    return summarize("default", balances, numbered, prices, base_currency, debts)


def test_what_is_borrowed_is_no_equity() -> None:
    owed = decimals(USDT="9000", BTC="0.2", ETH="1", XYZ="3")
    summary = value(
        decimals(USDT="10000", BTC="0.5"), {}, marks(BTC_USDT="50000", ETH_USDT="2000"), debts=owed
    )
    assert (summary.equity, summary.cash, summary.debt) == (Decimal(14_000), Decimal(14_000), Decimal(21_000))
    assert [(held.asset, held.amount, held.debt, held.value) for held in summary.assets] == [
        ("USDT", 10_000, 9_000, 1_000),
        ("BTC", Decimal("0.5"), Decimal("0.2"), 15_000),
        ("ETH", 0, 1, -2_000),
        ("XYZ", 0, 3, None),
    ]
    assert summary.unpriced == ("XYZ",)


def test_balances_are_worth_their_price() -> None:
    summary = value(decimals(USDT="1000", BTC="0.5", ETH="0"), {}, marks(BTC_USDT="50000"))
    assert (summary.equity, summary.cash, summary.positions_value) == (
        Decimal(26_000),
        Decimal(26_000),
        Decimal(0),
    )
    assert [tuple(holding.values()) for holding in summary.assets] == [
        ("USDT", Decimal(1000), Decimal(1), Decimal(1000), Decimal(0)),
        ("BTC", Decimal("0.5"), Decimal(50_000), Decimal(25_000), Decimal(0)),
    ]
    assert summary.unpriced == ()


def test_a_spot_position_is_not_counted_beside_its_balance() -> None:
    balances, prices = decimals(BTC="0.5", USDT="100"), marks(BTC_USDT="45500")
    summary = value(balances, {"BTC/USDT": state("LONG", "0.1", "45000")}, prices)
    assert summary.equity == Decimal(22_850)
    assert (summary.unrealized_pnl, summary.positions_value) == (Decimal(50), Decimal(0))


@pytest.mark.parametrize(("side", "worth"), [("LONG", "4550"), ("SHORT", "-4550")])
def test_a_spot_position_stands_for_a_balance_that_was_never_recorded(side: str, worth: str) -> None:
    held = apply_mark(state(side, "0.1", "45000"), Decimal(45_500))
    summary = value(decimals(USDT="100"), {"BTC/USDT": held}, {})
    assert summary.positions_value == Decimal(worth)
    assert summary.equity == Decimal(worth) + 100


def test_a_balance_of_zero_says_that_nothing_is_held() -> None:
    held = apply_mark(state("LONG", "0.1", "45000"), Decimal(45_500))
    summary = value(decimals(BTC="0"), {"BTC/USDT": held}, {})
    assert (summary.equity, summary.unrealized_pnl) == (Decimal(0), Decimal(50))


def test_contracts_add_their_unrealised_profit() -> None:
    prices = marks(BTC_USDT__USDT="51000", BTC_USD__BTC="40000", BTC_USDT="51000")
    positions = {
        "BTC/USDT:USDT": state("SHORT", "0.2", "50000"),
        "BTC/USD:BTC": state("LONG", "200", "25000", size="100", inverse=True),
    }
    summary = value(decimals(USDT="1000"), positions, prices)
    # The short lost 0.2 * 1000; the long gives back 0.5 coins where it took 0.8: 0.3 at 51000.
    assert [position.value for position in summary.positions] == [Decimal(-200), Decimal(15_300)]
    assert [position.unrealized_pnl for position in summary.positions] == [Decimal(-200), Decimal("0.3")]
    assert summary.positions_value == summary.unrealized_pnl == Decimal(15_100)
    assert summary.equity == Decimal(16_100)


def test_realised_fees_and_funding_are_told_in_the_base_currency() -> None:
    held = open_position("LONG", FillInput("buy", Decimal(100), Decimal(2), fee_in_quote=Decimal("0.5")))
    reduced = apply_fill(
        held, FillInput("sell", Decimal(110), Decimal(1), fee_in_quote=Decimal("0.25"))
    ).before
    assert reduced is not None
    funded = apply_funding(reduced, Decimal("-0.125"))
    summary = value({}, {"SOL/USDC:USDC": funded}, marks(SOL_USDC__USDC="110", USDC_USDT="2"))
    assert (summary.realized_pnl, summary.fees, summary.funding) == (
        Decimal(20),
        Decimal("1.5"),
        Decimal("-0.25"),
    )
    assert summary.unrealized_pnl == Decimal(20)


def test_what_has_no_price_is_named_and_not_counted() -> None:
    positions = {"XYZ/USDT:USDT": state("LONG", "1", "10"), "SOL/EUR:EUR": state("LONG", "1", "100")}
    prices = marks(SOL_EUR__EUR="120")
    summary = value(decimals(USDT="5", DOGE="7"), positions, prices)
    assert summary.unpriced == ("DOGE", "XYZ/USDT:USDT", "EUR")
    assert summary.equity == Decimal(5)
    assert summary.assets[1].value is None
    assert summary.assets[1].price is None
    unmarked, unpriced = summary.positions
    assert (unmarked.mark_price, unmarked.unrealized_pnl, unmarked.value) == (None, None, None)
    assert (unpriced.mark_price, unpriced.unrealized_pnl, unpriced.value) == (Decimal(120), Decimal(20), None)


def test_a_fee_without_a_price_is_named_too() -> None:
    fill = FillInput("buy", Decimal(50_000), Decimal(1), fee_in_quote=Decimal(1))
    summary = value({}, {"BTC/EUR": open_position("LONG", fill)}, marks(BTC_EUR="50000"))
    assert (summary.unpriced, summary.fees) == (("EUR",), Decimal(0))


def test_fees_of_an_inverse_contract_are_worth_what_they_are_in_coins() -> None:
    fill = FillInput("buy", Decimal(50_000), Decimal(1), Decimal(100), inverse=True, fee_in_quote=Decimal(1))
    opened = {"BTC/USD:BTC": open_position("LONG", fill)}
    summary = value({}, opened, marks(BTC_USDT="60000", BTC_USD__BTC="50000"))
    assert (summary.unpriced, summary.fees) == ((), Decimal("1.2"))
    summary = value({}, opened, marks(BTC_USDT="60000", BTC_USD__BTC="50000", USDT_USD="0.5"))
    assert (summary.unpriced, summary.fees) == ((), Decimal(2))


def test_realised_profit_needs_no_mark() -> None:
    reduced = apply_fill(state("LONG", "2", "100"), FillInput("sell", Decimal(110), Decimal(1))).before
    assert reduced is not None
    summary = value({}, {"SOL/USDT:USDT": reduced}, {})
    assert (summary.realized_pnl, summary.unpriced) == (Decimal(10), ("SOL/USDT:USDT",))


def test_a_market_mark_goes_before_the_positions_own() -> None:
    held = apply_mark(state("LONG", "1", "100"), Decimal(90))
    assert value({}, {"SOL/USDT:USDT": held}, {}).unrealized_pnl == Decimal(-10)
    assert value({}, {"SOL/USDT:USDT": held}, marks(SOL_USDT__USDT="105")).unrealized_pnl == Decimal(5)


@pytest.mark.parametrize(
    ("prices", "price"),
    [
        ({"BTC/USDT": "4", "BTC/USDT:USDT": "5", "USDT/BTC": "8"}, "4"),
        ({"BTC/USDT:USDT": "5", "BTC/USDT:BTC": "6", "USDT/BTC": "8"}, "5"),
        ({"BTC/USDT:BTC": "6", "USDT/BTC": "8"}, "6"),
        ({"USDT/BTC": "8"}, "0.125"),
        ({"USDT/BTC": "3"}, "0.333333333333333333"),
        ({"BTC/USDT": "0"}, "0"),
    ],
)
def test_a_price_comes_from_the_nearest_market(prices: dict[str, str], price: str) -> None:
    assert price_of("BTC", "USDT", {name: Decimal(text) for name, text in prices.items()}) == Decimal(price)
    assert set(prices) <= set(price_symbols("BTC", "USDT"))


@pytest.mark.parametrize("prices", [{}, {"USDT/BTC": Decimal(0)}, {"ETH/USDT": Decimal(1)}])
def test_no_market_is_no_price(prices: dict[str, Decimal]) -> None:
    assert price_of("BTC", "USDT", prices) is None
    assert price_of("USDT", "USDT", prices) == 1


def test_a_summary_reads_like_a_mapping() -> None:
    summary = value(decimals(USDT="1000"), {}, {})
    assert summary["equity"] == dict(summary)["equity"] == Decimal(1000)
    assert summary.to_dict()["assets"] == [
        {
            "asset": "USDT",
            "amount": Decimal(1000),
            "price": Decimal(1),
            "value": Decimal(1000),
            "debt": Decimal(0),
        }
    ]


def test_the_callers_context_changes_nothing() -> None:
    balances = decimals(USDT="12345678901234567890.123456789012345678", BTC="0.000000000000000001")
    prices = marks(BTC_USDT="50000.123456")
    positions = {
        "BTC/USDT:USDT": apply_mark(state("LONG", "1.23456789", "50000"), Decimal("50001.987654321"))
    }
    expected = value(balances, positions, prices)
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact, decimal.Rounded])):
        assert value(balances, positions, prices) == expected
