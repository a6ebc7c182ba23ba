"""One dataset on its way to a subscriber: its next rows in the order they were committed, as they were committed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from hybridstore.errors import StoreError
from hybridstore.hot.feed_event import CorrectionForm, RowForm, Stored
from hybridstore.hot.feed_token import NUMBER_MAX, Place
from hybridstore.hot.reader import ReadTransaction
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.feed import commit_column
from hybridstore.schema.internal import ARCHIVE_FILES

Entry = tuple[int, int, int, Stored]
"""Time of the commit, the dataset's place in the order of a commit, the row's number, the row."""
Key = tuple[int, int, int]
"""The first three of an entry: the order of all events."""
_FILE = {name: place for place, name in enumerate(ARCHIVE_FILES.column_names)}


class Archive(Protocol):
    """Rows that were moved into archives. The room that reads archives provides it: see archive/backlog.py."""

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
        """
        ...

    def newest(self, dataset: Dataset, files: Sequence[Stored], through: int) -> list[tuple[int, int]]:
        """Return the last row of each file up to a row number.

        Args:
            dataset: Whose rows.
            files: Rows of ``archive_files``.
            through: The row number.

        Returns:
            Row number and commit time, us UTC, of each file that has such a row.
        """
        ...


class Moment(NamedTuple):
    """The moment of a read transaction.

    Attributes:
        mark: The store's mark.
        ts_us: Time of the last commit, us UTC.
        highest: The highest row number ever given, by dataset.
    """

    mark: bytes
    ts_us: int
    highest: Mapping[str, int]


def read_moment(rows: Sequence[Stored]) -> Moment:
    """Take the answer to ``feed_position``.

    Args:
        rows: Its rows.

    Returns:
        The moment.
    """
    mark, _, ts_us, _, _ = rows[0]
    return Moment(mark, ts_us, {name: highest for _, _, _, name, highest in rows if name is not None})


class Portion(NamedTuple):
    """What was read of a dataset.

    Attributes:
        rows: Its next hot rows, in order.
        through: Up to which place these are all there are, but for those in ``files``.
        complete: Whether nothing of the moment is left behind ``through``.
        files: Archived files that may hold some of the rows up to ``through``.
        last_us: Commit time of the last row, told or not, us UTC; None where there is none.
    """

    rows: list[Stored]
    through: Place
    complete: bool
    files: list[Stored]
    last_us: int | None = None


