"""What lots are made from and come to: fills, disposals, open lots, and the method of each year."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.money import ONE, ZERO, add, multiply, round_money
from hybridstore.portfolio.symbols import Market
from hybridstore.records import Record
from hybridstore.schema.types import moment

FIFO, LIFO, HIFO, AVERAGE = "FIFO", "LIFO", "HIFO", "AVERAGE"
METHODS = (FIFO, LIFO, HIFO, AVERAGE)
TRADE, REBATE, POOL, UNKNOWN = "trade", "rebate", "pool", "unknown"
SALE, FEE = "sale", "fee"

AssetFees: TypeAlias = tuple[tuple[str, Decimal], ...]
"""(asset, cost) of fees that gains are not in, by asset; a rebate is negative."""
_NO_FEES: tuple[Decimal, Decimal, AssetFees] = (ZERO, ZERO, ())


class LotFill(NamedTuple):
    """A fill, as lots need it.

    Attributes:
        trade_id: The exchange's id.
        order_id: The order it filled.
        executed_us: When, us UTC.
        executed_at: The same as a datetime.
        fill: Price, amount and cost; its ``fee_in_quote`` is not used.
        fees: Its fees in the asset gains are in, a fee in the base of a spot market included; a rebate is negative.
        other_fees: Its fees in other assets.
        position_side: LONG or SHORT where the account holds both at once (hedge mode); None nets them.
        strategy: The strategy that acted.
    """

    trade_id: str
    order_id: str
    executed_us: int
    executed_at: datetime
    fill: FillInput
    fees: Decimal = ZERO
    other_fees: AssetFees = ()
    position_side: str | None = None
    strategy: str | None = None


class Disposal(Record, frozen=True, gc=False):
    """So much of a lot, closed by a fill. What was gained is always proceeds - cost.

    Attributes:
        plan: The default method of the computation it belongs to, see :class:`LotPlan`.
        method: The method of its year, which chose the lot.
        symbol: The market.
        year: The calendar year it counts in.
        kind: ``sale``: by the fill's amount; ``fee``: by a fee in the base asset.
        side: LONG or SHORT: what was closed.
        basis: Where the lot came from: ``trade``; ``rebate`` in base; ``pool``: the average of all that was open;
            ``unknown``: no fill says.
        amount: Units of base, or contracts.
        currency: What all money here is in: the quote, the settle asset, or the base of inverse contracts.
        cost: What the lot cost; what closing cost where a SHORT was closed. None where no fill says.
        proceeds: What closing brought; what opening brought where a SHORT was closed. None where no fill says. Of
            inverse contracts the two change places: who closes a long gives fewer coins back than the lot stands for.
        acquisition_fee: The lot's share of the fees of the fill that opened it.
        disposal_fee: Its share of the fees of the fill that closed it.
        other_fees: Its share of both fills' fees in other assets; they are in no sum.
        gain: proceeds - cost; None where one is not known.
        gain_net: gain - acquisition_fee - disposal_fee.
        acquired_at: When the lot was opened; None for a pool and where no fill says.
        acquired_trade_id: By which fill.
        disposed_at: When it was closed.
        trade_id: By which fill.
        order_id: Of which order.
        strategy: The strategy that closed it.
    """

    plan: str
    method: str
    symbol: str
    year: int
    kind: str
    side: str
    basis: str
    amount: Decimal
    currency: str
    cost: Decimal | None
    proceeds: Decimal | None
    acquisition_fee: Decimal
    disposal_fee: Decimal
    other_fees: AssetFees
    gain: Decimal | None
    gain_net: Decimal | None
    acquired_at: datetime | None
    acquired_trade_id: str | None
    disposed_at: datetime
    trade_id: str
    order_id: str
    strategy: str | None


class OpenLot(Record, frozen=True, gc=False):
    """What is left of a lot.

    Attributes:
        plan: The default method of the computation it belongs to.
        symbol: The market.
        side: LONG or SHORT.
        basis: ``trade``, ``rebate`` or ``pool``, see :class:`Disposal`.
        amount: What is left of it: units of base, or contracts.
        currency: What its money is in.
        price: At which it was opened, in quote; of a pool the average (harmonic for inverse contracts), 18 places.
        entry_cost: What is left of what it was opened for; of all lots of a side the same as of the position.
        acquisition_fee: What is left of its fees.
        other_fees: What is left of its fees in other assets.
        acquired_at: When it was opened; None for a pool.
        trade_id: By which fill; None for a pool.
    """

    plan: str
    symbol: str
    side: str
    basis: str
    amount: Decimal
    currency: str
    price: Decimal
    entry_cost: Decimal
    acquisition_fee: Decimal
    other_fees: AssetFees
    acquired_at: datetime | None
    trade_id: str | None


class LotPlan(NamedTuple):
    """Which method counts in which year.

    Attributes:
        default: The method of every year that is not named; the plan is called by it.
        by_year: The methods of single years.
    """

    default: str
    by_year: Mapping[int, str]

    def method_of(self, year: int) -> str:
        """Return the method of a year."""
        return self.by_year.get(year, self.default)


def plan_methods(
    methods: str | Iterable[str], by_year: Mapping[int, str] | None = None
) -> tuple[LotPlan, ...]:
    """Check methods, each of which is computed by itself.

    Args:
        methods: One of FIFO, LIFO, HIFO and AVERAGE, or several; upper or lower case.
        by_year: The methods of single years, whatever the method of the others.

    Returns:
        One plan for each method, in the order given; one that is named twice counts once.

    Raises:
        InvalidValue: No method, one there is not, or a year that is none.
    """
    names = [methods] if isinstance(methods, str) else list(methods)
    if not names:
        raise InvalidValue("method=(): nothing to compute", hint=f"give one or more of {', '.join(METHODS)}")
    years = {check_year(year, "by_year"): _method(name) for year, name in (by_year or {}).items()}
    return tuple(LotPlan(name, years) for name in dict.fromkeys(map(_method, names)))


def check_year(year: object, name: str) -> int:
    """Check a calendar year.

    Args:
        year: What the caller gave.
        name: What it is called, for the message.

    Returns:
        The same.

    Raises:
        InvalidValue: No integer, or no year a fill could be of.
    """
    if type(year) is not int or not 1970 <= year <= 9998:  # noqa: PLR2004  what a stored moment can be in
        raise InvalidValue(f"{name}={year!r}: not a year", hint="give a calendar year such as 2025")
    return year


def _method(name: object) -> str:
    method = name.upper() if isinstance(name, str) else name
    if method not in METHODS:
        raise InvalidValue(
            f"method={name!r}: there is no such method", hint=f"use one of {', '.join(METHODS)}"
        )
    return str(method)


def make_lot_fill(
    market: Market,
    side: str,
    price: Decimal,
    amount: Decimal,
    fees: Sequence[tuple[str, Decimal]] = (),
    *,
    trade_id: str,
    order_id: str,
    executed_us: int,
    contract_size: Decimal = ONE,
    quote_amount: Decimal | None = None,
    position_side: str | None = None,
    strategy: str | None = None,
) -> LotFill:
    """Make a fill for lots, its fees told apart.

    Args:
        market: Where it was.
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts; 0 where the fill was voided.
        fees: (asset, cost) pairs; a negative cost is a rebate.
        trade_id: The exchange's id.
        order_id: The order it filled.
        executed_us: When, us UTC.
        contract_size: Units of base (linear) or quote (inverse) a contract.
        quote_amount: What it cost in quote as it was stored; None, and of inverse contracts always, computes it.
        position_side: LONG or SHORT in hedge mode.
        strategy: The strategy that acted.

    Returns:
        The fill. Fees of inverse contracts count in base, all others in quote; there a fee in base counts at the
        fill's price, as in ``fee_in_quote`` of the trade. What is in another asset is in ``other_fees``.
    """
    in_currency, in_base, others = _fees_apart(market, price, fees) if fees else _NO_FEES
    inverse = market.inverse
    cost = None if inverse else quote_amount
    fill = FillInput(side, price, amount, contract_size, inverse, ZERO, in_base, cost)
    return LotFill(
        trade_id,
        order_id,
        executed_us,
        moment(executed_us),
        fill,
        in_currency,
        others,
        position_side,
        strategy,
    )


def _fees_apart(
    market: Market, price: Decimal, fees: Iterable[tuple[str, Decimal]]
) -> tuple[Decimal, Decimal, AssetFees]:
    """Return the fees in the currency of gains, those a spot market paid in base, and those in other assets."""
    inverse = market.inverse
    counted = base = ZERO
    others: AssetFees = ()
    for asset, cost in fees:
        if asset == market.base:
            base = add(base, cost)
        elif not inverse and asset in {market.quote, market.settle}:
            counted = add(counted, cost)
        elif cost:
            others = add_fees(others, ((asset, cost),))
    if inverse:
        return base, ZERO, others
    if base:
        counted = add(counted, round_money(multiply(price, base)))
    return counted, base if market.is_spot else ZERO, others


def add_fees(fees: AssetFees, more: AssetFees) -> AssetFees:
    """Add up fees of several assets.

    Args:
        fees: Some.
        more: More.

    Returns:
        One pair for each asset whose sum is not zero, by asset.
    """
    if not more or not fees:
        return fees or more
    sums = dict(fees)
    for asset, cost in more:
        sums[asset] = add(sums.get(asset, ZERO), cost)
    return tuple([(asset, sums[asset]) for asset in sorted(sums) if sums[asset]])
