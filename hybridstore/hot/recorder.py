"""Recording with the archives in view: what a write must know of them is looked up, then it is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hybridstore.config import Durability
from hybridstore.hot.archived import ArchiveNeeded
from hybridstore.hot.commits import TOUCHES, touches_by
from hybridstore.hot.connection import Claimed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.known import NOTHING, Known
from hybridstore.hot.session import WriteSession

Result = TypeVar("Result")
_CLAIM_POLL_S = 0.01
"""A move that has claimed a day is through with it within seconds."""


class Recorder:
    """Hands operations to the writer until they succeed or fail for good.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def call(self, durability: Durability | None, operation: Callable[..., Result], *args: object) -> Result:
        """Do an operation and wait until it is durable.

        Args:
            durability: "full", "normal", or None for the store's own.
            operation: See :meth:`hybridstore.hot.writer.Writer.submit`.
            *args: Its arguments.

        Returns:
            What the operation returned.
        """
        writer = self._database.writer
        try:
            return writer.call(operation, *args, durability=durability)
        except (ArchiveNeeded, Claimed) as error:
            trial = _Trial(self._database, error)
        while True:
            time.sleep(trial.prepare())
            try:
                result: Result = writer.call(with_known, trial.known, operation, *args, durability=durability)
            except (ArchiveNeeded, Claimed) as error:
                trial.note(error)
            else:
                return result

    async def call_async(
        self, durability: Durability | None, operation: Callable[..., Result], *args: object
    ) -> Result:
        """Do an operation from a running event loop; what must be looked up is looked up in a thread.

        Args:
            durability: "full", "normal", or None for the store's own.
            operation: See :meth:`hybridstore.hot.writer.Writer.submit`.
            *args: Its arguments.

        Returns:
            What the operation returned.
        """
        writer = self._database.writer
        try:
            return await writer.submit_async(durability, operation, *args)
        except (ArchiveNeeded, Claimed) as error:
            trial = _Trial(self._database, error)
        while True:
            await asyncio.sleep(await asyncio.to_thread(trial.prepare))
            try:
                result: Result = await writer.submit_async(
                    durability, with_known, trial.known, operation, *args
                )
            except (ArchiveNeeded, Claimed) as error:
                trial.note(error)
            else:
                return result


def _touched(_known: Known, operation: Callable[..., Any], *args: object) -> Iterable[str] | None:
    names = getattr(operation, TOUCHES, None)
    return names(*args) if callable(names) else names


@touches_by(_touched)
def with_known(
    session: WriteSession, known: Known, operation: Callable[..., Result], *args: object
) -> Result:
    """Run an operation that is told what is archived.

    Args:
        session: The write transaction.
        known: What was found in the archives.
        operation: The operation.
        *args: Its arguments.

    Returns:
        What it returned.
    """
    session.known = known
    try:
        return operation(session, *args)
    finally:
        session.known = NOTHING


class _Trial:
    """What is known so far, and until when it is worth trying."""

    def __init__(self, database: DatabaseManager, error: ArchiveNeeded | Claimed) -> None:
        self.known: Known = NOTHING
        self._database = database
        self._until_s = time.monotonic() + database.config.busy_timeout_ms / 1000
        self._error = error

    def note(self, error: ArchiveNeeded | Claimed) -> None:
        if time.monotonic() > self._until_s:
            raise error
        self._error = error

    def prepare(self) -> float:
        """Find out what is missing; return how long to wait before the next trial, s."""
        if not isinstance(self._error, ArchiveNeeded):
            return _CLAIM_POLL_S
        lookup = self._database.archive_lookup
        if lookup is None:
            raise self._error
        self.known = {**self.known, **lookup(self._error.needs)}
        return 0.0
