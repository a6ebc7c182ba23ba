"""One moment of the hot store for analytical questions: the manifest's rows and the hot rows that go with them.

Both come from one SQLite read transaction, so each row is either in a file of the manifest or among the hot rows,
never in both and never in neither. What was read stays readable after the transaction was released.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hybridstore.errors import StoreError
from hybridstore.hot.arrow_copy import ArrowCopy, Position
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.reader import ReadTransaction
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.sqlite import last_row

if TYPE_CHECKING:
    import pyarrow as pa


class HotSnapshot:
    """A moment, held in a ``with`` block. Safe in several threads.

    Args:
        database: The open store.
        copy: The store's Arrow copy.

    Attributes:
        seq: Number of the last commit of the moment.
        ts_us: Time of that commit, us UTC.
        known_us: Rows of files that were committed later do not count, us UTC; None means that all do.
    """

    def __init__(self, database: DatabaseManager, copy: ArrowCopy) -> None:
        self.seq = 0
        self.ts_us = 0
        self.known_us: int | None = None
        self._database = database
        self._copy = copy
        self._transaction: ReadTransaction | None = None
        self._held = ExitStack()
        self._manifests: dict[str, tuple[tuple[Any, ...], ...]] = {}
        self._superseded: dict[str, tuple[int, ...]] = {}
        self._tables: dict[str, pa.Table] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Fix the moment."""
        self._transaction = self._held.enter_context(self._database.readers.transaction())
        try:
            # The first read of a transaction decides which moment it sees.
            position = self._transaction.rows(self._database.statements["commit_position"])
            self.seq, self.ts_us = position[0]
        except BaseException:
            self.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the moment go."""
        self.release()

    def release(self) -> None:
        """End the read transaction; what was read before stays. A second call does nothing."""
        with self._lock:
            self._transaction = None
            self._held.close()

    def require(self, dataset: str, start_us: int | None) -> None:
        """Refuse a question that needs what is not there; of the present everything is.

        Args:
            dataset: What it is about.
            start_us: It needs no rows of an earlier time, us UTC; None means that it may.
        """

    def manifest(self, dataset: str) -> tuple[tuple[Any, ...], ...]:
        """Return the archived files that count for a dataset.

        Args:
            dataset: Its name.

        Returns:
            Rows of ``archive_files``, columns in declared order, by time.
        """
        with self._lock:
            rows = self._manifests.get(dataset)
            if rows is None:
                sql = self._database.statements["manifest_of_dataset"]
                rows = self._manifests[dataset] = tuple(self._open().rows(sql, (dataset,)))
            return rows

    def superseded(self, dataset: str) -> tuple[int, ...]:
        """Return the archived rows of a dataset that no longer count.

        Args:
            dataset: Its name.

        Returns:
            Their row numbers.
        """
        with self._lock:
            rows = self._superseded.get(dataset)
            if rows is None:
                sql = self._database.statements["superseded_of_dataset"]
                rows = tuple([row[0] for row in self._open().rows(sql, (dataset,))])
                self._superseded[dataset] = rows
            return rows

    def deleted_until_us(self, dataset: str) -> int:
        """Return before which moment rows of a dataset were deleted by policy.

        Args:
            dataset: Its name.

        Returns:
            us UTC; 0 where none ever were.
        """
        with self._lock:
            rows = self._open().rows(self._database.statements["deleted_until"], (dataset,))
            return rows[0][0] or 0 if rows else 0

    def state(self, dataset: str) -> tuple[int, ...]:
        """Return what tells the hot rows of this moment from those of any other, without reading them.

        Args:
            dataset: Its name.

        Returns:
            Rows that are only ever added are known by the number and the commit's time of the last of them. Where rows
            were changed in place, or are no history, only the store's last commit tells.
        """
        declared = self._database.registry[dataset]
        with self._lock:
            transaction = self._open()
            is_history = declared.tiering is not None and declared.kind != "state"
            if is_history and RECORDED_AT in declared.column_names:
                known = transaction.rows(self._database.statements["find_dataset_state"], (dataset,))
                if known and known[0][1] == 0:
                    last = transaction.rows(last_row(declared))
                    return tuple(last[0]) if last else ()
            return (self.seq, self.ts_us, 0)

    def hot(self, dataset: str) -> pa.Table:
        """Return the hot rows of a dataset.

        Args:
            dataset: Its name.

        Returns:
            The dataset's stored columns; by row number where there is one.
        """
        with self._lock:
            table = self._tables.get(dataset)
            if table is None:
                declared = self._database.registry[dataset]
                table = self._copy.rows(self._open(), declared, Position(self.seq, self.ts_us))
                self._tables[dataset] = table
            return table

    def _open(self) -> ReadTransaction:
        if self._transaction is None:
            raise StoreError(
                "this snapshot is over",
                path=str(self._database.path),
                hint="ask inside its with block, or take a new one",
            )
        return self._transaction
