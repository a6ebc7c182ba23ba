"""The queue between managers and the store: filled from any thread, emptied in order by a task of the bridge's loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from hybridstore.errors import HybridStoreError, InvalidValue, StoreError
from hybridstore.integrations.integration import LOG, Integration

BATCH_MAX = 256
_RETRY_FIRST_S = 0.02
_RETRY_LAST_S = 5.0


class Item(NamedTuple):
    """One event that waits.

    Attributes:
        seq: Its place in the order of events.
        owner: The integration it came from.
        event: What was seen, for the log.
        write: Records it. May run again after an error that is retryable.
        is_figure: Whether it is a figure that a later one supersedes (a balance, a price): such events are recorded
            side by side, and go first where the queue is full.
    """

    seq: int
    owner: Integration
    event: object
    write: Callable[[], Awaitable[object]]
    is_figure: bool


class Recorder:
    """Records events one after another; figures that follow each other together, in one commit.

    Args:
        capacity: How many events may wait. Beyond it the oldest figure is lost, and where there is none the oldest
            event.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InvalidValue(f"queue_size={capacity}: must be at least 1")
        self._capacity = capacity
        self._figures: deque[Item] = deque()
        self._acts: deque[Item] = deque()
        self._lock = threading.Lock()
        self._seq = 0
        self._settled = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.retries = 0
        self.peak = 0

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._figures) + len(self._acts)

    def start(self) -> None:
        """Begin to record, as a task of the running loop. A second call does nothing.

        Raises:
            StoreError: It runs on another loop, or was stopped.
        """
        loop = asyncio.get_running_loop()
        if self._task is None and not self._stopped:
            self._loop, self._thread = loop, threading.get_ident()
            self._task = loop.create_task(self._run(), name="hybridstore-bridge")
        elif self._stopped or loop is not self._loop:
            raise StoreError(
                "this bridge is closed" if self._stopped else "this bridge belongs to another event loop",
                hint="make a StorageIntegrationBridge in the loop that uses it",
            )

    def put(
        self, owner: Integration, event: object, write: Callable[[], Awaitable[object]], *, is_figure: bool
    ) -> None:
        """Queue an event, from any thread. Never waits, never raises.

        Args:
            owner: The integration it came from.
            event: What was seen, for the log.
            write: Records it.
            is_figure: See :class:`Item`.
        """
        lost: Item | None = None
        with self._lock:
            stopped = self._stopped
            if not stopped:
                self._seq += 1
                (self._figures if is_figure else self._acts).append(
                    Item(self._seq, owner, event, write, is_figure)
                )
                if self.waiting > self._capacity:
                    lost = (self._figures or self._acts).popleft()
                self.peak = max(self.peak, self.waiting)
        if stopped:
            owner.refuse(event, StoreError("the bridge is closed", hint="detach managers before closing it"))
            return
        if lost is not None:
            full = StoreError(
                f"more than {self._capacity} events wait for the store",
                hint="see why writes are slow or fail; queue_size= bounds what may wait",
            )
            lost.owner.refuse(lost.event, full, dropped=True)
        self._ring()

    def _ring(self) -> None:
        if threading.get_ident() == self._thread:
            self._wake.set()
        elif self._loop is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # the loop has ended; its last act was to stop this recorder
                self._loop.call_soon_threadsafe(self._wake.set)

    async def flush(self) -> None:
        """Wait until every event queued before this call is durable or counted as an error.

        Raises:
            StoreError: The recorder runs on another event loop.
        """
        with self._lock:
            target = self._seq
        if self._settled >= target or self._stopped:
            return
        self.start()  # says so where this is another loop
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((target, waiter))
        await waiter

    async def stop(self, timeout_s: float) -> None:
        """Flush, then end the task. What is not durable by then is counted as an error.

        Args:
            timeout_s: How long to wait for the store, seconds.
        """
        if self._task is None:
            self._stopped = True
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        batch: list[Item] = []
        try:
            while True:
                batch = self._take()
                if batch:
                    last_seq = batch[-1].seq
                    await self._record(batch)
                    self._settle(last_seq)
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            self._give_up(batch)

    def _take(self) -> list[Item]:
        """Take the oldest event, with the figures that directly follow where it is one."""
        batch: list[Item] = []
        with self._lock:
            figures, acts = self._figures, self._acts
            act_seq = acts[0].seq if acts else self._seq + 1
            while figures and figures[0].seq < act_seq and len(batch) < BATCH_MAX:
                batch.append(figures.popleft())
            if not batch and acts:
                batch.append(acts.popleft())
        return batch

    async def _record(self, batch: list[Item]) -> None:
        delay_s = _RETRY_FIRST_S
        left = batch
        while True:
            results = await asyncio.gather(*(_written(item) for item in left))
            again = []
            for item, error in zip(left, results, strict=True):
                if error is None:
                    item.owner.count_recorded()
                elif isinstance(error, HybridStoreError) and error.retryable:
                    item.owner.last_error = error
                    again.append(item)
                else:
                    item.owner.refuse(item.event, error)
            batch[:] = left = again  # whoever ends this task knows what is not settled
            if not left:
                return
            if not self.retries:
                LOG.warning("%s: will be tried again: %s", left[0].owner.name, left[0].owner.last_error)
            self.retries += 1
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _RETRY_LAST_S)

    def _settle(self, seq: int) -> None:
        self._settled = max(self._settled, seq)
        with self._lock:
            if not self.waiting:  # what a full queue lost is settled as well
                self._settled = self._seq
        for target, waiter in self._waiters:
            if target <= self._settled and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(target, waiter) for target, waiter in self._waiters if not waiter.done()]

    def _give_up(self, batch: list[Item]) -> None:
        with self._lock:
            self._stopped = True
            rest = sorted([*batch, *self._figures, *self._acts])
            self._figures.clear()
            self._acts.clear()
        error = StoreError("the bridge ended before the store took this", hint="await bridge.close() first")
        for item in rest:
            item.owner.refuse(item.event, error)
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


async def _written(item: Item) -> Exception | None:
    try:
        await item.write()
    except Exception as error:  # noqa: BLE001  it belongs to the event; the queue goes on
        return error
    return None
