"""One moment of the whole store, hot rows and archives together, to ask several questions of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from hybridstore.analytics.engine import Engine
from hybridstore.analytics.gate import QUERIES, Question, admit
from hybridstore.analytics.kept_results import KeptResults, State
from hybridstore.analytics.pruning import wanted_rows
from hybridstore.analytics.result import Result
from hybridstore.analytics.scan import check_bounds, lazy_rows
from hybridstore.analytics.suggesting import column_hint
from hybridstore.archive.manifest import ArchiveFile, prune, split
from hybridstore.archive.reading import FileVerifier
from hybridstore.errors import QueryFailed
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.schema.arrow import numbers_table
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.duckdb import Shown, view_select
from hybridstore.schema.registry import Registry

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

_HOT = "hot rows of {}"
"""Name of the relation with a dataset's hot rows; no question can name it, for it is no dataset."""
_GONE = "rows of {} that do not count"
_LISTED_MAX = 100
"""So many row numbers are compared one by one; more are joined as a relation, which costs what they are."""


class Contents(NamedTuple):
    """What a moment shows of a dataset.

    Attributes:
        dataset: Its declaration.
        files: Its archived files, checked.
        superseded: Rows of them that do not count.
        rows: Its hot rows.
        known_us: Rows of files that were committed later do not count; None: all do.
    """

    dataset: Dataset
    files: list[Shown]
    superseded: tuple[int, ...]
    rows: pa.Table
    known_us: int | None


