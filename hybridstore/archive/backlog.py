"""Rows of archived files in the order they were committed, for a subscriber that comes back after they were moved.

A file is sorted by what is asked together and not by when it was committed, so its rows are put in order here: a window
of them at a time, which bounds memory however long the subscriber was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.stored import stored_rows
from hybridstore.errors import InvalidValue
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed import Feed
from hybridstore.hot.feed_event import Wanted
from hybridstore.hot.feed_token import NUMBER_MAX, Place
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.feed import commit_column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

WINDOW_ROWS = 50_000
"""Rows put in order at once. Each window reads its files anew: more rows are faster and take more memory."""
_ALL = NUMBER_MAX
Stored = tuple[Any, ...]


def open_feed(
    database: DatabaseManager,
    datasets: Iterable[str] | str | None = None,
    *,
    token: str | None = None,
    account: str | None = None,
    symbol: str | None = None,
    bot: str | None = None,
    from_start: bool = False,
) -> Feed:
    """Open the feed of committed events over both tiers.

    Args:
        database: The open store.
        datasets: Names; None means every one that can be followed.
        token: Where to go on: behind the event that held it. None begins with what is committed from now on.
        account: Only events of this account.
        symbol: Only events of this market, or asset where a dataset has assets.
        bot: Only events of this bot.
        from_start: Without a token: begin with the first event there ever was.

    Returns:
        The feed.

    Raises:
        InvalidValue: The token is damaged or comes with ``from_start``, or a dataset cannot be followed.
        StoreError: The token is another store's, or ahead of this one.
    """
    if token is not None and from_start:
        raise InvalidValue(
            "from_start=True with a token", hint="give one of them: a token says where to go on"
        )
    return Feed(
        database,
        datasets,
        Wanted(account, symbol, bot),
        token=token,
        from_start=from_start,
        archive=lambda: Backlog(database.root),
    )


class _Window(NamedTuple):
    """Rows of files in order.

    Attributes:
        dataset: Whose.
        timed: Whether they are ordered by commit time first.
        files: Ids of the files that were asked for.
        after: Behind this place.
        through: Up to this place it holds every row of the files.
        table: The rows in order; None where there are none.
        keys: What they are ordered by first: row numbers or commit times.
        ids: Their row numbers.
        numbers: Of each row the place of its file in ``files``.
    """

    dataset: str
    timed: bool
    files: tuple[str, ...]
    after: Place
    through: Place
    table: pa.Table | None
    keys: np.ndarray[Any, Any]
    ids: np.ndarray[Any, Any]
    numbers: np.ndarray[Any, Any]


class Backlog:
    """Reads archived rows for a feed. One thread at a time.

    Args:
        root: The store's folder.
        window_rows: See :data:`WINDOW_ROWS`.
    """

    def __init__(self, root: Path, window_rows: int = WINDOW_ROWS) -> None:
        self._verifier = FileVerifier(root)
        self._window_rows = window_rows
        self._window: _Window | None = None
        self._orders: dict[str, np.ndarray[Any, Any]] = {}

    def rows(
        self, dataset: Dataset, files: Sequence[Stored], after: Place, through: Place, rows_max: int
    ) -> tuple[list[Stored], Place]:
        """Return the next rows of files, in the order they were committed.

        Args:
            dataset: Whose rows.
            files: Rows of ``archive_files``: those that may hold some.
            after: Only rows behind this place.
            through: Only rows up to this place.
            rows_max: How many at the most.

        Returns:
            Stored columns, and up to which place these are all there are.

        Raises:
            ArchiveCorrupt: A file is missing or changed.
        """
        import numpy as np

        known = sorted(map(ArchiveFile.from_row, files), key=lambda file: file.file_id)
        window = self._reach(dataset, known, after, through)
        reached = min(through, window.through)
        if window.table is None:
            return [], reached
        inside = slice(_position(window, after), _position(window, reached))
        visible = np.array([_ALL if file.visible_through is None else file.visible_through for file in known])
        # Rows of a file that is being published and is not that far yet are in the hot store.
        counting = inside.start + np.flatnonzero(window.ids[inside] <= visible[window.numbers[inside]])
        if len(counting) > rows_max:
            counting = counting[:rows_max]
            last = int(counting[-1])
            reached = Place(int(window.keys[last]) if dataset.provisional else 0, int(window.ids[last]))
        return stored_rows(dataset, window.table.take(counting)), reached

    def newest(self, dataset: Dataset, files: Sequence[Stored], through: int) -> list[tuple[int, int]]:
        """Return the last row of each file up to a row number.

        Args:
            dataset: Whose rows.
            files: Rows of ``archive_files``.
            through: The row number.

        Returns:
            Row number and commit time, us UTC, of each file that has such a row.
        """
        import numpy as np

        found = []
        for file in map(ArchiveFile.from_row, files):
            table = self._read(file, [ROW_ID, commit_column(dataset)])
            limit = through if file.visible_through is None else min(through, file.visible_through)
            ids = _integers(table, ROW_ID)
            ids = np.where(ids <= limit, ids, -1)
            last = int(ids.argmax())
            if ids[last] >= 0:
                found.append((int(ids[last]), int(_integers(table, commit_column(dataset))[last])))
        return found

    def _reach(self, dataset: Dataset, files: Sequence[ArchiveFile], after: Place, through: Place) -> _Window:
        """Return a window that begins no later than behind ``after`` and goes on behind it."""
        window = self._window
        names = tuple(file.file_id for file in files)
        if (
            window is None
            or (window.dataset, window.files) != (dataset.name, names)
            or not window.after <= after < window.through
        ):
            self._window = None  # before the next one is made, its memory is given back
            window = self._window = self._make_window(dataset, files, after, through)
        return window

    def _make_window(
        self, dataset: Dataset, files: Sequence[ArchiveFile], after: Place, through: Place
    ) -> _Window:
        import numpy as np
        import pyarrow as pa

        names = tuple(file.file_id for file in files)
        order = commit_column(dataset) if dataset.provisional else ROW_ID
        end, used = self._limit(dataset, files, order, after, through)
        tables, numbers = [], []
        for number, file in enumerate(files):
            if file.file_id in used:
                table = self._read(file, None)
                keys = _integers(table, order)
                table = table.filter(pa.array((keys >= _key(dataset, after)) & (keys <= _key(dataset, end))))
                tables.append(table)
                numbers.append(np.full(table.num_rows, number))
        if not tables:
            nothing = np.array([], dtype=np.int64)
            return _Window(
                dataset.name, dataset.provisional, names, after, end, None, nothing, nothing, nothing
            )
        joined = pa.concat_tables(tables, promote_options="default")
        ids, keys = _integers(joined, ROW_ID), _integers(joined, order)
        places = np.lexsort((ids, keys))
        return _Window(
            dataset.name,
            dataset.provisional,
            names,
            after,
            end,
            joined.take(pa.array(places)),
            keys[places],
            ids[places],
            np.concatenate(numbers)[places],
        )

    def _limit(
        self, dataset: Dataset, files: Sequence[ArchiveFile], order: str, after: Place, through: Place
    ) -> tuple[Place, set[str]]:
        """Return how far the next window goes, and of which files it has rows.

        Only the column of the order is read for that, and only of files that begin before the window ends.
        """
        import numpy as np

        begin, end = _key(dataset, after), _key(dataset, through)
        inside = np.array([], dtype=np.int64)
        used: set[str] = set()
        for file in sorted(files, key=lambda file: file.id_min):
            if not dataset.provisional and (file.id_min > end or file.id_max <= begin):
                continue
            keys = self._ordered(file, order)
            # Inside a commit there may be more rows of its time; otherwise the next row has another key.
            inside_commit = dataset.provisional and after.id != _ALL
            first = keys.searchsorted(begin, side="left" if inside_commit else "right")
            rest = keys[first : keys.searchsorted(end, side="right")]
            if len(rest):
                inside = np.sort(np.concatenate([inside, rest]))
                used.add(file.file_id)
            if len(inside) > self._window_rows:
                # All rows of one commit are in one window, so that it ends between two places.
                end = int(inside[self._window_rows - 1])
                inside = inside[: inside.searchsorted(end, side="right")]
        self._orders = {
            file.file_id: self._orders[file.file_id] for file in files if file.file_id in self._orders
        }
        if end == _key(dataset, through):
            return through, used
        return (Place(end, _ALL) if dataset.provisional else Place(0, end)), used

    def _ordered(self, file: ArchiveFile, order: str) -> np.ndarray[Any, Any]:
        import numpy as np

        keys = self._orders.get(file.file_id)
        if keys is None:
            keys = self._orders[file.file_id] = np.sort(_integers(self._read(file, [order]), order))
        return keys

    def _read(self, file: ArchiveFile, columns: Iterable[str] | None) -> pa.Table:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._verifier.check(file)) as parquet:
            return parquet.read(columns=None if columns is None else list(columns))


def _key(dataset: Dataset, place: Place) -> int:
    return place.ts_us if dataset.provisional else place.id


def _position(window: _Window, place: Place) -> int:
    """Return how many rows of a window are not behind a place."""
    if not window.timed:
        return int(window.ids.searchsorted(place.id, side="right"))
    first = int(window.keys.searchsorted(place.ts_us))
    behind = int(window.keys.searchsorted(place.ts_us, side="right"))
    return first + int(window.ids[first:behind].searchsorted(place.id, side="right"))


def _integers(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    numbers: np.ndarray[Any, Any] = table.column(name).cast(pa.int64()).to_numpy()
    return numbers
