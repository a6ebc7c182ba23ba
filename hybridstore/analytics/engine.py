"""The DuckDB of one store: in memory, locked down, with a limit on memory and time.

It never touches the hot database (another SQLite library in the process would end the locks of the first) and can
open nothing but the store's archives. What may be asked at all is decided before, by :mod:`hybridstore.analytics.gate`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from hybridstore.analytics.watch import Watcher
from hybridstore.archive.layout import ARCHIVES
from hybridstore.durable import make_directories
from hybridstore.errors import HybridStoreError, QueryFailed, QueryRefused, QueryTimeout, StoreClosed
from hybridstore.named_sql import load_named_sql
from hybridstore.schema.sqlite import quote_text

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_LIMIT = "2GiB"
CACHE = "cache"
_CLOSE_WAIT_S = 10.0


class Engine:
    """One DuckDB instance. Cursors of it run side by side.

    Args:
        root: The store's folder.
        memory_limit: What all questions together may take, as DuckDB writes it.
        threads: Threads to use; None means one a core.
    """

    def __init__(self, root: Path, *, memory_limit: str = MEMORY_LIMIT, threads: int | None = None) -> None:
        self._root = root
        self._process = os.getpid()
        for folder in (ARCHIVES, CACHE):
            make_directories(root / folder)
        self._watcher = Watcher()
        self._changed = threading.Condition()
        self._lent = 0
        self._closed = False
        limits = {} if threads is None else {"threads": str(int(threads))}
        self._limits = {**limits, "memory_limit": quote_text(memory_limit)}
        self._connection = self._connect({**self._settings([root / ARCHIVES]), "lock_configuration": "true"})

    def _connect(self, settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:")
        try:
            for macro in load_named_sql(__package__, "macros.sql").values():
                connection.execute(macro)
            for setting, value in settings.items():
                # Without GLOBAL a cursor would keep the default of some: the machine's time zone, for one.
                connection.execute(f"SET GLOBAL {setting} = {value}")
        except BaseException:
            connection.close()
            raise
        return connection

    def separate(self, folders: Iterable[Path]) -> duckdb.DuckDBPyConnection:
        """Open another DuckDB with the same limits, for somebody's own use: it may have tables, views and settings.

        Args:
            folders: What it may read and write beside the archives; everything else is closed to it for good.

        Returns:
            Its connection; whoever asked for it closes it.
        """
        return self._connect(self._settings([self._root / ARCHIVES, *folders]))

    def _settings(self, folders: Iterable[Path]) -> dict[str, str]:
        """Return the settings in the order to make them: without external access, no folder can be added."""
        allowed = ", ".join(quote_text(folder.as_posix()) for folder in folders)
        return {
            **self._limits,
            "TimeZone": "'UTC'",
            "parquet_metadata_cache": "true",  # an archived file never changes
            "arrow_lossless_conversion": "false",  # sums of integers as decimals instead of opaque bytes
            "python_enable_replacements": "false",  # a variable of the caller is no table
            "python_scan_all_frames": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            "temp_directory": quote_text((self._root / CACHE).as_posix()),
            "allowed_directories": f"[{allowed}]",
            "enable_external_access": "false",
        }

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor for one question: its temporary views are its own.

        Yields:
            The cursor; it is closed when the block ends.
        """
        with self._changed:
            if self._closed:
                raise StoreClosed("the store is closed", path=str(self._root))
            cursor = self._connection.cursor()
            self._lent += 1
        try:
            yield cursor
        finally:
            cursor.close()
            with self._changed:
                self._lent -= 1
                self._changed.notify_all()

    def run(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        """Run a statement of the session's own.

        Args:
            cursor: Where.
            sql: What.

        Raises:
            QueryError: It failed.
        """
        try:
            cursor.execute(sql)
        except duckdb.Error as error:
            raise translate(error) from error

    def fetch(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        parameters: Mapping[str, object],
        timeout_s: float | None,
    ) -> pa.Table:
        """Run a question and fetch all of its answer.

        Args:
            cursor: Where.
            sql: What.
            parameters: By name.
            timeout_s: After how many seconds to give up; None means never.

        Returns:
            The answer.

        Raises:
            QueryError: It failed, ran out of time or memory, or was cancelled.
        """
        watched = self._watcher.add(cursor, timeout_s)
        try:
            answer: pa.Table = cursor.sql(sql, params=dict(parameters) or None).to_arrow_table()
        except duckdb.Error as error:
            raise translate(error, watched.reason) from error
        else:
            return answer
        finally:
            self._watcher.remove(watched)

    def cancel(self) -> int:
        """Cancel every question that is running.

        Returns:
            How many there were.
        """
        return self._watcher.cancel("the question was cancelled")

    def close(self) -> None:
        """Cancel what is running and close. A second call does nothing.

        In a forked child it does nothing either: the engine is the parent's, and so are its threads.
        """
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closed = True
        self._watcher.stop("the store was closed")
        with self._changed:
            # The engine refuses to close while a cursor is at work; one that cannot be stopped is left to itself.
            if self._changed.wait_for(lambda: not self._lent, _CLOSE_WAIT_S):
                self._connection.close()


def translate(error: Exception, interrupted: str | None = None) -> HybridStoreError:
    """Turn an error of the engine into ours.

    Args:
        error: What the engine raised.
        interrupted: Why the question was interrupted, if it was.

    Returns:
        The error to raise.
    """
    text = str(error)
    if interrupted is not None:
        return QueryTimeout(
            interrupted, operation="answer a question", hint="narrow it, or give a larger timeout_s"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryTimeout(
            f"the question needs more memory than it may take: {text.partition(chr(10))[0]}",
            operation="answer a question",
            hint="narrow it, or raise the memory limit",
        )
    if isinstance(error, duckdb.InterruptException):
        return QueryTimeout("the question was cancelled", operation="answer a question")
    if isinstance(error, duckdb.PermissionException):
        return QueryRefused(text, hint="a question reads the store's datasets and nothing else")
    if isinstance(error, duckdb.OutOfRangeException) and "multiplication" in text:
        hint = "multiply exactly with dmul(a, b), or widen one factor: price::DECIMAL(38, 8) * amount"
        return QueryFailed(text, operation="answer a question", hint=hint)
    return QueryFailed(text, operation="answer a question", hint="datasets and columns: see docs/datasets.md")
