"""Lots: which part of what was bought a sale sells, and what it gained, by FIFO, LIFO, HIFO and average cost.

A lot is opened by whatever increases exposure and closed by the other side: a purchase by a sale, of contracts also a
short sale by a purchase. Shares of costs and fees are taken out of what is left, rounded to 18 places, and the last
part takes the rest; so over all lots nothing is lost to rounding, whichever the method.

A spot market has no short lots. What is sold beyond the lots was acquired somewhere no fill of the market says: it
becomes a disposal of unknown basis, without cost and gain. A fee in the base asset of a spot market is a sale of that
much base at the fill's price, after the fill itself (docs/decisions/0006); a rebate in base is a purchase.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from itertools import chain

import msgspec

from hybridstore.portfolio.lots_book import LotBook
from hybridstore.portfolio.lots_records import (
    METHODS,
    AssetFees,
    Disposal,
    LotFill,
    OpenLot,
    add_fees,
    plan_methods,
)
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record


class LotTotals(Record, frozen=True, gc=False):
    """What disposals come to.

    Attributes:
        plan: The default method of the computation.
        year: The calendar year; None for all years.
        symbol: The market; None for all markets whose money is in ``currency``.
        currency: What all money here is in.
        disposals: How many disposals of known cost there are.
        cost: Their cost.
        proceeds: Their proceeds.
        acquisition_fees: Their shares of the fees of the fills that opened their lots.
        disposal_fees: Their shares of the fees of the fills that closed them.
        gain: proceeds - cost.
        gain_net: gain - acquisition_fees - disposal_fees.
        unknown_disposals: How many there are of unknown basis; they are in none of the sums above.
        unknown_amount: How much they disposed of: units of base, or contracts; None for several markets.
        unknown_proceeds: What closing them came to.
        unknown_fees: Their disposal fees.
        other_fees: Fees in other assets of all of them; in no other sum.
    """

    plan: str
    year: int | None
    symbol: str | None
    currency: str
    disposals: int
    cost: Decimal
    proceeds: Decimal
    acquisition_fees: Decimal
    disposal_fees: Decimal
    gain: Decimal
    gain_net: Decimal
    unknown_disposals: int
    unknown_amount: Decimal | None
    unknown_proceeds: Decimal
    unknown_fees: Decimal
    other_fees: AssetFees


_COUNTS = ("disposals", "unknown_disposals")
_MONEY = (
    "cost", "proceeds", "acquisition_fees", "disposal_fees", "gain", "gain_net", "unknown_proceeds", "unknown_fees",
)  # fmt: skip


def compute_lots(
    symbol: str,
    fills: Iterable[LotFill],
    methods: str | Iterable[str] = METHODS,
    *,
    by_year: Mapping[int, str] | None = None,
    zone: tzinfo = UTC,
) -> tuple[list[Disposal], list[OpenLot]]:
    """Compute the lots of one market by several methods side by side.

    Args:
        symbol: The market.
        fills: Its fills in the order they were executed.
        methods: One or several of FIFO, LIFO, HIFO and AVERAGE.
        by_year: The methods of single years, whatever the method of the others: lots carry over from year to year, an
            average pools what is open when its year begins.
        zone: Where a year begins and ends.

    Returns:
        Disposals and open lots, by method in the order given.

    Raises:
        InvalidValue: A method there is not, or a fill that is none; it is named.
    """
    books = [LotBook(parse_symbol(symbol), plan, zone) for plan in plan_methods(methods, by_year)]
    closed: list[list[Disposal]] = [[] for _ in books]
    for one in fills:
        for book, disposals in zip(books, closed, strict=True):
            disposals.extend(book.apply(one))
    return list(chain.from_iterable(closed)), [lot for book in books for lot in book.open_lots()]


def total_by_year(disposals: Iterable[Disposal]) -> list[LotTotals]:
    """Add up disposals for each plan, market and year.

    Args:
        disposals: Any of them.

    Returns:
        Totals in the order in which plan, market and year first occur.
    """
    sums: dict[tuple[str, str, str, int], _Sums] = {}
    for one in disposals:
        key = (one.plan, one.symbol, one.currency, one.year)
        try:
            sums[key].add(one)
        except KeyError:
            sums[key] = _Sums()
            sums[key].add(one)
    return [
        found.told(plan, year, symbol, currency) for (plan, symbol, currency, year), found in sums.items()
    ]


def total_by_plan(totals: Iterable[LotTotals]) -> list[LotTotals]:
    """Add up totals for each plan and currency: what the methods come to side by side.

    Args:
        totals: Those of years and markets.

    Returns:
        Totals in the order in which plan and currency first occur.
    """
    sums: dict[tuple[str, str], LotTotals] = {}
    for one in totals:
        key = (one.plan, one.currency)
        if key not in sums:
            sums[key] = msgspec.structs.replace(one, year=None, symbol=None, unknown_amount=None)
            continue
        found = sums[key]
        changes: dict[str, object] = {name: add(found[name], one[name]) for name in _MONEY}
        changes |= {name: found[name] + one[name] for name in _COUNTS}
        changes["other_fees"] = add_fees(found.other_fees, one.other_fees)
        sums[key] = msgspec.structs.replace(found, **changes)
    return list(sums.values())


class _Sums:
    """Disposals of one plan, market and year while they are added up."""

    def __init__(self) -> None:
        self.known = self.unknown = 0
        self.cost = self.proceeds = self.opening = self.closing = ZERO
        self.unknown_amount = self.unknown_proceeds = self.unknown_fees = ZERO
        self.other_fees: AssetFees = ()

    def add(self, one: Disposal) -> None:
        if one.cost is None or one.proceeds is None:
            self.unknown += 1
            self.unknown_amount = add(self.unknown_amount, one.amount)
            self.unknown_proceeds = add(self.unknown_proceeds, one.proceeds or one.cost or ZERO)
            self.unknown_fees = add(self.unknown_fees, one.disposal_fee)
        else:
            self.known += 1
            self.cost = add(self.cost, one.cost)
            self.proceeds = add(self.proceeds, one.proceeds)
            self.opening = add(self.opening, one.acquisition_fee)
            self.closing = add(self.closing, one.disposal_fee)
        if one.other_fees:
            self.other_fees = add_fees(self.other_fees, one.other_fees)

    def told(self, plan: str, year: int, symbol: str, currency: str) -> LotTotals:
        gain = subtract(self.proceeds, self.cost)
        return LotTotals(
            plan, year, symbol, currency, self.known, self.cost, self.proceeds, self.opening, self.closing, gain,
            subtract(gain, add(self.opening, self.closing)), self.unknown, self.unknown_amount,
            self.unknown_proceeds, self.unknown_fees, self.other_fees,
        )  # fmt: skip
