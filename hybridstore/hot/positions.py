"""Positions: opened, changed, marked and closed, each in the transaction that causes it."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hybridstore.errors import Conflict, InvalidValue, NotFound
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.market import MarkUpdate, store_mark
from hybridstore.hot.position_rows import Held, Position, PositionOrder, decode, encode, present
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.fill import FillInput, split_fill
from hybridstore.portfolio.position import (
    CLOSED,
    LONG,
    OPEN,
    PositionEvent,
    PositionState,
    apply_fill,
    apply_mark,
    change_event,
    open_position,
)
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.books import POSITIONS
from hybridstore.schema.types import MONEY_INTEGER_DIGITS, check_text, money_text

_AMOUNTS = PositionEvent._fields[1:]


@touches("positions", "position_events")
def write_position(session: WriteSession, order: PositionOrder) -> Position:
    """Open a position by hand.

    Args:
        session: The write transaction.
        order: The checked position.

    Returns:
        The position.

    Raises:
        Conflict: The id is taken by another position, maybe an archived one.
        ArchiveNeeded: It must be looked up first whether one is archived.
    """
    known = _load_anywhere(session, order.position_id)
    if known is not None:
        raise Conflict(
            f"position {order.position_id!r} exists already, on {known.symbol} of {known.account}",
            hint="choose another id, or record a fill for it",
        )
    opened_us = session.ts_us if order.opened_us is None else session.timely(order.opened_us, "opened_at")
    state = open_position(order.side, order.fill)
    held = Held(
        order.position_id, order.account, order.symbol, state, 1, opened_us, opened_us,
        leverage=order.leverage, margin_mode=order.margin_mode, liquidation_price=order.liquidation_price,
        strategy=order.strategy, bot=order.bot,
    )  # fmt: skip
    event = change_event("open", None, state, order.fill.price)
    _keep(session, held)
    _note(session, held, event, opened_us, None)
    return present(held)


class FillEffect(NamedTuple):
    """What a fill did to positions.

    Attributes:
        position: The position it changed last: the one opened by a flip, else the one changed.
        position_id: The position the fill belongs to.
        realized: What it realised, gross.
    """

    position: Position | None
    position_id: str | None
    realized: Decimal


def fill_position(
    session: WriteSession,
    account: str,
    symbol: str,
    fill: FillInput,
    *,
    position_id: str | None,
    trade_id: str,
    occurred_us: int,
    strategy: str | None,
    bot: str | None,
) -> FillEffect:
    """Apply a fill to the position it is for.

    A spot market cannot be short: what a spot fill sells beyond the open position was held before and changes none.

    Args:
        session: The write transaction.
        account: Whose.
        symbol: The market.
        fill: The fill.
        position_id: The position; None finds the open one of account and symbol, or opens one.
        trade_id: The fill's id, for the event.
        occurred_us: When, us UTC.
        strategy: Put on a position the fill opens.
        bot: Put on a position the fill opens.

    Returns:
        What it did.
    """
    held = _find(session, account, symbol, position_id, bot)
    if parse_symbol(symbol).is_spot and fill.side == "sell":
        if held is None:
            return FillEffect(None, None, Decimal(0))
        if held.state.side == LONG and fill.amount > held.state.amount:
            fill, _ = split_fill(fill, held.state.amount)
    change = apply_fill(held.state if held else None, fill)
    result = held
    if held and change.before and change.before_event:
        closed = change.before.status == CLOSED
        result = held._replace(
            state=change.before,
            event_seq=held.event_seq + 1,
            updated_us=max(held.updated_us, occurred_us),
            closed_us=occurred_us if closed else None,
            close_reason="fill" if closed else None,
        )
        _keep(session, result)
        _note(session, result, change.before_event, occurred_us, trade_id)
    if change.opened and change.opened_event:
        new_id = position_id if position_id and held is None else f"pos-{uuid.uuid4().hex}"
        opened = Held(
            new_id, account, symbol, change.opened, 1, occurred_us, occurred_us, strategy=strategy, bot=bot
        )
        if change.opened.status == CLOSED:  # its own fee took all of it
            opened = opened._replace(closed_us=occurred_us, close_reason="fill")
        _keep(session, opened)
        _note(session, opened, change.opened_event, occurred_us, trade_id)
        result = opened
    assert result is not None
    belongs_to = held.position_id if held else result.position_id
    return FillEffect(present(result), belongs_to, change.realized_delta)


@touches("positions", "position_events")
def close_position(
    session: WriteSession, position_id: str, price: Decimal, reason: str | None, closed_us: int | None
) -> Position:
    """Close a position by hand at a price.

    Args:
        session: The write transaction.
        position_id: The position.
        price: In quote.
        reason: Why.
        closed_us: When, us UTC; None means the commit's time.

    Returns:
        The closed position.

    Raises:
        NotFound: There is no open position of this id.
    """
    held = _open(session, position_id)
    occurred_us = session.ts_us if closed_us is None else session.timely(closed_us, "closed_at")
    side = "sell" if held.state.side == "LONG" else "buy"
    state = held.state
    change = apply_fill(state, FillInput(side, price, state.amount, state.contract_size, state.inverse))
    assert change.before is not None
    assert change.before_event is not None
    closed = held._replace(
        state=change.before,
        event_seq=held.event_seq + 1,
        updated_us=max(held.updated_us, occurred_us),
        closed_us=occurred_us,
        close_reason=None if reason is None else check_text(reason, "reason"),
    )
    _keep(session, closed)
    _note(session, closed, change.before_event, occurred_us, None)
    return present(closed)


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
    held = _open(session, position_id)
    marked = held._replace(state=_marked(held.state, price), updated_us=session.ts_us)
    _keep(session, marked)
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
    open_ids = _open_ids_of_symbol(session, update.symbol)
    marked = 0
    for position_id in open_ids:
        held = _open(session, position_id)
        if marked_us < held.updated_us:
            continue  # the position was not yet what it is now, or not yet there
        _keep(session, held._replace(state=_marked(held.state, update.mark), updated_us=marked_us))
        marked += 1
    return marked


def _marked(state: PositionState, mark: Decimal) -> PositionState:
    """Mark a position; an extreme that no column can hold is left out, so that others can be marked beside it."""
    marked = apply_mark(state, mark)
    if max(marked.max_favourable.adjusted(), marked.max_adverse.adjusted()) < MONEY_INTEGER_DIGITS:
        return marked
    return msgspec.structs.replace(state, mark_price=mark)


def _open(session: WriteSession, position_id: str) -> Held:
    held = _load(session, position_id)
    if held is None or held.state.status != OPEN:
        raise NotFound(
            f"no open position {position_id!r}" + (" (it is closed)" if held else ""),
            hint="get_open_positions() lists those there are",
        )
    return held


def _find(
    session: WriteSession, account: str, symbol: str, position_id: str | None, bot: str | None
) -> Held | None:
    if position_id is None:
        return _find_open(session, account, symbol, bot)
    held = _load_anywhere(session, position_id)
    if held is None:
        return None
    if held.state.status != OPEN or (held.account, held.symbol) != (account, symbol):
        raise InvalidValue(
            f"position {position_id!r} is {held.state.status} on {held.symbol} of {held.account}",
            hint=f"a fill on {symbol} of {account} needs an open position there, or a new id",
        )
    return held


def _find_open(session: WriteSession, account: str, symbol: str, bot: str | None) -> Held | None:
    """Find the position a fill is for: the bot's own, else one that is no bot's, else the only one there is."""
    there = [_open(session, found) for found in _open_ids_of_symbol(session, symbol)]
    of_account = [held for held in there if held.account == account]
    candidates = [held for held in of_account if held.bot == bot]
    if not candidates:
        candidates = [held for held in of_account if bot is None or held.bot is None]
    if len(candidates) > 1:
        raise InvalidValue(
            f"{account} has {len(candidates)} open positions on {symbol}",
            hint="say which one with position_id=",
        )
    return candidates[0] if candidates else None


def _open_ids_of_symbol(session: WriteSession, symbol: str) -> list[str]:
    key = ("open positions", symbol)
    ids: list[str] | None = session.memory.get(key)
    if ids is None:
        rows: list[Any] = session.execute(session.sql["open_position_ids"], (symbol,)).fetchall()
        ids = [row[0] for row in rows]
        session.memory[key] = ids
    return list(ids)


def _load(session: WriteSession, position_id: str) -> Held | None:
    key = ("position", position_id)
    held: Held | None = session.memory.get(key)
    if held is None:
        row = session.one("find_positions", (position_id,))
        if row is None:
            return None
        held = session.memory[key] = decode(row)
    return held


def _load_anywhere(session: WriteSession, position_id: str) -> Held | None:
    """Find a position also where it is archived: its id is never another's."""
    held = _load(session, position_id)
    if held is None:
        for rows in find_archived(session, POSITIONS, [Wanted((position_id,), None)]).values():
            return decode(rows[0])
    return held


def _keep(session: WriteSession, held: Held) -> None:
    session.memory[("position", held.position_id)] = held
    ids = _open_ids_of_symbol(session, held.symbol)
    is_open = held.state.status == OPEN
    if is_open is not (held.position_id in ids):
        others = [found for found in ids if found != held.position_id]
        session.memory[("open positions", held.symbol)] = [*others, held.position_id] if is_open else others
    # A position is written once a transaction, however many marks it saw in it.
    session.defer_latest("upsert_positions", held.position_id, encode(held, session.ts_us))


def _note(
    session: WriteSession, held: Held, event: PositionEvent, occurred_us: int, trade_id: str | None
) -> None:
    kind, *amounts = event
    texts = [
        None if amount is None else money_text(amount, name)
        for name, amount in zip(_AMOUNTS, amounts, strict=True)
    ]
    session.defer(
        "insert_position_events",
        (held.position_id, held.event_seq, held.account, held.symbol, kind, *texts, trade_id, occurred_us,
         session.ts_us),
    )  # fmt: skip
