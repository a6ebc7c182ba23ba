"""Finding out what of a manager can be hooked, and hooking it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations import portfolio_names
from hybridstore.integrations.bases import StorageBackedBalanceManager, StorageBackedPortfolioManager
from hybridstore.integrations.calls import OnCall, find_methods, wrap_method
from hybridstore.integrations.fields import plain
from hybridstore.integrations.integration import LOG, Integration
from hybridstore.integrations.listeners import takes_a_listener
from hybridstore.integrations.state import Poller, State, state_of

AUTO = "auto"
"""Says that the usual names are looked for."""
Methods = Sequence[str] | Mapping[str, Callable[..., Any]]
"""Names of methods; as a mapping, each with a callable that takes the same arguments and returns what they tell."""


def chosen_state(
    manager: object, wanted: str | Callable[[], Any] | None, find: Callable[[], State | None]
) -> State | None:
    """Return where a manager's figures are read.

    Args:
        manager: The manager.
        wanted: The name of an attribute or getter, a callable, "auto" or None.
        find: Looks for the usual ones.

    Returns:
        The state; None where there is none.

    Raises:
        InvalidValue: There is nothing of that name.
    """
    if wanted is None:
        return None
    if callable(wanted):
        return State(f"{getattr(wanted, '__name__', 'state')}()", wanted, inspect.iscoroutinefunction(wanted))
    found = find() if wanted == AUTO else state_of(manager, wanted)
    if found is None and wanted != AUTO:
        raise InvalidValue(f"state={wanted!r}: {type(manager).__name__} has no such attribute or getter")
    return found


def connect(
    manager: StorageBackedBalanceManager | StorageBackedPortfolioManager,
    integration: Integration,
    on_told: Callable[[str, Any], bool],
) -> str:
    """Connect a manager that records by itself.

    Args:
        manager: The manager.
        integration: Its handle.
        on_told: Takes the kind of an event and what is known of it.

    Returns:
        What was hooked, in words.
    """

    def sink(kind: str, call: Any) -> bool:
        try:
            return on_told(kind, call)
        except Exception as error:  # noqa: BLE001  recording must never break the manager
            integration.refuse(call, error)
            return True

    manager.use_storage(sink)
    integration.on_detach(lambda: manager.use_storage(None))
    return "it records by itself"


def extracts_of(methods: Methods | None) -> dict[str, Callable[..., Any]]:
    """Return the callables that read what methods are told.

    Args:
        methods: Names of methods, or a mapping with such callables.

    Returns:
        The callables by name.
    """
    return dict(methods) if isinstance(methods, Mapping) else {}


def telling_methods(manager: object, wanted: Callable[[str], bool]) -> list[str]:
    """Return the methods of a manager that are told something, and do not register listeners.

    Args:
        manager: The manager.
        wanted: Takes a plain name.

    Returns:
        Their names.
    """
    found = find_methods(manager, wanted)
    return [name for name in found if not takes_a_listener(getattr(manager, name))]


def methods_by_kind(
    manager: object, given: Mapping[str, Methods | None], *, look: bool
) -> dict[str, Methods]:
    """Return which methods of a portfolio manager are followed.

    Args:
        manager: The manager.
        given: What the user named, by kind.
        look: Whether to look for the usual ones of the kinds that were not named.

    Returns:
        Methods by kind.
    """
    found: dict[str, Methods] = {}
    for kind, methods in given.items():
        if methods is not None:
            found[kind] = methods
        elif look:
            found[kind] = telling_methods(manager, portfolio_names.METHODS[kind].__contains__)
    return found


def follows_fills(
    wanted: str | None, manager: object, methods: Mapping[str, Methods], *, listens: bool
) -> bool:
    """Decide whether positions follow from fills.

    Args:
        wanted: "fills", "positions", or None to decide.
        manager: The manager.
        methods: Its methods by kind.
        listens: Whether it notifies.

    Returns:
        Whether they do; they do where fills are told.
    """
    if wanted not in {None, "fills", "positions"}:
        raise InvalidValue(f"positions_from={wanted!r}", hint="use 'fills' or 'positions'")
    if wanted is not None:
        return wanted == "fills"
    if methods.get("fill"):
        return True
    return listens and any(word in plain(name) for name in dir(manager) for word in ("fill", "trade"))


def follow(
    manager: object, names: Methods, integration: Integration, taker: Callable[[str], OnCall]
) -> list[str]:
    """Wrap methods.

    Args:
        manager: The manager.
        names: The methods.
        integration: Its handle.
        taker: Returns what takes the calls of a method.

    Returns:
        What was hooked, in words.

    Raises:
        InvalidValue: There is no such method.
    """
    missing = [name for name in names if not callable(getattr(manager, name, None))]
    if missing:
        raise InvalidValue(f"{type(manager).__name__} has no method {missing[0]!r}")
    done = [name for name in names if wrap_method(manager, name, integration, taker(name))]
    refused = [name for name in names if name not in done]
    if refused:
        LOG.warning("%s: %s cannot be replaced on the instance", integration.name, ", ".join(refused))
    return [f"{', '.join(f'{name}()' for name in done)} followed"] if done else []


async def look(state: State, poller: Poller, interval_s: float) -> str:
    """Look at what a manager shows, now and from now on.

    Args:
        state: Where it shows it.
        poller: Reads it.
        interval_s: Seconds between two looks.

    Returns:
        What was hooked, in words.
    """
    await poller.read()
    poller.start()
    return f"{state.how} read now, after calls and every {interval_s:g} s"


class UndoneOnError(contextlib.AbstractContextManager[None]):
    """Takes back what was hooked in a block that fails.

    Args:
        integration: The handle.
    """

    def __init__(self, integration: Integration) -> None:
        self._integration = integration

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach after an error."""
        if error is not None:
            self._integration.detach()


def nothing_found(manager: object, role: str, example: str) -> InvalidValue:
    """Return the error of a manager that cannot be followed.

    Args:
        manager: The manager.
        role: balance or portfolio.
        example: Arguments that would help.

    Returns:
        The error.
    """
    has = [name for name in dir(manager) if not name.startswith("_")]
    return InvalidValue(
        f"{type(manager).__name__} offers nothing that can be followed: no listeners (add_listener(callback), "
        f"on(event, callback), a list .listeners), no method such as "
        f"{'update_balance(asset, balance)' if role == 'balance' else 'on_fill(trade), open_position(...)'}, no state "
        f"such as {'.balances or get_all_balances()' if role == 'balance' else '.positions or get_positions()'}; "
        f"it has {', '.join(has[:30]) or 'no public names'}",
        operation=f"integrate_with_{role}_manager",
        hint=f"name what it has, for example {example}, or extract=callable; or subclass "
        f"StorageBacked{role.title()}Manager",
    )
