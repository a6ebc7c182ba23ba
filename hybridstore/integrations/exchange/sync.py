"""Reading an exchange into a store, once: with ccxt's plain objects, or on an event loop with its others."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from hybridstore.clock import DAY_US
from hybridstore.errors import ExchangeError, InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment
from hybridstore.hot.cursors import read_cursors
from hybridstore.hot.recorder import Recorder
from hybridstore.integrations.exchange.job import Job
from hybridstore.integrations.exchange.plan import Stream, check_exchange, check_streams, read_exchange
from hybridstore.integrations.exchange.report import SyncReport
from hybridstore.integrations.exchange.steps import Steps, run, run_async
from hybridstore.records import Record
from hybridstore.schema.types import check_name, check_timestamp

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem
    from hybridstore.parts import StoreParts

FIRST_DAYS = 90
"""How far back the first reading goes, unless a call says otherwise."""
OVERLAP_S = 3600.0
"""How much is read again: exchanges tell some rows late, and clocks differ."""


class Wish(Record, frozen=True):
    """What is to be read of an exchange.

    Attributes:
        account: Whose books it goes into.
        markets: Markets in ccxt's unified form; None finds those the account is known to trade.
        since: How far back history is wanted; None begins 90 days back. What was read before is not read again, but
            for the overlap.
        what: Kinds of history; None means what belongs to the account.
        timeframes: Candles to read beside, in ccxt's notation: 1m, 1h.
        strategy: What is recorded is of this strategy.
        bot: And of this bot.
        overlap_s: How much before the end of the last reading is read again, s.
    """

    account: str = DEFAULT_ACCOUNT
    markets: tuple[str, ...] | None = None
    since: Moment | None = None
    what: tuple[str, ...] | None = None
    timeframes: tuple[str, ...] = ()
    strategy: str | None = None
    bot: str | None = None
    overlap_s: float = OVERLAP_S


def wish_of(
    *,
    markets: Iterable[str] | str | None = None,
    what: Iterable[str] | str | None = None,
    timeframes: Iterable[str] | str = (),
    **others: Any,
) -> Wish:
    """Take the arguments of a call.

    Args:
        markets: One or several.
        what: One or several.
        timeframes: One or several.
        **others: See :class:`Wish`.

    Returns:
        The wish.
    """
    wish = Wish(
        markets=None if markets is None else _several(markets),
        what=None if what is None else _several(what),
        timeframes=_several(timeframes),
        **others,
    )
    check_name(wish.account, "account")
    if wish.overlap_s < 0:
        raise InvalidValue(f"overlap_s={wish.overlap_s}: must not be negative")
    return wish


def _several(names: Iterable[str] | str) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def is_async(exchange: Any) -> bool:
    """Say whether an exchange object is of ccxt.async_support or ccxt.pro.

    Args:
        exchange: The object.

    Returns:
        Whether its calls must be awaited.
    """
    return inspect.iscoroutinefunction(getattr(exchange, "load_markets", None))


def plan_of(store: StoreParts, exchange: Any, wish: Wish) -> Steps[SyncReport]:
    """Make the plan of a reading; it raises what the exchange refused when all else is read.

    Args:
        store: The open store.
        exchange: ccxt's exchange object.
        wish: What is to be read.

    Returns:
        The plan.

    Raises:
        InvalidValue: The exchange object or the wish cannot be used.
    """
    wanted: tuple[Stream, ...] = check_streams(wish.what, timeframes=wish.timeframes)
    job = job_of(store, exchange, wish)
    now_ms = store.database.clock.now_us() // 1000
    lengths_ms = {name: int(exchange.parse_timeframe(name) * 1000) for name in wish.timeframes}

    def steps() -> Steps[SyncReport]:
        report = yield from read_exchange(job, wanted, wish.markets, lengths_ms, now_ms, store.base_currency)
        lasting = [error for error in job.failures if not error.retryable]
        for error in (*lasting, *job.failures):
            raise _with_report(error, report)
        return _whole(report)

    return steps()


def job_of(store: StoreParts, exchange: Any, wish: Wish) -> Job:
    """Begin a reading.

    Args:
        store: The open store.
        exchange: ccxt's exchange object.
        wish: What is to be read.

    Returns:
        What its parts share.

    Raises:
        InvalidValue: The exchange object cannot be used.
    """
    check_exchange(exchange)
    now_ms = store.database.clock.now_us() // 1000
    return Job(
        exchange,
        store,
        wish.account,
        {name: tag for name, tag in (("strategy", wish.strategy), ("bot", wish.bot)) if tag is not None},
        read_cursors(store.database),
        since_ms=None if wish.since is None else check_timestamp(wish.since, "since") // 1000,
        default_ms=now_ms - FIRST_DAYS * DAY_US // 1000,
        overlap_ms=int(wish.overlap_s * 1000),
    )


def sync_exchange(store: StoreParts, exchange: Any, wish: Wish) -> SyncReport:
    """Read an exchange object of ``ccxt`` into a store.

    Args:
        store: The open store.
        exchange: The exchange.
        wish: What is to be read.

    Returns:
        What was found.

    Raises:
        InvalidValue: The exchange object or an argument cannot be used.
        ExchangeError: The exchange refused a question, or told rows that cannot be recorded; all others are.
        ExchangeUnreachable: It does not answer.
    """
    if is_async(exchange):
        raise InvalidValue(
            f"{exchange.id} is an exchange of ccxt.async_support",
            hint="give one of ccxt here, or await TradingBotStorageSystem's sync()",
        )
    return run(plan_of(store, exchange, wish), exchange, store, Recorder(store.database))


async def sync_exchange_async(storage: TradingBotStorageSystem, exchange: Any, wish: Wish) -> SyncReport:
    """Read an exchange object of any kind into a store on an event loop; one of plain ``ccxt`` in a thread.

    Args:
        storage: The open store.
        exchange: The exchange.
        wish: What is to be read.

    Returns:
        What was found.

    Raises:
        InvalidValue: The exchange object or an argument cannot be used.
        ExchangeError: The exchange refused a question, or told rows that cannot be recorded; all others are.
        ExchangeUnreachable: It does not answer.
    """
    store = storage.store
    if not is_async(exchange):
        return await asyncio.to_thread(partial(sync_exchange, store, exchange, wish))
    plan = plan_of(store, exchange, wish)
    return await run_async(plan, exchange, storage, Recorder(store.database))


def _whole(report: SyncReport) -> SyncReport:
    """Return a report; raise where rows were refused."""
    if not report.refused:
        return report
    first = report.refused[0]
    error = ExchangeError(
        f"{len(report.refused):,} rows cannot be recorded, the first of {first.stream} {first.part}: {first.said}",
        operation=f"read {report.exchange}",
        hint="all others are recorded; these are asked for again by the next call",
    )
    raise _with_report(error, report)


def _with_report(error: ExchangeError, report: SyncReport) -> ExchangeError:
    error.report = report  # type: ignore[attr-defined]
    return error
