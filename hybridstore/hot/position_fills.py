"""What fills do to positions: found, applied, kept with an event, in the fill's own transaction."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.position_rows import Held, Position, present
from hybridstore.hot.positions import FillName, keep_changed, load_anywhere, load_open, open_ids_of_symbol
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.position import CLOSED, LONG, OPEN, SHORT, apply_fill, apply_sided_fill
from hybridstore.portfolio.symbols import Market


class Addressee(NamedTuple):
    """Which position a fill, or funding, is for.

    Attributes:
        account: Whose.
        market: Where.
        position_id: The position; None finds the open one, or opens one.
        side: LONG or SHORT where both may be open at once (hedge mode): only a position of this side is meant, and
            none of the other is opened. None where the account holds one position a market.
        strategy: Put on a position that is opened.
        bot: Whose position it is, of several bots; put on a position that is opened.
    """

    account: str
    market: Market
    position_id: str | None = None
    side: str | None = None
    strategy: str | None = None
    bot: str | None = None


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


_NO_EFFECT = FillEffect(None, None, ZERO)


def fill_position(
    session: WriteSession, whose: Addressee, fill: FillInput, name: FillName, occurred_us: int
) -> FillEffect:
    """Apply a fill to the position it is for.

    A spot market cannot be short, nor can one side of a hedge become the other: what such a fill takes beyond the open
    position changes none. On a spot market it was held before.

    Args:
        session: The write transaction.
        whose: Which position it is for.
        fill: The fill.
        name: What its events know it by.
        occurred_us: When, us UTC.

    Returns:
        What it did.

    Raises:
        InvalidValue: It cannot be said which position it is for, or the position cannot take it.
        ArchiveNeeded: It must be looked up first whether a position of that id is archived.
    """
    held = find_position(session, whose)
    state = held.state if held else None
    side = whose.side or (LONG if whose.market.is_spot else None)
    change = apply_fill(state, fill) if side is None else apply_sided_fill(state, fill, side)
    if change is None:
        return _NO_EFFECT
    result = held
    if held and change.before and change.before_event:
        closed = change.before.status == CLOSED
        result = held._replace(state=change.before)
        if closed:
            reason = "liquidation" if fill.is_liquidation else "fill"
            result = result._replace(closed_us=occurred_us, close_reason=reason)
        result = keep_changed(session, result, change.before_event, occurred_us, name)
    if change.opened and change.opened_event:
        new_id = whose.position_id if whose.position_id and held is None else f"pos-{uuid.uuid4().hex}"
        opened = Held(
            new_id, whose.account, whose.market.symbol, change.opened, 0, occurred_us, occurred_us,
            strategy=whose.strategy, bot=whose.bot,
        )  # fmt: skip
        if change.opened.status == CLOSED:  # its own fee took all of it
            opened = opened._replace(closed_us=occurred_us, close_reason="fill")
        result = keep_changed(session, opened, change.opened_event, occurred_us, name)
    assert result is not None
    belongs_to = held.position_id if held else result.position_id
    return FillEffect(present(result), belongs_to, change.realized_delta)


def is_hedged(session: WriteSession, whose: Addressee) -> bool:
    """Say whether an account may hold both sides of a market at once.

    Args:
        session: The write transaction.
        whose: Which position something is for.

    Returns:
        Whether a side was named, or both are open.
    """
    if whose.side is not None:
        return True
    there = [load_open(session, found) for found in open_ids_of_symbol(session, whose.market.symbol)]
    return len({held.state.side for held in there if held.account == whose.account}) > 1


def find_position(session: WriteSession, whose: Addressee) -> Held | None:
    """Find the open position something is for.

    Args:
        session: The write transaction.
        whose: Which.

    Returns:
        The position; None where there is none.

    Raises:
        InvalidValue: The one that was named is closed, another market's or of another side, or several may be meant.
        ArchiveNeeded: It must be looked up first whether a position of that id is archived.
    """
    if whose.side == SHORT and whose.market.is_spot:
        raise InvalidValue(
            f"position_side=SHORT on {whose.market.symbol}: a spot market has no short positions",
            hint="leave position_side out, or give the contract's symbol, as BTC/USDT:USDT",
        )
    if whose.position_id is None:
        return _find_open(session, whose)
    held = load_anywhere(session, whose.position_id)
    if held is None:
        return None
    account, symbol = whose.account, whose.market.symbol
    if held.state.status != OPEN or (held.account, held.symbol) != (account, symbol):
        raise InvalidValue(
            f"position {held.position_id!r} is {held.state.status} on {held.symbol} of {held.account}",
            hint=f"a fill on {symbol} of {account} needs an open position there, or a new id",
        )
    if whose.side not in {None, held.state.side}:
        raise InvalidValue(
            f"position {held.position_id!r} is {held.state.side}, not {whose.side}",
            hint="give the position_side of the position, or leave it out",
        )
    return held


def _find_open(session: WriteSession, whose: Addressee) -> Held | None:
    """The bot's own, else one that is no bot's, else the only one there is."""
    there = [load_open(session, found) for found in open_ids_of_symbol(session, whose.market.symbol)]
    of_account = [
        held for held in there if held.account == whose.account and whose.side in {None, held.state.side}
    ]
    candidates = [held for held in of_account if held.bot == whose.bot]
    if not candidates:
        candidates = [held for held in of_account if whose.bot is None or held.bot is None]
    if len(candidates) > 1:
        raise InvalidValue(
            f"{whose.account} has {len(candidates)} open positions on {whose.market.symbol}",
            hint="say which one with position_side= or position_id=",
        )
    return candidates[0] if candidates else None
