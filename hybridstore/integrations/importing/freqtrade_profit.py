"""freqtrade's own profit of a trade, computed again from what was imported of it, to the last digit of its doubles.

Its definition, as its documentation has it: each exit is compared with the average entry; fees are ratios of both
values; funding since the order before belongs to the exit. The profit of an exit is rounded to 8 places, that of a
trade is their sum, and its ratio is the sum over all that was put in, fees included, times the leverage.

Values are exact products that become doubles where freqtrade's do, for only so a tie in the ninth place is broken as it
was there. Nothing of this enters the books: they count the same fills exactly.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from hybridstore.integrations.importing.freqtrade import FtFill, FtTrade, decimal_of
from hybridstore.integrations.importing.report import ProfitCheck
from hybridstore.portfolio.money import ONE, ZERO

_EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN)
_AVERAGE_PLACES = Decimal("1e-18")
"""freqtrade's division keeps 18 places and cuts off the rest."""
_PROFIT_PLACES = 8
_CUT = Context(prec=200, rounding=ROUND_DOWN)


class Profit(NamedTuple):
    """What a trade made, as freqtrade computes it.

    Attributes:
        absolute: In the stake currency.
        ratio: Of all that was put in.
    """

    absolute: float
    ratio: float


def profit_of(trade: FtTrade) -> Profit:
    """Compute what a trade made by freqtrade's definition.

    Args:
        trade: The trade.

    Returns:
        Its profit; zero as long as there is no exit.
    """
    amount = stake = average = ZERO
    put_in = made = funding = 0.0
    sign = -ONE if trade.row.get("is_short") else ONE
    open_ratio = sign * decimal_of(trade.row.get("fee_open"), "fee_open")
    for fill in trade.fills:
        funding += float(fill.funding)
        held = Decimal(repr(float(fill.amount) - float(fill.fee_base)))
        if not fill.is_exit:
            amount += held
            stake += _EXACT.multiply(held, fill.price)
            average = _CUT.divide(stake, amount).quantize(_AVERAGE_PLACES, ROUND_DOWN, _CUT)
            put_in += _value(held, fill.price, open_ratio)
            continue
        amount -= held
        stake -= _EXACT.multiply(held, average)
        opened = _value(held, Decimal(repr(float(average))), open_ratio)
        made += round(_made(trade, fill, held, opened, funding), _PROFIT_PLACES)
        funding = 0.0
    leverage = float(trade.row.get("leverage") or 1.0)
    return Profit(made, made / put_in * leverage if put_in else 0.0)


def _made(trade: FtTrade, fill: FtFill, held: Decimal, opened: float, funding: float) -> float:
    is_short = bool(trade.row.get("is_short"))
    closed = _value(held, fill.price, fill.fee_ratio if is_short else -fill.fee_ratio)
    if str(trade.row.get("trading_mode") or "").upper() == "FUTURES":
        closed = closed - funding if is_short else closed + funding
    return opened - closed if is_short else closed - opened


def _value(amount: Decimal, price: Decimal, fee_ratio: Decimal) -> float:
    return float(_EXACT.multiply(_EXACT.multiply(amount, price), ONE + fee_ratio))


def check_of(trade: FtTrade, booked: Decimal | None) -> ProfitCheck:
    """Compare a closed trade's profit with what freqtrade says it was.

    Args:
        trade: The trade.
        booked: What the store's books make of it; None where they hold nothing of it yet.

    Returns:
        The comparison.
    """
    computed = profit_of(trade)
    told, told_ratio = trade.row.get("close_profit_abs"), trade.row.get("close_profit")
    return ProfitCheck(
        trade.number,
        trade.symbol,
        decimal_of(told, "close_profit_abs"),
        decimal_of(computed.absolute, "profit"),
        decimal_of(told_ratio, "close_profit"),
        decimal_of(computed.ratio, "ratio"),
        booked,
        computed == (told, told_ratio),
    )
