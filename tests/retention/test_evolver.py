"""Columns of a user's dataset get other names and wider types: hot, archived, old versions, at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.errors import (
    ArchiveCorrupt,
    Conflict,
    HybridStoreError,
    InvalidValue,
    SchemaMismatch,
    StoreBusy,
)
from hybridstore.retention.evolver import Evolver
from hybridstore.retention.replacer import REPLACEMENT_STEPS, Replacer
from hybridstore.retention.verification import examine
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.evolution import renamed
from hybridstore.schema.types import LogicalType
from tests.test_cli import run  # noqa: F401  a fixture

NOW_US = 20_600 * DAY_US + DAY_US // 2
NOTES = Dataset(
    name="notes",
    kind="event",
    doc="What somebody noted.",
    columns=(
        Column("note", LogicalType.NAME, "Its name."),
        Column("is_good", LogicalType.BOOLEAN, "Whether it is."),
        Column("score", LogicalType.MONEY, "A value."),
        Column("noted_at", LogicalType.TIMESTAMP, "When."),
        Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it."),
    ),
    key=("note",),
    indexes=(Index(("score",)), Index(("recorded_at",))),
    tiering=Tiering(time="noted_at", cluster=("note", "noted_at", "id"), symbol="note"),
)
Rows = list[tuple[Any, ...]]


class Killed(BaseException):
    """What ends a run here: no handler for errors may see it, as none runs after a kill."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


@pytest.fixture
def root(tmp_path: Path, clock: ManualClock) -> Path:
    """A store with files of three tiers, hot rows, and corrections of both."""
    folder = tmp_path / "store"
    with HybridStore(folder, clock=clock, datasets=[NOTES]) as store:
        for days in (200, 60, 0):
            at = clock.now_us()
            store.insert("notes", [(f"note {days} {n}", n % 2 == 0, f"{n}.5", at + n) for n in range(5)])
            live(store, clock, days or 2)
        store.insert("notes", [("note 200 1", False, "100", NOW_US + 1)])
        store.insert("notes", [("note 0 1", True, "1000", clock.now_us())])
    return folder


def live(store: HybridStore, clock: ManualClock, days: int) -> int:
    """Let time pass as it does for a store that is maintained; return how many replaced files were deleted."""
    until_us, collected = clock.now_us() + days * DAY_US, 0
    while clock.now_us() < until_us:
        clock.set(min(clock.now_us() + 31 * DAY_US, until_us))
        collected += store.retention.run().collected
    return collected


