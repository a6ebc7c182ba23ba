"""Subscriptions: a feed that waits for what is committed next, here and in other processes.

Commits of this process ring a bell. Those of others are noticed by a point read of the commit clock, often while others
are writing and ever more rarely while they are not.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from hybridstore.errors import InvalidValue
from hybridstore.hot.commits import CommitLog
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed import Feed
from hybridstore.hot.feed_event import Event

ROWS_MAX = 500
"""Rows of a dataset read in one round: bounds memory, and how long one read transaction is open."""
POLL_MIN_S = 0.002
POLL_MAX_MS = 50.0
_SLOWER = 1.25
_listening = threading.Lock()


class Pace:
    """How often the commit clock is looked at.

    Args:
        poll_max_ms: The longest pause between two looks, ms.

    Attributes:
        poll_s: The next pause.
    """

    def __init__(self, poll_max_ms: float) -> None:
        if not POLL_MIN_S * 1000 <= poll_max_ms <= 60_000:  # noqa: PLR2004  a minute is no feed any more
            raise InvalidValue(f"poll_max_ms={poll_max_ms!r}", hint="give 2 to 60000 milliseconds")
        self._poll_max_s = poll_max_ms / 1000
        self.poll_s = self._poll_max_s

    def note(self, *, changed: bool) -> None:
        """Adapt to what the last look found.

        Args:
            changed: Whether another process had committed.
        """
        self.poll_s = POLL_MIN_S if changed else min(self.poll_s * _SLOWER, self._poll_max_s)


def listen(subscriber: object, log: CommitLog, ring: Callable[[], None]) -> Callable[[], object]:
    """Have a bell rung after every commit of this process.

    Args:
        subscriber: When nobody holds it any more, the ringing ends, too.
        log: Where commits are noted.
        ring: Quick, and raises nothing.

    Returns:
        What ends the ringing; a second call does nothing.
    """
    with _listening:
        log.listeners = (*log.listeners, ring)
    end = weakref.finalize(subscriber, _forget, log, ring)
    end.atexit = False
    return end


def _forget(log: CommitLog, ring: Callable[[], None]) -> None:
    with _listening:
        log.listeners = tuple(listener for listener in log.listeners if listener != ring)


class Subscription:
    """Committed events, for code without an event loop. Iterate over it, in a ``with`` block or without.

    One thread takes events; :meth:`close` may be called from any. No thread and no read transaction stays open while it
    waits or while its events are being dealt with.

    Args:
        database: The open store.
        feed: The events.
        timeout_s: Iteration ends when there was no event for so long; 0 takes what is there, None waits for ever.
        poll_max_ms: The longest pause between two looks at what other processes commit, ms.
    """

    def __init__(
        self,
        database: DatabaseManager,
        feed: Feed,
        *,
        timeout_s: float | None = None,
        poll_max_ms: float = POLL_MAX_MS,
    ) -> None:
        self._feed = feed
        self._timeout_s = timeout_s
        self._pace = Pace(poll_max_ms)
        self._closed = False
        self._bell = threading.Event()
        self._forget = listen(self, database.writer.log, _ringer(self._bell))

    @property
    def token(self) -> str:
        """Where to go on behind what was taken: give it to the next subscription, in this process or another."""
        return self._feed.token

    def next(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the next event.

        Args:
            timeout_s: How long; None waits for ever.

        Returns:
            The event; None when there was none in that time, or the subscription was closed.

        Raises:
            StoreClosed: The store was closed.
            StoreError: The store does not hold what this subscriber was to be told.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed:
            event = self._feed.take()
            if event is not None:
                return event
            self._bell.clear()
            if not self._feed.read(ROWS_MAX) and not self._feed.ready and not self._wait(until_s):
                return None
        return None

    def _wait(self, until_s: float | None) -> bool:
        """Wait until something was committed; return whether it was, in time."""
        while not self._closed:
            rest_s = self._pace.poll_s if until_s is None else until_s - time.monotonic()
            if rest_s <= 0:
                return False
            if self._bell.wait(min(rest_s, self._pace.poll_s)):
                return True
            changed = self._feed.has_news()
            self._pace.note(changed=changed)
            if changed:
                return True
        return False

    def __iter__(self) -> Iterator[Event]:
        """Iterate over events until the time-out or the close; after a time-out it can be iterated over again."""
        while (event := self.next(self._timeout_s)) is not None:
            yield event

    def close(self) -> None:
        """End the iteration, also one that waits in another thread. A second call does nothing."""
        self._closed = True
        self._forget()
        self._bell.set()

    def __enter__(self) -> Self:
        """Return the subscription."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def _ringer(bell: threading.Event) -> Callable[[], None]:
    def ring() -> None:
        if not bell.is_set():
            bell.set()

    return ring
