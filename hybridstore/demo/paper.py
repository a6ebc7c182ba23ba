"""The paper exchange: fills orders at the best bid and ask and keeps the account as an exchange would.

Its books are kept apart from the store's on purpose: what it reports as balances is computed here, from its
own fills, and the store's ledger has to arrive at the same figures to the last decimal.

Spot fills swap the base asset against USDT. Linear perpetuals hold margin in USDT; their profit is settled in
USDT when a position shrinks, at average cost. Fees are taken in USDT.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from typing import TYPE_CHECKING

import msgspec

from hybridstore.demo.market import Side
from hybridstore.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hybridstore.demo.market import Quote

CASH = "USDT"
_ZERO = Decimal(0)
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, DivisionByZero])
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
_LAST_PLACE = Decimal(1).scaleb(-18)


class Instrument(msgspec.Struct, frozen=True):
    """What the paper exchange lets the bot trade.

    Attributes:
        symbol: ccxt unified symbol, quoted and settled in USDT.
        base: The base asset.
        lot: Amounts are multiples of it, in units of base.
        perpetual: A linear perpetual (margin, may go short) rather than spot.
        fee_rate: Taker fee as a part of the quote amount.
        margin_rate: Margin as a part of a perpetual position's cost.
    """

    symbol: str
    base: str
    lot: Decimal
    perpetual: bool
    fee_rate: Decimal
    margin_rate: Decimal = Decimal(1)


INSTRUMENTS = (
    Instrument("BTC/USDT", "BTC", Decimal("0.00001"), perpetual=False, fee_rate=Decimal("0.001")),
    Instrument("ETH/USDT", "ETH", Decimal("0.0001"), perpetual=False, fee_rate=Decimal("0.001")),
    Instrument(
        "BTC/USDT:USDT",
        "BTC",
        Decimal("0.001"),
        perpetual=True,
        fee_rate=Decimal("0.0005"),
        margin_rate=Decimal("0.2"),
    ),
    Instrument(
        "ETH/USDT:USDT",
        "ETH",
        Decimal("0.001"),
        perpetual=True,
        fee_rate=Decimal("0.0005"),
        margin_rate=Decimal("0.2"),
    ),
)
"""Spot and linear perpetuals of BTC and ETH; their lots and taker fees are those of a usual account."""


class PaperFill(msgspec.Struct, frozen=True):
    """An execution.

    Attributes:
        trade_id: Unique per exchange.
        order_id: The order it filled, whole.
        symbol: ccxt unified symbol.
        side: ``buy`` or ``sell``.
        price: The best ask (buy) or bid (sell).
        amount: Units of base.
        quote_amount: price * amount, in USDT.
        fee: In USDT.
        realized: Profit settled in USDT by a perpetual, gross of the fee; 0 for spot.
        executed_us: Microseconds UTC.
    """

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: Decimal
    amount: Decimal
    quote_amount: Decimal
    fee: Decimal
    realized: Decimal
    executed_us: int


class _Holding(msgspec.Struct):
    """Signed units held of an instrument, and what they cost in USDT (as a positive figure)."""

    amount: Decimal = _ZERO
    cost: Decimal = _ZERO


class PaperExchange:
    """An account with cash, spot assets and perpetual positions.

    Args:
        cash: The USDT to start with.
        clip_value: What one clip is worth, in USDT; amounts are cut down to whole lots.
        instruments: What may be traded.
    """

    def __init__(
        self, cash: Decimal, clip_value: Decimal, instruments: Iterable[Instrument] = INSTRUMENTS
    ) -> None:
        if cash <= 0 or clip_value <= 0:
            raise InvalidValue(f"cash={cash}, clip_value={clip_value}: both must be above zero")
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.balances: dict[str, Decimal] = {CASH: cash}
        self.refused = 0
        self._clip_value = clip_value
        self._holdings = {symbol: _Holding() for symbol in self.instruments}
        self._fill_count = 0

    @property
    def margin(self) -> Decimal:
        """Return the USDT held back for open perpetual positions, to 18 places, half even."""
        with localcontext(_WIDE):
            held = (
                self._holdings[symbol].cost * instrument.margin_rate
                for symbol, instrument in self.instruments.items()
                if instrument.perpetual
            )
            return sum(held, _ZERO).quantize(_LAST_PLACE)

    def amount(self, symbol: str) -> Decimal:
        """Return the signed units held of a symbol; below zero is short."""
        return self._holdings[symbol].amount

    def trade_to(self, level: int, quote: Quote) -> PaperFill | None:
        """Bring a symbol's holding to a level at the best price.

        Args:
            level: Wanted holding in clips; negative is short.
            quote: The symbol's quote to trade at.

        Returns:
            The fill; None when nothing is to be done or the cash does not allow it (counted in ``refused``).
        """
        instrument = self.instruments[quote.symbol]
        with localcontext(_EXACT):
            clip = self._clip_value // (quote.ask * instrument.lot) * instrument.lot
            change = level * clip - self._holdings[quote.symbol].amount
            if not change:
                return None
            fill = self._fill(instrument, change, quote)
            if not self._affords(instrument, fill):
                self.refused += 1
                return None
            self._fill_count += 1
            self._book(instrument, fill)
        return fill

    def _fill(self, instrument: Instrument, change: Decimal, quote: Quote) -> PaperFill:
        price, amount = (quote.ask if change > 0 else quote.bid), abs(change)
        number = self._fill_count + 1
        return PaperFill(
            trade_id=f"paper-{number}",
            order_id=f"order-{number}",
            symbol=instrument.symbol,
            side="buy" if change > 0 else "sell",
            price=price,
            amount=amount,
            quote_amount=price * amount,
            fee=price * amount * instrument.fee_rate,
            realized=self._realized(instrument, change, price),
            executed_us=quote.received_us,
        )

    def _realized(self, instrument: Instrument, change: Decimal, price: Decimal) -> Decimal:
        holding = self._holdings[instrument.symbol]
        if not instrument.perpetual or change * holding.amount >= 0:
            return _ZERO
        closed = min(abs(change), abs(holding.amount))
        gain = closed * price - _cost_of(holding, closed)
        return gain if holding.amount > 0 else -gain

    def _affords(self, instrument: Instrument, fill: PaperFill) -> bool:
        """Say whether cash and margin stay covered after a fill. Spot is never sold short."""
        free = self.balances[CASH] - self.margin - fill.fee
        holding = self._holdings[instrument.symbol]
        if not instrument.perpetual:
            return free >= fill.quote_amount if fill.side == "buy" else holding.amount >= fill.amount
        after = self._holding_after(holding, fill)
        more_margin = max(_ZERO, (after.cost - holding.cost) * instrument.margin_rate)
        return free + fill.realized >= more_margin

    def _holding_after(self, holding: _Holding, fill: PaperFill) -> _Holding:
        change = fill.amount if fill.side == "buy" else -fill.amount
        amount = holding.amount + change
        if change * holding.amount >= 0:
            return _Holding(amount, holding.cost + fill.quote_amount)
        if abs(change) <= abs(holding.amount):
            return _Holding(amount, holding.cost - _cost_of(holding, abs(change)))
        return _Holding(amount, abs(amount) * fill.price)

    def _book(self, instrument: Instrument, fill: PaperFill) -> None:
        cash = self.balances[CASH] - fill.fee
        if instrument.perpetual:
            cash += fill.realized
        elif fill.side == "buy":
            cash -= fill.quote_amount
        else:
            cash += fill.quote_amount
        after = self._holding_after(self._holdings[fill.symbol], fill)
        self._holdings[fill.symbol] = after
        self.balances[CASH] = cash
        if not instrument.perpetual:
            self.balances[instrument.base] = after.amount


def _cost_of(holding: _Holding, closed: Decimal) -> Decimal:
    """Return the cost of a part of a holding at average cost, to 18 places, half even; all of it is exact."""
    if closed == abs(holding.amount):
        return holding.cost
    with localcontext(_WIDE):
        return (holding.cost * closed / abs(holding.amount)).quantize(_LAST_PLACE)
