"""Subscriptions on an event loop. The loop is never held: see :class:`AsyncSubscription`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from hybridstore.errors import HybridStoreError, QueryTimeout
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed import Feed
from hybridstore.hot.feed_event import Event
from hybridstore.hot.feed_history import ArchiveAhead
from hybridstore.hot.subscription import POLL_MAX_MS, Pace, listen

_ROWS_MAX = 100
"""Rows of a dataset read in one round of a thread: it holds the interpreter, and so the loop, for 0.2 ms."""
_INLINE_ROWS = 50
_INLINE_MS = 1.0
"""A round that fits into these is made on the loop: handing it to a thread and back takes longer than most."""
_TURN_S = 0.0005
"""Events that are there already are given out for so long; then others on the loop have their turn."""


class _LoopBell:
    """Wakes one waiting task of a loop, from any thread."""

    def __init__(self) -> None:
        self.rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Note that something was committed, and wake who waits."""
        self.rung = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings.

        Args:
            seconds: How long at the most.

        Returns:
            Whether it has been rung.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiter = waiter
        if not self.rung:  # who rang before saw nobody waiting
            timer = loop.call_later(seconds, _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        self._waiter = None
        return self.rung


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class AsyncSubscription:
    """Committed events on an event loop: ``async with storage.subscribe() as events: async for event in events``.

    One task takes events. A round that is small is made on the loop, within a millisecond or not at all; others are
    made in a thread. No read transaction stays open while it waits or while its events are being dealt with. Cancelling
    a task that waits for an event loses none.

    Args:
        database: The open store.
        feed: The events.
        poll_max_ms: The longest pause between two looks at what other processes commit, ms.
    """

    def __init__(self, database: DatabaseManager, feed: Feed, *, poll_max_ms: float = POLL_MAX_MS) -> None:
        self._feed = feed
        self._pace = Pace(poll_max_ms)
        self._closed = False
        self._behind = True
        self._turn_s = 0.0
        self._round: asyncio.Task[bool] | None = None
        self._bell = _LoopBell()
        self._forget = listen(self, database.writer.log, self._bell.ring)

    @property
    def token(self) -> str:
        """Where to go on behind what was taken: give it to the next subscription, in this process or another."""
        return self._feed.token

    def __aiter__(self) -> Self:
        """Return the subscription: it is its own iterator."""
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event; ends when the subscription is closed, raises StoreClosed when the store is."""
        if time.perf_counter() - self._turn_s > _TURN_S:
            await asyncio.sleep(0)
            self._turn_s = time.perf_counter()
        while not self._closed:
            event = self._feed.take()
            if event is not None:
                return event
            self._bell.rung = False
            await self._read()
            if not self._behind and not self._feed.ready:
                await self._wait()
            self._turn_s = time.perf_counter()
        raise StopAsyncIteration

    async def _read(self) -> None:
        """Make a round: here where it is small, otherwise in a thread."""
        if not self._behind and self._round is None:
            try:
                self._behind = self._feed.read(_INLINE_ROWS, timeout_ms=_INLINE_MS, archived=False)
            except (QueryTimeout, ArchiveAhead):
                self._behind = True
            else:
                return
        if self._round is None:
            self._round = asyncio.ensure_future(asyncio.to_thread(self._feed.read, _ROWS_MAX))
        try:
            # A round goes on when who waits for it is cancelled: what it reads is there for the next.
            self._behind = await asyncio.shield(self._round)
        finally:
            if self._round.done():
                self._round = None

    async def _wait(self) -> None:
        while not self._closed:
            if await self._bell.wait(self._pace.poll_s):
                return
            changed = self._feed.has_news()
            self._pace.note(changed=changed)
            if changed:
                return

    async def close(self) -> None:
        """End the iteration, also one that waits in another task. A second call does nothing."""
        self._closed = True
        self._forget()
        self._bell.ring()
        if self._round is not None:
            with contextlib.suppress(HybridStoreError):
                await asyncio.shield(self._round)

    async def __aenter__(self) -> Self:
        """Return the subscription."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
