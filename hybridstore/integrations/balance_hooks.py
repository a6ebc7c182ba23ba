"""What is hooked of a balance manager, and what becomes of its calls, its notifications and its state."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.integrations.balance_entries import Told, exact_balance
from hybridstore.integrations.balance_shapes import told_by, told_by_call
from hybridstore.integrations.balance_times import BalanceTimes
from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import BalanceSeen
from hybridstore.integrations.fields import is_container, plain
from hybridstore.integrations.state import Poller, State, Turns, find_state, offered, snapshot
from hybridstore.integrations.target import Target

NOUNS = ("balance", "balances", "balance_update")
_VERBS = (
    "update", "set", "on", "process", "handle", "apply", "record", "save", "store", "receive", "ingest", "push",
    "sync",
)  # fmt: skip
_SUBJECTS = (
    "balance", "balances", "balance_update", "balance_updates", "balance_change", "balance_changed", "balance_message",
    "balance_messages", "balance_event", "balance_snapshot", "account_update", "account_position", "account_balance",
    "account_balances", "wallet", "wallets", "wallet_update", "wallet_balance", "asset_balance",
    "balance_from_exchange",
)  # fmt: skip
UPDATES = frozenset(plain(f"{verb}_{subject}") for verb in _VERBS for subject in _SUBJECTS)
"""Methods that are told a balance, in plain names."""
_MOVES = frozenset(
    plain(f"{verb}{subject}")
    for verb in ("adjust", "change", "credit", "debit", "deposit", "withdraw", "reserve", "release", "lock", "unlock",
                 "hold", "freeze", "unfreeze", "increase", "decrease", "add", "subtract", "transfer", "refresh", "load")
    for subject in ("", "_balance", "_balances", "_funds", "_asset", "_hold", "_amount")
)  # fmt: skip
"""Methods that change a balance by some amount: what the manager shows after them is what counts."""
STATES = (
    "get_all_balances", "get_balances", "balances", "all_balances", "_balances", "wallet", "wallets", "balance_cache",
    "_balance_cache", "balance",
)  # fmt: skip
_FEW = 24
"""Up to so many balances are all compared after every call, at 2 us each."""
ASSETS = ("assets", "currencies", "coins", "tracked_assets")


def wanted_methods(*, with_state: bool) -> Callable[[str], bool]:
    """Return which methods of a balance manager are wrapped.

    Args:
        with_state: Whether it shows its balances, so that a call that moves an amount can be followed.

    Returns:
        Takes a plain name.
    """
    return lambda name: name in UPDATES or (with_state and name in _MOVES)


def find_balances(manager: Any, assets: Sequence[str] | None) -> State | None:
    """Find where a manager shows its balances.

    Args:
        manager: The manager.
        assets: Which to ask ``get_balance(asset)`` for; None takes its own list.

    Returns:
        The state; None where there is none.
    """

    def readable(value: object) -> bool:
        return isinstance(value, Mapping | list) and (not value or any(told_by(value, trusted=True)))

    found = None if assets is not None else find_state(manager, STATES, readable)
    getter = offered(manager, "get_balance")
    if found is not None or not callable(getter):
        return found
    named = assets if assets is not None else _assets_of(manager)
    if not named:
        return None

    def read() -> Any:
        answers = {asset: getter(asset) for asset in named}
        return _gathered(answers) if any(map(inspect.isawaitable, answers.values())) else answers

    return State("get_balance(asset)", read, inspect.iscoroutinefunction(getter))


def _assets_of(manager: object) -> Sequence[str] | None:
    for name in ASSETS:
        value = offered(manager, name)
        if is_container(value) and all(isinstance(asset, str) for asset in value):
            return list(value)
    return None


async def _gathered(answers: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(answers, await asyncio.gather(*answers.values()), strict=True))


class BalanceWatch:
    """Turns what a balance manager tells and shows into events. What it shows wins over what it was told.

    Args:
        target: Where events go.
        source: Where figures come from, if nothing else says.
        extract: Takes the arguments of a call and returns balances in any shape; None reads the arguments.
    """

    def __init__(self, target: Target, source: str, extract: Callable[..., Any] | None) -> None:
        self._target = target
        self._source = source
        self._extract = extract
        self._lock = threading.RLock()  # on_error may call the manager again
        self._last: dict[str, tuple[Any, ...]] = {}
        self._known: Mapping[str, Any] = {}
        self._times = BalanceTimes({})
        self.turns = Turns()
        self.state: State | None = None
        self.poller: Poller | None = None
        self.extracts: Mapping[str, Callable[..., Any]] = {}

    def on_call(self, call: Call) -> bool:
        """Take a call or notification.

        Args:
            call: It.

        Returns:
            Whether it told something.
        """
        state = self.state
        if state is not None and state.is_async:
            if self.poller is not None:
                self.poller.nudge()
            return True
        try:
            told = self._told(call)
        except InvalidValue:
            if state is None:
                raise
            told = []
        if state is not None:
            turn = self.turns.begin()
            return self._compare(_narrowed(snapshot(state.read()), told), told, turn)
        for each in told:
            self._put(each)
        return bool(told)

    def on_told(self, _kind: str, call: Call) -> bool:
        """Take what a StorageBackedBalanceManager says.

        Args:
            call: Its arguments.

        Returns:
            True: it was taken.
        """
        told = Told(
            call.arguments["asset"], call.arguments.get("balance"), None, call.arguments.get("hold"),
            call.arguments.get("debt"), call.arguments.get("source"), call.arguments.get("reason"),
            call.arguments.get("timestamp"),
        )  # fmt: skip
        self._put(told)
        return True

    def on_state(self, value: Any, turn: int) -> bool:
        """Take what the manager shows.

        Args:
            value: Balances in any shape.
            turn: The number of the reading.

        Returns:
            Whether something changed.
        """
        return self._compare(value, [], turn)

    def know(self, balances: Mapping[str, Any]) -> None:
        """Take what the store holds already, so that a first look records only what differs.

        Args:
            balances: Records with balance, hold_trade and updated_at, by asset.
        """
        self._known = dict(balances)
        self._times = BalanceTimes({asset: known.updated_at for asset, known in balances.items()})

    def _told(self, call: Call) -> list[Told]:
        extract = self.extracts.get(call.name) or self._extract
        if extract is None:
            return told_by_call(call)
        return list(told_by(extract(*call.args, **call.kwargs), trusted=True))

    def _compare(self, value: Any, told: list[Told], turn: int) -> bool:
        """Record what differs from what was seen last, and what a call confirms."""
        shown = {each.asset: each for each in told_by(value, trusted=True)}
        done = False
        with self._lock:
            if not self.turns.is_latest(turn):
                return True
            for each in told:
                asset = each.asset if each.asset in shown else _same(each.asset, shown)
                if asset is None:
                    self._put(each)
                    done = True
                    continue
                now = _merged(shown.pop(asset), each)
                if self._last.get(asset) != now.figures or each.total is None or each.total == now.total:
                    self._remember(now)
                    done = True
            for each in shown.values():
                if self._last.get(each.asset) != each.figures:
                    self._remember(each)
                    done = True
        return done

    def _remember(self, told: Told) -> None:
        is_new = told.asset not in self._last
        self._last[told.asset] = told.figures
        self._put(told, is_new=is_new)

    def _put(self, told: Told, *, is_new: bool = False) -> None:
        target = self._target
        with self._lock:  # what is put in order goes into the queue in that order
            now = target.now()
            try:
                event = exact_balance(told, target.exact, self._source, now)
            except InvalidValue as error:
                target.integration.refuse(told, error)
                return
            known = self._known.get(event.asset) if is_new else None
            if known is None or _differs(known, event):
                was_told = None if event.changed_at is now else event.changed_at
                event = event._replace(changed_at=self._times.place(event.asset, was_told, now))
                target.put(event, functools.partial(_record, target, event), is_figure=True)


def _narrowed(value: Any, told: list[Told]) -> Any:
    """Of many balances take those a call named; the others are seen at the next look."""
    if (
        isinstance(value, Mapping)
        and len(value) > _FEW
        and told
        and all(each.asset in value for each in told)
    ):
        return {each.asset: value[each.asset] for each in told}
    return value


def _same(asset: str, shown: Mapping[str, Told]) -> str | None:
    folded = asset.casefold()
    return next((name for name in shown if name.casefold() == folded), None)


def _merged(shown: Told, told: Told) -> Told:
    """Take the figures the manager shows, and what the call says about them."""
    used = told.used if shown.used is None and shown.free is None else shown.used
    debt = told.debt if shown.debt is None else shown.debt
    return shown._replace(
        used=used,
        debt=debt,
        source=told.source or shown.source,
        reason=told.reason or shown.reason,
        changed_at=shown.changed_at if told.changed_at is None else told.changed_at,
        exchange_at=shown.exchange_at if told.exchange_at is None else told.exchange_at,
    )


def _differs(known: Any, event: BalanceSeen) -> bool:
    """Return whether balance or hold is not what the store has; of what is not told nothing differs."""
    told = prepare_balance(event.asset, event.balance, event.hold, available=event.available, debt=event.debt)
    pairs = ((told.balance, known.balance), (told.hold, known.hold_trade), (told.debt, known.debt))
    return any(figure is not None and figure != stored for figure, stored in pairs)


async def _record(target: Target, event: BalanceSeen) -> None:
    await target.storage.record_balance_update(
        event.asset, event.balance, event.hold, event.source,
        account=target.account, reason=event.reason, changed_at=event.changed_at, exchange_at=event.exchange_at,
        debt=event.debt, available=event.available, reported=event.reported,
    )  # fmt: skip
