"""What a corrected fill does to positions.

Where it changed one position that is still in the hot store, that position is amended in place. Where it changed two (a
flip), or the right fill does not fit into what came after it, the old fill is booked the other way round and the right
one beside it, as an exchange cancels and corrects a trade: profit, cost and fees together are exact either way.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hybridstore.clock import DAY_US
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.market import market_mark
from hybridstore.hot.position_fills import Addressee, FillEffect, fill_position, find_position, is_hedged
from hybridstore.hot.position_rows import Held, Position, present
from hybridstore.hot.positions import FillName, keep_changed, load_anywhere, load_position
from hybridstore.hot.session import WriteSession
from hybridstore.hot.trade_rows import CountedFill
from hybridstore.portfolio.amend import Booked, amend_position
from hybridstore.portfolio.fill import FillInput, split_fill
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.position import (
    CLOSED,
    LONG,
    OPEN,
    SHORT,
    PositionEvent,
    PositionState,
    change_event,
)
from hybridstore.schema.books import POSITION_EVENTS

_BY_FILL = ("account", "symbol", "trade_id", "order_id")
_EVENT = {name: place for place, name in enumerate(POSITION_EVENTS.stored_names)}
_DELTAS = ("amount_delta", "realized_delta", "cost_delta", "fees_delta")
_NOTHING = Booked(ZERO, ZERO, ZERO, ZERO)


class Amendment(NamedTuple):
    """What a correction did to positions.

    Attributes:
        position: The position that was changed last; None where none was.
        position_id: The position the fill belongs to since.
        realized: What the fill has realised in all, gross.
    """

    position: Position | None
    position_id: str | None
    realized: Decimal


def amend_positions(
    session: WriteSession,
    whose: Addressee,
    name: FillName,
    old: CountedFill,
    new: CountedFill,
    position_id: str | None,
) -> Amendment:
    """Put right what a fill did to positions.

    Args:
        session: The write transaction.
        whose: Whose fill it is.
        name: What its events know it by.
        old: What was counted.
        new: What should have been.
        position_id: The position it belongs to.

    Returns:
        What it did.

    Raises:
        ArchiveNeeded: It must be looked up first what is archived of it.
    """
    booked = _booked(session, whose, name, old.executed_us)
    if not booked:
        if old.amount or not new.amount:  # what changed none when it was told changes none by its correction
            return Amendment(None, position_id, old.realized)
        effect = fill_position(session, whose, _input(session, whose, None, new), name, new.executed_us)
        return Amendment(effect.position, effect.position_id, add(old.realized, effect.realized))
    if len(booked) == 1:
        (one_id, done), *_ = booked.items()
        held = load_position(session, one_id)
        amended = None if held is None else _amend(session, whose, held, done, new)
        if held is not None and amended is not None:
            kept = _keep(session, held, amended, done, name, old, new)
            realized = add(old.realized, subtract(amended.realized_pnl, held.state.realized_pnl))
            return Amendment(present(kept), position_id or one_id, realized)
    if len(booked) == 2:  # noqa: PLR2004  a flip changes two
        unflipped = _undo_flip(session, name, booked, old, new)
        if unflipped is not None:
            return _book_again(session, whose, name, *unflipped, new)
    return _book_beside(session, whose, name, booked, old, new, position_id)


def _undo_flip(
    session: WriteSession, name: FillName, booked: dict[str, Booked], old: CountedFill, new: CountedFill
) -> tuple[Held, Decimal] | None:
    """Open the position again that a flip closed, and take the other one out, if nothing happened to that since.

    Returns:
        The position, and what the fill has realised then; None where it cannot be.
    """
    (closed_id, taken), (opened_id, given) = sorted(booked.items(), key=lambda one: one[1].amount)
    closed, opened = load_position(session, closed_id), load_position(session, opened_id)
    if closed is None or opened is None:
        return None
    before = amend_position(closed.state, taken, None)
    nothing = amend_position(opened.state, given, None)
    if before is None or nothing is None or before.status != OPEN or nothing.status != CLOSED:
        return None
    if closed.state.status != CLOSED or opened.state.status != OPEN:
        return None
    realized = old.realized
    for held, state in ((closed, before), (opened, nothing)):
        realized = add(realized, subtract(state.realized_pnl, held.state.realized_pnl))
    gone = new._replace(amount=ZERO)
    _keep(session, opened, nothing, given, name, old, gone)
    return _keep(session, closed, before, taken, name, old, gone), realized


def _book_again(
    session: WriteSession, whose: Addressee, name: FillName, held: Held, realized: Decimal, new: CountedFill
) -> Amendment:
    """Book the right fill of a flip that was undone."""
    if not new.amount:
        return Amendment(present(held), held.position_id, realized)
    meant = whose._replace(position_id=None, bot=held.bot)
    effect = fill_position(session, meant, _input(session, whose, held, new), name, new.executed_us)
    return Amendment(effect.position, effect.position_id, add(realized, effect.realized))


def _booked(session: WriteSession, whose: Addressee, name: FillName, executed_us: int) -> dict[str, Booked]:
    """Sum up a fill's events by position."""
    session.flush("insert_position_events")
    key = (whose.account, whose.market.symbol, *name)
    asked = (name.trade_id, whose.account, whose.market.symbol, name.order_id)
    events: list[Any] = session.execute(session.sql["events_of_fill"], asked).fetchall()
    # What is hot may undo what is archived, of the day the fill was said to be of before. Where all events of a day are
    # archived and the fill is not of that day any more, they undo each other.
    days = {executed_us // DAY_US, *(row[_EVENT["occurred_at"]] // DAY_US for row in events)}
    for day in sorted(days):
        found = find_archived(session, POSITION_EVENTS, [Wanted(key, day * DAY_US)], _BY_FILL)
        events += found.get(key, ())
    sums: dict[str, Booked] = defaultdict(lambda: _NOTHING)
    for row in events:
        amount, realized, cost, fees = (Decimal(row[_EVENT[column]]) for column in _DELTAS)
        done = sums[row[_EVENT["position_id"]]]
        sums[row[_EVENT["position_id"]]] = Booked(
            add(done.amount, amount), add(done.realized, realized), add(done.cost, cost), add(done.fees, fees)
        )
    return {position_id: done for position_id, done in sums.items() if any(done)}


def _input(session: WriteSession, whose: Addressee, held: Held | None, fill: CountedFill) -> FillInput:
    if held is None:
        held = find_position(session, whose)
    inverse = whose.market.inverse if held is None else held.state.inverse
    return fill.as_input(whose.market, inverse=inverse)


def _amend(
    session: WriteSession, whose: Addressee, held: Held, done: Booked, new: CountedFill
) -> PositionState | None:
    if whose.side not in {None, held.state.side}:
        return None  # it was for the other side
    fill = _input(session, whose, held, new) if new.amount else None
    exits = fill is not None and fill.side == ("sell" if held.state.side == LONG else "buy")
    if fill is not None and exits and whose.market.is_spot:
        there = subtract(held.state.amount, done.amount)
        if ZERO < there < fill.amount:  # the rest was held before
            fill, _ = split_fill(fill, there)
    amended = amend_position(held.state, done, fill)
    if amended is None or amended.status == CLOSED or held.state.status == OPEN:
        return amended
    # It would be open again: that can be only where no other position has taken its place.
    return amended if find_position(session, _slot(session, whose, held)) is None else None


def _slot(session: WriteSession, whose: Addressee, held: Held) -> Addressee:
    """Say which open position would be meant today by what a position was meant by."""
    side = held.state.side if not whose.market.is_spot and is_hedged(session, whose) else None
    return whose._replace(position_id=None, side=side, bot=held.bot, strategy=held.strategy)


def _keep(
    session: WriteSession,
    held: Held,
    amended: PositionState,
    done: Booked,
    name: FillName,
    old: CountedFill,
    new: CountedFill,
) -> Held:
    closes = amended.status == CLOSED
    if not closes and held.state.status == CLOSED:  # while it was closed, its market may have been marked
        mark = market_mark(session, held.symbol)
        amended = msgspec.structs.replace(amended, mark_price=amended.mark_price if mark is None else mark)
    kept = held._replace(
        state=amended,
        closed_us=(held.closed_us or new.executed_us) if closes else None,
        close_reason=(held.close_reason or "fill") if closes else None,
    )
    event = change_event("adjust", held.state, amended, new.price if new.amount else None)
    if new.executed_us == old.executed_us or not new.amount:
        return keep_changed(session, kept, event, old.executed_us, name)
    # Of another moment: it is taken out of the old one and put into the new.
    undone = PositionEvent(
        "adjust", done.amount.copy_negate(), None, amended.amount, amended.entry_price, done.realized.copy_negate(),
        done.cost.copy_negate(), done.fees.copy_negate(), ZERO,
    )  # fmt: skip
    redone = event._replace(
        amount_delta=add(event.amount_delta, done.amount),
        realized_delta=add(event.realized_delta, done.realized),
        cost_delta=add(event.cost_delta, done.cost),
        fees_delta=add(event.fees_delta, done.fees),
    )
    if not event.amount_delta and kept.closed_us == old.executed_us and closes:
        kept = kept._replace(closed_us=new.executed_us)
    kept = keep_changed(session, kept, undone, old.executed_us, name)
    return keep_changed(session, kept, redone, new.executed_us, name)


def _book_beside(
    session: WriteSession,
    whose: Addressee,
    name: FillName,
    booked: dict[str, Booked],
    old: CountedFill,
    new: CountedFill,
    position_id: str | None,
) -> Amendment:
    first = load_anywhere(session, next(iter(booked)))
    assert first is not None, "a position has events and no row"
    slot = whose._replace(position_id=None, bot=first.bot)
    old_slot = _slot(session, whose, first) if len(booked) == 1 else slot
    new_slot = slot if whose.side else old_slot
    reversal = _reversal(session, booked, old, inverse=first.state.inverse)
    right = new.as_input(whose.market, inverse=first.state.inverse) if new.amount else None
    # What increases comes first, so that what reduces finds it: beyond an open position it would change none.
    steps = [(old_slot, reversal, old.executed_us), (new_slot, right, new.executed_us)]
    if old.side == ("sell" if old_slot.side == SHORT else "buy"):
        steps.reverse()
    realized = old.realized
    last: FillEffect | None = None
    for meant, fill, occurred_us in steps:
        if fill is not None:
            effect = fill_position(session, meant, fill, name, occurred_us)
            realized = add(realized, effect.realized)
            last = effect if effect.position is not None else last
    return Amendment(last.position if last else None, position_id, realized)


def _reversal(
    session: WriteSession, booked: dict[str, Booked], old: CountedFill, *, inverse: bool
) -> FillInput | None:
    """Return the fill that takes back what positions count of a fill; None where that is nothing."""
    amount = cash = fees = ZERO
    for position_id, done in booked.items():
        held = load_anywhere(session, position_id)
        assert held is not None, "a position has events and no row"
        long = held.state.side == LONG
        amount = add(amount, done.amount) if long else subtract(amount, done.amount)
        spent = done.cost if long else done.cost.copy_negate()
        cash = add(cash, subtract(done.realized, spent))
        fees = add(fees, done.fees)
    if not amount:
        return None
    side = "sell" if amount > ZERO else "buy"
    cost = None
    if not inverse and (cash < ZERO) is (amount > ZERO):
        cost = cash.copy_abs()
    return FillInput(
        side, old.price, amount.copy_abs(), old.contract_size, inverse, fees.copy_negate(), ZERO, cost
    )
