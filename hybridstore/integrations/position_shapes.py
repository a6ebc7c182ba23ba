"""The shapes positions come in: ccxt's structure, objects, mappings by symbol or id, arguments of a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.integrations.events import PositionSeen
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.fields import (
    CONTRACT_SIZE,
    ENTRY,
    EXIT,
    LEVERAGE,
    LIQUIDATION,
    MARGIN_MODE,
    MARK,
    OPENED,
    POSITION_AMOUNT,
    POSITION_ID,
    STATUS,
    SYMBOL,
    Fields,
    is_container,
    is_number,
    word,
)
from hybridstore.integrations.market_names import MarketNames

_LONG = {"long", "buy", "bull", "bid"}
_SHORT = {"short", "sell", "bear", "ask"}
_CLOSED = {"closed", "exited", "liquidated", "done"}
_SIDE = ("side", "direction", "position_side", "pos_side", "type", "action")


class PositionTold(NamedTuple):
    """A position as it was found: figures of whatever kind, not yet exact.

    Attributes:
        key: Its key in a mapping; None in a list.
        position_id, symbol, side, amount, entry, mark, exit, opened_at: As found; None where absent.
        is_closed: Whether it says that it is closed.
        others: contract_size, leverage, margin_mode, liquidation_price.
    """

    key: str | None
    position_id: str | None
    symbol: str | None
    side: str | None
    amount: Any
    entry: Any
    mark: Any
    exit: Any
    opened_at: Any
    is_closed: bool
    others: tuple[Any, ...]


def told_position(fields: Fields, key: str | None = None) -> PositionTold:
    """Read one position.

    Args:
        fields: It.
        key: What its manager's mapping calls it.

    Returns:
        What was found.
    """
    identity = fields.get(POSITION_ID)
    side = next(
        (text for name in _SIDE if (text := (word(fields.get((name,))) or "").lower().rpartition(".")[2])
         and text in _LONG | _SHORT), None,
    )  # fmt: skip
    status = (word(fields.get(STATUS)) or "").lower().rpartition(".")[2]
    is_open = fields.get(("is_open", "open", "active"))
    return PositionTold(
        key,
        None if identity is None or is_container(identity) else str(identity),
        word(fields.get(SYMBOL)),
        side,
        fields.get(POSITION_AMOUNT),
        fields.get(ENTRY),
        fields.get(MARK),
        fields.get(EXIT),
        fields.get(OPENED),
        status in _CLOSED or is_open is False,
        tuple(fields.get(names) for names in (CONTRACT_SIZE, LEVERAGE, MARGIN_MODE, LIQUIDATION)),
    )


def told_positions(value: object) -> Iterator[PositionTold]:
    """Read the positions a manager shows.

    Args:
        value: A list, or a mapping by id or symbol (of positions, of lists of them, or of signed amounts).

    Yields:
        What was found.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
            if is_number(item):
                yield told_position(Fields({"amount": item}), name)
            elif isinstance(item, list | tuple | set) and not hasattr(item, "_fields"):
                yield from (
                    told_position(Fields(each, {"symbol": name})) for each in item if is_container(each)
                )
            elif is_container(item):
                yield told_position(Fields(item), name)
    elif isinstance(value, Iterable):
        yield from (told_position(Fields(item)) for item in value if is_container(item))


def has_positions(value: object) -> bool:
    """Return whether a value is a collection of positions, or an empty one.

    Args:
        value: What a manager shows.

    Returns:
        Whether each has an amount.
    """
    if not isinstance(value, Mapping | list | tuple | set):
        return False
    return all(told.amount is not None for told in told_positions(value))


class PositionShapes:
    """Makes positions exact.

    Args:
        exact: Takes figures and times.
        names: Takes names of markets.
    """

    def __init__(self, exact: Exact, names: MarketNames) -> None:
        self._exact = exact
        self._names = names

    def position(self, told: PositionTold) -> PositionSeen:
        """Make a position exact.

        Args:
            told: What was found.

        Returns:
            The position; its amount is zero where it says that it is closed.

        Raises:
            InvalidValue: No market or amount, or a figure that is wrong.
        """
        exact = self._exact
        symbol = told.symbol or told.key
        if symbol is None:
            raise InvalidValue(
                "a position without its market", hint="give extract= that returns it, as 'symbol'"
            )
        amount = exact.amount(0 if told.is_closed and told.amount is None else told.amount, "amount")
        side = "SHORT" if told.side in _SHORT or (told.side is None and amount < 0) else "LONG"
        size, leverage, margin_mode, liquidation = told.others
        contract = side == "SHORT" or (is_number(leverage) and exact.amount(leverage, "leverage") > 1)
        unified = self._names.unified(symbol, contract=contract)
        details: dict[str, Any] = {}
        for name, value in (
            ("contract_size", size),
            ("leverage", leverage),
            ("liquidation_price", liquidation),
        ):
            if is_number(value):
                details[name] = exact.amount(value, name)
        mode = (word(margin_mode) or "").lower()
        if mode in {"cross", "isolated"}:
            details["margin_mode"] = mode
        is_flat = told.is_closed or not amount
        return PositionSeen(
            told.position_id or told.key or unified,
            unified,
            side,
            exact.amount(0, "amount") if is_flat else amount.copy_abs(),
            self._price(told.entry, "entry_price"),
            self._price(told.mark, "mark_price"),
            self._price(told.exit, "exit_price"),
            told.position_id,
            exact.moment(told.opened_at),
            details,
        )

    def _price(self, value: Any, name: str) -> Any:
        """Return a price; zero is how many write that they have none."""
        if not is_number(value):
            return None
        return self._exact.amount(value, name) or None
