"""What is asked and written, apart from how: one plan of steps serves exchanges with and without an event loop.

A plan is a generator. It yields an :class:`Ask` and gets the exchange's answer, a :class:`Put` and gets what became of
each write, or a :class:`Keep`. :func:`run` performs the steps on this thread, :func:`run_async` on an event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from hybridstore.config import Durability
from hybridstore.errors import ExchangeError, ExchangeUnreachable, InvalidValue
from hybridstore.hot.cursors import write_cursor
from hybridstore.hot.recorder import Recorder

Result = TypeVar("Result")
RETRIES = 5
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 30.0


class Ask(NamedTuple):
    """A question for the exchange.

    Attributes:
        method: Name of ccxt's unified method, for example ``fetch_my_trades``.
        args: Its arguments.
    """

    method: str
    args: tuple[Any, ...] = ()


class Write(NamedTuple):
    """A call of the store's desk.

    Attributes:
        call: Its name, for example ``record_fill``.
        args: Its arguments by place.
        kwargs: And by name.
    """

    call: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = {}


class Put(NamedTuple):
    """Writes in order. They are durable when the next cursor is.

    Attributes:
        writes: They.
    """

    writes: list[Write]


class Keep(NamedTuple):
    """A cursor to remember; once it is, everything that was put before is durable.

    Attributes:
        name: Of what was read.
        value: How far.
    """

    name: str
    value: str


Step: TypeAlias = Ask | Put | Keep
Steps: TypeAlias = Generator[Step, Any, Result]
Outcome: TypeAlias = "Any | InvalidValue"
"""What a write returned, or why the store's door refused its values."""


def is_a(error: BaseException, *names: str) -> bool:
    """Say whether an error is one of ccxt's classes, without importing ccxt.

    Args:
        error: The error.
        *names: Names of classes.

    Returns:
        Whether it is of one of them or of one that is derived from it.
    """
    return any(kind.__name__ in names and kind.__module__.startswith("ccxt") for kind in type(error).__mro__)


def run(
    steps: Steps[Result],
    exchange: Any,
    desk: Any,
    recorder: Recorder,
    sleep: Callable[[float], object] = time.sleep,
) -> Result:
    """Perform a plan with an exchange object of ``ccxt``.

    Args:
        steps: The plan.
        exchange: The exchange.
        desk: The store.
        recorder: Of the same store.
        sleep: Waits before a question is repeated, s.

    Returns:
        What the plan returns.

    Raises:
        ExchangeUnreachable: The exchange did not answer, however often it was asked.
        ExchangeError: It refused a question.
    """
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer, error = None, None
        if isinstance(step, Put):
            answer = [_written(desk, write) for write in step.writes]
        elif isinstance(step, Keep):
            recorder.call("full", write_cursor, *step)
        else:
            for trial in range(RETRIES + 1):
                try:
                    answer, error = getattr(exchange, step.method)(*step.args), None
                    break
                except Exception as caught:  # noqa: BLE001  the plan decides what it means
                    error = _told(caught, step, exchange)
                    if not _is_worth_another(caught, trial):
                        break
                    sleep(_delay_s(trial))


def _written(desk: Any, write: Write) -> Outcome:
    try:
        return getattr(desk, write.call)(*write.args, **write.kwargs, durability="normal")
    except InvalidValue as refused:
        return refused


async def run_async(
    steps: Steps[Result],
    exchange: Any,
    desk: Any,
    recorder: Recorder,
    durability: Durability | None = "normal",
) -> Result:
    """Perform a plan with an exchange object of ``ccxt.async_support`` or ``ccxt.pro``.

    Args:
        steps: The plan.
        exchange: The exchange.
        desk: The store, whose calls are awaited.
        recorder: Of the same store.
        durability: Of what is put; None means the store's own.

    Returns:
        What the plan returns.

    Raises:
        ExchangeUnreachable: The exchange did not answer, however often it was asked.
        ExchangeError: It refused a question.
    """
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer, error = None, None
        if isinstance(step, Put):
            answer = await asyncio.gather(*(_awaited(desk, write, durability) for write in step.writes))
        elif isinstance(step, Keep):
            await recorder.call_async("full", write_cursor, *step)
        else:
            for trial in range(RETRIES + 1):
                try:
                    answer, error = await getattr(exchange, step.method)(*step.args), None
                    break
                except Exception as caught:  # noqa: BLE001  the plan decides what it means
                    error = _told(caught, step, exchange)
                    if not _is_worth_another(caught, trial):
                        break
                    await asyncio.sleep(_delay_s(trial))


async def _awaited(desk: Any, write: Write, durability: Durability | None) -> Outcome:
    try:
        return await getattr(desk, write.call)(*write.args, **write.kwargs, durability=durability)
    except InvalidValue as refused:
        return refused


def _is_worth_another(error: BaseException, trial: int) -> bool:
    return trial < RETRIES and is_a(error, *PASSING) and not is_a(error, "InvalidNonce")


def _delay_s(trial: int) -> float:
    return min(_RETRY_FIRST_S * float(2**trial), _RETRY_LAST_S)


def _told(error: Exception, step: Ask, exchange: Any) -> Exception:
    """Put an error of ccxt into the tree of this package; what a plan handles itself stays as it is."""
    if is_a(error, *HANDLED) or not is_a(error, "BaseError"):
        return error
    kind = ExchangeUnreachable if is_a(error, *PASSING) else ExchangeError
    hint = _HINTS.get(next((name for name in _HINTS if is_a(error, name)), ""))
    told = kind(
        f"{type(error).__name__}: {str(error)[:300]}", operation=f"{exchange.id} {step.method}", hint=hint
    )
    told.__cause__ = error
    return told


HANDLED = ("NotSupported", "ArgumentsRequired", "BadSymbol", "OrderNotFound")
"""Errors of ccxt by which an exchange says what it cannot be asked."""
PASSING = ("NetworkError", "OperationFailed")
"""Errors of ccxt that pass: no answer, a limit of requests, the exchange's own failure."""
_HINTS = {
    "PermissionDenied": "the key may not read this; give it read permission, or leave it out of what=",
    "AuthenticationError": "check apiKey, secret and password of the exchange object",
    "RateLimitExceeded": "set enableRateLimit=True on the exchange object",
    "InvalidNonce": "the machine's clock differs from the exchange's; set options['adjustForTimeDifference']=True",
    "OperationFailed": "nothing is lost: the same call goes on where this one stopped",
}
