"""Marks: prices that positions are valued by, taken with the positions they change in one transaction."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.hot.commits import touches
from hybridstore.hot.market import MarkUpdate, store_mark
from hybridstore.hot.position_rows import Position, present
from hybridstore.hot.positions import keep_position, load_open, open_ids_of_symbol
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.position import PositionState, apply_mark
from hybridstore.schema.types import MONEY_INTEGER_DIGITS


@touches("positions", "position_events")
def price_position(session: WriteSession, position_id: str, price: Decimal) -> Position:
    """Mark one position.

    Args:
        session: The write transaction.
        position_id: The position.
        price: The mark, in quote.

    Returns:
        The position.

    Raises:
        InvalidValue: The price is not more than zero.
        NotFound: There is no open position of this id.
    """
    if price <= 0:
        raise InvalidValue(f"price={price}: must be more than zero")
    held = load_open(session, position_id)
    marked = held._replace(state=_marked(held.state, price), updated_us=session.ts_us)
    keep_position(session, marked)
    return present(marked)


@touches("marks", "positions", "position_events")
def write_mark(session: WriteSession, update: MarkUpdate) -> int:
    """Make prices the latest of their market and mark its open positions, unless later ones are known.

    Args:
        session: The write transaction.
        update: The checked prices.

    Returns:
        How many positions were marked; none by prices that are older than what is known, of the market or of the
        position.
    """
    return _mark(session, update) or 0


@touches("marks", "positions", "position_events")
def write_marks(session: WriteSession, updates: list[MarkUpdate]) -> int:
    """Do :func:`write_mark` for many, in order, in one transaction.

    Args:
        session: The write transaction.
        updates: The checked prices.

    Returns:
        How many prices were taken; the others are older than what is known.
    """
    return sum(_mark(session, update) is not None for update in updates)


def _mark(session: WriteSession, update: MarkUpdate) -> int | None:
    marked_us = store_mark(session, update)
    if marked_us is None:
        return None
    open_ids = open_ids_of_symbol(session, update.symbol)
    marked = 0
    for position_id in open_ids:
        held = load_open(session, position_id)
        if marked_us < held.updated_us:
            continue  # the position was not yet what it is now, or not yet there
        keep_position(session, held._replace(state=_marked(held.state, update.mark), updated_us=marked_us))
        marked += 1
    return marked


def _marked(state: PositionState, mark: Decimal) -> PositionState:
    """Mark a position; an extreme that no column can hold is left out, so that others can be marked beside it."""
    marked = apply_mark(state, mark)
    if max(marked.max_favourable.adjusted(), marked.max_adverse.adjusted()) < MONEY_INTEGER_DIGITS:
        return marked
    return msgspec.structs.replace(state, mark_price=mark)
