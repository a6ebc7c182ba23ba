"""What is hooked of a portfolio manager, and what becomes of its calls, its notifications and its state."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import (
    FillSeen,
    MarkSeen,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    PositionSeen,
    PositionsSeen,
)
from hybridstore.integrations.fields import (
    EXIT,
    MARK,
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
from hybridstore.integrations.fill_shapes import FillShapes, is_fill, items_of, price_of
from hybridstore.integrations.market_names import MarketNames
from hybridstore.integrations.position_book import PositionBook
from hybridstore.integrations.position_shapes import (
    PositionShapes,
    PositionTold,
    told_position,
    told_positions,
)
from hybridstore.integrations.state import Poller, State, Turns, snapshot
from hybridstore.integrations.target import Target


class PortfolioWatch:
    """Turns what a portfolio manager tells and shows into events.

    Positions follow from fills where those are told ("fills"), else from what the manager says and shows of positions
    ("positions"); never from both, which would count everything twice.

    Args:
        target: Where events go.
        names: Takes names of markets.
        tags: strategy and bot, where they are known.
        extract: Takes the arguments of a call and returns what it is about; None reads the arguments.
    """

    def __init__(
        self, target: Target, names: MarketNames, tags: dict[str, str], extract: Callable[..., Any] | None
    ) -> None:
        self._target = target
        self._names = names
        self._extract = extract
        self._fills = FillShapes(target.exact, names, {"account": target.account, **tags})
        self._positions = PositionShapes(target.exact, names)
        self._book = PositionBook(target.storage, target.account, tags)
        self._lock = threading.RLock()  # on_error may call the manager again
        self._last: tuple[PositionTold, ...] | None = None
        self._marks: dict[tuple[str | None, ...], Any] = {}
        self.turns = Turns()
        self.follows_fills = True
        self.state: State | None = None
        self.poller: Poller | None = None
        self.extracts: Mapping[str, Callable[..., Any]] = {}
        self.fills_seen = 0
        self.positions_passed = 0

    # -- calls --------------------------------------------------------------------------------------------------

    def on_fill(self, call: Call) -> bool:
        """Take a call that is told fills.

        Args:
            call: It.

        Returns:
            Whether it told one.

        Raises:
            InvalidValue: It told none that can be read.
        """
        told = False
        for fields in self._items(call):
            for fill in self._fills.fills(fields, self._target.now()):
                self._put_fill(fill)
                told = True
        return told

    def on_price(self, call: Call) -> bool:
        """Take a call that is told prices.

        Args:
            call: It.

        Returns:
            Whether it told one.
        """
        if self._mark_one(call):
            return True
        marks = self._fills.marks(self._extracted(call), self._target.now())
        for mark in marks:
            self._put_mark(mark)
        return bool(marks)

    def on_position(self, kind: str, call: Call) -> bool:
        """Take a call that opens, closes or changes a position.

        Args:
            kind: open, close or update.
            call: It.

        Returns:
            Whether it told something.
        """
        if self.follows_fills:
            self.positions_passed += 1
            return False
        state = self.state
        if state is not None and state.is_async:
            if self.poller is not None:
                self.poller.nudge()
            return True
        if state is not None and call.name not in self.extracts:
            turn = self.turns.begin()
            return self._look(snapshot(state.read()), turn, self._first(call))
        if kind == "close":
            return self._closed(call)
        return self._opened(kind, call)

    def on_notice(self, call: Call) -> bool:
        """Take a notification: of a fill, a position or a price.

        Args:
            call: It.

        Returns:
            Whether it told something.
        """
        items = self._items(call, strict=False)
        if items and all(is_fill(fields) or fields.has(("remaining",)) for fields in items):
            return self.on_fill(call)
        if any(Fields(fields.source).has(POSITION_AMOUNT) for fields in items):
            return self.on_position("update", call)
        return self.on_price(call)

    def on_told(self, kind: str, call: Call) -> bool:
        """Take what a StorageBackedPortfolioManager says.

        Args:
            kind: fill or price.
            call: Its arguments.

        Returns:
            True: it was taken.
        """
        return self.on_fill(call) if kind == "fill" else self.on_price(call)

    # -- state --------------------------------------------------------------------------------------------------

    def on_state(self, value: Any, turn: int) -> bool:
        """Take what the manager shows.

        Args:
            value: Positions in any shape.
            turn: The number of the reading.

        Returns:
            Whether something changed.
        """
        return self._look(value, turn, Fields({}))

    def _look(self, value: Any, turn: int, said: Fields) -> bool:
        told = tuple(told_positions(value))
        shape = tuple(each._replace(mark=None, exit=None) for each in told)
        with self._lock:
            if not self.turns.is_latest(turn):
                return True
            first = self._last is None
            changed = shape != self._last
            self._last = shape
            if changed and (bool(told) if first else not self.follows_fills):
                self._put_positions(told, said, first=first)
            return self._put_marks(told) or changed

    def _put_positions(self, told: tuple[PositionTold, ...], said: Fields, *, first: bool) -> None:
        target = self._target
        positions: list[PositionSeen] = []
        for each in told:
            try:
                positions.append(self._positions.position(each))
            except InvalidValue as error:
                target.integration.refuse(each, error)
        symbol = word(said.get(SYMBOL))
        event = PositionsSeen(
            tuple(positions),
            complete=len(positions) == len(told),  # what could not be read must not pass for closed
            seen_at=target.now(),
            price=price_of(said, target.exact, (*EXIT, *PRICE)),
            symbol=None if symbol is None else self._names.unified(symbol),
            reason=word(said.get(REASON)),
        )
        write = self._book.adopt if first and self.follows_fills else self._book.settle
        target.put(event, functools.partial(write, event), is_figure=False)

    def _put_marks(self, told: tuple[PositionTold, ...]) -> bool:
        done = False
        for each in told:
            symbol, key = each.symbol or each.key, (each.key, each.position_id, each.symbol)
            if symbol is None or not is_number(each.mark) or self._marks.get(key) == each.mark:
                continue
            self._marks[key] = each.mark
            try:
                price = self._target.exact.amount(each.mark, "mark_price")
                unified = self._positions.position(each).symbol
            except InvalidValue:
                continue  # the position itself was refused
            if price > 0:
                self._put_mark(MarkSeen(unified, {"mark": price}, self._target.now()))
                done = True
        return done

    # -- parts --------------------------------------------------------------------------------------------------

    def _extracted(self, call: Call) -> Call:
        extract = self.extracts.get(call.name) or self._extract
        if extract is None:
            return call
        found = extract(*call.args, **call.kwargs)
        return Call("", {"extracted": found}, (found,), call.result, call.args, call.kwargs)

    def _items(self, call: Call, *, strict: bool = True) -> list[Fields]:
        extracted = self._extracted(call)
        items = items_of(extracted)
        if strict and extracted is call and not any(item.has(SYMBOL) for item in items):
            raise InvalidValue(
                f"{call.name or 'the notification'} told no fill that can be read: no market",
                hint="give fill_methods={'name': extract}: extract takes the same arguments and returns "
                "{'symbol', 'side', 'price', 'amount', 'id', ...}, a list of them, or None",
            )
        return items

    def _first(self, call: Call) -> Fields:
        items = items_of(call)
        return items[0] if items else Fields(call.arguments)

    def _put_fill(self, fill: FillSeen) -> None:
        self.fills_seen += 1
        self._target.put(fill, functools.partial(self._record_fill, fill), is_figure=False)

    async def _record_fill(self, fill: FillSeen) -> None:
        await self._target.storage.record_fill(
            fill.symbol, fill.side, fill.price, fill.amount, **fill.details
        )

    def _put_mark(self, mark: MarkSeen) -> None:
        self._target.put(mark, functools.partial(self._record_mark, mark), is_figure=True)

    async def _record_mark(self, mark: MarkSeen) -> None:
        prices: dict[str, Any] = dict(mark.prices)
        await self._target.storage.record_mark(mark.symbol, marked_at=mark.marked_at, **prices)

    def _mark_one(self, call: Call) -> bool:
        """Take update_position_price(position_id, price)."""
        fields = Fields(call.arguments)
        key, price = fields.get(POSITION_ID[:2]), fields.get((*MARK, *PRICE, "new_price"))
        if fields.has(SYMBOL) or key is None or is_container(key) or not is_number(price):
            return False
        price = self._target.exact.amount(price, "price")
        with self._lock:
            shown = [each for each in self._last or () if str(key) in {each.position_id, each.key}]
        if self.follows_fills:
            if not shown:
                raise InvalidValue(f"a price of position {key!r}, of which the market is not known")
            self._put_mark(
                MarkSeen(self._positions.position(shown[0]).symbol, {"mark": price}, self._target.now())
            )
        else:
            event = PositionMarked(str(key), price)
            self._target.put(event, functools.partial(self._book.mark, event), is_figure=False)
        return True

    def _opened(self, kind: str, call: Call) -> bool:
        result = call.result
        done = False
        for fields in items_of(self._extracted(call)) or [Fields(call.arguments)]:
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

    def _closed(self, call: Call) -> bool:
        said = self._first(self._extracted(call))
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
