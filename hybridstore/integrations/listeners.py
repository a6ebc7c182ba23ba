"""The ways a manager tells others of its events: a method that registers, a list of listeners, a place for one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Sequence
from typing import Any

from hybridstore.integrations.calls import Call, OnCall, named, notify
from hybridstore.integrations.fields import plain
from hybridstore.integrations.integration import Integration

_REGISTER = (
    "addlistener", "registerlistener", "addobserver", "registerobserver", "addcallback", "registercallback",
    "addsubscriber", "subscribe", "addhandler", "registerhandler", "attach", "connect", "listen", "on",
    "addeventlistener",
)  # fmt: skip
_REMOVE = {
    "add": ("remove", "delete"),
    "register": ("unregister", "deregister", "remove"),
    "subscribe": ("unsubscribe",),
    "attach": ("detach",),
    "connect": ("disconnect",),
    "on": ("off", "removelistener", "remove"),
    "listen": ("unlisten", "removelistener"),
}
_LISTENER_PARAMETERS = {
    "callback", "cb", "fn", "func", "function", "handler", "listener", "observer", "subscriber", "hook", "f",
}  # fmt: skip
_EVENT_PARAMETERS = {"event", "eventname", "eventtype", "topic", "channel", "name", "signal", "kind"}
_LISTS = ("listeners", "callbacks", "observers", "subscribers", "handlers")


def listen(
    manager: Any,
    integration: Integration,
    on_call: OnCall,
    nouns: Sequence[str],
    names: Sequence[str] | None = None,
) -> list[str]:
    """Make a manager tell of its events, in each way it offers for them; detaching takes that back.

    Args:
        manager: The manager.
        integration: Its handle.
        on_call: Told of every notification.
        nouns: What the events are about, for example balance and balance_update: names of events, and parts of the
            names of methods and lists.
        names: Registering methods or lists to use; None looks for the usual ones.

    Returns:
        What was hooked, in words; empty where there was nothing.
    """
    listener = _listener(integration, on_call)
    for name in _registering(manager, nouns) if names is None else names:
        member = getattr(manager, name)
        if callable(member):
            hooked = _register(manager, name, member, listener, integration, nouns)
        else:
            hooked = _append(name, member, listener, integration)
        if hooked:
            return [hooked]  # a second way would tell everything twice
    return [] if names is not None else _take_places(manager, nouns, listener, integration)


class _Nothing:
    """What a listener returns: nothing, also to a manager that awaits its listeners."""

    def __bool__(self) -> bool:
        return False

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


def _listener(integration: Integration, on_call: OnCall) -> Callable[..., Any]:
    def hybridstore_listener(*args: Any, **kwargs: Any) -> _Nothing:
        if integration.attached:
            arguments = named(args, kwargs)
            notify(integration, on_call, Call("", arguments, tuple(arguments.values()), None, args, kwargs))
        return _Nothing()

    return hybridstore_listener


def _asynchronous(listener: Callable[..., Any]) -> Callable[..., Any]:
    async def hybridstore_listener(*args: Any, **kwargs: Any) -> None:
        listener(*args, **kwargs)

    return hybridstore_listener


def _registering(manager: object, nouns: Sequence[str]) -> list[str]:
    """Return the registering methods, those about these events first, then lists of listeners."""
    about = [plain(noun) for noun in nouns]
    methods = {plain(name): name for name in dir(manager) if not name.startswith("_")}
    special = [
        name
        for short, name in methods.items()
        if any(noun in short for noun in about)
        and (
            short.startswith(("on", "subscribe"))
            or short.endswith(("listener", "callback", "observer", "handler"))
        )
    ]
    general = [methods[short] for short in _REGISTER if short in methods]
    found = [name for name in [*special, *general] if takes_a_listener(getattr(manager, name, None))]
    attributes = {plain(name): name for name in getattr(manager, "__dict__", ())}
    wanted = [f"{noun}{each}" for noun in about for each in _LISTS] + list(_LISTS)
    lists = [attributes[short] for short in wanted if short in attributes]
    return found + [name for name in lists if isinstance(getattr(manager, name), list | set)]


def _required(method: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        parameter
        for parameter in parameters
        if parameter.kind not in {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
        and (parameter.default is inspect.Parameter.empty or _is_listener(parameter))
    ]


def _is_listener(parameter: inspect.Parameter) -> bool:
    return plain(parameter.name) in _LISTENER_PARAMETERS or "Callable" in str(parameter.annotation)


def takes_a_listener(method: Any) -> bool:
    """Tell ``on_balance(callback)``, which registers, from ``on_balance(message)``, which is told."""
    needed = _required(method) if callable(method) and not inspect.iscoroutinefunction(method) else None
    if not needed or not any(_is_listener(parameter) for parameter in needed):
        return False
    others = [parameter for parameter in needed if not _is_listener(parameter)]
    return all(plain(parameter.name) in _EVENT_PARAMETERS for parameter in others) and len(needed) <= 2  # noqa: PLR2004  an event and a listener


def _register(
    manager: object,
    name: str,
    method: Callable[..., Any],
    listener: Callable[..., Any],
    integration: Integration,
    nouns: Sequence[str],
) -> str:
    needed = _required(method) or []
    place = next((n for n, parameter in enumerate(needed) if _is_listener(parameter)), 0)
    annotation = str(needed[place].annotation) if needed else ""
    if "Awaitable" in annotation or "Coroutine" in annotation:
        listener = _asynchronous(listener)
    if len(needed) > 1:
        attempts: list[tuple[Any, ...]] = [
            (listener, noun) if place == 0 else (noun, listener) for noun in nouns
        ]
    else:
        attempts = [(listener,)]
    taken = 0
    for arguments in attempts:
        try:
            returned = method(*arguments)
        except (AssertionError, LookupError, TypeError, ValueError):  # it knows no event of that name
            continue
        taken += 1
        integration.on_detach(_undoing(manager, name, arguments, listener, returned))
    return f"{name}() tells of events" if taken else ""


def _undoing(
    manager: object, name: str, arguments: tuple[Any, ...], listener: object, returned: Any
) -> Callable[[], object]:
    """Return how to take a registration back; where there is no way, the listener stays and is silent."""
    if callable(returned) and returned is not listener:
        return returned  # type: ignore[no-any-return]  # registering often returns what takes it back
    for short in ("unsubscribe", "dispose", "remove", "cancel", "close"):
        if callable(getattr(returned, short, None)) and returned is not manager:
            return getattr(returned, short)  # type: ignore[no-any-return]
    removing = _removing(manager, name)
    if removing is not None:
        return lambda: removing(*arguments)
    return lambda: _drop(manager, listener)


def _removing(manager: object, name: str) -> Callable[..., object] | None:
    short = plain(name)
    methods = {plain(each): each for each in dir(manager) if not each.startswith("_")}
    for verb, opposites in _REMOVE.items():
        if short.startswith(verb):
            for opposite in opposites:
                for candidate in (opposite + short.removeprefix(verb), opposite):
                    method = getattr(manager, methods.get(candidate, ""), None)
                    if callable(method):
                        return method  # type: ignore[no-any-return]
    return None


def _drop(manager: object, listener: object) -> None:
    for value in list(getattr(manager, "__dict__", {}).values()):
        lists = value.values() if isinstance(value, dict) else [value]
        for each in lists:
            if isinstance(each, list | set) and listener in each:
                each.remove(listener)


def _append(
    name: str, listeners: list[Any] | set[Any], listener: Callable[..., Any], integration: Integration
) -> str:
    if isinstance(listeners, list):
        listeners.append(listener)
    else:
        listeners.add(listener)

    def remove() -> None:
        if listener in listeners:
            listeners.remove(listener)

    integration.on_detach(remove)
    return f"a listener in .{name}"


def _take_places(
    manager: Any, nouns: Sequence[str], listener: Callable[..., Any], integration: Integration
) -> list[str]:
    """Fill the places for one callback that the manager calls if it is set; who was there is still called."""
    own = getattr(manager, "__dict__", {})
    about = [plain(noun) for noun in nouns]
    wanted = {f"on{noun}" for noun in about} | {f"{noun}callback" for noun in about}
    wanted |= {f"on{noun}{tail}" for noun in about for tail in ("change", "changed", "update", "updated")}
    found = []
    for name, present in list(own.items()):
        if plain(name) not in wanted or not (present is None or callable(present)):
            continue
        setattr(manager, name, _chained(present, listener))
        integration.on_detach(functools.partial(setattr, manager, name, present))
        found.append(f"the callback .{name}")
    return found


def _chained(present: Callable[..., Any] | None, listener: Callable[..., Any]) -> Callable[..., Any]:
    if present is None:
        return listener

    def both(*args: Any, **kwargs: Any) -> Any:
        result = present(*args, **kwargs)
        listener(*args, **kwargs)
        return result

    return both
