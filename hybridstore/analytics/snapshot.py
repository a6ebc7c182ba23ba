"""Questions to one moment of the store: verified files of the manifest and hot rows, each row exactly once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybridstore.analytics.gate import admit
from hybridstore.analytics.result import Result
from hybridstore.archive.manifest import ArchiveFile, prune, split
from hybridstore.archive.reading import FileVerifier
from hybridstore.errors import ArchiveCorrupt, HybridStoreError, InvalidValue, QueryFailed, QueryTimeout
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.duckdb import view_select
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import check_timestamp, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import polars as pl

    from hybridstore.hot.balances import Moment


class Snapshot:
    """One moment over several questions.

    Args:
        hot: The read transaction with manifest and hot rows.
        registry: The datasets there are.
        verifier: Checks files before their first use.
        connection: A DuckDB connection of this snapshot's own.
    """

    def __init__(
        self,
        hot: HotSnapshot,
        registry: Registry,
        verifier: FileVerifier,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        self._hot = hot
        self._registry = registry
        self._verifier = verifier
        self._connection = connection
        self._views: set[str] = set()

    @property
    def seq(self) -> int:
        """Number of the last commit this snapshot sees."""
        return self._hot.seq

    @property
    def ts_us(self) -> int:
        """Time of that commit, us UTC."""
        return self._hot.ts_us

    def prepare(self, query: str) -> None:
        """Check a query and read what it needs of the hot store, so that the read transaction may end.

        Args:
            query: A SELECT or EXPLAIN over datasets.

        Raises:
            QueryRefused: It is something else.
            UnknownDataset: It names a dataset that does not exist.
            ArchiveCorrupt: A file it needs is missing or changed.
        """
        for name in admit(self._connection, query, self._registry).datasets:
            if name not in self._views:
                self._create_view(self._registry[name])
                self._views.add(name)

    def sql(self, query: str, /, **params: object) -> Result:
        """Ask one question.

        Args:
            query: A SELECT or EXPLAIN over datasets, in DuckDB's SQL; parameters as ``$name``.
            **params: The parameters.

        Returns:
            The answer; for what is raised see :meth:`ask`.
        """
        return self.ask(query, params=params)

    def ask(
        self, query: str, *, params: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Result:
        """Ask one question with a time limit.

        Args:
            query: A SELECT or EXPLAIN over datasets, in DuckDB's SQL; parameters as ``$name``.
            params: The parameters by name.
            timeout_s: Cancel it after this many seconds.

        Returns:
            The answer.

        Raises:
            QueryRefused: It is no SELECT or EXPLAIN over datasets.
            QueryFailed: It is wrong.
            QueryTimeout: It ran out of its time or memory.
            ArchiveCorrupt: A file it needs is missing or changed.
        """
        self.prepare(query)
        with _translated(query), _deadline(self._connection, timeout_s):
            return Result(
                self._connection.sql(query, params=dict(params) if params else None).to_arrow_table()
            )

    def scan(
        self,
        dataset: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        symbol: str | None = None,
        account: str | None = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset as a polars LazyFrame; files that cannot hold any are not opened.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.

        Returns:
            The rows; filters and projections are pushed down into the files.

        Raises:
            InvalidValue: A bound is given for a column that the dataset does not have.
        """
        import polars as pl

        declaration = self._registry[dataset]
        start_us = None if start is None else check_timestamp(start, "start")
        end_us = None if end is None else check_timestamp(end, "end")
        complete, publishing = split(
            prune(self._files(declaration), start_us=start_us, end_us=end_us, symbol=symbol)
        )
        columns = list(declaration.stored_names)
        frames: list[pl.LazyFrame] = []
        if complete:
            paths: Sequence[str] = self._verifier.paths(complete)
            frames.append(pl.scan_parquet(list(paths), hive_partitioning=False).select(columns))
        for file in publishing:
            frame = pl.scan_parquet(self._verifier.check(file), hive_partitioning=False).select(columns)
            frames.append(frame.filter(pl.col(ROW_ID) <= file.visible_through))
        hot = pl.from_arrow(self._hot.rows(declaration))
        assert isinstance(hot, pl.DataFrame)
        frames.append(hot.lazy().select(columns))
        return pl.concat(frames, how="vertical").filter(
            *_filters(declaration, start_us=start_us, end_us=end_us, symbol=symbol, account=account)
        )

    def _files(self, dataset: Dataset) -> list[ArchiveFile]:
        return [ArchiveFile.from_row(row) for row in self._hot.manifest(dataset)]

    def _create_view(self, dataset: Dataset) -> None:
        complete, publishing = split(self._files(dataset))
        hot_name = f"hot rows of {dataset.name}"
        self._connection.register(hot_name, self._hot.rows(dataset))
        select = view_select(
            dataset,
            self._verifier.paths(complete),
            [(self._verifier.check(file).as_posix(), file.visible_through or 0) for file in publishing],
            hot_name,
        )
        self._connection.execute(f'CREATE OR REPLACE TEMP VIEW "{dataset.name}" AS {select}')


def _filters(
    dataset: Dataset, *, start_us: int | None, end_us: int | None, symbol: str | None, account: str | None
) -> list[pl.Expr]:
    import polars as pl

    filters: list[pl.Expr] = []
    if start_us is not None or end_us is not None:
        if dataset.tiering is None:
            raise InvalidValue(f"dataset {dataset.name} has no time to bound", hint="leave start and end out")
        time = pl.col(dataset.tiering.time)
        if start_us is not None:
            filters.append(time >= moment(start_us))
        if end_us is not None:
            filters.append(time < moment(end_us))
    for name, wanted in (("symbol", symbol), ("account", account)):
        if wanted is not None:
            column = (
                (dataset.tiering.symbol if dataset.tiering else None) or name if name == "symbol" else name
            )
            filters.append(pl.col(dataset.column(column).name) == wanted)
    return filters or [pl.lit(value=True)]


@contextmanager
def _deadline(connection: duckdb.DuckDBPyConnection, timeout_s: float | None) -> Iterator[None]:
    if timeout_s is None:
        yield
        return
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _translated(query: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _translate(error, query) from error


def _translate(error: duckdb.Error, query: str) -> HybridStoreError:
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return QueryTimeout(
            "cancelled, or out of time", operation="query", hint="narrow the time range, or allow more"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryTimeout(
            str(error), operation="query", hint="aggregate more, or raise the session's memory limit"
        )
    if isinstance(error, duckdb.IOException):
        return ArchiveCorrupt(str(error), operation="query", hint="run: hybridstore status")
    return QueryFailed(
        str(error), operation=f"query {query[:80]!r}", hint="datasets and columns: see docs/datasets.md"
    )
