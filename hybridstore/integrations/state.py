"""What a manager shows of itself: an attribute or a getter that is read after its calls and every second or so."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.integrations.fields import is_container
from hybridstore.integrations.integration import LOG, Integration

_ATTEMPTS = 5
Readable = Callable[[object], bool]


class Turns:
    """Says of several readings at once which is the latest: the others show what was, and are left out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._latest = 0

    def begin(self) -> int:
        """Return the number of a reading that begins."""
        with self._lock:
            self._begun += 1
            return self._begun

    def is_latest(self, turn: int) -> bool:
        """Return whether no later reading has been taken yet, and take this one.

        Args:
            turn: Its number.

        Returns:
            Whether it counts.
        """
        with self._lock:
            self._latest = max(self._latest, turn)
            return self._latest == turn


class State(NamedTuple):
    """Where a manager's figures are read.

    Attributes:
        how: It in words, for example ``.balances`` or ``get_all_balances()``.
        read: Returns them, or an awaitable of them.
        is_async: Whether it has to be awaited.
    """

    how: str
    read: Callable[[], Any]
    is_async: bool


def find_state(manager: object, names: Sequence[str], readable: Readable) -> State | None:
    """Find what a manager shows.

    Args:
        manager: The manager.
        names: Attributes and getters without arguments, the preferred first.
        readable: Takes what an attribute or getter gives and returns whether it can be read.

    Returns:
        The state; None where there is none.
    """
    for name in names:
        state = state_of(manager, name) if offered(manager, name) is not None else None
        if state is not None and (state.is_async or _reads(state, readable)):
            return state
    return None


def offered(manager: object, name: str) -> Any:
    """Return an attribute that an object says it has.

    Args:
        manager: The object. One that makes up attributes when it is asked, a proxy for example, would have every name.
        name: The attribute.

    Returns:
        Its value; None where there is none, or where its property fails.
    """
    if name not in dir(manager):
        return None
    try:
        return getattr(manager, name)
    except Exception as error:  # noqa: BLE001  the manager's own property
        LOG.info("%s could not be read: %r", name, error)
        return None


def state_of(manager: object, name: str) -> State | None:
    """Return the state that lies under a name.

    Args:
        manager: The manager.
        name: An attribute, or a method that needs no argument.

    Returns:
        The state; None where there is no such thing.
    """
    value = getattr(manager, name, None)
    if callable(value):
        if not _needs_nothing(value):
            return None
        return State(f"{name}()", value, inspect.iscoroutinefunction(value))
    if value is not None and is_container(value):
        return State(f".{name}", lambda: getattr(manager, name), is_async=False)
    return None


def _needs_nothing(method: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    variable = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    return all(p.kind in variable or p.default is not inspect.Parameter.empty for p in parameters)


def _reads(state: State, readable: Readable) -> bool:
    try:
        return readable(snapshot(state.read()))
    except Exception as error:  # noqa: BLE001  the manager's own code; it may not be ready
        LOG.info("%s could not be read: %r", state.how, error)
        return False


def snapshot(value: Any) -> Any:
    """Copy a collection that another thread may be changing.

    Args:
        value: What a manager shows.

    Returns:
        Its copy, where it is a mapping or a list.

    Raises:
        InvalidValue: It changed faster than it could be copied.
    """
    if not isinstance(value, Mapping | list | set):
        return value
    for _ in range(_ATTEMPTS):
        try:
            return dict(value) if isinstance(value, Mapping) else value.copy()
        except RuntimeError:  # it changed size while it was copied
            continue
    raise InvalidValue(f"a {type(value).__name__} changes faster than it can be read")


class Poller:
    """Reads a state at an interval, and at once when it is nudged.

    Args:
        state: What to read.
        seen: Takes what was read and the number of the reading.
        turns: Numbers the readings.
        interval_s: Seconds between two readings.
        integration: Its handle.
    """

    def __init__(
        self,
        state: State,
        seen: Callable[[Any, int], object],
        turns: Turns,
        interval_s: float,
        integration: Integration,
    ) -> None:
        if interval_s <= 0:
            raise InvalidValue(f"poll_interval_s={interval_s!r}: must be more than zero")
        self._state = state
        self._seen = seen
        self._turns = turns
        self._interval_s = interval_s
        self._integration = integration
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._failed = ""

    def start(self) -> None:
        """Begin to read at the interval; detaching ends it."""
        self._task = self._loop.create_task(self._run(), name="hybridstore-bridge-poll")
        self._integration.on_detach(self._stop)

    def nudge(self) -> None:
        """Read at once; may be called from any thread."""
        self._in_loop(self._nudged.set)

    def _stop(self) -> None:
        if self._task is not None:
            self._in_loop(self._task.cancel)

    def _in_loop(self, step: Callable[[], object]) -> None:
        if threading.get_ident() == self._thread:
            step()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(step)

    async def read(self) -> None:
        """Read once. What fails is counted once, however often it fails in the same way."""
        async with self._reading:
            turn = self._turns.begin()
            try:
                value = self._state.read()
                if inspect.isawaitable(value):
                    value = await _result(value)
                self._seen(snapshot(value), turn)
            except Exception as error:  # noqa: BLE001  the manager's own code; the next reading may succeed
                if repr(error) != self._failed:
                    self._failed = repr(error)
                    self._integration.refuse(self._state.how, error)
            else:
                self._failed = ""

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            await self.read()


async def _result(waiting: Awaitable[Any]) -> Any:
    return await waiting
