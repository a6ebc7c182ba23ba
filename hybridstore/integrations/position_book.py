"""Positions of a manager and those of the store, kept equal: opened, changed and closed as the manager shows them.

Runs only in the recorder's task, one event after the other.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.errors import InvalidValue, NotFound
from hybridstore.integrations.events import (
    PositionClosed,
    PositionMarked,
    PositionOpened,
    PositionSeen,
    PositionsSeen,
)
from hybridstore.portfolio.money import add, divide, multiply, round_money, subtract

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem
    from hybridstore.hot.position_rows import Position


class PositionBook:
    """Which position of the store each of a manager's positions is.

    Args:
        storage: The open store.
        account: Whose positions.
        tags: strategy and bot, where they are known.
    """

    def __init__(self, storage: TradingBotStorageSystem, account: str, tags: dict[str, Any]) -> None:
        self._storage = storage
        self._account = account
        self._tags = tags
        self._ids: dict[str, str] = {}

    async def settle(self, seen: PositionsSeen) -> None:
        """Make the store's positions what the manager shows.

        Args:
            seen: What it shows.

        Raises:
            InvalidValue: A position cannot be opened or changed with what is known of it; the others were.
        """
        errors: list[InvalidValue] = []
        shown = set()
        for position in seen.positions:
            shown.add(position.key)
            hint = seen.price if seen.symbol in {None, position.symbol} else None
            try:
                await self._settle_one(position, hint, seen.reason, seen.seen_at)
            except InvalidValue as error:
                errors.append(error)
        if seen.complete:
            for key in [key for key in self._ids if key not in shown]:
                held = await self._held(key)
                hint = seen.price if held is not None and seen.symbol in {None, held.symbol} else None
                try:
                    await self._close(key, held, hint, seen.reason, seen.seen_at)
                except InvalidValue as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    async def adopt(self, seen: PositionsSeen) -> None:
        """Open what the store does not hold, and leave what it holds to the fills.

        Args:
            seen: What the manager shows when fills begin to be recorded.
        """
        for position in seen.positions:
            if position.amount and await self._find(position) is None:
                await self._open(position, None, seen.seen_at)

    async def open(self, event: PositionOpened) -> None:
        """Open a position, or add to one that is open.

        Args:
            event: What a call said.

        Raises:
            InvalidValue: Its price is not known.
        """
        position = event.position
        held = await self._find(position)
        if held is None:
            await self._open(position, None, event.seen_at)
        elif held.side == position.side:
            await self._fill(held, position.amount, position.entry_price, event.seen_at)
        else:
            await self._reduce(held, position.amount, position.entry_price, event.seen_at)

    async def close(self, event: PositionClosed) -> None:
        """Close a position, or a part of it.

        Args:
            event: What a call said.

        Raises:
            NotFound: No such position was opened.
        """
        key = event.key
        held = await self._held(key)
        if held is None:
            same = [
                each for each in await self._storage.get_open_positions(self._account) if each.symbol == key
            ]
            held = same[0] if len(same) == 1 else await self._storage.get_position(key)
        if held is None or held.status != "OPEN":
            raise NotFound(
                f"no open position {key!r} to close", hint="it was opened before the integration, or never"
            )
        if event.amount is None or event.amount >= held.amount:
            await self._close(key, held, event.price, event.reason, event.closed_at)
        else:
            await self._reduce(held, event.amount, event.price, event.closed_at)

    async def mark(self, event: PositionMarked) -> None:
        """Mark one position.

        Args:
            event: Its key and price.

        Raises:
            NotFound: There is no open position of this key.
        """
        held = await self._held(event.key) or await self._storage.get_position(event.key)
        if held is None or held.status != "OPEN":
            raise NotFound(f"no open position {event.key!r} to mark")
        await self._storage.update_position_price(held.position_id, event.price)

    # -- one position -------------------------------------------------------------------------------------------

    async def _settle_one(
        self, position: PositionSeen, price: Decimal | None, reason: str | None, seen_at: datetime
    ) -> None:
        held = await self._find(position)
        if held is None:
            if position.amount:
                await self._open(position, price, seen_at)
        elif not position.amount:
            await self._close(position.key, held, price or position.exit_price, reason, seen_at)
        elif held.side != position.side:
            await self._close(position.key, held, price or position.entry_price, reason or "flip", seen_at)
            await self._open(position, price, seen_at)
        elif position.amount > held.amount:
            await self._fill(
                held, subtract(position.amount, held.amount), price, seen_at, position.entry_price
            )
        elif position.amount < held.amount:
            await self._reduce(held, subtract(held.amount, position.amount), price, seen_at)

    async def _held(self, key: str) -> Position | None:
        position_id = self._ids.get(key)
        return None if position_id is None else await self._storage.get_position(position_id)

    async def _find(self, position: PositionSeen) -> Position | None:
        """Find the store's open position: the one known by this key, its own id, or the only one that fits."""
        held = await self._held(position.key)
        if held is None:
            taken = set(self._ids.values())
            name = position.position_id
            fitting = [
                each
                for each in await self._storage.get_open_positions(self._account)
                if each.symbol == position.symbol and each.position_id not in taken
                if name is None or each.position_id == name or each.position_id.startswith(f"{name}-")
            ]
            held = fitting[0] if len(fitting) == 1 else None
        if held is None or held.status != "OPEN":
            self._ids.pop(position.key, None)
            return None
        self._ids[position.key] = held.position_id
        return held

    async def _open(self, position: PositionSeen, price: Decimal | None, seen_at: datetime) -> None:
        entry = position.entry_price or price
        if entry is None:
            raise InvalidValue(
                f"position {position.key!r} has no entry price",
                hint="show entry_price beside the amount, or integrate with fill_methods=",
            )
        opened_at = position.opened_at or seen_at
        position_id = position.position_id
        if position_id is None or await self._storage.get_position(position_id) is not None:
            position_id = f"{position_id or position.symbol}-{position.side}-{opened_at.isoformat()}"
        opened = await self._storage.create_position(
            position_id, position.symbol, position.side, position.amount, entry,
            account=self._account, opened_at=opened_at, **self._tags, **position.details,
        )  # fmt: skip
        self._ids[position.key] = opened.position_id

    async def _close(
        self, key: str, held: Position | None, price: Decimal | None, reason: str | None, at: datetime
    ) -> None:
        if held is not None and held.status == "OPEN":
            known = price or await self._last_price(held)
            if known is None:
                raise InvalidValue(
                    f"position {held.position_id!r} was closed at an unknown price",
                    hint="name a price in the closing call, or record marks of the market",
                )
            await self._storage.close_position(held.position_id, known, reason, max(at, held.opened_at))
        self._ids.pop(key, None)

    async def _fill(
        self,
        held: Position,
        amount: Decimal,
        price: Decimal | None,
        at: datetime,
        entry_after: Decimal | None = None,
    ) -> None:
        """Add to a position; what a manager's new average implies is the price, where none was named."""
        if price is None and entry_after is not None and not held.inverse:
            after = multiply(add(held.amount, amount), entry_after)
            implied = subtract(after, multiply(held.amount, held.entry_price))
            price = divide(implied, amount) if implied > 0 else None
        await self._trade(held, "buy" if held.side == "LONG" else "sell", amount, price, at)

    async def _reduce(self, held: Position, amount: Decimal, price: Decimal | None, at: datetime) -> None:
        await self._trade(held, "sell" if held.side == "LONG" else "buy", amount, price, at)

    async def _trade(
        self, held: Position, side: str, amount: Decimal, price: Decimal | None, at: datetime
    ) -> None:
        known = price or await self._last_price(held)
        if known is None:
            raise InvalidValue(
                f"position {held.position_id!r} changed by {amount} at an unknown price",
                hint="name a price in the call, record marks of the market, or integrate with fill_methods=",
            )
        product = multiply(multiply(known, amount), held.contract_size)
        cost: dict[str, Any] = {}
        if not held.inverse and round_money(product) != product:
            cost = {"quote_amount": round_money(product)}
        await self._storage.record_fill(
            held.symbol, side, known, amount,
            account=self._account, position_id=held.position_id, contract_size=held.contract_size,
            inverse=held.inverse, executed_at=max(at, held.opened_at),
            info={"derived_from": "a change of the position's amount"}, **self._tags, **cost,
        )  # fmt: skip

    async def _last_price(self, held: Position) -> Decimal | None:
        if held.mark_price is not None:
            return held.mark_price
        mark = await self._storage.get_mark(held.symbol)
        return None if mark is None else mark.mark
