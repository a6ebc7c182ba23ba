"""What was seen of a manager, read and exact, on its way to the store."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class BalanceSeen(NamedTuple):
    """A balance.

    Attributes:
        asset: The asset.
        balance: Total held, in units of the asset.
        hold: Held back for open orders; None where nobody told.
        available: What is free, where it was told.
        debt: Borrowed.
        reported: What else was told.
        source: Where the figure came from.
        reason: Why it changed.
        changed_at: The moment the figure is of, UTC.
        exchange_at: The exchange's own time.
    """

    asset: str
    balance: Decimal | None
    hold: Decimal | None
    available: Decimal | None
    debt: Decimal | None
    reported: dict[str, Any] | None
    source: str
    reason: str | None
    changed_at: datetime
    exchange_at: datetime | None


class FillSeen(NamedTuple):
    """A fill.

    Attributes:
        symbol: The market in unified form.
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts.
        details: The other arguments of ``record_fill``.
    """

    symbol: str
    side: str
    price: Decimal
    amount: Decimal
    details: dict[str, Any]


class MarkSeen(NamedTuple):
    """Prices of a market.

    Attributes:
        symbol: The market in unified form.
        prices: bid, ask, last, mark: those that are known.
        marked_at: When, UTC.
    """

    symbol: str
    prices: dict[str, Decimal]
    marked_at: datetime


class PositionSeen(NamedTuple):
    """A position as its manager shows it.

    Attributes:
        key: What its manager calls it: its id, or its symbol.
        symbol: The market in unified form.
        side: LONG or SHORT.
        amount: Units of base, or contracts; zero once it is closed.
        entry_price: Average entry, in quote; None where the manager does not say.
        mark_price: Last mark, in quote.
        exit_price: What it was closed at, in quote.
        position_id: Its id, where it has one.
        opened_at: When, UTC.
        details: contract_size, leverage, margin_mode, liquidation_price: those that are known.
    """

    key: str
    symbol: str
    side: str
    amount: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    exit_price: Decimal | None
    position_id: str | None
    opened_at: datetime | None
    details: dict[str, Any]


class PositionsSeen(NamedTuple):
    """Positions after something happened.

    Attributes:
        positions: Those the manager shows.
        complete: Whether it has no others, so that one that is missing is closed.
        seen_at: When, UTC.
        price: The price that was named with what happened, in quote.
        symbol: The market it is of; None means whichever position changed.
        reason: Why, where it was said.
    """

    positions: tuple[PositionSeen, ...]
    complete: bool
    seen_at: datetime
    price: Decimal | None = None
    symbol: str | None = None
    reason: str | None = None


class PositionOpened(NamedTuple):
    """A position opened or added to by a call.

    Attributes:
        position: What the call said.
        seen_at: When, UTC.
    """

    position: PositionSeen
    seen_at: datetime


class PositionClosed(NamedTuple):
    """A position closed by a call, or a part of it.

    Attributes:
        key: What its manager calls it: its id, or its symbol in unified form.
        amount: How much of it; None means all.
        price: In quote.
        reason: Why.
        closed_at: When, UTC.
    """

    key: str
    amount: Decimal | None
    price: Decimal | None
    reason: str | None
    closed_at: datetime


class PositionMarked(NamedTuple):
    """A price of one position.

    Attributes:
        key: What its manager calls it.
        price: In quote.
    """

    key: str
    price: Decimal
