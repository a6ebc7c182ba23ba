"""The one writer of a process: takes work from a queue and commits many pieces in one transaction.

An acknowledgement (a resolved future) means the commit is durable at the level that was asked for. Work waits in the
queue while a commit is being flushed, so the busier the store, the more each flush carries (group commit). A caller
that would wait anyway and finds nobody at work commits in its own thread: handing over and back costs as much as half
a flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast, get_args

import apsw

from hybridstore.config import DatabaseConfig, Durability
from hybridstore.errors import InvalidValue, StoreClosed, StoreError
from hybridstore.hot.commits import CommitLog
from hybridstore.hot.connection import close_connection, open_connection, translate
from hybridstore.hot.guards import FileGuard, ProcessGuard
from hybridstore.hot.journal import Journal
from hybridstore.hot.session import WriteSession
from hybridstore.hot.shipped_mark import is_shipped
from hybridstore.hot.work import NOBODY, Work, resolve

Result = TypeVar("Result")
BATCH_MAX = 4096
"""Pieces of work in one transaction at the most: bounds how long others wait for the write lock."""
_MIB = 1 << 20
_FEW_FRAMES = 256
"""Copied back in about a millisecond: what a commit may wait for now and then."""
_DURABILITIES = get_args(Durability)


class Writer:
    """Queue, thread and connection of all writes of this process.

    Args:
        config: Where and how to open.
        guard: Refuses use across a fork.
        session: Makes the session that operations run in, given the connection.
        journal: Where transactions are noted; None for no logs.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        guard: ProcessGuard,
        session: Callable[[apsw.Connection], WriteSession],
        journal: Journal | None = None,
    ) -> None:
        self._path = config.path
        self._guard = guard
        self._default_full = config.durability == "full"
        self._connection = open_connection(config, write=True)
        self.files = FileGuard(config.path, guard)
        self._session = session(self._connection)
        self._synchronous_full = self._default_full
        self._turn = threading.Lock()
        """Whoever holds it may use the connection and take work out of the queue."""
        self._waiting: deque[Work] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._asleep = False
        page_size_bytes = int(self._connection.pragma("page_size"))
        self._log_frames_limit = config.wal_limit_mb * _MIB // page_size_bytes
        self._log_frames_max = config.wal_limit_mb * _MIB // page_size_bytes // 2
        self._log_frames_min = min(
            2 * config.wal_checkpoint_mb * _MIB // page_size_bytes, self._log_frames_max
        )
        self._log_frames_due = self._log_frames_min
        self._log_frames = 0
        self._connection.set_wal_hook(self._note_log)
        self._closed = False
        self._drained = False
        self._close_lock = threading.Lock()
        self.log = CommitLog()
        self._journal = journal
        self.commits = 0
        self.operations = 0
        self._thread = threading.Thread(target=self._run, name="hybridstore-writer", daemon=True)
        self._thread.start()

    def submit(
        self, durability: Durability | None, operation: Callable[..., Result], *args: object
    ) -> Future[Result]:
        """Queue work.

        Args:
            durability: "full", "normal", or None for the store's own.
            operation: Called in the writer thread with the session and the arguments. It may run again from the
                start if another piece of its batch fails, so it must change nothing but the database.
            *args: Its arguments.

        Returns:
            A future that resolves after the commit.
        """
        future: Future[Result] = Future()
        self._put((operation, args, future, None, self._wants_full(durability)))
        return future

    def call(
        self, operation: Callable[..., Result], *args: object, durability: Durability | None = None
    ) -> Result:
        """Commit work and wait until it is durable: in this thread where nobody else is at work.

        Args:
            operation: See :meth:`submit`.
            *args: Its arguments.
            durability: "full", "normal", or None for the store's own.

        Returns:
            What the operation returned.
        """
        if not self._waiting and self._turn.acquire(blocking=False):
            try:
                # Work that is waiting was there first.
                result = (
                    None if self._waiting or self._closed else self._commit_here(durability, operation, args)
                )
            finally:
                self._turn.release()
            if self._log_frames >= self._log_frames_due and self._asleep:
                self._bell.put(None)  # the writer's thread sees to the log; nobody waits for that
            if result is not None:
                if isinstance(result[0], BaseException):
                    raise result[0]
                return cast("Result", result[0])
        return self.submit(durability, operation, *args).result()

    def _commit_here(
        self, durability: Durability | None, operation: Callable[..., Any], args: tuple[object, ...]
    ) -> list[Any]:
        self._guard.check()
        return self._commit([(operation, args, NOBODY, None, self._wants_full(durability))])

    def submit_async(
        self, durability: Durability | None, operation: Callable[..., Result], *args: object
    ) -> asyncio.Future[Result]:
        """Queue work from a running event loop.

        Args:
            durability: "full", "normal", or None for the store's own.
            operation: See :meth:`submit`.
            *args: Its arguments.

        Returns:
            A future of that loop, resolved after the commit. Cancelling it does not take the write back.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._put((operation, args, future, loop, self._wants_full(durability)))
        return future

    def close(self) -> None:
        """Finish what is queued, then stop the thread and close the connection."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._bell.put(None)
        self._thread.join()

    def _wants_full(self, durability: Durability | None) -> bool:
        if durability is None:
            return self._default_full
        if durability not in _DURABILITIES:  # a misspelt "full" must not be taken for the weaker promise
            raise InvalidValue(f"durability={durability!r}", hint="use 'full' or 'normal'")
        return durability == "full"

    def _put(self, work: Work) -> None:
        self._guard.check()
        if self._closed:
            raise StoreClosed("the store is closed", path=str(self._path))
        self._waiting.append(work)
        if self._asleep:
            self._asleep = False  # one ring wakes it for all
            self._bell.put(None)
        if self._drained:  # the thread ended between the lines above
            self._refuse_the_rest()

    def _run(self) -> None:
        while True:
            if self._waiting:
                with self._turn:
                    batch = self._take()
                    results = self._commit(batch) if batch else []
                resolve(batch, results)
                with self._turn:
                    self._bound_log()
            elif self._closed:
                break
            else:
                self._sleep()
                if self._log_frames >= self._log_frames_due:
                    with self._turn:
                        self._bound_log()
        self._drained = True
        self._refuse_the_rest()
        with self._turn:
            close_connection(self._connection, keeps_log=self._guard.condemned is not None)

    def _take(self) -> list[Work]:
        """Take what waits; only the holder of the turn does, so that nobody overtakes what was taken."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(len(waiting), BATCH_MAX))]

    def _sleep(self) -> None:
        self._asleep = True
        # Whoever put work or closed before it saw us asleep did not ring.
        if not self._waiting and not self._closed:
            self._bell.get()
        self._asleep = False

    def _note_log(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        if frames < self._log_frames:  # it was begun anew
            self._log_frames_due = self._log_frames_min
        self._log_frames = frames
        return apsw.SQLITE_OK

    def _bound_log(self) -> None:
        """Copy the end of a long log back, between two transactions, so that the next one begins it anew.

        Housekeeping copies beside the writer and so never reaches the end while writes go on without a pause; but only
        a log that was copied to its end is begun anew. Here nothing is added meanwhile. It is done as soon as
        housekeeping has left little to do, because a file that no longer grows is flushed in half the time.
        """
        if self._log_frames < self._log_frames_due or self._guard.condemned is not None:
            return
        if self._log_frames < self._log_frames_limit and is_shipped(self._path.parent):
            # Whoever ships it has it begin anew; while nobody does, its commits are kept for as long as they may be.
            self._log_frames_due = self._log_frames_limit
            return
        with contextlib.suppress(apsw.Error):  # somebody else copies, or the disk is full: later
            frames, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            if frames - copied > _FEW_FRAMES and frames < self._log_frames_max:
                return
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        # Where a reader keeps the log, trying again after every commit would only cost time.
        self._log_frames_due = self._log_frames + self._log_frames_max // 4

    def _refuse_the_rest(self) -> None:
        """Work that slipped in behind the close is told so instead of waiting for ever."""
        rest: list[Work] = []
        with contextlib.suppress(IndexError):
            while True:
                rest.append(self._waiting.popleft())
        if rest:
            error = StoreClosed("the store was closed before this write began", path=str(self._path))
            resolve(rest, [error] * len(rest))

    def _commit(self, batch: list[Work], *, guarded: bool = False) -> list[Any]:
        """Run a batch; each place of the result holds what the operation returned or the exception it ended in."""
        begun_s = time.perf_counter()
        try:
            results = self._transaction(batch, guarded=guarded)
        except BaseException as error:  # noqa: BLE001  it belongs to the callers, and this thread must go on
            if len(batch) > 1 and not guarded and _is_of_one_piece(error):
                return self._commit(batch, guarded=True)
            told = translate(error, "write", self._path) if isinstance(error, apsw.Error) else error
            self._note_failure(told, begun_s, batch)
            return [told] * len(batch)
        if guarded:
            batch = self._sort_out(batch, results, begun_s)
            if not batch:
                return results
        self.commits += 1
        self.operations += len(batch)
        if self._journal is not None:
            duration_s = time.perf_counter() - begun_s
            self._journal.committed(
                self._session.seq, self._session.ts_us, duration_s, batch, full=self._synchronous_full
            )
        return results

    def _sort_out(self, batch: list[Work], results: list[Any], begun_s: float) -> list[Work]:
        """Note what failed alone; return what was committed."""
        committed: list[Work] = []
        for work, result in zip(batch, results, strict=True):
            if isinstance(result, _Failed):
                self._note_failure(result.error, begun_s, [work])
            else:
                committed.append(work)
        results[:] = [result.error if isinstance(result, _Failed) else result for result in results]
        return committed

    def _note_failure(self, error: BaseException, begun_s: float, batch: list[Work]) -> None:
        if self._journal is not None:
            duration_s = time.perf_counter() - begun_s
            self._journal.failed(error, duration_s, batch, full=self._synchronous_full)

    def _transaction(self, batch: list[Work], *, guarded: bool) -> list[Any]:
        session, connection = self._session, self._connection
        self.files.check()
        full = any(work[-1] for work in batch)
        if connection.in_transaction:  # a signal's exception cut a rollback short
            connection.execute("ROLLBACK")
        try:
            if full is not self._synchronous_full:
                connection.execute("PRAGMA synchronous = FULL" if full else "PRAGMA synchronous = NORMAL")
                self._synchronous_full = full
            connection.execute("BEGIN IMMEDIATE")
            session.begin()
            if guarded:
                results = [self._run_guarded(work) for work in batch]
                batch = [
                    work
                    for work, result in zip(batch, results, strict=True)
                    if not isinstance(result, _Failed)
                ]
                if not batch:  # nothing is left to commit
                    session.forget()
                    connection.execute("ROLLBACK")
                    return results
            else:
                results = [operation(session, *arguments) for operation, arguments, _, _, _ in batch]
            session.finish()
            connection.execute("COMMIT")
            self.files.confirm(session.seq, session.ts_us)
            self.log.note(session, batch)
        except BaseException as error:
            session.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, apsw.Error) and not isinstance(error, apsw.ConstraintError):
                raise translate(error, "write", self._path) from error
            raise
        return results

    def _run_guarded(self, work: Work) -> Any:
        """Run a piece of a batch that has failed once, so that it takes nobody else with it.

        That costs half as much again as running it bare, but each piece a commit of its own would cost a flush each,
        and whoever repeats one wrong call would slow down all others.
        """
        session, connection = self._session, self._connection
        operation, arguments, *_ = work
        connection.execute("SAVEPOINT piece")
        try:
            result = operation(session, *arguments)
            session.settle()
        except BaseException as error:
            told = translate(error, "write", self._path) if isinstance(error, apsw.Error) else error
            if not _is_of_one_piece(told) or not connection.in_transaction:
                raise
            session.undo()
            connection.execute("ROLLBACK TO piece")
            result = _Failed(told)
        connection.execute("RELEASE piece")
        return result


class _Failed:
    """The result of a piece that failed, told from one that returns an exception."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _is_of_one_piece(error: BaseException) -> bool:
    """Whether an error comes from what a caller gave rather than from the store, the disk or the lock.

    A bare StoreError is a statement that SQLite would not run: it says nothing about the other pieces.
    """
    return not isinstance(error, StoreError) or type(error) is StoreError
