"""Managers such as traders write them, each of a shape of its own. None of them knows of a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any

# -- balances -----------------------------------------------------------------------------------------------------


class Bookkeeper:
    """Has one method that everybody calls, and keeps a dictionary of its own shape."""

    def __init__(self) -> None:
        self.balances: dict[str, dict[str, Decimal]] = {}

    def update_balance(
        self, asset: str, balance: Decimal, hold: Decimal = Decimal(0), *, source: str = "rest"
    ) -> str:
        """Set a balance.

        Raises:
            ValueError: A negative one.
        """
        if balance < 0:
            raise ValueError(asset)
        self.balances[asset] = {"total": balance, "hold": hold}
        return f"{asset} is {balance}"


class ExchangeFeed:
    """Takes the exchange's messages as they come, asynchronously, and shows nothing."""

    def __init__(self) -> None:
        self._figures: dict[str, str] = {}
        self.taken = 0

    async def process_balance_update(self, message: dict[str, Any]) -> int:
        """Take a message apart."""
        await asyncio.sleep(0)
        for entry in message.pop("B"):
            self._figures[entry["a"]] = entry["f"]
            self.taken += 1
        return self.taken


class Announcer:
    """Tells its listeners of balances, as objects."""

    @dataclass
    class Event:
        """What it tells."""

        currency: str
        available: float
        reserved: float
        updated_at: datetime

    def __init__(self) -> None:
        self._listeners: list[Callable[[Announcer.Event], None]] = []

    def add_listener(self, listener: Callable[[Announcer.Event], None]) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[Announcer.Event], None]) -> None:
        """Remove a listener."""
        self._listeners.remove(listener)

    def tell(self, event: Announcer.Event) -> None:
        """Tell the listeners."""
        for listener in self._listeners:
            listener(event)


@dataclass
class Wallet:
    """Only shows balances, as objects with attributes."""

    balances: dict[str, SimpleNamespace] = field(default_factory=dict)


class Counted:
    def __init__(self) -> None:
        self.calls = 0


class Setter(Counted):
    def set_balance(self, currency: str, amount: float) -> None:
        self.calls += 1


class OnBalance(Counted):
    def on_balance(self, coin: str, free: str, locked: str) -> None:
        self.calls += 1


class RawMessages(Counted):
    def handle_balance_message(self, raw: str) -> None:
        self.calls += 1


class CamelCase(Counted):
    def onBalanceUpdate(self, data: Any) -> None:  # noqa: N802  ported from elsewhere
        self.calls += 1


class Internal(Counted):
    def _on_balance(self, payload: Any) -> None:
        self.calls += 1

    def receive(self, payload: Any) -> None:
        self._on_balance(payload)


class Batches(Counted):
    def update_balances(self, balances: Any) -> None:
        self.calls += 1


class AnyArguments(Counted):
    def update_balance(self, *args: Any, **kwargs: Any) -> None:
        self.calls += 1


class OtherNames(Counted):
    def update_balance(self, name: str, value: int) -> None:
        self.calls += 1


class Emitter:
    def __init__(self) -> None:
        self.handlers: dict[str, list[Callable[..., None]]] = {"balance": [], "order": []}

    def on(self, event: str, callback: Callable[..., None]) -> None:
        self.handlers[event].append(callback)

    def off(self, event: str, callback: Callable[..., None]) -> None:
        self.handlers[event].remove(callback)

    def emit(self, *args: Any) -> None:
        for handler in list(self.handlers["balance"]):
            handler(*args)

    def count(self) -> int:
        return len(self.handlers["balance"])


class Subscribable:
    def __init__(self) -> None:
        self.taken: list[Callable[..., None]] = []

    def subscribe(self, callback: Callable[..., None]) -> Callable[[], None]:
        self.taken.append(callback)
        return lambda: self.taken.remove(callback)

    def emit(self, *args: Any) -> None:
        for callback in self.taken:
            callback(*args)

    def count(self) -> int:
        return len(self.taken)


