"""Lots by hand: each method's choice, what a year's change of method does, fees in every asset, both sides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.lots import compute_lots, total_by_plan, total_by_year
from hybridstore.portfolio.lots_book import LotBook, year_begin_us
from hybridstore.portfolio.lots_records import (
    METHODS,
    Disposal,
    LotFill,
    OpenLot,
    add_fees,
    make_lot_fill,
    plan_methods,
)
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.types import EPOCH

SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
START = datetime(2024, 6, 1, tzinfo=UTC)


def fill(
    number: int,
    side: str,
    amount: str,
    price: str,
    *fees: tuple[str, str],
    symbol: str = SPOT,
    at: datetime | None = None,
    size: str = "1",
    position_side: str | None = None,
) -> LotFill:
    """Make a fill; without a moment they follow each other by an hour."""
    executed_at = at or START + timedelta(hours=number)
    return make_lot_fill(
        parse_symbol(symbol),
        side,
        Decimal(price),
        Decimal(amount),
        [(asset, Decimal(cost)) for asset, cost in fees],
        trade_id=f"t{number}",
        order_id="o",
        executed_us=(executed_at - EPOCH) // timedelta(microseconds=1),
        contract_size=Decimal(size),
        position_side=position_side,
    )


def closed(
    fills: Iterable[LotFill], method: str = "FIFO", symbol: str = SPOT, by_year: dict[int, str] | None = None
) -> list[Disposal]:
    return compute_lots(symbol, fills, method, by_year=by_year)[0]


def left(
    fills: Iterable[LotFill], method: str = "FIFO", symbol: str = SPOT, by_year: dict[int, str] | None = None
) -> list[OpenLot]:
    return compute_lots(symbol, fills, method, by_year=by_year)[1]


def chosen(disposals: Iterable[Disposal]) -> list[tuple[str | None, str]]:
    return [(one.acquired_trade_id, f"{one.amount:f}") for one in disposals]


def of(*values: object) -> tuple[object, ...]:
    """Return values of any type side by side: amounts here are compared with whole numbers."""
    return values


BOUGHT = (fill(1, "buy", "1", "100"), fill(2, "buy", "1", "300"), fill(3, "buy", "1", "200"))


@pytest.mark.parametrize(
    ("method", "expected", "gain"),
    [
        ("FIFO", [("t1", "1"), ("t2", "0.5")], "350"),
        ("LIFO", [("t3", "1"), ("t2", "0.5")], "250"),
        ("HIFO", [("t2", "1"), ("t3", "0.5")], "200"),
        ("AVERAGE", [(None, "1.5")], "300"),
    ],
)
def test_each_method_chooses_its_lots(method: str, expected: list[tuple[str, str]], gain: str) -> None:
    sold = closed([*BOUGHT, fill(4, "sell", "1.5", "400")], method)
    assert chosen(sold) == expected
    assert sum(one.gain or 0 for one in sold) == Decimal(gain)
    assert {one.currency for one in sold} == {"USDT"}


def test_side_by_side_is_each_by_itself() -> None:
    fills = [*BOUGHT, fill(4, "sell", "1.5", "400")]
    disposals, lots = compute_lots(SPOT, fills)
    assert [one.plan for one in total_by_plan(total_by_year(disposals))] == list(METHODS)
    for method in METHODS:
        assert [one for one in disposals if one.plan == method] == closed(fills, method)
        assert [lot for lot in lots if lot.plan == method] == left(fills, method)


def test_of_equal_prices_the_oldest_is_the_dearest() -> None:
    fills = [fill(number, "buy", "1", "100") for number in (1, 2, 3)]
    assert chosen(closed([*fills, fill(4, "sell", "2", "90")], "HIFO")) == [("t1", "1"), ("t2", "1")]


def test_of_short_lots_the_one_sold_lowest_gains_least() -> None:
    fills = [fill(n, "sell", "1", price, symbol=LINEAR) for n, price in ((1, "200"), (2, "100"), (3, "300"))]
    (one,) = closed([*fills, fill(4, "buy", "1", "50", symbol=LINEAR)], "HIFO", LINEAR)
    assert of(one.acquired_trade_id, one.side, one.proceeds, one.cost, one.gain) == (
        "t2",
        "SHORT",
        100,
        50,
        50,
    )


def test_a_partial_close_leaves_what_it_rounded_off() -> None:
    bought = fill(1, "buy", "3", "0.333333333333333333", ("USDT", "0.1"))
    sold = [fill(number, "sell", "1", "1") for number in (2, 3, 4)]
    disposals = closed([bought, *sold])
    assert sum(one.cost or 0 for one in disposals) == Decimal("0.999999999999999999")
    assert [one.acquisition_fee for one in disposals] == [
        Decimal("0.033333333333333333"),
        Decimal("0.033333333333333334"),  # half of what the first left, half even
        Decimal("0.033333333333333333"),
    ]


def test_half_of_the_smallest_cost_is_not_lost() -> None:
    smallest = "0.000000000000000001"
    fills = [fill(1, "buy", "1", smallest, ("USDT", smallest))]
    first, second = closed([*fills, fill(2, "sell", "0.5", "1"), fill(3, "sell", "0.5", "1")])
    assert of(first.cost, first.acquisition_fee) == (0, 0)
    assert of(second.cost, second.acquisition_fee) == (Decimal(smallest), Decimal(smallest))


def test_a_contracts_fee_in_base_counts_at_the_fills_price() -> None:
    fills = [
        fill(1, "buy", "1", "100", ("BTC", "0.01"), symbol=LINEAR),
        fill(2, "sell", "1", "110", ("BTC", "-0.001"), ("USDT", "1"), symbol=LINEAR),
    ]
    (one,) = closed(fills, symbol=LINEAR)
    assert of(one.acquisition_fee, one.disposal_fee, one.gain_net) == (1, Decimal("0.89"), Decimal("8.11"))


def test_a_contract_turns_to_the_other_side() -> None:
    fills = [
        fill(1, "buy", "2", "100", symbol=LINEAR),
        fill(2, "sell", "5", "110", ("USDT", "1"), symbol=LINEAR),
        fill(3, "buy", "1", "90", symbol=LINEAR),
    ]
    first, second = closed(fills, symbol=LINEAR)
    assert of(first.side, first.amount, first.gain, first.disposal_fee) == ("LONG", 2, 20, Decimal("0.4"))
    assert of(second.side, second.amount, second.gain, second.acquisition_fee) == (
        "SHORT",
        1,
        20,
        Decimal("0.2"),
    )
    (lot,) = left(fills, symbol=LINEAR)
    assert of(lot.side, lot.amount, lot.entry_cost, lot.acquisition_fee) == ("SHORT", 2, 220, Decimal("0.4"))


def test_an_inverse_contract_gains_base() -> None:
    fills = [
        fill(1, "buy", "10", "50000", ("BTC", "0.0001"), symbol=INVERSE, size="100"),
        fill(2, "sell", "10", "62500", ("BTC", "0.0002"), ("USD", "3"), symbol=INVERSE, size="100"),
    ]
    (one,) = closed(fills, symbol=INVERSE)
    assert of(one.currency, one.proceeds, one.cost, one.gain) == (
        "BTC",
        Decimal("0.02"),
        Decimal("0.016"),
        Decimal("0.004"),
    )
    assert one.gain_net == Decimal("0.0037")
    assert one.other_fees == (("USD", Decimal(3)),)


def test_a_sale_beyond_the_lots_has_no_cost_and_no_gain() -> None:
    known, unknown = closed(
        [fill(1, "buy", "1", "100"), fill(2, "sell", "3", "110", ("USDT", "0.3"), ("BNB", "3"))]
    )
    assert of(known.basis, known.amount, known.gain, known.disposal_fee) == ("trade", 1, 10, Decimal("0.1"))
    assert of(unknown.basis, unknown.amount, unknown.proceeds, unknown.disposal_fee) == (
        "unknown",
        2,
        220,
        Decimal("0.2"),
    )
    assert of(unknown.cost, unknown.gain, unknown.gain_net, unknown.acquired_at) == (None,) * 4
    assert known.other_fees + unknown.other_fees == (("BNB", Decimal(1)), ("BNB", Decimal(2)))
    (total,) = total_by_year([known, unknown])
    assert of(total.gain, total.gain_net, total.disposals) == (10, Decimal("9.9"), 1)
    assert of(total.unknown_disposals, total.unknown_amount, total.unknown_proceeds) == (1, 2, 220)
    assert total.unknown_fees == Decimal("0.2")
    assert total.other_fees == (("BNB", Decimal(3)),)


def test_a_fee_in_base_disposes_of_a_lot_by_the_method() -> None:
    fills = [fill(1, "buy", "1", "100"), fill(2, "buy", "1", "200", ("BTC", "0.01"))]
    (oldest,) = closed(fills)
    assert of(oldest.kind, oldest.acquired_trade_id, oldest.trade_id) == ("fee", "t1", "t2")
    assert of(oldest.amount, oldest.cost, oldest.proceeds, oldest.gain) == (Decimal("0.01"), 1, 2, 1)
    assert oldest.disposal_fee == 0
    (dearest,) = closed(fills, "HIFO")
    # What the fee was worth is a fee of the purchase; a hundredth of the purchase has a hundredth of it.
    assert of(dearest.acquired_trade_id, dearest.gain, dearest.acquisition_fee) == ("t2", 0, Decimal("0.02"))
    assert sum(lot.acquisition_fee for lot in left(fills)) == 2


def test_a_fee_in_base_beyond_the_lots_is_of_unknown_basis() -> None:
    sale, fee = closed([fill(1, "buy", "1", "100"), fill(2, "sell", "1", "100", ("BTC", "0.01"))])
    assert of(sale.kind, sale.disposal_fee) == ("sale", 1)
    assert of(fee.kind, fee.basis, fee.proceeds, fee.cost) == ("fee", "unknown", 1, None)


def test_a_rebate_in_base_is_a_purchase() -> None:
    fills = [fill(1, "buy", "1", "100", ("BTC", "-0.01"))]
    bought, given = left(fills)
    assert of(bought.basis, bought.amount, bought.acquisition_fee) == ("trade", 1, -1)
    assert of(given.basis, given.amount, given.entry_cost, given.acquisition_fee) == (
        "rebate",
        Decimal("0.01"),
        1,
        0,
    )
    assert given.trade_id == bought.trade_id


def test_fees_in_a_third_asset_follow_their_lots() -> None:
    fills = [
        fill(1, "buy", "2", "100", ("BNB", "0.2"), ("DOGE", "4")),
        fill(2, "sell", "1", "110", ("BNB", "-0.1"), ("ETH", "1")),
    ]
    (one,) = closed(fills)
    assert one.other_fees == (("DOGE", Decimal(2)), ("ETH", Decimal(1)))  # the BNB came back
    assert one.gain == one.gain_net == 10
    (lot,) = left(fills)
    assert lot.other_fees == (("BNB", Decimal("0.1")), ("DOGE", Decimal(2)))
    assert add_fees((("A", Decimal(1)),), (("A", Decimal(-1)),)) == ()


def test_both_sides_of_a_hedge_have_lots_of_their_own() -> None:
    fills = [
        fill(1, "buy", "2", "100", symbol=LINEAR, position_side="LONG"),
        fill(2, "sell", "1", "120", symbol=LINEAR, position_side="SHORT"),
        fill(3, "sell", "3", "130", symbol=LINEAR, position_side="LONG"),
        fill(4, "buy", "2", "90", symbol=LINEAR, position_side="SHORT"),
    ]
    disposals, lots = compute_lots(LINEAR, fills, "FIFO")
    assert lots == []
    assert [of(one.side, one.basis, one.amount, one.gain) for one in disposals] == [
        ("LONG", "trade", 2, 60),
        ("LONG", "unknown", 1, None),
        ("SHORT", "trade", 1, 30),
        ("SHORT", "unknown", 1, None),
    ]
    assert of(disposals[3].proceeds, disposals[3].cost) == (None, 90)


def test_a_voided_fill_counts_nothing() -> None:
    fills = [fill(1, "buy", "1", "100"), fill(2, "buy", "0", "1"), fill(3, "sell", "1", "110")]
    assert chosen(closed(fills)) == [("t1", "1")]


# -- years ---------------------------------------------------------------------------------------------------------


def on(year: int, month: int = 7) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


YEARS = [
    fill(1, "buy", "1", "100", at=on(2023)),
    fill(2, "buy", "1", "300", at=on(2023, 8)),
    fill(3, "buy", "1", "200", at=on(2023, 9)),
    fill(4, "sell", "1", "400", at=on(2024)),
    fill(5, "sell", "1", "400", at=on(2025)),
]


def test_lots_carry_over_into_a_year_of_another_method() -> None:
    disposals = closed(YEARS, by_year={2024: "HIFO", 2025: "LIFO"})
    assert chosen(disposals) == [("t2", "1"), ("t3", "1")]
    assert [of(one.plan, one.method, one.year) for one in disposals] == [
        ("FIFO", "HIFO", 2024),
        ("FIFO", "LIFO", 2025),
    ]
    assert [lot.trade_id for lot in left(YEARS, by_year={2024: "HIFO"})] == ["t3"]


def test_an_average_pools_what_is_open_when_its_year_begins() -> None:
    disposals = closed([*YEARS, fill(6, "buy", "1", "50", at=on(2025, 8))], by_year={2024: "AVERAGE"})
    assert [of(one.basis, one.cost) for one in disposals] == [("pool", 200), ("pool", 200)]
    later = [fill(6, "buy", "1", "50", at=on(2025, 8)), fill(7, "sell", "1.5", "60", at=on(2025, 9))]
    first, second = closed([*YEARS, *later], by_year={2024: "AVERAGE"})[2:]
    assert of(first.basis, first.cost, first.acquired_at) == ("pool", 200, None)  # the pool is the oldest
    assert of(second.acquired_trade_id, second.amount, second.cost) == ("t6", Decimal("0.5"), 25)


def test_a_pool_has_its_average_as_price_among_the_dearest() -> None:
    fills = [*YEARS[:3], fill(4, "buy", "1", "201", at=on(2025)), fill(5, "sell", "2", "400", at=on(2025, 8))]
    first, second = closed(fills, "HIFO", by_year={2024: "AVERAGE"})
    assert of(first.acquired_trade_id, second.basis, second.cost) == ("t4", "pool", 200)


def test_a_year_without_fills_pools_all_the_same() -> None:
    (one,) = closed([*YEARS[:3], YEARS[4]], by_year={2024: "AVERAGE"})
    assert of(one.method, one.basis, one.cost) == ("FIFO", "pool", 200)


def test_time_passes_without_fills() -> None:
    (plan,) = plan_methods("LIFO", {2025: "AVERAGE"})
    book = LotBook(parse_symbol(SPOT), plan)
    for one in YEARS[:3]:
        book.apply(one)
    book.advance(year_begin_us(2025, UTC) - 1)
    assert len(book.open_lots()) == 3
    book.advance(year_begin_us(2025, UTC))
    (pool,) = book.open_lots()
    assert of(pool.basis, pool.amount, pool.entry_cost, pool.price) == ("pool", 3, 600, 200)


def test_a_year_begins_where_the_zone_says() -> None:
    midnight = datetime(2025, 1, 1, tzinfo=UTC)
    fills = [
        fill(1, "buy", "2", "100"),
        fill(2, "sell", "1", "100", at=midnight - timedelta(microseconds=1)),
        fill(3, "sell", "1", "100", at=midnight),
    ]
    assert [one.year for one in closed(fills)] == [2024, 2025]
    east, west = timezone(timedelta(hours=1)), timezone(timedelta(hours=-1))
    assert [one.year for one in compute_lots(SPOT, fills, "FIFO", zone=east)[0]] == [2025, 2025]
    assert [one.year for one in compute_lots(SPOT, fills, "FIFO", zone=west)[0]] == [2024, 2024]


# -- what is refused -----------------------------------------------------------------------------------------------


def test_methods_are_named_in_any_case_and_count_once() -> None:
    first, second = plan_methods(["fifo", "Hifo", "FIFO"], {2025: "average"})
    assert of(first.default, second.default) == ("FIFO", "HIFO")
    assert of(first.method_of(2024), first.method_of(2025)) == ("FIFO", "AVERAGE")


@pytest.mark.parametrize("methods", ["", "FILO", [], ["FIFO", "x"], [None]])
def test_a_method_there_is_not_is_refused(methods: list[str]) -> None:
    with pytest.raises(InvalidValue, match=r"FIFO, LIFO, HIFO, AVERAGE"):
        plan_methods(methods)


@pytest.mark.parametrize("year", ["2025", 25, 10_000, True])
def test_a_year_that_is_none_is_refused(year: int) -> None:
    with pytest.raises(InvalidValue, match=r"by_year=.* not a year"):
        plan_methods("FIFO", {year: "LIFO"})


@pytest.mark.parametrize(
    ("fills", "complaint"),
    [
        ([fill(2, "buy", "1", "1"), fill(1, "sell", "1", "1")], "t1.*executed before"),
        ([fill(1, "hold", "1", "1")], "t1.*not a fill"),
        ([fill(1, "buy", "-1", "1")], "not a fill"),
        ([fill(1, "buy", "1", "0")], "not a fill"),
        ([fill(1, "buy", "1", "1"), fill(2, "sell", "1", "1", size="10")], "t2.*contract_size=10"),
        ([fill(1, "buy", "1", "1", symbol=INVERSE)], "inverse=True"),
    ],
)
def test_what_is_no_fill_is_named(fills: list[LotFill], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        compute_lots(SPOT, fills)


def test_a_contract_has_no_base_that_could_pay_a_fee() -> None:
    one = fill(1, "buy", "1", "1", symbol=LINEAR)
    one = one._replace(fill=one.fill._replace(fee_in_base=Decimal(1)))
    with pytest.raises(InvalidValue, match="holds no base"):
        compute_lots(LINEAR, [one])


def test_a_contract_may_change_its_size_while_none_is_open() -> None:
    fills = [
        fill(1, "buy", "1", "100", symbol=LINEAR),
        fill(2, "sell", "1", "110", symbol=LINEAR),
        fill(3, "buy", "1", "100", symbol=LINEAR, size="10"),
        fill(4, "sell", "1", "110", symbol=LINEAR, size="10"),
    ]
    assert [one.gain for one in closed(fills, symbol=LINEAR)] == [10, 100]
