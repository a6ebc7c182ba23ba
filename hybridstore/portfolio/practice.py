"""What is usual on a market, from its own fills: prices, places, fee rates; and which fill explains two differences."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.portfolio.money import ONE, ZERO, add, multiply, subtract
from hybridstore.portfolio.symbols import Market, parse_symbol

_ROUGH = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[])
_RATE_PLACES = Decimal("0.000001")
_RATES_MAX = 6
_PRICE_FACTOR_MAX = Decimal(2)
"""How far the price of a fill may be from that of the nearest known one; more is no price of that market."""
_UNKNOWN_PLACES = 8
_RARE = 200
"""One of so many amounts may be a mistake."""


class KnownFill(NamedTuple):
    """A fill in the books.

    Attributes:
        reference: What its ledger entries refer to it by.
        trade_id: Its id.
        symbol: Its market.
        side: buy or sell.
        amount: Units of base, or contracts.
        price: In quote.
        quote_amount: Notional in quote.
        fees: (asset, cost) pairs; a rebate is negative.
        executed_us: When, us UTC.
    """

    reference: str
    trade_id: str
    symbol: str
    side: str
    amount: Decimal
    price: Decimal
    quote_amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    executed_us: int


class GuessedFill(NamedTuple):
    """A fill that explains what two assets differ by.

    Attributes:
        symbol: The market.
        side: buy or sell.
        amount: Units of base.
        price: In quote.
        fees: (asset, cost) pairs of what it cost in base or quote.
        exact: Whether it, and no other fill, explains the differences to the last decimal at a price and a fee that are
            usual there.
        others: Other fills that do so.
    """

    symbol: str
    side: str
    amount: Decimal
    price: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    exact: bool
    others: tuple[GuessedFill, ...] = ()


class Practice(NamedTuple):
    """What is usual on a spot market.

    Attributes:
        market: The market.
        moments_us: When its fills were, in order.
        prices: Their prices, likewise.
        price_places: Decimal places of prices.
        amount_places: Decimal places of amounts.
        rates: Fee rates by asset, the usual ones first: parts of the base or the quote amount.
        fee_places: Decimal places of fees by asset.
    """

    market: Market
    moments_us: Sequence[int]
    prices: Sequence[Decimal]
    price_places: int
    amount_places: int
    rates: dict[str, tuple[Decimal, ...]]
    fee_places: dict[str, int]

    def is_likely(self, price: Decimal, moment_us: int) -> bool:
        """Say whether a price may have been paid at a moment, going by the fill before it (or the first).

        Args:
            price: In quote.
            moment_us: When, us UTC.

        Returns:
            Whether it is within a factor of two.
        """
        near = self.prices[max(bisect_right(self.moments_us, moment_us) - 1, 0)]
        low, high = sorted((price, near))
        return high <= multiply(low, _PRICE_FACTOR_MAX)

    def usual_rate(self, asset: str, fee: Decimal, notional: Decimal) -> int | None:
        """Say which of the usual rates a fee is, up to the rounding of its last place.

        Args:
            asset: The fee's: base or quote of the market.
            fee: The fee.
            notional: What it is a part of, in the same asset.

        Returns:
            0 for the most usual rate and so on; None where it is none of them.
        """
        for place, rate in enumerate(self.rates.get(asset, ())):
            off = subtract(fee, multiply(rate, notional))
            if off.copy_abs() <= _unit(self.fee_places[asset]):
                return place
        return None

    def guess(self, base: Decimal, quote: Decimal) -> GuessedFill | None:
        """Find the fill that moved base and quote by this much, fees in either of them included.

        Args:
            base: Units of base: received (+) or given (-).
            quote: Units of quote, likewise.

        Returns:
            The fill; None where both moved the same way.
        """
        if not base or not quote or (base > ZERO) is (quote > ZERO):
            return None
        side = "buy" if base > ZERO else "sell"
        moved, paid = base.copy_abs(), quote.copy_abs()
        found = {
            guess
            for guess in (
                self._fill(side, moved, paid, moved, paid),
                *self._paid_in_quote(side, moved, paid),
                *self._paid_in_base(side, moved, paid),
            )
            if guess is not None
        }
        if found:
            # More than one may fit to the last decimal; who trades by hand or by a grid names round prices.
            best, *others = sorted(found, key=lambda guess: (_digits(guess.price), guess))
            return best._replace(exact=not others, others=tuple(others))
        price = _rounded(_ROUGH.divide(paid, moved), self.price_places)
        return GuessedFill(self.market.symbol, side, moved, price, (), exact=False)

    def _fill(
        self, side: str, moved: Decimal, paid: Decimal, amount: Decimal, notional: Decimal
    ) -> GuessedFill | None:
        """Return the fill of an amount at the usual kind of price, with what else was moved for a fee, if it is one.

        Args:
            side: buy or sell.
            moved: What base moved by.
            paid: What quote moved by.
            amount: The fill's amount, before a fee in base.
            notional: About the fill's notional, before a fee in quote.

        Returns:
            The fill; None where price and fees are not usual.
        """
        price = _rounded(_ROUGH.divide(notional, amount), self.price_places)
        exact = multiply(price, amount)
        fees = []
        for asset, before, after, whole in (
            (self.market.base, amount, moved, amount),
            (self.market.quote, paid, exact, exact),
        ):
            # A buyer is short of base and pays more quote by the fee, a seller gives more base and gets less quote.
            fee = subtract(before, after) if side == "buy" else subtract(after, before)
            if fee:
                if self.usual_rate(asset, fee, whole) is None:
                    return None
                fees.append((asset, fee))
        if not price or len(fees) > 1 or _places(amount) > self.amount_places:
            return None
        return GuessedFill(self.market.symbol, side, amount, price, tuple(fees), exact=True)

    def _paid_in_quote(self, side: str, moved: Decimal, paid: Decimal) -> Iterable[GuessedFill | None]:
        for rate in self.rates.get(self.market.quote, ()):
            factor = add(ONE, rate) if side == "buy" else subtract(ONE, rate)
            yield self._fill(side, moved, paid, moved, _ROUGH.divide(paid, factor))

    def _paid_in_base(self, side: str, moved: Decimal, paid: Decimal) -> Iterable[GuessedFill | None]:
        for rate in self.rates.get(self.market.base, ()):
            factor = subtract(ONE, rate) if side == "buy" else add(ONE, rate)
            amount = _rounded(_ROUGH.divide(moved, factor), self.amount_places)
            if amount:
                yield self._fill(side, moved, paid, amount, paid)


def practices(fills: Iterable[KnownFill]) -> dict[str, Practice]:
    """Learn what is usual on each spot market.

    Args:
        fills: The fills there were.

    Returns:
        By symbol.
    """
    of_market: dict[str, list[KnownFill]] = defaultdict(list)
    for fill in fills:
        if fill.amount and parse_symbol(fill.symbol).is_spot:
            of_market[fill.symbol].append(fill)
    return {symbol: _practice(parse_symbol(symbol), found) for symbol, found in of_market.items()}


def assumed(base: str, quote: str) -> Practice:
    """Return what can be assumed of a market without fills.

    Args:
        base: Its base.
        quote: Its quote.

    Returns:
        A practice without prices and fees.
    """
    market = Market(f"{base}/{quote}", base, quote, None)
    return Practice(market, (), (), _UNKNOWN_PLACES, _UNKNOWN_PLACES, {}, {})


def _practice(market: Market, fills: list[KnownFill]) -> Practice:
    fills.sort(key=attrgetter("executed_us"))
    counts: dict[str, Counter[Decimal]] = defaultdict(Counter)
    fees: dict[str, list[Decimal]] = defaultdict(list)
    for fill in fills:
        for asset, cost in fill.fees:
            whole = {market.base: fill.amount, market.quote: fill.quote_amount}.get(asset)
            if whole:
                counts[asset][_ROUGH.quantize(_ROUGH.divide(cost, whole), _RATE_PLACES)] += 1
                fees[asset].append(cost)
    least = 2 if len(fills) > _RATES_MAX else 1
    rates = {
        asset: tuple(rate for rate, count in counter.most_common(_RATES_MAX) if count >= least and rate)
        for asset, counter in counts.items()
    }
    return Practice(
        market,
        [fill.executed_us for fill in fills],
        [fill.price for fill in fills],
        _usual_places(fill.price for fill in fills),
        _usual_places(fill.amount for fill in fills),
        rates,
        {asset: _usual_places(costs) for asset, costs in fees.items()},
    )


def _usual_places(amounts: Iterable[Decimal]) -> int:
    """Return how many places amounts have at the most, but for a rare one that has more."""
    counts = Counter(map(_places, amounts))
    allowed = counts.total() // _RARE
    for places in sorted(counts, reverse=True):
        allowed -= counts[places]
        if allowed < 0:
            return places
    return 0


def _places(amount: Decimal) -> int:
    exponent = _ROUGH.normalize(amount).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(-exponent, 0)


def _digits(price: Decimal) -> int:
    return len(_ROUGH.normalize(price).as_tuple().digits)


def _rounded(amount: Decimal, places: int) -> Decimal:
    return _ROUGH.normalize(_ROUGH.quantize(amount, _unit(places)))


def _unit(places: int) -> Decimal:
    return Decimal((0, (1,), -places))
