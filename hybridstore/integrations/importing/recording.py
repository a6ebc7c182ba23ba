"""Imported rows on their way into the store: through the same door as a bot's, in order, each known by its id.

Whoever is killed imports again: rows that are there are known and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import prepare_balances
from hybridstore.hot.cursors import write_cursor
from hybridstore.hot.fills import prepare_fill
from hybridstore.hot.funding import prepare_funding
from hybridstore.hot.orders import prepare_order
from hybridstore.hot.recorder import Recorder
from hybridstore.hot.rows import prepare_rows
from hybridstore.integrations.exchange.report import Problem, StreamCounts, counted
from hybridstore.integrations.exchange.steps import Write
from hybridstore.schema.registry import Registry

if TYPE_CHECKING:
    from hybridstore.parts import StoreParts

Progress = Callable[[int], object]
"""Called with how many rows were done since it was last called."""
_TOLD_EVERY = 200


class Item(NamedTuple):
    """A row to import.

    Attributes:
        kind: What it is: fills, orders, funding, ...
        part: Which row of the source, for messages.
        write: The call of the store's desk.
    """

    kind: str
    part: str
    write: Write


class Recorded(NamedTuple):
    """What became of rows.

    Attributes:
        kinds: Counts by kind.
        refused: Rows that the store cannot hold.
    """

    kinds: dict[str, StreamCounts]
    refused: list[Problem]


class Door:
    """The store's door without the store behind it: checks what would be recorded, for dry runs.

    Args:
        registry: The store's datasets.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def record_fill(self, *args: Any, **details: Any) -> None:
        """Check a fill."""
        prepare_fill(*args, **details)

    def record_order(self, **columns: Any) -> None:
        """Check an order."""
        prepare_order(columns)

    def record_funding(self, *args: Any, **details: Any) -> None:
        """Check a funding payment."""
        prepare_funding(*args, **details)

    def batch_update_balances(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Check balances."""
        prepare_balances(rows)

    def insert(self, dataset: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Check rows of any dataset."""
        prepare_rows(self._registry[dataset], rows)


def record(
    store: StoreParts, name: str, items: Iterable[Item], on_progress: Progress, *, is_dry_run: bool
) -> Recorded:
    """Record rows, or check whether they could be.

    Args:
        store: The open store.
        name: What is imported, and whose: the store remembers when it was last imported.
        items: The rows, in the order in which they happened.
        on_progress: Told how far it is.
        is_dry_run: Whether nothing is to be recorded.

    Returns:
        What became of them.
    """
    desk: Any = Door(store.database.registry) if is_dry_run else store
    how = {} if is_dry_run else {"durability": "normal"}
    found = Recorded({}, [])
    untold = 0
    for kind, part, write in items:
        several = write.args[1] if write.call == "insert" else ()
        try:
            counts = _counts(
                getattr(desk, write.call)(*write.args, **write.kwargs, **how), max(len(several), 1)
            )
        except (InvalidValue, ArithmeticError) as error:
            counts = _one_by_one(desk, Item(kind, part, write), how, found, error)
        found.kinds[kind] = found.kinds.get(kind, StreamCounts()) + counts
        untold += counts.read
        if untold >= _TOLD_EVERY:
            on_progress(untold)
            untold = 0
    on_progress(untold)
    if not is_dry_run:  # a full commit: with it all that was recorded before is durable
        moment = str(store.database.clock.now_us())
        Recorder(store.database).call("full", write_cursor, f"import {name}", moment)
    return found


def _counts(outcome: object, rows: int) -> StreamCounts:
    if outcome is None:  # a dry run: the door let them in
        return StreamCounts(read=rows, new=rows)
    if isinstance(outcome, int) and not isinstance(outcome, bool):  # of a batch: how many were not known
        return StreamCounts(rows, outcome, rows - outcome)
    return counted(outcome) + StreamCounts(read=rows)


def _one_by_one(
    desk: Any, item: Item, how: Mapping[str, Any], found: Recorded, error: Exception
) -> StreamCounts:
    """Of rows that are refused together, record those that can be: one row must not keep the others out."""
    write = item.write
    if write.call != "insert" or len(write.args[1]) == 1:
        found.refused.append(Problem(item.kind, item.part, str(error)))
        return StreamCounts(read=1)
    dataset, rows = write.args
    counts = StreamCounts()
    for row in rows:
        try:
            counts += _counts(desk.insert(dataset, [row], **how), 1)
        except InvalidValue as refused:
            told = ", ".join(f"{name}={value}" for name, value in row.items() if value is not None)[:200]
            found.refused.append(Problem(item.kind, told, str(refused)))
            counts += StreamCounts(read=1)
    return counts
