"""An earlier moment of the store, put together from the present: rows by their commit time, in the versions of then.

A row that was committed later was not known. A row that was corrected later was known as it was before the first of
those corrections; that version is in ``corrections``, wherever the row lies today. Moves and merges change nothing of
it, because they change neither rows nor their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from hybridstore.errors import InvalidValue, NotFound
from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed_event import RowForm, Stored, Wanted
from hybridstore.hot.feed_token import NUMBER_MAX
from hybridstore.hot.reader import ReadTransaction
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.schema.arrow import arrow_schema, arrow_type
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.history import why_not_known
from hybridstore.schema.types import LogicalType, moment

if TYPE_CHECKING:
    import pyarrow as pa

_OPERATION = "as_known_at"


class Versions(NamedTuple):
    """What corrections behind a moment changed.

    Attributes:
        replaced: Numbers of rows whose content is of later.
        before: The versions that counted then, stored columns.
    """

    replaced: frozenset[int]
    before: list[Stored]


class EarlierSnapshot(HotSnapshot):
    """What was known at an earlier moment, held in a ``with`` block. Safe in several threads.

    What a question needs is required first. The manifest is that of the present; whoever reads its files leaves out the
    rows that were committed later than ``known_us``, and those that :meth:`superseded` names.

    Args:
        database: The open store.
        copy: The store's Arrow copy.
        known_us: The moment, us UTC.
    """

    def __init__(self, database: DatabaseManager, copy: ArrowCopy, known_us: int) -> None:
        super().__init__(database, copy)
        self.known_us: int = known_us
        self._versions: dict[str, Versions] = {}

    def __enter__(self) -> Self:
        """Fix the moment.

        Raises:
            InvalidValue: It has not come yet.
        """
        super().__enter__()
        newest_us = max(self.ts_us, self._database.clock.now_us())
        if self.known_us > newest_us:
            self.release()
            raise InvalidValue(
                f"{_OPERATION}={moment(self.known_us).isoformat()} has not come yet: it is "
                f"{moment(newest_us).isoformat()}",
                hint="leave it out to ask about the present",
            )
        return self

    def require(self, dataset: str, start_us: int | None) -> None:
        """Refuse a question that needs what is not there any more, or never was.

        Args:
            dataset: What it is about.
            start_us: It needs no rows of an earlier time, us UTC; None means that it may.

        Raises:
            InvalidValue: The dataset keeps no history.
            NotFound: Some of what was known is gone.
        """
        reason = why_not_known(self._database.registry[dataset])
        if reason is not None:
            raise InvalidValue(reason[0], operation=_OPERATION, hint=reason[1])
        with self._lock:
            rows = self._open().rows(self._database.statements["what_is_gone"], (dataset,))
        deleted_until_us, deleted_at_us, incomplete_us = rows[0] if rows else (None, None, None)
        if incomplete_us is not None and self.known_us < incomplete_us:
            raise NotFound(
                f"{self._gone(dataset)}: rows were erased, or versions of them deleted, until "
                f"{moment(incomplete_us).isoformat()}",
                operation=_OPERATION,
                hint="ask about a moment since then, or about the present",
            )
        is_old = start_us is None or start_us < (deleted_until_us or 0)
        if deleted_at_us is not None and self.known_us < deleted_at_us and is_old:
            raise NotFound(
                f"{self._gone(dataset)}: rows of before {moment(deleted_until_us or 0):%Y-%m-%d} were deleted by "
                f"policy, or brought back, until {moment(deleted_at_us).isoformat()}",
                operation=_OPERATION,
                hint="ask about rows since that day only, by a condition on their time or start= of scan(), or about "
                "a moment since then; see: hybridstore retention certificates",
            )

    def _gone(self, dataset: str) -> str:
        return f"not all is there that was known of {dataset} at {moment(self.known_us).isoformat()}"

    def superseded(self, dataset: str) -> tuple[int, ...]:
        """Return the archived rows of a dataset that do not count in the version that is archived.

        Args:
            dataset: Its name.

        Returns:
            Their row numbers.
        """
        replaced = self._changed(dataset).replaced
        return tuple(sorted({*super().superseded(dataset), *replaced}))

    def hot(self, dataset: str) -> pa.Table:
        """Return the hot rows of a dataset that were known, and every version that counted and does no more.

        Args:
            dataset: Its name.

        Returns:
            The dataset's stored columns, in no particular order.
        """
        import pyarrow as pa

        changed = self._changed(dataset)
        declared = self._database.registry[dataset]
        known = _known(declared, super().hot(dataset), self.known_us, changed.replaced)
        return pa.concat_tables([known, _table(declared, changed.before)]) if changed.before else known

    def _changed(self, dataset: str) -> Versions:
        with self._lock:
            changed = self._versions.get(dataset)
            if changed is None:
                declared, statements = self._database.registry[dataset], self._database.statements
                changed = self._versions[dataset] = _versions(
                    self._open(), statements, declared, self.known_us
                )
            return changed


def _versions(
    transaction: ReadTransaction, statements: Mapping[str, str], dataset: Dataset, known_us: int
) -> Versions:
    """Read what corrections behind a moment changed; the first one of each row says what it was at the moment."""
    since_id = last_correction(transaction, statements, known_us)
    rows = transaction.rows(statements["corrections_behind"], {"since_id": since_id, "dataset": dataset.name})
    form = RowForm(dataset, Wanted())
    committed = dataset.stored_names.index(RECORDED_AT)
    identity = _identity(dataset)
    made: set[Hashable] = set()
    before: list[Stored] = []
    for row_id, new_row_id, old_row in rows:
        stored = form.from_json(old_row, row_id)
        version = stored if dataset.numbered else stored[1:]
        if identity(row_id, version) not in made and version[committed] <= known_us:
            before.append(version)
        made.add(identity(new_row_id, version))
    numbers = [number for number in made if isinstance(number, int)] if dataset.numbered else []
    return Versions(frozenset(numbers), before)


def _identity(dataset: Dataset) -> Callable[[int, Stored], Hashable]:
    """Return what says that two versions are of one row, one after the other: its number, else its key."""
    if dataset.numbered:
        return lambda number, _version: number
    places = [dataset.stored_names.index(name) for name in dataset.key]
    return lambda _number, version: tuple([version[place] for place in places])


def last_correction(transaction: ReadTransaction, statements: Mapping[str, str], ts_us: int) -> int:
    """Find a moment among the corrections, which are numbered in the order of their times.

    Args:
        transaction: The moment of the store to read.
        statements: The named SQL of the hot path.
        ts_us: The moment to find, us UTC.

    Returns:
        A number: corrections up to it are of that moment or earlier, those behind it are later.
    """
    back = statements["feed_back_corrections"]

    def at(number: int) -> tuple[int, int]:
        rows = transaction.rows(back, {"id": number, "rows": 1})
        return rows[0] if rows else (0, 0)

    low, high = 0, at(NUMBER_MAX)[0]
    while low < high:
        middle = (low + high + 1) // 2
        number, corrected_us = at(middle)
        if corrected_us <= ts_us:
            low = middle
        else:
            high = number - 1
    return low


def _known(dataset: Dataset, rows: pa.Table, known_us: int, replaced: frozenset[int]) -> pa.Table:
    """Leave out hot rows that were committed later, or whose content was."""
    import pyarrow as pa
    import pyarrow.compute as pc

    latest = pa.scalar(known_us, arrow_type(LogicalType.TIMESTAMP))
    stays = pc.less_equal(rows.column(RECORDED_AT), latest)
    if dataset.numbered and replaced:
        numbers = pa.array(sorted(replaced), pa.int64())
        stays = pc.and_(stays, pc.invert(pc.is_in(rows.column(ROW_ID), value_set=numbers)))
    return rows.filter(stays)


def _table(dataset: Dataset, versions: list[Stored]) -> pa.Table:
    """Return versions as the hot rows are given."""
    import pyarrow as pa

    form = RowForm(dataset, Wanted())
    return pa.Table.from_pylist(list(map(form.decode, versions)), schema=arrow_schema(dataset))