class Registering:
    def __init__(self) -> None:
        self._callbacks: list[Callable[..., None]] = []

    def on_balance_update(self, fn: Callable[..., None]) -> Callable[..., None]:
        self._callbacks.append(fn)
        return fn

    def emit(self, *args: Any) -> None:
        for callback in self._callbacks:
            callback(*args)

    def count(self) -> int:
        return len(self._callbacks)


class Observed:
    def __init__(self) -> None:
        self.balance_observers: list[Callable[..., None]] = []

    def emit(self, *args: Any) -> None:
        for observer in self.balance_observers:
            observer(*args)

    def count(self) -> int:
        return len(self.balance_observers)


class OnePlace:
    def __init__(self) -> None:
        self.on_balance: Callable[..., None] | None = None

    def emit(self, *args: Any) -> None:
        if self.on_balance is not None:
            self.on_balance(*args)

    def count(self) -> int:
        return int(self.on_balance is not None)


# -- portfolios ---------------------------------------------------------------------------------------------------


class FillBook:
    """Is told fills in ccxt's structure, asynchronously, and adds them up itself."""

    def __init__(self) -> None:
        self.amounts: dict[str, Decimal] = {}

    async def on_fill(self, trade: dict[str, Any]) -> Decimal:
        """Add a fill."""
        await asyncio.sleep(0)
        signed = Decimal(str(trade["amount"])) * (1 if trade["side"] == "buy" else -1)
        self.amounts[trade["symbol"]] = self.amounts.get(trade["symbol"], Decimal(0)) + signed
        return self.amounts[trade["symbol"]]

    def update_price(self, symbol: str, price: float) -> None:
        """Take a price."""


class Desk:
    """Keeps positions by symbol in a dictionary, and changes them in its own methods."""

    def __init__(self) -> None:
        self.positions: dict[str, dict[str, Any]] = {}

    def open_position(
        self, symbol: str, side: str, size: float, price: float, leverage: float | None = None
    ) -> dict[str, Any]:
        """Open one.

        Raises:
            KeyError: It is open already.
        """
        if symbol in self.positions:
            raise KeyError(symbol)
        self.positions[symbol] = {
            "symbol": symbol, "side": side, "size": size, "entry_price": price, "leverage": leverage,
        }  # fmt: skip
        return self.positions[symbol]

    def resize(self, symbol: str, size: float, entry_price: float) -> None:
        """Change one without anybody being told."""
        self.positions[symbol] |= {"size": size, "entry_price": entry_price}

    def close_position(self, symbol: str, exit_price: float, reason: str = "signal") -> None:
        """Close one."""
        del self.positions[symbol]


class Side(Enum):
    """A side as an enumeration."""

    LONG = 1
    SHORT = 2


@dataclass
class Holding:
    """A position as an object, with an id of its manager's."""

    position_id: str
    symbol: str
    side: Side
    quantity: Decimal
    avg_entry_price: Decimal
    current_price: Decimal | None = None
    status: str = "open"
    exit_price: Decimal | None = None


@dataclass
class Registry:
    """Shows a list of objects through a getter, closed ones included; has no method worth following."""

    holdings: list[Holding] = field(default_factory=list)

    def get_positions(self) -> list[Holding]:
        """Return all of them."""
        return self.holdings


class Hub:
    """Emits events by name: fills, positions and prices."""

    def __init__(self) -> None:
        self._taken: dict[str, list[Callable[..., None]]] = {"fill": [], "position": [], "price": []}

    def on(self, event: str, handler: Callable[..., None]) -> Callable[[], None]:
        """Register a handler; returns what takes it back."""
        self._taken[event].append(handler)
        return lambda: self._taken[event].remove(handler)

    def emit(self, event: str, *args: Any) -> None:
        """Call the handlers."""
        for handler in self._taken[event]:
            handler(*args)
