"""Questions over every tier of a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybridstore.analytics.engine import Engine
from hybridstore.analytics.exporting import HiveFolder, export_rows, write_hive
from hybridstore.analytics.handing_out import Moment, show_in, write_moment
from hybridstore.analytics.kept_results import KeptResults
from hybridstore.analytics.snapshot import Snapshot
from hybridstore.archive.leases import LEASES, Lease, take_lease
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US
from hybridstore.durable import write_error
from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.earlier import EarlierSnapshot
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.schema.types import check_timestamp
from hybridstore.sections import AnalyticsConfig

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from hybridstore.analytics.result import Result

SCAN_DAYS_MAX = 7.0
"""How long a LazyFrame can be collected."""
LEASE_DAYS_MAX = 366.0
_RENEW_S = 86_400.0


class Analytics:
    """Questions over hot rows and archives of one store. Safe in several threads.

    Args:
        database: The open store.
        settings: Limits of memory, threads and time, and what of results is kept.
    """

    def __init__(self, database: DatabaseManager, settings: AnalyticsConfig | None = None) -> None:
        settings = settings or AnalyticsConfig()
        root = database.root.absolute()
        self._database = database
        self._timeout_s = settings.timeout_s or None
        self._engine = Engine(
            root, memory_limit=f"{settings.memory_limit_mb}MiB", threads=settings.threads or None
        )
        self._kept = KeptResults(root, settings.result_cache_mb << 20, settings.result_cache_from_ms / 1000)
        self._none_kept = KeptResults(root, 0, 0)
        self._verifier = FileVerifier(root)
        self._copy = ArrowCopy(database.statements)
        self._leases: list[Lease] = []
        self._leased_s = 0.0
        self._leasing = threading.Lock()
        self._connections: list[duckdb.DuckDBPyConnection] = []

    def sql(
        self,
        query: str,
        *,
        params: Mapping[str, object] | None = None,
        timeout_s: float | None = None,
        as_known_at: object = None,
    ) -> Result:
        """Ask one SQL question over every tier, in one snapshot.

        Args:
            query: A SELECT over datasets by name, in DuckDB's SQL; parameters as ``$name``.
            params: The parameters by name.
            timeout_s: After how many seconds to give up; None means the store's own limit.
            as_known_at: As the store knew things then; see :meth:`snapshot`.

        Returns:
            The answer.

        Raises:
            QueryRefused: It is no SELECT or EXPLAIN, or reaches outside the store.
            QueryFailed: It is wrong.
            QueryTimeout: It was cancelled or ran out of time or memory.
            ArchiveCorrupt: An archived file it needs is missing or changed.
        """
        with self.snapshot(as_known_at=as_known_at) as snapshot:
            return snapshot.ask_last(query, params=params, timeout_s=timeout_s)

    def scan(
        self,
        dataset: str,
        *,
        start: object = None,
        end: object = None,
        symbol: str | None = None,
        account: str | None = None,
        columns: Sequence[str] | None = None,
        as_known_at: object = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset over every tier as a polars LazyFrame.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time: an aware datetime, ISO 8601 text with a zone, or
                microseconds.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.
            columns: Only these columns; None means all.
            as_known_at: As the store knew things then; see :meth:`snapshot`.

        Returns:
            The rows, in no particular order; filters and projections are pushed down into the files. They can be
            collected for a week, or until the store is closed; their files stay that long.
        """
        with self.snapshot(as_known_at=as_known_at) as snapshot:
            self._keep_files(snapshot.seq, snapshot.archived_seq(dataset))
            return snapshot.scan(
                dataset, start=start, end=end, symbol=symbol, account=account, columns=columns
            )

    def snapshot(self, *, as_known_at: object = None, anew: bool = False) -> Snapshot:
        """Hold one moment over several questions.

        Args:
            as_known_at: An earlier moment: an aware datetime, ISO 8601 text with a zone, microseconds, or seconds as
                ``time.time()`` gives them. Rows are those that were committed up to then, in the versions of then.
                None means the present.
            anew: Whether every answer is computed from the rows, also one that was kept: a proof trusts no answer of
                before.

        Returns:
            A context manager that gives the snapshot. As known at an earlier moment, entering it raises InvalidValue
            where that has not come yet. A question raises InvalidValue about a dataset that keeps no history, and
            NotFound about one of which rows were deleted or erased since.

        Raises:
            InvalidValue: It is no moment.
        """
        if as_known_at is None:
            hot = HotSnapshot(self._database, self._copy)
        else:
            known_us = check_timestamp(as_known_at, "as_known_at")
            hot = EarlierSnapshot(self._database, self._copy, known_us)
        note = self._database.note_query
        kept = self._none_kept if anew else self._kept
        return Snapshot(
            self._engine, hot, self._verifier, self._database.registry, self._timeout_s, kept, note
        )

    def connect(
        self, *, folders: Iterable[str | Path] = (), as_known_at: object = None
    ) -> duckdb.DuckDBPyConnection:
        """Open a DuckDB of the caller's own that shows every dataset, for magics of notebooks, and for SQL of any kind.

        Args:
            folders: What it may read and write beside the archives: for CSV files, other Parquet files, results.
            as_known_at: As the store knew things then; see :meth:`snapshot`. Datasets without history are left out.

        Returns:
            The connection. It shows the moment of this call, for a week, or until the store is closed, which closes it.
            What is done there changes nothing of the store.
        """
        allowed = [Path(folder).absolute() for folder in folders]
        with self.snapshot(as_known_at=as_known_at) as snapshot:
            connection = self._engine.separate(allowed)
            try:
                self._keep_files(snapshot.seq, show_in(connection, snapshot))
            except BaseException:
                connection.close()
                raise
        with self._leasing:
            self._connections.append(connection)
        return connection

    def write_moment(
        self, folder: str | Path, on_dataset: Callable[[str], None] = lambda _name: None
    ) -> Moment:
        """Write this moment into a folder that a DuckDB of any other process can read, with the SQL it begins with.

        Args:
            folder: A new folder.
            on_dataset: Called with the name of each dataset before it is written.

        Returns:
            What was written: ``duckdb -init FOLDER/init.sql`` shows it.

        Raises:
            ConfigError: The folder is not empty.
            StorageFull: There is no room for it.
        """
        with self.snapshot() as snapshot:
            return write_moment(snapshot, Path(folder), on_dataset)

    def export_rows(self, dataset: str, **wanted: object) -> Result:
        """Return rows of one dataset at this moment, as they happened.

        Args:
            dataset: Its name.
            **wanted: start, end, symbol, account; see :func:`hybridstore.analytics.exporting.export_rows`.

        Returns:
            The rows.

        Raises:
            UnknownDataset: There is no dataset of that name.
            InvalidValue: A moment does not fit, or the dataset has no such column.
        """
        with self.snapshot(anew=True) as snapshot:
            return export_rows(snapshot, self._database.registry, dataset, **wanted)  # type: ignore[arg-type]

    def write_hive(
        self,
        folder: str | Path,
        datasets: Iterable[str] | None = None,
        on_rows: Callable[[str, int], object] = lambda _dataset, _rows: None,
    ) -> HiveFolder:
        """Write this moment as plain Hive-partitioned Parquet that any engine reads.

        Args:
            folder: A new folder.
            datasets: Which; None means all.
            on_rows: Called with a dataset and how many rows of it were written since the last call.

        Returns:
            What was written: ``<dataset>/year=YYYY/month=MM/part-0.parquet``; states in one file.

        Raises:
            ConfigError: The folder is not empty.
            UnknownDataset: There is no dataset of that name.
            StorageFull: There is no room for it.
        """
        with self.snapshot(anew=True) as snapshot:
            return write_hive(snapshot, self._database.registry, Path(folder), datasets, on_rows)

    def lease(self, what: str) -> Lease:
        """Keep every archived file of this moment until the lease is released, or this process ends.

        Args:
            what: What for, in words; the status of the retention tells it.

        Returns:
            The lease, a context manager.

        Raises:
            StorageFull: There is no room for its file.
            StorageFailure: It cannot be written.
        """
        with self.snapshot() as snapshot:
            return self._take(snapshot.seq, what, LEASE_DAYS_MAX)

    def _take(self, seq: int, what: str, days_max: float) -> Lease:
        root = self._database.root
        try:
            return take_lease(root, seq, what, days_max=days_max)
        except OSError as error:
            raise write_error(error, "take a lease", root / LEASES) from error

    def _keep_files(self, seq: int, needed_seq: int) -> None:
        """Hold a lease over what is handed out to be read later.

        Args:
            seq: The moment.
            needed_seq: Commit since which all files handed out count: a lease of before does not cover them.
        """
        with self._leasing:
            is_covered = bool(self._leases) and needed_seq <= self._leases[-1].facts.seq
            if is_covered and time.monotonic() - self._leased_s < _RENEW_S:
                return
            self._leases.append(self._take(seq, "a LazyFrame", SCAN_DAYS_MAX))
            self._leased_s = time.monotonic()
            over_us = self._leases[-1].facts.taken_us - SCAN_DAYS_MAX * DAY_US
            while self._leases[0].facts.taken_us < over_us:  # it counts no more
                self._leases.pop(0).release()

    def cancel(self) -> int:
        """Cancel every question that is running, from another thread; each raises QueryTimeout.

        Returns:
            How many there were.
        """
        return self._engine.cancel()

    def close(self) -> None:
        """Cancel what is running and give all memory back. A second call does nothing."""
        self._engine.close()
        self._copy.forget()
        with self._leasing:
            while self._connections:
                self._connections.pop().close()
            while self._leases:
                self._leases.pop().release()
