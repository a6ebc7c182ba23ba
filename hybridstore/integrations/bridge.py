"""StorageIntegrationBridge: managers that exist already record into the store, without a change to them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hybridstore.clock import Clock
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.integrations.balance_hooks import NOUNS, BalanceWatch, find_balances, wanted_methods
from hybridstore.integrations.bases import StorageBackedBalanceManager, StorageBackedPortfolioManager
from hybridstore.integrations.calls import OnCall
from hybridstore.integrations.exact import Exact, Floats
from hybridstore.integrations.hooking import (
    AUTO,
    Methods,
    UndoneOnError,
    chosen_state,
    connect,
    extracts_of,
    follow,
    follows_fills,
    look,
    methods_by_kind,
    nothing_found,
    telling_methods,
)
from hybridstore.integrations.integration import LOG, Integration, OnError
from hybridstore.integrations.listeners import listen
from hybridstore.integrations.market_names import Market, MarketNames
from hybridstore.integrations.portfolio_hooks import PortfolioWatch
from hybridstore.integrations.portfolio_names import NOUNS as PORTFOLIO_NOUNS
from hybridstore.integrations.portfolio_names import STATES
from hybridstore.integrations.position_shapes import has_positions
from hybridstore.integrations.recorder import Recorder
from hybridstore.integrations.state import Poller, find_state
from hybridstore.integrations.target import Moments, Target

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem


class StorageIntegrationBridge:
    """Makes balance and portfolio managers record into a store. See docs/integrating.md.

    A manager is never slowed by the store and never breaks by it: events are queued, a task of the running loop records
    them in order, errors that may pass are retried, all others are counted, logged and handed to ``on_error``.

    Args:
        storage: The open store.
        floats: "convert" takes floats as the shortest decimal that reads back as the same float, and rounds what has
            more than 18 places; "refuse" refuses them.
        queue_size: How many events may wait for the store; beyond it the oldest figures are lost first.
        time_zone: The zone of datetimes that name none; None records such an event at the time it was seen.
        on_error: Called with the integration, the event and the error for every event that is not recorded.
        clock: Says when something was seen; None means the store's.

    Attributes:
        integrations: The handles of the managers.
    """

    def __init__(
        self,
        storage: TradingBotStorageSystem,
        *,
        floats: Floats = "convert",
        queue_size: int = 10_000,
        time_zone: tzinfo | None = None,
        on_error: OnError | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not hasattr(storage, "query_optimizer"):
            raise InvalidValue(
                f"{type(storage).__name__} is no TradingBotStorageSystem",
                hint="give the open TradingBotStorageSystem; a HybridStore has no event loop to record on",
            )
        self._storage = storage
        self._exact = Exact(floats, time_zone)
        self._recorder = Recorder(queue_size)
        self._on_error = on_error
        self._moments = Moments(storage.store.database.clock if clock is None else clock)
        self._names: list[MarketNames] = []
        self._managers: list[tuple[Integration, object]] = []
        self.integrations: list[Integration] = []

    # -- balances -----------------------------------------------------------------------------------------------

    async def integrate_with_balance_manager(
        self,
        manager: Any,
        *,
        account: str = DEFAULT_ACCOUNT,
        source: str = "balance_manager",
        listen_to: Sequence[str] | None = None,
        update_methods: Methods | None = None,
        state: str | Callable[[], Any] | None = AUTO,
        assets: Sequence[str] | None = None,
        extract: Callable[..., Any] | None = None,
        poll_interval_s: float = 1.0,
    ) -> Integration:
        """Record what a balance manager tells and shows.

        Args:
            manager: Any object: one that offers listeners, has methods that are told balances, shows balances, or is a
                StorageBackedBalanceManager.
            account: Whose balances.
            source: Where figures come from, if nothing else says.
            listen_to: Its registering methods or lists of listeners; None looks for the usual ones, () uses none.
            update_methods: Its methods to follow; None looks for the usual ones, () follows none.
            state: Where it shows its balances: the name of an attribute or getter, or a callable; "auto" looks for
                the usual ones, None reads none.
            assets: What to ask its ``get_balance(asset)`` for; None takes its own list of assets.
            extract: Takes the arguments of a call or notification and returns balances in any shape, or None.
            poll_interval_s: Seconds between two looks at what it shows.

        Returns:
            The handle; its ``how`` says what was hooked.

        Raises:
            InvalidValue: Nothing was found that can be hooked; says what was looked for.
        """
        integration, target = self._begin("balance manager", manager, account)
        watch = BalanceWatch(target, source, extract)
        latest = await self._storage.get_all_balances(account)
        watch.know({balance.asset: balance for balance in latest})
        if isinstance(manager, StorageBackedBalanceManager):
            return self._finish(manager, integration, [connect(manager, integration, watch.on_told)])
        watch.state = chosen_state(manager, state, lambda: find_balances(manager, assets))
        hooked: list[str] = []
        with UndoneOnError(integration):
            if listen_to is not None or update_methods is None:
                hooked = listen(manager, integration, watch.on_call, NOUNS, listen_to)
            watch.extracts = extracts_of(update_methods)
            if update_methods is not None:
                hooked += follow(manager, update_methods, integration, lambda _: watch.on_call)
            elif not hooked:
                wanted = wanted_methods(with_state=watch.state is not None)
                hooked = follow(
                    manager, telling_methods(manager, wanted), integration, lambda _: watch.on_call
                )
            if watch.state is not None:
                poller = Poller(watch.state, watch.on_state, watch.turns, poll_interval_s, integration)
                watch.poller = poller
                hooked.append(await look(watch.state, poller, poll_interval_s))
            if not hooked:
                raise nothing_found(manager, "balance", "update_methods=['my_method'], state='my_balances'")
        return self._finish(manager, integration, hooked)

    # -- portfolios ---------------------------------------------------------------------------------------------

    async def integrate_with_portfolio_manager(
        self,
        manager: Any,
        *,
        account: str = DEFAULT_ACCOUNT,
        strategy: str | None = None,
        bot: str | None = None,
        market: Market | None = None,
        symbols: Mapping[str, str] | Callable[[str], str] | None = None,
        positions_from: str | None = None,
        listen_to: Sequence[str] | None = None,
        fill_methods: Methods | None = None,
        open_methods: Methods | None = None,
        close_methods: Methods | None = None,
        update_methods: Methods | None = None,
        price_methods: Methods | None = None,
        state: str | Callable[[], Any] | None = AUTO,
        extract: Callable[..., Any] | None = None,
        poll_interval_s: float = 1.0,
    ) -> Integration:
        """Record what a portfolio manager tells and shows: fills, positions, prices.

        Args:
            manager: Any object: one that offers listeners, has methods that are told fills, positions or prices, shows
                positions, or is a StorageBackedPortfolioManager.
            account: Whose.
            strategy: Put on every fill and position.
            bot: Put on every fill and position.
            market: What a symbol such as BTCUSDT means: "spot" or "swap"; None takes it for spot, and refuses short
                and leveraged positions of such a name.
            symbols: Unified symbols by the manager's own, or a callable that returns them.
            positions_from: "fills" or "positions"; None means fills where a method is told them.
            listen_to: Its registering methods or lists of listeners; None looks for the usual ones, () uses none.
            fill_methods: Its methods that are told fills; None looks for the usual ones, () follows none.
            open_methods: Those that open positions.
            close_methods: Those that close them.
            update_methods: Those that are told positions.
            price_methods: Those that are told prices.
            state: Where it shows its positions: the name of an attribute or getter, or a callable; "auto" looks for
                the usual ones, None reads none.
            extract: Takes the arguments of a call or notification and returns a fill, position or price, a list of
                them, or None.
            poll_interval_s: Seconds between two looks at what it shows.

        Returns:
            The handle; its ``how`` says what was hooked.

        Raises:
            InvalidValue: Nothing was found that can be hooked; says what was looked for.
        """
        integration, target = self._begin("portfolio manager", manager, account)
        names = MarketNames(symbols, market)
        self._names.append(names)
        tags = {name: tag for name, tag in (("strategy", strategy), ("bot", bot)) if tag is not None}
        watch = PortfolioWatch(target, names, tags, extract)
        if isinstance(manager, StorageBackedPortfolioManager):
            return self._finish(manager, integration, [connect(manager, integration, watch.on_told)])
        watch.state = chosen_state(manager, state, lambda: find_state(manager, STATES, has_positions))
        given = {
            "fill": fill_methods, "open": open_methods, "close": close_methods, "update": update_methods,
            "price": price_methods,
        }  # fmt: skip
        hooked: list[str] = []
        with UndoneOnError(integration):
            none_given = all(methods is None for methods in given.values())
            if listen_to is not None or none_given:
                hooked = listen(manager, integration, watch.on_notice, PORTFOLIO_NOUNS, listen_to)
            methods = methods_by_kind(manager, given, look=not hooked)
            watch.extracts = {
                name: each for kind in methods.values() for name, each in extracts_of(kind).items()
            }
            watch.follows_fills = follows_fills(positions_from, manager, methods, listens=bool(hooked))
            for kind, found in methods.items():
                if not (kind in {"open", "close", "update"} and watch.follows_fills):
                    hooked += follow(manager, found, integration, functools.partial(_taker, watch, kind))
            if watch.state is not None:
                poller = Poller(watch.state, watch.on_state, watch.turns, poll_interval_s, integration)
                watch.poller = poller
                held = await self._storage.get_open_positions(account)
                hooked.append(await look(watch.state, poller, poll_interval_s))
                strangers = watch.left_over(held)
                if strangers:
                    LOG.warning("%s does not show what the store holds open: %s", integration.name, strangers)
                    hooked.append(f"it does not show {', '.join(strangers)}, which the store holds open")
            if not hooked:
                raise nothing_found(manager, "portfolio", "fill_methods=['my_method'], state='my_positions'")
        hooked.append(f"positions follow from {'fills' if watch.follows_fills else 'positions'}")
        return self._finish(manager, integration, hooked)

    # -- life ---------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Wait until everything seen before this call is durable or counted as an error."""
        await self._recorder.flush()

    async def close(self, timeout_s: float = 30.0) -> None:
        """Detach every manager and record what is queued; what the store has not taken by then is counted as lost.

        Args:
            timeout_s: How long to wait for the store, seconds.
        """
        for integration in self.integrations:
            if integration.attached:
                integration.detach()
        await self._recorder.stop(timeout_s)

    async def __aenter__(self) -> Self:
        """Return the bridge."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bridge."""
        await self.close()

    def status(self) -> dict[str, Any]:
        """Return what the bridge did and what it could not do.

        Returns:
            integrations (see :meth:`Integration.status`), recorded, errors, dropped, waiting, waiting_peak, retries,
            floats_converted, rounded, times_ignored, and symbols: unified ones by the managers' own.
        """
        each = [integration.status() for integration in self.integrations]
        totals = {name: sum(one[name] for one in each) for name in ("recorded", "errors", "dropped")}
        return {
            "integrations": each,
            **totals,
            "waiting": self._recorder.waiting,
            "waiting_peak": self._recorder.peak,
            "retries": self._recorder.retries,
            "floats_converted": self._exact.floats_converted,
            "rounded": self._exact.rounded,
            "times_ignored": self._exact.times_ignored,
            "symbols": {name: unified for names in self._names for name, unified in names.read_as.items()},
        }

    # -- parts --------------------------------------------------------------------------------------------------

    def _begin(self, role: str, manager: object, account: str) -> tuple[Integration, Target]:
        self._recorder.start()
        name = f"{role} {type(manager).__name__}"
        for known, other in self._managers:
            if known.attached and other is manager and known.name == name:
                raise InvalidValue(
                    f"this {name} is integrated already: everything would be recorded twice",
                    hint="detach() the first integration",
                )
        integration = Integration(name, self._recorder.flush, self._on_error)
        return integration, Target(
            self._storage, self._recorder, integration, self._exact, self._moments, account
        )

    def _finish(self, manager: object, integration: Integration, hooked: list[str]) -> Integration:
        integration.how = f"{integration.name}: {'; '.join(hooked)}"
        LOG.info("%s", integration.how)
        self.integrations.append(integration)
        self._managers.append((integration, manager))
        return integration


def _taker(watch: PortfolioWatch, kind: str, _name: str) -> OnCall:
    if kind == "fill":
        return watch.on_fill
    return watch.on_price if kind == "price" else functools.partial(watch.on_position, kind)
