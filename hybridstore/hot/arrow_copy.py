"""An Arrow copy of the hot rows that is kept up instead of being read anew: a question costs what changed since.

What may change between two moments is known exactly. New rows have higher row numbers than any before. Rows leave only
with a tier move, which removes all rows of its unit up to a row number and says so in the move's own rows, in the
same transaction. Anything else (an update in place) advances ``dataset_state.mutations``, and the copy is read anew.
Whoever deletes hot rows in another way must advance it too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.hot.reader import ReadTransaction
from hybridstore.hot.schema_manager import OWN_PREFIX, check_readable
from hybridstore.hot.transfer import read_rows
from hybridstore.schema.arrow import arrow_type
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.types import LogicalType

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNKS_MAX = 64
"""A scan pays for every chunk; beyond this many they are joined into one."""


class Position(NamedTuple):
    """A moment of the store.

    Attributes:
        seq: Number of its last commit.
        ts_us: Time of that commit, us UTC.
    """

    seq: int
    ts_us: int


class _Copy(NamedTuple):
    """The hot rows of one dataset at one moment.

    Attributes:
        at: The moment.
        mutations: How often rows had been changed in place.
        last_id: No row number up to this one is given again.
        table: The rows; never changed, so that older snapshots keep theirs.
    """

    at: Position
    mutations: int
    last_id: int
    table: pa.Table


class ArrowCopy:
    """Hot rows of every dataset that was asked for. Safe in several threads.

    Args:
        statements: Named SQL of the hot store.
    """

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements
        self._copies: dict[str, _Copy] = {}
        self._refreshing: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Memory the copies take."""
        return sum(copy.table.nbytes for copy in tuple(self._copies.values()))

    def rows(self, transaction: ReadTransaction, dataset: Dataset, at: Position) -> pa.Table:
        """Return the hot rows of a dataset at the moment of a read transaction.

        Args:
            transaction: The moment to read.
            dataset: Whose rows.
            at: The same moment, as the transaction's first statement found it.

        Returns:
            The dataset's stored columns, by row number where there is one.
        """
        with self._lock:
            refreshing = self._refreshing.setdefault(dataset.name, threading.Lock())
        with refreshing:
            known = self._copies.get(dataset.name)
            if known is None or known.at.seq <= at.seq:
                copy = self._refresh(transaction, dataset, at, known)
                self._copies[dataset.name] = copy
                return copy.table
        return read_rows(transaction, dataset)  # a snapshot from before the copy

    def forget(self) -> None:
        """Give the memory back; the next question reads everything anew."""
        with self._lock:
            self._copies.clear()

    def _refresh(
        self, transaction: ReadTransaction, dataset: Dataset, at: Position, known: _Copy | None
    ) -> _Copy:
        if known is not None and known.at.seq == at.seq:
            return known
        if dataset.tiering is None or dataset.kind == "state":
            self._check_declaration(transaction, dataset)
            return _Copy(at, 0, 0, _joined(read_rows(transaction, dataset)))
        mutations = self._mutations(transaction, dataset)
        if known is None or known.mutations != mutations:
            self._check_declaration(transaction, dataset)
            table = read_rows(transaction, dataset)
            return _Copy(at, mutations, _last_id(table, 0), _joined(table))
        table = known.table
        # Nothing was changed in place since, so what a move deleted can be told from the copy's own columns.
        since = {"dataset": dataset.name, "since_us": known.at.ts_us}
        for start_us, end_us, through in transaction.rows(self._statements["purges_since"], since):
            table = _without(dataset, table, start_us, end_us, through)
        new = read_rows(transaction, dataset, id_above=known.last_id)
        if new.num_rows:
            table = _append(table, new)
        return _Copy(at, mutations, _last_id(new, known.last_id), _joined(table))

    def _check_declaration(self, transaction: ReadTransaction, dataset: Dataset) -> None:
        """Rows of a wider type, read by the old one, may be other values without an error."""
        found = transaction.rows(self._statements["find_settings"], (f"{OWN_PREFIX}{dataset.name}",))
        check_readable(found[0][1] if found else None, dataset)

    def _mutations(self, transaction: ReadTransaction, dataset: Dataset) -> int:
        rows = transaction.rows(self._statements["find_dataset_state"], (dataset.name,))
        return int(rows[0][1]) if rows else 0


def _append(table: pa.Table, new: pa.Table) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([table, new]) if table.num_rows else new


def _last_id(table: pa.Table, at_least: int) -> int:
    """Rows come by row number, so the last one has the highest."""
    return int(table.column(ROW_ID)[-1].as_py()) if table.num_rows else at_least


def _without(dataset: Dataset, table: pa.Table, start_us: int, end_us: int, through: int) -> pa.Table:
    """Drop what a move deleted: the rows of its unit up to a row number; those it kept, the move's DELETE kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert dataset.tiering is not None
    moment = arrow_type(LogicalType.TIMESTAMP)
    ids, times = table.column(ROW_ID), table.column(dataset.tiering.time)
    unit = pc.and_(
        pc.greater_equal(times, pa.scalar(start_us, moment)), pc.less(times, pa.scalar(end_us, moment))
    )
    gone = pc.and_(unit, pc.less_equal(ids, through))
    if dataset.tiering.when:
        column, values = dataset.tiering.when
        gone = pc.and_(gone, pc.is_in(table.column(column), value_set=pa.array(values, pa.string())))
    return table.filter(pc.invert(pc.fill_null(gone, fill_value=False)))


def _joined(table: pa.Table) -> pa.Table:
    if table.num_columns and table.column(0).num_chunks > _CHUNKS_MAX:
        return table.combine_chunks()
    return table
