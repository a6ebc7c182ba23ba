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


class Target:
    """What every hook of an integration needs.

    Args:
        storage: The open store.
        recorder: The bridge's queue.
        integration: The handle.
        exact: Takes figures and times.
        clock: Says when something was seen.
        account: Whose it is.

    Attributes:
        storage, integration, exact, account: As given.
    """

    def __init__(
        self,
        storage: TradingBotStorageSystem,
        recorder: Recorder,
        integration: Integration,
        exact: Exact,
        clock: Clock,
        account: str,
    ) -> None:
        self.storage = storage
        self.integration = integration
        self.exact = exact
        self.account = account
        self._recorder = recorder
        self._clock = clock
        self._last_us = 0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time, never earlier than the last answer: it orders what was seen."""
        with self._lock:
            self._last_us = max(self._last_us, self._clock.now_us())
            return moment(self._last_us)

    def put(self, event: object, write: Callable[[], Awaitable[object]], *, is_figure: bool) -> None:
        """Queue an event.

        Args:
            event: What was seen.
            write: Records it.
            is_figure: See :class:`hybridstore.integrations.recorder.Item`.
        """
        self._recorder.put(self.integration, event, write, is_figure=is_figure)
