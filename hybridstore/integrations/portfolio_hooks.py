"""What is hooked of a portfolio manager, and what becomes of its calls, its notifications and its state."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import (
    FillSeen,
    MarkSeen,
    PositionMarked,
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
    Fields,
    is_container,
    is_number,
    word,
)
from hybridstore.integrations.fill_shapes import FillShapes, first_item, is_fill, items_of, price_of
from hybridstore.integrations.integration import LOG
from hybridstore.integrations.market_names import MarketNames
from hybridstore.integrations.position_book import PositionBook
from hybridstore.integrations.position_calls import PositionCalls
from hybridstore.integrations.position_shapes import (
    PositionShapes,
    PositionTold,
    told_positions,
)
from hybridstore.integrations.state import Poller, State, Turns, snapshot
from hybridstore.integrations.target import Target

if TYPE_CHECKING:
    from hybridstore.hot.position_rows import Position

_PASSED_MAX = 3


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
        self._calls = PositionCalls(target, names, self._positions, self._book)
        self._lock = threading.RLock()  # on_error may call the manager again
        self._last: tuple[PositionTold, ...] | None = None
        self._marks: dict[tuple[str | None, ...], Any] = {}
        self.turns = Turns()
        self.follows_fills = True
        self.state: State | None = None
        self.poller: Poller | None = None
        self.extracts: Mapping[str, Callable[..., Any]] = {}
        self._fills_seen = 0
        self._passed_over = 0

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
            self._pass_over()
            return False
        state = self.state
        if state is not None and state.is_async:
            if self.poller is not None:
                self.poller.nudge()
            return True
        if state is not None and call.name not in self.extracts:
            turn = self.turns.begin()
            return self._look(snapshot(state.read()), turn, first_item(call))
        if kind == "close":
            return self._calls.closed(call, self._extracted(call))
        return self._calls.opened(kind, call, self._extracted(call))

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
            if changed and not first and self.follows_fills:
                self._pass_over()
            return self._put_marks(told) or changed

    def left_over(self, held: Iterable[Position]) -> list[str]:
        """Return which open positions of the store the manager does not show.

        Args:
            held: The store's.

        Returns:
            Their ids.
        """
        shown = set()
        for each in self._last or ():
            with contextlib.suppress(InvalidValue):
                shown.add(self._positions.position(each).symbol)
        return [position.position_id for position in held if position.symbol not in shown]

    def _pass_over(self) -> None:
        """Leave a change of positions to the fills; warn where no fill ever comes."""
        self._passed_over += 1
        if self._passed_over == _PASSED_MAX and not self._fills_seen:
            LOG.warning(
                "%s: positions changed %d times and no fill was told; positions_from='positions' follows them instead",
                self._target.integration.name,
                _PASSED_MAX,
            )

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

    def _put_fill(self, fill: FillSeen) -> None:
        self._fills_seen += 1
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
