"""Another process changes the columns of a dataset while this one is at work: nothing of a row is lost."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.errors import Conflict, MoveFailed
from hybridstore.hot.schema_manager import _remember_own
from hybridstore.schema.dataset import Column
from hybridstore.schema.types import LogicalType
from tests.retention.test_evolver import NOTES, clock, root, rows, store  # noqa: F401  fixtures

MORE = msgspec.structs.replace(
    NOTES, columns=(*NOTES.columns, Column("extra", LogicalType.TEXT, "More.", nullable=True))
)


def extend(root: Path, clock: ManualClock, noted_at: int) -> None:  # noqa: F811  no fixtures here
    """Do what a newer program does: declare a column more, and record a row with it."""
    with HybridStore(root, clock=clock, datasets=[MORE]) as other:
        other.insert("notes", [("more", True, 7, noted_at, "kept")])


def assert_kept(root: Path, clock: ManualClock) -> None:  # noqa: F811
    with HybridStore(root, clock=clock) as newest:
        assert newest.sql("SELECT extra FROM notes WHERE note = 'more'").rows() == [("kept",)]
        assert len(rows(newest)) == 16


def test_a_column_that_is_declared_while_another_is_renamed_stays(
    root: Path,  # noqa: F811
    store: HybridStore,  # noqa: F811
    clock: ManualClock,  # noqa: F811
) -> None:
    told: list[int] = []

    def progress(done: int, _total: int) -> None:
        if not told:
            extend(root, clock, clock.now_us())
        told.append(done)

    with pytest.raises(Conflict, match="more columns meanwhile"):
        store.retention.rename_column("notes", "score", "points", progress=progress)
    assert_kept(root, clock)
    store.retention.rename_column("notes", "score", "points")
    assert_kept(root, clock)


def test_words_of_an_older_program_do_not_take_a_change_back(
    root: Path,  # noqa: F811
    store: HybridStore,  # noqa: F811
    clock: ManualClock,  # noqa: F811
) -> None:
    """It found other words in the declaration before the change, and notes its own after it."""
    store.retention.rename_column("notes", "score", "points")
    other_words = msgspec.structs.replace(NOTES, doc="What anybody noted.")
    store.database.writer.call(_remember_own, other_words, durability="full")
    store.close()
    with HybridStore(root, clock=clock) as newest:
        assert newest.sql("SELECT count(points) FROM notes").rows() == [(15,)]


def test_rows_with_a_column_that_is_declared_while_rows_move_are_not_moved_without_it(
    root: Path,  # noqa: F811
    store: HybridStore,  # noqa: F811
    clock: ManualClock,  # noqa: F811
) -> None:
    old_us = clock.now_us() - 30 * DAY_US
    store.insert("notes", [("late", True, 7, old_us)])
    extended: list[str] = []

    def extend_once(step: str) -> None:
        if not extended:
            extend(root, clock, old_us + DAY_US)
        extended.append(step)

    with pytest.raises(MoveFailed, match="the next run knows them"):
        store.retention.run(on_step=extend_once)
    hot = "SELECT note, extra FROM notes WHERE noted_at >= ? AND noted_at < ?"
    a_day = (old_us + DAY_US, old_us + 2 * DAY_US)
    assert store.database.readers.rows(hot, a_day) == [("more", "kept")]
    store.retention.run()
    assert store.database.readers.rows(hot, a_day) == []
    with HybridStore(root, clock=clock) as newest:
        assert newest.sql("SELECT extra FROM notes WHERE note = 'more'").rows() == [("kept",)]
        assert len(rows(newest)) == 17
