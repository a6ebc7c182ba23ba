"""Following an exchange: what it streams is recorded as it comes, and what a stream may have lost is read again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from hybridstore.errors import ExchangeError, ExchangeUnreachable
from hybridstore.hot.recorder import Recorder
from hybridstore.integrations.exchange import quotes, unified
from hybridstore.integrations.exchange.job import Job
from hybridstore.integrations.exchange.plan import check_streams
from hybridstore.integrations.exchange.report import SyncReport
from hybridstore.integrations.exchange.steps import PASSING, Steps, Write, is_a, run_async
from hybridstore.integrations.exchange.streams import balance_writes, mark_writes
from hybridstore.integrations.exchange.sync import (
    Wish,
    is_async,
    job_of,
    sync_exchange,
    sync_exchange_async,
)
from hybridstore.integrations.integration import LOG
from hybridstore.schema.types import to_decimal

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem
    from hybridstore.parts import StoreParts

READ_AGAIN_S = 300.0
"""How often an exchange that is watched is read as well: streams are not proven to tell everything."""
_RETRY_FIRST_S = 1.0
_RETRY_LAST_S = 60.0
OnReport = Callable[[SyncReport], object]


def follow_exchange(
    store: StoreParts,
    exchange: Any,
    wish: Wish,
    *,
    stop: threading.Event,
    poll_s: float,
    on_report: OnReport | None,
) -> None:
    """Read an exchange again and again.

    Args:
        store: The open store.
        exchange: An exchange object of ``ccxt``.
        wish: What is to be read.
        stop: Ends it.
        poll_s: How long to wait between two readings, s.
        on_report: Called with what each brought.

    Raises:
        InvalidValue: The exchange object or the wish cannot be used.
        ExchangeError: The exchange refused a question.
    """
    retry_s = _RETRY_FIRST_S
    while not stop.is_set():
        try:
            report: SyncReport | None = sync_exchange(store, exchange, wish)
        except ExchangeError as error:
            report = _survived(error)
        _tell(on_report, report)
        retry_s = _RETRY_FIRST_S if report is not None else min(2 * retry_s, _RETRY_LAST_S)
        stop.wait(poll_s if report is not None else retry_s)


def _survived(error: ExchangeError) -> SyncReport | None:
    """Return what a failed reading brought; raise what the next one would end in as well."""
    if isinstance(error, ExchangeUnreachable):
        LOG.warning("%s", error)
        return None
    report: SyncReport | None = getattr(error, "report", None)
    if report is None or error.__cause__ is not None:  # the exchange's own words, not a row that was refused
        raise error
    LOG.error("%s", error)
    return report


def _tell(on_report: OnReport | None, report: SyncReport | None) -> None:
    if on_report is not None and report is not None:
        on_report(report)


async def follow_exchange_async(
    storage: TradingBotStorageSystem,
    exchange: Any,
    wish: Wish,
    *,
    stop: asyncio.Event,
    poll_s: float,
    on_report: OnReport | None,
) -> None:
    """Watch an exchange of ``ccxt.pro``, or read any other again and again.

    Args:
        storage: The open store.
        exchange: An exchange object of ccxt.
        wish: What is to be read.
        stop: Ends it.
        poll_s: How long to wait between two readings of an exchange that does not stream, s.
        on_report: Called with what each reading brought.

    Raises:
        InvalidValue: The exchange object or the wish cannot be used.
        ExchangeError: The exchange refused a question.
    """
    following = _Following(storage, exchange, wish, stop, on_report)
    watches = following.watches() if is_async(exchange) else []
    reading = following.keep_reading(READ_AGAIN_S if watches else poll_s)
    tasks = [asyncio.ensure_future(one) for one in (reading, *watches)]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)


class _Following:
    """One exchange that is followed on an event loop."""

    def __init__(
        self,
        storage: TradingBotStorageSystem,
        exchange: Any,
        wish: Wish,
        stop: asyncio.Event,
        on_report: OnReport | None,
    ) -> None:
        self._storage, self._exchange, self._wish = storage, exchange, wish
        self._stop, self._on_report = stop, on_report
        self._recorder = Recorder(storage.store.database)
        self._read_again = asyncio.Event()

    async def keep_reading(self, pause_s: float) -> None:
        """Read at once, after every break of a stream, and every so often."""
        retry_s = _RETRY_FIRST_S
        while True:
            self._read_again.clear()
            try:
                report: SyncReport | None = await sync_exchange_async(
                    self._storage, self._exchange, self._wish
                )
            except ExchangeError as error:
                report = _survived(error)
            _tell(self._on_report, report)
            retry_s = _RETRY_FIRST_S if report is not None else min(2 * retry_s, _RETRY_LAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s if report is not None else retry_s):
                    await self._read_again.wait()
                    await asyncio.sleep(_RETRY_FIRST_S)  # by now the stream is there again

    def watches(self) -> list[Awaitable[None]]:
        """Return what is to run beside: a loop for each kind that the exchange streams."""
        wanted = check_streams(self._wish.what, timeframes=self._wish.timeframes)
        job = job_of(self._storage.store, self._exchange, self._wish)
        kinds: tuple[tuple[str, str, Callable[[Job, Any], Steps[None]]], ...] = (
            ("trades", "watchMyTrades", _put_trades),
            ("orders", "watchOrders", _put_orders),
            ("balances", "watchBalance", _put_balance),
            ("marks", "watchTickers", _put_tickers),
        )
        return [
            self._watch(job, name, record)
            for stream, name, record in kinds
            if stream in wanted and job.can(name)
        ]

    async def _watch(self, job: Job, name: str, record: Callable[[Job, Any], Steps[None]]) -> None:
        method = getattr(self._exchange, _SNAKE[name])
        call: Callable[[], Awaitable[Any]] = (
            partial(method, list(self._wish.markets))
            if name == "watchTickers" and self._wish.markets
            else method
        )
        try:
            await self._repeat(job, call, record)
        except Exception as error:
            if not is_a(error, "ArgumentsRequired") or not self._wish.markets:
                raise
        else:
            return
        each = (self._repeat(job, partial(method, symbol), record) for symbol in self._wish.markets)
        await asyncio.gather(*each)

    async def _repeat(
        self, job: Job, call: Callable[[], Awaitable[Any]], record: Callable[[Job, Any], Steps[None]]
    ) -> None:
        retry_s = _RETRY_FIRST_S
        while True:
            try:
                told = await call()
            except Exception as error:
                if not is_a(error, *PASSING):
                    raise
                LOG.warning("%s: %s: %s", job.exchange_id, type(error).__name__, error)
                self._read_again.set()
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _RETRY_LAST_S)
                continue
            retry_s = _RETRY_FIRST_S
            job.markets = self._exchange.markets or {}
            steps = record(job, told)
            await run_async(steps, self._exchange, self._storage, self._recorder, durability=None)


_SNAKE = {
    "watchMyTrades": "watch_my_trades",
    "watchOrders": "watch_orders",
    "watchBalance": "watch_balance",
    "watchTickers": "watch_tickers",
}


def _rows(told: Any) -> list[Any]:
    return list(told) if isinstance(told, Iterable) else []


def _put_trades(job: Job, told: Any) -> Steps[None]:
    def writes(row: Any) -> list[Write]:
        return [unified.fill(row, job.market(row["symbol"]), job.tags)]

    yield from job.put("trades", "", _rows(told), writes)


def _put_orders(job: Job, told: Any) -> Steps[None]:
    yield from job.put("orders", "", _rows(told), lambda row: [unified.order(row, job.tags)])


def _put_balance(job: Job, told: Any) -> Steps[None]:
    # A stream tells every asset with each change of one.
    changed = [item for item in unified.balances(told).items() if _is_news(job, *item)]
    yield from job.put("balances", "", changed, partial(balance_writes, job))


def _is_news(job: Job, asset: str, parts: dict[str, Any]) -> bool:
    known = job.desk.get_latest_balance(asset, job.account)
    return known is None or any(
        parts[name] is not None and to_decimal(parts[name], asset) != getattr(known, name)
        for name in ("balance", "hold_trade", "available", "debt")
    )


def _put_tickers(job: Job, told: Any) -> Steps[None]:
    rows = [mark for mark in map(quotes.mark, dict(told).values()) if mark is not None]
    yield from job.put("marks", "", rows, mark_writes)
