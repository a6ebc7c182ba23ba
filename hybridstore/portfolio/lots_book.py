"""The book of one market under one method a year: fills in, disposals out, open lots at the end."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.fill import fill_cost
from hybridstore.portfolio.lots_queue import Lot, LotQueue, Part, make_queue, split_fees, split_part
from hybridstore.portfolio.lots_records import (
    FEE,
    POOL,
    REBATE,
    SALE,
    TRADE,
    UNKNOWN,
    AssetFees,
    Disposal,
    LotFill,
    LotPlan,
    OpenLot,
    add_fees,
)
from hybridstore.portfolio.money import ONE, ZERO, add, share, subtract
from hybridstore.portfolio.position import LONG, SHORT
from hybridstore.portfolio.symbols import Market
from hybridstore.schema.types import EPOCH, moment

_MICROSECOND = timedelta(microseconds=1)
_SIDES = {"buy", "sell"}


class _Leg:
    """The open lots of one side, and how much they are together."""

    __slots__ = ("amount", "queue", "side")

    def __init__(self, side: str, queue: LotQueue) -> None:
        self.side = side
        self.queue = queue
        self.amount = ZERO


class LotBook:
    """The lots of one market under one plan. Fills are told in the order they were executed.

    Args:
        market: The market.
        plan: Which method counts in which year.
        zone: Where a year begins and ends.
    """

    def __init__(self, market: Market, plan: LotPlan, zone: tzinfo = UTC) -> None:
        self._market = market
        self._plan = plan
        self._zone = zone
        self._year = 0
        self._method = plan.default
        self._last_us = 0
        self._year_end_us = 0
        self._legs = {side: _Leg(side, make_queue(plan.default, side)) for side in (LONG, SHORT)}
        self._opened = 0
        self._contract_size = ONE
        self._inverse = market.inverse
        self._currency = market.base if market.inverse else market.profit_asset

    def apply(self, one: LotFill) -> list[Disposal]:
        """Book a fill.

        Args:
            one: The fill, not older than the one before; one of amount 0 counts nothing.

        Returns:
            What it closed, in the order it was closed.

        Raises:
            InvalidValue: The fill is older than the one before, has no side or price, or its contract is not that of
                the open lots.
        """
        fill = one.fill
        if not fill.amount:
            return []
        self._check(one)
        if one.executed_us >= self._year_end_us:
            self.advance(one.executed_us)
        self._last_us = one.executed_us
        side = LONG if fill.side == "buy" else SHORT
        closed: list[Disposal] = []
        if one.position_side is None:
            leg = self._legs[SHORT if side == LONG else LONG]
            opens = not leg.amount and (side == LONG or not self._market.is_spot)
        else:
            leg = self._legs[one.position_side]
            opens = leg.side == side
        whole = Part(SALE, fill.amount, fill_cost(fill), one.fees, one.other_fees)
        if opens:
            self._open(side, one, TRADE, whole)
        else:
            self._close_or_turn(leg, one, whole, closed)
        if fill.fee_in_base:
            self._pay_in_base(one, closed)
        return closed

    def advance(self, until_us: int) -> None:
        """Let time pass: lots carry over into the years that begin, in the order of their methods.

        Args:
            until_us: Moment, us UTC.
        """
        last = moment(until_us).astimezone(self._zone).year
        if not self._year:
            self._year = last
            self._arrange(last)
        while self._year < last:
            self._year += 1
            self._arrange(self._year)
        self._year_end_us = year_begin_us(min(last + 1, MAXYEAR), self._zone)

    def open_lots(self) -> list[OpenLot]:
        """Return what is open: long lots, then short ones, the oldest first."""
        return [self._told(lot, leg.side) for leg in self._legs.values() for lot in leg.queue.by_age()]

    def _arrange(self, year: int) -> None:
        """Put the open lots in the order of a year's method; an average pools them."""
        method = self._plan.method_of(year)
        if method != self._method:
            self._method = method
            for leg in self._legs.values():
                leg.queue = make_queue(method, leg.side, leg.queue.by_age())

    def _check(self, one: LotFill) -> None:
        fill = one.fill
        if fill.side not in _SIDES or not fill.amount > ZERO or not fill.price > ZERO:
            raise InvalidValue(
                f"trade_id={one.trade_id!r} side={fill.side!r} amount={fill.amount} price={fill.price}: not a fill",
                hint="side is buy or sell, amount and price are more than zero",
            )
        if one.executed_us < self._last_us:
            raise InvalidValue(
                f"trade_id={one.trade_id!r}: executed before the fill that was told before it",
                hint="lots are made from fills in the order they were executed",
            )
        if fill.inverse is not self._inverse:
            raise InvalidValue(
                f"trade_id={one.trade_id!r} inverse={fill.inverse}: {self._market.symbol} says otherwise"
            )
        if fill.contract_size != self._contract_size:
            if any(leg.amount for leg in self._legs.values()):
                raise InvalidValue(
                    f"trade_id={one.trade_id!r} contract_size={fill.contract_size}: the open lots of "
                    f"{self._market.symbol} have contract_size={self._contract_size}"
                )
            self._contract_size = fill.contract_size

    def _open(self, side: str, one: LotFill, basis: str, part: Part) -> None:
        leg = self._legs[side]
        price, self._opened = one.fill.price, self._opened + 1
        leg.queue.add(
            Lot(self._opened, basis, one, price, part.amount, part.value, part.fees, part.other_fees)
        )
        leg.amount = add(leg.amount, part.amount)

    def _close_or_turn(self, leg: _Leg, one: LotFill, whole: Part, closed: list[Disposal]) -> None:
        """Close lots; what goes beyond them turns a contract to the other side, else nothing says where it is from."""
        held = leg.amount
        if whole.amount <= held:
            self._close(leg, one, whole, closed)
            return
        if not held:
            self._close_unknown(leg, one, whole, closed)
            return
        closing, rest = split_part(one.fill, whole, held)
        self._close(leg, one, closing, closed)
        if self._market.is_spot or one.position_side is not None:
            self._close_unknown(leg, one, rest, closed)
        else:
            self._open(SHORT if leg.side == LONG else LONG, one, TRADE, rest)

    def _close(self, leg: _Leg, one: LotFill, part: Part, closed: list[Disposal]) -> None:
        """Close lots of a leg that holds enough."""
        amount, value, fees, other_fees = part.amount, part.value, part.fees, part.other_fees
        leg.amount = subtract(leg.amount, amount)
        while True:
            lot = leg.queue.first()
            if lot.amount > amount:
                opening = lot.take(amount)
                closed.append(
                    self._disposal(leg.side, one, part.kind, lot, amount, opening, value, fees, other_fees)
                )
                return
            leg.queue.drop_first()
            opening = (lot.cost, lot.fees, lot.other_fees)
            if lot.amount == amount:
                closed.append(
                    self._disposal(leg.side, one, part.kind, lot, amount, opening, value, fees, other_fees)
                )
                return
            value_part = share(value, lot.amount, amount)
            fees_part = share(fees, lot.amount, amount) if fees else ZERO
            other_part: AssetFees = ()
            if other_fees:
                other_part, other_fees = split_fees(other_fees, lot.amount, amount)
            closed.append(
                self._disposal(
                    leg.side, one, part.kind, lot, lot.amount, opening, value_part, fees_part, other_part
                )
            )
            amount = subtract(amount, lot.amount)
            value = subtract(value, value_part)
            fees = subtract(fees, fees_part)

    def _close_unknown(self, leg: _Leg, one: LotFill, part: Part, closed: list[Disposal]) -> None:
        opening = (None, ZERO, ())
        closed.append(
            self._disposal(
                leg.side, one, part.kind, None, part.amount, opening, part.value, part.fees, part.other_fees
            )
        )

    def _disposal(
        self,
        side: str,
        one: LotFill,
        kind: str,
        lot: Lot | None,
        amount: Decimal,
        opening: tuple[Decimal | None, Decimal, AssetFees],
        value: Decimal,
        fees: Decimal,
        other_fees: AssetFees,
    ) -> Disposal:
        """Tell a disposal: ``opening`` is the lot's share of cost and fees, ``value`` what closing it came to."""
        opened_for, acquisition_fee, acquisition_others = opening
        # Who closes an inverse long gives base back: less than it was opened for is a gain.
        cost, proceeds = (opened_for, value) if (side == LONG) is not self._inverse else (value, opened_for)
        gain = net = None
        if cost is not None and proceeds is not None:
            gain = net = subtract(proceeds, cost)
            if acquisition_fee or fees:
                net = subtract(gain, add(acquisition_fee, fees))
        if acquisition_others:
            other_fees = add_fees(acquisition_others, other_fees)
        single = lot is not None and lot.basis != POOL
        return Disposal(
            self._plan.default,
            self._method,
            self._market.symbol,
            self._year,
            kind,
            side,
            UNKNOWN if lot is None else lot.basis,
            amount,
            self._currency,
            cost,
            proceeds,
            acquisition_fee,
            fees,
            other_fees,
            gain,
            net,
            lot.opened.executed_at if lot is not None and single else None,
            lot.opened.trade_id if lot is not None and single else None,
            one.executed_at,
            one.trade_id,
            one.order_id,
            one.strategy,
        )

    def _pay_in_base(self, one: LotFill, closed: list[Disposal]) -> None:
        """Sell what the fee took; buy what a rebate gave."""
        fill = one.fill
        if not self._market.is_spot:
            raise InvalidValue(
                f"trade_id={one.trade_id!r} fee_in_base={fill.fee_in_base}: a contract holds no base that could pay it"
            )
        amount = fill.fee_in_base.copy_abs()
        paid = fill._replace(amount=amount, cost=None)
        part = Part(FEE, amount, fill_cost(paid), ZERO, ())
        if fill.fee_in_base < ZERO:
            self._open(LONG, one, REBATE, part)
        else:
            self._close_or_turn(self._legs[LONG], one._replace(fill=paid), part, closed)

    def _told(self, lot: Lot, side: str) -> OpenLot:
        single = lot.basis != POOL
        return OpenLot(
            self._plan.default, self._market.symbol, side, lot.basis, lot.amount, self._currency, lot.price, lot.cost,
            lot.fees, lot.other_fees, lot.opened.executed_at if single else None,
            lot.opened.trade_id if single else None,
        )  # fmt: skip


def year_begin_us(year: int, zone: tzinfo) -> int:
    """Return when a year begins.

    Args:
        year: The calendar year.
        zone: Where.

    Returns:
        us UTC.
    """
    return (datetime(year, 1, 1, tzinfo=zone) - EPOCH) // _MICROSECOND
