"""Where the events of one integration go: its storage, its account, the queue, and what makes figures exact."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from hybridstore.clock import Clock
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.integration import Integration
from hybridstore.integrations.recorder import Recorder
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem


class Moments:
    """A clock of which no two answers are alike: a balance of the same asset and moment would be a correction.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time, later than every answer before."""
        with self._lock:
            self._last_us = max(self._last_us + 1, self._clock.now_us())
            return moment(self._last_us)


class Target:
    """What every hook of an integration needs.

    Args:
        storage: The open store.
        recorder: The bridge's queue.
        integration: The handle.
        exact: Takes figures and times.
        moments: Says when something was seen.
        account: Whose it is.

    Attributes:
        storage, integration, exact, account: As given.
        now: Returns when something is seen.
    """

    def __init__(
        self,
        storage: TradingBotStorageSystem,
        recorder: Recorder,
        integration: Integration,
        exact: Exact,
        moments: Moments,
        account: str,
    ) -> None:
        self.storage = storage
        self.integration = integration
        self.exact = exact
        self.account = account
        self._recorder = recorder
        self.now = moments.now

    def put(self, event: object, write: Callable[[], Awaitable[object]], *, is_figure: bool) -> None:
        """Queue an event.

        Args:
            event: What was seen.
            write: Records it.
            is_figure: See :class:`hybridstore.integrations.recorder.Item`.
        """
        self._recorder.put(self.integration, event, write, is_figure=is_figure)
