"""The move of a unit: every row exactly once at every moment, whatever ends the mover, whatever others do meanwhile."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.clock import DAY_US
from hybridstore.errors import ArchiveCorrupt, Conflict, MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.reader import ReadTransaction
from hybridstore.hot.session import WriteSession
from hybridstore.hot.transfer import read_rows
from hybridstore.retention import mover
from hybridstore.retention import pace as pace_module
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.mover import STEPS, Mover
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import OLD_DAY, OWN, TIERED, all_rows, hot_rows, insert, make_rows, open_store

YOUNG_DAY = 20_599


class Killed(BaseException):
    """What ends a mover here: no handler for errors may see it, as none runs after a kill."""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseManager]:
    """Return a store whose moves take many small steps."""
    monkeypatch.setattr(pace_module, "STEP_ROWS_FIRST", 20)
    monkeypatch.setattr(pace_module, "STEP_ROWS_MIN", 10)
    monkeypatch.setattr(pace_module, "STEP_ROWS_MAX", 40)
    with open_store(tmp_path) as database:
        yield database


def change(database: DatabaseManager, sql: str) -> int:
    """Run a statement as the bot would, and return how many rows it changed."""

    def write(session: WriteSession) -> int:
        session.execute(sql)
        return session.connection.changes()

    return database.writer.call(write)


def states(database: DatabaseManager) -> list[str]:
    return [row[0] for row in database.readers.rows("SELECT state FROM archive_moves ORDER BY claimed_at")]


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_old_days_of_every_dataset_move_whole_and_exact(
    database: DatabaseManager, dataset: Dataset, rng: random.Random
) -> None:
    insert(database, dataset, make_rows(dataset, rng, 150, days=3))
    insert(database, dataset, make_rows(dataset, rng, 20, first_day=YOUNG_DAY, number=1_000))
    before = all_rows(database, dataset)
    manager = DataRetentionManager(database)
    seen = 0

    def watch(_name: str) -> None:
        nonlocal seen
        seen += 1
        assert all_rows(database, dataset) == before

    report = manager.run(on_step=watch)
    assert seen > len(STEPS)
    assert (report.rows, report.files, report.resumed) == (150, 3, 0)
    assert all_rows(database, dataset) == before
    assert len(hot_rows(database, dataset)) == 20
    assert manager.plan() == []
    assert manager.verify() == 3


def test_rows_that_may_not_leave_stay(database: DatabaseManager, rng: random.Random) -> None:
    orders = database.registry["orders"]
    rows = make_rows(orders, rng, 40)
    status = orders.column_names.index("status")
    insert(database, orders, [(*row[:status], "open", *row[status + 1 :]) for row in rows[:10]] + rows[10:])
    before = all_rows(database, orders)
    assert DataRetentionManager(database).run().rows == 30
    assert sorted(hot_rows(database, orders)) == list(range(1, 11))
    assert all_rows(database, orders) == before


@pytest.mark.parametrize("occurrence", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_mover_that_ends_at_any_step_is_continued_by_the_next(
    database: DatabaseManager, rng: random.Random, step: str, occurrence: int
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 200, days=2))
    before = all_rows(database, OWN)
    taken: Counter[str] = Counter()

    def kill(name: str) -> None:
        taken[name] += 1
        if (name, taken[name]) == (step, occurrence):
            raise Killed

    manager = DataRetentionManager(database)
    with pytest.raises(Killed):
        manager.run(on_step=kill)
    assert all_rows(database, OWN) == before
    report = DataRetentionManager(database).run(on_step=lambda _name: None)
    assert all_rows(database, OWN) == before
    assert hot_rows(database, OWN) == {}
    assert report.resumed == (step in ("published", "purged"))
    assert set(states(database)) <= {"done", "abandoned"}
    assert states(database).count("done") == 2
    known = {row[0] for row in database.readers.rows("SELECT path FROM archive_files")}
    there = {
        path.relative_to(database.root).as_posix()
        for path in (database.root / "archives").rglob("*")
        if path.is_file()
    }
    assert there == known
    assert manager.verify() == 2


def test_a_claimed_row_cannot_be_changed(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, OWN, make_rows(OWN, rng, 60))
    before = all_rows(database, OWN)
    refused = 0

    forge = "UPDATE sentiment SET text_always = 'forged' WHERE id = (SELECT max(id) FROM sentiment)"

    def meddle(name: str) -> None:
        nonlocal refused
        if name != "done":
            with pytest.raises(Conflict, match="claimed"):
                change(database, forge)
            refused += 1

    DataRetentionManager(database).run(on_step=meddle)
    assert refused >= len(STEPS) - 2
    assert all_rows(database, OWN) == before


def test_late_rows_go_into_an_additional_file_of_their_day(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 60))
    late = make_rows(OWN, rng, 7, number=500)
    DataRetentionManager(database).run(
        on_step=lambda name: insert(database, OWN, late) if name == "read" else None
    )
    assert hot_rows(database, OWN) == {}
    assert sorted(all_rows(database, OWN)) == list(range(1, 68))
    files = database.readers.rows("SELECT start_us, row_count FROM archive_files ORDER BY created_seq")
    assert files == [(OLD_DAY * DAY_US, 60), (OLD_DAY * DAY_US, 7)]

    insert(database, OWN, make_rows(OWN, rng, 3, number=900))
    assert DataRetentionManager(database).run().files == 1
    assert len(all_rows(database, OWN)) == 70


def test_a_row_that_comes_into_the_unit_after_the_plan_is_neither_lost_nor_doubled(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 5, first_day=YOUNG_DAY))
    insert(database, OWN, make_rows(OWN, rng, 50, number=100))
    manager = DataRetentionManager(database)
    (planned,) = manager.plan()
    change(database, f"UPDATE sentiment SET timestamp_always = {OLD_DAY * DAY_US + 5} WHERE id = 2")
    before = all_rows(database, OWN)
    Mover(database).move(planned)
    assert all_rows(database, OWN) == before
    manager.run()
    assert all_rows(database, OWN) == before
    assert sorted(hot_rows(database, OWN)) == [1, 3, 4, 5]


@pytest.mark.parametrize("step", ["named", "published", "purged"])
def test_a_row_that_vanished_stops_the_move_and_changes_nothing(
    database: DatabaseManager, rng: random.Random, step: str
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 200))
    content = all_rows(database, OWN)
    vanished: list[int] = []

    def steal(name: str) -> None:
        if name == step and not vanished:
            vanished.append(max(hot_rows(database, OWN)))
            assert change(database, f"DELETE FROM sentiment WHERE id = {vanished[0]}") == 1

    with pytest.raises(MoveFailed, match="the hot store") as caught:
        DataRetentionManager(database).run(on_step=steal)
    assert caught.value.path
    del content[vanished[0]]  # what was published before is in the file, the rest is in the hot store
    assert all_rows(database, OWN) == content
    assert states(database) == ["publishing"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_half_published_file_that_was_damaged_is_named_and_no_row_is_deleted(
    database: DatabaseManager, rng: random.Random, damage: str
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 200))

    def kill(name: str) -> None:
        if name == "purged":
            raise Killed

    with pytest.raises(Killed):
        DataRetentionManager(database).run(on_step=kill)
    left = hot_rows(database, OWN)
    assert 0 < len(left) < 200
    (path,) = (database.root / "archives").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[rng.randrange(len(content))] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 30))
    with pytest.raises(ArchiveCorrupt, match="30 rows of the rest were moved") as caught:
        DataRetentionManager(database).run()
    assert caught.value.path == str(path)
    assert hot_rows(database, OWN) == left
    assert hot_rows(database, MARKET_TRADES) == {}


@pytest.mark.parametrize("error", [ValueError, TypeError, ArithmeticError, KeyError, ArchiveCorrupt])
def test_a_unit_that_cannot_be_written_is_given_back_and_does_not_stop_the_others(
    database: DatabaseManager, rng: random.Random, error: type[Exception]
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 40))
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 30, first_day=OLD_DAY + 1))
    before = all_rows(database, OWN)
    failed = 0

    def fail(name: str) -> None:
        nonlocal failed
        if name == "written" and not failed:
            failed += 1
            raise error("this type is not known")

    with pytest.raises((MoveFailed, ArchiveCorrupt), match=r"this type is not known.*30 rows of the rest"):
        DataRetentionManager(database).run(on_step=fail)
    assert hot_rows(database, MARKET_TRADES) == {}
    assert all_rows(database, OWN) == before
    assert change(database, "UPDATE sentiment SET text_always = 'mine'") == 40, "no row is claimed"
    assert DataRetentionManager(database).run().rows == 40
    assert DataRetentionManager(database).verify() == 2


def test_a_unit_that_takes_longer_to_read_than_a_reader_may_live_is_moved(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 300))
    before = all_rows(database, OWN)
    monkeypatch.setattr(mover, "_READ_IDS_MIN", 50)
    widths = []

    def read(transaction: ReadTransaction, dataset: Dataset, **bounds: int) -> pa.Table:
        width = bounds["id_through"] - bounds["id_above"]
        widths.append(width)
        while width > 100 and not transaction.expired:  # as slow as it takes to be ended for its age
            time.sleep(0.01)
        return read_rows(transaction, dataset, **bounds)

    monkeypatch.setattr(mover, "read_rows", read)
    database.config.reader_max_age_s = 0.2
    assert DataRetentionManager(database).run().rows == 300
    assert widths[0] == 300
    assert set(widths[1:]) != {300}
    assert all_rows(database, OWN) == before


def test_a_unit_is_not_claimed_twice(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, OWN, make_rows(OWN, rng, 30))
    (planned,) = DataRetentionManager(database).plan()

    def again(name: str) -> None:
        if name == "claimed":
            with pytest.raises(MoveFailed, match="already"):
                Mover(database).move(planned)

    Mover(database, again).move(planned)
    assert states(database) == ["done"]


def test_a_unit_larger_than_a_file_goes_into_several(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "FILE_ROWS_MAX", 70)
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 200, days=1))
    before = all_rows(database, MARKET_TRADES)
    report = DataRetentionManager(database).run()
    assert (report.rows, report.files) == (200, 3)
    assert all_rows(database, MARKET_TRADES) == before
    counts = database.readers.rows("SELECT row_count FROM archive_files ORDER BY created_seq")
    assert counts == [(70,), (70,), (60,), (200,)], "and then they become one"


def test_a_day_of_wide_rows_goes_into_more_files(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "FILE_VALUES_MAX", 100 * len(MARKET_TRADES.stored_names))
    for dataset in (MARKET_TRADES, OWN):
        insert(database, dataset, make_rows(dataset, rng, 100, days=1))
    DataRetentionManager(database).run()
    rows = database.readers.rows("SELECT dataset, count(*) FROM archive_moves GROUP BY dataset")
    moved: dict[str, int] = dict(rows)
    assert moved["market_trades"] == 1
    assert moved[OWN.name] == -(-100 // (100 * len(MARKET_TRADES.stored_names) // len(OWN.stored_names)))


def test_scattered_rows_are_not_searched_for_under_the_lock(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "_STEP_SPAN_MAX", 50)
    for number in (1, 2, 3):
        insert(database, OWN, make_rows(OWN, rng, 1, number=number * 1_000))
        insert(database, OWN, make_rows(OWN, rng, 300, first_day=YOUNG_DAY, number=number * 1_000 + 1))
    before = all_rows(database, OWN)
    taken: Counter[str] = Counter()
    report = DataRetentionManager(database).run(on_step=lambda name: taken.update([name]))
    assert report.rows == 3
    assert (taken["published"], taken["purged"], taken["done"]) == (1, 1, 1)
    assert all_rows(database, OWN) == before


@given(
    ids=st.sets(st.integers(1, 10**6), min_size=1, max_size=200),
    step_rows=st.integers(1, 50),
    resumed=st.integers(0, 10**6),
)
def test_steps_part_the_file_without_gap_or_overlap(ids: set[int], step_rows: int, resumed: int) -> None:
    numbers = np.array(sorted(ids), dtype=np.int64)
    position, done_through = int(numbers.searchsorted(resumed, side="right")), resumed
    taken: list[int] = []
    while position < len(numbers):
        step, end = mover._next_step(numbers, position, done_through, step_rows)
        inside = [number for number in sorted(ids) if step.above < number <= step.through]
        assert len(inside) == step.row_count <= step_rows
        assert step.through - step.above <= 2 * mover._STEP_SPAN_MAX
        assert step.above >= done_through
        taken += inside
        assert step.last is (end == len(numbers))
        position, done_through = end, step.through
    assert taken == [number for number in sorted(ids) if number > resumed]


@given(
    times=st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 50), st.booleans()), min_size=1, max_size=40)
)
def test_the_pace_shrinks_after_a_long_step_and_stays_within_bounds(
    times: list[tuple[float, float, bool]],
) -> None:
    pace, seq = pace_module.Pace(), 0
    for work_ms, flush_ms, others in times:
        before = pace.step_rows
        seq += 2 if others else 1
        pace.note(work_ms, work_ms + flush_ms, seq)
        assert pace_module.STEP_ROWS_MIN <= pace.step_rows <= pace_module.STEP_ROWS_MAX
        assert 0 < pace.pause_s <= pace_module.PAUSE_MAX_S
        if work_ms + flush_ms > pace_module.LOCK_LIMIT_MS:
            assert pace.step_rows < before or pace.step_rows == pace_module.STEP_ROWS_MIN
