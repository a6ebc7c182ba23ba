"""An Arrow copy of the hot rows that is kept up instead of read anew.

Rows of event and market datasets are only ever added (with a larger row number), purged by a move (which the manifest
tells), or corrected in place (which a trigger counts). So a copy is brought up to a snapshot by appending the new rows
and dropping the purged ones; only a correction makes it start again. Rows of state datasets change all the time and are
few: they are read anew whenever anything was committed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.hot.pool import ReadTransaction
from hybridstore.hot.transfer import read_rows
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.internal import ARCHIVE_FILES

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNKS_MAX = 64
"""A copy in more pieces than this is put together: every piece costs a query a little."""
_PLACE = {name: place for place, name in enumerate(ARCHIVE_FILES.column_names)}


class _Purge(NamedTuple):
    """Rows of a unit that are archived: those with ``start_us <= time < end_us`` up to a row number."""

    start_us: int
    end_us: int
    through: int


class _Copy(NamedTuple):
    seq: int
    mutations: int
    last_id: int
    purges: Mapping[str, _Purge]
    rows: pa.Table


class ArrowCopy:
    """Copies of the hot rows by dataset. Safe in several threads; a table handed out never changes.

    Args:
        statements: Named SQL.
    """

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements
        self._copies: dict[str, _Copy] = {}
        self._lock = threading.Lock()

    def rows(
        self, transaction: ReadTransaction, seq: int, dataset: Dataset, manifest: list[tuple[Any, ...]]
    ) -> pa.Table:
        """Return the hot rows of a dataset in a snapshot.

        Args:
            transaction: The snapshot's read transaction.
            seq: Number of the last commit the snapshot sees.
            dataset: Whose rows.
            manifest: The dataset's rows of ``archive_files`` in the same snapshot.

        Returns:
            The dataset's stored columns.
        """
        with self._lock:
            known = self._copies.get(dataset.name)
            if known and known.seq == seq:
                return known.rows
            if known and known.seq > seq:  # an older snapshot than the copy: it is served without one
                return read_rows(transaction, dataset)
            state = transaction.rows(self._statements["find_dataset_state"], (dataset.name,))
            mutations = state[0][1] if state else 0
            purges = {row[_PLACE["file_id"]]: _purge(row) for row in manifest}
            if (
                known is None
                or dataset.kind == "state"
                or not dataset.numbered
                or mutations != known.mutations
            ):
                rows, last_id = read_rows(transaction, dataset), 0
            else:
                changed = [purge for file_id, purge in purges.items() if known.purges.get(file_id) != purge]
                kept = _drop(dataset, known.rows, changed)
                rows, last_id = (
                    _append(kept, read_rows(transaction, dataset, id_above=known.last_id)),
                    known.last_id,
                )
            copy = _Copy(seq, mutations, max(last_id, _largest_id(dataset, rows)), purges, rows)
            self._copies[dataset.name] = copy
            return rows


def _purge(row: tuple[Any, ...]) -> _Purge:
    visible = row[_PLACE["visible_through"]]
    through = row[_PLACE["id_max"]] if visible is None else visible
    return _Purge(row[_PLACE["start_us"]], row[_PLACE["end_us"]], through)


def _largest_id(dataset: Dataset, rows: pa.Table) -> int:
    if not dataset.numbered or not rows.num_rows:
        return 0
    # Rows are in the order of their numbers.
    return int(rows.column(ROW_ID)[-1].as_py())


def _append(rows: pa.Table, new: pa.Table) -> pa.Table:
    import pyarrow as pa

    if not new.num_rows:
        return rows
    joined = pa.concat_tables([rows, new])
    return joined.combine_chunks() if joined.column(0).num_chunks > _CHUNKS_MAX else joined


def _drop(dataset: Dataset, rows: pa.Table, purges: list[_Purge]) -> pa.Table:
    import numpy as np

    if not purges or not rows.num_rows:
        return rows
    assert dataset.tiering is not None
    ids = rows.column(ROW_ID).to_numpy()
    times = rows.column(dataset.tiering.time).cast("int64").to_numpy()
    gone = np.zeros(len(ids), dtype=bool)
    for purge in purges:
        gone |= (ids <= purge.through) & (times >= purge.start_us) & (times < purge.end_us)
    if not gone.any():
        return rows
    return rows.filter(~gone).combine_chunks()
