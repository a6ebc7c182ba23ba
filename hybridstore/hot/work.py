"""Work that waits for the writer, and telling those who wait for it what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

NOBODY: Future[Any] = Future()
"""Stands for the future of a caller that commits in its own thread."""
Work: TypeAlias = (
    "tuple[Callable[..., Any], tuple[Any, ...], Future[Any] | asyncio.Future[Any],"
    " asyncio.AbstractEventLoop | None, bool]"
)
"""Operation, its arguments, the caller's future, the loop of that future, whether FULL is asked for. A bare tuple: one
is made for every write, and making a named one takes six times as long."""


def resolve(batch: list[Work], results: list[Any]) -> None:
    """Tell callers what became of their work.

    Args:
        batch: The work.
        results: What each returned, or the exception it ended in.
    """
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Any, Any]]] = {}
    for (_, _, future, loop, _), result in zip(batch, results, strict=True):
        if loop is not None:
            settled = loops.get(loop)
            if settled is None:
                loops[loop] = [(future, result)]
            else:
                settled.append((future, result))
        elif isinstance(future, Future) and future.set_running_or_notify_cancel():
            _settle(future, result)
    for waiting, settled in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody is waiting
            waiting.call_soon_threadsafe(_settle_all, settled)


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in settled:
        if not future.done():  # a cancelled one is
            _settle(future, result)


def _settle(future: Future[Any] | asyncio.Future[Any], result: object) -> None:
    if isinstance(result, BaseException):
        try:
            future.set_exception(result)
        except TypeError as refusal:  # StopIteration would end the caller's coroutine in silence
            refusal.__cause__ = result
            future.set_exception(refusal)
    else:
        future.set_result(result)
