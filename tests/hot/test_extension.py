"""A user's dataset gets more columns: stored rows have no value in them, hot, archived and merged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.errors import SchemaMismatch
from hybridstore.retention.verification import examine
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.sqlite import is_extension
from hybridstore.schema.types import LogicalType

NOW_US = 20_600 * DAY_US + DAY_US // 2
NOTES = Dataset(
    name="notes",
    kind="event",
    doc="What somebody noted.",
    columns=(
        Column("note_id", LogicalType.NAME, "Its name."),
        Column("score", LogicalType.MONEY, "A value."),
        Column("noted_at", LogicalType.TIMESTAMP, "When."),
        Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it."),
    ),
    indexes=(Index(("recorded_at",)),),
    key=("note_id",),
    tiering=Tiering(time="noted_at", cluster=("noted_at", "id")),
)
MORE = (
    Column("mood", LogicalType.TEXT, "How it felt.", nullable=True),
    Column("weight", LogicalType.MONEY, "How much it matters.", nullable=True),
)
WIDER = msgspec.structs.replace(
    NOTES, columns=(*NOTES.columns, *MORE), indexes=(*NOTES.indexes, Index(("mood",)))
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


@pytest.fixture
def root(tmp_path: Path, clock: ManualClock) -> Path:
    """A store with an archived note and a hot one, under the first declaration."""
    folder = tmp_path / "store"
    with HybridStore(folder, clock=clock, datasets=[NOTES]) as store:
        store.insert("notes", [("archived", "1.5", NOW_US)])
        clock.advance(20 * DAY_US)
        store.retention.run()
        store.insert("notes", [("hot", "2.5", clock.now_us())])
    return folder


@pytest.fixture
def wider(root: Path, clock: ManualClock) -> Iterator[HybridStore]:
    with HybridStore(root, clock=clock, datasets=[WIDER]) as store:
        yield store


def rows(store: HybridStore) -> list[tuple[Any, ...]]:
    return store.sql("SELECT note_id, score, mood, weight FROM notes ORDER BY score").rows()


def test_rows_of_before_have_no_value(wider: HybridStore) -> None:
    before = [("archived", Decimal("1.5"), None, None), ("hot", Decimal("2.5"), None, None)]
    assert rows(wider) == before
    assert wider.sql("SELECT * FROM notes LIMIT 0").columns == WIDER.stored_names
    assert wider.scan("notes").sort("score").select("note_id", "mood").collect().rows() == [
        ("archived", None),
        ("hot", None),
    ]
    wider.insert("notes", [("new", 3, NOW_US + 20 * DAY_US, "fine", "0.25")])
    assert rows(wider) == [*before, ("new", Decimal(3), "fine", Decimal("0.25"))]


def test_all_of_it_moves_merges_and_is_known(wider: HybridStore, clock: ManualClock) -> None:
    wider.insert("notes", [("new", 3, clock.now_us(), "fine", "0.25")])
    expected = rows(wider)
    clock.advance(10 * DAY_US)
    assert wider.retention.run().rows == 2
    assert rows(wider) == expected, "a narrow file and a wide one"
    counts = wider.database.readers.rows("SELECT column_count FROM archive_files ORDER BY column_count")
    assert counts == [(5,), (7,)]
    clock.advance(60 * DAY_US)
    assert wider.retention.run().merged == 2
    assert rows(wider) == expected
    assert examine(wider.database, "scrub").problems == ()
    counted = wider.insert("notes", [("archived", "1.5", NOW_US, None, None)])
    assert (counted.inserted, counted.repeated, counted.corrected) == (0, 1, 0)
    counted = wider.insert("notes", [("archived", "1.5", NOW_US, "late", "1")])
    assert counted.corrected == 1
    assert rows(wider)[0] == ("archived", Decimal("1.5"), "late", Decimal(1))


def test_only_old_files_are_asked(wider: HybridStore, clock: ManualClock) -> None:
    clock.advance(20 * DAY_US)
    wider.retention.run()
    found = wider.sql("SELECT mood, weight, typeof(weight) FROM notes WHERE mood IS NULL").rows()
    assert found == [(None, None, "DECIMAL(38,18)")] * 2


def test_a_store_that_is_open_goes_on(root: Path, clock: ManualClock) -> None:
    with HybridStore(root, clock=clock, datasets=[NOTES]) as old:
        with HybridStore(root, clock=clock, datasets=[WIDER]) as new:
            new.insert("notes", [("new", 3, clock.now_us(), "fine", "0.25")])
        old.insert("notes", [("from before", 4, clock.now_us())])
        assert old.sql("SELECT count(*), sum(score) FROM notes").rows() == [(4, Decimal(11))]
        clock.advance(20 * DAY_US)
        assert old.retention.run().rows == 3
        assert rows(old)[2:] == [
            ("new", Decimal(3), "fine", Decimal("0.25")),
            ("from before", Decimal(4), None, None),
        ]


def test_an_older_program_uses_the_wider_declaration(root: Path, clock: ManualClock) -> None:
    with HybridStore(root, clock=clock, datasets=[WIDER]) as store:
        store.insert("notes", [("new", 3, clock.now_us(), "fine", "0.25")])
    with HybridStore(root, clock=clock, datasets=[NOTES]) as store:
        assert store.database.registry["notes"] == WIDER
        store.insert("notes", [{"note_id": "named", "score": 4, "noted_at": clock.now_us()}])
        assert len(rows(store)) == 4
    with HybridStore(root, clock=clock) as store:
        assert store.database.registry["notes"] == WIDER


def test_a_subscriber_is_told_of_rows_of_before_and_since(wider: HybridStore, clock: ManualClock) -> None:
    wider.insert("notes", [("new", 3, clock.now_us(), "fine", "0.25")])
    with wider.subscribe("notes", from_start=True, timeout_s=0) as events:
        told = {event.row["note_id"]: event.row["mood"] for event in events}
    assert told == {"archived": None, "hot": None, "new": "fine"}


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(
            WIDER, columns=(*NOTES.columns, msgspec.structs.replace(MORE[0], nullable=False))
        ),
        msgspec.structs.replace(WIDER, columns=(MORE[0], *NOTES.columns)),
        msgspec.structs.replace(WIDER, columns=(*NOTES.columns, *MORE), key=("note_id", "noted_at")),
        msgspec.structs.replace(
            WIDER,
            columns=(
                msgspec.structs.replace(NOTES.columns[0], type=LogicalType.TEXT),
                *NOTES.columns[1:],
                *MORE,
            ),
        ),
    ],
    ids=["required", "in front", "another key", "another type"],
)
def test_what_would_change_stored_rows_is_refused(root: Path, clock: ManualClock, other: Dataset) -> None:
    assert not is_extension(NOTES, other)
    with pytest.raises(SchemaMismatch, match="add nullable columns behind the others"):
        HybridStore(root, clock=clock, datasets=[other]).open()
    with HybridStore(root, clock=clock, datasets=[NOTES]) as store:
        assert store.sql("SELECT count(*) FROM notes").rows() == [(2,)]
