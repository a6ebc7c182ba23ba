"""The analytical session of a store: one locked-down DuckDB, one Arrow copy of the hot rows, one file verifier."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybridstore.analytics.result import Result
from hybridstore.analytics.snapshot import Snapshot
from hybridstore.archive.layout import ARCHIVES
from hybridstore.archive.reading import FileVerifier
from hybridstore.durable import make_directories
from hybridstore.errors import StoreClosed
from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.snapshot import open_snapshot
from hybridstore.named_sql import load_named_sql

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from hybridstore.hot.balances import Moment
    from hybridstore.hot.database import DatabaseManager

MEMORY_LIMIT = "2GiB"
"""What a query may use before it spills to <root>/cache."""


class Analytics:
    """Questions over all tiers. Safe in several threads: each question has a DuckDB connection of its own.

    Args:
        database: The open store.
        memory_limit: What DuckDB may use, for example "2GiB".
    """

    def __init__(self, database: DatabaseManager, *, memory_limit: str = MEMORY_LIMIT) -> None:
        self._database = database
        self._memory_limit = memory_limit
        self._copy = ArrowCopy(database.statements)
        self._verifier = FileVerifier(database.root)
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._lock = threading.Lock()
        self._closed = False

    def sql(
        self, query: str, *, params: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Result:
        """Ask one question in a snapshot of its own; the store's read transaction ends before the query runs.

        Args:
            query: A SELECT or EXPLAIN over datasets, in DuckDB's SQL; parameters as ``$name``.
            params: The parameters by name.
            timeout_s: Cancel it after this many seconds.

        Returns:
            The answer.

        Raises:
            QueryRefused: It is no SELECT or EXPLAIN over datasets.
            QueryFailed: It is wrong.
            QueryTimeout: It ran out of its time or memory, or was cancelled.
            ArchiveCorrupt: A file it needs is missing or changed.
        """
        with self._connection() as connection:
            with open_snapshot(self._database, self._copy) as hot:
                snapshot = Snapshot(hot, self._database.registry, self._verifier, connection)
                snapshot.prepare(query)
            return snapshot.ask(query, params=params, timeout_s=timeout_s)

    def scan(
        self,
        dataset: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        symbol: str | None = None,
        account: str | None = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset as a polars LazyFrame, in a snapshot of its own.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.

        Returns:
            The rows; filters and projections are pushed down into the files.
        """
        with self.snapshot() as snapshot:
            return snapshot.scan(dataset, start=start, end=end, symbol=symbol, account=account)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Hold one moment over several questions.

        Yields:
            The snapshot. It ends by itself at the store's ``reader_max_age_s``.
        """
        with self._connection() as connection, open_snapshot(self._database, self._copy) as hot:
            yield Snapshot(hot, self._database.registry, self._verifier, connection)

    def cancel(self) -> int:
        """Stop every question that is running, from another thread.

        Returns:
            How many were told to stop.
        """
        running = tuple(self._running)
        for connection in running:
            connection.interrupt()
        return len(running)

    def close(self) -> None:
        """Stop what is running and free DuckDB's memory."""
        self.cancel()
        with self._lock:
            self._closed = True
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            if self._closed:
                raise StoreClosed("the store is closed", path=str(self._database.path))
            if self._engine is None:
                self._engine = self._start()
            connection = self._engine.cursor()
        self._running.add(connection)
        try:
            yield connection
        finally:
            self._running.discard(connection)
            connection.close()

    def _start(self) -> duckdb.DuckDBPyConnection:
        """Start DuckDB and lock it down: no file but the archives', no extension, no Python variable, no setting."""
        import duckdb

        archives, cache = self._database.root / ARCHIVES, self._database.root / "cache"
        make_directories(archives)
        make_directories(cache)
        engine = duckdb.connect(":memory:")
        settings = {
            "TimeZone": "UTC",
            "memory_limit": self._memory_limit,
            "threads": os.cpu_count() or 1,
            "temp_directory": cache.as_posix(),
            "enable_progress_bar": False,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allowed_directories": [archives.as_posix()],
            "enable_external_access": False,
        }
        for statement in load_named_sql("hybridstore.analytics", "macros.sql").values():
            engine.execute(statement)
        for name, value in settings.items():
            engine.execute(f"SET {name} = $value", {"value": value})
        engine.execute("SET lock_configuration = true")
        return engine