class Source:
    """One dataset that is followed.

    Args:
        dataset: The declaration; it can be followed, or is ``corrections``.
        order: Its place in the order of a commit.
        form: How its rows are looked at.
        statements: The named SQL of the hot path.

    Attributes:
        name: The dataset's name.
        order: As given.
        form: As given.
        timed: Whether rows are ordered by commit time and number rather than by number.
        read: How far it was read.
        horizon: Every row that is not read yet is behind this in the order of all events.
        entries: What was read and not told yet.
        skip_through_us: Rows committed up to this moment are not told, us UTC.
    """

    def __init__(
        self, dataset: Dataset, order: int, form: RowForm | CorrectionForm, statements: Mapping[str, str]
    ) -> None:
        self.dataset = dataset
        self.name = dataset.name
        self.order = order
        self.form = form
        self.timed = dataset.provisional
        self.read = Place(0, 0)
        self.horizon: Key = (0, 0, 0)
        self.entries: list[Entry] = []
        self.skip_through_us = -1
        self._statements = statements
        self._next = statements[f"feed_{dataset.name}"]
        self._back = statements[f"feed_back_{dataset.name}"]
        self._committed = dataset.stored_names.index(commit_column(dataset))

    def place(self, row: Stored) -> Place:
        """Return the place of a row.

        Args:
            row: Its stored columns.

        Returns:
            Where it stands in its dataset.
        """
        return Place(row[self._committed] if self.timed else 0, row[0])

    def end(self, moment: Moment) -> Place:
        """Return the place behind everything that is committed.

        Args:
            moment: The moment.

        Returns:
            The place.
        """
        if self.timed:
            return Place(moment.ts_us, NUMBER_MAX)
        return Place(0, moment.highest.get(self.name, 0))

    def next_rows(self, transaction: ReadTransaction, moment: Moment, rows_max: int) -> Portion:
        """Read the next rows.

        Args:
            transaction: The moment to read.
            moment: The same moment.
            rows_max: How many at the most.

        Returns:
            What was read; nothing is changed here.
        """
        end = self.end(moment)
        if end <= self.read:
            return Portion([], self.read, complete=True, files=[])
        rows = transaction.rows(self._next, {"ts_us": self.read.ts_us, "id": self.read.id, "rows": rows_max})
        complete = len(rows) < rows_max
        through = end if complete else self.place(rows[-1])
        # Numbers without a gap: none of these rows can be anywhere else.
        files = [] if len(rows) == through.id - self.read.id and not self.timed else self._files(transaction)
        return Portion(rows, through, complete, files)

    def _files(self, transaction: ReadTransaction) -> list[Stored]:
        """Return the files that may hold rows which are not read yet: those of moves since their commit."""
        asked = {"dataset": self.name, "since_us": self.horizon[0]}
        moved = [
            file for file in transaction.rows(self._statements["moved_since"], asked) if self._matters(file)
        ]
        replaced = [file for file in moved if file[_FILE["replaced_seq"]] is not None]
        if not replaced:
            return moved
        counting = transaction.rows(self._statements["manifest_of_dataset"], (self.name,))
        for file in replaced:
            if not any(_covers(other, file) for other in counting):
                raise StoreError(
                    f"rows of {self.name} were deleted for good before this subscriber was told of them: "
                    f"up to number {file[_FILE['id_max']]}, it had come to {self.read.id}",
                    operation="subscribe",
                    path=file[_FILE["path"]],
                    hint="follow anew, from_start=True or from now on; what was deleted is in the audit log",
                )
        return [file for file in counting if self._matters(file)]

    def _matters(self, file: Stored) -> bool:
        return self.timed or file[_FILE["id_max"]] > self.read.id

    def accept(self, portion: Portion, moment: Moment) -> None:
        """Take what was read.

        Args:
            portion: Its rows as they were committed, those of archives included.
            moment: The moment it is of.
        """
        committed, order, skip_us = self._committed, self.order, self.skip_through_us
        is_wanted = self.form.is_wanted
        self.entries += [
            (row[committed], order, row[0], row)
            for row in portion.rows
            if row[committed] > skip_us and is_wanted(row)
        ]
        self.read = portion.through
        if portion.complete:
            self.horizon = (moment.ts_us, NUMBER_MAX, NUMBER_MAX)
        elif portion.last_us is not None:
            self.horizon = (portion.last_us, order, portion.through.id)

    def release(self, bound: Key) -> list[Entry]:
        """Hand out what no event that is not read yet can come before.

        Args:
            bound: The least horizon of all sources.

        Returns:
            Entries in order; they are gone from here.
        """
        cut = bisect_right(self.entries, bound, key=_key)
        released, self.entries = self.entries[:cut], self.entries[cut:]
        return released

    def commit_us(self, row: Stored) -> int:
        """Return the commit time a row holds.

        Args:
            row: Its stored columns.

        Returns:
            us UTC; that of its last correction where it was corrected.
        """
        ts_us: int = row[self._committed]
        return ts_us

    def back(self, transaction: ReadTransaction, row_id: int, rows_max: int) -> list[tuple[Any, ...]]:
        """Read numbers and commit times backwards.

        Args:
            transaction: The moment to read.
            row_id: From this number on.
            rows_max: How many at the most.

        Returns:
            Row number and commit time, us UTC.
        """
        return transaction.rows(self._back, {"id": row_id, "rows": rows_max})

    def moved_since(self, transaction: ReadTransaction, since_us: int, through: int) -> list[Stored]:
        """Return the files that hold what was moved since a moment, and others where some of them were replaced.

        Args:
            transaction: The moment to read.
            since_us: The moment, us UTC.
            through: Only files with rows up to this number.

        Returns:
            Rows of ``archive_files``.
        """
        asked = {"dataset": self.name, "since_us": since_us}
        files = transaction.rows(self._statements["moved_since"], asked)
        if any(file[_FILE["replaced_seq"]] is not None for file in files):  # what they held is in others now
            files = transaction.rows(self._statements["manifest_of_dataset"], (self.name,))
        return [file for file in files if file[_FILE["id_min"]] <= through]


def _key(entry: Entry) -> Key:
    return entry[:3]


def _covers(file: Stored, replaced: Stored) -> bool:
    """Whether a file can hold what another held that was replaced: files are replaced by those of longer periods."""
    return bool(
        file[_FILE["created_seq"]] >= replaced[_FILE["replaced_seq"]]
        and file[_FILE["start_us"]] <= replaced[_FILE["start_us"]]
        and file[_FILE["end_us"]] >= replaced[_FILE["end_us"]]
    )
