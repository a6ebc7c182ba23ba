"""The proof of the books: what the ledger holds of every asset follows, exactly and without any price, from the rest.

For every asset::

    booked = net flow + realised + funding - fees + other + held + conversions + by hand

Booked is the sum of the ledger. The rest comes from elsewhere: realised profit and fees from the fills, what is held
from the spot positions (a long one holds its amount of base and has spent its cost of quote), conversions from what
fills sold beyond any position, net flow, funding and other from the entries no fill made. ``by hand`` takes out again
what positions hold that were opened or closed without a fill, for no asset moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.activity import NONE, Activity, add_activity, entry_activity, fill_activity
from hybridstore.portfolio.fill import fee_totals, fees_by_asset
from hybridstore.portfolio.ledger import is_fill_leg
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.position import LONG
from hybridstore.portfolio.symbols import Market

FillKey = tuple[str, str, str]
"""Symbol, trade id and order id of a fill."""


class ProofFill(NamedTuple):
    """A fill, as far as the proof needs it.

    Attributes:
        market: Where it was.
        trade_id: Its id.
        order_id: Its order.
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts; zero where it was voided.
        contract_size: Units a contract.
        quote_amount: Notional in quote.
        fees: (asset, cost) pairs.
        fee_in_quote: What is stored as all fees in quote; None where one is in another asset.
        realized: Realised by it; None where it changed no position.
        net: What is stored as realised less fees; None where there is none.
        hedged: Whether it was for one side of a hedge.
        executed_us: When, us UTC.
    """

    market: Market
    trade_id: str
    order_id: str
    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal
    quote_amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    fee_in_quote: Decimal | None
    realized: Decimal | None
    net: Decimal | None
    hedged: bool
    executed_us: int

    @property
    def key(self) -> FillKey:
        """What no other fill of the account has."""
        return self.market.symbol, self.trade_id, self.order_id


class ProofEntry(NamedTuple):
    """A ledger entry.

    Attributes:
        entry_id: Its id.
        type: Its type.
        asset: The asset.
        amount: Signed units of it.
        reference: What it belongs to.
        occurred_us: When, us UTC.
    """

    entry_id: str
    type: str
    asset: str
    amount: Decimal
    reference: str | None
    occurred_us: int

    @property
    def by_fill(self) -> bool:
        """Whether a fill made it."""
        return is_fill_leg(self.entry_id, self.reference)


class ProofEvent(NamedTuple):
    """One change of a position.

    Attributes:
        position_id: The position.
        seq: Its number.
        kind: What happened.
        fill: The fill that caused it; None where it was no fill.
        amount: Change of the amount.
        amount_after: The amount as it was recorded.
        realized: Realised by it.
        cost: Change of the cost.
        fees: Fees of it.
        funding: Funding of it.
        entry_after: Average entry as it was recorded.
        price: At which price; None where it has none.
        occurred_us: When, us UTC.
    """

    position_id: str
    seq: int
    kind: str
    fill: FillKey | None
    amount: Decimal
    amount_after: Decimal
    realized: Decimal
    cost: Decimal
    fees: Decimal
    funding: Decimal
    entry_after: Decimal
    price: Decimal | None
    occurred_us: int


class ProofPosition(NamedTuple):
    """A position.

    Attributes:
        position_id: Its id.
        market: Where it is.
        side: LONG or SHORT.
        is_open: Whether it is open.
        amount: Units of base, or contracts.
        cost: Cost of what is open.
        realized: Realised, gross.
        fees: Fees.
        funding: Funding.
        entry_price: Average entry.
        peak: Largest amount it ever had.
        contract_size: Units a contract.
        event_seq: Number of its last event.
    """

    position_id: str
    market: Market
    side: str
    is_open: bool
    amount: Decimal
    cost: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    entry_price: Decimal
    peak: Decimal
    contract_size: Decimal
    event_seq: int


class Terms(NamedTuple):
    """The terms of one asset.

    Attributes:
        booked: Sum of its ledger entries.
        net_flow: Deposits, withdrawals, transfers.
        realized: Realised by fills.
        funding: Received (+) or paid (-).
        fees: Paid (+), rebates (-).
        other: Interest, liquidation costs, adjustments, trades entered by hand.
        held: What spot positions hold.
        conversions: What fills on spot markets sold beyond their position, and got for it.
        by_hand: What positions hold or lack without a fill, with the opposite sign.
        difference: Booked less all others: zero.
    """

    booked: Decimal = ZERO
    net_flow: Decimal = ZERO
    realized: Decimal = ZERO
    funding: Decimal = ZERO
    fees: Decimal = ZERO
    other: Decimal = ZERO
    held: Decimal = ZERO
    conversions: Decimal = ZERO
    by_hand: Decimal = ZERO
    difference: Decimal = ZERO


class _Effect(NamedTuple):
    """What the events of something come to on one market, as its assets see it."""

    base: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO


class Sums:
    """Adds up an account, row by row; :meth:`terms` gives the terms of every asset.

    Args:
        positions: All positions, by id.
    """

    def __init__(self, positions: Mapping[str, ProofPosition]) -> None:
        self._positions = positions
        self._booked: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._activity: dict[str, Activity] = defaultdict(lambda: NONE)
        self._conversions: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._by_hand: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._effects: dict[FillKey, _Effect] = {}

    def add_entry(self, entry: ProofEntry) -> None:
        """Add a ledger entry.

        Args:
            entry: The entry.
        """
        self._booked[entry.asset] = add(self._booked[entry.asset], entry.amount)
        if not entry.by_fill:
            done = entry_activity(entry.type, entry.amount)
            self._activity[entry.asset] = add_activity(self._activity[entry.asset], done)

    def add_event(self, event: ProofEvent) -> None:
        """Add a change of a position; all of them come before the fills.

        Args:
            event: The change.
        """
        position = self._positions.get(event.position_id)
        if position is None or not position.market.is_spot:
            return
        long = position.side == LONG
        base, cost = (event.amount, event.cost) if long else (_minus(event.amount), _minus(event.cost))
        if event.fill is None:
            market = position.market
            self._by_hand[market.base] = subtract(self._by_hand[market.base], base)
            self._by_hand[market.quote] = add(self._by_hand[market.quote], cost)
            return
        known = self._effects.get(event.fill, _Effect())
        self._effects[event.fill] = _Effect(
            add(known.base, base), add(known.cost, cost), add(known.realized, event.realized)
        )

    def add_fill(self, fill: ProofFill) -> Decimal:
        """Add a fill.

        Args:
            fill: The fill.

        Returns:
            What cannot be: units of quote that a fill moved without moving base; zero.
        """
        market, realized = fill.market, fill.realized or ZERO
        counted = fill_activity(market, fill.price, fill.amount, fill.quote_amount, realized, fill.fees)
        for asset, done in counted.items():
            self._activity[asset] = add_activity(self._activity[asset], done)
        if not market.is_spot:
            return ZERO
        effect = self._effects.get(fill.key, _Effect())
        in_base = fee_totals(market, fill.price, fill.fees).in_base
        sold_for_fees = subtract(
            fees_by_asset(market, fill.price, fill.fees).get(market.quote, ZERO),
            _sum(cost for asset, cost in fill.fees if asset == market.quote),
        )
        base = subtract(fill.amount if fill.side == "buy" else _minus(fill.amount), in_base)
        quote = _minus(fill.quote_amount) if fill.side == "buy" else fill.quote_amount
        beyond = subtract(base, effect.base)
        got = subtract(add(add(quote, sold_for_fees), effect.cost), realized)
        self._conversions[market.base] = add(self._conversions[market.base], beyond)
        self._conversions[market.quote] = add(self._conversions[market.quote], got)
        # A rebate in base may give back just what a sale took beyond the position: both halves are conversions then.
        returned = fill.side == "sell" and in_base < ZERO
        return ZERO if beyond or returned else got

    def terms(self) -> dict[str, Terms]:
        """Return the terms of every asset there is anything of.

        Returns:
            By asset, in order.
        """
        held = _held(self._positions.values())
        assets = {*self._booked, *self._activity, *held, *self._conversions, *self._by_hand}
        found = {}
        for asset in sorted(assets):
            done = self._activity.get(asset, NONE)
            terms = Terms(
                self._booked.get(asset, ZERO),
                done.net_flow,
                done.realized,
                done.funding,
                done.fees,
                done.other,
                held.get(asset, ZERO),
                self._conversions.get(asset, ZERO),
                self._by_hand.get(asset, ZERO),
            )
            rest = subtract(_sum(terms[1:4]), terms.fees)
            rest = add(rest, _sum(terms[5:9]))
            found[asset] = terms._replace(difference=subtract(terms.booked, rest))
        return found


def _held(positions: Iterable[ProofPosition]) -> dict[str, Decimal]:
    """Return what spot positions hold of each asset: base, and the quote they cost."""
    held: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for position in positions:
        if position.market.is_spot:
            base, quote = position.amount, _minus(position.cost)
            if position.side != LONG:
                base, quote = _minus(base), _minus(quote)
            held[position.market.base] = add(held[position.market.base], base)
            held[position.market.quote] = add(held[position.market.quote], quote)
    return held


def _minus(amount: Decimal) -> Decimal:
    return amount.copy_negate() if amount else ZERO


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    result = ZERO
    for amount in amounts:
        result = add(result, amount)
    return result
