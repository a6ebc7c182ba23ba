"""The handle of one integrated manager: what was hooked, what came of it, and how to undo it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

LOG = logging.getLogger("hybridstore.integrations")

OnError: TypeAlias = "Callable[[Integration, object, Exception], object]"


class Integration:
    """One manager that is integrated. It comes from ``integrate_with_balance_manager`` and its sibling.

    Args:
        name: What the log calls it.
        flush: Waits until what was queued is durable.
        on_error: Called with this handle, the event and the error for every event that is not recorded.

    Attributes:
        name: What the log calls it.
        how: What was hooked, in words.
        recorded: Events that are durable.
        errors: Events that were not recorded: refused, failed, or lost to a full queue.
        dropped: Those of them that were lost to a full queue.
        ignored: Calls and notifications that told nothing to record.
        last_error: The latest error; None where there was none.
        attached: Whether it still records.
    """

    def __init__(
        self, name: str, flush: Callable[[], Awaitable[None]], on_error: OnError | None = None
    ) -> None:
        self.name = name
        self.how = ""
        self.recorded = 0
        self.errors = 0
        self.dropped = 0
        self.ignored = 0
        self.last_error: Exception | None = None
        self.attached = True
        self._flush = flush
        self._on_error = on_error
        self._undo: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def detach(self) -> None:
        """Restore wrapped methods, take back listeners, stop polling. What is queued is still recorded."""
        with self._lock:
            undo, self._undo, self.attached = self._undo[::-1], [], False
        for step in undo:
            try:
                step()
            except Exception as error:  # noqa: BLE001  the manager's own code; the other steps must still run
                LOG.warning("%s: a step of detaching failed: %r", self.name, error)

    async def flush(self) -> None:
        """Wait until everything seen before this call is durable or counted as an error."""
        await self._flush()

    def status(self) -> dict[str, Any]:
        """Return the figures of this integration.

        Returns:
            name, how, attached, recorded, errors, dropped, ignored, last_error (text or None).
        """
        return {
            "name": self.name,
            "how": self.how,
            "attached": self.attached,
            "recorded": self.recorded,
            "errors": self.errors,
            "dropped": self.dropped,
            "ignored": self.ignored,
            "last_error": None if self.last_error is None else str(self.last_error),
        }

    def on_detach(self, step: Callable[[], object]) -> None:
        """Add a step of detaching.

        Args:
            step: Undoes what was just done to the manager.
        """
        self._undo.append(step)

    def count_recorded(self) -> None:
        """Count an event that is durable."""
        with self._lock:
            self.recorded += 1

    def count_ignored(self) -> None:
        """Count a call or notification that told nothing to record."""
        with self._lock:
            self.ignored += 1

    def refuse(self, event: object, error: Exception, *, dropped: bool = False) -> None:
        """Count, log and report an event that is not recorded. Never raises.

        Args:
            event: What was seen.
            error: Why it is not recorded.
            dropped: Whether a full queue is the reason; of those only some are logged.
        """
        with self._lock:
            self.errors += 1
            self.dropped += dropped
            self.last_error = error
            count = self.dropped
        if not dropped or count & (count - 1) == 0:  # a queue that overflows must not fill the log as well
            lost = f" (event {count} lost so)" if dropped else ""
            LOG.error("%s: not recorded: %s%s; event: %.500r", self.name, error, lost, event)
        if self._on_error is not None:
            try:
                self._on_error(self, event, error)
            except Exception as failure:  # noqa: BLE001  the user's own code
                LOG.warning("%s: on_error itself failed: %r", self.name, failure)
