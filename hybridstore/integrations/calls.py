"""Methods of a manager, wrapped on the instance: what they return and raise stays, what they were told is seen."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from hybridstore.integrations.fields import plain
from hybridstore.integrations.integration import LOG, Integration


class Call(NamedTuple):
    """A call of a manager's method that succeeded, or a notification of one of its listeners.

    Attributes:
        name: The method's name; empty for a notification.
        arguments: What it was told, by the names of its parameters; the rest of ``*args`` under ``*``.
        values: The same, in order.
        result: What it returned.
        args: Positional arguments as they were given.
        kwargs: Keyword arguments as they were given.
    """

    name: str
    arguments: dict[str, Any]
    values: tuple[Any, ...]
    result: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


OnCall = Callable[[Call], bool]
"""Takes a call; returns whether it told something that is now on its way to the store."""


class _Frame:
    """A wrapped call that is running; a method that calls another wrapped one leaves the telling to that one."""

    __slots__ = ("outer", "owner", "told")

    def __init__(self, owner: Integration, outer: _Frame | None) -> None:
        self.owner = owner
        self.outer = outer
        self.told = False


_RUNNING: ContextVar[_Frame | None] = ContextVar("hybridstore_running_call", default=None)


def find_methods(manager: object, wanted: Callable[[str], bool]) -> list[str]:
    """Return the methods of a manager that can be wrapped and have a wanted name.

    Args:
        manager: The manager.
        wanted: Takes a name without underscores and in lower case.

    Returns:
        Names; private ones (one underscore) too, because a manager often calls only those itself.
    """
    found = []
    for name in dir(manager):
        if name.startswith("__") or not wanted(plain(name)):
            continue
        member = inspect.getattr_static(manager, name, None)
        if isinstance(member, property) or inspect.isdatadescriptor(member):
            continue
        method = getattr(manager, name, None)
        if callable(method) and not isinstance(method, type) and _takes_something(method):
            found.append(name)
    return found


def _takes_something(method: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return True


def wrap_method(manager: Any, name: str, integration: Integration, on_call: OnCall) -> bool:
    """Replace a method on the instance by one that also tells of its calls; detaching puts it back.

    Args:
        manager: The manager.
        name: The method.
        integration: Its handle.
        on_call: Told of every call that succeeded.

    Returns:
        Whether it could be replaced: an object with slots only, or a frozen one, cannot take one.
    """
    original = getattr(manager, name)
    own = vars(manager).get(name) if hasattr(manager, "__dict__") else None
    wrapper = _wrapped(original, name, integration, on_call)
    try:
        setattr(manager, name, wrapper)
    except (AttributeError, TypeError):
        return False

    def restore() -> None:
        if (
            vars(manager).get(name) is not wrapper
        ):  # somebody wrapped it again: ours stays inside, and is silent
            LOG.warning(
                "%s: %s() was replaced by others since; its wrapper now does nothing", integration.name, name
            )
        elif own is None:
            delattr(manager, name)
        else:
            setattr(manager, name, own)

    integration.on_detach(restore)
    return True


class _Wrapper:
    """One wrapped method: runs the original, then tells of the call."""

    def __init__(
        self, original: Callable[..., Any], name: str, integration: Integration, on_call: OnCall
    ) -> None:
        self._original = original
        self._name = name
        self._integration = integration
        self._on_call = on_call
        self._bind = _binder(original)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self._bind(args, kwargs)
        frame = _Frame(self._integration, _RUNNING.get())
        _RUNNING.set(frame)
        try:
            result = self._original(*args, **kwargs)
        finally:
            _RUNNING.set(frame.outer)

        def tell(outcome: Any) -> None:
            call = Call(self._name, arguments, tuple(arguments.values()), outcome, args, kwargs)
            self._tell(frame, call)

        if isinstance(result, asyncio.Future):
            result.add_done_callback(functools.partial(_when_succeeded, tell))
        elif inspect.isawaitable(result):
            return self._awaited(frame, result, tell)
        else:
            tell(result)
        return result

    async def _awaited(self, frame: _Frame, waiting: Awaitable[Any], tell: Callable[[Any], None]) -> Any:
        frame.outer = _RUNNING.get()
        _RUNNING.set(frame)
        try:
            result = await waiting
        finally:
            _RUNNING.set(frame.outer)
        tell(result)
        return result

    def _tell(self, frame: _Frame, call: Call) -> None:
        if frame.told or not self._integration.attached:
            return
        told = notify(self._integration, self._on_call, call)
        outer: _Frame | None = frame
        while told and outer is not None:
            outer.told = outer.told or outer.owner is self._integration
            outer = outer.outer


def _when_succeeded(tell: Callable[[Any], None], done: asyncio.Future[Any]) -> None:
    if not done.cancelled() and done.exception() is None:
        tell(done.result())


def _wrapped(
    original: Callable[..., Any], name: str, integration: Integration, on_call: OnCall
) -> Callable[..., Any]:
    inner = _Wrapper(original, name, integration, on_call)
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def awaitable(*args: Any, **kwargs: Any) -> Any:
            return await inner.call(*args, **kwargs)

        return awaitable

    @functools.wraps(original)
    def plain_call(*args: Any, **kwargs: Any) -> Any:
        return inner.call(*args, **kwargs)

    return plain_call


def notify(integration: Integration, on_call: OnCall, call: Call) -> bool:
    """Tell of a call; whatever goes wrong is counted and never reaches the manager.

    Args:
        integration: The handle.
        on_call: Is told.
        call: The call.

    Returns:
        Whether it told something to record.
    """
    try:
        told = on_call(call)
    except Exception as error:  # noqa: BLE001  recording must never break the manager
        integration.refuse(call, error)
        return True
    if not told:
        integration.count_ignored()
    return told


def _binder(original: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return what puts names to arguments, and keeps a copy of mappings that a method may take apart."""
    try:
        signature = inspect.signature(original)
    except (TypeError, ValueError):
        return named

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # the method itself will say so
            return {}
        arguments: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                arguments |= named(value, {})
            else:
                arguments[name] = _kept(value)
        return arguments

    return bind


def named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Number arguments that have no names.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.

    Returns:
        ``*0``, ``*1`` and so on, then the keywords.
    """
    return {f"*{place}": _kept(value) for place, value in enumerate(args)} | kwargs


def _kept(value: Any) -> Any:
    return value.copy() if type(value) in {dict, list} else value