class Snapshot:
    """A moment, held in a ``with`` block. Questions may be asked from several threads.

    It keeps a read transaction open, which keeps the write-ahead log from shrinking; the store ends it when it grows
    older than ``reader_max_age_s``.

    Args:
        engine: Where questions run.
        hot: The moment of the hot store.
        verifier: Checks archived files before their first use.
        registry: The datasets.
        timeout_s: After how many seconds a question is given up; None means never.
        kept: Results of questions that were asked before.
        note: Called after each question with its text, how long it took, in seconds, and its rows.
    """

    def __init__(
        self,
        engine: Engine,
        hot: HotSnapshot,
        verifier: FileVerifier,
        registry: Registry,
        timeout_s: float | None,
        kept: KeptResults,
        note: Callable[[str, float, int], None] | None = None,
    ) -> None:
        self._engine = engine
        self._hot = hot
        self._verifier = verifier
        self._registry = registry
        self._timeout_s = timeout_s
        self._kept = kept
        self._note = note

    @property
    def seq(self) -> int:
        """Number of the last commit this moment knows of."""
        return self._hot.seq

    @property
    def ts_us(self) -> int:
        """Time of that commit, us UTC."""
        return self._hot.ts_us

    def deleted_until_us(self, dataset: str) -> int:
        """Return before which moment rows of a dataset were deleted by policy.

        Args:
            dataset: Its name.

        Returns:
            us UTC; 0 where none ever were.
        """
        return self._hot.deleted_until_us(dataset)

    def archived_seq(self, dataset: str) -> int:
        """Return since which commit all archived files of a dataset count that do at this moment.

        Args:
            dataset: Its name.

        Returns:
            The commit's number; 0 where there are no files.
        """
        return max((file.created_seq for file in self._files(dataset)), default=0)

    def __enter__(self) -> Self:
        """Fix the moment."""
        self._hot.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the moment go."""
        self._hot.release()

    def sql(self, query: str, /, **params: object) -> Result:
        """Ask one SQL question.

        Args:
            query: A SELECT over datasets by name, in DuckDB's SQL; parameters as ``$name``.
            **params: The parameters.

        Returns:
            The answer; for what is raised see :meth:`ask`.
        """
        return self.ask(query, params=params)

    def ask(
        self, query: str, *, params: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Result:
        """Ask one SQL question with a time limit of its own.

        Args:
            query: A SELECT over datasets by name, in DuckDB's SQL; parameters as ``$name``.
            params: The parameters by name.
            timeout_s: After how many seconds to give up; None means the store's own limit.

        Returns:
            The answer.

        Raises:
            QueryRefused: It is no SELECT or EXPLAIN, or reaches outside the store.
            QueryFailed: It is wrong.
            QueryTimeout: It was cancelled or ran out of time or memory.
            UnknownDataset: It names a table that is no dataset.
            ArchiveCorrupt: An archived file it needs is missing or changed.
        """
        return self._answer(query, params or {}, timeout_s, last=False)

    def ask_last(
        self, query: str, *, params: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Result:
        """Ask the last question: the moment is let go before the question runs, so that it holds up nothing.

        Args:
            query: See :meth:`ask`.
            params: See :meth:`ask`.
            timeout_s: See :meth:`ask`.

        Returns:
            The answer.
        """
        return self._answer(query, params or {}, timeout_s, last=True)

    def _answer(
        self, query: str, params: Mapping[str, object], timeout_s: float | None, *, last: bool
    ) -> Result:
        begun_s = time.perf_counter()
        rows = 0
        try:
            result = self._ask_engine(query, params, timeout_s, last=last)
            rows = len(result)
            return result
        finally:  # a question that was cancelled is a slow one
            if self._note is not None:
                self._note(query, time.perf_counter() - begun_s, rows)

    def _ask_engine(
        self, query: str, params: Mapping[str, object], timeout_s: float | None, *, last: bool
    ) -> Result:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        with self._engine.cursor() as cursor:
            question = admit(cursor, query, self._registry)
            files = {name: self._needed(question, name, params) for name in question.datasets}
            superseded = {name: self._hot.superseded(name) for name in question.datasets}
            states = [
                State(self._registry[name], files[name], superseded[name], self._hot.state(name))
                for name in question.datasets
            ]
            key = self._kept.key(question, params, self._hot.known_us, states)
            kept = None if key is None else self._kept.find(key)
            if kept is not None:
                return Result(kept)
            begun_s = time.perf_counter()
            rows = {name: self._hot.hot(name) for name in question.datasets}
            if last:
                self._hot.release()
            try:
                for name in question.datasets:
                    self._show(cursor, self._registry[name], files[name], superseded[name], rows[name])
                table = self._engine.fetch(cursor, question.sql, params, limit_s)
            except QueryFailed as error:
                # Were a file taken away or changed while it was read, that is the error to raise.
                for name in question.datasets:
                    self._verifier.paths(files[name])
                asked = [self._registry[name] for name in question.datasets]
                error.hint = column_hint(str(error), asked) or error.hint
                raise
            if key is not None:
                self._kept.keep(key, table, time.perf_counter() - begun_s)
        return Result(table)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of all datasets that can be asked about."""
        return self._registry.public

    @property
    def is_earlier(self) -> bool:
        """Whether it is of a moment before the present, so that not every dataset is known."""
        return self._hot.known_us is not None

    def contents(self, dataset: str) -> Contents:
        """Return all that this moment shows of a dataset, to show it elsewhere.

        Args:
            dataset: Its name.

        Returns:
            Its files, which were checked, and its hot rows.
        """
        self._hot.require(dataset, None)
        files = self._files(dataset)
        paths = self._verifier.paths(files)
        shown = [
            Shown(path, file.column_count, file.visible_through)
            for path, file in zip(paths, files, strict=True)
        ]
        declared = self._registry[dataset]
        return Contents(
            declared, shown, tuple(self._hot.superseded(dataset)), self._hot.hot(dataset), self._hot.known_us
        )

    def scan(
        self,
        dataset: str,
        *,
        start: object = None,
        end: object = None,
        symbol: str | None = None,
        account: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """Read rows of a dataset as a polars LazyFrame.

        Args:
            dataset: Its name.
            start: From, inclusive, by the dataset's time: an aware datetime, ISO 8601 text with a zone, or
                microseconds.
            end: To, exclusive.
            symbol: Only this market (or asset).
            account: Only this account.
            columns: Only these columns; None means all.

        Returns:
            The rows, in no particular order; filters and projections are pushed down into the files.
        """
        declared = self._registry[dataset]
        bounds = check_bounds(declared, start, end, symbol, account)
        self._hot.require(dataset, bounds.start_us)
        files = prune(self._files(dataset), start_us=bounds.start_us, end_us=bounds.end_us, symbol=symbol)
        complete, publishing = self._paths(files)
        superseded = self._hot.superseded(dataset)
        rows, known_us = self._hot.hot(dataset), self._hot.known_us
        return lazy_rows(declared, complete, publishing, rows, superseded, bounds, columns, known_us)

    def _needed(self, question: Question, name: str, params: Mapping[str, object]) -> list[ArchiveFile]:
        """Return the files that may hold rows the question needs."""
        wanted = wanted_rows(question.tree, self._registry[name], params)
        self._hot.require(name, wanted.start_us)
        return prune(self._files(name), **wanted._asdict())

    def _files(self, dataset: str) -> list[ArchiveFile]:
        return [ArchiveFile.from_row(row) for row in self._hot.manifest(dataset)]

    def _paths(self, files: Iterable[ArchiveFile]) -> tuple[list[str], list[tuple[str, int]]]:
        complete, publishing = split(files)
        limits = [file.visible_through or 0 for file in publishing]
        return self._verifier.paths(complete), list(
            zip(self._verifier.paths(publishing), limits, strict=True)
        )

    def _show(
        self,
        cursor: duckdb.DuckDBPyConnection,
        dataset: Dataset,
        files: list[ArchiveFile],
        superseded: Sequence[int],
        rows: pa.Table,
    ) -> None:
        """Make the view of a dataset: each of its rows exactly once."""
        paths = self._verifier.paths(files)
        shown = [
            Shown(path, file.column_count, file.visible_through)
            for path, file in zip(paths, files, strict=True)
        ]
        relation, width = None, len(dataset.stored_names)
        # An empty table gives the view its types where no file has all columns.
        if rows.num_rows or all(file.column_count < width for file in files):
            relation = _HOT.format(dataset.name)
            cursor.register(relation, rows)
        gone: Sequence[int] | str = superseded
        if files and len(superseded) > _LISTED_MAX:
            gone = _GONE.format(dataset.name)
            cursor.register(gone, numbers_table(superseded))
        known_us = self._hot.known_us
        select = view_select(dataset, shown, relation, superseded=gone, known_us=known_us)
        self._engine.run(cursor, QUERIES["create_view"].format(name=dataset.name, select=select))