@pytest.fixture
def store(root: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """The store as a program opens it that declares nothing."""
    with HybridStore(root, clock=clock) as store:
        yield store


def rows(store: HybridStore) -> Rows:
    return store.sql("SELECT * FROM notes ORDER BY id").rows()


def versions(store: HybridStore) -> list[Any]:
    found = store.database.readers.rows("SELECT old_row, new_row FROM corrections ORDER BY id")
    return [list(json.loads(text)) for row in found for text in row]


def test_a_renamed_column_has_its_new_name_everywhere(
    root: Path, store: HybridStore, clock: ManualClock
) -> None:
    before = rows(store)
    assert len(before) == 15
    told: list[tuple[int, int]] = []
    done = store.retention.rename_column(
        "notes", "score", "points", progress=lambda one, total: told.append((one, total))
    )
    assert (done.dataset, done.rows, done.dry_run) == ("notes", told[-1][1], False)
    assert done.files == len(told) > 1
    assert told[-1][0] == told[-1][1]
    assert rows(store) == before
    assert store.sql("SELECT * FROM notes LIMIT 0").columns[3] == "points"
    assert store.scan("notes").collect().height == 15
    assert store.sql("SELECT sum(points) FROM notes").rows() == [(sum(row[3] for row in before),)]
    assert all("points" in names and "score" not in names for names in versions(store))
    assert examine(store.database, "scrub").problems == ()
    assert store.retention.history(1)[0].action == "evolve"
    assert json.loads(store.retention.history(1)[0].detail)["columns"] == {"score": "points MONEY"}
    counted = store.insert("notes", [("note 200 2", True, "2.5", NOW_US + 2)])
    assert (counted.inserted, counted.repeated) == (0, 1), "what is archived is known by its key"
    with store.subscribe("notes", from_start=True, timeout_s=0) as events:
        assert {"points" in event.row for event in events} == {True}
    assert live(store, clock, 3) >= done.files
    assert rows(store) == before
    assert store.retention.verify() > 0
    store.close()
    with HybridStore(root, clock=clock, datasets=[renamed(NOTES, "score", "points")]) as declared:
        declared.insert("notes", [{"note": "new", "is_good": True, "points": 7, "noted_at": clock.now_us()}])
        assert len(rows(declared)) == 16
    with pytest.raises(SchemaMismatch, match="rename-column"):
        HybridStore(root, clock=clock, datasets=[NOTES]).open()


def test_what_was_known_before_is_known_under_the_new_names(store: HybridStore, clock: ManualClock) -> None:
    clock.advance(SECOND_US)  # commits have a time of their own, which may be a little ahead
    then_us, before = clock.now_us(), rows(store)
    clock.advance(DAY_US)
    store.insert("notes", [("note 200 3", False, "-3", NOW_US + 3), ("new", True, 1, clock.now_us())])
    store.retention.rename_column("notes", "score", "points")
    assert store.sql("SELECT * FROM notes ORDER BY id", as_known_at=then_us).rows() == before
    assert len(rows(store)) == 16


def test_a_key_a_time_and_a_symbol_can_have_other_names(store: HybridStore, clock: ManualClock) -> None:
    before = rows(store)
    store.retention.rename_column("notes", "note", "remark")
    store.retention.rename_column("notes", "noted_at", "remarked_at")
    assert rows(store) == before
    assert store.sql("SELECT count(*) FROM notes WHERE remark = 'note 200 1'").rows() == [(1,)]
    counted = store.insert(
        "notes", [("note 200 2", True, "2.5", NOW_US + 2), ("new", True, 1, clock.now_us())]
    )
    assert (counted.inserted, counted.repeated) == (1, 1)
    live(store, clock, 500)
    assert len(rows(store)) == 16
    assert examine(store.database, "scrub").problems == ()


def test_wider_columns_hold_what_they_held_and_more(store: HybridStore, clock: ManualClock) -> None:
    before = rows(store)
    store.retention.widen_column("notes", "is_good", LogicalType.INTEGER)
    store.retention.widen_column("notes", "score", nullable=True)
    store.retention.widen_column("notes", "note", LogicalType.TEXT)
    assert rows(store) == [(*row[:2], int(row[2]), *row[3:]) for row in before]
    store.insert("notes", [("a text\nof two lines", 17, None, clock.now_us())])
    assert rows(store)[-1][1:4] == ("a text\nof two lines", 17, None)
    expected = rows(store)
    live(store, clock, 500)
    assert sorted(rows(store)) == sorted(expected)
    assert store.sql("SELECT sum(score) FROM notes").rows() == [
        (sum((row[3] for row in before), Decimal(0)),)
    ]
    assert examine(store.database, "scrub").problems == ()


def test_what_is_no_widening_is_refused_and_nothing_changed(store: HybridStore) -> None:
    before, files = rows(store), store.retention.verify()
    changes: list[Callable[[], object]] = [
        lambda: store.retention.widen_column("notes", "score", LogicalType.TICK),
        lambda: store.retention.widen_column("notes", "noted_at", LogicalType.INTEGER),
        lambda: store.retention.widen_column("notes", "recorded_at", nullable=True),
        lambda: store.retention.rename_column("notes", "score", "note"),
        lambda: store.retention.rename_column("trades", "price", "cost"),
        lambda: store.retention.rename_column("nothing", "price", "cost"),
    ]
    for change in changes:
        with pytest.raises(InvalidValue):
            change()
    assert (rows(store), store.retention.verify()) == (before, files)


def test_a_dry_run_only_counts(store: HybridStore) -> None:
    head = store.retention.history(1)
    done = store.retention.rename_column("notes", "score", "points", dry_run=True)
    assert (done.files > 1, done.rows > 9, done.size_bytes > 1000, done.dry_run) == (True, True, True, True)
    assert store.retention.history(1) == head
    assert store.sql("SELECT count(score) FROM notes").rows() == [(15,)]


@pytest.mark.parametrize("step", REPLACEMENT_STEPS)
def test_a_change_that_is_killed_happened_or_did_not(
    root: Path, clock: ManualClock, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(name: str) -> None:
        if name == step:
            raise Killed

    with HybridStore(root, clock=clock) as store:
        before = rows(store)
        with pytest.raises(Killed):
            Evolver(store.database, Replacer(store.database, kill)).evolve(
                "notes", lambda one: renamed(one, "score", "points")
            )
    with HybridStore(root, clock=clock) as store:
        assert rows(store) == before
        is_done = step == "replaced"
        assert ("points" in store.sql("SELECT * FROM notes LIMIT 0").columns) is is_done
        assert examine(store.database, "scrub").problems == ()
        if not is_done:
            store.retention.rename_column("notes", "score", "points")
        assert rows(store) == before
        live(store, clock, 3)
        live(store, clock, 3)
        counting = store.database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
        there = {path.relative_to(root).as_posix() for path in (root / "archives").rglob("*.*")}
        assert {name for name in there if name.endswith((".parquet", ".tmp"))} == {
            path for (path,) in counting
        }


def test_others_that_are_open_see_the_new_name_or_say_that_they_do_not_know_it(
    root: Path, store: HybridStore, clock: ManualClock
) -> None:
    with HybridStore(root, clock=clock, datasets=[NOTES]) as old:
        before = rows(old)
        with old.snapshot() as snapshot:
            assert snapshot.sql("SELECT count(score) FROM notes").rows() == [(15,)]
            store.retention.rename_column("notes", "score", "points")
            assert snapshot.sql("SELECT sum(score) FROM notes").rows() == [(sum(row[3] for row in before),)]
        with pytest.raises(HybridStoreError, match="score"):
            old.insert("notes", [("new", True, 7, clock.now_us())])
        old.retention.run()
        assert rows(old) == before
        old.insert("notes", [("new", True, 7, clock.now_us())])
        assert len(rows(store)) == 16


def test_others_that_are_open_do_not_read_a_wider_type_by_the_old_one(
    root: Path, store: HybridStore, clock: ManualClock
) -> None:
    with HybridStore(root, clock=clock, datasets=[NOTES]) as old:
        before = rows(old)
        with old.snapshot() as snapshot:
            store.retention.widen_column("notes", "note", LogicalType.TEXT)
            store.insert("notes", [("", True, 7, clock.now_us())])
            assert snapshot.sql("SELECT * FROM notes ORDER BY id").rows() == before
        for ask in (lambda: rows(old), lambda: old.scan("notes")):
            with pytest.raises(SchemaMismatch, match="note is note TEXT now"):
                ask()
        old.retention.run()
        assert [row[1] for row in rows(old)[-1:]] == [""]


def test_old_files_stay_as_long_as_a_new_one_is_damaged(
    root: Path, store: HybridStore, clock: ManualClock
) -> None:
    store.retention.rename_column("notes", "score", "points")
    files = "SELECT path FROM archive_files WHERE replaced_seq IS {}"
    count = store.database.readers.rows(files.format("NULL"))
    old = store.database.readers.rows(files.format("(SELECT max(replaced_seq) FROM archive_files)"))
    damaged = root / count[0][0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"x")
    clock.advance(2 * DAY_US)
    with pytest.raises(ArchiveCorrupt, match="content changed"):
        store.retention.run()
    assert all((root / path).exists() for (path,) in old), "the only rows that are whole"
    damaged.write_bytes(whole)
    assert len(old) == len(count)
    assert live(store, clock, 2) >= len(old), "merges may have left others behind"
    assert not any((root / path).exists() for (path,) in old)


def test_another_mover_is_waited_for_or_said(root: Path, store: HybridStore, clock: ManualClock) -> None:
    def inside(_done: int, _total: int) -> None:
        with (
            HybridStore(root, clock=clock) as other,
            pytest.raises(StoreBusy, match="another process is moving rows"),
        ):
            other.retention.rename_column("notes", "note", "remark")

    store.retention.rename_column("notes", "score", "points", progress=inside)


def test_rows_that_could_come_back_under_old_names_are_waited_for(
    store: HybridStore, clock: ManualClock
) -> None:
    while clock.now_us() < NOW_US + 7 * 365 * DAY_US + 60 * DAY_US:
        clock.advance(31 * DAY_US)
        if store.retention.run().deleted_rows:
            break
    with pytest.raises(Conflict, match="could still bring back"):
        store.retention.rename_column("notes", "score", "points")
    clock.advance(2 * DAY_US)
    store.retention.run()
    store.retention.rename_column("notes", "score", "points")
    assert store.sql("SELECT count(points) FROM notes").rows() == [(10,)]


def test_columns_change_on_the_command_line(
    root: Path,
    run: Callable[..., tuple[int, str, str]],  # noqa: F811  the fixture
) -> None:
    code, out, _ = run(
        "retention", "rename-column", "notes", "score", "points", "--dry-run", "--root", str(root), "--json"
    )
    planned = json.loads(out)
    assert (code, planned["dry_run"], planned["dataset"]) == (0, True, "notes")
    code, out, _ = run("retention", "rename-column", "notes", "score", "points", "--root", str(root))
    assert (code, f"{planned['rows']:,} rows in {planned['files']:,} files of notes" in out) == (0, True)
    code, out, _ = run(
        "retention",
        "widen-column",
        "notes",
        "is_good",
        "--type",
        "integer",
        "--nullable",
        "--root",
        str(root),
    )
    assert (code, "were written anew" in out) == (0, True)
    with HybridStore(root, maintenance="off") as store:
        assert store.sql("SELECT count(points), sum(is_good) FROM notes").rows() == [(15, 10)]
    code, _, err = run("retention", "widen-column", "notes", "points", "--type", "text", "--root", str(root))
    assert (code, "cannot become TEXT" in err) == (1, True)
