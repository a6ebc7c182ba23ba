"""Checks of stored figures against what they were computed from; each names the place where the two differ.

Every figure the store computes stands in two places at least: an entry and its fill, a position and its events, a sum
and what it is the sum of. A single one that was changed is found by the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from hybridstore.portfolio.fill import fee_totals, net_pnl
from hybridstore.portfolio.ledger import fill_entries, fill_reference
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.position import LONG
from hybridstore.portfolio.proof import FillKey, ProofEntry, ProofEvent, ProofFill, ProofPosition
from hybridstore.portfolio.proof_sums import Fault, figure_text
from hybridstore.portfolio.wording import when_text

_NOTHING = (ZERO, ZERO, ZERO, ZERO, ZERO)


def check_fills(
    fills: Iterable[ProofFill],
    entries: Iterable[ProofEntry],
    events: Iterable[ProofEvent],
    positions: Mapping[str, ProofPosition],
) -> Iterator[Fault]:
    """Check what follows from fills: their own figures, their ledger entries, their effect on positions.

    Args:
        fills: All fills of the account.
        entries: All its ledger entries.
        events: All changes of its positions.
        positions: All its positions, by id.

    Yields:
        What differs.
    """
    legs: dict[str, list[ProofEntry]] = defaultdict(list)
    for entry in entries:
        if entry.by_fill:
            legs[str(entry.reference)].append(entry)
    effects: dict[FillKey, list[ProofEvent]] = defaultdict(list)
    for event in events:
        if event.fill is not None:
            effects[event.fill].append(event)
    for fill in fills:
        yield from _check_fees(fill)
        yield from _check_legs(fill, legs.pop(fill_reference(*fill.key), ()))
        caused = effects.pop(fill.key, ())
        yield from _check_effect(fill, caused)
        yield from _checkfigure_text(fill, caused, positions)
    for entry in (one for orphans in legs.values() for one in orphans):
        if entry.amount:
            yield Fault(
                "ledger", f"entry {entry.entry_id}", figure_text(entry.amount), "a fill that entered it"
            )
    for event in (one for left in effects.values() for one in left):
        yield Fault("position_events", _event_name(event), "an event", "a fill that caused it")


def _check_fees(fill: ProofFill) -> Iterator[Fault]:
    where = _fill_name(fill)
    in_quote = fee_totals(fill.market, fill.price, fill.fees).in_quote
    if (fill.fee_in_quote or None) != (in_quote or None):
        yield Fault("trades.fee_in_quote", where, figure_text(fill.fee_in_quote), figure_text(in_quote))
    net = None
    if fill.realized is not None:
        net = net_pnl(fill.market, fill.price, fill.realized, fill.fees)
    if fill.net != net:
        yield Fault("trades.net_pnl", where, figure_text(fill.net), figure_text(net))


def _check_legs(fill: ProofFill, legs: Sequence[ProofEntry]) -> Iterator[Fault]:
    reference = fill_reference(*fill.key)
    realized = fill.realized or ZERO
    expected = {
        f"{reference}|{entry.leg}": (entry.type, entry.asset, entry.amount)
        for entry in fill_entries(fill.market, fill.side, fill.amount, fill.quote_amount, realized, fill.fees)
        if entry.amount  # of a voided fill only what it realised in the end is left
    }
    for entry in legs:
        right = expected.pop(entry.entry_id, None)
        if right is None:
            if entry.amount:
                yield Fault("ledger", f"entry {entry.entry_id}", figure_text(entry.amount), "0")
            continue
        found = (entry.type, entry.asset, entry.amount)
        if found != right:
            yield Fault("ledger", f"entry {entry.entry_id}", _entry_text(found), _entry_text(right))
        if entry.occurred_us != fill.executed_us:
            yield Fault(
                "ledger.occurred_at",
                f"entry {entry.entry_id}",
                when_text(entry.occurred_us),
                when_text(fill.executed_us),
            )
    for entry_id, right in expected.items():
        yield Fault("ledger", f"entry {entry_id}", "no entry", _entry_text(right))


def _check_effect(fill: ProofFill, events: Sequence[ProofEvent]) -> Iterator[Fault]:
    where = _fill_name(fill)
    realized = ZERO
    for event in events:
        realized = add(realized, event.realized)
    if realized != (fill.realized or ZERO):
        yield Fault("trades.realized_pnl", where, figure_text(fill.realized), figure_text(realized))
    if len({event.position_id for event in events}) != 1 and not _is_flip(events):
        return  # what a corrected fill did to several positions has prices and moments of its own
    prices = {event.price for event in events if event.price is not None}
    if len(prices) == 1 and fill.price not in prices and any(_amounts(events).values()):
        yield Fault(
            "trades.price",
            where,
            figure_text(fill.price),
            f"{figure_text(prices.pop())} by its position event",
        )
    if any(event.kind != "adjust" for event in sorted(events, key=lambda event: event.seq)[1:]):
        return  # a correction was booked beside: what no position had left to take back stays at its old moment
    for occurred_us, amount in _amounts(events).items():
        if amount and occurred_us != fill.executed_us:
            yield Fault(
                "position_events.occurred_at",
                f"position {events[0].position_id}, {where}",
                when_text(occurred_us),
                when_text(fill.executed_us),
            )


def _checkfigure_text(
    fill: ProofFill, events: Sequence[ProofEvent], positions: Mapping[str, ProofPosition]
) -> Iterator[Fault]:
    """Check a fill of contracts; of spot fills the ledger has the amount.

    One for a side of a hedge may take less than its amount, one that was corrected leaves more than one trace.
    """
    if fill.market.is_spot or (len(events) != 1 and not _is_flip(events)):
        return
    moved, where = ZERO, _fill_name(fill)
    for event in events:
        position = positions.get(event.position_id)
        if position is None:
            return
        moved = (add if position.side == LONG else subtract)(moved, event.amount)
        if position.contract_size != fill.contract_size:
            size = f"{figure_text(position.contract_size)} by its position"
            yield Fault("trades.contract_size", where, figure_text(fill.contract_size), size)
    if not fill.hedged and fill.amount and moved.copy_abs() != fill.amount:
        right = f"{figure_text(moved.copy_abs())} by its events"
        yield Fault("trades.amount", where, figure_text(fill.amount), right)


def _is_flip(events: Iterable[ProofEvent]) -> bool:
    """Say whether events are those of a fill that closed one position and opened another."""
    return sorted(event.kind for event in events) == ["flip", "open"]


def _amounts(events: Iterable[ProofEvent]) -> dict[int, Decimal]:
    """Return what events changed an amount by, by moment."""
    amounts: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for event in events:
        amounts[event.occurred_us] = add(amounts[event.occurred_us], event.amount)
    return amounts


def check_positions(positions: Mapping[str, ProofPosition], events: Iterable[ProofEvent]) -> Iterator[Fault]:
    """Check that every position is the sum of its events.

    Args:
        positions: All positions of the account, by id.
        events: All their changes.

    Yields:
        What differs.
    """
    of_position: dict[str, list[ProofEvent]] = defaultdict(list)
    for event in events:
        of_position[event.position_id].append(event)
    for position_id, position in positions.items():
        yield from _check_position(position, of_position.pop(position_id, []))
    for position_id in of_position:
        yield Fault("positions", f"position {position_id}", "no position", "the one its events are of")


def _check_position(position: ProofPosition, events: list[ProofEvent]) -> Iterator[Fault]:
    where = f"position {position.position_id}"
    events.sort(key=lambda event: event.seq)
    sums: tuple[Decimal, ...] = _NOTHING
    for place, event in enumerate(events, start=1):
        if event.seq != place:
            yield Fault("position_events.seq", _event_name(event), str(event.seq), str(place))
            return
        sums = _added(sums, event)
        # A correction may take out of one moment and put into another: then only the second leaves what is stored.
        if event.amount_after != sums[0] and (event.kind != "adjust" or place == len(events)):
            yield Fault(
                "position_events.amount_after",
                _event_name(event),
                figure_text(event.amount_after),
                figure_text(sums[0]),
            )
    stored = (position.amount, position.cost, position.realized, position.fees, position.funding)
    names = ("amount", "entry_cost", "realized_pnl", "fees", "funding")
    for name, found, right in zip(names, stored, sums, strict=True):
        if found != right:
            yield Fault(f"positions.{name}", where, figure_text(found), f"{figure_text(right)} by its events")
    peak = max([event.amount_after for event in events], default=ZERO)
    if position.peak != peak and all(event.kind != "adjust" for event in events):
        yield Fault("positions.peak_amount", where, figure_text(position.peak), figure_text(peak))
    if position.event_seq != len(events):
        yield Fault("positions.event_seq", where, str(position.event_seq), str(len(events)))
    if events and position.entry_price != events[-1].entry_after:
        yield Fault(
            "positions.entry_price",
            where,
            figure_text(position.entry_price),
            figure_text(events[-1].entry_after),
        )
    if position.is_open is not bool(position.amount):
        yield Fault(
            "positions.status", where, "OPEN" if position.is_open else "CLOSED", figure_text(position.amount)
        )


def _added(sums: tuple[Decimal, ...], event: ProofEvent) -> tuple[Decimal, ...]:
    deltas = (event.amount, event.cost, event.realized, event.fees, event.funding)
    return tuple([add(one, delta) for one, delta in zip(sums, deltas, strict=True)])


def _entry_text(entry: tuple[str, str, Decimal]) -> str:
    kind, asset, amount = entry
    return f"{kind} of {figure_text(amount)} {asset}"


def _fill_name(fill: ProofFill) -> str:
    return f"fill {fill.trade_id} on {fill.market.symbol}"


def _event_name(event: ProofEvent) -> str:
    return f"event {event.seq} of position {event.position_id}"
