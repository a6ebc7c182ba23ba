"""The paper exchange against the store's own arithmetic: two sets of books, one result."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.demo.market import Quote
from hybridstore.demo.paper import CASH, INSTRUMENTS, PaperExchange, PaperFill
from hybridstore.errors import InvalidValue
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.ledger import fill_entries
from hybridstore.portfolio.position import PositionState, apply_fill
from hybridstore.portfolio.reconcile import reconcile
from hybridstore.portfolio.symbols import parse_symbol

SPOT, PERPETUAL = "BTC/USDT", "BTC/USDT:USDT"
OPENING = Decimal(10_000)

steps = st.lists(
    st.tuples(
        st.sampled_from([instrument.symbol for instrument in INSTRUMENTS]),
        st.integers(min_value=-12, max_value=12),
        st.integers(min_value=100_000, max_value=9_000_000),
    ),
    max_size=40,
)


def quote(symbol: str, bid_ticks: int) -> Quote:
    return Quote(
        symbol, Decimal(bid_ticks).scaleb(-2), Decimal(bid_ticks + 1).scaleb(-2), 1_723_161_254_000_000
    )


def trade(exchange: PaperExchange, moves: list[tuple[str, int, int]]) -> list[PaperFill]:
    fills = []
    for symbol, level, bid_ticks in moves:
        fill = exchange.trade_to(level, quote(symbol, bid_ticks))
        if fill is not None:
            fills.append(fill)
    return fills


@given(moves=steps)
def test_ledger_entries_of_the_fills_arrive_at_the_reported_balances(
    moves: list[tuple[str, int, int]],
) -> None:
    exchange = PaperExchange(OPENING, Decimal(1000))
    positions: dict[str, PositionState | None] = {}
    entries: list[tuple[str, Decimal]] = []
    for fill in trade(exchange, moves):
        change = apply_fill(positions.get(fill.symbol), FillInput(fill.side, fill.price, fill.amount))
        held = change.opened or change.before
        positions[fill.symbol] = held if held is not None and held.status == "OPEN" else None
        market = parse_symbol(fill.symbol)
        assert market.is_spot or change.realized_delta == fill.realized
        fees = [(CASH, fill.fee)]
        legs = fill_entries(market, fill.side, fill.amount, fill.quote_amount, change.realized_delta, fees)
        entries.extend((entry.asset, entry.amount) for entry in legs)
    assert reconcile({CASH: OPENING}, entries, exchange.balances) == ()


@given(moves=steps)
def test_spot_is_never_overdrawn_and_amounts_keep_to_the_lots(moves: list[tuple[str, int, int]]) -> None:
    exchange = PaperExchange(OPENING, Decimal(1000))
    for symbol, level, bid_ticks in moves:
        before = exchange.balances[CASH]
        fill = exchange.trade_to(level, quote(symbol, bid_ticks))
        instrument = exchange.instruments[symbol]
        if fill is None:
            assert exchange.balances[CASH] == before
            continue
        assert fill.amount % instrument.lot == 0
        assert fill.fee == fill.price * fill.amount * instrument.fee_rate
        assert instrument.perpetual or exchange.amount(symbol) >= 0
        if not instrument.perpetual and fill.side == "buy":
            assert exchange.balances[CASH] >= exchange.margin


def test_a_round_trip_on_spot_costs_spread_and_fees() -> None:
    exchange = PaperExchange(OPENING, Decimal(1000))
    bought = exchange.trade_to(1, quote(SPOT, 5_000_000))
    sold = exchange.trade_to(0, quote(SPOT, 5_000_000))
    assert bought is not None
    assert sold is not None
    # 1000 / 50000.01 is 0.01999..., whole lots of 0.00001: 0.01999
    assert (bought.side, bought.amount, bought.price) == ("buy", Decimal("0.01999"), Decimal("50000.01"))
    assert (sold.side, sold.amount, sold.price) == ("sell", Decimal("0.01999"), Decimal(50_000))
    assert exchange.balances[CASH] == OPENING - Decimal("0.01999") * Decimal("0.01") - bought.fee - sold.fee
    assert exchange.balances["BTC"] == 0


def test_a_flip_realises_the_closed_part_only() -> None:
    exchange = PaperExchange(OPENING, Decimal(1000))
    exchange.trade_to(1, quote(PERPETUAL, 5_000_000))
    flip = exchange.trade_to(-1, quote(PERPETUAL, 5_100_000))
    assert flip is not None
    # Long 0.019 at 50000.01; a clip at 51000.01 is 0.019 too, so 0.038 is sold at 51000.
    assert (flip.side, flip.amount) == ("sell", Decimal("0.038"))
    assert flip.realized == Decimal("0.019") * (Decimal(51_000) - Decimal("50000.01"))
    assert exchange.amount(PERPETUAL) == Decimal("-0.019")
    assert exchange.margin == Decimal("0.019") * 51_000 * Decimal("0.2")


def test_what_the_cash_does_not_allow_is_refused_and_counted() -> None:
    exchange = PaperExchange(Decimal(1000), Decimal(600))
    assert exchange.trade_to(1, quote(SPOT, 5_000_000)) is not None
    assert exchange.trade_to(2, quote(SPOT, 5_000_000)) is None
    assert exchange.trade_to(-1, quote(SPOT, 5_000_000)) is None
    assert exchange.trade_to(5, quote(PERPETUAL, 5_000_000)) is None
    assert exchange.refused == 3


@pytest.mark.parametrize(("cash", "clip"), [(0, 1), (1, 0), (-5, 1)])
def test_an_account_needs_cash_and_a_clip(cash: int, clip: int) -> None:
    with pytest.raises(InvalidValue, match=f"cash={cash}, clip_value={clip}"):
        PaperExchange(Decimal(cash), Decimal(clip))
