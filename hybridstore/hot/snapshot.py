"""One moment of the store: which archived files count, and the hot rows beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.pool import ReadTransaction
from hybridstore.schema.dataset import Dataset

if TYPE_CHECKING:
    import pyarrow as pa


class HotSnapshot:
    """A read transaction, fixed at one commit.

    Args:
        transaction: A transaction that has read nothing yet.
        statements: Named SQL.
        copy: The store's Arrow copy.

    Attributes:
        seq: Number of the last commit it sees.
        ts_us: Time of that commit, us UTC.
    """

    def __init__(self, transaction: ReadTransaction, statements: dict[str, str], copy: ArrowCopy) -> None:
        self._transaction = transaction
        self._statements = statements
        self._copy = copy
        self._manifests: dict[str, list[tuple[Any, ...]]] = {}
        self._rows: dict[str, pa.Table] = {}
        # The first read fixes the moment.
        position = transaction.rows(statements["commit_position"])[0]
        self.seq: int = position[0]
        self.ts_us: int = position[1]

    def manifest(self, dataset: Dataset) -> list[tuple[Any, ...]]:
        """Return the files that count.

        Args:
            dataset: Whose.

        Returns:
            Rows of ``archive_files``, by day.
        """
        if dataset.name not in self._manifests:
            rows = self._transaction.rows(self._statements["manifest_of_dataset"], (dataset.name,))
            self._manifests[dataset.name] = rows
        return self._manifests[dataset.name]

    def rows(self, dataset: Dataset) -> pa.Table:
        """Return the hot rows.

        Args:
            dataset: Whose.

        Returns:
            The dataset's stored columns.
        """
        if dataset.name not in self._rows:
            manifest = self.manifest(dataset)
            self._rows[dataset.name] = self._copy.rows(self._transaction, self.seq, dataset, manifest)
        return self._rows[dataset.name]


@contextmanager
def open_snapshot(database: DatabaseManager, copy: ArrowCopy) -> Iterator[HotSnapshot]:
    """Open a snapshot of the present.

    Args:
        database: The open store.
        copy: The store's Arrow copy.

    Yields:
        The snapshot; it ends with the block, or by itself at the maximum reader age.
    """
    with database.readers.transaction() as transaction:
        yield HotSnapshot(transaction, database.statements, copy)
