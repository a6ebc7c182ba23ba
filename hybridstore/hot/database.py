"""DatabaseManager: opens the hot store, keeps its writer, readers and housekeeping, closes them again."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hybridstore.clock import Clock, SystemClock
from hybridstore.config import DatabaseConfig, load_settings
from hybridstore.durable import fsync_directory
from hybridstore.errors import HybridStoreError, StorageFull, StoreClosed
from hybridstore.hot.bootstrap import bootstrap
from hybridstore.hot.folder import ReserveFile, make_private_file, make_private_root, refuse_restoring
from hybridstore.hot.foreign_sqlite import Identity, one_at_a_time, protect, unprotect
from hybridstore.hot.guard_report import GuardReport
from hybridstore.hot.guards import ProcessGuard
from hybridstore.hot.housekeeping import Housekeeping
from hybridstore.hot.journal import Journal
from hybridstore.hot.known import Lookup
from hybridstore.hot.lookout import Lookout
from hybridstore.hot.pool import ReaderPool
from hybridstore.hot.result_cache import ResultCache
from hybridstore.hot.session import WriteSession
from hybridstore.hot.watermark import Loss
from hybridstore.hot.writer import Writer
from hybridstore.named_sql import load_named_sql
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.feed import feed_statements
from hybridstore.schema.registry import Registry
from hybridstore.schema.sqlite import statements as dataset_statements
from hybridstore.schema.sqlite import tiering_statements

_MARK_BYTES = 16
_MIB = 1 << 20


class DatabaseManager:
    """The hot store of one process: one writer thread, a pool of readers, one housekeeping thread.

    Args:
        config: Settings; None reads the configuration file and the environment (see :mod:`hybridstore.config`).
            What is assigned to them later takes effect where it can (see DatabaseConfig).
        clock: Where the time comes from.
        datasets: The user's own datasets beside the built-in ones.

    Attributes:
        config: The settings in use.
        clock: Where the time comes from.
        registry: Every dataset the store knows.
        statements: The named SQL of the hot path, with the generated statements of every dataset.
        archive_lookup: Finds rows in archived files; whoever puts the rooms together sets it (see store.py).
    """

    def __init__(
        self,
        config: DatabaseConfig | None = None,
        *,
        clock: Clock | None = None,
        datasets: Iterable[Dataset] = (),
    ) -> None:
        config = config or load_settings().database
        # Absolute, so that the store stays where it is when the program changes its folder or its environment.
        self.config = config.taken_by_store(config.path.absolute())
        self.clock: Clock = clock or SystemClock()
        self.registry = Registry(datasets)
        self.statements: dict[str, str] = {
            **load_named_sql("hybridstore.hot"),
            **load_named_sql("hybridstore.hot", "tiering.sql"),
            **load_named_sql("hybridstore.hot", "feed.sql"),
        }
        self.adopt(self.registry)
        self.archive_lookup: Lookup | None = None
        self._writer: Writer | None = None
        self._readers: ReaderPool | None = None
        self._cache: ResultCache | None = None
        self._housekeeping: Housekeeping | None = None
        self._lookout: Lookout | None = None
        self._protection: Identity | None = None
        self._journal: Journal | None = None
        self._reserve = ReserveFile(self.root, self.config.reserve_mb)
        self._guard: ProcessGuard | None = None
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        """The hot database."""
        return self.config.path

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.config.root

    @property
    def writer(self) -> Writer:
        """The writer; raises StoreClosed unless the store is open."""
        if self._writer is None:
            raise self._closed_error()
        return self._writer

    @property
    def readers(self) -> ReaderPool:
        """The readers; raises StoreClosed unless the store is open."""
        if self._readers is None:
            raise self._closed_error()
        return self._readers

    @property
    def cache(self) -> ResultCache:
        """Results of repeated queries; raises StoreClosed unless the store is open."""
        if self._cache is None:
            raise self._closed_error()
        return self._cache

    @property
    def is_open(self) -> bool:
        """Whether the store is open."""
        return self._writer is not None

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child, and connections, locks and threads are the parent's."""
        return self._guard is not None and not self._guard.is_ours()

    def adopt(self, registry: Registry) -> None:
        """Use another set of datasets, and their generated statements.

        Args:
            registry: The datasets.
        """
        self.registry = registry
        for dataset in registry.values():
            self.statements.update(dataset_statements(dataset))
            self.statements.update(feed_statements(dataset))
        for dataset in registry.tiered:
            self.statements.update(tiering_statements(dataset))

    def open(self) -> None:
        """Open the store, creating its folder and database where they are missing. A second call does nothing.

        Raises:
            StorageFailure: The folder or file cannot be created or opened.
            StorageFull: Not even the reserve was enough to open a store on a full disk.
        """
        with self._lock:
            if self._writer is None:
                self._open()

    def _open(self) -> None:
        make_private_root(self.root)
        refuse_restoring(self.root)
        with one_at_a_time():
            created = make_private_file(self.path)
            protection = protect(self.path)
        try:
            self._bootstrap(created=created)
        except BaseException:
            unprotect(protection)
            raise
        self._guard, self._protection = ProcessGuard(self.path), protection
        atexit.register(self.shutdown)
        try:
            if self.config.enable_logs:
                self._journal = Journal(self.config, self.clock, self.statements, self._figures)
            self._writer = Writer(self.config, self._guard, self._session, self._journal)
            self._readers = ReaderPool(self.config, self._guard, self._journal, self._writer.files)
            self._cache = ResultCache(
                self.config, self._readers, self._writer.log, self.statements["commit_position"]
            )
            self._lookout = Lookout(
                self.config,
                self.clock,
                self._guard,
                self._writer.files,
                self._readers,
                self.statements["commit_identity"],
            )
            self._housekeeping = Housekeeping(self.config, self._readers, self._lookout)
        except BaseException:
            self.shutdown()
            raise
        self._reserve.keep()

    def shutdown(self) -> None:
        """Commit what is queued and close everything. A second call does nothing.

        In a forked child it does nothing either: connections, locks and threads are the parent's.
        """
        if self._guard is None or self.is_inherited:
            return
        with self._lock:
            figures, journal = self._figures(), self._journal
            writer, readers, housekeeping = self._writer, self._readers, self._housekeeping
            self._writer = self._readers = self._housekeeping = self._lookout = None
            self._cache = self._journal = None
            atexit.unregister(self.shutdown)
            protection, self._protection = self._protection, None
            # They close from the end to the beginning; one that raises keeps none of the others open.
            with ExitStack() as closing:
                if journal is not None:
                    closing.callback(journal.close, figures)
                if protection is not None:
                    closing.callback(unprotect, protection)
                for part in (readers, housekeeping, writer):  # the last look comes after the last commit
                    if part is not None:
                        closing.callback(part.close)

    async def initialize(self) -> None:
        """Open the store without holding up the event loop."""
        await asyncio.to_thread(self.open)

    async def close(self) -> None:
        """Close the store without holding up the event loop."""
        await asyncio.to_thread(self.shutdown)

    def statistics(self) -> dict[str, Any]:
        """Return the hot store's figures.

        Returns:
            database_size_mb, wal_size_mb, commits, operations, connection_pool (see ReaderPool.statistics), guards
            (see :meth:`guards`), warnings (sentences for the operator, one for each guard that is not ok).
        """
        writer, readers = self.writer, self.readers
        wal_size_bytes = self._wal_size_bytes()
        guards = self.guards()
        warnings = [report.sentence() for report in guards if report.state != "ok"]
        if self._journal is not None:
            warnings.extend(self._journal.warnings())
        return {
            "database_size_mb": round(self.path.stat().st_size / _MIB, 3),
            "wal_size_mb": round(wal_size_bytes / _MIB, 3),
            "commits": writer.commits,
            "operations": writer.operations,
            "connection_pool": readers.statistics(),
            "guards": [report.to_dict() for report in guards],
            "warnings": warnings,
        }

    def guards(self) -> list[GuardReport]:
        """Say how everything stands that must hold for the store to be trusted.

        It never raises for what a guard found: in a forked child and after the files were replaced it says so.

        Returns:
            At least one report of each guard, see GuardReport; in a forked child only that of the process.

        Raises:
            StoreClosed: The store is not open.
        """
        lookout = self._lookout
        if lookout is None:
            raise self._closed_error()
        return lookout.reports(self._wal_size_bytes())

    def accept_loss(self) -> tuple[Loss, ...]:
        """Accept that the store does not hold what it had held, and stop telling of it.

        Returns:
            The losses that were accepted, oldest first; empty where there was none.

        Raises:
            StoreClosed: The store is not open.
        """
        lookout = self._lookout
        if lookout is None:
            raise self._closed_error()
        return lookout.accept_loss()

    def note_query(self, sql: str, duration_s: float, rows: int) -> None:
        """Write a question over all tiers to the performance log, if it was slow.

        Args:
            sql: The question.
            duration_s: How long it took.
            rows: How many rows it gave.
        """
        journal = self._journal
        if journal is not None and duration_s >= journal.slow_s:
            journal.slow("slow_query", sql, duration_s, rows)

    def _wal_size_bytes(self) -> int:
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:  # there is none, or the file is gone: then the writer says so
            return 0

    def _figures(self) -> dict[str, Any]:
        """Return what a summary of the logs says beside the commits."""
        readers, cache = self._readers, self._cache
        if readers is None or cache is None:
            return {}
        wal_size_mb = round(self._wal_size_bytes() / _MIB, 3)
        return {
            "wal_size_mb": wal_size_mb,
            "connection_pool": readers.statistics(),
            "cache": cache.statistics(),
        }

    def _session(self, connection: Any) -> WriteSession:
        return WriteSession(connection, self.clock, self.statements)

    def _bootstrap(self, *, created: bool) -> None:
        try:
            bootstrap(self.config, self.statements)
        except StorageFull:
            if not self._reserve.release():
                raise
            bootstrap(self.config, self.statements)
        except HybridStoreError:
            # Another process may have opened it meanwhile: what it wrote is not this one's to delete.
            if created and self.path.exists() and not self.path.stat().st_size:
                self.path.unlink(missing_ok=True)
            raise
        if created:
            fsync_directory(self.root)

    def _closed_error(self) -> StoreClosed:
        return StoreClosed(
            "the store is not open",
            path=str(self.path),
            hint="call open() or initialize(), or use it in a with block",
        )
