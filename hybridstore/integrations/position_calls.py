"""Calls that open, change and close positions, of a manager that does not show them."""

from __future__ import annotations

import functools

from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import PositionClosed, PositionOpened, PositionsSeen
from hybridstore.integrations.fields import (
    EXIT,
    POSITION_AMOUNT,
    POSITION_ID,
    PRICE,
    REASON,
    SYMBOL,
    TIME,
    Fields,
    is_container,
    is_number,
    plain,
    word,
)
from hybridstore.integrations.fill_shapes import first_item, items_of, price_of
from hybridstore.integrations.market_names import MarketNames
from hybridstore.integrations.position_book import PositionBook
from hybridstore.integrations.position_shapes import PositionShapes, told_position
from hybridstore.integrations.target import Target


class PositionCalls:
    """Reads such calls.

    Args:
        target: Where events go.
        names: Takes names of markets.
        shapes: Makes positions exact.
        book: Knows which position of the store each is.
    """

    def __init__(
        self, target: Target, names: MarketNames, shapes: PositionShapes, book: PositionBook
    ) -> None:
        self._target = target
        self._names = names
        self._positions = shapes
        self._book = book

    def opened(self, kind: str, call: Call, extracted: Call) -> bool:
        """Take a call that opens positions or tells what they are now.

        Args:
            kind: open or update.
            call: It.
            extracted: What it is about.

        Returns:
            Whether it told a position.
        """
        result = call.result
        done = False
        for fields in items_of(extracted) or [Fields(call.arguments)]:
            said = Fields(fields.source, call.arguments, result if is_container(result) else {})
            told = told_position(said)
            if told.symbol is None:
                continue
            if told.side is None and plain(call.name).endswith("short"):
                told = told._replace(side="short")
            if told.position_id is None and isinstance(result, str | int) and not isinstance(result, bool):
                told = told._replace(position_id=str(result))
            if told.entry is None:
                told = told._replace(entry=said.get(PRICE))
            position = self._positions.position(told)
            now = self._target.exact.moment(said.get(TIME)) or self._target.now()
            if kind == "open":
                opened = PositionOpened(position, now)
                self._target.put(opened, functools.partial(self._book.open, opened), is_figure=False)
            else:
                price = price_of(said, self._target.exact, PRICE)
                seen = PositionsSeen((position,), complete=False, price=price, seen_at=now)
                self._target.put(seen, functools.partial(self._book.settle, seen), is_figure=False)
            done = True
        return done

    def closed(self, call: Call, extracted: Call) -> bool:
        """Take a call that closes a position or a part of it.

        Args:
            call: It.
            extracted: What it is about.

        Returns:
            Whether it named a position.
        """
        said = first_item(extracted)
        said = Fields(said.source, call.arguments, call.result if is_container(call.result) else {})
        key, symbol = said.get(POSITION_ID), word(said.get(SYMBOL))
        if key is None and symbol is None:
            key = next((value for value in call.values if isinstance(value, str | int)), None)
        if key is None and symbol is None:
            return False
        exact = self._target.exact
        name = str(key) if key is not None and not is_container(key) else self._names.unified(str(symbol))
        amount = Fields(said.source).get(POSITION_AMOUNT)
        event = PositionClosed(
            name,
            exact.amount(amount, "amount").copy_abs() if is_number(amount) else None,
            price_of(said, exact, (*EXIT, *PRICE)),
            word(said.get(REASON)),
            exact.moment(said.get(TIME)) or self._target.now(),
        )
        self._target.put(event, functools.partial(self._book.close, event), is_figure=False)
        return True
